//! Composite values through both lanes, streams, and rows of SQL, on one workerd.

use crate::{Row, rounds, workers_rs};
use realgar_test::{App, Profile, bundle};

/// How many structs there are in a call, and how many calls in a measurement.
const SIZES: [(&str, u32, u32); 3] = [("structs1", 1, 2_000), ("structs100", 100, 300), ("structs1000", 1000, 30)];

/// How many calls with a number there are in a measurement.
const SCALARS: u32 = 4_000;

/// How many rows a statement or a loop of them is about, and how many calls there are in a measurement.
const ROWS: (u32, u32) = (1000, 20);

/// How many KiB a stream has, and how many streams there are in a measurement.
const STREAM: (u32, u32) = (100_000, 1);
const FIRST_ITEMS: u32 = 500;

fn app() -> Result<App, String> {
    let objects =
        "[[durable_objects.bindings]]\nname = \"Echo\"\nclass_name = \"Echo\"\nscript_name = \"javascript-values\"\n";
    App::builder()
        .bundle(bundle("bench/workers/values", Profile::Release)?)
        .bundle(workers_rs::build("bench/workers/values-workers-rs", "values-workers-rs", objects)?)
        .plain("bench/javascript/values")
        .try_start()
}

/// Values, from Rust: to Rust as bytes and natively, to JavaScript natively and with serde-wasm-bindgen; and from JavaScript to
/// JavaScript.
pub(crate) fn codec() -> Result<Vec<Row>, String> {
    let app = app()?;
    let scalars = [("values", format!("/number/1/{SCALARS}")), ("javascript-values", format!("/number/1/{SCALARS}"))];
    let [number, js_number] = rounds::medians(&app, &scalars, f64::from(SCALARS));
    let mut rows = vec![Row { case: "scalar", vs: "js", ours: number, other: js_number, unit: "us" }];
    for (case, size, calls) in SIZES {
        let paths = [
            ("values", format!("/bytes/{size}/{calls}")),
            ("values", format!("/native/{size}/{calls}")),
            ("values", format!("/javascript/{size}/{calls}")),
            ("values-workers-rs", format!("/{size}/{calls}")),
            ("javascript-values", format!("/echo/{size}/{calls}")),
        ];
        let [bytes, native, to_js, swb, js] = rounds::medians(&app, &paths, f64::from(calls));
        let row = |vs, ours, other| Row { case, vs, ours, other, unit: "us" };
        rows.extend([
            row("rust-as-js-objects", bytes, native),
            row("js", bytes, js),
            row("serde-wasm-bindgen", to_js, swb),
            row("native-lane-vs-js", native, js),
        ]);
    }
    Ok(rows)
}

/// Streams: ours are of items that are encoded and decoded, the other is of bytes that are only filled in.
pub(crate) fn stream() -> Result<Vec<Row>, String> {
    let app = app()?;
    let (size, count) = STREAM;
    let paths = [
        ("values", format!("/stream/{size}/{count}")),
        ("javascript-values", format!("/stream/{size}/{count}")),
        ("javascript-values", format!("/wide/{size}/{count}")),
    ];
    let [ours, js, wide] = rounds::medians(&app, &paths, f64::from(size * count) / 1024.0);
    let paths =
        [("values", format!("/first/1/{FIRST_ITEMS}")), ("javascript-values", format!("/first/1/{FIRST_ITEMS}"))];
    let [first, js_first] = rounds::medians(&app, &paths, f64::from(FIRST_ITEMS));
    Ok(vec![
        Row { case: "throughput1k", vs: "js", ours, other: js, unit: "us/MiB" },
        Row { case: "throughput1k", vs: "js-chunks-of-256k", ours, other: wide, unit: "us/MiB" },
        Row { case: "first_item", vs: "js", ours: first, other: js_first, unit: "us" },
    ])
}

/// Rows of a table, in an object: written one by one, and read at once. The time of one row.
pub(crate) fn sql() -> Result<Vec<Row>, String> {
    let app = app()?;
    let (rows, calls) = ROWS;
    let measure = |what: &str| {
        let path = format!("/{what}/{rows}/{calls}");
        rounds::medians(&app, &[("values", path.clone()), ("javascript-values", path)], f64::from(rows * calls))
    };
    let ([write, js_write], [read, js_read]) = (measure("write"), measure("read"));
    Ok(vec![
        Row { case: "write1000", vs: "js", ours: write, other: js_write, unit: "us" },
        Row { case: "read1000", vs: "js", ours: read, other: js_read, unit: "us" },
    ])
}
