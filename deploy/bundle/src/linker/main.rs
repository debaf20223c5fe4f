//! Takes the place of the wasm linker: see `linker.rs` beside the folder of this file. This program uses the standard library only,
//! because it is compiled alone.

#[path = "object.rs"]
mod object;

use std::{
    env, fs,
    path::PathBuf,
    process::{Command, ExitCode},
};

/// Symbols with this prefix are exported from the module to describe only.
const DESCRIBE_PREFIX: &str = "__realgar_describe";

/// The extension of the module to describe, which is added to the name of the output.
const DESCRIBE_EXTENSION: &str = ".describe";

/// A symbol with this prefix says that some objects may have a wasm instance each.
const ISOLATED_PREFIX: &str = "__realgar_describe_isolated_";

/// The extension of the module for such objects, which has small stacks.
const ISOLATED_EXTENSION: &str = ".isolated";

/// The stack that rustc asks for, and the one that objects with a wasm instance each get, in bytes. The memory of each instance
/// counts as a whole. Half of the small stack is too little, in a debug build, for values as deep as a caller may send.
const STACK: &str = "stack-size=1048576";
const SMALL_STACK: &str = "stack-size=262144";

/// Classes of the base crates whose instances are made by Rust only. If a program makes none, the classes and what they reach need
/// not ship: a tenth of a small bundle. Whoever uses the lean module finds out from the glue that wasm-bindgen makes of it.
const CLASSES: [&str; 6] = [
    "containerstartupoptions",
    "intounderlyingbytesource",
    "intounderlyingsink",
    "intounderlyingsource",
    "minifyconfig",
    "r2range",
];

/// The start function of the base crate counts instances, and sets handlers, which the runtime replaces after the start functions
/// have run. The function is known by the hash of its crate, which this export also has; other crates may have an `init` of their
/// own.
const STATE: &str = "__worker_init_state_";
const START: &str = "init_";

/// For each export, wasm-bindgen has another one with this prefix that describes it.
const OF_DESCRIPTIONS: &str = "__wbindgen_describe_";

/// The extension of a module without these exports. Only a release has such modules.
const LEAN_EXTENSION: &str = ".lean";

/// The extension of a changed object file.
const PLAIN_EXTENSION: &str = ".plain.o";

/// The argument with which rustc asks for no optimisation.
const UNOPTIMISED: &str = "-O0";

fn main() -> ExitCode {
    let given: Vec<String> = env::args().skip(1).flat_map(expand).collect();
    // A crate that is not written with our macros is linked as it would be without us.
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
    // The modules that an earlier version of the program left do not belong to this one.
    let isolated_lean = format!("{ISOLATED_EXTENSION}{LEAN_EXTENSION}");
    for extension in [DESCRIBE_EXTENSION, ISOLATED_EXTENSION, LEAN_EXTENSION, &isolated_lean] {
        if let Some(output) = beside(&arguments, extension).iter().find(|argument| argument.ends_with(extension)) {
            let _ = fs::remove_file(output);
        }
    }
    // The module that rustc wants is linked last: once it is there, all of them are.
    let linked = modules.iter().rev().all(|(extension, arguments)| link(&beside(arguments, extension)));
    if linked { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The arguments that `argument` stands for. A long command line comes as a file with one argument a line, quoted where necessary.
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

/// The arguments without the exports of the base crates that most programs, or no programs, need.
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

/// The arguments, with each object file that can be changed replaced by its changed copy.
struct PlainObjects {
    arguments: Vec<String>,
    made: Vec<Temporary>,
}

/// A file that is removed when this is dropped.
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

/// The arguments with the small stack. A stack of another size than rustc's default is kept, because the user chose it.
fn with_small_stack(arguments: &[String]) -> Vec<String> {
    arguments.iter().map(|argument| if argument == STACK { SMALL_STACK } else { argument }.to_string()).collect()
}

/// The arguments with another output, beside the one that rustc wants.
fn beside(arguments: &[String], extension: &str) -> Vec<String> {
    let mut after_output = false;
    let rename = |argument: &String| {
        let renamed = if after_output { format!("{argument}{extension}") } else { argument.clone() };
        after_output = argument == "-o";
        renamed
    };
    arguments.iter().map(rename).collect()
}

/// Runs the real linker. rustc has put the folder with `rust-lld` on the path.
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

/// Writes the arguments into a file on Windows. Only Windows limits a command line to less than what a large program needs.
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
