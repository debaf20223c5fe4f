//! wasm-bindgen, linked as a library, and what we change in the glue it writes.

use crate::{BuildError, Profile, output::File};
use std::path::{Path, PathBuf};
use wasm_bindgen_cli_support::Bindgen;

/// The modules that wasm-bindgen makes of a linked module.
pub(crate) struct Glue {
    pub(crate) js: String,
    pub(crate) wasm: Vec<u8>,
    /// Inline JavaScript of dependencies.
    pub(crate) snippets: Vec<File>,
}

/// Generates the glue of the module at `path`.
pub(crate) fn generate(path: &Path, profile: Profile) -> Result<Glue, BuildError> {
    let failed = |error: &dyn std::fmt::Display| BuildError::Unexpected {
        what: "wasm-bindgen cannot read the linked module",
        reason: format!("{error:#}"),
    };
    let mut bindgen = Bindgen::new();
    bindgen
        .input_path(path)
        .out_name("worker")
        .typescript(false)
        .demangle(false)
        .keep_debug(false)
        // Without this no trap would ever be noticed: see `runtime/realgar.js`.
        .force_enable_abort_handler(true)
        .module(true)
        .map_err(|error| failed(&error))?;
    // A release keeps the names until `optimize` has set the file with them aside.
    bindgen.remove_name_section(profile == Profile::Dev).remove_producers_section(true);
    let mut output = bindgen.generate_output().map_err(|error| failed(&error))?;
    let mut snippets = Vec::new();
    for (folder, list) in output.snippets() {
        for (index, text) in list.iter().enumerate() {
            snippets.push(File::text(&format!("snippets/{folder}/inline{index}.js"), text.clone()));
        }
    }
    for (name, text) in output.local_modules() {
        snippets.push(File::text(&format!("snippets/{name}"), text.clone()));
    }
    snippets.sort_by(|a, b| a.name.cmp(&b.name));
    let js = factory(output.js())?;
    let wasm = output.wasm_mut().emit_wasm();
    Ok(Glue { js, wasm, snippets })
}

/// Turns the glue into a function that makes an instance of its own at each call: `instantiate(__realgar)`.
///
/// All state of the glue becomes local to one call, so what is left of a dead instance, such as the closure behind a
/// timer, can only ever reach the dead instance. Inside, `__realgar` is the host object of that instance, and it provides
/// two globals: `queueMicrotask`, because workerd's own takes 5 us, a fifth of a call, and `FinalizationRegistry`, because what
/// the collector finds of a dead instance must not be freed in it.
fn factory(js: &str) -> Result<String, BuildError> {
    let (mut imports, mut body, mut names) = (String::new(), String::new(), Vec::new());
    for line in js.lines() {
        if line.starts_with("import ") {
            imports.push_str(&line.replacen("import source ", "import ", 1));
            imports.push('\n');
            continue;
        }
        let Some(item) = line.strip_prefix("export ") else {
            body.push_str(line);
            body.push('\n');
            continue;
        };
        names.push(exported_name(item).ok_or_else(|| BuildError::Unexpected {
            what: "the glue that wasm-bindgen wrote has another shape than this version knows",
            reason: format!("`{line}`"),
        })?);
        body.push_str(item);
        body.push('\n');
    }
    let names = names.join(", ");
    Ok(format!(
        "{imports}\nexport function instantiate(__realgar) {{\nconst {{ queueMicrotask, FinalizationRegistry }} = __realgar;\n{body}\nreturn {{ wasm, {names} }};\n}}\n"
    ))
}

fn exported_name(item: &str) -> Option<&str> {
    let item = item.strip_prefix("async ").unwrap_or(item);
    let rest = item.strip_prefix("class ").or_else(|| item.strip_prefix("function "))?;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '$')?;
    (end > 0).then(|| &rest[..end])
}

/// Acts as the program `wasm-bindgen`, as far as `worker-build` uses it. So nobody has to compile or download that program,
/// and its version is the one that the crate needs.
///
/// # Errors
/// When an argument is one that this does not know, or when the module cannot be read.
pub fn run_as_wasm_bindgen(arguments: &[String]) -> Result<(), BuildError> {
    let bad = |reason: String| BuildError::Unexpected { what: "wasm-bindgen", reason };
    let mut bindgen = Bindgen::new();
    let (mut out_dir, mut rest) = (PathBuf::from("."), arguments.iter());
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().cloned().ok_or_else(|| bad(format!("`{argument}` needs a value")));
        match argument.as_str() {
            "--out-dir" => out_dir = value()?.into(),
            "--out-name" => drop(bindgen.out_name(&value()?)),
            "--target" => match value()?.as_str() {
                "module" => drop(bindgen.module(true).map_err(|error| bad(error.to_string()))?),
                other => return Err(bad(format!("the target `{other}` is not among those that `worker-build` uses"))),
            },
            "--no-typescript" => drop(bindgen.typescript(false)),
            "--experimental-reset-state-function" => drop(bindgen.reset_state_function(true)),
            "--force-enable-abort-handler" => drop(bindgen.force_enable_abort_handler(true)),
            "--keep-debug" => drop(bindgen.keep_debug(true)),
            "--debug" => drop(bindgen.debug(true)),
            option if option.starts_with('-') => return Err(bad(format!("the option `{option}` is not known"))),
            input => drop(bindgen.input_path(input)),
        }
    }
    let mut output = bindgen.generate_output().map_err(|error| bad(format!("{error:#}")))?;
    output.emit(&out_dir).map_err(|error| BuildError::Io {
        action: "write to",
        path: out_dir,
        source: std::io::Error::other(format!("{error:#}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glue_becomes_a_function_that_returns_what_it_exported() {
        let glue = "import source m from './x.wasm';\nlet wasm;\nexport class A {\n}\nexport function b() {\n}\n";
        assert_eq!(
            factory(glue).unwrap(),
            "import m from './x.wasm';\n\nexport function instantiate(__realgar) {\nconst { queueMicrotask, FinalizationRegistry } = __realgar;\nlet wasm;\nclass A {\n}\n\
             function b() {\n}\n\nreturn { wasm, A, b };\n}\n"
        );
    }

    #[test]
    fn glue_of_an_unknown_shape_fails_the_build() {
        assert!(factory("export { a as b };\n").is_err());
    }
}
