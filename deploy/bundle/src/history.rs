//! Reads the history of classes with migration tags, from the file that `#[worker(migrations = "file.toml")]` names. It is for a
//! Worker that goes on with wrangler's `[[migrations]]`, which a configuration has instead of `exports`. Cloudflare lets a Worker change to
//! `exports` later, and its data stays.

use crate::{BuildError, cargo::Package, error::io};
use realgar_wire::{ClassChange, ClassStorage, Description, History, MigrationStep};
use serde::Deserialize;
use std::{collections::BTreeSet, fs};

/// The content of the file. It has the form of `[[migrations]]` in wrangler's configuration.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    migrations: Vec<MigrationStep>,
}

/// Reads the history that the program names, and checks that it ends with the classes that the program hosts.
/// Returns its steps, and what it says of the classes that are gone: for readers that know no tags.
pub(crate) fn read(
    description: &Description,
    package: &Package,
) -> Result<(Vec<MigrationStep>, Vec<ClassChange>), BuildError> {
    let Some(name) = &description.migrations else { return Ok((Vec::new(), description.class_changes.clone())) };
    let path = package.folder.join(name);
    let text = fs::read_to_string(&path).map_err(io("read", &path))?;
    let parsed: Result<File, _> = toml::from_str(&text);
    let steps = match parsed {
        Ok(file) => file.migrations,
        Err(error) => return Err(BuildError::Configuration { path, reason: error.to_string() }),
    };
    let history = match History::replay(&steps) {
        Ok(history) => history,
        Err(source) => return Err(BuildError::History { path, source }),
    };
    let recorded: BTreeSet<&str> = history.classes.keys().map(String::as_str).collect();
    let hosted: BTreeSet<&str> = description.objects.iter().map(|object| object.class.as_str()).collect();
    if let Some((class, _)) = history.classes.iter().find(|(_, storage)| **storage == ClassStorage::LegacyKv) {
        let reason = format!("the class `{class}` has key-value storage, and classes of Realgar store in SQLite");
        return Err(BuildError::Configuration { path, reason });
    }
    if recorded == hosted {
        return Ok((steps, history.changes));
    }
    let remedy = remedy(&recorded, &hosted, &steps);
    Err(BuildError::HistoryDiffers { path, recorded: words(&recorded), hosted: words(&hosted), remedy })
}

/// The step that leads from the recorded classes to the hosted ones.
fn remedy(recorded: &BTreeSet<&str>, hosted: &BTreeSet<&str>, steps: &[MigrationStep]) -> String {
    let new: Vec<&str> = hosted.difference(recorded).copied().collect();
    let gone: Vec<&str> = recorded.difference(hosted).copied().collect();
    let tag = format!("v{}", steps.len() + 1);
    match (new.as_slice(), gone.as_slice()) {
        (new, []) => format!("add a step `{tag}` with `new_sqlite_classes = {new:?}`"),
        ([], gone) => format!("add a step `{tag}` with `deleted_classes = {gone:?}`, which deletes their data"),
        ([new], [gone]) => format!(
            "add a step `{tag}` with `renamed_classes = [{{ from = \"{gone}\", to = \"{new}\" }}]`, which keeps the data, or with \
             `new_sqlite_classes` and `deleted_classes`, which does not"
        ),
        (new, gone) => {
            format!("add a step `{tag}` that says for {gone:?} which of {new:?} it became, or that it is deleted")
        }
    }
}

fn words(classes: &BTreeSet<&str>) -> String {
    match classes.iter().map(|class| format!("`{class}`")).collect::<Vec<_>>().as_slice() {
        [] => "no classes".into(),
        [one] => format!("the class {one}"),
        many => format!("the classes {}", many.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_missing_step_is_told() {
        let set = |names: &'static [&'static str]| names.iter().copied().collect::<BTreeSet<&str>>();
        let say = |recorded, hosted| remedy(&set(recorded), &set(hosted), &[]);
        assert_eq!(say(&["A"], &["A", "B"]), "add a step `v1` with `new_sqlite_classes = [\"B\"]`");
        assert!(say(&["A", "B"], &["A"]).contains("`deleted_classes = [\"B\"]`, which deletes"));
        assert!(say(&["A"], &["B"]).contains("renamed_classes = [{ from = \"A\", to = \"B\" }]"));
    }
}
