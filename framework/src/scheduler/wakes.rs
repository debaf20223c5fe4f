//! What wakes an object: its scheduled events and its own alarm. This is where the queue of events, the attempts under way and the
//! platform's alarm meet.
//!
//! The platform's alarm is never later than the time at which the next row is due. It may be earlier: a wake that finds nothing is harmless.

use super::{
    attempt::{ALARM_RETRY, Attempts, Change, Events as _, Happened, Moment, UNPROCESSED_PAUSE_MS, transition},
    queue::{New, Queue},
    row::{ALARM_ID, Dead, Listed, RETRY_ID, Row, is_reserved},
    timer::Timer,
    when::{NEVER, ScheduleSettings, TIME_MAX, When},
};
use crate::{Alarm, Result, Sql, now_ms, runtime::js};
use std::{
    cell::{Cell, RefCell},
    future::Future,
    rc::Rc,
    task::Waker,
};
use wasm_bindgen::JsValue;

/// The alarm and the scheduled events of one object.
#[derive(Debug)]
pub(crate) struct Wakes {
    queue: Queue,
    attempts: Attempts,
    timer: Timer,
    /// The program's own alarm, while there is no table of events.
    plain: Cell<Plain>,
    /// The handlers of the class for which it can be woken.
    handlers: Cell<Handled>,
    settings: Cell<ScheduleSettings>,
    /// How many wakes are under way. The alarm is set when the last of them ends.
    waking: Cell<u32>,
    /// The waker of the wake that waits for the end of a handler, or for an event to begin beside it.
    waiting: RefCell<Option<Waker>>,
    /// Whether something was scheduled since the waiting wake last looked.
    news: Cell<bool>,
    /// How many asynchronous transactions are open. Meanwhile no event begins: its begin would be rolled back with the transaction.
    transactions: Cell<u32>,
    /// Whether the program has processed its events since its alarm handler was called.
    processed: Cell<bool>,
}

