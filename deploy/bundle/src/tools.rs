//! The Node packages that a build or a run needs. Their versions are pinned in the `package.json` at the top of the repository, and
//! they are installed once per machine into the user's cache folder. `npm/` has links to both files, so that the package of this crate has them. Nothing is installed globally, and nothing is downloaded
//! except from the npm registry.

use crate::{BuildError, Progress, Step, error::io, lock};
use realgar_wire::fingerprint;
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

const PACKAGE: &str = include_str!("../npm/package.json");
pub(crate) const LOCK: &str = include_str!("../npm/package-lock.json");

/// The version of workerd, for the platforms whose packages the lock file does not list.
const WORKERD_VERSION: &str = "1.20261117.1";

/// The oldest Node that the pinned packages run on.
const NODE_MAJOR_MIN: u32 = 18;

/// Where the tools are.
#[derive(Clone, Debug)]
pub struct Tools {
    /// The folder `node_modules`.
    pub modules: PathBuf,
    /// The workerd binary.
    pub workerd: PathBuf,
    /// `WASM_OPT_BIN`, if it is set.
    pub wasm_opt: Option<PathBuf>,
    /// The esbuild binary.
    pub esbuild: PathBuf,
}

/// Finds the Node tools, and installs them where they are missing.
///
/// # Errors
/// When there is no Node or it is too old, when npm cannot install, or when a tool named in the environment does not exist.
pub fn node_tools(progress: &mut dyn FnMut(Progress)) -> Result<Tools, BuildError> {
    let folder = cache_folder()?.join(format!("tools-{:016x}", fingerprint(LOCK)));
    let complete = folder.join("complete");
    if !complete.exists() {
        check_node()?;
        progress(Progress::Began(Step::InstallTools));
        let _lock = lock::hold(&folder)?;
        // Another build may have installed them while this one waited for the lock.
        if !complete.exists() {
            install(&folder)?;
        }
    }
    let modules = folder.join("node_modules");
    let platform = platform()?;
    Ok(Tools {
        workerd: match from_environment("WORKERD_BIN")? {
            Some(path) => path,
            None => modules.join(format!("@cloudflare/workerd-{platform}/bin/workerd{}", env::consts::EXE_SUFFIX)),
        },
        wasm_opt: from_environment("WASM_OPT_BIN")?,
        esbuild: match from_environment("ESBUILD_BIN")? {
            Some(path) => path,
            None => modules.join(esbuild_path()),
        },
        modules,
    })
}

/// Installs the pinned packages into `folder`, which then holds the file `complete`. They are installed in a folder beside it,
/// which is then moved: if this process is killed, its npm goes on, in a folder that nobody else uses.
fn install(folder: &Path) -> Result<(), BuildError> {
    let stage = folder.with_extension(format!("{}.tmp", std::process::id()));
    for leftover in [&stage, folder] {
        if leftover.exists() {
            fs::remove_dir_all(leftover).map_err(io("empty", leftover))?;
        }
    }
    fs::create_dir_all(&stage).map_err(io("create", &stage))?;
    let outcome = install_packages(&stage).and_then(|()| fs::rename(&stage, folder).map_err(io("move", &stage)));
    if outcome.is_err() {
        let _ = fs::remove_dir_all(&stage);
    }
    outcome
}

fn install_packages(folder: &Path) -> Result<(), BuildError> {
    for (name, text) in [("package.json", PACKAGE), ("package-lock.json", LOCK)] {
        let path = folder.join(name);
        fs::write(&path, text).map_err(io("write", &path))?;
    }
    npm(folder, &["ci"])?;
    let workerd = format!("@cloudflare/workerd-{}", platform()?);
    if !PACKAGE.contains(&format!("\"{workerd}\"")) {
        npm(folder, &["install", "--no-save", &format!("{workerd}@{WORKERD_VERSION}")])?;
    }
    let complete = folder.join("complete");
    fs::write(&complete, "").map_err(io("write", &complete))
}

