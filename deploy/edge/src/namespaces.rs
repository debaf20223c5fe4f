//! Records which data on disk belongs to which class of which script.
//!
//! The data of objects belongs to the name of their class. For each script, Cloudflare keeps the classes that it knows. It takes a
//! version without one of them only if the version says what became of it: renamed, transferred or deleted. The edge does the same,
//! with a file beside the data.
//!
//! The values in this file are workerd's "unique keys". A key names the folder of a class's objects, and the ids of objects are a
//! function of the key. A renamed class keeps its key, and so its objects and their ids.

use crate::{EdgeError, Script, error::io, private, supervisor::stored, workerd::OBJECTS};
use realgar_wire::ClassChange;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

const FILE: &str = "classes.json";
const SCHEMA: u32 = 1;

/// The keys of all classes that have ever run here and are not gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Namespaces {
    data: PathBuf,
    record: Record,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    schema: u32,
    /// Keys, by script and class.
    scripts: BTreeMap<String, BTreeMap<String, String>>,
    /// The keys of deleted classes whose folders are still to be removed.
    deleted: BTreeSet<String>,
}

impl Namespaces {
    /// Reads the record of an earlier run. If there is none, the record is derived from the folders that an earlier version of the
    /// edge made.
    pub(crate) fn read(data: &Path) -> Result<Self, EdgeError> {
        let path = data.join(FILE);
        let unreadable = |reason: String| EdgeError::Unreadable { path: path.clone(), reason };
        let record: Record = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => from_folders(&data.join(OBJECTS))?,
            Err(error) => return Err(io("read", &path)(error)),
        };
        if record.schema != SCHEMA {
            return Err(unreadable(format!("it has the schema {}, and this version knows {SCHEMA}", record.schema)));
        }
        Ok(Self { data: data.into(), record })
    }

    /// Writes the record. Folders of deleted classes are removed by [`Namespaces::sweep`], once the new version runs.
    pub(crate) fn write(&self) -> Result<(), EdgeError> {
        let path = self.data.join(FILE);
        let json = serde_json::to_vec_pretty(&self.record).map_err(|error| io("write", &path)(error.into()))?;
        private::write(&path, &json)
    }

    /// Removes the data of deleted classes.
    pub(crate) fn sweep(&mut self) -> Result<(), EdgeError> {
        if self.record.deleted.is_empty() {
            return Ok(());
        }
        for key in &self.record.deleted {
            private::remove_folder(&self.folder(key))?;
        }
        self.record.deleted.clear();
        self.write()
    }

    /// Whether classes are known.
    pub(crate) fn has_classes(&self) -> bool {
        self.record.scripts.values().any(|classes| !classes.is_empty())
    }

    /// Drops the classes of all scripts but these: the others were deleted. Their data goes with the next [`Namespaces::sweep`].
    pub(crate) fn forget_all_but(&mut self, scripts: &[Script]) {
        let is_here = |name: &String| scripts.iter().any(|script| script.name() == name);
        let gone: Vec<String> = self.record.scripts.keys().filter(|name| !is_here(name)).cloned().collect();
        for script in gone {
            self.record.deleted.extend(self.record.scripts.remove(&script).unwrap_or_default().into_values());
        }
    }

    /// The key of a class. A class that is not recorded, as in a rehearsal, has its own name as the key.
    pub(crate) fn key<'a>(&'a self, script: &str, class: &'a str) -> &'a str {
        let own = self.record.scripts.get(script).and_then(|classes| classes.get(class));
        own.map_or(class, String::as_str)
    }

    fn folder(&self, key: &str) -> PathBuf {
        self.data.join(OBJECTS).join(key)
    }

    /// The number of objects with stored data in the class that has this key.
    fn objects(&self, key: &str) -> Result<usize, EdgeError> {
        stored(&self.folder(key)).map(|ids| ids.len())
    }

    /// The record with which `scripts` may run: with a key for each of their classes, and without the classes that are gone.
    ///
    /// # Errors
    /// When a class with data is gone and no statement says what became of it, or when its data has no place to go.
    pub(crate) fn next(&self, scripts: &[Script]) -> Result<Self, EdgeError> {
        let mut next = self.clone();
        for script in scripts {
            next.leave(script, scripts)?;
        }
        for script in scripts {
            next.take(script)?;
        }
        for script in scripts {
            for object in &script.manifest.objects {
                if !next.classes(script.name()).contains_key(&object.class) {
                    let key = next.fresh_key(script.name(), &object.class);
                    next.classes(script.name()).insert(object.class.clone(), key);
                }
            }
        }
        Ok(next)
    }

    /// Moves or drops the classes that `script` no longer hosts.
    fn leave(&mut self, script: &Script, scripts: &[Script]) -> Result<(), EdgeError> {
        let hosts = |class: &String| script.manifest.objects.iter().any(|object| object.class == *class);
        let gone: Vec<String> = self.classes(script.name()).keys().filter(|class| !hosts(class)).cloned().collect();
        for class in gone {
            let key = self.key(script.name(), &class).to_string();
            let objects = self.objects(&key)?;
            match script.manifest.class_changes.iter().find(|change| change.subject() == class) {
                Some(ClassChange::Renamed { to, .. }) => {
                    self.move_to(script.name(), &class, script.name(), to, key)?;
                }
                Some(ClassChange::TransferredTo { script: to, .. }) => {
                    if objects > 0 && !takes(scripts, to, &class, script.name()) {
                        let (script, to) = (script.name().into(), to.clone());
                        return Err(EdgeError::TransferNotTaken { script, class, to });
                    }
                    self.move_to(script.name(), &class, to, &class, key)?;
                }
                Some(ClassChange::Deleted { .. }) => {
                    self.record.deleted.insert(key);
                }
                _ if objects > 0 => return Err(EdgeError::ClassGone { script: script.name().into(), class, objects }),
                _ => {}
            }
            self.classes(script.name()).remove(&class);
        }
        Ok(())
    }

    /// Checks that the classes which `script` takes from others were handed over, or had no data.
    fn take(&mut self, script: &Script) -> Result<(), EdgeError> {
        for change in &script.manifest.class_changes {
            let ClassChange::TransferredFrom { class, script: from } = change else { continue };
            let left = self.record.scripts.get(from).and_then(|classes| classes.get(class));
            if let Some(key) = left
                && self.objects(key)? > 0
            {
                let (script, class, from) = (script.name().into(), class.clone(), from.clone());
                return Err(EdgeError::TransferNotGiven { script, class, from });
            }
        }
        Ok(())
    }

    /// Gives the objects behind `key` to the class `class` of `script`. If that class has a key without data, the key is replaced.
    fn move_to(&mut self, from: &str, old: &str, script: &str, class: &str, key: String) -> Result<(), EdgeError> {
        let moved = self.objects(&key)?;
        if let Some(other) = self.classes(script).get(class).cloned() {
            let objects = self.objects(&other)?;
            if objects > 0 && moved == 0 {
                return Ok(());
            }
            if objects > 0 {
                let from = format!("{from}/{old}");
                return Err(EdgeError::ClassOccupied { from, class: class.into(), script: script.into(), objects });
            }
        }
        self.classes(script).insert(class.into(), key);
        Ok(())
    }

    fn classes(&mut self, script: &str) -> &mut BTreeMap<String, String> {
        self.record.scripts.entry(script.into()).or_default()
    }

    /// A key that no class has, and that no deleted class had whose folder is still to be removed.
    fn fresh_key(&mut self, script: &str, class: &str) -> String {
        let base = format!("{script}-{class}");
        // The version that deleted it was killed before it ran, and its data is still there.
        if self.record.deleted.remove(&base) {
            return base;
        }
        let used = |key: &String| {
            self.record.deleted.contains(key)
                || self.record.scripts.values().flat_map(BTreeMap::values).any(|other| other == key)
        };
        // No class is called by a number, so a key with a number is never the first key of another class.
        let numbered = (2_u32..).map(|number| format!("{base}-{number}"));
        std::iter::once(base.clone()).chain(numbered).find(|key| !used(key)).unwrap_or(base)
    }

    /// Warnings about data that no running script serves. They are given when a script runs here for the first time, because that
    /// script may have had another name.
    pub(crate) fn unserved(&self, before: &Self, scripts: &[Script]) -> Result<Vec<String>, EdgeError> {
        let is_new = |script: &&Script| {
            !script.manifest.objects.is_empty() && !before.record.scripts.contains_key(script.name())
        };
        let Some(fresh) = scripts.iter().find(is_new) else { return Ok(Vec::new()) };
        let mut messages = Vec::new();
        let runs = |name: &String| scripts.iter().any(|script| script.name() == name);
        for (name, classes) in self.record.scripts.iter().filter(|(name, _)| !runs(name)) {
            let mut stored = Vec::new();
            for (class, key) in classes {
                if self.objects(key)? > 0 {
                    stored.push(format!("`{class}`"));
                }
            }
            if !stored.is_empty() {
                messages.push(format!(
                    "the data of the Worker `{name}` ({}) is here, and no Worker of that name runs; if `{name}` is now called \
                     `{}`, keep the name with `#[worker(name = \"{name}\")]`",
                    stored.join(", "),
                    fresh.name()
                ));
            }
        }
        Ok(messages)
    }
}

