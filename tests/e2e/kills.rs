//! Deployments whose process dies: right before a call takes effect, right after, and while it is stopped. Two Workers that use each
//! other, with everything that a Worker can bind, through a whole life: made, changed, with a class under another name, with that class in
//! the other Worker, destroyed.

use crate::{
    common::eventually,
    machine::{Machine, Web, request, verbs},
};
use realgar_test::Random;
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

/// How many points of a kill a short run tries.
const SAMPLE: usize = 10;
/// What may be deleted, because the life says so.
const ALL_DATA: &str = "left,right,d1/data,kv/cache,r2/files,r2/more,queues/jobs,queues/dead,queues/later";

/// The file that changes with every change of the state.
const STATE: &str = "local-state/realgar-cli/dev_ada/.stack.json";

/// The two Workers, as they are at some moment.
struct Pair {
    left: Web,
    right: Web,
}

const IMPORT: &str = "import { DurableObject } from \"cloudflare:workers\";\n";
const CLASS: &str = "export class CLASS extends DurableObject { async fetch() { const n = (await this.ctx.storage.get(\"n\") ?? 0) + 1; \
    await this.ctx.storage.put(\"n\", n); return new Response(String(n)); } }\n";
const LEFT: &str = "export default { fetch: (request, env) => env.OWN.get(env.OWN.idFromName(\"a\")).fetch(request), queue() {}, scheduled() {} };\n";
const RIGHT: &str = "export class Shelf extends DurableObject {}\n\
    export default { fetch: (request, env) => env.THEIRS.get(env.THEIRS.idFromName(\"a\")).fetch(request) };\n";

/// What `wrangler.toml` says of a class that moves, on both sides.
const GIVEN: &str = "state = \"transferred\"\ntransferred_to = \"right\"\n";
const TAKEN: &str = "[exports.Crate]\ntype = \"durable-object\"\nstorage = \"sqlite\"\nstate = \"expecting-transfer\"\n\
    transfer_from = \"left\"\n";

impl Pair {
    fn new(machine: &Machine) -> Self {
        Self { left: Web::named(machine, "left"), right: Web::named(machine, "right") }
    }

    fn write(&self, stage: Stage) {
        let class = if stage < Stage::Renamed { "Box" } else { "Crate" };
        let mut left = "[[d1_databases]]\nbinding = \"DB\"\ndatabase_name = \"data\"\nmigrations_dir = \"migrations\"\n\
             [[kv_namespaces]]\nbinding = \"KV\"\nid = \"cache\"\n[[r2_buckets]]\nbinding = \"FILES\"\nbucket_name = \"files\"\n\
             [[services]]\nbinding = \"RIGHT\"\nservice = \"right\"\n\
             [[queues.producers]]\nbinding = \"JOBS\"\nqueue = \"jobs\"\n"
            .to_string();
        let object = |name: &str, class: &str, script: &str| {
            let script = if script.is_empty() { String::new() } else { format!("script_name = \"{script}\"\n") };
            format!("[[durable_objects.bindings]]\nname = \"{name}\"\nclass_name = \"{class}\"\n{script}")
        };
        let (host, live) = if stage < Stage::Moved { ("left", "storage = \"sqlite\"\n") } else { ("right", GIVEN) };
        left += &object("OWN", class, if host == "left" { "" } else { host });
        left += &format!("[exports.{class}]\ntype = \"durable-object\"\n{live}");
        if stage == Stage::Renamed {
            left += "[exports.Box]\ntype = \"durable-object\"\nstate = \"renamed\"\nrenamed_to = \"Crate\"\n";
        }
        left += "[secrets]\nrequired = [\"KEY\"]\n";
        self.left.write(".dev.vars", if stage == Stage::Made { "KEY=one\n" } else { "KEY=two\n" });
        self.left.write("migrations/0001_a.sql", "CREATE TABLE a (v TEXT);");
        if stage == Stage::Made {
            left += "[triggers]\ncrons = [\"1 * * * *\"]\n[[queues.consumers]]\nqueue = \"jobs\"\nmax_batch_size = 5\n";
        } else {
            // A setting, a queue in the place of another one, a bucket more, a migration more, and a variable.
            left += "[triggers]\ncrons = [\"2 * * * *\", \"3 * * * *\"]\n\
                 [[queues.consumers]]\nqueue = \"later\"\nmax_retries = 7\ndead_letter_queue = \"dead\"\n\
                 [[r2_buckets]]\nbinding = \"MORE\"\nbucket_name = \"more\"\n[vars]\nMODE = \"new\"\n";
            self.left.write("migrations/0002_b.sql", "CREATE TABLE b (v TEXT);");
        }
        self.left.set(&left);
        self.right.set(&format!(
            "[[services]]\nbinding = \"LEFT\"\nservice = \"left\"\n{}{}[exports.Shelf]\ntype = \"durable-object\"\nstorage = \"sqlite\"\n{}",
            object("THEIRS", class, if host == "left" { "left" } else { "" }),
            object("SHELVES", "Shelf", ""),
            if host == "left" { "" } else { TAKEN },
        ));
        let class = CLASS.replace("CLASS", class);
        let (left, right) = if host == "left" { (class, String::new()) } else { (String::new(), class) };
        self.left.write("index.js", &format!("{IMPORT}{left}{LEFT}"));
        self.right.write("index.js", &format!("{IMPORT}{right}{RIGHT}"));
    }

