//! Objects with a schedule: one with typed events and an alarm of its own, and one that works its events off in its alarm.

use realgar::{
    Alarm, Cron, Cursor, Event, Missed, Namespace, OnAlarm, OnEvent, Overlap, Retry, Schedule, ScheduleSettings, When,
    cron, now_ms, prelude::*, sleep,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    future::{Future, poll_fn},
    task::Poll,
    time::Duration,
};

/// What an event is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Job {
    Note(String),
    /// Logs it, which no transaction takes back.
    Say(String),
    /// Fails so many times.
    Fail(u32),
    /// The same, by a panic.
    Panic(u32),
    /// The same, in the turn that it begins in.
    PanicAtOnce(u32),
    /// Takes so many milliseconds.
    Slow(u64),
    /// Never ends.
    Hang,
    /// Notes when it was due, and when it was for the first time.
    Dues,
    /// Schedules another.
    Then(String, Wish, Box<Job>),
    /// Notes what the schedule says of it.
    Look,
    /// Schedules itself again, so many milliseconds from now.
    Again(u64),
    Cancel(String),
    /// Deletes everything.
    Wipe,
}

/// When a test wants it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Wish {
    at: Option<u64>,
    after: Option<u64>,
    every: Option<u64>,
    cron: Option<(String, String)>,
    missed: Option<Missed>,
    overlap: Option<Overlap>,
    attempts: Option<u32>,
}

impl Wish {
    fn when(self) -> Result<When> {
        let mut when = match self {
            Self { cron: Some((expression, zone)), .. } => Cron::parse(expression, zone)?.into(),
            Self { every: Some(interval), at: Some(first), .. } => {
                When::every(Duration::from_millis(interval)).starting_at(first)
            }
            Self { every: Some(interval), .. } => When::every(Duration::from_millis(interval)),
            Self { after: Some(delay), .. } => When::after(Duration::from_millis(delay)),
            Self { at, .. } => When::at(at.unwrap_or(0)),
        };
        if let Some(missed) = self.missed {
            when = when.missed(missed);
        }
        if let Some(overlap) = self.overlap {
            when = when.overlap(overlap);
        }
        if let Some(attempts) = self.attempts {
            when = when.retry(Retry::new().attempts(attempts).first(Duration::from_millis(20)));
        }
        Ok(when)
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Command {
    Set(String, Wish, Job),
    /// In a transaction that is rolled back, beside a note.
    SetAndFail(String, Wish, Job),
    SetAll(Vec<(String, Wish, Job)>),
    /// So many events, all at the same time.
    SetMany(u32, Wish, Job),
    Nightly(Job),
    Cancel(String),
    RunNow(String),
    List,
    /// All events, and all dead letters, so many on a page.
    Pages(u32),
    LetterPages(u32),
    Get(String),
    DeadLetters,
    Replay(u64),
    Drop(u64),
    Log,
    Wipe,
    SetAlarm(u64),
    DeleteAlarm,
    Alarm,
    /// Has the alarm handler, or the start of the object, fail so many times.
    FailAlarm(u32),
    FailStart(u32),
    /// Schedules in a transaction within another one, which fails.
    SetNested(String, Job),
    /// Schedules for now in an asynchronous transaction, which then fails.
    SetSlowlyAndFail(String, Job),
    /// Schedules in a transaction that is given up.
    SetAndGiveUp(String, Job),
}

/// What was noted.
#[derive(Debug, Serialize, Deserialize)]
pub struct Note {
    id: String,
    what: String,
    due: u64,
    attempt: u32,
    now: u64,
}

/// Fails if it is still to.
fn fails(state: &State, what: &str) -> Result<()> {
    let kv = state.storage().kv();
    let left: u32 = kv.get(what)?.unwrap_or(0);
    if left == 0 {
        return Ok(());
    }
    kv.put(what, &(left - 1))?;
    Err(format!("the {what} fails").into())
}

struct Notes<'a>(&'a State);

impl Notes<'_> {
    fn create(&self) -> Result<()> {
        let table = "CREATE TABLE IF NOT EXISTS notes (number INTEGER PRIMARY KEY, id TEXT, what TEXT, due INTEGER, attempt INTEGER, now INTEGER)";
        self.0.sql().execute(table, ()).map(drop)
    }