/// Whether the script `to` is here, and says that it takes `class` from `from`.
fn takes(scripts: &[Script], to: &str, class: &str, from: &str) -> bool {
    scripts.iter().filter(|script| script.name() == to).flat_map(|script| &script.manifest.class_changes).any(|change| {
        matches!(change, ClassChange::TransferredFrom { class: own, script } if own == class && script == from)
    })
}

/// Derives the record from the folders of an edge that kept none. A folder is called `SCRIPT-CLASS`, and no class has a `-` in its
/// name.
fn from_folders(folder: &Path) -> Result<Record, EdgeError> {
    let mut record = Record { schema: SCHEMA, ..Record::default() };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(record),
        Err(error) => return Err(io("read", folder)(error)),
    };
    for entry in entries {
        let name = entry.map_err(io("read", folder))?.file_name();
        if let Some((script, class)) = name.to_str().and_then(|name| name.rsplit_once('-')) {
            let key = format!("{script}-{class}");
            record.scripts.entry(script.into()).or_default().insert(class.into(), key);
        }
    }
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use realgar_wire::{ClassStorage, Contracts, MANIFEST_SCHEMA, Manifest, Object, WorkerClass};
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A data folder that is removed when the test ends.
    struct Data(PathBuf);

    impl Data {
        fn new() -> Self {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let name = format!("realgar-namespaces-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
            let folder = std::env::temp_dir().join(name);
            private::create_folder(&folder).unwrap();
            Self(folder)
        }

        /// Has an object of the class store something.
        fn store(&self, key: &str) {
            let folder = self.0.join(OBJECTS).join(key);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("ab.sqlite"), "").unwrap();
        }

        fn run(&self, scripts: &[Script]) -> Result<Namespaces, EdgeError> {
            let mut next = Namespaces::read(&self.0)?.next(scripts)?;
            next.write()?;
            next.sweep()?;
            Ok(next)
        }
    }

    impl Drop for Data {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn script(name: &str, classes: &[&str], changes: &[ClassChange]) -> Script {
        let object = |class: &&str| Object {
            class: (*class).into(),
            handlers: vec![],
            methods: vec![],
            isolated: false,
            storage: ClassStorage::Sqlite,
        };
        let manifest = Manifest {
            schema: MANIFEST_SCHEMA,
            worker: WorkerClass { class: "W".into(), script: name.into(), handlers: vec![], methods: vec![] },
            compatibility_date: String::new(),
            compatibility_flags: vec![],
            main_module: String::new(),
            modules: vec![],
            entrypoints: vec![],
            objects: classes.iter().map(object).collect(),
            bindings: vec![],
            crons: vec![],
            consumers: vec![],
            class_changes: changes.to_vec(),
            migrations: vec![],
            contracts: Contracts::default(),
            hosting: realgar_wire::Hosting::default(),
        };
        Script { folder: PathBuf::new(), manifest, values: BTreeMap::new() }
    }

    fn renamed(from: &str, to: &str) -> ClassChange {
        ClassChange::Renamed { from: from.into(), to: to.into() }
    }

    fn deleted(class: &str) -> ClassChange {
        ClassChange::Deleted { class: class.into() }
    }

    fn to(class: &str, script: &str) -> ClassChange {
        ClassChange::TransferredTo { class: class.into(), script: script.into() }
    }

    fn from(class: &str, script: &str) -> ClassChange {
        ClassChange::TransferredFrom { class: class.into(), script: script.into() }
    }

    #[test]
    fn a_renamed_class_keeps_its_key_and_its_old_name_is_free_again() {
        let data = Data::new();
        assert_eq!(data.run(&[script("api", &["Old"], &[])]).unwrap().key("api", "Old"), "api-Old");
        data.store("api-Old");
        let error = data.run(&[script("api", &["New"], &[])]).unwrap_err().to_string();
        assert!(
            error.contains("`Old`, which has data here (objects: 1)") && error.contains("renamed(Old = NewName)"),
            "{error}"
        );
        let new = [script("api", &["New"], &[renamed("Old", "New")])];
        assert_eq!(data.run(&new).unwrap().key("api", "New"), "api-Old");
        assert_eq!(data.run(&new).unwrap().key("api", "New"), "api-Old", "the statement may stay");
        let both = data.run(&[script("api", &["New", "Old"], &[])]).unwrap();
        assert_eq!((both.key("api", "New"), both.key("api", "Old")), ("api-Old", "api-Old-2"));
    }

    #[test]
    fn a_class_without_data_may_vanish() {
        let data = Data::new();
        data.run(&[script("api", &["A", "B"], &[])]).unwrap();
        assert_eq!(data.run(&[script("api", &["B"], &[])]).unwrap().key("api", "B"), "api-B");
    }

    #[test]
    fn a_deleted_class_loses_its_data_and_a_new_one_of_that_name_begins_anew() {
        let data = Data::new();
        data.run(&[script("api", &["A"], &[])]).unwrap();
        data.store("api-A");
        data.run(&[script("api", &[], &[deleted("A")])]).unwrap();
        assert!(!data.0.join(OBJECTS).join("api-A").exists());
        data.run(&[script("api", &["A"], &[])]).unwrap();
    }

    #[test]
    fn a_class_whose_deletion_never_came_to_run_is_not_swept_away() {
        let data = Data::new();
        data.run(&[script("api", &["A"], &[])]).unwrap();
        data.store("api-A");
        // Killed after the record was written, and before the version ran.
        Namespaces::read(&data.0).unwrap().next(&[script("api", &[], &[deleted("A")])]).unwrap().write().unwrap();
        assert_eq!(data.run(&[script("api", &["A"], &[])]).unwrap().key("api", "A"), "api-A");
        assert!(data.0.join(OBJECTS).join("api-A").exists());
    }

    #[test]
    fn a_rename_onto_a_class_with_data_is_refused() {
        let data = Data::new();
        data.run(&[script("api", &["A", "B"], &[])]).unwrap();
        data.store("api-A");
        data.store("api-B");
        let error = data.run(&[script("api", &["B"], &[renamed("A", "B")])]).unwrap_err().to_string();
        assert!(
            error.contains("the objects of `api/A`") && error.contains("has data of its own (objects: 1)"),
            "{error}"
        );
    }

    #[test]
    fn a_class_moves_to_another_script_when_both_say_so() {
        let data = Data::new();
        data.run(&[script("a", &["C"], &[])]).unwrap();
        data.store("a-C");
        let (gives, takes) = (script("a", &[], &[to("C", "b")]), script("b", &["C"], &[from("C", "a")]));
        let error = |scripts: &[Script]| data.run(scripts).unwrap_err().to_string();
        assert!(error(std::slice::from_ref(&gives)).contains("start it together with the Worker `b`"));
        assert!(error(std::slice::from_ref(&takes)).contains("start it together with the Worker `a`"));
        assert!(error(&[gives.clone(), script("b", &["C"], &[])]).contains("say `transferred_from(C = \"a\")`"));
        assert!(error(&[script("a", &["C"], &[]), takes.clone()]).contains("say `transferred_to(C = \"b\")`"));
        for scripts in [[gives.clone(), takes.clone()], [takes, gives]] {
            assert_eq!(data.run(&scripts).unwrap().key("b", "C"), "a-C");
        }
    }

    #[test]
    fn the_folders_of_an_edge_without_a_record_are_one() {
        let data = Data::new();
        data.store("my-api-Old");
        assert!(matches!(data.run(&[script("my-api", &[], &[])]), Err(EdgeError::ClassGone { .. })));
        assert_eq!(data.run(&[script("my-api", &["Old"], &[])]).unwrap().key("my-api", "Old"), "my-api-Old");
    }

    #[test]
    fn a_record_that_cannot_be_read_is_an_error_and_stays() {
        for text in
            ["", "{", r#"{"schema":2,"scripts":{},"deleted":[]}"#, r#"{"schema":1,"scripts":{},"deleted":[],"x":1}"#]
        {
            let data = Data::new();
            fs::write(data.0.join(FILE), text).unwrap();
            let error = data.run(&[script("api", &["A"], &[])]).unwrap_err().to_string();
            assert!(error.contains("classes.json"), "{error}");
            assert_eq!(fs::read_to_string(data.0.join(FILE)).unwrap(), text);
        }
    }

    #[test]
    fn a_script_with_a_new_name_is_told_of_the_data_under_the_old_one() {
        let data = Data::new();
        let before = data.run(&[script("old", &["A"], &[])]).unwrap();
        data.store("old-A");
        let scripts = [script("new", &["A"], &[])];
        let next = before.next(&scripts).unwrap();
        let messages = next.unserved(&before, &scripts).unwrap();
        assert!(messages.len() == 1 && messages[0].contains("name = \"old\""), "{messages:?}");
        assert_eq!(next.unserved(&next, &scripts).unwrap(), Vec::<String>::new(), "once");
    }
}
