//! Running a tool: what it says is progress, what it returns is output.

use crate::{BuildError, Progress, error::io};
use std::{
    io::{BufRead, BufReader, Read},
    process::{Command, Stdio},
};

/// Runs `command` to its end. Its standard error is passed on line by line; its standard output is returned.
pub(crate) fn run(
    command: &mut Command,
    tool: &str,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<u8>, BuildError> {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(io("run", tool))?;
    let stdout = child.stdout.take();
    // Read beside the progress, so that neither pipe fills up.
    let output = std::thread::spawn(move || {
        let mut output = Vec::new();
        stdout.map_or(Ok(0), |mut pipe| pipe.read_to_end(&mut output)).map(|_| output)
    });
    let lines = child.stderr.take().into_iter().flat_map(|pipe| BufReader::new(pipe).split(b'\n'));
    for line in lines.map_while(Result::ok) {
        progress(Progress::Output(String::from_utf8_lossy(&line).into_owned()));
    }
    let status = child.wait().map_err(io("wait for", tool))?;
    let output = output.join().unwrap_or_else(|_| Ok(Vec::new())).map_err(io("read the output of", tool))?;
    if status.success() {
        return Ok(output);
    }
    Err(BuildError::ToolFailed { tool: tool.into(), status: status.to_string(), output: String::new() })
}
