//! Turns a Worker crate into what a deployment uploads: wasm, an entry module, a manifest, a `wrangler.toml`.
//!
//! [`build`] runs cargo, which links one module to describe and one to ship. It reads the description, generates the glue and the
//! entry module, and writes the folder. [`read_plain`] makes the same [`Bundle`] of a folder with a plain JavaScript Worker.
//! Nothing here prints: the caller learns of what happens through [`Progress`].

mod bindgen;
mod cargo;
mod contract;
mod describe;
mod entry;
mod error;
mod files;
mod glue;
mod history;
mod kept;
mod linker;
mod lock;
mod optimize;
mod output;
mod plain;
mod process;
mod progress;
mod tools;
mod typescript;
mod worker_build;
mod wrangler;

pub use bindgen::run_as_wasm_bindgen;
pub use cargo::{Statements, Workspace, workspace};
pub use error::BuildError;
pub use output::read;
pub use plain::read_plain;
pub use process::Cancel;
pub use progress::{Progress, Step, Warning};
pub use tools::{Tools, node_tools};
pub use worker_build::worker_build;

use realgar_wire::{
    COMPATIBILITY_DATE, COMPATIBILITY_FLAGS, Contracts, Description, Hosting, MANIFEST_SCHEMA, Manifest, Module,
    ModuleKind,
};
use std::path::{Path, PathBuf};

/// What to build, and how.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// The folder of the Worker crate.
    pub path: PathBuf,
    /// Whether the build is to be quick, or the Worker small and fast.
    pub profile: Profile,
    /// What turns the crate into wasm and glue.
    pub builder: Builder,
    /// Whether cargo's messages may have colours.
    pub color: bool,
    /// The path of a program that calls [`run_as_wasm_bindgen`] if it is run under the name `wasm-bindgen`. Only `worker-build`
    /// needs it. Without it, `WASM_BINDGEN_BIN` must name such a program.
    pub wasm_bindgen: Option<PathBuf>,
    /// Ends the build from another thread. If it is given, the tools run in process groups of their own, which Ctrl-C does not
    /// reach.
    pub cancel: Option<Cancel>,
}

/// How much work to put into the wasm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// cargo's `dev` profile, and no `wasm-opt`.
    Dev,
    /// cargo's `release` profile, for size, and `wasm-opt`.
    Release,
}

impl Profile {
    /// The name of the profile's folder.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Release => "release",
        }
    }
}

/// What turns the crate into wasm and glue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Builder {
    /// This crate.
    Realgar,
    /// Cloudflare's `worker-build`, with our entry module over its output. Recovery from panics is that of `worker-build`.
    WorkerBuild,
}

/// A built Worker, on disk.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// The folder that holds the modules, `manifest.json` and `wrangler.toml`.
    pub folder: PathBuf,
    /// The metadata of the Worker: its modules, classes and bindings.
    pub manifest: Manifest,
}

/// Where a Worker's source is.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The folders of its crate, and of the local crates that it depends on. A change in one of them makes the build stale.
    pub sources: Vec<PathBuf>,
    /// The files that the last build read, as cargo noted them. They may lie outside of `sources`, if a macro includes them.
    pub files: Vec<PathBuf>,
    /// The folder for cargo's output. It may lie inside of a source folder.
    pub target: Option<PathBuf>,
}

/// Finds the source of the Worker in `path`. The Worker need not compile.
///
/// # Errors
/// When there is no Worker crate, or cargo cannot read its `Cargo.toml`.
pub fn layout(path: &Path) -> Result<Layout, BuildError> {
    if !path.join("Cargo.toml").exists() {
        return Ok(Layout { sources: vec![path.into()], files: Vec::new(), target: None });
    }
    let package = cargo::find(path)?;
    Ok(Layout { sources: package.source_folders(), files: package.files_read(), target: Some(package.target) })
}

impl Bundle {
    /// The sizes of all modules together, raw and with each module compressed by gzip (level 9).
    ///
    /// # Errors
    /// When a module cannot be read.
    pub fn size(&self) -> Result<Size, BuildError> {
        output::size(&self.folder, &self.manifest, |content| content)
    }

    /// As [`Bundle::size`], but without the custom sections of wasm modules. These sections hold names, and nothing that runs. A
    /// release that [`build`] makes has none.
    ///
    /// # Errors
    /// When a module cannot be read.
    pub fn size_without_custom_sections(&self) -> Result<Size, BuildError> {
        output::size(&self.folder, &self.manifest, |wasm| optimize::without_custom_sections(&wasm).unwrap_or(wasm))
    }
}

/// The size of a bundle in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// As uploaded.
    pub raw: u64,
    /// Compressed.
    pub gzip: u64,
}

