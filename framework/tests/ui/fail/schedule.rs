//! A schedule of a class without a handler, and a payload that its handler does not take.

use realgar::{Event, OnEvent, When, prelude::*};

#[durable_object]
pub struct Idle {
    state: State,
}

#[durable_object]
pub struct Busy {
    state: State,
}

impl OnEvent for Busy {
    type Payload = String;

    async fn event(&self, _event: Event<String>) -> Result<()> {
        Ok(())
    }
}

impl Idle {
    fn schedule(&self) -> Result<()> {
        self.state.schedule::<Self>().set("one", When::at(0), &1).map(drop)
    }
}

impl Busy {
    fn schedule(&self) -> Result<()> {
        self.state.schedule::<Self>().set("one", When::at(0), &1).map(drop)
    }
}

fn main() {}
