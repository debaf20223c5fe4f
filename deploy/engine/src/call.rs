//! One call for a resource, and what is done when its answer is lost. A call runs on a thread of its own and records nothing.

use crate::{AnyKind, Data, Failure, FailureKind, Found, Recorded, Wanted};
use std::{thread, time::Duration};

/// How often a call is made whose answer is lost.
const ATTEMPTS: u32 = 3;
/// How long something may be invisible after it was made. Reports speak of up to 20 seconds.
const VISIBLE_AFTER: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// A call that is to be made.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    /// Makes the resource.
    Create(Wanted<Data, Data>),
    /// Makes the resource, unless an earlier run made it: the answer to that run's call is not known.
    CreateUnlessThere(Wanted<Data, Data>),
    /// Gives the resource other properties.
    Update(Recorded<Data, Data>, Data),
    /// Removes the resource.
    Delete(Recorded<Data, Data>),
    /// Removes the resource, if it is there: the answer to the call that made it is not known.
    DeleteIfThere(Wanted<Data, Data>),
}

/// Makes the call. `None` is the result of a deletion. What was made a moment ago may not be visible everywhere: if the call refers to
/// something that this run has made, which `fresh` says, it is made again for a while.
pub(crate) fn make(kind: &dyn AnyKind, call: &Call, fresh: bool) -> Result<Option<Found<Data>>, Failure> {
    let (mut waited, mut pause) = (Duration::ZERO, FIRST_PAUSE);
    loop {
        match make_once(kind, call) {
            Err(failure) if failure.kind == FailureKind::Unseen && fresh && waited < VISIBLE_AFTER => {
                thread::sleep(pause);
                waited += pause;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            outcome => return outcome,
        }
    }
}

fn make_once(kind: &dyn AnyKind, call: &Call) -> Result<Option<Found<Data>>, Failure> {
    match call {
        Call::Create(wanted) => create(kind, wanted).map(Some),
        Call::CreateUnlessThere(wanted) => match find_own(kind, wanted)? {
            // It may have been made from other properties than it is to have now.
            Some(found) => complete(kind, wanted, found).map(Some),
            None => create(kind, wanted).map(Some),
        },
        Call::Update(recorded, props) => repeat(|| kind.update(recorded, props)).map(Some),
        Call::Delete(recorded) => repeat(|| kind.delete(recorded)).map(|()| None),
        Call::DeleteIfThere(wanted) => {
            let Some(found) = find(kind, wanted)?.filter(|found| found.ours) else { return Ok(None) };
            let recorded = unsure(wanted, found);
            repeat(|| kind.delete(&recorded)).map(|()| None)
        }
    }
}

/// Makes a resource. If the answer is lost, a look says whether it was made.
fn create(kind: &dyn AnyKind, wanted: &Wanted<Data, Data>) -> Result<Found<Data>, Failure> {
    let mut made = kind.create(wanted);
    let mut lost = false;
    for _ in 1..ATTEMPTS {
        match made {
            Err(failure) if failure.kind == FailureKind::Unanswered => {
                lost = true;
                made = match find_own(kind, wanted)? {
                    // What is there may be a part of what was to be made.
                    Some(found) => return complete(kind, wanted, found),
                    None => kind.create(wanted),
                };
            }
            // The name is taken, it says: by what the lost call has made, if that is visible by now.
            Err(failure) if failure.kind == FailureKind::Refused && lost => {
                return find_own(kind, wanted)?.map_or(Err(failure), |found| complete(kind, wanted, found));
            }
            made => return made,
        }
    }
    made
}

/// Makes of a resource that was found what is wanted: it may have been made from other properties, or not be whole.
fn complete(kind: &dyn AnyKind, wanted: &Wanted<Data, Data>, found: Found<Data>) -> Result<Found<Data>, Failure> {
    let recorded = unsure(wanted, found);
    repeat(|| kind.update(&recorded, &recorded.props))
}

/// What is known of a resource that was found, and of which nobody knows what it was made from.
fn unsure(wanted: &Wanted<Data, Data>, found: Found<Data>) -> Recorded<Data, Data> {
    let Wanted { fqn, instance, name, props, adopted, .. } = wanted.clone();
    let props = props.unwrap_or_default();
    Recorded { fqn, instance, name, props, pending: Vec::new(), attributes: found.attributes, intact: false, adopted }
}

/// As [`find`]. Somebody else's resource is an error.
fn find_own(kind: &dyn AnyKind, wanted: &Wanted<Data, Data>) -> Result<Option<Found<Data>>, Failure> {
    match find(kind, wanted)? {
        Some(found) if !found.ours && !wanted.adopted => {
            let message = format!("the {} `{}` exists, and is not known to be ours", kind.facts().title, wanted.name);
            Err(Failure::new(FailureKind::Refused, message))
        }
        found => Ok(found),
    }
}

fn find(kind: &dyn AnyKind, wanted: &Wanted<Data, Data>) -> Result<Option<Found<Data>>, Failure> {
    Ok(kind.find(std::slice::from_ref(wanted))?.into_iter().next().flatten())
}

/// Makes a call that may be made again when its answer is lost.
fn repeat<T>(mut call: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
    let mut outcome = call();
    for _ in 1..ATTEMPTS {
        match outcome {
            Err(failure) if failure.kind == FailureKind::Unanswered => outcome = call(),
            outcome => return outcome,
        }
    }
    outcome
}
