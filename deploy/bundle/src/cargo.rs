//! Runs cargo: finds the crate, checks that the toolchain can build it, and links its modules.

use crate::{BuildError, BuildOptions, Builder, Profile, Progress, Step, error::io, linker, process};
use cargo_metadata::{CargoOpt, DependencyKind, Message, Metadata, MetadataCommand, Package as CargoPackage};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
    process::Command,
};

/// The compilation target of Workers.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// The version of wasm-bindgen's library in this program. The crate needs the same version, because the formats of descriptions
/// must match.
pub(crate) const WASM_BINDGEN_VERSION: &str = "0.2.130";

/// A Worker crate.
#[derive(Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// The name of its library target, which is also the name of the wasm file.
    pub(crate) library: String,
    pub(crate) folder: PathBuf,
    /// cargo's target folder of the workspace.
    pub(crate) target: PathBuf,
    /// The folders of the crate and of its local dependencies.
    local: Vec<PathBuf>,
    /// The keys that the workspace itself sets in `[profile.release]`.
    release_keys: HashSet<String>,
}

/// The modules that cargo linked.
pub(crate) struct Linked {
    pub(crate) describe: PathBuf,
    /// The candidates to ship. The first one is taken that exists and has everything that the program uses.
    pub(crate) ship: [PathBuf; 2],
    /// The candidates to ship if objects have a wasm instance each, likewise.
    pub(crate) isolated: [PathBuf; 2],
}

impl Package {
    pub(crate) fn output_folder(&self, options: &BuildOptions) -> PathBuf {
        let builder = match options.builder {
            Builder::Realgar => "workers",
            Builder::WorkerBuild => "worker-build/workers",
        };
        self.own_target().join(builder).join(&self.name).join(options.profile.name())
    }

    /// The target folder of wasm builds. cargo rebuilds everything when the linker changes, so it is not the one of host
    /// builds.
    pub(crate) fn own_target(&self) -> PathBuf {
        self.target.join("realgar")
    }

    /// The files that the last development build read, from the dep-info that cargo writes beside the module. Empty before the
    /// first build.
    pub(crate) fn files_read(&self) -> Vec<PathBuf> {
        let name = self.library.replace('-', "_");
        let path = self.own_target().join(TARGET).join("debug").join(format!("{name}.d"));
        // If there is no dep-info, only files in the folders of the crates count, as before the first build.
        let files = std::fs::read_to_string(path).map(|text| dep_info(&text)).unwrap_or_default();
        // A macro may have named a file by way of `..`.
        files.into_iter().filter_map(|file| file.canonicalize().ok()).collect()
    }

    pub(crate) fn source_folders(&self) -> Vec<PathBuf> {
        self.local.clone()
    }
}

/// The prerequisites of the first rule of a dep-info file. A space in a path has a `\` in front.
fn dep_info(text: &str) -> Vec<PathBuf> {
    let Some((_, files)) = text.lines().next().and_then(|rule| rule.split_once(": ")) else { return Vec::new() };
    let mut paths = vec![String::new()];
    let mut characters = files.chars().peekable();
    while let Some(character) = characters.next() {
        let escaped = character == '\\' && characters.peek() == Some(&' ');
        match (character, paths.last_mut()) {
            (' ', _) => paths.push(String::new()),
            (_, Some(path)) => path.push(if escaped { characters.next().unwrap_or(' ') } else { character }),
            (_, None) => {}
        }
    }
    paths.into_iter().filter(|path| !path.is_empty()).map(PathBuf::from).collect()
}

/// The parts of a cargo workspace that concern Workers.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// Its folder.
    pub root: PathBuf,
    /// What an app of it is called: `app` in `[workspace.metadata.realgar]`, else the package at the root, else the folder.
    pub app: String,
    /// All packages, by name.
    pub packages: BTreeMap<String, PathBuf>,
    /// The packages that are Worker crates, by name: those with a `cdylib` that depend on `realgar`, or on a library beside them, which
    /// may.
    pub workers: BTreeMap<String, PathBuf>,
    /// What it says of resources that are deployed: the rest of `[workspace.metadata.realgar]`.
    pub statements: Statements,
}

/// What a workspace says of resources that are deployed. Names are those of plans, such as `r2/photos`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Statements {
    app: Option<String>,
    /// The names that resources have now, by those that they had.
    pub moved: BTreeMap<String, String>,
    /// Resources that the program no longer has, and that stay where they are.
    pub removed: Vec<String>,
    /// By stage, resources that exist already, with their names at Cloudflare.
    pub imported: BTreeMap<String, BTreeMap<String, String>>,
}

