//! WebSockets that hibernate, on real workerd.

use crate::common::eventually;
use realgar_test::{App, Frame, SocketClient, bundle};
use serde_json::{Value, json};

fn salon() -> App {
    App::start("tests/workers/salon")
}

/// A guest with these tags.
fn guest(app: &App, tags: &str) -> SocketClient {
    app.websocket(&format!("/salon?{tags}"))
}

fn ask(socket: &mut SocketClient, what: &Value) -> Value {
    socket.send_json(what);
    socket.next_json()
}

#[test]
fn text_and_bytes_arrive_as_what_they_are_and_a_close_is_told() {
    let app = salon();
    let mut pipe = app.websocket("/pipe");
    for text in ["", "hello", "größer als \u{1f980}"] {
        pipe.send_text(text);
        assert_eq!(pipe.next_text(), text);
    }
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    pipe.send_bytes(&bytes);
    assert_eq!(pipe.next_frame(), Frame::Bytes(bytes));
    assert_eq!(pipe.close(3001, "had enough"), Frame::Closed(3001, "had enough".into()));
    assert_eq!(guest(&app, "").close(1000, "bye"), Frame::Closed(1000, "bye".into()), "also without a handler");
    let closed: String = loop {
        if let Some(closed) = app.get("/closed").send().expect_status(200).json::<Option<String>>() {
            break closed;
        }
    };
    assert_eq!(closed, "3001 \"had enough\" true false 0");
}

#[test]
fn a_request_that_asks_for_no_socket_leaves_none() {
    let app = salon();
    for _ in 0..3 {
        let _ = app.get("/pipe").send().expect_status(426);
    }
    assert_eq!(guest(&app, "").close(1000, "bye"), Frame::Closed(1000, "bye".into()));
    eventually("the last one has gone", || {
        let closed: Option<String> = app.get("/closed").send().expect_status(200).json();
        closed.as_deref() == Some("1002 \"the request asks for no WebSocket\" true false 0")
    });
    app.object("house", "Pipe", "one").evict();
}

#[test]
fn a_message_after_hibernation_finds_its_attachment_and_tags() {
    let app = salon();
    let (mut ada, mut bob) = (guest(&app, "red&first"), guest(&app, "blue"));
    assert_eq!(ask(&mut ada, &json!({"Name": "ada"})), "named");
    assert_eq!(ask(&mut bob, &json!({"Name": "bob"})), "named");
    assert_eq!(ask(&mut ada, &json!("WhoAmI")), json!(["ada", ["red", "first"], 1, 3]));
    app.object("house", "Salon", "one").evict();
    assert_eq!(ask(&mut ada, &json!("WhoAmI")), json!(["ada", ["red", "first"], 2, 1]), "a new instance");
    assert_eq!(ask(&mut bob, &json!("WhoAmI")), json!(["bob", ["blue"], 2, 2]));
    assert_eq!(ask(&mut bob, &json!("Guests")), json!(["ada", "bob"]), "Phase 2 found them");
}

#[test]
fn a_broadcast_reaches_those_it_is_for() {
    let app = salon();
    let (mut ada, mut bob, mut eve) = (guest(&app, "red"), guest(&app, "red"), guest(&app, "blue"));
    ada.send_json(&json!({"Tagged": ["red", "to the red"]}));
    assert_eq!(ada.next_text(), "to the red");
    assert_eq!(ada.next_json::<Value>(), json!([2, 2]));
    assert_eq!(bob.next_text(), "to the red");
    assert_eq!(ask(&mut ada, &json!({"Others": "hello"})), 2);
    assert_eq!(bob.next_json::<String>(), "hello");
    assert_eq!(eve.next_json::<String>(), "hello", "and nothing before it");
    drop(bob);
    eve.send_json(&json!({"All": "goodbye"}));
    assert_eq!(eve.next_text(), "goodbye");
    assert_eq!(ada.next_text(), "goodbye");
}

#[test]
fn five_hundred_sockets_hear_a_broadcast() {
    let app = salon();
    let mut guests: Vec<SocketClient> = (0..500).map(|_| guest(&app, "")).collect();
    guests[7].send_json(&json!({"Others": "hello"}));
    assert_eq!(guests[7].next_json::<u32>(), 499);
    for (index, guest) in guests.iter_mut().enumerate().filter(|(index, _)| *index != 7) {
        assert_eq!(guest.next_json::<String>(), "hello", "guest {index}");
    }
}

