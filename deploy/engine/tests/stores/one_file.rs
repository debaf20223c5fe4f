//! An example of a store of a user's own: each stack is one JSON file, which is written anew with every event.
//!
//! What a store has to do: keep events in their order, let [`Snapshot::record`] say what they make of the rows, and take nothing from
//! a run whose lease another one has. What it keeps has to be decoded strictly.

use realgar_engine::{Clock, Event, Holder, LEASE_MS, Lease, Recording, Row, Snapshot, Stack, Store, StoreError};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The store. Only one process uses it, so a mutex is all that runs need to exclude each other.
#[derive(Clone)]
pub(crate) struct OneFile {
    folder: PathBuf,
    clock: Arc<dyn Clock>,
    turn: Arc<Mutex<()>>,
}

/// What a file has.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    birth: String,
    serial: u64,
    rows: Vec<Row>,
    /// The last lease. One that was given back has ended.
    lease: Option<Lease>,
}

impl Content {
    fn snapshot(&self) -> Snapshot {
        let rows = self.rows.iter().map(|row| (row.fqn.clone(), row.clone())).collect();
        Snapshot { birth: self.birth.clone(), serial: self.serial, rows }
    }
}

impl OneFile {
    pub(crate) fn new(folder: &Path, clock: Arc<dyn Clock>) -> Self {
        Self { folder: folder.into(), clock, turn: Arc::default() }
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, stack: &Stack) -> PathBuf {
        self.folder.join(format!("{}+{}.json", stack.app(), stack.stage()))
    }
}

fn load(path: &Path) -> Result<Content, StoreError> {
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text)
            .map_err(|error| StoreError::Unreadable { place: path.display().to_string(), reason: error.to_string() }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Content::default()),
        Err(source) => Err(StoreError::Io { action: "read", path: path.into(), source }),
    }
}

fn save(path: &Path, content: &Content) -> Result<(), StoreError> {
    let fresh = path.with_extension("new");
    let write = || {
        let file = fs::File::create(&fresh)?;
        serde_json::to_writer(&file, content)?;
        file.sync_all()?;
        fs::rename(&fresh, path)
    };
    write().map_err(|source| StoreError::Io { action: "write", path: path.into(), source })
}

impl Store for OneFile {
    fn read(&self, stack: &Stack) -> Result<Snapshot, StoreError> {
        let _turn = self.turn();
        Ok(load(&self.path(stack))?.snapshot())
    }

    fn begin(&self, stack: &Stack, holder: &Holder, over: Option<u64>) -> Result<Box<dyn Recording>, StoreError> {
        let _turn = self.turn();
        let (path, now) = (self.path(stack), self.clock.now_ms());
        let mut content = load(&path)?;
        if let Some(lease) = content.lease.as_ref().filter(|lease| lease.until_ms > now && over != Some(lease.token)) {
            return Err(StoreError::Held(lease.clone()));
        }
        let token = content.lease.map_or(0, |lease| lease.token) + 1;
        content.lease = Some(Lease { token, holder: holder.clone(), since_ms: now, until_ms: now + LEASE_MS });
        if content.birth.is_empty() {
            content.birth = format!("{stack} at {now}, {}", std::process::id());
        }
        save(&path, &content)?;
        Ok(Box::new(Run { store: self.clone(), path, token, snapshot: content.snapshot() }))
    }
}

struct Run {
    store: OneFile,
    path: PathBuf,
    token: u64,
    snapshot: Snapshot,
}

impl Run {
    /// Changes the content, if this run still has the lease.
    fn change(&self, change: impl FnOnce(&mut Content, &mut Lease)) -> Result<(), StoreError> {
        let _turn = self.store.turn();
        let mut content = load(&self.path)?;
        match content.lease.take() {
            Some(mut lease) if lease.token == self.token => {
                change(&mut content, &mut lease);
                content.lease = Some(lease);
                save(&self.path, &content)
            }
            Some(lease) => Err(StoreError::Fenced(lease.holder)),
            None => Err(StoreError::Unreadable { place: self.path.display().to_string(), reason: "no lease".into() }),
        }
    }
}

impl Recording for Run {
    fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    fn append(&mut self, event: &Event) -> Result<(), StoreError> {
        let mut next = self.snapshot.clone();
        next.record(event)?;
        self.change(|content, _| {
            (content.serial, content.rows) = (next.serial, next.rows.values().cloned().collect());
        })?;
        self.snapshot = next;
        Ok(())
    }

    fn renew(&mut self) -> Result<u64, StoreError> {
        let until_ms = self.store.clock.now_ms() + LEASE_MS;
        self.change(|_, lease| lease.until_ms = until_ms)?;
        Ok(until_ms)
    }

    fn finish(self: Box<Self>) -> Result<(), StoreError> {
        self.change(|_, lease| lease.until_ms = 0)
    }
}
