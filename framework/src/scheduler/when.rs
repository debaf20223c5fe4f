//! When an event runs, and what happens if it cannot run at that time.

use super::cron::Cron;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// When an event runs: once, or again and again.
#[derive(Clone, Debug, PartialEq)]
pub struct When {
    pub(super) start: Start,
    pub(super) plan: Plan,
}

/// When an event runs for the first time.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Start {
    At(u64),
    After(Duration),
    /// At the time that follows from the plan.
    Planned,
}

/// How an event goes on after its first run. The plan is stored with the event, as the text that `stored.rs` writes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Plan {
    pub(super) repeat: Option<Repeat>,
    pub(super) missed: Missed,
    pub(super) overlap: Overlap,
    pub(super) retry: Option<Retry>,
}

/// How an event repeats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Repeat {
    /// At an interval of this many milliseconds, counted from when the event was scheduled, so that it does not drift.
    EveryMs(u64),
    /// By a cron expression.
    Cron(Cron),
}

/// What happens to missed runs of a repeating event: runs whose time went by while the object or the platform was down, or while an
/// earlier run took too long.
///
/// A run that makes up for others is ordered among all events by the time for which it is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    /// One run makes up for all missed runs. Its [`due_ms`](super::Event::due_ms) is the time of the last of them.
    #[default]
    RunOnce,
    /// Each missed run is made up for, in order, but no more than the last `at_most` of them. Each is due at its own time.
    CatchUp {
        /// How many missed runs are made up for at most.
        at_most: u32,
    },
    /// A run that is late by more than `later_than_ms` is skipped, and so are the runs missed before it. The next run that is less
    /// late is due at its own time.
    Skip {
        /// How late a run may begin, in milliseconds.
        later_than_ms: u64,
    },
}

/// What happens when a run of a repeating event comes due while the one before it still goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// The new run waits. If it has to wait for long, it counts as [`Missed`].
    #[default]
    Wait,
    /// The new run is skipped.
    Skip,
    /// The new run runs beside the earlier one, if [`ScheduleSettings::concurrency`] allows, as an event of its own with the id
    /// `{id}@{due}`. A failing run does not hold up later runs.
    Allow,
}

/// How often a run that fails is tried, and how long the pauses between its attempts are. Each pause is twice as long as the one
/// before, up to the longest, and up to a fifth longer or shorter at random.
///
/// A run counts as interrupted and not as failed if the machine ends while it runs, or if the fault of another object breaks their
/// shared wasm instance. An interrupted run is tried again after the same pauses, up to 100 times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    pub(super) attempts: u32,
    pub(super) first_ms: u64,
    pub(super) longest_ms: u64,
}

impl Default for Retry {
    fn default() -> Self {
        Self::new()
    }
}

impl Retry {
    /// 12 attempts, the second after half a second, at most an hour apart: 17 minutes in all.
    #[must_use]
    pub const fn new() -> Self {
        Self { attempts: 12, first_ms: 500, longest_ms: 3_600_000 }
    }

    /// Sets the number of attempts in all, the first included. There is at least one.
    #[must_use]
    pub const fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = if attempts == 0 { 1 } else { attempts };
        self
    }

    /// Sets the first pause.
    #[must_use]
    pub const fn first(mut self, pause: Duration) -> Self {
        self.first_ms = pause.as_millis() as u64;
        self
    }

    /// Sets the longest pause.
    #[must_use]
    pub const fn longest(mut self, pause: Duration) -> Self {
        self.longest_ms = pause.as_millis() as u64;
        self
    }

    /// The pause after attempt number `attempt`, in milliseconds. `random` is from 0 to 1.
    pub(super) fn pause(&self, attempt: u32, random: f64) -> u64 {
        let doubled = self.first_ms.saturating_mul(1_u64.checked_shl(attempt.saturating_sub(1)).unwrap_or(u64::MAX));
        (doubled.min(self.longest_ms) as f64 * (0.8 + 0.4 * random)) as u64
    }
}

/// Runs once, that long from now.
impl From<Duration> for When {
    fn from(delay: Duration) -> Self {
        Self::after(delay)
    }
}

