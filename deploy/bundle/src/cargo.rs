//! cargo: which crate it is, whether the toolchain can build it, and the two linked modules.

use crate::{
    BuildError, BuildOptions, Profile, Progress,
    error::io,
    linker,
};
use cargo_metadata::{CargoOpt, Message, Metadata, MetadataCommand, Package as CargoPackage};
use std::{
    collections::HashSet,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const TARGET: &str = "wasm32-unknown-unknown";

/// The version of wasm-bindgen whose library is linked into this program. Its description format must be the crate's.
const WASM_BINDGEN_VERSION: &str = "0.2.130";

/// A Worker crate.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    /// cargo's target folder of the workspace.
    pub(crate) target: PathBuf,
    /// The folders of the crate and of its local dependencies.
    local: Vec<PathBuf>,
    /// The keys that the workspace sets in `[profile.release]` itself.
    release_keys: HashSet<String>,
}

/// The two modules that cargo linked.
pub(crate) struct Linked {
    pub(crate) describe: PathBuf,
    pub(crate) ship: PathBuf,
}

impl Package {
    pub(crate) fn output_folder(&self, profile: Profile) -> PathBuf {
        self.own_target().join("workers").join(&self.name).join(profile.name())
    }

    /// The target folder of wasm builds. cargo rebuilds everything when the linker changes, so it is not the one of host
    /// builds.
    pub(crate) fn own_target(&self) -> PathBuf {
        self.target.join("realgar")
    }

    pub(crate) fn source_folders(&self) -> Vec<PathBuf> {
        self.local.clone()
    }
}

/// Finds the Worker crate in `path`.
pub(crate) fn find(path: &Path) -> Result<Package, BuildError> {
    let no_worker = |reason: String| BuildError::NoWorker { path: path.into(), reason };
    let folder = path.canonicalize().map_err(|error| no_worker(error.to_string()))?;
    let manifest = folder.join("Cargo.toml");
    if !manifest.exists() {
        return Err(no_worker("there is no `Cargo.toml`; name the folder of a Worker crate".into()));
    }
    let metadata = MetadataCommand::new()
        .manifest_path(&manifest)
        .features(CargoOpt::SomeFeatures(Vec::new()))
        .other_options(["--filter-platform".into(), TARGET.into()])
        .exec()
        .map_err(|error| match error {
            cargo_metadata::Error::CargoMetadata { stderr } => BuildError::ToolFailed {
                tool: "cargo metadata".into(),
                status: "failure".into(),
                output: stderr,
            },
            other => no_worker(other.to_string()),
        })?;
    let package = metadata
        .packages
        .iter()
        .find(|package| package.manifest_path.as_std_path().canonicalize().is_ok_and(|path| path == manifest))
        .ok_or_else(|| no_worker("its `Cargo.toml` holds a workspace and no package; name a member".into()))?;
    check_crate(package)?;
    check_versions(&metadata)?;
    Ok(Package {
        name: package.name.to_string(),
        folder,
        target: metadata.target_directory.clone().into_std_path_buf(),
        local: local_folders(&metadata, package),
        release_keys: release_keys(metadata.workspace_root.as_std_path())?,
    })
}

fn check_crate(package: &CargoPackage) -> Result<(), BuildError> {
    let cdylib = package.targets.iter().any(|target| target.crate_types.iter().any(|kind| kind.to_string() == "cdylib"));
    if cdylib {
        return Ok(());
    }
    Err(BuildError::NotAWorkerCrate {
        package: package.name.to_string(),
        reason: "add `[lib] crate-type = [\"cdylib\"]` to its `Cargo.toml`".into(),
    })
}

fn check_versions(metadata: &Metadata) -> Result<(), BuildError> {
    match metadata.packages.iter().find(|package| package.name.as_str() == "wasm-bindgen") {
        Some(package) if package.version.to_string() != WASM_BINDGEN_VERSION => Err(BuildError::Version {
            krate: "wasm-bindgen",
            found: package.version.to_string(),
            needed: WASM_BINDGEN_VERSION.into(),
        }),
        _ => Ok(()),
    }
}

/// The package's folder and those of its dependencies that are not from a registry.
fn local_folders(metadata: &Metadata, package: &CargoPackage) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    let (mut open, mut seen) = (vec![package.id.clone()], HashSet::new());
    while let Some(id) = open.pop() {
        if !seen.insert(id.clone()) {
            continue;
        }
        if let Some(found) = metadata.packages.iter().find(|other| other.id == id)
            && found.source.is_none()
            && let Some(folder) = found.manifest_path.parent()
        {
            folders.push(folder.as_std_path().to_path_buf());
        }
        let node = metadata.resolve.as_ref().and_then(|resolve| resolve.nodes.iter().find(|node| node.id == id));
        open.extend(node.into_iter().flat_map(|node| node.dependencies.clone()));
    }
    folders
}

