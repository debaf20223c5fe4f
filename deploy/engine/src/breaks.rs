//! What a plan breaks for those who use what it changes, and stay as they are, or change a moment later.

use crate::{
    Action, AnyKind, Break, Change, Data, Fqn, Risk, Verb,
    plan::{Allowed, Planner},
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

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
    /// What the actions break for others.
    pub(crate) fn breaks(&self) -> Vec<PlannedBreak> {
        let kind_of = |action: &Action| self.kinds.get(&action.kind).filter(|kind| kind.facts().has_users);
        let changes = |action: &&Action| !matches!(action.verb, Verb::Keep | Verb::Note | Verb::Forget);
        let changed: Vec<(&Action, &dyn AnyKind)> =
            self.actions.values().filter(changes).filter_map(|action| Some((action, kind_of(action)?))).collect();
        if changed.is_empty() {
            return Vec::new();
        }
        let mut users: BTreeMap<&Fqn, BTreeSet<&Fqn>> = BTreeMap::new();
        for action in self.actions.values().filter(|action| kind_of(action).is_some()) {
            let recorded = self.snapshot.rows.get(&action.fqn).into_iter().flat_map(|row| row.all_needs());
            for need in recorded.chain(&action.needs).chain([&action.fqn]) {
                users.entry(need).or_default().insert(&action.fqn);
            }
        }
        let mut all = Vec::new();
        for (action, kind) in changed {
            let of = self.change(action);
            for user in users.get(&action.fqn).into_iter().flatten() {
                let Some(user) = self.actions.get(*user).filter(|user| user.kind == action.kind) else { continue };
                let found = kind.breaks(&of, &self.change(user)).into_iter();
                all.extend(found.map(|what| PlannedBreak { of: action.fqn.clone(), user: user.fqn.clone(), what }));
            }
        }
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
    let fails = breaks.iter().filter(|found| found.what.fails).map(|found| &found.of);
    let fails: BTreeSet<&Fqn> = fails.filter(|of| !allowed.breaking.contains(*of)).collect();
    fails.into_iter().cloned().collect()
}

impl Action {
    /// Raises the risk to that of something which no longer answers.
    pub(crate) fn breaks_others(&mut self) {
        self.risk = self.risk.max(Risk::Outage);
    }
}
