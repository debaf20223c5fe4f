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

/// What the change of the Worker `of`, or that of the Worker `user`, breaks for the latter. They may be the same.
pub(super) fn breaks(of: &Change<'_, ScriptProps>, user: &Change<'_, ScriptProps>) -> Vec<Break> {
    let Some(caller) = user.new else { return Vec::new() };
    let changes = user.old != user.new;
    let awaited = if of.fqn == user.fqn { awaited(of) } else { Vec::new() };
    let calls = of_bindings(of, user, caller, |binding, class, calls| {
        let mut found = after(of, user, binding, class, calls);
        // Before that, a caller that is new meets objects that go on with the old code.
        if changes && found.is_empty() {
            found = meanwhile(of, user, class, calls);
        }
        found
    });
    calls.into_iter().chain(awaited).collect()
}

/// What comes to objects of `of` later, and was made for the old version: events that wait, and clients of WebSockets that stay.
fn awaited(of: &Change<'_, ScriptProps>) -> Vec<Break> {
    let (Some(old), Some(new)) = (of.old, of.new) else { return Vec::new() };
    let mut all = Vec::new();
    for (class, before) in &old.contracts.awaits {
        let class = renamed(new, class);
        // A class that moved on takes them with it, and one that is deleted has none.
        let Some(now) = new.contracts.awaits.get(class) else { continue };
        let changed =
            |what: &str| before.get(what).filter(|hash| now.get(what) != Some(hash)).map(|_| now.get(what).is_some());
        let mut add = |what: String, outcome: &str| {
            all.push(Break { what: format!("{what} `{class}`"), outcome: outcome.into(), fails: false });
        };
        match changed("event") {
            Some(true) => add(
                "events that wait carry other data than is read now by objects of".into(),
                "they are read as JSON; one that cannot be read fails, is tried again, and becomes a dead letter after its last attempt",
            ),
            Some(false) => add(
                "events that wait have no handler any more in".into(),
                "they wait until a version has one, and something wakes the object",
            ),
            None => {}
        }
        match changed("message") {
            Some(true) => add(
                "clients that were told of the old messages send others than are read now by objects of".into(),
                "they are read as JSON; a message that cannot be read closes its socket with code 1007",
            ),
            Some(false) => add(
                "messages of clients are no longer read, or of no known form, in".into(),
                "what the new version does not handle is dropped",
            ),
            None => {}
        }
    }
    all
}

/// The name that a class has in `new`.
fn renamed<'a>(new: &'a ScriptProps, class: &'a str) -> &'a str {
    let to = new.exports.get(class).and_then(|entry| entry.get("renamed_to"));
    to.and_then(Value::as_str).unwrap_or(class)
}

/// Asks `find` about each class of `of` that `caller` calls.
fn of_bindings(
    of: &Change<'_, ScriptProps>,
    user: &Change<'_, ScriptProps>,
    caller: &ScriptProps,
    find: impl Fn(&str, &str, &MethodContracts) -> Vec<Break>,
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
        let calls = text("name").and_then(|name| Some((name, caller.contracts.calls.get(name)?)));
        if let (Some(class), Some((name, calls))) = (class, calls) {
            all.extend(find(name, class, calls));
        }
    }
    all.sort_by(|one, other| one.what.cmp(&other.what));
    all.dedup();
    all
}

/// The methods of a class as `props` have it, under the name that it has then. `None` for a Worker whose contracts nobody knows.
fn offered<'a>(props: Option<&'a ScriptProps>, class: &'a str) -> Option<&'a MethodContracts> {
    static NONE: MethodContracts = MethodContracts::new();
    let props = props.filter(|props| !props.contracts.offers.is_empty())?;
    let statement = |key: &str| props.exports.get(class)?.get(key);
    // What is bound moves on with it.
    if statement("transferred_to").is_some() {
        return None;
    }
    let renamed = statement("renamed_to").and_then(Value::as_str);
    Some(props.contracts.offers.get(renamed.unwrap_or(class)).unwrap_or(&NONE))
}

