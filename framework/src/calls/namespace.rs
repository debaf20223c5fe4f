//! Namespaces of Durable Objects, and the ids in them.

use crate::{Bindable, Declaration, Error, ObjectClass, Result, Stub, WorkerClass, runtime::js};
use js_sys::Object;
use std::{fmt, marker::PhantomData};
use wasm_bindgen::JsValue;

/// The binding to the objects of class `C` in one script. `C::from::<Host>()` makes it; [`crate::Init::bind`] takes it.
pub struct NamespaceBinding<C> {
    name: &'static str,
    script: &'static str,
    class: PhantomData<fn() -> C>,
}

impl<C: ObjectClass> NamespaceBinding<C> {
    /// The namespace in the script of the Worker `W`.
    #[doc(hidden)]
    #[must_use]
    pub fn hosted_by<W: WorkerClass>() -> Self {
        Self { name: C::NAME, script: W::NAME, class: PhantomData }
    }

    /// The namespace in a script that is known by its name only.
    #[doc(hidden)]
    #[must_use]
    pub fn in_script(script: &'static str) -> Self {
        Self { name: C::NAME, script, class: PhantomData }
    }

    /// Gives the binding another name than the class's. A Worker that binds the objects of two hosts needs two names.
    #[must_use]
    pub fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }
}

impl<C> fmt::Debug for NamespaceBinding<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NamespaceBinding").field("name", &self.name).field("script", &self.script).finish()
    }
}

impl<C: ObjectClass> Bindable for NamespaceBinding<C> {
    type Client = Namespace<C>;

    fn declare(&self) -> Declaration {
        Declaration::new(self.name, "durable_object_namespace")
            .with("class", C::NAME)
            .with("script", self.script)
            .behind(std::any::type_name::<C>())
    }

    fn client(&self) -> Namespace<C> {
        Namespace { binding: self.name, jurisdiction: None, location_hint: None, class: PhantomData }
    }
}

/// All objects of class `C` in one script.
///
/// An object exists as soon as it is called. It is one instance worldwide, close to where it was called first.
pub struct Namespace<C> {
    binding: &'static str,
    jurisdiction: Option<Jurisdiction>,
    location_hint: Option<LocationHint>,
    class: PhantomData<fn() -> C>,
}

impl<C> Clone for Namespace<C> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<C> fmt::Debug for Namespace<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Namespace")
            .field("binding", &self.binding)
            .field("jurisdiction", &self.jurisdiction)
            .field("location_hint", &self.location_hint)
            .finish()
    }
}

impl<C: ObjectClass> Namespace<C> {
    /// The object called `name`. The same name is the same object, for every caller.
    #[must_use]
    pub fn get_by_name(&self, name: &str) -> C::Stub {
        self.stub(|namespace| self.get(&js::invoke1(namespace, "idFromName", &name.into())?, namespace))
    }

    /// The object with this id.
    #[must_use]
    pub fn get_by_id(&self, id: &ObjectId) -> C::Stub {
        self.stub(|namespace| self.get(&js::invoke1(namespace, "idFromString", &id.text.as_str().into())?, namespace))
    }

    /// The id of the object called `name`.
    ///
    /// # Errors
    /// When the environment has no such binding.
    pub fn id_from_name(&self, name: &str) -> Result<ObjectId> {
        self.id(|namespace| js::invoke1(namespace, "idFromName", &name.into()))
    }

    /// Parses an id in the text form that [`ObjectId`] displays.
    ///
    /// # Errors
    /// When `text` is not an id, or is the id of an object in another namespace.
    pub fn id_from_string(&self, text: &str) -> Result<ObjectId> {
        self.id(|namespace| js::invoke1(namespace, "idFromString", &text.into()))
    }

    /// An id that no object had before. Keep it: it is the only way back to the object.
    ///
    /// # Errors
    /// When the environment has no such binding.
    pub fn unique_id(&self) -> Result<ObjectId> {
        self.id(|namespace| js::invoke0(namespace, "newUniqueId"))
    }

