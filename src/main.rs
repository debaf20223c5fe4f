//! The command line of Realgar: arguments, rendering, exit codes. The work is done in the libraries under `deploy/`.

mod args;
mod commands;
mod error;
mod output;
mod stack;

pub use error::{EXIT_CHANGES, EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE};

use args::{Arguments, Command};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(arguments) = commands::build::as_wasm_bindgen() {
        return output::exit(realgar_bundle::run_as_wasm_bindgen(&arguments).map_err(Into::into));
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        // `--help` and `--version` come here too. They are printed to standard output, and are no mistakes.
        Err(error) => {
            let code = if error.use_stderr() { EXIT_USAGE } else { EXIT_DONE };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    output::exit(match arguments.command {
        Command::Build(arguments) => commands::build::run(arguments),
        Command::Dev(arguments) => commands::dev::run(&arguments),
        Command::Plan(arguments) => commands::plan::run(&arguments),
        Command::Deploy(arguments) => commands::deploy::run(&arguments),
        Command::Destroy(arguments) => commands::destroy::run(&arguments),
        Command::State(command) => commands::state::run(&command),
        Command::Edge(arguments) => commands::edge::run(&arguments),
    })
}
