//! One message to many WebSockets: from the moment that a client sends it until the last one has it.

use crate::{Row, rounds::median};
use realgar_test::{App, Frame, Profile, SocketClient, bundle};
use std::time::Instant;

/// How many sockets hear a message, and how many messages there are in a measurement.
const SOCKETS: usize = 500;
const MESSAGES: usize = 10;
/// Measurements of each side. The first one warms up and does not count.
const ROUNDS: usize = 21;

pub(crate) fn run() -> Result<Vec<Row>, String> {
    let app = App::builder()
        .bundle(bundle("bench/workers/sockets", Profile::Release)?)
        .plain("bench/javascript/sockets")
        .try_start()?;
    let open = |script: &str| -> Result<Vec<SocketClient>, String> {
        (0..SOCKETS).map(|_| app.try_websocket_to(script, "/")).collect()
    };
    let mut sides = [open("sockets")?, open("javascript-sockets")?];
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..=ROUNDS {
        for (sockets, times) in sides.iter_mut().zip(&mut times) {
            let time = broadcast(sockets)?;
            if round > 0 {
                times.push(time);
            }
        }
    }
    let [ours, other] = times.map(median);
    Ok(vec![Row { case: "sockets500", vs: "js", ours, other, unit: "us" }])
}

/// The time that a message takes, in microseconds.
fn broadcast(sockets: &mut [SocketClient]) -> Result<f64, String> {
    let message = "x".repeat(100);
    let started = Instant::now();
    for _ in 0..MESSAGES {
        sockets[0].send_text(&message);
        for socket in &mut *sockets {
            match socket.next_frame() {
                Frame::Text(text) if text == message => {}
                other => return Err(format!("a socket got {other:?}")),
            }
        }
    }
    Ok(started.elapsed().as_secs_f64() * 1e6 / MESSAGES as f64)
}