/// For what an object can be woken: the handlers that its class has.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Handled {
    pub(crate) events: bool,
    pub(crate) alarm: bool,
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
    /// `death` says why the wasm instance died that held the object before. `None` if it did not.
    pub(crate) fn new(storage: JsValue, death: Option<String>) -> Self {
        Self {
            queue: Queue::new(Sql::new(storage.clone())),
            attempts: Attempts::new(death),
            timer: Timer::new(storage),
            plain: Cell::default(),
            handlers: Cell::default(),
            settings: Cell::default(),
            waking: Cell::default(),
            waiting: RefCell::default(),
            news: Cell::default(),
            transactions: Cell::default(),
            processed: Cell::default(),
        }
    }

    pub(crate) fn storage(&self) -> &JsValue {
        self.timer.storage()
    }

    pub(crate) fn sql(&self) -> &Sql {
        self.queue.sql()
    }

    pub(super) fn settings(&self) -> ScheduleSettings {
        self.settings.get()
    }

    /// Whether there is a table of events.
    pub(crate) fn has_table(&self) -> Result<bool> {
        self.queue.exists()
    }

    /// Writes what the ledger holds, because something else is about to read the table, or to roll it back.
    pub(crate) fn write(&self) -> Result<()> {
        self.queue.write()
    }

    /// Called when an object starts whose class can be woken. Attempts that were under way when the object last ended have failed,
    /// and an alarm that was lost is set again.
    pub(crate) async fn start(&self, handlers: Handled, settings: ScheduleSettings) -> Result<()> {
        self.handlers.set(handlers);
        self.settings.set(settings);
        let alarm = self.timer.ask().await?;
        if !self.has_table()? {
            self.plain.set(alarm.map_or(Plain::None, Plain::Set));
            return Ok(());
        }
        if self.timer.frozen {
            self.queue.count_on()?;
        }
        // An alarm whose time has passed may never be delivered.
        self.timer.note(alarm.filter(|alarm| *alarm > now_ms()));
        // The object starts even if a row cannot be mended.
        if let Err(error) = self.heal().and_then(|()| self.rearm()) {
            log(&format!("the schedule could not be mended: {error}"));
        }
        Ok(())
    }

    fn heal(&self) -> Result<()> {
        self.attempts.heal(&self.queue, |row, happened| self.end(row, happened))
    }

    fn need_table(&self) -> Result<()> {
        let Handled { events, alarm } = self.handlers.get();
        if !events && !alarm {
            return Err(
                "nothing would handle the event: implement `OnEvent` or `OnAlarm` for the class of this object".into(),
            );
        }
        if self.has_table()? {
            return Ok(());
        }
        self.queue.create()?;
        self.adopt_alarm()
    }

    /// Moves the program's own alarm into the table.
    fn adopt_alarm(&self) -> Result<()> {
        let (time, tried, running) = match self.plain.get() {
            Plain::None => return Ok(()),
            Plain::Set(time) => return self.insert(New::own(ALARM_ID, time)),
            Plain::Running(alarm) => (alarm.time_ms.unwrap_or_else(now_ms), alarm.retries + 1, true),
            Plain::Failed(alarm) => (now_ms() + ALARM_RETRY.first_ms, alarm.retries + 1, false),
        };
        self.insert(New::own(ALARM_ID, time))?;
        self.queue.mark_alarm(tried, running.then(now_ms))?;
        if running {
            self.attempts.take_in_hand(self.queue.last_seq());
        }
        Ok(())
    }

    fn insert(&self, event: New<'_>) -> Result<()> {
        self.queue.insert(event)?;
        self.changed(event.due)
    }

    /// Notes that something new is to run at `time`, and sets the alarm if necessary.
    fn changed(&self, time: u64) -> Result<()> {
        self.queue.forget_ahead_of(time);
        if self.waking.get() > 0 {
            self.tell_wake();
            return Ok(());
        }
        match self.timer.armed() {
            Some(armed) if armed <= time => Ok(()),
            Some(_) => self.timer.arm(time),
            // The alarm's setting is not known, for example after a rollback, so something else may be due earlier.
            None => self.timer.arm(self.next()?.map_or(time, |next| next.min(time))),
        }
    }

    /// Tells the wake under way that something changed. It may be waiting for a handler, and can begin something beside it.
    fn tell_wake(&self) {
        self.news.set(true);
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }

    /// Sets the platform's alarm to what comes next.
    pub(super) fn rearm(&self) -> Result<()> {
        if self.waking.get() > 0 || !self.has_table()? {
            return Ok(());
        }
        // Not the very time of the alarm that is running: the platform would take the new alarm for that one.
        let next = self.next()?.map(|next| next.max(now_ms() + 1));
        match next {
            Some(time) if self.timer.armed() != Some(time) => self.timer.arm(time),
            _ => Ok(()),
        }
    }

    /// When something runs next. A handler under way sets the alarm itself when it ends. In case it never ends, the alarm goes off
    /// after the time limit, and that wake finds the attempt.
    fn next(&self) -> Result<Option<u64>> {
        let waiting = self.next_due()?;
        let limit = self.settings.get().time_limit.as_millis() as u64;
        let look = self.queue.is_running()?.then(|| now_ms() + limit);
        Ok([waiting, look].into_iter().flatten().min())
    }

    /// When the next event is due that is not being tried.
    pub(super) fn next_due(&self) -> Result<Option<u64>> {
        if self.has_table()? { self.queue.next_due() } else { Ok(None) }
    }
}

