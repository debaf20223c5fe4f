//! What every store has to pass, tried on all of them; and the formats that are kept for ever.
#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod one_file;

use one_file::OneFile;
use realgar_engine::{
    Clock, Event, FileStore, Fqn, Holder, Intent, LEASE_MS, MemoryStore, Name, Origin, Policy, Recording, Row,
    Snapshot, Stack, Status, Store, StoreError,
};
use serde_json::json;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

#[derive(Default)]
struct TestClock(AtomicU64);

impl Clock for TestClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl TestClock {
    fn advance(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("stores-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Tries `check` on each store.
fn on_each(name: &str, check: fn(&dyn Store, &TestClock)) {
    let clock = Arc::new(TestClock(AtomicU64::new(1)));
    check(&MemoryStore::new(clock.clone()), &clock);
    check(&FileStore::new(folder(name).join("files"), clock.clone()), &clock);
    check(&OneFile::new(&folder(&format!("{name}-one")), clock.clone()), &clock);
}

fn stack() -> Stack {
    Stack::new("app", "dev").unwrap()
}

fn holder(user: &str) -> Holder {
    Holder { user: user.into(), host: "here".into(), machine: "1".into(), process: 1 }
}

fn begin(store: &dyn Store, user: &str) -> Result<Box<dyn Recording>, StoreError> {
    store.begin(&stack(), &holder(user), None)
}

fn intended(fqn: &str) -> Event {
    let intent = Intent {
        named: None,
        kind: "thing".into(),
        instance: "1".into(),
        generation: 0,
        replaces: false,
        name: Name { text: fqn.into(), pinned: false },
        origin: Origin::Created,
        desired: json!({ "size": 1 }),
        needs: BTreeSet::new(),
        parent: None,
        policy: Policy::Delete,
    };
    Event::Intended { fqn: Fqn::new(fqn).unwrap(), intent: Box::new(intent) }
}

fn effected(fqn: &str) -> Event {
    Event::Effected { fqn: Fqn::new(fqn).unwrap(), attributes: json!({ "id": "x" }), effective: json!({}) }
}

fn gone(fqn: &str) -> Event {
    Event::Gone { fqn: Fqn::new(fqn).unwrap() }
}

#[test]
fn what_was_appended_is_read_by_everybody_and_outlives_a_run_without_an_end() {
    on_each("appended", |store, clock| {
        assert_eq!(store.read(&stack()).unwrap(), Snapshot::default());
        let mut run = begin(store, "ada").unwrap();
        let birth = run.snapshot().birth.clone();
        assert!(!birth.is_empty());
        for event in [intended("a"), effected("a"), intended("b")] {
            run.append(&event).unwrap();
            assert_eq!(store.read(&stack()).unwrap(), *run.snapshot());
        }
        drop(run);
        clock.advance(LEASE_MS);
        let mut run = begin(store, "ada").unwrap();
        let Snapshot { birth: same, serial, rows } = run.snapshot().clone();
        assert_eq!((same, serial, rows.len()), (birth, 3, 2));
        let statuses: Vec<Status> = rows.values().map(|row| row.status).collect();
        assert_eq!(statuses, [Status::Created, Status::Creating]);
        run.append(&gone("a")).unwrap();
        let last = run.snapshot().clone();
        run.finish().unwrap();
        assert_eq!(store.read(&stack()).unwrap(), last);
        assert_eq!((last.serial, last.rows.len()), (4, 1));
    });
}

#[test]
fn a_lease_excludes_others_until_it_ends_or_is_given_back() {
    on_each("lease", |store, clock| {
        let mut run = begin(store, "ada").unwrap();
        let Err(StoreError::Held(lease)) = begin(store, "bob") else { panic!("the lease is held") };
        assert_eq!((&lease.holder, lease.until_ms), (&holder("ada"), clock.now_ms() + LEASE_MS));
        clock.advance(LEASE_MS - 1);
        assert_eq!(run.renew().unwrap(), clock.now_ms() + LEASE_MS);
        clock.advance(LEASE_MS - 1);
        assert!(matches!(begin(store, "bob"), Err(StoreError::Held(_))));
        run.finish().unwrap();
        let run = begin(store, "bob").unwrap();
        let Err(StoreError::Held(next)) = begin(store, "ada") else { panic!("the lease is held") };
        assert!(next.token > lease.token, "a later lease has a higher number");
        // Another stack has a lease of its own.
        store.begin(&Stack::new("app", "prod").unwrap(), &holder("ada"), None).unwrap().finish().unwrap();
        run.finish().unwrap();
    });
}

#[test]
fn nothing_is_taken_from_a_run_whose_lease_was_taken_over() {
    on_each("fenced", |store, clock| {
        let mut first = begin(store, "ada").unwrap();
        first.append(&intended("a")).unwrap();
        clock.advance(LEASE_MS);
        let second = begin(store, "bob").unwrap();
        let before = store.read(&stack()).unwrap();
        assert!(matches!(first.append(&effected("a")), Err(StoreError::Fenced(by)) if by == holder("bob")));
        assert!(matches!(first.renew(), Err(StoreError::Fenced(_))));
        assert!(matches!(first.finish(), Err(StoreError::Fenced(_))));
        assert_eq!(store.read(&stack()).unwrap(), before);
        // Of a holder that is known to be dead, the lease is taken at once; a number that is out of date does not do.
        let Err(StoreError::Held(lease)) = begin(store, "ada") else { panic!("the lease is held") };
        assert!(matches!(store.begin(&stack(), &holder("ada"), Some(lease.token - 1)), Err(StoreError::Held(_))));
        let third = store.begin(&stack(), &holder("ada"), Some(lease.token)).unwrap();
        assert!(matches!(second.finish(), Err(StoreError::Fenced(_))));
        third.finish().unwrap();
    });
}

#[test]
fn an_event_that_cannot_follow_changes_nothing() {
    on_each("order", |store, _| {
        let mut run = begin(store, "ada").unwrap();
        assert!(matches!(run.append(&effected("a")), Err(StoreError::Row(_))));
        run.append(&intended("a")).unwrap();
        run.append(&effected("a")).unwrap();
        assert!(matches!(run.append(&effected("a")), Err(StoreError::Row(_))));
        assert_eq!((run.snapshot().serial, store.read(&stack()).unwrap().serial), (2, 2));
        run.append(&gone("a")).unwrap();
        run.finish().unwrap();
        assert_eq!(store.read(&stack()).unwrap().rows.len(), 0);
    });
}

#[test]
fn every_name_is_a_row_of_its_own() {
    on_each("names", |store, _| {
        let long = "x".repeat(128);
        let names =
            ["a", "A", "a/b", "a%2Fb", "..", ".stack", "ä ö", "consumer of x", &[long.as_str(); 16].join("/"), "CON"];
        let mut run = begin(store, "ada").unwrap();
        for name in names {
            run.append(&intended(name)).unwrap();
        }
        run.finish().unwrap();
        let rows = store.read(&stack()).unwrap().rows;
        assert!(names.iter().all(|name| rows.contains_key(&Fqn::new(*name).unwrap())));
        assert_eq!(rows.len(), names.len());
    });
}

#[test]
fn of_32_that_begin_at_once_one_does() {
    on_each("32", |store, _| {
        let won = thread::scope(|scope| {
            let runs: Vec<_> = (0..32).map(|_| scope.spawn(|| begin(store, "ada"))).collect();
            runs.into_iter().map(|run| run.join().unwrap()).filter(Result::is_ok).count()
        });
        assert_eq!(won, 1);
    });
}

/// A folder of the first format, with rows in every status and a journal with every event. It is never changed: whoever changes the
/// format adds another folder beside it.
const FIRST: &str = "tests/stores/format-1";

#[test]
fn the_first_format_is_read_for_ever() {
    let root = folder("format");
    let to = root.join("app/dev");
    fs::create_dir_all(&to).unwrap();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(FIRST)).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap().to_string_lossy().replacen("dot", "", 1))).unwrap();
    }
    let store = FileStore::new(root, Arc::new(TestClock::default()));
    let Snapshot { birth, serial, rows } = store.read(&stack()).unwrap();
    let statuses: Vec<String> = rows.values().map(|row| format!("{} {:?}", row.fqn, row.status)).collect();
    let expected = [
        "d1/Data Created",
        "deleting Deleting",
        "fresh Creating",
        "full Updated",
        "noted Created",
        "refused Updated",
        "replaced Replaced",
        "replacing Replacing",
        "updating Updating",
    ];
    assert_eq!((birth.as_str(), serial, statuses), ("5b0c", 31, expected.map(String::from).to_vec()));
    let full: &Row = &rows[&Fqn::new("full").unwrap()];
    assert_eq!((full.generation, full.policy, full.origin), (2, Policy::Retain, Origin::Adopted));
    assert_eq!((&full.desired, &full.effective["size"], &full.failure), (&json!({ "size": 3 }), &json!(3), &None));
    assert_eq!(rows[&Fqn::new("refused").unwrap()].failure.as_deref(), Some("it was refused"));
    assert_eq!(rows[&Fqn::new("replaced").unwrap()].replaced.len(), 1);
    assert!(full.name.pinned && full.parent.is_some() && !full.needs.is_empty());
    // It is written again as it was.
    for row in rows.values() {
        assert_eq!(serde_json::from_value::<Row>(serde_json::to_value(row).unwrap()).unwrap(), *row);
    }
}
