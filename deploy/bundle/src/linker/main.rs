//! Stands in for the wasm linker: see `linker.rs` beside the folder of this file. Uses the standard library only, because
//! it is compiled alone.

#[path = "object.rs"]
mod object;

use std::{
    env, fs,
    path::PathBuf,
    process::{Command, ExitCode},
};

/// Symbols with this prefix are exported from the module to describe, and from no other.
const DESCRIBE_PREFIX: &str = "__realgar_describe";

/// The module to describe is the output with this added.
const DESCRIBE_EXTENSION: &str = ".describe";

/// Symbols with this prefix say that some objects may have a wasm instance each.
const ISOLATED_PREFIX: &str = "__realgar_describe_isolated_";

/// The module for these, with small stacks, is the output with this added.
const ISOLATED_EXTENSION: &str = ".isolated";

/// The stack that rustc asks for, and the one that they get, in bytes. Memory is counted for each instance as a whole; half of it is too
/// little for values as deep as a caller may send, in a debug build.
const STACK: &str = "stack-size=1048576";
const SMALL_STACK: &str = "stack-size=262144";

/// Classes of the base crates whose instances come from Rust only. Where a program makes none, they and what they reach need not ship: a
/// tenth of a small bundle. Who uses the module finds out, from the glue that wasm-bindgen makes of it.
const CLASSES: [&str; 6] = [
    "containerstartupoptions",
    "intounderlyingbytesource",
    "intounderlyingsink",
    "intounderlyingsource",
    "minifyconfig",
    "r2range",
];

/// The start function of the base crate sets handlers that the runtime replaces when the start functions have run, and counts instances. It
/// is known by the hash of its crate, which this export has too, because others may have an `init` of their own.
const STATE: &str = "__worker_init_state_";
const START: &str = "init_";

/// wasm-bindgen describes each export by another one.
const OF_DESCRIPTIONS: &str = "__wbindgen_describe_";

/// A module without all these is the output with this added, of a build that is worth it.
const LEAN_EXTENSION: &str = ".lean";

/// What is added to the name of an object file that was changed.
const PLAIN_EXTENSION: &str = ".plain.o";

/// How rustc asks for no optimisation.
const UNOPTIMISED: &str = "-O0";