/// Finds the workspace that the folder `path` belongs to.
///
/// # Errors
/// When there is none, or cargo cannot read it, or its `[workspace.metadata.realgar]` has something that nobody knows.
pub fn workspace(path: &Path) -> Result<Workspace, BuildError> {
    let metadata =
        MetadataCommand::new().current_dir(path).no_deps().exec().map_err(|error| metadata_error(path, error))?;
    let is_worker = |package: &&CargoPackage| {
        let mut dependencies = package.dependencies.iter();
        library(package).is_ok() && dependencies.any(|own| own.name == "realgar" || own.path.is_some())
    };
    let folder =
        |package: &CargoPackage| package.manifest_path.parent().map(|folder| folder.as_std_path().to_path_buf());
    let named = |package: &CargoPackage| Some((package.name.to_string(), folder(package)?));
    let all = metadata.workspace_packages();
    let packages = all.iter().filter_map(|package| named(package)).collect();
    let workers = all.into_iter().filter(is_worker).filter_map(named).collect();
    let statements = match &metadata.workspace_metadata["realgar"] {
        serde_json::Value::Null => Statements::default(),
        own => Statements::deserialize(own).map_err(|error| BuildError::Configuration {
            path: metadata.workspace_root.join("Cargo.toml").into_std_path_buf(),
            reason: format!("`[workspace.metadata.realgar]`: {error}"),
        })?,
    };
    let chosen = statements.app.clone();
    let package = || metadata.root_package().map(|package| package.name.to_string());
    let app = chosen.or_else(package).unwrap_or_else(|| metadata.workspace_root.file_name().unwrap_or_default().into());
    Ok(Workspace { root: metadata.workspace_root.into_std_path_buf(), app, packages, workers, statements })
}

