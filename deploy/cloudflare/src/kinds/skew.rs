//! What a new version of a Worker breaks for those who call its methods. Workers are deployed one after the other, and Durable Objects
//! go on with the old code for a while, so callers and methods of different versions meet.
//!
//! A call carries the hash of what both sides mean by it. If the hashes differ, it is made again as plain values. If those cannot be
//! read either, it fails with `VersionSkew`; nothing is decoded wrongly.

use super::script::ScriptProps;
use realgar_engine::{Break, Change, OUTPUT};
use realgar_wire::MethodContracts;
use serde_json::Value;

/// The name of the Worker itself among the classes of its script.
const DEFAULT: &str = "default";
/// How long objects may go on with the old code, unless they restart earlier: Cloudflare's default for the deferred update of code.
const OLD_CODE_MINUTES: u32 = 5;

const PLAIN: &str =
    "they are made as plain values, or fail with `VersionSkew` where serde's defaults do not bridge the difference";

/// What the change of the Worker `of` breaks for the Worker `user`, which may be the same.
pub(super) fn breaks(of: &Change<'_, ScriptProps>, user: &Change<'_, ScriptProps>) -> Vec<Break> {
    let is_same = of.fqn == user.fqn;
    let stays = user.old == user.new;
    match (user.old, user.new) {
        // A caller that stays meets the new version.
        (Some(caller), _) if !is_same && stays => {
            of_bindings(of, user, caller, |class, calls| after(of, user, class, calls))
        }
        // A caller that is new meets objects that go on with the old code.
        (_, Some(caller)) => of_bindings(of, user, caller, |class, calls| meanwhile(of, user, class, calls)),
        _ => Vec::new(),
    }
}

/// Asks `find` about each class of `of` that `caller` calls.
fn of_bindings(
    of: &Change<'_, ScriptProps>,
    user: &Change<'_, ScriptProps>,
    caller: &ScriptProps,
    find: impl Fn(&str, &MethodContracts) -> Vec<Break>,
) -> Vec<Break> {
    let mut all = Vec::new();
    for binding in &caller.bindings {
        let text = |key: &str| binding.get(key).and_then(Value::as_str);
        let is_of = |key: &str| match binding.get(key) {
            None => of.fqn == user.fqn && key == "script_name",
            Some(value) => *value == of.name.text || value[OUTPUT]["of"] == of.fqn.as_str(),
        };
        let class = match text("type") {
            Some("durable_object_namespace") if is_of("script_name") => text("class_name"),
            Some("service") if is_of("service") => text("entrypoint").or(Some(DEFAULT)),
            _ => None,
        };
        let calls = text("name").and_then(|name| caller.contracts.calls.get(name));
        if let (Some(class), Some(calls)) = (class, calls) {
            all.extend(find(class, calls));
        }
    }
    all.sort_by(|one, other| one.what.cmp(&other.what));
    all.dedup();
    all
}

/// What no longer works for a caller that stays.
fn after(
    of: &Change<'_, ScriptProps>,
    user: &Change<'_, ScriptProps>,
    class: &str,
    calls: &MethodContracts,
) -> Vec<Break> {
    // Of a Worker whose contracts nobody knows, nothing is said. A class that is gone is another matter: see `Kind::refusal`.
    let known = |props: Option<&ScriptProps>| props.and_then(|props| props.contracts.offers.get(class).cloned());
    let (Some(old), Some(new)) = (known(of.old), known(of.new)) else { return Vec::new() };
    let (host, caller) = (of.fqn, user.fqn);
    let broken = calls.iter().filter_map(|(method, hash)| match (old.get(method), new.get(method)) {
        (Some(_), None) => Some(Break {
            what: format!("`{caller}` calls `{class}::{method}` of `{host}`, which is gone"),
            outcome: format!("its calls fail until `{caller}` is deployed without them"),
            fails: true,
        }),
        (Some(before), Some(now)) if before == hash && now != hash => Some(Break {
            what: format!("`{caller}` calls `{class}::{method}` of `{host}`, which exchanges other types now"),
            outcome: format!("until `{caller}` is deployed too, {PLAIN}"),
            fails: false,
        }),
        _ => None,
    });
    broken.collect()
}

/// What does not work yet for a caller that is new, while objects go on with the old code.
fn meanwhile(
    of: &Change<'_, ScriptProps>,
    user: &Change<'_, ScriptProps>,
    class: &str,
    calls: &MethodContracts,
) -> Vec<Break> {
    // A Worker itself has one version at a time. A class without an old version has no objects.
    let known = of.old.and_then(|props| props.contracts.offers.get(class)).filter(|_| class != DEFAULT);
    let (Some(old), Some(_)) = (known, of.old.filter(|old| old.exports.contains_key(class))) else { return Vec::new() };
    let caller = user.fqn;
    let objects = format!("objects of `{class}` go on with the old code for up to {OLD_CODE_MINUTES} minutes");
    let broken = calls.iter().filter_map(|(method, hash)| match old.get(method) {
        None => Some(Break {
            what: format!("{objects}, and have no `{method}`, which `{caller}` calls"),
            outcome: "such calls fail until the object runs the new code".into(),
            fails: false,
        }),
        Some(before) if before != hash => Some(Break {
            what: format!("{objects}, and `{method}` exchanges other types there than `{caller}` means"),
            outcome: format!("meanwhile, {PLAIN}"),
            fails: false,
        }),
        Some(_) => None,
    });
    broken.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use realgar_engine::{Fqn, Name};
    use serde_json::json;

    /// A Worker that hosts `Cart` with these methods, and calls `calls` of it.
    fn shop(offers: &Value, calls: &Value) -> ScriptProps {
        serde_json::from_value(json!({
            "compatibility_date": "2026-04-21", "compatibility_flags": [], "main_module": "index.js", "modules": {},
            "bindings": [{ "name": "CARTS", "type": "durable_object_namespace", "class_name": "Cart" }],
            "exports": { "Cart": { "type": "durable-object", "storage": "sqlite" } },
            "contracts": { "offers": { "Cart": offers }, "calls": { "CARTS": calls } },
        }))
        .unwrap()
    }

    fn found(old: &ScriptProps, new: &ScriptProps) -> Vec<String> {
        let (fqn, name) = (Fqn::new("shop").unwrap(), Name { text: "app-shop".into(), pinned: false });
        let change = Change { fqn: &fqn, name: &name, old: Some(old), new: Some(new) };
        breaks(&change, &change).into_iter().inspect(|found| assert!(!found.fails)).map(|found| found.what).collect()
    }

    #[test]
    fn a_worker_meets_objects_of_its_own_that_go_on_with_the_old_code() {
        let old = shop(&json!({ "add": "1" }), &json!({ "add": "1" }));
        let methods = json!({ "add": "2", "undo": "3" });
        let new = shop(&methods, &methods);
        let texts = found(&old, &new);
        assert_eq!(texts.len(), 2, "{texts:?}");
        assert!(texts[0].contains("and `add` exchanges other types there than `shop` means"), "{texts:?}");
        assert!(texts[1].contains("and have no `undo`, which `shop` calls"), "{texts:?}");
        assert!(found(&old, &old).is_empty());
    }

    #[test]
    fn of_a_worker_whose_contracts_nobody_knows_nothing_is_said() {
        let new = shop(&json!({ "add": "2" }), &json!({ "add": "2" }));
        let mut plain = new.clone();
        plain.contracts = realgar_wire::Contracts::default();
        assert!(found(&plain, &new).is_empty() && found(&new, &plain).is_empty());
    }
}
