//! Describe mode: runs Phase 1 of a module in Node, and reads the description that the program gives of itself.

use crate::{BuildError, Cancel, process, tools};
use realgar_wire::{Description, Interface};
use serde::{Deserialize, de::DeserializeOwned};
use std::path::Path;

const SCRIPT: &str = include_str!("describe.js");

/// How long a program may take to describe itself, in seconds, once its module is compiled. It takes some milliseconds.
const LIMIT_S: u32 = 5;

/// The description that a module gives of itself.
pub(crate) struct Described {
    pub(crate) description: Description,
    /// The interfaces of all crates that are linked in, whether or not their classes are hosted.
    pub(crate) interfaces: Vec<Interface>,
    /// Whether it may use `println!` or `eprintln!`, which print nothing in a Worker.
    pub(crate) prints: bool,
}

/// The one line of JSON that `describe.js` prints: the answers of the module, or why there are none.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Told {
    /// The module has no description.
    Nothing,
    Answers {
        description: String,
        interfaces: Vec<String>,
        prints: bool,
    },
    CalledImport(String),
    Panicked(String),
    TimedOut,
    Unreadable(String),
}

/// Reads the description of the module at `path`, as cargo linked it, before wasm-bindgen. `None` if the module has no description.
pub(crate) fn run(path: &Path, cancel: Option<&Cancel>) -> Result<Option<Described>, BuildError> {
    if !path.exists() {
        return Ok(None);
    }
    let mut node = tools::node()?;
    node.args(["-e", SCRIPT]).arg(path).arg(LIMIT_S.to_string());
    let mut said = String::new();
    let printed = process::run(&mut node, "node", cancel, &mut |progress| {
        if let crate::Progress::Output(line) = progress {
            said.push_str(&line);
        }
    });
    let printed = printed.map_err(|error| match error {
        BuildError::ToolFailed { .. } if !said.is_empty() => unexpected(said),
        error => error,
    })?;
    let told =
        serde_json::from_slice(&printed).map_err(|error| unexpected(format!("Node printed no answer ({error})")))?;
    let (description, interfaces, prints) = match told {
        Told::Nothing => return Ok(None),
        Told::Answers { description, interfaces, prints } => (description, interfaces, prints),
        Told::CalledImport(import) => return Err(BuildError::InitCallsJavaScript { import: function_name(&import) }),
        Told::Panicked(message) => return Err(BuildError::InitPanicked { message }),
        Told::TimedOut => return Err(BuildError::InitTooLong { seconds: LIMIT_S }),
        Told::Unreadable(reason) => return Err(unexpected(reason)),
    };
    let outcome: Result<Description, String> = read(&description)?;
    let description = outcome.map_err(|message| BuildError::BadProgram { message })?;
    description.check().map_err(BuildError::BadDeclaration)?;
    let interfaces = interfaces.iter().map(|json| read(json)).collect::<Result<_, _>>()?;
    Ok(Some(Described { description, interfaces, prints }))
}

fn read<T: DeserializeOwned>(json: &str) -> Result<T, BuildError> {
    serde_json::from_str(json).map_err(|error| unexpected(format!("its description is of another version ({error})")))
}

/// The name of an import in the source. Before it has run, wasm-bindgen calls the import `now` `__wbg_now_2c3f0a…`.
fn function_name(symbol: &str) -> String {
    let Some(name) = symbol.strip_prefix("__wbg_") else { return symbol.into() };
    match name.rsplit_once('_') {
        Some((name, hash)) if hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => name.into(),
        _ => name.into(),
    }
}

fn unexpected(reason: String) -> BuildError {
    BuildError::Unexpected { what: "the linked module cannot be described", reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_are_named_as_the_source_names_them() {
        assert_eq!(function_name("__wbg_now_a56fd12eb0b3f2ac"), "now");
        assert_eq!(function_name("__wbg_get_random_values_a56fd12eb0b3f2ac"), "get_random_values");
        assert_eq!(function_name("__wbindgen_throw"), "__wbindgen_throw");
    }
}
