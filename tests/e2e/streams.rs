//! Streams on real workerd: between Rust and Rust, to and from JavaScript, and out as HTTP.

use crate::common::{call, drive, kitchen};
use realgar_test::App;
use serde_json::{Value, json};
use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

fn consume(app: &App, which: &str) -> Value {
    app.get(&format!("/streams/{which}")).send().expect_status(200).json()
}

fn belt(app: &App, method: &str, args: Value) -> Value {
    drive(app, &[call("Belt", "js", method, args)]).remove(0).value()
}

#[test]
fn items_arrive_with_their_end() {
    let app = kitchen();
    assert_eq!(consume(&app, "collect"), json!([0, 1, 2, 3, 4]));
    assert_eq!(consume(&app, "borrowed"), json!([1, 3, 5]), "the stream borrows from its object");
    assert_eq!(consume(&app, "opening"), json!([["a", "b"], "Err(Method(Closed))"]));
}

#[test]
fn each_item_arrives_before_the_next_is_produced() {
    let app = kitchen();
    let seen: Vec<(u32, u32)> = app.get("/streams/order").send().expect_status(200).json();
    assert_eq!(seen, [(0, 1), (1, 2), (2, 3), (3, 4)]);
}

#[test]
fn an_error_of_the_producer_is_the_last_item() {
    let app = kitchen();
    assert_eq!(consume(&app, "failing"), json!(["0", "1", "Method(Closed)"]));
}

#[test]
fn a_consumer_that_drops_a_stream_stops_its_producer() {
    let app = kitchen();
    assert_eq!(consume(&app, "drop"), 0);
}

#[test]
fn a_stream_that_nobody_gets_stops_its_producer() {
    let app = kitchen();
    assert_eq!(consume(&app, "abandoned"), json!(false), "the call was given up before its answer");
    assert_eq!(consume(&app, "unsent"), json!(["NotSent", 1]), "an argument, where the next one cannot be sent");
}

#[test]
fn a_stream_outlives_the_deadline_of_the_call_that_opened_it() {
    let app = kitchen();
    assert_eq!(consume(&app, "late"), json!(["in time", "in time"]));
}

#[test]
fn a_stream_reaches_an_object_in_javascript_under_a_deadline() {
    let app = kitchen();
    let outcome: String = app.get("/stranger").send().expect_status(200).json();
    assert_eq!(outcome, "(Ok(Ok(10)), Ok(Ok(10)))");
}

#[test]
fn a_stream_can_be_an_argument() {
    let app = kitchen();
    assert_eq!(consume(&app, "sum"), json!(["all", 500_500, 1000]));
    assert_eq!(consume(&app, "first"), "Err(Method(Closed)) Ok(7)");
    let lines = |text: &str| json!({"$": "stream", "value": [text]});
    assert_eq!(
        belt(&app, "sum", json!(["js", lines("{\"item\":1}\n{\"item\":41}\n{\"end\":2}\n")])),
        json!(["js", 42, 2])
    );
}

#[test]
fn javascript_reads_lines() {
    let app = kitchen();
    let lines = |method: &str, args: Value| belt(&app, method, args)["lines"].clone();
    assert_eq!(lines("tick", json!([3, 1])), json!([{"item": 0}, {"item": 1}, {"item": 2}, {"end": 3}]));
    assert_eq!(
        lines("failing", json!([1])),
        json!([{"item": 0}, {"error": {"code": "method_error", "message": "the kitchen is closed", "data": "Closed"}}])
    );
    let wide = lines("wide", json!([]));
    assert_eq!(wide[0], json!({"item": 1}));
    assert_eq!(wide[1]["error"]["code"], "bad_result");
    assert!(wide[1]["error"]["message"].as_str().unwrap().contains("JavaScript would round it"), "{wide}");
    let refused = drive(&app, &[call("Belt", "js", "opening", json!([false]))]).remove(0).thrown();
    assert_eq!((refused.code.as_str(), refused.data), ("method_error", json!("Closed")));
}

#[test]
fn a_producer_that_panics_is_an_error_at_its_consumer_and_at_every_other() {
    let app = kitchen();
    let mut other = call("Belt", "other", "tick", json!([1000, 10_000]));
    other["delay"] = json!(0);
    let mut culprit = call("Belt", "js", "panicking", json!([2]));
    culprit["delay"] = json!(100);
    let mut outcomes = drive(&app, &[other, culprit]);
    let culprit = outcomes.remove(1).value()["lines"].clone();
    assert_eq!(culprit[0], json!({"item": 0}));
    let last = culprit.as_array().unwrap().last().unwrap();
    assert_eq!(last["error"]["code"], "panicked", "{culprit}");
    assert!(last["error"]["message"].as_str().unwrap().contains("panic in a stream"), "{culprit}");
    let other = outcomes.remove(0).value()["lines"].clone();
    assert_eq!(other[0], json!({"item": 0}));
    assert_eq!(other[1]["error"]["code"], "interrupted", "{other}");
    assert_eq!(belt(&app, "tick", json!([1, 0]))["lines"], json!([{"item": 0}, {"end": 1}]), "the object goes on");
}

#[test]
fn a_large_stream_passes_in_bounded_memory() {
    let app = kitchen();
    let (bytes, megabytes): (u64, u64) = app.get("/streams/bulk").send().expect_status(200).json();
    assert_eq!(bytes, 100 << 20);
    assert!(megabytes < 32, "the wasm memory grew to {megabytes} MB");
}

#[test]
fn a_stream_is_an_http_response() {
    let app = kitchen();
    let response = app.get("/streams/http").send().expect_status(200);
    assert_eq!(response.text(), "0\n1\n2\n3\n4\n");
    let broken = app.get("/streams/http-failing").try_send();
    assert!(broken.is_err(), "a response that breaks off must not look whole: {broken:?}");
}

#[test]
fn a_client_that_goes_away_stops_the_producer() {
    let app = kitchen();
    let dropped = || consume(&app, "counts")[1].as_u64().unwrap();
    let before = dropped();
    let address = app.url("kitchen").trim_start_matches("http://").to_string();
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(b"GET /streams/http-endless HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut start = [0; 400];
    client.read_exact(&mut start).unwrap();
    let start = String::from_utf8_lossy(&start).to_lowercase();
    assert!(start.contains("transfer-encoding: chunked"), "{start}");
    assert_eq!(dropped(), before, "it runs while somebody reads");
    drop(client);
    while dropped() == before {}
}

#[test]
fn a_client_that_goes_away_drops_the_handler_it_waits_for() {
    let app = kitchen();
    let dropped = || consume(&app, "counts")[1].as_u64().unwrap();
    let before = dropped();
    assert_eq!(app.request("GET", "driver", "/abandon").send().expect_status(200).text(), "AbortError");
    while dropped() == before {}
}

#[test]
fn a_stream_whose_object_is_reset_is_an_error_and_never_an_end() {
    let app = kitchen();
    let mut calls = vec![call("Belt", "gone", "tick", json!([1000, 20])), call("Belt", "gone", "reset", json!([]))];
    calls[1]["delay"] = json!(200);
    let mut outcomes = drive(&app, &calls);
    let (reset, read) = (outcomes.remove(1).thrown(), outcomes.remove(0).thrown());
    assert!(reset.message.contains("reset by a test"), "{reset:?}");
    assert!(read.message.contains("disconnected prematurely"), "{read:?}");
    assert_eq!(
        belt(&app, "tick", json!([1, 0]))["lines"],
        json!([{"item": 0}, {"end": 1}]),
        "the next event starts it again"
    );
}
