//! Smaller modules for a release: `wasm-opt`, from the npm package `binaryen`, and `esbuild` for the JavaScript.

use crate::{BuildError, Tools, bindgen::Glue, error::io, glue, output::File};
use realgar_wire::ModuleKind;
use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

/// What the modules of rustc and wasm-bindgen use. Not `--all-features`, which emits what V8 does not take.
const FEATURES: [&str; 7] = [
    "mutable-globals",
    "sign-ext",
    "nontrapping-float-to-int",
    "bulk-memory",
    "multivalue",
    "reference-types",
    "exception-handling",
];

/// Where the module with the names of its functions goes, relative to the bundle: for reading a trap's stack, not for upload.
pub(crate) const NAMED: &str = "symbols/worker.wasm";

/// Optimises the module, and gives its imports and exports short names. `folder` is the bundle's.
pub(crate) fn run(tools: &Tools, glue: &mut Glue, folder: &Path) -> Result<(), BuildError> {
    let named = folder.join(NAMED);
    let input = named.with_extension("in.wasm");
    if let Some(parent) = named.parent() {
        fs::create_dir_all(parent).map_err(io("create", parent))?;
    }
    fs::write(&input, &glue.wasm).map_err(io("write", &input))?;
    let mut command = match &tools.wasm_opt {
        Some(program) => Command::new(program),
        None => {
            let mut node = Command::new("node");
            node.arg(tools.modules.join("binaryen/bin/wasm-opt"));
            node
        }
    };
    command.args(["-O", "--debuginfo"]).args(FEATURES.map(|feature| format!("--enable-{feature}")));
    let shorten = glue::is_all(&glue.js);
    if shorten {
        command.arg("--minify-imports-and-exports-and-modules");
    }
    let output = command.arg(&input).arg("-o").arg(&named).output().map_err(io("run", "wasm-opt"))?;
    if !output.status.success() {
        return Err(BuildError::ToolFailed {
            tool: "wasm-opt".into(),
            status: output.status.to_string(),
            output: String::from_utf8_lossy(&output.stderr).into_owned(),
        });
    }
    fs::remove_file(&input).map_err(io("remove", &input))?;
    if shorten {
        let names = serde_json::from_slice(&output.stdout).map_err(|error| BuildError::Unexpected {
            what: "wasm-opt printed the short names in another form than version 132, which `WASM_OPT_BIN` may not be",
            reason: error.to_string(),
        })?;
        glue.js = glue::shortened(&glue.js, &names)?;
    }
    let optimised = fs::read(&named).map_err(io("read", &named))?;
    glue.wasm = without_custom_sections(&optimised).ok_or_else(|| BuildError::Unexpected {
        what: "wasm-opt wrote no wasm module",
        reason: named.display().to_string(),
    })?;
    Ok(())
}

/// Minifies the JavaScript among `modules`. What they import and export keeps its names.
pub(crate) fn minify(tools: &Tools, modules: &mut [File]) -> Result<(), BuildError> {
    for module in modules.iter_mut().filter(|module| module.kind == ModuleKind::EsModule) {
        let mut command = Command::new(&tools.esbuild);
        command.args(["--minify", "--format=esm", "--target=es2024"]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(io("run", &tools.esbuild))?;
        // esbuild reads to the end before it writes.
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(&module.content).map_err(io("write to", &tools.esbuild))?;
        }
        let output = child.wait_with_output().map_err(io("wait for", &tools.esbuild))?;
        if !output.status.success() {
            return Err(BuildError::ToolFailed {
                tool: "esbuild".into(),
                status: output.status.to_string(),
                output: String::from_utf8_lossy(&output.stderr).into_owned(),
            });
        }
        module.content = output.stdout;
    }
    Ok(())
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

/// An unsigned number and the place after it.
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
