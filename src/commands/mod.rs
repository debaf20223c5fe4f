//! The commands, one module each.

pub(crate) mod build;
pub(crate) mod deploy;
pub(crate) mod destroy;
pub(crate) mod dev;
pub(crate) mod edge;
pub(crate) mod plan;
pub(crate) mod state;

use crate::error::CommandError;
use realgar_bundle::{Cancel, Workspace, workspace};
use std::path::{Path, PathBuf};

/// The Workers that a path on the command line stands for: the crate or the plain Worker there, or all Workers of the workspace.
pub(crate) fn workers_in(path: &Path) -> Result<Vec<PathBuf>, CommandError> {
    let folder = path
        .canonicalize()
        .map_err(|error| CommandError::user(format!("cannot find `{}`: {error}", path.display())))?;
    let is_crate = folder.join("Cargo.toml").is_file();
    if !is_crate {
        if folder.join("wrangler.toml").is_file() {
            return Ok(vec![folder]);
        }
        let text = "has neither a `Cargo.toml` nor a `wrangler.toml`; name the folder of a Worker";
        return Err(CommandError::user(format!("`{}` {text}", path.display())));
    }
    let Workspace { root, workers, .. } = workspace(&folder)?;
    if workers.values().any(|worker| *worker == folder) || root != folder {
        return Ok(vec![folder]);
    }
    if workers.is_empty() {
        let text = "holds a workspace without a Worker: no package has a `cdylib`";
        return Err(CommandError::user(format!("`{}` {text}", path.display())));
    }
    Ok(workers.into_values().collect())
}

/// Cancels the builds of a command on Ctrl-C or SIGTERM. The handler then calls `more`.
pub(crate) fn cancel_on_signal(more: impl Fn() + Send + 'static) -> Result<Cancel, CommandError> {
    let cancel = Cancel::default();
    let handler = cancel.clone();
    ctrlc::set_handler(move || {
        handler.cancel();
        more();
    })
    .map_err(CommandError::user)?;
    Ok(cancel)
}
