//! Panics and traps: whoever is hit gets a typed error at once, and everybody goes on from storage.

use crate::common::{Outcome, call, drive, isolated_kitchen, kitchen, logged};
use realgar_test::App;
use serde_json::{Value, json};

/// A call that hangs takes as long as the harness waits; a hang is anything near the 30 s after which the platform gives up.
const AT_ONCE_MS: u64 = 5_000;

fn on(app: &App, object: &str, method: &str, args: Value) -> Outcome {
    drive(app, &[call("Fragile", object, method, args)]).remove(0)
}

/// Every fault that happens inside of a call, with a part of what its caller is told.
const FAULTS: [(&str, &str); 11] = [
    ("panic", "panic at once"),
    ("panic-after-await", "panic after an await"),
    ("panic-in-transaction", "panic in a transaction"),
    ("panic-in-transaction-sync", "panic in a synchronous transaction"),
    ("stack-small", "Maximum call stack size exceeded"),
    ("overflow-after-await", "Maximum call stack size exceeded"),
    ("stack-large", "memory access out of bounds"),
    ("out-of-memory", ""),
    ("unreachable", "unreachable"),
    ("js-exception", "thrown by JavaScript"),
    ("none", ""),
];

#[test]
fn every_fault_is_a_typed_error_at_once_and_objects_go_on_from_storage() {
    let app = kitchen();
    for (fault, text) in FAULTS {
        if fault == "none" {
            continue;
        }
        let object = format!("culprit-{fault}");
        let stored = on(&app, &object, "count", json!([])).value()[1].as_u64().unwrap();
        let _ = on(&app, "neighbour", "count", json!([])).value();
        let calls = [
            call("Fragile", "neighbour", "wait", json!([20_000])),
            call("Fragile", &object, "wait", json!([20_000])),
            json!({"class": "Fragile", "name": object, "method": "fault", "args": [fault], "delay": 50}),
        ];
        let mut outcomes = drive(&app, &calls);
        let culprit = outcomes.remove(2);
        assert!(culprit.ms < AT_ONCE_MS, "{fault}: {culprit:?}");
        let thrown = culprit.thrown();
        assert_eq!(thrown.code, "panicked", "{fault}: {thrown:?}");
        assert!(thrown.message.contains(text), "{fault}: {thrown:?}");
        for victim in outcomes {
            assert!(victim.ms < AT_ONCE_MS, "{fault}: {victim:?}");
            let thrown = victim.thrown();
            assert_eq!(thrown.code, "interrupted", "{fault}: {thrown:?}");
        }
        // Everybody is back, with what was stored and without what was in memory.
        assert_eq!(on(&app, &object, "count", json!([])).value(), json!([1, stored + 1]), "{fault}");
        assert_eq!(on(&app, "neighbour", "count", json!([])).value()[0], 1, "{fault}");
        let _ = app.get("/phase-1").send().expect_status(200);
    }
}

/// With `isolation = "object"` nobody else notices: calls under way end well, and what is in memory stays.
#[test]
fn in_isolation_a_fault_stays_in_its_object() {
    let app = isolated_kitchen();
    for (round, (fault, text)) in (1..).zip(FAULTS.into_iter().filter(|(fault, _)| *fault != "none")) {
        let object = format!("culprit-{fault}");
        let stored = on(&app, &object, "count", json!([])).value()[1].as_u64().unwrap();
        let calls = [
            call("Fragile", "neighbour", "wait", json!([400])),
            call("Fragile", "neighbour in a transaction", "waitInTransaction", json!([400])),
            call("Fragile", &object, "wait", json!([20_000])),
            json!({"class": "Fragile", "name": object, "method": "fault", "args": [fault], "delay": 50}),
        ];
        let mut outcomes = drive(&app, &calls);
        let thrown = outcomes.remove(3).thrown();
        assert_eq!(thrown.code, "panicked", "{fault}: {thrown:?}");
        assert!(thrown.message.contains(text), "{fault}: {thrown:?}");
        let same = outcomes.remove(2);
        assert!(same.ms < AT_ONCE_MS, "{fault}: {same:?}");
        let thrown = same.thrown();
        assert_eq!(
            (&*thrown.code, &*thrown.message),
            ("interrupted", "another call of this object broke its wasm instance")
        );
        assert_eq!(outcomes.remove(0).value(), 400, "{fault}");
        let _ = outcomes.remove(0).value();
        assert_eq!(on(&app, &object, "count", json!([])).value(), json!([1, stored + 1]), "{fault}");
        assert_eq!(on(&app, "neighbour", "count", json!([])).value(), json!([round, round]), "{fault}");
    }
    assert_eq!(app.get("/phase-1").send().expect_status(200).json::<u32>(), 1, "the Worker's instance is the first");
}

