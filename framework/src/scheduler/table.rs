//! The table of events, in the database of the object, and the one alarm that the platform has for it.
//!
//! The platform's alarm is always set to the earlier of the next event and the alarm that the program set itself. Without a table
//! there are no events, and the program's alarm is the platform's alarm. Once the table exists, the program's alarm is a row in it.

mod rows;
mod runs;

pub(crate) use rows::Row;
pub use rows::Run;
pub(super) use rows::{Dead, Listed};

use super::when::{NEVER, Retry, ScheduleSettings, TIME_MAX, When};
use crate::{Alarm, Error, Params, Result, Sql, js, now_ms};
use rows::{FromCells, read_all};
use std::{
    cell::{Cell, OnceCell, RefCell},
    rc::Rc,
    task::Waker,
};
use wasm_bindgen::JsValue;

/// The id of the program's own alarm.
const ALARM: &str = "realgar:alarm";
/// The id of a repeated call of the alarm handler, after one that failed while the program's own alarm was not due.
const RETRY: &str = "realgar:retry";
/// How often the program's own alarm is tried: as often as the platform would.
const ALARM_RETRY: Retry = Retry { attempts: 7, first_ms: 2_000, longest_ms: 64_000 };
/// How long an event waits that an alarm handler did not process, or that this version cannot read.
const UNPROCESSED_PAUSE_MS: u64 = 30_000;
const DIED: &str = "the object ended while it ran";
/// How often an event may be interrupted while it runs, by the end of the machine or by the fault of another object. An
/// interruption is not the event's own failure, so it does not count as one. But an event that ends its machine each time must not
/// do so for ever.
const INTERRUPTIONS_MAX: u32 = 100;
/// How long an id can be, in bytes: as long as a storage key. Many ids of this length together still fit into one parameter of a
/// statement.
const ID_SIZE_MAX: usize = 2048;
/// How large a payload can be, in bytes: what the platform stores in a value at most (Cloudflare, "Durable Objects limits").
const PAYLOAD_SIZE_MAX: usize = 2_000_000;
/// The platform refuses to set an alarm to the beginning of 1970.
pub(crate) const FIRST_TIME_MS: u64 = 1;
/// How many events are read at once.
const BATCH: u32 = 100;

/// The alarm and the scheduled events of one object, and what is known of their table.
#[derive(Debug)]
pub(crate) struct Wakes {
    storage: JsValue,
    sql: Sql,
    /// The waker of the wake that waits for the end of a handler, or for an event to begin beside it.
    waiting: RefCell<Option<Waker>>,
    /// Whether something was scheduled since the waiting wake last looked.
    news: Cell<bool>,
    /// How many asynchronous transactions are open. Meanwhile no event begins: its begin would be rolled back with the transaction.
    transactions: Cell<u32>,
    /// How often the alarm that the platform delivered last had failed before.
    retries: Cell<u32>,
    /// The handlers of the class for which it can be woken.
    handlers: Cell<Handled>,
    /// Whether the table exists. `None`: not known yet; ask the database.
    table: Cell<Option<bool>>,
    /// The program's own alarm, while the table does not exist.
    plain: Cell<Plain>,
    /// What the platform's alarm is set to. `None`: not set, or not known.
    armed: Cell<Option<u64>>,
    /// How many wakes are under way. The alarm is set when the last of them ends.
    waking: Cell<u32>,
    /// The sequence numbers of the events that are being handled.
    in_hand: RefCell<Vec<u64>>,
    /// Changes that the database has not been told of. They are written before something else reads the table, and before this turn
    /// ends.
    ledger: OnceCell<js::Ledger>,
    /// Whether the ledger holds unwritten changes.
    unwritten: Cell<bool>,
    /// The sequence number of the event that, according to the ledger's unwritten changes, is being tried.
    tried: Cell<Option<u64>>,
    /// Which of the next attempts may be of an event that has ended the machine before.
    care: Cell<Care>,
    /// Whether the program has processed its events since its alarm handler was called.
    processed: Cell<bool>,
    last_seq: Cell<u64>,
    /// Events that have been read and have not begun yet, in reverse order: the next one is last.
    ahead: RefCell<Vec<Row>>,
    /// The time up to which due events are in `ahead`. `None`: they have to be read again.
    read_until: Cell<Option<u64>>,
    settings: Cell<ScheduleSettings>,
    /// Why the wasm instance died that held the object before, if it died.
    death: Option<String>,
    /// Whether a test stands in for the clock. Then the test wakes the object, and the platform's alarm is not set.
    frozen: bool,
}