fn release_keys(root: &Path) -> Result<HashSet<String>, BuildError> {
    let path = root.join("Cargo.toml");
    let text = std::fs::read_to_string(&path).map_err(io("read", &path))?;
    let document: toml::Table = text.parse().map_err(|error: toml::de::Error| BuildError::Configuration {
        path,
        reason: error.to_string(),
    })?;
    let release = document.get("profile").and_then(|profile| profile.get("release")).and_then(toml::Value::as_table);
    Ok(release.map(|table| table.keys().cloned().collect()).unwrap_or_default())
}

/// Checks that rustc can build for the target, and installs the target where rustup can.
pub(crate) fn check_toolchain(progress: &mut dyn FnMut(Progress)) -> Result<(), BuildError> {
    let missing = |problem: String| BuildError::Tool {
        tool: "rustc",
        problem,
        remedy: format!("install Rust with rustup, and run `rustup target add {TARGET}`"),
    };
    let output = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .map_err(|error| missing(format!("cannot be run ({error})")))?;
    let library = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if output.status.success() && library.exists() {
        return Ok(());
    }
    progress(Progress::Step(format!("Installing the Rust target {TARGET}")));
    let installed = Command::new("rustup").args(["target", "add", TARGET]).output();
    match installed {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(missing(format!(
            "cannot build for {TARGET}, and rustup could not add it ({})",
            String::from_utf8_lossy(&output.stderr).trim()
        ))),
        Err(_) => Err(missing(format!("cannot build for {TARGET}, and there is no rustup to add it"))),
    }
}

/// Builds the crate and links it twice.
pub(crate) fn link(
    package: &Package,
    options: &BuildOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Linked, BuildError> {
    let target = package.own_target();
    let linker = linker::ensure(&target)?;
    progress(Progress::Step(format!("Compiling `{}` for {TARGET}", package.name)));
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .current_dir(&package.folder)
        .args(["build", "--lib", "--target", TARGET, "--message-format=json-render-diagnostics"])
        .arg("--target-dir")
        .arg(&target)
        .args(["--color", if options.color { "always" } else { "never" }])
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", &linker)
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    for (name, value) in profile_defaults(package, options.profile) {
        command.args(["--config", &format!("profile.{}.{name}={value}", cargo_profile(options.profile))]);
    }
    if options.profile == Profile::Release {
        command.arg("--release");
    }
    let ship = run(&mut command, package, progress)?;
    let describe = linker::describe_module(&ship);
    if !describe.exists() {
        return Err(BuildError::NoExport { package: package.name.clone() });
    }
    Ok(Linked { describe, ship })
}

fn cargo_profile(profile: Profile) -> &'static str {
    match profile {
        Profile::Dev => "dev",
        Profile::Release => "release",
    }
}

/// What a Worker wants of a profile, except for what the workspace decides itself.
fn profile_defaults(package: &Package, profile: Profile) -> Vec<(&'static str, &'static str)> {
    let defaults: &[_] = match profile {
        // Debug information of a wasm module is large, and nothing here reads it.
        Profile::Dev => &[("debug", "false")],
        Profile::Release => &[("opt-level", "\"s\""), ("lto", "true"), ("codegen-units", "1"), ("panic", "\"abort\"")],
    };
    let mut defaults = defaults.to_vec();
    if profile == Profile::Release {
        defaults.retain(|(name, _)| !package.release_keys.contains(*name));
    }
    defaults
}

fn run(
    command: &mut Command,
    package: &Package,
    progress: &mut dyn FnMut(Progress),
) -> Result<PathBuf, BuildError> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(io("run", "cargo"))?;
    let stdout = child.stdout.take().map(BufReader::new);
    let package_name = package.name.clone();
    // cargo's messages are read beside its progress, so that neither pipe fills up.
    let artifact = std::thread::spawn(move || {
        let messages = stdout.into_iter().flat_map(Message::parse_stream);
        let mut found = None;
        for message in messages.map_while(Result::ok) {
            if let Message::CompilerArtifact(artifact) = message
                && artifact.target.crate_types.iter().any(|kind| kind.to_string() == "cdylib")
                && artifact.manifest_path.as_std_path().parent().is_some()
            {
                let wasm = artifact.filenames.iter().find(|file| file.extension() == Some("wasm"));
                found = wasm.map(|file| file.clone().into_std_path_buf()).or(found);
            }
        }
        found
    });
    for line in child.stderr.take().into_iter().flat_map(|pipe| BufReader::new(pipe).lines()).map_while(Result::ok) {
        progress(Progress::Output(line));
    }
    let status = child.wait().map_err(io("wait for", "cargo"))?;
    let artifact = artifact.join().unwrap_or_default();
    if !status.success() {
        return Err(BuildError::ToolFailed {
            tool: "cargo build".into(),
            status: status.to_string(),
            output: String::new(),
        });
    }
    artifact.ok_or_else(|| BuildError::NotAWorkerCrate {
        package: package_name,
        reason: "cargo built no wasm module of it".into(),
    })
}
