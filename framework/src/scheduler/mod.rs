//! The schedule of an object: many events over its one alarm.

mod attempt;
mod cron;
mod queue;
mod row;
mod stored;
mod timer;
mod wake;
mod wakes;
mod when;

pub use cron::Cron;
pub use row::Run;
pub use when::{Missed, Overlap, Repeat, Retry, ScheduleSettings, When};

pub(crate) use timer::FIRST_TIME_MS;
pub(crate) use wake::{ALARM, EVENTS, Handlers, Handling, RawEvent, Waking};
pub(crate) use wakes::{Handled, OpenTransaction, Plain, Wakes};

use crate::{LiveObject, Result, State, codec};
use row::{Dead, Listed};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{future::Future, marker::PhantomData, rc::Rc};

/// An object with a schedule: many events, each with an id, a time and a payload, over the one alarm that the platform has for it.
///
/// ```no_run
/// # use realgar::prelude::*;
/// use realgar::{Event, OnEvent, When, cron};
/// use serde::{Deserialize, Serialize};
/// use std::time::Duration;
///
/// #[derive(Serialize, Deserialize)]
/// pub enum Job {
///     Remind { text: String },
///     Report,
/// }
///
/// # #[durable_object]
/// # pub struct Diary { state: State }
/// # impl DurableObject for Diary {
/// #     fn init(_cx: &mut Init) -> impl Instantiate<Self> {
/// #         |state: State| async { Ok(Diary { state }) }
/// #     }
/// # }
/// #[rpc]
/// impl Diary {
///     pub fn open(&self) -> Result<()> {
///         let schedule = self.state.schedule::<Self>();
///         schedule.set("tea", When::after(Duration::from_mins(3)), &Job::Remind { text: "tea".into() })?;
///         schedule.set("report", cron!("0 9 * * MON-FRI", "Europe/Berlin"), &Job::Report)?;
///         Ok(())
///     }
/// }
///
/// impl OnEvent for Diary {
///     type Payload = Job;
///
///     async fn event(&self, event: Event<Job>) -> Result<()> {
///         match event.payload {
///             Job::Remind { text } => self.remind(&text).await,
///             Job::Report => self.report().await,
///         }
///     }
/// }
/// # impl Diary {
/// #     async fn remind(&self, _: &str) -> Result<()> { Ok(()) }
/// #     async fn report(&self) -> Result<()> { Ok(()) }
/// # }
/// ```
///
/// An object may also have its own alarm beside its schedule: see [`crate::OnAlarm`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no handler of events",
    note = "implement `OnEvent` for it: `type Payload = ..; async fn event(&self, event: Event<Self::Payload>) -> Result<()>`"
)]
pub trait OnEvent: LiveObject {
    /// The type of the data that an event carries, stored as JSON. A version of the program with another payload type must still be
    /// able to read it. Otherwise the event fails until a version runs that can.
    type Payload: Serialize + DeserializeOwned + 'static;

    /// How the events of this class run.
    const SCHEDULE: ScheduleSettings = ScheduleSettings::new();

    /// Handles an event. The handler runs at least once: an event is removed only after the handler returned `Ok`. If the handler
    /// fails or panics, or the machine fails, the event runs again after a pause, and after its last attempt becomes a dead letter:
    /// see [`Retry`]. What the handler stores is stored together with the fact that the event ran, if no `await` is between them.
    ///
    /// Events begin in the order of their due times. Events that are due at the same time begin in the order in which they were
    /// scheduled.
    fn event(&self, event: Event<Self::Payload>) -> impl Future<Output = Result<()>>;
}

/// An event that is due.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Event<P> {
    /// Its id.
    pub id: String,
    /// The data that the event carries.
    pub payload: P,
    /// The time for which this run is due, in milliseconds since 1970. It is the same for every attempt of the run. For a run that
    /// makes up for missed ones, it is the time that [`Missed`] says; for a dead letter that is replayed, the time of the replay.
    pub due_ms: u64,
    /// When the event was due for the first time: before `due_ms` if this is a dead letter that was replayed.
    pub first_due_ms: u64,
    /// The number of this attempt, from 1 on. Attempts that were interrupted because the machine ended count here, but not as
    /// failures: see [`Retry`].
    pub attempt: u32,
}

/// The schedule of one object. Every operation is stored at once, without an `await`. Inside a transaction, such as
/// [`crate::Storage::transaction_sync`], it is part of that transaction.
#[derive(Clone, Debug)]
pub struct Schedule<P> {
    wakes: Rc<Wakes>,
    payload: PhantomData<fn(P) -> P>,
}

