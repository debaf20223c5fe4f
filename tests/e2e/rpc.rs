//! Calls on real workerd: between Rust and Rust, and from JavaScript.

use crate::common::{call, drive, isolated_kitchen, kitchen, menu};
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[test]
fn values_of_every_kind_come_back_as_they_were() {
    let app = kitchen();
    let results: BTreeMap<String, bool> = app.get("/values").send().expect_status(200).json();
    assert!(results.len() >= 8, "{results:?}");
    assert!(results.values().all(|same| *same), "{results:?}");
}

#[test]
fn typed_errors_arrive_typed() {
    let app = kitchen();
    let ask = |which: &str| app.get(&format!("/errors/{which}")).send().expect_status(200).text();
    assert_eq!(ask("fine"), "3");
    assert_eq!(ask("closed"), "method: Closed");
    assert_eq!(ask("sold-out"), "method: SoldOut { dish: \"rare\", left: 18446744073709551615 }");
    assert_eq!(ask("stringly"), "method: \"just text\"");
    assert_eq!(ask("framework"), "method: `wrong`: expected u32, got a string");
    assert!(ask("unknown").starts_with("UnknownMethod at None: "), "{}", ask("unknown"));
    assert_eq!(
        ask("bad-arguments"),
        "BadArguments at Some(\"value\"): `value`: invalid value: integer `4096`, expected u8"
    );
    assert!(
        ask("bad-result").starts_with("BadResult at Some(\"\"): expected u32, got a string"),
        "{}",
        ask("bad-result")
    );
}

#[test]
fn every_way_to_an_object_leads_to_it() {
    let app = kitchen();
    let results: BTreeMap<String, Value> = app.get("/namespace").send().expect_status(200).json();
    for key in ["unique", "name", "id", "text", "hint"] {
        assert_eq!(results[key], true, "{key}: {results:?}");
    }
    assert_eq!(results["jurisdiction"], "Error: Jurisdiction restrictions are not implemented in workerd.");
    assert!(results["bad"].as_str().unwrap().contains("64 hex digits"), "{results:?}");
}

#[test]
fn a_request_is_forwarded_and_its_response_comes_back() {
    let app = kitchen();
    let response = app.post("/forward/x").body("hello").send().expect_status(200);
    assert_eq!(response.json::<(String, String, String)>(), ("Post".into(), "/forward/x".into(), "hello".into()));
}

#[test]
fn javascript_calls_methods_with_plain_values() {
    let app = kitchen();
    let echo = |method: &str, value: Value| menu(&app, "js", method, json!([value])).value();
    assert_eq!(echo("echoText", json!("naïve 🦀")), "naïve 🦀");
    assert_eq!(echo("echoU64", json!(7)), 7);
    assert_eq!(echo("echoU64", json!({"$": "bigint", "value": "7"})), 7);
    let max = json!({"$": "bigint", "value": u64::MAX.to_string()});
    assert_eq!(echo("echoU64", max.clone()), max);
    let min = json!({"$": "bigint", "value": i64::MIN.to_string()});
    assert_eq!(echo("echoI64", min.clone()), min);
    assert_eq!(echo("echoI64", json!(-9007199254740991_i64)), -9007199254740991_i64);
    let bytes = json!({"$": "bytes", "value": (0..=255).collect::<Vec<u8>>()});
    assert_eq!(echo("echoBytes", bytes.clone()), bytes);
    assert_eq!(echo("echoBytes", json!([1, 2, 255])), json!({"$": "bytes", "value": [1, 2, 255]}));
    assert_eq!(echo("echoOption", json!(null)), Value::Null);
    assert_eq!(echo("echoOption", json!({"$": "undefined"})), Value::Null);
    for shape in
        [json!("Point"), json!({"Circle": 1.5}), json!({"Box": {"width": 1, "height": 2}}), json!({"Line": [1, -2]})]
    {
        assert_eq!(echo("echoShape", shape.clone()), shape);
    }
    assert_eq!(menu(&app, "js", "echoOption", json!([])).value(), Value::Null, "a trailing option may be left out");
    assert_eq!(menu(&app, "js", "nothing", json!([])).value(), json!({"$": "undefined"}));
    assert_eq!(menu(&app, "js", "plain_name", json!([])).value(), "renamed");
}

