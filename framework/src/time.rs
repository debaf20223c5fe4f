//! Timers.

use crate::{js, promise::settled};
use std::time::Duration;

/// Waits for `duration`, rounded to whole milliseconds. Dropping the future leaves a timer behind that does nothing.
///
/// A Durable Object that waits stays in memory, and is billed for it; work for later belongs into an alarm.
pub async fn sleep(duration: Duration) {
    // The promise is our own and never rejects.
    let _ = settled(&js::sleep(duration.as_millis() as f64)).await;
}
