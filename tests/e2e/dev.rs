//! `realgar dev`, as a person uses it.

use crate::{
    common::eventually,
    project::{Project, worker},
};
use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver},
    },
    thread,
    time::Duration,
};

/// A build from nothing takes a while on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// A running `realgar dev`, and what it says.
pub(crate) struct Dev {
    child: Child,
    out: Receiver<String>,
    err: Receiver<String>,
}

impl Dev {
    pub(crate) fn start(paths: &[&Path]) -> Self {
        Self::start_with(paths, &[])
    }

    /// With these options too.
    pub(crate) fn start_with(paths: &[&Path], options: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_realgar"));
        command.arg("dev").args(paths).args(["--port", "0"]).args(options);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (out, err) = (lines(child.stdout.take().unwrap()), lines(child.stderr.take().unwrap()));
        Self { child, out, err }
    }

    /// The number of its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line on standard error that has `text` in it.
    pub(crate) fn says(&self, text: &str) -> String {
        wait_for(&self.err, text)
    }

    /// Waits until a Worker serves. Returns its address.
    pub(crate) fn serves(&self, script: &str) -> String {
        wait_for(&self.out, &format!("{script}: ")).trim_start_matches(&format!("{script}: ")).into()
    }

    /// Interrupts it as Ctrl-C does, and returns its exit code.
    pub(crate) fn interrupt(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let _ = send.send(line);
        }
    });
    receive
}

fn wait_for(lines: &Receiver<String>, text: &str) -> String {
    let mut seen = String::new();
    loop {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) if line.contains(text) => return line,
            Ok(line) => seen.push_str(&format!("{line}\n")),
            Err(error) => panic!("waited for `{text}` ({error}); it said:\n{seen}"),
        }
    }
}

fn get(url: &str) -> Result<String, String> {
    let mut response = ureq::get(url).call().map_err(|error| error.to_string())?;
    response.body_mut().read_to_string().map_err(|error| error.to_string())
}

#[test]
fn a_change_is_served_without_losing_a_request_and_an_error_is_not_fatal() {
    let project = Project::new("scratch-dev", &worker("", "one"));
    let dev = Dev::start(&[&project.folder]);
    let url = dev.serves("api");
    assert_eq!(get(&url).unwrap(), "one");

    // Requests go on through all that follows, each on a connection of its own.
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let client = scope.spawn(|| {
            let (mut answers, mut failures) = (Vec::new(), Vec::new());
            while !done.load(Ordering::Relaxed) {
                match get(&url) {
                    Ok(answer) => answers.push(answer),
                    Err(error) => failures.push(error),
                }
            }
            answers.dedup();
            (answers, failures)
        });
        // Also when an assertion below fails: the scope waits for the client.
        let end = SetOnDrop(&done);
        project.write(&worker("", "two"));
        dev.says("Serving the new version");
        project.write(&worker("this is not Rust", "three"));
        dev.says("expected one of");
        dev.says("cargo build failed");
        assert_eq!(get(&url).unwrap(), "two", "the last good version serves");
        dev.says("The last good version still serves");
        project.write(&worker("", "four"));
        dev.says("It builds again");
        dev.says("Serving the new version");
        assert_eq!(get(&url).unwrap(), "four");
        drop(end);
        let (answers, failures) = client.join().unwrap();
        assert_eq!(failures, Vec::<String>::new(), "no request is lost");
        let expected = ["one", "two", "four"];
        assert!(expected.ends_with(&answers.iter().map(String::as_str).collect::<Vec<_>>()), "{answers:?}");
    });

    assert_eq!(dev.interrupt(), Some(0));
    assert!(get(&url).is_err(), "the port is closed");
    let left = processes_with(project.folder.join(".realgar").to_str().unwrap());
    assert!(left.is_empty(), "nothing is left running: {left:?}");
}