#[test]
fn wrong_arguments_fail_with_their_path_and_the_object_goes_on() {
    let everything = json!({
        "flag": true, "small": 1, "signed": 1, "unsigned": 1, "wide": 1, "float": 1, "letter": "x", "text": "", "bytes": [],
        "list": ["Point", {"Box": {"width": 1, "height": "2"}}], "nested": {}, "numbered": {}, "pair": [1, ""], "unit": null,
    });
    let cases = [
        ("echoU64", json!(["7"]), "value", "expected u64, got a string"),
        ("echoU64", json!([-1]), "value", "invalid value: integer `-1`, expected u64"),
        ("echoU64", json!([0.5]), "value", "expected u64, got `0.5`"),
        ("echoU64", json!([{"$": "number", "value": "NaN"}]), "value", "expected u64, got `NaN`"),
        ("echoU64", json!([9007199254740992_u64]), "value", "beyond 2^53 - 1"),
        ("echoU64", json!([{"$": "bigint", "value": "18446744073709551616"}]), "value", "expected u64"),
        ("echoI64", json!([{"$": "bigint", "value": "9".repeat(60)}]), "value", "expected i64, got `999"),
        ("echoJson", json!([{"$": "bigint", "value": "9".repeat(60)}]), "value", "more than 128 bits"),
        ("echoU64", json!([]), "value", "expected u64, got undefined"),
        ("echoU64", json!([1, 2]), "", "`echoU64` takes (value), and got 2 arguments"),
        ("echoText", json!([null]), "text", "expected a string, got null"),
        ("echoText", json!([{"$": "surrogate"}]), "text", "half of a surrogate pair"),
        ("echoText", json!([{"$": "date", "value": 0}]), "text", "expected a string, got a Date"),
        ("echoBytes", json!([[1, 256]]), "bytes[1]", "invalid value: integer `256`, expected u8"),
        ("echoShape", json!(["Triangle"]), "shape", "unknown variant `Triangle`"),
        ("echoShape", json!([{"Line": [1]}]), "shape.Line", "invalid length 1"),
        ("echoShape", json!([{"Line": [1, 2, 3]}]), "shape.Line", "expected 2 elements, got 3"),
        ("echoEverything", json!([everything]), "everything.list[1].Box.height", "expected u32, got a string"),
        ("echoJson", json!([{"$": "cycle"}]), "value.cycle", "nests deeper than 128 levels"),
        ("echoJson", json!([{"$": "deep", "value": 500}]), "value[0]", "nests deeper than 128 levels"),
        ("echoJson", json!([{"$": "function"}]), "value", "a value that cannot be data"),
    ];
    // Deep values also in the small stack of an object with an instance of its own.
    for app in &[kitchen(), isolated_kitchen()] {
        for (method, args, path, message) in &cases {
            let thrown = menu(app, "picky", method, args.clone()).thrown();
            assert_eq!(thrown.code, "bad_arguments", "{method} {args}: {thrown:?}");
            assert_eq!(thrown.name, "RpcError", "{thrown:?}");
            assert!(thrown.path.starts_with(path), "{method} {args}: {thrown:?}");
            assert!(thrown.message.contains(message), "{method} {args}: {thrown:?}");
            let own = ["realgar.js", "glue.js", "wasm"];
            assert!(
                !own.iter().any(|file| thrown.stack.contains(file)),
                "the stack of the object stays home: {thrown:?}"
            );
        }
        assert_eq!(menu(app, "picky", "echoU64", json!([7])).value(), 7);
    }
}

#[test]
fn javascript_catches_errors_with_their_data() {
    let app = kitchen();
    let thrown = menu(&app, "js", "order", json!(["rare", 1])).thrown();
    assert_eq!(thrown.name, "MethodError");
    assert_eq!(thrown.code, "method_error");
    assert_eq!(thrown.message, "there are only 18446744073709551615 left of `rare`");
    assert_eq!(
        thrown.data,
        json!({"SoldOut": {"dish": "rare", "left": {"$": "bigint", "value": u64::MAX.to_string()}}})
    );
}

#[test]
fn nothing_but_the_declared_methods_is_reachable() {
    let app = kitchen();
    let names = [
        "free",
        "call",
        "start",
        "shell",
        "#shell",
        "handle",
        "state",
        "instance",
        "__destroy_into_raw",
        "__wrap",
        "init",
        "new",
        "describe",
        "table",
        "from",
        "echo_text",
        "realgarFetch",
        "RealgarObject",
        "alarm",
        "webSocketMessage",
        "ctx",
        "env",
        "renamed",
    ];
    let calls: Vec<Value> = names.iter().map(|name| call("Menu", "closed", name, json!([]))).collect();
    for (name, outcome) in names.iter().zip(drive(&app, &calls)) {
        let thrown = outcome.error.unwrap_or_else(|| panic!("`{name}` can be called, and returned {}", outcome.ok));
        let refused = ["does not implement", "is a reserved method", "is not a function"];
        assert!(refused.iter().any(|text| thrown.message.contains(text)), "`{name}`: {thrown:?}");
    }
}