/// For what an object can be woken: the handlers that its class has.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Handled {
    pub(crate) events: bool,
    pub(crate) alarm: bool,
}

/// Which attempts have to be durable before they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Care {
    /// Only the first attempt after the object starts.
    First,
    /// Every attempt in this wake. An event has ended the machine or the wasm instance, and it may be any of them.
    Each,
    None,
}

/// The state of the program's own alarm while it is the platform's alarm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Plain {
    #[default]
    None,
    Set(u64),
    Running(Alarm),
    /// The handler has failed, and the platform will call it again.
    Failed(Alarm),
}

impl Wakes {
    pub(crate) fn new(storage: JsValue, death: Option<String>) -> Self {
        Self {
            death,
            sql: Sql::new(storage.clone()),
            storage,
            waiting: RefCell::default(),
            news: Cell::default(),
            transactions: Cell::default(),
            retries: Cell::default(),
            handlers: Cell::default(),
            table: Cell::default(),
            plain: Cell::default(),
            armed: Cell::default(),
            waking: Cell::default(),
            in_hand: RefCell::default(),
            ledger: OnceCell::new(),
            unwritten: Cell::default(),
            tried: Cell::default(),
            care: Cell::new(Care::First),
            processed: Cell::default(),
            last_seq: Cell::default(),
            ahead: RefCell::default(),
            read_until: Cell::default(),
            settings: Cell::default(),
            frozen: js::clock_is_frozen(),
        }
    }

    pub(crate) fn storage(&self) -> &JsValue {
        &self.storage
    }

    pub(crate) fn sql(&self) -> &Sql {
        &self.sql
    }

    pub(crate) fn now() -> u64 {
        now_ms()
    }

    /// Called when an object starts whose class can be woken. Attempts that were under way when the object last ended have failed,
    /// and an alarm that was lost is set again.
    pub(crate) async fn start(&self, handlers: Handled, settings: ScheduleSettings) -> Result<()> {
        self.handlers.set(handlers);
        self.settings.set(settings);
        let alarm = crate::storage::settled(js::invoke0(&self.storage, "getAlarm")).await?.as_f64();
        let alarm = alarm.map(|time| time as u64);
        if !self.has_table()? {
            self.plain.set(alarm.map_or(Plain::None, Plain::Set));
            return Ok(());
        }
        if self.frozen {
            // The clock may stand still, so sequence numbers go on from the highest one in the table.
            self.last_seq.set(self.number("SELECT max(seq) FROM realgar_events", ())?.unwrap_or(0));
        }
        // An alarm whose time has passed may never be delivered.
        self.armed.set(alarm.filter(|alarm| *alarm > Self::now()));
        // The object starts even if a row cannot be mended.
        if let Err(error) = self.heal().and_then(|()| self.rearm()) {
            js::log("error", &format!("Realgar: the schedule could not be mended: {error}"));
        }
        Ok(())
    }

    /// Ends the attempts of events that the table says are running although nothing handles them.
    fn heal(&self) -> Result<()> {
        let started: Vec<Row> = self.rows(
            "SELECT id, seq, next_at, attempts, due, anchor, plan, runs, interrupted FROM realgar_events \
             WHERE started_at IS NOT NULL",
            (),
        )?;
        for mut row in started {
            if !self.in_hand.borrow().contains(&row.seq) {
                self.care.set(Care::Each);
                let began = self.number("SELECT started_at FROM realgar_events WHERE id = ?", (&row.id,))?;
                let began = began.unwrap_or(row.due);
                match &self.death {
                    Some(death) => self.fail(&row, began, &format!("{DIED}: {death}")),
                    None => {
                        row.interrupted += 1;
                        self.fail(&row, began, DIED);
                    }
                }
            }
        }
        Ok(())
    }

