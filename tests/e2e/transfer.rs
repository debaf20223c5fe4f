//! Durable Object classes that move from one Worker to another, with their data: `from` gives the class `Room` to `to`, and `third` uses it.

use crate::machine::{Machine, Web, request, verbs};
use serde_json::Value;

const ROOM: &str = "import { DurableObject } from \"cloudflare:workers\";\n\
    export class Room extends DurableObject { async fetch() { const n = (await this.ctx.storage.get(\"n\") ?? 0) + 1; \
    await this.ctx.storage.put(\"n\", n); return new Response(String(n)); } }\n";
const ASK: &str =
    "export default { fetch: (request, env) => env.ROOMS.get(env.ROOMS.idFromName(\"a\")).fetch(request) };\n";

const LIVE: &str = "[exports.Room]\ntype = \"durable-object\"\nstorage = \"sqlite\"\n";
const TAKEN: &str = "[exports.Room]\ntype = \"durable-object\"\nstorage = \"sqlite\"\nstate = \"expecting-transfer\"\ntransfer_from = \"from\"\n";
const GIVEN: &str = "[exports.Room]\ntype = \"durable-object\"\nstate = \"transferred\"\ntransferred_to = \"to\"\n";

/// A Worker that asks the rooms of the script `host`, or its own.
struct Asker(Web);

impl Asker {
    fn new(machine: &Machine, name: &str) -> Self {
        Self(Web::named(machine, name))
    }

    fn write(&self, host: Option<&str>, exports: &str) {
        let script = host.map(|host| format!("script_name = \"{host}\"\n")).unwrap_or_default();
        let binding = format!("[[durable_objects.bindings]]\nname = \"ROOMS\"\nclass_name = \"Room\"\n{script}");
        self.0.set(&format!("{binding}{exports}"));
        self.0.write("index.js", &format!("{}{ASK}", if host.is_none() { ROOM } else { "" }));
    }
}

struct Rooms {
    machine: Machine,
    from: Asker,
    to: Asker,
    third: Asker,
}

impl Rooms {
    fn new(name: &str) -> Self {
        let machine = Machine::new(name);
        let [from, to, third] = ["from", "to", "third"].map(|name| Asker::new(&machine, name));
        from.write(None, LIVE);
        third.write(Some("from"), "");
        Self { machine, from, to, third }
    }

    /// Writes both sides as they are once the class has moved.
    fn move_room(&self) {
        self.from.write(Some("to"), GIVEN);
        self.to.write(None, TAKEN);
    }

    fn both(&self) -> [&str; 2] {
        [self.from.0.path(), self.to.0.path()]
    }
}

#[test]
fn law_09_a_class_moves_to_another_worker_in_steps_and_its_data_stays() {
    let rooms = Rooms::new("transfer");
    let Rooms { machine, from, to, third } = &rooms;
    let deployed = machine.deploy(&[from.0.path(), third.0.path()], &[]).expect(0);
    let (own, others) = (deployed.url("from"), deployed.url("third"));
    assert_eq!((request("GET", &own).1, request("GET", &others).1), ("1".into(), "2".into()));
    rooms.move_room();
    let plan = machine.plan(&rooms.both());
    let steps: Vec<(&str, &Value, &Value)> = plan["actions"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|action| action["kind"] == "worker" && action["verb"] != "keep")
        .map(|action| (action["fqn"].as_str().unwrap(), &action["step"], &action["verb"]))
        .collect();
    let (create, update) = (Value::from("create"), Value::from("update"));
    assert_eq!(steps, [("from", &1.into(), &update), ("to", &0.into(), &create), ("to", &1.into(), &update)]);
    let deployed = machine.deploy(&rooms.both(), &[]).expect(0);
    assert!(deployed.err.contains("~ to  Worker, takes over what `from` gave away"), "{}", deployed.err);
    let url = deployed.url("to");
    assert_eq!((request("GET", &url).1, request("GET", &own).1), ("3".into(), "4".into()));
    assert_eq!(request("GET", &others).1, "5", "what is bound moves on with the class");
    assert!(verbs(&machine.plan(&rooms.both())).is_empty());
    // The one that was not named says where the class is now, and the statements go.
    third.write(Some("to"), "");
    from.write(Some("to"), "");
    to.write(None, LIVE);
    let all = [from, to, third].map(|worker| worker.0.path());
    machine.deploy(&all, &[]).expect(0);
    assert_eq!(request("GET", &others).1, "6");
    assert!(verbs(&machine.plan(&all)).is_empty());
    // The giver's statement may stay when the class is given up later.
    from.write(Some("to"), GIVEN);
    to.0.set("[exports.Room]\ntype = \"durable-object\"\nstate = \"deleted\"\n");
    let planned = machine.deploy(&[from.0.path(), to.0.path()], &[]).expect(1);
    assert!(planned.err.contains("the data of `to` would be lost"), "{}", planned.err);
    machine.destroy(from.0.path());
}

