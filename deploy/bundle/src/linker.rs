//! Linking more than once from the same objects: one module to describe, one to ship; one for objects with an instance each; and, in a
//! release, each of those that ship without what most programs do not use of the base crates, from objects with one reference changed.
//!
//! rustc passes each exported symbol to the linker as `--export NAME`, and the linker drops what nothing exported reaches.
//! So the program in `linker/main.rs` stands in for the linker: it links with the describe exports, beside the output,
//! and without them. No tool that works on a linked module can drop as much: it keeps every function whose address is
//! in the table.
//!
//! It is a program of its own, compiled once with the user's rustc, because cargo wants the path of an executable, and a
//! test process that builds Workers has none to offer.

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

// Compiled here for its unit tests only.
#[cfg(test)]
#[expect(dead_code, reason = "a program of its own")]
mod main;

const MAIN: &str = include_str!("linker/main.rs");
const OBJECT: &str = include_str!("linker/object.rs");
const DECLARATION: &str = "#[path = \"object.rs\"]\nmod object;\n";

/// Where the linker puts the module to describe that belongs to the module `ship`. cargo links in the folder `deps`, and
/// then makes the file one level up.
pub(crate) fn describe_module(ship: &Path) -> PathBuf {
    beside(ship, ".describe")
}

/// Where it puts the one with small stacks.
pub(crate) fn isolated_module(ship: &Path) -> PathBuf {
    beside(ship, ".isolated")
}

/// Of a release, where it puts these two without what most programs do not use of the base crates.
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

/// The program as one file.
fn source() -> String {
    MAIN.replacen(DECLARATION, &format!("mod object {{\n{OBJECT}}}\n"), 1)
}

/// Compiles the linker into `folder`, unless it is there. Its name says which one it is: cargo links again with another one.
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
