//! The life of Durable Object classes across versions of a program.
//!
//! The data of objects belongs to the name of their class. So when a class vanishes from a program, the program has to say what
//! became of it. Cloudflare takes this statement in one of two forms. The declarative `exports` say what the classes are now and
//! what became of old ones ([`ClassChange`]). Workers that began with `[[migrations]]` keep these: steps with tags, each applied
//! once ([`MigrationStep`]).

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What became of a class that an earlier version of the program hosted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case", deny_unknown_fields)]
pub enum ClassChange {
    /// The class has another name now, and its objects moved with it.
    Renamed {
        /// The name it had.
        from: String,
        /// The name it has, which the program hosts.
        to: String,
    },
    /// The class is gone, and so are its objects and their data.
    Deleted {
        /// The name it had.
        class: String,
    },
    /// Another script hosts the class and its objects now.
    TransferredTo {
        /// The name of the class.
        class: String,
        /// The script that hosts it, which says [`ClassChange::TransferredFrom`].
        script: String,
    },
    /// Another script hosted the class and its objects before.
    TransferredFrom {
        /// The name of the class, which the program hosts.
        class: String,
        /// The script that hosted it, which says [`ClassChange::TransferredTo`].
        script: String,
    },
}

impl ClassChange {
    /// The class that the statement is about: for a renamed one, its old name.
    #[must_use]
    pub fn subject(&self) -> &str {
        match self {
            Self::Renamed { from, .. } => from,
            Self::Deleted { class } | Self::TransferredTo { class, .. } | Self::TransferredFrom { class, .. } => class,
        }
    }

    /// The class that the program must host for the statement to make sense.
    #[must_use]
    pub fn hosted(&self) -> Option<&str> {
        match self {
            Self::Renamed { to, .. } => Some(to),
            Self::TransferredFrom { class, .. } => Some(class),
            Self::Deleted { .. } | Self::TransferredTo { .. } => None,
        }
    }
}

/// The kind of storage that the objects of a class use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassStorage {
    /// SQLite, which all classes of Realgar use.
    #[default]
    Sqlite,
    /// The key-value storage of classes that were created before Cloudflare offered SQLite.
    LegacyKv,
}

impl ClassStorage {
    /// Whether this is SQLite, the default.
    #[must_use]
    pub fn is_sqlite(&self) -> bool {
        *self == Self::Sqlite
    }
}

/// One entry of wrangler's `[[migrations]]`. The fields have wrangler's names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MigrationStep {
    /// The tag that Cloudflare keeps with the script once the step is applied.
    pub tag: String,
    /// New classes with SQLite.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub new_sqlite_classes: Vec<String>,
    /// New classes with key-value storage.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub new_classes: Vec<String>,
    /// Classes with a new name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub renamed_classes: Vec<RenamedClass>,
    /// Classes that are gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deleted_classes: Vec<String>,
    /// Classes that another script hosted before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transferred_classes: Vec<TransferredClass>,
}

/// A class with a new name, in a [`MigrationStep`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenamedClass {
    /// The name it had.
    pub from: String,
    /// The name it has.
    pub to: String,
}

/// A class that another script hosted before, in a [`MigrationStep`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransferredClass {
    /// The name it had there.
    pub from: String,
    /// The script.
    pub from_script: String,
    /// The name it has.
    pub to: String,
}

/// The outcome of a history of migrations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The classes that exist after the last step.
    pub classes: BTreeMap<String, ClassStorage>,
    /// What became of all other classes. Each statement spans the whole history: a class that was renamed twice is renamed to its
    /// last name.
    pub changes: Vec<ClassChange>,
}

/// Why a step cannot follow the steps before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// A step makes a class that exists.
    #[error("the migration `{tag}` makes the class `{class}`, which exists before it")]
    Occupied {
        /// The step.
        tag: String,
        /// The class.
        class: String,
    },
    /// A step changes a class that does not exist.
    #[error("the migration `{tag}` changes the class `{class}`, which does not exist before it")]
    Missing {
        /// The step.
        tag: String,
        /// The class.
        class: String,
    },
    /// Two steps have one tag.
    #[error("two migrations have the tag `{tag}`")]
    TagTwice {
        /// The tag.
        tag: String,
    },
}

impl History {
    /// Applies `steps` one after the other.
    ///
    /// # Errors
    /// When a step makes a class that exists, changes one that does not, or has the tag of another.
    pub fn replay(steps: &[MigrationStep]) -> Result<Self, HistoryError> {
        let mut history = Self::default();
        for (index, step) in steps.iter().enumerate() {
            if steps[..index].iter().any(|other| other.tag == step.tag) {
                return Err(HistoryError::TagTwice { tag: step.tag.clone() });
            }
            history.apply(step)?;
        }
        // A name that a later class uses again gets no statement about the class that had it before.
        let classes = &history.classes;
        history
            .changes
            .retain(|change| change.hosted() == Some(change.subject()) || !classes.contains_key(change.subject()));
        Ok(history)
    }

