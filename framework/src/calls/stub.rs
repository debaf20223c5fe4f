//! Stubs: references to one object or to another Worker, on which calls are made.

use crate::{
    Bindable, Declaration, Error, RpcError, RpcErrorKind, WorkerClass, calls::namespace::NamespaceError, runtime::js,
};
use std::{borrow::Cow, fmt, marker::PhantomData};
use wasm_bindgen::JsValue;
use worker::{Request, Response};

/// A reference to one object or Worker, without its methods. The generated stub types wrap it.
///
/// Calls through one stub arrive in the order they were made. After a failure of the connection the stub of an object stays
/// broken: get a new one.
#[derive(Clone, Debug)]
pub struct Stub {
    target: Target,
    /// The name of the binding that the stub came from. It identifies the contract in this build.
    binding: &'static str,
}

#[derive(Clone, Debug)]
enum Target {
    Object(Result<JsValue, NamespaceError>),
    /// The Worker that the binding leads to. The binding is looked up at each call.
    Service,
}

impl Stub {
    pub(crate) fn new(binding: &'static str, object: Result<JsValue, NamespaceError>) -> Self {
        Self { target: Target::Object(object), binding }
    }

    pub(crate) fn target(&self, method: &str) -> Result<Cow<'_, JsValue>, RpcError> {
        let not_sent = |error: Error| RpcError::new(RpcErrorKind::NotSent, method, error.to_string());
        match &self.target {
            Target::Object(Ok(object)) => Ok(Cow::Borrowed(object)),
            Target::Object(Err(error)) => Err(not_sent(error.clone().into())),
            Target::Service => match js::binding(self.binding) {
                missing if missing.is_undefined() => Err(not_sent(NamespaceError::Missing(self.binding).into())),
                service => Ok(Cow::Owned(service)),
            },
        }
    }

    /// A new reference to the same object.
    pub(crate) fn renewed(&self) -> Self {
        let Target::Object(Ok(object)) = &self.target else { return self.clone() };
        let renew = || js::invoke1(&js::binding(self.binding), "get", &js::get(object, "id")?);
        Self { target: Target::Object(renew().map_err(NamespaceError::from)), binding: self.binding }
    }

    pub(crate) fn binding(&self) -> &'static str {
        self.binding
    }

    /// Forwards an HTTP request to the other side's `fetch`, and its response back. WebSocket upgrades go this way too.
    ///
    /// # Errors
    /// When the other side has no `fetch`, or fails before it has answered.
    pub async fn fetch(&self, request: Request) -> Result<Response, RpcError> {
        crate::calls::fetch(self, request).await
    }
}

/// The binding to the Worker `W`. `W::service()` makes it; [`crate::Init::bind`] takes it, and returns the Worker's stub.
pub struct ServiceBinding<W> {
    name: &'static str,
    worker: PhantomData<fn() -> W>,
}

impl<W: WorkerClass> ServiceBinding<W> {
    #[doc(hidden)]
    #[must_use]
    pub fn new() -> Self {
        Self { name: W::CLASS, worker: PhantomData }
    }

    /// Gives the binding another name than the Worker's.
    #[must_use]
    pub fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }
}

impl<W> fmt::Debug for ServiceBinding<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceBinding").field("name", &self.name).finish()
    }
}

impl<W: WorkerClass> Bindable for ServiceBinding<W> {
    type Client = W::Stub;

    fn declare(&self) -> Declaration {
        let declaration = Declaration::new(self.name, "service").with("service", W::NAME);
        declaration.with_some("entrypoint", W::ENTRYPOINT).behind(std::any::type_name::<W>())
    }

    fn client(&self) -> W::Stub {
        W::Stub::from(Stub { target: Target::Service, binding: self.name })
    }
}
