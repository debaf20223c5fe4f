//! What becomes of the Durable Object classes of a Worker: the declarative `exports` of an upload, held against the classes that the
//! Worker has.
//!
//! Cloudflare refuses an upload that would leave a class without a word about it, with the code 100402 and one detail for each class.

use super::{
    answer::ApiError,
    tables::{self, Class, ScriptRow},
};
use realgar_wire::ClassChange;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The code of an upload whose `exports` do not fit what is there.
const NOT_RECONCILED: u32 = 100_402;

/// What an upload makes of the classes of a Worker.
#[derive(Clone, Debug, Default)]
pub(super) struct Reconciled {
    /// The classes that it has then.
    pub(super) classes: BTreeMap<String, Class>,
    /// The classes that have another name then.
    pub(super) renamed: BTreeMap<String, String>,
    /// What becomes of the data of classes.
    pub(super) changes: Vec<ClassChange>,
    /// The tag of the last step, if the upload had steps.
    pub(super) tag: Option<String>,
    /// What was done, for the answer.
    pub(super) report: Value,
}

/// One statement of `exports`.
enum Statement<'a> {
    Live { sqlite: bool },
    Deleted,
    Renamed { to: &'a str },
}

impl<'a> Statement<'a> {
    fn read(class: &str, entry: &'a Value) -> Result<Option<Self>, ApiError> {
        let malformed = |what: &str| ApiError::new(400, 10021, format!("the export `{class}` {what}"));
        let text = |key: &str| entry[key].as_str();
        match text("type") {
            Some("durable-object") => {}
            // Settings of an entrypoint.
            Some("worker") => return Ok(None),
            _ => return Err(malformed("has a `type` that this edge does not know")),
        }
        match text("state") {
            None | Some("created") => match text("storage") {
                Some("sqlite") => Ok(Some(Self::Live { sqlite: true })),
                Some("legacy-kv") => Ok(Some(Self::Live { sqlite: false })),
                _ => Err(malformed("needs a `storage`: `sqlite` or `legacy-kv`")),
            },
            Some("deleted") => Ok(Some(Self::Deleted)),
            Some("renamed") => match text("renamed_to") {
                Some(to) => Ok(Some(Self::Renamed { to })),
                None => Err(malformed("needs a `renamed_to`")),
            },
            Some("transferred" | "expecting-transfer") => {
                Err(ApiError::new(501, 10021, format!("the export `{class}`: this edge does not transfer classes yet")))
            }
            Some(state) => Err(malformed(&format!("has the state `{state}`, which does not exist"))),
        }
    }
}

fn statements(exports: &Value) -> Result<BTreeMap<&str, Statement<'_>>, ApiError> {
    let mut statements = BTreeMap::new();
    let entries = exports.as_object().ok_or_else(|| ApiError::new(400, 10021, "`exports` has to be an object"))?;
    for (class, entry) in entries {
        statements.extend(Statement::read(class, entry)?.map(|statement| (class.as_str(), statement)));
    }
    Ok(statements)
}

/// Holds the `exports` of an upload against what is there. `bound` says which scripts other than this one are bound to a class.
pub(super) fn reconcile(
    exports: &Value,
    now: Option<&ScriptRow>,
    bound: &dyn Fn(&str) -> Vec<String>,
) -> Result<Reconciled, ApiError> {
    let statements = statements(exports)?;
    let old = now.map(|row| row.classes.clone()).unwrap_or_default();
    let (mut classes, mut problems) = (BTreeMap::new(), Vec::new());
    let (mut created, mut deleted, mut renamed, mut info) = (vec![], vec![], BTreeMap::new(), vec![]);
    let mut problem = |class: &str, scenario: &str, message: String| {
        problems.push(json!({ "class": class, "scenario": scenario, "message": message }));
    };
    let is_live = |class: &str| matches!(statements.get(class), Some(Statement::Live { .. }));
    for (class, own) in &old {
        match statements.get(class.as_str()) {
            None => problem(
                class,
                "orphaned_provisioned_namespace",
                format!("the class `{class}` exists, and the upload does not say what became of it"),
            ),
            Some(Statement::Live { sqlite }) if *sqlite != own.sqlite => {
                problem(
                    class,
                    "storage_type_mismatch",
                    format!("the storage of the class `{class}` cannot be changed"),
                );
            }
            Some(Statement::Live { .. }) => {
                classes.insert(class.clone(), own.clone());
            }
            Some(Statement::Deleted) => {
                let users = bound(class);
                if users.is_empty() {
                    deleted.push(class.clone());
                } else {
                    let message = format!("the class `{class}` is bound by {}", users.join(", "));
                    problem(class, "tombstone_delete_blocked_by_external_bindings", message);
                }
            }
            Some(Statement::Renamed { to }) if !is_live(to) => {
                problem(class, "tombstone_renamed_target_missing", format!("`{to}` is not among the live exports"));
            }
            Some(Statement::Renamed { to }) if old.contains_key(*to) => {
                problem(class, "tombstone_renamed_to_occupied", format!("the class `{to}` exists already"));
            }
            Some(Statement::Renamed { to }) => {
                renamed.insert(class.clone(), (*to).to_string());
                classes.insert((*to).to_string(), own.clone());
            }
        }
    }
    for (class, statement) in &statements {
        match statement {
            Statement::Live { sqlite } if !old.contains_key(*class) && !classes.contains_key(*class) => {
                classes.insert((*class).to_string(), Class { id: tables::new_id()?, sqlite: *sqlite });
                created.push((*class).to_string());
            }
            Statement::Deleted | Statement::Renamed { .. } if !old.contains_key(*class) => {
                let message = format!("the class `{class}` is gone, so the statement about it can go too");
                info.push(json!({ "class": class, "scenario": "stale_tombstone", "message": message }));
            }
            _ => {}
        }
    }
    if !problems.is_empty() {
        let message = "the exports of this Worker do not fit the classes that it has".to_string();
        let meta = Some(json!({ "details": problems }));
        return Err(ApiError { status: 400, code: NOT_RECONCILED, message, meta });
    }
    let removable: Vec<&Value> = info.iter().map(|entry| &entry["class"]).collect();
    let moved: Vec<Value> = renamed.iter().map(|(from, to)| json!({ "from": from, "to": to })).collect();
    let report = json!({
        "created": created, "updated": [], "deleted": deleted, "renamed": moved, "transferred": [], "transfer_pending": [],
        "warnings": [], "removable_entries": removable, "info": info,
    });
    Ok(Reconciled { classes, renamed, changes: changes(exports)?, tag: None, report })
}

