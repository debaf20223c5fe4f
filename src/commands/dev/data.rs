//! The folder in which `dev` keeps the data of objects and other resources. A workspace has one such folder, whichever of its
//! Workers run, and in whatever order they are named.

use crate::{error::CommandError, output};
use realgar_bundle::workspace;
use std::{
    fs,
    path::{Path, PathBuf},
};

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

/// Goes on with the data that an earlier version kept beside the first Worker of its command line. It is moved where that can be
/// done; where it is not clear, the user decides.
pub(super) fn find_earlier(data: &Path, paths: &[PathBuf]) -> Result<(), CommandError> {
    let earlier = paths.iter().map(|path| path.join(FOLDER)).filter(|old| old.join("objects").exists() && old != data);
    let earlier: Vec<PathBuf> = earlier.collect();
    match earlier.as_slice() {
        [] => Ok(()),
        [old] if !data.exists() => {
            let moved = data.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::rename(old, data));
            let failed =
                |error| format!("cannot move the data of an earlier version from `{}`: {error}", old.display());
            moved.map_err(|error| CommandError::user(failed(error)))?;
            output::note(&format!("Moved the data of an earlier version from {}", old.display()));
            Ok(())
        }
        several => {
            let folders: Vec<String> = several.iter().map(|old| format!("`{}`", old.display())).collect();
            let text = format!(
                "an earlier version kept data in {}, and all Workers now share `{}`",
                folders.join(" and "),
                data.display()
            );
            Err(CommandError::user(text)
                 .hint("move the one that you need to that place, and remove the others; or run with `--data FOLDER`, which uses one as it is"))
        }
    }
}