/// Each line of it would be a change otherwise, and have another build.
#[test]
fn its_own_output_in_the_folder_of_the_worker_is_no_change() {
    let project = Project::new("scratch-dev-log", &worker("", "one"));
    let log = project.folder.join("dev.log");
    let mut command = Command::new(env!("CARGO_BIN_EXE_realgar"));
    command.arg("dev").arg(&project.folder).args(["--port", "0"]);
    let mut child = command.stdout(Stdio::piped()).stderr(fs::File::create(&log).unwrap()).spawn().unwrap();
    let out = lines(child.stdout.take().unwrap());
    let dev = Dev { child, out, err: mpsc::channel().1 };
    let url = dev.serves("api");
    for answer in ["two", "three"] {
        project.write(&worker("", answer));
        eventually("the new version serves", || get(&url).is_ok_and(|served| served == answer));
    }
    let builds = fs::read_to_string(&log).unwrap().matches("Reading the init phase").count();
    assert_eq!(builds, 3, "{}", fs::read_to_string(&log).unwrap());
}

#[test]
fn several_workers_run_side_by_side_and_data_survives() {
    let javascript = Path::new("examples/counter/javascript");
    let data = Path::new(env!("CARGO_TARGET_TMPDIR")).join("side-by-side");
    let _ = fs::remove_dir_all(&data);
    let start = |paths: &[&Path]| Dev::start_with(paths, &["--data", data.to_str().unwrap()]);
    let dev = start(&[Path::new("examples/counter"), javascript]);
    let (counter, caller) = (dev.serves("counter"), dev.serves("counter-javascript"));
    let post = |url: &str| ureq::post(&format!("{url}/ada")).send_empty().unwrap().body_mut().read_to_string().unwrap();
    assert_eq!(post(&counter), r#"{"value":1}"#);
    assert_eq!(post(&caller), r#"{"value":2}"#);
    assert_eq!(dev.interrupt(), Some(0));
    // In another order the data is the same.
    let dev = start(&[javascript, Path::new("examples/counter")]);
    assert_eq!(get(&format!("{}/ada", dev.serves("counter"))).unwrap(), r#"{"value":2}"#);
    assert_eq!(dev.interrupt(), Some(0));
}

#[test]
fn a_worker_that_does_not_build_at_first_runs_once_it_does() {
    let project = Project::new("scratch-late", &worker("this is not Rust", ""));
    let dev = Dev::start(&[&project.folder]);
    dev.says("Waiting for a change that mends this");
    project.write(&worker("", "mended"));
    let url = dev.serves("api");
    assert_eq!(get(&url).unwrap(), "mended");
    assert_eq!(dev.interrupt(), Some(0));
}

#[test]
fn what_changes_nothing_restarts_nothing() {
    let project = Project::new("scratch-still", &worker("", "still"));
    // cargo's own output, inside of the crate and under another name than `target`.
    fs::write(project.folder.join(".cargo/config.toml"), "build.target-dir = \"out\"\n").unwrap();
    let dev = Dev::start(&[&project.folder]);
    let url = dev.serves("api");
    // A comment is built and changes nothing.
    project.write(&format!("{}// a comment\n", worker("", "still")));
    dev.says("The build is the same as before");
    project.write(&worker("", "moved"));
    let mut said = Vec::new();
    loop {
        let line = dev.err.recv_timeout(PATIENCE).unwrap();
        said.push(line.clone());
        if line.contains("Serving the new version") {
            break;
        }
    }
    assert_eq!(get(&url).unwrap(), "moved", "{said:#?}");
    assert_eq!(dev.interrupt(), Some(0));
}

#[test]
fn a_build_script_that_writes_the_same_file_again_is_no_change() {
    let source = |answer: &str| format!("mod generated;\n{}", worker("let _ = generated::WHAT;", answer));
    let project = Project::new("scratch-generated", &source("zero"));
    let script = "fn main() { std::fs::write(\"src/generated.rs\", \"pub const WHAT: &str = \\\"generated\\\";\\n\").unwrap(); }\n";
    fs::write(project.folder.join("build.rs"), script).unwrap();
    let dev = Dev::start(&[&project.folder]);
    let url = dev.serves("api");
    let mut said = Vec::new();
    for answer in ["one", "two", "three"] {
        project.write(&source(answer));
        while !said.last().is_some_and(|line: &String| line.contains("Serving the new version")) {
            said.push(dev.err.recv_timeout(PATIENCE).unwrap());
        }
        said.push(String::new());
        assert_eq!(get(&url).unwrap(), answer);
    }
    // The first build, one that finds the generated file for the first time, and the three edits.
    let builds = said.iter().filter(|line| line.contains("Reading the init phase")).count();
    assert!(builds <= 5, "{builds} builds: {said:#?}");
    assert_eq!(dev.interrupt(), Some(0));
}

#[test]
fn a_file_elsewhere_that_the_build_reads_is_watched() {
    let source = worker("", "").replace("\"\"", "include_str!(\"../../scratch-outside-text/text.txt\")");
    let project = Project::new("scratch-outside", &source);
    let outside = project.folder.parent().unwrap().join("scratch-outside-text");
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("text.txt"), "one").unwrap();
    let dev = Dev::start(&[&project.folder]);
    let url = dev.serves("api");
    assert_eq!(get(&url).unwrap(), "one");
    fs::write(outside.join("text.txt"), "two").unwrap();
    dev.says("Serving the new version");
    assert_eq!(get(&url).unwrap(), "two");
    assert_eq!(dev.interrupt(), Some(0));
}

#[test]
fn a_signal_ends_a_build_at_once_with_all_that_it_started() {
    let project = Project::new("scratch-endless", &worker("", ""));
    let script = "fn main() { std::thread::sleep(std::time::Duration::from_secs(100_000)); }\n";
    fs::write(project.folder.join("build.rs"), script).unwrap();
    let mut dev = Dev::start(&[&project.folder]);
    dev.says("Compiling scratch-endless");
    let scripts =
        || processes_with("scratch-endless").into_iter().filter(|(_, command)| command.contains("build-script"));
    eventually("the build script runs", || scripts().count() > 0);
    assert!(Command::new("kill").args(["-TERM", &dev.id().to_string()]).status().unwrap().success());
    assert_eq!(dev.child.wait().unwrap().code(), Some(130));
    eventually("the build script is gone", || scripts().count() == 0);
}

#[test]
fn a_workspace_means_all_its_workers_and_has_one_place_for_data() {
    let root = Project::new("scratch-workspace", "");
    let manifest = fs::read_to_string(root.folder.join("Cargo.toml")).unwrap();
    let dependencies = manifest.split("[dependencies]").nth(1).unwrap();
    fs::write(
        root.folder.join("Cargo.toml"),
        "[workspace]\nresolver = \"3\"\nmembers = [\"one\", \"two\", \"plain\"]\n",
    )
    .unwrap();
    for (name, kind) in [("one", "cdylib"), ("two", "cdylib"), ("plain", "rlib")] {
        let member = root.folder.join(name);
        fs::create_dir_all(member.join("src")).unwrap();
        let manifest = format!(
            "[package]\nname = \"scratch-{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n\
             [lib]\ncrate-type = [\"{kind}\"]\n\n[dependencies]{dependencies}"
        );
        fs::write(member.join("Cargo.toml"), manifest).unwrap();
        let source = worker("", name).replace("#[worker]", &format!("#[worker(name = \"{name}\")]"));
        fs::write(member.join("src/lib.rs"), if kind == "rlib" { "" } else { &source }).unwrap();
    }
    let dev = Dev::start(&[&root.folder]);
    for name in ["one", "two"] {
        assert_eq!(get(&dev.serves(name)).unwrap(), name);
    }
    let data = root.folder.join(".realgar/dev");
    assert!(dev.says("Data is in").contains(data.to_str().unwrap()));
    assert_eq!(dev.interrupt(), Some(0));
    // One of them alone uses the same place.
    let dev = Dev::start(&[&root.folder.join("two")]);
    assert!(dev.says("Data is in").contains(data.to_str().unwrap()));
    dev.serves("two");
    assert_eq!(dev.interrupt(), Some(0));
    let unknown = ["build", "--package", "three"];
    let output = Command::new(env!("CARGO_BIN_EXE_realgar")).args(unknown).current_dir(&root.folder).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("has no Worker `three`; it has `scratch-one`, `scratch-two`"), "{error}");
}

#[test]
fn a_data_folder_may_be_relative_and_is_not_taken_from_others() {
    let project = Project::new("scratch-relative", &worker("cx.bind(realgar::R2Bucket::new(\"files\"));", "relative"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_realgar"));
    command.args(["dev", ".", "--port", "0", "--data", "state"]).current_dir(&project.folder);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (out, err) = (lines(child.stdout.take().unwrap()), lines(child.stderr.take().unwrap()));
    let dev = Dev { child, out, err };
    assert_eq!(get(&dev.serves("api")).unwrap(), "relative");
    assert!(project.folder.join("state/classes.json").exists());
    assert_eq!(dev.interrupt(), Some(0));
    let mut command = Command::new(env!("CARGO_BIN_EXE_realgar"));
    command.args(["dev", ".", "--port", "0", "--data", "."]).current_dir(&project.folder);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("name an empty folder"), "{error}");
}

#[test]
fn the_data_of_an_earlier_version_is_found() {
    let root = Project::new("scratch-earlier", "");
    let manifest = fs::read_to_string(root.folder.join("Cargo.toml")).unwrap();
    let member = root.folder.join("one");
    fs::create_dir_all(member.join("src")).unwrap();
    fs::create_dir_all(member.join(".realgar/dev/objects/api-Old")).unwrap();
    fs::write(member.join(".realgar/dev/objects/api-Old/ab.sqlite"), "").unwrap();
    fs::write(root.folder.join("Cargo.toml"), "[workspace]\nresolver = \"3\"\nmembers = [\"one\"]\n").unwrap();
    fs::write(member.join("Cargo.toml"), manifest.replace("[workspace]\n", "")).unwrap();
    fs::write(member.join("src/lib.rs"), worker("", "one")).unwrap();
    let dev = Dev::start(&[&member]);
    dev.says("Moved the data of an earlier version");
    // The class that it is of is gone from the program, and nothing is lost.
    dev.says("no longer hosts the class `Old`, which has data here (objects: 1)");
    assert!(root.folder.join(".realgar/dev/objects/api-Old/ab.sqlite").exists());
    assert_eq!(dev.interrupt(), Some(0));
}

/// Runs `dev` to its own end, and returns its exit code and what it said.
fn ended(project: &Project) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_realgar"));
    let output = command.arg("dev").arg(&project.folder).args(["--port", "0"]).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn what_no_edit_mends_ends_dev_with_an_error() {
    let object = "#[durable_object]\npub struct Far;\n";
    let typo = worker("cx.bind(Far::from_script(\"hots\"));", "");
    let (code, said) = ended(&Project::new("scratch-no-host", &format!("{typo}\n{object}")));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("leads to the Worker `hots`, which is not here; start it together with this one"), "{said}");

    let (code, said) = ended(&Project::new("scratch-no-export", &worker("", "").replace("realgar::export!(Api);", "")));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("exports no Worker"), "{said}");
}

