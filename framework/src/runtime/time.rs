//! Timers.

use super::{
    js,
    promise::{Settled, settled},
};
use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use wasm_bindgen::JsValue;

/// The current time, in milliseconds since 1970. On the platform, the clock stands still while the program computes, and moves on
/// when it has waited for something (Cloudflare, "Security model"). A test may stand in for the clock.
#[must_use]
pub fn now_ms() -> u64 {
    js_sys::Date::now() as u64
}

/// Waits for `duration`, rounded to whole milliseconds. Dropping it stops the timer.
///
/// A Durable Object that waits stays in memory, and is billed for it: work for later belongs in an alarm.
pub fn sleep(duration: Duration) -> Sleep {
    let timer = js::sleep(duration.as_millis() as f64);
    Sleep { settled: settled(&timer), timer, ended: false }
}

/// A running timer: see [`sleep`].
#[derive(Debug)]
#[must_use = "a timer that nobody awaits is stopped"]
pub struct Sleep {
    timer: JsValue,
    settled: Settled,
    ended: bool,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // The promise is our own and never rejects.
        let state = Pin::new(&mut self.settled).poll(cx).map(drop);
        self.ended = state.is_ready();
        state
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if !self.ended {
            js::stop_sleep(&self.timer);
        }
    }
}
