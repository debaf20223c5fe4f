//! What can go wrong in a build, with what to do about it.

use realgar_wire::{DeclarationError, HistoryError, ManifestError};
use std::{io, path::PathBuf};

/// Why a Worker could not be built. The message says what to do, where there is something to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// There is no Worker in that folder.
    #[error("no Worker in `{path}`: {reason}")]
    NoWorker {
        /// The folder.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// The crate is no Worker crate.
    #[error("`{package}` is not a Worker crate: {reason}")]
    NotAWorkerCrate {
        /// The package.
        package: String,
        /// What to change.
        reason: String,
    },
    /// The crate depends on another one that is a script of its own.
    #[error(
        "`{package}` depends on `{dependency}`, which has an `export!` of its own, and a crate is one script; move everything but the \
         `export!` line of `{dependency}` to a library, and let both crates depend on that: see docs/guide/crates.md"
    )]
    TwoScripts {
        /// The package that is built.
        package: String,
        /// The Worker crate that it depends on.
        dependency: String,
    },
    /// A tool is missing, or is of a version that does not work.
    #[error("{tool} {problem}; {remedy}")]
    Tool {
        /// The tool.
        tool: &'static str,
        /// What is wrong with it.
        problem: String,
        /// What to do.
        remedy: String,
    },
    /// A tool ran and failed.
    #[error("{tool} failed ({status}){}", details(.output))]
    ToolFailed {
        /// The tool.
        tool: String,
        /// How it ended.
        status: String,
        /// What it printed; empty where it was shown as progress.
        output: String,
    },
    /// cargo failed on an `await` outside of `async`, or on an `async fn init`. rustc's own text says nothing of phases.
    #[error(
        "cargo build failed ({status}); if rustc complains of `init` or of an `await` in it: `init` is Phase 1, which is synchronous and \
         only declares what the program binds; in an object, move what waits to Phase 2, the closure that `init` returns \
         (`|state: State| async move {{ .. }}`); in a Worker, move it to `fetch`"
    )]
    AsyncInit {
        /// How cargo ended.
        status: String,
    },
    /// Somebody ended the build: see [`Cancel`](crate::Cancel).
    #[error("the build was cancelled")]
    Cancelled,
    /// A crate's version in the lock file does not fit this tool.
    #[error(
        "the lock file has {krate} {found}, and this version of Realgar needs {needed}; run `cargo update -p {krate} --precise {needed}`"
    )]
    Version {
        /// The crate.
        krate: &'static str,
        /// What the lock file has.
        found: String,
        /// What is needed.
        needed: String,
    },
    /// Phase 1 called JavaScript.
    #[error(
        "the init phase calls JavaScript (`{import}`), which does not exist at build time; \
         move the call to Phase 2, into the closure that `init` returns, or into a handler"
    )]
    InitCallsJavaScript {
        /// The name of the function that was called, as far as its symbol tells.
        import: String,
    },
    /// Phase 1 panicked.
    #[error(
        "the init phase panicked: {message}\n(it may only bind resources; what needs time, randomness or I/O belongs in Phase 2 or a handler)"
    )]
    InitPanicked {
        /// The text of the panic.
        message: String,
    },
    /// Phase 1 did not end.
    #[error("the init phase has not ended after {seconds} s; it must only bind resources")]
    InitTooLong {
        /// The limit, in seconds.
        seconds: u32,
    },
    /// Phase 1 ran, and the program found a mistake in what it declares.
    #[error("the init phase declares something that cannot be deployed: {message}")]
    BadProgram {
        /// What the program says.
        message: String,
    },
    /// Phase 1 ran, and Cloudflare would refuse what it declares.
    #[error("the init phase declares something that cannot be deployed: {0}")]
    BadDeclaration(DeclarationError),
    /// A binding names a folder that does not exist.
    #[error(
        "the binding `{binding}` names the folder `{folder}`, which does not exist; create it, or correct the path"
    )]
    NoFolder {
        /// The binding.
        binding: String,
        /// The folder.
        folder: PathBuf,
    },
    /// The file that `#[worker(migrations = ..)]` names does not end with the classes that the Worker hosts.
    #[error("`{path}` ends with {recorded}, and the Worker hosts {hosted}; {remedy}")]
    HistoryDiffers {
        /// The file.
        path: PathBuf,
        /// The classes that its last step leaves, in words.
        recorded: String,
        /// The classes of the program, in words.
        hosted: String,
        /// The step to add.
        remedy: String,
    },
    /// A history of classes contradicts itself.
    #[error("the history of classes in `{path}` contradicts itself")]
    History {
        /// The file.
        path: PathBuf,
        /// Which step is wrong.
        #[source]
        source: HistoryError,
    },
    /// A `manifest.json` cannot be used.
    #[error("cannot use `{path}`; build the Worker again")]
    Manifest {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ManifestError,
    },
    /// Values of some methods' types would not survive the way through bytes.
    #[error(
        "{}\nwrite `#[rpc(native)]` on the method, which sends plain JavaScript values instead, or remove the attribute of serde that is named above",
        .problems.join("\n")
    )]
    Unfit {
        /// One message for each type: the method, the type, the place in the type, and what is wrong there.
        problems: Vec<String>,
    },
    /// The module has no description.
    #[error("`{package}` exports no Worker; write `realgar::export!(YourWorker);` once, at the top level of the crate")]
    NoExport {
        /// The package.
        package: String,
    },
    /// The module, or the output of a tool, is of a form that this version does not know.
    #[error(
        "{what}: {reason}\n(this is a fault of Realgar, or of a version of a tool that it does not know; report it with this text)"
    )]
    Unexpected {
        /// What is unexpected.
        what: &'static str,
        /// How it differs.
        reason: String,
    },
    /// A configuration file is wrong.
    #[error("`{path}`: {reason}")]
    Configuration {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        reason: String,
    },
    /// A file could not be read or written.
    #[error("cannot {action} `{path}`")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

fn details(output: &str) -> String {
    if output.trim().is_empty() { String::new() } else { format!(":\n{}", output.trim_end()) }
}

/// Returns a function for `map_err` that adds to an I/O error what was tried on which file.
pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> BuildError {
    let path = path.into();
    move |source| BuildError::Io { action, path, source }
}
