//! The consuming end: a stream of bytes from another isolate as a Rust stream of items.

use super::frame::{Encoded, Next, Reader};
use crate::{
    CallError, CodecError, RpcError, RpcErrorKind,
    runtime::{
        js,
        promise::{Settled, settled_by},
    },
};
use futures_core::Stream;
use js_sys::Uint8Array;
use serde::de::DeserializeOwned;
use std::{
    fmt,
    future::poll_fn,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
};
use wasm_bindgen::{JsCast, JsValue};

/// The error of a stream: [`RpcError`], or [`CallError`] if the producer's items are results.
pub trait StreamError: Sized {
    #[doc(hidden)]
    fn failed(error: RpcError) -> Self;

    /// Decodes the error with which the producer ended the stream. Fails if that error is not of the expected type.
    #[doc(hidden)]
    fn returned(error: Encoded<'_>) -> Result<Self, CodecError>;
}

impl StreamError for RpcError {
    fn failed(error: RpcError) -> Self {
        error
    }

    fn returned(_: Encoded<'_>) -> Result<Self, CodecError> {
        Err(CodecError::new("the stream ended with an error, and none was expected"))
    }
}

impl<E: DeserializeOwned> StreamError for CallError<E> {
    fn failed(error: RpcError) -> Self {
        Self::Rpc(error)
    }

    fn returned(error: Encoded<'_>) -> Result<Self, CodecError> {
        error.decode().map(Self::Method)
    }
}

/// A stream of items from another isolate, which a method returns or a caller passes in. The items arrive as they are produced.
///
/// An error is always the last item. A stream that breaks off yields an error and never just ends, so a loop that reaches the end
/// has seen all items. The producer runs at most one chunk ahead (256 KiB at most, and a single item at first). Dropping the stream
/// drops the producer.
///
/// If an RPC method has a parameter of this type, its callers pass any `Stream` of the items.
pub struct RpcStream<T, E = RpcError> {
    method: String,
    /// `None` once the stream ended.
    source: Option<Source>,
    reader: Reader,
    items: PhantomData<fn() -> (T, E)>,
}

/// The reader of a `ReadableStream`.
struct Source {
    raw: JsValue,
    reading: Option<Settled>,
}

impl Drop for Source {
    fn drop(&mut self) {
        js::cancel(&self.raw);
    }
}

impl<T, E> fmt::Debug for RpcStream<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RpcStream").field("method", &self.method).field("ended", &self.source.is_none()).finish()
    }
}

impl<T, E> RpcStream<T, E> {
    /// Reads from a `ReadableStream` that `method` returned or got. Any other value is refused. `skewed` says that the peer has
    /// another contract.
    pub(crate) fn new(method: &str, stream: &JsValue, skewed: bool) -> Result<Self, String> {
        let raw = js::reader(stream).map_err(|error| crate::Exception::from(error).to_string())?;
        let source = Some(Source { raw, reading: None });
        Ok(Self { method: method.into(), source, reader: Reader::new(skewed), items: PhantomData })
    }
}

impl<T: DeserializeOwned, E: StreamError> RpcStream<T, E> {
    /// The next item; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<T, E>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// All items that are still to come.
    ///
    /// # Errors
    /// When the producer failed, or the stream broke off.
    pub async fn collect(mut self) -> Result<Vec<T>, E> {
        let mut items = Vec::new();
        while let Some(item) = self.next().await {
            items.push(item?);
        }
        Ok(items)
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Next<T, E>> {
        loop {
            match self.reader.next(&self.method) {
                Next::More => {}
                next => return Poll::Ready(next),
            }
            let Some(source) = &mut self.source else { return Poll::Ready(Next::End) };
            let raw = &source.raw;
            let reading = source.reading.get_or_insert_with(|| settled_by(|number| js::read(raw, number)));
            let outcome = ready!(Pin::new(reading).poll(cx));
            source.reading = None;
            match outcome {
                Ok(chunk) if chunk.is_undefined() && self.reader.close() => {}
                Ok(chunk) if chunk.is_undefined() => {
                    let message = "the stream stopped without its end".into();
                    let error = RpcError::new(RpcErrorKind::Truncated, &self.method, message);
                    return Poll::Ready(Next::Error(E::failed(error)));
                }
                Ok(chunk) => self.reader.push(|buffer| append(buffer, chunk.unchecked_ref())),
                Err(thrown) => {
                    return Poll::Ready(Next::Error(E::failed(RpcError::from_thrown(&self.method, &thrown))));
                }
            }
        }
    }
}

fn append(buffer: &mut Vec<u8>, chunk: &Uint8Array) {
    if buffer.is_empty() {
        // `to_vec` does not fill the memory with zeros first.
        *buffer = chunk.to_vec();
        return;
    }
    let start = buffer.len();
    buffer.resize(start + chunk.length() as usize, 0);
    chunk.copy_to(&mut buffer[start..]);
}

impl<T: DeserializeOwned, E: StreamError> Stream for RpcStream<T, E> {
    type Item = Result<T, E>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.source.is_none() {
            return Poll::Ready(None);
        }
        let next = match ready!(self.poll_item(cx)) {
            Next::Item(item) => return Poll::Ready(Some(Ok(item))),
            Next::Error(error) => Some(Err(error)),
            Next::End | Next::More => None,
        };
        self.source = None;
        Poll::Ready(next)
    }
}
