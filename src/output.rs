//! Everything that is printed. Results go to standard output, talk to standard error.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the only module that prints")]

use crate::{EXIT_DONE, EXIT_FAILED};
use realgar_bundle::{Progress, Size};
use realgar_edge::LogLine;
use std::{error::Error, io::IsTerminal, path::Path, process::ExitCode};

/// What a command ends with.
pub(crate) type Outcome = Result<(), Box<dyn Error>>;

/// Shows the error of a command, if it has one, and turns the outcome into an exit code.
pub(crate) fn exit(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::from(EXIT_DONE),
        Err(error) => {
            show_error(&*error);
            ExitCode::from(EXIT_FAILED)
        }
    }
}

/// Shows an error with its causes.
pub(crate) fn show_error(error: &(dyn Error + 'static)) {
    eprintln!("{}: {error}", paint("error", "1;31"));
    let mut cause = error.source();
    while let Some(error) = cause {
        eprintln!("  because: {error}");
        cause = error.source();
    }
}

/// Shows what a build is doing.
pub(crate) fn show_progress(progress: Progress) {
    match progress {
        Progress::Step(step) => note(&step),
        Progress::Output(line) => eprintln!("{line}"),
        Progress::Warning(text) => eprintln!("{}: {text}", paint("warning", "1;33")),
    }
}

/// Says what happens.
pub(crate) fn note(text: &str) {
    eprintln!("{} {text}", paint("realgar", "1;32"));
}

/// Shows what a build made.
pub(crate) fn show_bundle(folder: &Path, size: Size) {
    println!("{}", folder.display());
    note(&format!("{} bytes, {} with gzip", size.raw, size.gzip));
}

/// Shows where a Worker serves.
pub(crate) fn show_address(script: &str, url: &str) {
    println!("{script}: {url}");
}

/// Shows a line of a Worker's log.
pub(crate) fn show_log(LogLine { level, message }: LogLine) {
    let color = match level.as_str() {
        "error" => "31",
        "warn" => "33",
        _ => "2",
    };
    eprintln!("{} {message}", paint(&format!("[{level}]"), color));
}

/// Whether standard error may have colours.
pub(crate) fn color() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn paint(text: &str, code: &str) -> String {
    if color() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.into() }
}
