//! The command line of Realgar: arguments, rendering, exit codes. What is done is in the libraries under `deploy/`.

mod build;
mod dev;
mod output;

use clap::{Parser, Subcommand};
use realgar_bundle::Builder;
use std::{path::PathBuf, process::ExitCode};

/// Exit code: done.
pub const EXIT_DONE: u8 = 0;
/// Exit code: something failed, and what it was is on standard error. (Wrong usage exits with 2.)
pub const EXIT_FAILED: u8 = 1;

/// Build and run stateful Cloudflare apps written in Rust.
#[derive(Debug, Parser)]
#[command(name = "realgar", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build a Worker crate into a folder with its modules, `manifest.json` and `wrangler.toml`.
    Build {
        /// The folder of the crate.
        #[arg(default_value = ".")]
        path: PathBuf,
        /// Build quickly instead of small and fast.
        #[arg(long)]
        dev: bool,
        /// What turns the crate into wasm and glue.
        #[arg(long, value_enum, default_value = "realgar")]
        builder: BuilderName,
    },
    /// Run Workers on this machine, and rebuild them when their sources change.
    Dev {
        /// The folders: Worker crates, and plain JavaScript Workers with a `wrangler.toml`.
        #[arg(default_value = ".")]
        paths: Vec<PathBuf>,
        /// The port of the first Worker on 127.0.0.1; the others get the ports after it. 0 takes any free ports.
        #[arg(long, default_value_t = 8787)]
        port: u16,
    },
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum BuilderName {
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

fn main() -> ExitCode {
    if let Some(arguments) = build::as_wasm_bindgen() {
        return output::exit(realgar_bundle::run_as_wasm_bindgen(&arguments).map_err(Into::into));
    }
    output::exit(match Arguments::parse().command {
        Command::Build { path, dev, builder } => build::run(path, dev, builder.into()),
        Command::Dev { paths, port } => dev::run(&paths, port),
    })
}
