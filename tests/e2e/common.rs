//! The kitchen with the driver beside it: Rust objects, called by plain JavaScript.

use realgar_test::App;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

/// Starts both. The kitchen is the first Worker.
pub(crate) fn kitchen() -> App {
    App::builder().worker("tests/workers/kitchen").plain("tests/driver").start()
}

/// The same Worker, with a wasm instance for each object.
pub(crate) fn isolated_kitchen() -> App {
    App::builder().worker("tests/workers/kitchen-isolated").plain("tests/driver").start()
}

/// A call for the driver to make.
pub(crate) fn call(class: &str, name: &str, method: &str, args: Value) -> Value {
    json!({ "class": class, "name": name, "method": method, "args": args })
}

/// How a call ended.
#[derive(Debug, Deserialize)]
pub(crate) struct Outcome {
    #[serde(default)]
    pub(crate) ok: Value,
    pub(crate) error: Option<Thrown>,
    pub(crate) ms: u64,
}

/// What a JavaScript caller caught.
#[derive(Debug, Deserialize)]
pub(crate) struct Thrown {
    pub(crate) name: String,
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) code: String,
    #[serde(default)]
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) data: Value,
    #[serde(default)]
    pub(crate) stack: String,
}

impl Outcome {
    /// The error.
    #[track_caller]
    pub(crate) fn thrown(self) -> Thrown {
        let ok = self.ok;
        self.error.unwrap_or_else(|| panic!("the call did not fail, but returned {ok}"))
    }

    /// The result.
    #[track_caller]
    pub(crate) fn value(self) -> Value {
        if let Some(error) = self.error {
            panic!("the call failed: {error:?}");
        }
        self.ok
    }
}

/// Makes the calls side by side.
pub(crate) fn drive(app: &App, calls: &[Value]) -> Vec<Outcome> {
    app.request("POST", "driver", "/").json(&calls).send().expect_status(200).json()
}

/// Calls a method of the menu `name`.
pub(crate) fn menu(app: &App, name: &str, method: &str, args: Value) -> Outcome {
    drive(app, &[call("Menu", name, method, args)]).remove(0)
}

/// Installs the npm packages that `source` pins into `folder`, once.
pub(crate) fn npm_ci(source: &Path, folder: &Path) {
    let lock = fs::read(source.join("package-lock.json")).unwrap();
    if fs::read(folder.join("complete")).is_ok_and(|installed| installed == lock) {
        return;
    }
    fs::create_dir_all(folder).unwrap();
    for file in ["package.json", "package-lock.json"] {
        fs::copy(source.join(file), folder.join(file)).unwrap();
    }
    let mut npm = Command::new("npm");
    let npm = npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(folder).output().unwrap();
    assert!(npm.status.success(), "{}", String::from_utf8_lossy(&npm.stderr));
    fs::write(folder.join("complete"), lock).unwrap();
}

/// A pause between two looks at something that has no event to wait for. Without it, the test would take a core from what it waits for.
fn pause() {
    std::thread::sleep(Duration::from_millis(5));
}

/// Asks until it is so.
#[track_caller]
pub(crate) fn eventually(what: &str, so: impl Fn() -> bool) {
    let started = Instant::now();
    while !so() {
        assert!(started.elapsed() < Duration::from_secs(30), "after 30 s it is still not so that {what}");
        pause();
    }
}

/// Waits until a line of the log has `text` in it.
#[track_caller]
pub(crate) fn logged(app: &App, text: &str) {
    let started = Instant::now();
    while !app.logs().iter().any(|line| line.message.contains(text)) {
        assert!(started.elapsed() < Duration::from_secs(30), "`{text}` is not in the log: {:?}", app.logs());
        pause();
    }
}