impl From<Cron> for When {
    fn from(cron: Cron) -> Self {
        Self::repeating(Repeat::Cron(cron))
    }
}

impl When {
    /// Once, at `time_ms`, in milliseconds since 1970; immediately if that time has passed.
    #[must_use]
    pub fn at(time_ms: u64) -> Self {
        Self { start: Start::At(time_ms), plan: Plan::default() }
    }

    /// Once, `delay` from now.
    #[must_use]
    pub fn after(delay: Duration) -> Self {
        Self { start: Start::After(delay), plan: Plan::default() }
    }

    /// Every `interval`, for the first time one interval from now. The runs are counted from now in whole milliseconds, so that a
    /// late run does not delay the ones after it.
    #[must_use]
    pub fn every(interval: Duration) -> Self {
        Self::repeating(Repeat::EveryMs(interval.as_millis() as u64))
    }

    /// Whenever `cron` fires.
    #[must_use]
    pub fn cron(cron: Cron) -> Self {
        cron.into()
    }

    fn repeating(repeat: Repeat) -> Self {
        Self { start: Start::Planned, plan: Plan { repeat: Some(repeat), ..Plan::default() } }
    }

    /// Sets the first run to `time_ms`, in milliseconds since 1970. An interval is counted from there.
    #[must_use]
    pub fn starting_at(mut self, time_ms: u64) -> Self {
        self.start = Start::At(time_ms);
        self
    }

    /// Sets how often a run that fails is tried, in place of [`ScheduleSettings::retry`].
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.plan.retry = Some(retry);
        self
    }

    /// Sets what happens to runs whose time went by.
    #[must_use]
    pub fn missed(mut self, missed: Missed) -> Self {
        self.plan.missed = missed;
        self
    }

    /// Sets what happens to a run that comes due while the one before it goes on.
    #[must_use]
    pub fn overlap(mut self, overlap: Overlap) -> Self {
        self.plan.overlap = overlap;
        self
    }

    /// When the event runs for the first time, if it is scheduled at `now`.
    pub(super) fn first_run(&self, now: u64) -> Result<u64> {
        let time = match &self.start {
            Start::At(time) if *time > TIME_MAX => None,
            Start::At(time) => match &self.plan.repeat {
                // Asks for the next run only to check that the time zone exists.
                Some(Repeat::Cron(cron)) => cron.next(*time).map(|_| Some(*time))?,
                Some(Repeat::EveryMs(0)) => return Err(NO_INTERVAL.into()),
                _ => Some(*time),
            },
            Start::After(delay) => u64::try_from(delay.as_millis()).ok().and_then(|delay| now.checked_add(delay)),
            Start::Planned => match &self.plan.repeat {
                Some(Repeat::EveryMs(0)) => return Err(NO_INTERVAL.into()),
                Some(Repeat::EveryMs(interval)) => now.checked_add(*interval),
                Some(Repeat::Cron(cron)) => Some(cron.next(now)?),
                None => Some(now),
            },
        };
        time.filter(|time| *time <= TIME_MAX).ok_or_else(|| Error::from(NEVER))
    }

    /// The first run, if it was set explicitly, and the interval that is counted from it. An event without an interval gets 1,
    /// which fits any first run.
    pub(super) fn phase(&self) -> (Option<u64>, u64) {
        let first = if let Start::At(first) = self.start { Some(first) } else { None };
        let interval = if let Some(Repeat::EveryMs(interval)) = self.plan.repeat { interval } else { 1 };
        (first, interval)
    }
}

const NO_INTERVAL: &str = "an event cannot repeat every 0 ms";

/// The last time that an alarm can have, in milliseconds since 1970. The platform counts in nanoseconds, and ends in the year 2262.
pub(super) const TIME_MAX: u64 = 9_000_000_000_000;
pub(super) const NEVER: &str =
    "that is beyond the year 2255, and would never run: times are in milliseconds since 1970";

impl Plan {
    /// The run after the one that was due at `due`, which ended at `now`. `None` if the event does not repeat.
    pub(super) fn next_run(&self, anchor: u64, due: u64, now: u64) -> Result<Option<u64>> {
        let Some(repeat) = &self.repeat else { return Ok(None) };
        let after = if self.overlap == Overlap::Skip { due.max(now) } else { due };
        repeat.next(anchor, after).map(Some)
    }

