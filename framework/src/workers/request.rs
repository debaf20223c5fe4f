//! What the base crate's [`Request`] lacks.

use crate::runtime::js;
use worker::Request;

/// Additional methods of a [`Request`].
pub trait RequestExt {
    /// The first value of the parameter `name` in the query of the URL, decoded; `None` if there is none. JavaScript reads the URL,
    /// because the parser that [`Request::url`] and [`Request::query`] bring takes 73 KB of a compressed bundle.
    ///
    /// ```no_run
    /// # use realgar::prelude::*;
    /// # fn name(request: &Request) -> Option<String> {
    /// request.query_param("name")
    /// # }
    /// ```
    fn query_param(&self, name: &str) -> Option<String>;
}

impl RequestExt for Request {
    fn query_param(&self, name: &str) -> Option<String> {
        js::query_param(self.inner(), name).as_string()
    }
}
