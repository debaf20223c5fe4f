//! The self-description that a Worker gives in describe mode: the classes that it exports, and everything that its init phase
//! bound.

use crate::{Binding, BindingConflict, ClassChange, ClassStorage, Shape};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The self-description of one Worker program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// The Worker that `export!` names.
    pub worker: WorkerClass,
    /// The named entrypoints of the Worker. A call refers to an entrypoint by its index in this list, plus one.
    pub entrypoints: Vec<Entrypoint>,
    /// The Durable Object classes that the Worker hosts, in the order of `hosts(..)`. A call refers to a class by its index in this
    /// list.
    pub objects: Vec<Object>,
    /// The bindings that the init phases made, each name once, in the order of first use.
    pub bindings: Vec<Binding>,
    /// The cron triggers that the Worker asks for.
    pub crons: Vec<String>,
    /// The queues that the Worker consumes.
    pub consumers: Vec<Consumer>,
    /// What became of classes that earlier versions of the program hosted.
    pub class_changes: Vec<ClassChange>,
    /// The path, relative to the crate, of the file with the history of classes. Only a Worker with migration tags has one.
    pub migrations: Option<String>,
    /// The Rust types that stand for the classes.
    pub interfaces: Interfaces,
}

/// The full paths of the Rust types that stand for classes. These paths are the keys of [`crate::Interface`]s.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interfaces {
    /// The type of the Worker itself.
    pub worker: String,
    /// The types of its entrypoints, in the order of [`Description::entrypoints`].
    pub entrypoints: Vec<String>,
    /// The type of each hosted Durable Object class, by the name of the class.
    pub hosted: BTreeMap<String, String>,
    /// The type of each class that a binding leads to, by the name of the binding.
    pub bound: BTreeMap<String, String>,
    /// What comes to the objects of each hosted class later, by the name of the class.
    pub awaited: BTreeMap<String, Awaited>,
}

/// What comes to an object later, perhaps when another version of the program runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Awaited {
    /// The form of the payload of its events, which are stored as JSON until they are due.
    pub payload: Option<Shape>,
    /// The form of the messages on its WebSockets, whose clients stay. `None` for messages that have no form.
    pub message: Option<Shape>,
}

impl Description {
    /// Adds `binding`, unless the very same one is there already.
    ///
    /// # Errors
    /// When another binding has that name: at run time one of the two would silently win.
    pub fn add_binding(&mut self, binding: Binding) -> Result<(), Box<BindingConflict>> {
        match self.bindings.iter().find(|other| other.name == binding.name) {
            None => self.bindings.push(binding),
            Some(other) if *other == binding => {}
            Some(other) => {
                return Err(Box::new(BindingConflict { first: other.clone(), second: binding }));
            }
        }
        Ok(())
    }
}

/// A queue that a Worker consumes. An option that is not set has the platform's default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consumer {
    /// The queue, by its logical name.
    pub queue: String,
    /// The largest number of messages in a batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_batch_size: Option<u8>,
    /// How many seconds a batch waits to become full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_batch_timeout: Option<u8>,
    /// How many times a message is delivered again after a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<u8>,
    /// How many seconds after a failure the message is delivered again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_delay: Option<u32>,
    /// How many batches are processed at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrency: Option<u8>,
    /// The queue for messages that failed too often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letter_queue: Option<String>,
}

/// The Worker class of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkerClass {
    /// The Rust name, which is also the name of the generated JavaScript class.
    pub class: String,
    /// The script name, as Cloudflare knows it.
    pub script: String,
    /// The event handlers that the class has besides `fetch` and its RPC methods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub handlers: Vec<String>,
    /// The RPC methods of the class, which Workers with a binding to it can call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<Method>,
}

/// A named entrypoint: a class of the script to which other Workers can be bound by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entrypoint {
    /// The name of the exported JavaScript class.
    pub class: String,
    /// Its RPC methods.
    pub methods: Vec<Method>,
}

/// A Durable Object class that the program hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Object {
    /// The class name, which is also the name of the exported JavaScript class.
    pub class: String,
    /// The event handlers that the class has besides its RPC methods, such as `fetch`.
    pub handlers: Vec<String>,
    /// The RPC methods of the class. A call refers to a method by its index in this list.
    pub methods: Vec<Method>,
    /// Whether each object has a wasm instance of its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub isolated: bool,
    /// The kind of storage that its objects use.
    #[serde(default, skip_serializing_if = "ClassStorage::is_sqlite")]
    pub storage: ClassStorage,
}

/// An RPC method.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Method {
    /// The name on the wire: what a JavaScript caller writes.
    pub name: String,
    /// The parameters, in order.
    pub params: Vec<Parameter>,
    /// The Rust type of the result, as the source spells it.
    pub result: String,
}

/// A parameter of an RPC method.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// Its name in the source.
    pub name: String,
    /// Its Rust type, as the source spells it.
    #[serde(rename = "type")]
    pub ty: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BindingKind;

    fn d1(name: &str, database: &str) -> Binding {
        Binding { name: name.into(), kind: BindingKind::D1 { database: database.into(), migrations: None } }
    }

    fn empty() -> Description {
        Description {
            worker: WorkerClass { class: "Api".into(), script: "api".into(), handlers: vec![], methods: vec![] },
            entrypoints: vec![],
            objects: vec![],
            bindings: vec![],
            crons: vec![],
            consumers: vec![],
            class_changes: vec![],
            migrations: None,
            interfaces: Interfaces::default(),
        }
    }

    #[test]
    fn the_same_binding_twice_is_one_binding() {
        let mut description = empty();
        description.add_binding(d1("Events", "Events")).unwrap();
        description.add_binding(d1("Events", "Events")).unwrap();
        assert_eq!(description.bindings, [d1("Events", "Events")]);
    }

    #[test]
    fn two_resources_under_one_name_are_refused_with_both_named() {
        let mut description = empty();
        description.add_binding(d1("Events", "Events")).unwrap();
        let error = description.add_binding(d1("Events", "Other")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the binding name `Events` is used for the D1 database `Events` and for the D1 database `Other`; \
             rename one of the two resources"
        );
    }
}
