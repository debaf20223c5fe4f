//! Deadlines: how long a call may take, with everything that it calls in turn.
//!
//! A deadline is part of a call. The calls that are made inside of it get what is left of it, so that the last hop gives up when
//! the first one does. A deadline travels as a duration, because two machines need not agree what time it is. So the time on the
//! way is not counted, but the time that an object takes to start is.

use crate::sleep;
use std::{
    cell::Cell,
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};

thread_local! {
    /// The deadline of what is being polled, in milliseconds since 1970. Infinite if there is none.
    static CURRENT: Cell<f64> = const { Cell::new(f64::INFINITY) };
}

/// The deadline has passed. What was under way has been dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Elapsed {
    limit: Duration,
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the deadline of {} ms has passed", self.limit.as_millis() as u64)
    }
}

/// Runs `future`, and drops it if it takes longer than `limit`. RPC calls inside of it carry what is left of the time, and so do
/// the calls that those make; the nearest deadline counts. A transaction that has begun runs to its end and is then rolled back. A
/// call that returns a stream has met its deadline once the stream is there: its producer then has no deadline, and ends when the
/// stream is dropped.
///
/// ```no_run
/// # use realgar::{deadline, Result};
/// # use std::time::Duration;
/// # async fn example(answer: impl Future<Output = Result<u64>>) -> Result<u64> {
/// deadline(Duration::from_secs(2), answer).await.map_err(|elapsed| elapsed.to_string())?
/// # }
/// ```
///
/// # Errors
/// When `future` takes longer. What a call did until then is not undone.
pub async fn deadline<F: Future>(limit: Duration, future: F) -> Result<F::Output, Elapsed> {
    let at = now() + limit.as_millis() as f64;
    until(at, future).await.ok_or(Elapsed { limit })
}

/// Runs `future` until `at`. `None` if it was not done by then.
pub(crate) async fn until<F: Future>(at: f64, future: F) -> Option<F::Output> {
    let at = at.min(CURRENT.get());
    let left = Duration::from_millis((at - now()).max(0.0) as u64);
    let (mut future, mut timer) = (pin!(future), pin!(sleep(left)));
    poll_fn(|cx| {
        if let Poll::Ready(output) = within(at, || future.as_mut().poll(cx)) {
            return Poll::Ready(Some(output));
        }
        timer.as_mut().poll(cx).map(|()| None)
    })
    .await
}

/// What is left of the nearest deadline, in milliseconds; infinite where there is none.
pub(crate) fn remaining() -> f64 {
    match CURRENT.get() {
        // Without a deadline, JavaScript is not asked for the time.
        never if never.is_infinite() => f64::INFINITY,
        at => (at - now()).max(0.0),
    }
}

/// The deadline of what has `remaining` milliseconds left.
pub(crate) fn at(remaining: f64) -> f64 {
    now() + remaining
}

/// The deadline of what is being polled.
pub(crate) fn current() -> f64 {
    CURRENT.get()
}

/// Runs `body` with the deadline `at`.
pub(crate) fn within<T>(at: f64, body: impl FnOnce() -> T) -> T {
    let outer = CURRENT.replace(at);
    let result = body();
    CURRENT.set(outer);
    result
}

fn now() -> f64 {
    js_sys::Date::now()
}