    fn write(&self, id: &str, what: &str, due: u64, attempt: u32) -> Result<()> {
        let insert = "INSERT INTO notes (id, what, due, attempt, now) VALUES (?, ?, ?, ?, ?)";
        self.0.sql().execute(insert, (id, what, due, attempt, now_ms())).map(drop)
    }

    fn all(&self) -> Result<Vec<Note>> {
        self.0.sql().query("SELECT id, what, due, attempt, now FROM notes ORDER BY number", ())
    }
}

#[cfg_attr(not(feature = "isolated"), durable_object)]
#[cfg_attr(feature = "isolated", durable_object(isolation = "object"))]
pub struct Clock {
    state: State,
}

impl DurableObject for Clock {
    fn init(_cx: &mut Init) -> impl Instantiate<Self> {
        |state: State| async {
            fails(&state, "start")?;
            Notes(&state).create()?;
            Ok(Clock { state })
        }
    }
}

#[rpc]
impl Clock {
    pub async fn run(&self, command: Command) -> Result<String> {
        let schedule = self.state.schedule::<Self>();
        run(&self.state, &schedule, command).await.map(|value| value.to_string())
    }
}

impl OnEvent for Clock {
    type Payload = Job;

    const SCHEDULE: ScheduleSettings = ScheduleSettings::new()
        .retry(Retry::new().attempts(4).first(Duration::from_millis(50)).longest(Duration::from_millis(400)))
        .budget(Duration::from_millis(300))
        .time_limit(Duration::from_secs(2));

    async fn event(&self, event: Event<Job>) -> Result<()> {
        handle(&self.state, &self.state.schedule::<Self>(), event).await
    }
}

impl OnAlarm for Clock {
    async fn alarm(&self, alarm: Alarm) -> Result<()> {
        fails(&self.state, "alarm")?;
        Notes(&self.state).write("alarm", "own", alarm.time_ms.unwrap_or(0), alarm.retries)
    }
}

/// Its events run side by side.
#[cfg_attr(not(feature = "isolated"), durable_object)]
#[cfg_attr(feature = "isolated", durable_object(isolation = "object"))]
pub struct Choir {
    state: State,
}

impl DurableObject for Choir {
    fn init(_cx: &mut Init) -> impl Instantiate<Self> {
        |state: State| async {
            Notes(&state).create()?;
            Ok(Choir { state })
        }
    }
}

#[rpc]
impl Choir {
    pub async fn run(&self, command: Command) -> Result<String> {
        run(&self.state, &self.state.schedule::<Self>(), command).await.map(|value| value.to_string())
    }
}

impl OnEvent for Choir {
    type Payload = Job;

    const SCHEDULE: ScheduleSettings = ScheduleSettings::new().concurrency(2);

    async fn event(&self, event: Event<Job>) -> Result<()> {
        handle(&self.state, &self.state.schedule::<Self>(), event).await
    }
}

/// The form of the original: events are worked off in the alarm.
#[cfg_attr(not(feature = "isolated"), durable_object)]
#[cfg_attr(feature = "isolated", durable_object(isolation = "object"))]
pub struct Bell {
    state: State,
}

impl DurableObject for Bell {
    fn init(_cx: &mut Init) -> impl Instantiate<Self> {
        |state: State| async {
            Notes(&state).create()?;
            Ok(Bell { state })
        }
    }
}

#[rpc]
impl Bell {
    pub async fn run(&self, command: Command) -> Result<String> {
        if let Command::Set(id, wish, job) = command {
            return Ok(json!(self.state.schedule_event(&id, wish.when()?, &job)?).to_string());
        }
        run(&self.state, &self.state.schedule_of(), command).await.map(|value| value.to_string())
    }
}

impl OnAlarm for Bell {
    async fn alarm(&self, alarm: Alarm) -> Result<()> {
        fails(&self.state, "alarm")?;
        let schedule = self.state.schedule_of();
        let rung = self
            .state
            .process_scheduled_events(async |event: Event<Job>| handle(&self.state, &schedule, event).await)
            .await?;
        Notes(&self.state).write("alarm", &format!("rung {rung}"), alarm.time_ms.unwrap_or(0), alarm.retries)
    }
}