    /// Whether the run that is due at `due` is too late at `now`, so that it is skipped.
    pub(super) fn leaves_out(&self, due: u64, now: u64) -> bool {
        matches!(self.missed, Missed::Skip { later_than_ms } if now > due.saturating_add(later_than_ms))
    }

    /// Which run to begin at `now`, if the next one is due at `due`: that run, or a later one. If the returned time is after `now`,
    /// it has to be waited for.
    pub(super) fn run_at(&self, anchor: u64, due: u64, now: u64) -> Result<u64> {
        let Some(repeat) = &self.repeat else { return Ok(due) };
        match self.missed {
            Missed::RunOnce => repeat.last_before(anchor, due, now, 1),
            Missed::CatchUp { at_most } => repeat.last_before(anchor, due, now, at_most.max(1)),
            Missed::Skip { later_than_ms } => {
                let earliest = now.saturating_sub(later_than_ms);
                if due >= earliest { Ok(due) } else { repeat.next(anchor, earliest.saturating_sub(1)) }
            }
        }
    }
}

impl Repeat {
    fn next(&self, anchor: u64, after: u64) -> Result<u64> {
        match self {
            Self::EveryMs(interval) => {
                let interval = (*interval).max(1);
                let runs = after.checked_sub(anchor).map_or(0, |past| past / interval + 1);
                Ok(anchor.saturating_add(runs.saturating_mul(interval)).min(TIME_MAX))
            }
            Self::Cron(cron) => cron.next(after),
        }
    }

    /// The first of the last `count` runs from `due` up to `now`.
    fn last_before(&self, anchor: u64, due: u64, now: u64, count: u32) -> Result<u64> {
        match self {
            Self::EveryMs(interval) => {
                let interval = (*interval).max(1);
                let missed = now.saturating_sub(due) / interval;
                Ok(due + missed.saturating_sub(u64::from(count - 1)) * interval)
            }
            Self::Cron(_) => {
                // A cron expression tells only what comes next, so the search begins further back each time, until it finds enough
                // runs.
                let mut back = 60_000 * u64::from(count);
                loop {
                    let from = due.max(now.saturating_sub(back));
                    let mut last = Vec::new();
                    let mut next = if from == due { due } else { self.next(anchor, from)? };
                    while next <= now {
                        last.push(next);
                        next = self.next(anchor, next)?;
                    }
                    if last.len() >= count as usize || from == due {
                        let first = last.len().saturating_sub(count as usize);
                        return Ok(last.get(first).copied().unwrap_or(due));
                    }
                    back = back.saturating_mul(2);
                }
            }
        }
    }
}

/// How the events of a class run. The default suits most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScheduleSettings {
    pub(super) retry: Retry,
    pub(super) budget: Duration,
    pub(super) time_limit: Duration,
    pub(super) concurrency: u32,
}

impl Default for ScheduleSettings {
    fn default() -> Self {
        Self::new()
    }
}

