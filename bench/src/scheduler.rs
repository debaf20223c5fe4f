//! Events of a Durable Object: how long it takes to schedule many, with none and with many waiting, and to run them.

use crate::{
    Row, agents,
    memory::resident_kib,
    rounds::{median, mid_mean},
};
use realgar_test::{App, Profile, bundle};
use std::{
    thread,
    time::{Duration, Instant},
};

/// Measurements of each side. The first one warms up and does not count.
const ROUNDS: usize = 16;
/// The Agents SDK takes so long that fewer must do: every fourth one.
const AGENTS_EVERY: usize = 4;
/// How often the runtime is killed, how long after events are due, and how long it has then.
const KILLS: usize = 5;
const MIDST_MS: u64 = 10;
const PATIENCE: Duration = Duration::from_secs(3);
/// It looks after 30 s.
const AGENTS_PATIENCE: Duration = Duration::from_secs(45);
const FAR_MS: u64 = 86_400_000;
const SECOND_MS: u64 = 1_000;
const CASES: [&str; 4] = ["schedule1000", "schedule1000 more", "schedule10000", "fire1000"];

/// A Worker that has them.
struct Side {
    script: &'static str,
    /// Of how many rounds it is measured in one.
    every: usize,
    times: [Vec<f64>; 4],
}

pub(crate) fn run() -> Result<Vec<Row>, String> {
    let (ours, agents) = (bundle("bench/workers/timers", Profile::Release)?, agents::folder()?);
    let app = App::builder().bundle(ours.clone()).plain("bench/javascript/timers").plain(agents.clone()).try_start()?;
    let side = |script, every| Side { script, every, times: Default::default() };
    let mut sides = [side("bench-timers", 1), side("javascript-timers", 1), side("agents-timers", AGENTS_EVERY)];
    for round in 0..=ROUNDS {
        for side in sides.iter_mut().filter(|side| round % side.every == 0) {
            let times = measure(&app, side.script)?;
            if round > 0 {
                side.times.iter_mut().zip(times).for_each(|(all, time)| all.push(time));
            }
        }
    }
    drop(app);
    let memory = [
        ("bench-timers", App::builder().bundle(ours)),
        ("javascript-timers", App::builder().plain("bench/javascript/timers")),
        ("agents-timers", App::builder().plain(agents)),
    ];
    let alone = memory.into_iter().map(|(script, app)| {
        let app = app.try_start()?;
        Ok((waiting_mib(&app, script)?, recovery_ms(&app, script)?))
    });
    let alone = alone.collect::<Result<Vec<_>, String>>()?;
    let [ours, js, agents] = sides.map(|side| side.times.map(mid_mean));
    let (memory, recovery) = alone[0];
    let rows = [("js", js, alone[1]), ("agents", agents, alone[2])].into_iter().flat_map(|(vs, other, alone)| {
        let cases = CASES.into_iter().zip(ours).zip(other);
        let times = cases.map(move |((case, ours), other)| Row { case, vs, ours, other, unit: "us" });
        times.chain([
            Row { case: "memory10000", vs, ours: memory, other: alone.0, unit: "MiB" },
            Row { case: "killed", vs, ours: recovery, other: alone.1, unit: "ms" },
        ])
    });
    Ok(rows.collect())
}

/// The memory of a runtime with 10,000 events waiting, in MiB.
fn waiting_mib(app: &App, script: &str) -> Result<f64, String> {
    let far = app.now_ms() + FAR_MS;
    get(app, script, &format!("/schedule/10000/{far}/a"))?;
    Ok(resident_kib()? / 1024.0)
}

/// The time of each case, in microseconds for an event.
fn measure(app: &App, script: &str) -> Result<[f64; 4], String> {
    let far = app.now_ms() + FAR_MS;
    get(app, script, "/clear")?;
    let one = timed(app, script, &format!("/schedule/1000/{far}/a"))? / 1e3;
    get(app, script, "/clear")?;
    let many = timed(app, script, &format!("/schedule/10000/{far}/a"))? / 1e4;
    let more = timed(app, script, &format!("/schedule/1000/{far}/b"))? / 1e3;
    get(app, script, "/clear")?;
    // The Agents SDK rounds to seconds.
    let due = (app.now_ms() / SECOND_MS + 2) * SECOND_MS;
    get(app, script, &format!("/schedule/1000/{due}/a"))?;
    // Nothing is to disturb them while they run.
    thread::sleep(Duration::from_millis(due + SECOND_MS - app.now_ms()));
    let (count, last): (u32, u64) = app.request("GET", script, "/done").send().expect_status(200).json();
    if count != 1000 {
        return Err(format!("{script} ran {count} events of 1000"));
    }
    Ok([one, more, many, (last - due) as f64])
}

/// How long after the runtime was killed, in the midst of events, the next one ran, in milliseconds: the median of some kills. Nobody
/// touches the object meanwhile.
fn recovery_ms(app: &App, script: &str) -> Result<f64, String> {
    let (kills, patience) = if script == "agents-timers" { (1, AGENTS_PATIENCE) } else { (KILLS, PATIENCE) };
    let times = (0..kills).map(|_| {
        get(app, script, "/clear")?;
        // The Agents SDK rounds to seconds.
        let due = (app.now_ms() / SECOND_MS + 4) * SECOND_MS;
        get(app, script, &format!("/schedule/3000/{due}/a"))?;
        // Until a time of the clock, and then for as long as the runtime is given: whatever looked for an event would wake the object.
        thread::sleep(Duration::from_millis((due + MIDST_MS).saturating_sub(app.now_ms())));
        let killed = app.now_ms();
        app.kill();
        thread::sleep(patience);
        let next: u64 = app.request("GET", script, &format!("/after/{killed}")).send().expect_status(200).json();
        if next == 0 {
            return Err(format!("{script} ran nothing after it was killed"));
        }
        Ok((next - killed) as f64)
    });
    times.collect::<Result<_, _>>().map(median)
}

fn timed(app: &App, script: &str, path: &str) -> Result<f64, String> {
    let started = Instant::now();
    get(app, script, path)?;
    Ok(started.elapsed().as_secs_f64() * 1e6)
}

fn get(app: &App, script: &str, path: &str) -> Result<(), String> {
    let response = app.request("GET", script, path).try_send()?;
    if response.status() == 200 { Ok(()) } else { Err(format!("{script}: {}", response.text())) }
}
