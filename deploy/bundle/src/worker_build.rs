//! `--builder worker-build`.

use crate::{BuildError, BuildOptions, Progress, cargo::Package, output::File};
use realgar_wire::Description;

pub(crate) fn make(_p: &Package, _o: &BuildOptions, _pr: &mut dyn FnMut(Progress)) -> Result<(Description, Vec<File>), BuildError> {
    todo!()
}