#[test]
fn a_deadline_is_inherited_by_the_hops_below() {
    let app = kitchen();
    let [in_time, late, outer]: [String; 3] = app.get("/deadlines").send().expect_status(200).json();
    assert_eq!(in_time, "Ok(Ok(2))");
    // Either end may give it up first.
    let over = ["Err(Elapsed", "DeadlineExceeded", "the deadline of the call has passed"];
    for outcome in [late, outer] {
        assert!(over.iter().any(|text| outcome.contains(text)), "{outcome}");
    }
}

#[test]
fn nothing_is_null_to_javascript_and_never_something() {
    let app = kitchen();
    let nulls = menu(&app, "nothing", "nulls", json!([])).value();
    assert_eq!(nulls, json!([[1, null, {"a": null}], [null, null]]));
    let nested = menu(&app, "nothing", "nested", json!([])).thrown();
    assert_eq!(nested.code, "bad_result");
    assert!(nested.message.contains("`Some` of nothing would arrive as `None`"), "{nested:?}");
}

#[test]
fn the_time_an_object_takes_to_start_is_part_of_the_deadline() {
    let app = kitchen();
    let fragile = |method: &str, args: Value| call("Fragile", "late", method, args);
    drive(&app, &[fragile("planStart", json!(["slow"]))]).remove(0).value();
    drive(&app, &[fragile("fault", json!(["panic"]))]).remove(0).thrown();
    let late = drive(&app, &[fragile("__realgar", json!(["count", null, [], 100]))]).remove(0).thrown();
    assert_eq!(late.code, "deadline_exceeded", "{late:?}");
    let count = drive(&app, &[fragile("count", json!([]))]).remove(0).value();
    assert_eq!(count[1], 1, "the late call did not run");
}

#[test]
fn what_a_peer_sends_about_a_call_breaks_nothing() {
    let app = kitchen();
    let trace = "0123456789abcdef0123456789abcdef";
    for about in [json!([1e9, [trace]]), json!(["1", trace]), json!([{}, 7]), json!([null, {"$": "function"}])] {
        let mut args = vec![json!("count"), json!(null), json!([])];
        args.extend(about.as_array().unwrap().clone());
        let outcome = drive(&app, &[call("Fragile", "about", "__realgar", json!(args))]).remove(0);
        assert!(outcome.error.is_none(), "{about}: {outcome:?}");
    }
    let count = drive(&app, &[call("Fragile", "about", "count", json!([]))]).remove(0).value();
    assert_eq!(count, json!([5, 5]), "the instance lived through all of it");
}

#[test]
fn only_idempotent_methods_are_called_again_and_only_where_the_platform_says_so() {
    let app = kitchen();
    let outcomes: Value = app.get("/flaky").send().expect_status(200).json();
    assert_eq!(
        outcomes,
        json!([
            {"Ok": 3},
            {"Err": "Network"},
            {"Err": "Overloaded"},
            {"Err": "Network"},
            {"Ok": 5},
            [[1, 2], "text"],
        ])
    );
}

#[test]
fn a_test_calls_an_object_without_a_route() {
    let app = kitchen();
    let menu = app.object("kitchen", "Menu", "direct");
    assert_eq!(menu.call("echoU64", &json!([7])).unwrap(), 7);
    assert_eq!(menu.call("nothing", &json!([])).unwrap(), Value::Null);
    assert_eq!(menu.call("echoBytes", &json!([[1, 2]])).unwrap(), json!([1, 2]));
    let failed = menu.call("echoU64", &json!(["seven"])).unwrap_err();
    assert_eq!((&*failed.code, failed.message.contains("expected u64, got a string")), ("bad_arguments", true));
    assert!(menu.call("noSuchMethod", &json!([])).unwrap_err().message.contains("noSuchMethod"));
    let failed = app.object("kitchen", "Fragile", "direct").call("fault", &json!(["panic"])).unwrap_err();
    assert_eq!(failed.code, "panicked");
}
