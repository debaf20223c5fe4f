//! Contract crates on real workerd: hosts that are isolated, consumers that know the contract only, and peers that were built
//! from different versions of it.

use realgar_test::{App, Profile, bundle};
use std::fs;

const HOST: &str = "tests/workers/contract-host";
const CLIENT: &str = "tests/workers/contract-client";
const BRANCH: &str = "tests/workers/contract-branch";

fn app(client: &str, host: &str) -> App {
    App::builder().worker(client).worker(host).worker(BRANCH).start()
}

fn ask(app: &App, path: &str) -> String {
    app.get(path).send().expect_status(200).text()
}

const ENTRY: &str = r#"Entry { amount: -5, notes: ["rent", "May"] }"#;

#[test]
fn a_consumer_calls_objects_and_the_worker_of_a_contract() {
    let app = app(CLIENT, HOST);
    assert_eq!(ask(&app, "/add/ada"), "Ok(1)");
    assert_eq!(ask(&app, "/refused/ada"), "Err(Method(NoNote))");
    assert_eq!(ask(&app, "/entries/ada"), format!("Ok([{ENTRY}])"));
    assert_eq!(ask(&app, "/each/ada"), format!("Ok([{ENTRY}])"));
    assert_eq!(ask(&app, "/statement/ada"), format!("Ok([{ENTRY}])"), "by a method of the other Worker");
    assert_eq!(ask(&app, "/motto"), "safe and sound");
    assert_eq!(ask(&app, "/mark/ada"), "only-the-ledger-says-this");
    assert_eq!(ask(&app, "/anything"), "the bank got /anything");
    let open = ask(&app, "/open");
    assert!(open.starts_with("Ok(\"open\") Err(Method(") && open.contains("wrong codes"), "a named entrypoint: {open}");
    assert_eq!(ask(&app, "/vault"), "the vault got /vault");
}

#[test]
fn two_hosts_of_one_class_are_isolated() {
    let app = app(CLIENT, HOST);
    assert_eq!(ask(&app, "/add/branch"), "Ok(1)");
    assert_eq!(ask(&app, "/add/branch"), "Ok(2)");
    assert_eq!(ask(&app, "/statement/branch"), "Ok([])", "the bank has another object of that name");
}

#[test]
fn a_consumer_neither_compiles_nor_ships_the_implementation() {
    let bundle = bundle(CLIENT, Profile::Release).unwrap();
    let wasm = fs::read(bundle.folder.join("worker_bg.wasm")).unwrap();
    assert!(!wasm.windows(25).any(|window| window == b"only-the-ledger-says-this"));
    assert!(bundle.manifest.objects.is_empty());
    let lock = std::process::Command::new("cargo")
        .args(["tree", "-p", "contract-client", "--target", "wasm32-unknown-unknown", "--prefix", "none"])
        .output()
        .unwrap();
    let tree = String::from_utf8_lossy(&lock.stdout).into_owned();
    assert!(tree.contains("contract v0.1.0") && !tree.contains("contract-host"), "{tree}");
}

#[test]
fn a_field_with_a_default_may_be_added_on_either_side() {
    let newer_host = app(CLIENT, "tests/workers/contract-host-added");
    assert_eq!(ask(&newer_host, "/add/ada"), "Ok(1)");
    assert_eq!(ask(&newer_host, "/entries/ada"), format!("Ok([{ENTRY}])"));
    assert_eq!(ask(&newer_host, "/each/ada"), format!("Ok([{ENTRY}])"));
    assert_eq!(ask(&newer_host, "/statement/ada"), format!("Ok([{ENTRY}])"));
    drop(newer_host);
    let newer_client = app("tests/workers/contract-client-added", HOST);
    assert_eq!(ask(&newer_client, "/add/ada"), "Ok(1)");
    let entry = r#"Entry { amount: -5, notes: ["rent", "May"], tag: None }"#;
    assert_eq!(ask(&newer_client, "/entries/ada"), format!("Ok([{entry}])"), "the older host does not keep it");
    assert_eq!(ask(&newer_client, "/each/ada"), format!("Ok([{entry}])"));
}

#[test]
fn a_change_that_does_not_fit_is_version_skew_and_never_garbage() {
    let app = app(CLIENT, "tests/workers/contract-host-changed");
    let refused = ask(&app, "/add/ada");
    assert!(refused.contains("kind: VersionSkew") && refused.contains("entry.amount"), "{refused}");
    assert_eq!(ask(&app, "/entries/ada"), "Ok([])", "the method did not run");
    assert_eq!(ask(&app, "/mark/ada"), "only-the-ledger-says-this", "what did not change goes on");
}

#[test]
fn a_consumer_makes_no_migration() {
    let wrangler = |path: &str| {
        let bundle = bundle(path, Profile::Dev).unwrap();
        fs::read_to_string(bundle.folder.join("wrangler.toml")).unwrap()
    };
    let client = wrangler(CLIENT);
    assert!(client.contains("script_name = \"bank\"") && !client.contains("[exports"), "{client}");
    assert!(wrangler(HOST).contains("[exports.\"Ledger\"]"));
}

/// What alchemy's documents promise, and where it is shown.
#[test]
fn every_test_that_the_documents_name_exists() {
    let table = fs::read_to_string("docs/alchemy.md").unwrap();
    let names: Vec<&str> = table.split('`').skip(1).step_by(2).collect();
    let (mut tests, mut ui) = (0, 0);
    for name in names {
        if let Some((module, test)) = name.split_once("::").filter(|(_, test)| test.len() > 20) {
            let source = fs::read_to_string(format!("tests/e2e/{module}.rs")).unwrap();
            assert!(source.contains(&format!("fn {test}()")), "{name}");
            tests += 1;
        } else if name.ends_with(".rs") {
            assert!(fs::exists(format!("framework/tests/ui/fail/{name}")).unwrap(), "{name}");
            ui += 1;
        }
    }
    assert!(tests >= 30 && ui >= 2, "{tests} {ui}");
}
