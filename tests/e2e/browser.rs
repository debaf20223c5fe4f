//! Pages in a real browser: Chromium, headless, by way of its WebDriver.
//!
//! `.ci/run` installs both and runs these with `--ignored`; the tests that everybody runs need neither.

use base64::{Engine, prelude::BASE64_STANDARD};
use realgar_test::App;
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// ChromeDriver, until it is dropped.
struct Driver {
    process: Child,
    url: String,
    /// What the browser leaves behind goes with it.
    temporary: PathBuf,
}

impl Driver {
    fn start() -> Self {
        let temporary = std::path::absolute("target/tmp/browser").unwrap();
        fs::create_dir_all(&temporary).unwrap();
        let mut process = Command::new("chromedriver")
            .arg("--port=0")
            .env("TMPDIR", &temporary)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run chromedriver, which `.ci/run` installs: {error}"));
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        // It says on which port it listens, as the last thing of a line.
        let said =
            lines.by_ref().map(Result::unwrap).find(|line| line.contains("started successfully on port")).unwrap();
        let port = said.rsplit(' ').next().unwrap().trim_end_matches('.').to_string();
        // So that it can go on talking.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, url: format!("http://127.0.0.1:{port}"), temporary }
    }

    fn command(&self, method: &str, path: &str, body: &Value) -> Value {
        let url = format!("{}{path}", self.url);
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into();
        let answer = match method {
            "GET" => agent.get(&url).call(),
            "DELETE" => agent.delete(&url).call(),
            _ => agent.post(&url).send_json(body),
        };
        let answer: Value = answer.unwrap().body_mut().read_json().unwrap();
        assert!(answer["value"]["error"].is_null(), "{method} {path}: {answer}");
        answer["value"].clone()
    }

    /// Opens a page in a browser of its own.
    fn open(&self, url: &str) -> Page<'_> {
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-proxy-server",
            "--window-size=800,600",
        ];
        let options = json!({ "args": arguments });
        let wanted = json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": options } } });
        let session = self.command("POST", "/session", &wanted)["sessionId"].as_str().unwrap().to_string();
        let page = Page { driver: self, session };
        page.command("POST", "/url", &json!({ "url": url }));
        page
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.temporary);
    }
}

struct Page<'a> {
    driver: &'a Driver,
    session: String,
}

impl Page<'_> {
    fn command(&self, method: &str, path: &str, body: &Value) -> Value {
        self.driver.command(method, &format!("/session/{}{path}", self.session), body)
    }

    fn element(&self, selector: &str) -> String {
        let found = self.command("POST", "/element", &json!({ "using": "css selector", "value": selector }));
        let id = found.as_object().and_then(|found| found.values().next()).and_then(Value::as_str);
        format!("/element/{}", id.unwrap())
    }

    fn text(&self, selector: &str) -> String {
        let path = format!("{}/text", self.element(selector));
        self.command("GET", &path, &Value::Null).as_str().unwrap().into()
    }

    fn type_into(&self, selector: &str, text: &str) {
        let path = format!("{}/value", self.element(selector));
        self.command("POST", &path, &json!({ "text": text }));
    }

    fn click(&self, selector: &str) {
        let path = format!("{}/click", self.element(selector));
        self.command("POST", &path, &json!({}));
    }

    #[track_caller]
    fn shows(&self, selector: &str, text: &str) {
        let started = Instant::now();
        while self.text(selector) != text {
            assert!(started.elapsed() < Duration::from_secs(30), "{selector} shows {:?}", self.text(selector));
        }
    }

    /// A picture of the page, for people to look at.
    fn picture(&self, name: &str) {
        let picture = self.command("GET", "/screenshot", &Value::Null);
        fs::create_dir_all("target/artifacts").unwrap();
        fs::write(format!("target/artifacts/{name}"), BASE64_STANDARD.decode(picture.as_str().unwrap()).unwrap())
            .unwrap();
    }
}

impl Drop for Page<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.command("DELETE", "", &Value::Null);
        }
    }
}

#[test]
#[ignore = "needs Chromium and its driver, which .ci/run installs"]
fn two_people_chat_in_a_browser_also_after_the_room_has_hibernated() {
    let app = App::start("examples/chat");
    let driver = Driver::start();
    let (ada, bob) = (
        driver.open(&format!("{}/#lobby/ada", app.url("chat"))),
        driver.open(&format!("{}/#lobby/bob", app.url("chat"))),
    );
    ada.shows("#present", "ada, bob");
    bob.shows("#present", "ada, bob");
    bob.type_into("#text", "Hello, Ada!");
    bob.click("button");
    ada.shows("#lines", "bob came in\nbob: Hello, Ada!");
    app.object("chat", "Room", "lobby").evict();
    ada.type_into("#text", "Hello, Bob! <b>Did you sleep?</b>");
    ada.click("button");
    bob.shows("#lines", "bob: Hello, Ada!\nada: Hello, Bob! <b>Did you sleep?</b>");
    ada.picture("chat.png");
    drop(bob);
    ada.shows("#present", "ada");
}
