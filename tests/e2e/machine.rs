//! A machine on which Workers are deployed: a folder for the state, and an edge whose API is Cloudflare.

use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// The only account of an edge.
pub(crate) const ACCOUNT: &str = "00000000000000000000000000000001";

/// A machine with nothing deployed: a folder for the state, and an edge.
pub(crate) struct Machine {
    pub(crate) data: PathBuf,
    edge: Option<Child>,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}{}", self.out, self.err);
        self
    }

    /// The address of a Worker that `deploy` printed.
    #[track_caller]
    pub(crate) fn url(&self, worker: &str) -> String {
        let line = self.out.lines().find_map(|line| line.strip_prefix(&format!("{worker}: ")));
        line.unwrap_or_else(|| panic!("no address of `{worker}` in {self:?}")).into()
    }
}

impl Machine {
    /// A machine whose edge the test starts, so that it ends with the test.
    pub(crate) fn new(name: &str) -> Self {
        let mut machine = Self::without_edge(name);
        machine.start_edge();
        machine
    }

    pub(crate) fn without_edge(name: &str) -> Self {
        let data = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("machine-{name}"));
        let _ = fs::remove_dir_all(&data);
        Self { data, edge: None }
    }

    pub(crate) fn start_edge(&mut self) {
        let mut command = self.command(&["edge", "--data"]);
        let mut edge =
            command.arg(self.data.join("edge")).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(edge.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("http://127.0.0.1:"), "{line}");
        self.edge = Some(edge);
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_realgar"));
        command
            .args(arguments)
            .env("REALGAR_DATA", &self.data)
            .env("USER", "ada")
            .env_remove("CI")
            .env_remove("REALGAR_STAGE");
        command.stdin(Stdio::null());
        command
    }

    /// Runs a command about this machine.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        let output = self.command(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    pub(crate) fn deploy(&self, paths: &[&str], more: &[&str]) -> Ended {
        let mut arguments = vec!["deploy", "--local", "--yes", "--dev"];
        arguments.extend(more.iter().chain(paths));
        self.run(&arguments)
    }

    /// The plan for the Workers in `paths`.
    #[track_caller]
    pub(crate) fn plan(&self, paths: &[&str]) -> Value {
        let mut arguments = vec!["plan", "--local", "--json", "--dev"];
        arguments.extend(paths);
        serde_json::from_str(&self.run(&arguments).expect(0).out).unwrap()
    }

    /// Destroys everything, data included, and checks that nothing is left.
    #[track_caller]
    pub(crate) fn destroy(&self, path: &str) {
        let refused = self.run(&["destroy", "--local", "--yes", path]);
        let ended = match refused.err.split_once("`--allow-data-loss=") {
            None => refused,
            Some((_, rest)) => {
                let all = rest.split('`').next().unwrap();
                self.run(&["destroy", "--local", "--yes", path, "--allow-data-loss", all])
            }
        };
        ended.expect(0);
        assert_eq!(self.run(&["state", "list", "--local", "--path", path]).expect(0).out, "");
        let tables: Value =
            serde_json::from_str(&fs::read_to_string(self.data.join("edge/api.json")).unwrap()).unwrap();
        for table in ["scripts", "databases", "namespaces", "buckets", "queues"] {
            assert_eq!(tables[table], serde_json::json!({}), "{table}");
        }
    }

    /// A call of the API on this machine.
    pub(crate) fn api(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> (u16, Value) {
        let base = fs::read_to_string(self.data.join("edge/address")).unwrap();
        let request = ureq::http::Request::builder().method(method).uri(format!("{base}{path}"));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let config = ureq::Agent::config_builder().proxy(None).http_status_as_error(false).build();
        let mut answer = ureq::Agent::new_with_config(config).run(request.body(()).unwrap()).unwrap();
        (answer.status().as_u16(), answer.body_mut().read_json().unwrap())
    }

    /// The calls that the API has had, as `METHOD PATH STATUS`. The status of one that got no answer is 0.
    pub(crate) fn calls(&self) -> Vec<String> {
        let token = self.token();
        let (status, body) = self.api("GET", "/realgar/calls", &[("authorization", &token)]);
        assert_eq!(status, 200);
        let calls = body["result"].as_array().unwrap().iter();
        let text = |call: &Value| {
            format!("{} {} {}", call["method"].as_str().unwrap(), call["path"].as_str().unwrap(), call["status"])
        };
        calls.map(text).filter(|call| !call.contains("/realgar/")).collect()
    }

    /// Kills the edge, as a power failure would.
    pub(crate) fn kill_edge(&mut self) {
        let mut edge = self.edge.take().unwrap();
        edge.kill().unwrap();
        edge.wait().unwrap();
    }

    /// Sets the faults of the API.
    #[track_caller]
    pub(crate) fn faults(&self, faults: &Value) {
        let base = fs::read_to_string(self.data.join("edge/address")).unwrap();
        let config = ureq::Agent::config_builder().proxy(None).build();
        let request = ureq::Agent::new_with_config(config).put(&format!("{base}/realgar/faults"));
        let _ = request.header("authorization", &self.token()).send_json(faults).unwrap();
    }

    /// As [`Machine::api`] with the token, below the account, with a body.
    pub(crate) fn rest(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let base = fs::read_to_string(self.data.join("edge/address")).unwrap();
        let request = ureq::http::Request::builder().method(method).header("authorization", self.token());
        let request = request.uri(format!("{base}/accounts/{ACCOUNT}{path}")).body(body.to_string()).unwrap();
        let config = ureq::Agent::config_builder().proxy(None).http_status_as_error(false).build();
        let mut answer = ureq::Agent::new_with_config(config).run(request).unwrap();
        (answer.status().as_u16(), answer.body_mut().read_json().unwrap())
    }

    /// What exists, by the name of the table.
    pub(crate) fn tables(&self) -> Value {
        serde_json::from_str(&fs::read_to_string(self.data.join("edge/api.json")).unwrap()).unwrap()
    }

    /// The path of the settings of the only Worker.
    fn settings_path(&self) -> String {
        let token = self.token();
        let account = format!("/accounts/{ACCOUNT}/workers/scripts");
        let (_, scripts) = self.api("GET", &account, &[("authorization", &token)]);
        format!("{account}/{}/settings", scripts["result"][0]["id"].as_str().unwrap())
    }

    /// The bindings of the only Worker.
    pub(crate) fn bindings(&self) -> Value {
        let token = self.token();
        self.api("GET", &self.settings_path(), &[("authorization", &token)]).1["result"]["bindings"].clone()
    }

    /// Changes the bindings of the only Worker, as somebody does in the dashboard.
    pub(crate) fn patch_bindings(&self, change: impl FnOnce(&mut Vec<Value>)) {
        let mut bindings = self.bindings().as_array().unwrap().clone();
        change(&mut bindings);
        let base = fs::read_to_string(self.data.join("edge/address")).unwrap();
        let config = ureq::Agent::config_builder().proxy(None).build();
        let request = ureq::Agent::new_with_config(config).patch(&format!("{base}{}", self.settings_path()));
        let body = serde_json::json!({ "bindings": bindings });
        let _ = request.header("authorization", &self.token()).send_json(&body).unwrap();
    }

    pub(crate) fn token(&self) -> String {
        format!("Bearer {}", fs::read_to_string(self.data.join("edge/token")).unwrap())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(mut edge) = self.edge.take() {
            let pid = edge.id().to_string();
            let _ = Command::new("kill").args(["-TERM", &pid]).status();
            let _ = edge.wait();
        }
    }
}

