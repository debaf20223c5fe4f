//! The table of events, in the database of the object, and the one alarm that the platform has for it.
//!
//! The platform's alarm is always set to the earliest of: the next event, and the alarm that the program set itself. While there is no
//! table, and so no event, the program's alarm is the platform's. Once there is one, the program's alarm is a row of it.

use super::when::{Overlap, Plan, Retry, ScheduleSettings, When};
use crate::{Error, Result, Sql, codec, js, now_ms};
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use wasm_bindgen::JsValue;

/// The id of the program's own alarm.
pub(crate) const ALARM: &str = "realgar:alarm";
/// How often the program's own alarm is tried: as often as the platform would.
const ALARM_RETRY: Retry = Retry { attempts: 7, first_ms: 2_000, longest_ms: 64_000 };
/// How long events wait that an alarm handler left alone.
const UNPROCESSED_PAUSE_MS: u64 = 30_000;
/// How many runs an event remembers.
const RUNS_MAX: usize = 10;
/// What the platform stores in a value at most (Cloudflare, "Durable Objects limits").
const PAYLOAD_SIZE_MAX: usize = 2_000_000;
/// The platform refuses to set an alarm to the beginning of 1970.
pub(crate) const FIRST_TIME_MS: u64 = 1;
/// How many events are read at once.
const BATCH: u32 = 100;

/// The wakes of one object.
#[derive(Debug)]
pub(crate) struct Wakes {
    storage: JsValue,
    sql: Sql,
    /// Whether the class has a handler of alarms, so that it can be woken at all.
    handled: Cell<bool>,
    /// Whether there is a table. `None`: look.
    table: Cell<Option<bool>>,
    /// When the program's own alarm is, while there is no table.
    plain: Cell<Option<u64>>,
    /// What the platform's alarm is set to, where that is known.
    armed: Cell<Option<u64>>,
    /// How many wakes are under way: each sets the alarm at its end.
    waking: Cell<u32>,
    /// Whether the alarm was set since a transaction began.
    touched: Cell<bool>,
    last_seq: Cell<u64>,
    /// Up to when events have been read, by a wake that works them off.
    read_until: Cell<Option<u64>>,
    settings: Cell<ScheduleSettings>,
    /// Under a clock that a test advances, it is the test that wakes.
    frozen: bool,
}

/// An event that is due.
#[derive(Debug, Deserialize)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) seq: u64,
    pub(crate) due: u64,
    anchor: u64,
    pub(crate) attempts: u32,
    plan: Option<String>,
    pub(crate) payload: String,
    runs: Option<String>,
}

/// A run of an event that is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// When it was due, in milliseconds since 1970, like all times here.
    pub due_ms: u64,
    /// When it began.
    pub started_ms: u64,
    /// When it ended.
    pub ended_ms: u64,
    /// Which attempt it was, from 1 on.
    pub attempt: u32,
    /// Why it failed. `None` if it did not.
    pub error: Option<String>,
}

/// A row as it is listed.
#[derive(Debug, Deserialize)]
pub(super) struct Listed {
    pub(super) id: String,
    pub(super) due: u64,
    pub(super) next_at: u64,
    pub(super) attempts: u32,
    pub(super) started_at: Option<u64>,
    plan: Option<String>,
    pub(super) payload: String,
    runs: Option<String>,
}

/// A dead letter as it is stored.
#[derive(Debug, Deserialize)]
pub(super) struct Dead {
    pub(super) number: u64,
    pub(super) id: String,
    pub(super) due: u64,
    pub(super) attempts: u32,
    pub(super) error: String,
    pub(super) payload: String,
    pub(super) died_at: u64,
    runs: Option<String>,
}

impl Listed {
    pub(super) fn plan(&self) -> Result<Plan> {
        plan(self.plan.as_deref())
    }

    pub(super) fn runs(&self) -> Vec<Run> {
        runs(self.runs.as_deref())
    }
}

impl Dead {
    pub(super) fn runs(&self) -> Vec<Run> {
        runs(self.runs.as_deref())
    }
}

impl Row {
    fn plan(&self) -> Result<Plan> {
        plan(self.plan.as_deref())
    }

    fn repeats(&self) -> bool {
        self.plan.is_some() && self.plan().is_ok_and(|plan| plan.repeat.is_some())
    }

    pub(crate) fn is_alarm(&self) -> bool {
        self.id == ALARM
    }

