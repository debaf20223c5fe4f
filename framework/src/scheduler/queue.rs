//! The table of events in the database of the object: every statement of the Rust side that touches it.
//!
//! Within a turn, the attempts of a wake are noted in a *ledger* on the JavaScript side. The database is told of them when the turn
//! ends, and before anything else reads the table, so that many events that do not wait cost one statement.

use super::{
    attempt::{Change, Events},
    row::{ALARM_ID, Dead, Listed, RETRY_ID, Row, is_reserved},
};
use crate::{
    Error, Params, Result, Sql,
    codec::{
        self,
        rows::{FromCells, Packed, read_all},
    },
    now_ms,
    runtime::js,
};
use std::cell::{Cell, OnceCell, RefCell};
use wasm_bindgen::JsValue;

/// How long an id can be, in bytes: as long as a storage key. The ledger deletes many events with one parameter, which has to hold all
/// their ids.
const ID_SIZE_MAX: usize = 2048;
/// How large a payload can be, in bytes: what the platform stores in a value at most (Cloudflare, "Durable Objects limits").
const PAYLOAD_SIZE_MAX: usize = 2_000_000;
/// How many events are read at once.
const BATCH: u32 = 100;

/// Reads the due events, with their payloads unless these are large. Payloads come last and stay in JavaScript. Reading a column
/// takes as long as a step of the query, so the columns that few events use are read as one, a JSON array.
const READ_DUE: &str = "SELECT id, seq, next_at, CASE WHEN coalesce(due, anchor, plan, runs, nullif(attempts, 0)) IS NOT NULL \
                        THEN json_array(attempts, due, anchor, plan, runs, interrupted) END, \
                        CASE WHEN octet_length(payload) < 8192 THEN payload END \
                        FROM realgar_events WHERE next_at <= ? AND started_at IS NULL ORDER BY next_at, seq LIMIT ?";
const TRY_ONE: &str = "UPDATE realgar_events SET attempts = attempts + 1, started_at = ?3 WHERE id = ?1 AND seq = ?2";
const REMOVE_ALL: &str = "DELETE FROM realgar_events WHERE id IN (SELECT value FROM json_each(?))";

/// The tables, in the order in which they are created. `WITHOUT ROWID`, so that a write touches only the row and its entry in the
/// index. Where `due` and `anchor` are NULL, `next_at` stands for them.
const TABLES: [&str; 4] = [
    "CREATE TABLE IF NOT EXISTS realgar_events (id TEXT PRIMARY KEY, seq INTEGER NOT NULL, next_at INTEGER NOT NULL, \
     due INTEGER, anchor INTEGER, attempts INTEGER NOT NULL DEFAULT 0, started_at INTEGER, plan TEXT, \
     payload TEXT NOT NULL, runs TEXT, interrupted INTEGER) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS realgar_events_next ON realgar_events (next_at, seq)",
    "CREATE INDEX IF NOT EXISTS realgar_events_running ON realgar_events (started_at) WHERE started_at IS NOT NULL",
    "CREATE TABLE IF NOT EXISTS realgar_dead_letters (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, \
     due INTEGER NOT NULL, attempts INTEGER NOT NULL, error TEXT NOT NULL, payload TEXT NOT NULL, runs TEXT, \
     died_at INTEGER NOT NULL, plan TEXT)",
];

/// The events of one object, and what is known of their table.
#[derive(Debug)]
pub(super) struct Queue {
    sql: Sql,
    /// Whether the table exists. `None`: not known yet; ask the database.
    exists: Cell<Option<bool>>,
    last_seq: Cell<u64>,
    ledger: OnceCell<js::Ledger>,
    /// Whether the ledger holds changes that the database has not been told of.
    unwritten: Cell<bool>,
    /// The sequence number of the event that, according to the ledger's unwritten changes, is being tried.
    tried: Cell<Option<u64>>,
    /// Events that have been read and have not begun yet, in reverse order: the next one is last.
    ahead: RefCell<Vec<Row>>,
    /// The time up to which due events are in `ahead`. `None`: they have to be read again.
    read_until: Cell<Option<u64>>,
}

