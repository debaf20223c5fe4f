//! Phase 1: binding resources.

use crate::resources::queue::{ConsumerOptions, Queue};
use std::{any::type_name, panic::Location};

/// The init phase of a program.
///
/// The same code runs at build time, where [`Init::bind`] records, and in the isolate, where only its result counts. So it
/// must not depend on anything but the source: no I/O, no time, no randomness, and no JavaScript.
#[derive(Debug)]
pub struct Init {
    record: Option<Record>,
}

impl Init {
    /// For the isolate: declarations are not recorded.
    pub(crate) fn live() -> Self {
        Self { record: None }
    }

    /// For the build: every declaration is recorded.
    pub(crate) fn describing() -> Self {
        Self { record: Some(Record::default()) }
    }

    /// What was declared, in order.
    pub(crate) fn into_record(self) -> Record {
        self.record.unwrap_or_default()
    }

    /// Declares that this program uses `resource`, and returns the client to use it with.
    ///
    /// The client looks its binding up at each use, so it may be cloned, kept and shared by all objects of the isolate.
    #[track_caller]
    pub fn bind<B: Bindable>(&mut self, resource: B) -> B::Client {
        if let Some(record) = &mut self.record {
            record.declarations.push((resource.declare(), Location::caller()));
        }
        resource.client()
    }

    /// Declares a cron trigger, whose events [`crate::Scheduled`] handles. Only for Workers. `expression` is in UTC, such as
    /// `"*/5 * * * *"`, with the fields and extensions that Cloudflare's "Cron Triggers" page lists.
    pub fn cron(&mut self, expression: &'static str) {
        if let Some(record) = &mut self.record {
            record.triggers.push(Trigger::Cron(expression));
        }
    }

    /// Declares that the Worker consumes `queue`, whose messages [`crate::Consume`] handles. The messages have to be of the type
    /// [`crate::Consume::Message`]. Only for Workers.
    pub fn consume<T>(&mut self, queue: &Queue<T>, options: ConsumerOptions) {
        if let Some(record) = &mut self.record {
            record.triggers.push(Trigger::Consumer { queue: queue.name(), message: type_name::<T>(), options });
        }
    }
}

/// A resource that a program can bind: a database, a namespace of objects.
///
/// To bind a kind of resource that this crate does not know, implement this trait for a type of your own:
///
/// ```no_run
/// use realgar::{Bindable, Declaration, RawBinding, Result};
///
/// /// An index of Vectorize.
/// struct Index(&'static str);
///
/// struct IndexClient(RawBinding);
///
/// impl Bindable for Index {
///     type Client = IndexClient;
///
///     fn declare(&self) -> Declaration {
///         Declaration::new(self.0, "vectorize").with("index_name", self.0)
///     }
///
///     fn client(&self) -> IndexClient {
///         IndexClient(RawBinding::new(self.0))
///     }
/// }
/// ```
pub trait Bindable {
    /// The client through which the program uses the resource.
    type Client;

    /// What the deployment has to provide. Called at build time only.
    fn declare(&self) -> Declaration;

    /// The client. It must resolve its binding lazily: Phase 1 may not touch JavaScript.
    fn client(&self) -> Self::Client;
}

impl<B: Bindable + ?Sized> Bindable for &B {
    type Client = B::Client;

    fn declare(&self) -> Declaration {
        (**self).declare()
    }

    fn client(&self) -> Self::Client {
        (**self).client()
    }
}

/// What a deployment has to provide for one [`Bindable`], in Cloudflare's own terms: a binding's name, type and properties.
#[derive(Clone, Debug)]
pub struct Declaration {
    pub(crate) name: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) properties: Vec<(&'static str, Property)>,
    /// The Rust type that the binding leads to, if that type has RPC methods.
    pub(crate) interface: Option<&'static str>,
    /// Why the declaration is invalid. If set, the build fails with it.
    pub(crate) problem: Option<String>,
}

impl Declaration {
    /// A binding `name` of Cloudflare's type `kind`: `"kv_namespace"`, `"ai"`, ...
    #[must_use]
    pub fn new(name: &'static str, kind: &'static str) -> Self {
        Self { name, kind, properties: Vec::new(), interface: None, problem: None }
    }

    /// Adds a property.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<Property>) -> Self {
        self.properties.push((key, value.into()));
        self
    }

    /// Adds a property, if it has a value.
    #[must_use]
    pub fn with_some(self, key: &'static str, value: Option<impl Into<Property>>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// Marks the declaration as invalid: the build fails with `problem`.
    #[must_use]
    pub fn wrong(self, problem: String) -> Self {
        Self { problem: Some(problem), ..self }
    }

    pub(crate) fn behind(self, interface: &'static str) -> Self {
        Self { interface: Some(interface), ..self }
    }
}

/// The value of a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Property {
    /// Text.
    Text(&'static str),
    /// A whole number.
    Number(u32),
    /// Yes or no.
    Flag(bool),
}

impl From<&'static str> for Property {
    fn from(text: &'static str) -> Self {
        Self::Text(text)
    }
}

impl From<u32> for Property {
    fn from(number: u32) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Property {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

/// A source of events that the program declares.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trigger {
    Cron(&'static str),
    /// A queue to consume. `message` is the name of the type of its messages.
    Consumer {
        queue: &'static str,
        message: &'static str,
        options: ConsumerOptions,
    },
}

/// Everything that an init phase declared.
#[derive(Debug, Default)]
pub struct Record {
    /// With the place in the source that binds it.
    pub(crate) declarations: Vec<(Declaration, &'static Location<'static>)>,
    pub(crate) triggers: Vec<Trigger>,
    /// Mistakes in the classes. The build fails with them.
    pub(crate) problems: Vec<String>,
}

impl Record {
    /// Appends another record.
    pub(crate) fn extend(&mut self, other: Self) {
        self.declarations.extend(other.declarations);
        self.triggers.extend(other.triggers);
        self.problems.extend(other.problems);
    }
}
