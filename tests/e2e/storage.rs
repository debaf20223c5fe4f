//! What objects store.

use crate::common::{kitchen, menu};
use realgar_test::App;
use serde_json::{Value, json};

#[test]
fn entries_are_put_listed_and_deleted() {
    let app = kitchen();
    let on = |method: &str, args: Value| menu(&app, "storage", method, args).value();
    for (key, value) in [("a:1", 1), ("a:2", 2), ("a:3", 3), ("b:1", 4)] {
        let _ = on("put", json!([key, value]));
    }
    assert_eq!(on("getKey", json!(["a:2"])), 2);
    assert_eq!(on("getKey", json!(["nothing"])), Value::Null);
    assert_eq!(on("listKeys", json!(["a:", 2, false])), json!([["a:1", 1], ["a:2", 2]]));
    assert_eq!(on("listKeys", json!(["a:", 9, true])), json!([["a:3", 3], ["a:2", 2], ["a:1", 1]]));
    assert_eq!(on("deleteKey", json!(["a:2"])), true);
    assert_eq!(on("deleteKey", json!(["a:2"])), false);
    app.kill();
    assert_eq!(menu(&app, "storage", "listKeys", json!(["a:", 9, false])).value(), json!([["a:1", 1], ["a:3", 3]]));
}

#[test]
fn a_stored_value_of_another_type_is_an_error_that_names_the_key() {
    let app = kitchen();
    let _ = menu(&app, "storage", "put", json!(["a:1", {"x": 1}])).value();
    let thrown = menu(&app, "storage", "listKeys", json!(["a:", 9, false])).thrown();
    assert_eq!(thrown.message, "`a:1`: expected u32, got an object");
    assert_eq!(menu(&app, "storage", "getKey", json!(["a:1"])).value(), json!({"x": 1}));
}

#[test]
fn an_exception_of_the_storage_is_an_error_and_not_a_trap() {
    let app = kitchen();
    let thrown = menu(&app, "storage", "listKeys", json!(["", 0, false])).thrown();
    assert_eq!(thrown.message, "TypeError: List limit must be positive.");
    assert_eq!(menu(&app, "storage", "echoU64", json!([1])).value(), 1);
}

#[test]
fn rows_are_typed_and_values_never_mix_into_text() {
    let app = kitchen();
    assert_eq!(
        menu(&app, "sql", "sqlRoundTrip", json!([])).value(),
        json!([
            {"id": 1, "name": "Robert'); DROP TABLE dishes;--", "price": 9.5, "photo": {"$": "bytes", "value": [0, 255]},
             "vegan": true},
            {"id": 9007199254740991_i64, "name": "naïve 🦀", "price": null, "photo": {"$": "bytes", "value": []},
             "vegan": false},
        ])
    );
}

#[test]
fn sql_errors_name_the_statement() {
    let app = kitchen();
    let fails = |what: &str| menu(&app, "sql", "sqlBad", json!([what])).thrown().message;
    assert_eq!(fails("syntax"), "near \"SELEKT\": syntax error at offset 0: SQLITE_ERROR, in `SELEKT 1`");
    assert!(fails("lazy").starts_with("integer overflow"), "{}", fails("lazy"));
    assert_eq!(fails("none"), "expected one row, got none from `SELECT id FROM dishes WHERE id = ?`");
}

#[test]
fn a_transaction_is_all_or_nothing() {
    let app = kitchen();
    assert_eq!(menu(&app, "txn", "transact", json!([false])).value(), 7);
    assert_eq!(menu(&app, "txn", "transact", json!([true])).value(), Value::Null);
    assert_eq!(menu(&app, "txn", "transactSync", json!([false])).value(), 1);
    assert_eq!(menu(&app, "txn", "transactSync", json!([true])).value(), 0);
}

fn cellar() -> (App, impl Fn(&App, &str) -> Value) {
    (App::start("tests/workers/cellar"), |app, path| app.get(path).send().expect_status(200).json())
}

