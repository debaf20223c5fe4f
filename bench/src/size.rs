//! Bundle sizes, gzip as the platform counts them.

use crate::{Row, workers_rs};
use realgar_test::{Bundle, Profile, bundle};

pub(crate) fn run() -> Result<Vec<Row>, String> {
    let bare = workers_rs::build("bench/workers/hello-workers-rs", "hello-workers-rs", "")?;
    let ours = [
        ("hello", bundle("bench/workers/hello", Profile::Release)?),
        ("counter", bundle("examples/counter", Profile::Release)?),
        // An object with methods and a schedule; and one with all that an object lives from.
        ("timers", bundle("bench/workers/timers", Profile::Release)?),
        ("everything", bundle("bench/workers/everything", Profile::Release)?),
    ];
    // worker-build keeps the names of all functions in the module; without them is the like for like.
    let (stock, stripped) = (size(&bare)?, stripped_size(&bare)?);
    let mut rows = Vec::new();
    for (case, bundle) in &ours {
        let own = size(bundle)?;
        for (vs, other) in [("workers-rs", stripped), ("workers-rs-as-built", stock)] {
            rows.push(Row { case, vs, ours: own.1, other: other.1, unit: "B gz" });
        }
        rows.push(Row { case: raw(case), vs: "workers-rs", ours: own.0, other: stripped.0, unit: "B raw" });
    }
    Ok(rows)
}

fn raw(case: &str) -> &'static str {
    match case {
        "hello" => "hello-raw",
        "counter" => "counter-raw",
        "timers" => "timers-raw",
        _ => "everything-raw",
    }
}

fn size(bundle: &Bundle) -> Result<(f64, f64), String> {
    let size = bundle.size().map_err(|error| error.to_string())?;
    Ok((size.raw as f64, size.gzip as f64))
}

fn stripped_size(bundle: &Bundle) -> Result<(f64, f64), String> {
    let size = bundle.size_without_custom_sections().map_err(|error| error.to_string())?;
    Ok((size.raw as f64, size.gzip as f64))
}
