//! A small HTTP client. Whatever a server sends back is a response, also one with an error status.

use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Debug;
use ureq::{Agent, http};

/// An HTTP request to an app.
#[derive(Debug)]
pub struct Request {
    agent: Agent,
    parts: http::request::Builder,
    body: Vec<u8>,
}

impl Request {
    pub(crate) fn new(agent: &Agent, method: &str, url: &str) -> Self {
        Self { agent: agent.clone(), parts: http::Request::builder().method(method).uri(url), body: Vec::new() }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.parts = self.parts.header(name, value);
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sets the body to `value` as JSON.
    ///
    /// # Panics
    /// When `value` cannot be JSON.
    #[must_use]
    pub fn json(self, value: &impl Serialize) -> Self {
        let body = serde_json::to_vec(value).unwrap_or_else(|error| panic!("the body cannot be JSON: {error}"));
        self.header("content-type", "application/json").body(body)
    }

    /// Sends it and reads the whole response, whatever its status.
    ///
    /// # Errors
    /// When there is no response: the connection failed, or broke.
    pub fn try_send(self) -> Result<Response, String> {
        let request = self.parts.body(self.body).map_err(|error| error.to_string())?;
        let mut response = self.agent.run(request).map_err(|error| error.to_string())?;
        let body =
            response.body_mut().with_config().limit(u64::MAX).read_to_vec().map_err(|error| error.to_string())?;
        Ok(Response { parts: response.into_parts().0, body })
    }

    /// Sends it and reads the whole response, whatever its status.
    ///
    /// # Panics
    /// When there is no response.
    #[must_use]
    #[track_caller]
    pub fn send(self) -> Response {
        let what = format!("{:?} {:?}", self.parts.method_ref(), self.parts.uri_ref());
        match self.try_send() {
            Ok(response) => response,
            Err(error) => panic!("no response to {what}: {error}"),
        }
    }
}

/// An HTTP response, read to its end.
#[derive(Debug)]
pub struct Response {
    parts: http::response::Parts,
    body: Vec<u8>,
}

impl Response {
    /// The status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.parts.status.as_u16()
    }

    /// The header `name`, if there is one and it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name)?.to_str().ok()
    }

    /// The body.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.body
    }

    /// The body as text; what is no UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is no JSON, or not of that type.
    #[must_use]
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("the body is not what is expected ({error}): {}", self.text()),
        }
    }

    /// Checks the status.
    ///
    /// # Panics
    /// When the status is another one; the message has the body.
    #[track_caller]
    #[expect(clippy::return_self_not_must_use, reason = "often the last thing done with a response")]
    pub fn expect_status(self, status: u16) -> Self {
        assert_eq!(self.status(), status, "unexpected status; the body is: {}", self.text());
        self
    }
}
