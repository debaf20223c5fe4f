//! The latency of `increment(u64) -> u64`, sequentially, through real stubs on one workerd.

use crate::{Row, workers_rs};
use realgar_test::{App, Profile, bundle};
use std::time::Instant;

/// Calls in one measurement.
const CALLS: u32 = 4_000;
/// Measurements of each side, taken in turn.
const ROUNDS: usize = 11;

/// A loop of calls: the Worker that has it, and the path without the number of calls.
type Loop = (&'static str, &'static str);

pub(crate) fn run() -> Result<Vec<Row>, String> {
    let classes = "[[durable_objects.bindings]]\nname = \"Adder\"\nclass_name = \"Adder\"\n\n\
                   [[migrations]]\ntag = \"v1\"\nnew_sqlite_classes = [\"Adder\"]\n";
    let app = App::builder()
        .bundle(bundle("bench/workers/calls", Profile::Release)?)
        .bundle(workers_rs::build("bench/workers/calls-workers-rs", "calls-workers-rs", classes)?)
        .plain("bench/javascript/objects")
        .plain("bench/javascript/driver")
        .try_start()?;
    let loops: [Loop; 5] =
        [("driver", "realgar/"), ("driver", "js/"), ("calls", ""), ("objects", ""), ("calls-workers-rs", "")];
    let [realgar, js, rust_to_rust, js_to_js, workers_rs] = medians(&app, loops);
    let row = |case, vs, ours, other| Row { case, vs, ours, other, unit: "us" };
    Ok(vec![
        row("increment", "js", realgar, js),
        row("increment_from_rust", "js", rust_to_rust, js_to_js),
        row("increment_from_rust", "workers-rs", rust_to_rust, workers_rs),
    ])
}

/// The median time of one call in microseconds, for each loop. The first round warms up and does not count.
fn medians<const N: usize>(app: &App, loops: [Loop; N]) -> [f64; N] {
    let mut times = [(); N].map(|()| Vec::with_capacity(ROUNDS));
    for round in 0..=ROUNDS {
        for (index, (script, path)) in loops.iter().enumerate() {
            let started = Instant::now();
            let _ = app.request("GET", script, &format!("/{path}{CALLS}")).send().expect_status(200);
            if round > 0 {
                times[index].push(started.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS));
            }
        }
    }
    times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    })
}