/// A plain Worker in a folder of the machine.
pub(crate) struct Web(PathBuf);

impl Web {
    /// Answers `one`, and has `settings` in its `wrangler.toml`.
    pub(crate) fn new(machine: &Machine, settings: &str) -> Self {
        let web = Self::named(machine, "web");
        web.set(settings);
        web.write("index.js", "export default { fetch: () => new Response(\"one\") };");
        web
    }

    /// One with this name, whose files are still to be written.
    pub(crate) fn named(machine: &Machine, name: &str) -> Self {
        Self::in_folder(&machine.data, name)
    }

    /// One with this name in `folder`, whose files are still to be written.
    pub(crate) fn in_folder(folder: &Path, name: &str) -> Self {
        Self(folder.join(name))
    }

    pub(crate) fn set(&self, settings: &str) {
        let name = self.0.file_name().unwrap().to_str().unwrap();
        let head = format!("name = \"{name}\"\nmain = \"index.js\"\ncompatibility_date = \"2026-04-21\"\n");
        self.write("wrangler.toml", &format!("{head}{settings}"));
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        let path = self.0.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

pub(crate) fn request(method: &str, url: &str) -> (u16, String) {
    let request = ureq::http::Request::builder().method(method).uri(url).body(()).unwrap();
    let config = ureq::Agent::config_builder().proxy(None).http_status_as_error(false).build();
    let mut answer = ureq::Agent::new_with_config(config).run(request).unwrap();
    (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
}

/// The verbs of a plan, by resource.
pub(crate) fn verbs(plan: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_string();
    let actions = plan["actions"].as_array().unwrap().iter();
    actions
        .filter(|action| action["verb"] != "keep")
        .map(|action| (text(&action["fqn"]), text(&action["verb"])))
        .collect()
}
