//! Decides what to do. A plan is a function of the program, the state, and what was seen; it makes no call and leaves no choice to
//! [`apply()`](crate::apply()).

use crate::{
    Action, AnyKind, Data, DataError, Difference, Found, Fqn, Kinds, Move, Name, Observation, Observed, PlannedBreak,
    Policy, Program, ProgramError, Reason, Reference, Resource, Risk, Row, Snapshot, Stack, StepId, Verb, action::list,
    breaks, changes, data, observe::name_of, program::Ordered, row::Origin,
};
use serde::Serialize;
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
};

/// What to do with the resources of a stack.
#[must_use]
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// The stack.
    pub stack: Stack,
    /// The state that the plan was made from: see [`Snapshot::birth`].
    pub birth: String,
    /// As `birth`: see [`Snapshot::serial`].
    pub serial: u64,
    /// Whether Cloudflare was asked what is there.
    pub observed: bool,
    /// The resources whose data would be lost, and that the user has not named. As long as there are any, the plan is not applied.
    pub data_loss: Vec<Fqn>,
    /// The resources that have another name in the program than in the state, which follows first.
    pub moves: Vec<Move>,
    /// What does not work as before for those who use what is changed.
    pub breaks: Vec<PlannedBreak>,
    /// The resources whose change makes others fail, and that the user has not named. As `data_loss`.
    pub breaking: Vec<Fqn>,
    /// The actions, in the order of the names of their resources. Each resource has one, or two: see [`StepId`].
    pub actions: Vec<Action>,
}

impl Plan {
    /// The actions that do something.
    pub fn changes(&self) -> impl Iterator<Item = &Action> {
        self.actions.iter().filter(|action| action.verb != Verb::Keep)
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes().next().is_none() && self.moves.is_empty()
    }
}

/// What the user has allowed.
#[derive(Clone, Debug, Default)]
pub struct Allowed {
    /// The resources whose data may be lost.
    pub data_loss: BTreeSet<Fqn>,
    /// The resources that exist and become ours.
    pub adopt: BTreeSet<Fqn>,
    /// The resources whose change may make others fail.
    pub breaking: BTreeSet<Fqn>,
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The program makes no sense.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// Somebody else's resource has the name.
    #[error("{}", foreign(fqn, title, name.as_deref()))]
    Foreign {
        /// The resource.
        fqn: Fqn,
        /// What people call its kind.
        title: &'static str,
        /// Its name at Cloudflare, unless it has none and belongs to another resource.
        name: Option<String>,
    },
    /// Two resources have one name at Cloudflare.
    #[error("`{first}` and `{second}` would both be the {title} `{name}`; rename one of them")]
    OneName {
        /// A resource.
        first: Fqn,
        /// Another one.
        second: Fqn,
        /// What people call their kind.
        title: &'static str,
        /// The name.
        name: String,
    },
    /// A resource is made from one that belongs to a part of the program that was left out, and is not there.
    #[error("`{fqn}` is made from `{of}`, which is not deployed yet and was not named")]
    NotDeployed {
        /// The resource.
        fqn: Fqn,
        /// What is missing.
        of: Fqn,
    },
    /// A resource became one of another kind under its old name.
    #[error("`{fqn}` was a `{was}` and is a `{is}` now; give it another name")]
    OtherKind {
        /// The resource.
        fqn: Fqn,
        /// Its kind in the state.
        was: String,
        /// Its kind in the program.
        is: String,
    },
    /// A resource cannot become what the program says.
    #[error("`{fqn}`: {reason}")]
    Refused {
        /// The resource.
        fqn: Fqn,
        /// Why not.
        reason: String,
    },
    /// Resources are made from each other, and none of them can exist without the others.
    #[error(
        "these are made from each other, and none of them can be made first: {}; remove what leads from one of them to another",
        list(.0)
    )]
    Cycle(Vec<Fqn>),
    /// What the state has of a resource cannot be used.
    #[error("the state of `{fqn}`: {error}")]
    Row {
        /// The resource.
        fqn: Fqn,
        /// Why.
        error: DataError,
    },
}

fn foreign(fqn: &Fqn, title: &str, name: Option<&str>) -> String {
    match name {
        Some(name) => {
            format!("a {title} called `{name}` exists and is not known to be ours, and `{fqn}` would take it over")
        }
        None => format!("`{fqn}` ({title}) exists, and is not known to be ours"),
    }
}

