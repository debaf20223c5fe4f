//! A WebSocket client.

use std::{fmt, net::TcpStream, time::Duration};
use tungstenite::{Error, Message, WebSocket, client, error::ProtocolError, protocol::CloseFrame};

/// How long a frame may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

/// A frame that a server sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// The end of the connection: the code and the reason of the close, or 1006 if there was no close frame.
    Closed(u16, String),
}

/// The client's end of a WebSocket: see [`crate::App::websocket`]. Dropping it cuts the connection.
pub struct SocketClient {
    inner: WebSocket<TcpStream>,
}

impl fmt::Debug for SocketClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketClient").field("peer", &self.inner.get_ref().peer_addr()).finish()
    }
}

impl SocketClient {
    /// Opens the WebSocket at `url`, which begins with `http:`. The error is the status and body of a response that is no upgrade,
    /// or the reason why there is no response.
    pub(crate) fn open(url: &str) -> Result<Self, String> {
        let address = url.trim_start_matches("http://").split('/').next().unwrap_or_default();
        let stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        match client(url.replacen("http", "ws", 1), stream) {
            Ok((inner, _)) => Ok(Self { inner }),
            Err(tungstenite::HandshakeError::Failure(Error::Http(response))) => {
                let body = response.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
                Err(format!("{}: {body}", response.status().as_u16()))
            }
            Err(error) => Err(error.to_string()),
        }
    }

    /// Sends text.
    ///
    /// # Panics
    /// When the connection is gone.
    #[track_caller]
    pub fn send_text(&mut self, text: &str) {
        self.send(Message::text(text));
    }

    /// Sends bytes.
    ///
    /// # Panics
    /// When the connection is gone.
    #[track_caller]
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.send(Message::binary(bytes.to_vec()));
    }

    /// Sends JSON as text.
    ///
    /// # Panics
    /// When the connection is gone, or `value` cannot be written.
    #[track_caller]
    pub fn send_json(&mut self, value: &impl serde::Serialize) {
        match serde_json::to_string(value) {
            Ok(text) => self.send_text(&text),
            Err(error) => panic!("cannot write the message: {error}"),
        }
    }

    #[track_caller]
    fn send(&mut self, message: Message) {
        if let Err(error) = self.inner.send(message) {
            panic!("cannot send to the WebSocket: {error}");
        }
    }

    /// The next frame that arrives. Waits for it, at most 30 s.
    ///
    /// # Panics
    /// When no frame arrives.
    #[track_caller]
    pub fn next_frame(&mut self) -> Frame {
        loop {
            return match self.inner.read() {
                Ok(Message::Text(text)) => Frame::Text(text.to_string()),
                Ok(Message::Binary(bytes)) => Frame::Bytes(bytes.to_vec()),
                Ok(Message::Close(frame)) => {
                    let frame = frame.unwrap_or(CloseFrame { code: 1005.into(), reason: "".into() });
                    // The client has queued its answer to the close; this sends it.
                    let _ = self.inner.flush();
                    Frame::Closed(frame.code.into(), frame.reason.to_string())
                }
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => continue,
                Err(Error::ConnectionClosed | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => {
                    Frame::Closed(1006, String::new())
                }
                Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::ConnectionReset => {
                    Frame::Closed(1006, String::new())
                }
                Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    panic!("no frame of the WebSocket arrived within {} s", PATIENCE.as_secs())
                }
                Err(error) => panic!("no frame of the WebSocket arrived: {error}"),
            };
        }
    }

    /// The text that arrives next.
    ///
    /// # Panics
    /// When something else does.
    #[track_caller]
    pub fn next_text(&mut self) -> String {
        match self.next_frame() {
            Frame::Text(text) => text,
            other => panic!("expected text from the WebSocket, got {other:?}"),
        }
    }

    /// The text that arrives next, read as JSON.
    ///
    /// # Panics
    /// When something else does.
    #[must_use]
    #[track_caller]
    pub fn next_json<T: serde::de::DeserializeOwned>(&mut self) -> T {
        let text = self.next_text();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("`{text}` is not what was expected: {error}"))
    }

    /// Closes the connection, waits for the server's close frame, and returns it.
    ///
    /// # Panics
    /// When the connection is gone.
    #[track_caller]
    pub fn close(&mut self, code: u16, reason: &str) -> Frame {
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        if let Err(error) = self.inner.close(Some(frame)) {
            panic!("cannot close the WebSocket: {error}");
        }
        loop {
            if let closed @ Frame::Closed(..) = self.next_frame() {
                return closed;
            }
        }
    }
}
