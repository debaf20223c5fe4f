//! `realgar build`.

use crate::output::{self, Outcome};
use realgar_bundle::{BuildOptions, Builder, Profile, build};
use std::path::PathBuf;

pub(crate) fn run(path: PathBuf, dev: bool, builder: Builder) -> Outcome {
    output::note(&format!("Building {}", path.display()));
    let options = BuildOptions {
        path,
        profile: if dev { Profile::Dev } else { Profile::Release },
        builder,
        color: output::color(),
        wasm_bindgen: std::env::current_exe().ok(),
    };
    let bundle = build(&options, &mut output::show_progress)?;
    output::show_bundle(&bundle.folder, bundle.size()?);
    Ok(())
}

/// The arguments, if this program was called under the name `wasm-bindgen`, as `worker-build` does.
pub(crate) fn as_wasm_bindgen() -> Option<Vec<String>> {
    let mut arguments = std::env::args();
    let name = PathBuf::from(arguments.next()?);
    (name.file_stem()? == "wasm-bindgen").then(|| arguments.collect())
}