/// An event to insert.
#[derive(Clone, Copy, Debug)]
pub(super) struct New<'a> {
    pub(super) id: &'a str,
    pub(super) due: u64,
    /// The time that an interval is counted from; or, for an event that runs once, the time it was first due, if that is not `due`.
    pub(super) anchor: Option<u64>,
    pub(super) plan: Option<&'a str>,
    /// As JSON.
    pub(super) payload: &'a str,
}

impl<'a> New<'a> {
    /// An event of our own, which has neither plan nor payload.
    pub(super) fn own(id: &'a str, due: u64) -> Self {
        Self { id, due, anchor: None, plan: None, payload: "null" }
    }

    /// Checks what a program gives.
    ///
    /// # Errors
    /// When the id or the payload cannot be stored.
    pub(super) fn check(id: &str, payload: &str) -> Result<()> {
        let size = payload.len();
        let problem = if is_reserved(id) {
            format!("the id `{id}` is taken: it stands for the alarm of the object itself")
        } else if id.len() > ID_SIZE_MAX {
            format!("the id of an event has {} bytes, and at most {ID_SIZE_MAX} are possible", id.len())
        } else if id.contains('\0') {
            format!("the id `{}` has a NUL in it, which SQL cannot look for", id.replace('\0', "\\0"))
        } else if size > PAYLOAD_SIZE_MAX {
            format!("the payload of `{id}` has {size} bytes, and the platform stores at most {PAYLOAD_SIZE_MAX}")
        } else {
            return Ok(());
        };
        Err(problem.into())
    }
}

impl Queue {
    pub(super) fn new(sql: Sql) -> Self {
        Self {
            sql,
            exists: Cell::default(),
            last_seq: Cell::default(),
            ledger: OnceCell::new(),
            unwritten: Cell::default(),
            tried: Cell::default(),
            ahead: RefCell::default(),
            read_until: Cell::default(),
        }
    }

    pub(super) fn sql(&self) -> &Sql {
        &self.sql
    }

    /// Whether there is a table of events.
    pub(super) fn exists(&self) -> Result<bool> {
        if let Some(known) = self.exists.get() {
            return Ok(known);
        }
        // Versions before 0.1 counted no interruptions: their table lacks the column.
        let known =
            self.number("SELECT instr(sql, 'interrupted') FROM sqlite_master WHERE name = 'realgar_events'", ())?;
        if known == Some(0) {
            self.sql.execute("ALTER TABLE realgar_events ADD COLUMN interrupted INTEGER", ())?;
        }
        self.exists.set(Some(known.is_some()));
        Ok(known.is_some())
    }

    pub(super) fn create(&self) -> Result<()> {
        for statement in TABLES {
            self.sql.execute(statement, ())?;
        }
        self.exists.set(Some(true));
        Ok(())
    }

    /// Forgets what is known of the table, because a rollback may have changed it.
    pub(super) fn forget(&self) {
        self.exists.set(None);
        self.read_until.set(None);
    }

    /// Has due events read again.
    pub(super) fn forget_ahead(&self) {
        self.read_until.set(None);
    }

    /// Has due events read again if an event at `time` belongs among those that have been read.
    pub(super) fn forget_ahead_of(&self, time: u64) {
        if self.read_until.get().is_some_and(|until| time <= until) {
            self.read_until.set(None);
        }
    }

    /// Has due events read again if this one has been read: its row has changed since.
    fn forget_ahead_with(&self, id: &str) {
        if self.ahead.borrow().iter().any(|row| row.id == id) {
            self.read_until.set(None);
        }
    }

    /// Runs one of our own queries, whose values are numbers and text.
    fn rows<T: FromCells>(&self, statement: &'static str, params: impl Params) -> Result<Vec<T>> {
        let packed = self.sql.query_packed(statement, params)?;
        let rows = packed.as_ref().and_then(|packed| read_all(packed.columns()?.1));
        rows.ok_or_else(|| format!("a row of the schedule has an unknown form, which another version or a statement of the program wrote (`{statement}`)").into())
    }