/// What a program does with its events.
impl Wakes {
    /// Schedules an event, in place of the one with this id, if there is one. Returns when it is next due.
    pub(super) fn schedule(&self, id: &str, when: &When, payload: &str) -> Result<u64> {
        New::check(id, payload)?;
        let first = when.first_run(now_ms())?;
        let plan = when.plan.stored();
        self.need_table()?;
        if let (Some(plan), true) = (&plan, when.plan.repeat.is_some())
            && let Some(kept) = self.queue.keep(id, plan, when.phase(), payload)?
        {
            return Ok(kept);
        }
        let anchor = plan.is_some().then_some(first);
        self.insert(New { id, due: first, anchor, plan: plan.as_deref(), payload })?;
        Ok(first)
    }

    pub(super) fn cancel(&self, id: &str) -> Result<bool> {
        Ok(!is_reserved(id) && self.has_table()? && self.queue.remove(id)?)
    }

    pub(super) fn run_now(&self, id: &str) -> Result<bool> {
        let now = now_ms();
        if is_reserved(id) || !self.has_table()? || !self.queue.hurry(id, now)? {
            return Ok(false);
        }
        self.changed(now).map(|()| true)
    }

    pub(super) fn get(&self, id: &str) -> Result<Option<Listed>> {
        if is_reserved(id) || !self.has_table()? { Ok(None) } else { self.queue.get(id) }
    }

    /// The first `limit` events after the position `after`, a time and a sequence number, in the order in which they run.
    pub(super) fn list(&self, after: (u64, u64), limit: u32) -> Result<Vec<Listed>> {
        if self.has_table()? { self.queue.list(after, limit) } else { Ok(Vec::new()) }
    }

    /// The first `limit` dead letters with a number above `after`.
    pub(super) fn dead_letters(&self, after: u64, limit: u32) -> Result<Vec<Dead>> {
        if self.has_table()? { self.queue.dead_letters(after, limit) } else { Ok(Vec::new()) }
    }

    /// Schedules a dead letter to run now. If an event with its id exists, the dead letter gets another id, so that it does not
    /// replace that event.
    pub(super) fn replay(&self, number: u64) -> Result<bool> {
        if !self.has_table()? {
            return Ok(false);
        }
        let Some(letter) = self.queue.dead_letter(number)? else { return Ok(false) };
        let id = if self.get(&letter.id)?.is_some() { format!("{}#{number}", letter.id) } else { letter.id };
        let (anchor, plan) = (Some(letter.due), letter.plan.as_deref());
        self.insert(New { id: &id, due: now_ms(), anchor, plan, payload: &letter.payload })?;
        self.queue.drop_dead_letter(number)
    }

    pub(super) fn drop_dead_letter(&self, number: u64) -> Result<bool> {
        Ok(self.has_table()? && self.queue.drop_dead_letter(number)?)
    }
}

/// What a wake does: it begins attempts, and writes how they end.
impl Wakes {
    /// Notes that the platform's alarm was delivered, after it had failed `retries` times.
    pub(super) fn delivered(&self, retries: u32) {
        self.attempts.delivered(retries);
    }

    /// Begins a wake.
    pub(super) fn begin_wake(&self) -> Result<()> {
        self.waking.set(self.waking.get() + 1);
        // The platform's alarm has gone off, or is about to be set again.
        self.timer.note(None);
        self.queue.forget_ahead();
        self.heal()
    }

    /// Ends a wake, and sets the alarm to what comes next.
    pub(super) fn end_wake(&self) -> Result<()> {
        self.waking.set(self.waking.get() - 1);
        if self.waking.get() == 0 {
            self.attempts.rest();
        }
        self.rearm()
    }

    /// If an earlier attempt may have ended the machine, waits until this attempt is durable: the machine may end again before
    /// anything else is stored. Otherwise the attempt is stored together with what the handler does. Returns whether it waited.
    pub(super) async fn take_care(&self) -> Result<bool> {
        if !self.attempts.takes_care() {
            return Ok(false);
        }
        self.write()?;
        self.timer.sync().await.map(|()| true)
    }

    /// Whether a transaction is open, during which no event can begin. The wake is told when the transaction ends.
    pub(super) fn in_transaction(&self) -> bool {
        self.transactions.get() > 0
    }

