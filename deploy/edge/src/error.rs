//! What can go wrong while Workers run.

use std::{io, net::SocketAddr, path::PathBuf};

/// Why the edge could not do something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EdgeError {
    /// The edge cannot listen on an address.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another edge uses the data folder.
    #[error("`{folder}` is in use by another run")]
    DataInUse {
        /// The folder.
        folder: PathBuf,
    },
    /// A binding leads to a script that the edge does not run.
    #[error(
        "the binding `{binding}` of the Worker `{script}` leads to the Worker `{target}`, which is not here; start it together with this one, \
         or correct the name (here are {here})"
    )]
    NoTarget {
        /// The script.
        script: String,
        /// The binding.
        binding: String,
        /// The script that is missing.
        target: String,
        /// The scripts that are here.
        here: String,
    },
    /// A binding leads nowhere.
    #[error(
        "the binding `{binding}` of the Worker `{script}` leads nowhere: {reason}; add it to that Worker, or correct the binding"
    )]
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
        "the Workers `{first}` and `{second}` both ask for the messages of the queue `{queue}`, which only one can have; remove `cx.consume(..)` from the other"
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
    /// A script has a name that Cloudflare would refuse.
    #[error("`{name}` cannot be the name of a Worker: use letters, digits, `-` and `_`")]
    BadScriptName {
        /// The name.
        name: String,
    },
    /// The new version of a script has a name that no running script has.
    #[error("the Worker is now called `{name}`; stop this run and start another one to run it under its new name")]
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
    #[error("`{binding}` of the Worker `{script}` has no value")]
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
    /// There are not enough ports after the one that was asked for.
    #[error(
        "there is no port left for the Worker `{script}`: ports are given from {first} upwards, and 65535 is the last"
    )]
    NoPort {
        /// The script.
        script: String,
        /// The port of the first script.
        first: u16,
    },
    /// workerd started, but did not serve in time.
    #[error("workerd did not serve within {seconds} s; is there an endless loop at the top of a script?\n{output}")]
    StartTimeout {
        /// The time that it had, in seconds.
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
    /// A file of the data folder does not have the form that this version writes.
    #[error("`{path}` cannot be read: {reason}; remove it only if the data beside it may go too")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A class with data is gone from the program, which does not say what became of it.
    #[error(
        "the Worker `{script}` no longer hosts the class `{class}`, which has data here (objects: {objects}); a class name is the \
         home of its objects' data, so say in `#[worker(..)]` what became of it: `renamed({class} = NewName)`, \
         `transferred_to({class} = \"script\")`, or `deleted({class})`, which deletes that data; or keep the name, with \
         `#[durable_object(name = \"{class}\")]` on the renamed struct. A Worker with \
         `migrations = \"..\"` adds a step to that file instead"
    )]
    ClassGone {
        /// The script.
        script: String,
        /// The class.
        class: String,
        /// How many objects of it store something.
        objects: usize,
    },
    /// A renamed or transferred class would replace a class that has data.
    #[error(
        "the objects of `{from}` cannot become those of the class `{class}` of the Worker `{script}`, which has data \
         of its own (objects: {objects}); delete those first, or give the class another name"
    )]
    ClassOccupied {
        /// The class that moves, with its script.
        from: String,
        /// The class that it would become.
        class: String,
        /// The script of that class.
        script: String,
        /// How many objects of it store something.
        objects: usize,
    },
    /// A script hands a class over to a script that does not take it.
    #[error(
        "the Worker `{script}` says `transferred_to({class} = \"{to}\")`; start it together with the Worker `{to}`, which has to host \
         the class and say `transferred_from({class} = \"{script}\")`"
    )]
    TransferNotTaken {
        /// The script that had the class.
        script: String,
        /// The class.
        class: String,
        /// The script that is to have it.
        to: String,
    },
    /// A script takes a class from a script that does not hand it over.
    #[error(
        "the Worker `{script}` says `transferred_from({class} = \"{from}\")`; start it together with the Worker `{from}`, which has to \
         say `transferred_to({class} = \"{script}\")`"
    )]
    TransferNotGiven {
        /// The script that is to have the class.
        script: String,
        /// The class.
        class: String,
        /// The script that has it.
        from: String,
    },
    /// The data folder has other things in it.
    #[error("other users can read `{folder}`, and it holds files that are not Realgar's; name an empty folder")]
    SharedFolder {
        /// The folder.
        folder: PathBuf,
    },
    /// The administration Worker has no socket.
    #[error("the administration Worker was not started; this is a fault of Realgar")]
    NoAdmin,
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

/// Returns a function for `map_err` that adds to an I/O error what was tried on which file.
pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> EdgeError {
    let path = path.into();
    move |source| EdgeError::Io { action, path, source }
}

impl EdgeError {
    /// Whether an edit of the running Workers may resolve the error. Other errors need another command, with more Workers or
    /// another port.
    #[must_use]
    pub fn is_mended_by_an_edit(&self) -> bool {
        !matches!(
            self,
            Self::Listen { .. }
                | Self::DataInUse { .. }
                | Self::NoPort { .. }
                | Self::NoTarget { .. }
                | Self::DuplicateScript { .. }
                | Self::Unreadable { .. }
                | Self::SharedFolder { .. }
                | Self::Io { .. }
        )
    }
}