impl State {
    /// The schedule of an object that handles its events as [`OnEvent`].
    #[must_use]
    pub fn schedule<T: OnEvent>(&self) -> Schedule<T::Payload> {
        self.schedule_of()
    }

    /// The schedule of an object that handles its events itself, with [`State::process_scheduled_events`].
    #[must_use]
    pub fn schedule_of<P>(&self) -> Schedule<P> {
        Schedule { wakes: self.wakes().clone(), payload: PhantomData }
    }

    /// Schedules an event for [`State::process_scheduled_events`]. This is [`Schedule::set`] on [`State::schedule_of`].
    ///
    /// # Errors
    /// As [`Schedule::set`].
    pub fn schedule_event<P: Serialize>(&self, id: &str, when: impl Into<When>, payload: &P) -> Result<u64> {
        self.schedule_of().set(id, when, payload)
    }

    /// Handles the events that are due. An object that does not implement [`OnEvent`] calls this in [`crate::OnAlarm::alarm`]. An
    /// event is removed when `handler` returned `Ok` for it, and tried again later if `handler` failed. Returns how many events
    /// succeeded.
    ///
    /// ```no_run
    /// # use realgar::{Alarm, Event, Result, State};
    /// # use std::time::Duration;
    /// # async fn remind(_: String) -> Result<()> { Ok(()) }
    /// # fn in_a_method(state: &State) -> Result<()> {
    /// state.schedule_event("tea", Duration::from_mins(3), &"your tea")?;
    /// # Ok(()) }
    /// # async fn in_the_alarm(state: &State) -> Result<()> {
    /// state.process_scheduled_events(async |event: Event<String>| remind(event.payload).await).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn process_scheduled_events<P: DeserializeOwned>(
        &self,
        handler: impl AsyncFn(Event<P>) -> Result<()>,
    ) -> Result<u64> {
        wake::process(self.wakes(), handler).await
    }
}

impl<P> Schedule<P> {
    /// Schedules an event. A waiting event with this id is replaced; if it is a repeating event with the same plan, it keeps its
    /// rhythm and gets the new payload. A running event with this id is not stopped, and the new event does not wait for it. `when`
    /// is a [`When`]; a [`std::time::Duration`], for a single run that long from now; or a [`Cron`]. Returns when the event is next
    /// due, in milliseconds since 1970.
    ///
    /// # Errors
    /// When the id has more than 2,048 bytes or a NUL, or stands for the object's own alarm (`realgar:alarm`, `realgar:retry`);
    /// when the payload cannot be encoded or has more than 2 MB; when the time is beyond the year 2255, the time zone of a cron
    /// expression does not exist, or an interval is zero; or when the storage fails.
    pub fn set(&self, id: &str, when: impl Into<When>, payload: &P) -> Result<u64>
    where
        P: Serialize,
    {
        self.wakes.schedule(id, &when.into(), &codec::json::to_text(payload)?)
    }

    /// Removes an event. Returns whether there was one. A running event is not stopped, but is not tried again if it fails.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn cancel(&self, id: &str) -> Result<bool> {
        self.wakes.cancel(id)
    }

    /// Makes a waiting event run now. A repeating event runs one additional time. Returns whether an event with this id was
    /// waiting.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn run_now(&self, id: &str) -> Result<bool> {
        self.wakes.run_now(id)
    }

    /// The event with this id.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn get(&self, id: &str) -> Result<Option<Pending<P>>> {
        Ok(self.wakes.get(id)?.map(Pending::new))
    }

    /// The first `limit` events, in the order in which they will run.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn list(&self, limit: u32) -> Result<Vec<Pending<P>>> {
        self.list_after(&Cursor::default(), limit)
    }

    /// The next page of events: the first `limit` events after `cursor`, which is the [`Pending::cursor`] of the last event of the
    /// page before. Each event is on one page, unless it is scheduled anew, or its handler runs, between two calls.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn list_after(&self, cursor: &Cursor, limit: u32) -> Result<Vec<Pending<P>>> {
        let listed = self.wakes.list((cursor.next_ms, cursor.number), limit)?;
        Ok(listed.into_iter().map(Pending::new).collect())
    }

    /// The first `limit` dead letters, the oldest first. A dead letter is an event that failed at its last attempt. It stays until
    /// it is replayed or dropped. Their number has no limit: a repeating event goes on after each failed run, so an event that
    /// always fails leaves a dead letter for each of its runs.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn dead_letters(&self, limit: u32) -> Result<Vec<DeadLetter<P>>> {
        self.dead_letters_after(0, limit)
    }

    /// The next page of dead letters: the first `limit` after the one with this [number](DeadLetter::number), which is that of the
    /// last dead letter of the page before.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn dead_letters_after(&self, number: u64, limit: u32) -> Result<Vec<DeadLetter<P>>> {
        let dead = self.wakes.dead_letters(number, limit)?;
        Ok(dead.into_iter().map(|dead| DeadLetter { dead, payload: PhantomData }).collect())
    }

    /// Makes a dead letter run once more, now, as an event with its id, or with `{id}#{number}` if another event has that id. It is
    /// tried as often as the first time. Returns whether there was a dead letter with this number.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn replay(&self, number: u64) -> Result<bool> {
        self.wakes.replay(number)
    }

    /// Deletes a dead letter. Returns whether there was one with this number.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn drop_dead_letter(&self, number: u64) -> Result<bool> {
        self.wakes.drop_dead_letter(number)
    }
}