    /// What it remembers with one run more.
    fn runs_with(&self, run: Run) -> Result<String> {
        let mut all = runs(self.runs.as_deref());
        all.push(run);
        let old = all.len().saturating_sub(RUNS_MAX);
        to_json(&all[old..])
    }
}

fn plan(stored: Option<&str>) -> Result<Plan> {
    stored.map_or_else(|| Ok(Plan::default()), |text| codec::json::decode(text.as_bytes()).map_err(Error::from))
}

/// History that cannot be read is none: an event runs all the same.
fn runs(stored: Option<&str>) -> Vec<Run> {
    stored.and_then(|text| codec::json::decode(text.as_bytes()).ok()).unwrap_or_default()
}

pub(super) fn to_json<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    let mut buffer = Vec::new();
    codec::json::append(&mut buffer, value)?;
    String::from_utf8(buffer).map_err(|error| error.to_string().into())
}

#[derive(Deserialize)]
struct Next {
    time: Option<u64>,
}

impl Wakes {
    pub(crate) fn new(storage: JsValue) -> Self {
        Self {
            sql: Sql::new(storage.clone()),
            storage,
            handled: Cell::default(),
            table: Cell::default(),
            plain: Cell::default(),
            armed: Cell::default(),
            waking: Cell::default(),
            touched: Cell::default(),
            last_seq: Cell::default(),
            read_until: Cell::default(),
            settings: Cell::default(),
            frozen: js::clock_is_frozen(),
        }
    }

    pub(crate) fn now() -> u64 {
        now_ms()
    }

    /// To be called when an object starts whose class can be woken: what was under way when it ended last has failed, and an alarm that
    /// was lost is set again.
    pub(crate) async fn start(&self, settings: ScheduleSettings) -> Result<()> {
        self.handled.set(true);
        self.settings.set(settings);
        let alarm = crate::storage::settled(js::invoke0(&self.storage, "getAlarm")).await?.as_f64();
        let alarm = alarm.map(|time| time as u64);
        if !self.has_table()? {
            self.plain.set(alarm);
            return Ok(());
        }
        self.armed.set(alarm);
        let interrupted: Vec<Row> = self.sql.query(
            "SELECT id, seq, coalesce(due, next_at) AS due, coalesce(anchor, next_at) AS anchor, attempts, plan, payload, runs \
             FROM realgar_events WHERE next_at <= ? AND started_at IS NOT NULL",
            (Self::now(),),
        )?;
        for row in interrupted {
            let started: Next =
                self.sql.query_one("SELECT started_at AS time FROM realgar_events WHERE id = ?", (&row.id,))?;
            self.fail(
                &row,
                started.time.unwrap_or(row.due),
                "the object ended while it ran: it panicked, was killed or evicted",
            )?;
        }
        self.rearm()
    }

    /// Whether there is a table of events.
    pub(crate) fn has_table(&self) -> Result<bool> {
        if let Some(known) = self.table.get() {
            return Ok(known);
        }
        #[derive(Deserialize)]
        struct Count {
            count: u32,
        }
        let count: Count =
            self.sql.query_one("SELECT count(*) AS count FROM sqlite_master WHERE name = 'realgar_events'", ())?;
        self.table.set(Some(count.count > 0));
        Ok(count.count > 0)
    }

    fn need_table(&self) -> Result<()> {
        if !self.handled.get() {
            return Err("nothing would run it: implement `OnEvent` or `OnAlarm` for the class of this object".into());
        }
        if self.has_table()? {
            return Ok(());
        }
        for statement in [
            // Without a rowid: a row and its place in the index are all that a write writes. `due` and `anchor` are there where they
            // are not `next_at`.
            "CREATE TABLE IF NOT EXISTS realgar_events (id TEXT PRIMARY KEY, seq INTEGER NOT NULL, next_at INTEGER NOT NULL, \
             due INTEGER, anchor INTEGER, attempts INTEGER NOT NULL DEFAULT 0, started_at INTEGER, plan TEXT, \
             payload TEXT NOT NULL, runs TEXT) WITHOUT ROWID",
            "CREATE INDEX IF NOT EXISTS realgar_events_next ON realgar_events (next_at, seq)",
            "CREATE TABLE IF NOT EXISTS realgar_dead_letters (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, \
             due INTEGER NOT NULL, attempts INTEGER NOT NULL, error TEXT NOT NULL, payload TEXT NOT NULL, runs TEXT, \
             died_at INTEGER NOT NULL)",
        ] {
            self.sql.execute(statement, ())?;
        }
        self.touched.set(true);
        self.table.set(Some(true));
        self.armed.set(self.plain.get());
        match self.plain.get() {
            Some(time) => self.insert(ALARM, time, time, None, "null"),
            None => Ok(()),
        }
    }

