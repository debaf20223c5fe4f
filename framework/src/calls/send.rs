//! The calling end: a method on a stub.

use self::peer::Peer;
use super::{CallError, Lane, RpcError, RpcErrorKind, error::is_method_missing};
use crate::{
    RpcStream, Stub,
    calls::stream::StreamError,
    codec,
    runtime::{deadline, js, promise, trace},
    sleep,
};
use js_sys::{Array, Uint8Array};
use serde::{Serialize, de::DeserializeOwned};
use std::{borrow::Cow, rc::Rc, time::Duration};
use wasm_bindgen::{JsCast, JsValue};
use worker::{Request, Response};

/// An argument that the caller sends.
pub trait Argument {
    /// Encodes the argument as a plain JavaScript value.
    fn encode(&self) -> Result<JsValue, crate::CodecError>;

    /// Appends the argument's bytes to `payload`.
    fn append(&self, payload: &mut Vec<u8>) -> Result<(), crate::CodecError>;

    /// Whether a call uses the argument up even if the call is refused.
    fn is_sent_once(&self) -> bool {
        false
    }
}

impl<T: Serialize> Argument for T {
    fn encode(&self) -> Result<JsValue, crate::CodecError> {
        codec::to_js(self)
    }

    fn append(&self, payload: &mut Vec<u8>) -> Result<(), crate::CodecError> {
        codec::bytes::append(payload, self)
    }
}

/// The method that is called.
#[derive(Clone, Copy, Debug)]
pub struct MethodName {
    /// Its name on the wire.
    pub name: &'static str,
    /// Whether the method may run twice. If so, a call that failed on the way is repeated.
    pub idempotent: bool,
}

/// The arguments of a call, by their names in the source.
pub(crate) type Named<'a> = [(&'a str, &'a dyn Argument)];

/// What a method returned, and how to read it.
struct Answer<'a> {
    method: &'a str,
    lane: Lane,
    /// Whether the peer has another contract. If so, a value that does not fit is not the peer's mistake.
    skewed: bool,
    /// The value that the call returned, or the one that it threw.
    outcome: Result<JsValue, JsValue>,
}

impl Answer<'_> {
    fn value<T: DeserializeOwned>(&self, value: &JsValue) -> Result<T, RpcError> {
        let decoded = self.lane.decode(value);
        decoded.map_err(|error| self.seen(RpcError::from_codec(RpcErrorKind::BadResult, self.method, &error)))
    }

    fn stream<T, E: StreamError>(&self, value: &JsValue) -> Result<RpcStream<T, E>, RpcError> {
        let stream = RpcStream::new(self.method, value, self.skewed);
        stream.map_err(|error| self.seen(RpcError::new(RpcErrorKind::BadResult, self.method, error)))
    }

    fn error(&self, thrown: &JsValue) -> RpcError {
        self.seen(RpcError::from_thrown(self.method, thrown))
    }

    fn call_error<E: DeserializeOwned>(&self, thrown: &JsValue) -> CallError<E> {
        match CallError::from_thrown(self.method, thrown) {
            CallError::Rpc(error) => CallError::Rpc(self.seen(error)),
            error => error,
        }
    }

    /// The same error. If the peer has another contract, it is reported as a difference between the contracts.
    fn seen(&self, error: RpcError) -> RpcError {
        if self.skewed { error.skewed() } else { error }
    }
}

/// Calls a method whose result is a plain value.
pub(crate) async fn call_value<T: DeserializeOwned>(
    stub: &Stub,
    method: MethodName,
    arguments: &Named<'_>,
) -> Result<T, RpcError> {
    let answer = send(stub, method, arguments).await?;
    match &answer.outcome {
        Ok(value) => answer.value(value),
        Err(thrown) => Err(answer.error(thrown)),
    }
}

/// Calls a method whose result is a `Result`.
pub(crate) async fn call_fallible<T: DeserializeOwned, E: DeserializeOwned>(
    stub: &Stub,
    method: MethodName,
    arguments: &Named<'_>,
) -> Result<T, CallError<E>> {
    let answer = send(stub, method, arguments).await?;
    match &answer.outcome {
        Ok(value) => Ok(answer.value(value)?),
        Err(thrown) => Err(answer.call_error(thrown)),
    }
}

/// Calls a method whose result is a stream.
pub async fn call_stream<T, E: StreamError>(
    stub: &Stub,
    method: MethodName,
    arguments: &Named<'_>,
) -> Result<RpcStream<T, E>, RpcError> {
    let answer = send(stub, method, arguments).await?;
    match &answer.outcome {
        Ok(value) => answer.stream(value),
        Err(thrown) => Err(answer.error(thrown)),
    }
}

/// Calls a method whose result is a `Result` of a stream.
pub async fn call_stream_fallible<T, E: StreamError, F: DeserializeOwned>(
    stub: &Stub,
    method: MethodName,
    arguments: &Named<'_>,
) -> Result<RpcStream<T, E>, CallError<F>> {
    let answer = send(stub, method, arguments).await?;
    match &answer.outcome {
        Ok(value) => Ok(answer.stream(value)?),
        Err(thrown) => Err(answer.call_error(thrown)),
    }
}

