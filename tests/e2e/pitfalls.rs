//! Values and statements at the edges of their types, as users of other tools reported them broken.

use realgar_test::App;
use serde_json::{Value, json};

fn pitfalls() -> App {
    App::start("tests/workers/pitfalls")
}

fn on(app: &App, method: &str) -> Value {
    app.object("pitfalls", "Pit", "pit").call(method, &json!([])).unwrap()
}

#[test]
fn bytes_in_tagged_types_come_back_as_they_went_in() {
    let app = pitfalls();
    assert_eq!(on(&app, "tagged"), Value::Null);
    assert!(app.get("/tagged").send().expect_status(200).json::<bool>());
}

#[test]
fn the_only_column_of_a_row_is_its_value_whatever_it_is() {
    assert_eq!(
        on(&pitfalls(), "onlyColumns"),
        "[0, 255] [0, 255] Bytes([0, 255]) ([0, 255],) Some([0, 255]) [[1], []] \
         [Integer(1), Real(0.5), Text(\"x\"), Bytes([2]), Nothing(())] [1, 2] 7"
    );
}

#[test]
fn a_comment_behind_the_last_semicolon_is_no_statement() {
    assert_eq!(on(&pitfalls(), "comments"), json!([1, 2, 4, 10, "9007199254740993"]));
}

#[test]
fn integers_and_rows_of_d1_are_those_of_the_database() {
    let answers: Value = pitfalls().get("/d1").send().expect_status(200).json();
    let expected = json!({
        "text": r#"[("7", "{\"n\":7}")]"#,
        "typeof": r#"[("integer", 3)]"#,
        "real": r#"[("real", 7.0)]"#,
        "tuple of a join": r#"[(1, "x", 2, "y")]"#,
        "struct": r#"[Two { id: 2, name: "y" }]"#,
        "value": "[2]",
        "tuple": "[(2,)]",
        "blob": "[[0, 255]]",
        "boolean": "[true]",
        "null": "[None]",
        "large in": r#"["9007199254740993"]"#,
        "none": "[]",
    });
    for (what, expected) in expected.as_object().unwrap() {
        assert_eq!(&answers[what], expected, "{what}");
    }
    let error = |what: &str| answers[what].as_str().unwrap().to_string();
    assert!(error("struct of a join").contains("duplicate field `id`"), "{answers}");
    let large = error("large out");
    assert!(
        large.contains("has rounded the integer `9007199254740992`") && large.contains("CAST(column AS TEXT)"),
        "{large}"
    );
}

#[test]
fn a_whole_object_is_no_partial_response() {
    let app = pitfalls();
    for (which, status, body, range) in [
        ("whole", 200, "0123456789", None),
        ("some", 206, "234", Some("bytes 2-4/10")),
        ("from", 206, "456789", Some("bytes 4-9/10")),
        ("suffix", 206, "789", Some("bytes 7-9/10")),
        ("all", 206, "0123456789", Some("bytes 0-9/10")),
    ] {
        let response = app.get(&format!("/r2/{which}")).send().expect_status(status);
        assert_eq!((response.text().as_str(), response.header("content-range")), (body, range), "{which}");
    }
}

#[test]
fn a_router_s_encoded_body_is_not_encoded_again() {
    let app = pitfalls();
    let zipped = app.get("/axum/zipped").header("accept-encoding", "gzip").send().expect_status(200);
    assert_eq!(zipped.header("content-encoding"), Some("gzip"));
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(zipped.bytes()), &mut text).unwrap();
    assert_eq!(text, "zipped");
    assert_eq!(app.get("/axum/plain").send().expect_status(200).text(), "plain");
}

#[test]
fn the_elements_of_typed_arrays_are_numbers() {
    let javascript = "tests/workers/pitfalls/javascript";
    let app = App::builder().worker("tests/workers/pitfalls").plain(javascript).start();
    let expected = [
        "[1.5, 2.5]",
        "[1.5, -2.0]",
        "[1, -2]",
        "[1, 65535]",
        "[1, -2]",
        "[1, -9007199254740993]",
        "[4294967295]",
        "[1, 255]",
        "[1, 255]",
        "[1, 2]",
        "[1, 255]",
        "[1, 255]",
    ];
    let answers: Vec<String> = app.request("GET", "typed-arrays", "/").send().expect_status(200).json();
    assert_eq!(answers, expected);
}

#[test]
fn what_the_standard_library_cannot_do_says_what_does_it_here() {
    let app = pitfalls();
    for (which, way_out) in [
        ("time", "`realgar::now_ms()`"),
        ("instant", "`realgar::now_ms()`"),
        ("sleep", "`realgar::sleep(..).await`"),
        ("thread", "a Worker has no threads"),
    ] {
        let failed = app.object("pitfalls", "Pit", "standard").call("standard", &json!([which])).unwrap_err();
        assert_eq!(failed.code, "panicked");
        assert!(failed.message.contains(way_out), "{which}: {failed:?}");
    }
}

#[test]
fn a_type_that_is_called_like_a_result_is_a_value() {
    let app = pitfalls();
    let failed = app.object("pitfalls", "Pit", "pit").call("search", &json!([])).unwrap_err();
    assert!(failed.message.contains("it returned a stream"), "{failed:?}");
}
