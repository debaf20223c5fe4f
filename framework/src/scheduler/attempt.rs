//! One function decides what becomes of an event. It takes the event's row and what happened to it, and returns how the row changes.
//!
//! The function touches no database, and its caller gives it the time, so its tests run events through years of failures, interruptions and late
//! wakes in no time. What it returns is written by [`Events`].

use super::{
    row::{Row, Run},
    when::{Missed, Overlap, Plan, Retry, ScheduleSettings, TIME_MAX},
};
use crate::Result;
use std::cell::{Cell, RefCell};

/// How often the program's own alarm is tried: as often as the platform would.
pub(super) const ALARM_RETRY: Retry = Retry { attempts: 7, first_ms: 2_000, longest_ms: 64_000 };
/// How long an event is put off if the alarm handler did not process it, if this version cannot read its plan, or if its outcome could
/// not be stored.
pub(super) const UNPROCESSED_PAUSE_MS: u64 = 30_000;
const DIED: &str = "the object ended while it ran";
/// How often an event may be interrupted while it runs, by the end of the machine or by the fault of another object. An
/// interruption is not the event's own failure, so it does not count as one. But an event that ends its machine each time must not
/// do so for ever.
const INTERRUPTIONS_MAX: u32 = 100;
/// How much of an error is kept, in bytes.
const ERROR_SIZE_MAX: usize = 1_000;

/// What happened to an event.
#[derive(Debug)]
pub(super) enum Happened<'a> {
    /// It has come due, and may be tried.
    Due,
    /// It is being tried, and some time has passed until the attempt was durable.
    Stored,
    /// The attempt that began at `started` succeeded.
    Succeeded { started: u64 },
    /// The attempt failed.
    Failed { started: u64, error: &'a str },
    /// The machine ended during the attempt.
    Interrupted { started: u64 },
}

/// How the row of an event changes. Only tests compare changes: the comparison is 300 bytes of a bundle.
#[derive(Debug)]
#[cfg_attr(test, derive(PartialEq, Eq))]
pub(super) enum Change {
    /// The row stays as it is: the attempt begins, or goes on.
    Run,
    /// It waits until `due`, before it is tried.
    PutOff { due: u64 },
    /// It makes up for missed runs with the run at `due`, and takes its new place among the others.
    Choose { due: u64 },
    /// Its run at `due` becomes an event of its own, and it moves on to its next run.
    Beside { id: String, due: u64, plan: Option<String>, next: u64 },
    /// It is done.
    Delete,
    /// It moves on to its run at `due`. `None` for `runs` leaves its history as it is.
    Advance { due: u64, runs: Option<String> },
    /// It is tried again.
    Again { at: u64, interrupted: u32, runs: String },
    /// It is given up: it becomes a dead letter, and if it repeats, moves on to its `next` run.
    Bury { letter: Option<Letter>, next: Option<u64>, runs: Option<String> },
}

/// What a dead letter has that the event's row does not have.
#[derive(Debug)]
#[cfg_attr(test, derive(PartialEq, Eq))]
pub(super) struct Letter {
    /// When the event was due for the first time.
    pub(super) due: u64,
    pub(super) error: String,
    pub(super) died_at: u64,
    /// The plan for a replay.
    pub(super) plan: Option<String>,
}

/// A change, and what the log says about it.
#[derive(Debug)]
#[cfg_attr(test, derive(PartialEq, Eq))]
pub(super) struct Transition {
    pub(super) change: Change,
    pub(super) report: Option<String>,
}

impl From<Change> for Transition {
    fn from(change: Change) -> Self {
        Self { change, report: None }
    }
}

impl Change {
    /// The event's next run, which may be earlier than the alarm. `None` if the change adds no run.
    pub(super) fn next_at(&self) -> Option<u64> {
        match self {
            Self::Run | Self::Delete => None,
            Self::PutOff { due }
            | Self::Choose { due }
            | Self::Beside { due, .. }
            | Self::Advance { due, .. }
            | Self::Again { at: due, .. } => Some(*due),
            Self::Bury { next, .. } => *next,
        }
    }
}

