//! A store in memory, for tests. It may begin with rows.

use crate::{Clock, Event, Holder, Lease, Recording, Row, Snapshot, Stack, Store, StoreError, store::LEASE_MS};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A store in memory.
#[derive(Clone)]
pub struct MemoryStore {
    stacks: Arc<Mutex<BTreeMap<Stack, Entry>>>,
    clock: Arc<dyn Clock>,
}

#[derive(Clone, Debug, Default)]
struct Entry {
    snapshot: Snapshot,
    /// The token of the last lease.
    token: u64,
    lease: Option<Lease>,
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { stacks: Arc::default(), clock }
    }

    /// Gives `stack` these rows, as if a run had made them.
    #[must_use]
    pub fn with(self, stack: &Stack, rows: impl IntoIterator<Item = Row>) -> Self {
        let rows: BTreeMap<_, _> = rows.into_iter().map(|row| (row.fqn.clone(), row)).collect();
        let serial = rows.values().map(|row| row.serial).max().unwrap_or(0);
        let snapshot = Snapshot { birth: birth(stack), serial, rows };
        self.entries().insert(stack.clone(), Entry { snapshot, ..Entry::default() });
        self
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<Stack, Entry>> {
        self.stacks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// There is one process with this store, so a stack is born once.
fn birth(stack: &Stack) -> String {
    format!("memory-{stack}")
}

impl Store for MemoryStore {
    fn read(&self, stack: &Stack) -> Result<Snapshot, StoreError> {
        Ok(self.entries().get(stack).map(|entry| entry.snapshot.clone()).unwrap_or_default())
    }

    fn begin(&self, stack: &Stack, holder: &Holder, over: Option<u64>) -> Result<Box<dyn Recording>, StoreError> {
        let now = self.clock.now_ms();
        let mut entries = self.entries();
        let entry = entries.entry(stack.clone()).or_default();
        if let Some(lease) = entry.lease.as_ref().filter(|lease| lease.until_ms > now && over != Some(lease.token)) {
            return Err(StoreError::Held(lease.clone()));
        }
        entry.token += 1;
        let until_ms = now + LEASE_MS;
        entry.lease = Some(Lease { token: entry.token, holder: holder.clone(), since_ms: now, until_ms });
        if entry.snapshot.birth.is_empty() {
            entry.snapshot.birth = birth(stack);
        }
        let run =
            Run { store: self.clone(), stack: stack.clone(), token: entry.token, snapshot: entry.snapshot.clone() };
        Ok(Box::new(run))
    }
}

struct Run {
    store: MemoryStore,
    stack: Stack,
    token: u64,
    snapshot: Snapshot,
}

impl Run {
    fn with<T>(&self, change: impl FnOnce(&mut Entry) -> T) -> Result<T, StoreError> {
        let mut entries = self.store.entries();
        let entry = entries.entry(self.stack.clone()).or_default();
        match &entry.lease {
            Some(lease) if lease.token != self.token => Err(StoreError::Fenced(lease.holder.clone())),
            _ => Ok(change(entry)),
        }
    }
}

impl Recording for Run {
    fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    fn append(&mut self, event: &Event) -> Result<(), StoreError> {
        self.with(|entry| entry.snapshot.record(event))??;
        Ok(self.snapshot.record(event)?)
    }

    fn renew(&mut self) -> Result<u64, StoreError> {
        let until_ms = self.store.clock.now_ms() + LEASE_MS;
        self.with(|entry| entry.lease.iter_mut().for_each(|lease| lease.until_ms = until_ms))?;
        Ok(until_ms)
    }

    fn finish(self: Box<Self>) -> Result<(), StoreError> {
        self.with(|entry| entry.lease = None)
    }
}
