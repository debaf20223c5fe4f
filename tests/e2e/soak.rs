//! Schedules and storage under chance: what was acknowledged is neither lost nor stuck.

use crate::common::{kitchen, menu};
use realgar_test::{App, Random};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
    time::Duration,
};

/// How often something breaks in the soak.
const FAULTS: u32 = 1_000;
const OBJECTS: u64 = 4;

fn ask(app: &App, path: &str, command: &Value) -> Value {
    app.post(path).json(command).send().expect_status(200).json()
}

fn log(app: &App, path: &str) -> Vec<Value> {
    ask(app, path, &json!("Log")).as_array().cloned().unwrap_or_default()
}

/// Events are scheduled, and at any point of time workerd is killed, an object evicted, or the instance panics.
#[test]
fn a_thousand_faults_lose_no_event_and_leave_none_stuck() {
    let app = App::start("tests/workers/clockwork");
    let mut random = Random::new();
    let mut expected: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut faults = [0_u32; 3];
    for round in 0..FAULTS {
        let path = format!("/clock/{}", random.below(OBJECTS));
        let events: Vec<(String, Value, Value)> = (0..random.below(4) + 1)
            .map(|number| {
                let id = format!("{round}.{number}");
                let job = match random.below(4) {
                    0 => json!({"Slow": random.below(8)}),
                    1 => json!({"Fail": 1}),
                    _ => json!({"Note": ""}),
                };
                (id, json!({"after": random.below(30), "attempts": 1_000}), job)
            })
            .collect();
        // One that is interrupted may or may not have been scheduled.
        let sent = app.post(&path).json(&json!({ "SetAll": events })).try_send();
        if sent.is_ok_and(|response| response.status() == 200) {
            expected.entry(path.clone()).or_default().extend(events.into_iter().map(|(id, ..)| id));
        }
        // Faults are to come at any point of time.
        thread::sleep(Duration::from_micros(random.below(20_000)));
        match random.below(10) {
            0..2 => {
                faults[0] += 1;
                app.kill();
            }
            2..7 => {
                faults[1] += 1;
                app.evict_all();
            }
            _ => {
                faults[2] += 1;
                let panic = json!({"Set": [format!("panic {round}"), {"attempts": 1}, {"Panic": 1}]});
                let _ = app.post(&path).json(&panic).try_send();
            }
        }
    }
    // Nobody is to wake them but their alarms, so there is nothing to wait for that would not do that: any look at an object starts it,
    // and what it logs may be lost with a runtime that is killed.
    thread::sleep(Duration::from_secs(5));
    for path in expected.keys() {
        assert_eq!(ask(&app, path, &json!("List"))["count"], 0, "{path}");
    }
    println!("{} kills, {} evictions, {} panics", faults[0], faults[1], faults[2]);
    let (mut events, mut runs) = (0, 0);
    for (path, ids) in &expected {
        let log = log(&app, path);
        // The last note of an event that runs well.
        let done: Vec<&str> = log
            .iter()
            .filter(|note| {
                note["what"] == "" || note["what"] == "ended" || (note["what"] == "tried" && note["attempt"] != 1)
            })
            .filter_map(|note| note["id"].as_str())
            .collect();
        let lost: Vec<&String> = ids.iter().filter(|id| !done.contains(&id.as_str())).collect();
        assert!(lost.is_empty(), "{path} lost {lost:?}");
        events += ids.len();
        runs += done.iter().filter(|id| ids.contains(**id)).count();
    }
    println!("{events} events ran {runs} times");
}

/// What the schedule of an object is to do, in as few lines as it takes to say it.
#[derive(Default)]
struct Model {
    now: u64,
    seq: u64,
    waiting: BTreeMap<String, Waiting>,
    /// The ids of what ran, and when.
    ran: Vec<(String, u64)>,
}

#[derive(Clone)]
struct Waiting {
    due: u64,
    seq: u64,
    /// From when on, and how often.
    every: Option<(u64, u64)>,
}

impl Model {
    fn once(&mut self, id: &str, due: u64) {
        self.insert(id, due, None);
    }

    fn every(&mut self, id: &str, interval: u64) {
        let same = self.waiting.get(id).and_then(|waiting| waiting.every).is_some_and(|(_, own)| own == interval);
        if !same {
            let first = self.now + interval;
            self.insert(id, first, Some((first, interval)));
        }
    }

    fn insert(&mut self, id: &str, due: u64, every: Option<(u64, u64)>) {
        self.seq += 1;
        self.waiting.insert(id.into(), Waiting { due, seq: self.seq, every });
    }

    fn run_now(&mut self, id: &str) -> bool {
        let now = self.now;
        self.waiting.get_mut(id).map(|waiting| waiting.due = waiting.due.min(now)).is_some()
    }

    fn advance(&mut self, time: u64) {
        let end = self.now + time;
        loop {
            let next = self.waiting.iter().min_by_key(|(_, waiting)| (waiting.due, waiting.seq));
            let Some((id, Waiting { due, every, .. })) = next.map(|(id, waiting)| (id.clone(), waiting.clone())) else {
                break;
            };
            if due > end {
                break;
            }
            self.now = self.now.max(due);
            self.ran.push((id.clone(), due));
            match (every, self.waiting.get_mut(&id)) {
                (Some((first, interval)), Some(waiting)) => {
                    let past = due.checked_sub(first).map_or(0, |past| past / interval + 1);
                    waiting.due = first + past * interval;
                }
                _ => drop(self.waiting.remove(&id)),
            }
        }
        self.now = end;
    }
}

