//! The side that Cloudflare's Agents SDK is: installed and bundled once, as its users do.

use realgar_bundle::node_tools;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const SOURCE: &str = "bench/javascript/agents";

/// The folder of the bundled Worker.
pub(crate) fn folder() -> Result<PathBuf, String> {
    let folder = Path::new("target/bench/agents");
    fs::create_dir_all(folder).map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
    for file in ["package.json", "package-lock.json", "index.js", "path.js", "email.js", "wrangler.toml"] {
        let from = Path::new(SOURCE).join(file);
        fs::copy(&from, folder.join(file)).map_err(|error| format!("cannot copy {}: {error}", from.display()))?;
    }
    // Not `npm ci`: it asks for packages of other platforms, which are no part of it.
    let install = ["install", "--ignore-scripts", "--no-audit", "--no-fund"];
    run(Command::new("npm").args(install).current_dir(folder))?;
    let esbuild = node_tools(&mut |_| {}).map_err(|error| error.to_string())?.esbuild;
    let bundle = [
        "index.js",
        "--bundle",
        "--minify",
        "--format=esm",
        "--platform=neutral",
        "--main-fields=module,main",
        "--conditions=workerd,worker,browser,import",
        "--alias:path=./path.js",
        "--alias:cloudflare:email=./email.js",
        "--external:cloudflare:*",
        "--external:node:*",
        "--outfile=out.js",
        "--log-level=error",
    ];
    run(Command::new(esbuild).args(bundle).current_dir(folder))?;
    Ok(folder.into())
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr)))
}