/// The error for a folder that cargo cannot read.
fn metadata_error(path: &Path, error: cargo_metadata::Error) -> BuildError {
    match error {
        cargo_metadata::Error::CargoMetadata { stderr } => {
            BuildError::ToolFailed { tool: "cargo metadata".into(), status: "failure".into(), output: stderr }
        }
        other => BuildError::NoWorker { path: path.into(), reason: other.to_string() },
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
        // cargo looks for its configuration from here upwards.
        .current_dir(&folder)
        .features(CargoOpt::SomeFeatures(Vec::new()))
        .other_options(["--filter-platform".into(), TARGET.into()])
        .exec()
        .map_err(|error| metadata_error(path, error))?;
    let package = metadata
        .packages
        .iter()
        .find(|package| package.manifest_path.as_std_path().canonicalize().is_ok_and(|path| path == manifest))
        .ok_or_else(|| no_worker("its `Cargo.toml` holds a workspace and no package; name a member".into()))?;
    let library = library(package)?;
    check_versions(&metadata)?;
    let local = local_packages(&metadata, package, |_| true);
    let linked = local_packages(&metadata, package, |kind| kind == DependencyKind::Normal);
    if let Some(other) = linked.iter().find(|other| other.id != package.id && exports(other)) {
        return Err(BuildError::TwoScripts { package: package.name.to_string(), dependency: other.name.to_string() });
    }
    let folders = local.iter().filter_map(|package| package.manifest_path.parent());
    Ok(Package {
        library,
        name: package.name.to_string(),
        folder,
        target: metadata.target_directory.clone().into_std_path_buf(),
        local: folders.map(|folder| folder.as_std_path().to_path_buf()).collect(),
        release_keys: release_keys(metadata.workspace_root.as_std_path())?,
    })
}

fn library(package: &CargoPackage) -> Result<String, BuildError> {
    let cdylib = |target: &&cargo_metadata::Target| target.crate_types.iter().any(|kind| kind.to_string() == "cdylib");
    let library = package.targets.iter().find(cdylib).map(|target| target.name.clone());
    library.ok_or_else(|| BuildError::NotAWorkerCrate {
        package: package.name.to_string(),
        reason: "add `[lib] crate-type = [\"cdylib\"]` to its `Cargo.toml`; or, if it is a library, such as a contract crate, name the \
                 Workers that use it"
            .into(),
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

/// Whether the package has an `export!`. Two packages with an `export!` in one program export the same symbols. The linker would
/// report that only at the end of the build, in a message of thousands of arguments. A root file that cannot be read counts as
/// having none, because cargo reports such a file itself.
fn exports(package: &CargoPackage) -> bool {
    let root = package.targets.iter().find(|target| library(package).is_ok_and(|name| name == target.name));
    let text = root.and_then(|root| std::fs::read_to_string(&root.src_path).ok());
    let mut conditional = false;
    text.is_some_and(|text| {
        text.lines().map(str::trim_start).any(|line| {
            let found = line.trim_start_matches("realgar::").starts_with("export!") && !conditional;
            // An `export!` behind a `#[cfg(..)]` may not be compiled at all, so it is left to the linker.
            conditional = line.starts_with("#[cfg");
            found
        })
    })
}

/// The package and its dependencies, also those of dependencies, that are not from a registry.
fn local_packages<'a>(
    metadata: &'a Metadata,
    package: &CargoPackage,
    wanted: fn(DependencyKind) -> bool,
) -> Vec<&'a CargoPackage> {
    let mut packages = Vec::new();
    let (mut open, mut seen) = (vec![package.id.clone()], HashSet::new());
    while let Some(id) = open.pop() {
        if !seen.insert(id.clone()) {
            continue;
        }
        if let Some(found) = metadata.packages.iter().find(|other| other.id == id)
            && found.source.is_none()
        {
            packages.push(found);
        }
        let node = metadata.resolve.as_ref().and_then(|resolve| resolve.nodes.iter().find(|node| node.id == id));
        let dependencies = node.into_iter().flat_map(|node| &node.deps);
        let is_wanted = |kinds: &[cargo_metadata::DepKindInfo]| kinds.iter().any(|info| wanted(info.kind));
        open.extend(dependencies.filter(|own| is_wanted(&own.dep_kinds)).map(|own| own.pkg.clone()));
    }
    packages
}

fn release_keys(root: &Path) -> Result<HashSet<String>, BuildError> {
    let path = root.join("Cargo.toml");
    let text = std::fs::read_to_string(&path).map_err(io("read", &path))?;
    let document: toml::Table =
        text.parse().map_err(|error: toml::de::Error| BuildError::Configuration { path, reason: error.to_string() })?;
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
    progress(Progress::Began(Step::InstallTarget { target: TARGET }));
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

/// Builds the crate, and links it as often as [`linker`] says.
pub(crate) fn link(
    package: &Package,
    options: &BuildOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Linked, BuildError> {
    let target = package.own_target();
    let linker = linker::ensure(&target)?;
    progress(Progress::Began(Step::Compile { package: package.name.clone(), target: TARGET }));
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .current_dir(&package.folder)
        // The crate is built only as a `cdylib`. If it were a library too, cargo would not optimise the program as a whole, which
        // is a sixth of a bundle.
        .args(["rustc", "--lib", "--crate-type", "cdylib"])
        .args(["--target", TARGET, "--message-format=json-render-diagnostics"])
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
    let mut async_init = false;
    let messages = process::run(&mut command, "cargo build", options.cancel.as_ref(), &mut |told| {
        async_init |= matches!(&told, Progress::Output(line) if tells_of_async_init(line));
        progress(told);
    });
    let messages = messages.map_err(|error| match error {
        BuildError::ToolFailed { status, .. } if async_init => BuildError::AsyncInit { status },
        error => error,
    })?;
    let ship = wasm_artifact(&messages, package)?;
    Ok(Linked {
        describe: linker::describe_module(&ship),
        isolated: [linker::isolated_lean_module(&ship), linker::isolated_module(&ship)],
        ship: [linker::lean_module(&ship), ship],
    })
}

/// Whether rustc complains in this line of an `await` outside of `async`, or of an `async fn init`. Its text knows nothing of phases.
fn tells_of_async_init(line: &str) -> bool {
    line.contains("error[E0728]") || line.contains("method `init` has an incompatible type for trait")
}

fn cargo_profile(profile: Profile) -> &'static str {
    match profile {
        Profile::Dev => "dev",
        Profile::Release => "release",
    }
}

/// The settings of a profile for Workers, except for those that the workspace sets itself.
pub(crate) fn profile_defaults(package: &Package, profile: Profile) -> Vec<(&'static str, &'static str)> {
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

/// The wasm file that cargo's messages name.
fn wasm_artifact(messages: &[u8], package: &Package) -> Result<PathBuf, BuildError> {
    let artifacts = Message::parse_stream(messages).filter_map(|message| match message {
        Ok(Message::CompilerArtifact(artifact)) if artifact.target.name == package.library => Some(artifact),
        _ => None,
    });
    let files = artifacts.flat_map(|artifact| artifact.filenames);
    let wasm = files.into_iter().find(|file| file.extension() == Some("wasm"));
    wasm.map(cargo_metadata::camino::Utf8PathBuf::into_std_path_buf).ok_or_else(|| BuildError::NotAWorkerCrate {
        package: package.name.clone(),
        reason: "cargo built no wasm module of it".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_a_dep_info() {
        let text = "/t/api.wasm: /w/a\\ b/lib.rs /w/text.txt\n\n/w/text.txt:\n";
        assert_eq!(dep_info(text), [PathBuf::from("/w/a b/lib.rs"), PathBuf::from("/w/text.txt")]);
        assert_eq!(dep_info(""), Vec::<PathBuf>::new());
    }
}
