//! What a Worker says about itself in describe mode: the classes it exports and everything its init phase bound.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The self-description of one Worker program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// The Worker that `export!` names.
    pub worker: WorkerClass,
    /// The Durable Object classes it hosts, in the order of `hosts(..)`. A call refers to a class by its index here.
    pub objects: Vec<Object>,
    /// What the init phases bound, each name once, in the order of first use.
    pub bindings: Vec<Binding>,
    /// Which Rust types stand for the classes.
    pub interfaces: Interfaces,
}

/// The Rust types behind classes, by their full paths, which are the keys of [`crate::Interface`]s.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interfaces {
    /// Of the Worker itself.
    pub worker: String,
    /// By the class that is hosted.
    pub hosted: BTreeMap<String, String>,
    /// By the binding.
    pub bound: BTreeMap<String, String>,
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

/// Two different resources bound under one name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the binding name `{}` is used for {} and for {}; rename one of the two resources",
    first.name, first.kind, second.kind
)]
pub struct BindingConflict {
    /// The one that was bound first.
    pub first: Binding,
    /// The one that collides with it.
    pub second: Binding,
}

/// The Worker class of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerClass {
    /// The Rust name, which is also the name of the generated JavaScript class.
    pub class: String,
    /// The script name, as Cloudflare knows it.
    pub script: String,
    /// Its RPC methods, for Workers that are bound to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<Method>,
}

/// A Durable Object class that the program hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// The class name, which is also the name of the exported JavaScript class.
    pub class: String,
    /// The event handlers it has besides its methods: `fetch`.
    pub handlers: Vec<String>,
    /// Its RPC methods. A call refers to a method by its index here.
    pub methods: Vec<Method>,
}

/// An RPC method.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
pub struct Parameter {
    /// Its name in the source.
    pub name: String,
    /// Its Rust type, as the source spells it.
    #[serde(rename = "type")]
    pub ty: String,
}

/// Something of the platform that the program reaches through a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The name in the Worker's environment.
    pub name: String,
    /// What it is bound to.
    #[serde(flatten)]
    pub kind: BindingKind,
}

/// What a binding leads to. The tag is Cloudflare's own binding type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum BindingKind {
    /// A D1 database, by its logical name.
    D1 {
        /// The logical name; a deployment maps it to an id.
        database: String,
    },
    /// A Durable Object namespace.
    DurableObjectNamespace {
        /// The class of its objects.
        class: String,
        /// The script that hosts the class; `None` for this one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        script: Option<String>,
    },
    /// Another Worker.
    Service {
        /// Its script name.
        service: String,
    },
}

impl std::fmt::Display for BindingKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::D1 { database } => write!(f, "the D1 database `{database}`"),
            Self::DurableObjectNamespace { class, script: None } => {
                write!(f, "the Durable Object class `{class}` of this Worker")
            }
            Self::DurableObjectNamespace { class, script: Some(script) } => {
                write!(f, "the Durable Object class `{class}` of the Worker `{script}`")
            }
            Self::Service { service } => write!(f, "the Worker `{service}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn d1(name: &str, database: &str) -> Binding {
        Binding { name: name.into(), kind: BindingKind::D1 { database: database.into() } }
    }

    fn empty() -> Description {
        Description {
            worker: WorkerClass { class: "Api".into(), script: "api".into(), methods: vec![] },
            objects: vec![],
            bindings: vec![],
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

    #[test]
    fn bindings_are_flat_json_with_cloudflares_type_names() {
        let binding = Binding {
            name: "Counter".into(),
            kind: BindingKind::DurableObjectNamespace { class: "Counter".into(), script: None },
        };
        let json = serde_json::to_string(&binding).unwrap();
        assert_eq!(json, r#"{"name":"Counter","type":"durable_object_namespace","class":"Counter"}"#);
        assert_eq!(serde_json::from_str::<Binding>(&json).unwrap(), binding);
    }
}
