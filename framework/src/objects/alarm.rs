//! The one alarm of an object, with which the object has the platform wake it at a time it chooses.

use crate::{
    Error, LiveObject, Result, Storage,
    runtime::{js, promise::awaited},
    scheduler::FIRST_TIME_MS,
};
use std::{future::Future, time::Duration};

/// An object that is woken by its alarm, which [`Storage::set_alarm`] sets.
///
/// ```no_run
/// # use realgar::prelude::*;
/// use realgar::{Alarm, OnAlarm};
/// use std::time::Duration;
///
/// # #[durable_object]
/// # pub struct Heart { state: State }
/// # impl DurableObject for Heart {
/// #     fn init(_cx: &mut Init) -> impl Instantiate<Self> {
/// #         |state: State| async { Ok(Heart { state }) }
/// #     }
/// # }
/// impl OnAlarm for Heart {
///     async fn alarm(&self, _alarm: Alarm) -> Result<()> {
///         let beats = self.state.storage().get("beats").await?.unwrap_or(0);
///         self.state.storage().put("beats", &(beats + 1)).await?;
///         self.state.storage().set_alarm_after(Duration::from_secs(1)).await
///     }
/// }
/// ```
pub trait OnAlarm: LiveObject {
    /// Handles the alarm. The handler runs at least once. If it fails or panics, or the machine fails, the platform calls it again,
    /// up to six times: after 2 s at first, and after twice as long each time (Cloudflare's "Alarms"). An alarm that is set
    /// meanwhile replaces these retries.
    fn alarm(&self, alarm: Alarm) -> impl Future<Output = Result<()>>;
}

/// An alarm that went off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// How often the alarm failed before: 0 at the first attempt.
    pub retries: u32,
    /// The time it was set to, in milliseconds since 1970, if the platform tells.
    pub time_ms: Option<u64>,
}

impl Storage {
    /// When the alarm goes off, in milliseconds since 1970. `None` if no alarm is set, and while its handler runs.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn alarm(&self) -> Result<Option<u64>> {
        if self.wakes().has_table()? {
            return self.wakes().alarm();
        }
        Ok(awaited(js::invoke0(self.raw(), "getAlarm")).await?.as_f64().map(|time| time as u64))
    }

    /// Sets the alarm to `time_ms`, in milliseconds since 1970, in place of an earlier setting. If that time has passed, the alarm
    /// goes off at once.
    ///
    /// There are no options. All objects use SQLite, and for these the platform accepts `allowConcurrency` and `allowUnconfirmed`
    /// but ignores them (workerd, `actor-sqlite.c++`).
    ///
    /// # Errors
    /// When the class does not implement [`OnAlarm`], or the storage fails.
    pub async fn set_alarm(&self, time_ms: u64) -> Result<()> {
        if self.wakes().set_alarm(time_ms)? {
            return Ok(());
        }
        awaited(js::invoke1(self.raw(), "setAlarm", &(time_ms.max(FIRST_TIME_MS) as f64).into())).await.map(drop)
    }

    /// Sets the alarm to `delay` from now.
    ///
    /// # Errors
    /// As [`Storage::set_alarm`], and when `delay` is so long that the alarm would never go off.
    pub async fn set_alarm_after(&self, delay: Duration) -> Result<()> {
        let delay = u64::try_from(delay.as_millis()).ok();
        let time = delay.and_then(|delay| (js_sys::Date::now() as u64).checked_add(delay));
        self.set_alarm(time.ok_or_else(|| Error::from("the alarm would never go off"))?).await
    }

    /// Deletes the alarm, if one is set.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn delete_alarm(&self) -> Result<()> {
        if self.wakes().delete_alarm()? {
            return Ok(());
        }
        awaited(js::invoke0(self.raw(), "deleteAlarm")).await.map(drop)
    }
}
