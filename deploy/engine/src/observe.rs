//! What is there now: the answers of Cloudflare about the resources that a program has or that the state knows.

use crate::{AnyKind, Data, Failure, Found, Fqn, Kinds, Name, Program, Row, Snapshot, Wanted, data};
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
pub struct Observed(BTreeMap<Fqn, Observation>);

impl Observed {
    /// The observation of `fqn`, if it was looked for.
    #[must_use]
    pub fn get(&self, fqn: &Fqn) -> Option<&Observation> {
        self.0.get(fqn)
    }

    /// Whether anything was looked for at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(Fqn, Observation)> for Observed {
    fn from_iter<T: IntoIterator<Item = (Fqn, Observation)>>(iter: T) -> Self {
        Self(iter.into_iter().collect())
    }
}

/// Looks for all resources that `program` has or that the state knows. All kinds are asked at the same time.
///
/// # Errors
/// When Cloudflare does not tell. What cannot be seen is never taken for absent.
pub fn observe(program: &Program, snapshot: &Snapshot, kinds: &Kinds) -> Result<Observed, Failure> {
    let rows = &snapshot.rows;
    let names: BTreeSet<&Fqn> = program.resources().keys().chain(rows.keys()).collect();
    let mut by_kind: BTreeMap<&str, Vec<Wanted<Data, Data>>> = BTreeMap::new();
    for fqn in names {
        let row = rows.get(fqn);
        let kind = row.map(|row| row.kind.as_str()).or_else(|| program.resources().get(fqn).map(|own| own.kind));
        let Some(kind) = kind.and_then(|name| kinds.get(name)) else { continue };
        by_kind.entry(kind.name()).or_default().push(wanted(program, row, fqn, kind, rows));
    }
    let answers = thread::scope(|scope| {
        let asked = by_kind.iter().filter_map(|(name, wanted)| Some((kinds.get(name)?, wanted)));
        let asked: Vec<_> = asked.map(|(kind, wanted)| scope.spawn(move || ask(kind, wanted))).collect();
        asked.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(panicked()))).collect::<Vec<_>>()
    });
    let mut observed = Observed::default();
    for answer in answers {
        observed.0.extend(answer?);
    }
    Ok(observed)
}

fn panicked() -> Failure {
    Failure::new(crate::FailureKind::Unreadable, "a look at Cloudflare panicked")
}

fn ask(kind: &dyn AnyKind, wanted: &[Wanted<Data, Data>]) -> Result<Vec<(Fqn, Observation)>, Failure> {
    let found = kind.find(wanted)?;
    let observations = found.into_iter().map(|found| found.map_or(Observation::Absent, Observation::Present));
    Ok(wanted.iter().map(|wanted| wanted.fqn.clone()).zip(observations).collect())
}

/// What to look for. A resource that has a row is looked for as the row has it.
fn wanted(
    program: &Program,
    row: Option<&Row>,
    fqn: &Fqn,
    kind: &dyn AnyKind,
    rows: &BTreeMap<Fqn, Row>,
) -> Wanted<Data, Data> {
    if let Some(row) = row {
        let props = row.intended_props().clone();
        let attributes = (!row.attributes.is_null()).then(|| row.attributes.clone());
        let (instance, name) = (row.instance.clone(), row.name.clone());
        return Wanted { fqn: fqn.clone(), instance, name, props: Some(props), attributes };
    }
    let declared = program.resources().get(fqn);
    let name = name_of(program, fqn, declared.and_then(|own| own.pinned.as_deref()), kind, 0);
    // What is made from resources that do not exist yet cannot exist either, as ours; somebody else's can.
    let find = |reference: &crate::Reference| rows.get(&reference.of)?.attributes.get(&reference.attribute).cloned();
    let props = declared.and_then(|own| data::resolve(&own.props, &find).ok());
    let props = props.filter(|props| matches!(data::unknown(props), Ok(None)));
    Wanted { fqn: fqn.clone(), instance: String::new(), name, props, attributes: None }
}

/// The name that a resource of `program` has at Cloudflare.
pub(crate) fn name_of(program: &Program, fqn: &Fqn, pinned: Option<&str>, kind: &dyn AnyKind, generation: u32) -> Name {
    match pinned {
        Some(text) => Name { text: text.into(), pinned: true },
        None => Name { text: kind.facts().rule.name(program.stack(), fqn, generation), pinned: false },
    }
}
