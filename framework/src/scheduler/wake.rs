//! A wake: works off what is due.
//!
//! An event leaves the table only after its handler succeeded. Before the handler runs, the table says that it is tried: if the object
//! ends meanwhile, that attempt has failed.

use super::{
    Event, ScheduleSettings,
    table::{Handled, Row, Wakes},
};
use crate::{
    Alarm, Result, State, codec, deadline, js,
    time::{Sleep, sleep},
};
use serde::de::DeserializeOwned;
use std::{
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    task::Poll,
    time::Duration,
};
use wasm_bindgen::JsValue;

/// How many events one wake begins. Their handlers may never wait, and the platform limits the time that it computes for one alarm
/// (Cloudflare, "Durable Objects limits": 30 s).
const EVENTS_MAX: u32 = 1_000;

/// A handler that runs.
pub(crate) type Handling = Pin<Box<dyn Future<Output = Result<()>>>>;

/// The handlers of an object, of any class.
pub(crate) struct Handlers {
    /// Of events.
    pub(crate) event: Option<Box<dyn Fn(RawEvent) -> Handling>>,
    /// Of the program's own alarm.
    pub(crate) alarm: Option<Box<dyn Fn(Alarm) -> Handling>>,
}

/// What it takes to wake an object. A class that is never woken does not refer to it, and so does not ship it.
#[derive(Clone, Copy, Debug)]
pub struct Waking {
    /// To be called when the object starts.
    pub(crate) start: fn(Rc<Wakes>, Handled, ScheduleSettings) -> Handling,
    /// To be called when its alarm goes off.
    pub(crate) wake: fn(State, Handlers, Alarm) -> Handling,
}

/// For a class that handles events.
pub(crate) const EVENTS: Waking = Waking {
    start,
    wake: |state, handlers, alarm| {
        Box::pin(async move {
            let wakes = state.wakes().clone();
            wakes.written(wake_for_events(state, handlers, alarm)).await
        })
    },
};

/// For one that handles its own alarm, and events perhaps.
pub(crate) const ALARM: Waking = Waking {
    start,
    wake: |state, handlers, alarm| {
        Box::pin(async move {
            let wakes = state.wakes().clone();
            wakes.written(wake(state, handlers, alarm)).await
        })
    },
};

fn start(wakes: Rc<Wakes>, handled: Handled, settings: ScheduleSettings) -> Handling {
    Box::pin(async move { wakes.start(handled, settings).await })
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

    /// With its payload.
    ///
    /// # Errors
    /// When it is not a `P`.
    pub fn decode<P: DeserializeOwned>(self) -> Result<Event<P>> {
        let payload = codec::from_json(&self.payload).map_err(|error| error.inside("payload"))?;
        Ok(Event { id: self.id, payload, due_ms: self.due, first_due_ms: self.first_due, attempt: self.attempt })
    }
}

/// An event that is being handled. It has failed if this is dropped.
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

    /// Waits until the attempt is durable, if an earlier one may have crashed. `None` if it is too late for this run by then.
    async fn cared_for(mut self) -> Result<Option<Self>> {
        self.wakes.take_care().await?;
        match &self.row {
            Some(row) if self.wakes.is_left_out(row)? => {
                self.row = None;
                Ok(None)
            }
            _ => Ok(Some(self)),
        }
    }

    /// Says how it ended.
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

/// A wake that is under way. The alarm is set when it ends, however it does.
struct Wake(Rc<Wakes>);

impl Wake {
    fn begin(wakes: &Rc<Wakes>) -> Result<Self> {
        // Before anything can fail: it counts how many there are.
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
    /// It looks whether there is something to begin.
    Begin,
    /// It leaves what runs to the background.
    Leave,
}

/// The handlers under way in one wake.
struct Running {
    handlers: Vec<(InHand, Handling)>,
}

impl Running {
    /// Waits until one of them has ended, the time is up, or there may be something to begin: when `due` is over, where there is room for
    /// it, or when something is scheduled.
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

