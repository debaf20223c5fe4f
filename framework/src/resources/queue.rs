//! Queues: messages that are handled later, by another event.

use super::{lookup, object};
use crate::{
    Bindable, Declaration, Error, Result, codec,
    runtime::{js, promise::awaited},
};
use js_sys::Array;
use realgar_wire::limits::QUEUE_DELAY_MAX_S;
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt, marker::PhantomData, time::Duration};
use wasm_bindgen::JsValue;

/// A queue of `T`s, as a value: `static JOBS: Queue<Job> = Queue::new("jobs");`.
///
/// A Worker that sends messages binds the queue. A Worker that handles them declares that with [`crate::Init::consume`], and
/// implements [`crate::Consume`].
pub struct Queue<T> {
    name: &'static str,
    message: PhantomData<fn() -> T>,
}

impl<T> Queue<T> {
    /// The queue with this name, which is also the name of its binding.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name, message: PhantomData }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Queue<T> {}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("name", &self.name).finish()
    }
}

impl<T: Serialize> Bindable for Queue<T> {
    type Client = QueueClient<T>;

    fn declare(&self) -> Declaration {
        Declaration::new(self.name, "queue").with("queue", self.name)
    }

    fn client(&self) -> QueueClient<T> {
        QueueClient { binding: self.name, message: PhantomData }
    }
}

/// Sends messages. A message has at most 128 KB, and a batch at most 100 messages and 256 KB (Cloudflare's "Queues limits").
pub struct QueueClient<T> {
    binding: &'static str,
    message: PhantomData<fn() -> T>,
}

impl<T> Clone for QueueClient<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for QueueClient<T> {}

impl<T> fmt::Debug for QueueClient<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueClient").field("binding", &self.binding).finish()
    }
}

impl<T: Serialize> QueueClient<T> {
    /// Sends a message. When this returns, the message is stored.
    ///
    /// # Errors
    /// What the platform reports, or where the message has no exact form in JSON.
    pub async fn send(&self, message: &T) -> Result<()> {
        self.send_after(message, Duration::ZERO).await
    }

    /// Sends a message that is delivered after `delay`, which is in whole seconds and at most 24 hours.
    ///
    /// # Errors
    /// As [`QueueClient::send`], and when the delay is not in whole seconds or is longer.
    pub async fn send_after(&self, message: &T, delay: Duration) -> Result<()> {
        let options = object([("contentType", Some("json".into())), ("delaySeconds", seconds(delay)?)]);
        awaited(js::invoke2(&lookup(self.binding)?, "send", &json(message)?, &options)).await.map(drop)
    }

    /// Sends several messages, all or none.
    ///
    /// # Errors
    /// As [`QueueClient::send`].
    pub async fn send_batch<'a>(&self, messages: impl IntoIterator<Item = &'a T>) -> Result<()>
    where
        T: 'a,
    {
        let messages = messages.into_iter().map(|message| Ok(object([("body", Some(json(message)?))])));
        let messages = messages.collect::<Result<Array>>()?;
        awaited(js::invoke1(&lookup(self.binding)?, "sendBatch", &messages)).await.map(drop)
    }
}

fn seconds(delay: Duration) -> Result<Option<JsValue>> {
    if delay.subsec_nanos() > 0 || delay.as_secs() > u64::from(QUEUE_DELAY_MAX_S) {
        return Err(format!("a message cannot be delayed by {delay:?}: use whole seconds, up to 24 hours").into());
    }
    Ok((delay > Duration::ZERO).then(|| (delay.as_secs() as f64).into()))
}

/// The JavaScript value of a message's JSON form. An integer that JavaScript would round is an error.
fn json<T: Serialize>(message: &T) -> Result<JsValue> {
    let mut text = Vec::new();
    codec::json::append(&mut text, message)?;
    js_sys::JSON::parse(&String::from_utf8_lossy(&text)).map_err(Error::from_js)
}

/// How messages are delivered. An option that is not set has the platform's default.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConsumerOptions {
    /// The most messages in a batch, 1 to 100; by default 10.
    pub max_batch_size: Option<u8>,
    /// How many seconds a batch waits to become full, at most 60; by default 5.
    pub max_batch_timeout: Option<u8>,
    /// How often a message is delivered again, at most 100; by default 3.
    pub max_retries: Option<u8>,
    /// How many seconds after a failure a message is delivered again.
    pub retry_delay: Option<u32>,
    /// How many batches are handled at the same time.
    pub max_concurrency: Option<u8>,
    /// The queue for messages that failed too often. Without one they are dropped.
    pub dead_letter_queue: Option<&'static str>,
}

/// Messages that are delivered together.
#[derive(Clone, Debug)]
pub struct MessageBatch<T> {
    raw: JsValue,
    message: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> MessageBatch<T> {
    pub(crate) fn new(raw: JsValue) -> Self {
        Self { raw, message: PhantomData }
    }

    /// The name of the queue.
    #[must_use]
    pub fn queue(&self) -> String {
        js::string_field(&self.raw, "queue").unwrap_or_default()
    }

    /// The messages.
    #[must_use]
    pub fn messages(&self) -> Vec<Message<T>> {
        let messages = Array::from(&js::field(&self.raw, "messages"));
        messages.iter().map(|raw| Message { raw, message: PhantomData }).collect()
    }

    /// Has all messages delivered again that were neither acknowledged nor retried, as an error of the handler does.
    pub fn retry_all(&self) {
        let _ = js::invoke0(&self.raw, "retryAll");
    }
}

/// One message.
#[derive(Clone, Debug)]
pub struct Message<T> {
    raw: JsValue,
    message: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Message<T> {
    /// Its id, which stays the same when it is delivered again.
    #[must_use]
    pub fn id(&self) -> String {
        js::string_field(&self.raw, "id").unwrap_or_default()
    }

    /// How often it was delivered, this time included.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        js::field(&self.raw, "attempts").as_f64().unwrap_or(1.0) as u32
    }

    /// The content of the message.
    ///
    /// # Errors
    /// When the content is not a `T`. A message that will never be one is best acknowledged and reported.
    pub fn body(&self) -> Result<T> {
        Ok(codec::from_js(&js::field(&self.raw, "body"))?)
    }

    /// Acknowledges the message: it is not delivered again, even if the handler fails later.
    pub fn ack(&self) {
        let _ = js::invoke0(&self.raw, "ack");
    }

    /// Has the message delivered again.
    pub fn retry(&self) {
        let _ = js::invoke0(&self.raw, "retry");
    }

    /// Has the message delivered again after `delay`, which is in whole seconds and at most 24 hours.
    ///
    /// # Errors
    /// When the delay is not in whole seconds or is longer.
    pub fn retry_after(&self, delay: Duration) -> Result<()> {
        let options = object([("delaySeconds", seconds(delay)?)]);
        js::invoke1(&self.raw, "retry", &options).map(drop).map_err(Error::from_js)
    }
}
