//! Events through the transition function, over a database in memory.

use super::*;
use crate::scheduler::when::When;
use std::{collections::BTreeMap, time::Duration};

const MINUTE: u64 = 60_000;

/// The database as a map, with what the SQL of the queue does to it.
#[derive(Default)]
struct Memory {
    events: RefCell<BTreeMap<String, Stored>>,
    letters: RefCell<Vec<Letter>>,
    seq: Cell<u64>,
}

#[derive(Clone, Debug, Default)]
struct Stored {
    seq: u64,
    next_at: u64,
    due: Option<u64>,
    anchor: Option<u64>,
    attempts: u32,
    interrupted: u32,
    started_at: Option<u64>,
    plan: Option<String>,
    runs: Option<String>,
}

impl Stored {
    fn row(&self, id: &str) -> Row {
        Row {
            id: id.into(),
            seq: self.seq,
            due: self.due.unwrap_or(self.next_at),
            anchor: self.anchor,
            chosen: self.due == Some(self.next_at),
            attempts: self.attempts,
            interrupted: self.interrupted,
            plan: self.plan.clone(),
            runs: self.runs.clone(),
            index: 0,
        }
    }
}

impl Memory {
    fn schedule(&self, id: &str, when: &When) {
        let (first, plan) = (when.first_run(0).unwrap(), when.plan.stored());
        self.insert(id, Stored { next_at: first, anchor: plan.is_some().then_some(first), plan, ..Stored::default() });
    }

    fn insert(&self, id: &str, event: Stored) {
        self.seq.set(self.seq.get() + 1);
        self.events.borrow_mut().insert(id.into(), Stored { seq: self.seq.get(), ..event });
    }

    /// The next event that is due, in the order of the queue.
    fn due(&self, now: u64) -> Option<Row> {
        let events = self.events.borrow();
        let due = events.iter().filter(|(_, event)| event.next_at <= now && event.started_at.is_none());
        due.min_by_key(|(_, event)| (event.next_at, event.seq)).map(|(id, event)| event.row(id))
    }

    fn next_at(&self, id: &str) -> Option<u64> {
        self.events.borrow().get(id).map(|event| event.next_at)
    }

    fn start(&self, row: &mut Row, now: u64) {
        row.attempts += 1;
        let mut events = self.events.borrow_mut();
        let event = events.get_mut(&row.id).unwrap();
        (event.attempts, event.started_at) = (row.attempts, Some(now));
    }
}

impl Events for Memory {
    fn started(&self) -> Result<Vec<(Row, u64)>> {
        let events = self.events.borrow();
        Ok(events.iter().filter_map(|(id, event)| Some((event.row(id), event.started_at?))).collect())
    }

    fn apply(&self, row: &Row, change: &Change) -> Result<()> {
        let mut events = self.events.borrow_mut();
        let Some(event) = events.get_mut(&row.id).filter(|event| event.seq == row.seq) else { return Ok(()) };
        let mut advance = |due: u64, runs: &Option<String>| {
            (event.next_at, event.due, event.attempts, event.interrupted) = (due, None, 0, 0);
            event.started_at = None;
            event.runs = runs.clone().or(event.runs.take());
        };
        match change {
            Change::Run => {}
            Change::PutOff { due } => (event.next_at, event.due) = (*due, None),
            Change::Choose { due } => (event.next_at, event.due) = (*due, Some(*due)),
            Change::Beside { id, due, plan, next } => {
                advance(*next, &None);
                drop(events);
                self.insert(id, Stored { next_at: *due, plan: plan.clone(), ..Stored::default() });
            }
            Change::Delete => drop(events.remove(&row.id)),
            Change::Advance { due, runs } => advance(*due, runs),
            Change::Again { at, interrupted, runs } => {
                (event.next_at, event.due, event.attempts) = (*at, Some(row.due), row.attempts);
                (event.interrupted, event.started_at, event.runs) = (*interrupted, None, Some(runs.clone()));
            }
            Change::Bury { letter, next, runs } => {
                if let Some(Letter { due, error, died_at, plan }) = letter {
                    let letter = Letter { due: *due, error: error.clone(), died_at: *died_at, plan: plan.clone() };
                    self.letters.borrow_mut().push(letter);
                }
                match next {
                    Some(next) => advance(*next, runs),
                    None => drop(events.remove(&row.id)),
                }
            }
        }
        Ok(())
    }
}

/// Changes a row as what happened to it demands.
fn becomes(memory: &Memory, row: &Row, happened: &Happened<'_>, now: u64) -> Change {
    let settings = ScheduleSettings::new();
    let moment = Moment { now: &|| now, random: &|| 0.5, settings };
    let change = transition(row, happened, &moment).unwrap().change;
    memory.apply(row, &change).unwrap();
    change
}

