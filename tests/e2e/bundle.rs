//! What a build makes, and what it says when it cannot.

use crate::{
    common::eventually,
    project::{Project, once, worker},
};
use realgar_test::{App, Profile, bundle, read_bundle};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// Runs the program `realgar`.
fn realgar(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_realgar")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The folder that a successful `realgar build` printed.
fn built(arguments: &[&str]) -> PathBuf {
    let output = realgar(arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).trim().into()
}

/// The error of a crate that does not build.
fn refused(name: &str, source: &str) -> String {
    bundle(&Project::new(name, source).folder, Profile::Dev).unwrap_err()
}

#[test]
fn the_manifest_is_what_the_init_phase_binds() {
    let bundle = bundle("examples/counter", Profile::Dev).unwrap();
    let manifest: Value =
        serde_json::from_str(&fs::read_to_string(bundle.folder.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["schema"], 1);
    assert_eq!(manifest["worker"], json!({"class": "Api", "script": "counter"}));
    assert_eq!(
        manifest["objects"],
        json!([{"class": "Counter", "handlers": [], "methods": [
            {"name": "increment", "params": [{"name": "by", "type": "u64"}], "result": "Result<u64>"},
            {"name": "get", "params": [], "result": "u64"},
        ]}])
    );
    assert_eq!(
        manifest["bindings"],
        json!([
            {"name": "Events", "type": "d1", "database": "Events"},
            {"name": "Counter", "type": "durable_object_namespace", "class": "Counter"},
        ])
    );
    let guide = fs::read_to_string("docs/guide/dev.md").unwrap();
    let shown = guide.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let shown: Value = serde_json::from_str(shown).unwrap();
    for part in ["objects", "bindings"] {
        assert_eq!(shown[part], manifest[part], "the guide shows other {part}");
    }
}

#[test]
fn another_resource_in_the_source_is_another_manifest() {
    let bind = |name: &str| worker(&format!("cx.bind(D1Database::new({name:?}));"), "");
    let project = Project::new("scratch-bindings", &bind("First"));
    let names = |folder: &Path| -> Vec<String> {
        let manifest = read_bundle(folder).unwrap().manifest;
        manifest.bindings.into_iter().map(|binding| binding.name).collect()
    };
    let path = project.folder.to_str().unwrap();
    assert_eq!(names(&built(&["build", "--dev", path])), ["First"]);
    project.write(&bind("Second"));
    assert_eq!(names(&built(&["build", "--dev", path])), ["Second"]);
}

#[test]
fn javascript_in_the_init_phase_is_refused_by_name() {
    let error = refused("scratch-js", &worker("let _ = js_sys::Date::now();", ""));
    assert!(error.contains("the init phase calls JavaScript (`now`)"), "{error}");
    assert!(error.contains("move the call to Phase 2"), "{error}");
}

#[test]
fn a_panic_in_the_init_phase_is_shown() {
    let error = refused("scratch-panic", &worker("panic!(\"no such day\");", ""));
    assert!(error.contains("the init phase panicked: panicked at") && error.contains("no such day"), "{error}");
}

#[test]
fn an_init_phase_without_end_is_refused() {
    let error = refused("scratch-loop", &worker("loop { std::hint::black_box(0); }", ""));
    assert!(error.contains("the init phase has not ended after 5 s"), "{error}");
}

#[test]
fn an_init_phase_that_waits_is_told_that_it_is_synchronous() {
    let project = Project::new("scratch-async-init", "");
    let told = "if rustc complains of `init` or of an `await` in it: `init` is Phase 1, which is synchronous";
    let waits = project.try_build(&worker("std::future::ready(()).await;", "")).unwrap_err();
    assert!(waits.contains("error[E0728]") && waits.contains(told), "{waits}");
    let asynchronous = project.try_build(&worker("", "").replace("fn init(", "async fn init(")).unwrap_err();
    assert!(asynchronous.contains("error[E0053]") && asynchronous.contains(told), "{asynchronous}");
    let other = project.try_build(&worker("let _x: u8 = \"text\";", "")).unwrap_err();
    assert!(other.contains("error[E0308]") && !other.contains(told), "{other}");
}

#[test]
fn two_resources_under_one_name_are_refused() {
    let object = "#[durable_object]\npub struct Same;\nimpl DurableObject for Same {\n    \
                  fn init(_cx: &mut Init) -> impl Instantiate<Self> {\n        |_state: State| async { Ok(Same) }\n    }\n}\n";
    let binds = "cx.bind(D1Database::new(\"Same\")); cx.bind(Same::from_script(\"elsewhere\"));";
    let error = refused("scratch-collision", &format!("{}\n{object}", worker(binds, "")));
    assert!(error.contains("the binding name `Same` is used for the D1 database `Same`"), "{error}");
    assert!(error.contains("and for the Durable Object class `Same` of the Worker `elsewhere`"), "{error}");
    assert!(error.contains("(bound at src/lib.rs:"), "it says where the first binding is: {error}");
    assert!(error.contains(" and at src/lib.rs:"), "and where the second is: {error}");
}

#[test]
fn what_cannot_work_when_deployed_is_refused() {
    let declarations = [
        ("cx.bind(realgar::R2Bucket::new(\"FILES\"));", "`FILES` cannot be the name of an R2 bucket"),
        (
            "cx.bind(realgar::Var::<u32>::new(\"MOST\").or(\"many\"));",
            "the default \"many\" of the variable `MOST` is no `u32`",
        ),
        ("cx.cron(\"every 5 minutes\");", "the cron trigger `every 5 minutes`: it has 3 fields"),
        (
            "cx.bind(realgar::Var::<u32>::new(\"MOST\").or(\"1\")); cx.bind(realgar::Var::<u32>::new(\"MOST\").or(\"2\"));",
            "the binding name `MOST` is used for a variable twice, with `default` \"1\" and \"2\"",
        ),
    ];
    for ((init, expected), number) in declarations.into_iter().zip(1..) {
        let error = refused(&format!("scratch-declaration-{number}"), &worker(init, ""));
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_program_that_prints_is_told_that_nobody_sees_it() {
    for (name, init, warned) in [("scratch-prints", "println!(\"here\");", true), ("scratch-silent", "", false)] {
        let project = Project::new(name, &worker(init, ""));
        let output = realgar(&["build", "--dev", project.folder.to_str().unwrap()]);
        let said = text(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert_eq!(said.contains("use `console_log!`"), warned, "{said}");
    }
}

#[test]
fn messages_of_another_type_than_is_handled_are_refused() {
    let consumer = "impl realgar::Consume for Api {\n    type Message = u8;\n\n    \
                    async fn consume(&self, _batch: realgar::MessageBatch<u8>, _cx: &Context) -> Result<()> {\n        \
                    Ok(())\n    }\n}\n";
    let init = "cx.consume(&realgar::Queue::<String>::new(\"jobs\"), realgar::ConsumerOptions::default());";
    let error = refused("scratch-consumer", &format!("{}\n{consumer}", worker(init, "")));
    assert!(error.contains("the queue `jobs` has messages of type `alloc::string::String`"), "{error}");
    assert!(error.contains("`Consume::Message` is `u8`"), "{error}");
}

#[test]
fn items_that_javascript_could_not_read_are_refused() {
    let methods = "#[rpc]\nimpl Api {\n    pub async fn grid(&self, _cells: RpcStream<Cell>) {}\n}\n\
                   #[derive(serde::Serialize, serde::Deserialize)]\npub struct Cell {\n    \
                   at: std::collections::BTreeMap<(u8, u8), u8>,\n}\n";
    let error = refused("scratch-keys", &format!("{}\n{methods}", worker("", "")));
    assert!(error.contains("a map at `item.at` with keys that are neither text nor numbers"), "{error}");
}

#[test]
fn a_contract_that_is_not_served_is_refused() {
    let contract = "#[durable_object]\npub struct Room;\n#[rpc(for = Room)]\npub trait RoomRpc {\n    \
                    async fn enter(&self) -> u8;\n}\n\
                    #[durable_object(of = Room)]\npub struct Live;\nimpl DurableObject for Live {\n    \
                    fn init(_cx: &mut Init) -> impl Instantiate<Self> {\n        |_state: State| async { Ok(Live) }\n    }\n}\n\
                    impl RoomRpc for Live {\n    async fn enter(&self) -> u8 {\n        1\n    }\n}\n";
    let hosting = worker("", "").replace("#[worker]", "#[worker(hosts(Room))]");
    let hosting = hosting.replace("export!(Api)", "export!(Api, objects(Live))");
    let error = refused("scratch-unserved", &format!("{hosting}\n{contract}"));
    assert!(
        error.contains("`Live` serves 0 of the 1 methods in its contract; write `#[rpc]` on the `impl .. for Live`"),
        "{error}"
    );
}

#[test]
fn a_crate_that_exports_nothing_is_told_how() {
    let source = worker("", "").replace("realgar::export!(Api);", "");
    let error = refused("scratch-nothing", &source);
    assert!(error.contains("write `realgar::export!(YourWorker);`"), "{error}");
}

#[test]
fn a_folder_without_a_worker_is_told_apart() {
    let output = realgar(&["build", "tests"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("`tests` has neither a `Cargo.toml` nor a `wrangler.toml`"),
        "{}",
        text(&output.stderr)
    );
    let output = realgar(&["build", "wire"]);
    assert!(text(&output.stderr).contains("add `[lib] crate-type = [\"cdylib\"]`"), "{}", text(&output.stderr));
}

#[test]
fn missing_tools_are_named_with_what_to_do() {
    let broken = |name: &str, value: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_realgar"));
        command.args(["build", "tests/workers/pantry-host"]).env(name, value);
        text(&command.output().unwrap().stderr)
    };
    let error = broken("WASM_OPT_BIN", "/nowhere/wasm-opt");
    assert!(error.contains("WASM_OPT_BIN names `/nowhere/wasm-opt`, which does not exist"), "{error}");
    // An empty cache and no Node: only the folders of cargo and rustc are on the path.
    let cargo = Command::new("rustc").args(["--print", "sysroot"]).output().unwrap();
    let bin = format!("{}/bin", text(&cargo.stdout).trim());
    let mut command = Command::new(env!("CARGO_BIN_EXE_realgar"));
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("empty-cache");
    command.args(["build", "tests/workers/pantry-host"]).env("PATH", bin).env("REALGAR_CACHE", cache);
    let error = text(&command.output().unwrap().stderr);
    assert!(error.contains("Node.js cannot be run") && error.contains("install version 18 or newer"), "{error}");
}

#[test]
fn a_registry_that_does_not_answer_is_named_with_what_to_do() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_realgar"));
    command.args(["build", "tests/workers/pantry-host"]);
    command.env("REALGAR_CACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-network-cache"));
    // Nothing listens on the discard port.
    command.env("npm_config_registry", "http://127.0.0.1:9").env("npm_config_fetch_retries", "0");
    command.env("npm_config_cache", Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-network-npm"));
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    assert!(error.contains("npm could not install the tools"), "{error}");
    assert!(error.contains("check the network and the npm registry"), "{error}");
}

#[test]
fn worker_build_makes_a_worker_that_runs_and_recovers() {
    let kitchen = "tests/workers/kitchen";
    let bundle = once(&[kitchen], || Ok(built(&["build", kitchen, "--builder", "worker-build"]))).unwrap();
    assert!(bundle.manifest.modules.iter().any(|module| module.name == "build/index_bg.wasm"));
    let app = App::builder().bundle(bundle).plain("tests/driver").start();
    let _ = app.get("/values").send().expect_status(200);
    let dropped = || app.get("/streams/counts").send().expect_status(200).json::<Vec<u64>>()[1];
    let before = dropped();
    assert_eq!(app.request("GET", "driver", "/abandon").send().expect_status(200).text(), "AbortError");
    eventually("the handler is dropped", || dropped() != before);
    let calls = [
        crate::common::call("Fragile", "victim", "wait", json!([20_000])),
        json!({"class": "Fragile", "name": "culprit", "method": "fault", "args": ["panic-after-await"], "delay": 100}),
    ];
    let codes: Vec<String> =
        crate::common::drive(&app, &calls).into_iter().map(|outcome| outcome.thrown().code).collect();
    assert_eq!(codes, ["interrupted", "panicked"]);
    let again = crate::common::drive(&app, &[crate::common::call("Fragile", "culprit", "count", json!([]))]);
    assert_eq!(again.into_iter().next().unwrap().value(), json!([1, 1]));
}

#[test]
fn worker_build_refuses_an_instance_for_each_object() {
    let output = realgar(&["build", "--dev", "tests/workers/kitchen-isolated", "--builder", "worker-build"]);
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    assert!(
        error.contains("`Menu` has `isolation = \"object\"`, and a bundle of worker-build has one wasm instance"),
        "{error}"
    );
}
