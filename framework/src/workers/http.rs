//! Routers of the ecosystem as a Worker's `fetch`: `axum`, or any other service of the crates `http` and `tower`.

use crate::{Error, Result};
use std::fmt::Display;
use tower_service::Service;
use worker::{Body, EncodeBody, Request, Response};

/// Answers `request` with `service`, such as an axum `Router`.
///
/// ```no_run
/// # use realgar::prelude::*;
/// # use axum::{Router, routing::get};
/// # struct Api { router: Router }
/// # impl Api {
/// async fn fetch(&self, request: Request, _cx: &Context) -> Result<Response> {
///     realgar::serve(self.router.clone(), request).await
/// }
/// # }
/// ```
///
/// The body of a response with `Content-Encoding` is sent as it is: whoever set the header has encoded it.
///
/// axum requires handlers whose futures are `Send`. A future that awaits a call, or anything else of JavaScript, is `Send` inside
/// of `worker::send::SendFuture`, or with `#[worker::send]` on the handler.
///
/// # Errors
/// When the request or the response cannot be converted, or the service fails.
pub async fn serve<S, B>(mut service: S, request: Request) -> Result<Response>
where
    S: Service<::http::Request<Body>, Response = ::http::Response<B>>,
    S::Error: Display,
    B: http_body::Body<Data = bytes::Bytes> + 'static,
{
    let request = ::http::Request::try_from(request)?;
    let failed = |error: S::Error| Error::Message(error.to_string());
    std::future::poll_fn(|cx| service.poll_ready(cx)).await.map_err(failed)?;
    let mut response = service.call(request).await.map_err(failed)?;
    // A service that says that the body is encoded has encoded it itself; the platform would do so once more.
    let encoded = response.headers().contains_key(::http::header::CONTENT_ENCODING);
    let asked = response.extensions_mut().remove::<EncodeBody>();
    let encode_body = asked.unwrap_or(if encoded { EncodeBody::Manual } else { EncodeBody::Automatic });
    // The base crate's conversions forget this setting, so it is set on both forms of the response.
    response.extensions_mut().insert(encode_body);
    Ok(Response::from(worker::response_to_wasm(response)?).with_encode_body(encode_body))
}
