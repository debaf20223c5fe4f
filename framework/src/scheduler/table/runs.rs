//! What a wake does with the table: it begins runs of events, and writes how they end.

use super::{
    ALARM, ALARM_RETRY, BATCH, Care, INTERRUPTIONS_MAX, Plain, RETRY, Row, Run, UNPROCESSED_PAUSE_MS, Wakes, read_all,
};
use crate::{
    Alarm, Error, Result,
    codec::{self, rows::Packed},
    js,
    scheduler::when::{Missed, Overlap, Plan, ScheduleSettings, TIME_MAX},
};
use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Waker,
};
use wasm_bindgen::JsValue;

/// Reads the due events, with their payloads unless these are large. Payloads come last and stay in JavaScript. Reading a column
/// takes as long as a step of the query, so the columns that few events use are read as one, a JSON array.
const READ_DUE: &str = "SELECT id, seq, next_at, CASE WHEN coalesce(due, anchor, plan, runs, nullif(attempts, 0)) IS NOT NULL \
                        THEN json_array(attempts, due, anchor, plan, runs, interrupted) END, \
                        CASE WHEN octet_length(payload) < 8192 THEN payload END \
                        FROM realgar_events WHERE next_at <= ? AND started_at IS NULL ORDER BY next_at, seq LIMIT ?";
const TRY_ONE: &str = "UPDATE realgar_events SET attempts = attempts + 1, started_at = ?3 WHERE id = ?1 AND seq = ?2";
const REMOVE_ALL: &str = "DELETE FROM realgar_events WHERE id IN (SELECT value FROM json_each(?))";

/// How much of an error is kept, in bytes.
const ERROR_SIZE_MAX: usize = 1_000;

impl Wakes {
    /// Notes that the platform's alarm was delivered, after it had failed `retries` times.
    pub(in crate::scheduler) fn delivered(&self, retries: u32) {
        self.retries.set(retries);
    }

    /// Begins a wake.
    pub(in crate::scheduler) fn begin_wake(&self) -> Result<()> {
        self.waking.set(self.waking.get() + 1);
        // The platform's alarm has gone off, or is about to be set again.
        self.armed.set(None);
        self.read_until.set(None);
        self.heal()
    }

    /// Ends a wake, and sets the alarm to what comes next.
    pub(in crate::scheduler) fn end_wake(&self) -> Result<()> {
        self.waking.set(self.waking.get() - 1);
        if self.waking.get() == 0 {
            self.care.set(Care::None);
            self.retries.set(0);
        }
        self.rearm()
    }

    pub(in crate::scheduler) fn settings(&self) -> ScheduleSettings {
        self.settings.get()
    }

    /// Runs the program's alarm handler while the table does not exist. The handler may create it.
    pub(in crate::scheduler) async fn plain_alarm(
        &self,
        alarm: Alarm,
        handling: impl Future<Output = Result<()>>,
    ) -> Result<()> {
        self.plain.set(Plain::Running(alarm));
        let outcome = handling.await;
        if self.has_table()? {
            match (self.own_row()?, outcome) {
                (Some(row), outcome) => self.settle(&row, Self::now(), outcome),
                // The handler has set another alarm, which goes off in any case.
                (None, Err(error)) => js::log("error", &format!("Realgar: the alarm failed: {error}")),
                (None, Ok(())) => {}
            }
            self.rearm()?;
            return Ok(());
        }
        // Unless the handler has set another alarm.
        if self.plain.get() == Plain::Running(alarm) {
            self.plain.set(if outcome.is_ok() { Plain::None } else { Plain::Failed(alarm) });
        }
        outcome
    }

    /// The row of the program's own alarm, if its handler is running.
    fn own_row(&self) -> Result<Option<Row>> {
        let statement = "SELECT id, seq, next_at, attempts, due, anchor, plan, runs, interrupted \
                         FROM realgar_events WHERE id = ? AND started_at IS NOT NULL";
        Ok(self.rows(statement, (ALARM,))?.pop())
    }