    /// Whether something was scheduled since the last call of this. If not, `waker` is woken when something is.
    pub(super) fn has_news(&self, waker: &Waker) -> bool {
        self.waiting.replace(Some(waker.clone()));
        self.news.take()
    }

    /// Begins the next due event that `wanted` accepts, and returns it with its payload.
    pub(super) fn begin_next(&self, now: u64, wanted: impl Fn(&Row) -> bool) -> Result<Option<(Row, JsValue)>> {
        loop {
            if self.in_transaction() {
                return Ok(None);
            }
            let Some(mut row) = self.queue.take_next(now, |seq| self.attempts.has_in_hand(seq), &wanted)? else {
                return Ok(None);
            };
            if let Some(payload) = self.begin(&mut row, now)? {
                return Ok(Some((row, payload)));
            }
        }
    }

    /// Begins an attempt of an event, and returns its payload. `None` if the event is not to run any more, or not yet.
    fn begin(&self, row: &mut Row, now: u64) -> Result<Option<JsValue>> {
        if !matches!(self.becomes(row, &Happened::Due, &|| now)?, Change::Run) {
            return Ok(None);
        }
        let payload = self.queue.begin(row, now)?;
        row.attempts += 1;
        Ok(payload)
    }

    /// Changes the row of an event as what happened to it demands, and returns the change.
    fn becomes(&self, row: &Row, happened: &Happened<'_>, now: &dyn Fn() -> u64) -> Result<Change> {
        let moment = Moment { now, random: &js_sys::Math::random, settings: self.settings.get() };
        let transition = transition(row, happened, &moment)?;
        if let Some(report) = &transition.report {
            log(report);
        }
        let change = transition.change;
        // The ledger itself deletes what it has noted as done.
        let (runs, is_done) = (matches!(change, Change::Run), matches!(change, Change::Delete));
        let noted = !runs && self.queue.end(row, is_done);
        if !(noted && is_done) {
            self.queue.apply(row, &change)?;
        }
        change.next_at().map_or(Ok(()), |time| self.changed(time))?;
        Ok(change)
    }

    /// Whether a run that has begun is too late by now, because it took a while until the attempt was durable.
    pub(super) fn is_left_out(&self, row: &Row) -> Result<bool> {
        let left_out = !matches!(self.becomes(row, &Happened::Stored, &now_ms)?, Change::Run);
        if left_out {
            self.attempts.let_go(row.seq);
        }
        Ok(left_out)
    }

    /// Notes that an event is being handled.
    pub(super) fn take_in_hand(&self, row: &Row) {
        self.attempts.take_in_hand(row.seq);
    }

    /// Writes how the run of an event ended that began at `started`.
    pub(super) fn settle(&self, row: &Row, started: u64, outcome: Result<()>) {
        self.attempts.let_go(row.seq);
        match outcome {
            Ok(()) => self.end(row, &Happened::Succeeded { started }),
            Err(error) => self.end(row, &Happened::Failed { started, error: &error.to_string() }),
        }
    }

    /// Writes how an attempt ended. If that is not possible, the event runs again: the outcome is lost, and the event is not.
    fn end(&self, row: &Row, happened: &Happened<'_>) {
        let Err(error) = self.becomes(row, happened, &now_ms) else { return };
        self.queue.end(row, false);
        if !self.has_table().unwrap_or(true) {
            // Everything has been deleted.
            return;
        }
        log(&format!("how `{}` ended could not be stored: {error}", row.id));
        if let Err(error) = self.queue.put_back(row, now_ms() + UNPROCESSED_PAUSE_MS) {
            log(&format!("`{}` could not be put back: {error}", row.id));
        }
    }
}

