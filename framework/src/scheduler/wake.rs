//! A wake: handles the events that are due.
//!
//! An event leaves the table when its handler succeeded, or when it was given up. Before the handler runs, the ledger says that the event
//! is being tried, and the table does at the latest when the turn ends: if the object ends meanwhile, the attempt was interrupted.

use super::{
    Event, ScheduleSettings,
    row::Row,
    wakes::{Handled, Wakes},
};
use crate::{
    Alarm, Result, State, codec, now_ms,
    runtime::{
        deadline, js,
        time::{Sleep, sleep},
    },
};
use serde::de::DeserializeOwned;
use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    task::Poll,
    time::Duration,
};
use wasm_bindgen::JsValue;

/// How many events one wake begins. There is a limit because handlers that never wait would use up the time that the platform
/// computes for one alarm (Cloudflare, "Durable Objects limits": 30 s).
const EVENTS_MAX: u32 = 1_000;

/// A running handler.
pub(crate) type Handling = Pin<Box<dyn Future<Output = Result<()>>>>;

/// The handlers of an object, of any class.
pub(crate) struct Handlers {
    /// The handler of events.
    pub(crate) event: Option<Box<dyn Fn(RawEvent) -> Handling>>,
    /// The handler of the program's own alarm.
    pub(crate) alarm: Option<Box<dyn Fn(Alarm) -> Handling>>,
}

/// The functions that wake an object. A class that is never woken does not refer to them, so that its program does not ship them.
#[derive(Clone, Copy, Debug)]
pub struct Waking {
    /// Called when the object starts.
    pub(crate) start: fn(Rc<Wakes>, Handled, ScheduleSettings) -> Handling,
    /// Called when the object's alarm goes off.
    pub(crate) wake: fn(State, Handlers, Alarm) -> Handling,
}

/// For a class that handles events.
pub(crate) const EVENTS: Waking = Waking {
    start,
    wake: |state, handlers, alarm| {
        Box::pin(async move {
            let wakes = state.wakes().clone();
            written(&wakes, wake_for_events(state, handlers, alarm)).await
        })
    },
};

/// For a class that handles its own alarm, and perhaps events too.
pub(crate) const ALARM: Waking = Waking {
    start,
    wake: |state, handlers, alarm| {
        Box::pin(async move {
            let wakes = state.wakes().clone();
            written(&wakes, wake(state, handlers, alarm)).await
        })
    },
};

fn start(wakes: Rc<Wakes>, handled: Handled, settings: ScheduleSettings) -> Handling {
    Box::pin(async move { wakes.start(handled, settings).await })
}

/// Runs `work`, and writes the ledger's changes before each of its turns ends: the rows of events that are done go here.
async fn written<T>(wakes: &Wakes, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    poll_fn(|cx| {
        let poll = work.as_mut().poll(cx);
        if let Err(error) = wakes.write() {
            js::log("error", &format!("Realgar: what a schedule did could not be stored: {error}"));
        }
        poll
    })
    .await
}

/// An event whose payload has not been decoded.
#[derive(Debug)]
pub struct RawEvent {
    id: String,
    payload: JsValue,
    due: u64,
    first_due: u64,
    attempt: u32,
}

impl RawEvent {
    fn new(row: &Row, payload: JsValue) -> Self {
        let (due, first_due, attempt) = (row.due, row.first_due(), row.attempts);
        Self { id: row.id.clone(), payload, due, first_due, attempt }
    }

    /// Decodes the payload.
    ///
    /// # Errors
    /// When the payload is not a `P`.
    pub fn decode<P: DeserializeOwned>(self) -> Result<Event<P>> {
        let payload = codec::from_json(&self.payload).map_err(|error| error.inside("payload"))?;
        Ok(Event { id: self.id, payload, due_ms: self.due, first_due_ms: self.first_due, attempt: self.attempt })
    }
}

/// An event that is being handled. If this is dropped without [`InHand::settle`], the attempt has failed.
struct InHand {
    wakes: Rc<Wakes>,
    row: Option<Row>,
    started: u64,
}

impl InHand {
    fn new(wakes: &Rc<Wakes>, row: Row, now: u64) -> Self {
        wakes.take_in_hand(&row);
        Self { wakes: wakes.clone(), row: Some(row), started: now }
    }

    /// Waits until the attempt is durable, if an earlier one may have crashed. Returns whether it is too late for this run by then.
    async fn is_too_late(&mut self) -> Result<bool> {
        if !self.wakes.take_care().await? {
            return Ok(false);
        }
        let left_out = match &self.row {
            Some(row) => self.wakes.is_left_out(row)?,
            None => false,
        };
        if left_out {
            self.row = None;
        }
        Ok(left_out)
    }

