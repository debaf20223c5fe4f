//! WebSockets that hibernate: the object may leave memory while its sockets stay open, and is started again by the next message.

use crate::{Error, LiveObject, Result, codec, runtime::js};
use js_sys::{Array, Object, Uint8Array};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{any::type_name, future::Future};
use wasm_bindgen::{JsCast, JsValue};
use worker::Response;

/// The most tags that a socket has, and the most characters that a tag has (Cloudflare's "Durable Object State API").
const TAGS_MAX: usize = 10;
const TAG_LENGTH_MAX: usize = 256;
/// The most bytes of the reason that a close has (RFC 6455, section 5.5).
const REASON_SIZE_MAX: usize = 123;
/// The code of a close because of a message that does not fit (RFC 6455, section 7.4.1).
const INVALID_PAYLOAD: u16 = 1007;

/// An object that handles the messages of its clients. Without this trait, messages are dropped.
///
/// ```no_run
/// # use realgar::prelude::*;
/// use realgar::{Json, OnMessage, WebSocket};
/// use serde::{Deserialize, Serialize};
///
/// #[durable_object]
/// pub struct Room {
///     state: State,
/// }
///
/// #[derive(Serialize, Deserialize)]
/// pub enum Said {
///     Hello { name: String },
///     Text(String),
/// }
///
/// impl Fetch for Room {
///     async fn fetch(&self, _request: Request) -> Result<Response> {
///         let (socket, response) = self.state.sockets().accept(&["guest"])?;
///         socket.attach(&"nobody".to_string())?;
///         Ok(response)
///     }
/// }
///
/// impl OnMessage for Room {
///     type Message = Json<Said>;
///
///     async fn message(&self, socket: WebSocket, Json(said): Json<Said>) -> Result<()> {
///         if let Said::Hello { name } = &said {
///             socket.attach(name)?;
///         }
///         self.state.sockets().broadcast().except(&socket).json(&said)?;
///         Ok(())
///     }
/// }
/// # impl DurableObject for Room {
/// #     fn init(_cx: &mut Init) -> impl Instantiate<Self> {
/// #         |state: State| async { Ok(Room { state }) }
/// #     }
/// # }
/// ```
pub trait OnMessage: LiveObject {
    /// The type of a message: [`WebSocketMessage`], `String`, `Vec<u8>`, or [`Json`]. If a client's message does not fit the type,
    /// its socket is closed with code 1007 and the reason; other clients do not notice.
    type Message: FromMessage;

    /// Handles a message. An error is logged, and the socket stays open.
    fn message(&self, socket: WebSocket, message: Self::Message) -> impl Future<Output = Result<()>>;
}

/// An object that is told when a client closes its socket. The close is answered when the handler is done, unless the handler has
/// closed the socket itself, with its own code. Without this trait, a close is answered at once.
pub trait OnClose: LiveObject {
    /// Handles the close. The socket is no longer among those of the object.
    fn close(&self, socket: WebSocket, close: Close) -> impl Future<Output = Result<()>>;
}

/// An object that is told when a socket fails other than by a close, such as by a connection that is lost.
pub trait OnError: LiveObject {
    /// Handles the failure.
    fn error(&self, socket: WebSocket, error: Error) -> impl Future<Output = Result<()>>;
}

/// Why a socket was closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// The code: 1000 is the ordinary end, 1005 means that there was no code, and 1006 that the connection was lost.
    pub code: u16,
    /// The reason that the client gave.
    pub reason: String,
    /// Whether both sides agreed to close.
    pub clean: bool,
}

/// A message as it arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebSocketMessage {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
}

/// A type that a message can be decoded as.
#[diagnostic::on_unimplemented(
    message = "a message of a WebSocket is no `{Self}`",
    note = "take it as `WebSocketMessage`, `String` or `Vec<u8>`; or as `Json<{Self}>`, if it is text with JSON in it"
)]
pub trait FromMessage: Sized {
    /// Decodes a message.
    ///
    /// # Errors
    /// Why the message does not fit the type, in words for the client.
    fn from_message(message: WebSocketMessage) -> Result<Self, String>;

