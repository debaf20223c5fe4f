//! Resources that have another name in the program than in the state: the statement `moved`.
//!
//! A resource that moves stays what it is: only the state says another name, so no call is made. It keeps its name at Cloudflare, which
//! goes on being made from the name that it had first.

use crate::{Fqn, Pending, PlanError, Program, Row, Snapshot};
use serde::Serialize;
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

/// A row that gets another name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Move {
    /// The name in the state.
    pub from: Fqn,
    /// The name in the program.
    pub to: Fqn,
}

impl Move {
    /// The row under its new name. `renamed` says the new names of others.
    pub(crate) fn of(&self, row: Row, renamed: impl Fn(&Fqn) -> Option<Fqn>) -> Row {
        let named = row.named.clone().unwrap_or_else(|| self.from.clone());
        let named = Some(named).filter(|named| *named != self.to);
        Row { fqn: self.to.clone(), named, ..with_new_names(row, renamed) }
    }
}

/// The row, with the new names of those that it is made from, and belongs to.
fn with_new_names(row: Row, renamed: impl Fn(&Fqn) -> Option<Fqn>) -> Row {
    let now = |fqn: Fqn| renamed(&fqn).unwrap_or(fqn);
    let all = |needs: BTreeSet<Fqn>| needs.into_iter().map(now).collect();
    let pending = row.pending.into_iter().map(|own| Pending { needs: all(own.needs), ..own });
    Row { pending: pending.collect(), needs: all(row.needs), parent: row.parent.map(now), ..row }
}

/// Takes the row `from` away, whose resource is called `to` as of the event `serial`, and lets the rows that refer to it follow. Rows that
/// have later events already have followed.
pub(crate) fn follow(rows: &mut BTreeMap<Fqn, Row>, from: &Fqn, to: &Fqn, serial: u64) {
    if rows.get(from).is_some_and(|row| row.serial < serial) {
        rows.remove(from);
    }
    let refers = |row: &Row| row.all_needs().contains(from) || row.parent.as_ref() == Some(from);
    for row in rows.values_mut().filter(|row| row.serial < serial && refers(row)) {
        *row = Row { serial, ..with_new_names(row.clone(), |fqn| (fqn == from).then(|| to.clone())) };
    }
}

impl Program {
    /// The name that the resource `fqn` of the state has now, if it is another one. What belongs to it moves with it.
    pub(crate) fn renamed(&self, fqn: &Fqn) -> Option<Fqn> {
        let mut found: Option<Fqn> = None;
        // A resource may have moved more than once since. Statements that lead in a circle end here.
        for _ in self.moved_resources() {
            let now = found.as_ref().unwrap_or(fqn);
            let step = self.moved_resources().filter_map(|(from, to)| {
                let rest = now.as_str().strip_prefix(from.as_str())?;
                let is_it = rest.is_empty() || rest.starts_with('/');
                Fqn::new(format!("{to}{rest}")).ok().filter(|_| is_it)
            });
            match step.last() {
                Some(next) => found = Some(next),
                None => break,
            }
        }
        found.filter(|found| found != fqn && self.has_or_had(found))
    }

    /// Whether a statement may lead to `fqn`: the program has it, or the resource that it belongs to.
    fn has_or_had(&self, fqn: &Fqn) -> bool {
        let is_part = |own: &Fqn| fqn.as_str().strip_prefix(own.as_str()).is_some_and(|rest| rest.starts_with('/'));
        self.resources().contains_key(fqn) || self.resources().keys().any(is_part)
    }

    /// The state with the names that the program has now, and what gets another one.
    pub(crate) fn follow<'a>(&self, snapshot: &'a Snapshot) -> Result<(Cow<'a, Snapshot>, Vec<Move>), PlanError> {
        let renamed = |from: &Fqn| Some(Move { from: from.clone(), to: self.renamed(from)? });
        let moves: Vec<Move> = snapshot.rows.keys().filter_map(renamed).collect();
        if moves.is_empty() {
            return Ok((Cow::Borrowed(snapshot), moves));
        }
        let named_anew = |row: &Row| with_new_names(row.clone(), |fqn| self.renamed(fqn));
        let rows = snapshot.rows.iter().map(|(fqn, row)| (fqn.clone(), named_anew(row))).collect();
        let mut next = Snapshot { rows, ..snapshot.clone() };
        for own in &moves {
            let Some(row) = next.rows.remove(&own.from) else { continue };
            let refused = |reason: String| PlanError::Refused { fqn: own.to.clone(), reason };
            if row.is_unborn() {
                return Err(refused(format!(
                    "the run that was to make it was cut off, when it was called `{}`; deploy that version once more",
                    own.from
                )));
            }
            match next.rows.get(&own.to) {
                Some(_) => {
                    return Err(refused(format!(
                        "it exists, and so does `{}`, which `moved` says that it was; take the statement out",
                        own.from
                    )));
                }
                None => drop(next.rows.insert(own.to.clone(), own.of(row, |fqn| self.renamed(fqn)))),
            }
        }
        Ok((Cow::Owned(next), moves))
    }
}
