//! One of every resource, used for real on workerd.

use crate::common::logged;
use realgar_test::App;
use serde_json::{Value, json};
use std::time::Duration;

fn larder() -> App {
    App::builder().worker("tests/workers/larder").test_clock().start()
}

fn ask(app: &App, path: &str) -> Value {
    app.get(path).send().expect_status(200).json()
}

#[test]
fn a_database_runs_its_migrations_and_batches_are_all_or_nothing() {
    let app = larder();
    let expected = json!({
        "changed": [1, 1],
        "failed": true,
        "jars": [
            {"label": "fig", "grams": 1.0, "sealed": true},
            {"label": "plum", "grams": 250.5, "sealed": true},
            {"label": "quince", "grams": null, "sealed": false},
        ],
    });
    assert_eq!(ask(&app, "/d1"), expected);
    app.restart();
    let jars = app.get("/d1").send();
    assert_eq!(jars.status(), 500, "the rows are still there, and the migrations did not run again");
}

#[test]
fn values_in_kv_come_back_with_their_metadata() {
    let found = ask(&larder(), "/kv");
    assert_eq!(found["gone"], Value::Null);
    assert_eq!(found["bytes"], true);
    assert_eq!(found["json"], json!(["x", 1]));
    assert_eq!(found["metadata"], json!([r#"["x",1]"#, {"by": "ada"}]));
    assert!(found["wrong"]["Err"].as_str().unwrap().contains("`json`: expected u32, got an array"), "{found}");
    assert_eq!((&found["first"], &found["rest"]), (&json!("bytes"), &json!([["json", true]])));
    assert_eq!(found["last"], Value::Null);
}

#[test]
fn messages_are_delivered_retried_delayed_and_end_in_the_dead_letter_queue() {
    let app = larder();
    let jobs = json!([{"Fill": {"jar": "fig"}}, {"FailUntil": {"attempt": 2}}, {"FailUntil": {"attempt": 9}}]);
    let _ = app.post("/send").json(&jobs).send().expect_status(200);
    let log = |count: usize| {
        for _ in 0..200 {
            if ask(&app, "/log") == count {
                break;
            }
            app.advance(Duration::from_secs(1));
        }
        let mut lines: Vec<String> = app.get("/logged").send().expect_status(200).json();
        lines.sort();
        lines
    };
    assert_eq!(
        log(3),
        [
            "dead-jobs: FailUntil { attempt: 9 } at attempt 1",
            "jobs: FailUntil { attempt: 2 } at attempt 2",
            "jobs: Fill { jar: \"fig\" } at attempt 1",
        ]
    );
    app.advance(Duration::from_secs(600));
    let lines = log(4);
    assert!(lines.contains(&"jobs: Fill { jar: \"late\" } at attempt 1".to_string()), "{lines:?} {:?}", app.logs());
}

#[test]
fn a_cron_trigger_that_fails_is_seen_to_fail() {
    let app = larder();
    assert_eq!(app.fire_cron("larder", "*/5 * * * *"), "ok");
    assert_eq!(ask(&app, "/logged"), json!(["cron true"]));
    assert_eq!(app.fire_cron("larder", "0 0 * * *"), "exception");
    logged(&app, "nothing is done at `0 0 * * *`");
}

#[test]
fn variables_have_defaults_and_secrets_do_not_show_themselves() {
    let expected = json!([7, {"beta": true, "names": ["a", "b"]}, "quoted secret", "from the store", "SecretText(..)"]);
    assert_eq!(ask(&larder(), "/vars"), expected);
    let set = App::builder().worker("tests/workers/larder").value("LIMIT", "9").value("CONFIG", "{\"beta\":1}").start();
    let error = set.get("/vars").send();
    assert_eq!(error.status(), 500);
    logged(&set, "`CONFIG.beta`: expected a boolean, got `1`");
}

#[test]
fn a_value_that_is_missing_is_asked_for_by_name() {
    let app = App::builder().worker("tests/workers/larder").value("LIMIT", "many").start();
    let _ = app.get("/vars").send().expect_status(500);
    logged(&app, "the variable `LIMIT` is \"many\": invalid digit");
    let bundle = realgar_test::bundle("tests/workers/larder", realgar_test::Profile::Dev).unwrap();
    let error = App::builder().bundle(bundle).try_start().unwrap_err();
    assert_eq!(error, "`API_KEY` of the Worker `larder` has no value; give it one with `.value(\"API_KEY\", \"..\")`");
}

#[test]
fn limits_points_files_and_the_version_work() {
    let app = larder();
    assert_eq!(ask(&app, "/rate"), json!([true, true, false, true]));
    let _ = ask(&app, "/point");
    logged(&app, "analytics: VISITS: ");
    logged(&app, "\"double1\":1.5");
    assert_eq!(ask(&app, "/version"), "00000000-0000-0000-0000-000000000000");
    assert_eq!(app.get("/file").send().expect_status(200).text(), "hello from a file\n", "through the binding");
    assert_eq!(app.get("/hello.txt").send().expect_status(200).text(), "hello from a file\n", "before the Worker");
    assert!(ask(&app, "/ai").as_str().unwrap().contains("no binding `AI`"));
}

#[test]
fn objects_in_a_bucket_have_versions_ranges_and_metadata() {
    let app = larder();
    let found = ask(&app, "/r2/whole");
    assert_eq!(found["size"], json!([256, 256]));
    assert_eq!(found["etag"], "e2c865db4162bed963bfaa9ef6ac18f0", "the MD5 of all bytes");
    assert_eq!(found["custom"], json!({"by": "ada"}));
    assert_eq!((&found["same_version"], &found["same"], &found["gone"]), (&json!(true), &json!(true), &json!(true)));
    assert_eq!(found["missing"], json!([true, true]));
    assert_eq!(found["ranges"], json!([[2, 3, 4], [253, 254, 255], [254, 255]]));
    assert!(found["beyond"]["Err"].as_str().unwrap().contains("10039"), "{found}");
}

#[test]
fn many_bodies_wait_for_their_readers_under_keys_of_any_language() {
    assert_eq!(ask(&larder(), "/r2/many"), json!([12, true, 3]));
}

#[test]
fn a_response_says_which_bytes_it_has_and_how_they_are_packed() {
    let app = larder();
    ask(&app, "/r2/many");
    let tail = app.get("/r2/tail").send().expect_status(206);
    assert_eq!(tail.header("content-range"), Some("bytes 3145724-3145727/3145728"));
    assert_eq!(tail.bytes(), [1; 4]);
    let packed = app.get("/r2/packed").send().expect_status(200);
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert_eq!((packed.bytes()[..2].to_vec(), packed.bytes().len()), (vec![0x1f, 0x8b], 25), "packed once");
}

#[test]
fn a_condition_keeps_what_another_one_wrote() {
    assert_eq!(ask(&larder(), "/r2/conditions"), json!([true, true, true, "second"]));
}

#[test]
fn a_list_folds_what_is_below_a_delimiter() {
    let pages = json!([[["l/a"], ["l/b/"]], [["l/c", "l/ü"], []]]);
    assert_eq!(ask(&larder(), "/r2/list"), pages);
}

#[test]
fn an_upload_in_parts_is_one_object_or_none() {
    let size = (5 << 20) + 7;
    let tail: Vec<u8> = [7, 7].into_iter().chain(*b"the end").collect();
    assert_eq!(ask(&larder(), "/r2/parts"), json!([true, size, tail, true, true]));
}

#[test]
fn a_body_is_stored_as_it_arrives_and_survives_a_kill() {
    let app = larder();
    assert_eq!(ask(&app, "/r2/stream"), json!([50_000, true, true, [true, true]]));
    let photo: Vec<u8> = (0..20_000_000_u32).map(|index| (index % 251) as u8).collect();
    let put = app.request("PUT", "larder", "/r2/photo").body(photo.clone()).send().expect_status(200);
    assert_eq!(put.json::<u64>(), photo.len() as u64);
    app.kill();
    let got = app.get("/r2/photo").send().expect_status(200);
    assert!(got.bytes() == photo, "the same bytes");
    assert_eq!(got.header("content-type"), Some("image/test"));
}