    fn apply(&mut self, step: &MigrationStep) -> Result<(), HistoryError> {
        let new = step.new_sqlite_classes.iter().map(|class| (class, ClassStorage::Sqlite));
        for (class, storage) in new.chain(step.new_classes.iter().map(|class| (class, ClassStorage::LegacyKv))) {
            self.add(&step.tag, class, storage)?;
        }
        for RenamedClass { from, to } in &step.renamed_classes {
            let storage = self.remove(&step.tag, from)?;
            self.add(&step.tag, to, storage)?;
            for change in &mut self.changes {
                match change {
                    ClassChange::Renamed { to: other, .. } if other == from => other.clone_from(to),
                    ClassChange::TransferredFrom { class, .. } if class == from => class.clone_from(to),
                    _ => {}
                }
            }
            self.changes.push(ClassChange::Renamed { from: from.clone(), to: to.clone() });
        }
        for class in &step.deleted_classes {
            self.remove(&step.tag, class)?;
            for change in &mut self.changes {
                if change.hosted() == Some(class) {
                    *change = ClassChange::Deleted { class: change.subject().into() };
                }
            }
            self.changes.retain(|change| change.subject() != class);
            self.changes.push(ClassChange::Deleted { class: class.clone() });
        }
        for TransferredClass { from_script, to, .. } in &step.transferred_classes {
            self.add(&step.tag, to, ClassStorage::Sqlite)?;
            self.changes.push(ClassChange::TransferredFrom { class: to.clone(), script: from_script.clone() });
        }
        Ok(())
    }

    fn add(&mut self, tag: &str, class: &str, storage: ClassStorage) -> Result<(), HistoryError> {
        match self.classes.insert(class.into(), storage) {
            None => Ok(()),
            Some(_) => Err(HistoryError::Occupied { tag: tag.into(), class: class.into() }),
        }
    }

    fn remove(&mut self, tag: &str, class: &str) -> Result<ClassStorage, HistoryError> {
        self.classes.remove(class).ok_or_else(|| HistoryError::Missing { tag: tag.into(), class: class.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(tag: &str) -> MigrationStep {
        MigrationStep { tag: tag.into(), ..MigrationStep::default() }
    }

    fn renamed(from: &str, to: &str) -> RenamedClass {
        RenamedClass { from: from.into(), to: to.into() }
    }

    #[test]
    fn a_history_ends_with_the_classes_that_are_left_and_what_became_of_the_others() {
        let steps = [
            MigrationStep {
                new_sqlite_classes: vec!["A".into(), "B".into()],
                new_classes: vec!["K".into()],
                ..step("v1")
            },
            MigrationStep { renamed_classes: vec![renamed("A", "A2")], ..step("v2") },
            MigrationStep {
                renamed_classes: vec![renamed("A2", "A3")],
                deleted_classes: vec!["B".into()],
                ..step("v3")
            },
        ];
        let history = History::replay(&steps).unwrap();
        assert_eq!(
            history.classes,
            [("A3".to_string(), ClassStorage::Sqlite), ("K".to_string(), ClassStorage::LegacyKv)].into()
        );
        assert_eq!(
            history.changes,
            [
                ClassChange::Renamed { from: "A".into(), to: "A3".into() },
                ClassChange::Renamed { from: "A2".into(), to: "A3".into() },
                ClassChange::Deleted { class: "B".into() },
            ]
        );
    }

    #[test]
    fn a_class_that_was_renamed_and_then_deleted_is_deleted_under_both_names() {
        let steps = [
            MigrationStep { new_sqlite_classes: vec!["A".into()], ..step("v1") },
            MigrationStep { renamed_classes: vec![renamed("A", "B")], ..step("v2") },
            MigrationStep { deleted_classes: vec!["B".into()], ..step("v3") },
        ];
        let gone = |class: &str| ClassChange::Deleted { class: class.into() };
        assert_eq!(History::replay(&steps).unwrap().changes, [gone("A"), gone("B")]);
    }

    #[test]
    fn a_name_that_is_used_again_has_no_statement() {
        let steps = [
            MigrationStep { new_sqlite_classes: vec!["A".into()], ..step("v1") },
            MigrationStep { deleted_classes: vec!["A".into()], ..step("v2") },
            MigrationStep { new_sqlite_classes: vec!["A".into()], ..step("v3") },
        ];
        let history = History::replay(&steps).unwrap();
        assert_eq!((history.classes.len(), history.changes), (1, vec![]));
    }

    #[test]
    fn a_step_that_cannot_be_is_named() {
        let new = MigrationStep { new_sqlite_classes: vec!["A".into()], ..step("v1") };
        let again = MigrationStep { tag: "v2".into(), ..new.clone() };
        let error = |steps: &[MigrationStep]| History::replay(steps).unwrap_err().to_string();
        assert!(error(&[new.clone(), again]).contains("`v2` makes the class `A`, which exists"));
        assert!(
            error(&[MigrationStep { deleted_classes: vec!["B".into()], ..step("v1") }])
                .contains("`v1` changes the class `B`")
        );
        assert!(error(&[new, step("v1")]).contains("the tag `v1`"));
    }
}
