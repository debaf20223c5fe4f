//! A Worker without `#[worker]`.

use realgar::prelude::*;

pub struct Api;

impl Worker for Api {
    fn init(_cx: &mut Init) -> Self {
        Api
    }

    async fn fetch(&self, _request: Request, _cx: &Context) -> Result<Response> {
        Ok(Response::ok("here")?)
    }
}

realgar::export!(Api);

fn main() {}
