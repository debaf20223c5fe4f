//! What a program declares: resources, and what is to become of them.

use crate::{Data, DataError, Fqn, Kinds, NameError, Snapshot, Stack, data, graph::Graph};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What is to become of a resource when the program no longer has it, or when the stack is destroyed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// It is deleted. If it has data, only after the user has said so.
    #[default]
    Delete,
    /// It stays where it is, and is no longer ours.
    Retain,
}

/// One resource as the program has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Its name in the program.
    pub fqn: Fqn,
    /// The name of its kind.
    pub kind: &'static str,
    /// Its properties, in which attributes of other resources may stand.
    pub props: Data,
    /// Resources that have to exist before it, besides those whose attributes it uses.
    pub after: BTreeSet<Fqn>,
    /// The resource that it belongs to.
    pub parent: Option<Fqn>,
    /// The name that it has at Cloudflare, if the program says one.
    pub pinned: Option<String>,
    /// What is to become of it when the program no longer has it.
    pub policy: Policy,
}

/// A resource, with those that it is made from.
#[derive(Clone, Debug)]
pub(crate) struct Ordered<'a> {
    pub(crate) resource: &'a Resource,
    pub(crate) needs: BTreeSet<Fqn>,
    /// Whether attributes of resources stand in its properties, its own included.
    pub(crate) refers: bool,
}

/// The resources of a stack.
#[derive(Clone, Debug)]
pub struct Program {
    stack: Stack,
    resources: BTreeMap<Fqn, Resource>,
    /// What else the state has, if this is a part of a program.
    elsewhere: Option<BTreeSet<Fqn>>,
    /// The names that resources have now, by those that they had.
    moved: BTreeMap<Fqn, Fqn>,
    /// What is no longer cared for, and stays.
    removed: BTreeSet<Fqn>,
    /// The names at Cloudflare of resources that exist and become ours.
    imported: BTreeMap<Fqn, String>,
}

/// Why a program makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// Two resources have one name.
    #[error("two resources are called `{fqn}`: {}", describe_conflict(*kinds, paths))]
    Conflict {
        /// The name.
        fqn: Fqn,
        /// Their kinds.
        kinds: (&'static str, &'static str),
        /// The properties in which they differ.
        paths: Vec<String>,
    },
    /// A resource has a kind that nobody provides.
    #[error("`{fqn}` has the kind `{kind}`, which no provider has")]
    NoKind {
        /// The resource.
        fqn: Fqn,
        /// The kind.
        kind: String,
    },
    /// A resource is made from one that the program does not have.
    #[error("`{fqn}` is made from `{missing}`, which the program does not have")]
    Missing {
        /// The resource.
        fqn: Fqn,
        /// What is not there.
        missing: Fqn,
    },
    /// The properties of a resource cannot be used.
    #[error("`{fqn}`: {error}")]
    Data {
        /// The resource.
        fqn: Fqn,
        /// Why.
        error: DataError,
    },
    /// A statement about a resource does not fit the program.
    #[error("`{statement}` names `{fqn}`, which {problem}")]
    Statement {
        /// `moved`, `removed` or `imported`.
        statement: &'static str,
        /// The resource.
        fqn: Fqn,
        /// What does not fit.
        problem: &'static str,
    },
    /// A name is not legal.
    #[error(transparent)]
    Name(#[from] NameError),
}

fn describe_conflict((one, other): (&str, &str), paths: &[String]) -> String {
    if one == other {
        return format!("both are of the kind `{one}`, and they differ in {}; make them the same", paths.join(", "));
    }
    format!("one is of the kind `{one}`, the other of the kind `{other}`; rename one of them")
}

impl Program {
    /// A program without resources.
    #[must_use]
    pub fn new(stack: Stack) -> Self {
        Self {
            stack,
            resources: BTreeMap::new(),
            elsewhere: None,
            moved: BTreeMap::new(),
            removed: BTreeSet::new(),
            imported: BTreeMap::new(),
        }
    }

    /// The stack that it describes.
    #[must_use]
    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    /// Says that this is only a part of a program. What `snapshot` has beside it stays as it is, and may be referred to.
    #[must_use]
    pub fn partial(self, snapshot: &Snapshot) -> Self {
        Self { elsewhere: Some(snapshot.rows.keys().cloned().collect()), ..self }
    }

    /// Whether `fqn`, which is not declared here, belongs to another part of the program.
    #[must_use]
    pub fn has_elsewhere(&self, fqn: &Fqn) -> bool {
        let Some(all) = &self.elsewhere else { return false };
        let has_moved = || all.iter().any(|own| self.renamed(own).as_ref() == Some(fqn));
        all.contains(fqn) || !self.moved.is_empty() && has_moved()
    }

    /// Says that the resource `to` was called `from`, and so was what belongs to it. A statement means nothing to a state that has
    /// followed it.
    #[must_use]
    pub fn moved(mut self, from: Fqn, to: Fqn) -> Self {
        self.moved.insert(from, to);
        self
    }

    /// Says that the resource `fqn`, which the program no longer has, stays where it is with all that belongs to it, and is no longer
    /// ours.
    #[must_use]
    pub fn removed(mut self, fqn: Fqn) -> Self {
        self.removed.insert(fqn);
        self
    }

