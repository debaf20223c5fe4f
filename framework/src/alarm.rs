//! The one alarm of an object: the platform wakes it at a time of its choosing.

use crate::{Error, LiveObject, Result, Storage, js, scheduler::FIRST_TIME_MS, storage::settled};
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
    /// Handles the alarm. It runs at least once: where it fails or panics, or the machine does, the platform calls it again, after
    /// 2 s at first, twice as long each time, and up to six times (Cloudflare's "Alarms"). An alarm that is set meanwhile takes the
    /// place of those.
    fn alarm(&self, alarm: Alarm) -> impl Future<Output = Result<()>>;
}

/// An alarm that went off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// How often it failed before: 0 the first time.
    pub retries: u32,
    /// When it was to go off, in milliseconds since 1970, where the platform tells.
    pub time_ms: Option<u64>,
}

impl Storage {
    /// When the alarm goes off, in milliseconds since 1970. `None` where none is set, and while its handler runs.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn alarm(&self) -> Result<Option<u64>> {
        if self.wakes().has_table()? {
            return self.wakes().alarm();
        }
        Ok(settled(js::invoke0(self.raw(), "getAlarm")).await?.as_f64().map(|time| time as u64))
    }

    /// Has the alarm go off at `time_ms`, in milliseconds since 1970, instead of when it was set to; at once if that has passed.
    ///
    /// There are no options: of objects with SQLite, and all are, the platform takes `allowConcurrency` and `allowUnconfirmed` and does
    /// nothing with them (workerd, `actor-sqlite.c++`).
    ///
    /// # Errors
    /// When the class does not implement [`OnAlarm`], or the storage fails.
    pub async fn set_alarm(&self, time_ms: u64) -> Result<()> {
        if self.wakes().set_alarm(time_ms)? {
            return Ok(());
        }
        settled(js::invoke1(self.raw(), "setAlarm", &(time_ms.max(FIRST_TIME_MS) as f64).into())).await.map(drop)
    }

    /// The same, `delay` from now.
    ///
    /// # Errors
    /// As [`Storage::set_alarm`], and where `delay` is beyond all times.
    pub async fn set_alarm_after(&self, delay: Duration) -> Result<()> {
        let delay = u64::try_from(delay.as_millis()).ok();
        let time = delay.and_then(|delay| (js_sys::Date::now() as u64).checked_add(delay));
        self.set_alarm(time.ok_or_else(|| Error::from("the alarm would never go off"))?).await
    }

    /// Has no alarm go off.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn delete_alarm(&self) -> Result<()> {
        if self.wakes().delete_alarm()? {
            return Ok(());
        }
        settled(js::invoke0(self.raw(), "deleteAlarm")).await.map(drop)
    }
}