    /// The form of the messages, if they have one.
    #[doc(hidden)]
    fn describe_form() -> Option<realgar_wire::Shape> {
        None
    }
}

/// A message, or an answer, that is JSON text. Its numbers are those of JavaScript: 2.0 is 2. An integer beyond 2^53 - 1 is an
/// error if the type has an integer there, and rounded if the type accepts anything, as `serde_json::Value` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl FromMessage for WebSocketMessage {
    fn from_message(message: WebSocketMessage) -> Result<Self, String> {
        Ok(message)
    }
}

impl FromMessage for String {
    fn from_message(message: WebSocketMessage) -> Result<Self, String> {
        match message {
            WebSocketMessage::Text(text) => Ok(text),
            WebSocketMessage::Binary(_) => Err("expected text, got bytes".into()),
        }
    }
}

impl FromMessage for Vec<u8> {
    fn from_message(message: WebSocketMessage) -> Result<Self, String> {
        match message {
            WebSocketMessage::Binary(bytes) => Ok(bytes),
            WebSocketMessage::Text(_) => Err("expected bytes, got text".into()),
        }
    }
}

impl<T: DeserializeOwned> FromMessage for Json<T> {
    fn from_message(message: WebSocketMessage) -> Result<Self, String> {
        let text = String::from_message(message)?;
        codec::json::parse(&text).map(Json).map_err(|error| error.to_string())
    }

    fn describe_form() -> Option<realgar_wire::Shape> {
        Some(crate::__private::probe::read::<T>())
    }
}

/// The WebSockets of an object: see [`crate::State::sockets`].
#[derive(Clone, Debug)]
pub struct WebSockets {
    state: JsValue,
}

impl WebSockets {
    pub(crate) fn new(state: JsValue) -> Self {
        Self { state }
    }

    /// Accepts a socket. Returns the object's end of it, and the response that hands the other end to the client. The socket can be
    /// found by its tags, and stays open while the object hibernates.
    ///
    /// # Errors
    /// When there are more than 10 tags, one of more than 256 characters, or more sockets than an object can have (32,768).
    pub fn accept(&self, tags: &[&str]) -> Result<(WebSocket, Response)> {
        if tags.len() > TAGS_MAX {
            return Err(format!("a WebSocket cannot have {} tags: {TAGS_MAX} are the most", tags.len()).into());
        }
        if let Some(tag) = tags.iter().find(|tag| tag.encode_utf16().count() > TAG_LENGTH_MAX) {
            let start: String = tag.chars().take(16).collect();
            return Err(format!(
                "the tag `{start}..` is longer than the {TAG_LENGTH_MAX} characters that a tag can have"
            )
            .into());
        }
        let pair = worker::WebSocketPair::new()?;
        let socket: JsValue = pair.server.as_ref().clone().into();
        let tags: Array = tags.iter().map(|tag| JsValue::from_str(tag)).collect();
        js::invoke2(&self.state, "acceptWebSocket", &socket, &tags).map_err(Error::from_js)?;
        Ok((WebSocket::new(socket, self.state.clone()), Response::from_websocket(pair.client)?))
    }

    /// All sockets that are open, also those that were accepted before the object hibernated.
    #[must_use]
    pub fn all(&self) -> Vec<WebSocket> {
        self.list(&JsValue::UNDEFINED)
    }

    /// The open sockets that were accepted with this tag.
    #[must_use]
    pub fn tagged(&self, tag: &str) -> Vec<WebSocket> {
        self.list(&tag.into())
    }

    fn list(&self, tag: &JsValue) -> Vec<WebSocket> {
        // The list fails only for an object that was reset.
        let sockets = js::sockets(&self.state, tag).unwrap_or_default();
        sockets.iter().map(|raw| WebSocket::new(raw, self.state.clone())).collect()
    }