/// Forwards an HTTP request.
pub(crate) async fn fetch(stub: &Stub, request: Request) -> Result<Response, RpcError> {
    let target = stub.target("fetch")?;
    let request: JsValue = worker::web_sys::Request::try_from(request)
        .map_err(|error: worker::Error| RpcError::new(RpcErrorKind::NotSent, "fetch", error.to_string()))?
        .into();
    match settled(js::invoke1(&target, "fetch", &request)).await {
        Ok(response) => Ok(worker::web_sys::Response::unchecked_from_js(response).into()),
        Err(thrown) => Err(RpcError::from_thrown("fetch", &thrown)),
    }
}

/// How often a call of an idempotent method is made at most.
const ATTEMPTS: u32 = 4;
/// How long to wait after the first failure, in milliseconds, doubled after each further one. With jitter, a pause is from nothing
/// to twice as long.
const BACKOFF_MS: f64 = 50.0;

/// Makes the call, and repeats it if the method is idempotent and a repetition might succeed. `Err` is a failure on this side.
async fn send<'a>(stub: &Stub, method: MethodName, arguments: &Named<'_>) -> Result<Answer<'a>, RpcError> {
    let mut stub = Cow::Borrowed(stub);
    let mut attempt = 1;
    loop {
        let answer = send_once(&stub, method.name, arguments).await?;
        let failed = |thrown: &JsValue| RpcError::from_thrown(method.name, thrown).is_retryable();
        let again = method.idempotent && attempt < ATTEMPTS && answer.outcome.as_ref().is_err_and(failed);
        if !again {
            return Ok(answer);
        }
        // All callers of an object see it fail at the same time; they should not all come back at the same time.
        let pause = BACKOFF_MS * f64::from(1 << (attempt - 1)) * 2.0 * js_sys::Math::random();
        sleep(Duration::from_millis(pause as u64)).await;
        // After a failure of the connection, the old stub would fail for ever.
        stub = Cow::Owned(stub.renewed());
        attempt += 1;
    }
}

/// Makes the call: as bytes where this build's contract allows it and the peer has the same, and natively otherwise.
async fn send_once<'a>(stub: &Stub, method: &'static str, arguments: &Named<'_>) -> Result<Answer<'a>, RpcError> {
    let mut sending = Sending {
        target: stub.target(method)?,
        binding: stub.binding(),
        method,
        arguments,
        remaining: deadline::remaining(),
        trace: trace::current_trace(),
        values: None,
        skewed: false,
    };
    let mut way = sending.first_way();
    loop {
        // A single `await` for all ways: each `await` costs as much code as all the state that is kept across it.
        let outcome = settled(sending.begin(&way)?).await;
        match sending.next_way(&way, &outcome) {
            Some(next) => way = next,
            None => return Ok(sending.answer(&way, outcome)),
        }
    }
}

/// A way to make a call.
enum Way {
    /// As bytes, with the hash of the contract.
    Bytes(JsValue),
    /// Only asks whether the peer is written with this crate. Another peer would refuse a call, and use up the arguments in it all
    /// the same.
    Ask,
    /// As plain values, together with the deadline and the trace, for which a plain call has no place.
    Native,
    /// As a plain call, such as a JavaScript caller makes.
    Plain,
}

/// A call on its way.
struct Sending<'s> {
    target: Cow<'s, JsValue>,
    binding: &'static str,
    method: &'static str,
    arguments: &'s Named<'s>,
    remaining: f64,
    trace: Option<Rc<str>>,
    /// The arguments as JavaScript values, once they were encoded.
    values: Option<Values>,
    skewed: bool,
}