#[test]
fn a_folder_without_a_worker_is_an_error_at_once() {
    let output = Command::new(env!("CARGO_BIN_EXE_realgar")).args(["dev", "tests"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("has neither a `Cargo.toml` nor a `wrangler.toml`"), "{error}");
}

#[test]
fn a_port_that_is_taken_is_an_error_that_says_so() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let data = Path::new(env!("CARGO_TARGET_TMPDIR")).join("taken");
    let mut command = Command::new(env!("CARGO_BIN_EXE_realgar"));
    command.args(["dev", "tests/workers/pantry-host", "--port", &port, "--data", data.to_str().unwrap()]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains(&format!("cannot listen on 127.0.0.1:{port}")), "{error}");
    assert!(error.contains("hint: `--port` chooses another port"), "{error}");
}

#[test]
fn nothing_is_left_when_it_is_killed() {
    let project = Project::new("scratch-killed", &worker("", "alive"));
    let mut dev = Dev::start(&[&project.folder]);
    let url = dev.serves("api");
    dev.child.kill().unwrap();
    dev.child.wait().unwrap();
    // The kernel ends workerd; its socket is closed when it is gone.
    while get(&url).is_ok() {}
}

#[test]
fn a_workerd_that_ends_by_itself_is_started_again() {
    let project = Project::new("scratch-revived", &worker("", "alive"));
    let dev = Dev::start(&[&project.folder]);
    let url = dev.serves("api");
    for (pid, _) in processes_with(project.folder.join(".realgar").to_str().unwrap()) {
        assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
    }
    dev.says("Started workerd again");
    assert_eq!(get(&url).unwrap(), "alive");
    assert_eq!(dev.interrupt(), Some(0));
}

