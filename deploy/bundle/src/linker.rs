//! Links several modules from the same object files: one to describe, one to ship, and one for objects with a wasm instance each. A
//! release also gets a lean variant of each shipped module, without what most programs do not use of the base crates; its modules
//! are linked from object files in which one reference was changed.
//!
//! rustc passes each exported symbol to the linker as `--export NAME`, and the linker drops everything that no export reaches. So
//! the program in `linker/main.rs` takes the place of the linker. It links with the describe exports, into a file beside the
//! output, and then without them. No tool that works on a linked module can drop as much, because such a tool keeps every function
//! whose address is in the table.
//!
//! The program is compiled once, with the user's rustc. It has to be a program of its own because cargo wants the path of an
//! executable, and a test process that builds Workers has none to offer.

use crate::{
    error::{self, BuildError},
    lock,
};
use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::Command,
};

// The program is a module here only for its unit tests.
#[cfg(test)]
#[expect(dead_code, reason = "a program of its own")]
mod main;

const MAIN: &str = include_str!("linker/main.rs");
const OBJECT: &str = include_str!("linker/object.rs");
const DECLARATION: &str = "#[path = \"object.rs\"]\nmod object;\n";

/// The path at which the linker puts the module to describe that belongs to the module `ship`. cargo links in the folder `deps`,
/// and then puts the output one level up.
pub(crate) fn describe_module(ship: &Path) -> PathBuf {
    beside(ship, ".describe")
}

/// The path of the module with small stacks, for objects with a wasm instance each.
pub(crate) fn isolated_module(ship: &Path) -> PathBuf {
    beside(ship, ".isolated")
}

/// The path of the lean variant of `ship`, without what most programs do not use of the base crates. Only a release has it.
pub(crate) fn lean_module(ship: &Path) -> PathBuf {
    beside(ship, ".lean")
}

pub(crate) fn isolated_lean_module(ship: &Path) -> PathBuf {
    beside(ship, ".isolated.lean")
}

fn beside(ship: &Path, extension: &str) -> PathBuf {
    let mut name = ship.file_name().unwrap_or_default().to_os_string();
    name.push(extension);
    ship.with_file_name("deps").join(name)
}

/// The source of the linker program, as one file.
fn source() -> String {
    MAIN.replacen(DECLARATION, &format!("mod object {{\n{OBJECT}}}\n"), 1)
}

/// Compiles the linker program into `folder`, unless it is there. Its name has a hash of its source, so that cargo links again when
/// the source changes.
pub(crate) fn ensure(folder: &Path) -> Result<PathBuf, BuildError> {
    let text = source();
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let program = folder.join(format!("linker-{:016x}{}", hasher.finish(), std::env::consts::EXE_SUFFIX));
    let _lock = lock::hold(&program)?;
    if program.exists() {
        return Ok(program);
    }
    let (fresh, input) = (program.with_extension("fresh"), program.with_extension("rs"));
    fs::write(&input, text).map_err(error::io("write", &input))?;
    let output = Command::new("rustc")
        .args(["--edition=2024", "-Copt-level=1", "--crate-name=linker", "-o"])
        .args([&fresh, &input])
        .output()
        .map_err(error::io("run", "rustc"))?;
    if !output.status.success() {
        return Err(BuildError::ToolFailed {
            tool: "rustc".into(),
            status: output.status.to_string(),
            output: String::from_utf8_lossy(&output.stderr).into_owned(),
        });
    }
    fs::rename(&fresh, &program).map_err(error::io("rename", &fresh))?;
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_one_file() {
        assert!(MAIN.contains(DECLARATION) && source().contains(OBJECT) && !source().contains("\nmod object;"));
    }
}
