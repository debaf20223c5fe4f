//! Does what a plan says. Before each call the journal has what the call is to do, and after it what became of it.
//!
//! One thread records and decides what is next. The calls run on threads of their own, a bounded number at a time. An action whose
//! call fails leaves the rest alone, but for what waits for it.

use crate::{
    Action, AnyKind, Data, DataError, Event, Failure, FailureKind, Fence, Found, Fqn, Intent, Kinds, Move, Origin,
    Plan, Reason, Recorded, Recording, Reference, Replaced, Row, Snapshot, StepId, StoreError, Verb, Wanted,
    action::list,
    call::{self, Call},
    data,
    graph::Graph,
    plan,
    store::RENEWAL,
};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{self, AssertUnwindSafe},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread::{self, Scope},
};

/// How a plan is applied.
#[derive(Clone, Copy, Debug)]
pub struct ApplyOptions<'a> {
    /// How many calls run at once.
    pub concurrency: usize,
    /// Begins no further call once it is set. Calls under way are waited for.
    pub stop: &'a AtomicBool,
    /// What the makers of calls ask before each: it is kept up to date here.
    pub fence: &'a Fence,
}

/// What happens while a plan is applied.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// A call is made.
    Began(&'a Action),
    /// An action is done.
    Done(&'a Action),
    /// An action failed.
    Failed(&'a Action, &'a Failure),
    /// An action is left out, because one that comes before it failed.
    Skipped(&'a Action, &'a Fqn),
}

/// What became of a plan.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The resources whose actions are done.
    pub done: Vec<Fqn>,
    /// The resources whose actions failed.
    pub failed: BTreeMap<Fqn, Failure>,
    /// The resources whose actions were left out, because one that comes before failed or the run was stopped.
    pub skipped: BTreeSet<Fqn>,
}

impl Outcome {
    /// Whether everything was done.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty() && self.skipped.is_empty()
    }
}

/// Why a plan was not applied, or not further.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// The state is another one than the plan was made from.
    #[error("the state has changed since the plan was made")]
    Stale,
    /// Data would be lost.
    #[error("the data of {} would be lost", list(.0))]
    DataLoss(Vec<Fqn>),
    /// Others would fail.
    #[error("the change of {} would make others fail", list(.0))]
    Breaking(Vec<Fqn>),
    /// The state cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The plan is made of something that does not exist.
    #[error("`{fqn}`: {error}")]
    Data {
        /// The resource.
        fqn: Fqn,
        /// Why.
        error: DataError,
    },
}

/// Does what `plan` says.
///
/// # Errors
/// When the state has changed since the plan was made, or cannot be written. What was done until then is in the journal.
pub fn apply(
    plan: &Plan,
    kinds: &Kinds,
    mut recording: Box<dyn Recording>,
    options: &ApplyOptions<'_>,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Outcome, ApplyError> {
    if let Some(refusal) = plan.refusal() {
        recording.finish()?;
        return Err(refusal);
    }
    let Snapshot { birth, serial, .. } = recording.snapshot();
    let is_same_stack = *birth == plan.birth || plan.birth.is_empty();
    if !is_same_stack || *serial != plan.serial {
        recording.finish()?;
        return Err(ApplyError::Stale);
    }
    options.fence.set(recording.renew()?);
    follow(plan, recording.as_mut())?;
    let mut open = Graph::default();
    plan::open(plan.actions.iter()).into_iter().for_each(|(id, waits)| open.add(id, waits));
    let run = Run {
        plan,
        kinds,
        options,
        recording: recording.as_mut(),
        outcome: Outcome::default(),
        made: BTreeSet::new(),
        open,
    };
    let outcome = thread::scope(|scope| run.all(scope, progress))?;
    // No call may be made once the lease is given back.
    options.fence.set(0);
    recording.finish()?;
    Ok(outcome)
}

/// Gives rows the names that their resources have in the program now.
fn follow(plan: &Plan, recording: &mut dyn Recording) -> Result<(), StoreError> {
    let renamed = |fqn: &Fqn| plan.moves.iter().find(|own| own.from == *fqn).map(|own| own.to.clone());
    for own in &plan.moves {
        if let Some(row) = recording.snapshot().rows.get(&own.from).cloned() {
            let Move { from, to } = own.clone();
            recording.append(&Event::Moved { fqn: to, from, row: Box::new(own.of(row, renamed)) })?;
        }
    }
    Ok(())
}

