//! What a Durable Object instance gets from the platform.

use crate::{
    ObjectId, Sql, Storage, WebSocket, WebSockets,
    runtime::{call, js},
    scheduler::Wakes,
};
use std::{future::Future, rc::Rc};
use wasm_bindgen::JsValue;

/// The state of one object: its id, its storage, its lifetime. Cheap to clone.
#[derive(Clone, Debug)]
pub struct State {
    raw: JsValue,
    wakes: Rc<Wakes>,
}

impl State {
    /// `death` says why the wasm instance died that held the object before, if it died.
    pub(crate) fn new(raw: JsValue, death: Option<String>) -> Self {
        Self { wakes: Rc::new(Wakes::new(js::field(&raw, "storage"), death)), raw }
    }

    /// The alarm and the scheduled events that wake this object.
    pub(crate) fn wakes(&self) -> &Rc<Wakes> {
        &self.wakes
    }

    /// The id of this object.
    #[must_use]
    pub fn id(&self) -> ObjectId {
        ObjectId::from_js(&js::field(&self.raw, "id"))
    }

    /// The name by which this object was addressed, if it was addressed by name.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        js::string_field(&js::field(&self.raw, "id"), "name")
    }

    /// The transactional key-value storage of this object.
    #[must_use]
    pub fn storage(&self) -> Storage {
        Storage::new(self.raw.clone(), self.wakes.storage().clone(), self.wakes.clone())
    }

    /// The SQLite database of this object.
    #[must_use]
    pub fn sql(&self) -> Sql {
        self.wakes.sql().clone()
    }

    /// The WebSockets of this object.
    #[must_use]
    pub fn sockets(&self) -> WebSockets {
        WebSockets::new(self.raw.clone())
    }

    /// Wraps `raw`, one of the object's WebSockets.
    pub(crate) fn socket(&self, raw: JsValue) -> WebSocket {
        WebSocket::new(raw, self.raw.clone())
    }

    /// Resets the object. Its instance is dropped, writes that are not yet stored are lost, and callers that wait for the object
    /// get an error. The next event starts it again.
    pub fn abort(&self, reason: &str) {
        // `abort` throws the reason, as every later operation of the object does.
        let _ = js::invoke1(&self.raw, "abort", &reason.into());
    }

    /// Runs `future` concurrently with the current event. A Durable Object stays in memory while the future runs, even without this
    /// call. A panic in the future interrupts every call in the isolate.
    pub fn wait_until(&self, future: impl Future<Output = ()> + 'static) {
        call::wait_until(&self.raw, future);
    }
}
