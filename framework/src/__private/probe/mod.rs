//! The form of a type on the wire, found out by trying. This is used in describe mode only.
//!
//! A type is asked to deserialise itself from a source that answers every question and remembers it (`trace.rs`). That shows the
//! type's form with all serde attributes applied, and needs no derive of ours. Each value that is made is then sent through
//! postcard and back, and watched while it serialises (`watch.rs`), because some attributes of serde make bytes that read back as
//! something else.

mod trace;
mod watch;

use crate::codec::bytes;
use realgar_wire::{Flow, Interface, MethodContract, ParameterContract, TypeContract, Unfit};
use serde::{Serialize, de::DeserializeOwned};
use trace::Tracer;
use watch::Names;

/// Called by the code `#[rpc]` generates: a class and its methods.
pub fn interface<C: ?Sized>(methods: Vec<MethodContract>) -> Interface {
    Interface { rust: std::any::type_name::<C>().into(), methods }
}

/// Called by the code `#[rpc]` generates: a method.
pub fn method(
    name: &str,
    doc: &[&str],
    native: bool,
    params: Vec<ParameterContract>,
    result: Flow,
    error: Option<TypeContract>,
) -> MethodContract {
    let doc = doc.iter().map(ToString::to_string).collect();
    MethodContract { name: name.into(), doc, native, params, result, error }
}

/// Called by the code `#[rpc]` generates: a parameter.
pub fn parameter(name: &str, flow: Flow) -> ParameterContract {
    ParameterContract { name: name.into(), flow }
}

/// The form of a type on both lanes.
pub(super) fn of<T: Serialize + DeserializeOwned>() -> TypeContract {
    let mut names = Names::default();
    let mut tracer = Tracer::new(false);
    let outcome = tracer.run::<T>(&mut |value| survives(value, &mut names));
    let untried = tracer.untried();
    let bytes = outcome.map(|()| tracer.into_shape(&names));
    let mut tracer = Tracer::new(true);
    let _ = tracer.run::<T>(&mut |value| {
        // Watched for the names only: every type is fit to travel as JavaScript values.
        let _ = watch::watch(value, &mut names);
        Ok(())
    });
    TypeContract { native: tracer.into_shape(&names), bytes, untried }
}

/// The form of a type that is only read, and only as JSON.
pub fn read<T: DeserializeOwned>() -> realgar_wire::Shape {
    let mut tracer = Tracer::new(true);
    let _ = tracer.run::<T>(&mut |_| Ok(()));
    tracer.into_shape(&Names::default())
}

/// Checks that a value reads back from its bytes as what it was.
fn survives<T: Serialize + DeserializeOwned>(value: &T, names: &mut Names) -> Result<(), Unfit> {
    watch::watch(value, names)?;
    let unfit = |reason: String| Unfit { path: String::new(), reason };
    let mut written = Vec::new();
    bytes::append(&mut written, value).map_err(|error| unfit(error.to_string()))?;
    let read: T = bytes::decode(&written).map_err(|error| unfit(format!("it cannot be read back: {error}")))?;
    let mut again = Vec::new();
    bytes::append(&mut again, &read).map_err(|error| unfit(error.to_string()))?;
    if again == written {
        return Ok(());
    }
    Err(unfit("it reads back as another value (is a field or a variant skipped in one direction only?)".into()))
}

#[cfg(test)]
mod tests;