#[test]
fn migrations_run_once_in_order_and_a_failed_one_leaves_the_schema_as_it_was() {
    let (app, ask) = cellar();
    assert_eq!(ask(&app, "/migrate/first"), json!({"Ok": ["name"]}));
    assert_eq!(ask(&app, "/migrate/second"), json!({"Ok": ["name", "year"]}));
    app.kill();
    assert_eq!(ask(&app, "/migrate/second"), json!({"Ok": ["name", "year"]}), "not again");
    assert_eq!(ask(&app, "/migrate/first"), json!({"Ok": ["name", "year"]}), "a version that was rolled back goes on");
    let fails = |version: &str| ask(&app, &format!("/migrate/{version}"))["Err"].as_str().unwrap().to_string();
    let broken = fails("broken");
    assert!(broken.contains("the migration `broken` failed: no such table: nowhere"), "{broken}");
    assert_eq!(ask(&app, "/tables"), json!(["realgar_migrations", "wines"]), "nothing is left of it");
    assert!(fails("changed").contains("the migration `years` was changed after it ran; write another one"));
    assert!(
        fails("reordered").contains("migration 0 is `before`, and was `wines` when it ran; add new ones at the end")
    );
}

/// The runtime takes and hands out floats only.
#[test]
fn integers_of_64_bits_are_exact_in_sql() {
    let (app, ask) = cellar();
    let edge = |what: &str| ask(&app, &format!("/edges/{what}"))["Ok"].as_str().unwrap_or_default().to_string();
    assert_eq!(edge("largest"), "9223372036854775807 -9223372036854775808");
    assert_eq!(edge("small"), "2 \"a5\" \"[5]\" 2.5");
    assert_eq!(edge("commented"), "9223372036854775807");
    assert_eq!(edge("last"), "3 3 9223372036854775807 0.5");
    assert_eq!(edge("computed"), "9223372036854775806");
    assert_eq!(edge("texts"), "\"?:ai9\" 9223372036854775807");
    assert_eq!(edge("numbered"), "-9223372036854775808");
    assert_eq!(edge("floats"), "1e+300 9007199254740994.0");
    assert_eq!(edge("mixed"), "9007199254740993 \"i5\" null 7");
}

/// It is the row that is wrong: nothing breaks.
#[test]
fn a_row_that_does_not_fit_is_an_error_that_names_it() {
    let (app, ask) = cellar();
    let expected = [
        ("text-for-a-number", Err("`rows[0].value`: expected i64, got a string, in `SELECT")),
        ("null-for-a-number", Err("`rows[1].value`: expected i64, got null")),
        ("another-column", Err("`rows[0]`: missing field `value`")),
        ("scalar", Ok("7")),
        ("large-scalar", Ok("9223372036854775807")),
        ("tuple", Ok("(-9223372036854775808, None, [1, 2], 0.5)")),
        ("optional-blob", Ok("[Some([1, 2]), None]")),
        ("short-tuple", Err("`rows[0]`: invalid length 2, expected a tuple of size 3")),
        ("not-a-scalar", Err("`rows[0]`: expected u8, got a row of 2 columns")),
        ("flag", Err("`rows[0].value`: expected")),
        ("twice", Err("`rows[0]`: duplicate field `value`")),
        ("affinity", Ok("\"7\"")),
    ];
    for (what, outcome) in expected {
        let found = ask(&app, &format!("/edges/{what}"));
        match outcome {
            Ok(value) => assert_eq!(found["Ok"], value, "{what}: {found}"),
            Err(error) => assert!(found["Err"].as_str().unwrap_or_default().contains(error), "{what}: {found}"),
        }
    }
    let died = app.logs().into_iter().filter(|line| line.message.contains("died")).count();
    assert_eq!(died, 0);
}

#[test]
fn limits_of_sql_are_named() {
    let (app, ask) = cellar();
    let fails = |what: &str| ask(&app, &format!("/edges/{what}"))["Err"].as_str().unwrap_or_default().to_string();
    let expected = [
        ("u64", "the integer 18446744073709551615 is beyond those of SQLite, which end at 2^63 - 1; store it as text"),
        ("params", "a statement takes at most 100 parameters, not 101; pass a list as one JSON text"),
        ("few", "Wrong number of parameter bindings for SQL query, in `SELECT ?, ?`"),
        ("text", "a text has 2200000 bytes, and the platform stores at most 2 MB"),
        ("blob", "a blob has 2200000 bytes, and the platform stores at most 2 MB"),
        ("pattern", "(a pattern of LIKE or GLOB has at most 50 bytes), in `SELECT 'a' LIKE ?`"),
        ("returning", "the platform has rounded the integer `9223372036854776000`"),
    ];
    assert_eq!(ask(&app, "/edges/large")["Ok"], "true", "what is just below a limit comes back as it was");
    for (what, reason) in expected {
        assert!(fails(what).contains(reason), "{what}: {}", fails(what));
    }
}