    /// Sends one message to many: to all, unless [`Broadcast::tagged`] and [`Broadcast::except`] say otherwise.
    #[must_use]
    pub fn broadcast(&self) -> Broadcast<'_> {
        Broadcast { sockets: self, tag: JsValue::UNDEFINED, except: JsValue::UNDEFINED }
    }

    /// Makes the platform answer the message `request` with `response`, without waking the object. `None` ends that. Both have at
    /// most 2,048 characters.
    ///
    /// # Errors
    /// When `request` or `response` is longer.
    pub fn set_auto_response(&self, pair: Option<(&str, &str)>) -> Result<()> {
        let set = match pair {
            None => js::invoke0(&self.state, "setWebSocketAutoResponse"),
            Some((request, response)) => js::auto_response(request, response)
                .and_then(|pair| js::invoke1(&self.state, "setWebSocketAutoResponse", &pair)),
        };
        set.map(drop).map_err(Error::from_js)
    }
}

/// A message that is sent to many sockets.
#[derive(Clone, Debug)]
pub struct Broadcast<'a> {
    sockets: &'a WebSockets,
    tag: JsValue,
    except: JsValue,
}

impl Broadcast<'_> {
    /// Sends only to the sockets with this tag.
    #[must_use]
    pub fn tagged(self, tag: &str) -> Self {
        Self { tag: tag.into(), ..self }
    }

    /// Sends to all sockets but this one.
    #[must_use]
    pub fn except(self, socket: &WebSocket) -> Self {
        Self { except: socket.raw.clone(), ..self }
    }

    /// Sends text, and returns to how many sockets. A socket that is closing is left out; the others get the message all the same.
    pub fn text(self, text: &str) -> usize {
        self.send(&text.into())
    }

    /// Sends bytes, and returns to how many sockets.
    pub fn bytes(self, bytes: &[u8]) -> usize {
        self.send(&Uint8Array::from(bytes).into())
    }

    /// Sends JSON as text, and returns to how many sockets. `value` is serialised once for all of them.
    ///
    /// # Errors
    /// Where `value` has no exact form in JSON.
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Result<usize> {
        Ok(self.text(&codec::json::to_text(value)?))
    }

    fn send(&self, message: &JsValue) -> usize {
        // As in `list`, this fails only for an object that was reset.
        js::broadcast(&self.sockets.state, &self.tag, &self.except, message).unwrap_or(0) as usize
    }
}

/// One WebSocket of an object. Two are equal if they are the same connection.
#[derive(Clone, Debug, PartialEq)]
pub struct WebSocket {
    raw: JsValue,
    state: JsValue,
}

/// An attachment, with the name of its type. The name shows whether another version attached a value of another type.
#[derive(Serialize, Deserialize)]
struct Attached<T> {
    #[serde(rename = "type")]
    ty: String,
    value: T,
}

impl WebSocket {
    pub(crate) fn new(raw: JsValue, state: JsValue) -> Self {
        Self { raw, state }
    }

