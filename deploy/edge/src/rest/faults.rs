//! Faults on demand, for tests of what deploys: calls that are refused, lost or held, and resources that others do not see at once.
//!
//! They are set with `PUT /realgar/faults`: `{"rules": [{"method", "change", "path", "skip", "times", "do"}], "lag": {"kind":
//! milliseconds}, "flap": {"kind": milliseconds}, "delay_ms": milliseconds, "normalise": seed}`. A rule is about the calls whose method is `method` and whose path contains `path`; with
//! `change`, about those that may change something. It passes over the first `skip` of them, and holds for the next `times`. `do` is
//! one of `refuse` (with `status`, `code` and, if wanted, `retry_after`), `lose` (the call takes effect, and the connection ends without
//! an answer), `hold` (nothing happens, and no answer comes) and `hold_after` (the call takes effect, and no answer comes).

use super::answer::ApiError;
use serde::Deserialize;
use std::collections::BTreeMap;

/// All faults.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Faults {
    #[serde(default)]
    rules: Vec<Rule>,
    /// How long after it was made a resource of a kind is unknown to the upload of scripts, in milliseconds.
    #[serde(default)]
    lag: BTreeMap<String, u64>,
    /// How long after it was made something is found and not found in turns, in milliseconds: what `lag` says, and `version`, the
    /// settings of a Worker after an upload.
    #[serde(default)]
    flap: BTreeMap<String, u64>,
    /// How often something was looked for that flaps.
    #[serde(skip)]
    looks: u64,
    /// How long each answer is held back, in milliseconds.
    #[serde(default)]
    pub(super) delay_ms: u64,
    /// The seed of other forms of answers: see `normalise.rs`.
    #[serde(default)]
    pub(super) normalise: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    #[serde(default)]
    method: Option<String>,
    /// Whether it is about calls only that may change something: all but `GET`.
    #[serde(default)]
    change: bool,
    path: String,
    #[serde(default)]
    skip: u32,
    #[serde(default = "once")]
    times: u32,
    #[serde(rename = "do")]
    fault: Fault,
    #[serde(default)]
    status: u16,
    #[serde(default)]
    code: u32,
    #[serde(default)]
    retry_after: Option<u32>,
}

fn once() -> u32 {
    1
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Fault {
    Refuse,
    Lose,
    Hold,
    HoldAfter,
}

/// What is to be done with a call.
#[derive(Clone, Debug)]
pub(super) enum Fate {
    /// It is answered.
    Answer,
    /// It is refused. The number of seconds is for the header `Retry-After`.
    Refuse(ApiError, Option<u32>),
    /// It takes effect, and the connection ends.
    Lose,
    /// No answer comes. It takes effect before that, or not.
    Hold {
        /// Whether it takes effect.
        after: bool,
    },
}

impl Faults {
    /// What is to be done with a call.
    pub(super) fn fate(&mut self, method: &str, path: &str) -> Fate {
        let is_about = |rule: &&mut Rule| {
            rule.method.as_ref().is_none_or(|own| own == method)
                && (method != "GET" || !rule.change)
                && path.contains(&rule.path)
                && rule.times > 0
        };
        for rule in self.rules.iter_mut().filter(is_about) {
            if rule.skip > 0 {
                rule.skip -= 1;
                continue;
            }
            rule.times -= 1;
            return match rule.fault {
                Fault::Refuse => {
                    let error = ApiError::new(rule.status, rule.code, "refused on demand");
                    Fate::Refuse(error, rule.retry_after)
                }
                Fault::Lose => Fate::Lose,
                Fault::Hold => Fate::Hold { after: false },
                Fault::HoldAfter => Fate::Hold { after: true },
            };
        }
        Fate::Answer
    }

    /// Whether a resource of `kind` that was made then is visible to others at the time `now_ms`.
    pub(super) fn sees(&mut self, kind: &str, created_ms: u64, now_ms: u64) -> bool {
        let is_over = |time: &u64| created_ms.saturating_add(*time) <= now_ms;
        if self.flap.get(kind).is_some_and(|time| !is_over(time)) {
            self.looks += 1;
            return self.looks.is_multiple_of(2);
        }
        self.lag.get(kind).is_none_or(is_over)
    }
}