async fn run(state: &State, schedule: &Schedule<Job>, command: Command) -> Result<Value> {
    Ok(match command {
        Command::Set(id, wish, job) => json!(schedule.set(&id, wish.when()?, &job)?),
        Command::SetAndFail(id, wish, job) => {
            let when = wish.when()?;
            let outcome: Result<()> = state.storage().transaction_sync(|| {
                schedule.set(&id, when, &job)?;
                Notes(state).write(&id, "scheduled", 0, 0)?;
                Err("rolled back".into())
            });
            json!(outcome.is_err())
        }
        Command::SetAll(all) => {
            for (id, wish, job) in all {
                schedule.set(&id, wish.when()?, &job)?;
            }
            Value::Null
        }
        Command::SetMany(count, wish, job) => {
            let when = wish.when()?;
            for number in 0..count {
                schedule.set(&format!("many {number:05}"), when.clone(), &job)?;
            }
            Value::Null
        }
        Command::Nightly(job) => json!(schedule.set("nightly", cron!("30 2 * * *", "Europe/Berlin"), &job)?),
        Command::Cancel(id) => json!(schedule.cancel(&id)?),
        Command::RunNow(id) => json!(schedule.run_now(&id)?),
        Command::List => {
            let list = schedule.list(10)?;
            let shown =
                list.iter().map(|event| json!([event.id(), event.due_ms(), event.attempts(), event.is_running()]));
            json!({ "count": schedule.list(100_000)?.len(), "first": shown.collect::<Vec<_>>() })
        }
        Command::Pages(limit) => {
            let (mut pages, mut cursor) = (Vec::new(), Cursor::default());
            loop {
                let page = schedule.list_after(&cursor, limit)?;
                let Some(last) = page.last() else { break json!(pages) };
                cursor = last.cursor();
                pages.push(page.iter().map(|event| event.id().to_string()).collect::<Vec<_>>());
            }
        }
        Command::LetterPages(limit) => {
            let (mut pages, mut last) = (Vec::new(), 0);
            loop {
                let page = schedule.dead_letters_after(last, limit)?;
                last = match page.last() {
                    Some(letter) => letter.number(),
                    None => break json!(pages),
                };
                pages.push(page.iter().map(|letter| letter.id().to_string()).collect::<Vec<_>>());
            }
        }
        Command::Get(id) => match schedule.get(&id)? {
            Some(event) => json!({
                "due": event.due_ms(), "first": event.first_due_ms(), "next": event.next_ms(), "attempts": event.attempts(), "repeat": event.repeat()?,
                "history": event.history(), "payload": event.payload()?,
            }),
            None => Value::Null,
        },
        Command::DeadLetters => {
            let letters = schedule.dead_letters(100)?;
            let shown = letters.iter().map(|letter| {
                Ok(json!({
                    "number": letter.number(), "id": letter.id(), "due": letter.due_ms(), "attempts": letter.attempts(),
                    "error": letter.error(), "history": letter.history().len(), "payload": letter.payload()?,
                }))
            });
            json!(shown.collect::<Result<Vec<_>>>()?)
        }
        Command::Replay(number) => json!(schedule.replay(number)?),
        Command::Drop(number) => json!(schedule.drop_dead_letter(number)?),
        Command::Log => json!(Notes(state).all()?),
        Command::Wipe => {
            state.storage().delete_all().await?;
            json!(Notes(state).create()?)
        }
        Command::FailAlarm(times) => json!(state.storage().kv().put("alarm", &times)?),
        Command::FailStart(times) => json!(state.storage().kv().put("start", &times)?),
        Command::SetNested(id, job) => {
            let outcome: Result<()> = state.storage().transaction_sync(|| {
                state.storage().transaction_sync(|| schedule.set(&id, When::at(0), &job))?;
                Err("rolled back".into())
            });
            json!(outcome.is_err())
        }
        Command::SetSlowlyAndFail(id, job) => {
            let inner = schedule.clone();
            let body = async move |_| {
                inner.set(&id, When::at(0), &job)?;
                sleep(Duration::from_millis(300)).await;
                Err::<(), _>("rolled back".into())
            };
            json!(state.storage().transaction(body).await.is_err())
        }
        Command::SetAndGiveUp(id, job) => {
            let (inner, when) = (schedule.clone(), When::after(Duration::from_secs(1)));
            let storage = state.storage();
            let mut transaction = Box::pin(storage.transaction(async move |_| {
                inner.set(&id, when, &job)?;
                sleep(Duration::from_millis(50)).await;
                Ok(())
            }));
            poll_fn(|cx| Poll::Ready(transaction.as_mut().poll(cx).is_pending())).await.into()
        }
        Command::SetAlarm(time) => json!(state.storage().set_alarm(time).await?),
        Command::DeleteAlarm => json!(state.storage().delete_alarm().await?),
        Command::Alarm => json!(state.storage().alarm().await?),
    })
}