impl Plan {
    /// Why it is not applied, if it is not: the user has to allow what it costs.
    #[must_use]
    pub fn refusal(&self) -> Option<ApplyError> {
        match (self.data_loss.as_slice(), self.breaking.as_slice()) {
            ([], []) => None,
            ([], breaking) => Some(ApplyError::Breaking(breaking.to_vec())),
            (lost, _) => Some(ApplyError::DataLoss(lost.to_vec())),
        }
    }

    /// The action with this id.
    fn action(&self, id: &StepId) -> Option<&Action> {
        let found = self.actions.binary_search_by(|action| (&action.fqn, action.step).cmp(&(&id.fqn, id.step)));
        found.ok().and_then(|index| self.actions.get(index))
    }
}

struct Run<'a> {
    plan: &'a Plan,
    kinds: &'a Kinds,
    options: &'a ApplyOptions<'a>,
    recording: &'a mut dyn Recording,
    outcome: Outcome,
    /// The resources that this run has made.
    made: BTreeSet<Fqn>,
    /// The actions that have not begun.
    open: Graph<StepId>,
}

/// What became of a call.
struct Answer<'a> {
    action: &'a Action,
    result: Result<Option<Found<Data>>, Failure>,
}

impl<'a> Run<'a> {
    fn all<'scope>(
        mut self,
        scope: &'scope Scope<'scope, 'a>,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Outcome, ApplyError> {
        let (answers, queue) = mpsc::channel::<Answer<'a>>();
        let mut running = 0;
        loop {
            while running < self.options.concurrency && !self.options.stop.load(Ordering::Relaxed) {
                let Some(action) = self.next() else { break };
                progress(Progress::Began(action));
                match self.begin(action) {
                    Err(ApplyError::Data { error, .. }) => {
                        let failure = Failure::new(FailureKind::Refused, error.to_string());
                        self.failed(action, failure, progress);
                    }
                    Err(error) => return Err(error),
                    Ok(None) => self.done(action, progress),
                    Ok(Some(call)) => {
                        running += 1;
                        self.spawn(scope, action, call, answers.clone());
                    }
                }
            }
            if running == 0 {
                break;
            }
            match queue.recv_timeout(RENEWAL) {
                Ok(Answer { action, result }) => {
                    running -= 1;
                    if let Some(call) = self.answered(action, result, progress)? {
                        running += 1;
                        self.spawn(scope, action, call, answers.clone());
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            self.options.fence.set(self.recording.renew()?);
        }
        self.outcome.skipped.extend(self.open.left().map(|id| id.fqn.clone()));
        Ok(self.outcome)
    }

    /// An action that waits for nothing.
    fn next(&mut self) -> Option<&'a Action> {
        let id = self.open.take()?;
        self.plan.action(&id)
    }

    fn spawn<'scope>(
        &self,
        scope: &'scope Scope<'scope, 'a>,
        action: &'a Action,
        call: Call,
        answers: mpsc::Sender<Answer<'a>>,
    ) {
        let kind = self.kinds.get(&action.kind);
        // What was just given away may not be seen yet where it is now.
        let takes_over = matches!(action.reason, Reason::TakesOver(_));
        let made = |fqn: &Fqn| self.made.contains(fqn);
        let fresh = takes_over || made(&action.fqn) || action.needs.iter().any(made);
        scope.spawn(move || {
            let make = |kind: &dyn AnyKind| {
                // A call that panics must not leave the run waiting for its answer.
                let made = panic::catch_unwind(AssertUnwindSafe(|| call::make(kind, &call, fresh)));
                made.unwrap_or_else(|_| Err(Failure::new(FailureKind::Unanswered, "the call panicked")))
            };
            let result = kind.map_or_else(|| Err(no_kind(action)), make);
            // The receiver is gone if the run has ended with an error. The journal then has the intent.
            let _ = answers.send(Answer { action, result });
        });
    }

