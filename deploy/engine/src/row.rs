//! What the state has of one resource, and how it changes.
//!
//! A run writes an [`Event`] before each call and one after it. [`Row::next`] is the only place that says what an event makes of a
//! row, so a run, the recovery after one that was cut off, and every store agree.

use crate::{Data, Fqn, Name, Policy};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The version of the format of rows, in their field `schema`. A row of another version is an error that names it.
pub const ROW_SCHEMA: u32 = 1;

/// What the state has of one resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The version of the format: [`ROW_SCHEMA`].
    pub schema: u32,
    /// The resource.
    pub fqn: Fqn,
    /// Its kind.
    pub kind: String,
    /// What tells this resource from an earlier or a later one of the same name.
    pub instance: String,
    /// The number of the last event that is in the row: see [`Snapshot::serial`](crate::Snapshot::serial).
    pub serial: u64,
    /// How often the resource was replaced by a new one beside it.
    pub generation: u32,
    /// Its name at Cloudflare.
    pub name: Name,
    /// The name in the program that this is made from, if that was another one then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub named: Option<Fqn>,
    /// Where it is in its life.
    pub status: Status,
    /// Whether a run made it or found it.
    pub origin: Origin,
    /// The properties that the last call which was answered had, with every output in its place.
    pub desired: Data,
    /// What the calls were to make of it that were not answered, the one under way included, oldest first. Until a later call is
    /// answered, nobody knows which of them took effect.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending: Vec<Pending>,
    /// The properties as Cloudflare answered them, with its defaults.
    pub effective: Data,
    /// What became known when it was made: ids, addresses.
    pub attributes: Data,
    /// The resources that it was made from.
    pub needs: BTreeSet<Fqn>,
    /// The resource that it belongs to, and vanishes with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Fqn>,
    /// What is to become of it when the program no longer has it.
    pub policy: Policy,
    /// The resources that this one has replaced, which are still to be deleted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaced: Vec<Replaced>,
    /// What the last call failed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// A resource in whose place there is another one, and which is still to be deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replaced {
    /// What tells it from others of the same name.
    pub instance: String,
    /// How many were there before it.
    pub generation: u32,
    /// Its name at Cloudflare.
    pub name: Name,
    /// Its properties.
    pub desired: Data,
    /// What became known when it was made. Null if nobody knows whether it was.
    pub attributes: Data,
}

/// What a call is to make of a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pending {
    /// The properties.
    pub desired: Data,
    /// The resources that it is made from.
    pub needs: BTreeSet<Fqn>,
}

/// Where a resource is in its life. The first word of each pair is written before the call, the second one after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It may exist.
    Creating,
    /// It exists, as it was made.
    Created,
    /// It exists. Its properties are the old ones, the new ones, or some of both.
    Updating,
    /// It exists, with the properties of a later version of the program.
    Updated,
    /// It may exist, and so does the one that it is to replace.
    Replacing,
    /// It exists, and so does the one that it has replaced.
    Replaced,
    /// It may exist.
    Deleting,
}

/// Where a resource comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A run made it.
    Created,
    /// It existed, and the user said that it is ours from now on. `destroy` leaves it where it is.
    Adopted,
}

/// What a run is about to do with a resource: everything that is needed to find out later whether it was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    /// Its kind.
    pub kind: String,
    /// What tells it from others of the same name. Only a new resource gets a new one.
    pub instance: String,
    /// How often it was replaced by a new one beside it.
    pub generation: u32,
    /// Whether the one that is there stays until everybody uses the new one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replaces: bool,
    /// Its name at Cloudflare.
    pub name: Name,
    /// The name in the program that this is made from, if it is another one now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub named: Option<Fqn>,
    /// Whether it is made or found.
    pub origin: Origin,
    /// The properties that the call has.
    pub desired: Data,
    /// The resources that it is made from.
    pub needs: BTreeSet<Fqn>,
    /// The resource that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Fqn>,
    /// What is to become of it when the program no longer has it.
    pub policy: Policy,
}

