//! A store in local files: `ROOT/APP/STAGE/`, with a file for each row. Only their owner can read them.
//!
//! A run appends its events to the journal, each of which is on the disk before the call it announces is made. The rows are written
//! when the run is over. Until then, and after a run that was cut off, the state is the rows with the events of the journal put on
//! top. The number in `.stack.json` says which events are in the rows, so nothing is put on top twice.

use crate::{
    Clock, Event, Fqn, Holder, Lease, ROW_SCHEMA, Recording, Row, Snapshot, Stack, Store, StoreError, moves,
    store::LEASE_MS,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, File, TryLockError},
    io::{ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

/// The version of the format of the folder, in `.stack.json`.
const FOLDER_SCHEMA: u32 = 1;
/// The files of a stack besides its rows. No row's file begins with a dot.
const HEAD: &str = ".stack.json";
const JOURNAL: &str = ".journal";
const LEASE_FILE: &str = ".lease.json";
const LOCK: &str = ".lock";
/// How often, and after which pauses, a lock is tried that another process holds. A process that was stopped may hold it for ever.
const LOCK_ATTEMPTS: u32 = 600;
const LOCK_PAUSE: Duration = Duration::from_millis(50);
/// The longest name of a row's file that is made of its FQN alone, in bytes. File systems allow 255.
const FILE_NAME_MAX: usize = 200;

/// A store in local files.
#[derive(Clone)]
pub struct FileStore {
    root: PathBuf,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore").field("root", &self.root).finish_non_exhaustive()
    }
}

impl FileStore {
    /// The store in the folder `root`, which need not exist.
    #[must_use]
    pub fn new(root: PathBuf, clock: Arc<dyn Clock>) -> Self {
        Self { root, clock }
    }

    fn folder(&self, stack: &Stack) -> PathBuf {
        self.root.join(stack.app()).join(stack.stage())
    }
}

impl FileStore {
    /// The stacks that have a state here.
    ///
    /// # Errors
    /// When the folders cannot be read.
    pub fn stacks(&self) -> Result<Vec<Stack>, StoreError> {
        let mut stacks = Vec::new();
        for app in folders(&self.root)? {
            for stage in folders(&self.root.join(&app))? {
                let is_one = self.root.join(&app).join(&stage).join(HEAD).is_file();
                stacks.extend(Stack::new(&app, &stage).ok().filter(|_| is_one));
            }
        }
        stacks.sort();
        Ok(stacks)
    }
}

/// The names of the folders in `folder`, which need not exist.
fn folders(folder: &Path) -> Result<Vec<String>, StoreError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io("read", folder)(error)),
    };
    let names = entries.map(|entry| Ok(entry.map_err(io("read", folder))?.file_name().to_string_lossy().into_owned()));
    let names = names.collect::<Result<Vec<_>, StoreError>>()?;
    Ok(names.into_iter().filter(|name| folder.join(name).is_dir()).collect())
}

/// What `.stack.json` has.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    schema: u32,
    birth: String,
    /// The number of the last event that is in the rows.
    serial: u64,
}

/// A line of the journal.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    serial: u64,
    /// The lease of the run that wrote it.
    token: u64,
    event: Event,
}

impl Store for FileStore {
    fn read(&self, stack: &Stack) -> Result<Snapshot, StoreError> {
        let folder = self.folder(stack);
        // A run that ends meanwhile moves events from the journal to the rows.
        let _lock = if folder.is_dir() { Some(lock(&folder)?) } else { None };
        Ok(read(&folder)?.snapshot)
    }

    fn begin(&self, stack: &Stack, holder: &Holder, over: Option<u64>) -> Result<Box<dyn Recording>, StoreError> {
        let folder = self.folder(stack);
        create_folder(&folder)?;
        let lock = lock(&folder)?;
        let now = self.clock.now_ms();
        let last: Option<Lease> = read_json(&folder.join(LEASE_FILE))?;
        if let Some(lease) = last.as_ref().filter(|lease| lease.until_ms > now && over != Some(lease.token)) {
            return Err(StoreError::Held(lease.clone()));
        }
        let lease = Lease {
            token: last.map_or(0, |lease| lease.token) + 1,
            holder: holder.clone(),
            since_ms: now,
            until_ms: now + LEASE_MS,
        };
        let mut stored = read(&folder)?;
        if stored.snapshot.birth.is_empty() {
            stored.snapshot.birth = random_id()?;
        }
        write_json(&folder.join(LEASE_FILE), &lease)?;
        let mut run = Run { folder, clock: self.clock.clone(), lease, stored };
        run.put_in_order()?;
        drop(lock);
        Ok(Box::new(run))
    }
}

/// The state as it is in files.
struct Stored {
    snapshot: Snapshot,
    /// The numbers of the last events that are in the files of rows.
    files: BTreeMap<Fqn, u64>,
}

