//! Objects with a wasm instance each, against those that share one: how long they take to start and to answer, and their memory.

use crate::{Row, memory::resident_kib, rounds::median};
use realgar_bundle::Bundle;
use realgar_test::{App, Profile, bundle};
use std::time::Instant;

/// How many there are at once.
const OBJECTS: usize = 200;
const CALLS: usize = 20;
/// Each starts a runtime of its own. The first one warms up and does not count.
const ROUNDS: usize = 5;
const CASES: [(&str, &str); 3] = [("start200", "us"), ("call", "us"), ("memory200", "KiB")];

pub(crate) fn run() -> Result<Vec<Row>, String> {
    let bundle = bundle("bench/workers/isolated", Profile::Release)?;
    let mut sides: [[Vec<f64>; 3]; 2] = Default::default();
    for round in 0..=ROUNDS {
        for (class, all) in ["alone", "shared"].into_iter().zip(&mut sides) {
            let figures = measure(&bundle, class)?;
            if round > 0 {
                all.iter_mut().zip(figures).for_each(|(all, figure)| all.push(figure));
            }
        }
    }
    let [ours, other] = sides.map(|side| side.map(median));
    let cases = CASES.into_iter().zip(ours).zip(other);
    Ok(cases.map(|(((case, unit), ours), other)| Row { case, vs: "shared", ours, other, unit }).collect())
}

/// Of one object: the time of its first call, and of a later one; and its memory.
fn measure(bundle: &Bundle, class: &str) -> Result<[f64; 3], String> {
    let app = App::builder().bundle(bundle.clone()).try_start()?;
    let timed = |objects: usize, calls: usize| -> Result<f64, String> {
        let started = Instant::now();
        let least: u32 = app.get(&format!("/{class}/{objects}/{calls}")).try_send()?.expect_status(200).json();
        if least == 0 {
            return Err("an object did not count".into());
        }
        Ok(started.elapsed().as_secs_f64() * 1e6 / (objects * calls) as f64)
    };
    let _ = timed(1, 1)?;
    let before = resident_kib()?;
    let start = timed(OBJECTS, 1)?;
    let memory = (resident_kib()? - before) / OBJECTS as f64;
    let call = timed(OBJECTS, CALLS)?;
    Ok([start, call, memory])
}
