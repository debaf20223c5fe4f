//! An object with a schedule whose events write a row each.

use realgar::{Event, Namespace, OnEvent, When, now_ms, prelude::*};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub struct Job {
    number: u32,
}

#[durable_object]
pub struct Timers {
    state: State,
}

impl DurableObject for Timers {
    fn init(_cx: &mut Init) -> impl Instantiate<Self> {
        |state: State| async {
            state.sql().execute("CREATE TABLE IF NOT EXISTS done (id TEXT, at INTEGER)", ())?;
            Ok(Timers { state })
        }
    }
}

#[rpc]
impl Timers {
    /// Schedules so many events for `at`.
    pub fn schedule(&self, count: u32, at: u64, prefix: String) -> Result<()> {
        let schedule = self.state.schedule::<Self>();
        (0..count)
            .try_for_each(|number| schedule.set(&format!("{prefix}{number}"), When::at(at), &Job { number }).map(drop))
    }

    /// How many ran, and when the last one did.
    pub fn done(&self) -> Result<(u32, u64)> {
        self.state.sql().query_one("SELECT count(*), coalesce(max(at), 0) FROM done", ())
    }

    /// When the first event ran after `time`; 0 if none did.
    pub fn after(&self, time: u64) -> Result<u64> {
        self.state.sql().query_one("SELECT coalesce(min(at), 0) FROM done WHERE at > ?", (time,))
    }

    pub fn clear(&self) -> Result<()> {
        let schedule = self.state.schedule::<Self>();
        for event in schedule.list(u32::MAX)? {
            schedule.cancel(event.id())?;
        }
        self.state.sql().execute("DELETE FROM done", ()).map(drop)
    }
}

impl OnEvent for Timers {
    type Payload = Job;

    async fn event(&self, event: Event<Job>) -> Result<()> {
        let _ = event.payload.number;
        self.state.sql().execute("INSERT INTO done (id, at) VALUES (?, ?)", (event.id, now_ms())).map(drop)
    }
}

#[worker(hosts(Timers))]
pub struct BenchTimers {
    timers: Namespace<Timers>,
}

impl Worker for BenchTimers {
    fn init(cx: &mut Init) -> Self {
        BenchTimers { timers: cx.bind(Timers::from::<Self>()) }
    }

    /// `/schedule/{count}/{at}/{prefix}`, `/done`, `/after/{time}`, `/clear`
    async fn fetch(&self, request: Request, _cx: &Context) -> Result<Response> {
        let path = request.path();
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let timers = self.timers.get_by_name("one");
        match parts[..] {
            ["schedule", count, at, prefix] => {
                let (count, at) = (count.parse().map_err(|_| "a count")?, at.parse().map_err(|_| "a time")?);
                timers.schedule(count, at, prefix.into()).await?;
                Ok(Response::empty()?)
            }
            ["after", time] => Ok(Response::from_json(&timers.after(time.parse().map_err(|_| "a time")?).await?)?),
            ["done"] => Ok(Response::from_json(&timers.done().await?)?),
            _ => {
                timers.clear().await?;
                Ok(Response::empty()?)
            }
        }
    }
}

realgar::export!(BenchTimers);
