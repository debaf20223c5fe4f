//! What became of a class is said on the struct that implements the Worker of a contract, instead of the contract's.

use realgar::prelude::*;

mod contract {
    use realgar::prelude::*;

    #[durable_object]
    pub struct Room;

    #[worker(hosts(Room))]
    pub struct Host;
}

#[durable_object(of = contract::Room)]
pub struct RoomLive;

impl DurableObject for RoomLive {
    fn init(_cx: &mut Init) -> impl Instantiate<Self> {
        |_state: State| async move { Ok(RoomLive) }
    }
}

#[worker(of = contract::Host, renamed(Hall = Room))]
pub struct HostLive;

impl Worker for HostLive {
    fn init(_cx: &mut Init) -> Self {
        HostLive
    }
}

realgar::export!(HostLive, objects(RoomLive));

fn main() {}
