//! Many events over the one alarm of an object.

mod cron;
mod stored;
mod table;
mod wake;
mod when;

pub use cron::Cron;
pub use table::Run;
pub use when::{Missed, Overlap, Repeat, Retry, ScheduleSettings, When};

pub(crate) use table::{FIRST_TIME_MS, Handled, OpenTransaction, Plain, Wakes};
pub(crate) use wake::{ALARM, EVENTS, Handlers, Handling, RawEvent, Waking};

use crate::{LiveObject, Result, State, codec};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{future::Future, marker::PhantomData, rc::Rc};
use table::{Dead, Listed};

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
/// An object may have an alarm of its own beside it: see [`crate::OnAlarm`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no handler of events",
    note = "implement `OnEvent` for it: `type Payload = ..; async fn event(&self, event: Event<Self::Payload>) -> Result<()>`"
)]
pub trait OnEvent: LiveObject {
    /// What events carry. It is stored as JSON: a version of the program that has another one must still read it, or the event fails
    /// until one comes that does.
    type Payload: Serialize + DeserializeOwned + 'static;

    /// How they run.
    const SCHEDULE: ScheduleSettings = ScheduleSettings::new();

    /// Handles an event. It runs at least once: an event is forgotten only after this returned `Ok`. If it fails or panics, or the machine
    /// does, it runs again after a pause, and in the end becomes a dead letter: see [`Retry`]. What it stores is stored together with the
    /// fact that it ran, if no `await` is between them.
    ///
    /// Events begin in the order of the time they are due, and of being scheduled where that is the same.
    fn event(&self, event: Event<Self::Payload>) -> impl Future<Output = Result<()>>;
}

/// An event that is due.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Event<P> {
    /// Its id.
    pub id: String,
    /// What it carries.
    pub payload: P,
    /// The time that this run is for, in milliseconds since 1970. It stays the same for every attempt of the run. A run that makes up for
    /// missed ones is for the time that [`Missed`] says; a dead letter that is replayed is for the time of the replay.
    pub due_ms: u64,
    /// When it was due for the first time: before `due_ms` if this is a dead letter that was replayed.
    pub first_due_ms: u64,
    /// Which attempt this is, from 1 on. Attempts that the end of the machine interrupted count here, but not as failures: see [`Retry`].
    pub attempt: u32,
}

/// The events of one object. Every operation is stored at once, without an `await`, and takes part in a transaction around it, such as
/// [`crate::Storage::transaction_sync`].
#[derive(Clone, Debug)]
pub struct Schedule<P> {
    wakes: Rc<Wakes>,
    payload: PhantomData<fn(P) -> P>,
}

impl State {
    /// The events that this object handles as [`OnEvent`].
    #[must_use]
    pub fn schedule<T: OnEvent>(&self) -> Schedule<T::Payload> {
        self.schedule_of()
    }

    /// The events of an object that works them off itself, with [`State::process_scheduled_events`].
    #[must_use]
    pub fn schedule_of<P>(&self) -> Schedule<P> {
        Schedule { wakes: self.wakes().clone(), payload: PhantomData }
    }

    /// Schedules an event that [`State::process_scheduled_events`] is to find: [`Schedule::set`] of [`State::schedule_of`].
    ///
    /// # Errors
    /// As [`Schedule::set`].
    pub fn schedule_event<P: Serialize>(&self, id: &str, when: impl Into<When>, payload: &P) -> Result<u64> {
        self.schedule_of().set(id, when, payload)
    }

    /// Handles the events that are due: to be called in [`crate::OnAlarm::alarm`], by an object that does not implement [`OnEvent`].
    /// Each is forgotten when `handler` returned `Ok` for it, and tried again later if it failed. Returns how many went well.
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
    /// Schedules an event. One with this id that waits is replaced; a repeating one that is the same goes on in its rhythm, with the new
    /// payload. One that runs is not stopped, and the new one does not wait for it. `when` is a [`When`]; or a [`std::time::Duration`], for
    /// once and that long from now; or a [`Cron`]. Returns when the event is next due, in milliseconds since 1970.
    ///
    /// # Errors
    /// When the id has more than 2,048 bytes or a NUL, or stands for the object's own alarm (`realgar:alarm`, `realgar:retry`); when the
    /// payload cannot be encoded or has more than 2 MB, the time is beyond the year 2255, the time zone of a cron expression is
    /// none, an interval is zero, or the storage fails.
    pub fn set(&self, id: &str, when: impl Into<When>, payload: &P) -> Result<u64>
    where
        P: Serialize,
    {
        self.wakes.schedule(id, &when.into(), &codec::json::to_text(payload)?)
    }