    /// Runs a query for a single number. `None` if there is no row, or the number is NULL.
    fn number(&self, statement: &'static str, params: impl Params) -> Result<Option<u64>> {
        Ok(self.rows::<Option<u64>>(statement, params)?.pop().flatten())
    }

    /// A sequence number above all earlier ones. It decides which of two events that are due at the same time comes first, and
    /// tells an event from another one that takes its place under the same id.
    fn seq(&self) -> u64 {
        let seq = (now_ms() * 1000).max(self.last_seq.get() + 1);
        self.last_seq.set(seq);
        seq
    }

    /// The sequence number of the event that was inserted last.
    pub(super) fn last_seq(&self) -> u64 {
        self.last_seq.get()
    }

    /// Has sequence numbers go on from the highest one in the table, because the clock may stand still.
    pub(super) fn count_on(&self) -> Result<()> {
        self.last_seq.set(self.number("SELECT max(seq) FROM realgar_events", ())?.unwrap_or(0));
        Ok(())
    }

    /// Inserts an event, in place of one with its id.
    pub(super) fn insert(&self, event: New<'_>) -> Result<()> {
        let New { id, due, anchor, plan, payload } = event;
        self.write_before(id)?;
        let seq = self.seq();
        if plan.is_none() && anchor.is_none() {
            let statement = "INSERT OR REPLACE INTO realgar_events (id, seq, next_at, payload) VALUES (?, ?, ?, ?)";
            js::event_insert(self.sql.raw(), statement, (id, seq), due, payload).map_err(Error::from_js)?;
        } else {
            let statement = "INSERT OR REPLACE INTO realgar_events (id, seq, next_at, payload, anchor, plan) VALUES (?, ?, ?, ?, ?, ?)";
            self.sql.execute(statement, (id, seq, due, payload, anchor, plan))?;
        }
        self.forget_ahead_with(id);
        Ok(())
    }

    /// Gives a repeating event with this very plan another payload. Returns when it is due, or `None` if there is no such event.
    ///
    /// It keeps its rhythm: otherwise a program that schedules it whenever an object starts would lose the run that woke the object.
    /// An event with another beginning, if one is given, is another event.
    pub(super) fn keep(&self, id: &str, plan: &str, phase: (Option<u64>, u64), payload: &str) -> Result<Option<u64>> {
        let statement = "UPDATE realgar_events SET payload = ?1 WHERE id = ?2 AND plan = ?3 \
                         AND (?4 IS NULL OR next_at >= ?4 AND (coalesce(anchor, next_at) - ?4) % ?5 = 0)";
        if self.sql.execute(statement, (payload, id, plan, phase.0, phase.1))? == 0 {
            return Ok(None);
        }
        self.forget_ahead_with(id);
        self.number("SELECT coalesce(due, next_at) FROM realgar_events WHERE id = ?", (id,))
    }

    /// Notes that the program's own alarm was tried before it came into the table, and since when it runs, if it does.
    pub(super) fn mark_alarm(&self, tried: u32, since: Option<u64>) -> Result<()> {
        let statement = "UPDATE realgar_events SET attempts = ?, started_at = ? WHERE id = ?";
        self.sql.execute(statement, (tried, since, ALARM_ID)).map(drop)
    }

    /// Deletes the program's own alarm.
    pub(super) fn remove_alarm(&self) -> Result<()> {
        self.read_until.set(None);
        self.sql.execute("DELETE FROM realgar_events WHERE id IN (?, ?)", (ALARM_ID, RETRY_ID)).map(drop)
    }

    /// The time of the program's own alarm. `None` if no alarm is set, and while its handler runs.
    pub(super) fn alarm(&self) -> Result<Option<u64>> {
        self.write()?;
        self.number("SELECT next_at FROM realgar_events WHERE id = ? AND started_at IS NULL", (ALARM_ID,))
    }

    /// The row of the program's own alarm, if its handler is running.
    pub(super) fn running_alarm(&self) -> Result<Option<Row>> {
        let statement = "SELECT id, seq, next_at, attempts, due, anchor, plan, runs, interrupted \
                         FROM realgar_events WHERE id = ? AND started_at IS NOT NULL";
        Ok(self.rows(statement, (ALARM_ID,))?.pop())
    }