    /// Schedules an event, instead of the one with this id, if there is one.
    pub(super) fn schedule(&self, id: &str, when: &When, payload: &str) -> Result<()> {
        if id == ALARM {
            return Err(format!("the id `{ALARM}` is taken: it stands for the alarm of the object itself").into());
        }
        if payload.len() > PAYLOAD_SIZE_MAX {
            let size = payload.len();
            return Err(format!(
                "the payload of `{id}` has {size} bytes, and the platform stores at most {PAYLOAD_SIZE_MAX}"
            )
            .into());
        }
        let first = when.first_run(Self::now())?;
        let plan = if when.plan == Plan::default() { None } else { Some(to_json(&when.plan)?) };
        self.need_table()?;
        if let (Some(plan), true) = (&plan, when.plan.repeat.is_some()) {
            // One that is the same goes on in its rhythm: who schedules it whenever an object starts would lose the run that woke it.
            let keep = "UPDATE realgar_events SET payload = ? WHERE id = ? AND plan = ?";
            if self.sql.execute(keep, (payload, id, plan))? > 0 {
                return Ok(());
            }
        }
        self.insert(id, first, first, plan.as_deref(), payload)
    }

    fn insert(&self, id: &str, due: u64, anchor: u64, plan: Option<&str>, payload: &str) -> Result<()> {
        let (statement, seq) =
            ("INSERT OR REPLACE INTO realgar_events (id, seq, next_at, payload) VALUES (?, ?, ?, ?)", self.seq());
        match plan {
            None => js::event_insert(self.sql.raw(), statement, (id, seq), due, payload).map_err(Error::from_js)?,
            Some(plan) => {
                let statement = "INSERT OR REPLACE INTO realgar_events (id, seq, next_at, payload, anchor, plan) VALUES (?, ?, ?, ?, ?, ?)";
                self.sql.execute(statement, (id, seq, due, payload, anchor, plan)).map(drop)?;
            }
        }
        self.changed(due)
    }

    /// A number above all that were given. It says which of two events that are due at the same time comes first, and tells an event from
    /// one that takes its place.
    fn seq(&self) -> u64 {
        let seq = (Self::now() * 1000).max(self.last_seq.get() + 1);
        self.last_seq.set(seq);
        seq
    }

    /// Something is to run at `time` that was not before.
    fn changed(&self, time: u64) -> Result<()> {
        if self.read_until.get().is_some_and(|until| time <= until) {
            self.read_until.set(None);
        }
        if self.waking.get() > 0 || self.armed.get().is_some_and(|armed| armed <= time) {
            return Ok(());
        }
        self.arm(time)
    }

    fn arm(&self, time: u64) -> Result<()> {
        self.touched.set(true);
        if !self.frozen {
            js::set_alarm(&self.storage, time.max(FIRST_TIME_MS) as f64).map_err(Error::from_js)?;
        }
        self.armed.set(Some(time));
        Ok(())
    }

    /// Sets the platform's alarm to what comes next.
    pub(super) fn rearm(&self) -> Result<()> {
        if self.waking.get() > 0 || !self.has_table()? {
            return Ok(());
        }
        let next = self.next()?;
        match next {
            Some(time) if self.armed.get() != Some(time) => self.arm(time),
            _ => Ok(()),
        }
    }

    /// When something runs next. What is under way will set the alarm itself when it has ended; if it never does, somebody has to look.
    fn next(&self) -> Result<Option<u64>> {
        let waiting: Next =
            self.sql.query_one("SELECT min(next_at) AS time FROM realgar_events WHERE started_at IS NULL", ())?;
        let running: Next = self.sql.query_one(
            "SELECT min(started_at) AS time FROM realgar_events WHERE next_at <= ? AND started_at IS NOT NULL",
            (Self::now(),),
        )?;
        let limit = self.settings.get().time_limit.as_millis() as u64;
        Ok([waiting.time, running.time.map(|_| Self::now() + limit)].into_iter().flatten().min())
    }

