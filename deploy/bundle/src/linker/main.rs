//! Stands in for the wasm linker: see `linker.rs` beside the folder of this file. Uses the standard library only, because
//! it is compiled alone.

use std::{
    env, fs,
    path::PathBuf,
    process::{Command, ExitCode},
};

/// Symbols with this prefix are exported from the module to describe, and from no other.
const DESCRIBE_PREFIX: &str = "__realgar_describe";

/// The module to describe is the output with this added.
const DESCRIBE_EXTENSION: &str = ".describe";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).flat_map(expand).collect();
    let ship = without_describe_exports(&arguments);
    let describe = to_describe(&arguments);
    // What an earlier version of the program said of itself is not true of this one.
    if let Some(output) = describe.iter().find(|argument| argument.ends_with(DESCRIBE_EXTENSION)) {
        let _ = fs::remove_file(output);
    }
    if ship.len() < arguments.len() && !link(&describe) {
        return ExitCode::FAILURE;
    }
    if link(&ship) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Long command lines come as a file: one argument a line, quoted where it has to be.
fn expand(argument: String) -> Vec<String> {
    let Some(path) = argument.strip_prefix('@') else { return vec![argument] };
    match fs::read_to_string(path) {
        Ok(text) => text.lines().map(|line| line.trim_matches('"').replace("\\\\", "\\")).collect(),
        Err(_) => vec![argument],
    }
}

fn without_describe_exports(arguments: &[String]) -> Vec<String> {
    let mut kept = Vec::with_capacity(arguments.len());
    let mut rest = arguments.iter().peekable();
    while let Some(argument) = rest.next() {
        let describes = rest.peek().is_some_and(|next| next.starts_with(DESCRIBE_PREFIX));
        if argument == "--export" && describes {
            rest.next();
        } else {
            kept.push(argument.clone());
        }
    }
    kept
}

fn to_describe(arguments: &[String]) -> Vec<String> {
    let mut after_output = false;
    let rename = |argument: &String| {
        let renamed = if after_output { format!("{argument}{DESCRIBE_EXTENSION}") } else { argument.clone() };
        after_output = argument == "-o";
        renamed
    };
    arguments.iter().map(rename).collect()
}

/// Runs the real linker. rustc puts the folder of its own on the path of its linker.
fn link(arguments: &[String]) -> bool {
    let response = response_file(arguments);
    let mut command = Command::new("rust-lld");
    match &response {
        Some(path) => command.arg(format!("@{}", path.display())),
        None => command.args(arguments),
    };
    let ended = command.status();
    if let Some(path) = response {
        let _ = fs::remove_file(path);
    }
    match ended {
        Ok(status) => status.success(),
        Err(error) => {
            eprintln!("realgar: cannot run `rust-lld`: {error}");
            false
        }
    }
}

/// Only Windows limits a command line to less than what a large program needs.
fn response_file(arguments: &[String]) -> Option<PathBuf> {
    if !cfg!(windows) {
        return None;
    }
    let path = env::temp_dir().join(format!("realgar-link-{}.rsp", std::process::id()));
    let lines: Vec<String> = arguments.iter().map(|a| format!("\"{}\"", a.replace('\\', "\\\\"))).collect();
    fs::write(&path, lines.join("\n")).ok()?;
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(list: &[&str]) -> Vec<String> {
        list.iter().map(ToString::to_string).collect()
    }

    const ALL: [&str; 8] = ["-flavor", "wasm", "--export", "__realgar_describe", "--export", "main", "-o", "out.wasm"];

    #[test]
    fn the_shipped_module_has_no_describe_exports() {
        let ship = without_describe_exports(&strings(&ALL));
        assert_eq!(ship, strings(&["-flavor", "wasm", "--export", "main", "-o", "out.wasm"]));
    }

    #[test]
    fn the_described_module_lies_beside_it() {
        assert_eq!(to_describe(&strings(&ALL)).last().unwrap(), "out.wasm.describe");
    }
}
