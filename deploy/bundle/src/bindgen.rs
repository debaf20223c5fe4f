//! Runs wasm-bindgen, which is linked as a library.

use crate::{BuildError, Profile, glue, output::File};
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};
use wasm_bindgen_cli_support::Bindgen;

/// The modules that wasm-bindgen makes of a linked module.
pub(crate) struct Glue {
    pub(crate) js: String,
    pub(crate) wasm: Vec<u8>,
    /// Inline JavaScript of dependencies.
    pub(crate) snippets: Vec<File>,
    /// Of a release: the module with the names of its functions.
    pub(crate) named: Option<Vec<u8>>,
}

/// Generates the glue of the first of the linked modules that will do. A lean module will not do if the program uses what it lacks.
pub(crate) fn generate(modules: &[PathBuf], profile: Profile) -> Result<Glue, BuildError> {
    for module in modules.iter().filter(|module| module.exists()) {
        if let Some(glue) = generate_one(module, profile)? {
            return Ok(glue);
        }
    }
    Err(BuildError::Unexpected { what: "the linker wrote no module", reason: format!("{modules:?}") })
}

fn generate_one(path: &Path, profile: Profile) -> Result<Option<Glue>, BuildError> {
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
    // A release keeps the names of functions until `optimize` has set aside the file that has them.
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
    let exports: HashSet<String> = output.wasm_mut().exports.iter().map(|export| export.name.clone()).collect();
    let Some(js) = glue::without_dead_classes(output.js(), |name| exports.contains(name)) else { return Ok(None) };
    let js = glue::factory(&js)?;
    let wasm = output.wasm_mut().emit_wasm();
    Ok(Some(Glue { js, wasm, snippets, named: None }))
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
