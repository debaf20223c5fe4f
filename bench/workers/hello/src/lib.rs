//! The smallest Realgar Worker.

use realgar::prelude::*;

#[worker]
pub struct Hello;

impl Worker for Hello {
    fn init(_cx: &mut Init) -> Self {
        Hello
    }

    async fn fetch(&self, _request: Request, _cx: &Context) -> Result<Response> {
        Ok(Response::ok("Hello, World!")?)
    }
}

realgar::export!(Hello);