/// One entry of the journal: something that a run is about to do, or has done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// A call that makes or changes the resource is about to be made.
    Intended {
        /// The resource.
        fqn: Fqn,
        /// What the call is to do.
        intent: Box<Intent>,
    },
    /// The call was answered, or a look at Cloudflare showed that it took effect.
    Effected {
        /// The resource.
        fqn: Fqn,
        /// What became known.
        attributes: Data,
        /// The properties as Cloudflare answered them.
        effective: Data,
    },
    /// A call that deletes the resource is about to be made.
    Leaving {
        /// The resource.
        fqn: Fqn,
    },
    /// A call that deletes a replaced resource is about to be made.
    Discarding {
        /// The resource that has replaced it.
        fqn: Fqn,
        /// The replaced one.
        instance: String,
    },
    /// A replaced resource is gone.
    Discarded {
        /// The resource that has replaced it.
        fqn: Fqn,
        /// The replaced one.
        instance: String,
    },
    /// The resource is gone, or no longer ours to care for.
    Gone {
        /// The resource.
        fqn: Fqn,
    },
    /// A call was refused, and had no effect.
    Refused {
        /// The resource.
        fqn: Fqn,
        /// Why.
        message: String,
    },
    /// A resource has another name in the program than before.
    Moved {
        /// The resource, under its new name.
        fqn: Fqn,
        /// Its old name, whose row is gone then.
        from: Fqn,
        /// The row.
        row: Box<Row>,
    },
    /// What belongs to the row and not to the resource has changed. No call is made.
    Noted {
        /// The resource.
        fqn: Fqn,
        /// The resources that it was made from.
        needs: BTreeSet<Fqn>,
        /// The resource that it belongs to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<Fqn>,
        /// What is to become of it when the program no longer has it.
        policy: Policy,
    },
}

impl Event {
    /// The resource that the event is about.
    #[must_use]
    pub fn fqn(&self) -> &Fqn {
        match self {
            Self::Intended { fqn, .. }
            | Self::Effected { fqn, .. }
            | Self::Leaving { fqn }
            | Self::Discarding { fqn, .. }
            | Self::Discarded { fqn, .. }
            | Self::Gone { fqn }
            | Self::Refused { fqn, .. }
            | Self::Moved { fqn, .. }
            | Self::Noted { fqn, .. } => fqn,
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Intended { .. } => "intended",
            Self::Effected { .. } => "effected",
            Self::Leaving { .. } => "leaving",
            Self::Discarding { .. } => "discarding",
            Self::Discarded { .. } => "discarded",
            Self::Gone { .. } => "gone",
            Self::Refused { .. } => "refused",
            Self::Moved { .. } => "moved",
            Self::Noted { .. } => "noted",
        }
    }
}

/// An event that cannot follow what the row says: the journal and the rows do not belong together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event `{event}` cannot follow the row of `{fqn}`, which {row}")]
pub struct RowError {
    fqn: Fqn,
    event: &'static str,
    row: String,
}

impl Row {
    /// The row after `event`, which has the number `serial`. `None` means that there is none: before a resource is made, and after it is gone.
    ///
    /// # Errors
    /// When the event cannot follow the row.
    pub fn next(row: Option<Self>, event: &Event, serial: u64) -> Result<Option<Self>, RowError> {
        let described = row.as_ref().map_or("does not exist".into(), |row| format!("has the status {:?}", row.status));
        let refused = || RowError { fqn: event.fqn().clone(), event: event.word(), row: described.clone() };
        if let Event::Intended { fqn, intent } = event {
            return Ok(Some(Self { serial, ..Self::intended(row, fqn, intent) }));
        }
        if let Event::Moved { row: moved, .. } = event {
            return if row.is_some() { Err(refused()) } else { Ok(Some(Self { serial, ..(**moved).clone() })) };
        }
        let mut row = row.ok_or_else(refused)?;
        match event {
            Event::Intended { .. } | Event::Moved { .. } => {}
            Event::Effected { attributes, effective, .. } => {
                row.status = match row.status {
                    Status::Creating => Status::Created,
                    Status::Replacing => Status::Replaced,
                    Status::Updating if row.replaced.is_empty() => Status::Updated,
                    Status::Updating => Status::Replaced,
                    Status::Created | Status::Updated | Status::Replaced | Status::Deleting => return Err(refused()),
                };
                let Pending { desired, needs } = row.pending.pop().ok_or_else(refused)?;
                (row.desired, row.needs) = (desired, needs);
                row.pending.clear();
                row.attributes.clone_from(attributes);
                row.effective.clone_from(effective);
                row.failure = None;
            }
            Event::Leaving { .. } => row.status = Status::Deleting,
            Event::Gone { .. } => return Ok(None),
            Event::Refused { message, .. } => {
                if row.status != Status::Deleting {
                    row.pending.pop();
                }
                match row.status {
                    // What an earlier call made that was not answered may be there.
                    _ if !row.pending.is_empty() && row.is_unborn() => {}
                    // Nothing was made.
                    Status::Creating => return Ok(None),
                    Status::Replacing => row = row.restored().ok_or_else(refused)?.settled(),
                    // Of one that was never seen, nobody knows whether it exists.
                    _ if row.attributes.is_null() => {}
                    _ => row = row.settled(),
                }
                row.failure = Some(message.clone());
            }
            Event::Discarding { instance, .. } => {
                if !row.replaced.iter().any(|old| old.instance == *instance) {
                    return Err(refused());
                }
            }
            Event::Discarded { instance, .. } => {
                row.replaced.retain(|old| old.instance != *instance);
                if row.status == Status::Replaced && row.replaced.is_empty() {
                    row.status = Status::Created;
                }
            }
            Event::Noted { needs, parent, policy, .. } => {
                row.needs.clone_from(needs);
                row.parent.clone_from(parent);
                row.policy = *policy;
            }
        }
        row.serial = serial;
        Ok(Some(row))
    }

