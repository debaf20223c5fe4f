//! What the kinds share that are set beside a script: its address, its cron triggers.

use crate::{ApiFailure, Client};
use realgar_engine::{Data, Facts, Failure, FailureKind, Found, Fqn, NameRule, Output, Recovery, Wanted};
use serde_json::Value;

/// The properties of such a kind.
pub(super) trait Beside {
    /// The name of the Worker.
    fn script(&self) -> &Output<String>;
}

/// The facts that such kinds share. They have no names of their own, and are gone when the Worker is.
pub(super) fn facts(title: &'static str, stable: &'static [&'static str]) -> Facts {
    Facts {
        title,
        rule: NameRule { length_max: 512, capitals: true, underscores: true },
        recovery: Recovery::Named,
        replacing: &["script"],
        side_by_side: false,
        stable,
        holds_data: |_: &Data| false,
        dies_with_parent: true,
        restarts: false,
        has_users: false,
        is_shared: false,
    }
}

/// The name of the Worker.
pub(super) fn script_of(props: &impl Beside) -> Result<&str, Failure> {
    known(props.script())
}

/// The value of an output in properties that a call has.
pub(super) fn known(output: &Output<String>) -> Result<&str, Failure> {
    output.known().map(String::as_str).map_err(|error| Failure::new(FailureKind::Unreadable, error.to_string()))
}

/// The properties of a resource that is about to be made.
pub(super) fn props_of<'a, P>(fqn: &Fqn, props: Option<&'a P>) -> Result<&'a P, Failure> {
    let missing = || Failure::new(FailureKind::Unreadable, format!("the properties of `{fqn}` are not known"));
    props.ok_or_else(missing)
}

/// Looks for each of `wanted` at the path of its Worker. `read` says what an answer means.
pub(super) fn find<P: Beside, A>(
    client: &Client,
    wanted: &[Wanted<P, A>],
    path: fn(&str) -> String,
    read: impl Fn(&P, &Value) -> Result<Option<Found<A>>, Failure>,
) -> Result<Vec<Option<Found<A>>>, Failure> {
    let look = |wanted: &Wanted<P, A>| {
        let Some(props) = &wanted.props else { return Ok(None) };
        match client.get(&path(script_of(props)?)) {
            // What belongs to a Worker of ours, and was set by a call of ours, is ours.
            Ok(answer) => {
                Ok(read(props, &answer)?.map(|found| Found { ours: found.ours || is_known(wanted), ..found }))
            }
            Err(failure) if failure.status == 404 => Ok(None),
            Err(failure) => Err(failure.into()),
        }
    };
    wanted.iter().map(look).collect()
}

/// What an answer has in the place of `declared`, in the form that the program has: without fields that it does not have, and with
/// numbers as numbers. Cloudflare adds fields, and writes some numbers as text.
pub(super) fn alike(declared: &Value, there: &Value) -> Value {
    match (declared, there) {
        (Value::Object(declared), Value::Object(there)) => {
            let own =
                declared.iter().map(|(key, own)| (key.clone(), alike(own, there.get(key).unwrap_or(&Value::Null))));
            Value::Object(own.collect())
        }
        (Value::Number(_), Value::String(text)) => serde_json::from_str(text).unwrap_or_else(|_| there.clone()),
        _ => there.clone(),
    }
}

/// Whether a call of ours has made the resource, or may have.
pub(super) fn is_known<P, A>(wanted: &Wanted<P, A>) -> bool {
    wanted.adopted || !wanted.instance.is_empty()
}

/// The outcome of a deletion: what is gone already need not be deleted.
pub(super) fn gone(outcome: Result<Value, ApiFailure>) -> Result<(), Failure> {
    match outcome {
        Ok(_) => Ok(()),
        Err(failure) if failure.status == 404 => Ok(()),
        Err(failure) => Err(failure.into()),
    }
}

/// An answer that does not have the form it should have. It is shown, so it must have no secret.
pub(super) fn unreadable(what: &str, answer: &Value) -> Failure {
    Failure::new(FailureKind::Unreadable, format!("the answer about {what} cannot be read: {answer}"))
}