    /// Runs one of our own queries, whose values are numbers and text.
    fn rows<T: FromCells>(&self, statement: &'static str, params: impl Params) -> Result<Vec<T>> {
        let packed = self.sql.query_packed(statement, params)?;
        let rows = packed.as_ref().and_then(|packed| read_all(packed.columns()?.1));
        rows.ok_or_else(|| format!("`{statement}` returned what it never should").into())
    }

    /// Runs a query for a single number. `None` if there is no row, or the number is NULL.
    fn number(&self, statement: &'static str, params: impl Params) -> Result<Option<u64>> {
        Ok(self.rows::<Option<u64>>(statement, params)?.pop().flatten())
    }

    /// Whether there is a table of events.
    pub(crate) fn has_table(&self) -> Result<bool> {
        if let Some(known) = self.table.get() {
            return Ok(known);
        }
        // Versions before 0.1 counted no interruptions: their table lacks the column.
        let known =
            self.number("SELECT instr(sql, 'interrupted') FROM sqlite_master WHERE name = 'realgar_events'", ())?;
        if known == Some(0) {
            self.sql.execute("ALTER TABLE realgar_events ADD COLUMN interrupted INTEGER", ())?;
        }
        self.table.set(Some(known.is_some()));
        Ok(known.is_some())
    }

    fn need_table(&self) -> Result<()> {
        let Handled { events, alarm } = self.handlers.get();
        if !events && !alarm {
            return Err("nothing would run it: implement `OnEvent` or `OnAlarm` for the class of this object".into());
        }
        if self.has_table()? {
            return Ok(());
        }
        for statement in [
            // `WITHOUT ROWID`, so that a write touches only the row and its entry in the index. Where `due` and `anchor` are NULL,
            // `next_at` stands for them.
            "CREATE TABLE IF NOT EXISTS realgar_events (id TEXT PRIMARY KEY, seq INTEGER NOT NULL, next_at INTEGER NOT NULL, \
             due INTEGER, anchor INTEGER, attempts INTEGER NOT NULL DEFAULT 0, started_at INTEGER, plan TEXT, \
             payload TEXT NOT NULL, runs TEXT, interrupted INTEGER) WITHOUT ROWID",
            "CREATE INDEX IF NOT EXISTS realgar_events_next ON realgar_events (next_at, seq)",
            "CREATE INDEX IF NOT EXISTS realgar_events_running ON realgar_events (started_at) WHERE started_at IS NOT NULL",
            "CREATE TABLE IF NOT EXISTS realgar_dead_letters (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, \
             due INTEGER NOT NULL, attempts INTEGER NOT NULL, error TEXT NOT NULL, payload TEXT NOT NULL, runs TEXT, \
             died_at INTEGER NOT NULL, plan TEXT)",
        ] {
            self.sql.execute(statement, ())?;
        }
        self.table.set(Some(true));
        self.adopt_alarm()
    }

    /// Moves the program's own alarm into the table.
    fn adopt_alarm(&self) -> Result<()> {
        let (time, tried, running) = match self.plain.get() {
            Plain::None => return Ok(()),
            Plain::Set(time) => return self.insert(ALARM, time, None, None, "null"),
            Plain::Running(alarm) => (alarm.time_ms.unwrap_or_else(Self::now), alarm.retries + 1, true),
            Plain::Failed(alarm) => (Self::now() + ALARM_RETRY.first_ms, alarm.retries + 1, false),
        };
        self.insert(ALARM, time, None, None, "null")?;
        let statement = "UPDATE realgar_events SET attempts = ?, started_at = ? WHERE id = ?";
        self.sql.execute(statement, (tried, running.then(Self::now), ALARM))?;
        if running {
            self.in_hand.borrow_mut().push(self.last_seq.get());
        }
        Ok(())
    }

