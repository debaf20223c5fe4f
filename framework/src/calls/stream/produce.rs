//! The producing end: a Rust stream that JavaScript pulls bytes from.
//!
//! One future holds the object, its stream, and whatever the stream borrows from the object. It is polled as part of the
//! call until the stream exists, and from then on by `Pump` in `instance.js`, one chunk at a time and synchronously: this
//! costs no promise for an item, and leaves the stream alone while nobody reads.

use super::Format;
use crate::{
    CodecError, RpcErrorKind,
    calls::{Argument, Failure, Refusal},
    runtime::{call, js, trace::Surroundings},
};
use futures_core::Stream;
use js_sys::Uint8Array;
use serde::Serialize;
use std::{
    cell::{Cell, RefCell},
    fmt::{self, Display},
    future::{Future, poll_fn},
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};
use wasm_bindgen::prelude::*;
use worker::{Response, ResponseBuilder};

/// The most that is put into one chunk, in bytes. A chunk costs the runtime about 20 us, whatever its size.
const CHUNK_SIZE_MAX: usize = 256 << 10;

/// How fast chunks grow. The first item travels alone, so that it arrives before the second one is produced.
const CHUNK_GROWTH: usize = 4;
/// The smallest chunk after the first, in bytes.
const CHUNK_SIZE_MIN: usize = 256;

/// The future that fills a [`Sink`].
pub(crate) type Producer = Pin<Box<dyn Future<Output = Result<(), Refusal>>>>;

/// The sending of a stream that exists already.
type Running = Pin<Box<dyn Future<Output = ()>>>;

/// The buffer that a producer writes items to, and that JavaScript takes chunks from.
#[derive(Clone)]
pub struct Sink {
    shared: Rc<Shared>,
}

struct Shared {
    format: Format,
    /// Whether the stream exists. From then on, JavaScript polls the producer.
    opened: Cell<bool>,
    finished: Cell<bool>,
    items: Cell<u32>,
    /// How full the buffer gets, in bytes, before the producer waits until JavaScript takes it.
    limit: Cell<usize>,
    buffer: RefCell<Vec<u8>>,
    /// Why a raw stream failed. It has no frames that could say so.
    failure: RefCell<Option<String>>,
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink").field("format", &self.shared.format).finish_non_exhaustive()
    }
}

impl Sink {
    pub(crate) fn new(format: Format) -> Self {
        Self {
            shared: Rc::new(Shared {
                format,
                opened: Cell::new(false),
                finished: Cell::new(false),
                items: Cell::new(0),
                limit: Cell::new(1),
                buffer: RefCell::default(),
                failure: RefCell::default(),
            }),
        }
    }

    /// Called by the code `#[rpc]` generates: sends the items of `stream`, and its end.
    pub async fn run<T: Serialize>(&self, stream: impl Stream<Item = T>) {
        self.fill(stream, |buffer, item| self.shared.format.item(buffer, &item).map(|()| true)).await;
    }

    /// Called by the code `#[rpc]` generates: as [`Sink::run`], for items that are results. The first error ends the stream.
    pub async fn run_results<T: Serialize, E: Serialize + Display>(&self, stream: impl Stream<Item = Result<T, E>>) {
        let format = self.shared.format;
        self.fill(stream, |buffer, item| match item {
            Ok(item) => format.item(buffer, &item).map(|()| true),
            Err(error) => format.method_error(buffer, &error).map(|()| false),
        })
        .await;
    }

    /// Sends the bytes of `stream` as they are.
    async fn run_raw<B: AsRef<[u8]>, E: Display>(&self, stream: impl Stream<Item = Result<B, E>>) {
        self.fill(stream, |buffer, item| match item {
            Ok(bytes) => {
                buffer.extend_from_slice(bytes.as_ref());
                Ok(true)
            }
            Err(error) => {
                self.shared.failure.replace(Some(error.to_string()));
                Ok(false)
            }
        })
        .await;
    }