    /// Records what an action is about to do, and returns the call that does it. `None` if no call is needed.
    fn begin(&mut self, action: &'a Action) -> Result<Option<Call>, ApplyError> {
        let fqn = &action.fqn;
        let row = self.recording.snapshot().rows.get(fqn).cloned();
        match (action.verb, row) {
            (Verb::Keep, _) => Ok(None),
            (Verb::Note, _) => {
                let Action { needs, parent, policy, .. } = action.clone();
                self.recording.append(&Event::Noted { fqn: fqn.clone(), needs, parent, policy })?;
                Ok(None)
            }
            (Verb::Forget, _) => {
                self.recording.append(&Event::Gone { fqn: fqn.clone() })?;
                Ok(None)
            }
            (Verb::Delete, Some(_)) if matches!(action.reason, Reason::WithParent(_)) => {
                self.recording.append(&Event::Gone { fqn: fqn.clone() })?;
                Ok(None)
            }
            (Verb::Delete | Verb::Replace, Some(row)) => {
                self.recording.append(&Event::Leaving { fqn: fqn.clone() })?;
                Ok(Some(deletion(action, &row)))
            }
            (Verb::Delete, None) => Ok(None),
            (Verb::Discard, row) => self.discard(action, row.as_ref()),
            (Verb::Supersede, _) => {
                let instance = self.new_instance(fqn);
                Ok(Some(Call::Create(self.intend(action, instance, true)?)))
            }
            (Verb::Create | Verb::Replace, row) => {
                let was_begun = row.as_ref().is_some_and(Row::is_unborn);
                let instance = match row {
                    Some(row) if was_begun => row.instance,
                    _ => self.new_instance(fqn),
                };
                let wanted = self.intend(action, instance, false)?;
                let unseen = was_begun && !self.plan.observed;
                Ok(Some(if unseen { Call::CreateUnlessThere(wanted) } else { Call::Create(wanted) }))
            }
            (Verb::Update | Verb::Adopt, row) => self.begin_update(action, row).map(Some),
        }
    }

    /// As [`Run::begin`], for a resource that exists.
    fn begin_update(&mut self, action: &Action, row: Option<Row>) -> Result<Call, ApplyError> {
        let fqn = &action.fqn;
        let found = action.found.as_ref().map(|found| found.attributes.clone());
        let (instance, props, pending, attributes) = match row {
            Some(row) => {
                let pending = row.pending.into_iter().map(|pending| pending.desired).collect();
                (row.instance, row.desired, pending, found.unwrap_or(row.attributes))
            }
            None => (self.new_instance(fqn), Data::Null, Vec::new(), found.unwrap_or_default()),
        };
        let Wanted { fqn, instance, name, props: wanted, .. } = self.intend(action, instance, false)?;
        let wanted = wanted.unwrap_or_default();
        // Of one that the state does not know, nobody knows what it was like before.
        let props = if props.is_null() { wanted.clone() } else { props };
        let (intact, adopted) = (action.intact, action.origin == Origin::Adopted);
        Ok(Call::Update(Recorded { fqn, instance, name, props, pending, attributes, intact, adopted }, wanted))
    }

    /// Records that the resource of `action` is about to be made or changed.
    fn intend(&mut self, action: &Action, instance: String, replaces: bool) -> Result<Wanted<Data, Data>, ApplyError> {
        let rows = &self.recording.snapshot().rows;
        let find = |reference: &Reference| rows.get(&reference.of)?.attributes.get(&reference.attribute).cloned();
        let failed = |error| ApplyError::Data { fqn: action.fqn.clone(), error };
        let props = data::resolve(&action.props, &find).map_err(failed)?;
        if let Some(reference) = data::unknown(&props).map_err(failed)? {
            return Err(failed(DataError::Unknown(reference)));
        }
        let intent = Intent {
            kind: action.kind.clone(),
            instance: instance.clone(),
            generation: action.generation,
            replaces,
            name: action.name.clone(),
            named: action.named.clone(),
            origin: action.origin,
            desired: props.clone(),
            needs: action.needs.clone(),
            parent: action.parent.clone(),
            policy: action.policy,
        };
        self.recording.append(&Event::Intended { fqn: action.fqn.clone(), intent: Box::new(intent) })?;
        let (fqn, name) = (action.fqn.clone(), action.name.clone());
        let adopted = action.origin == Origin::Adopted;
        Ok(Wanted { fqn, instance, name, props: Some(props), attributes: None, adopted })
    }

