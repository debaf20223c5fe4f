//! The latency of `increment(u64) -> u64`, sequentially, through real stubs on one workerd.

use crate::{Row, rounds, workers_rs};
use realgar_test::{App, Profile, bundle};

/// Calls in one measurement.
const CALLS: u32 = 4_000;
pub(crate) fn run() -> Result<Vec<Row>, String> {
    let classes = "[[durable_objects.bindings]]\nname = \"Adder\"\nclass_name = \"Adder\"\n\n\
                   [[migrations]]\ntag = \"v1\"\nnew_sqlite_classes = [\"Adder\"]\n";
    let app = App::builder()
        .bundle(bundle("bench/workers/calls", Profile::Release)?)
        .bundle(workers_rs::build("bench/workers/calls-workers-rs", "calls-workers-rs", classes)?)
        .plain("bench/javascript/objects")
        .plain("bench/javascript/driver")
        .try_start()?;
    let loops = [("driver", "realgar/"), ("driver", "js/"), ("calls", ""), ("objects", ""), ("calls-workers-rs", "")];
    let loops = loops.map(|(script, target)| (script, format!("/{target}{CALLS}")));
    let [realgar, js, rust_to_rust, js_to_js, workers_rs] = rounds::medians(&app, &loops, f64::from(CALLS));
    let row = |case, vs, ours, other| Row { case, vs, ours, other, unit: "us" };
    Ok(vec![
        row("increment", "js", realgar, js),
        row("increment_from_rust", "js", rust_to_rust, js_to_js),
        row("increment_from_rust", "workers-rs", rust_to_rust, workers_rs),
    ])
}
