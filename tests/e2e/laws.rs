//! How other deploy tools lost data or got stuck, tried on this one. Each test is named after its law; `tests/laws.md` leads from every
//! case to its test.

use crate::{
    common::eventually,
    machine::{ACCOUNT, Ended, Machine, Web, request, verbs},
    project::{Project, worker},
};
use serde_json::{Value, json};
use std::process::{Child, Stdio};

const PHOTOS: [&str; 1] = ["examples/photos"];
/// The resources of the photos, but for the settings of the Worker.
const ALL_DATA: &str = "photos,d1/INDEX,queues/uploads,r2/photos";

/// Starts a deployment that the test kills.
fn start(machine: &Machine, paths: &[&str]) -> Child {
    let mut command = machine.command(&["deploy", "--local", "--yes", "--dev"]);
    command.args(paths).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn destroy(machine: &Machine) -> Ended {
    machine.run(&["destroy", "--local", "--yes", "--allow-data-loss", ALL_DATA, PHOTOS[0]])
}

/// The changing calls with the end of `path` that took effect or may have.
fn changing(machine: &Machine) -> Vec<String> {
    machine.calls().into_iter().filter(|call| !call.starts_with("GET") && !call.contains("/query")).collect()
}

fn reasons(plan: &Value) -> Vec<(String, Value)> {
    let actions = plan["actions"].as_array().unwrap().iter().filter(|action| action["verb"] != "keep");
    actions.map(|action| (action["fqn"].as_str().unwrap().to_string(), action["reason"].clone())).collect()
}

/// The only key of a table.
fn only(machine: &Machine, table: &str) -> String {
    let tables = machine.tables();
    let keys: Vec<&String> = tables[table].as_object().unwrap().keys().collect();
    assert_eq!(keys.len(), 1, "{table}");
    keys[0].clone()
}

#[test]
fn law_01_absent_is_unmanaged_and_a_removed_list_is_emptied() {
    let machine = Machine::new("law-01");
    let project = Project::new("law-01", &worker("", "x"));
    let path = project.folder.to_str().unwrap();
    machine.deploy(&[path], &[]).expect(0);
    let script = machine.tables()["scripts"].as_object().unwrap().keys().next().unwrap().clone();
    let schedules = format!("/workers/scripts/{script}/schedules");
    assert_eq!(machine.rest("PUT", &schedules, &json!([{ "cron": "1 * * * *" }])).0, 200);
    project.write(&worker("", "y"));
    machine.deploy(&[path], &[]).expect(0);
    let crons = machine.rest("GET", &schedules, &Value::Null).1;
    assert_eq!(crons["result"]["schedules"][0]["cron"], "1 * * * *", "what the program says nothing about stays");
}

/// Binds the bucket `name`.
fn binding(name: &str, answer: &str) -> String {
    let bind = format!("static FILES: R2Bucket = R2Bucket::new(\"{name}\"); let _ = cx.bind(&FILES);");
    worker(&bind, answer).replace("use realgar::prelude::*;", "use realgar::{R2Bucket, prelude::*};")
}

#[test]
fn law_06_a_bucket_with_another_name_in_the_program_stays_what_it_is() {
    let machine = Machine::new("law-06");
    let project = Project::new("law-06", &binding("old", "one"));
    let path = project.folder.to_str().unwrap();
    machine.deploy(&[path], &[]).expect(0);
    let bucket = only(&machine, "buckets");
    let token = machine.token();
    let object = format!("/accounts/{ACCOUNT}/r2/buckets/{bucket}/objects/precious");
    assert_eq!(machine.api("PUT", &object, &[("authorization", &token)]).0, 200);
    project.write(&binding("new", "one"));
    // Without a word, the old one would be deleted.
    let refused = machine.deploy(&[path], &[]).expect(1);
    assert!(refused.err.contains("the data of `r2/old` would be lost"), "{}", refused.err);
    project.state("moved = { \"r2/old\" = \"r2/new\" }\n");
    let deployed = machine.deploy(&[path], &[]).expect(0);
    assert!(deployed.err.contains("> r2/new  was r2/old; only the state changes"), "{}", deployed.err);
    assert_eq!(only(&machine, "buckets"), bucket);
    assert!(verbs(&machine.plan(&[path])).is_empty());
    // It is let go, and taken back under the name that it has.
    project.write(&worker("", "two"));
    project.state("removed = [\"r2/new\"]\n");
    machine.deploy(&[path], &[]).expect(0);
    assert_eq!(only(&machine, "buckets"), bucket);
    project.write(&binding("files", "three"));
    project.state(&format!("[workspace.metadata.realgar.imported.dev_ada]\n\"r2/files\" = \"{bucket}\"\n"));
    let url = machine.deploy(&[path], &[]).expect(0).url("api");
    assert_eq!((request("GET", &url).1.as_str(), only(&machine, "buckets")), ("three", bucket.clone()));
    assert!(verbs(&machine.plan(&[path])).is_empty());
    // What is not known there is an error.
    project.state("moves = {}\n");
    let refused = machine.deploy(&[path], &[]).expect(1);
    assert!(refused.err.contains("unknown field `moves`"), "{}", refused.err);
    project.state("");
    machine.run(&["destroy", "--local", "--yes", path]).expect(0);
    assert_eq!(only(&machine, "buckets"), bucket, "what was taken over stays");
}

#[test]
fn law_01_what_a_configuration_says_of_how_a_worker_runs_goes_up_or_is_an_error() {
    let machine = Machine::new("law-01-hosting");
    let web = Web::new(&machine, "workers_dev = false\n[observability]\nenabled = true\n[limits]\ncpu_ms = 50\n");
    assert!(!machine.deploy(&[web.path()], &[]).expect(0).out.contains("http"), "it has no address");
    let name = only(&machine, "scripts");
    let settings =
        || machine.rest("GET", &format!("/workers/scripts/{name}/settings"), &Value::Null).1["result"].clone();
    assert_eq!(
        (&settings()["observability"], &settings()["limits"]),
        (&json!({ "enabled": true }), &json!({ "cpu_ms": 50 }))
    );
    assert!(verbs(&machine.plan(&[web.path()])).is_empty());
    // What it no longer says is as it is by default; what it never said stays as somebody else has it.
    web.set("[limits]\ncpu_ms = 60\n");
    machine.deploy(&[web.path()], &[]).expect(0).url("web");
    assert_eq!((&settings()["observability"], &settings()["limits"]), (&Value::Null, &json!({ "cpu_ms": 60 })));
    assert_eq!(machine.tables()["scripts"][&name]["subdomain"], true);
    web.set("routes = [\"example.com/*\"]\n");
    let refused = machine.deploy(&[web.path()], &[]).expect(1);
    assert!(refused.err.contains("the Worker `web` asks for `routes`"), "{}", refused.err);
    web.set("");
    machine.destroy(web.path());
}

#[test]
fn law_11_after_a_follow_up_step_failed_only_that_is_made() {
    let machine = Machine::new("law-11");
    machine.faults(
        &json!({ "rules": [{ "method": "POST", "path": "/subdomain", "do": "refuse", "status": 403, "code": 10000 }] }),
    );
    let failed = machine.deploy(&PHOTOS, &[]).expect(1);
    assert!(failed.err.contains("failed + photos/workers.dev"), "{}", failed.err);
    assert!(failed.err.contains("it does only what is missing"), "{}", failed.err);
    let before = changing(&machine).len();
    assert_eq!(verbs(&machine.plan(&PHOTOS)), [("photos/workers.dev".to_string(), "create".to_string())]);
    machine.deploy(&PHOTOS, &[]).expect(0);
    let calls = changing(&machine).split_off(before);
    assert!(calls.len() == 1 && calls[0].contains("/subdomain"), "{calls:?}");
    destroy(&machine).expect(0);
}

#[test]
fn law_11_a_version_that_does_not_start_leaves_the_old_one() {
    let machine = Machine::new("law-11-start");
    let web = Web::new(&machine, "");
    let write = |file: &str, text: &str| web.write(file, text);
    let path = [web.path()];
    let url = machine.deploy(&path, &[]).expect(0).url("web");
    write("index.js", "throw new Error(\"broken at the top\");\nexport default {};");
    let failed = machine.deploy(&path, &[]).expect(1);
    assert!(failed.err.contains("broken at the top") && failed.err.contains("code 10021"), "{}", failed.err);
    assert_eq!(request("GET", &format!("{url}/other")).1, "one");
    write("index.js", "export default { fetch: () => new Response(\"two\") };");
    machine.deploy(&path, &[]).expect(0);
    assert_eq!(request("GET", &format!("{url}/other")).1, "two");
}

#[test]
fn law_13_an_effect_without_an_answer_is_found_by_the_same_run() {
    let machine = Machine::new("law-13");
    let lost = ["/d1/database", "/queues", "/r2/buckets", "/workers/scripts/", "/subdomain", "/consumers"];
    let rule = |path: &&str| json!({ "change": true, "path": path, "do": "lose" });
    machine.faults(&json!({ "rules": lost.iter().map(rule).collect::<Vec<_>>() }));
    machine.deploy(&PHOTOS, &[]).expect(0);
    assert_eq!(machine.calls().iter().filter(|call| call.ends_with(" 0")).count(), lost.len());
    let tables = machine.tables();
    for table in ["scripts", "databases", "buckets", "queues", "consumers"] {
        assert_eq!(tables[table].as_object().unwrap().len(), 1, "{table}");
    }
    assert!(verbs(&machine.plan(&PHOTOS)).is_empty());
}

#[test]
fn law_14_what_was_just_made_may_be_invisible_and_what_was_not_is_an_error_at_once() {
    let machine = Machine::new("law-14");
    machine.faults(&json!({ "lag": { "d1": 1500, "r2": 1000, "queue": 500 } }));
    machine.deploy(&PHOTOS, &[]).expect(0);
    assert!(machine.calls().iter().any(|call| call.ends_with(" 400")), "an upload was refused for a while");
    // The bucket was not made by this run, so nobody waits for it.
    machine.faults(&json!({ "lag": { "r2": 1_000_000_000_u64 } }));
    machine.patch_bindings(|bindings| bindings.retain(|binding| binding["type"] != "r2_bucket"));
    let before = machine.calls().len();
    let failed = machine.deploy(&PHOTOS, &[]).expect(1);
    assert!(failed.err.contains("refers to the R2 bucket"), "{}", failed.err);
    let refused = machine.calls().split_off(before).into_iter().filter(|call| call.ends_with(" 400")).count();
    assert_eq!(refused, 1, "no retry");
}

#[test]
fn law_14_what_is_found_and_not_found_in_turns_is_waited_for() {
    let machine = Machine::new("law-14-flap");
    let web = Web::new(&machine, "[[d1_databases]]\nbinding = \"DB\"\ndatabase_name = \"flaps\"\n");
    machine.faults(&json!({ "flap": { "d1": 2000, "version": 2000 } }));
    let url = machine.deploy(&[web.path()], &[]).expect(0).url("web");
    assert_eq!(request("GET", &url).1, "one");
    let calls = machine.calls();
    assert!(calls.iter().any(|call| call.ends_with("/settings 404")), "{calls:?}");
    machine.faults(&json!({}));
    assert!(verbs(&machine.plan(&[web.path()])).is_empty());
    machine.destroy(web.path());
}

#[test]
fn law_15_what_somebody_else_deleted_is_made_again_and_bound_again() {
    let machine = Machine::new("law-15");
    let url = machine.deploy(&PHOTOS, &[]).expect(0).url("photos");
    let id = |table: &str| machine.tables()[table].as_object().unwrap().keys().next().unwrap().clone();
    // The dashboard takes the bindings away first, as it has to.
    machine.patch_bindings(Vec::clear);
    let (database, bucket) = (id("databases"), id("buckets"));
    assert_eq!(machine.rest("DELETE", &format!("/d1/database/{database}"), &Value::Null).0, 200);
    assert_eq!(machine.rest("DELETE", &format!("/r2/buckets/{bucket}"), &Value::Null).0, 200);
    let blind = machine.run(&["plan", "--local", "--dev", "--refresh=false", PHOTOS[0]]).expect(0);
    assert!(blind.out.contains("Cloudflare was not asked what is there"), "{}", blind.out);
    assert!(blind.out.contains("Nothing to do"), "{}", blind.out);
    let expected = [
        ("d1/INDEX", json!("vanished")),
        ("d1/INDEX/migrations", json!("vanished")),
        ("photos", json!({ "upstream": "d1/INDEX" })),
        ("r2/photos", json!("vanished")),
    ];
    assert_eq!(reasons(&machine.plan(&PHOTOS)), expected.map(|(fqn, reason)| (fqn.to_string(), reason)));
    machine.deploy(&PHOTOS, &[]).expect(0);
    assert_ne!(id("databases"), database);
    assert_eq!(request("GET", &url).0, 200, "the new database has its table");
    assert!(verbs(&machine.plan(&PHOTOS)).is_empty());
    // Deleting what is gone already is no error.
    machine.patch_bindings(Vec::clear);
    assert_eq!(machine.rest("DELETE", &format!("/r2/buckets/{bucket}"), &Value::Null).0, 200);
    destroy(&machine).expect(0);
}

#[test]
fn law_16_somebody_elses_worker_of_our_name_is_not_overwritten() {
    let machine = Machine::new("law-16");
    machine.deploy(&["examples/counter"], &[]).expect(0);
    let script = machine.tables()["scripts"].as_object().unwrap().keys().next().unwrap().clone();
    // It is somebody else's now, and the state is lost.
    let settings = format!("/workers/scripts/{script}/settings");
    assert_eq!(machine.rest("PATCH", &settings, &json!({ "tags": ["theirs"] })).0, 200);
    std::fs::remove_dir_all(machine.data.join("local-state")).unwrap();
    let before = changing(&machine).len();
    let refused = machine.deploy(&["examples/counter"], &[]).expect(1);
    assert!(refused.err.contains(&format!("a Worker called `{script}` exists")), "{}", refused.err);
    assert!(refused.err.contains("`--adopt=counter`"), "{}", refused.err);
    assert_eq!(changing(&machine).len(), before, "no write");
    machine.deploy(&["examples/counter"], &["--adopt=counter"]).expect(0);
    assert!(verbs(&machine.plan(&["examples/counter"])).is_empty());
    let all = "counter,d1/Events";
    machine.run(&["destroy", "--local", "--yes", "--allow-data-loss", all, "examples/counter"]).expect(1);
}

#[test]
fn law_16_after_the_state_is_lost_what_is_ours_is_recognised() {
    let machine = Machine::new("law-16-lost");
    let url = machine.deploy(&PHOTOS, &[]).expect(0).url("photos");
    let before = machine.tables();
    std::fs::remove_dir_all(machine.data.join("local-state")).unwrap();
    let all = verbs(&machine.plan(&PHOTOS));
    assert!(all.iter().all(|(_, verb)| verb == "adopt"), "{all:?}");
    assert_eq!(machine.deploy(&PHOTOS, &[]).expect(0).url("photos"), url);
    for table in ["databases", "buckets", "queues", "consumers"] {
        assert_eq!(machine.tables()[table], before[table], "{table}: none twice");
    }
    assert!(verbs(&machine.plan(&PHOTOS)).is_empty());
}

#[test]
fn law_16_another_database_under_the_name_of_ours_is_not_ours() {
    let machine = Machine::new("law-16-other");
    let web =
        Web::new(&machine, "[[d1_databases]]\nbinding = \"DB\"\ndatabase_name = \"data\"\ndatabase_id = \"data\"\n");
    machine.deploy(&[web.path()], &[]).expect(0);
    let first = only(&machine, "databases");
    let name = machine.tables()["databases"][&first]["name"].clone();
    machine.patch_bindings(Vec::clear);
    assert_eq!(machine.rest("DELETE", &format!("/d1/database/{first}"), &Value::Null).0, 200);
    assert_eq!(machine.rest("POST", "/d1/database", &json!({ "name": name })).0, 200);
    let second = only(&machine, "databases");
    let refused = machine.deploy(&[web.path()], &[]).expect(1);
    assert!(refused.err.contains("`--adopt=d1/data`"), "{}", refused.err);
    machine.deploy(&[web.path()], &["--adopt=d1/data"]).expect(0);
    assert_eq!(machine.bindings()[0]["id"], second, "the Worker is bound to the one that is there");
    assert!(verbs(&machine.plan(&[web.path()])).is_empty());
    // It was somebody else's, so it stays.
    machine.run(&["destroy", "--local", "--yes", web.path()]).expect(0);
    assert_eq!(only(&machine, "databases"), second);
}

#[test]
fn law_16_a_worker_that_appeared_after_the_plan_is_not_overwritten() {
    let machine = Machine::new("law-16-appeared");
    let web = Web::new(&machine, "");
    machine.deploy(&[web.path()], &[]).expect(0);
    let script = only(&machine, "scripts");
    // Without a look, the plan does not know of it.
    assert_eq!(
        machine.rest("PATCH", &format!("/workers/scripts/{script}/settings"), &json!({ "tags": ["theirs"] })).0,
        200
    );
    std::fs::remove_dir_all(machine.data.join("local-state")).unwrap();
    let before = machine.tables();
    let failed = machine.deploy(&[web.path()], &["--refresh=false"]).expect(1);
    assert!(
        failed.err.contains(&format!("a Worker called `{script}` appeared since the plan was made")),
        "{}",
        failed.err
    );
    assert_eq!(machine.tables(), before);
}

#[test]
fn law_23_what_others_set_beside_a_worker_outlives_its_uploads() {
    let machine = Machine::new("law-23");
    let web = Web::new(&machine, "");
    machine.deploy(&[web.path()], &[]).expect(0);
    let settings = format!("/workers/scripts/{}/settings", only(&machine, "scripts"));
    let theirs = json!({ "tags": ["theirs"], "observability": { "enabled": true }, "placement": { "mode": "smart" } });
    assert_eq!(machine.rest("PATCH", &settings, &theirs).0, 200);
    web.write("index.js", "export default { fetch: () => new Response(\"two\") };");
    machine.deploy(&[web.path()], &[]).expect(0);
    let now = machine.rest("GET", &settings, &Value::Null).1["result"].clone();
    assert_eq!((&now["observability"], &now["placement"]), (&theirs["observability"], &theirs["placement"]));
    assert!(now["tags"].as_array().unwrap().contains(&json!("theirs")), "{now}");
    // One that was theirs from the start gets no mark of ours.
    assert_eq!(machine.rest("PATCH", &settings, &json!({ "tags": ["theirs"] })).0, 200);
    std::fs::remove_dir_all(machine.data.join("local-state")).unwrap();
    machine.deploy(&[web.path()], &["--adopt=web"]).expect(0);
    assert_eq!(machine.rest("GET", &settings, &Value::Null).1["result"]["tags"], json!(["theirs"]));
    assert!(verbs(&machine.plan(&[web.path()])).is_empty());
}

#[test]
fn law_16_a_resource_is_found_on_the_last_page() {
    let mut machine = Machine::new("law-16-pages");
    machine.kill_edge();
    let bucket = |number| (format!("a-{number:04}"), json!({ "name": format!("a-{number:04}"), "created_ms": 0 }));
    let namespace = |number| (format!("{number:032x}"), json!({ "name": format!("n{number}"), "created_ms": 0 }));
    let all = |one: &dyn Fn(u32) -> (String, Value)| (0..1100).map(one).collect::<serde_json::Map<_, _>>();
    let tables = json!({
        "schema": 1, "databases": {}, "namespaces": all(&namespace), "buckets": all(&bucket), "queues": {}, "consumers": {},
        "scripts": {}, "subdomain": "local",
    });
    std::fs::write(machine.data.join("edge/api.json"), tables.to_string()).unwrap();
    machine.start_edge();
    let web = Web::new(
        &machine,
        "r2_buckets = [{ binding = \"B\", bucket_name = \"zoo\" }]\nkv_namespaces = [{ binding = \"K\", id = \"zoo\" }]\n",
    );
    machine.deploy(&[web.path()], &[]).expect(0);
    assert!(verbs(&machine.plan(&[web.path()])).is_empty());
}

#[test]
fn law_17_stages_have_nothing_in_common() {
    let machine = Machine::new("law-17");
    for stage in ["dev-b", "dev_b", "Dev_B"] {
        machine.deploy(&["examples/counter"], &["--stage", stage]).expect(0);
    }
    let tables = machine.tables();
    assert_eq!(tables["scripts"].as_object().unwrap().len(), 3);
    assert_eq!(tables["databases"].as_object().unwrap().len(), 3);
    let one = machine.run(&[
        "destroy",
        "--local",
        "--yes",
        "--stage",
        "dev_b",
        "--allow-data-loss=counter,d1/Events",
        "examples/counter",
    ]);
    let _ = one.expect(0);
    assert_eq!(machine.tables()["scripts"].as_object().unwrap().len(), 2);
}

#[test]
fn law_18_the_lease_of_a_dead_run_is_taken_over_and_that_of_a_live_one_waited_for() {
    let machine = Machine::new("law-18");
    machine.faults(&json!({ "rules": [{ "method": "PUT", "path": "/workers/scripts/", "do": "hold" }] }));
    let mut first = start(&machine, &PHOTOS);
    eventually("the upload is under way", || machine.calls().iter().any(|call| call.ends_with(" 0")));
    let mut second = machine.command(&["deploy", "--local", "--yes", "--dev", PHOTOS[0]]);
    let second = second.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lease = machine.data.join("local-state/realgar-cli/dev_ada/.lease.json");
    let holder = || {
        serde_json::from_str::<Value>(&std::fs::read_to_string(&lease).unwrap()).unwrap()["holder"]["process"].clone()
    };
    assert_eq!(holder(), first.id());
    first.kill().unwrap();
    first.wait().unwrap();
    let output = second.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    // It planned while the first one ran, so its plan may be an old one: then it says so, and nothing is done.
    assert!(said.contains("Taking over from a run that was cut off: ada on"), "{said}");
    machine.deploy(&PHOTOS, &[]).expect(0);
    assert!(verbs(&machine.plan(&PHOTOS)).is_empty());
}

#[test]
fn law_24_nothing_is_deleted_that_is_still_in_use() {
    let machine = Machine::new("law-24");
    machine.deploy(&PHOTOS, &[]).expect(0);
    // An edge on which nothing is left ends, and its record with it.
    assert_eq!(machine.rest("POST", "/storage/kv/namespaces", &json!({ "title": "another one" })).0, 200);
    let before = machine.calls().len();
    destroy(&machine).expect(0);
    let calls = machine.calls().split_off(before);
    let refused: Vec<&String> = calls.iter().filter(|call| !call.ends_with(" 200")).collect();
    assert!(refused.is_empty(), "{refused:?}");
    let position =
        |part: &str| calls.iter().position(|call| call.starts_with("DELETE") && call.contains(part)).unwrap();
    assert!(position("/consumers/") < position("/workers/scripts/"));
    assert!(position("/workers/scripts/") < position("/r2/buckets/"));
}

/// A Worker that binds a database with migrations, in a project whose files the test writes.
fn with_migrations(name: &str) -> Project {
    let bind = "static DATABASE: D1Database = D1Database::new(\"DATA\").migrations(\"migrations\"); let _ = cx.bind(&DATABASE);";
    let project = Project::new(name, &worker(bind, "x"));
    std::fs::create_dir_all(project.folder.join("migrations")).unwrap();
    project
}

#[test]
fn law_28_a_migration_that_fails_takes_no_effect_and_the_next_run_goes_on_there() {
    let machine = Machine::new("law-28");
    let project = with_migrations("law-28");
    let path = [project.folder.to_str().unwrap()];
    let write = |name: &str, sql: &str| std::fs::write(project.folder.join("migrations").join(name), sql).unwrap();
    write(
        "0001_first.sql",
        "CREATE TABLE a (v TEXT);\nCREATE TRIGGER t AFTER INSERT ON a BEGIN UPDATE a SET v = v || ';' ; END;",
    );
    write(
        "0002_second.sql",
        "CREATE TABLE b (v TEXT);\nINSERT INTO b VALUES ('x');\nINSERT INTO missing VALUES (1);\nCREATE TABLE c (v TEXT);",
    );
    let failed = machine.deploy(&path, &[]).expect(1);
    assert!(
        failed.err.contains("the migration `0002_second.sql` failed, and nothing of it took effect"),
        "{}",
        failed.err
    );
    let database = machine.tables()["databases"].as_object().unwrap().keys().next().unwrap().clone();
    let names = |sql: &str| {
        let (_, answer) = machine.rest("POST", &format!("/d1/database/{database}/query"), &json!({ "sql": sql }));
        let rows = answer["result"][0]["results"].as_array().unwrap().clone();
        rows.iter().map(|row| row["name"].as_str().unwrap().to_string()).collect::<Vec<_>>()
    };
    let tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name IN ('a', 'b', 'c') ORDER BY name";
    let ledger = "SELECT name FROM d1_migrations ORDER BY id";
    assert_eq!((names(tables), names(ledger)), (vec!["a".to_string()], vec!["0001_first.sql".to_string()]));
    write("0002_second.sql", "CREATE TABLE b (v TEXT);");
    machine.deploy(&path, &[]).expect(0);
    assert_eq!(names(ledger), ["0001_first.sql", "0002_second.sql"]);
    assert!(verbs(&machine.plan(&path)).is_empty());
}

#[test]
fn law_28_a_migration_that_was_renamed_or_changed_is_refused() {
    let machine = Machine::new("law-28-renamed");
    let project = with_migrations("law-28-renamed");
    let path = [project.folder.to_str().unwrap()];
    let file = |name: &str| project.folder.join("migrations").join(name);
    std::fs::write(file("0001_a.sql"), "CREATE TABLE a (v TEXT);").unwrap();
    machine.deploy(&path, &[]).expect(0);
    std::fs::rename(file("0001_a.sql"), file("0001_b.sql")).unwrap();
    let refused = machine.deploy(&path, &[]).expect(1);
    assert!(
        refused.err.contains("the migration `0001_a.sql` ran, and is called `0001_b.sql` now; give it its old name"),
        "{}",
        refused.err
    );
    std::fs::remove_file(file("0001_b.sql")).unwrap();
    std::fs::write(file("0001_a.sql"), "CREATE TABLE a (v TEXT, w TEXT);").unwrap();
    let refused = machine.deploy(&path, &[]).expect(1);
    assert!(refused.err.contains("the migration `0001_a.sql` was changed after it ran"), "{}", refused.err);
}

#[test]
fn law_28_a_database_without_a_record_of_its_migrations_is_asked_about() {
    let machine = Machine::new("law-28-record");
    let bound = "[[d1_databases]]\nbinding = \"DB\"\ndatabase_name = \"data\"\ndatabase_id = \"data\"\n";
    let web = Web::new(&machine, bound);
    machine.deploy(&[web.path()], &[]).expect(0);
    let query = format!("/d1/database/{}/query", only(&machine, "databases"));
    assert_eq!(machine.rest("POST", &query, &json!({ "sql": "CREATE TABLE mine (v TEXT)" })).0, 200);
    web.set(&format!("{bound}migrations_dir = \"migrations\"\n"));
    web.write("migrations/0001_a.sql", "CREATE TABLE theirs (v TEXT);");
    let refused = machine.deploy(&[web.path()], &[]).expect(1);
    assert!(refused.err.contains("`--adopt=d1/data/migrations`"), "{}", refused.err);
    let blind = machine.deploy(&[web.path()], &["--refresh=false"]).expect(1);
    assert!(blind.err.contains("no record of the migrations that ran"), "{}", blind.err);
    machine.deploy(&[web.path()], &["--adopt=d1/data/migrations"]).expect(0);
    let tables = json!({ "sql": "SELECT name FROM sqlite_master WHERE name IN ('mine', 'theirs') ORDER BY name" });
    let names = machine.rest("POST", &query, &tables).1["result"][0]["results"].clone();
    assert_eq!(names, json!([{ "name": "mine" }, { "name": "theirs" }]));
    assert!(verbs(&machine.plan(&[web.path()])).is_empty());
}

#[test]
fn law_30_a_missing_permission_is_named_and_leaves_the_rest_whole() {
    let machine = Machine::new("law-30");
    machine.faults(
        &json!({ "rules": [{ "path": "/r2/buckets", "times": 99, "do": "refuse", "status": 403, "code": 10000 }] }),
    );
    let refused = machine.deploy(&PHOTOS, &[]).expect(1);
    assert!(
        refused.err.contains("GET /r2/buckets") && refused.err.contains("check that the token has the permission"),
        "{}",
        refused.err
    );
    assert_eq!(changing(&machine).len(), 0, "found out before the first write");
    machine.faults(&json!({ "rules": [{ "method": "POST", "path": "/r2/buckets", "times": 99, "do": "refuse", "status": 403, "code": 10000 }] }));
    let failed = machine.deploy(&PHOTOS, &[]).expect(1);
    assert!(failed.err.contains("failed + r2/photos"), "{}", failed.err);
    machine.faults(&json!({}));
    machine.deploy(&PHOTOS, &[]).expect(0);
    assert!(verbs(&machine.plan(&PHOTOS)).is_empty());
}

#[test]
fn law_31_two_that_use_each_other_are_deleted_although_somebody_changed_them() {
    let machine = Machine::new("law-31");
    let both = ["examples/mixed/board", "examples/mixed/web"];
    machine.deploy(&both, &[]).expect(0);
    let tables = machine.tables();
    for script in tables["scripts"].as_object().unwrap().keys() {
        let settings = format!("/workers/scripts/{script}/settings");
        let mut bindings = machine.rest("GET", &settings, &Value::Null).1["result"]["bindings"].clone();
        bindings.as_array_mut().unwrap().push(json!({ "type": "plain_text", "name": "THEIRS", "text": "x" }));
        let change = json!({ "bindings": bindings, "compatibility_date": "2026-01-01" });
        assert_eq!(machine.rest("PATCH", &settings, &change).0, 200);
    }
    machine.destroy(both[0]);
}

#[test]
fn law_32_a_program_without_workers_is_an_error() {
    let machine = Machine::new("law-32");
    let refused = machine.deploy(&["names"], &[]).expect(1);
    assert!(refused.err.contains("error:"), "{}", refused.err);
}

#[test]
fn law_29_when_cloudflare_is_busy_everybody_waits() {
    let machine = Machine::new("law-29");
    let busy = json!({ "path": "/accounts/", "skip": 4, "times": 3, "do": "refuse", "status": 429, "code": 971, "retry_after": 1 });
    machine.faults(&json!({ "rules": [busy] }));
    machine.deploy(&PHOTOS, &[]).expect(0);
    assert_eq!(machine.calls().iter().filter(|call| call.ends_with(" 429")).count(), 3);
    assert!(verbs(&machine.plan(&PHOTOS)).is_empty());
}

/// Cloudflare blocks a token for five minutes after 1,200 calls in five.
#[test]
fn law_29_a_plan_of_a_thousand_resources_makes_few_calls() {
    let machine = Machine::new("law-29-many");
    let web = |number: u32| {
        let web = Web::named(&machine, &format!("web{number}"));
        let bind = |own: u32| format!("[[kv_namespaces]]\nbinding = \"K{own}\"\nid = \"k{number}-{own}\"\n");
        web.set(&(0..98).map(bind).collect::<String>());
        web.write("index.js", "export default { fetch: () => new Response(\"one\") };");
        web
    };
    let all: Vec<Web> = (0..10).map(web).collect();
    let paths: Vec<&str> = all.iter().map(Web::path).collect();
    machine.deploy(&paths, &[]).expect(0);
    let before = machine.calls().len();
    let plan = machine.plan(&paths);
    assert_eq!((plan["actions"].as_array().unwrap().len(), verbs(&plan).len()), (1000, 0));
    let calls = machine.calls().len() - before;
    println!("{calls} calls");
    assert!(calls < 60, "{calls}");
}

const DATABASE: &str =
    "[[d1_databases]]\nbinding = \"DB\"\ndatabase_name = \"data\"\nmigrations_dir = \"migrations\"\n";

/// A migration whose answer is lost is not the last one that runs.
#[test]
fn law_28_a_lost_answer_among_migrations_leaves_none_out() {
    let machine = Machine::new("law-28-lost");
    let web = Web::new(&machine, DATABASE);
    for (file, sql) in [
        ("0001_a.sql", "CREATE TABLE a (v TEXT)"),
        ("0002_b.sql", "CREATE TABLE b (v TEXT)"),
        ("0003_c.sql", "CREATE TABLE c (v TEXT)"),
    ] {
        web.write(&format!("migrations/{file}"), sql);
    }
    // The calls are: what is there, the first migration, the second.
    machine.faults(&json!({ "rules": [{ "path": "/query", "skip": 2, "do": "refuse", "status": 503, "code": 0 }] }));
    machine.deploy(&[web.path()], &[]).expect(0);
    let query = format!("/d1/database/{}/query", only(&machine, "databases"));
    let ran = machine.rest("POST", &query, &json!({ "sql": "SELECT name FROM d1_migrations ORDER BY id" })).1;
    let names = json!([{ "name": "0001_a.sql" }, { "name": "0002_b.sql" }, { "name": "0003_c.sql" }]);
    assert_eq!(ran["result"][0]["results"], names);
    assert!(verbs(&machine.plan(&[web.path()])).is_empty());
}

/// A call of which nobody knows whether it took effect, and then one that is refused: the row does not say that all is well.
#[test]
fn law_13_what_an_unanswered_call_left_is_made_whole_after_a_refusal() {
    let machine = Machine::new("law-13-refused");
    let web = Web::new(&machine, "vars = { MODE = \"one\" }\n");
    machine.deploy(&[web.path()], &[]).expect(0);
    let mode = |machine: &Machine| machine.bindings()[0]["text"].clone();
    // A change takes effect, and the process is killed before it knows.
    web.set("vars = { MODE = \"two\" }\n");
    machine.faults(&json!({ "rules": [{ "change": true, "path": "/workers/scripts/", "do": "hold_after" }] }));
    let mut killed = start(&machine, &[web.path()]);
    eventually("a call is held", || machine.calls().iter().any(|call| call.ends_with(" 0")));
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(mode(&machine), "two");
    // The next one is refused, and then the user goes back.
    machine.faults(&json!({ "rules": [{ "change": true, "path": "/workers/scripts/", "do": "refuse", "status": 403, "code": 10000 }] }));
    machine.deploy(&[web.path()], &[]).expect(1);
    machine.faults(&json!({}));
    web.set("vars = { MODE = \"one\" }\n");
    machine.deploy(&[web.path()], &[]).expect(0);
    assert_eq!(mode(&machine), "one");
    assert!(verbs(&machine.plan(&[web.path()])).is_empty());
}

/// Ours was deleted, and somebody made another Worker under its name, with cron triggers of its own.
#[test]
fn law_16_what_belongs_to_somebody_elses_worker_is_left_alone() {
    let machine = Machine::new("law-16-children");
    let web = Web::new(&machine, "[triggers]\ncrons = [\"1 * * * *\"]\n");
    machine.deploy(&[web.path()], &[]).expect(0);
    let script = only(&machine, "scripts");
    // The same table, with the id of another Worker.
    let mut tables = machine.tables();
    tables["scripts"][&script]["tag"] = "ffffffffffffffffffffffffffffffff".into();
    tables["scripts"][&script]["crons"] = json!(["9 * * * *"]);
    let mut machine = machine;
    machine.kill_edge();
    std::fs::write(machine.data.join("edge/api.json"), tables.to_string()).unwrap();
    machine.start_edge();
    machine.run(&["destroy", "--local", "--yes", web.path()]).expect(0);
    let left = &machine.tables()["scripts"][&script];
    assert_eq!((&left["crons"], &left["subdomain"]), (&json!(["9 * * * *"]), &json!(true)));
}

/// The messages of a queue go to another Worker now. A queue has one consumer, so the first makes room.
#[test]
fn law_24_a_consumer_that_moves_makes_room_first() {
    let machine = Machine::new("law-24-moves");
    let (one, other) = (Web::named(&machine, "one"), Web::named(&machine, "other"));
    let consumes = "[[queues.consumers]]\nqueue = \"jobs\"\n";
    for web in [&one, &other] {
        web.write("index.js", "export default { fetch: () => new Response(\"one\"), queue() {} };");
    }
    for (first, second) in [(consumes, ""), ("", consumes)] {
        one.set(first);
        other.set(second);
        machine.deploy(&[one.path(), other.path()], &[]).expect(0);
        assert!(verbs(&machine.plan(&[one.path(), other.path()])).is_empty());
    }
    let tables = machine.tables();
    let consumer = tables["consumers"].as_object().unwrap().values().next().unwrap();
    assert!(consumer["script"].as_str().unwrap().contains("-other-"), "{consumer}");
}

/// Of a folder in which objects store data, and whose tables are gone, nothing is deleted.
#[test]
fn an_edge_without_its_tables_does_not_start_and_deletes_nothing() {
    let mut machine = Machine::new("edge-tables");
    let url = machine.deploy(&["examples/counter"], &[]).expect(0).url("counter");
    assert_eq!(request("POST", &format!("{url}/ada")).1, r#"{"value":1}"#);
    machine.kill_edge();
    let tables = machine.data.join("edge/api.json");
    std::fs::rename(&tables, tables.with_extension("away")).unwrap();
    let folder = machine.data.join("edge");
    let refused = machine.run(&["edge", "--data", folder.to_str().unwrap()]).expect(1);
    assert!(refused.err.contains("api.json` cannot be read: it is missing"), "{}", refused.err);
    std::fs::rename(tables.with_extension("away"), &tables).unwrap();
    machine.start_edge();
    assert_eq!(request("POST", &format!("{url}/ada")).1, r#"{"value":2}"#);
}
