//! Resources that are declared here and used through JavaScript, because their interface is large, changes often, or belongs to
//! another crate.

use super::lookup;
use crate::{Bindable, Declaration, Property, Result};
use wasm_bindgen::JsValue;

/// A resource of any kind, as a value. The constructors name the kinds that Cloudflare has; [`Resource::new`] takes any other.
///
/// Such a resource is not simulated locally: [`RawBinding::get`] says so.
///
/// ```no_run
/// # use realgar::{Init, RawBinding, Resource};
/// # fn init(cx: &mut Init) -> RawBinding {
/// cx.bind(Resource::vectorize("Embeddings", "embeddings-index"))
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Resource {
    name: &'static str,
    kind: &'static str,
    property: Option<(&'static str, Property)>,
}

impl Resource {
    /// A binding `name` of Cloudflare's type `kind`.
    #[must_use]
    pub const fn new(name: &'static str, kind: &'static str) -> Self {
        Self { name, kind, property: None }
    }

    /// Sets a property, by the name that Cloudflare's API has for it.
    #[must_use]
    pub const fn with(self, key: &'static str, value: Property) -> Self {
        Self { property: Some((key, value)), ..self }
    }

    /// Workers AI.
    #[must_use]
    pub const fn ai(name: &'static str) -> Self {
        Self::new(name, "ai")
    }

    /// Browser Rendering.
    #[must_use]
    pub const fn browser(name: &'static str) -> Self {
        Self::new(name, "browser")
    }

    /// A Hyperdrive configuration, by its logical name.
    #[must_use]
    pub const fn hyperdrive(name: &'static str, config: &'static str) -> Self {
        Self::new(name, "hyperdrive").with("config", Property::Text(config))
    }

    /// A Vectorize index.
    #[must_use]
    pub const fn vectorize(name: &'static str, index: &'static str) -> Self {
        Self::new(name, "vectorize").with("index_name", Property::Text(index))
    }

    /// A workflow, by its name.
    #[must_use]
    pub const fn workflow(name: &'static str, workflow: &'static str) -> Self {
        Self::new(name, "workflow").with("workflow_name", Property::Text(workflow))
    }

    /// Sending email, to verified addresses of the account.
    #[must_use]
    pub const fn send_email(name: &'static str) -> Self {
        Self::new(name, "send_email")
    }
}

impl Bindable for Resource {
    type Client = RawBinding;

    fn declare(&self) -> Declaration {
        let declaration = Declaration::new(self.name, self.kind);
        match self.property {
            Some((key, value)) => declaration.with(key, value),
            None => declaration,
        }
    }

    fn client(&self) -> RawBinding {
        RawBinding::new(self.name)
    }
}

/// A binding as JavaScript has it. It is the client of [`Resource`], and the base on which to build the client of a [`Bindable`] of
/// your own.
#[derive(Clone, Copy, Debug)]
pub struct RawBinding {
    name: &'static str,
}

impl RawBinding {
    /// The binding with this name. It is not looked up yet, so that Phase 1 may call this.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name }
    }

    /// Looks the binding up in the environment. Phase 1 must not call this.
    ///
    /// # Errors
    /// When the environment has no such binding: the Worker was deployed without its manifest, or the local edge does not simulate
    /// it.
    pub fn get(&self) -> Result<JsValue> {
        lookup(self.name)
    }
}
