//! Prints everything that the program prints: results to standard output, messages to standard error.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the only module that prints")]

use crate::error::{CommandError, EXIT_DONE, ErrorKind, Outcome};
use realgar_bundle::{Progress, Size};
use realgar_edge::{LogLine, Source};
use std::{error::Error, io::IsTerminal, path::Path, process::ExitCode};

/// Shows the error of a command, if it has one, and turns the outcome into an exit code.
pub(crate) fn exit(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::from(EXIT_DONE),
        Err(error) => {
            // Whoever interrupted the command knows that already.
            if error.kind != ErrorKind::Interrupted {
                show_error(&error);
            }
            ExitCode::from(error.code())
        }
    }
}

/// Shows an error with its causes, and what to do about it.
pub(crate) fn show_error(error: &CommandError) {
    eprintln!("{}: {error}", paint("error", "1;31"));
    let mut cause: Option<&(dyn Error + 'static)> = error.error.source();
    while let Some(error) = cause {
        eprintln!("  because: {error}");
        cause = error.source();
    }
    for hint in &error.hints {
        eprintln!("{}: {hint}", paint("hint", "1;36"));
    }
}

/// Shows what a build is doing.
pub(crate) fn show_progress(progress: Progress) {
    match progress {
        Progress::Began(step) => note(&step.to_string()),
        Progress::Output(line) => eprintln!("{line}"),
        Progress::Warning(warning) => eprintln!("{}: {warning}", paint("warning", "1;33")),
        // A later version of the library may tell more.
        _ => {}
    }
}

/// Shows what the program is doing.
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

/// Shows a line of a Worker's log, with the Worker and the object that it came from.
pub(crate) fn show_log(LogLine { level, source, message }: &LogLine) {
    let color = match level.as_str() {
        "error" => "31",
        "warn" => "33",
        _ => "2",
    };
    let source = match source {
        None => String::new(),
        Some(Source { script, object: None }) => format!("{script}: "),
        Some(Source { script, object: Some((class, name)) }) => format!("{script} {class}/{name}: "),
    };
    eprintln!("{} {source}{message}", paint(&format!("[{level}]"), color));
}

/// Shows a request that was answered.
pub(crate) fn show_request(request: &realgar_edge::ServedRequest) {
    let color = if request.status >= 500 { "31" } else { "2" };
    let realgar_edge::ServedRequest { script, method, path, status, time_ms } = request;
    eprintln!("{} {method} {path} {status} in {time_ms} ms", paint(&format!("[{script}]"), color));
}

/// Whether standard error may have colours.
pub(crate) fn color() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn paint(text: &str, code: &str) -> String {
    if color() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.into() }
}