async fn handle(state: &State, schedule: &Schedule<Job>, event: Event<Job>) -> Result<()> {
    let Event { id, payload, due_ms, attempt, .. } = event;
    let note = |what: &str| Notes(state).write(&id, what, due_ms, attempt);
    match payload {
        Job::Note(text) => note(&text)?,
        Job::Say(text) => console_log!("{text}"),
        Job::Fail(times) => {
            note("tried")?;
            if attempt <= times {
                return Err(format!("failure {attempt}").into());
            }
        }
        Job::Panic(times) => {
            note("tried")?;
            // So that it is stored before everything breaks.
            state.storage().sync().await?;
            assert!(attempt > times, "panic {attempt}");
        }
        Job::PanicAtOnce(times) => {
            note("tried")?;
            assert!(attempt > times, "panic {attempt}");
        }
        Job::Look => {
            let found = schedule.get(&id)?.map(|event| (event.attempts(), event.is_running()));
            note(&format!("{found:?}, {} in all", schedule.list(10)?.len()))?;
        }
        Job::Slow(milliseconds) => {
            note("began")?;
            sleep(Duration::from_millis(milliseconds)).await;
            note("ended")?;
        }
        Job::Wipe => {
            state.storage().delete_all().await?;
            Notes(state).create()?;
            note("wiped")?;
        }
        Job::Dues => note(&format!("{} {}", event.due_ms, event.first_due_ms))?,
        Job::Hang => {
            note("began")?;
            std::future::pending::<()>().await;
        }
        Job::Then(other, wish, job) => {
            schedule.set(&other, wish.when()?, &job)?;
            note("scheduled another")?;
        }
        Job::Again(milliseconds) => {
            schedule.set(&id, When::after(Duration::from_millis(milliseconds)), &Job::Note("again".into()))?;
            note("once")?;
        }
        Job::Cancel(other) => note(if schedule.cancel(&other)? { "cancelled" } else { "nothing to cancel" })?,
    }
    Ok(())
}

#[worker(hosts(Clock, Bell, Choir))]
pub struct Tower {
    clocks: Namespace<Clock>,
    bells: Namespace<Bell>,
    choirs: Namespace<Choir>,
}

impl Worker for Tower {
    fn init(cx: &mut Init) -> Self {
        Tower {
            clocks: cx.bind(Clock::from::<Self>()),
            bells: cx.bind(Bell::from::<Self>()),
            choirs: cx.bind(Choir::from::<Self>()),
        }
    }

    /// `/clock/{name}`, `/bell/{name}` and `/choir/{name}` with a [`Command`].
    async fn fetch(&self, mut request: Request, _cx: &Context) -> Result<Response> {
        let path = request.path();
        let command: Command = request.json().await?;
        let answer = match path.trim_start_matches('/').split_once('/') {
            Some(("clock", name)) => self.clocks.get_by_name(name).run(command).await,
            Some(("choir", name)) => self.choirs.get_by_name(name).run(command).await,
            Some(("bell", name)) => self.bells.get_by_name(name).run(command).await,
            _ => return Ok(Response::error("no such thing", 404)?),
        };
        Ok(match answer {
            Ok(json) => Response::ok(json)?,
            Err(error) => Response::error(error.to_string(), 400)?,
        })
    }
}

realgar::export!(Tower);
