//! Where the state of stacks is kept: the rows of resources, the journal of the run under way, and who is running.
//!
//! A run holds a *lease*, which it renews. Each lease has a token, and a store takes nothing from a run whose lease another one has
//! taken over: so a process that was stopped for a while and goes on later writes nothing.

use crate::{Event, Fqn, Row, RowError, Stack, moves};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// How long a lease lasts if it is not renewed, in milliseconds.
pub const LEASE_MS: u64 = 60_000;
/// How often a run renews its lease.
pub(crate) const RENEWAL: Duration = Duration::from_secs(10);

/// The time, for leases.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970.
    fn now_ms(&self) -> u64;
}

/// The clock of the system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

/// The state of a stack at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// What tells the stack from an earlier or a later one of the same name. Empty for a stack that has no state.
    pub birth: String,
    /// The number of the last event. Events are counted from 1, over all runs.
    pub serial: u64,
    /// The rows.
    pub rows: BTreeMap<Fqn, Row>,
}

impl Snapshot {
    /// Takes an event in. Stores call this for each event, and decide nothing about rows themselves.
    ///
    /// # Errors
    /// When the event cannot follow what is there. Then nothing changes.
    pub fn record(&mut self, event: &Event) -> Result<(), RowError> {
        let fqn = event.fqn();
        let serial = self.serial + 1;
        match Row::next(self.rows.get(fqn).cloned(), event, serial)? {
            Some(row) => self.rows.insert(fqn.clone(), row),
            None => self.rows.remove(fqn),
        };
        if let Event::Moved { fqn, from, .. } = event {
            moves::follow(&mut self.rows, from, fqn, serial);
        }
        self.serial = serial;
        Ok(())
    }
}

/// Who holds a lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holder {
    /// The user.
    pub user: String,
    /// The name of the machine.
    pub host: String,
    /// What tells the machine, since it was started, from all others: process numbers mean the same in it.
    pub machine: String,
    /// The process.
    pub process: u32,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}, process {}", self.user, self.host, self.process)
    }
}

/// A lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lease {
    /// The number of the lease. A later one has a higher number.
    pub token: u64,
    /// Who holds it.
    pub holder: Holder,
    /// When it was taken, in milliseconds since 1970.
    pub since_ms: u64,
    /// When it ends unless it is renewed, in milliseconds since 1970.
    pub until_ms: u64,
}

/// Keeps a run from calling Cloudflare when its lease may be over. The run sets how long its lease lasts, and whoever makes a call asks
/// right before.
#[derive(Clone)]
pub struct Fence {
    until_ms: Arc<AtomicU64>,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fence").field("until_ms", &self.until_ms).finish_non_exhaustive()
    }
}

impl Fence {
    /// A fence that lets nothing through until a run begins.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { until_ms: Arc::default(), clock }
    }

    /// Whether a call that may take as long as `longest` ends before the lease does.
    #[must_use]
    pub fn allows(&self, longest: Duration) -> bool {
        let longest = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
        self.clock.now_ms().saturating_add(longest) <= self.until_ms.load(Ordering::Acquire)
    }

    pub(crate) fn set(&self, until_ms: u64) {
        self.until_ms.store(until_ms, Ordering::Release);
    }
}

/// A place for the state of stacks. `tests/stores/one_file.rs` of this crate is an example of one, and `tests/stores/main.rs` what every
/// store has to pass.
pub trait Store: Send + Sync {
    /// Reads the state of `stack`, with what a run that was cut off has left in the journal. A stack without state has no rows.
    ///
    /// # Errors
    /// When anything that is there cannot be read.
    fn read(&self, stack: &Stack) -> Result<Snapshot, StoreError>;

    /// Takes the lease of `stack`, and begins to record a run. What an earlier run has left in the journal is put in order first. A
    /// lease that has not ended is taken over if it has the token `over`: the caller knows that its holder is dead.
    ///
    /// # Errors
    /// When another run holds the lease, or anything that is there cannot be read.
    fn begin(&self, stack: &Stack, holder: &Holder, over: Option<u64>) -> Result<Box<dyn Recording>, StoreError>;
}

/// The record of a run.
pub trait Recording: Send {
    /// The state with all events so far.
    fn snapshot(&self) -> &Snapshot;

    /// Records an event. When this returns, the event outlives a loss of power.
    ///
    /// # Errors
    /// When another run has taken the lease over, or the event cannot be written.
    fn append(&mut self, event: &Event) -> Result<(), StoreError>;

    /// Renews the lease, and returns when it ends now, in milliseconds since 1970.
    ///
    /// # Errors
    /// When another run has taken it over.
    fn renew(&mut self) -> Result<u64, StoreError>;

    /// Ends the run, and gives the lease back.
    ///
    /// # Errors
    /// When another run has taken the lease over, or the rows cannot be written. The journal then has all that is needed.
    fn finish(self: Box<Self>) -> Result<(), StoreError>;
}

/// Why the state cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another run is under way.
    #[error("another run holds the lease: {}", .0.holder)]
    Held(Lease),
    /// Another run has taken the lease over.
    #[error("this run was out of touch for too long, and another one has taken over: {0}")]
    Fenced(Holder),
    /// Something that is stored cannot be read.
    #[error("`{place}` cannot be read: {reason}")]
    Unreadable {
        /// The file or row.
        place: String,
        /// Why.
        reason: String,
    },
    /// Another process holds the files, and does not let go.
    #[error("another process holds `{}` and does not let go; was it stopped?", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// The journal and the rows do not belong together.
    #[error(transparent)]
    Row(#[from] RowError),
    /// A file cannot be read or written.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was to be done.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}
