//! The rows of the two tables: events and dead letters.

use super::{
    stored::{runs_from_text, runs_with},
    when::Plan,
};
use crate::{
    Result,
    codec::rows::{Cells, FromCells},
};
use serde::{Deserialize, Serialize};

/// The id of the program's own alarm.
pub(super) const ALARM_ID: &str = "realgar:alarm";
/// The id of the row that has the alarm handler called again, after it failed when it was called for events only.
pub(super) const RETRY_ID: &str = "realgar:retry";
/// How many runs an event remembers.
const RUNS_MAX: usize = 10;

/// Whether an id is one of our own.
pub(super) fn is_reserved(id: &str) -> bool {
    id == ALARM_ID || id == RETRY_ID
}

/// An event that is due.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) seq: u64,
    pub(crate) due: u64,
    /// The time its interval is counted from; or, for an event that runs once and was replayed, the time it was first due.
    pub(super) anchor: Option<u64>,
    /// Whether the run at `due` was chosen to make up for missed runs.
    pub(super) chosen: bool,
    pub(crate) attempts: u32,
    /// How many of the attempts were interrupted, and therefore do not count as failures.
    pub(super) interrupted: u32,
    pub(super) plan: Option<String>,
    pub(super) runs: Option<String>,
    /// Its index in the batch that was read last.
    pub(super) index: u32,
}

/// A run of an event that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// When it was due, in milliseconds since 1970, like all times here.
    pub due_ms: u64,
    /// When it began.
    pub started_ms: u64,
    /// When it ended.
    pub ended_ms: u64,
    /// The number of the attempt, from 1 on.
    pub attempt: u32,
    /// Why it failed. `None` if it did not.
    pub error: Option<String>,
}

/// An event's row, with the columns that listing needs.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) id: String,
    pub(super) seq: u64,
    pub(super) due: u64,
    anchor: Option<u64>,
    pub(super) next_at: u64,
    pub(super) attempts: u32,
    pub(super) started_at: Option<u64>,
    plan: Option<String>,
    pub(super) payload: String,
    runs: Option<String>,
}

/// A dead letter as it is stored.
#[derive(Debug)]
pub(super) struct Dead {
    pub(super) number: u64,
    pub(super) id: String,
    pub(super) due: u64,
    pub(super) attempts: u32,
    pub(super) error: String,
    pub(super) payload: String,
    pub(super) died_at: u64,
    runs: Option<String>,
    /// The plan for a replay: one run, which is tried as often as the event's runs are.
    pub(super) plan: Option<String>,
}

impl Listed {
    pub(super) fn plan(&self) -> Result<Plan> {
        plan(self.plan.as_deref())
    }

    pub(super) fn runs(&self) -> Vec<Run> {
        runs_from_text(self.runs.as_deref().unwrap_or_default())
    }

    /// As [`Row::first_due`].
    pub(super) fn first_due(&self) -> u64 {
        let repeats = self.plan().is_ok_and(|plan| plan.repeat.is_some());
        self.anchor.filter(|_| !repeats).map_or(self.due, |anchor| anchor.min(self.due))
    }
}

impl Dead {
    pub(super) fn runs(&self) -> Vec<Run> {
        runs_from_text(self.runs.as_deref().unwrap_or_default())
    }
}

impl FromCells for Row {
    fn read(cells: &mut Cells<'_>) -> Option<Self> {
        let (id, seq, next_at) = (cells.text()??, cells.number()??, cells.number()??);
        let (attempts, interrupted, chosen, anchor) = (0, 0, false, None);
        let plain =
            Self { id, seq, due: next_at, anchor, chosen, attempts, interrupted, plan: None, runs: None, index: 0 };
        let Some(attempts) = cells.number()? else { return Some(plain) };
        let due = cells.number()?;
        Some(Self {
            attempts: attempts.try_into().ok()?,
            due: due.unwrap_or(next_at),
            chosen: due == Some(next_at),
            anchor: cells.number()?,
            plan: cells.text()?,
            runs: cells.text()?,
            interrupted: cells.number()?.unwrap_or(0).try_into().ok()?,
            ..plain
        })
    }
}

impl FromCells for Listed {
    fn read(cells: &mut Cells<'_>) -> Option<Self> {
        Some(Self {
            id: cells.text()??,
            seq: cells.number()??,
            due: cells.number()??,
            anchor: cells.number()?,
            next_at: cells.number()??,
            attempts: cells.number()??.try_into().ok()?,
            started_at: cells.number()?,
            plan: cells.text()?,
            payload: cells.text()??,
            runs: cells.text()?,
        })
    }
}

impl FromCells for Dead {
    fn read(cells: &mut Cells<'_>) -> Option<Self> {
        Some(Self {
            number: cells.number()??,
            id: cells.text()??,
            due: cells.number()??,
            attempts: cells.number()??.try_into().ok()?,
            error: cells.text()??,
            payload: cells.text()??,
            died_at: cells.number()??,
            runs: cells.text()?,
            plan: cells.text()?,
        })
    }
}

/// An event that is being tried, and the time at which its attempt began.
impl FromCells for (Row, Option<u64>) {
    fn read(cells: &mut Cells<'_>) -> Option<Self> {
        Some((Row::read(cells)?, cells.number()?))
    }
}

impl Row {
    pub(super) fn plan(&self) -> Result<Plan> {
        plan(self.plan.as_deref())
    }

    pub(super) fn repeats(&self) -> bool {
        self.plan.is_some() && self.plan().is_ok_and(|plan| plan.repeat.is_some())
    }

    /// The time its interval is counted from.
    pub(super) fn anchor(&self) -> u64 {
        self.anchor.unwrap_or(self.due)
    }

    /// When it was due for the first time: before `due`, if it is a dead letter that was replayed.
    pub(crate) fn first_due(&self) -> u64 {
        if self.repeats() { self.due } else { self.anchor().min(self.due) }
    }

    pub(crate) fn is_alarm(&self) -> bool {
        is_reserved(&self.id)
    }

    /// The event's history, with `run` at its end.
    pub(super) fn runs_with(&self, run: &Run) -> String {
        runs_with(self.runs.as_deref().unwrap_or_default(), run, RUNS_MAX)
    }
}

fn plan(stored: Option<&str>) -> Result<Plan> {
    stored.map_or_else(|| Ok(Plan::default()), Plan::from_text)
}
