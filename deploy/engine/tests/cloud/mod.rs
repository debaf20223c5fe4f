//! A cloud that is simulated: objects in memory, three kinds of them, and a process that dies when the test says so.
//!
//! It is no kinder than Cloudflare: a name can be taken once, what is referred to cannot be deleted, and a reference to what does not
//! exist is refused.

use realgar_engine::{
    Clock, Data, Event, Facts, Failure, FailureKind, Found, Fqn, Holder, Kind, Kinds, Name, NameRule, OUTPUT, Output,
    Recorded, Recording, Recovery, Snapshot, Stack, Store, StoreError, Wanted,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// What dies, and when: the process of a run, at the n-th of the points at which it can die.
#[derive(Debug, Default)]
pub(crate) struct Reaper {
    points: AtomicU64,
    /// The point at which it dies. 0 for never.
    at: u64,
}

impl Reaper {
    pub(crate) fn never() -> Arc<Self> {
        Arc::new(Self::default())
    }

    pub(crate) fn at(point: u64) -> Arc<Self> {
        Arc::new(Self { points: AtomicU64::new(0), at: point })
    }

    /// How many points there were.
    pub(crate) fn points(&self) -> u64 {
        self.points.load(Ordering::SeqCst)
    }

    /// Passes a point. Returns whether the process is dead: it stays so.
    fn passes(&self) -> bool {
        let point = self.points.fetch_add(1, Ordering::SeqCst) + 1;
        self.at != 0 && point >= self.at
    }
}

/// An object in the cloud.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) id: String,
    pub(crate) props: Data,
    /// The mark of the resource that made it.
    pub(crate) mark: String,
}

/// All objects, by kind and name, and all changing calls that had an effect.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cloud(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
pub(crate) struct Inner {
    pub(crate) objects: BTreeMap<(&'static str, String), Object>,
    pub(crate) log: Vec<String>,
    ids: u64,
}

impl Cloud {
    pub(crate) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The names of all objects.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        self.inner().objects.keys().map(|(kind, name)| format!("{kind} {name}")).collect()
    }

    /// The kinds, for one process.
    pub(crate) fn kinds(&self, reaper: &Arc<Reaper>) -> Kinds {
        let one = |kind, title| Simulated { cloud: self.clone(), reaper: reaper.clone(), kind, title };
        Kinds::default().with(one("store", "store")).with(one("service", "service")).with(one("setting", "setting"))
    }
}

/// The properties of all three kinds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Props {
    /// Something that can be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) size: Option<u32>,
    /// Something that cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) place: Option<String>,
    /// The ids or names of other objects, which have to exist.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) uses: Vec<Output<String>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Attributes {
    pub(crate) id: String,
    pub(crate) name: String,
}

struct Simulated {
    cloud: Cloud,
    reaper: Arc<Reaper>,
    kind: &'static str,
    title: &'static str,
}

fn dead() -> Failure {
    Failure::new(FailureKind::Unanswered, "the process is dead")
}

fn refused(message: String) -> Failure {
    Failure::new(FailureKind::Refused, message)
}

impl Simulated {
    /// Makes a changing call. The process may die before it is sent, and before the answer is read.
    fn call<T>(&self, change: impl FnOnce(&mut Inner) -> Result<T, Failure>) -> Result<T, Failure> {
        if self.reaper.passes() {
            return Err(dead());
        }
        let answer = change(&mut self.cloud.inner());
        if self.reaper.passes() { Err(dead()) } else { answer }
    }

    fn found(&self, name: &str, object: &Object, mark: &str) -> Found<Attributes> {
        let effective = json!({ "size": object.props["size"] });
        let attributes = Attributes { id: object.id.clone(), name: name.into() };
        Found::new(attributes, effective, object.mark == mark)
    }

    fn check_uses(inner: &Inner, props: &Props) -> Result<(), Failure> {
        for used in &props.uses {
            let id = used.known().map_err(|error| refused(error.to_string()))?;
            if !inner.objects.iter().any(|((_, name), object)| object.id == *id || name == id) {
                return Err(refused(format!("there is no object `{id}`")));
            }
        }
        Ok(())
    }
}

impl Kind for Simulated {
    type Props = Props;
    type Attributes = Attributes;

