//! The arguments of the command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use realgar_bundle::{Builder, Profile};
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
    /// Show what `deploy` would do.
    Plan(PlanArguments),
    /// Build Workers, and make what they need and bind at Cloudflare.
    Deploy(DeployArguments),
    /// Delete everything that `deploy` has made.
    Destroy(DestroyArguments),
    /// Show what is known about the resources that `deploy` has made.
    #[command(subcommand)]
    State(StateCommand),
    /// Serve the part of Cloudflare's API that deployments need, on this machine. `--local` starts it by itself.
    Edge(EdgeArguments),
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

/// Which stack a command is about, and where it is.
#[derive(Debug, Args)]
pub(crate) struct StackArguments {
    /// The stage: resources of different stages have nothing to do with each other. By default `REALGAR_STAGE`, or `dev_` and the
    /// name of the user. In CI it has to be said.
    #[arg(long)]
    pub(crate) stage: Option<String>,
    /// Use an edge on this machine instead of Cloudflare. It is started if it does not run.
    #[arg(long)]
    pub(crate) local: bool,
}

/// What the user allows.
#[derive(Debug, Args)]
pub(crate) struct AllowArguments {
    /// A resource whose data may be lost. Several are separated by commas.
    #[arg(long, value_name = "FQN", value_delimiter = ',')]
    pub(crate) allow_data_loss: Vec<String>,
    /// A resource whose change may make others fail. Several are separated by commas.
    #[arg(long, value_name = "FQN", value_delimiter = ',')]
    pub(crate) allow_breaking: Vec<String>,
    /// A resource that exists and becomes ours. Several are separated by commas.
    #[arg(long, value_name = "FQN", value_delimiter = ',')]
    pub(crate) adopt: Vec<String>,
    /// Whether to ask Cloudflare what is there. With `false`, what the state says is taken for true.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    pub(crate) refresh: bool,
}

/// What `realgar plan` takes.
#[derive(Debug, Args)]
pub(crate) struct PlanArguments {
    /// The folders: Worker crates, plain JavaScript Workers with a `wrangler.toml`, or a workspace, whose Workers all belong to it.
    #[arg(default_value = ".")]
    pub(crate) paths: Vec<PathBuf>,
    /// Build quickly instead of small and fast.
    #[arg(long)]
    pub(crate) dev: bool,
    /// Delete what the stack has besides these Workers and what they bind. Without it, Workers that were not named stay.
    #[arg(long)]
    pub(crate) prune: bool,
    #[command(flatten)]
    pub(crate) stack: StackArguments,
    #[command(flatten)]
    pub(crate) allow: AllowArguments,
    /// Print the plan as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// End with the exit code 2 if there is something to do.
    #[arg(long)]
    pub(crate) detailed_exitcode: bool,
}

/// What `realgar deploy` takes.
#[derive(Debug, Args)]
pub(crate) struct DeployArguments {
    /// The folders: Worker crates, plain JavaScript Workers with a `wrangler.toml`, or a workspace, whose Workers all belong to it.
    #[arg(default_value = ".")]
    pub(crate) paths: Vec<PathBuf>,
    /// Build quickly instead of small and fast.
    #[arg(long)]
    pub(crate) dev: bool,
    /// Delete what the stack has besides these Workers and what they bind. Without it, Workers that were not named stay.
    #[arg(long)]
    pub(crate) prune: bool,
    #[command(flatten)]
    pub(crate) stack: StackArguments,
    #[command(flatten)]
    pub(crate) allow: AllowArguments,
    /// Ask nothing.
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Print the plan, what became of it and the addresses as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What `realgar destroy` takes.
#[derive(Debug, Args)]
pub(crate) struct DestroyArguments {
    /// A folder of the workspace, or the plain Workers that were deployed together.
    #[arg(default_value = ".")]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) stack: StackArguments,
    #[command(flatten)]
    pub(crate) allow: AllowArguments,
    /// Ask nothing.
    #[arg(long, short)]
    pub(crate) yes: bool,
}

/// The commands about the state.
#[derive(Debug, Subcommand)]
pub(crate) enum StateCommand {
    /// List the resources.
    List(StateArguments),
    /// Show one resource.
    Show {
        /// The name of the resource in the program.
        fqn: String,
        #[command(flatten)]
        state: StateArguments,
    },
}

/// Which state a command is about.
#[derive(Debug, Args)]
pub(crate) struct StateArguments {
    /// A folder of the workspace, or the plain Workers that were deployed together.
    #[arg(long = "path", default_value = ".")]
    pub(crate) paths: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) stack: StackArguments,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What `realgar edge` takes.
#[derive(Debug, Args)]
pub(crate) struct EdgeArguments {
    /// The port of the API on 127.0.0.1. 0 takes any free port.
    #[arg(long, default_value_t = 0)]
    pub(crate) port: u16,
    /// The folder for what is deployed and for what Workers store; by default `.realgar/edge` at the root of the workspace.
    #[arg(long)]
    pub(crate) data: Option<PathBuf>,
}

/// The profile of a build: a quick one with `--dev`.
pub(crate) fn profile(dev: bool) -> Profile {
    if dev { Profile::Dev } else { Profile::Release }
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