fn main() -> ExitCode {
    let given: Vec<String> = env::args().skip(1).flat_map(expand).collect();
    // What is not written with our macros is linked as it would be without us.
    let is_ours = given.iter().any(|argument| argument.starts_with(DESCRIBE_PREFIX));
    let is_release = is_ours && !given.iter().any(|argument| argument == UNOPTIMISED);
    let PlainObjects { arguments, made: _made } = if is_release { plain_objects(&given) } else { given.into() };
    let ship = without_exports(&arguments, |symbol| symbol.starts_with(DESCRIBE_PREFIX));
    let mut modules = vec![(String::new(), ship.clone())];
    if arguments.iter().any(|argument| argument.starts_with(ISOLATED_PREFIX)) {
        modules.push((ISOLATED_EXTENSION.into(), with_small_stack(&ship)));
    }
    if is_release {
        for at in 0..modules.len() {
            let (extension, arguments) = &modules[at];
            modules.push((format!("{extension}{LEAN_EXTENSION}"), lean(arguments)));
        }
    }
    if is_ours {
        modules.push((DESCRIBE_EXTENSION.into(), arguments.clone()));
    }
    // What an earlier version of the program was is not true of this one.
    let isolated_lean = format!("{ISOLATED_EXTENSION}{LEAN_EXTENSION}");
    for extension in [DESCRIBE_EXTENSION, ISOLATED_EXTENSION, LEAN_EXTENSION, &isolated_lean] {
        if let Some(output) = beside(&arguments, extension).iter().find(|argument| argument.ends_with(extension)) {
            let _ = fs::remove_file(output);
        }
    }
    // The one that rustc wants comes last: with it, all are there.
    let linked = modules.iter().rev().all(|(extension, arguments)| link(&beside(arguments, extension)));
    if linked { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Long command lines come as a file: one argument a line, quoted where it has to be.
fn expand(argument: String) -> Vec<String> {
    let Some(path) = argument.strip_prefix('@') else { return vec![argument] };
    match fs::read_to_string(path) {
        Ok(text) => text.lines().map(|line| line.trim_matches('"').replace("\\\\", "\\")).collect(),
        Err(_) => vec![argument],
    }
}

/// The arguments without the exports that are `unwanted`.
fn without_exports(arguments: &[String], unwanted: impl Fn(&str) -> bool) -> Vec<String> {
    let mut kept = Vec::with_capacity(arguments.len());
    let mut rest = arguments.iter().peekable();
    while let Some(argument) = rest.next() {
        if argument == "--export" && rest.peek().is_some_and(|symbol| unwanted(symbol)) {
            rest.next();
        } else {
            kept.push(argument.clone());
        }
    }
    kept
}

/// The arguments without what most programs, or no programs, need of the base crates.
fn lean(arguments: &[String]) -> Vec<String> {
    let start = arguments.iter().find_map(|symbol| Some(format!("{START}{}", symbol.strip_prefix(STATE)?)));
    without_exports(arguments, |symbol| {
        let described = symbol.strip_prefix(OF_DESCRIPTIONS).unwrap_or(symbol);
        let is_start = start.as_deref() == Some(described) || described.starts_with(STATE);
        is_start || CLASSES.iter().any(|class| belongs_to(described, class))
    })
}

/// Whether wasm-bindgen made the symbol for the class.
fn belongs_to(symbol: &str, class: &str) -> bool {
    let accessor = ["__wbg_get_", "__wbg_set_", "__wbg_"].into_iter().find_map(|prefix| symbol.strip_prefix(prefix));
    accessor.unwrap_or(symbol).strip_prefix(class).is_some_and(|rest| rest.starts_with('_'))
}

/// The arguments with changed object files in the place of those that can be changed.
struct PlainObjects {
    arguments: Vec<String>,
    made: Vec<Temporary>,
}

/// A file that is there until this is dropped.
struct Temporary(String);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl From<Vec<String>> for PlainObjects {
    fn from(arguments: Vec<String>) -> Self {
        Self { arguments, made: Vec::new() }
    }
}

fn plain_objects(given: &[String]) -> PlainObjects {
    let mut objects = PlainObjects::from(given.to_vec());
    for argument in objects.arguments.iter_mut().filter(|argument| argument.ends_with(".o")) {
        let Some(changed) = fs::read(&*argument).ok().and_then(|object| object::with_plain_panic(&object)) else {
            continue;
        };
        let plain = Temporary(format!("{argument}{PLAIN_EXTENSION}"));
        if fs::write(&plain.0, changed).is_ok() {
            argument.clone_from(&plain.0);
            objects.made.push(plain);
        }
    }
    objects
}

/// A stack of another size than rustc's own is what somebody wants.
fn with_small_stack(arguments: &[String]) -> Vec<String> {
    arguments.iter().map(|argument| if argument == STACK { SMALL_STACK } else { argument }.to_string()).collect()
}

/// With another output, beside the one that rustc wants.
fn beside(arguments: &[String], extension: &str) -> Vec<String> {
    let mut after_output = false;
    let rename = |argument: &String| {
        let renamed = if after_output { format!("{argument}{extension}") } else { argument.clone() };
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
        let ship = without_exports(&strings(&ALL), |symbol| symbol.starts_with(DESCRIBE_PREFIX));
        assert_eq!(ship, strings(&["-flavor", "wasm", "--export", "main", "-o", "out.wasm"]));
    }

    #[test]
    fn classes_go_with_all_that_is_theirs_and_so_does_the_start_function() {
        let symbols = [
            "__worker_init_state_a2",
            "init_a2",
            "__wbindgen_describe_init_a2",
            "init_a3",
            "__wbg_r2range_free_a1",
            "__wbg_get_r2range_offset_a1",
            "__wbindgen_describe___wbg_set_r2range_offset_a1",
            "__wbindgen_describe_r2range_method_a1",
            "__wbg_r2rangelike_free",
            "my_r2range_free",
        ];
        let arguments: Vec<&str> = symbols.iter().flat_map(|symbol| ["--export", *symbol]).collect();
        let kept = lean(&strings(&arguments));
        let expected = ["init_a3", "__wbg_r2rangelike_free", "my_r2range_free"].map(|symbol| ["--export", symbol]);
        assert_eq!(kept, strings(&expected.concat()));
    }

    #[test]
    fn the_described_module_lies_beside_it() {
        assert_eq!(beside(&strings(&ALL), DESCRIBE_EXTENSION).last().unwrap(), "out.wasm.describe");
    }

    #[test]
    fn only_the_stack_that_rustc_asks_for_becomes_small() {
        let small = with_small_stack(&strings(&["-z", "stack-size=1048576", "stack-size=2097152"]));
        assert_eq!(small, strings(&["-z", "stack-size=262144", "stack-size=2097152"]));
    }
}
