//! Answers, on this machine, the requests that scripts make to the outside. This is for tests, which must not reach the world.

use crate::{
    EdgeError,
    error::io,
    private::{SECRET_HEADER, Secret},
};
use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt as _, Either, Full, StreamBody};
use hyper::{
    Request, Response, StatusCode,
    body::{Frame, Incoming},
    header::{HeaderName, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use std::{
    collections::BTreeMap,
    convert::Infallible,
    fmt,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
};
use tokio::{net::TcpListener, runtime::Runtime, task::spawn_blocking};

/// The header that tells the Worker in `outbound.js` that a request is refused, and why.
const REFUSED_HEADER: &str = "x-realgar-refused";

/// Where the requests go that scripts make to the outside.
#[derive(Clone, Debug, Default)]
pub enum Outbound {
    /// To the network, this machine's own services and private addresses included.
    #[default]
    Network,
    /// To a function on this machine, except for hosts that have a route.
    Answered(OutboundRules),
}

/// The rules for requests to the outside.
#[derive(Clone)]
pub struct OutboundRules {
    /// Answers every request whose host has no route. If it returns an error, the script's `fetch` fails with it. It may block.
    pub answer: OutboundAnswer,
    /// The hosts that are let through. `None` lets them reach the network; `Some` sends them to that origin instead, such as
    /// `http://127.0.0.1:PORT`.
    pub routes: BTreeMap<String, Option<String>>,
}

/// Answers a request to the outside.
pub type OutboundAnswer = Arc<dyn Fn(OutboundRequest) -> Result<OutboundResponse, String> + Send + Sync>;

impl fmt::Debug for OutboundRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutboundRules").field("routes", &self.routes).finish_non_exhaustive()
    }
}

/// A request to the outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboundRequest {
    /// The method, such as `GET`.
    pub method: String,
    /// The whole URL.
    pub url: String,
    /// The headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, read to its end.
    pub body: Vec<u8>,
}

impl OutboundRequest {
    /// The host of the URL, without a user and a port, and without the brackets of an IPv6 address.
    #[must_use]
    pub fn host(&self) -> &str {
        let rest = self.url.split_once("://").map_or("", |(_, rest)| rest);
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        match host.strip_prefix('[') {
            Some(v6) => v6.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        }
    }

    /// The first header of that name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as text; bytes that are no UTF-8 are replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// The answer to a request to the outside.
pub struct OutboundResponse {
    status: u16,
    headers: Vec<(String, String)>,
    body: OutboundBody,
}

enum OutboundBody {
    Whole(Vec<u8>),
    Chunks(Box<dyn Iterator<Item = Vec<u8>> + Send>),
}

impl fmt::Debug for OutboundResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutboundResponse")
            .field("status", &self.status)
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

impl OutboundResponse {
    /// An answer without a body.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: OutboundBody::Whole(Vec::new()) }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(self, body: impl Into<Vec<u8>>) -> Self {
        Self { body: OutboundBody::Whole(body.into()), ..self }
    }

    /// Sets the body to `value` as JSON.
    #[must_use]
    pub fn json(self, value: &serde_json::Value) -> Self {
        self.header("content-type", "application/json").body(value.to_string())
    }

    /// Sets the body to chunks that are sent one by one. The next chunk is asked for when there is room for it.
    #[must_use]
    pub fn chunks(self, chunks: impl Iterator<Item = Vec<u8>> + Send + 'static) -> Self {
        Self { body: OutboundBody::Chunks(Box::new(chunks)), ..self }
    }
}

/// Starts the server that answers requests with `answer`, and returns its address. It ends with the runtime.
pub(crate) fn serve(
    answer: OutboundAnswer,
    secret: &Secret,
    runtime: &Runtime,
    data: &Path,
) -> Result<SocketAddr, EdgeError> {
    let failed = io("answer outgoing requests for", data);
    let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    let bound = listener.and_then(|listener| Ok((listener.local_addr()?, listener)));
    let (address, listener) = bound.map_err(failed)?;
    runtime.spawn(accept(listener, answer, secret.clone()));
    Ok(address)
}

