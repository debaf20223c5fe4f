//! The example `counter`, in Rust and called from JavaScript.

use realgar_test::App;

fn counter() -> App {
    App::builder().worker("examples/counter").plain("examples/counter/javascript").start()
}

#[test]
fn a_counter_counts_by_name() {
    let app = counter();
    for value in 1..=3 {
        assert_eq!(app.post("/ada").send().expect_status(200).text(), format!("{{\"value\":{value}}}"));
    }
    assert_eq!(app.post("/bob").send().text(), r#"{"value":1}"#);
    assert_eq!(app.get("/ada").send().text(), r#"{"value":3}"#);
    assert_eq!(app.get("/nobody").send().text(), r#"{"value":0}"#);
    let _ = app.get("/").send().expect_status(404);
    let _ = app.request("DELETE", "counter", "/ada").send().expect_status(405);
}

#[test]
fn the_count_survives_eviction_and_restarts() {
    let app = counter();
    let _ = app.post("/ada").send().expect_status(200);
    app.object("counter", "Counter", "ada").evict();
    assert_eq!(app.get("/ada").send().text(), r#"{"value":1}"#);
    let _ = app.post("/ada").send().expect_status(200);
    app.restart();
    assert_eq!(app.get("/ada").send().text(), r#"{"value":2}"#);
    let _ = app.post("/ada").send().expect_status(200);
    app.kill();
    assert_eq!(app.get("/ada").send().text(), r#"{"value":3}"#);
}

#[test]
fn javascript_calls_the_rust_object_without_an_adapter() {
    let app = counter();
    let javascript = |method: &str| app.request(method, "counter-javascript", "/ada").send().expect_status(200).text();
    assert_eq!(javascript("POST"), r#"{"value":1}"#);
    assert_eq!(app.post("/ada").send().text(), r#"{"value":2}"#);
    assert_eq!(javascript("GET"), r#"{"value":2}"#);
}