/// Decides what to do so that Cloudflare has what `program` says.
///
/// # Errors
/// When the program makes no sense, when data would be lost that may not be, or when somebody else's resource is in the way.
pub fn plan(
    program: &Program,
    snapshot: &Snapshot,
    observed: &Observed,
    kinds: &Kinds,
    allowed: &Allowed,
) -> Result<Plan, PlanError> {
    let (snapshot, moves) = program.follow(snapshot)?;
    let mut planner = Planner {
        program,
        snapshot: &snapshot,
        observed,
        kinds,
        allowed,
        actions: BTreeMap::new(),
        first: BTreeMap::new(),
        last: BTreeMap::new(),
        strict: BTreeSet::new(),
    };
    for ordered in program.in_order(kinds)? {
        let resource = ordered.resource;
        let action = planner.declared(ordered)?;
        planner.actions.insert(resource.fqn.clone(), action);
    }
    let gone: Vec<&Row> = snapshot.rows.values().filter(|row| !program.resources().contains_key(&row.fqn)).collect();
    for row in gone {
        let action = planner.undeclared(row);
        planner.actions.insert(row.fqn.clone(), action);
    }
    planner.order_deletions();
    planner.discard();
    planner.order_handovers()?;
    planner.break_cycles()?;
    planner.check()?;
    let data_loss = planner.data_loss();
    let breaks = planner.breaks();
    for of in breaks.iter().filter(|found| found.what.fails).map(|found| &found.of) {
        planner.actions.get_mut(of).into_iter().for_each(Action::breaks_others);
    }
    Ok(Plan {
        data_loss,
        moves,
        breaking: breaks::not_allowed(&breaks, allowed),
        breaks,
        stack: program.stack().clone(),
        birth: snapshot.birth.clone(),
        serial: snapshot.serial,
        observed: observed.looked(),
        actions: planner.into_actions(),
    })
}

pub(crate) struct Planner<'a> {
    pub(crate) program: &'a Program,
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) observed: &'a Observed,
    pub(crate) kinds: &'a Kinds,
    pub(crate) allowed: &'a Allowed,
    /// The action that makes each resource what the program says.
    pub(crate) actions: BTreeMap<Fqn, Action>,
    /// The first actions of resources that have two.
    pub(crate) first: BTreeMap<Fqn, Action>,
    /// The last actions, of those that were replaced.
    pub(crate) last: BTreeMap<Fqn, Action>,
    /// Waits without which something would be taken away that is still in use.
    pub(crate) strict: BTreeSet<(StepId, StepId)>,
}

/// What was decided about a resource that the program has.
struct Choice {
    verb: Verb,
    reason: Reason,
    differences: Vec<Difference>,
}

impl Choice {
    fn new(verb: Verb, reason: Reason) -> Self {
        Self { verb, reason, differences: Vec::new() }
    }
}