fn npm(folder: &Path, arguments: &[&str]) -> Result<(), BuildError> {
    let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
    let output = Command::new(npm)
        .args(arguments)
        // The install scripts of the packages only locate binaries, and we know the paths of these already.
        .args(["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
        .current_dir(folder)
        .output()
        .map_err(|error| BuildError::Tool {
            tool: "npm",
            problem: format!("cannot be run ({error})"),
            remedy: "install Node.js, which comes with it".into(),
        })?;
    if output.status.success() {
        return Ok(());
    }
    Err(BuildError::Tool {
        tool: "npm",
        problem: format!("could not install the tools: {}", String::from_utf8_lossy(&output.stderr).trim()),
        remedy: "check the network and the npm registry that `npm config get registry` names".into(),
    })
}

/// Node, whose version is checked once.
pub(crate) fn node() -> Result<Command, BuildError> {
    static CHECKED: OnceLock<()> = OnceLock::new();
    if CHECKED.get().is_none() {
        check_node()?;
        CHECKED.get_or_init(|| ());
    }
    Ok(Command::new("node"))
}

fn check_node() -> Result<(), BuildError> {
    let missing = |problem: String| BuildError::Tool {
        tool: "Node.js",
        problem,
        remedy: format!("install version {NODE_MAJOR_MIN} or newer"),
    };
    let output =
        Command::new("node").arg("--version").output().map_err(|error| missing(format!("cannot be run ({error})")))?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_string();
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(major) if major >= NODE_MAJOR_MIN => Ok(()),
        _ => Err(missing(format!("is of version `{version}`"))),
    }
}

/// The path of a tool, from a variable of the environment. A path that does not exist is an error: whoever sets the variable wants
/// that file and no other.
fn from_environment(name: &'static str) -> Result<Option<PathBuf>, BuildError> {
    let Some(value) = env::var_os(name).filter(|value| !value.is_empty()) else { return Ok(None) };
    let path = PathBuf::from(value);
    if path.exists() {
        // Tools run in other folders too.
        return std::path::absolute(&path).map(Some).map_err(io("find", &path));
    }
    Err(BuildError::Tool {
        tool: name,
        problem: format!("names `{}`, which does not exist", path.display()),
        remedy: "correct the variable, or unset it".into(),
    })
}

/// `REALGAR_CACHE`, or the user's cache folder.
pub(crate) fn cache_folder() -> Result<PathBuf, BuildError> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("REALGAR_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|folder| folder.join("realgar")))
        .or_else(|| set("HOME").map(|folder| folder.join(".cache/realgar")))
        .or_else(|| set("LOCALAPPDATA").map(|folder| folder.join("realgar")))
        .ok_or_else(|| BuildError::Tool {
            tool: "the cache folder",
            problem: "is not known: neither `HOME` nor `XDG_CACHE_HOME` is set".into(),
            remedy: "set `REALGAR_CACHE` to a folder".into(),
        })
}

/// The name of workerd's npm package for this machine.
fn platform() -> Result<&'static str, BuildError> {
    match (env::consts::OS, env::consts::ARCH) {
        ("linux", "x86_64") => Ok("linux-64"),
        ("linux", "aarch64") => Ok("linux-arm64"),
        ("macos", "x86_64") => Ok("darwin-64"),
        ("macos", "aarch64") => Ok("darwin-arm64"),
        ("windows", "x86_64") => Ok("windows-64"),
        (os, arch) => Err(BuildError::Tool {
            tool: "workerd",
            problem: format!("is not made for {os} on {arch}"),
            remedy: "build on Linux, macOS or Windows, on x86-64 or (except Windows) arm64".into(),
        }),
    }
}

/// The path of the native esbuild in its npm package. No install script is needed to find it.
fn esbuild_path() -> String {
    let os = match env::consts::OS {
        "macos" => "darwin",
        "windows" => "win32",
        other => other,
    };
    let arch = if env::consts::ARCH == "aarch64" { "arm64" } else { "x64" };
    match os {
        "win32" => format!("@esbuild/{os}-{arch}/esbuild.exe"),
        _ => format!("@esbuild/{os}-{arch}/bin/esbuild"),
    }
}