/// A position in the list of events, after which the next page begins: see [`Schedule::list_after`]. It may be sent to a client and
/// back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    next_ms: u64,
    number: u64,
}

/// An event that is waiting or running. Times are in milliseconds since 1970.
#[derive(Debug)]
pub struct Pending<P> {
    row: Listed,
    payload: PhantomData<fn() -> P>,
}

impl<P> Pending<P> {
    fn new(row: Listed) -> Self {
        Self { row, payload: PhantomData }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.row.id
    }

    /// The time for which its next run is due. If a run failed and will be tried again, this is the time for which that run was
    /// due.
    #[must_use]
    pub fn due_ms(&self) -> u64 {
        self.row.due
    }

    /// When the event was due for the first time: before [`Pending::due_ms`] if it is a dead letter that was replayed.
    #[must_use]
    pub fn first_due_ms(&self) -> u64 {
        self.row.first_due()
    }

    /// The event's position in the list, for [`Schedule::list_after`].
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor { next_ms: self.row.next_at, number: self.row.seq }
    }

    /// When the event runs next. This is later than [`Pending::due_ms`] if the run has failed before.
    #[must_use]
    pub fn next_ms(&self) -> u64 {
        self.row.next_at
    }

    /// How often the current run was tried.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.row.attempts
    }

    /// Whether its handler is running.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.row.started_at.is_some()
    }

    /// How it repeats, if it does.
    ///
    /// # Errors
    /// When another version of the program stored the plan in a way that this version cannot read. The event waits for a version
    /// that can.
    pub fn repeat(&self) -> Result<Option<Repeat>> {
        Ok(self.row.plan()?.repeat)
    }

    /// The event's last runs, ten at most, the oldest first. For an event that runs once, these are the attempts that failed.
    #[must_use]
    pub fn history(&self) -> Vec<Run> {
        self.row.runs()
    }

    /// The data that the event carries.
    ///
    /// # Errors
    /// When the payload is not a `P`.
    pub fn payload(&self) -> Result<P>
    where
        P: DeserializeOwned,
    {
        decode(&self.row.payload)
    }
}

/// An event that failed at its last attempt. Times are in milliseconds since 1970.
#[derive(Debug)]
pub struct DeadLetter<P> {
    dead: Dead,
    payload: PhantomData<fn() -> P>,
}

impl<P> DeadLetter<P> {
    /// The number by which [`Schedule::replay`] and [`Schedule::drop_dead_letter`] identify it.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.dead.number
    }

    /// The id that the event had.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.dead.id
    }

    /// When the event was due. If it was replayed and failed again, this is when it was due for the first time.
    #[must_use]
    pub fn due_ms(&self) -> u64 {
        self.dead.due
    }

    /// When it failed for the last time.
    #[must_use]
    pub fn died_ms(&self) -> u64 {
        self.dead.died_at
    }

    /// How often the event was tried.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.dead.attempts
    }

    /// Why the last attempt failed.
    #[must_use]
    pub fn error(&self) -> &str {
        &self.dead.error
    }

    /// Its last runs, ten at most, the oldest first.
    #[must_use]
    pub fn history(&self) -> Vec<Run> {
        self.dead.runs()
    }

    /// The data that the event carried.
    ///
    /// # Errors
    /// When the payload is not a `P`.
    pub fn payload(&self) -> Result<P>
    where
        P: DeserializeOwned,
    {
        decode(&self.dead.payload)
    }
}

fn decode<P: DeserializeOwned>(payload: &str) -> Result<P> {
    codec::json::parse(payload).map_err(|error| error.inside("payload").into())
}