    /// Schedules an event, in place of the one with this id, if there is one. Returns when it is next due.
    pub(super) fn schedule(&self, id: &str, when: &When, payload: &str) -> Result<u64> {
        if is_reserved(id) {
            return Err(format!("the id `{id}` is taken: it stands for the alarm of the object itself").into());
        }
        if id.len() > ID_SIZE_MAX {
            let size = id.len();
            return Err(format!("the id of an event has {size} bytes, and at most {ID_SIZE_MAX} are possible").into());
        }
        if id.contains('\0') {
            return Err(
                format!("the id `{}` has a NUL in it, which SQL cannot look for", id.replace('\0', "\\0")).into()
            );
        }
        if payload.len() > PAYLOAD_SIZE_MAX {
            let size = payload.len();
            return Err(format!(
                "the payload of `{id}` has {size} bytes, and the platform stores at most {PAYLOAD_SIZE_MAX}"
            )
            .into());
        }
        let first = when.first_run(Self::now())?;
        let plan = Some(when.plan.to_text()).filter(|text| !text.is_empty());
        self.need_table()?;
        if let (Some(plan), true) = (&plan, when.plan.repeat.is_some()) {
            // A repeating event with the same plan keeps its rhythm. Otherwise a program that schedules it whenever an object
            // starts would lose the run that woke the object. An event with another beginning is another event, and is replaced.
            let keep = "UPDATE realgar_events SET payload = ?1 WHERE id = ?2 AND plan = ?3 \
                        AND (?4 IS NULL OR next_at >= ?4 AND (coalesce(anchor, next_at) - ?4) % ?5 = 0)";
            let (beginning, interval) = when.phase();
            if self.sql.execute(keep, (payload, id, plan, beginning, interval))? > 0 {
                self.forget_ahead(id);
                let kept = self.number("SELECT coalesce(due, next_at) FROM realgar_events WHERE id = ?", (id,))?;
                // It is there: the statement above has found it.
                return Ok(kept.unwrap_or(first));
            }
        }
        self.insert(id, first, Some(first).filter(|_| plan.is_some()), plan.as_deref(), payload)?;
        Ok(first)
    }

    /// Inserts an event. `anchor` is the time that an interval is counted from; or, for an event that runs once, the time it was
    /// first due, if that is not `due`.
    fn insert(&self, id: &str, due: u64, anchor: Option<u64>, plan: Option<&str>, payload: &str) -> Result<()> {
        self.replaces(id)?;
        let (statement, seq) =
            ("INSERT OR REPLACE INTO realgar_events (id, seq, next_at, payload) VALUES (?, ?, ?, ?)", self.seq());
        match (plan, anchor) {
            (None, None) => {
                js::event_insert(self.sql.raw(), statement, (id, seq), due, payload).map_err(Error::from_js)?
            }
            _ => {
                let statement = "INSERT OR REPLACE INTO realgar_events (id, seq, next_at, payload, anchor, plan) VALUES (?, ?, ?, ?, ?, ?)";
                self.sql.execute(statement, (id, seq, due, payload, anchor, plan)).map(drop)?;
            }
        }
        self.forget_ahead(id);
        self.changed(due)
    }

    /// Has events read again if this one has been read ahead: its row has changed since.
    fn forget_ahead(&self, id: &str) {
        if self.ahead.borrow().iter().any(|row| row.id == id) {
            self.read_until.set(None);
        }
    }

    /// A sequence number above all earlier ones. It decides which of two events that are due at the same time comes first, and
    /// tells an event from another one that takes its place under the same id.
    fn seq(&self) -> u64 {
        let seq = (Self::now() * 1000).max(self.last_seq.get() + 1);
        self.last_seq.set(seq);
        seq
    }