/// The program's own alarm.
impl Wakes {
    /// Sets the program's own alarm, if the table exists. Otherwise returns false, and the caller has to set the platform's alarm.
    pub(crate) fn set_alarm(&self, time: u64) -> Result<bool> {
        if !self.handlers.get().alarm {
            return Err("nothing would handle the alarm: implement `OnAlarm` for the class of this object".into());
        }
        if time > TIME_MAX {
            return Err(NEVER.into());
        }
        if self.timer.frozen {
            self.need_table()?;
        }
        if !self.has_table()? {
            self.plain.set(Plain::Set(time));
            return Ok(false);
        }
        self.insert(New::own(ALARM_ID, time)).map(|()| true)
    }

    /// Deletes the program's own alarm, if the table exists. Otherwise returns false, and the caller has to delete the platform's
    /// alarm.
    pub(crate) fn delete_alarm(&self) -> Result<bool> {
        self.plain.set(Plain::None);
        if !self.has_table()? {
            return Ok(false);
        }
        self.queue.remove_alarm().map(|()| true)
    }

    /// The time of the program's own alarm in the table. `None` if no alarm is set, and while its handler runs.
    pub(crate) fn alarm(&self) -> Result<Option<u64>> {
        self.queue.alarm()
    }

    /// Runs the program's alarm handler while the table does not exist. The handler may create it.
    pub(super) async fn plain_alarm(&self, alarm: Alarm, handling: impl Future<Output = Result<()>>) -> Result<()> {
        let plain = &self.plain;
        plain.set(Plain::Running(alarm));
        let outcome = handling.await;
        if self.has_table()? {
            match (self.queue.running_alarm()?, outcome) {
                (Some(row), outcome) => self.settle(&row, now_ms(), outcome),
                // The handler has set another alarm, which goes off in any case.
                (None, Err(error)) => log(&format!("the alarm failed: {error}")),
                (None, Ok(())) => {}
            }
            return self.rearm();
        }
        // Unless the handler has set another alarm.
        if plain.get() == Plain::Running(alarm) {
            plain.set(if outcome.is_ok() { Plain::None } else { Plain::Failed(alarm) });
        }
        outcome
    }

    /// Begins the program's own alarm, if it is due. Also returns whether any events are due.
    pub(super) fn begin_alarm(&self, now: u64) -> Result<(Option<Row>, bool)> {
        let mut own = None;
        let mut events = false;
        for mut row in self.queue.due(now, |seq| self.attempts.has_in_hand(seq))? {
            if !row.is_alarm() {
                events = true;
            } else if own.is_none() && self.begin(&mut row, now)?.is_some() {
                own = Some(row);
            }
        }
        self.processed.set(false);
        Ok((own, events))
    }

    /// Notes that the program processes its events.
    pub(super) fn processes(&self) {
        self.processed.set(true);
    }

    /// Has the program's alarm handler called again, after it failed when it was called for events and not for its own alarm.
    pub(super) fn alarm_failed(&self, error: &str) -> Result<()> {
        let pause = ALARM_RETRY.pause(1, js_sys::Math::random());
        log(&format!("the alarm failed, again in {pause} ms: {error}"));
        self.insert(New::own(RETRY_ID, now_ms() + pause))
    }

    /// Postpones the due events if the program's alarm handler failed or did not process them, so that it is not called for them
    /// again and again at once.
    ///
    /// If the handler failed, the events wait until it is called again.
    pub(super) fn put_off_unprocessed(&self, failed: bool) -> Result<()> {
        if self.processed.get() && !failed {
            return Ok(());
        }
        self.write()?;
        let now = now_ms();
        let again = if failed { self.queue.alarm_after(now)? } else { None };
        let left = self.queue.put_off_due(now, again.unwrap_or(now + UNPROCESSED_PAUSE_MS))?;
        if left && !failed {
            log("events are due, and the alarm handler did not process them: call `process_scheduled_events` in it");
        }
        Ok(())
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
        self.timer.note(None);
        self.queue.forget();
    }
}

fn log(message: &str) {
    js::log("error", &format!("Realgar: {message}"));
}
