//! What a plan breaks for those who use what it changes, and stay as they are, or change a moment later.

use crate::{
    Action, Break, Change, Data, Fqn, Risk, Verb,
    plan::{Allowed, Planner},
};
use serde::Serialize;
use std::collections::BTreeSet;

/// Something that a plan breaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedBreak {
    /// The resource that changes.
    pub of: Fqn,
    /// The resource that uses it. It may be the same one.
    pub user: Fqn,
    /// What breaks, and what happens then.
    #[serde(flatten)]
    pub what: Break,
}

impl Planner<'_> {
    /// What the actions break for others: each resource is held against those that it uses, if one of the two changes.
    pub(crate) fn breaks(&self) -> Vec<PlannedBreak> {
        let kind_of = |action: &Action| self.kinds.get(&action.kind).filter(|kind| kind.facts().has_users);
        let changes = |action: &Action| !matches!(action.verb, Verb::Keep | Verb::Note | Verb::Forget);
        let mut all = Vec::new();
        for user in self.actions.values() {
            let Some(kind) = kind_of(user) else { continue };
            let recorded = self.snapshot.rows.get(&user.fqn).into_iter().flat_map(|row| row.all_needs());
            let used: BTreeSet<&Fqn> = recorded.chain(&user.needs).chain([&user.fqn]).collect();
            for of in used.into_iter().filter_map(|of| self.actions.get(of)) {
                if of.kind == user.kind && (changes(of) || changes(user)) {
                    let found = kind.breaks(&self.change(of), &self.change(user)).into_iter();
                    all.extend(found.map(|what| PlannedBreak { of: of.fqn.clone(), user: user.fqn.clone(), what }));
                }
            }
        }
        all.sort_by(|one, other| (&one.of, &one.user).cmp(&(&other.of, &other.user)));
        all
    }

    /// The resource of `action` before the plan and after it.
    fn change<'a>(&'a self, action: &'a Action) -> Change<'a, Data> {
        let old = self.snapshot.rows.get(&action.fqn).map(|row| row.intended_props());
        let new = match action.verb {
            Verb::Keep | Verb::Note | Verb::Forget => old,
            Verb::Delete | Verb::Discard => None,
            Verb::Create | Verb::Update | Verb::Adopt | Verb::Replace | Verb::Supersede => Some(&action.props),
        };
        Change { fqn: &action.fqn, name: &action.name, old, new }
    }
}

/// The resources whose change makes others fail, and that the user has not named.
pub(crate) fn not_allowed(breaks: &[PlannedBreak], allowed: &Allowed) -> Vec<Fqn> {
    let is_allowed = |found: &&PlannedBreak| [&found.of, &found.user].iter().any(|fqn| allowed.breaking.contains(*fqn));
    let fails = breaks.iter().filter(|found| found.what.fails && !is_allowed(found));
    let fails: BTreeSet<&Fqn> = fails.map(|found| &found.of).collect();
    fails.into_iter().cloned().collect()
}

impl Action {
    /// Raises the risk to that of something which no longer answers.
    pub(crate) fn breaks_others(&mut self) {
        self.risk = self.risk.max(Risk::Outage);
    }
}
