//! The older way to say what becomes of the Durable Object classes of a Worker: `migrations`, steps that are applied one after the other,
//! each under a tag. Cloudflare keeps the last tag, and takes an upload only if it goes on from there.

use super::{
    answer::ApiError,
    exports::{Move, Reconciled},
    scripts,
    tables::{self, Class, Tables},
};
use realgar_wire::{ClassChange, MigrationStep, RenamedClass, TransferredClass};
use serde_json::Value;

/// The code of an upload that goes on from another tag than the one that is there.
const TAG_DIFFERS: u32 = 10079;

/// Applies the `migrations` of an upload of the script `name`. `own` says which classes of its own this upload binds.
pub(super) fn apply(migrations: &Value, name: &str, tables: &Tables, own: &[&str]) -> Result<Reconciled, ApiError> {
    let now = tables.scripts.get(name);
    let text = |key: &str| migrations[key].as_str().map(str::to_string);
    let current = now.and_then(|row| row.migration_tag.clone());
    if text("old_tag") != current {
        let current = current.map_or("not set".into(), |tag| format!("'{tag}'"));
        return Err(ApiError::new(
            412,
            TAG_DIFFERS,
            format!("Migration tag precondition failed; current tag is {current}"),
        ));
    }
    let mut applied = Reconciled {
        classes: now.map(|row| row.classes.clone()).unwrap_or_default(),
        tag: Some(text("new_tag").ok_or_else(|| ApiError::bad_body("`migrations` need a `new_tag`"))?),
        ..Reconciled::default()
    };
    // One step may stand beside the tags.
    let alone = [migrations.clone()];
    let steps = migrations["steps"].as_array().map_or(alone.as_slice(), Vec::as_slice);
    for step in steps {
        one(&mut applied, read(step)?, name, tables, own)?;
    }
    let renames = applied.renamed.iter().map(|(from, to)| ClassChange::Renamed { from: from.clone(), to: to.clone() });
    applied.changes.extend(renames);
    Ok(applied)
}

fn read(step: &Value) -> Result<MigrationStep, ApiError> {
    let mut step = step.clone();
    let fields = step.as_object_mut().ok_or_else(|| ApiError::bad_body("a step of `migrations` is an object"))?;
    fields.retain(|key, _| key != "old_tag" && key != "new_tag");
    fields.insert("tag".into(), String::new().into());
    serde_json::from_value(step).map_err(|error| ApiError::bad_body(format!("a step of `migrations`: {error}")))
}

fn one(
    applied: &mut Reconciled,
    step: MigrationStep,
    name: &str,
    tables: &Tables,
    own: &[&str],
) -> Result<(), ApiError> {
    let refused = |code, message: String| Err(ApiError::new(400, code, message));
    for transfer in step.transferred_classes {
        take(applied, transfer, name, tables)?;
    }
    let Reconciled { classes, renamed, changes, .. } = applied;
    let sqlite = step.new_sqlite_classes.iter().map(|class| (class, true));
    for (class, sqlite) in sqlite.chain(step.new_classes.iter().map(|class| (class, false))) {
        if classes.insert(class.clone(), Class { id: tables::new_id()?, sqlite }).is_some() {
            let kind = if sqlite { "new-sqlite-class" } else { "new-class" };
            return refused(
                10074,
                format!(
                    "Cannot apply --{kind} migration to class '{class}' that is already depended on by existing Durable Objects"
                ),
            );
        }
    }
    for RenamedClass { from, to } in step.renamed_classes {
        let Some(moved) = classes.remove(&from) else {
            return refused(
                10070,
                format!("Cannot apply --rename-class migration to class '{from}' that does not exist"),
            );
        };
        if classes.insert(to.clone(), moved).is_some() {
            return refused(10074, format!("Cannot rename '{from}' to '{to}', which has Durable Objects of its own"));
        }
        for earlier in renamed.values_mut().filter(|earlier| **earlier == from) {
            earlier.clone_from(&to);
        }
        renamed.insert(from, to);
    }
    for class in step.deleted_classes {
        if own.contains(&class.as_str()) || !scripts::users_of(tables, name, &class).is_empty() {
            return refused(
                10061,
                format!(
                    "Cannot apply --delete-class migration to class '{class}' without also removing the binding that references it"
                ),
            );
        }
        if classes.remove(&class).is_none() {
            return refused(
                10070,
                format!("Cannot apply --delete-class migration to class '{class}' that does not exist"),
            );
        }
        changes.push(ClassChange::Deleted { class });
    }
    Ok(())
}