    /// If an earlier attempt may have ended the machine, waits until this attempt is durable: the machine may end again before
    /// anything else is stored. Otherwise the attempt is stored together with what the handler does. Returns whether it waited.
    pub(in crate::scheduler) async fn take_care(&self) -> Result<bool> {
        if self.retries.get() == 0 && self.care.get() == Care::None {
            return Ok(false);
        }
        if self.care.get() == Care::First {
            self.care.set(Care::None);
        }
        self.write()?;
        crate::storage::settled(js::invoke0(&self.storage, "sync")).await.map(|_| true)
    }

    fn ledger(&self) -> &js::Ledger {
        self.ledger.get_or_init(|| js::ledger(self.sql.raw(), READ_DUE, TRY_ONE, REMOVE_ALL))
    }

    /// Reads the next events that are due at `now`, in order. Events that were read before are no longer used.
    fn due(&self, now: u64) -> Result<Vec<Row>> {
        self.write()?;
        self.read_until.set(None);
        let packed = Packed::rows(self.ledger().read(now as f64, BATCH).map_err(Error::from_js)?);
        let mut rows: Vec<Row> = read_all(packed.cells()).ok_or("the schedule holds what nobody wrote")?;
        rows.iter_mut().zip(0..).for_each(|(row, index)| row.index = index);
        // A rollback may have undone the note that an event is running.
        rows.retain(|row| !self.in_hand.borrow().contains(&row.seq));
        Ok(rows)
    }

    /// Begins the next due event that `wanted` accepts, and returns it with its payload.
    pub(in crate::scheduler) fn begin_next(
        &self,
        now: u64,
        wanted: impl Fn(&Row) -> bool,
    ) -> Result<Option<(Row, JsValue)>> {
        loop {
            if self.in_transaction() {
                return Ok(None);
            }
            let Some(mut row) = self.take_next(now, &wanted)? else { return Ok(None) };
            if let Some(payload) = self.begin(&mut row, now)? {
                return Ok(Some((row, payload)));
            }
        }
    }

    /// Whether a transaction is open, during which no event can begin. The wake is told when the transaction ends.
    pub(in crate::scheduler) fn in_transaction(&self) -> bool {
        self.transactions.get() > 0
    }

    /// When the next event is due that is not being tried, for a wake that waits.
    pub(in crate::scheduler) fn next_due(&self) -> Result<Option<u64>> {
        if !self.has_table()? {
            return Ok(None);
        }
        self.write()?;
        self.number("SELECT min(next_at) FROM realgar_events WHERE started_at IS NULL", ())
    }

    /// Whether something was scheduled since the last call of this. If not, `waker` is woken when something is.
    pub(in crate::scheduler) fn has_news(&self, waker: &Waker) -> bool {
        self.waiting.replace(Some(waker.clone()));
        self.news.take()
    }

    fn take_next(&self, now: u64, wanted: impl Fn(&Row) -> bool) -> Result<Option<Row>> {
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
        let mut due = if self.has_table()? { self.due(now)? } else { Vec::new() };
        due.reverse();
        *self.ahead.borrow_mut() = due;
        self.read_until.set(Some(now));
        Ok(take())
    }

    /// Begins an attempt of an event, and returns its payload. `None` if the event is not to run any more, or not yet.
    fn begin(&self, row: &mut Row, now: u64) -> Result<Option<JsValue>> {
        if row.plan.is_some() && row.plan().is_err() {
            // Another version of the program wrote this plan. The event waits for a version that can read it.
            js::log(
                "error",
                &format!("Realgar: this version of the program cannot read when `{}` runs; it waits", row.id),
            );
            return self.put_off(row, now + UNPROCESSED_PAUSE_MS).map(|()| None);
        }
        if row.repeats() && row.attempts == 0 {
            let plan = row.plan()?;
            // The run that makes up for missed ones is chosen only once. Otherwise its place among the other events would move with
            // the clock.
            let chosen = row.chosen && !matches!(plan.missed, Missed::Skip { .. });
            match plan.run_at(row.anchor(), row.due, now) {
                _ if chosen => {}
                Ok(due) if due > now => return self.put_off(row, due).map(|()| None),
                Ok(due) if due > row.due => return self.choose(row, due).map(|()| None),
                Ok(_) => {}
                Err(error) => return self.bury(row, &error.to_string(), None).map(|()| None),
            }
            if plan.overlap == Overlap::Allow {
                return self.begin_beside(row, &plan).map(|()| None);
            }
        }
        let payload = self.try_event(row, now)?;
        row.attempts += 1;
        Ok(payload)
    }