    /// When the program's alarm handler is next called for an alarm after `now`.
    pub(super) fn alarm_after(&self, now: u64) -> Result<Option<u64>> {
        self.number(
            "SELECT min(next_at) FROM realgar_events WHERE id IN (?, ?) AND next_at > ?",
            (ALARM_ID, RETRY_ID, now),
        )
    }

    /// Has the program's events that are due at `now` wait until `until`. Returns whether there are any.
    pub(super) fn put_off_due(&self, now: u64, until: u64) -> Result<bool> {
        self.write()?;
        let statement = "UPDATE realgar_events SET due = coalesce(due, next_at), next_at = ? \
                         WHERE next_at <= ? AND started_at IS NULL AND id NOT IN (?, ?)";
        Ok(self.sql.execute(statement, (until, now, ALARM_ID, RETRY_ID))? > 0)
    }

    pub(super) fn remove(&self, id: &str) -> Result<bool> {
        self.write()?;
        self.read_until.set(None);
        Ok(self.sql.execute("DELETE FROM realgar_events WHERE id = ?", (id,))? > 0)
    }

    /// Makes an event due at `now`, unless it is being tried. Returns whether there is such an event.
    pub(super) fn hurry(&self, id: &str, now: u64) -> Result<bool> {
        self.write()?;
        let statement = "UPDATE realgar_events SET next_at = ?1, due = min(coalesce(due, next_at), ?1) WHERE id = ?2 AND started_at IS NULL";
        Ok(self.sql.execute(statement, (now, id))? > 0)
    }

    pub(super) fn get(&self, id: &str) -> Result<Option<Listed>> {
        self.write()?;
        let statement = "SELECT id, seq, coalesce(due, next_at) AS due, anchor, next_at, attempts, started_at, plan, payload, runs \
             FROM realgar_events WHERE id = ?";
        Ok(self.rows(statement, (id,))?.pop())
    }

    /// The first `limit` events after the position `after`, a time and a sequence number, in the order in which they run.
    pub(super) fn list(&self, after: (u64, u64), limit: u32) -> Result<Vec<Listed>> {
        self.write()?;
        let statement = "SELECT id, seq, coalesce(due, next_at) AS due, anchor, next_at, attempts, started_at, plan, payload, runs \
                         FROM realgar_events WHERE (next_at, seq) > (?, ?) AND id NOT IN (?, ?) \
                         ORDER BY next_at, seq LIMIT ?";
        self.rows(statement, (after.0, after.1, ALARM_ID, RETRY_ID, limit))
    }

    /// The first `limit` dead letters with a number above `after`.
    pub(super) fn dead_letters(&self, after: u64, limit: u32) -> Result<Vec<Dead>> {
        let statement = "SELECT number, id, due, attempts, error, payload, died_at, runs, plan FROM realgar_dead_letters \
                         WHERE number > ? ORDER BY number LIMIT ?";
        self.rows(statement, (after, limit))
    }

    pub(super) fn dead_letter(&self, number: u64) -> Result<Option<Dead>> {
        let statement = "SELECT number, id, due, attempts, error, payload, died_at, runs, plan FROM realgar_dead_letters \
                         WHERE number = ?";
        Ok(self.rows(statement, (number,))?.pop())
    }

    pub(super) fn drop_dead_letter(&self, number: u64) -> Result<bool> {
        Ok(self.sql.execute("DELETE FROM realgar_dead_letters WHERE number = ?", (number,))? > 0)
    }

    /// When the next event is due that is not being tried.
    pub(super) fn next_due(&self) -> Result<Option<u64>> {
        self.write()?;
        self.number("SELECT min(next_at) FROM realgar_events WHERE started_at IS NULL", ())
    }

    /// Whether any event is being tried.
    pub(super) fn is_running(&self) -> Result<bool> {
        let running = "SELECT min(started_at) FROM realgar_events WHERE started_at IS NOT NULL";
        Ok(self.number(running, ())?.is_some())
    }