#[test]
fn in_isolation_an_object_starts_again_as_it_does_beside_others() {
    let app = isolated_kitchen();
    let _ = on(&app, "other", "count", json!([])).value();
    let timer = drive(
        &app,
        &[
            call("Fragile", "other", "wait", json!([300])),
            json!({"class": "Fragile", "name": "culprit", "method": "fault", "args": ["panic-in-timer"], "delay": 50}),
        ],
    );
    let codes: Vec<_> = timer.into_iter().map(|outcome| outcome.error.map(|thrown| thrown.code)).collect();
    assert_eq!(codes, [None, Some("interrupted".into())]);
    assert_eq!(on(&app, "other", "count", json!([])).value(), json!([2, 2]));

    let _ = on(&app, "late", "planStart", json!(["panic"])).value();
    app.object("kitchen", "Fragile", "late").evict();
    let thrown = on(&app, "late", "count", json!([])).thrown();
    assert!(thrown.code == "panicked" && thrown.message.contains("panic in Phase 2"), "{thrown:?}");
    assert_eq!(on(&app, "late", "count", json!([])).value(), json!([1, 1]));
    app.evict_all();
    assert_eq!(on(&app, "late", "count", json!([])).value(), json!([1, 2]));
    for fault in ["panic-in-transaction", "panic-in-transaction-sync"] {
        assert_eq!(on(&app, "late", "fault", json!([fault])).thrown().code, "panicked");
    }
    assert_eq!(on(&app, "late", "count", json!([])).value(), json!([1, 3]));
    assert_eq!(on(&app, "late", "brokenRows", json!([])).value(), 0);
}

#[test]
fn a_panic_in_a_timer_interrupts_everybody() {
    let app = kitchen();
    let _ = on(&app, "other", "count", json!([])).value();
    let calls = [
        call("Fragile", "other", "wait", json!([20_000])),
        json!({"class": "Fragile", "name": "culprit", "method": "fault", "args": ["panic-in-timer"], "delay": 50}),
    ];
    for outcome in drive(&app, &calls) {
        assert!(outcome.ms < AT_ONCE_MS, "{outcome:?}");
        assert_eq!(outcome.thrown().code, "interrupted");
    }
    assert_eq!(on(&app, "other", "count", json!([])).value(), json!([1, 2]));
}

#[test]
fn a_panic_in_phase_2_is_a_typed_error_and_the_next_event_tries_again() {
    let app = kitchen();
    let _ = on(&app, "late", "planStart", json!(["panic"])).value();
    app.object("kitchen", "Fragile", "late").evict();
    let outcome = on(&app, "late", "count", json!([]));
    assert!(outcome.ms < AT_ONCE_MS, "{outcome:?}");
    let thrown = outcome.thrown();
    assert_eq!(thrown.code, "panicked");
    assert!(thrown.message.contains("panic in Phase 2"), "{thrown:?}");
    assert_eq!(on(&app, "late", "count", json!([])).value(), json!([1, 1]));
}

