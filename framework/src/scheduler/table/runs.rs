//! What a wake does with rows: it begins runs of events, and writes how they end.

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

/// What is due, with payloads that are not large. Those are last, and stay in JavaScript. Each column takes as long as a step of the query,
/// so those that few events have are one.
const READ_DUE: &str = "SELECT id, seq, next_at, CASE WHEN coalesce(due, anchor, plan, runs, nullif(attempts, 0)) IS NOT NULL \
                        THEN json_array(attempts, due, anchor, plan, runs, interrupted) END, \
                        CASE WHEN octet_length(payload) < 8192 THEN payload END \
                        FROM realgar_events WHERE next_at <= ? AND started_at IS NULL ORDER BY next_at, seq LIMIT ?";
const TRY_ONE: &str = "UPDATE realgar_events SET attempts = attempts + 1, started_at = ?3 WHERE id = ?1 AND seq = ?2";
const REMOVE_ALL: &str = "DELETE FROM realgar_events WHERE id IN (SELECT value FROM json_each(?))";

/// How much of an error is kept, in bytes.
const ERROR_SIZE_MAX: usize = 1_000;

impl Wakes {
    /// Says that the platform's alarm is delivered, which has failed `retries` times.
    pub(in crate::scheduler) fn delivered(&self, retries: u32) {
        self.retries.set(retries);
    }

    /// Says that a wake begins.
    pub(in crate::scheduler) fn begin_wake(&self) -> Result<()> {
        self.waking.set(self.waking.get() + 1);
        // The platform's alarm has gone off, or is about to be set again.
        self.armed.set(None);
        self.read_until.set(None);
        self.heal()
    }

    /// Says that it ends, and sets the alarm to what comes next.
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

