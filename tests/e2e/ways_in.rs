//! Ways in: a Worker of plain workers-rs that calls Realgar, and a router of the ecosystem as a Worker's `fetch`.

use crate::common::logged;
use realgar_bundle::{Profile, read_plain, worker_build};
use realgar_test::App;
use std::fs;

#[test]
fn a_worker_of_plain_workers_rs_calls_objects_and_workers() {
    let own = Some(env!("CARGO_BIN_EXE_realgar").into());
    let folder = worker_build("tests/workers/plain-workers-rs".as_ref(), Profile::Dev, own, &mut |_| {}).unwrap();
    let wrangler = "name = \"plain-workers-rs\"\nmain = \"index.js\"\ncompatibility_date = \"2026-04-21\"\n\n\
                    [[durable_objects.bindings]]\nname = \"LEDGERS\"\nclass_name = \"Ledger\"\nscript_name = \"bank\"\n\n\
                    [[services]]\nbinding = \"BANK\"\nservice = \"bank\"\n";
    fs::write(folder.join("wrangler.toml"), wrangler).unwrap();
    let app = App::builder().bundle(read_plain(&folder).unwrap()).worker("tests/workers/contract-host").start();
    let ask = |path: &str| app.get(path).send().expect_status(200).text();
    let entries = r#"Ok([Entry { amount: 7, notes: ["plain"] }])"#;
    assert_eq!(ask("/add"), "Ok(1)");
    assert_eq!(ask("/refused"), "Err(Method(NoNote))");
    assert_eq!(ask("/each"), entries);
    assert_eq!(ask("/statement"), entries);
    assert_eq!(ask("/other"), "the bank got /other");
}

#[test]
fn a_router_of_axum_serves_as_fetch() {
    // A release, whose linker leaves the streams of the base crates out where nothing uses them: here the bodies do.
    let app = App::builder().worker("tests/workers/routed").release().start();
    assert_eq!(app.get("/").send().expect_status(200).text(), "home");
    assert_eq!(app.post("/tally/ada/3").send().expect_status(200).text(), "3");
    assert_eq!(app.post("/tally/ada/4").send().expect_status(200).text(), "7");
    let echo = app.post("/echo").body("hello").send().expect_status(201);
    assert_eq!((echo.header("x-kind"), echo.text().as_str()), (Some("echo"), "hello"));
    let _ = app.get("/nowhere").send().expect_status(404);
    let _ = app.post("/tally/ada/many").send().expect_status(400);

    // A release names the character by its number.
    assert_eq!(app.post("/cut/1").body("née").send().expect_status(200).text(), "n");
    let _ = app.post("/cut/2").body("née").send().expect_status(500);
    logged(&app, "end byte index 2 is not a char boundary; it is inside 233 (bytes 1..3) of `née`");
}