    /// Says that the resource `fqn` exists, is called `name` at Cloudflare, and is ours from now on. It stays when the stack is
    /// destroyed.
    #[must_use]
    pub fn imported(mut self, fqn: Fqn, name: impl Into<String>) -> Self {
        self.imported.insert(fqn, name.into());
        self
    }

    pub(crate) fn moved_resources(&self) -> impl Iterator<Item = (&Fqn, &Fqn)> {
        self.moved.iter()
    }

    /// Whether `fqn`, or what it belongs to, is no longer cared for.
    pub(crate) fn is_removed(&self, fqn: &Fqn) -> bool {
        let is_it = |own: &Fqn| {
            let rest = fqn.as_str().strip_prefix(own.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.removed.iter().any(is_it)
    }

    /// The name at Cloudflare that `fqn` has, if a statement says that it exists.
    pub(crate) fn imported_name(&self, fqn: &Fqn) -> Option<&str> {
        self.imported.get(fqn).map(String::as_str)
    }

    /// Checks that the statements are about what the program has, or has no longer.
    fn check_statements(&self) -> Result<(), ProgramError> {
        let has = |fqn: &&Fqn| self.resources.contains_key(*fqn);
        // One that was moved on is where the next statement says.
        let missing = |fqn: &&Fqn| !has(fqn) && !self.moved.contains_key(*fqn) && self.elsewhere.is_none();
        let problems = [
            ("moved", self.moved.keys().find(has), "the program still has"),
            ("moved", self.moved.values().find(missing), "the program does not have"),
            ("removed", self.removed.iter().find(has), "the program still has"),
            ("imported", self.imported.keys().find(missing), "the program does not have"),
        ];
        match problems.into_iter().find_map(|(statement, fqn, problem)| Some((statement, fqn?.clone(), problem))) {
            Some((statement, fqn, problem)) => Err(ProgramError::Statement { statement, fqn, problem }),
            None => Ok(()),
        }
    }

    /// Adds a resource. The same resource may be added again: two Workers may bind one bucket.
    ///
    /// # Errors
    /// When another resource has its name.
    pub fn declare(&mut self, resource: Resource) -> Result<(), ProgramError> {
        let Some(other) = self.resources.get(&resource.fqn) else {
            self.resources.insert(resource.fqn.clone(), resource);
            return Ok(());
        };
        if *other == resource {
            return Ok(());
        }
        let differences = data::changes(&other.props, &resource.props);
        let mut paths: Vec<String> = differences.into_iter().map(|difference| difference.path).collect();
        if paths.is_empty() {
            paths.push("what they belong to".into());
        }
        Err(ProgramError::Conflict { fqn: resource.fqn, kinds: (other.kind, resource.kind), paths })
    }

    /// The resources, by name.
    #[must_use]
    pub fn resources(&self) -> &BTreeMap<Fqn, Resource> {
        &self.resources
    }

    /// The resources that `resource` is made from.
    fn needs(resource: &Resource) -> Result<(BTreeSet<Fqn>, bool), ProgramError> {
        let failed = |error| ProgramError::Data { fqn: resource.fqn.clone(), error };
        let mut needs: BTreeSet<Fqn> =
            data::references(&resource.props).map_err(failed)?.into_iter().map(|reference| reference.of).collect();
        let refers = !needs.is_empty();
        needs.extend(resource.after.iter().cloned());
        needs.extend(resource.parent.clone());
        needs.remove(&resource.fqn);
        Ok((needs, refers))
    }

    /// Checks the program, and returns its resources, with what they are made from, so that each comes after what it is made from.
    /// Where resources are made from each other, the first of them by name comes first; so do the first by name among those that do
    /// not depend on each other.
    ///
    /// # Errors
    /// When a kind or a resource is missing, or properties cannot be used.
    pub(crate) fn in_order(&self, kinds: &Kinds) -> Result<Vec<Ordered<'_>>, ProgramError> {
        self.check_statements()?;
        // Numbers in the order of the names: they compare faster.
        let numbers: BTreeMap<&Fqn, usize> = self.resources.keys().zip(0..).collect();
        let mut graph = Graph::default();
        let mut all = Vec::with_capacity(self.resources.len());
        for (number, (fqn, resource)) in self.resources.iter().enumerate() {
            if kinds.get(resource.kind).is_none() {
                return Err(ProgramError::NoKind { fqn: fqn.clone(), kind: resource.kind.into() });
            }
            let (needs, refers) = Self::needs(resource)?;
            let missing = |need: &Fqn| ProgramError::Missing { fqn: fqn.clone(), missing: need.clone() };
            let is_here = |need: &&Fqn| numbers.contains_key(need) || !self.has_elsewhere(need);
            let waits =
                needs.iter().filter(is_here).map(|need| numbers.get(need).copied().ok_or_else(|| missing(need)));
            graph.add(number, waits.collect::<Result<_, _>>()?);
            all.push(Some(Ordered { resource, needs, refers }));
        }
        let mut ordered = Vec::with_capacity(self.resources.len());
        loop {
            ordered.extend(graph.take_ready());
            let Some(cycle) = graph.cycle() else { break };
            if let Some(first) = cycle.into_iter().min() {
                graph.release(&first);
            }
        }
        Ok(ordered.into_iter().filter_map(|number| all.get_mut(number)?.take()).collect())
    }
}