struct Run {
    folder: PathBuf,
    clock: Arc<dyn Clock>,
    lease: Lease,
    stored: Stored,
}

impl Run {
    /// Checks that no other run has taken the lease over. To be called with the lock.
    fn check(&self) -> Result<(), StoreError> {
        match read_json::<Lease>(&self.folder.join(LEASE_FILE))? {
            Some(lease) if lease.token == self.lease.token => Ok(()),
            Some(lease) => Err(StoreError::Fenced(lease.holder)),
            None => Err(StoreError::Fenced(self.lease.holder.clone())),
        }
    }

    /// Writes the rows that have changed, and empties the journal. To be called with the lock.
    fn put_in_order(&mut self) -> Result<(), StoreError> {
        let Stored { snapshot, files } = &mut self.stored;
        for (fqn, row) in &snapshot.rows {
            if files.insert(fqn.clone(), row.serial) != Some(row.serial) {
                write_json(&self.folder.join(file_name(fqn)), row)?;
            }
        }
        let head = Head { schema: FOLDER_SCHEMA, birth: snapshot.birth.clone(), serial: snapshot.serial };
        // From here on, the events of the journal count as done.
        write_json(&self.folder.join(HEAD), &head)?;
        let gone: Vec<Fqn> = files.keys().filter(|fqn| !snapshot.rows.contains_key(fqn)).cloned().collect();
        for fqn in gone {
            let path = self.folder.join(file_name(&fqn));
            fs::remove_file(&path).map_err(io("remove", &path))?;
            files.remove(&fqn);
        }
        sync_folder(&self.folder)?;
        let journal = self.folder.join(JOURNAL);
        create(&journal, false)?.sync_all().map_err(io("empty", &journal))
    }
}

impl Recording for Run {
    fn snapshot(&self) -> &Snapshot {
        &self.stored.snapshot
    }

    fn append(&mut self, event: &Event) -> Result<(), StoreError> {
        let _lock = lock(&self.folder)?;
        self.check()?;
        let path = self.folder.join(JOURNAL);
        let failed = |error: serde_json::Error| io("write", &path)(error.into());
        let line = Line { serial: self.stored.snapshot.serial + 1, token: self.lease.token, event: event.clone() };
        let mut text = serde_json::to_vec(&line).map_err(failed)?;
        text.push(b'\n');
        self.stored.snapshot.record(event)?;
        let mut journal = create(&path, true)?;
        let written = journal.metadata().map_err(io("read", &path))?.len();
        journal.write_all(&text).and_then(|()| journal.sync_data()).map_err(|error| {
            // Half a line would make the lines after it unreadable. If it cannot be cut off either, the disk is gone.
            let _ = journal.set_len(written);
            io("write", &path)(error)
        })
    }

    fn renew(&mut self) -> Result<u64, StoreError> {
        let _lock = lock(&self.folder)?;
        self.check()?;
        self.lease.until_ms = self.clock.now_ms() + LEASE_MS;
        write_json(&self.folder.join(LEASE_FILE), &self.lease)?;
        Ok(self.lease.until_ms)
    }

    fn finish(mut self: Box<Self>) -> Result<(), StoreError> {
        let _lock = lock(&self.folder)?;
        self.check()?;
        self.put_in_order()?;
        // The token stays, so that the next lease has a higher one.
        self.lease.until_ms = 0;
        write_json(&self.folder.join(LEASE_FILE), &self.lease)
    }
}

/// Reads the rows in `folder`, and puts the events of the journal on top.
fn read(folder: &Path) -> Result<Stored, StoreError> {
    let head: Option<Head> = read_json(&folder.join(HEAD))?;
    if let Some(head) = head.as_ref().filter(|head| head.schema != FOLDER_SCHEMA) {
        let reason = format!("it has the schema {}, and this version knows {FOLDER_SCHEMA}", head.schema);
        return Err(StoreError::Unreadable { place: folder.join(HEAD).display().to_string(), reason });
    }
    let mut rows = read_rows(folder)?;
    let files = rows.iter().map(|(fqn, row)| (fqn.clone(), row.serial)).collect();
    let (birth, folded) = head.map_or_else(Default::default, |head| (head.birth, head.serial));
    let mut serial = folded;
    for Line { serial: number, event, .. } in read_journal(&folder.join(JOURNAL))? {
        let fqn = event.fqn();
        let row = rows.remove(fqn);
        // A row's file is written before the events count as done, and removed after that.
        let row = match row {
            Some(row) if row.serial >= number => Some(row),
            _ if matches!(event, Event::Gone { .. }) => None,
            None if number <= folded => None,
            row => Row::next(row, &event, number)?,
        };
        rows.extend(row.map(|row| (fqn.clone(), row)));
        if let Event::Moved { fqn, from, .. } = &event {
            moves::follow(&mut rows, from, fqn, number);
        }
        serial = serial.max(number);
    }
    Ok(Stored { snapshot: Snapshot { birth, serial, rows }, files })
}