    /// The program's own alarm.
    pub(crate) fn set_alarm(&self, time: u64) -> Result<bool> {
        if self.frozen {
            self.need_table()?;
        }
        if !self.has_table()? {
            self.plain.set(Some(time));
            return Ok(false);
        }
        self.insert(ALARM, time, time, None, "null")?;
        Ok(true)
    }

    /// Returns whether that is all there is to do.
    pub(crate) fn delete_alarm(&self) -> Result<bool> {
        self.plain.set(None);
        if !self.has_table()? {
            return Ok(false);
        }
        self.cancel(ALARM)?;
        Ok(true)
    }

    /// When the program's own alarm is.
    pub(crate) fn alarm(&self) -> Result<Option<u64>> {
        #[derive(Deserialize)]
        struct Due {
            next_at: u64,
        }
        let rows: Vec<Due> =
            self.sql.query("SELECT next_at FROM realgar_events WHERE id = ? AND started_at IS NULL", (ALARM,))?;
        Ok(rows.first().map(|row| row.next_at))
    }

    pub(super) fn cancel(&self, id: &str) -> Result<bool> {
        if !self.has_table()? {
            return Ok(false);
        }
        self.read_until.set(None);
        Ok(self.sql.execute("DELETE FROM realgar_events WHERE id = ?", (id,))? > 0)
    }

    pub(super) fn run_now(&self, id: &str) -> Result<bool> {
        if !self.has_table()? {
            return Ok(false);
        }
        let now = Self::now();
        let found = self.sql.execute(
            "UPDATE realgar_events SET next_at = ?1, due = min(coalesce(due, next_at), ?1) WHERE id = ?2 AND started_at IS NULL",
            (now, id),
        )?;
        if found > 0 {
            self.changed(now)?;
        }
        Ok(found > 0)
    }

    pub(super) fn get(&self, id: &str) -> Result<Option<Listed>> {
        if id == ALARM || !self.has_table()? {
            return Ok(None);
        }
        let statement = "SELECT id, coalesce(due, next_at) AS due, next_at, attempts, started_at, plan, payload, runs \
             FROM realgar_events WHERE id = ?";
        Ok(self.sql.query(statement, (id,))?.pop())
    }

    pub(super) fn list(&self, limit: u32) -> Result<Vec<Listed>> {
        if !self.has_table()? {
            return Ok(Vec::new());
        }
        let statement = "SELECT id, coalesce(due, next_at) AS due, next_at, attempts, started_at, plan, payload, runs \
                         FROM realgar_events WHERE id <> ? \
                         ORDER BY next_at, seq LIMIT ?";
        self.sql.query(statement, (ALARM, limit))
    }

    pub(super) fn dead_letters(&self, limit: u32) -> Result<Vec<Dead>> {
        if !self.has_table()? {
            return Ok(Vec::new());
        }
        let statement = "SELECT number, id, due, attempts, error, payload, died_at, runs FROM realgar_dead_letters ORDER BY number LIMIT ?";
        self.sql.query(statement, (limit,))
    }

    /// Schedules a dead letter to run now. One that has the id of an event that waits would take its place, so it gets one of its own.
    pub(super) fn replay(&self, number: u64) -> Result<bool> {
        if !self.has_table()? {
            return Ok(false);
        }
        let statement = "SELECT number, id, due, attempts, error, payload, died_at, runs FROM realgar_dead_letters WHERE number = ?";
        let Some(letter) = self.sql.query::<Dead>(statement, (number,))?.pop() else { return Ok(false) };
        let id = if self.get(&letter.id)?.is_some() { format!("{}#{number}", letter.id) } else { letter.id };
        self.insert(&id, Self::now(), letter.due, None, &letter.payload)?;
        self.drop_dead_letter(number)
    }

    pub(super) fn drop_dead_letter(&self, number: u64) -> Result<bool> {
        Ok(self.has_table()? && self.sql.execute("DELETE FROM realgar_dead_letters WHERE number = ?", (number,))? > 0)
    }
}

/// What a wake does with rows.
impl Wakes {
    /// Says that a wake begins. Returns whether it is not within another one.
    pub(super) fn begin_wake(&self) {
        self.waking.set(self.waking.get() + 1);
        // The platform's alarm has gone off, or is about to be set again.
        self.armed.set(None);
        self.read_until.set(None);
    }

    /// Says that it ends, and sets the alarm to what comes next.
    pub(super) fn end_wake(&self) -> Result<()> {
        self.waking.set(self.waking.get() - 1);
        self.rearm()
    }