/// Operations in any order, with time that passes, evictions and kills between them.
#[test]
fn a_schedule_does_what_its_model_does() {
    let app = App::builder().worker("tests/workers/clockwork").test_clock().start();
    let mut random = Random::new();
    for object in 0..4 {
        let path = format!("/clock/{object}");
        let mut model = Model { now: app.now_ms(), ..Model::default() };
        for _ in 0..60 {
            operate(&app, &path, &mut model, &mut random);
        }
        let ran: Vec<(String, u64)> = log(&app, &path)
            .iter()
            .map(|note| (note["id"].as_str().unwrap().into(), note["due"].as_u64().unwrap()))
            .collect();
        assert_eq!(ran, model.ran);
        assert_eq!(ask(&app, &path, &json!("List"))["count"], model.waiting.len());
    }
}

fn operate(app: &App, path: &str, model: &mut Model, random: &mut Random) {
    let id = format!("event {}", random.below(6));
    let delay = random.below(100) * 1_000;
    let job = json!({"Note": ""});
    match random.below(16) {
        0..5 => {
            let _ = ask(app, path, &json!({"Set": [id, {"after": delay}, job]}));
            model.once(&id, model.now + delay);
        }
        5..7 => {
            let interval = (random.below(4) + 1) * 20_000;
            let _ = ask(app, path, &json!({"Set": [id, {"every": interval}, job]}));
            model.every(&id, interval);
        }
        7..9 => assert_eq!(ask(app, path, &json!({"Cancel": id})), model.waiting.remove(&id).is_some()),
        9 => assert_eq!(ask(app, path, &json!({"RunNow": id})), model.run_now(&id)),
        10..13 => {
            app.advance(Duration::from_millis(delay));
            model.advance(delay);
        }
        13 => {
            let get = ask(app, path, &json!({"Get": id}));
            assert_eq!(get["due"].as_u64(), model.waiting.get(&id).map(|waiting| waiting.due));
        }
        14 => app.evict_all(),
        _ => app.kill(),
    }
}

/// Keys and values in any order, with evictions, restarts and kills between them.
#[test]
fn storage_has_what_was_acknowledged() {
    let app = kitchen();
    let mut random = Random::new();
    let mut model: BTreeMap<String, Value> = BTreeMap::new();
    let on = |method: &str, args: Value| menu(&app, "storage", method, args).value();
    for _ in 0..300 {
        let key = format!("{}:{}", random.choose(&["a", "b", "naïve 🦀", "it's \"quoted\""]), random.below(8));
        match random.below(12) {
            0..5 => {
                let large = json!({"$": "bigint", "value": random.choose(&[(1_u64 << 53) + 1, u64::MAX]).to_string()});
                let value = if random.below(3) == 0 { large } else { json!(random.below(1 << 32)) };
                let _ = on("put", json!([key, value]));
                model.insert(key, value);
            }
            5..7 => assert_eq!(on("deleteKey", json!([key])), model.remove(&key).is_some()),
            7..9 => assert_eq!(on("getKey", json!([key])), json!(model.get(&key))),
            9 => {
                let found: Vec<_> = model.iter().filter(|(key, _)| key.starts_with("a:")).collect();
                assert_eq!(on("listLarge", json!(["a:"])), json!(found));
            }
            10 => app.evict_all(),
            _ => random.choose::<fn(&App)>(&[App::kill, App::restart])(&app),
        }
    }
    assert_eq!(on("listLarge", json!([""])), json!(model.iter().collect::<Vec<_>>()));
}

/// Texts that somebody might read as something else.
const TEXTS: [&str; 8] = [
    "",
    "it's \"quoted\" `thrice` [or] more",
    "'; DROP TABLE kegs; --",
    "naïve 🦀",
    "a\0b",
    "?1 :a @b $c",
    "i9",
    "\u{feff}\r\n",
];
const NUMBERS: [i64; 9] =
    [i64::MIN, i64::MIN + 1, -(1 << 53) - 1, -1, 0, (1 << 53) - 1, (1 << 53) + 1, i64::MAX - 1, i64::MAX];
const REALS: [f64; 7] = [0.918_629_444_768_333_9, 0.5, -1e300, 1e-320, 9_007_199_254_740_994.0, f64::MAX, 3.0];

/// Rows of every type in any order, likewise.
#[test]
fn sql_has_what_was_acknowledged() {
    let app = App::start("tests/workers/cellar");
    let mut random = Random::new();
    let mut model: BTreeMap<i64, Value> = BTreeMap::new();
    let on = |tap: Value| -> Value { app.post("/tap").json(&tap).send().expect_status(200).json() };
    for _ in 0..300 {
        let id = *random.choose(&NUMBERS);
        let bytes: Vec<u8> = (0..*random.choose(&[0, 1, 3, 200, 20_000])).map(|_| random.below(256) as u8).collect();
        let keg = json!({
            "id": id, "number": random.choose(&[None, Some(i64::MIN), Some(i64::MAX), Some(7)]),
            "large": random.choose(&[0, 1 << 53, u64::MAX]), "real": random.choose(&REALS).to_bits(), "text": random.choose(&TEXTS),
            "bytes": bytes,
        });
        match random.below(12) {
            0..4 => {
                let _ = on(json!({ "Put": keg }));
                model.insert(id, keg);
            }
            4 => assert_eq!(on(json!({ "PutAndFail": keg })), json!([])),
            5..7 => {
                let _ = on(json!({ "Delete": id }));
                model.remove(&id);
            }
            7..9 => assert_eq!(on(json!({ "Get": id })), json!(Vec::from_iter(model.get(&id)))),
            9 => assert_eq!(on(json!("All")), json!(model.values().rev().collect::<Vec<_>>())),
            10 => app.evict_all(),
            _ => random.choose::<fn(&App)>(&[App::kill, App::restart])(&app),
        }
    }
    assert_eq!(on(json!("All")), json!(model.values().rev().collect::<Vec<_>>()));
}