fn read_rows(folder: &Path) -> Result<BTreeMap<Fqn, Row>, StoreError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(io("read", folder)(error)),
    };
    let mut rows = BTreeMap::new();
    for entry in entries {
        let path = entry.map_err(io("read", folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') || path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let unreadable = |reason: String| StoreError::Unreadable { place: path.display().to_string(), reason };
        let row: Row = read_json(&path)?.ok_or_else(|| unreadable("it vanished".into()))?;
        if row.schema != ROW_SCHEMA {
            let reason = format!("it has the schema {}, and this version knows {ROW_SCHEMA}", row.schema);
            return Err(unreadable(reason));
        }
        if file_name(&row.fqn) != name {
            return Err(unreadable(format!("it has the row of `{}`, whose file has another name", row.fqn)));
        }
        rows.insert(row.fqn.clone(), row);
    }
    Ok(rows)
}

/// Reads the journal. A last line without an end was never confirmed, so nothing was done that it announces.
fn read_journal(path: &Path) -> Result<Vec<Line>, StoreError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io("read", path)(error)),
    };
    let confirmed = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let mut lines = Vec::new();
    for (index, line) in text[..confirmed].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).enumerate() {
        let unreadable = |error: serde_json::Error| StoreError::Unreadable {
            place: format!("{}, line {}", path.display(), index + 1),
            reason: error.to_string(),
        };
        lines.push(serde_json::from_slice(line).map_err(unreadable)?);
    }
    Ok(lines)
}

/// The name of the file of a row. Nothing in an FQN leads out of the folder, and two FQNs have two files, also where the file system
/// does not tell capitals from small letters.
fn file_name(fqn: &Fqn) -> String {
    let mut name = String::new();
    for (index, byte) in fqn.as_str().bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => name.push(char::from(byte)),
            b'.' if index > 0 => name.push('.'),
            _ => name.push_str(&format!("%{byte:02X}")),
        }
    }
    if name.len() > FILE_NAME_MAX || fqn.as_str().bytes().any(|byte| byte.is_ascii_uppercase()) {
        let digest = Sha256::digest(fqn.as_str());
        let digest: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        name.truncate(FILE_NAME_MAX - digest.len() - 1);
        name = format!("{name}~{digest}");
    }
    name + ".json"
}

fn random_id() -> Result<String, StoreError> {
    let path = Path::new("/dev/urandom");
    let mut bytes = [0; 16];
    File::open(path).and_then(|mut file| file.read_exact(&mut bytes)).map_err(io("read", path))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Keeps other processes from reading or writing the stack in `folder` for as long as the result lives.
fn lock(folder: &Path) -> Result<File, StoreError> {
    let path = folder.join(LOCK);
    let file = create(&path, true)?;
    for _ in 0..LOCK_ATTEMPTS {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            // It is held for as long as a write takes.
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(error)) => return Err(io("lock", &path)(error)),
        }
    }
    Err(StoreError::Locked { path })
}

fn create_folder(folder: &Path) -> Result<(), StoreError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io("create", folder))
}

/// Opens a file that only its owner can read, to append to it or to write it anew.
fn create(path: &Path, append: bool) -> Result<File, StoreError> {
    let mut options = File::options();
    options.create(true).mode(0o600);
    if append {
        options.append(true)
    } else {
        options.write(true).truncate(true)
    };
    options.open(path).map_err(io("create", path))
}

/// Reads a file that need not exist. One that exists and cannot be read is an error: it is never "nothing".
fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StoreError> {
    let unreadable = |error: serde_json::Error| StoreError::Unreadable {
        place: path.display().to_string(),
        reason: error.to_string(),
    };
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(unreadable),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io("read", path)(error)),
    }
}

/// Writes a file in one step: whoever reads it finds the old content or the new one, even after a loss of power.
fn write_json(path: &Path, content: &impl Serialize) -> Result<(), StoreError> {
    let failed = |error: serde_json::Error| io("write", path)(error.into());
    let mut text = serde_json::to_vec_pretty(content).map_err(failed)?;
    text.push(b'\n');
    let fresh = path.with_extension("new");
    let mut file = create(&fresh, false)?;
    file.write_all(&text).and_then(|()| file.sync_all()).map_err(io("write", &fresh))?;
    fs::rename(&fresh, path).map_err(io("write", path))?;
    path.parent().map_or(Ok(()), sync_folder)
}

fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io("write", folder))
}

fn io(action: &'static str, path: &Path) -> impl Fn(std::io::Error) -> StoreError {
    let path = path.to_path_buf();
    move |source| StoreError::Io { action, path: path.clone(), source }
}
