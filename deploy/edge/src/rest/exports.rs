//! What becomes of the Durable Object classes of a Worker: the declarative `exports` of an upload, held against the classes that the
//! Worker has.
//!
//! Cloudflare refuses an upload that would leave a class without a word about it, with the code 100402 and one detail for each class. A
//! class moves to another Worker in two uploads: the one that is to have it says that it expects it, and then the one that has it says
//! that it gives it away.

use super::{
    answer::ApiError,
    scripts,
    tables::{self, Class, ScriptRow, Tables},
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
    /// The classes that move to another Worker or from one.
    pub(super) moves: Vec<Move>,
    /// The classes that it is to get from other Workers, once those give them away.
    pub(super) expecting: BTreeMap<String, String>,
    /// What becomes of the data of classes.
    pub(super) changes: Vec<ClassChange>,
    /// The tag of the last step, if the upload had steps.
    pub(super) tag: Option<String>,
    /// What was done, for the answer.
    pub(super) report: Value,
}

/// A class that moves from one Worker to another.
#[derive(Clone, Debug)]
pub(super) struct Move {
    pub(super) class: String,
    pub(super) from: String,
    pub(super) to: String,
}

/// One statement of `exports`.
enum Statement<'a> {
    Live { sqlite: bool },
    Deleted,
    Renamed { to: &'a str },
    Transferred { to: &'a str },
    Expecting { sqlite: bool, from: &'a str },
}

impl<'a> Statement<'a> {
    fn read(class: &str, entry: &'a Value) -> Result<Option<Self>, ApiError> {
        let malformed = |what: &str| ApiError::new(400, 10021, format!("the export `{class}` {what}"));
        let text = |key: &str| entry[key].as_str();
        let need = |key: &str| text(key).ok_or_else(|| malformed(&format!("needs a `{key}`")));
        let sqlite = || match text("storage") {
            Some("sqlite") => Ok(true),
            Some("legacy-kv") => Ok(false),
            _ => Err(malformed("needs a `storage`: `sqlite` or `legacy-kv`")),
        };
        match text("type") {
            Some("durable-object") => {}
            // Settings of an entrypoint.
            Some("worker") => return Ok(None),
            _ => return Err(malformed("has a `type` that this edge does not know")),
        }
        let (statement, allowed) = match text("state") {
            None | Some("created") => (Self::Live { sqlite: sqlite()? }, ["storage", ""]),
            Some("deleted") => (Self::Deleted, ["", ""]),
            Some("renamed") => (Self::Renamed { to: need("renamed_to")? }, ["renamed_to", ""]),
            Some("transferred") => (Self::Transferred { to: need("transferred_to")? }, ["transferred_to", ""]),
            Some("expecting-transfer") => {
                let expecting = Self::Expecting { sqlite: sqlite()?, from: need("transfer_from")? };
                (expecting, ["storage", "transfer_from"])
            }
            Some(state) => return Err(malformed(&format!("has the state `{state}`, which does not exist"))),
        };
        let fields = ["storage", "renamed_to", "transferred_to", "transfer_from"];
        match fields.into_iter().find(|field| !entry[*field].is_null() && !allowed.contains(field)) {
            Some(field) => Err(malformed(&format!("has a `{field}`, which its state does not take"))),
            None => Ok(Some(statement)),
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

/// Holds the `exports` of an upload of the script `name` against what is there.
pub(super) fn reconcile(exports: &Value, name: &str, tables: &Tables) -> Result<Reconciled, ApiError> {
    let statements = statements(exports)?;
    let row = tables.scripts.get(name);
    let mut run = Reconciling {
        name,
        tables,
        row,
        statements: &statements,
        done: Reconciled { changes: changes(&statements), ..Reconciled::default() },
        created: vec![],
        deleted: vec![],
        problems: vec![],
        info: vec![],
    };
    for (class, own) in row.into_iter().flat_map(|row| &row.classes) {
        run.existing(class, own);
    }
    for (class, statement) in &statements {
        if !run.has(class) {
            run.missing(class, statement)?;
        }
    }
    run.end()
}

struct Reconciling<'a> {
    name: &'a str,
    tables: &'a Tables,
    /// The script as it is, if it exists.
    row: Option<&'a ScriptRow>,
    statements: &'a BTreeMap<&'a str, Statement<'a>>,
    done: Reconciled,
    created: Vec<String>,
    deleted: Vec<String>,
    problems: Vec<Value>,
    info: Vec<Value>,
}

impl Reconciling<'_> {
    fn problem(&mut self, class: &str, scenario: &str, message: String) {
        self.problems.push(json!({ "class": class, "scenario": scenario, "message": message }));
    }

    fn has(&self, class: &str) -> bool {
        self.row.is_some_and(|row| row.classes.contains_key(class))
    }

    /// What becomes of a class that the Worker has.
    fn existing(&mut self, class: &str, own: &Class) {
        match self.statements.get(class) {
            None => self.problem(
                class,
                "orphaned_provisioned_namespace",
                format!("the class `{class}` exists, and the upload does not say what became of it"),
            ),
            Some(Statement::Live { sqlite } | Statement::Expecting { sqlite, .. }) if *sqlite != own.sqlite => {
                self.storage_differs(class);
            }
            Some(Statement::Live { .. }) => drop(self.done.classes.insert(class.into(), own.clone())),
            Some(Statement::Expecting { from, .. }) => self.received(class, own, from),
            Some(Statement::Deleted) => {
                let users = scripts::users_of(self.tables, self.name, class);
                if users.is_empty() {
                    self.deleted.push(class.into());
                } else {
                    let message = format!("the class `{class}` is bound by {}", users.join(", "));
                    self.problem(class, "tombstone_delete_blocked_by_external_bindings", message);
                }
            }
            Some(Statement::Renamed { to }) if !matches!(self.statements.get(to), Some(Statement::Live { .. })) => {
                let message = format!("`{to}` is not among the live exports");
                self.problem(class, "tombstone_renamed_target_missing", message);
            }
            Some(Statement::Renamed { to }) if self.has(to) => {
                self.problem(class, "tombstone_renamed_to_occupied", format!("the class `{to}` exists already"));
            }
            Some(Statement::Renamed { to }) => {
                self.done.renamed.insert(class.into(), (*to).to_string());
                self.done.classes.insert((*to).to_string(), own.clone());
            }
            Some(Statement::Transferred { to }) => self.give(class, to),
        }
    }

    fn storage_differs(&mut self, class: &str) {
        self.problem(class, "storage_type_mismatch", format!("the storage of the class `{class}` cannot be changed"));
    }

    /// The Worker expects a class that it has.
    fn received(&mut self, class: &str, own: &Class, from: &str) {
        match self.row.and_then(|row| row.received.get(class)) {
            Some(source) if source == from => {
                self.done.classes.insert(class.into(), own.clone());
                self.info.push(json!({
                    "class": class, "scenario": "transfer_receive_already_applied",
                    "message": format!("the class `{class}` has come from the Worker `{from}`"),
                }));
            }
            Some(source) => {
                let message = format!("the class `{class}` has come from the Worker `{source}`");
                self.problem(class, "phase_one_transfer_after_commit_mismatch", message);
            }
            None => {
                let message = format!("the Worker has a class `{class}` of its own");
                self.problem(class, "phase_one_transfer_target_class_provisioned", message);
            }
        }
    }

    /// The Worker gives one of its classes away.
    fn give(&mut self, class: &str, to: &str) {
        let expects = |row: &ScriptRow| row.expecting.get(class).is_some_and(|from| from == self.name);
        let another = self.tables.scripts.values().any(expects);
        match self.tables.scripts.get(to) {
            None => {
                let message = format!("the Worker `{to}` does not exist");
                self.problem(class, "transferred_target_missing", message);
            }
            Some(target) if expects(target) => {
                let (from, to) = (self.name.to_string(), to.to_string());
                self.done.moves.push(Move { class: class.into(), from, to });
            }
            Some(_) if another => {
                let message = format!("another Worker than `{to}` expects the class `{class}`");
                self.problem(class, "transferred_target_mismatch", message);
            }
            Some(_) => {
                let message = format!("the Worker `{to}` does not expect the class `{class}` of `{}`", self.name);
                self.problem(class, "transferred_pending_not_found", message);
            }
        }
    }

    /// A statement about a class that the Worker does not have.
    fn missing(&mut self, class: &str, statement: &Statement<'_>) -> Result<(), ApiError> {
        match statement {
            // It was renamed to this.
            Statement::Live { .. } if self.done.classes.contains_key(class) => {}
            Statement::Live { sqlite } => {
                self.done.classes.insert(class.into(), Class { id: tables::new_id()?, sqlite: *sqlite });
                self.created.push(class.into());
            }
            Statement::Deleted | Statement::Renamed { .. } | Statement::Transferred { .. } => {
                let message = format!("the class `{class}` is gone, so the statement about it can go too");
                self.info.push(json!({ "class": class, "scenario": "stale_tombstone", "message": message }));
            }
            Statement::Expecting { sqlite, from } => self.expect(class, *sqlite, from),
        }
        Ok(())
    }

    /// The Worker is to get a class from another one.
    fn expect(&mut self, class: &str, sqlite: bool, from: &str) {
        let pending = |row: &ScriptRow| row.expecting.get(class).cloned();
        let taken = |(name, row): (&String, &ScriptRow)| name != self.name && pending(row).as_deref() == Some(from);
        let other_source = self.row.and_then(pending).is_some_and(|source| source != from);
        match self.tables.scripts.get(from).map(|source| source.classes.get(class)) {
            None => {
                let message = format!("the Worker `{from}` does not exist");
                self.problem(class, "phase_one_transfer_source_missing", message);
            }
            Some(None) => {
                let message = format!("the Worker `{from}` has no class `{class}`");
                self.problem(class, "phase_one_transfer_source_namespace_missing", message);
            }
            Some(Some(own)) if own.sqlite != sqlite => self.storage_differs(class),
            Some(Some(_)) if other_source || self.tables.scripts.iter().any(taken) => {
                let message = format!("another transfer of the class `{class}` is under way");
                self.problem(class, "phase_one_transfer_duplicate", message);
            }
            Some(Some(_)) => drop(self.done.expecting.insert(class.into(), from.into())),
        }
    }

    fn end(self) -> Result<Reconciled, ApiError> {
        let Self { done, created, deleted, problems, info, .. } = self;
        if !problems.is_empty() {
            let message = "the exports of this Worker do not fit the classes that it has".to_string();
            let meta = Some(json!({ "details": problems }));
            return Err(ApiError { status: 400, code: NOT_RECONCILED, message, meta });
        }
        let stale = info.iter().filter(|entry| entry["scenario"] == "stale_tombstone");
        let removable: Vec<&Value> = stale.map(|entry| &entry["class"]).collect();
        let renamed: Vec<Value> = done.renamed.iter().map(|(from, to)| json!({ "from": from, "to": to })).collect();
        let moved = done.moves.iter();
        let moved = moved.map(|Move { class, to, .. }| json!({ "class": class, "to": to, "phase": "committed" }));
        let pending = done.expecting.iter().map(|(class, from)| json!({ "class": class, "from": from }));
        let report = json!({
            "created": created, "updated": [], "deleted": deleted, "renamed": renamed,
            "transferred": moved.collect::<Vec<_>>(), "transfer_pending": pending.collect::<Vec<_>>(),
            "warnings": [], "removable_entries": removable, "info": info,
        });
        Ok(Reconciled { report, ..done })
    }
}

/// The statements as the rest of the edge takes them.
fn changes(statements: &BTreeMap<&str, Statement<'_>>) -> Vec<ClassChange> {
    let change = |(class, statement): (&&str, &Statement<'_>)| {
        let class = (*class).to_string();
        match statement {
            // Who takes a class says so once it was given.
            Statement::Live { .. } | Statement::Expecting { .. } => None,
            Statement::Deleted => Some(ClassChange::Deleted { class }),
            Statement::Renamed { to } => Some(ClassChange::Renamed { from: class, to: (*to).into() }),
            Statement::Transferred { to } => Some(ClassChange::TransferredTo { class, script: (*to).into() }),
        }
    };
    statements.iter().filter_map(change).collect()
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

    fn row(classes: &[&str], more: &Value) -> ScriptRow {
        let class = |name: &&str| ((*name).to_string(), json!({ "id": format!("id of {name}"), "sqlite": true }));
        let classes: serde_json::Map<_, _> = classes.iter().map(class).collect();
        let mut row = json!({
            "tag": "", "version": "", "metadata": {}, "modules": {}, "secrets": {}, "classes": classes, "migration_tag": null,
            "subdomain": true, "crons": [], "port": 0, "created_ms": 0, "modified_ms": 0,
        });
        row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(row).unwrap()
    }

    fn tables(rows: &[(&str, ScriptRow)]) -> Tables {
        let mut tables = Tables::default();
        tables.scripts.extend(rows.iter().map(|(name, row)| ((*name).to_string(), row.clone())));
        tables
    }

    fn own(classes: &[&str]) -> Tables {
        tables(&[("a", row(classes, &json!({})))])
    }

    fn scenario(exports: &Value, name: &str, tables: &Tables) -> String {
        let error = reconcile(exports, name, tables).unwrap_err();
        assert_eq!(error.code, NOT_RECONCILED);
        error.meta.unwrap()["details"][0]["scenario"].as_str().unwrap().to_string()
    }

    #[test]
    fn a_class_without_a_word_is_refused() {
        assert_eq!(scenario(&exports(&[("B", LIVE)]), "a", &own(&["A"])), "orphaned_provisioned_namespace");
    }

    #[test]
    fn a_renamed_class_keeps_its_namespace() {
        let renamed = exports(&[("A", r#"{"type":"durable-object","state":"renamed","renamed_to":"B"}"#), ("B", LIVE)]);
        let reconciled = reconcile(&renamed, "a", &own(&["A"])).unwrap();
        assert_eq!(reconciled.classes["B"].id, "id of A");
        assert_eq!(scenario(&renamed, "a", &own(&["A", "B"])), "tombstone_renamed_to_occupied");
        let again = reconcile(&renamed, "a", &own(&["B"])).unwrap();
        assert_eq!((again.classes.len(), &again.report["info"][0]["scenario"]), (1, &json!("stale_tombstone")));
    }

    #[test]
    fn a_class_is_deleted_once_nobody_else_is_bound_to_it() {
        let deleted = exports(&[("A", r#"{"type":"durable-object","state":"deleted"}"#)]);
        assert!(reconcile(&deleted, "a", &own(&["A"])).unwrap().classes.is_empty());
        let binding = json!({ "name": "A", "type": "durable_object_namespace", "class_name": "A", "script_name": "a" });
        let user = row(&[], &json!({ "metadata": { "bindings": [binding] } }));
        let used = tables(&[("a", row(&["A"], &json!({}))), ("other", user)]);
        assert_eq!(scenario(&deleted, "a", &used), "tombstone_delete_blocked_by_external_bindings");
    }

    #[test]
    fn a_class_moves_once_both_have_said_so() {
        let expecting =
            r#"{"type":"durable-object","state":"expecting-transfer","storage":"sqlite","transfer_from":"a"}"#;
        let taken = exports(&[("A", expecting)]);
        let given = exports(&[("A", r#"{"type":"durable-object","state":"transferred","transferred_to":"b"}"#)]);
        let plain = |classes: &[&str]| row(classes, &json!({}));
        let expects = |from: &str| row(&[], &json!({ "expecting": { "A": from } }));
        let received = |from: &str| row(&["A"], &json!({ "received": { "A": from } }));
        // The one that is to have it speaks first.
        let pending = reconcile(&taken, "b", &own(&["A"])).unwrap();
        assert_eq!((pending.classes.len(), &pending.expecting["A"]), (0, &"a".to_string()));
        for (rows, expected) in [
            (vec![], "phase_one_transfer_source_missing"),
            (vec![("a", plain(&[]))], "phase_one_transfer_source_namespace_missing"),
            (vec![("a", plain(&["A"])), ("c", expects("a"))], "phase_one_transfer_duplicate"),
            (vec![("a", plain(&["A"])), ("b", expects("c"))], "phase_one_transfer_duplicate"),
            (vec![("a", plain(&["A"])), ("b", plain(&["A"]))], "phase_one_transfer_target_class_provisioned"),
            (vec![("b", received("c"))], "phase_one_transfer_after_commit_mismatch"),
        ] {
            assert_eq!(scenario(&taken, "b", &tables(&rows)), expected);
        }
        assert_eq!(reconcile(&taken, "b", &tables(&[("b", received("a"))])).unwrap().classes.len(), 1);
        // Then the one that has it.
        let both = tables(&[("a", plain(&["A"])), ("b", expects("a"))]);
        let moved = reconcile(&given, "a", &both).unwrap();
        assert_eq!((moved.classes.len(), moved.moves[0].to.as_str()), (0, "b"));
        for (rows, expected) in [
            (vec![], "transferred_target_missing"),
            (vec![("b", plain(&[]))], "transferred_pending_not_found"),
            (vec![("b", plain(&[])), ("c", expects("a"))], "transferred_target_mismatch"),
        ] {
            let all: Vec<_> = rows.into_iter().chain([("a", plain(&["A"]))]).collect();
            assert_eq!(scenario(&given, "a", &tables(&all)), expected);
        }
        assert!(reconcile(&given, "a", &own(&[])).unwrap().moves.is_empty(), "it has moved already");
    }

    #[test]
    fn a_statement_that_cannot_be_read_is_an_error() {
        for entry in [
            r#"{}"#,
            r#"{"type":"durable-object"}"#,
            r#"{"type":"durable-object","state":"gone"}"#,
            r#"{"type":"durable-object","state":"transferred"}"#,
            r#"{"type":"durable-object","state":"expecting-transfer","transfer_from":"b"}"#,
            r#"{"type":"durable-object","storage":"sqlite","transfer_from":"b"}"#,
            r#"{"type":"durable-object","state":"deleted","storage":"sqlite"}"#,
        ] {
            let refused = reconcile(&exports(&[("A", entry)]), "a", &Tables::default()).unwrap_err();
            assert_eq!(refused.code, 10021, "{entry}");
        }
    }
}
