//! Events and spans of the crate `tracing`, as lines of the log.

use realgar_test::App;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

#[test]
fn events_say_which_call_they_belong_to_and_a_trace_follows_calls() {
    let app = App::start("tests/workers/traced");
    let visit = || {
        let before = app.logs().len();
        assert_eq!(app.get("/here").send().expect_status(200).text(), "2");
        let lines = || -> Vec<(String, Value)> {
            let logs = app.logs().split_off(before);
            logs.iter()
                .filter_map(|line| Some((line.level.clone(), serde_json::from_str(&line.message).ok()?)))
                .collect()
        };
        let started = Instant::now();
        while lines().len() < 5 {
            assert!(started.elapsed() < Duration::from_secs(30), "{:?}", app.logs());
        }
        lines()
    };
    let lines = visit();
    let seen: Vec<Value> = lines
        .iter()
        .map(|(level, line)| json!([level, line["class"], line["object"], line["method"], line["message"]]))
        .collect();
    assert_eq!(
        seen,
        [
            json!(["debug", "traced", null, "fetch", "request"]),
            json!(["info", "Node", "first", "visit", "visited"]),
            json!(["info", "Node", "node-2", "visit", "visited"]),
            json!(["info", "Node", "node-1", "visit", "visited"]),
            json!(["warn", "traced", null, "fetch", "done"]),
        ]
    );
    assert_eq!(lines[0].1["path"], "/here");
    assert_eq!(lines[1].1["spans"], json!([{"name": "visiting", "depth": 2}]));
    assert_eq!(lines[1].1["left"], 2);
    assert_eq!((&lines[4].1["cold"], &lines[4].1["ratio"]), (&json!(true), &json!(0.5)));
    let trace = lines[0].1["trace"].as_str().unwrap();
    assert_eq!(trace.len(), 32);
    assert!(lines.iter().all(|(_, line)| line["trace"] == trace), "{lines:?}");
    assert_ne!(visit()[0].1["trace"], trace, "another request is another trace");
}