    /// Writes items until the buffer is full, the stream waits, or it ends. `write` returns whether the stream goes on.
    async fn fill<S: Stream>(
        &self,
        stream: S,
        mut write: impl FnMut(&mut Vec<u8>, S::Item) -> Result<bool, CodecError>,
    ) {
        let Shared { format, opened, finished, items, limit, buffer, .. } = &*self.shared;
        let mut stream = pin!(stream);
        poll_fn(|cx| {
            if !opened.replace(true) {
                return Poll::Pending;
            }
            loop {
                if buffer.borrow().len() >= limit.get() {
                    return Poll::Pending;
                }
                let Poll::Ready(item) = stream.as_mut().poll_next(cx) else { return Poll::Pending };
                let buffer = &mut *buffer.borrow_mut();
                if items.get() == 0 && buffer.is_empty() {
                    format.start(buffer);
                }
                let Some(item) = item else {
                    if *format != Format::Raw {
                        format.end(buffer, items.get());
                    }
                    return Poll::Ready(());
                };
                match write(buffer, item) {
                    Ok(true) => items.set(items.get().wrapping_add(1)),
                    Ok(false) => return Poll::Ready(()),
                    Err(error) => {
                        let message = format!("item {} cannot be sent: {error}", items.get());
                        format.failure(buffer, RpcErrorKind::BadResult, &message);
                        return Poll::Ready(());
                    }
                }
            }
        })
        .await;
        finished.set(true);
    }
}

/// Runs `producer` until it has a stream, and returns that stream as a JavaScript value.
pub(crate) fn open(sink: Sink, producer: Producer) -> impl Future<Output = Result<JsValue, Failure>> {
    let mut producer = Some(producer);
    poll_fn(move |cx| {
        let Some(running) = &mut producer else { return Poll::Pending };
        match running.as_mut().poll(cx) {
            Poll::Ready(Err(refusal)) => Poll::Ready(Err(refusal.into())),
            _ if sink.shared.opened.get() => Poll::Ready(Ok(readable(sink.clone(), producer.take()))),
            _ => Poll::Pending,
        }
    })
}

fn readable(sink: Sink, producer: Option<Producer>) -> JsValue {
    thread_local! {
        static COUNT: Cell<u32> = const { Cell::new(0) };
    }
    let number = COUNT.get().wrapping_add(1);
    COUNT.set(number);
    let (call, format) = (call::current_call(), sink.shared.format);
    let waker = Arc::new(StreamWaker { number }).into();
    let (around, producer) = (Surroundings::of_stream(), RefCell::new(producer));
    js::stream(StreamHandle { sink, call, around, waker, producer }, number, call, format as u32)
}

/// Wakes a stream by its number: tells JavaScript, which polls the stream, to poll again.
struct StreamWaker {
    number: u32,
}

impl Wake for StreamWaker {
    fn wake(self: Arc<Self>) {
        js::stream_ready(self.number);
    }
}

/// The producing end of a stream, as the entry module holds it. Freeing it drops the producer.
#[wasm_bindgen(js_name = RealgarStream)]
pub struct StreamHandle {
    sink: Sink,
    /// The call that opened it.
    call: u32,
    around: Surroundings,
    waker: Waker,
    producer: RefCell<Option<Producer>>,
}

impl fmt::Debug for StreamHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamHandle").field("sink", &self.sink).finish_non_exhaustive()
    }
}

#[wasm_bindgen(js_class = RealgarStream)]
impl StreamHandle {
    /// Produces the next chunk, a `Uint8Array`. If there is no chunk, returns `undefined` if the producer waits, `false` if it
    /// waits and has buffered bytes that `flush` would return, `null` at the end, and the error as a string if a raw stream failed.
    pub fn pull(&self, flush: bool) -> JsValue {
        call::within(self.call, || self.around.around(|| self.next_chunk(flush)))
    }
}

