//! `--builder worker-build`.

use crate::{BuildError, BuildOptions, Progress, Tools, cargo::Package, output::File};
use realgar_wire::Description;
use std::path::PathBuf;

pub(crate) fn run(_p: &Package, _o: &BuildOptions, _t: Option<&Tools>, _d: &Description, _pr: &mut dyn FnMut(Progress)) -> Result<Vec<File>, BuildError> {
    Ok(vec![])
}
/// x
pub fn ensure_worker_build() -> Option<PathBuf> { None }