    fn ledger(&self) -> &js::Ledger {
        self.ledger.get_or_init(|| js::ledger(self.sql.raw(), READ_DUE, TRY_ONE, REMOVE_ALL))
    }

    /// Reads the next events that are due at `now`, in order, except for those that are `in_hand`: a rollback may have undone the note
    /// that such an event is being tried. They replace what was read ahead.
    pub(super) fn due(&self, now: u64, in_hand: impl Fn(u64) -> bool) -> Result<Vec<Row>> {
        self.write()?;
        self.read_until.set(None);
        let packed = Packed::rows(self.ledger().read(now as f64, BATCH).map_err(Error::from_js)?);
        let mut rows: Vec<Row> = read_all(packed.cells()).ok_or(
            "a row of the schedule has an unknown form, which another version or a statement of the program wrote",
        )?;
        rows.iter_mut().zip(0..).for_each(|(row, index)| row.index = index);
        rows.retain(|row| !in_hand(row.seq));
        Ok(rows)
    }

    /// Takes the next event that is due at `now`, that is not `in_hand`, and that `wanted` accepts: of those that have been read, if
    /// there are any.
    pub(super) fn take_next(
        &self,
        now: u64,
        in_hand: impl Fn(u64) -> bool,
        wanted: impl Fn(&Row) -> bool,
    ) -> Result<Option<Row>> {
        let take = || {
            let mut ahead = self.ahead.borrow_mut();
            let first = ahead.iter().rposition(&wanted)?;
            Some(ahead.remove(first))
        };
        if self.read_until.get().is_some()
            && let Some(row) = take()
        {
            return Ok(Some(row));
        }
        // A handler may have deleted everything, including the table.
        let mut due = if self.exists()? { self.due(now, in_hand)? } else { Vec::new() };
        due.reverse();
        *self.ahead.borrow_mut() = due;
        self.read_until.set(Some(now));
        Ok(take())
    }

    /// Notes in the ledger that an event is being tried, and returns its payload. The database is told before another event is
    /// tried, and before this turn ends, unless the event is done by then. Most events are, and so cost only their own writes and a
    /// part of one statement that deletes many events.
    ///
    /// If the payload is not JSON, it is returned as `undefined`, so that the run fails as with a payload of another type.
    pub(super) fn begin(&self, row: &Row, now: u64) -> Result<Option<JsValue>> {
        if self.tried.get().is_some() {
            self.write()?;
        }
        let read = self.ledger().try_event(row.index, now as f64);
        self.tried.set(Some(row.seq));
        self.unwritten.set(true);
        if !read.is_undefined() {
            return Ok(Some(read));
        }
        let text = self.rows::<Option<String>>("SELECT payload FROM realgar_events WHERE id = ?", (&row.id,));
        let payload =
            text.map(|mut text| text.pop().flatten().map(|text| codec::json::parse_js(&text).unwrap_or_default()));
        if !matches!(payload, Ok(Some(_))) {
            self.end(row, false);
        }
        payload
    }

    /// Notes in the ledger that an attempt has ended. If the event is `done`, the ledger deletes it; otherwise the caller tells the
    /// database the outcome. Returns whether the attempt itself was not written yet.
    pub(super) fn end(&self, row: &Row, done: bool) -> bool {
        let unwritten = self.tried.get() == Some(row.seq);
        if unwritten {
            self.tried.set(None);
            self.ledger().end(done);
        }
        unwritten
    }

    /// Called before an event takes the place of the one with this id. If the ledger has unwritten changes to that one, they are
    /// written first, because it identifies events by their ids alone.
    fn write_before(&self, id: &str) -> Result<()> {
        match self.ledger.get() {
            Some(ledger) if self.unwritten.get() && ledger.knows(id) => self.write(),
            _ => Ok(()),
        }
    }

    /// Writes the ledger's changes to the database: which event is being tried, and which are done.
    pub(super) fn write(&self) -> Result<()> {
        if let (true, Some(ledger)) = (self.unwritten.get(), self.ledger.get()) {
            ledger.write().map_err(Error::from_js)?;
            self.unwritten.set(false);
            self.tried.set(None);
        }
        Ok(())
    }

