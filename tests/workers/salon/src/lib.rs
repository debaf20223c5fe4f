//! Objects with WebSockets: a room whose guests talk JSON, and a pipe that gives back what it gets.

use realgar::{Close, Error, Json, Namespace, OnClose, OnError, OnMessage, WebSocket, WebSocketMessage, prelude::*};
use serde::{Deserialize, Serialize};
use std::cell::{Cell, RefCell};

/// What is kept with the socket of a guest.
#[derive(Debug, Serialize, Deserialize)]
pub struct Guest {
    name: String,
    /// To make it as large as a test likes.
    luggage: String,
}

/// Of the same form as [`Guest`].
#[derive(Debug, Serialize, Deserialize)]
pub struct Ghost {
    name: String,
    luggage: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Said {
    Name(String),
    Luggage(usize),
    Ghost,
    All(String),
    Others(String),
    Tagged(String, String),
    WhoAmI,
    Guests,
    Fail,
    Panic,
    Leave(u16, String),
}

#[cfg_attr(not(feature = "isolated"), durable_object)]
#[cfg_attr(feature = "isolated", durable_object(isolation = "object"))]
pub struct Salon {
    state: State,
    /// How often it was started.
    starts: u32,
    /// The names of the guests that it found when it was started.
    found: RefCell<Vec<String>>,
    heard: Cell<u32>,
}

impl DurableObject for Salon {
    fn init(_cx: &mut Init) -> impl Instantiate<Self> {
        |state: State| async move {
            let starts = state.storage().get("starts").await?.unwrap_or(0) + 1;
            state.storage().put("starts", &starts).await?;
            let mut found = Vec::new();
            for socket in state.sockets().all() {
                found.extend(socket.attachment::<Guest>()?.map(|guest| guest.name));
            }
            found.sort();
            Ok(Salon { state, starts, found: RefCell::new(found), heard: Cell::new(0) })
        }
    }
}

impl Fetch for Salon {
    async fn fetch(&self, request: Request) -> Result<Response> {
        let url = request.url()?;
        let tags: Vec<String> = url.query_pairs().map(|(tag, _)| tag.into_owned()).collect();
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        match self.state.sockets().accept(&tags) {
            Ok((socket, response)) => {
                socket.attach(&Guest { name: "nobody".into(), luggage: String::new() })?;
                Ok(response)
            }
            Err(error) => Ok(Response::error(error.to_string(), 400)?),
        }
    }
}

impl OnMessage for Salon {
    type Message = Json<Said>;

    async fn message(&self, socket: WebSocket, Json(said): Json<Said>) -> Result<()> {
        self.heard.set(self.heard.get() + 1);
        let sockets = self.state.sockets();
        match said {
            Said::Name(name) => {
                socket.attach(&Guest { name, luggage: String::new() })?;
                socket.json("named")
            }
            Said::Luggage(size) => {
                let attached = socket.attach(&Guest { name: "heavy".into(), luggage: "x".repeat(size) });
                socket.json(&attached.map_err(|error| error.to_string()))
            }
            Said::Ghost => {
                socket.attach(&Ghost { name: "ghost".into(), luggage: String::new() })?;
                let guest = socket.attachment::<Guest>().map(|guest| guest.map(|guest| guest.name));
                socket.json(&guest.map_err(|error| error.to_string()))
            }
            Said::All(text) => socket.json(&sockets.broadcast().text(&text)),
            Said::Others(text) => socket.json(&sockets.broadcast().except(&socket).json(&text)?),
            Said::Tagged(tag, text) => {
                let (count, tagged) = (sockets.broadcast().tagged(&tag).text(&text), sockets.tagged(&tag).len());
                socket.json(&(count, tagged))
            }
            Said::WhoAmI => {
                let name = socket.attachment::<Guest>()?.map(|guest| guest.name);
                socket.json(&(name, socket.tags(), self.starts, self.heard.get()))
            }
            Said::Guests => socket.json(&*self.found.borrow()),
            Said::Fail => Err("this guest is not welcome".into()),
            Said::Panic => panic!("panic at a message"),
            Said::Leave(code, reason) => match socket.close(code, &reason) {
                Ok(()) => Ok(()),
                Err(error) => socket.json(&error.to_string()),
            },
        }
    }
}

#[rpc]
impl Salon {
    /// Has the platform answer `ping`.
    pub fn answer(&self, on: bool) -> Result<()> {
        self.state.sockets().set_auto_response(on.then_some(("ping", "pong")))
    }

    /// How often the object was started, and when the platform last answered for it.
    pub fn starts(&self) -> (u32, Vec<bool>) {
        let sockets = self.state.sockets().all();
        (self.starts, sockets.iter().map(|socket| socket.auto_responded_ms().is_some()).collect())
    }
}

#[cfg_attr(not(feature = "isolated"), durable_object)]
#[cfg_attr(feature = "isolated", durable_object(isolation = "object"))]
pub struct Pipe {
    state: State,
}

impl DurableObject for Pipe {
    fn init(_cx: &mut Init) -> impl Instantiate<Self> {
        |state: State| async { Ok(Pipe { state }) }
    }
}

impl Fetch for Pipe {
    async fn fetch(&self, _request: Request) -> Result<Response> {
        Ok(self.state.sockets().accept(&[])?.1)
    }
}

impl OnMessage for Pipe {
    type Message = WebSocketMessage;

    async fn message(&self, socket: WebSocket, message: WebSocketMessage) -> Result<()> {
        match message {
            WebSocketMessage::Text(text) => socket.text(&text),
            WebSocketMessage::Binary(bytes) => socket.bytes(&bytes),
        }
    }
}

impl OnClose for Pipe {
    async fn close(&self, socket: WebSocket, close: Close) -> Result<()> {
        let rest = self.state.sockets().all().len();
        let said = format!("{} {:?} {} {} {rest}", close.code, close.reason, close.clean, socket.is_open());
        self.state.storage().put("closed", &said).await
    }
}

impl OnError for Pipe {
    async fn error(&self, _socket: WebSocket, error: Error) -> Result<()> {
        self.state.storage().put("failed", &error.to_string()).await
    }
}

#[rpc]
impl Pipe {
    /// What was said of the last close.
    pub async fn closed(&self) -> Result<Option<String>> {
        self.state.storage().get("closed").await
    }
}

#[worker(hosts(Salon, Pipe))]
pub struct House {
    salons: Namespace<Salon>,
    pipes: Namespace<Pipe>,
}

impl Worker for House {
    fn init(cx: &mut Init) -> Self {
        House { salons: cx.bind(Salon::from::<Self>()), pipes: cx.bind(Pipe::from::<Self>()) }
    }

    async fn fetch(&self, request: Request, _cx: &Context) -> Result<Response> {
        let (salon, pipe) = (self.salons.get_by_name("one"), self.pipes.get_by_name("one"));
        match request.path().as_str() {
            "/salon" => Ok(salon.fetch(request).await?),
            "/pipe" => Ok(pipe.fetch(request).await?),
            "/answer" => Ok(Response::from_json(&salon.answer(true).await?)?),
            "/starts" => Ok(Response::from_json(&salon.starts().await?)?),
            "/closed" => Ok(Response::from_json(&pipe.closed().await?)?),
            _ => Ok(Response::error("no such room", 404)?),
        }
    }
}

realgar::export!(House);