    /// Calls the program's alarm handler, while there is no table. It may make one.
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
                // It has set another alarm, which is to come in any case.
                (None, Err(error)) => js::log("error", &format!("Realgar: the alarm failed: {error}")),
                (None, Ok(())) => {}
            }
            self.rearm()?;
            return Ok(());
        }
        // Unless it has set another one.
        if self.plain.get() == Plain::Running(alarm) {
            self.plain.set(if outcome.is_ok() { Plain::None } else { Plain::Failed(alarm) });
        }
        outcome
    }

    /// The row of the program's own alarm, if it runs.
    fn own_row(&self) -> Result<Option<Row>> {
        let statement = "SELECT id, seq, next_at, attempts, due, anchor, plan, runs, interrupted \
                         FROM realgar_events WHERE id = ? AND started_at IS NOT NULL";
        Ok(self.rows(statement, (ALARM,))?.pop())
    }

    /// Waits until it is stored for good what is tried, where that may have ended the machine before: that may happen before anything
    /// else is stored. Otherwise it is stored together with what the handler does.
    pub(in crate::scheduler) async fn take_care(&self) -> Result<()> {
        if self.retries.get() == 0 && self.care.get() == Care::None {
            return Ok(());
        }
        if self.care.get() == Care::First {
            self.care.set(Care::None);
        }
        self.write()?;
        crate::storage::settled(js::invoke0(&self.storage, "sync")).await.map(drop)
    }

    fn ledger(&self) -> &js::Ledger {
        self.ledger.get_or_init(|| js::ledger(self.sql.raw(), READ_DUE, TRY_ONE, REMOVE_ALL))
    }

    /// The next events that are due at `now`, in order. What was read before counts no more.
    fn due(&self, now: u64) -> Result<Vec<Row>> {
        self.write()?;
        self.read_until.set(None);
        let packed = Packed::rows(self.ledger().read(now as f64, BATCH).map_err(Error::from_js)?);
        let mut rows: Vec<Row> = read_all(packed.cells()).ok_or("the schedule holds what nobody wrote")?;
        rows.iter_mut().zip(0..).for_each(|(row, index)| row.index = index);
        // A transaction that was rolled back may have taken back that one runs.
        rows.retain(|row| !self.in_hand.borrow().contains(&row.seq));
        Ok(rows)
    }

    /// Begins the next event that is due and that `wanted` takes, and returns it with its payload.
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

    /// Whether nothing can begin. The wake is told when that is over.
    pub(in crate::scheduler) fn in_transaction(&self) -> bool {
        self.transactions.get() > 0
    }

    /// When the next event is due that is not tried, for a wake that waits.
    pub(in crate::scheduler) fn next_due(&self) -> Result<Option<u64>> {
        if !self.has_table()? {
            return Ok(None);
        }
        self.write()?;
        self.number("SELECT min(next_at) FROM realgar_events WHERE started_at IS NULL", ())
    }

    /// Whether something was scheduled since this was called. If not, `waker` is woken when something is.
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
        // A handler may have deleted everything.
        let mut due = if self.has_table()? { self.due(now)? } else { Vec::new() };
        due.reverse();
        *self.ahead.borrow_mut() = due;
        self.read_until.set(Some(now));
        Ok(take())
    }

    /// Says that an event is tried, and returns its payload. `None` if it is not to run any more, or not yet.
    fn begin(&self, row: &mut Row, now: u64) -> Result<Option<JsValue>> {
        if row.plan.is_some() && row.plan().is_err() {
            // Of a version that this one has taken the place of: it waits for one that can read it.
            js::log(
                "error",
                &format!("Realgar: this version of the program cannot read when `{}` runs; it waits", row.id),
            );
            return self.put_off(row, now + UNPROCESSED_PAUSE_MS).map(|()| None);
        }
        if row.repeats() && row.attempts == 0 {
            let plan = row.plan()?;
            // The run that makes up for missed ones is chosen once: its place among the others would move with the clock.
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

    /// Says that an event is tried, and returns its payload. The database is told before another one is tried, and before this turn ends, if
    /// it is not done then: most are, and so cost no more than what they write themselves, and a part of a statement that deletes many.
    ///
    /// A payload that is no JSON is `undefined`: the run is to fail, as if it had another type.
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

    /// An event has ended that is `done`, or that the database is told of otherwise. Returns whether that it was tried is not written.
    fn ended(&self, row: &Row, done: bool) -> bool {
        let unwritten = self.tried.get() == Some(row.seq);
        if unwritten {
            self.tried.set(None);
            self.ledger().end(done);
        }
        unwritten
    }

    /// An event is about to take the place of the one of this id, if there is one, which the ledger knows by its id alone.
    pub(super) fn replaces(&self, id: &str) -> Result<()> {
        match self.ledger.get() {
            Some(ledger) if self.unwritten.get() && ledger.knows(id) => self.write(),
            _ => Ok(()),
        }
    }

    /// Tells the database which event is tried, and which are done.
    pub(crate) fn write(&self) -> Result<()> {
        if let (true, Some(ledger)) = (self.unwritten.get(), self.ledger.get()) {
            ledger.write().map_err(Error::from_js)?;
            self.unwritten.set(false);
            self.tried.set(None);
        }
        Ok(())
    }

    /// Has the database told before each turn of `work` ends.
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

    /// Has a repeating event run for `due`, which is later than its next run and not after now. It takes its place among the others.
    fn choose(&self, row: &Row, due: u64) -> Result<()> {
        let statement =
            "UPDATE realgar_events SET next_at = ?1, due = ?1 WHERE id = ?2 AND seq = ?3 AND started_at IS NULL";
        self.sql.execute(statement, (due, &row.id, row.seq))?;
        self.changed(due)
    }

    /// Whether a run that has been begun is too late by now to be made: its plan leaves late runs out, and to store that it is tried
    /// took a while. If so, the event waits for its next run.
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

    /// Makes an event of its own of a run, if it is still to run, and goes on to the next one.
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

    /// Says that an event is being handled.
    pub(in crate::scheduler) fn take_in_hand(&self, row: &Row) {
        self.in_hand.borrow_mut().push(row.seq);
    }

    /// Writes how the run of an event ended. If that is not possible, it runs again.
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

    /// An event has failed: it is tried again, or becomes a dead letter.
    pub(super) fn fail(&self, row: &Row, started: u64, error: &str) {
        self.ended(row, false);
        if let Err(error) = self.try_fail(row, started, &shortened(error)) {
            self.put_back(row, &error);
        }
    }

    /// What could not be written of an event is lost; the event itself is not.
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
        if failures >= retry.attempts {
            js::log("error", &format!("Realgar: `{id}` failed at its last attempt, and is given up: {error}"));
            return self.bury(row, error, Some(runs));
        }
        if row.interrupted >= INTERRUPTIONS_MAX {
            js::log("error", &format!("Realgar: `{id}` was interrupted {INTERRUPTIONS_MAX} times, and is given up"));
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

    /// The program's alarm handler has failed, when it was not for an alarm of its own that it was called: it is called again.
    pub(in crate::scheduler) fn alarm_failed(&self, error: &str) -> Result<()> {
        let pause = ALARM_RETRY.pause(1, js_sys::Math::random());
        js::log("error", &format!("Realgar: the alarm failed, again in {pause} ms: {error}"));
        let time = Self::now() + pause;
        self.insert(RETRY, time, None, None, "null")
    }

    /// Begins the program's own alarm, if it is due; and whether anything else is.
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

    /// Where the program's alarm handler has failed before it worked its events off, or did not: so that it is not called for them again
    /// and again at once.
    ///
    /// If it has failed, they come when it is called again.
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

    /// Makes a dead letter of an event, unless another has taken its place. A repeating one goes on.
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

    /// Puts a repeating event forward to its next run.
    fn advance(&self, row: &Row, plan: &Plan, runs: Option<String>) -> Result<()> {
        let Some(due) = plan.next_run(row.anchor(), row.due, Self::now())? else { return Ok(()) };
        let statement = "UPDATE realgar_events SET next_at = ?, due = NULL, attempts = 0, started_at = NULL, \
                         interrupted = NULL, runs = coalesce(?, runs) WHERE id = ? AND seq = ?";
        self.sql.execute(statement, (due, runs, &row.id, row.seq))?;
        self.changed(due)
    }
}

/// What is kept of the text of an error. A NUL would end what is read of it.
fn shortened(error: &str) -> String {
    let end = error.char_indices().map(|(index, _)| index).find(|index| *index >= ERROR_SIZE_MAX);
    let mut kept = error[..end.unwrap_or(error.len())].replace('\0', " ");
    if end.is_some() {
        kept.push('…');
    }
    kept
}
