//! Makes the modules of a release smaller: the wasm with `wasm-opt`, from the npm package `binaryen`, the JavaScript with
//! `esbuild`.

use crate::{BuildError, Tools, bindgen::Glue, error::io, glue, output::File};
use realgar_wire::ModuleKind;
use std::{fs, path::Path, process::Command};

/// The wasm features that modules of rustc and wasm-bindgen use. `--all-features` would emit code that V8 does not take.
const FEATURES: [&str; 7] = [
    "mutable-globals",
    "sign-ext",
    "nontrapping-float-to-int",
    "bulk-memory",
    "multivalue",
    "reference-types",
    "exception-handling",
];

/// Optimises the module, and gives its imports and exports short names. `folder` is the bundle's.
pub(crate) fn run(tools: &Tools, glue: &mut Glue, folder: &Path) -> Result<(), BuildError> {
    let (input, named) = (folder.join("optimize.in.wasm"), folder.join("optimize.out.wasm"));
    fs::write(&input, &glue.wasm).map_err(io("write", &input))?;
    let mut names = None;
    if glue::has_all_names(&glue.js) {
        let printed = wasm_opt(tools, &input, &named, &["--minify-imports-and-exports-and-modules"])?;
        // A `wasm-opt` of another version, which the environment may name, may print something else. The names then stay long.
        names = serde_json::from_slice(&printed).ok();
    }
    match names {
        Some(names) => glue.js = glue::shortened(&glue.js, &names)?,
        None => drop(wasm_opt(tools, &input, &named, &[])?),
    }
    let optimised = fs::read(&named).map_err(io("read", &named))?;
    for path in [&input, &named] {
        fs::remove_file(path).map_err(io("remove", path))?;
    }
    glue.wasm = without_custom_sections(&optimised).ok_or_else(|| BuildError::Unexpected {
        what: "wasm-opt wrote no wasm module",
        reason: named.display().to_string(),
    })?;
    glue.named = Some(optimised);
    Ok(())
}

/// Runs `wasm-opt`, and returns what it printed.
fn wasm_opt(tools: &Tools, input: &Path, output: &Path, more: &[&str]) -> Result<Vec<u8>, BuildError> {
    let mut command = match &tools.wasm_opt {
        Some(program) => Command::new(program),
        None => {
            let mut node = Command::new("node");
            node.arg(tools.modules.join("binaryen/bin/wasm-opt"));
            node
        }
    };
    // Nothing of a Rust program lies in the lowest kilobyte but the end of the stack, as rustc lays the memory out. So an address is
    // never the wrapped sum of a pointer and an offset, and the sum can be left to the load: 0.7 % of a bundle.
    command
        .args(["-O", "--low-memory-unused", "--debuginfo"])
        .args(FEATURES.map(|feature| format!("--enable-{feature}")))
        .args(more);
    let ended = command.arg(input).arg("-o").arg(output).output().map_err(io("run", "wasm-opt"))?;
    if ended.status.success() {
        return Ok(ended.stdout);
    }
    Err(BuildError::ToolFailed {
        tool: "wasm-opt".into(),
        status: ended.status.to_string(),
        output: String::from_utf8_lossy(&ended.stderr).into_owned(),
    })
}

/// Makes one small module, `main`, of the JavaScript among `modules`. `folder` is the bundle's.
pub(crate) fn bundle(tools: &Tools, main: &str, modules: Vec<File>, folder: &Path) -> Result<Vec<File>, BuildError> {
    let sources = folder.join("javascript.in");
    let (javascript, mut kept): (Vec<_>, Vec<_>) =
        modules.into_iter().partition(|module| module.kind == ModuleKind::EsModule);
    for module in &javascript {
        let path = sources.join(&module.name);
        let parent = path.parent().unwrap_or(&sources);
        fs::create_dir_all(parent).map_err(io("create", parent))?;
        fs::write(&path, &module.content).map_err(io("write", &path))?;
    }
    let mut command = Command::new(&tools.esbuild);
    command.arg(sources.join(main)).args(["--bundle", "--minify", "--format=esm", "--target=es2024"]);
    command.args(["--external:*.wasm", "--external:cloudflare:*", "--external:node:*"]);
    let output = command.output().map_err(io("run", &tools.esbuild))?;
    if !output.status.success() {
        return Err(BuildError::ToolFailed {
            tool: "esbuild".into(),
            status: output.status.to_string(),
            output: String::from_utf8_lossy(&output.stderr).into_owned(),
        });
    }
    fs::remove_dir_all(&sources).map_err(io("remove", &sources))?;
    kept.push(File { name: main.into(), kind: ModuleKind::EsModule, content: output.stdout });
    Ok(kept)
}

/// Drops the custom sections: the names alone are a fifth of a module's gzip size. `None` if it is not a module.
pub(crate) fn without_custom_sections(module: &[u8]) -> Option<Vec<u8>> {
    const HEADER: usize = 8;
    const CUSTOM: u8 = 0;
    let mut kept = module.get(..HEADER)?.to_vec();
    let mut at = HEADER;
    while at < module.len() {
        let (length, start) = leb128(module, at + 1)?;
        let end = start.checked_add(length)?;
        let section = module.get(at..end)?;
        if section[0] != CUSTOM {
            kept.extend_from_slice(section);
        }
        at = end;
    }
    Some(kept)
}

/// An unsigned number in LEB128, and the position after it.
fn leb128(bytes: &[u8], mut at: usize) -> Option<(usize, usize)> {
    let mut value = 0;
    for shift in (0..35).step_by(7) {
        let byte = *bytes.get(at)?;
        at += 1;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value, at));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_custom_sections_go() {
        let header = [0, b'a', b's', b'm', 1, 0, 0, 0];
        let custom = [0, 3, 1, b'n', 0xff];
        let types = [1, 1, 0];
        let module = [&header[..], &custom, &types, &custom].concat();
        assert_eq!(without_custom_sections(&module).unwrap(), [&header[..], &types].concat());
        assert_eq!(without_custom_sections(&module[..module.len() - 1]), None);
    }
}