#[test]
fn entries_without_an_await_take_part_in_a_synchronous_transaction() {
    let (app, ask) = cellar();
    let kept = json!({"name": "no. 1", "year": 1900});
    assert_eq!(ask(&app, "/kv/fail"), json!([kept, false, ["kept"]]), "rolled back");
    assert_eq!(ask(&app, "/kv/well"), json!([null, true, ["tried"]]));
}

#[test]
fn more_entries_than_the_platform_takes_in_a_call_are_no_trouble() {
    let (app, ask) = cellar();
    assert_eq!(ask(&app, "/many/300"), json!([300, 300, 300, 0]));
}

#[test]
fn everything_can_be_deleted() {
    let (app, ask) = cellar();
    let _ = (ask(&app, "/migrate/second"), ask(&app, "/kv/fail"));
    let sizes: (u64, u64) = app.get("/wipe").send().expect_status(200).json();
    assert!(sizes.1 < sizes.0, "{sizes:?}");
    assert_eq!(ask(&app, "/tables"), json!([]));
    assert_eq!(ask(&app, "/migrate/first"), json!({"Ok": ["name"]}), "and it begins anew");
}

/// The local runtime keeps no history, and has one bookmark for everything.
#[test]
fn a_bookmark_is_what_the_platform_says() {
    let (app, ask) = cellar();
    let none = "00000000-00000000-00000000-00000000000000000000000000000000";
    assert_eq!(ask(&app, "/bookmark"), json!({"Ok": none}));
}

#[test]
fn exclusive_methods_wait_for_each_other_in_order() {
    let (app, ask) = cellar();
    assert_eq!(ask(&app, "/take/together"), json!([1, 1, 1, 1, 1]), "while one waits, others run");
    assert_eq!(ask(&app, "/take/alone"), json!([2, 3, 4, 5, 6]));
    assert_eq!(ask(&app, "/take/twice"), "true", "it would wait for itself for ever");
    assert_eq!(ask(&app, "/take/alone"), json!([7, 8, 9, 10, 11]), "and who gave up is not waited for");
}

/// Asks until the alarm was called so often.
fn alarms(app: &App, count: usize) -> Value {
    loop {
        let seen: Value = app.get("/alarms").send().expect_status(200).json();
        if seen.as_array().unwrap().len() >= count {
            return seen;
        }
    }
}

#[test]
fn an_alarm_that_fails_or_panics_is_called_again() {
    let (app, ask) = cellar();
    assert_eq!(ask(&app, "/later"), json!([true, [true, false]]));
    assert_eq!(ask(&app, "/alarm/2"), true);
    assert_eq!(alarms(&app, 3), json!([[0, true], [1, true], [2, true]]));
    crate::common::logged(&app, "the alarm failed: panicked at");
    crate::common::logged(&app, "the alarm failed: not yet");
}

#[test]
fn an_alarm_survives_a_kill() {
    let (app, ask) = cellar();
    assert_eq!(ask(&app, "/alarm/0"), true);
    app.kill();
    let seen = alarms(&app, 1);
    assert_eq!(seen[0][1], true, "{seen}");
}

#[test]
fn limits_of_entries_are_named() {
    let app = kitchen();
    let refused = |key: &str, value: Value| menu(&app, "storage", "putText", json!([key, value])).thrown().message;
    assert_eq!(refused(&"k".repeat(2049), json!("v")), "a key has 2049 bytes, and the platform takes at most 2048");
    let largest = "k".repeat(2048);
    let _ = menu(&app, "storage", "putText", json!([largest, "v"])).value();
}