#[test]
fn a_script_that_is_renamed_and_renamed_back_is_served_again() {
    let named =
        |name: &str, answer: &str| worker("", answer).replace("#[worker]", &format!("#[worker(name = \"{name}\")]"));
    let project = Project::new("scratch-renamed-back", &named("first", "one"));
    let dev = Dev::start(&[&project.folder]);
    let url = dev.serves("first");
    project.write(&named("second", "two"));
    dev.says("the Worker is now called `second`");
    // What does not compile is told, and the refused version before it is not tried again.
    project.write("this is not Rust");
    dev.says("error: could not compile");
    dev.says("The last good version still serves");
    project.write(&named("first", "three"));
    let mut said = Vec::new();
    while !said.last().is_some_and(|line: &String| line.contains("Serving the new version")) {
        said.push(dev.err.recv_timeout(PATIENCE).unwrap());
    }
    assert!(!said.iter().any(|line| line.contains("is now called")), "{said:#?}");
    assert_eq!(get(&url).unwrap(), "three");
    assert_eq!(dev.interrupt(), Some(0));
}

#[test]
fn versions_that_fit_only_together_are_served_once_both_are_there() {
    let host = |class: &str| {
        let worker = worker("", "host").replace("#[worker]", &format!("#[worker(name = \"host\", hosts({class}))]"));
        format!(
            "{worker}\n#[durable_object]\npub struct {class};\nimpl DurableObject for {class} {{\n    \
             fn init(_cx: &mut Init) -> impl Instantiate<Self> {{\n        \
             |_state: State| async {{ Ok({class}) }}\n    }}\n}}\n"
        )
    };
    let javascript = |project: &Project, class: &str| {
        let source = "export default { fetch: () => new Response('client of CLASS') };".replace("CLASS", class);
        fs::write(project.folder.join("index.js"), source).unwrap();
        let config = format!(
            "name = \"client\"\nmain = \"index.js\"\ncompatibility_date = \"2026-04-21\"\n\n\
             [[durable_objects.bindings]]\nname = \"OBJECTS\"\nclass_name = \"{class}\"\nscript_name = \"host\"\n"
        );
        fs::write(project.folder.join("wrangler.toml"), config).unwrap();
    };
    let (own, client) = (Project::new("scratch-pair", &host("Old")), Project::new("scratch-pair-client", ""));
    fs::remove_file(client.folder.join("Cargo.toml")).unwrap();
    javascript(&client, "Old");
    let dev = Dev::start(&[&own.folder, &client.folder]);
    let url = dev.serves("client");
    own.write(&host("New"));
    dev.says("has no class `Old`");
    assert_eq!(get(&url).unwrap(), "client of Old");
    javascript(&client, "New");
    dev.says("Serving the new version");
    assert_eq!(get(&url).unwrap(), "client of New");
    assert_eq!(dev.interrupt(), Some(0));
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The numbers and command lines of running processes that have `text` in their command line.
fn processes_with(text: &str) -> Vec<(String, String)> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let commands = processes.filter_map(|process| {
        let command = fs::read_to_string(process.path().join("cmdline")).ok()?;
        Some((process.file_name().into_string().ok()?, command))
    });
    commands.filter(|(_, command)| command.contains(text)).collect()
}