async fn accept(listener: TcpListener, answer: OutboundAnswer, secret: Secret) {
    loop {
        let Ok((connection, _)) = listener.accept().await else { continue };
        let (answer, secret) = (answer.clone(), secret.clone());
        let service = service_fn(move |request| respond(request, answer.clone(), secret.clone()));
        let served =
            http1::Builder::new().header_read_timeout(None).serve_connection(TokioIo::new(connection), service);
        tokio::spawn(served);
    }
}

type Frames = std::pin::Pin<Box<dyn stream::Stream<Item = Result<Frame<Bytes>, std::io::Error>> + Send>>;
type Body = Either<Full<Bytes>, StreamBody<Frames>>;

async fn respond(
    request: Request<Incoming>,
    answer: OutboundAnswer,
    secret: Secret,
) -> Result<Response<Body>, Infallible> {
    let known = request.headers().get(SECRET_HEADER).is_some_and(|sent| secret.matches(sent.as_bytes()));
    if !known {
        return Ok(status(StatusCode::FORBIDDEN));
    }
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return Ok(status(StatusCode::BAD_REQUEST)) };
    let headers = head.headers.iter().filter(|(name, _)| *name != SECRET_HEADER);
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let request = OutboundRequest {
        method: head.method.to_string(),
        url: head.uri.to_string(),
        headers: headers.map(|(name, value)| (name.to_string(), text(value))).collect(),
        body: body.to_bytes().to_vec(),
    };
    let answered = spawn_blocking(move || answer(request)).await;
    let answered = answered.unwrap_or_else(|_| Err("the test panicked when it answered the request".into()));
    Ok(answered.and_then(response).unwrap_or_else(|problem| refused(&problem)))
}

fn response(answer: OutboundResponse) -> Result<Response<Body>, String> {
    let body = match answer.body {
        OutboundBody::Whole(bytes) => Either::Left(Full::from(bytes)),
        OutboundBody::Chunks(chunks) => Either::Right(StreamBody::new(frames(chunks))),
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(answer.status).map_err(|error| error.to_string())?;
    for (name, value) in answer.headers {
        let name = HeaderName::try_from(name).map_err(|error| error.to_string())?;
        response.headers_mut().append(name, HeaderValue::try_from(value).map_err(|error| error.to_string())?);
    }
    Ok(response)
}

fn frames(chunks: Box<dyn Iterator<Item = Vec<u8>> + Send>) -> Frames {
    Box::pin(stream::try_unfold(chunks, |mut chunks| async {
        let next = spawn_blocking(move || chunks.next().map(|chunk| (Frame::data(Bytes::from(chunk)), chunks)));
        next.await.map_err(std::io::Error::other)
    }))
}

fn refused(problem: &str) -> Response<Body> {
    let mut response = status(StatusCode::BAD_GATEWAY);
    let text: String =
        problem.chars().map(|character| if character.is_ascii_graphic() { character } else { ' ' }).collect();
    if let Ok(value) = HeaderValue::try_from(text) {
        response.headers_mut().insert(REFUSED_HEADER, value);
    }
    response
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::default()));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::OutboundRequest;

    #[test]
    fn the_host_of_a_url() {
        let host = |url: &str| {
            OutboundRequest { method: "GET".into(), url: url.into(), headers: vec![], body: vec![] }.host().to_string()
        };
        assert_eq!(host("https://api.example.com/a:b?c"), "api.example.com");
        assert_eq!(host("http://127.0.0.1:80"), "127.0.0.1");
        assert_eq!(host("http://[::1]:80/"), "::1");
        assert_eq!(host("http://a.b?c=d"), "a.b");
        assert_eq!(host("http://user:word@a.b:80/@c"), "a.b");
    }
}
