//! What an object lives from: methods and calls of them, storage, WebSockets and a schedule. For its size.

use realgar::{Event, Json, Namespace, OnEvent, OnMessage, WebSocket, prelude::*};
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Serialize, Deserialize)]
pub struct Note {
    text: String,
    loud: bool,
}

#[durable_object]
pub struct Room {
    state: State,
}

impl DurableObject for Room {
    fn init(_cx: &mut Init) -> impl Instantiate<Self> {
        |state: State| async {
            state.sql().execute("CREATE TABLE IF NOT EXISTS notes (text TEXT, loud INTEGER)", ())?;
            Ok(Room { state })
        }
    }
}

#[rpc]
impl Room {
    pub async fn later(&self, id: String, note: Note) -> Result<u64> {
        self.state.schedule::<Self>().set(&id, Duration::from_secs(60), &note)?;
        let count = self.state.storage().get("count").await?.unwrap_or(0) + 1;
        self.state.storage().put("count", &count).await?;
        Ok(count)
    }

    pub fn notes(&self) -> Result<Vec<Note>> {
        self.state.sql().query("SELECT text, loud FROM notes", ())
    }
}

impl OnEvent for Room {
    type Payload = Note;

    async fn event(&self, event: Event<Note>) -> Result<()> {
        let Note { text, loud } = &event.payload;
        self.state.sql().execute("INSERT INTO notes VALUES (?, ?)", (text, *loud))?;
        self.state.sockets().broadcast().json(&event.payload).map(drop)
    }
}

impl Fetch for Room {
    async fn fetch(&self, _request: Request) -> Result<Response> {
        let (socket, response) = self.state.sockets().accept(&[])?;
        socket.attach(&Note { text: String::new(), loud: false })?;
        Ok(response)
    }
}

impl OnMessage for Room {
    type Message = Json<Note>;

    async fn message(&self, socket: WebSocket, Json(note): Json<Note>) -> Result<()> {
        socket.json(&note)
    }
}

#[worker(hosts(Room))]
pub struct BenchEverything {
    rooms: Namespace<Room>,
}

impl Worker for BenchEverything {
    fn init(cx: &mut Init) -> Self {
        BenchEverything { rooms: cx.bind(Room::from::<Self>()) }
    }

    async fn fetch(&self, request: Request, _cx: &Context) -> Result<Response> {
        let room = self.rooms.get_by_name("one");
        match request.path().as_str() {
            "/later" => {
                let note = Note { text: "a note".into(), loud: true };
                Ok(Response::ok(room.later("one".into(), note).await?.to_string())?)
            }
            "/notes" => Ok(Response::ok(room.notes().await?.len().to_string())?),
            _ => Ok(room.fetch(request).await?),
        }
    }
}

realgar::export!(BenchEverything);