/// Begins the next due event, whatever has to happen before that.
fn begin(memory: &Memory, now: u64) -> Option<Row> {
    loop {
        let mut row = memory.due(now)?;
        if becomes(memory, &row, &Happened::Due, now) == Change::Run {
            memory.start(&mut row, now);
            return Some(row);
        }
    }
}

fn succeed(memory: &Memory, row: &Row, now: u64) {
    becomes(memory, row, &Happened::Succeeded { started: now }, now);
}

fn fail(memory: &Memory, row: &Row, now: u64) {
    becomes(memory, row, &Happened::Failed { started: now, error: "no" }, now);
}

/// The object starts in a new machine.
fn restart(memory: &Memory, now: u64) {
    let end = |row: &Row, happened: &Happened<'_>| drop(becomes(memory, row, happened, now));
    Attempts::new(None).heal(memory, end).unwrap();
}

#[test]
fn an_event_that_fails_is_tried_as_often_as_its_plan_says_and_then_kept_as_a_dead_letter() {
    let memory = Memory::default();
    memory.schedule("a", &When::at(0).retry(Retry { attempts: 3, first_ms: 10, longest_ms: 100 }));
    for attempt in 1..=3 {
        let now = memory.next_at("a").unwrap();
        let row = begin(&memory, now).unwrap();
        assert_eq!((row.attempts, row.due), (attempt, 0));
        fail(&memory, &row, now);
    }
    assert!(memory.events.borrow().is_empty());
    let letters = memory.letters.borrow();
    assert_eq!((letters.len(), letters[0].due, letters[0].error.as_str()), (1, 0, "no"));
    assert!(letters[0].plan.is_some(), "a replay is tried as often");
}

#[test]
fn interruptions_use_up_no_attempt_and_have_a_bound_of_their_own() {
    let memory = Memory::default();
    memory.schedule("a", &When::at(0).retry(Retry { attempts: 2, first_ms: 10, longest_ms: 100 }));
    for _ in 1..INTERRUPTIONS_MAX {
        let now = memory.next_at("a").unwrap();
        begin(&memory, now).unwrap();
        restart(&memory, now);
        assert!(memory.letters.borrow().is_empty());
    }
    let now = memory.next_at("a").unwrap();
    let row = begin(&memory, now).unwrap();
    fail(&memory, &row, now);
    assert!(memory.letters.borrow().is_empty(), "one failure of two, and many interruptions");
    let now = memory.next_at("a").unwrap();
    begin(&memory, now).unwrap();
    restart(&memory, now);
    assert_eq!(memory.letters.borrow().len(), 1, "an event that ends its machine each time does not do so for ever");
}

#[test]
fn the_fault_of_the_wasm_instance_counts_as_a_failure() {
    let memory = Memory::default();
    memory.schedule("a", &When::at(0).retry(Retry { attempts: 1, first_ms: 10, longest_ms: 100 }));
    begin(&memory, 0).unwrap();
    let end = |row: &Row, happened: &Happened<'_>| drop(becomes(&memory, row, happened, 0));
    Attempts::new(Some("it trapped".into())).heal(&memory, end).unwrap();
    assert_eq!(memory.letters.borrow()[0].error, "the object ended while it ran: it trapped");
}

#[test]
fn an_attempt_in_hand_is_not_ended_and_after_one_that_was_care_is_taken() {
    let memory = Memory::default();
    memory.schedule("a", &When::at(0));
    let row = begin(&memory, 0).unwrap();
    let attempts = Attempts::new(None);
    assert!(attempts.takes_care(), "the first attempt after a start");
    assert!(!attempts.takes_care());
    attempts.take_in_hand(row.seq);
    attempts.heal(&memory, |_, _| panic!("it is in hand")).unwrap();
    assert!(!attempts.takes_care());
    attempts.let_go(row.seq);
    let mut ended = 0;
    attempts.heal(&memory, |_, _| ended += 1).unwrap();
    assert_eq!(ended, 1);
    assert!(attempts.takes_care() && attempts.takes_care(), "each attempt of this wake");
    attempts.rest();
    assert!(!attempts.takes_care());
    attempts.delivered(1);
    assert!(attempts.takes_care(), "the alarm has failed before");
}