    pub(super) fn settings(&self) -> ScheduleSettings {
        self.settings.get()
    }

    /// The program's own alarm has gone off, while there is no table.
    pub(super) fn plain_alarm_fired(&self) {
        self.plain.set(None);
    }

    /// The next events that are due at `now`, in order.
    pub(super) fn due(&self, now: u64) -> Result<Vec<Row>> {
        let statement = "SELECT id, seq, coalesce(due, next_at), coalesce(anchor, next_at), attempts, plan, payload, runs \
                         FROM realgar_events WHERE next_at <= ? AND started_at IS NULL ORDER BY next_at, seq LIMIT ?";
        let rows = js::event_rows(self.sql.raw(), statement, now, BATCH).map_err(Error::from_js)?;
        let rows = codec::json::decode(rows.as_bytes())?;
        self.read_until.set(Some(now));
        Ok(rows)
    }

    /// Whether what [`Wakes::due`] returned is still what comes next.
    pub(super) fn is_current(&self) -> bool {
        self.read_until.get().is_some()
    }

    /// Writes that an event is tried. `None` if it is not to run any more, or not yet.
    pub(super) fn begin(&self, mut row: Row, now: u64) -> Result<Option<Row>> {
        if row.repeats() && row.attempts == 0 {
            let plan = row.plan()?;
            match plan.run_at(row.anchor, row.due, now) {
                Ok(due) if due > now => return self.put_off(&row, due).map(|()| None),
                Ok(due) if due > row.due => {
                    let statement = "UPDATE realgar_events SET due = ? WHERE id = ? AND seq = ?";
                    self.sql.execute(statement, (due, &row.id, row.seq))?;
                    row.due = due;
                }
                Ok(_) => {}
                Err(error) => return self.bury(&row, &error.to_string(), None).map(|()| None),
            }
            if plan.overlap == Overlap::Allow {
                return self.begin_beside(&row, &plan).map(|()| None);
            }
        }
        let statement = "UPDATE realgar_events SET attempts = attempts + 1, started_at = ?3 \
                         WHERE id = ?1 AND seq = ?2 AND started_at IS NULL";
        row.attempts += 1;
        let found = js::event_begin(self.sql.raw(), statement, (&row.id, row.seq), now).map_err(Error::from_js)?;
        Ok(found.then_some(row))
    }

    fn put_off(&self, row: &Row, due: u64) -> Result<()> {
        let statement = "UPDATE realgar_events SET next_at = ?, due = NULL WHERE id = ? AND seq = ?";
        self.sql.execute(statement, (due, &row.id, row.seq))?;
        self.changed(due)
    }

    /// Makes an event of its own of a run, and goes on to the next one.
    fn begin_beside(&self, row: &Row, plan: &Plan) -> Result<()> {
        let own = Plan { retry: plan.retry, ..Plan::default() };
        let own = if own == Plan::default() { None } else { Some(to_json(&own)?) };
        self.insert(&format!("{}@{}", row.id, row.due), row.due, row.due, own.as_deref(), &row.payload)?;
        self.advance(row, plan, None)
    }

    /// An event has run.
    pub(super) fn succeed(&self, row: &Row, started: u64) -> Result<()> {
        if row.repeats() {
            let (plan, ended) = (row.plan()?, Self::now());
            let run = Run { due_ms: row.due, started_ms: started, ended_ms: ended, attempt: row.attempts, error: None };
            return self.advance(row, &plan, Some(row.runs_with(run)?));
        }
        self.delete(row)
    }

    /// An event has failed: it is tried again, or becomes a dead letter.
    pub(super) fn fail(&self, row: &Row, started: u64, error: &str) -> Result<()> {
        let (now, plan) = (Self::now(), row.plan().unwrap_or_default());
        let retry = if row.is_alarm() { ALARM_RETRY } else { plan.retry.unwrap_or(self.settings.get().retry) };
        let error_run = Some(error.to_string());
        let run = Run { due_ms: row.due, started_ms: started, ended_ms: now, attempt: row.attempts, error: error_run };
        let runs = row.runs_with(run)?;
        let id = &row.id;
        if row.attempts >= retry.attempts {
            js::log("error", &format!("Realgar: `{id}` failed at its last attempt, and is given up: {error}"));
            return self.bury(row, error, Some(runs));
        }
        let pause = retry.pause(row.attempts, js_sys::Math::random());
        let (attempt, of) = (row.attempts, retry.attempts);
        js::log("error", &format!("Realgar: `{id}` failed, attempt {attempt} of {of}, again in {pause} ms: {error}"));
        let statement =
            "UPDATE realgar_events SET next_at = ?, due = ?, started_at = NULL, runs = ? WHERE id = ? AND seq = ?";
        self.sql.execute(statement, (now + pause, row.due, runs, id, row.seq))?;
        self.changed(now + pause)
    }