#[test]
fn law_09_a_class_of_which_only_one_side_says_that_it_moves_is_refused_before_any_call() {
    let rooms = Rooms::new("transfer-half");
    let Rooms { machine, from, to, .. } = &rooms;
    machine.deploy(&[from.0.path()], &[]).expect(0);
    let before = machine.calls().iter().filter(|call| !call.starts_with("GET")).count();
    rooms.move_room();
    from.write(None, LIVE);
    let refused = machine.deploy(&rooms.both(), &[]).expect(1);
    assert!(refused.err.contains("say `transferred_to(Room = \"to\")` there"), "{}", refused.err);
    rooms.move_room();
    to.write(None, LIVE);
    let refused = machine.deploy(&rooms.both(), &[]).expect(1);
    assert!(refused.err.contains("say `transferred_from(Room = \"from\")` there"), "{}", refused.err);
    rooms.move_room();
    // The taker alone would begin with an empty class.
    let refused = machine.deploy(&[to.0.path()], &[]).expect(1);
    assert!(refused.err.contains("it takes over what `from` has"), "{}", refused.err);
    let refused = machine.deploy(&[from.0.path()], &[]).expect(1);
    assert!(refused.err.contains("`to`, which is neither deployed nor named here"), "{}", refused.err);
    assert_eq!(machine.calls().iter().filter(|call| !call.starts_with("GET")).count(), before);
}

#[test]
fn a_stage_that_never_had_the_class_elsewhere_begins_with_an_empty_one() {
    let rooms = Rooms::new("transfer-fresh");
    rooms.move_room();
    let deployed = rooms.machine.deploy(&rooms.both(), &[]).expect(0);
    assert_eq!(
        (request("GET", &deployed.url("to")).1, request("GET", &deployed.url("from")).1),
        ("1".into(), "2".into())
    );
    assert!(verbs(&rooms.machine.plan(&rooms.both())).is_empty());
    rooms.machine.destroy(rooms.from.0.path());
}