/// The statements as the rest of the edge takes them.
fn changes(exports: &Value) -> Result<Vec<ClassChange>, ApiError> {
    let statements = statements(exports)?.into_iter().filter_map(|(class, statement)| match statement {
        Statement::Live { .. } => None,
        Statement::Deleted => Some(ClassChange::Deleted { class: class.into() }),
        Statement::Renamed { to } => Some(ClassChange::Renamed { from: class.into(), to: to.into() }),
    });
    Ok(statements.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIVE: &str = r#"{"type":"durable-object","storage":"sqlite"}"#;

    fn exports(entries: &[(&str, &str)]) -> Value {
        entries
            .iter()
            .map(|(class, entry)| ((*class).to_string(), serde_json::from_str(entry).unwrap()))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }

    fn row(classes: &[&str]) -> ScriptRow {
        let class = |name: &&str| ((*name).to_string(), Class { id: format!("id of {name}"), sqlite: true });
        ScriptRow {
            tag: String::new(),
            version: String::new(),
            metadata: Value::Null,
            modules: BTreeMap::new(),
            secrets: BTreeMap::new(),
            classes: classes.iter().map(class).collect(),
            subdomain: true,
            crons: vec![],
            migration_tag: None,
            changes: vec![],
            port: 0,
            created_ms: 0,
            modified_ms: 0,
        }
    }

    fn scenario(exports: &Value, classes: &[&str], users: &[&str]) -> String {
        let users: Vec<String> = users.iter().map(ToString::to_string).collect();
        let error = reconcile(exports, Some(&row(classes)), &|_| users.clone()).unwrap_err();
        assert_eq!(error.code, NOT_RECONCILED);
        error.meta.unwrap()["details"][0]["scenario"].as_str().unwrap().to_string()
    }

    #[test]
    fn a_class_without_a_word_is_refused() {
        assert_eq!(scenario(&exports(&[("B", LIVE)]), &["A"], &[]), "orphaned_provisioned_namespace");
    }

    #[test]
    fn a_renamed_class_keeps_its_namespace() {
        let renamed = exports(&[("A", r#"{"type":"durable-object","state":"renamed","renamed_to":"B"}"#), ("B", LIVE)]);
        let reconciled = reconcile(&renamed, Some(&row(&["A"])), &|_| vec![]).unwrap();
        assert_eq!(reconciled.classes["B"].id, "id of A");
        assert_eq!(scenario(&renamed, &["A", "B"], &[]), "tombstone_renamed_to_occupied");
        let again = reconcile(&renamed, Some(&row(&["B"])), &|_| vec![]).unwrap();
        assert_eq!((again.classes.len(), &again.report["info"][0]["scenario"]), (1, &json!("stale_tombstone")));
    }

    #[test]
    fn a_class_is_deleted_once_nobody_else_is_bound_to_it() {
        let deleted = exports(&[("A", r#"{"type":"durable-object","state":"deleted"}"#)]);
        assert!(reconcile(&deleted, Some(&row(&["A"])), &|_| vec![]).unwrap().classes.is_empty());
        assert_eq!(scenario(&deleted, &["A"], &["other"]), "tombstone_delete_blocked_by_external_bindings");
    }

    #[test]
    fn a_statement_that_cannot_be_read_is_an_error() {
        for entry in [r#"{}"#, r#"{"type":"durable-object"}"#, r#"{"type":"durable-object","state":"gone"}"#] {
            assert_eq!(reconcile(&exports(&[("A", entry)]), None, &|_| vec![]).unwrap_err().code, 10021, "{entry}");
        }
    }
}
