//! Resources that are declared here and used through JavaScript: those whose interface is large, changes often, or is another
//! crate's.

use super::lookup;
use crate::{Bindable, Declaration, Property, Result};
use wasm_bindgen::JsValue;

/// A resource of any kind, as a value. The constructors name the kinds that Cloudflare has; [`Resource::new`] takes any other.
///
/// What it is bound to is not simulated locally: [`RawBinding::get`] says so.
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

    /// With a property, as Cloudflare's API calls it.
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

/// A binding as JavaScript has it: the client of [`Resource`], and what to build the client of an own [`Bindable`] on.
#[derive(Clone, Copy, Debug)]
pub struct RawBinding {
    name: &'static str,
}

impl RawBinding {
    /// The binding of this name. Nothing is looked up yet, so that Phase 1 may make it.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name }
    }

    /// What the environment has under the name. Not for Phase 1.
    ///
    /// # Errors
    /// When it has nothing: the Worker was deployed without its manifest, or the local edge does not simulate it.
    pub fn get(&self) -> Result<JsValue> {
        lookup(self.name)
    }
}