impl Planner<'_> {
    /// The action for a resource that the program has. All that it is made from have theirs.
    fn declared(&self, Ordered { resource, needs, refers }: Ordered<'_>) -> Result<Action, PlanError> {
        let Resource { fqn, kind: kind_name, .. } = resource;
        let no_kind = || ProgramError::NoKind { fqn: fqn.clone(), kind: (*kind_name).into() };
        let kind = self.kinds.get(kind_name).ok_or_else(no_kind)?;
        let row = self.snapshot.rows.get(fqn);
        if let Some(row) = row.filter(|row| row.kind != *kind_name) {
            return Err(PlanError::OtherKind { fqn: fqn.clone(), was: row.kind.clone(), is: (*kind_name).into() });
        }
        let mut generation = row.map_or(0, |row| row.generation);
        let named = row.and_then(|row| row.named.as_ref()).unwrap_or(fqn);
        let mut name = name_of(self.program, named, self.pinned(resource, row)?, kind, generation);
        let props = self.resolved(resource, refers, &name)?;
        let found = match self.observed.get(fqn) {
            // What is known of it may have changed behind our back.
            Some(Observation::Present(found)) if row.is_none_or(|row| row.attributes != found.attributes) => {
                Some(found)
            }
            _ => None,
        };
        let (choice, first) = self.choose(resource, kind, found, &props, &name, &needs)?;
        if choice.verb == Verb::Supersede {
            generation += 1;
            name = name_of(self.program, named, None, kind, generation);
        }
        let origin = origin(row, &choice);
        Ok(Action {
            fqn: fqn.clone(),
            step: 1,
            kind: (*kind_name).into(),
            verb: choice.verb,
            reason: choice.reason,
            risk: self.risk(choice.verb, kind, row, &props),
            name,
            named: row.and_then(|row| row.named.clone()),
            generation,
            intact: row.is_some_and(|row| self.is_intact(row)),
            differences: choice.differences,
            // Of one that stays as it is, nobody asks for them.
            props: if choice.verb == Verb::Keep { Data::Null } else { props.into_owned() },
            waits: needs.iter().map(StepId::of).chain(first).collect(),
            needs,
            parent: resource.parent.clone(),
            policy: resource.policy,
            origin,
            found: found.cloned(),
            notes: match self.observed.get(fqn) {
                Some(Observation::Present(found)) => found.notes.clone(),
                _ => Vec::new(),
            },
        })
    }

    /// The properties of a resource, with the attributes in their places that are known.
    fn resolved<'b>(&self, resource: &'b Resource, refers: bool, name: &Name) -> Result<Cow<'b, Data>, PlanError> {
        if !refers {
            return Ok(Cow::Borrowed(&resource.props));
        }
        let fqn = &resource.fqn;
        // What belongs to Workers that were not named is only known as it is.
        let references = data::references(&resource.props).unwrap_or_default();
        let elsewhere = references.iter().filter(|reference| !self.program.resources().contains_key(&reference.of));
        if let Some(Reference { of, .. }) = elsewhere.into_iter().find(|reference| self.attribute(reference).is_none())
        {
            return Err(PlanError::NotDeployed { fqn: fqn.clone(), of: of.clone() });
        }
        let find = |reference: &Reference| {
            // Its own name is known before it is made.
            let is_own_name = reference.of == *fqn && reference.attribute == "name";
            if is_own_name { Some(name.text.clone().into()) } else { self.attribute(reference) }
        };
        let failed = |error| ProgramError::Data { fqn: fqn.clone(), error };
        Ok(Cow::Owned(data::resolve(&resource.props, &find).map_err(failed)?))
    }

    /// What is to be done with a resource, and what has to be done before that, if it is not one of those that it is made from.
    fn choose(
        &self,
        resource: &Resource,
        kind: &dyn AnyKind,
        found: Option<&Found<Data>>,
        props: &Data,
        name: &Name,
        needs: &BTreeSet<Fqn>,
    ) -> Result<(Choice, Option<StepId>), PlanError> {
        let fqn = &resource.fqn;
        let called = resource.parent.is_none().then(|| name.text.clone());
        let foreign = || PlanError::Foreign { fqn: fqn.clone(), title: kind.facts().title, name: called.clone() };
        let adopted = self.allowed.adopt.contains(fqn) || self.program.imported_name(fqn).is_some();
        let choice = match (self.snapshot.rows.get(fqn), found) {
            // Ours is gone, and somebody else has made another one of its name.
            (Some(row), _) if !self.is_ours(row) && !adopted => return Err(foreign()),
            (Some(row), _) if !self.is_ours(row) => Choice::new(Verb::Adopt, Reason::Adopted),
            (Some(row), Some(_)) if adopted && row.is_unborn() => Choice::new(Verb::Adopt, Reason::Adopted),
            (Some(row), _) => self.recorded(resource, row, kind, props, name, needs)?,
            (None, None) => {
                self.check_import(fqn, kind)?;
                Choice::new(Verb::Create, Reason::New)
            }
            (None, Some(found)) if found.ours => Choice::new(Verb::Adopt, Reason::Lost),
            // Another resource of ours makes room for it.
            (None, Some(found)) if let Some(other) = self.leaving(kind.name(), found) => {
                return Ok((Choice::new(Verb::Create, Reason::New), Some(StepId::of(other))));
            }
            (None, Some(_)) if adopted => Choice::new(Verb::Adopt, Reason::Adopted),
            (None, Some(_)) => return Err(foreign()),
        };
        Ok((choice, None))
    }

    /// What it may cost to do `verb`.
    fn risk(&self, verb: Verb, kind: &dyn AnyKind, row: Option<&Row>, props: &Data) -> Risk {
        match (verb, row) {
            (Verb::Replace, Some(row)) => deletion_risk(kind, row),
            (Verb::Update, Some(row)) if self.loses_data(kind, row, props) => Risk::DataLoss,
            (Verb::Adopt, _) if kind.loses_data(None, props) => Risk::DataLoss,
            (Verb::Update | Verb::Adopt, _) if kind.facts().restarts => Risk::Restarts,
            _ => Risk::None,
        }
    }

    /// The name at Cloudflare that a resource has, whatever it is called in the program.
    fn pinned<'b>(&'b self, resource: &'b Resource, row: Option<&'b Row>) -> Result<Option<&'b str>, PlanError> {
        let imported = self.program.imported_name(&resource.fqn);
        if let (Some(name), Some(row)) = (imported, row)
            && row.name.text != name
        {
            let reason = format!("`imported` says that it is `{name}`, and the state has it as `{}`", row.name);
            return Err(PlanError::Refused { fqn: resource.fqn.clone(), reason });
        }
        // What somebody else has named keeps its name.
        let theirs = row.filter(|row| row.name.pinned);
        Ok(resource.pinned.as_deref().or(imported).or(theirs.map(|row| row.name.text.as_str())))
    }

    /// Refuses to make what is to be there already.
    fn check_import(&self, fqn: &Fqn, kind: &dyn AnyKind) -> Result<(), PlanError> {
        let Some(name) = self.program.imported_name(fqn) else { return Ok(()) };
        let title = kind.facts().title;
        let what = match self.observed.looked() {
            true => format!("there is no {title} of that name"),
            false => format!("nobody looked whether there is such a {title}"),
        };
        let reason = format!("`imported` says that it is `{name}`, and {what}");
        Err(PlanError::Refused { fqn: fqn.clone(), reason })
    }

    /// A resource that leaves the program, and is the one that was found: its place is taken by another one.
    fn leaving(&self, kind: &str, found: &Found<Data>) -> Option<&Fqn> {
        let is_it = |row: &&Row| {
            let leaves = !self.program.resources().contains_key(&row.fqn) && !self.is_elsewhere(row);
            let is_same = row.kind == kind && row.attributes == found.attributes && row.origin == Origin::Created;
            // One with a name of its own is renamed by the user: see `PlanError::OneName`.
            leaves && is_same && row.parent.is_some()
        };
        self.snapshot.rows.values().find(is_it).map(|row| &row.fqn)
    }

    /// Whether what was seen under the name of `row` is the resource that the row is about.
    fn is_ours(&self, row: &Row) -> bool {
        !matches!(self.observed.get(&row.fqn), Some(Observation::Present(found)) if !found.ours)
    }

    /// Whether a resource is known to be as the last call left it.
    fn is_intact(&self, row: &Row) -> bool {
        let seen = match self.observed.get(&row.fqn) {
            Some(Observation::Present(found)) => found.effective == row.effective,
            Some(Observation::Absent) => false,
            None => true,
        };
        seen && row.is_settled()
    }

    /// Whether data is lost on the way to `props`. What a call that was not answered may have made counts too.
    fn loses_data(&self, kind: &dyn AnyKind, row: &Row, props: &Data) -> bool {
        let unknown = row.desired.is_null() && row.origin == Origin::Adopted;
        row.possible_props().any(|old| kind.loses_data(Some(old), props)) || unknown && kind.loses_data(None, props)
    }

    /// The choice for a resource that the program and the state have.
    fn recorded(
        &self,
        resource: &Resource,
        row: &Row,
        kind: &dyn AnyKind,
        props: &Data,
        name: &Name,
        needs: &BTreeSet<Fqn>,
    ) -> Result<Choice, PlanError> {
        let observation = self.observed.get(&row.fqn);
        if matches!(observation, Some(Observation::Absent)) {
            self.check_import(&row.fqn, kind)?;
            let reason = if row.is_settled() { Reason::Vanished } else { Reason::Interrupted };
            return Ok(Choice::new(Verb::Create, reason));
        }
        let desired = row.intended_props();
        let effective = match observation {
            Some(Observation::Present(found)) => Some(&found.effective),
            _ => None,
        };
        let mut differences = changes(desired, props);
        if !differences.is_empty()
            && let Some(reason) = kind.refusal(desired, props, effective)
        {
            return Err(PlanError::Refused { fqn: row.fqn.clone(), reason });
        }
        if row.name != *name {
            let renamed = |name: &Name| Some(Data::from(name.text.clone()));
            differences.push(Difference { path: "name".into(), before: renamed(&row.name), after: renamed(name) });
        }
        let fixed = differences.iter().map(|difference| difference.path.as_str());
        let mut fixed = fixed.filter(|path| *path == "name" || kind.facts().replacing.contains(path));
        if let Some(path) = fixed.next() {
            let reason = Reason::Fixed(path.into());
            // Under a name that the program chose, there is one at a time.
            let beside = kind.facts().side_by_side && !row.name.pinned && !name.pinned;
            let verb = if beside { Verb::Supersede } else { Verb::Replace };
            return Ok(Choice { verb, reason, differences });
        }
        let parent_anew = resource.parent.as_ref().filter(|parent| {
            let verb = self.actions.get(parent).map(|action| action.verb);
            matches!(verb, Some(Verb::Create | Verb::Replace | Verb::Supersede))
        });
        if let Some(parent) = parent_anew {
            // What belongs to it went with it.
            return Ok(Choice { verb: Verb::Create, reason: Reason::Upstream(parent.clone()), differences });
        }
        if !row.is_settled() {
            // What was seen may be what the call under way left half done.
            let verb = if row.is_unborn() && observation.is_none() { Verb::Create } else { Verb::Update };
            return Ok(Choice { verb, reason: Reason::Interrupted, differences });
        }
        if !differences.is_empty() {
            let unknown = data::unknown(props).map_err(|error| PlanError::Row { fqn: row.fqn.clone(), error })?;
            let reason = match unknown {
                Some(reference) if differences.iter().all(is_unknown) => Reason::Upstream(reference.of),
                _ => Reason::Changed,
            };
            return Ok(Choice { verb: Verb::Update, reason, differences });
        }
        if let Some(Observation::Present(found)) = observation
            && (found.effective != row.effective || found.attributes != row.attributes)
        {
            let differences = changes(&found.effective, &row.effective);
            return Ok(Choice { verb: Verb::Update, reason: Reason::Drifted, differences });
        }
        let noted = row.policy != resource.policy || row.needs != *needs || row.parent != resource.parent;
        Ok(if noted { Choice::new(Verb::Note, Reason::Policy) } else { Choice::new(Verb::Keep, Reason::Same) })
    }

    /// The attribute of a resource, if it is known before anything is done.
    fn attribute(&self, reference: &Reference) -> Option<Data> {
        let Reference { of, attribute } = reference;
        let row = self.snapshot.rows.get(of);
        let Some(resource) = self.program.resources().get(of) else {
            let row = row.filter(|_| self.program.has_elsewhere(of))?;
            let attributes = match self.observed.get(of) {
                Some(Observation::Absent) => return None,
                Some(Observation::Present(found)) => &found.attributes,
                None => &row.attributes,
            };
            return attributes.get(attribute).cloned();
        };
        let stable = self.kinds.get(resource.kind)?.facts().stable.contains(&attribute.as_str());
        let known = match self.actions.get(of).map(|action| action.verb) {
            Some(Verb::Keep | Verb::Note) => true,
            Some(Verb::Update | Verb::Adopt) => stable,
            Some(Verb::Create | Verb::Replace | Verb::Supersede | Verb::Discard | Verb::Delete | Verb::Forget) => false,
            // It is made from the one that asks, so its action is not chosen yet.
            None => stable,
        };
        let there = match (self.observed.get(of), row) {
            (Some(Observation::Absent), _) => None,
            (Some(Observation::Present(found)), row) if row.is_some() || found.ours => Some(&found.attributes),
            (_, Some(row)) => Some(&row.attributes),
            _ => None,
        };
        there.filter(|_| known)?.get(attribute).cloned()
    }

    /// Whether a resource that is not declared belongs to a part of the program that was left out. What belonged to a resource that is
    /// declared does not: it is gone from the program. But what several Workers bind may have belongings that only the others declare.
    fn is_elsewhere(&self, row: &Row) -> bool {
        let is_shared = |kind: &str| self.kinds.get(kind).is_none_or(|kind| kind.facts().is_shared);
        let parent = row.parent.as_ref().and_then(|parent| self.program.resources().get(parent));
        self.program.has_elsewhere(&row.fqn) && parent.is_none_or(|parent| is_shared(parent.kind))
    }

    /// The action for a resource that only the state has.
    fn undeclared(&self, row: &Row) -> Action {
        let kind = self.kinds.get(&row.kind);
        let vanished = matches!(self.observed.get(&row.fqn), Some(Observation::Absent)) || !self.is_ours(row);
        let parent = row.parent.as_ref().and_then(|parent| self.snapshot.rows.get(parent));
        // What belongs to somebody else's resource stays with it, unless it stands by itself.
        let stands_alone = kind.is_some_and(|kind| !kind.facts().dies_with_parent);
        let is_theirs = |parent: &Row| parent.origin == Origin::Adopted && !stands_alone || !self.is_ours(parent);
        let adopted = row.origin == Origin::Adopted || parent.is_some_and(is_theirs);
        let stays = row.policy == Policy::Retain || adopted || self.program.is_removed(&row.fqn);
        let (verb, reason) = match (vanished, stays) {
            _ if self.is_elsewhere(row) => (Verb::Keep, Reason::Elsewhere),
            // Another version of the tool made it. What it is, is for that to say; the rest goes on.
            _ if kind.is_none() => (Verb::Keep, Reason::UnknownKind),
            (true, _) => (Verb::Forget, Reason::Vanished),
            (false, true) => (Verb::Forget, Reason::Retained),
            (false, false) if self.program.resources().is_empty() => (Verb::Delete, Reason::Destroyed),
            (false, false) => (Verb::Delete, Reason::Undeclared),
        };
        Action {
            fqn: row.fqn.clone(),
            step: 1,
            kind: row.kind.clone(),
            verb,
            reason,
            risk: kind.filter(|_| verb == Verb::Delete).map_or(Risk::None, |kind| deletion_risk(kind, row)),
            name: row.name.clone(),
            named: row.named.clone(),
            generation: row.generation,
            intact: self.is_intact(row),
            differences: Vec::new(),
            props: row.intended_props().clone(),
            needs: row.all_needs().into_iter().cloned().collect(),
            parent: row.parent.clone(),
            policy: row.policy,
            origin: row.origin,
            found: match self.observed.get(&row.fqn) {
                Some(Observation::Present(found)) if row.attributes.is_null() => Some(found.clone()),
                _ => None,
            },
            notes: Vec::new(),
            waits: BTreeSet::new(),
        }
    }

    /// All actions, in the order of their ids.
    fn into_actions(self) -> Vec<Action> {
        let mut actions: Vec<Action> =
            self.actions.into_values().chain(self.first.into_values()).chain(self.last.into_values()).collect();
        actions.sort_by_cached_key(Action::id);
        actions
    }

    /// Looks for what no plan may do.
    fn check(&self) -> Result<(), PlanError> {
        let mut names: HashMap<(&str, &str), &Fqn> = HashMap::with_capacity(self.actions.len());
        for action in self.actions.values().filter(|action| !matches!(action.verb, Verb::Forget)) {
            if let Some(first) = names.insert((&action.kind, &action.name.text), &action.fqn) {
                let title = self.kinds.get(&action.kind).map_or("resource", |kind| kind.facts().title);
                let (first, second, name) = (first.clone(), action.fqn.clone(), action.name.text.clone());
                return Err(PlanError::OneName { first, second, title, name });
            }
        }
        Ok(())
    }

    /// The resources whose data would be lost, and that the user has not named.
    fn data_loss(&self) -> Vec<Fqn> {
        let all = self.actions.values().chain(self.last.values());
        let lost = all.filter(|action| action.risk == Risk::DataLoss).map(|action| action.fqn.clone());
        let lost: BTreeSet<Fqn> = lost.filter(|fqn| !self.allowed.data_loss.contains(fqn)).collect();
        lost.into_iter().collect()
    }
}

