//! The arguments of the command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use realgar_bundle::Builder;
use std::path::PathBuf;

/// Build and run stateful Cloudflare apps written in Rust.
#[derive(Debug, Parser)]
#[command(name = "realgar", version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Build Worker crates, each into a folder with its modules, `manifest.json` and `wrangler.toml`.
    Build(BuildArguments),
    /// Run Workers on this machine, and rebuild them when their sources change.
    Dev(DevArguments),
}

/// What `realgar build` takes.
#[derive(Debug, Args)]
pub(crate) struct BuildArguments {
    /// The folder of a Worker crate, or of a workspace: then all its Workers are built.
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,
    /// Build this package of the workspace, wherever in the workspace the command runs.
    #[arg(long, short)]
    pub(crate) package: Option<String>,
    /// Build quickly instead of small and fast.
    #[arg(long)]
    pub(crate) dev: bool,
    /// The tool that turns the crate into wasm and glue.
    #[arg(long, value_enum, default_value = "realgar")]
    pub(crate) builder: BuilderName,
}

/// What `realgar dev` takes.
#[derive(Debug, Args)]
pub(crate) struct DevArguments {
    /// The folders: Worker crates, plain JavaScript Workers with a `wrangler.toml`, or a workspace, whose Workers all run.
    #[arg(default_value = ".")]
    pub(crate) paths: Vec<PathBuf>,
    /// The port of the first Worker on 127.0.0.1; the others get the ports after it. 0 takes any free ports.
    #[arg(long, default_value_t = 8787)]
    pub(crate) port: u16,
    /// The folder for what objects and other resources store; by default `.realgar/dev` at the root of the workspace.
    #[arg(long)]
    pub(crate) data: Option<PathBuf>,
    /// Print no line for each request.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// The tools that turn a crate into wasm and glue.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum BuilderName {
    /// Realgar's own.
    Realgar,
    /// Cloudflare's worker-build, with Realgar's entry module over its output.
    WorkerBuild,
}

impl From<BuilderName> for Builder {
    fn from(name: BuilderName) -> Self {
        match name {
            BuilderName::Realgar => Self::Realgar,
            BuilderName::WorkerBuild => Self::WorkerBuild,
        }
    }
}