#[test]
fn a_socket_that_breaks_a_rule_is_told_and_nobody_else() {
    let app = salon();
    let (mut ada, mut bob) = (guest(&app, ""), guest(&app, ""));
    let eleven: Vec<String> = (0..11).map(|number| format!("t{number}")).collect();
    let error = app.try_websocket(&format!("/salon?{}", eleven.join("&"))).unwrap_err();
    assert_eq!(error, "400: a WebSocket cannot have 11 tags: 10 are the most");
    let error = app.try_websocket(&format!("/salon?{}", "t".repeat(257))).unwrap_err();
    assert!(error.contains("is longer than the 256 characters that a tag can have"), "{error}");

    assert_eq!(ask(&mut ada, &json!({"Luggage": 16_000})), json!({"Ok": null}));
    let heavy = ask(&mut ada, &json!({"Luggage": 17_000}));
    assert!(heavy["Err"].as_str().unwrap().contains("16384"), "{heavy}");
    assert_eq!(ask(&mut ada, &json!("WhoAmI"))[0], "heavy", "what was attached before stays");
    let ghost = ask(&mut ada, &json!("Ghost"));
    assert!(ghost["Err"].as_str().unwrap().contains("is a `salon::Ghost`, not a `salon::Guest`"), "{ghost}");

    let refused = ask(&mut ada, &json!({"Leave": [1005, "why"]}));
    assert!(refused.as_str().unwrap().contains("Invalid WebSocket close code: 1005"), "{refused}");
    let refused = ask(&mut ada, &json!({"Leave": [3000, "x".repeat(124)]}));
    assert_eq!(refused, "the reason to close has 124 bytes: 123 are the most");

    for wrong in ["what?", "{\"Shout\":1}", "{\"Name\":7}", ""] {
        let mut eve = guest(&app, "");
        eve.send_text(wrong);
        let Frame::Closed(1007, reason) = eve.next_frame() else { panic!("`{wrong}` is accepted") };
        assert!(!reason.is_empty() && reason.len() <= 123, "{reason}");
    }
    let mut eve = guest(&app, "");
    eve.send_bytes(b"bytes");
    assert_eq!(eve.next_frame(), Frame::Closed(1007, "expected text, got bytes".into()));
    assert_eq!(ask(&mut bob, &json!("WhoAmI"))[0], "nobody", "bob noticed nothing");
    assert_eq!(ask(&mut ada, &json!({"Name": "ada"})), "named");
    ada.send_json(&json!({"Leave": [3000, "enough"]}));
    assert_eq!(ada.next_frame(), Frame::Closed(3000, "enough".into()));
}

#[test]
fn a_handler_that_fails_or_panics_leaves_the_sockets_open() {
    for app in [salon(), App::start("tests/workers/salon-isolated")] {
        fail_and_panic(&app);
    }
}

fn fail_and_panic(app: &App) {
    let (mut ada, mut bob) = (guest(app, ""), guest(app, ""));
    assert_eq!(ask(&mut ada, &json!({"Name": "ada"})), "named");
    ada.send_json(&json!("Fail"));
    assert_eq!(ask(&mut ada, &json!("WhoAmI")), json!(["ada", [], 1, 3]));
    crate::common::logged(app, "the WebSocket event `message` failed: this guest is not welcome");
    ada.send_json(&json!("Panic"));
    assert_eq!(ask(&mut bob, &json!("WhoAmI")), json!(["nobody", [], 2, 1]), "a new instance");
    assert_eq!(ask(&mut ada, &json!("WhoAmI")), json!(["ada", [], 2, 2]));
    crate::common::logged(app, "panic at a message");
}

#[test]
fn the_platform_answers_for_an_object_that_sleeps() {
    let app = salon();
    let mut ada = guest(&app, "");
    let _ = app.get("/answer").send().expect_status(200);
    app.object("house", "Salon", "one").evict();
    ada.send_text("ping");
    assert_eq!(ada.next_text(), "pong");
    assert_eq!(app.get("/starts").send().expect_status(200).json::<Value>(), json!([2, [true]]), "woken by this only");
}

#[test]
fn only_handlers_that_exist_are_exported() {
    let bundle = bundle("tests/workers/salon", realgar_test::Profile::Dev).unwrap();
    let handlers = |class: &str| {
        let object = bundle.manifest.objects.iter().find(|object| object.class == class);
        object.unwrap().handlers.clone()
    };
    assert_eq!(handlers("Salon"), ["fetch", "webSocketMessage"]);
    assert_eq!(handlers("Pipe"), ["fetch", "webSocketMessage", "webSocketClose", "webSocketError"]);
    let entry = std::fs::read_to_string(bundle.folder.join("index.js")).unwrap();
    let salon = &entry[entry.find("class Salon").unwrap()..entry.find("class Pipe").unwrap()];
    assert!(salon.contains("webSocketMessage(") && !salon.contains("webSocketError("), "{salon}");
    assert!(salon.contains("__realgar.closed(...event)"), "a close is answered all the same: {salon}");
}
