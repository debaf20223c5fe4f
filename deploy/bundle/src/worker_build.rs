//! `--builder worker-build`: Cloudflare's own builder, with our entry module over its output.
//!
//! worker-build gets our linker, so that there is a module to describe, and this program as its wasm-bindgen. Its bundle does not
//! give access to its glue, so recovery is weaker than with our own builder. After a trap the same glue drives the next instance,
//! and what is left of the dead one, such as the closure of a timer, may call into the new one.

use crate::{
    BuildError, BuildOptions, Builder, Cancel, Profile, Progress, Step, Tools,
    cargo::{self, Package, TARGET},
    contract::{self, Program},
    entry,
    error::io,
    linker, lock, node_tools,
    output::File,
    process, tools,
};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

const VERSION: &str = "0.8.7";

const CAPTURE: &str = include_str!("runtime/worker-build/capture.js");
const ADAPTER: &str = include_str!("runtime/worker-build/glue.js");

/// Builds the crate, and returns its description and its modules.
pub(crate) fn make(
    package: &Package,
    options: &BuildOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<(Program, Vec<File>), BuildError> {
    let built = run(package, options, progress)?;
    let folder = if options.profile == Profile::Dev { "debug" } else { "release" };
    let ship = target(package).join(TARGET).join(folder).join(format!("{}.wasm", package.library.replace('-', "_")));
    let program = contract::program(&linker::describe_module(&ship), package, options.cancel.as_ref(), progress)?;
    if let Some(object) = program.description.objects.iter().find(|object| object.isolated) {
        let class = &object.class;
        return Err(BuildError::BadProgram {
            message: format!(
                "`{class}` has `isolation = \"object\"`, and a bundle of worker-build has one wasm instance; build without `--builder worker-build`"
            ),
        });
    }
    let index = read(&built.join("index.js"))?;
    let mut modules = vec![
        File::text("capture.js", CAPTURE.into()),
        File::text(entry::GLUE, ADAPTER.into()),
        File::text("build/index.js", String::from_utf8_lossy(&index).into_owned()),
        File::wasm("build/index_bg.wasm", read(&built.join("index_bg.wasm"))?),
    ];
    modules.extend(entry::modules(&program, None));
    Ok((program, modules))
}

/// Runs stock worker-build on the crate in `path`, which need not be a Realgar one. Returns the folder of its output.
/// `wasm_bindgen` is as in [`BuildOptions`].
///
/// # Errors
/// When a tool is missing and cannot be installed, or fails.
pub fn worker_build(
    path: &Path,
    profile: Profile,
    wasm_bindgen: Option<PathBuf>,
    progress: &mut dyn FnMut(Progress),
) -> Result<PathBuf, BuildError> {
    let package = cargo::find(path)?;
    cargo::check_toolchain(progress)?;
    let (builder, cancel) = (Builder::WorkerBuild, None);
    let options = BuildOptions { path: path.into(), profile, builder, color: false, wasm_bindgen, cancel };
    run(&package, &options, progress)
}

fn target(package: &Package) -> PathBuf {
    package.own_target().join("worker-build")
}

fn run(package: &Package, options: &BuildOptions, progress: &mut dyn FnMut(Progress)) -> Result<PathBuf, BuildError> {
    let (profile, cancel) = (options.profile, options.cancel.as_ref());
    let tools = node_tools(progress)?;
    let program = program(cancel, progress)?;
    let target = target(package);
    let built = target.join("build").join(&package.name);
    progress(Progress::Began(Step::WorkerBuild { package: package.name.clone() }));
    let mut command = Command::new(program);
    command
        .current_dir(&package.folder)
        .arg(if profile == Profile::Dev { "--dev" } else { "--release" })
        .arg("--out-dir")
        .arg(&built)
        .env("CARGO_TARGET_DIR", &target)
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker::ensure(&target)?)
        .env("WASM_BINDGEN_BIN", own_wasm_bindgen(options.wasm_bindgen.as_deref(), &target)?)
        .env("WASM_OPT_BIN", wasm_opt(&tools))
        .env("ESBUILD_BIN", &tools.esbuild);
    for (name, value) in cargo::profile_defaults(package, profile) {
        let profile = if profile == Profile::Dev { "DEV" } else { "RELEASE" };
        let name = format!("CARGO_PROFILE_{profile}_{}", name.replace('-', "_").to_uppercase());
        command.env(name, value.trim_matches('"'));
    }
    process::run(&mut command, "worker-build", cancel, progress)?;
    Ok(built)
}

fn read(path: &Path) -> Result<Vec<u8>, BuildError> {
    fs::read(path).map_err(io("read", path))
}

/// Finds worker-build, and installs it where it is missing.
fn program(cancel: Option<&Cancel>, progress: &mut dyn FnMut(Progress)) -> Result<PathBuf, BuildError> {
    let root = tools::cache_folder()?.join(format!("worker-build-{VERSION}"));
    let program = root.join(format!("bin/worker-build{}", env::consts::EXE_SUFFIX));
    if !program.exists() {
        progress(Progress::Began(Step::InstallWorkerBuild { version: VERSION }));
        let mut command = Command::new("cargo");
        // A debug build compiles in half the time, and the tools that worker-build runs do the work.
        command.args(["install", "worker-build", "--version", VERSION, "--debug", "--locked", "--root"]).arg(&root);
        process::run(&mut command, "cargo install worker-build", cancel, progress)?;
    }
    Ok(program)
}

/// A program that worker-build can run as wasm-bindgen. Our program acts as wasm-bindgen if it is run under that name, so it gets a
/// link of that name.
fn own_wasm_bindgen(own: Option<&Path>, folder: &Path) -> Result<PathBuf, BuildError> {
    if let Some(program) = env::var_os("WASM_BINDGEN_BIN").filter(|value| !value.is_empty()) {
        return Ok(program.into());
    }
    let Some(own) = own else {
        return Err(BuildError::Tool {
            tool: "wasm-bindgen",
            problem: "is needed by worker-build".into(),
            remedy: "set `WASM_BINDGEN_BIN`, or build with the program `realgar`".into(),
        });
    };
    let link = folder.join(format!("wasm-bindgen{}", env::consts::EXE_SUFFIX));
    // The link is replaced in one step, because another build may be running the old one.
    let _lock = lock::hold(&link)?;
    let fresh = link.with_extension("fresh");
    let _ = fs::remove_file(&fresh);
    fs::hard_link(own, &fresh).or_else(|_| fs::copy(own, &fresh).map(drop)).map_err(io("create", &fresh))?;
    fs::rename(&fresh, &link).map_err(io("rename", &fresh))?;
    Ok(link)
}

fn wasm_opt(tools: &Tools) -> PathBuf {
    tools.wasm_opt.clone().unwrap_or_else(|| tools.modules.join("binaryen/bin/wasm-opt"))
}
