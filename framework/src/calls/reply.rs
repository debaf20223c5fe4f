//! A method that runs, and why one did not.

use super::{Failure, RpcErrorKind};
use crate::runtime::deadline;
use std::{future::Future, pin::Pin};
use wasm_bindgen::JsValue;

/// A running method. Its failure already has the form that travels.
pub struct Reply(pub(crate) Pin<Box<dyn Future<Output = Result<JsValue, Failure>>>>);

impl Reply {
    /// A reply that has failed already.
    pub(crate) fn failed(failure: Failure) -> Self {
        Self(Box::pin(std::future::ready(Err(failure))))
    }

    /// The same reply, which is given up when `remaining` milliseconds have passed.
    pub(crate) fn within(self, remaining: f64) -> Self {
        if remaining.is_infinite() {
            return self;
        }
        Self(Box::pin(async move {
            let outcome = deadline::until(deadline::at(remaining), self.0).await;
            let elapsed = || Failure::new(RpcErrorKind::DeadlineExceeded, "the deadline of the call has passed".into());
            outcome.unwrap_or_else(|| Err(elapsed()))
        }))
    }
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reply")
    }
}

/// Why a method did not get as far as its result. Opaque: generated code only passes it on with `?`.
#[derive(Debug)]
pub struct Refusal(pub(crate) Failure);

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        refusal.0
    }
}