/// Takes a class from another Worker, which need not say anything.
fn take(applied: &mut Reconciled, transfer: TransferredClass, name: &str, tables: &Tables) -> Result<(), ApiError> {
    let TransferredClass { from, from_script, to } = transfer;
    if from != to {
        return Err(ApiError::new(501, 10021, "this edge does not give a class another name while it moves"));
    }
    let source = tables.scripts.get(&from_script).and_then(|row| row.classes.get(&from));
    let Some(own) = source.cloned() else {
        let message =
            format!("Cannot apply --transfer-class migration to class '{from}' of '{from_script}' that does not exist");
        return Err(ApiError::new(400, 10070, message));
    };
    if applied.classes.insert(to.clone(), own).is_some() {
        let message = format!(
            "Cannot apply --transfer-class migration to class '{to}' that is already depended on by existing Durable Objects"
        );
        return Err(ApiError::new(400, 10074, message));
    }
    applied.moves.push(Move { class: to, from: from_script, to: name.into() });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(tag: Option<&str>, classes: &[&str]) -> Value {
        let classes: serde_json::Map<_, _> =
            classes.iter().map(|class| ((*class).to_string(), json!({ "id": class, "sqlite": true }))).collect();
        json!({
            "tag": "", "version": "", "metadata": {}, "modules": {}, "secrets": {}, "classes": classes, "migration_tag": tag,
            "subdomain": true, "crons": [], "port": 0, "created_ms": 0, "modified_ms": 0,
        })
    }

    fn tables(rows: &[(&str, Value)]) -> Tables {
        let row = |(name, row): &(&str, Value)| ((*name).to_string(), serde_json::from_value(row.clone()).unwrap());
        let mut tables = Tables::default();
        tables.scripts.extend(rows.iter().map(row));
        tables
    }

    fn code(migrations: &Value, tables: &Tables, own: &[&str]) -> u32 {
        apply(migrations, "a", tables, own).map_or_else(|error| error.code, |_| 0)
    }

    #[test]
    fn steps_go_on_from_the_tag_that_is_there() {
        let first = json!({ "new_tag": "v1", "steps": [{ "new_sqlite_classes": ["A"] }] });
        assert_eq!(code(&first, &Tables::default(), &[]), 0);
        let now = tables(&[("a", row(Some("v1"), &["A"]))]);
        assert_eq!(code(&first, &now, &[]), TAG_DIFFERS);
        let next = json!({ "old_tag": "v1", "new_tag": "v3", "steps": [
            { "renamed_classes": [{ "from": "A", "to": "B" }] }, { "renamed_classes": [{ "from": "B", "to": "C" }] },
        ] });
        let applied = apply(&next, "a", &now, &[]).unwrap();
        assert_eq!((applied.classes["C"].id.as_str(), applied.tag.as_deref()), ("A", Some("v3")));
        let last = |from: &str| ClassChange::Renamed { from: from.into(), to: "C".into() };
        assert_eq!(applied.changes, [last("A"), last("B")]);
        assert_eq!(code(&next, &tables(&[("a", row(Some("v2"), &["A"]))]), &[]), TAG_DIFFERS);
    }

    #[test]
    fn a_step_that_does_not_fit_is_refused() {
        let now = tables(&[("a", row(Some("v1"), &["A", "B"]))]);
        let step = |step: Value| json!({ "old_tag": "v1", "new_tag": "v2", "steps": [step] });
        assert_eq!(code(&step(json!({ "new_sqlite_classes": ["A"] })), &now, &[]), 10074);
        let renamed = |from: &str, to: &str| step(json!({ "renamed_classes": [{ "from": from, "to": to }] }));
        assert_eq!(code(&renamed("Z", "C"), &now, &[]), 10070);
        assert_eq!(code(&renamed("A", "B"), &now, &[]), 10074);
        let deleted = step(json!({ "deleted_classes": ["A"] }));
        assert_eq!(code(&deleted, &now, &["A"]), 10061, "it is bound in the same upload");
        let binding = json!({ "name": "A", "type": "durable_object_namespace", "class_name": "A", "script_name": "a" });
        let mut web = row(None, &[]);
        web["metadata"]["bindings"] = json!([binding]);
        let used = tables(&[("a", row(Some("v1"), &["A"])), ("web", web)]);
        assert_eq!(code(&deleted, &used, &[]), 10061, "another Worker is bound to it");
        assert_eq!(code(&deleted, &now, &[]), 0);
        assert_eq!(code(&step(json!({ "deleted": ["A"] })), &now, &[]), 10001);
    }

    #[test]
    fn a_class_is_taken_from_another_worker() {
        let step = |from: &str, script: &str, to: &str| {
            let transfer = json!({ "from": from, "from_script": script, "to": to });
            json!({ "new_tag": "v1", "steps": [{ "transferred_classes": [transfer] }] })
        };
        let now = tables(&[("b", row(None, &["A"]))]);
        let applied = apply(&step("A", "b", "A"), "a", &now, &[]).unwrap();
        assert_eq!((applied.classes["A"].id.as_str(), applied.moves[0].from.as_str()), ("A", "b"));
        assert_eq!(code(&step("B", "b", "B"), &now, &[]), 10070);
        assert_eq!(code(&step("A", "b", "C"), &now, &[]), 10021);
        let taken = json!({ "old_tag": "v1", "new_tag": "v2", "steps": [step("A", "b", "A")["steps"][0]] });
        let both = tables(&[("a", row(Some("v1"), &["A"])), ("b", row(None, &["A"]))]);
        assert_eq!(code(&taken, &both, &[]), 10074);
    }
}
