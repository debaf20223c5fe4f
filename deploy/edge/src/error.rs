//! What can go wrong while Workers run.

use std::{io, net::SocketAddr, path::PathBuf};

/// Why the edge could not do something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EdgeError {
    /// A port could not be had.
    #[error("cannot listen on {address}; choose another with `--port`")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another edge has the folder.
    #[error("`{folder}` is in use by another run; end it first")]
    DataInUse {
        /// The folder.
        folder: PathBuf,
    },
    /// A binding leads nowhere.
    #[error("the binding `{binding}` of the Worker `{script}` leads nowhere: {reason}")]
    Unbound {
        /// The script.
        script: String,
        /// The binding.
        binding: String,
        /// What is missing.
        reason: String,
    },
    /// A queue has more than one consumer.
    #[error(
        "the Workers `{first}` and `{second}` both ask for the messages of the queue `{queue}`, which only one can have"
    )]
    TwoConsumers {
        /// The queue.
        queue: String,
        /// A script.
        first: String,
        /// Another one.
        second: String,
    },
    /// Two scripts have one name.
    #[error("two Workers are called `{name}`; give one another `name`")]
    DuplicateScript {
        /// The name.
        name: String,
    },
    /// A name that Cloudflare would refuse.
    #[error("`{name}` cannot be the name of a Worker: use letters, digits, `-` and `_`")]
    BadScriptName {
        /// The name.
        name: String,
    },
    /// A new version has a name that no old one has.
    #[error("the Worker is now called `{name}`; start again to run it under its new name")]
    RenamedScript {
        /// The new name.
        name: String,
    },
    /// `.dev.vars` cannot be understood.
    #[error("line {line} of `{path}` is neither `NAME=value` nor a comment")]
    Values {
        /// The file.
        path: PathBuf,
        /// The line, from 1 on.
        line: usize,
    },
    /// A variable or secret has no value.
    #[error(
        "`{binding}` of the Worker `{script}` has no value; write `{binding}=..` into `.dev.vars` beside its `Cargo.toml`"
    )]
    NoValue {
        /// The script.
        script: String,
        /// The binding.
        binding: String,
    },
    /// A migration failed.
    #[error("the D1 database `{database}`: {reason}")]
    Migration {
        /// The database.
        database: String,
        /// Which file, and why.
        reason: String,
    },
    /// There is no port left after the one that was asked for.
    #[error("there is no port for the Worker `{script}`: {first} is too high to count on from")]
    NoPort {
        /// The script.
        script: String,
        /// The port of the first one.
        first: u16,
    },
    /// workerd started, and never served.
    #[error("workerd did not serve within {seconds} s; is there an endless loop at the top of a script?\n{output}")]
    StartTimeout {
        /// How long it had.
        seconds: u64,
        /// What it printed.
        output: String,
    },
    /// workerd ended before it served.
    #[error("workerd refuses to start:\n{output}")]
    Refused {
        /// What it printed.
        output: String,
    },
    /// A file or a process could not be handled.
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

/// For `map_err`: an I/O error with what was tried on which file.
pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> EdgeError {
    let path = path.into();
    move |source| EdgeError::Io { action, path, source }
}

impl EdgeError {
    /// Whether a change of the program or its values may mend it; the machine is the reason of the others.
    #[must_use]
    pub fn is_mended_by_a_change(&self) -> bool {
        !matches!(self, Self::Listen { .. } | Self::DataInUse { .. } | Self::NoPort { .. } | Self::Io { .. })
    }
}