    /// Removes an event. Says whether there was one. One that runs is not stopped, but not tried again if it fails.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn cancel(&self, id: &str) -> Result<bool> {
        self.wakes.cancel(id)
    }

    /// Has an event run now. A repeating one runs once more than it would. Says whether there was one that waits.
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

    /// The first `limit` events, in the order they will run in.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn list(&self, limit: u32) -> Result<Vec<Pending<P>>> {
        self.list_after(&Cursor::default(), limit)
    }

    /// The next `limit` events behind [`Pending::cursor`] of the last one of a page. Each event is on one page, unless it is scheduled
    /// anew, or its handler runs, between two calls.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn list_after(&self, cursor: &Cursor, limit: u32) -> Result<Vec<Pending<P>>> {
        let listed = self.wakes.list((cursor.next_ms, cursor.number), limit)?;
        Ok(listed.into_iter().map(Pending::new).collect())
    }

    /// The first `limit` events that failed at their last attempt, the oldest first. They stay until they are replayed or dropped, and
    /// nothing bounds how many there are: a repeating event goes on after each, so one that always fails leaves one for each of its runs.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn dead_letters(&self, limit: u32) -> Result<Vec<DeadLetter<P>>> {
        self.dead_letters_after(0, limit)
    }

    /// The next `limit` dead letters behind the one with this [number](DeadLetter::number): of the last one of a page.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn dead_letters_after(&self, number: u64, limit: u32) -> Result<Vec<DeadLetter<P>>> {
        let dead = self.wakes.dead_letters(number, limit)?;
        Ok(dead.into_iter().map(|dead| DeadLetter { dead, payload: PhantomData }).collect())
    }

    /// Has a dead letter run now, once more, as an event with its id, or with `{id}#{number}` if there is another one with that. It is tried
    /// as often as the first time. Says whether there was one with this number.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn replay(&self, number: u64) -> Result<bool> {
        self.wakes.replay(number)
    }

    /// Deletes a dead letter. Says whether there was one with this number.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn drop_dead_letter(&self, number: u64) -> Result<bool> {
        self.wakes.drop_dead_letter(number)
    }
}

/// A place in the list of events, for the page behind it: see [`Schedule::list_after`]. It may travel to a client and back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    next_ms: u64,
    number: u64,
}

/// An event that waits, or runs. Times are in milliseconds since 1970.
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

    /// The time that its next run is for, or the run that has failed and is tried again.
    #[must_use]
    pub fn due_ms(&self) -> u64 {
        self.row.due
    }

    /// When it was due for the first time: before [`Pending::due_ms`] if it is a dead letter that was replayed.
    #[must_use]
    pub fn first_due_ms(&self) -> u64 {
        self.row.first_due()
    }

    /// Where it is in the list.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor { next_ms: self.row.next_at, number: self.row.seq }
    }

    /// When it runs next: after it is due, if it failed.
    #[must_use]
    pub fn next_ms(&self) -> u64 {
        self.row.next_at
    }

    /// How often it was tried.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.row.attempts
    }

    /// Whether its handler runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.row.started_at.is_some()
    }

    /// How it repeats, if it does.
    ///
    /// # Errors
    /// When another version of the program stored it in a way that this one cannot read. It waits for one that can.
    pub fn repeat(&self) -> Result<Option<Repeat>> {
        Ok(self.row.plan()?.repeat)
    }

    /// Its last runs, ten at most, the oldest first. Of an event that runs once these are those that failed.
    #[must_use]
    pub fn history(&self) -> Vec<Run> {
        self.row.runs()
    }

    /// What it carries.
    ///
    /// # Errors
    /// When it is not a `P`.
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
    /// What [`Schedule::replay`] and [`Schedule::drop_dead_letter`] know it by.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.dead.number
    }

    /// The id that the event had.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.dead.id
    }

    /// When it was due. Of one that was replayed and failed again, when it was due for the first time.
    #[must_use]
    pub fn due_ms(&self) -> u64 {
        self.dead.due
    }

    /// When it failed for the last time.
    #[must_use]
    pub fn died_ms(&self) -> u64 {
        self.dead.died_at
    }

    /// How often it was tried.
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

    /// What it carries.
    ///
    /// # Errors
    /// When it is not a `P`.
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