impl ScheduleSettings {
    /// One event at a time. After ten seconds, others need not wait for an event any longer; after ten minutes, it is given up.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            retry: Retry::new(),
            budget: Duration::from_secs(10),
            time_limit: Duration::from_mins(10),
            concurrency: 1,
        }
    }

    /// Sets how often a run that fails is tried.
    #[must_use]
    pub const fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Sets how long one wake lasts. After that no more events begin: a handler that is not done goes on in the background, and the
    /// object is woken again for the other events.
    #[must_use]
    pub const fn budget(mut self, budget: Duration) -> Self {
        self.budget = budget;
        self
    }

    /// Sets how long a handler may take. After that it is dropped and has failed. The platform lets an alarm take 15 minutes.
    #[must_use]
    pub const fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// Sets how many handlers run at the same time, at least one. With one, an event begins when the one before it has ended, or
    /// has taken longer than the [budget](Self::budget): handlers in the background do not count.
    #[must_use]
    pub const fn concurrency(mut self, concurrency: u32) -> Self {
        self.concurrency = if concurrency == 0 { 1 } else { concurrency };
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;

    #[test]
    fn an_interval_does_not_drift_however_late_its_runs_are() {
        let plan = When::every(Duration::from_mins(1)).plan;
        let (anchor, mut due) = (7, 7 + MINUTE);
        for run in 2..10_002 {
            let ended = due + run % 59_000;
            due = plan.next_run(anchor, due, ended).unwrap().unwrap();
            assert_eq!(due, anchor + run * MINUTE);
        }
    }

    #[test]
    fn missed_runs_are_made_up_for_as_the_policy_says() {
        let every = |missed| When::every(Duration::from_mins(1)).missed(missed).plan;
        // The event is due at minute 1; now is minute 10.5.
        let now = 10 * MINUTE + MINUTE / 2;
        let runs = |missed| every(missed).run_at(0, MINUTE, now).unwrap() / MINUTE;
        assert_eq!(runs(Missed::RunOnce), 10);
        assert_eq!(runs(Missed::CatchUp { at_most: 3 }), 8);
        assert_eq!(runs(Missed::CatchUp { at_most: 100 }), 1);
        assert_eq!(runs(Missed::Skip { later_than_ms: MINUTE }), 10);
        assert_eq!(runs(Missed::Skip { later_than_ms: 1000 }), 11);
        let cron = |missed| When::cron(Cron::checked("* * * * *", "UTC")).missed(missed).plan;
        let runs = |missed| cron(missed).run_at(0, MINUTE, now).unwrap() / MINUTE;
        assert_eq!(runs(Missed::RunOnce), 10);
        assert_eq!(runs(Missed::CatchUp { at_most: 3 }), 8);
        assert_eq!(runs(Missed::CatchUp { at_most: 100 }), 1);
        assert_eq!(runs(Missed::Skip { later_than_ms: 1000 }), 11);
        // A search over all runs since 1970 still takes no time.
        let long = cron(Missed::CatchUp { at_most: 2 }).run_at(0, 0, 30_000_000 * MINUTE).unwrap();
        assert_eq!(long, 29_999_999 * MINUTE);
    }

    #[test]
    fn a_run_that_became_too_late_while_its_attempt_was_stored_is_left_out() {
        let skip = When::every(Duration::from_mins(1)).missed(Missed::Skip { later_than_ms: 20 }).plan;
        assert!(!skip.leaves_out(MINUTE, MINUTE + 20));
        assert!(skip.leaves_out(MINUTE, MINUTE + 21), "it was in time when it was chosen");
        assert_eq!(skip.run_at(0, MINUTE, MINUTE + 21).unwrap(), 2 * MINUTE);
        assert!(!When::every(Duration::from_mins(1)).plan.leaves_out(MINUTE, 9 * MINUTE));
    }

    #[test]
    fn a_run_during_the_one_before_it_waits_or_is_left_out() {
        let next = |overlap| {
            let plan = When::every(Duration::from_mins(1)).overlap(overlap).plan;
            plan.next_run(0, MINUTE, 5 * MINUTE + 1).unwrap().unwrap() / MINUTE
        };
        assert_eq!(next(Overlap::Wait), 2);
        assert_eq!(next(Overlap::Skip), 6);
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let retry = Retry::new();
        assert_eq!(retry.pause(1, 0.5), 500);
        assert_eq!(retry.pause(4, 0.5), 4000);
        assert_eq!((retry.pause(1, 0.0), retry.pause(1, 1.0)), (400, 600));
        assert_eq!(retry.pause(4_000_000_000, 0.5), 3_600_000);
    }

    #[test]
    fn what_would_never_run_is_refused() {
        assert!(When::every(Duration::ZERO).first_run(0).is_err());
        assert!(When::after(Duration::MAX).first_run(0).is_err());
        assert!(When::at(u64::MAX).first_run(0).is_err());
        let cron = When::cron(Cron::checked("* * * * *", "UTC"));
        assert!(cron.starting_at(u64::MAX).first_run(0).is_err());
        assert_eq!(When::every(Duration::from_secs(1)).starting_at(5).first_run(9).unwrap(), 5);
    }
}