impl StreamHandle {
    fn next_chunk(&self, flush: bool) -> JsValue {
        let Shared { finished, limit, buffer, failure, .. } = &*self.sink.shared;
        if !finished.get() && buffer.borrow().len() < limit.get() {
            self.produce();
        }
        let full = finished.get() || buffer.borrow().len() >= limit.get();
        if buffer.borrow().is_empty() {
            return match finished.get() {
                true => failure.take().map_or(JsValue::NULL, JsValue::from),
                false => JsValue::UNDEFINED,
            };
        }
        if !full && !flush {
            return JsValue::FALSE;
        }
        limit.set((limit.get() * CHUNK_GROWTH).clamp(CHUNK_SIZE_MIN, CHUNK_SIZE_MAX));
        let mut buffer = buffer.borrow_mut();
        let chunk = Uint8Array::from(buffer.as_slice());
        buffer.clear();
        chunk.into()
    }

    /// Has the producer fill the buffer. The producer is the user's code, so nothing is borrowed while it runs.
    fn produce(&self) {
        let Some(mut producer) = self.producer.take() else { return };
        if producer.as_mut().poll(&mut Context::from_waker(&self.waker)).is_pending() {
            self.producer.replace(Some(producer));
        }
    }
}

/// Makes a stream that exists already a JavaScript stream.
fn detached<F: Future<Output = ()> + 'static>(format: Format, run: impl FnOnce(Sink) -> F) -> JsValue {
    let sink = Sink::new(format);
    sink.shared.opened.set(true);
    let running = run(sink.clone());
    let producer = Box::pin(async {
        running.await;
        Ok(())
    });
    readable(sink, Some(producer))
}

/// A stream that is the argument of a call. It always travels as JSON lines: a call that has to be repeated on another lane
/// could not send it twice.
pub struct StreamArgument<S> {
    stream: Cell<Option<S>>,
    run: fn(Sink, S) -> Running,
}

impl<S> fmt::Debug for StreamArgument<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamArgument")
    }
}

impl<S> StreamArgument<S> {
    /// Called by the code `#[rpc]` generates: an argument that is a stream.
    pub fn new<T: Serialize>(stream: S) -> Self
    where
        S: Stream<Item = T> + 'static,
    {
        Self { stream: Cell::new(Some(stream)), run: |sink, stream| Box::pin(async move { sink.run(stream).await }) }
    }

    /// Called by the code `#[rpc]` generates: an argument that is a stream of results.
    pub fn of_results<T: Serialize, E: Serialize + Display>(stream: S) -> Self
    where
        S: Stream<Item = Result<T, E>> + 'static,
    {
        let run = |sink: Sink, stream| -> Running { Box::pin(async move { sink.run_results(stream).await }) };
        Self { stream: Cell::new(Some(stream)), run }
    }
}

impl<S: 'static> Argument for StreamArgument<S> {
    fn encode(&self) -> Result<JsValue, CodecError> {
        let stream = self.stream.take().ok_or_else(|| CodecError::new("a stream can be sent once"))?;
        Ok(detached(Format::Lines, |sink| (self.run)(sink, stream)))
    }

    fn append(&self, _: &mut Vec<u8>) -> Result<(), CodecError> {
        Err(CodecError::new("a stream is not made of bytes that are there already"))
    }

    fn is_sent_once(&self) -> bool {
        true
    }
}

/// Answers an HTTP request with the bytes of `stream`, each as soon as it is there. An error breaks the response off, so that the
/// client does not take the part that arrived for the whole. A client that goes away drops the stream.
///
/// ```no_run
/// # use realgar::prelude::*;
/// # async fn forward(ticks: realgar::RpcStream<u32>) -> Response {
/// use futures_util::TryStreamExt as _;
///
/// realgar::stream_response(ticks.map_ok(|tick| format!("{tick}\n")))
/// # }
/// ```
pub fn stream_response<B: AsRef<[u8]>, E: Display>(stream: impl Stream<Item = Result<B, E>> + 'static) -> Response {
    ResponseBuilder::new().stream(raw(stream).unchecked_into())
}

/// The bytes of `stream` as a `ReadableStream`.
pub(crate) fn raw<B: AsRef<[u8]>, E: Display>(stream: impl Stream<Item = Result<B, E>> + 'static) -> JsValue {
    detached(Format::Raw, |sink| async move { sink.run_raw(stream).await })
}