/// Statements of several releases stay until every stage has followed: a class that came, and another one that went on.
#[test]
fn a_new_stage_takes_the_statements_of_all_releases_at_once() {
    let machine = Machine::new("transfer-chain");
    let webs = ["a", "b", "c"].map(|name| Web::named(&machine, name));
    let live = |class: &str| format!("[exports.{class}]\ntype = \"durable-object\"\nstorage = \"sqlite\"\n");
    let taken = |class: &str, from: &str| {
        format!("{}state = \"expecting-transfer\"\ntransfer_from = \"{from}\"\n", live(class))
    };
    let given = |class: &str, to: &str| {
        format!("[exports.{class}]\ntype = \"durable-object\"\nstate = \"transferred\"\ntransferred_to = \"{to}\"\n")
    };
    let write = |web: &Web, exports: &str, classes: &[&str]| {
        web.set(exports);
        let class = |class: &&str| format!("export class {class} extends DurableObject {{}}\n");
        let classes: String = classes.iter().map(class).collect();
        let import = "import { DurableObject } from \"cloudflare:workers\";\n";
        web.write("index.js", &format!("{import}{classes}export default {{ fetch: () => new Response(\"\") }};"));
    };
    let all = webs.each_ref().map(Web::path);
    let follow = || {
        write(&webs[0], &given("C", "b"), &[]);
        write(&webs[1], &format!("{}{}", taken("C", "a"), given("E", "c")), &["C"]);
        write(&webs[2], &taken("E", "b"), &["E"]);
    };
    // A stage that follows both at once, and one that begins with them.
    write(&webs[0], &live("C"), &["C"]);
    write(&webs[1], &live("E"), &["E"]);
    write(&webs[2], "", &[]);
    machine.deploy(&all, &[]).expect(0);
    let ids = || -> Vec<String> {
        let tables = machine.tables();
        let classes =
            tables["scripts"].as_object().unwrap().values().flat_map(|row| row["classes"].as_object().unwrap());
        let mut ids: Vec<String> = classes.map(|(class, own)| format!("{class} {}", own["id"])).collect();
        ids.sort();
        ids
    };
    let before = ids();
    follow();
    machine.deploy(&all, &[]).expect(0);
    assert_eq!(ids(), before, "the same namespaces");
    assert!(verbs(&machine.plan(&all)).is_empty());
    machine.deploy(&all, &["--stage", "fresh"]).expect(0);
    assert_eq!(ids().len(), 4);
}

/// One class comes from a Worker that has it, and another one from a Worker that never had it in this stage.
#[test]
fn a_class_that_nobody_has_does_not_keep_another_one_from_coming() {
    let rooms = Rooms::new("transfer-mixed");
    let Rooms { machine, from, to, third } = &rooms;
    machine.deploy(&[from.0.path()], &[]).expect(0);
    rooms.move_room();
    let shelf = "[exports.Shelf]\ntype = \"durable-object\"\n";
    to.write(
        None,
        &format!("{TAKEN}{shelf}storage = \"sqlite\"\nstate = \"expecting-transfer\"\ntransfer_from = \"third\"\n"),
    );
    to.0.write("index.js", &format!("{ROOM}export class Shelf extends DurableObject {{}}\n{ASK}"));
    third.0.set(&format!("{shelf}state = \"transferred\"\ntransferred_to = \"to\"\n"));
    third.0.write("index.js", "export default { fetch: () => new Response(\"\") };");
    let id = |script: &str| {
        let tables = machine.tables();
        let scripts = tables["scripts"].as_object().unwrap();
        let (_, row) = scripts.iter().find(|(name, _)| name.contains(&format!("-{script}-"))).unwrap();
        row["classes"]["Room"]["id"].clone()
    };
    let before = id("from");
    machine.deploy(&[from.0.path(), to.0.path(), third.0.path()], &[]).expect(0);
    assert_eq!(id("to"), before, "the same namespace");
}

/// After a run that was cut off, the old version is deployed again: what the taker only expected is no class that it had.
#[test]
fn a_move_that_was_given_up_leaves_no_class_to_be_deleted() {
    let rooms = Rooms::new("transfer-given-up");
    let Rooms { machine, from, to, .. } = &rooms;
    machine.deploy(&[from.0.path()], &[]).expect(0);
    rooms.move_room();
    machine.faults(&serde_json::json!({ "rules": [
        { "method": "PUT", "path": "/workers/scripts/", "skip": 1, "do": "refuse", "status": 400, "code": 10021 },
    ] }));
    machine.deploy(&rooms.both(), &[]).expect(1);
    machine.faults(&serde_json::json!({}));
    from.write(None, LIVE);
    to.write(Some("from"), "");
    let deployed = machine.deploy(&rooms.both(), &[]).expect(0);
    assert_eq!(
        (request("GET", &deployed.url("from")).1, request("GET", &deployed.url("to")).1),
        ("1".into(), "2".into())
    );
    // And it may be begun again.
    rooms.move_room();
    machine.deploy(&rooms.both(), &[]).expect(0);
    assert_eq!(request("GET", &deployed.url("to")).1, "3");
}