    /// Records that something which was replaced is about to be deleted, and returns the call.
    fn discard(&mut self, action: &Action, row: Option<&Row>) -> Result<Option<Call>, ApplyError> {
        let Some(old) = row.and_then(|row| row.replaced.first()) else { return Ok(None) };
        let fqn = action.fqn.clone();
        self.recording.append(&Event::Discarding { fqn: fqn.clone(), instance: old.instance.clone() })?;
        let Replaced { instance, name, desired, attributes, .. } = old.clone();
        let wanted = Wanted { fqn, instance, name, props: Some(desired), attributes: None, adopted: false };
        Ok(Some(deletion_of(wanted, attributes)))
    }

    /// An id that no other instance of this stack has: events have different numbers.
    fn new_instance(&self, fqn: &Fqn) -> String {
        let Snapshot { birth, serial, .. } = self.recording.snapshot();
        let digest = Sha256::digest(format!("{birth} {serial} {fqn}"));
        digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Records what became of a call, and returns the next call of the same action if it has one.
    fn answered(
        &mut self,
        action: &'a Action,
        result: Result<Option<Found<Data>>, Failure>,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Option<Call>, ApplyError> {
        let fqn = action.fqn.clone();
        match result {
            Ok(Some(Found { attributes, effective, .. })) => {
                if matches!(action.verb, Verb::Create | Verb::Replace | Verb::Supersede) {
                    self.made.insert(fqn.clone());
                }
                self.recording.append(&Event::Effected { fqn, attributes, effective })?;
            }
            Ok(None) if action.verb == Verb::Discard => {
                let row = self.recording.snapshot().rows.get(&fqn);
                if let Some(old) = row.and_then(|row| row.replaced.first()) {
                    let instance = old.instance.clone();
                    self.recording.append(&Event::Discarded { fqn, instance })?;
                }
                // There may be more.
                if let Some(next) = self.begin(action)? {
                    return Ok(Some(next));
                }
            }
            Ok(None) => {
                self.recording.append(&Event::Gone { fqn })?;
                if action.verb == Verb::Replace {
                    return self.begin(action);
                }
            }
            Err(failure) => {
                // Where nobody knows what is there, the row says so as it is.
                let unknown = [FailureKind::Unanswered, FailureKind::Partial, FailureKind::Unreadable];
                if !unknown.contains(&failure.kind) {
                    self.recording.append(&Event::Refused { fqn: fqn.clone(), message: failure.message.clone() })?;
                }
                self.failed(action, failure, progress);
                return Ok(None);
            }
        }
        self.done(action, progress);
        Ok(None)
    }

    fn failed(&mut self, action: &'a Action, failure: Failure, progress: &mut dyn FnMut(Progress<'_>)) {
        progress(Progress::Failed(action, &failure));
        self.skip(action, progress);
        self.outcome.failed.insert(action.fqn.clone(), failure);
    }

    fn done(&mut self, action: &Action, progress: &mut dyn FnMut(Progress<'_>)) {
        progress(Progress::Done(action));
        self.outcome.done.push(action.fqn.clone());
        self.open.done(&action.id());
    }

    /// Leaves out everything that waits for `failed`.
    fn skip(&mut self, failed: &Action, progress: &mut dyn FnMut(Progress<'_>)) {
        for id in self.open.take_waiting(&failed.id()) {
            if let Some(action) = self.plan.action(&id) {
                progress(Progress::Skipped(action, &failed.fqn));
            }
            self.outcome.skipped.insert(id.fqn);
        }
    }
}

/// The call that deletes what `row` says.
fn deletion(action: &Action, row: &Row) -> Call {
    let props = row.intended_props().clone();
    let Row { fqn, instance, name, attributes, .. } = row.clone();
    let found = action.found.as_ref().map(|found| found.attributes.clone());
    let wanted = Wanted { fqn, instance, name, props: Some(props), attributes: None, adopted: false };
    deletion_of(wanted, found.unwrap_or(attributes))
}

/// The call that deletes a resource with these attributes. If they are not known, it is looked for first.
fn deletion_of(wanted: Wanted<Data, Data>, attributes: Data) -> Call {
    if attributes.is_null() {
        return Call::DeleteIfThere(wanted);
    }
    let Wanted { fqn, instance, name, props, adopted, .. } = wanted;
    let props = props.unwrap_or_default();
    Call::Delete(Recorded { fqn, instance, name, props, pending: Vec::new(), attributes, intact: false, adopted })
}

fn no_kind(action: &Action) -> Failure {
    Failure::new(FailureKind::Refused, format!("no provider has the kind `{}` of `{}`", action.kind, action.fqn))
}
