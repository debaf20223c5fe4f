//! What a build reports while it runs. It is typed, so that a command line may show it, a test may wait for it, and a log may be written.

use std::fmt;

/// Something that happened during a build.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// A step begins that may take a while.
    Began(Step),
    /// A line that a tool printed.
    Output(String),
    /// Something that does not stop the build.
    Warning(Warning),
}

/// A step of a build. Its `Display` text is for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// The tools from npm are installed, once per machine.
    InstallTools,
    /// rustup installs a target.
    InstallTarget {
        /// The target as rustc names it, such as `wasm32-unknown-unknown`.
        target: &'static str,
    },
    /// worker-build is compiled, once per machine.
    InstallWorkerBuild {
        /// The version that this version of Realgar is tested with.
        version: &'static str,
    },
    /// cargo compiles the Worker.
    Compile {
        /// The name of the Worker's package.
        package: String,
        /// The target as rustc names it.
        target: &'static str,
    },
    /// worker-build builds the Worker.
    WorkerBuild {
        /// The name of the Worker's package.
        package: String,
    },
    /// Phase 1 runs, and tells what it binds.
    Describe,
    /// The JavaScript of the bundle is generated, because the module that cargo linked has changed.
    Generate,
    /// The wasm is optimised.
    Optimize,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InstallTools => {
                f.write_str("Installing workerd and wasm-opt from npm (once per machine, about 200 MB)")
            }
            Self::InstallTarget { target } => write!(f, "Installing the Rust target {target}"),
            Self::InstallWorkerBuild { version } => {
                write!(f, "Installing worker-build {version} (once per machine, some minutes)")
            }
            Self::Compile { package, target } => write!(f, "Compiling `{package}` for {target}"),
            Self::WorkerBuild { package } => write!(f, "Running worker-build on `{package}`"),
            Self::Describe => f.write_str("Reading the init phase"),
            Self::Generate => f.write_str("Generating the glue and the entry module"),
            Self::Optimize => f.write_str("Optimising the wasm"),
        }
    }
}

/// Something that a person should know of, and that does not stop the build.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// The program, or a crate that it depends on, prints.
    Prints,
    /// No value of a type could be made, so nobody knows whether it survives as bytes.
    Untried {
        /// The name of the method on the wire.
        method: String,
        /// Which of its types, and where in it.
        place: String,
        /// Why no value could be made.
        reason: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prints => f.write_str(
                "the program uses `println!`, `eprintln!` or `dbg!`, which print nothing in a Worker; use `console_log!` or \
                 `console_error!`",
            ),
            Self::Untried { method, place, reason } => write!(
                f,
                "`{method}`: no value of {place} could be made to try it ({reason}); if it does not survive postcard, write \
                 `#[rpc(native)]` on the method"
            ),
        }
    }
}