    /// Writes how the attempt ended.
    fn settle(mut self, outcome: Result<()>) {
        if let Some(row) = self.row.take() {
            self.wakes.settle(&row, self.started, outcome);
        }
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        if let Some(row) = self.row.take() {
            self.wakes.settle(&row, self.started, Err("it was dropped while it ran".into()));
        }
    }
}

/// A wake that is under way. When it is dropped, the wake ends and the alarm is set, also after an error.
struct Wake(Rc<Wakes>);

impl Wake {
    fn begin(wakes: &Rc<Wakes>) -> Result<Self> {
        // Created before anything can fail: its `Drop` takes back the count that `begin_wake` raises.
        let wake = Self(wakes.clone());
        wakes.begin_wake()?;
        Ok(wake)
    }
}

impl Drop for Wake {
    fn drop(&mut self) {
        if let Err(error) = self.0.end_wake() {
            js::log("error", &format!("Realgar: the alarm could not be set: {error}"));
        }
    }
}

/// What a wake that waits does next.
enum Next {
    /// Look for an event to begin.
    Begin,
    /// Leave the running handlers to the background.
    Leave,
}

/// The handlers under way in one wake.
struct Running {
    handlers: Vec<(InHand, Handling)>,
}

impl Running {
    /// Waits until a handler has ended, the time is up, or there may be an event to begin. `due` is `None` if there is no room for
    /// another handler. Otherwise there may be an event to begin when `due` is over or something is scheduled.
    async fn next(&mut self, wakes: &Wakes, time_up: &mut Pin<Box<Sleep>>, mut due: Option<Pin<Box<Sleep>>>) -> Next {
        poll_fn(|cx| {
            for (index, (_, handling)) in self.handlers.iter_mut().enumerate() {
                if let Poll::Ready(outcome) = handling.as_mut().poll(cx) {
                    self.handlers.remove(index).0.settle(outcome);
                    return Poll::Ready(Next::Begin);
                }
            }
            if time_up.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Next::Leave);
            }
            let begin = due.as_mut().is_some_and(|due| due.as_mut().poll(cx).is_ready() || wakes.has_news(cx.waker()));
            if begin { Poll::Ready(Next::Begin) } else { Poll::Pending }
        })
        .await
    }

    /// Leaves handlers that are not done to the background, so that other events need not wait for them.
    fn leave(self, state: &State) {
        for (in_hand, handling) in self.handlers {
            state.wait_until(async move {
                let wakes = in_hand.wakes.clone();
                let outcome = handling.await;
                in_hand.settle(outcome);
                if let Err(error) = wakes.rearm() {
                    js::log("error", &format!("Realgar: the alarm could not be set: {error}"));
                }
            });
        }
    }
}

/// Handles the platform's alarm for a class that handles only events.
async fn wake_for_events(state: State, handlers: Handlers, alarm: Alarm) -> Result<()> {
    let wakes = state.wakes().clone();
    wakes.delivered(alarm.retries);
    if !wakes.has_table()? {
        return Ok(());
    }
    let _wake = Wake::begin(&wakes)?;
    work_off(&state, &wakes, &handlers).await
}

/// Handles the platform's alarm for a class that handles its own alarm, and perhaps events.
async fn wake(state: State, handlers: Handlers, alarm: Alarm) -> Result<()> {
    let wakes = state.wakes().clone();
    wakes.delivered(alarm.retries);
    if !wakes.has_table()? {
        return match handlers.alarm {
            Some(handler) => wakes.plain_alarm(alarm, handler(alarm)).await,
            None => Ok(()),
        };
    }
    let _wake = Wake::begin(&wakes)?;
    if handlers.event.is_none() {
        return wake_program(&wakes, &handlers, alarm).await;
    }
    work_off(&state, &wakes, &handlers).await
}

/// Handles the due events, until none is left or the budget is used up.
async fn work_off(state: &State, wakes: &Rc<Wakes>, handlers: &Handlers) -> Result<()> {
    let settings = wakes.settings();
    let mut running = Running { handlers: Vec::new() };
    let mut time_up: Option<Pin<Box<Sleep>>> = None;
    let end = now_ms() + settings.budget.as_millis() as u64;
    let mut begun = 0;
    loop {
        let free = running.handlers.len() < settings.concurrency as usize;
        let now = now_ms();
        if free
            && begun < EVENTS_MAX
            && now < end
            && let Some((row, payload)) = wakes.begin_next(now, |_| true)?
        {
            begun += 1;
            let mut in_hand = InHand::new(wakes, row, now);
            if !in_hand.is_too_late().await? {
                begin(handlers, in_hand, payload, &mut running).await;
            }
            continue;
        }
        if running.handlers.is_empty() {
            return Ok(());
        }
        let time_up = time_up.get_or_insert_with(|| Box::pin(sleep(settings.budget)));
        let free = running.handlers.len() < settings.concurrency as usize && begun < EVENTS_MAX && now < end;
        // A look-up that fails must not end the handlers that are running.
        let next = || if wakes.in_transaction() { None } else { wakes.next_due().unwrap_or_default() };
        let due = free.then(|| pause(next(), settings.budget));
        if let Next::Leave = running.next(wakes, time_up, due).await {
            running.leave(state);
            return Ok(());
        }
    }
}