/// The moment at which something happens, and the settings of the class. `now` is a function, because most events end without a look
/// at the clock.
#[derive(Clone, Copy)]
pub(super) struct Moment<'a> {
    /// In milliseconds since 1970.
    pub(super) now: &'a dyn Fn() -> u64,
    /// From 0 to 1: spreads the pauses of events that failed together.
    pub(super) random: &'a dyn Fn() -> f64,
    pub(super) settings: ScheduleSettings,
}

/// How the row of an event changes when something happens to it.
///
/// # Errors
/// When another version of the program wrote a plan that this one cannot read, or when the plan has no further run.
pub(super) fn transition(row: &Row, happened: &Happened<'_>, moment: &Moment<'_>) -> Result<Transition> {
    match happened {
        Happened::Due => due(row, (moment.now)()),
        Happened::Stored => stored(row, moment).map(Transition::from),
        Happened::Succeeded { started } => succeeded(row, *started, moment).map(Transition::from),
        Happened::Failed { started, error } => Ok(failed(row, *started, row.interrupted, error, moment)),
        Happened::Interrupted { started } => Ok(failed(row, *started, row.interrupted + 1, DIED, moment)),
    }
}

fn due(row: &Row, now: u64) -> Result<Transition> {
    let Ok(plan) = row.plan() else {
        // Another version of the program wrote this plan. The event waits for a version that can read it.
        let report = format!("this version of the program cannot read when `{}` runs; it waits", row.id);
        return Ok(Transition { change: Change::PutOff { due: now + UNPROCESSED_PAUSE_MS }, report: Some(report) });
    };
    if plan.repeat.is_none() || row.attempts > 0 {
        return Ok(Change::Run.into());
    }
    // The run that makes up for missed ones is chosen only once. Otherwise its place among the other events would move with the
    // clock.
    let chosen = row.chosen && !matches!(plan.missed, Missed::Skip { .. });
    match plan.run_at(row.anchor(), row.due, now) {
        _ if chosen => {}
        Ok(due) if due > now => return Ok(Change::PutOff { due }.into()),
        Ok(due) if due > row.due => return Ok(Change::Choose { due }.into()),
        Ok(_) => {}
        Err(error) => return Ok(bury(row, &error.to_string(), None, now).into()),
    }
    if plan.overlap == Overlap::Allow {
        let (id, own) = (format!("{}@{}", row.id, row.due), plan.once());
        let next = match next_run(row, &plan, now) {
            Ok(next) => next,
            Err(error) => return Ok(bury(row, &error.to_string(), None, now).into()),
        };
        return Ok(Change::Beside { id, due: row.due, plan: own, next }.into());
    }
    Ok(Change::Run.into())
}

/// A run that has begun may be too late by now, if its plan skips late runs. If so, the event waits for its next run.
fn stored(row: &Row, moment: &Moment<'_>) -> Result<Change> {
    if !row.repeats() || row.attempts > 1 {
        return Ok(Change::Run);
    }
    let (plan, now) = (row.plan()?, (moment.now)());
    if !plan.leaves_out(row.due, now) {
        return Ok(Change::Run);
    }
    Ok(Change::Advance { due: plan.run_at(row.anchor(), row.due, now)?, runs: None })
}

fn succeeded(row: &Row, started: u64, moment: &Moment<'_>) -> Result<Change> {
    if !row.repeats() {
        return Ok(Change::Delete);
    }
    let now = (moment.now)();
    let run = Run { due_ms: row.due, started_ms: started, ended_ms: now, attempt: row.attempts, error: None };
    Ok(Change::Advance { due: next_run(row, &row.plan()?, now)?, runs: Some(row.runs_with(&run)) })
}

fn failed(row: &Row, started: u64, interrupted: u32, error: &str, moment: &Moment<'_>) -> Transition {
    let (now, settings) = ((moment.now)(), moment.settings);
    let (id, attempt, error) = (&row.id, row.attempts, shortened(error));
    let plan = row.plan().unwrap_or_default();
    let retry = if row.is_alarm() { ALARM_RETRY } else { plan.retry.unwrap_or(settings.retry) };
    let run = Run { due_ms: row.due, started_ms: started, ended_ms: now, attempt, error: Some(error.clone()) };
    let runs = row.runs_with(&run);
    let failures = attempt.saturating_sub(interrupted);
    if failures >= retry.attempts || interrupted >= INTERRUPTIONS_MAX {
        let report = format!("`{id}` failed at its last attempt, and is given up: {error}");
        return Transition { change: bury(row, &error, Some(runs), now), report: Some(report) };
    }
    let at = now.saturating_add(retry.pause(failures.max(interrupted), (moment.random)())).min(TIME_MAX);
    let (of, pause) = (retry.attempts, at.saturating_sub(now));
    let report = format!("`{id}` failed, attempt {attempt} of {of}, again in {pause} ms: {error}");
    Transition { change: Change::Again { at, interrupted, runs }, report: Some(report) }
}

