//! The smallest Worker of plain workers-rs.

use worker::*;

#[event(fetch)]
async fn fetch(_request: Request, _env: Env, _cx: Context) -> Result<Response> {
    Response::ok("Hello, World!")
}
