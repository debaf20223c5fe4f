//! The one alarm that the platform has for an object.
//!
//! It is never later than the next event, or than the alarm that the program set itself. Without a table of events, the
//! program's alarm is the platform's alarm. Once the table exists, the program's alarm is a row in it.

use crate::{Error, Result, runtime::js};
use std::cell::Cell;
use wasm_bindgen::JsValue;

/// The platform refuses to set an alarm to the beginning of 1970.
pub(crate) const FIRST_TIME_MS: u64 = 1;

/// What is known of the platform's alarm.
#[derive(Debug)]
pub(super) struct Timer {
    storage: JsValue,
    /// What the alarm is set to. `None`: not set, or not known.
    armed: Cell<Option<u64>>,
    /// Whether a test stands in for the clock. Then the test wakes the object, and the alarm is not set.
    pub(super) frozen: bool,
}

impl Timer {
    pub(super) fn new(storage: JsValue) -> Self {
        Self { storage, armed: Cell::default(), frozen: js::clock_is_frozen() }
    }

    pub(super) fn storage(&self) -> &JsValue {
        &self.storage
    }

    pub(super) fn armed(&self) -> Option<u64> {
        self.armed.get()
    }

    /// Notes what the alarm is set to. `None`: not set, or not known.
    pub(super) fn note(&self, armed: Option<u64>) {
        self.armed.set(armed);
    }

    /// Asks the platform what the alarm is set to.
    pub(super) async fn ask(&self) -> Result<Option<u64>> {
        let alarm = crate::runtime::promise::awaited(js::invoke0(&self.storage, "getAlarm")).await?.as_f64();
        Ok(alarm.map(|time| time as u64))
    }

    /// Waits until everything that has been written is durable.
    pub(super) async fn sync(&self) -> Result<()> {
        crate::runtime::promise::awaited(js::invoke0(&self.storage, "sync")).await.map(drop)
    }

    /// Sets the alarm.
    pub(super) fn arm(&self, time: u64) -> Result<()> {
        if !self.frozen {
            js::set_alarm(&self.storage, time.max(FIRST_TIME_MS) as f64).map_err(Error::from_js)?;
        }
        self.armed.set(Some(time));
        Ok(())
    }
}
