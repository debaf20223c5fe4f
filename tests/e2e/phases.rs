//! The two phases: what runs when, and what becomes of a failure.

use crate::common::{call, drive, kitchen, menu};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug, PartialEq, Deserialize)]
struct Phases {
    phase_1: u32,
    phase_2: u32,
    instance: u32,
    calls: u32,
}

fn phases(app: &realgar_test::App, name: &str) -> Phases {
    serde_json::from_value(menu(app, name, "phases", json!([])).value()).unwrap()
}

#[test]
fn phase_1_runs_once_per_wasm_instance_and_phase_2_once_per_object() {
    let app = kitchen();
    assert_eq!(phases(&app, "a"), Phases { phase_1: 1, phase_2: 1, instance: 1, calls: 1 });
    assert_eq!(phases(&app, "b"), Phases { phase_1: 1, phase_2: 2, instance: 2, calls: 1 });
    assert_eq!(phases(&app, "a"), Phases { phase_1: 1, phase_2: 2, instance: 1, calls: 2 });
    for _ in 0..2 {
        assert_eq!(app.get("/phase-1").send().expect_status(200).json::<u32>(), 1);
    }
}

#[test]
fn an_evicted_object_starts_again_in_the_same_wasm_instance() {
    let app = kitchen();
    let _ = phases(&app, "a");
    app.object("kitchen", "Menu", "a").evict();
    assert_eq!(phases(&app, "a"), Phases { phase_1: 1, phase_2: 2, instance: 2, calls: 1 });
}

#[test]
fn a_failing_phase_2_is_reported_and_the_next_event_tries_again() {
    let app = kitchen();
    let one = |method: &str, args: Value| drive(&app, &[call("Fragile", "late", method, args)]).remove(0);
    let _ = one("planStart", json!(["error"])).value();
    app.object("kitchen", "Fragile", "late").evict();
    let thrown = one("count", json!([])).thrown();
    assert_eq!(
        (thrown.code.as_str(), thrown.message.as_str()),
        ("init_failed", "`Fragile` could not start: not today")
    );
    assert_eq!(one("count", json!([])).value(), json!([1, 1]));
}

#[test]
fn no_event_is_delivered_before_phase_2_is_done() {
    let app = kitchen();
    let one = |method: &str, args: Value| call("Fragile", "slow", method, args);
    let _ = drive(&app, &[one("planStart", json!(["slow"]))]);
    app.object("kitchen", "Fragile", "slow").evict();
    let calls: Vec<Value> = (0..5).map(|_| one("count", json!([]))).collect();
    let mut counts: Vec<Value> = drive(&app, &calls).into_iter().map(|outcome| outcome.value()[0].clone()).collect();
    counts.sort_by_key(Value::to_string);
    // One instance answered all of them.
    assert_eq!(counts, [1, 2, 3, 4, 5]);
}
