//! `realgar build`.

use super::{cancel_on_signal, workers_in};
use crate::{
    args::{BuildArguments, profile},
    error::{CommandError, Outcome},
    output,
};
use realgar_bundle::{BuildOptions, build, workspace};
use std::path::PathBuf;

pub(crate) fn run(arguments: BuildArguments) -> Outcome {
    let cancel = cancel_on_signal(|| {})?;
    let paths = match &arguments.package {
        None => workers_in(&arguments.path)?,
        Some(package) => vec![find(&arguments, package)?],
    };
    for path in paths {
        output::note(&format!("Building {}", path.display()));
        let options = BuildOptions {
            path,
            profile: profile(arguments.dev),
            builder: arguments.builder.into(),
            color: output::color(),
            wasm_bindgen: std::env::current_exe().ok(),
            cancel: Some(cancel.clone()),
        };
        let bundle = build(&options, &mut output::show_progress)?;
        output::show_bundle(&bundle.folder, bundle.size()?);
    }
    Ok(())
}

/// The folder of a package, by its name.
fn find(arguments: &BuildArguments, package: &str) -> Result<PathBuf, CommandError> {
    let workspace = workspace(&arguments.path)?;
    workspace.packages.get(package).cloned().ok_or_else(|| {
        let names: Vec<String> = workspace.workers.keys().map(|name| format!("`{name}`")).collect();
        CommandError::usage(format!(
            "the workspace `{}` has no Worker `{package}`; it has {}",
            workspace.root.display(),
            if names.is_empty() { "none".into() } else { names.join(", ") }
        ))
    })
}

/// The arguments, if this program was called under the name `wasm-bindgen`, as `worker-build` does.
pub(crate) fn as_wasm_bindgen() -> Option<Vec<String>> {
    let mut arguments = std::env::args();
    let name = PathBuf::from(arguments.next()?);
    (name.file_stem()? == "wasm-bindgen").then(|| arguments.collect())
}