    /// The program's alarm handler failed, when it was not for its own alarm that it ran.
    pub(super) fn alarm_failed(&self, error: &str) -> Result<()> {
        let pause = ALARM_RETRY.pause(1, js_sys::Math::random());
        js::log("error", &format!("Realgar: the alarm failed, again in {pause} ms: {error}"));
        let time = Self::now() + pause;
        if self.alarm()?.is_some_and(|set| set <= time) {
            return Ok(());
        }
        self.insert(ALARM, time, time, None, "null")
    }

    /// Where the program's alarm handler has left events alone that are due: so that it is not called for them again and again at once.
    pub(super) fn put_off_unprocessed(&self) -> Result<()> {
        if self.is_current() || self.due(Self::now())?.iter().all(Row::is_alarm) {
            return Ok(());
        }
        js::log(
            "error",
            "Realgar: events are due, and the alarm handler did not process them: call `process_scheduled_events` in it",
        );
        let statement = "UPDATE realgar_events SET next_at = ? WHERE next_at <= ? AND started_at IS NULL AND id <> ?";
        let now = Self::now();
        self.sql.execute(statement, (now + UNPROCESSED_PAUSE_MS, now, ALARM)).map(drop)
    }

    /// Makes a dead letter of an event, unless another has taken its place. A repeating one goes on.
    fn bury(&self, row: &Row, error: &str, runs: Option<String>) -> Result<()> {
        let letter = "INSERT INTO realgar_dead_letters (id, due, attempts, error, payload, runs, died_at) \
                      SELECT id, coalesce(due, next_at), ?, ?, payload, ?, ? FROM realgar_events WHERE id = ? AND seq = ?";
        if !row.is_alarm() {
            self.sql.execute(letter, (row.attempts, error, runs.as_deref(), Self::now(), &row.id, row.seq))?;
        }
        if row.repeats() && row.plan()?.run_at(row.anchor, row.due, Self::now()).is_ok() {
            return self.advance(row, &row.plan()?, runs);
        }
        self.delete(row)
    }

    fn delete(&self, row: &Row) -> Result<()> {
        let statement = "DELETE FROM realgar_events WHERE id = ? AND seq = ?";
        js::event_end(self.sql.raw(), statement, (&row.id, row.seq)).map_err(Error::from_js)
    }

    /// Puts a repeating event forward to its next run.
    fn advance(&self, row: &Row, plan: &Plan, runs: Option<String>) -> Result<()> {
        let Some(due) = plan.next_run(row.anchor, row.due, Self::now())? else { return Ok(()) };
        let statement = "UPDATE realgar_events SET next_at = ?, due = NULL, attempts = 0, started_at = NULL, \
                         runs = coalesce(?, runs) WHERE id = ? AND seq = ?";
        self.sql.execute(statement, (due, runs, &row.id, row.seq))?;
        self.changed(due)
    }
}

/// Transactions, which may take a table and an alarm back.
impl Wakes {
    pub(crate) fn before_transaction(&self) {
        self.touched.set(false);
    }

    /// Looks again at what is there, where a transaction was rolled back that had a part in it.
    pub(crate) fn after_rollback(&self) {
        if !self.touched.replace(false) {
            return;
        }
        self.forget();
        let again = match (self.has_table(), self.plain.get()) {
            (Ok(true), _) => self.rearm(),
            (Ok(false), Some(time)) => self.arm(time),
            (Ok(false), None) if !self.frozen => {
                js::invoke0(&self.storage, "deleteAlarm").map(drop).map_err(Error::from_js)
            }
            (outcome, _) => outcome.map(drop),
        };
        if let Err(error) = again {
            js::log(
                "error",
                &format!("Realgar: the alarm could not be set after a transaction was rolled back: {error}"),
            );
        }
    }

    /// Everything has been deleted.
    pub(crate) fn forget_all(&self) {
        self.plain.set(None);
        self.forget();
    }

    fn forget(&self) {
        self.table.set(None);
        self.armed.set(None);
        self.read_until.set(None);
    }
}
