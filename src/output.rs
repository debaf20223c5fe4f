//! Prints everything that the program prints: results to standard output, messages to standard error.
use crate::{
    error::{CommandError, EXIT_DONE, ErrorKind, Outcome},
    stack::text,
};
use realgar_bundle::{Progress, Size};
use realgar_edge::{LogLine, Source};
use realgar_engine::{Action, Progress as Step, Row};
use std::{
    error::Error,
    fmt,
    io::{IsTerminal, Write},
    path::Path,
    process::ExitCode,
};

/// Shows the error of a command, if it has one, and turns the outcome into an exit code.
pub(crate) fn exit(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::from(EXIT_DONE),
        Err(error) => {
            // Whoever interrupted the command knows that already, and a plan was shown.
            if !matches!(error.kind, ErrorKind::Interrupted | ErrorKind::Changes) {
                show_error(&error);
            }
            ExitCode::from(error.code())
        }
    }
}

/// Shows an error with its causes, and what to do about it.
pub(crate) fn show_error(error: &CommandError) {
    show_text(&describe(error));
}

/// An error with its causes, and what to do about it.
pub(crate) fn describe(error: &CommandError) -> String {
    let mut text = format!("{}: {error}\n", paint("error", "1;31"));
    let mut cause: Option<&(dyn Error + 'static)> = error.error.source();
    while let Some(error) = cause {
        text += &format!("  because: {error}\n");
        cause = error.source();
    }
    for hint in &error.hints {
        text += &format!("{}: {hint}\n", paint("hint", "1;36"));
    }
    text
}

/// Shows what a build is doing.
pub(crate) fn show_progress(progress: Progress) {
    match progress {
        Progress::Began(step) => note(&step.to_string()),
        Progress::Output(line) => print_message(format_args!("{line}")),
        Progress::Warning(warning) => print_message(format_args!("{}: {warning}", paint("warning", "1;33"))),
        // A later version of the library may tell more.
        _ => {}
    }
}

/// Shows what the program is doing.
pub(crate) fn note(text: &str) {
    print_message(format_args!("{} {text}", paint("realgar", "1;32")));
}

/// Shows what a build made.
pub(crate) fn show_bundle(folder: &Path, size: Size) {
    print_result(format_args!("{}", folder.display()));
    note(&format!("{} bytes, {} with gzip", size.raw, size.gzip));
}

/// Shows where a Worker serves.
pub(crate) fn show_address(script: &str, url: &str) {
    print_result(format_args!("{script}: {url}"));
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
    print_message(format_args!("{} {source}{message}", paint(&format!("[{level}]"), color)));
}

/// Shows a request that was answered.
pub(crate) fn show_request(request: &realgar_edge::ServedRequest) {
    let color = if request.status >= 500 { "31" } else { "2" };
    let realgar_edge::ServedRequest { script, method, path, status, time_ms } = request;
    print_message(format_args!("{} {method} {path} {status} in {time_ms} ms", paint(&format!("[{script}]"), color)));
}

/// Shows a result, as it is.
pub(crate) fn show_result(text: &str) {
    write(&mut std::io::stdout(), format_args!("{text}"));
}

/// Shows a result as JSON.
pub(crate) fn show_json(result: &impl serde::Serialize) -> Outcome {
    let text = serde_json::to_string_pretty(result).map_err(CommandError::user)?;
    print_result(format_args!("{text}"));
    Ok(())
}

/// Shows text for the user, as it is.
pub(crate) fn show_text(text: &str) {
    write(&mut std::io::stderr(), format_args!("{text}"));
}

/// Asks a question that is answered with `y` or `n`.
pub(crate) fn ask(question: &str) {
    write(&mut std::io::stderr(), format_args!("{} [y/N] ", paint(question, "1")));
}

/// Shows a row of the state.
pub(crate) fn show_row(row: &Row) {
    let failure = row.failure.as_ref().map(|failure| format!(": {failure}")).unwrap_or_default();
    print_result(format_args!("{}  {}  {}  {:?}{failure}", row.fqn, row.kind, row.name, row.status));
}

/// Shows a step of a deployment.
pub(crate) fn show_step(step: Step<'_>) {
    let named = |action: &Action| format!("{} {}", text::sign(action.verb), action.fqn);
    match step {
        Step::Done(action) => print_message(format_args!("{} {}", paint("done", "32"), named(action))),
        Step::Failed(action, failure) => {
            print_message(format_args!("{} {}: {failure}", paint("failed", "31"), named(action)))
        }
        Step::Skipped(action, because) => {
            print_message(format_args!("{} {}: `{because}` comes before it", paint("left out", "33"), named(action)));
        }
        // A later version of the library may tell more.
        _ => {}
    }
}

/// Writes a line of the result.
fn print_result(line: fmt::Arguments<'_>) {
    write(&mut std::io::stdout(), format_args!("{line}\n"));
}

/// Writes a line for the user.
fn print_message(line: fmt::Arguments<'_>) {
    write(&mut std::io::stderr(), format_args!("{line}\n"));
}

/// Writes text. Whoever has closed the other end, such as `head`, does not want it any more.
fn write(to: &mut dyn Write, text: fmt::Arguments<'_>) {
    let _ = to.write_fmt(text).and_then(|()| to.flush());
}

/// Whether standard error may have colours.
pub(crate) fn color() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn paint(text: &str, code: &str) -> String {
    if color() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.into() }
}