    fn intended(row: Option<Self>, fqn: &Fqn, intent: &Intent) -> Self {
        let Intent { kind, instance, generation, replaces, name, named, origin, desired, needs, parent, policy } =
            intent.clone();
        let mut replaced = row.as_ref().map(|row| row.replaced.clone()).unwrap_or_default();
        replaced.extend(row.as_ref().filter(|_| replaces).map(Self::as_replaced));
        let same = row.filter(|row| row.instance == instance);
        let status = match same.as_ref().map(|row| row.status) {
            None if replaces => Status::Replacing,
            None => Status::Creating,
            // One that may not exist is made, not changed.
            Some(status @ (Status::Creating | Status::Replacing)) => status,
            Some(_) => Status::Updating,
        };
        let next = Pending { desired, needs };
        let (desired, needs, effective, attributes, mut pending) = same
            .map_or_else(Default::default, |row| (row.desired, row.needs, row.effective, row.attributes, row.pending));
        pending.push(next);
        Self {
            schema: ROW_SCHEMA,
            fqn: fqn.clone(),
            kind,
            instance,
            serial: 0,
            generation,
            name,
            named,
            status,
            origin,
            desired,
            pending,
            effective,
            attributes,
            needs,
            parent,
            policy,
            replaced,
            failure: None,
        }
    }

    fn as_replaced(&self) -> Replaced {
        Replaced {
            instance: self.instance.clone(),
            generation: self.generation,
            name: self.name.clone(),
            desired: self.intended_props().clone(),
            attributes: self.attributes.clone(),
        }
    }

    /// The row of the resource that was to be replaced by this one, which was not made.
    fn restored(mut self) -> Option<Self> {
        let Replaced { instance, generation, name, desired, attributes } = self.replaced.pop()?;
        // What Cloudflare answered about it is asked for again.
        Some(Self { instance, generation, name, desired, attributes, effective: Data::Null, ..self })
    }

    /// The row after a call that had no effect: as settled as the calls before it left it.
    fn settled(mut self) -> Self {
        self.status = match (self.pending.is_empty(), self.replaced.is_empty()) {
            (false, _) => Status::Updating,
            (true, true) => Status::Updated,
            (true, false) => Status::Replaced,
        };
        self
    }

    /// Whether the call that makes it was not answered.
    #[must_use]
    pub fn is_unborn(&self) -> bool {
        matches!(self.status, Status::Creating | Status::Replacing)
    }

    /// The resources that it is made from, or may be.
    pub(crate) fn all_needs(&self) -> BTreeSet<&Fqn> {
        self.needs.iter().chain(self.pending.iter().flat_map(|pending| &pending.needs)).collect()
    }

    /// The properties that it is to have, as far as a call has said so.
    pub(crate) fn intended_props(&self) -> &Data {
        self.pending.last().map_or(&self.desired, |pending| &pending.desired)
    }

    /// The properties that it may have: those of the last call that was answered, if there was one, and those of all since then.
    pub fn possible_props(&self) -> impl Iterator<Item = &Data> {
        let answered = Some(&self.desired).filter(|desired| !desired.is_null());
        answered.into_iter().chain(self.pending.iter().map(|pending| &pending.desired))
    }