    /// Notes that something new is to run at `time`, and sets the alarm if necessary.
    fn changed(&self, time: u64) -> Result<()> {
        if self.read_until.get().is_some_and(|until| time <= until) {
            self.read_until.set(None);
        }
        if self.waking.get() > 0 {
            self.tell_wake();
            return Ok(());
        }
        match self.armed.get() {
            Some(armed) if armed <= time => Ok(()),
            Some(_) => self.arm(time),
            // The alarm's setting is not known, for example after a rollback, so something else may be due earlier.
            None => self.arm(self.next()?.map_or(time, |next| next.min(time))),
        }
    }

    /// Tells the wake under way that something changed. It may be waiting for a handler, and can begin something beside it.
    fn tell_wake(&self) {
        self.news.set(true);
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }

    fn arm(&self, time: u64) -> Result<()> {
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
        // Not the very time of the alarm that is running: the platform would take the new alarm for that one.
        let next = self.next()?.map(|next| next.max(Self::now() + 1));
        match next {
            Some(time) if self.armed.get() != Some(time) => self.arm(time),
            _ => Ok(()),
        }
    }

    /// When something runs next. A handler under way sets the alarm itself when it ends. In case it never ends, the alarm goes off
    /// after the time limit, so that somebody looks.
    fn next(&self) -> Result<Option<u64>> {
        let waiting = self.next_due()?;
        let running = self.number("SELECT min(started_at) FROM realgar_events WHERE started_at IS NOT NULL", ())?;
        let limit = self.settings.get().time_limit.as_millis() as u64;
        Ok([waiting, running.map(|_| Self::now() + limit)].into_iter().flatten().min())
    }

    /// Sets the program's own alarm, if the table exists. Otherwise returns false, and the caller has to set the platform's alarm.
    pub(crate) fn set_alarm(&self, time: u64) -> Result<bool> {
        if !self.handlers.get().alarm {
            return Err("nothing would handle the alarm: implement `OnAlarm` for the class of this object".into());
        }
        if time > TIME_MAX {
            return Err(NEVER.into());
        }
        if self.frozen {
            self.need_table()?;
        }
        if !self.has_table()? {
            self.plain.set(Plain::Set(time));
            return Ok(false);
        }
        self.insert(ALARM, time, None, None, "null")?;
        Ok(true)
    }

    /// Deletes the program's own alarm, if the table exists. Otherwise returns false, and the caller has to delete the platform's
    /// alarm.
    pub(crate) fn delete_alarm(&self) -> Result<bool> {
        self.plain.set(Plain::None);
        if !self.has_table()? {
            return Ok(false);
        }
        self.read_until.set(None);
        self.sql.execute("DELETE FROM realgar_events WHERE id IN (?, ?)", (ALARM, RETRY))?;
        Ok(true)
    }

    /// The time of the program's own alarm in the table. `None` if no alarm is set, and while its handler runs.
    pub(crate) fn alarm(&self) -> Result<Option<u64>> {
        self.write()?;
        self.number("SELECT next_at FROM realgar_events WHERE id = ? AND started_at IS NULL", (ALARM,))
    }

    pub(super) fn cancel(&self, id: &str) -> Result<bool> {
        if is_reserved(id) || !self.has_table()? {
            return Ok(false);
        }
        self.write()?;
        self.read_until.set(None);
        Ok(self.sql.execute("DELETE FROM realgar_events WHERE id = ?", (id,))? > 0)
    }

    pub(super) fn run_now(&self, id: &str) -> Result<bool> {
        if is_reserved(id) || !self.has_table()? {
            return Ok(false);
        }
        self.write()?;
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
        if is_reserved(id) || !self.has_table()? {
            return Ok(None);
        }
        self.write()?;
        let statement = "SELECT id, seq, coalesce(due, next_at) AS due, anchor, next_at, attempts, started_at, plan, payload, runs \
             FROM realgar_events WHERE id = ?";
        Ok(self.rows(statement, (id,))?.pop())
    }

