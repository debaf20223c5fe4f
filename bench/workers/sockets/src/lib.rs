//! A room whose every message goes to all its sockets.

use realgar::{Namespace, OnMessage, WebSocket, prelude::*};

#[durable_object]
pub struct Room {
    state: State,
}

impl DurableObject for Room {
    fn init(_cx: &mut Init) -> impl Instantiate<Self> {
        |state: State| async { Ok(Room { state }) }
    }
}

impl Fetch for Room {
    async fn fetch(&self, _request: Request) -> Result<Response> {
        Ok(self.state.sockets().accept(&[])?.1)
    }
}

impl OnMessage for Room {
    type Message = String;

    async fn message(&self, _socket: WebSocket, message: String) -> Result<()> {
        self.state.sockets().broadcast().text(&message);
        Ok(())
    }
}

#[worker(hosts(Room))]
pub struct Sockets {
    rooms: Namespace<Room>,
}

impl Worker for Sockets {
    fn init(cx: &mut Init) -> Self {
        Sockets { rooms: cx.bind(Room::from::<Self>()) }
    }

    async fn fetch(&self, request: Request, _cx: &Context) -> Result<Response> {
        Ok(self.rooms.get_by_name("one").fetch(request).await?)
    }
}

realgar::export!(Sockets);
