//! What is there now: the answers of Cloudflare about the resources that a program has or that the state knows.

use crate::{
    AnyKind, Data, Failure, FailureKind, Found, Fqn, Kinds, Name, Origin, PlanError, Program, Reference, Snapshot,
    Wanted, data,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
};

/// What a look at Cloudflare said about a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// It does not exist.
    Absent,
    /// It exists.
    Present(Found<Data>),
}

/// What a look at Cloudflare said about all resources. A resource that is missing here was not looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    all: BTreeMap<Fqn, Observation>,
    looked: bool,
}

impl Observed {
    /// The observation of `fqn`, if it was looked for.
    #[must_use]
    pub fn get(&self, fqn: &Fqn) -> Option<&Observation> {
        self.all.get(fqn)
    }

    /// Whether anybody looked.
    #[must_use]
    pub fn looked(&self) -> bool {
        self.looked
    }
}

impl FromIterator<(Fqn, Observation)> for Observed {
    fn from_iter<T: IntoIterator<Item = (Fqn, Observation)>>(iter: T) -> Self {
        Self { all: iter.into_iter().collect(), looked: true }
    }
}

/// Looks for all resources that `program` has or that the state knows. All kinds are asked at the same time. A resource that the state
/// does not know, and that is made from others which it does not know either, is looked for once those are found.
///
/// # Errors
/// When Cloudflare does not tell. What cannot be seen is never taken for absent.
pub fn observe(program: &Program, snapshot: &Snapshot, kinds: &Kinds) -> Result<Observed, Failure> {
    let refused = |error: PlanError| Failure::new(FailureKind::Refused, error.to_string());
    let (snapshot, _) = program.follow(snapshot).map_err(refused)?;
    let snapshot = &*snapshot;
    let mut open: BTreeSet<&Fqn> = program.resources().keys().chain(snapshot.rows.keys()).collect();
    let mut observed = Observed { looked: true, ..Observed::default() };
    loop {
        let all = open.iter().filter_map(|fqn| wanted(program, snapshot, &observed, fqn, kinds));
        let (known, unknown): (Vec<Sought<'_>>, Vec<_>) = all.partition(|(_, wanted)| wanted.props.is_some());
        // What is never known is looked for by its name alone, in the end.
        let now = if known.is_empty() { unknown } else { known };
        if now.is_empty() {
            return Ok(observed);
        }
        for (_, wanted) in &now {
            open.remove(&wanted.fqn);
        }
        observed.all.extend(ask_all(now)?);
    }
}

/// A resource to look for, and its kind.
type Sought<'a> = (&'a dyn AnyKind, Wanted<Data, Data>);
/// All resources of one kind.
type OfKind<'a> = (&'a dyn AnyKind, Vec<Wanted<Data, Data>>);

/// Looks for resources, for those of all kinds at the same time.
fn ask_all(sought: Vec<Sought<'_>>) -> Result<Vec<(Fqn, Observation)>, Failure> {
    let mut by_kind: Vec<OfKind<'_>> = Vec::new();
    for (kind, wanted) in sought {
        match by_kind.iter_mut().find(|(other, _)| other.name() == kind.name()) {
            Some((_, all)) => all.push(wanted),
            None => by_kind.push((kind, vec![wanted])),
        }
    }
    let answers = thread::scope(|scope| {
        let asked: Vec<_> = by_kind.iter().map(|(kind, wanted)| scope.spawn(move || ask(*kind, wanted))).collect();
        asked.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(panicked()))).collect::<Vec<_>>()
    });
    Ok(answers.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

fn panicked() -> Failure {
    Failure::new(FailureKind::Unreadable, "a look at Cloudflare panicked")
}

fn ask(kind: &dyn AnyKind, wanted: &[Wanted<Data, Data>]) -> Result<Vec<(Fqn, Observation)>, Failure> {
    let found = kind.find(wanted)?;
    let observations = found.into_iter().map(|found| found.map_or(Observation::Absent, Observation::Present));
    Ok(wanted.iter().map(|wanted| wanted.fqn.clone()).zip(observations).collect())
}

/// What to look for. A resource that has a row is looked for as the row has it. `None` for a kind that nobody provides.
fn wanted<'a>(
    program: &Program,
    snapshot: &Snapshot,
    observed: &Observed,
    fqn: &Fqn,
    kinds: &'a Kinds,
) -> Option<Sought<'a>> {
    let rows = &snapshot.rows;
    if let Some(row) = rows.get(fqn) {
        let props = row.intended_props().clone();
        let attributes = (!row.attributes.is_null()).then(|| row.attributes.clone());
        let (instance, name) = (row.instance.clone(), row.name.clone());
        let adopted = row.origin == Origin::Adopted;
        let wanted = Wanted { fqn: fqn.clone(), instance, name, props: Some(props), attributes, adopted };
        return Some((kinds.get(&row.kind)?, wanted));
    }
    let declared = program.resources().get(fqn)?;
    let kind = kinds.get(declared.kind)?;
    let name = name_of(program, fqn, declared.pinned.as_deref().or(program.imported_name(fqn)), kind, 0);
    // What is made from resources that do not exist cannot exist either, as ours; somebody else's can.
    let find = |Reference { of, attribute }: &Reference| {
        let other = program.resources().get(of).filter(|_| attribute == "name" && !rows.contains_key(of));
        if let Some(other) = other {
            // Names are known before anything is made.
            let pinned = other.pinned.as_deref().or(program.imported_name(of));
            return Some(name_of(program, of, pinned, kinds.get(other.kind)?, 0).text.into());
        }
        let attributes = match (rows.get(of), observed.get(of)) {
            (Some(row), _) => &row.attributes,
            (None, Some(Observation::Present(found))) if found.ours => &found.attributes,
            _ => return None,
        };
        attributes.get(attribute).cloned()
    };
    let props = data::resolve(&declared.props, &find).ok();
    let props = props.filter(|props| matches!(data::unknown(props), Ok(None)));
    let instance = String::new();
    Some((kind, Wanted { fqn: fqn.clone(), instance, name, props, attributes: None, adopted: false }))
}

/// The name that a resource of `program` has at Cloudflare.
pub(crate) fn name_of(program: &Program, fqn: &Fqn, pinned: Option<&str>, kind: &dyn AnyKind, generation: u32) -> Name {
    match pinned {
        Some(text) => Name { text: text.into(), pinned: true },
        None => Name { text: kind.facts().rule.name(program.stack(), fqn, generation), pinned: false },
    }
}
