//! The other side: crates of plain workers-rs, built by stock worker-build with the profile that ours get.

use realgar_bundle::{Profile, Progress, worker_build};
use realgar_test::Bundle;
use std::{env, fs, path::PathBuf};

/// Builds the crate in `path` as the Worker `name`, with the bindings and classes in `configuration`.
pub(crate) fn build(path: &str, name: &str, configuration: &str) -> Result<Bundle, String> {
    let folder = worker_build(path.as_ref(), Profile::Release, env::current_exe().ok(), &mut |progress| {
        if let Progress::Began(step) = progress {
            eprintln!("{step}");
        }
    });
    let folder = folder.map_err(|error| error.to_string())?;
    // worker-build writes no configuration; a plain Worker is read from one.
    let wrangler =
        format!("name = {name:?}\nmain = \"index.js\"\ncompatibility_date = \"2026-04-21\"\n{configuration}");
    fs::write(folder.join("wrangler.toml"), wrangler).map_err(|error| error.to_string())?;
    realgar_bundle::read_plain(&folder).map_err(|error| error.to_string())
}

/// The arguments, if this program was called under the name `wasm-bindgen`, as worker-build does.
pub(crate) fn as_wasm_bindgen() -> Option<Vec<String>> {
    let mut arguments = env::args();
    let name = PathBuf::from(arguments.next()?);
    (name.file_stem()? == "wasm-bindgen").then(|| arguments.collect())
}