    /// Sends text.
    ///
    /// The text is queued, and this returns at once. The platform does not show how much a slow client still has to receive
    /// (workerd's issue 988), so nothing here can wait for it. If you send much to one client, let the client say how far it is,
    /// and stay only some messages ahead of that.
    ///
    /// # Errors
    /// When the socket is closed.
    pub fn text(&self, text: &str) -> Result<()> {
        self.send(&text.into())
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// When the socket is closed.
    pub fn bytes(&self, bytes: &[u8]) -> Result<()> {
        self.send(&Uint8Array::from(bytes).into())
    }

    /// Sends JSON as text.
    ///
    /// # Errors
    /// When the socket is closed, or where `value` has no exact form in JSON.
    pub fn json<T: Serialize + ?Sized>(&self, value: &T) -> Result<()> {
        self.text(&codec::json::to_text(value)?)
    }

    fn send(&self, message: &JsValue) -> Result<()> {
        js::invoke1(&self.raw, "send", message).map(drop).map_err(Error::from_js)
    }

    /// Closes the socket, with a code of 1000 to 4999 that may be sent (not 1004, 1005, 1006, 1015), and a reason of at most
    /// 123 bytes.
    ///
    /// # Errors
    /// When the code or the reason is not allowed.
    pub fn close(&self, code: u16, reason: &str) -> Result<()> {
        if reason.len() > REASON_SIZE_MAX {
            return Err(
                format!("the reason to close has {} bytes: {REASON_SIZE_MAX} are the most", reason.len()).into()
            );
        }
        js::invoke2(&self.raw, "close", &code.into(), &reason.into()).map(drop).map_err(Error::from_js)
    }

    /// Attaches `value` to the socket, in place of the earlier attachment. It outlives hibernation, but not the connection. It has
    /// at most 16,384 bytes, as JavaScript stores it (Cloudflare's "WebSockets" page).
    ///
    /// # Errors
    /// When the value is larger, or has no form in JavaScript.
    pub fn attach<T: Serialize>(&self, value: &T) -> Result<()> {
        let attached = codec::to_js(&Attached { ty: type_name::<T>().into(), value })?;
        let attach = js::invoke1(&self.raw, "serializeAttachment", &attached);
        attach.map(drop).map_err(|error| format!("cannot attach to the WebSocket: {}", Error::from_js(error)).into())
    }

    /// The socket's attachment, if it has one.
    ///
    /// # Errors
    /// When the attachment is not a `T`, because another type or version was attached.
    pub fn attachment<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        let raw = js::invoke0(&self.raw, "deserializeAttachment").map_err(Error::from_js)?;
        if raw.is_null() || raw.is_undefined() {
            return Ok(None);
        }
        let ty = js::string_field(&raw, "type").unwrap_or_default();
        if ty != type_name::<T>() {
            return Err(format!("the attachment of the WebSocket is a `{ty}`, not a `{}`", type_name::<T>()).into());
        }
        Ok(Some(codec::from_js(&js::field(&raw, "value")).map_err(|error| error.inside("attachment"))?))
    }

    /// The tags that the socket was accepted with.
    #[must_use]
    pub fn tags(&self) -> Vec<String> {
        let tags = js::invoke1(&self.state, "getTags", &self.raw).map(|tags| Array::from(&tags));
        tags.unwrap_or_default().iter().filter_map(|tag| tag.as_string()).collect()
    }

    /// Whether messages can be sent.
    #[must_use]
    pub fn is_open(&self) -> bool {
        js::field(&self.raw, "readyState").as_f64() == Some(1.0)
    }

    /// When the platform last answered for the object, in milliseconds since 1970: see [`WebSockets::set_auto_response`].
    #[must_use]
    pub fn auto_responded_ms(&self) -> Option<u64> {
        let time = js::invoke1(&self.state, "getWebSocketAutoResponseTimestamp", &self.raw).ok()?;
        Some(time.dyn_ref::<js_sys::Date>()?.get_time() as u64)
    }

    /// Closes the socket because of a message that does not fit its type.
    fn refuse(&self, problem: &str) {
        let end = (0..=REASON_SIZE_MAX.min(problem.len())).rev().find(|end| problem.is_char_boundary(*end));
        // This fails if the socket is closing already.
        let _ = js::invoke2(&self.raw, "close", &INVALID_PAYLOAD.into(), &problem[..end.unwrap_or(0)].into());
    }
}

/// What happened on a socket.
#[derive(Debug)]
pub enum SocketEvent {
    /// A message arrived.
    Message(JsValue),
    /// The client closed it.
    Close(Close),
    /// It failed.
    Error(JsValue),
}

/// Decodes a message as an `M`. If it does not fit, the socket is closed, and there is no message to handle.
pub(crate) fn message<M: FromMessage>(socket: &WebSocket, raw: &JsValue) -> Option<M> {
    let message = match raw.as_string() {
        Some(text) => WebSocketMessage::Text(text),
        None => WebSocketMessage::Binary(js::bytes(raw.unchecked_ref::<Object>()).to_vec()),
    };
    match M::from_message(message) {
        Ok(message) => Some(message),
        Err(problem) => {
            socket.refuse(&problem);
            None
        }
    }
}