fn bury(row: &Row, error: &str, runs: Option<String>, now: u64) -> Change {
    let plan = row.plan().ok();
    let letter = (!row.is_alarm()).then(|| Letter {
        due: row.first_due(),
        error: error.into(),
        died_at: now,
        plan: plan.as_ref().and_then(Plan::once),
    });
    let repeats = plan.filter(|plan| plan.repeat.is_some() && plan.run_at(row.anchor(), row.due, now).is_ok());
    Change::Bury { letter, next: repeats.and_then(|plan| next_run(row, &plan, now).ok()), runs }
}

fn next_run(row: &Row, plan: &Plan, now: u64) -> Result<u64> {
    plan.next_run(row.anchor(), row.due, now)?.ok_or_else(|| format!("`{}` has no next run", row.id).into())
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

/// The database, as attempts see it.
pub(super) trait Events {
    /// The events that the database says are being tried, each with the time at which its attempt began.
    fn started(&self) -> Result<Vec<(Row, u64)>>;

    /// Changes the row of an event, unless another event has taken its place.
    fn apply(&self, row: &Row, change: &Change) -> Result<()>;
}

/// Which attempts have to be durable before they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Care {
    /// Only the first attempt after the object starts.
    First,
    /// Every attempt in this wake. An earlier attempt has ended the machine or the wasm instance, and nobody knows which event did it.
    Each,
    None,
}

/// The attempts under way in this wasm instance.
#[derive(Debug)]
pub(super) struct Attempts {
    /// The sequence numbers of the events that are being handled.
    in_hand: RefCell<Vec<u64>>,
    care: Cell<Care>,
    /// How often the alarm that the platform delivered last had failed before.
    retries: Cell<u32>,
    /// Why the previous wasm instance of the object died. `None` if it did not.
    death: Option<String>,
}

impl Attempts {
    pub(super) fn new(death: Option<String>) -> Self {
        Self { in_hand: RefCell::default(), care: Cell::new(Care::First), retries: Cell::default(), death }
    }

    pub(super) fn take_in_hand(&self, seq: u64) {
        self.in_hand.borrow_mut().push(seq);
    }

    pub(super) fn let_go(&self, seq: u64) {
        self.in_hand.borrow_mut().retain(|own| *own != seq);
    }

    pub(super) fn has_in_hand(&self, seq: u64) -> bool {
        self.in_hand.borrow().contains(&seq)
    }

    /// Notes that the platform's alarm was delivered, after it had failed `retries` times.
    pub(super) fn delivered(&self, retries: u32) {
        self.retries.set(retries);
    }

    /// Called when no wake is under way any more: later attempts need no care.
    pub(super) fn rest(&self) {
        self.care.set(Care::None);
        self.retries.set(0);
    }

    /// Whether the next attempt has to be durable before it runs, because an earlier one may have ended the machine. To be asked once for
    /// each attempt.
    pub(super) fn takes_care(&self) -> bool {
        if self.retries.get() == 0 && self.care.get() == Care::None {
            return false;
        }
        if self.care.get() == Care::First {
            self.care.set(Care::None);
        }
        true
    }

    /// Ends attempts that the machine or the instance did not survive: the database still has them as running, and nothing handles them.
    pub(super) fn heal(&self, events: &impl Events, mut end: impl FnMut(&Row, &Happened<'_>)) -> Result<()> {
        for (row, started) in events.started()? {
            if self.has_in_hand(row.seq) {
                continue;
            }
            self.care.set(Care::Each);
            match &self.death {
                Some(death) => end(&row, &Happened::Failed { started, error: &format!("{DIED}: {death}") }),
                None => end(&row, &Happened::Interrupted { started }),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
