//! Runs tools. Their standard error becomes progress, their standard output is returned, and another thread may end them.

use crate::{BuildError, Progress, error::io};
use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

/// Ends a build from another thread. The running tool is killed with all processes that it started, and nothing further is begun.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    cancelled: bool,
    /// The process groups of the tools that run.
    running: Vec<u32>,
}

impl Cancel {
    /// Ends the build, which returns [`BuildError::Cancelled`].
    pub fn cancel(&self) {
        let mut state = self.state();
        state.cancelled = true;
        for group in state.running.drain(..) {
            kill_group(group);
        }
    }

    /// Whether somebody ended the build.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.state().cancelled
    }

    /// Starts a tool in a process group of its own, unless the build was ended already.
    fn start(&self, command: &mut Command, tool: &str) -> Result<Child, BuildError> {
        own_group(command);
        let mut state = self.state();
        if state.cancelled {
            return Err(BuildError::Cancelled);
        }
        let child = command.spawn().map_err(io("run", tool))?;
        state.running.push(child.id());
        Ok(child)
    }

    fn ended(&self, id: u32) {
        self.state().running.retain(|running| *running != id);
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives the tool a process group of its own, so that Ctrl-C in a terminal reaches only us, and we end the tool.
#[cfg(unix)]
fn own_group(command: &mut Command) {
    std::os::unix::process::CommandExt::process_group(command, 0);
}

#[cfg(unix)]
fn kill_group(id: u32) {
    use rustix::process::{Pid, Signal, kill_process_group};
    if let Some(group) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        // An error is ignored, because the tool may have ended by itself.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

#[cfg(not(unix))]
fn own_group(_: &mut Command) {}

#[cfg(not(unix))]
fn kill_group(_: u32) {}

/// Runs `command` to its end. Its standard error is passed on line by line; its standard output is returned.
pub(crate) fn run(
    command: &mut Command,
    tool: &str,
    cancel: Option<&Cancel>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<u8>, BuildError> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match cancel {
        Some(cancel) => cancel.start(command, tool)?,
        None => command.spawn().map_err(io("run", tool))?,
    };
    let stdout = child.stdout.take();
    // Standard output is read on a thread of its own, so that neither pipe fills up.
    let output = std::thread::spawn(move || {
        let mut output = Vec::new();
        stdout.map_or(Ok(0), |mut pipe| pipe.read_to_end(&mut output)).map(|_| output)
    });
    let lines = child.stderr.take().into_iter().flat_map(|pipe| BufReader::new(pipe).split(b'\n'));
    for line in lines.map_while(Result::ok) {
        progress(Progress::Output(String::from_utf8_lossy(&line).into_owned()));
    }
    let status = child.wait().map_err(io("wait for", tool))?;
    if let Some(cancel) = cancel {
        cancel.ended(child.id());
        if cancel.is_cancelled() {
            return Err(BuildError::Cancelled);
        }
    }
    let output = output.join().unwrap_or_else(|_| Ok(Vec::new())).map_err(io("read the output of", tool))?;
    if status.success() {
        return Ok(output);
    }
    Err(BuildError::ToolFailed { tool: tool.into(), status: status.to_string(), output: String::new() })
}
