//! Phase 1: binding resources.

/// The init phase of a program.
///
/// The same code runs at build time, where [`Init::bind`] records, and in the isolate, where only its result counts. So it
/// must not depend on anything but the source: no I/O, no time, no randomness, and no JavaScript.
#[derive(Debug)]
pub struct Init {
    record: Option<Vec<Declaration>>,
}

impl Init {
    /// In the isolate: nothing is recorded.
    pub(crate) fn live() -> Self {
        Self { record: None }
    }

    /// At build time: every declaration is kept.
    pub(crate) fn describing() -> Self {
        Self { record: Some(Vec::new()) }
    }

    /// What was declared, in order.
    pub(crate) fn into_declarations(self) -> Vec<Declaration> {
        self.record.unwrap_or_default()
    }

    /// Declares that this program uses `resource`, and returns the client to use it with.
    ///
    /// The client looks its binding up at each use, so it may be cloned, kept and shared by all objects of the isolate.
    pub fn bind<B: Bindable>(&mut self, resource: B) -> B::Client {
        if let Some(record) = &mut self.record {
            record.push(resource.declare());
        }
        resource.client()
    }
}

/// A resource that a program can bind: a database, a namespace of objects.
pub trait Bindable {
    /// What the program uses the resource with.
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

/// What a deployment has to provide for one [`Bindable`]: plain data, so that the code which writes it out as metadata
/// stays out of the shipped module.
#[derive(Clone, Copy, Debug)]
pub struct Declaration {
    /// The name in the environment.
    pub(crate) name: &'static str,
    pub(crate) resource: Resource,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Resource {
    D1 { database: &'static str },
    Namespace { class: &'static str, script: Option<&'static str>, interface: &'static str },
    Service { script: &'static str, interface: &'static str },
}