    fn name(&self) -> &'static str {
        self.kind
    }

    fn facts(&self) -> Facts {
        Facts {
            title: self.title,
            rule: NameRule { length_max: 40, capitals: false, underscores: false },
            recovery: Recovery::Named,
            replacing: &["place"],
            side_by_side: self.kind != "setting",
            stable: &["id", "name"],
            holds_data: |props: &Data| !props["place"].is_null(),
            dies_with_parent: true,
            restarts: false,
            has_users: false,
            is_shared: self.kind == "store",
        }
    }

    fn find(&self, wanted: &[Wanted<Props, Attributes>]) -> Result<Vec<Option<Found<Attributes>>>, Failure> {
        let inner = self.cloud.inner();
        let find = |wanted: &Wanted<Props, Attributes>| {
            let object = inner.objects.get(&(self.kind, wanted.name.text.clone()))?;
            let found = self.found(&wanted.name.text, object, wanted.fqn.as_str());
            let is_known = wanted.attributes.as_ref().map(|known| known.id == object.id);
            let ours = wanted.adopted || is_known.unwrap_or(found.ours);
            Some(Found { ours, ..found })
        };
        Ok(wanted.iter().map(find).collect())
    }

    fn create(&self, wanted: &Wanted<Props, Attributes>) -> Result<Found<Attributes>, Failure> {
        let props = wanted.props.clone().unwrap_or_default();
        self.call(|inner| {
            Self::check_uses(inner, &props)?;
            let key = (self.kind, wanted.name.text.clone());
            if inner.objects.contains_key(&key) {
                return Err(refused(format!("`{}` exists", wanted.name)));
            }
            inner.ids += 1;
            let id = format!("id{}", inner.ids);
            let props = serde_json::to_value(&props).expect("properties are JSON");
            let object = Object { id, props, mark: wanted.fqn.to_string() };
            inner.log.push(format!("create {}", wanted.fqn));
            let found = self.found(&wanted.name.text, &object, wanted.fqn.as_str());
            inner.objects.insert(key, object);
            Ok(found)
        })
    }

    fn update(&self, recorded: &Recorded<Props, Attributes>, props: &Props) -> Result<Found<Attributes>, Failure> {
        self.call(|inner| {
            Self::check_uses(inner, props)?;
            inner.log.push(format!("update {}", recorded.fqn));
            let key = (self.kind, recorded.name.text.clone());
            let object =
                inner.objects.get_mut(&key).ok_or_else(|| refused(format!("`{}` does not exist", recorded.name)))?;
            object.props = serde_json::to_value(props).expect("properties are JSON");
            object.mark = recorded.fqn.to_string();
            let object = object.clone();
            Ok(self.found(&recorded.name.text, &object, recorded.fqn.as_str()))
        })
    }

    fn without(&self, props: &Data, others: &BTreeMap<Fqn, Name>) -> Option<Data> {
        if self.kind != "service" {
            return None;
        }
        let mut props = props.clone();
        let is_other =
            |used: &Data| others.iter().any(|(fqn, name)| *used == name.text || used[OUTPUT]["of"] == fqn.as_str());
        props["uses"].as_array_mut()?.retain(|used| !is_other(used));
        Some(props)
    }

    fn delete(&self, recorded: &Recorded<Props, Attributes>) -> Result<(), Failure> {
        self.call(|inner| {
            let key = (self.kind, recorded.name.text.clone());
            let Some(object) = inner.objects.get(&key).cloned() else { return Ok(()) };
            let prefix = format!("{}/", object.mark);
            let uses = |other: &Object| {
                let uses = other.props["uses"].as_array();
                !other.mark.starts_with(&prefix)
                    && uses.is_some_and(|uses| uses.iter().any(|id| *id == object.id || *id == key.1))
            };
            if let Some((user, _)) = inner.objects.iter().find(|(_, other)| uses(other)) {
                return Err(refused(format!("`{}` is in use by `{}`", recorded.name, user.1)));
            }
            inner.log.push(format!("delete {}", recorded.fqn));
            inner.objects.remove(&key);
            // What belongs to it goes with it.
            inner.objects.retain(|_, other| !other.mark.starts_with(&prefix));
            Ok(())
        })
    }
}

/// A store whose process may die before each write, and after it.
pub(crate) struct Dying<S> {
    pub(crate) store: S,
    pub(crate) reaper: Arc<Reaper>,
}

struct DyingRun {
    run: Box<dyn Recording>,
    reaper: Arc<Reaper>,
}

fn killed() -> StoreError {
    StoreError::Io { action: "write", path: PathBuf::from("state"), source: io::Error::other("the process is dead") }
}

impl<S: Store> Store for Dying<S> {
    fn read(&self, stack: &Stack) -> Result<Snapshot, StoreError> {
        self.store.read(stack)
    }

    fn begin(&self, stack: &Stack, holder: &Holder, over: Option<u64>) -> Result<Box<dyn Recording>, StoreError> {
        if self.reaper.passes() {
            return Err(killed());
        }
        let run = self.store.begin(stack, holder, over)?;
        if self.reaper.passes() {
            return Err(killed());
        }
        Ok(Box::new(DyingRun { run, reaper: self.reaper.clone() }))
    }
}

impl Recording for DyingRun {
    fn snapshot(&self) -> &Snapshot {
        self.run.snapshot()
    }

    fn append(&mut self, event: &Event) -> Result<(), StoreError> {
        if self.reaper.passes() {
            return Err(killed());
        }
        self.run.append(event)?;
        if self.reaper.passes() { Err(killed()) } else { Ok(()) }
    }

    fn renew(&mut self) -> Result<u64, StoreError> {
        self.run.renew()
    }

    fn finish(self: Box<Self>) -> Result<(), StoreError> {
        if self.reaper.passes() {
            return Err(killed());
        }
        self.run.finish()?;
        if self.reaper.passes() { Err(killed()) } else { Ok(()) }
    }
}

/// A clock that the test moves.
#[derive(Debug, Default)]
pub(crate) struct TestClock(AtomicU64);

impl TestClock {
    pub(crate) fn advance(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}