/// Sleeps until `due`, or, if that is after the end of the wake, for longer than the wake lasts.
fn pause(due: Option<u64>, budget: Duration) -> Pin<Box<Sleep>> {
    let pause = due.map_or(budget, |due| Duration::from_millis(due.saturating_sub(now_ms())).min(budget));
    Box::pin(sleep(pause))
}

/// Polls the handler of an event once. Most handlers are done then; the others become part of `running`.
async fn begin(handlers: &Handlers, in_hand: InHand, payload: JsValue, running: &mut Running) {
    let Some(row) = &in_hand.row else { return };
    let handling = match (&handlers.alarm, &handlers.event) {
        (Some(handler), _) if row.is_alarm() => Some(handler(alarm_of(row))),
        (_, Some(handler)) if !row.is_alarm() => Some(handler(RawEvent::new(row, payload))),
        // The class has no such handler, but may have had an alarm once.
        _ => None,
    };
    let Some(mut handling) = handling else { return in_hand.settle(Ok(())) };
    match poll_fn(|cx| Poll::Ready(handling.as_mut().poll(cx))).await {
        Poll::Ready(outcome) => in_hand.settle(outcome),
        Poll::Pending => {
            let limited = Box::pin(limited(in_hand.wakes.settings().time_limit, handling));
            running.handlers.push((in_hand, limited));
        }
    }
}

/// Gives up a handler that takes too long.
async fn limited(limit: Duration, handling: impl Future<Output = Result<()>>) -> Result<()> {
    let outcome = deadline::until(deadline::at(limit.as_millis() as f64), handling).await;
    outcome.unwrap_or_else(|| Err(format!("it took longer than {} ms", limit.as_millis() as u64).into()))
}

fn alarm_of(row: &Row) -> Alarm {
    Alarm { retries: row.attempts - 1, time_ms: Some(row.due) }
}

/// Handles the alarm of an object that handles its events itself, with [`State::process_scheduled_events`].
async fn wake_program(wakes: &Rc<Wakes>, handlers: &Handlers, alarm: Alarm) -> Result<()> {
    let Some(handler) = &handlers.alarm else { return Ok(()) };
    let now = now_ms();
    let (own, events) = wakes.begin_alarm(now)?;
    if own.is_none() && !events {
        return Ok(());
    }
    let own_alarm = own.as_ref().map_or(Alarm { retries: 0, ..alarm }, alarm_of);
    let in_hand = own.map(|row| InHand::new(wakes, row, now));
    if in_hand.is_some() {
        let _ = wakes.take_care().await?;
    }
    let outcome = handler(own_alarm).await;
    let failed = outcome.is_err();
    match (in_hand, outcome) {
        (Some(in_hand), outcome) => in_hand.settle(outcome),
        (None, Ok(())) => {}
        (None, Err(error)) => wakes.alarm_failed(&error.to_string())?,
    }
    wakes.put_off_unprocessed(failed)
}

/// Handles the due events with `handler`. Returns how many succeeded.
pub(super) async fn process<P: DeserializeOwned>(
    wakes: &Rc<Wakes>,
    handler: impl AsyncFn(Event<P>) -> Result<()>,
) -> Result<u64> {
    wakes.processes();
    if !wakes.has_table()? {
        return Ok(0);
    }
    written(wakes, process_due(wakes, handler)).await
}

async fn process_due<P: DeserializeOwned>(
    wakes: &Rc<Wakes>,
    handler: impl AsyncFn(Event<P>) -> Result<()>,
) -> Result<u64> {
    let _wake = Wake::begin(wakes)?;
    let settings = wakes.settings();
    let end = now_ms() + settings.budget.as_millis() as u64;
    let (mut begun, mut handled) = (0, 0);
    while begun < EVENTS_MAX {
        let now = now_ms();
        if now >= end {
            break;
        }
        let Some((row, payload)) = wakes.begin_next(now, |row| !row.is_alarm())? else { break };
        begun += 1;
        let event = RawEvent::new(&row, payload).decode();
        let mut in_hand = InHand::new(wakes, row, now);
        if in_hand.is_too_late().await? {
            continue;
        }
        let outcome = match event {
            Ok(event) => limited(settings.time_limit, handler(event)).await,
            Err(error) => Err(error),
        };
        handled += u64::from(outcome.is_ok());
        in_hand.settle(outcome);
    }
    Ok(handled)
}
