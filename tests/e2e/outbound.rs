//! Requests that Workers make to the outside: answered by a test, let through, or refused.

use crate::{dev::Dev, project::Project};
use realgar_test::{App, OutboundResponse};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    sync::OnceLock,
    thread,
};

/// A Worker that asks others: in JavaScript, because it is about the platform's `fetch`, whoever calls it.
fn asker() -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER
        .get_or_init(|| {
            let project = Project::new("scratch-asker", "");
            std::fs::remove_file(project.folder.join("Cargo.toml")).unwrap();
            let config = "name = \"asker\"\nmain = \"index.js\"\ncompatibility_date = \"2026-04-21\"\n\n\
                          [[services]]\nbinding = \"SELF\"\nservice = \"asker\"\n";
            std::fs::write(project.folder.join("wrangler.toml"), config).unwrap();
            let source = r#"
export default {
  async fetch(request, env) {
    if (new URL(request.url).hostname === "inside") return new Response("from a service binding");
    const { url, method = "GET", body, headers, redirect, stream, socket, self } = await request.json();
    try {
      if (self) return Response.json({ text: await (await env.SELF.fetch("http://inside/")).text() });
      if (socket) {
        const response = await fetch(url, { headers: { upgrade: "websocket" } });
        const peer = response.webSocket;
        peer.accept();
        const answer = new Promise((resolve) => peer.addEventListener("message", ({ data }) => resolve(data)));
        peer.send("hello");
        return Response.json({ status: response.status, text: await answer });
      }
      const sent = stream ? new Blob(["a stream", " of ", "parts"]).stream() : body;
      const response = await fetch(url, { method, body: sent, headers, redirect });
      const entries = Object.fromEntries(response.headers);
      return Response.json({ status: response.status, url: response.url, headers: entries, text: await response.text() });
    } catch (error) {
      return Response.json({ error: String(error.message) });
    }
  },
};
"#;
            std::fs::write(project.folder.join("index.js"), source).unwrap();
            project.folder
        })
        .clone()
}

fn ask(app: &App, question: Value) -> Value {
    app.post("/").json(&question).send().expect_status(200).json()
}