    /// Has an event tried again at `again` although how it ended could not be written.
    pub(super) fn put_back(&self, row: &Row, again: u64) -> Result<()> {
        let statement =
            "UPDATE realgar_events SET next_at = ?, due = ?, started_at = NULL, runs = NULL WHERE id = ? AND seq = ?";
        self.sql.execute(statement, (again, row.due, &row.id, row.seq)).map(drop)
    }

    fn advance(&self, row: &Row, due: u64, runs: Option<&str>) -> Result<()> {
        let statement = "UPDATE realgar_events SET next_at = ?, due = NULL, attempts = 0, started_at = NULL, \
                         interrupted = NULL, runs = coalesce(?, runs) WHERE id = ? AND seq = ?";
        self.sql.execute(statement, (due, runs, &row.id, row.seq)).map(drop)
    }

    fn delete(&self, row: &Row) -> Result<()> {
        let statement = "DELETE FROM realgar_events WHERE id = ? AND seq = ?";
        self.sql.execute(statement, (&row.id, row.seq)).map(drop)
    }
}

impl Events for Queue {
    fn started(&self) -> Result<Vec<(Row, u64)>> {
        let statement = "SELECT id, seq, next_at, attempts, due, anchor, plan, runs, interrupted, started_at \
                         FROM realgar_events WHERE started_at IS NOT NULL";
        let started: Vec<(Row, Option<u64>)> = self.rows(statement, ())?;
        Ok(started.into_iter().map(|(row, at)| (at.unwrap_or(row.due), row)).map(|(at, row)| (row, at)).collect())
    }

    fn apply(&self, row: &Row, change: &Change) -> Result<()> {
        let (id, seq) = (&row.id, row.seq);
        match change {
            Change::Run => Ok(()),
            Change::PutOff { due } => {
                let statement =
                    "UPDATE realgar_events SET next_at = ?, due = NULL WHERE id = ? AND seq = ? AND started_at IS NULL";
                self.sql.execute(statement, (*due, id, seq)).map(drop)
            }
            Change::Choose { due } => {
                let statement = "UPDATE realgar_events SET next_at = ?1, due = ?1 WHERE id = ?2 AND seq = ?3 AND started_at IS NULL";
                self.sql.execute(statement, (*due, id, seq)).map(drop)
            }
            Change::Beside { id: own, due, plan, next } => {
                let statement = "INSERT OR REPLACE INTO realgar_events (id, seq, next_at, payload, plan) \
                                 SELECT ?, ?, ?, payload, ? FROM realgar_events WHERE id = ? AND seq = ?";
                self.write_before(own)?;
                self.sql.execute(statement, (own, self.seq(), *due, plan.as_deref(), id, seq))?;
                self.advance(row, *next, None)
            }
            Change::Delete => self.delete(row),
            Change::Advance { due, runs } => self.advance(row, *due, runs.as_deref()),
            Change::Again { at, interrupted, runs } => {
                let statement = "UPDATE realgar_events SET next_at = ?, due = ?, attempts = ?, started_at = NULL, runs = ?, \
                                 interrupted = ? WHERE id = ? AND seq = ?";
                let interrupted = Some(*interrupted).filter(|count| *count > 0);
                self.sql.execute(statement, (*at, row.due, row.attempts, runs, interrupted, id, seq)).map(drop)
            }
            Change::Bury { letter, next, runs } => {
                if let Some(letter) = letter {
                    let statement = "INSERT INTO realgar_dead_letters (id, due, attempts, error, payload, runs, died_at, plan) \
                                     SELECT id, ?, ?, ?, payload, ?, ?, ? FROM realgar_events WHERE id = ? AND seq = ?";
                    let (error, plan) = (letter.error.as_str(), letter.plan.as_deref());
                    let values = (letter.due, row.attempts, error, runs.as_deref(), letter.died_at, plan, id, seq);
                    self.sql.execute(statement, values)?;
                }
                match next {
                    Some(next) => self.advance(row, *next, runs.as_deref()),
                    None => self.delete(row),
                }
            }
        }
    }
}
