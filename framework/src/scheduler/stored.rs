//! The stored form of an event's plan and its last runs: text that a person can read.

use super::{
    cron::Cron,
    row::Run,
    when::{Missed, Overlap, Plan, Repeat, Retry},
};
use crate::{Error, Result};

/// Separates the parts of a plan, which `Plan::to_text` writes. Neither cron expressions nor time zones contain this character.
const PART: char = '|';
/// `RUN` separates runs; `ERROR` separates the numbers of a run from its error.
const RUN: char = '\u{1e}';
const ERROR: char = '\u{1f}';

impl Plan {
    pub(super) fn to_text(&self) -> String {
        let mut text = String::new();
        let mut push = |part: &str| {
            if !text.is_empty() {
                text.push(PART);
            }
            text.push_str(part);
        };
        match &self.repeat {
            Some(Repeat::EveryMs(interval)) => push(&format!("every {interval}")),
            Some(Repeat::Cron(cron)) => push(&format!("cron {} in {}", cron.expression(), cron.zone())),
            None => {}
        }
        match self.missed {
            Missed::RunOnce => {}
            Missed::CatchUp { at_most } => push(&format!("catch up {at_most}")),
            Missed::Skip { later_than_ms } => push(&format!("skip later than {later_than_ms}")),
        }
        match self.overlap {
            Overlap::Wait => {}
            Overlap::Skip => push("skip while running"),
            Overlap::Allow => push("overlap"),
        }
        if let Some(Retry { attempts, first_ms, longest_ms }) = self.retry {
            push(&format!("try {attempts} {first_ms} {longest_ms}"));
        }
        text
    }

    /// The stored plan. `None` for the default plan.
    pub(super) fn stored(&self) -> Option<String> {
        Some(self.to_text()).filter(|text| !text.is_empty())
    }

    /// The stored plan of a single run of this event, which is tried as often as every run. `None` if that is the default plan.
    pub(super) fn once(&self) -> Option<String> {
        Self { retry: self.retry, ..Self::default() }.stored()
    }

    /// # Errors
    /// When another version of the program wrote the plan in a form that this version does not know.
    pub(super) fn from_text(text: &str) -> Result<Self> {
        let mut plan = Self::default();
        for part in text.split(PART).filter(|part| !part.is_empty()) {
            plan.read(part).ok_or_else(|| Error::from(format!("`{part}` is nothing that this version knows")))?;
        }
        Ok(plan)
    }

    fn read(&mut self, part: &str) -> Option<()> {
        if let Some(interval) = part.strip_prefix("every ") {
            self.repeat = Some(Repeat::EveryMs(interval.parse().ok()?));
        } else if let Some(cron) = part.strip_prefix("cron ") {
            let (expression, zone) = cron.rsplit_once(' ')?;
            self.repeat = Some(Repeat::Cron(Cron::parse(expression.strip_suffix(" in")?, zone).ok()?));
        } else if let Some(count) = part.strip_prefix("catch up ") {
            self.missed = Missed::CatchUp { at_most: count.parse().ok()? };
        } else if let Some(time) = part.strip_prefix("skip later than ") {
            self.missed = Missed::Skip { later_than_ms: time.parse().ok()? };
        } else if part == "skip while running" {
            self.overlap = Overlap::Skip;
        } else if part == "overlap" {
            self.overlap = Overlap::Allow;
        } else {
            let mut numbers = part.strip_prefix("try ")?.split(' ').map(str::parse);
            let mut next = || numbers.next()?.ok();
            let (attempts, first_ms, longest_ms): (u64, _, _) = (next()?, next()?, next()?);
            self.retry = Some(Retry { attempts: attempts.try_into().ok()?, first_ms, longest_ms });
        }
        Some(())
    }
}

/// Appends `run` to the history `runs`, and keeps only the last `most` runs.
pub(super) fn runs_with(runs: &str, run: &Run, most: usize) -> String {
    let mut between = runs.char_indices().rev().filter(|(_, letter)| *letter == RUN);
    let kept = between.nth(most - 2).map_or(runs, |(at, _)| &runs[at + RUN.len_utf8()..]);
    let Run { due_ms, started_ms, ended_ms, attempt, error } = run;
    let mut text = format!("{kept}{RUN}{due_ms} {started_ms} {ended_ms} {attempt}");
    if kept.is_empty() {
        text.remove(0);
    }
    if let Some(error) = error {
        text.push(ERROR);
        text.extend(error.chars().map(|letter| if matches!(letter, RUN | '\0') { ' ' } else { letter }));
    }
    text
}

/// Reads a history. Runs that cannot be read are left out, because the event has to run all the same.
pub(super) fn runs_from_text(text: &str) -> Vec<Run> {
    text.split(RUN).filter_map(run).collect()
}

fn run(text: &str) -> Option<Run> {
    let (numbers, error) = match text.split_once(ERROR) {
        Some((numbers, error)) => (numbers, Some(error.into())),
        None => (text, None),
    };
    let mut numbers = numbers.split(' ').map(str::parse::<u64>);
    let mut next = || numbers.next()?.ok();
    let (due_ms, started_ms, ended_ms, attempt) = (next()?, next()?, next()?, next()?.try_into().ok()?);
    Some(Run { due_ms, started_ms, ended_ms, attempt, error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_are_read_as_they_were_written() {
        let cron = Cron::checked("0 9 * * MON-FRI", "Europe/Berlin");
        let retry = Some(Retry { attempts: 4, first_ms: 50, longest_ms: 400 });
        let plans = [
            Plan::default(),
            Plan { repeat: Some(Repeat::EveryMs(60_000)), ..Plan::default() },
            Plan {
                repeat: Some(Repeat::Cron(cron)),
                missed: Missed::CatchUp { at_most: 3 },
                overlap: Overlap::Skip,
                retry,
            },
            Plan {
                missed: Missed::Skip { later_than_ms: u64::MAX },
                overlap: Overlap::Allow,
                retry,
                ..Plan::default()
            },
        ];
        for plan in plans {
            assert_eq!(Plan::from_text(&plan.to_text()).unwrap(), plan, "{}", plan.to_text());
        }
        let shown = Plan { repeat: Some(Repeat::EveryMs(5)), retry, ..Plan::default() }.to_text();
        assert_eq!(shown, "every 5|try 4 50 400");
        for unknown in ["hourly", "every", "every x", "cron * * * in UTC", "try 1 2"] {
            assert!(Plan::from_text(unknown).is_err(), "{unknown}");
        }
    }

    #[test]
    fn runs_are_read_as_they_were_written() {
        let run = |error: Option<&str>| Run {
            due_ms: 1,
            started_ms: 2,
            ended_ms: u64::MAX,
            attempt: 3,
            error: error.map(Into::into),
        };
        let runs = [run(None), run(Some("")), run(Some("two\nlines and \u{1f}")), run(None)];
        let text = |runs: &[Run], most| runs.iter().fold(String::new(), |text, run| runs_with(&text, run, most));
        assert_eq!(runs_from_text(&text(&runs, 5)), runs);
        assert_eq!(runs_from_text(&text(&runs, 4)), runs);
        assert_eq!(runs_from_text(&text(&runs, 3)), runs[1..]);
        assert_eq!(runs_from_text(&text(&[run(Some("a\u{1e}b\0"))], 3)), [run(Some("a b "))]);
        assert_eq!(runs_from_text("nonsense"), []);
        assert_eq!(runs_from_text(""), []);
    }
}