/// Builds the Worker crate in `options.path`.
///
/// # Errors
/// When a tool is missing and cannot be installed, when cargo fails, when Phase 1 does what it may not, or when the folder
/// cannot be written. An earlier build's folder then stays as it was.
pub fn build(options: &BuildOptions, progress: &mut dyn FnMut(Progress)) -> Result<Bundle, BuildError> {
    let package = cargo::find(&options.path)?;
    cargo::check_toolchain(progress)?;
    let folder = package.output_folder(options);
    let stage = output::Stage::new(&folder)?;
    let (program, modules) = match options.builder {
        Builder::Realgar => make(&package, options, &stage, progress)?,
        Builder::WorkerBuild => worker_build::make(&package, options, progress)?,
    };
    for module in &modules {
        stage.write(module)?;
    }
    stage.write_types(&program.types)?;
    let mut manifest = manifest(program.description, program.contracts, &modules, &package)?;
    files::collect(&package, &mut manifest, stage.path())?;
    stage.write_manifest(&manifest)?;
    stage.write_wrangler(&wrangler::render(&manifest, &package, options))?;
    stage.publish()?;
    Ok(Bundle { folder, manifest })
}

/// Makes the modules of the crate with Realgar's own builder.
fn make(
    package: &cargo::Package,
    options: &BuildOptions,
    stage: &output::Stage,
    progress: &mut dyn FnMut(Progress),
) -> Result<(contract::Program, Vec<output::File>), BuildError> {
    let optimizer = match options.profile {
        Profile::Dev => None,
        Profile::Release => Some(node_tools(progress)?),
    };
    let linked = cargo::link(package, options, progress)?;
    progress(Progress::Began(Step::Describe));
    let program = contract::program(&linked.describe, package, options.cancel.as_ref(), progress)?;
    let isolated = program.description.objects.iter().any(|object| object.isolated);
    let linked = if isolated { &linked.isolated } else { &linked.ship };
    let kept = kept::Kept::new(package, options.profile, linked, optimizer.as_ref());
    let glue = match kept.read() {
        Some(glue) => glue,
        None => {
            let glue = glue_of(linked, options.profile, optimizer.as_ref(), stage.path(), progress)?;
            // If it cannot be kept, the next build makes it again.
            let _ = kept.write(&glue);
            glue
        }
    };
    if let Some(named) = &glue.named {
        stage.write_named(named)?;
    }
    let mut modules = glue.snippets;
    modules.extend(entry::modules(&program, optimizer.is_some().then_some(glue.js.as_str())));
    modules.push(output::File::text(entry::GLUE, glue.js));
    modules.push(output::File::wasm(entry::WASM, glue.wasm));
    if let Some(tools) = &optimizer {
        modules = optimize::bundle(tools, entry::MAIN, modules, stage.path())?;
    }
    Ok((program, modules))
}

/// Makes the glue of a linked module, and optimises both in a release. `folder` is for files on the way.
fn glue_of(
    linked: &[PathBuf],
    profile: Profile,
    optimizer: Option<&Tools>,
    folder: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<bindgen::Glue, BuildError> {
    progress(Progress::Began(Step::Generate));
    let mut glue = bindgen::generate(linked, profile)?;
    if let Some(tools) = optimizer {
        progress(Progress::Began(Step::Optimize));
        optimize::run(tools, &mut glue, folder)?;
    }
    Ok(glue)
}

/// The deployment metadata, from the description that the program gave of itself and from the files of the bundle.
fn manifest(
    description: Description,
    contracts: Contracts,
    files: &[output::File],
    package: &cargo::Package,
) -> Result<Manifest, BuildError> {
    let (migrations, class_changes) = history::read(&description, package)?;
    let Description { worker, entrypoints, objects, bindings, crons, consumers, .. } = description;
    let modules = files.iter().map(|file| Module { name: file.name.clone(), kind: file.kind });
    Ok(Manifest {
        schema: MANIFEST_SCHEMA,
        worker,
        compatibility_date: COMPATIBILITY_DATE.into(),
        compatibility_flags: COMPATIBILITY_FLAGS.map(Into::into).into(),
        main_module: entry::MAIN.into(),
        modules: modules.collect(),
        entrypoints,
        objects,
        bindings,
        crons,
        consumers,
        class_changes,
        migrations,
        contracts,
        hosting: Hosting::default(),
    })
}

/// How the runtime reads the file `name`, by its extension.
fn kind_of(name: &Path) -> Option<ModuleKind> {
    match name.extension()?.to_str()? {
        "js" | "mjs" => Some(ModuleKind::EsModule),
        "wasm" => Some(ModuleKind::Wasm),
        "txt" | "html" | "sql" => Some(ModuleKind::Text),
        "bin" => Some(ModuleKind::Data),
        _ => None,
    }
}