    /// The objects of this namespace whose data stays in `jurisdiction`. The same name refers to another object in each
    /// jurisdiction.
    ///
    /// workerd does not implement jurisdictions, so with `realgar dev` and in tests the calls fail and say so.
    #[must_use]
    pub fn jurisdiction(&self, jurisdiction: Jurisdiction) -> Self {
        Self { jurisdiction: Some(jurisdiction), ..self.clone() }
    }

    /// The same namespace with a hint: an object that a call through it starts for the first time should start near `hint`. The
    /// platform does not guarantee it.
    #[must_use]
    pub fn location_hint(&self, hint: LocationHint) -> Self {
        Self { location_hint: Some(hint), ..self.clone() }
    }

    fn raw(&self) -> Result<JsValue, NamespaceError> {
        let namespace = js::binding(self.binding);
        if namespace.is_undefined() {
            return Err(NamespaceError::Missing(self.binding));
        }
        match self.jurisdiction {
            None => Ok(namespace),
            Some(jurisdiction) => Ok(js::invoke1(&namespace, "jurisdiction", &jurisdiction.code().into())?),
        }
    }

    fn get(&self, id: &JsValue, namespace: &JsValue) -> Result<JsValue, JsValue> {
        match self.location_hint {
            None => js::invoke1(namespace, "get", id),
            Some(hint) => {
                let options = Object::new();
                js::define(&options, "locationHint", &hint.code().into());
                js::invoke2(namespace, "get", id, &options)
            }
        }
    }

    fn stub(&self, get: impl FnOnce(&JsValue) -> Result<JsValue, JsValue>) -> C::Stub {
        let target = self.raw().and_then(|namespace| Ok(get(&namespace)?));
        C::Stub::from(Stub::new(self.binding, target))
    }

    fn id(&self, make: impl FnOnce(&JsValue) -> Result<JsValue, JsValue>) -> Result<ObjectId> {
        let id = self.raw().and_then(|namespace| Ok(make(&namespace)?))?;
        Ok(ObjectId { text: js::display(&id) })
    }
}

/// Why a stub or an id could not be made.
#[derive(Clone, Debug)]
pub(crate) enum NamespaceError {
    Missing(&'static str),
    Thrown(String),
}

impl From<JsValue> for NamespaceError {
    fn from(thrown: JsValue) -> Self {
        Self::Thrown(crate::Exception::from(thrown).to_string())
    }
}

impl From<NamespaceError> for Error {
    fn from(error: NamespaceError) -> Self {
        match error {
            NamespaceError::Missing(name) => Self::MissingBinding { name: name.into() },
            NamespaceError::Thrown(message) => Self::Message(message),
        }
    }
}

/// The id of an object. It displays as 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectId {
    text: String,
}

impl ObjectId {
    pub(crate) fn from_js(id: &JsValue) -> Self {
        Self { text: js::display(id) }
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $code:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            fn code(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)*
                }
            }
        }
    };
}

codes! {
    /// Where an object may store its data and run. From Cloudflare's "Data location" page.
    Jurisdiction {
        /// The European Union.
        Eu = "eu",
        /// FedRAMP data centres.
        FedRamp = "fedramp",
    }
}

codes! {
    /// Where a new object should start. From Cloudflare's "Data location" page.
    LocationHint {
        /// Western North America.
        WesternNorthAmerica = "wnam",
        /// Eastern North America.
        EasternNorthAmerica = "enam",
        /// South America.
        SouthAmerica = "sam",
        /// Western Europe.
        WesternEurope = "weur",
        /// Eastern Europe.
        EasternEurope = "eeur",
        /// Asia and the Pacific.
        AsiaPacific = "apac",
        /// Oceania.
        Oceania = "oc",
        /// Africa.
        Africa = "afr",
        /// The Middle East.
        MiddleEast = "me",
    }
}