    /// Notes in the ledger that an event is being tried, and returns its payload. The database is told before another event is
    /// tried, and before this turn ends, unless the event is done by then. Most events are, and so cost only their own writes and a
    /// part of one statement that deletes many events.
    ///
    /// If the payload is not JSON, it is returned as `undefined`, so that the run fails as with a payload of another type.
    fn try_event(&self, row: &Row, now: u64) -> Result<Option<JsValue>> {
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
            self.ended(row, false);
        }
        payload
    }

    /// Notes in the ledger that an attempt has ended. If the event is `done`, the ledger deletes it; otherwise the caller tells the
    /// database the outcome. Returns whether the attempt itself was not written yet.
    fn ended(&self, row: &Row, done: bool) -> bool {
        let unwritten = self.tried.get() == Some(row.seq);
        if unwritten {
            self.tried.set(None);
            self.ledger().end(done);
        }
        unwritten
    }

    /// Called before an event takes the place of the one with this id. If the ledger has unwritten changes to that one, they are
    /// written first, because it identifies events by their ids alone.
    pub(super) fn replaces(&self, id: &str) -> Result<()> {
        match self.ledger.get() {
            Some(ledger) if self.unwritten.get() && ledger.knows(id) => self.write(),
            _ => Ok(()),
        }
    }

    /// Writes the ledger's changes to the database: which event is being tried, and which are done.
    pub(crate) fn write(&self) -> Result<()> {
        if let (true, Some(ledger)) = (self.unwritten.get(), self.ledger.get()) {
            ledger.write().map_err(Error::from_js)?;
            self.unwritten.set(false);
            self.tried.set(None);
        }
        Ok(())
    }

    /// Runs `work`, and writes the ledger's changes before each of its turns ends.
    pub(in crate::scheduler) async fn written<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|cx| {
            let poll = work.as_mut().poll(cx);
            if let Err(error) = self.write() {
                js::log("error", &format!("Realgar: what a schedule did could not be stored: {error}"));
            }
            poll
        })
        .await
    }

    /// Makes a repeating event run for `due`, which is later than its next run and not after now. The event takes its new place
    /// among the others.
    fn choose(&self, row: &Row, due: u64) -> Result<()> {
        let statement =
            "UPDATE realgar_events SET next_at = ?1, due = ?1 WHERE id = ?2 AND seq = ?3 AND started_at IS NULL";
        self.sql.execute(statement, (due, &row.id, row.seq))?;
        self.changed(due)
    }

    /// Whether a run that has begun is too late by now: its plan skips late runs, and it took a while until the attempt was
    /// durable. If so, the event waits for its next run.
    pub(in crate::scheduler) fn is_left_out(&self, row: &Row) -> Result<bool> {
        if !row.repeats() || row.attempts > 1 {
            return Ok(false);
        }
        let plan = row.plan()?;
        let now = Self::now();
        if !plan.leaves_out(row.due, now) {
            return Ok(false);
        }
        let due = plan.run_at(row.anchor(), row.due, now)?;
        self.ended(row, false);
        self.in_hand.borrow_mut().retain(|seq| *seq != row.seq);
        let statement = "UPDATE realgar_events SET next_at = ?, due = NULL, attempts = 0, started_at = NULL \
                         WHERE id = ? AND seq = ?";
        self.sql.execute(statement, (due, &row.id, row.seq))?;
        self.changed(due).map(|()| true)
    }

    fn put_off(&self, row: &Row, due: u64) -> Result<()> {
        let statement =
            "UPDATE realgar_events SET next_at = ?, due = NULL WHERE id = ? AND seq = ? AND started_at IS NULL";
        self.sql.execute(statement, (due, &row.id, row.seq))?;
        self.changed(due)
    }

    /// Schedules a run as an event of its own, if the repeating event still exists, and moves that event on to its next run.
    fn begin_beside(&self, row: &Row, plan: &Plan) -> Result<()> {
        let own = plan.once();
        let statement = "INSERT OR REPLACE INTO realgar_events (id, seq, next_at, payload, plan) \
                         SELECT ?, ?, ?, payload, ? FROM realgar_events WHERE id = ? AND seq = ?";
        let id = format!("{}@{}", row.id, row.due);
        self.replaces(&id)?;
        self.sql.execute(statement, (id, self.seq(), row.due, own, &row.id, row.seq))?;
        self.changed(row.due)?;
        self.advance(row, plan, None)
    }

    /// Notes that an event is being handled.
    pub(in crate::scheduler) fn take_in_hand(&self, row: &Row) {
        self.in_hand.borrow_mut().push(row.seq);
    }

    /// Writes how the run of an event ended. If that is not possible, the event runs again.
    pub(in crate::scheduler) fn settle(&self, row: &Row, started: u64, outcome: Result<()>) {
        self.in_hand.borrow_mut().retain(|seq| *seq != row.seq);
        match outcome {
            Ok(()) => {
                if let Err(error) = self.succeed(row, started) {
                    self.put_back(row, &error);
                }
            }
            Err(error) => self.fail(row, started, &error.to_string()),
        }
    }

    fn succeed(&self, row: &Row, started: u64) -> Result<()> {
        if row.repeats() {
            let (plan, ended) = (row.plan()?, Self::now());
            let run = Run { due_ms: row.due, started_ms: started, ended_ms: ended, attempt: row.attempts, error: None };
            self.ended(row, false);
            return self.advance(row, &plan, Some(row.runs_with(&run)));
        }
        if self.ended(row, true) { Ok(()) } else { self.delete(row) }
    }

    /// Ends a failed attempt: the event is tried again, or becomes a dead letter.
    pub(super) fn fail(&self, row: &Row, started: u64, error: &str) {
        self.ended(row, false);
        if let Err(error) = self.try_fail(row, started, &shortened(error)) {
            self.put_back(row, &error);
        }
    }

    /// Puts an event back whose outcome could not be written. The outcome is lost; the event is not.
    fn put_back(&self, row: &Row, error: &Error) {
        if !self.has_table().unwrap_or(true) {
            // Everything has been deleted.
            return;
        }
        js::log("error", &format!("Realgar: how `{}` ended could not be stored: {error}", row.id));
        let statement =
            "UPDATE realgar_events SET next_at = ?, due = ?, started_at = NULL, runs = NULL WHERE id = ? AND seq = ?";
        let again = Self::now() + UNPROCESSED_PAUSE_MS;
        if let Err(error) = self.sql.execute(statement, (again, row.due, &row.id, row.seq)) {
            js::log("error", &format!("Realgar: `{}` could not be put back: {error}", row.id));
        }
    }

    fn try_fail(&self, row: &Row, started: u64, error: &str) -> Result<()> {
        let (now, plan) = (Self::now(), row.plan().unwrap_or_default());
        let retry = if row.is_alarm() { ALARM_RETRY } else { plan.retry.unwrap_or(self.settings.get().retry) };
        let error_run = Some(error.to_string());
        let run = Run { due_ms: row.due, started_ms: started, ended_ms: now, attempt: row.attempts, error: error_run };
        let runs = row.runs_with(&run);
        let id = &row.id;
        let failures = row.attempts.saturating_sub(row.interrupted);
        if failures >= retry.attempts || row.interrupted >= INTERRUPTIONS_MAX {
            js::log("error", &format!("Realgar: `{id}` failed at its last attempt, and is given up: {error}"));
            return self.bury(row, error, Some(runs));
        }
        let tried = failures.max(row.interrupted);
        let again = now.saturating_add(retry.pause(tried, js_sys::Math::random())).min(TIME_MAX);
        let (attempt, of, pause) = (row.attempts, retry.attempts, again - now);
        js::log("error", &format!("Realgar: `{id}` failed, attempt {attempt} of {of}, again in {pause} ms: {error}"));
        let statement = "UPDATE realgar_events SET next_at = ?, due = ?, attempts = ?, started_at = NULL, runs = ?, \
                         interrupted = ? WHERE id = ? AND seq = ?";
        let interrupted = Some(row.interrupted).filter(|count| *count > 0);
        self.sql.execute(statement, (again, row.due, attempt, runs, interrupted, id, row.seq))?;
        self.changed(again)
    }

    /// Has the program's alarm handler called again, after it failed when it was called for events and not for its own alarm.
    pub(in crate::scheduler) fn alarm_failed(&self, error: &str) -> Result<()> {
        let pause = ALARM_RETRY.pause(1, js_sys::Math::random());
        js::log("error", &format!("Realgar: the alarm failed, again in {pause} ms: {error}"));
        let time = Self::now() + pause;
        self.insert(RETRY, time, None, None, "null")
    }

    /// Begins the program's own alarm, if it is due. Also returns whether any events are due.
    pub(in crate::scheduler) fn begin_alarm(&self, now: u64) -> Result<(Option<Row>, bool)> {
        let mut own = None;
        let mut events = false;
        for mut row in self.due(now)? {
            if !row.is_alarm() {
                events = true;
            } else if own.is_none() && self.begin(&mut row, now)?.is_some() {
                own = Some(row);
            }
        }
        self.processed.set(false);
        Ok((own, events))
    }

    pub(in crate::scheduler) fn processes(&self) {
        self.processed.set(true);
    }

    /// Postpones the due events if the program's alarm handler failed or did not process them, so that it is not called for them
    /// again and again at once.
    ///
    /// If the handler failed, the events wait until it is called again.
    pub(in crate::scheduler) fn put_off_unprocessed(&self, failed: bool) -> Result<()> {
        if self.processed.get() && !failed {
            return Ok(());
        }
        self.write()?;
        let now = Self::now();
        let again = "SELECT min(next_at) FROM realgar_events WHERE id IN (?, ?) AND next_at > ?";
        let again = if failed { self.number(again, (ALARM, RETRY, now))? } else { None };
        let until = again.unwrap_or(now + UNPROCESSED_PAUSE_MS);
        let statement = "UPDATE realgar_events SET due = coalesce(due, next_at), next_at = ? \
                         WHERE next_at <= ? AND started_at IS NULL AND id NOT IN (?, ?)";
        let left = self.sql.execute(statement, (until, now, ALARM, RETRY))?;
        if left > 0 && !failed {
            let call = "call `process_scheduled_events` in it";
            js::log("error", &format!("Realgar: events are due, and the alarm handler did not process them: {call}"));
        }
        Ok(())
    }

    /// Turns an event into a dead letter, unless another event has taken its place. A repeating event goes on with its next run.
    fn bury(&self, row: &Row, error: &str, runs: Option<String>) -> Result<()> {
        let letter = "INSERT INTO realgar_dead_letters (id, due, attempts, error, payload, runs, died_at, plan) \
                      SELECT id, ?, ?, ?, payload, ?, ?, ? FROM realgar_events WHERE id = ? AND seq = ?";
        if !row.is_alarm() {
            let once = row.plan().ok().and_then(|plan| plan.once());
            let (due, now, runs) = (row.first_due(), Self::now(), runs.as_deref());
            self.sql.execute(letter, (due, row.attempts, error, runs, now, once, &row.id, row.seq))?;
        }
        if row.repeats() && row.plan()?.run_at(row.anchor(), row.due, Self::now()).is_ok() {
            return self.advance(row, &row.plan()?, runs);
        }
        self.delete(row)
    }

    fn delete(&self, row: &Row) -> Result<()> {
        let statement = "DELETE FROM realgar_events WHERE id = ? AND seq = ?";
        self.sql.execute(statement, (&row.id, row.seq)).map(drop)
    }

    /// Moves a repeating event on to its next run.
    fn advance(&self, row: &Row, plan: &Plan, runs: Option<String>) -> Result<()> {
        let Some(due) = plan.next_run(row.anchor(), row.due, Self::now())? else { return Ok(()) };
        let statement = "UPDATE realgar_events SET next_at = ?, due = NULL, attempts = 0, started_at = NULL, \
                         interrupted = NULL, runs = coalesce(?, runs) WHERE id = ? AND seq = ?";
        self.sql.execute(statement, (due, runs, &row.id, row.seq))?;
        self.changed(due)
    }
}

/// Shortens the text of an error for storage. A NUL is replaced, because SQL would read the text only up to it.
fn shortened(error: &str) -> String {
    let end = error.char_indices().map(|(index, _)| index).find(|index| *index >= ERROR_SIZE_MAX);
    let mut kept = error[..end.unwrap_or(error.len())].replace('\0', " ");
    if end.is_some() {
        kept.push('…');
    }
    kept
}
