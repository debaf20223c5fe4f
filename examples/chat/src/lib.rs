//! Rooms to chat in: one object for each, whose WebSockets stay open while it hibernates. What was said is in its SQL database, and
//! who is there is what is attached to the sockets, so that nothing in memory is missed.
//!
//! `GET /` is the page; `/rooms/ROOM?name=NAME` is the WebSocket.

use realgar::{Assets, AssetsClient, Close, Json, Namespace, OnClose, OnMessage, WebSocket, prelude::*};
use serde::{Deserialize, Serialize};

/// How much of what was said a guest sees at first.
const HISTORY: u32 = 50;

/// What a guest sends.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Command {
    Say(String),
}

/// What a guest gets.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Event {
    /// First of all: who is there, and what was said.
    Welcome {
        present: Vec<String>,
        history: Vec<Line>,
    },
    Joined(String),
    Left(String),
    Said(Line),
}

#[derive(Serialize, Deserialize)]
pub struct Line {
    name: String,
    text: String,
}

/// Attached to each socket.
#[derive(Serialize, Deserialize)]
struct Guest {
    name: String,
}

#[durable_object]
pub struct Room {
    state: State,
}

impl DurableObject for Room {
    fn init(_cx: &mut Init) -> impl Instantiate<Self> {
        |state: State| async {
            let lines =
                "CREATE TABLE IF NOT EXISTS lines (id INTEGER PRIMARY KEY, name TEXT NOT NULL, text TEXT NOT NULL)";
            state.sql().execute(lines, ())?;
            Ok(Room { state })
        }
    }
}

impl Room {
    fn present(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for socket in self.state.sockets().all() {
            names.extend(socket.attachment::<Guest>()?.map(|guest| guest.name));
        }
        names.sort();
        names.dedup();
        Ok(names)
    }

    fn history(&self) -> Result<Vec<Line>> {
        let last = "SELECT name, text FROM (SELECT * FROM lines ORDER BY id DESC LIMIT ?) ORDER BY id";
        self.state.sql().query(last, (HISTORY,))
    }
}

impl Fetch for Room {
    async fn fetch(&self, request: Request) -> Result<Response> {
        let name = request.query_param("name").map(|name| name.trim().to_string());
        let Some(name) = name.filter(|name| (1..=40).contains(&name.chars().count())) else {
            return Ok(Response::error("say who you are: ?name=.., of up to 40 characters", 400)?);
        };
        let (socket, response) = self.state.sockets().accept(&[])?;
        socket.attach(&Guest { name: name.clone() })?;
        socket.json(&Event::Welcome { present: self.present()?, history: self.history()? })?;
        self.state.sockets().broadcast().except(&socket).json(&Event::Joined(name))?;
        Ok(response)
    }
}

impl OnMessage for Room {
    type Message = Json<Command>;

    async fn message(&self, socket: WebSocket, Json(Command::Say(text)): Json<Command>) -> Result<()> {
        let Guest { name } = socket.attachment()?.ok_or("a socket of nobody")?;
        let line = Line { name, text };
        self.state
            .sql()
            .execute("INSERT INTO lines (name, text) VALUES (?, ?)", (line.name.as_str(), line.text.as_str()))?;
        self.state.sockets().broadcast().json(&Event::Said(line))?;
        Ok(())
    }
}

impl OnClose for Room {
    async fn close(&self, socket: WebSocket, _close: Close) -> Result<()> {
        let Guest { name } = socket.attachment()?.ok_or("a socket of nobody")?;
        // Who is here twice has not left.
        if !self.present()?.contains(&name) {
            self.state.sockets().broadcast().json(&Event::Left(name))?;
        }
        Ok(())
    }
}

static PAGE: Assets = Assets::new("PAGE", "public");

#[worker(hosts(Room))]
pub struct Chat {
    rooms: Namespace<Room>,
    page: AssetsClient,
}

impl Worker for Chat {
    fn init(cx: &mut Init) -> Self {
        Chat { rooms: cx.bind(Room::from::<Self>()), page: cx.bind(&PAGE) }
    }

    async fn fetch(&self, request: Request, _cx: &Context) -> Result<Response> {
        match request.path().strip_prefix("/rooms/") {
            Some(room) if request.headers().get("upgrade")?.as_deref() == Some("websocket") => {
                Ok(self.rooms.get_by_name(room).fetch(request).await?)
            }
            Some(_) => Ok(Response::error("a room is a WebSocket", 426)?),
            None => Ok(self.page.fetch(request).await?),
        }
    }
}

realgar::export!(Chat);