/// What does not work for a caller once both are as the plan has them, and worked before.
fn after(
    of: &Change<'_, ScriptProps>,
    user: &Change<'_, ScriptProps>,
    binding: &str,
    class: &str,
    calls: &MethodContracts,
) -> Vec<Break> {
    let Some(offers) = offered(of.new, class) else { return Vec::new() };
    let called_before = user.old.and_then(|props| props.contracts.calls.get(binding));
    let offered_before = offered(of.old, class);
    let was_broken = |method: &String, hash: &String| {
        called_before.is_some_and(|calls| calls.get(method) == Some(hash))
            && offered_before.is_some_and(|offers| offers.get(method) != Some(hash))
    };
    let (host, caller) = (of.fqn, user.fqn);
    let broken = calls.iter().filter(|(method, hash)| offers.get(*method) != Some(hash) && !was_broken(method, hash));
    let broken = broken.map(|(method, _)| match (offers.get(method), user.old == user.new) {
        (None, true) => Break {
            what: format!("`{caller}` calls `{class}::{method}` of `{host}`, which is gone"),
            outcome: format!("its calls fail until `{caller}` is deployed without them"),
            fails: true,
        },
        (None, false) => Break {
            what: format!("`{caller}` calls `{class}::{method}`, which `{host}` does not have"),
            outcome: format!("its calls fail until `{host}` has it"),
            fails: true,
        },
        (Some(_), true) => Break {
            what: format!("`{caller}` calls `{class}::{method}` of `{host}`, which exchanges other types now"),
            outcome: format!("until `{caller}` is deployed too, {PLAIN}"),
            fails: false,
        },
        (Some(_), false) => Break {
            what: format!("`{caller}` calls `{class}::{method}` of `{host}` with other types than it exchanges"),
            outcome: format!("until both were built with one contract, {PLAIN}"),
            fails: false,
        },
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

    /// A Worker that is bound to an entrypoint of `bank`, and to its class `Ledger`.
    fn client(calls: &Value, text: &str) -> ScriptProps {
        serde_json::from_value(json!({
            "compatibility_date": "2026-04-21", "compatibility_flags": [], "main_module": "index.js", "modules": {},
            "bindings": [
                { "name": "LEDGERS", "type": "durable_object_namespace", "class_name": "Ledger", "script_name": "app-bank" },
                { "name": "TEXT", "type": "plain_text", "text": text },
                { "name": "VAULT", "type": "service", "service": "app-bank", "entrypoint": "Vault" },
            ],
            "exports": {}, "contracts": { "offers": { "default": {} }, "calls": calls },
        }))
        .unwrap()
    }

    fn bank(offers: &Value, exports: &Value) -> ScriptProps {
        serde_json::from_value(json!({
            "compatibility_date": "2026-04-21", "compatibility_flags": [], "main_module": "index.js", "modules": {}, "bindings": [],
            "exports": exports, "contracts": { "offers": offers },
        }))
        .unwrap()
    }

    /// What fails for the client on the way from some versions to others.
    fn failing(bank: [&ScriptProps; 2], client: [&ScriptProps; 2]) -> Vec<String> {
        let name = |text: &str| Name { text: text.into(), pinned: false };
        let (bank_fqn, client_fqn) = (Fqn::new("bank").unwrap(), Fqn::new("client").unwrap());
        let (bank_name, client_name) = (name("app-bank"), name("app-client"));
        let of = Change { fqn: &bank_fqn, name: &bank_name, old: Some(bank[0]), new: Some(bank[1]) };
        let user = Change { fqn: &client_fqn, name: &client_name, old: Some(client[0]), new: Some(client[1]) };
        breaks(&of, &user).into_iter().filter(|found| found.fails).map(|found| found.what).collect()
    }

    #[test]
    fn a_caller_is_held_against_what_its_host_has_whichever_of_the_two_changes() {
        let live = json!({ "Ledger": { "type": "durable-object", "storage": "sqlite" } });
        let whole = bank(&json!({ "Ledger": { "add": "1" }, "Vault": { "open": "1" } }), &live);
        let calls = json!({ "LEDGERS": { "add": "1" }, "VAULT": { "open": "1" } });
        let (own, edited) = (client(&calls, "a"), client(&calls, "b"));
        assert!(failing([&whole, &whole], [&own, &edited]).is_empty());
        // An entrypoint is gone, and the caller changes too, but not its calls.
        let without = bank(&json!({ "Ledger": { "add": "1" } }), &live);
        assert_eq!(failing([&whole, &without], [&own, &own]).len(), 1);
        assert_eq!(failing([&whole, &without], [&own, &edited]).len(), 1);
        assert!(failing([&without, &without], [&own, &edited]).is_empty(), "it was so before");
        // A caller alone begins to call what its host does not have.
        let more = client(&json!({ "LEDGERS": { "add": "1", "undo": "1" }, "VAULT": { "open": "1" } }), "a");
        assert_eq!(
            failing([&whole, &whole], [&own, &more]),
            ["`client` calls `Ledger::undo`, which `bank` does not have"]
        );
        // A renamed class is the same class.
        let moved = json!({
            "Book": { "type": "durable-object", "storage": "sqlite" },
            "Ledger": { "type": "durable-object", "state": "renamed", "renamed_to": "Book" },
        });
        let renamed = |methods: &Value| bank(&json!({ "Book": methods, "Vault": { "open": "1" } }), &moved);
        assert!(failing([&whole, &renamed(&json!({ "add": "1" }))], [&own, &own]).is_empty());
        assert_eq!(failing([&whole, &renamed(&json!({}))], [&own, &own]).len(), 1);
    }
}