/// The actions that do something, with those of them that each waits for.
pub(crate) fn open<'a>(actions: impl Iterator<Item = &'a Action>) -> BTreeMap<StepId, BTreeSet<StepId>> {
    let doing: BTreeMap<StepId, &Action> =
        actions.filter(|action| action.verb != Verb::Keep).map(|action| (action.id(), action)).collect();
    let waits = |action: &Action| action.waits.iter().filter(|id| doing.contains_key(id)).cloned().collect();
    doing.iter().map(|(id, action)| (id.clone(), waits(action))).collect()
}

fn is_unknown(difference: &Difference) -> bool {
    difference.after.as_ref().is_some_and(|after| matches!(data::unknown(after), Ok(Some(_))))
}

/// Who has made a resource, once what was chosen is done.
fn origin(row: Option<&Row>, choice: &Choice) -> Origin {
    match (row, &choice.reason) {
        // What is made anew is made by us.
        (Some(_), _) if matches!(choice.verb, Verb::Create | Verb::Replace | Verb::Supersede) => Origin::Created,
        (_, Reason::Adopted) => Origin::Adopted,
        (Some(row), _) => row.origin,
        (None, _) => Origin::Created,
    }
}

/// What it may cost to delete a resource.
fn deletion_risk(kind: &dyn AnyKind, row: &Row) -> Risk {
    let facts = kind.facts();
    let holds = |props: &Data| (facts.holds_data)(props);
    if row.possible_props().any(holds) {
        return Risk::DataLoss;
    }
    if facts.restarts { Risk::Outage } else { Risk::None }
}
