//! The actions of a plan: what is done with a resource, why, and what it may cost.

use crate::{Data, Difference, Found, Fqn, Name, Policy, row::Origin};
use serde::Serialize;
use std::{collections::BTreeSet, fmt};

/// What is to be done with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Nothing.
    Keep,
    /// It is made.
    Create,
    /// Its properties are changed.
    Update,
    /// It exists, and becomes ours.
    Adopt,
    /// It is deleted, and made again.
    Replace,
    /// A new one is made beside it.
    Supersede,
    /// The one that was replaced is deleted.
    Discard,
    /// It is deleted.
    Delete,
    /// It stays where it is, and is no longer ours.
    Forget,
    /// Only what the state says of it is changed.
    Note,
}

/// An action of a plan. Most resources have one. Resources that are made from each other cannot all be made at once, so one of them has
/// a first action, without the others, before its own. One that is replaced by a new one beside it has a last action, in which it is
/// deleted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct StepId {
    /// The resource.
    pub fqn: Fqn,
    /// 0 for a first action, 1 for that which makes it what the program says, 2 for a last one.
    pub step: u8,
}

impl StepId {
    pub(crate) fn of(fqn: &Fqn) -> Self {
        Self { fqn: fqn.clone(), step: 1 }
    }
}

/// Why an action was chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// It is what the program says.
    Same,
    /// The program has it, and the state does not.
    New,
    /// The program says something else now.
    Changed,
    /// A property is made from a resource that is made anew.
    Upstream(Fqn),
    /// A property cannot be changed.
    Fixed(String),
    /// It was changed by somebody else.
    Drifted,
    /// It was deleted by somebody else.
    Vanished,
    /// The last run did not come to its end.
    Interrupted,
    /// It exists and carries our mark, and the state does not know it.
    Lost,
    /// It exists, and the user said that it is ours from now on.
    Adopted,
    /// The program no longer has it.
    Undeclared,
    /// Nothing is to be left.
    Destroyed,
    /// The program no longer has it, and it is to stay.
    Retained,
    /// It belongs to a part of the program that was left out.
    Elsewhere,
    /// The state has it, and no provider has its kind.
    UnknownKind,
    /// It vanishes with the resource that it belongs to.
    WithParent(Fqn),
    /// What is to become of it was changed, or what it is made from.
    Policy,
    /// A new one is in its place.
    Superseded,
    /// It is made from these, and they from it, so one of them has to exist without the others for a moment.
    Mutual(Vec<Fqn>),
    /// It gets what these have, and has to be ready for it before they give it away.
    TakesOver(Vec<Fqn>),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same => f.write_str("unchanged"),
            Self::New => f.write_str("new in the program"),
            Self::Changed => f.write_str("the program changed"),
            Self::Upstream(fqn) => write!(f, "`{fqn}` is made anew"),
            Self::Fixed(path) => write!(f, "`{path}` cannot be changed in place"),
            Self::Drifted => f.write_str("somebody else changed it"),
            Self::Vanished => f.write_str("somebody else deleted it"),
            Self::Interrupted => f.write_str("a run began it, and has not finished it"),
            Self::Lost => f.write_str("it exists with our mark, and the state does not know it"),
            Self::Adopted => f.write_str("it exists, and is taken over"),
            Self::Destroyed => f.write_str("nothing is to be left"),
            Self::Undeclared => f.write_str("no longer in the program"),
            Self::Elsewhere => f.write_str("belongs to Workers that were not named; it stays as it is"),
            Self::UnknownKind => f.write_str("of a kind that this version does not know; it is left alone"),
            Self::Retained => f.write_str("no longer in the program, and to be retained"),
            Self::WithParent(fqn) => write!(f, "vanishes with `{fqn}`"),
            Self::Policy => f.write_str("only the state changes"),
            Self::Superseded => f.write_str("a new one is in its place"),
            Self::TakesOver(givers) => write!(f, "takes over what {} gave away", list(givers)),
            Self::Mutual(others) => write!(f, "it and {} are made from each other", list(others)),
        }
    }
}

/// What an action may cost those who use the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// Nobody notices.
    None,
    /// What runs is interrupted for a moment.
    Restarts,
    /// Something no longer answers.
    Outage,
    /// Data is lost.
    DataLoss,
}

impl fmt::Display for Risk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Restarts => "restarts",
            Self::Outage => "outage",
            Self::DataLoss => "data loss",
        })
    }
}

/// What is to be done with one resource.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Action {
    /// The resource.
    pub fqn: Fqn,
    /// Which of its actions this is: see [`StepId`].
    pub step: u8,
    /// Its kind.
    pub kind: String,
    /// What is done.
    pub verb: Verb,
    /// Why.
    pub reason: Reason,
    /// What it may cost.
    pub risk: Risk,
    /// Its name at Cloudflare.
    pub name: Name,
    /// The name in the program that this is made from, if it is another one now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub named: Option<Fqn>,
    /// How often it was replaced by a new one beside it.
    pub generation: u32,
    /// Whether it is known to be as the last call left it.
    pub intact: bool,
    /// The properties in which the program and the state differ.
    pub differences: Vec<Difference>,
    /// The properties that it is to have. Attributes that are not known yet are still in the places where they will stand. Null for one
    /// that is kept.
    pub props: Data,
    /// The resources that it is made from.
    pub needs: BTreeSet<Fqn>,
    /// The resource that it belongs to.
    pub parent: Option<Fqn>,
    /// What is to become of it when the program no longer has it.
    pub policy: Policy,
    /// Whether it is made or found.
    pub origin: Origin,
    /// What was found, of a resource whose attributes the state does not know.
    pub found: Option<Found<Data>>,
    /// What somebody else has added to it, and stays.
    pub notes: Vec<String>,
    /// The actions that come before this one.
    pub waits: BTreeSet<StepId>,
}

impl Action {
    /// What tells it from the other actions of its plan.
    #[must_use]
    pub fn id(&self) -> StepId {
        StepId { fqn: self.fqn.clone(), step: self.step }
    }
}

pub(crate) fn list(names: &[Fqn]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
