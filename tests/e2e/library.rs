//! A library with an object, its host, and a Worker that only binds it: at run time, and in the artefacts.

use crate::project::{Project, worker};
use realgar_test::{App, Bundle, Profile, bundle};
use std::fs;

fn wasm(bundle: &Bundle) -> Vec<u8> {
    fs::read(bundle.folder.join("worker_bg.wasm")).unwrap()
}

fn contains(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}

#[test]
fn a_binder_calls_the_object_of_another_script() {
    let app = App::builder().worker("tests/workers/binder").worker("tests/workers/pantry-host").start();
    assert_eq!(app.get("/plum").send().expect_status(200).json::<Vec<String>>(), ["/plum"]);
    assert_eq!(app.get("/fig").send().expect_status(200).json::<Vec<String>>(), ["/plum", "/fig"]);
}

#[test]
fn a_rust_caller_gets_the_kind_and_the_text_of_a_panic() {
    let app = || App::builder().worker("tests/workers/binder").worker("tests/workers/pantry-host");
    // What ships has passed through more tools.
    for app in [app(), app().release()] {
        let app = app.start();
        let text = app.get("/shatter").send().expect_status(200).text();
        assert!(text.starts_with("Panicked: ") && text.contains("only-the-implementation-says-this"), "{text}");
        assert_eq!(app.get("/plum").send().expect_status(200).json::<Vec<String>>(), ["/plum"]);
    }
}

#[test]
fn a_binding_without_its_host_is_refused_by_name() {
    let error = App::builder().worker("tests/workers/binder").try_start().unwrap_err();
    assert_eq!(
        error,
        "the binding `Pantry` of the Worker `binder` leads to the Worker `pantry-host`, which is not here; start it together \
         with this one, or correct the name (here are `binder`)"
    );
}

#[test]
fn two_workers_of_one_name_are_refused() {
    let twice = App::builder().worker("tests/workers/pantry-host").worker("tests/workers/pantry-host");
    assert_eq!(twice.try_start().unwrap_err(), "two Workers are called `pantry-host`; give one another `name`");
}

#[test]
fn a_binder_ships_nothing_of_the_implementation() {
    let [host, binder] =
        ["tests/workers/pantry-host", "tests/workers/binder"].map(|path| bundle(path, Profile::Release).unwrap());
    assert!(contains(&wasm(&host), "only-the-implementation-says-this"), "the test looks for the right thing");
    assert!(!contains(&wasm(&binder), "only-the-implementation-says-this"));
    let entry = fs::read_to_string(binder.folder.join("index.js")).unwrap();
    assert!(!entry.contains("class Pantry"), "{entry}");
    assert!(binder.manifest.objects.is_empty());
}

#[test]
fn nothing_of_describe_mode_ships() {
    let bundle = bundle("tests/workers/pantry-host", Profile::Release).unwrap();
    let named = fs::read(bundle.folder.join("symbols/worker.wasm")).unwrap();
    assert!(contains(&named, "__realgar_register"), "the names are in the file that is set aside");
    for trace in ["describe", "durable_object_namespace", "bindings", "realgar_wire"] {
        assert!(!contains(&named, trace), "`{trace}` is in the shipped module");
    }
    assert!(wasm(&bundle).len() < named.len());
}

#[test]
fn a_worker_that_depends_on_another_worker_is_told_what_to_do() {
    let dependency = Project::new("scratch-script", &worker("", "a script"));
    let manifest = dependency.folder.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("[\"cdylib\"]", "[\"cdylib\", \"rlib\"]").replace("[workspace]\n", "")).unwrap();
    let own = Project::new("scratch-two-scripts", &worker("", "another"));
    let manifest = own.folder.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    let line = format!("scratch-script = {{ path = {:?} }}\n", dependency.folder);
    fs::write(&manifest, format!("{text}{line}")).unwrap();
    let error = bundle(&own.folder, Profile::Dev).unwrap_err();
    assert!(
        error.contains("`scratch-two-scripts` depends on `scratch-script`, which has an `export!` of its own"),
        "{error}"
    );
    assert!(error.contains("docs/guide/crates.md") && error.len() < 2_000, "{error}");
}