#[test]
fn a_test_answers_for_the_hosts_it_names_and_sees_what_was_asked() {
    let app = App::builder()
        .plain(asker())
        .outbound("api.example.com", |request| match request.url.as_str() {
            "https://api.example.com/old" => OutboundResponse::new(302).header("location", "/new?a=1"),
            "https://api.example.com/parts" => {
                OutboundResponse::new(200).chunks((0..3).map(|part| format!("part {part};").into_bytes()))
            }
            _ => OutboundResponse::new(201).header("x-kind", "mock").json(&json!({ "got": request.text() })),
        })
        .start();
    let posted =
        json!({ "url": "https://api.example.com/v1", "method": "POST", "body": "hi", "headers": { "x-token": "t" } });
    let answer = ask(&app, posted);
    assert_eq!((&answer["status"], &answer["headers"]["x-kind"]), (&json!(201), &json!("mock")), "{answer}");
    assert_eq!(answer["text"], r#"{"got":"hi"}"#);
    let streamed = json!({ "url": "https://api.example.com/v1", "method": "PUT", "stream": true });
    assert_eq!(ask(&app, streamed)["text"], r#"{"got":"a stream of parts"}"#);
    assert_eq!(ask(&app, json!({ "url": "https://api.example.com/parts" }))["text"], "part 0;part 1;part 2;");
    // Redirects are the caller's to follow, or not.
    let followed = ask(&app, json!({ "url": "https://api.example.com/old" }));
    assert_eq!((&followed["status"], &followed["url"]), (&json!(201), &json!("https://api.example.com/new?a=1")));
    let kept = ask(&app, json!({ "url": "https://api.example.com/old", "redirect": "manual" }));
    assert_eq!(kept["status"], 302, "{kept}");
    assert_eq!(ask(&app, json!({ "self": true }))["text"], "from a service binding", "which is not outside");

    let asked = app.outbound_requests();
    let urls: Vec<(&str, &str)> = asked.iter().map(|own| (own.method.as_str(), own.url.as_str())).collect();
    assert_eq!(
        urls,
        [
            ("POST", "https://api.example.com/v1"),
            ("PUT", "https://api.example.com/v1"),
            ("GET", "https://api.example.com/parts"),
            ("GET", "https://api.example.com/old"),
            ("GET", "https://api.example.com/new?a=1"),
            ("GET", "https://api.example.com/old"),
        ]
    );
    assert_eq!((asked[0].header("x-token"), asked[0].text()), (Some("t"), "hi".to_string()));
    assert!(asked.iter().all(|own| own.header("x-realgar-secret").is_none()));
}

#[test]
fn a_request_that_no_test_answers_fails_and_says_what_to_do() {
    let app = App::builder().plain(asker()).start();
    for url in ["https://example.com/", "http://127.0.0.1:9/", "http://10.0.0.1/", "http://[::1]:9/"] {
        let error = ask(&app, json!({ "url": url }))["error"].as_str().unwrap_or_default().to_string();
        assert!(error.contains("the test answers no request to `"), "{url}: {error}");
        assert!(error.contains(".outbound("), "{error}");
    }
    assert_eq!(app.outbound_requests().len(), 4, "they are recorded too");
}

/// A server that greets, and echoes WebSocket messages.
fn server() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut head = String::new();
                let mut peeked = [0; 2048];
                while !head.contains("\r\n\r\n") {
                    let count = stream.peek(&mut peeked).unwrap();
                    head = String::from_utf8_lossy(&peeked[..count]).into_owned();
                }
                if head.to_ascii_lowercase().contains("upgrade: websocket") {
                    let mut socket = tungstenite::accept(stream).unwrap();
                    let message = socket.read().unwrap();
                    socket.send(message).unwrap();
                    let _ = socket.read();
                    return;
                }
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut line = String::new();
                while reader.read_line(&mut line).is_ok_and(|count| count > 2) {}
                let path = head.split(' ').nth(1).unwrap_or_default();
                let body = format!("served {path}");
                let length = body.len();
                let mut stream = stream;
                let _ =
                    write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
            });
        }
    });
    port
}

#[test]
fn named_hosts_go_to_a_server_of_the_test_or_to_the_network() {
    let port = server();
    let app = App::builder()
        .plain(asker())
        .outbound_to("payments.example", &format!("http://127.0.0.1:{port}"))
        .outbound_through("127.0.0.1")
        .start();
    assert_eq!(ask(&app, json!({ "url": "https://payments.example/a?b=c" }))["text"], "served /a?b=c");
    assert_eq!(ask(&app, json!({ "url": "https://payments.example/live", "socket": true }))["text"], "hello");
    assert_eq!(ask(&app, json!({ "url": format!("http://127.0.0.1:{port}/own") }))["text"], "served /own");
    assert!(ask(&app, json!({ "url": "https://other.example/" }))["error"].is_string());
}

#[test]
fn dev_reaches_local_services() {
    let port = server();
    let dev = Dev::start(&[&asker()]);
    let url = dev.serves("asker");
    let ask = |question: Value| -> Value {
        let mut response = ureq::post(&url).send_json(&question).unwrap();
        response.body_mut().read_json().unwrap()
    };
    let answer = ask(json!({ "url": format!("http://127.0.0.1:{port}/dev") }));
    assert_eq!(answer["text"], "served /dev", "{answer}");
    assert_eq!(ask(json!({ "url": format!("http://localhost:{port}/live"), "socket": true }))["text"], "hello");
    assert_eq!(dev.interrupt(), Some(0));
}

#[test]
fn an_answer_that_panics_is_an_error_of_the_request() {
    let app = App::builder().plain(asker()).outbound("*", |_| panic!("no such answer")).start();
    let error = ask(&app, json!({ "url": "https://example.com/" }))["error"].clone();
    assert!(error.as_str().unwrap_or_default().contains("panicked"), "{error}");
}
