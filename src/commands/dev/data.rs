//! The folder in which `dev` keeps the data of objects and other resources. A workspace has one such folder, whichever of its
//! Workers run, and in whatever order they are named.

use crate::{error::CommandError, output};
use realgar_bundle::workspace;
use std::path::{Path, PathBuf};

/// The path of the data folder, below the root of the workspace, or below the folder of a plain Worker that is in no workspace.
const FOLDER: &str = ".realgar/dev";

/// The data folder for the Workers in `paths`.
pub(super) fn folder(paths: &[PathBuf]) -> Result<PathBuf, CommandError> {
    let mut roots = paths.iter().map(|path| root(path)).collect::<Result<Vec<_>, _>>()?;
    // Cargo's workspaces before plain folders, and otherwise by name: not by the order on the command line.
    roots.sort_by_key(|(root, is_workspace)| (!is_workspace, root.clone()));
    let first = roots.into_iter().next().ok_or_else(|| CommandError::usage("name the folder of a Worker"))?;
    Ok(first.0.join(FOLDER))
}

/// The root of the workspace that `path` is in, or `path` itself; and whether it is a workspace.
fn root(path: &Path) -> Result<(PathBuf, bool), CommandError> {
    if path.join("Cargo.toml").is_file() {
        return Ok((workspace(path)?.root, true));
    }
    match path.ancestors().skip(1).find(|folder| folder.join("Cargo.toml").is_file()) {
        // A `Cargo.toml` above a plain Worker need not be readable for the Worker to run.
        Some(above) => Ok(workspace(above).map_or_else(|_| (path.into(), false), |workspace| (workspace.root, true))),
        None => Ok((path.into(), false)),
    }
}

/// Says where the data is, and where an earlier version kept it.
pub(super) fn tell(data: &Path, paths: &[PathBuf]) {
    output::note(&format!("Data is in {}", data.display()));
    if data.exists() {
        return;
    }
    for old in paths.iter().map(|path| path.join(FOLDER)).filter(|old| old.exists()) {
        output::note(&format!(
            "An earlier version kept data in {}; to go on with it, stop, and move it to {}",
            old.display(),
            data.display()
        ));
    }
}