    /// The first `limit` events after the position `after`, a time and a sequence number, in the order in which they run.
    pub(super) fn list(&self, after: (u64, u64), limit: u32) -> Result<Vec<Listed>> {
        if !self.has_table()? {
            return Ok(Vec::new());
        }
        self.write()?;
        let statement = "SELECT id, seq, coalesce(due, next_at) AS due, anchor, next_at, attempts, started_at, plan, payload, runs \
                         FROM realgar_events WHERE (next_at, seq) > (?, ?) AND id NOT IN (?, ?) \
                         ORDER BY next_at, seq LIMIT ?";
        self.rows(statement, (after.0, after.1, ALARM, RETRY, limit))
    }

    /// The first `limit` dead letters with a number above `after`.
    pub(super) fn dead_letters(&self, after: u64, limit: u32) -> Result<Vec<Dead>> {
        if !self.has_table()? {
            return Ok(Vec::new());
        }
        let statement = "SELECT number, id, due, attempts, error, payload, died_at, runs, plan FROM realgar_dead_letters \
                         WHERE number > ? ORDER BY number LIMIT ?";
        self.rows(statement, (after, limit))
    }

    /// Schedules a dead letter to run now. If an event with its id exists, the dead letter gets another id, so that it does not
    /// replace that event.
    pub(super) fn replay(&self, number: u64) -> Result<bool> {
        if !self.has_table()? {
            return Ok(false);
        }
        let statement = "SELECT number, id, due, attempts, error, payload, died_at, runs, plan FROM realgar_dead_letters \
                         WHERE number = ?";
        let Some(letter) = self.rows::<Dead>(statement, (number,))?.pop() else { return Ok(false) };
        let id = if self.get(&letter.id)?.is_some() { format!("{}#{number}", letter.id) } else { letter.id };
        self.insert(&id, Self::now(), Some(letter.due), letter.plan.as_deref(), &letter.payload)?;
        self.drop_dead_letter(number)
    }

    pub(super) fn drop_dead_letter(&self, number: u64) -> Result<bool> {
        Ok(self.has_table()? && self.sql.execute("DELETE FROM realgar_dead_letters WHERE number = ?", (number,))? > 0)
    }
}

/// An asynchronous transaction: see [`Wakes::open_transaction`].
#[derive(Debug)]
pub(crate) struct OpenTransaction(Rc<Wakes>);

impl OpenTransaction {
    pub(crate) fn wakes(&self) -> &Wakes {
        &self.0
    }
}

impl Drop for OpenTransaction {
    fn drop(&mut self) {
        self.0.transactions.set(self.0.transactions.get() - 1);
        self.0.tell_wake();
    }
}

/// Transactions. A rollback may undo the creation of the table and a change of the program's alarm, so what is known of both has to
/// go back with it. The platform's alarm goes back by itself.
impl Wakes {
    /// Writes the changes that a rollback must not undo. Returns the state that is not in the database, and that `after_rollback`
    /// therefore has to restore.
    pub(crate) fn before_transaction(&self) -> Result<Plain> {
        self.write()?;
        Ok(self.plain.get())
    }

    /// Marks an asynchronous transaction as open until the returned value is dropped.
    pub(crate) fn open_transaction(self: &Rc<Self>) -> OpenTransaction {
        self.transactions.set(self.transactions.get() + 1);
        OpenTransaction(self.clone())
    }

    pub(crate) fn after_rollback(&self, before: Plain) {
        self.plain.set(before);
        self.forget();
    }

    /// Forgets what is known of the database, after everything in it was deleted.
    pub(crate) fn forget_all(&self) {
        self.plain.set(Plain::None);
        self.forget();
    }

    fn forget(&self) {
        self.table.set(None);
        self.armed.set(None);
        self.read_until.set(None);
    }
}

fn is_reserved(id: &str) -> bool {
    id == ALARM || id == RETRY
}
