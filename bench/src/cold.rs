//! From the start of the runtime to the first response, which runs the Worker's top level, its Phase 1, and for an object its
//! Phase 2.

use crate::{Row, rounds::median, workers_rs};
use realgar_test::{App, Bundle, Profile, bundle};
use std::time::Instant;

/// How often each side is measured, in turn. The first one warms up and does not count.
const ROUNDS: usize = 11;

pub(crate) fn run() -> Result<Vec<Row>, String> {
    let javascript = |path: &str| realgar_bundle::read_plain(path.as_ref()).map_err(|error| error.to_string());
    let classes = "[[durable_objects.bindings]]\nname = \"Adder\"\nclass_name = \"Adder\"\n\n\
                   [[migrations]]\ntag = \"v1\"\nnew_sqlite_classes = [\"Adder\"]\n";
    let sides = [
        bundle("bench/workers/calls", Profile::Release)?,
        javascript("bench/javascript/objects")?,
        workers_rs::build("bench/workers/calls-workers-rs", "calls-workers-rs", classes)?,
    ];
    let [ours, js, workers_rs] = medians(&sides)?;
    let row = |vs, other| Row { case: "first_response", vs, ours, other, unit: "ms" };
    Ok(vec![row("js", js), row("workers-rs", workers_rs)])
}

/// The median time in milliseconds, for each Worker: from the start of workerd to the answer of one call of an object.
fn medians<const N: usize>(sides: &[Bundle; N]) -> Result<[f64; N], String> {
    let apps = sides.each_ref().map(|bundle| App::builder().bundle(bundle.clone()).try_start());
    let mut times = [(); N].map(|()| Vec::with_capacity(ROUNDS));
    for (app, times) in apps.into_iter().zip(&mut times) {
        let app = app?;
        for round in 0..=ROUNDS {
            let started = Instant::now();
            app.restart();
            let _ = app.get("/1").send().expect_status(200);
            if round > 0 {
                times.push(started.elapsed().as_secs_f64() * 1e3);
            }
        }
    }
    Ok(times.map(median))
}