#[test]
fn an_object_that_starts_while_another_one_breaks_starts_again() {
    let app = kitchen();
    let _ = on(&app, "slow", "planStart", json!(["slow"])).value();
    let _ = on(&app, "culprit", "count", json!([])).value();
    app.object("kitchen", "Fragile", "slow").evict();
    let calls = [
        call("Fragile", "slow", "count", json!([])),
        json!({"class": "Fragile", "name": "culprit", "method": "fault", "args": ["panic"], "delay": 100}),
    ];
    let mut outcomes = drive(&app, &calls);
    assert_eq!(outcomes.remove(1).thrown().code, "panicked");
    let started = outcomes.remove(0);
    assert!(started.ms < AT_ONCE_MS, "{started:?}");
    assert_eq!(started.value(), json!([1, 1]));
}

#[test]
fn a_transaction_is_rolled_back_when_another_object_breaks() {
    let app = kitchen();
    let _ = on(&app, "culprit", "count", json!([])).value();
    let calls = [
        call("Fragile", "inside", "waitInTransaction", json!([20_000])),
        json!({"class": "Fragile", "name": "culprit", "method": "fault", "args": ["panic"], "delay": 100}),
    ];
    let mut outcomes = drive(&app, &calls);
    assert_eq!(outcomes.remove(1).thrown().code, "panicked");
    let inside = outcomes.remove(0);
    assert!(inside.ms < AT_ONCE_MS, "{inside:?}");
    assert_eq!(inside.thrown().code, "interrupted");
    assert_eq!(on(&app, "inside", "waited", json!([])).value(), Value::Null);
}

#[test]
fn what_a_broken_transaction_wrote_is_rolled_back() {
    let app = kitchen();
    let _ = on(&app, "t", "count", json!([])).value();
    assert_eq!(on(&app, "t", "fault", json!(["panic-in-transaction"])).thrown().code, "panicked");
    assert_eq!(on(&app, "t", "count", json!([])).value(), json!([1, 2]));
    assert_eq!(on(&app, "t", "fault", json!(["panic-in-transaction-sync"])).thrown().code, "panicked");
    assert_eq!(on(&app, "t", "brokenRows", json!([])).value(), 0);
}

#[test]
fn a_worker_that_breaks_answers_without_details_and_serves_the_next_request() {
    let app = kitchen();
    for fault in ["panic", "unreachable", "stack-small", "stack-large", "out-of-memory", "js-exception"] {
        let response = app.get(&format!("/worker-fault/{fault}")).send().expect_status(500);
        assert_eq!(response.header("realgar-error"), Some("panicked"), "{fault}");
        assert_eq!(response.text(), "Internal Server Error");
        assert_eq!(app.get("/worker-fault/none").send().expect_status(200).text(), "fine", "{fault}");
    }
    let response = app.get("/worker-fault/error").send().expect_status(500);
    assert_eq!(response.header("realgar-error"), Some("handler_error"));
    assert_eq!(response.text(), "Internal Server Error");
    logged(&app, "a secret detail");
}

#[test]
fn a_panic_beside_the_response_leaves_the_next_request_alone() {
    let app = kitchen();
    // The panic may come before or after the response has left.
    let status = app.get("/worker-fault/wait-until").send().status();
    assert!([200, 500].contains(&status), "{status}");
    assert_eq!(app.get("/worker-fault/none").send().expect_status(200).text(), "fine");
    logged(&app, "panic in waitUntil");
}

#[test]
fn requests_under_way_are_answered_when_another_one_breaks_the_instance() {
    let app = kitchen();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| app.get("/worker-fault/wait").send());
        // Until the first request is inside, a fault hits nobody: break the instance until it does.
        while !waiting.is_finished() {
            let _ = app.get("/worker-fault/panic").send().expect_status(500);
        }
        let response = waiting.join().unwrap().expect_status(500);
        assert_eq!(response.header("realgar-error"), Some("interrupted"));
    });
}
