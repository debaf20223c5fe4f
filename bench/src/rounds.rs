//! Measurements in turn: each round measures every side once, so that what else the machine does hits all of them.

use realgar_test::App;
use std::time::Instant;

/// Measurements of each side. The first one warms up and does not count.
const ROUNDS: usize = 11;

/// The median time of one of the `parts` of a request in microseconds, for each request: a Worker and a path.
pub(crate) fn medians<const N: usize>(app: &App, requests: &[(&str, String); N], parts: f64) -> [f64; N] {
    let mut times = [(); N].map(|()| Vec::with_capacity(ROUNDS));
    for round in 0..=ROUNDS {
        for ((script, path), times) in requests.iter().zip(&mut times) {
            let started = Instant::now();
            let _ = app.request("GET", script, path).send().expect_status(200);
            if round > 0 {
                times.push(started.elapsed().as_secs_f64() * 1e6 / parts);
            }
        }
    }
    times.map(median)
}

/// The mean of the half in the middle: of times that a clock of milliseconds tells, the one in the middle is a step of that clock.
pub(crate) fn mid_mean(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    let outside = times.len() / 4;
    let middle = &times[outside..times.len() - outside];
    middle.iter().sum::<f64>() / middle.len() as f64
}

/// The one in the middle.
pub(crate) fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