impl Sending<'_> {
    fn first_way(&self) -> Way {
        match js::contract(self.binding, self.method) {
            Some(hash) if peer::known(self.binding) != Some(Peer::Stranger) => Way::Bytes(hash),
            _ => self.way_of_values(),
        }
    }

    fn way_of_values(&self) -> Way {
        let sent_once = || self.arguments.iter().any(|(_, argument)| argument.is_sent_once());
        match peer::known(self.binding) {
            _ if self.remaining.is_infinite() && self.trace.is_none() => Way::Plain,
            Some(Peer::Stranger) => Way::Plain,
            None if sent_once() => Way::Ask,
            _ => Way::Native,
        }
    }

    /// Begins the call. The inner `Result` is what JavaScript returned or threw.
    fn begin(&mut self, way: &Way) -> Result<Result<JsValue, JsValue>, RpcError> {
        if matches!(way, Way::Native | Way::Plain) && self.values.is_none() {
            self.values = Some(Values::encode(self.method, self.arguments)?);
        }
        let values = self.values.as_ref().map_or(&[][..], |values| &values.0);
        let list = || values.iter().collect::<Array>();
        let realgar = |method, hash: &JsValue, payload: &JsValue| {
            js::invoke_realgar(&self.target, method, hash, payload, self.remaining, self.trace.as_deref())
        };
        Ok(match way {
            Way::Bytes(hash) => realgar(self.method, hash, &bytes(self.method, self.arguments)?.into()),
            // No method has this name.
            Way::Ask => realgar("", &JsValue::NULL, &Array::new()),
            Way::Native => realgar(self.method, &JsValue::NULL, &list()),
            Way::Plain => match values {
                [] => js::invoke0(&self.target, self.method),
                [only] => js::invoke1(&self.target, self.method, only),
                _ => js::invoke(&self.target, self.method, &list()),
            },
        })
    }

    /// The way to try next, if this way's outcome is not an answer of the method. In that case the method did not run.
    fn next_way(&mut self, way: &Way, outcome: &Result<JsValue, JsValue>) -> Option<Way> {
        if let Way::Plain = way {
            return None;
        }
        let refused = outcome.as_ref().err().and_then(refusal);
        if refused == Some(Refused::Stranger) {
            peer::learn(self.binding, Peer::Stranger);
        } else if outcome.as_ref().map_or_else(RpcError::is_ours, |_| true) {
            peer::learn(self.binding, Peer::Realgar);
        }
        match (way, refused) {
            (Way::Bytes(_), Some(why)) => {
                self.skewed = why == Refused::Skew;
                Some(self.way_of_values())
            }
            (Way::Ask, _) if peer::known(self.binding) == Some(Peer::Stranger) => Some(Way::Plain),
            (Way::Ask, _) => Some(Way::Native),
            (Way::Native, Some(Refused::Stranger)) => Some(Way::Plain),
            _ => None,
        }
    }

    fn answer<'a>(self, way: &Way, outcome: Result<JsValue, JsValue>) -> Answer<'a> {
        if let (Some(values), Err(_)) = (&self.values, &outcome) {
            values.discard();
        }
        let lane = if let Way::Bytes(_) = way { Lane::Bytes } else { Lane::Native };
        Answer { method: self.method, lane, skewed: self.skewed, outcome }
    }
}

fn not_sent(method: &str, name: &str, error: crate::CodecError) -> RpcError {
    RpcError::from_codec(RpcErrorKind::NotSent, method, &error.inside(name))
}

/// The arguments as bytes.
fn bytes(method: &str, arguments: &Named<'_>) -> Result<Uint8Array, RpcError> {
    let mut payload = Vec::new();
    for (name, argument) in arguments {
        argument.append(&mut payload).map_err(|error| not_sent(method, name, error))?;
    }
    Ok(Uint8Array::from(payload.as_slice()))
}

/// The arguments as JavaScript values. If the call fails, the streams among them are cancelled.
struct Values(Vec<JsValue>);

impl Values {
    fn encode(method: &str, arguments: &Named<'_>) -> Result<Self, RpcError> {
        let mut values = Self(Vec::with_capacity(arguments.len()));
        for (name, argument) in arguments {
            values.0.push(argument.encode().map_err(|error| {
                values.discard();
                not_sent(method, name, error)
            })?);
        }
        Ok(values)
    }

    fn discard(&self) {
        self.0.iter().filter(|value| value.is_object()).for_each(js::discard);
    }
}

/// Why a peer does not take bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Refused {
    /// The peer has another contract.
    Skew,
    /// The peer is not written with this crate.
    Stranger,
}

fn refusal(thrown: &JsValue) -> Option<Refused> {
    if js::string_field(thrown, "code").as_deref() == Some(RpcErrorKind::VersionSkew.code()) {
        return Some(Refused::Skew);
    }
    let message = js::string_field(thrown, "message")?;
    let stranger = is_method_missing(&message) && js::says(&message, js::REALGAR_METHOD);
    stranger.then_some(Refused::Stranger)
}

/// What was learned about the peers behind the bindings. It is kept for as long as this instance lives.
mod peer {
    use std::cell::RefCell;

    #[derive(Clone, Copy, PartialEq, Eq)]
    pub(super) enum Peer {
        /// The peer is written with this crate.
        Realgar,
        Stranger,
    }

    thread_local! {
        static PEERS: RefCell<Vec<(&'static str, Peer)>> = const { RefCell::new(Vec::new()) };
    }

    pub(super) fn known(binding: &'static str) -> Option<Peer> {
        PEERS.with_borrow(|peers| peers.iter().find(|(known, _)| *known == binding).map(|(_, peer)| *peer))
    }

    pub(super) fn learn(binding: &'static str, peer: Peer) {
        PEERS.with_borrow_mut(|peers| match peers.iter_mut().find(|(known, _)| *known == binding) {
            Some((_, known)) => *known = peer,
            None => peers.push((binding, peer)),
        });
    }
}

/// Awaits what a stub returned.
async fn settled(returned: Result<JsValue, JsValue>) -> Result<JsValue, JsValue> {
    promise::settled(&returned?).await
}