    fn paths(&self) -> [&str; 2] {
        [self.left.path(), self.right.path()]
    }
}

/// The moments of a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Made,
    Changed,
    Renamed,
    Moved,
    Gone,
}

const STAGES: [Stage; 5] = [Stage::Made, Stage::Changed, Stage::Renamed, Stage::Moved, Stage::Gone];

/// The command that leads to a stage.
fn command(machine: &Machine, pair: &Pair, stage: Stage) -> Command {
    let what = if stage == Stage::Gone { "destroy" } else { "deploy" };
    let mut command = machine.command(&[what, "--local", "--yes", "--allow-data-loss", ALL_DATA]);
    if stage == Stage::Gone {
        command.arg(pair.left.path());
    } else {
        pair.write(stage);
        command.args(pair.paths());
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Leads to a stage, and returns what the command printed.
#[track_caller]
fn go(machine: &Machine, pair: &Pair, stage: Stage, when: &str) -> String {
    let output = command(machine, pair, stage).output().unwrap();
    assert!(output.status.success(), "{when}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Counts on in the object, which says how often it was asked. `printed` is what a deployment printed.
fn count(printed: &str) -> String {
    let url = printed.lines().find_map(|line| line.strip_prefix("right: ")).unwrap();
    request("GET", url).1
}

/// How many calls were made that change something, or may: a query does not say.
fn changing(machine: &Machine) -> usize {
    machine.calls().iter().filter(|call| !call.starts_with("GET")).count()
}

/// What exists, without what differs from run to run: ids, times and versions.
fn shape(machine: &Machine) -> Value {
    let tables = machine.tables();
    let names = |table: &str| {
        let all = tables[table].as_object().unwrap().values();
        let mut names: Vec<String> = all.map(|own| own["name"].as_str().unwrap().into()).collect();
        names.sort();
        names
    };
    let script = |(name, row): (&String, &Value)| {
        let bindings = row["metadata"]["bindings"].as_array().unwrap().iter();
        let bindings =
            bindings.map(|own| format!("{} {} {} {}", own["type"], own["name"], own["class_name"], own["script_name"]));
        let classes: Vec<&String> = row["classes"].as_object().unwrap().keys().collect();
        let expected = &row["expecting"];
        json!([name, bindings.collect::<Vec<_>>(), classes, expected, row["crons"], row["subdomain"], row["secrets"]])
    };
    let consumer = |own: &Value| json!([own["script"], own["settings"], own["dead_letter_queue"]]);
    let named = ["databases", "namespaces", "queues"].map(names);
    json!({
        "named": named,
        "buckets": tables["buckets"].as_object().unwrap().keys().collect::<Vec<_>>(),
        "consumers": tables["consumers"].as_object().unwrap().values().map(consumer).collect::<Vec<_>>(),
        "scripts": tables["scripts"].as_object().unwrap().iter().map(script).collect::<Vec<_>>(),
    })
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(status.success());
}

/// A stage of a life without a kill.
struct Lived {
    stage: Stage,
    /// A copy of the machine before it.
    before: PathBuf,
    /// How many calls it makes that change something.
    calls: usize,
    /// How many events it writes to the journal.
    events: u64,
    /// What there is then.
    shape: Value,
}

/// The number of the last event that is in the state of `machine`.
fn serial(machine: &Machine) -> u64 {
    let head = fs::read(machine.data.join(STATE)).ok();
    head.map_or(0, |head| serde_json::from_slice::<Value>(&head).unwrap()["serial"].as_u64().unwrap())
}

/// A whole life without a kill.
fn whole_life() -> Vec<Lived> {
    let mut machine = Machine::new("kill-whole");
    // An edge on which nothing is left ends, and its record of calls with it.
    assert_eq!(machine.rest("POST", "/storage/kv/namespaces", &json!({ "title": "another one" })).0, 200);
    let pair = Pair::new(&machine);
    let mut life = Vec::new();
    for stage in STAGES {
        machine.kill_edge();
        let before = machine.data.with_file_name(format!("machine-kill-before-{stage:?}"));
        let _ = fs::remove_dir_all(&before);
        copy(&machine.data, &before);
        machine.start_edge();
        let first = serial(&machine);
        let printed = go(&machine, &pair, stage, "without a kill");
        let (calls, events, shape) = (changing(&machine), serial(&machine) - first, shape(&machine));
        assert_eq!(shape.to_string().contains("\"KEY\""), stage != Stage::Gone, "the secret is part of it");
        life.push(Lived { stage, before, calls, events, shape });
        if stage != Stage::Gone {
            assert_eq!(count(&printed), life.len().to_string());
        }
    }
    life
}

/// Where a process dies.
#[derive(Clone, Copy, Debug)]
enum Point {
    /// Right before its n-th changing call takes effect.
    Before(usize),
    /// Right after that, before the answer comes.
    After(usize),
    /// Once the journal has so many events.
    Journal(u64),
}

/// Starts the command that leads to a stage, and kills it at `point`.
fn kill(machine: &Machine, pair: &Pair, stage: Stage, point: Point) {
    let rule = |skip, fault| json!({ "rules": [{ "path": "/accounts/", "change": true, "skip": skip, "do": fault }] });
    machine.faults(&match point {
        Point::Before(nth) => rule(nth, "hold"),
        Point::After(nth) => rule(nth, "hold_after"),
        // So that it dies before much follows.
        Point::Journal(_) => json!({ "delay_ms": 20 }),
    });
    let mut killed = command(machine, pair, stage).spawn().unwrap();
    if let Point::Journal(events) = point {
        let journal = machine.data.join(STATE).with_file_name(".journal");
        let lines = || fs::read(&journal).unwrap_or_default().iter().filter(|byte| **byte == b'\n').count() as u64;
        // The end of the run empties the journal.
        while lines() < events && killed.try_wait().unwrap().is_none() {
            thread::yield_now();
        }
    } else {
        eventually("a call is held", || machine.calls().iter().any(|call| call.ends_with(" 0")));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    machine.faults(&json!({}));
}

/// Kills the process right before a changing call takes effect, right after, and after each write of the state. A run of all tests tries
/// some of the points, and a long one (`REALGAR_LONG=1`) all of them.
#[test]
fn law_12_killed_at_any_call_the_next_run_converges() {
    let life = whole_life();
    let points_of = |(index, lived): (usize, &Lived)| {
        let calls = (0..lived.calls).flat_map(|nth| [Point::Before(nth), Point::After(nth)]);
        let points: Vec<_> = calls.chain((1..=lived.events).map(Point::Journal)).collect();
        points.into_iter().map(move |point| (index, point))
    };
    let mut points: Vec<(usize, Point)> = life.iter().enumerate().flat_map(points_of).collect();
    let counts: Vec<_> = life.iter().map(|lived| (lived.stage, lived.calls, lived.events)).collect();
    println!("{} points: {counts:?}", points.len());
    let mut random = Random::new();
    if std::env::var_os("REALGAR_LONG").is_none() {
        points = (0..SAMPLE).map(|_| *random.choose(&points)).collect();
    }
    for (index, point) in points {
        let Lived { stage, before, shape: expected, .. } = &life[index];
        let when = format!("{stage:?}, {point:?}");
        let mut machine = Machine::without_edge("kill");
        copy(before, &machine.data);
        machine.start_edge();
        let pair = Pair::new(&machine);
        kill(&machine, &pair, *stage, point);
        let printed = go(&machine, &pair, *stage, &when);
        assert_eq!(shape(&machine), *expected, "{when}");
        if *stage != Stage::Gone {
            assert_eq!(count(&printed), (index + 1).to_string(), "{when}: the data of the object");
            let state = || fs::read(machine.data.join(STATE)).unwrap();
            let before = (machine.tables(), state());
            go(&machine, &pair, *stage, &when);
            assert_eq!((machine.tables(), state()), before, "{when}: nothing is left to do");
        }
    }
}

/// Cloudflare may answer in other forms than those that were sent; a change by somebody else is seen all the same. A run of all tests
/// tries some seeds, and a long one 100.
#[test]
fn law_02_other_forms_of_an_answer_are_no_difference_and_a_real_one_is_seen() {
    let machine = Machine::new("forms");
    let pair = Pair::new(&machine);
    machine.faults(&json!({ "normalise": 0 }));
    for stage in [Stage::Made, Stage::Changed] {
        go(&machine, &pair, stage, "with answers in other forms");
    }
    let seeds = if std::env::var_os("REALGAR_LONG").is_some() { 100 } else { 10 };
    for seed in 1..=seeds {
        machine.faults(&json!({ "normalise": seed }));
        let plan = machine.plan(&pair.paths());
        assert!(verbs(&plan).is_empty(), "seed {seed}: {:?}", verbs(&plan));
    }
    let tables = machine.tables();
    let left = tables["scripts"].as_object().unwrap().keys().find(|name| name.contains("-left-")).unwrap();
    let (queue, consumer) = tables["consumers"].as_object().unwrap().iter().next().unwrap();
    let path = format!("/queues/{queue}/consumers/{}", consumer["id"].as_str().unwrap());
    let other = json!({ "type": "worker", "script_name": left, "settings": {}, "dead_letter_queue": "" });
    assert_eq!(machine.rest("PUT", &path, &other).0, 200);
    assert_eq!(
        machine.rest("PUT", &format!("/workers/scripts/{left}/schedules"), &json!([{ "cron": "9 * * * *" }])).0,
        200
    );
    let seen: Vec<String> = verbs(&machine.plan(&pair.paths())).into_iter().map(|(fqn, _)| fqn).collect();
    assert_eq!(seen, ["left/consumer of later", "left/crons"]);
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

/// Stops a process between two writes of the state. In the middle of one it would keep everybody else out, who would say so.
fn stop_between_writes(child: &Child, stack: &Path) {
    let lock = fs::File::open(stack.join(".lock")).unwrap();
    signal(child, "-STOP");
    while lock.try_lock().is_err() {
        signal(child, "-CONT");
        thread::yield_now();
        signal(child, "-STOP");
    }
    lock.unlock().unwrap();
}

/// A process that was stopped for longer than its lease changes nothing when it goes on.
#[test]
#[ignore = "takes more than a minute, because a lease does; `-- --ignored` runs it"]
fn law_18_a_process_that_was_stopped_past_its_lease_writes_nothing() {
    let machine = Machine::new("kill-stopped");
    let pair = Pair::new(&machine);
    machine.faults(&json!({ "rules": [{ "path": "/accounts/", "change": true, "skip": 3, "do": "hold" }] }));
    let stopped = command(&machine, &pair, Stage::Made).spawn().unwrap();
    eventually("a call is held", || machine.calls().iter().any(|call| call.ends_with(" 0")));
    stop_between_writes(&stopped, machine.data.join(STATE).parent().unwrap());
    machine.faults(&json!({}));
    go(&machine, &pair, Stage::Made, "after the lease has ended");
    let state = || fs::read(machine.data.join(STATE)).unwrap();
    let before = (machine.calls(), shape(&machine), state());
    signal(&stopped, "-CONT");
    let ended = stopped.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(1), "{}", String::from_utf8_lossy(&ended.stderr));
    let later: Vec<String> = machine.calls().split_off(before.0.len());
    let changes = |call: &&String| !call.starts_with("GET") && !call.contains("/query");
    assert_eq!(later.iter().filter(changes).collect::<Vec<_>>(), Vec::<&String>::new());
    assert_eq!((shape(&machine), state()), (before.1, before.2));
    assert!(verbs(&machine.plan(&pair.paths())).is_empty());
}