    /// Whether the last call for this resource was answered.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        matches!(self.status, Status::Created | Status::Updated | Status::Replaced)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fqn() -> Fqn {
        Fqn::new("Events").unwrap()
    }

    fn intended(instance: &str, desired: Data) -> Event {
        let intent = Intent {
            kind: "d1_database".into(),
            instance: instance.into(),
            generation: 0,
            replaces: false,
            name: Name { text: "events".into(), pinned: false },
            named: None,
            origin: Origin::Created,
            desired,
            needs: BTreeSet::new(),
            parent: None,
            policy: Policy::default(),
        };
        Event::Intended { fqn: fqn(), intent: Box::new(intent) }
    }

    fn effected() -> Event {
        Event::Effected { fqn: fqn(), attributes: json!({ "id": "1" }), effective: json!({ "a": 1 }) }
    }

    fn after(events: &[Event]) -> Result<Option<Row>, RowError> {
        events.iter().try_fold(None, |row, event| Row::next(row, event, 1))
    }

    #[test]
    fn a_row_says_what_may_exist_at_each_point_of_a_life() {
        let life = [
            (intended("i", json!(1)), Some(Status::Creating)),
            (intended("i", json!(1)), Some(Status::Creating)),
            (effected(), Some(Status::Created)),
            (intended("i", json!(2)), Some(Status::Updating)),
            (Event::Refused { fqn: fqn(), message: "no".into() }, Some(Status::Updated)),
            (intended("i", json!(3)), Some(Status::Updating)),
            (effected(), Some(Status::Updated)),
            (Event::Leaving { fqn: fqn() }, Some(Status::Deleting)),
            (Event::Refused { fqn: fqn(), message: "in use".into() }, Some(Status::Updated)),
            (Event::Leaving { fqn: fqn() }, Some(Status::Deleting)),
            (Event::Gone { fqn: fqn() }, None),
        ];
        for end in 1..=life.len() {
            let events: Vec<Event> = life[..end].iter().map(|(event, _)| event.clone()).collect();
            let row = after(&events).unwrap();
            assert_eq!(row.map(|row| row.status), life[end - 1].1, "after {end} events");
        }
    }

    #[test]
    fn a_refused_call_leaves_what_was() {
        let refused = || Event::Refused { fqn: fqn(), message: "no".into() };
        assert_eq!(after(&[intended("i", json!(1)), refused()]).unwrap(), None);
        let row = after(&[intended("i", json!(1)), effected(), intended("i", json!(2)), refused()]).unwrap().unwrap();
        assert_eq!((row.desired, row.pending, row.failure), (json!(1), vec![], Some("no".into())));
    }

    #[test]
    fn the_properties_of_a_call_count_once_it_is_answered() {
        let row = after(&[intended("i", json!(1)), effected(), intended("i", json!(2))]).unwrap().unwrap();
        assert_eq!((&row.desired, row.intended_props()), (&json!(1), &json!(2)));
    }

    #[test]
    fn an_event_that_cannot_follow_is_an_error_that_names_it() {
        for events in
            [vec![effected()], vec![Event::Gone { fqn: fqn() }], vec![intended("i", json!(1)), effected(), effected()]]
        {
            let error = after(&events).unwrap_err().to_string();
            assert!(error.contains("`Events`"), "{error}");
        }
    }

    #[test]
    fn another_instance_begins_anew() {
        let row = after(&[intended("i", json!(1)), effected(), intended("k", json!(2))]).unwrap().unwrap();
        assert_eq!((row.status, row.attributes), (Status::Creating, Data::Null));
    }

    #[test]
    fn a_refused_call_leaves_what_an_earlier_one_may_have_done() {
        let refused = || Event::Refused { fqn: fqn(), message: "no".into() };
        let leaving = || Event::Leaving { fqn: fqn() };
        let known = [intended("1", json!(1)), effected()];
        // The second call was not answered, so what it said may hold.
        let cut_off = [&known[..], &[intended("1", json!(2))]].concat();
        for last in [vec![intended("1", json!(3)), refused()], vec![leaving(), refused()]] {
            let row = after(&[cut_off.clone(), last].concat()).unwrap().unwrap();
            assert_eq!(row.possible_props().collect::<Vec<_>>(), [&json!(1), &json!(2)]);
            assert!(!row.is_settled());
        }
        let answered = after(&[cut_off, vec![intended("1", json!(3)), effected()]].concat()).unwrap().unwrap();
        assert_eq!((answered.desired, answered.pending), (json!(3), vec![]));
        // So does what was to be made.
        let unborn = [intended("1", json!(1)), intended("1", json!(2)), refused()];
        assert_eq!(after(&unborn).unwrap().unwrap().status, Status::Creating);
        assert_eq!(
            after(&[&unborn[..], &[intended("1", json!(2)), refused(), intended("1", json!(2)), effected()]].concat())
                .unwrap()
                .unwrap()
                .status,
            Status::Created
        );
    }
}