#[test]
fn a_repeating_event_goes_on_after_its_dead_letter_and_keeps_its_rhythm() {
    let memory = Memory::default();
    let retry = Retry { attempts: 1, first_ms: 10, longest_ms: 100 };
    memory.schedule("a", &When::every(Duration::from_mins(1)).retry(retry));
    for run in 1..=5 {
        let row = begin(&memory, run * MINUTE + 7).unwrap();
        assert_eq!(row.due, run * MINUTE);
        fail(&memory, &row, run * MINUTE + 9);
        assert_eq!(memory.next_at("a"), Some((run + 1) * MINUTE));
    }
    assert_eq!(memory.letters.borrow().len(), 5);
    assert_eq!(memory.events.borrow()["a"].row("a").attempts, 0);
}

#[test]
fn a_missed_run_is_chosen_once_and_takes_its_own_place() {
    let memory = Memory::default();
    memory.schedule("every", &When::every(Duration::from_mins(1)));
    memory.schedule("once", &When::at(2 * MINUTE));
    // Runs 1 to 5 are missed. The fifth is made up for, after what was due before it.
    assert_eq!(begin(&memory, 5 * MINUTE + 1).map(|row| (row.id, row.due)), Some(("once".into(), 2 * MINUTE)));
    // The clock goes on, and the choice stays.
    let row = begin(&memory, 6 * MINUTE + 1).unwrap();
    assert_eq!((row.id.as_str(), row.due), ("every", 5 * MINUTE));
    succeed(&memory, &row, 6 * MINUTE + 1);
    assert_eq!(memory.next_at("every"), Some(6 * MINUTE));
}

#[test]
fn runs_that_may_overlap_become_events_of_their_own() {
    let memory = Memory::default();
    memory.schedule("a", &When::every(Duration::from_mins(1)).overlap(Overlap::Allow));
    let first = begin(&memory, MINUTE).unwrap();
    assert_eq!(first.id, format!("a@{MINUTE}"));
    let second = begin(&memory, 2 * MINUTE).unwrap();
    assert_eq!(second.id, format!("a@{}", 2 * MINUTE));
    succeed(&memory, &first, 2 * MINUTE);
    succeed(&memory, &second, 2 * MINUTE);
    assert_eq!(memory.events.borrow().keys().collect::<Vec<_>>(), ["a"]);
}

#[test]
fn a_run_is_judged_again_when_its_attempt_is_stored() {
    let memory = Memory::default();
    memory.schedule("a", &When::every(Duration::from_mins(1)).missed(Missed::Skip { later_than_ms: 20 }));
    let row = begin(&memory, MINUTE + 20).unwrap();
    assert_eq!(becomes(&memory, &row, &Happened::Stored, MINUTE + 20), Change::Run);
    let late = becomes(&memory, &row, &Happened::Stored, MINUTE + 21);
    assert_eq!(late, Change::Advance { due: 2 * MINUTE, runs: None });
}

#[test]
fn a_plan_of_another_version_waits() {
    let memory = Memory::default();
    memory.insert("a", Stored { plan: Some("at full moon".into()), ..Stored::default() });
    assert!(begin(&memory, 5).is_none());
    assert_eq!(memory.next_at("a"), Some(5 + UNPROCESSED_PAUSE_MS));
}

#[test]
fn an_event_that_took_the_place_of_another_is_left_alone() {
    let memory = Memory::default();
    memory.schedule("a", &When::at(0));
    let row = begin(&memory, 0).unwrap();
    memory.schedule("a", &When::at(MINUTE));
    succeed(&memory, &row, 1);
    assert_eq!(memory.next_at("a"), Some(MINUTE));
}

/// A thousand events through failures, kills and late wakes: each succeeds or becomes a dead letter, none is lost or stuck.
#[test]
fn no_event_is_lost_whatever_happens() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let memory = Memory::default();
    let count = 1_000;
    for number in 0..count {
        memory.schedule(&format!("{number:04}"), &When::at(random(100_000)));
    }
    let (mut now, mut succeeded) = (0, 0);
    while !memory.events.borrow().is_empty() {
        now = now.max(memory.events.borrow().values().map(|event| event.next_at).min().unwrap()) + random(500);
        let Some(row) = begin(&memory, now) else { continue };
        match random(4) {
            0 => fail(&memory, &row, now),
            1 => restart(&memory, now),
            _ => {
                succeed(&memory, &row, now);
                succeeded += 1;
            }
        }
    }
    assert_eq!(succeeded + memory.letters.borrow().len(), count);
}

#[test]
fn a_long_error_is_kept_in_part() {
    assert_eq!(shortened("a\0b"), "a b");
    let kept = shortened(&"é".repeat(ERROR_SIZE_MAX));
    assert!(kept.len() <= ERROR_SIZE_MAX + "…".len() + 1 && kept.ends_with('…'), "{}", kept.len());
}