    /// Leaves those that are not done to the background: the others need not wait for them.
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

/// Handles the alarm of the platform, which there is for events only.
async fn wake_for_events(state: State, handlers: Handlers, alarm: Alarm) -> Result<()> {
    let wakes = state.wakes().clone();
    wakes.delivered(alarm.retries);
    if !wakes.has_table()? {
        return Ok(());
    }
    let _wake = Wake::begin(&wakes)?;
    work_off(&state, &wakes, &handlers).await
}

/// Handles the alarm of the platform.
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

/// Works off what is due.
async fn work_off(state: &State, wakes: &Rc<Wakes>, handlers: &Handlers) -> Result<()> {
    let settings = wakes.settings();
    let mut running = Running { handlers: Vec::new() };
    let mut time_up: Option<Pin<Box<Sleep>>> = None;
    let end = Wakes::now() + settings.budget.as_millis() as u64;
    let mut begun = 0;
    loop {
        let free = running.handlers.len() < settings.concurrency as usize;
        let now = Wakes::now();
        if free
            && begun < EVENTS_MAX
            && now < end
            && let Some((row, payload)) = wakes.begin_next(now, |_| true)?
        {
            begun += 1;
            if let Some(in_hand) = InHand::new(wakes, row, now).cared_for().await? {
                begin(handlers, in_hand, payload, &mut running).await;
            }
            continue;
        }
        if running.handlers.is_empty() {
            return Ok(());
        }
        let time_up = time_up.get_or_insert_with(|| Box::pin(sleep(settings.budget)));
        let free = running.handlers.len() < settings.concurrency as usize && begun < EVENTS_MAX && now < end;
        // What runs is not to end with a look that fails.
        let next = || if wakes.in_transaction() { None } else { wakes.next_due().unwrap_or_default() };
        let due = free.then(|| pause(next(), settings.budget));
        if let Next::Leave = running.next(wakes, time_up, due).await {
            running.leave(state);
            return Ok(());
        }
    }
}

/// Until `due`, or for longer than the wake if it is after that.
fn pause(due: Option<u64>, budget: Duration) -> Pin<Box<Sleep>> {
    let pause = due.map_or(budget, |due| Duration::from_millis(due.saturating_sub(Wakes::now())).min(budget));
    Box::pin(sleep(pause))
}

/// Polls the handler of an event. Most are done then.
async fn begin(handlers: &Handlers, in_hand: InHand, payload: JsValue, running: &mut Running) {
    let Some(row) = &in_hand.row else { return };
    let handling = match (&handlers.alarm, &handlers.event) {
        (Some(handler), _) if row.is_alarm() => Some(handler(alarm_of(row))),
        (_, Some(handler)) if !row.is_alarm() => Some(handler(RawEvent::new(row, payload))),
        // The class had an alarm once.
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

/// Gives a handler up that takes too long.
async fn limited(limit: Duration, handling: impl Future<Output = Result<()>>) -> Result<()> {
    let outcome = deadline::until(deadline::at(limit.as_millis() as f64), handling).await;
    outcome.unwrap_or_else(|| Err(format!("it took longer than {} ms", limit.as_millis() as u64).into()))
}

fn alarm_of(row: &Row) -> Alarm {
    Alarm { retries: row.attempts - 1, time_ms: Some(row.due) }
}

/// Handles the alarm of an object that works off its events itself, with [`State::process_scheduled_events`].
async fn wake_program(wakes: &Rc<Wakes>, handlers: &Handlers, alarm: Alarm) -> Result<()> {
    let Some(handler) = &handlers.alarm else { return Ok(()) };
    let now = Wakes::now();
    let (own, events) = wakes.begin_alarm(now)?;
    if own.is_none() && !events {
        return Ok(());
    }
    let own_alarm = own.as_ref().map_or(Alarm { retries: 0, ..alarm }, alarm_of);
    let in_hand = own.map(|row| InHand::new(wakes, row, now));
    if in_hand.is_some() {
        wakes.take_care().await?;
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

/// Works off what is due with `handler`. Returns how many events it handled.
pub(super) async fn process<P: DeserializeOwned>(
    wakes: &Rc<Wakes>,
    handler: impl AsyncFn(Event<P>) -> Result<()>,
) -> Result<u64> {
    wakes.processes();
    if !wakes.has_table()? {
        return Ok(0);
    }
    wakes.written(process_due(wakes, handler)).await
}

async fn process_due<P: DeserializeOwned>(
    wakes: &Rc<Wakes>,
    handler: impl AsyncFn(Event<P>) -> Result<()>,
) -> Result<u64> {
    let _wake = Wake::begin(wakes)?;
    let settings = wakes.settings();
    let end = Wakes::now() + settings.budget.as_millis() as u64;
    let (mut begun, mut handled) = (0, 0);
    while begun < EVENTS_MAX {
        let now = Wakes::now();
        if now >= end {
            break;
        }
        let Some((row, payload)) = wakes.begin_next(now, |row| !row.is_alarm())? else { break };
        begun += 1;
        let event = RawEvent::new(&row, payload).decode();
        let Some(in_hand) = InHand::new(wakes, row, now).cared_for().await? else { continue };
        let outcome = match event {
            Ok(event) => limited(settings.time_limit, handler(event)).await,
            Err(error) => Err(error),
        };
        handled += u64::from(outcome.is_ok());
        in_hand.settle(outcome);
    }
    Ok(handled)
}
