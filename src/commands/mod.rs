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
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Sender},
    },
    thread,
};

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
        let text = "has neither a `Cargo.toml` nor a `wrangler.toml` (`wrangler.json` is not read); name the folder of a Worker";
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

/// Ctrl-C or SIGTERM, for a command that has to come to an orderly end.
#[derive(Clone)]
pub(crate) struct Interrupt {
    /// Cancels builds.
    pub(crate) cancel: Cancel,
    /// Set by the signal.
    stop: Arc<AtomicBool>,
    /// Who waits for a line of the user. The signal is an answer too.
    asking: Arc<Mutex<Option<Sender<Option<String>>>>>,
}

impl Interrupt {
    /// Catches the signals from now on.
    pub(crate) fn catch() -> Result<Self, CommandError> {
        let (stop, asking) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Option<Sender<_>>>>::default());
        let (stopped, asked) = (stop.clone(), asking.clone());
        let cancel = cancel_on_signal(move || {
            stopped.store(true, Ordering::Relaxed);
            if let Some(asking) = &*asked.lock().unwrap_or_else(PoisonError::into_inner) {
                let _ = asking.send(None);
            }
        })?;
        Ok(Self { cancel, stop, asking })
    }

    /// Set once the signal came.
    pub(crate) fn flag(&self) -> &AtomicBool {
        &self.stop
    }

    /// Whether the signal came.
    pub(crate) fn is_set(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// A line of the user.
    pub(crate) fn read_line(&self) -> Result<String, CommandError> {
        let (answer, answered) = mpsc::channel();
        *self.asking.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer.clone());
        if self.is_set() {
            return Err(CommandError::interrupted());
        }
        // Nothing ends the wait for a line but a line, so another thread waits for it.
        thread::spawn(move || {
            let mut line = String::new();
            let _ = std::io::stdin().read_line(&mut line);
            answer.send(Some(line))
        });
        answered.recv().ok().flatten().ok_or_else(CommandError::interrupted)
    }
}
