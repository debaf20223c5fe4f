//! The order of the actions of a plan: what waits for what, and what becomes of actions that would wait for each other.

use crate::{
    Action, Change, Data, Fqn, Kinds, Name, Reason, Risk, Row, StepId, Verb, data,
    graph::Graph,
    plan::{PlanError, Planner, open},
};
use std::collections::{BTreeMap, BTreeSet};

impl Planner<'_> {
    /// Lets each deletion wait for all that was made from the resource, and lets what vanishes with its container wait for that.
    pub(crate) fn order_deletions(&mut self) {
        let leaving = |action: &Action| matches!(action.verb, Verb::Delete | Verb::Forget);
        let deleted: BTreeSet<Fqn> = self
            .actions
            .values()
            .filter(|action| action.verb == Verb::Delete)
            .map(|action| action.fqn.clone())
            .collect();
        let with_parent = |action: &Action, kinds: &Kinds| {
            let dies = kinds.get(&action.kind).is_some_and(|kind| kind.facts().dies_with_parent);
            action.parent.clone().filter(|parent| dies && action.verb == Verb::Delete && deleted.contains(parent))
        };
        let mut edges: Vec<(Fqn, Fqn)> = Vec::new();
        for action in self.actions.values_mut() {
            if let Some(parent) = with_parent(action, self.kinds) {
                edges.push((action.fqn.clone(), parent.clone()));
                action.reason = Reason::WithParent(parent);
            }
        }
        // What is about to be taken away from a resource must not be in use any more.
        let any = |is_one: &dyn Fn(&Action) -> bool| self.actions.values().any(is_one);
        let (any_loses, any_leaves) = (any(&|action| action.risk == Risk::DataLoss), any(&leaving));
        for row in self.snapshot.rows.values().filter(|_| any_loses) {
            let changes = |fqn: &Fqn| self.actions.get(fqn).is_some_and(|action| action.verb == Verb::Update);
            let loses = |fqn: &Fqn| self.actions.get(fqn).is_some_and(|action| action.risk == Risk::DataLoss);
            let losing = row.all_needs().into_iter().filter(|need| changes(need) && loses(need) && changes(&row.fqn));
            edges.extend(losing.map(|need| (need.clone(), row.fqn.clone())));
        }
        for row in self.snapshot.rows.values().filter(|_| any_leaves) {
            let vanishes =
                matches!(self.actions.get(&row.fqn).map(|action| &action.reason), Some(Reason::WithParent(_)));
            for need in row.all_needs().into_iter().filter(|need| self.actions.get(need).is_some_and(leaving)) {
                if !vanishes || row.parent.as_ref() != Some(need) {
                    edges.push((need.clone(), row.fqn.clone()));
                }
            }
        }
        for (waiting, first) in edges {
            if let Some(action) = self.actions.get_mut(&waiting) {
                action.waits.insert(StepId::of(&first));
                self.strict.insert((StepId::of(&waiting), StepId::of(&first)));
            }
        }
    }

    /// Lets resources whose belongings move to others wait for those to get ready, and those wait for them.
    pub(crate) fn order_handovers(&mut self) -> Result<(), PlanError> {
        let mut edges = Vec::new();
        for taker in self.actions.values().filter(|action| !matches!(action.verb, Verb::Keep | Verb::Delete)) {
            for giver in taker.needs.iter().filter(|giver| self.hands_over(giver, taker)) {
                if !self.program.resources().contains_key(giver) {
                    let reason = format!(
                        "it takes over what `{giver}` has, which was not named or has left the program; deploy both together"
                    );
                    return Err(PlanError::Refused { fqn: taker.fqn.clone(), reason });
                }
                edges.push((taker.id(), StepId::of(giver)));
                edges.push((StepId::of(giver), taker.id()));
            }
        }
        for (waiting, first) in edges {
            if let Some(action) = self.actions.get_mut(&waiting.fqn) {
                action.waits.insert(first.clone());
                self.strict.insert((waiting, first));
            }
        }
        Ok(())
    }

    /// Whether something that `giver` has, or may have, is to be that of `taker`.
    fn hands_over(&self, giver: &Fqn, taker: &Action) -> bool {
        let Some(row) = self.snapshot.rows.get(giver).filter(|row| row.kind == taker.kind) else { return false };
        let kind = self.kinds.get(&taker.kind);
        let mut old = row.possible_props().map(|old| Change { fqn: giver, name: &row.name, old: Some(old), new: None });
        kind.is_some_and(|kind| old.any(|giver| kind.hands_over(&giver, &taker.props)))
    }

    /// Deletes what was replaced, or is to be, once nobody uses it any more.
    pub(crate) fn discard(&mut self) {
        let is_replaced = |fqn: &Fqn| self.snapshot.rows.get(fqn).is_some_and(|row| !row.replaced.is_empty());
        let all = self.actions.values();
        let all = all.filter(|action| action.verb == Verb::Supersede || is_replaced(&action.fqn));
        for action in all.cloned().collect::<Vec<_>>() {
            let row = self.snapshot.rows.get(&action.fqn);
            let supersedes = action.verb == Verb::Supersede;
            let left_alone = matches!(action.reason, Reason::Elsewhere | Reason::UnknownKind);
            let has_old = |row: &&Row| supersedes || !row.replaced.is_empty() && !left_alone;
            let Some(row) = row.filter(has_old) else { continue };
            let kind = self.kinds.get(&action.kind);
            let holds = |props: &Data| kind.is_some_and(|kind| (kind.facts().holds_data)(props));
            let loses = supersedes && holds(&row.desired) || row.replaced.iter().any(|old| holds(&old.desired));
            let users = self.actions.values().filter(|user| {
                let used = self.snapshot.rows.get(&user.fqn).is_some_and(|row| row.all_needs().contains(&action.fqn));
                used || user.needs.contains(&action.fqn)
            });
            let mut waits: BTreeSet<StepId> = users.map(Action::id).collect();
            if action.verb == Verb::Delete {
                if let Some(own) = self.actions.get_mut(&action.fqn) {
                    own.waits.insert(StepId { step: 2, ..action.id() });
                }
            } else {
                waits.insert(action.id());
            }
            let last = Action {
                step: 2,
                verb: Verb::Discard,
                reason: Reason::Superseded,
                risk: if loses { Risk::DataLoss } else { Risk::None },
                name: row.name.clone(),
                differences: Vec::new(),
                props: Data::Null,
                found: None,
                notes: Vec::new(),
                waits,
                ..action
            };
            self.last.insert(last.fqn.clone(), last);
        }
    }

    /// Makes sure that no actions wait for each other.
    pub(crate) fn break_cycles(&mut self) -> Result<(), PlanError> {
        loop {
            let mut graph = Graph::default();
            for (id, waits) in open(self.actions.values().chain(self.first.values()).chain(self.last.values())) {
                graph.add(id, waits);
            }
            graph.take_ready();
            let Some(cycle) = graph.cycle() else { return Ok(()) };
            if !self.drop_wait(&cycle) && !self.split(&cycle) {
                return Err(PlanError::Cycle(cycle.into_iter().map(|id| id.fqn).collect()));
            }
        }
    }

    /// Lets one of the actions in `cycle` not wait for the next, if the resource of that exists already, is there to stay, and all is
    /// known that is made from it.
    fn drop_wait(&mut self, cycle: &[StepId]) -> bool {
        let verb = |id: &StepId| self.actions.get(&id.fqn).map(|action| action.verb);
        // One with a first action is only being made.
        let is_there = |id: &StepId| id.step == 1 && !self.first.contains_key(&id.fqn);
        let stays = |id: &StepId| is_there(id) && matches!(verb(id), Some(Verb::Update | Verb::Adopt | Verb::Note));
        let knows = |id: &StepId, next: &StepId| {
            let unknown = self.actions.get(&id.fqn).map(|action| data::references(&action.props));
            matches!(unknown, Some(Ok(unknown)) if !unknown.iter().any(|reference| reference.of == next.fqn))
        };
        // What begins to use something needs it as it will be.
        let begins = |id: &StepId, next: &StepId| {
            let (own, other) = (self.actions.get(&id.fqn), self.actions.get(&next.fqn));
            let name = other.map(|other| other.name.text.as_str()).unwrap_or_default();
            let after =
                own.into_iter().flat_map(|own| &own.differences).filter_map(|difference| difference.after.as_ref());
            after.map(ToString::to_string).any(|text| text.contains(&format!("\"{name}\"")))
        };
        let pairs = cycle.iter().zip(cycle.iter().cycle().skip(1));
        let pairs = pairs.filter(|(id, next)| !self.strict.contains(&((*id).clone(), (*next).clone())));
        let dropped =
            pairs.filter(|(id, next)| stays(next) && knows(id, next)).min_by_key(|(id, next)| (begins(id, next), *id));
        let Some((waiting, next)) = dropped else { return false };
        let steps = if waiting.step == 0 { &mut self.first } else { &mut self.actions };
        steps.get_mut(&waiting.fqn).is_some_and(|action| action.waits.remove(next))
    }

    /// Gives one of the resources in `cycle` a first action, in which it is made, or changed, without the others.
    fn split(&mut self, cycle: &[StepId]) -> bool {
        let mut members: Vec<&Fqn> = cycle.iter().map(|id| &id.fqn).collect();
        members.sort();
        // All that it is made from and that are made from it; if it cannot be without those, then only those of this cycle.
        let all = |fqn: &Fqn, other: &Fqn| self.waits_for(other, fqn) && self.waits_for(fqn, other);
        let own = |_: &Fqn, other: &Fqn| members.contains(&other);
        let chosen = members.iter().find_map(|fqn| self.without(fqn, all));
        let chosen = chosen.or_else(|| members.iter().find_map(|fqn| self.without(fqn, own)));
        let Some((action, props, others)) = chosen else { return false };
        let id = action.id();
        let mutual = |other: &&Fqn| self.waits_for(other, &action.fqn) && self.waits_for(&action.fqn, other);
        let partners: Vec<Fqn> = self.actions.keys().filter(mutual).cloned().collect();
        let first = StepId { step: 0, ..id.clone() };
        let givers: Vec<Fqn> = others.keys().filter(|other| self.hands_over(other, &action)).cloned().collect();
        let names: Vec<Fqn> = others.keys().cloned().collect();
        let deleted = action.verb == Verb::Delete;
        // To let go of the others, nothing has to be there first.
        let waits = action.waits.iter().filter(|other| !deleted && !others.contains_key(&other.fqn)).cloned();
        let before = Action {
            step: 0,
            verb: if deleted { Verb::Update } else { action.verb },
            reason: if deleted { Reason::Mutual(names.clone()) } else { action.reason.clone() },
            risk: if deleted { Risk::Restarts } else { action.risk },
            props,
            needs: action.needs.iter().filter(|need| !others.contains_key(need)).cloned().collect(),
            waits: waits.collect(),
            ..action.clone()
        };
        let still = before.waits.iter().filter(|wait| self.strict.contains(&(id.clone(), (*wait).clone())));
        let still: Vec<_> = still.map(|wait| (first.clone(), wait.clone())).collect();
        self.strict.extend(still);
        self.first.insert(action.fqn.clone(), before);
        if let Some(own) = self.actions.get_mut(&action.fqn) {
            own.waits.insert(first.clone());
            if !deleted {
                let reason = if givers.is_empty() { Reason::Mutual(names) } else { Reason::TakesOver(givers.clone()) };
                (own.verb, own.reason, own.found) = (Verb::Update, reason, None);
            }
        }
        // Until the taker is whole, nobody answers for what moves to it.
        for giver in &givers {
            self.actions.get_mut(giver).into_iter().for_each(Action::breaks_others);
        }
        for other in partners.iter().filter(|other| **other != action.fqn) {
            let steps = [self.actions.get_mut(other), self.first.get_mut(other)];
            for step in steps.into_iter().flatten() {
                if step.waits.remove(&id) {
                    step.waits.insert(first.clone());
                }
            }
        }
        true
    }

    /// The action of `fqn`, with its properties without those that it is made from and that `is_other` picks.
    fn without(&self, fqn: &Fqn, is_other: impl Fn(&Fqn, &Fqn) -> bool) -> Option<(Action, Data, BTreeMap<Fqn, Name>)> {
        let action = self.actions.get(fqn).filter(|_| !self.first.contains_key(fqn))?;
        let others: BTreeMap<Fqn, Name> = action
            .needs
            .iter()
            .filter(|other| is_other(fqn, other))
            .filter_map(|other| Some((other.clone(), self.actions.get(other)?.name.clone())))
            .collect();
        if others.is_empty() {
            return None;
        }
        let props = self.kinds.get(&action.kind)?.without(&action.props, &others)?;
        Some((action.clone(), props, others))
    }

    /// Whether the actions of `fqn` wait for those of `other`, directly or not.
    fn waits_for(&self, fqn: &Fqn, other: &Fqn) -> bool {
        let (mut open, mut seen) = (vec![fqn], BTreeSet::from([fqn]));
        while let Some(next) = open.pop() {
            let steps = [self.actions.get(next), self.first.get(next)].into_iter().flatten();
            for wait in steps.flat_map(|action| &action.waits).map(|id| &id.fqn) {
                if wait == other {
                    return true;
                }
                if seen.insert(wait) {
                    open.push(wait);
                }
            }
        }
        false
    }
}
