//! The HTTP server around the store. Bodies stream in both directions, and no request waits for the body of another one.

use super::{Answer, Operation, Store};
use crate::{
    EdgeError,
    private::{self, SECRET_HEADER, Secret},
};
use bytes::Bytes;
use futures_util::{TryStreamExt as _, future::join, stream};
use http_body_util::{BodyExt as _, Either, Full, StreamBody};
use hyper::{
    Request, Response,
    body::{Frame, Incoming},
    header::{CONTENT_LENGTH, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::{
    convert::Infallible,
    fmt,
    io::{self, Read},
    net::Ipv4Addr,
    path::PathBuf,
    pin::Pin,
    sync::Arc,
};
use tokio::{net::TcpListener, runtime::Runtime, sync::mpsc, task::spawn_blocking};

const SIZE_HEADER: &str = "cf-r2-metadata-size";
const ERROR_HEADER: &str = "cf-r2-error";

/// How much of an object is read and sent at once, in bytes.
const CHUNK_SIZE: usize = 64 << 10;
/// How many chunks of an upload may wait for the disk.
const CHUNKS_AHEAD: usize = 4;

/// A running store. It ends with the runtime it was started on.
pub(crate) struct R2 {
    address: String,
    store: Arc<Store>,
}

impl fmt::Debug for R2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("R2").field("address", &self.address).finish_non_exhaustive()
    }
}

impl R2 {
    /// Starts a store of the buckets in `folder`. It answers only requests that carry `secret`.
    pub(crate) fn start(folder: PathBuf, secret: &Secret, runtime: &Runtime) -> Result<Self, EdgeError> {
        let failed = |source| EdgeError::Io { action: "serve", path: folder.clone(), source };
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?.to_string();
        private::create_folder(&folder)?;
        let store = Arc::new(Store::new(folder));
        runtime.spawn(accept(listener, store.clone(), secret.clone()));
        Ok(Self { address, store })
    }

    /// The objects, for callers in this process.
    pub(crate) fn objects(&self) -> Objects {
        Objects { store: self.store.clone() }
    }

    /// Whether the bucket `name` has no objects.
    pub(crate) fn is_empty(&self, name: &str) -> io::Result<bool> {
        self.store.is_empty(name)
    }

    /// Removes the bucket `name`, with all that is in it.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        self.store.remove(name)
    }

    /// The address of the store, `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

/// The objects of all buckets, for callers in this process.
#[derive(Clone)]
pub(crate) struct Objects {
    store: Arc<Store>,
}

/// An object, or why there is none: the status, the code and the message of R2.
pub(crate) type Found = Result<(Value, Vec<u8>), (u16, u32, String)>;

impl Objects {
    /// Does what `operation` says, in the form of workerd's binding, with `content` as the new bytes of an object. A read has no content.
    pub(crate) fn answer(&self, bucket: &str, operation: &Value, content: Option<&[u8]>) -> io::Result<Found> {
        let text = operation.to_string();
        let operation = Operation {
            bucket: bucket.into(),
            request: content.is_none().then(|| text.clone()),
            size: content.map(|_| text.len()),
        };
        let mut body = text.as_bytes().chain(content.unwrap_or_default());
        Ok(match self.store.answer(&operation, &mut body)? {
            Answer::Metadata(metadata) => Ok((metadata, Vec::new())),
            Answer::Object(metadata, mut object, _) => {
                let mut bytes = Vec::new();
                object.read_to_end(&mut bytes)?;
                Ok((metadata, bytes))
            }
            Answer::Refused(refusal, _) => Err((refusal.status, refusal.code, refusal.message.into_owned())),
        })
    }
}

async fn accept(listener: TcpListener, store: Arc<Store>, secret: Secret) {
    loop {
        // An error means that the connection ended before it was accepted. Nothing is left to do for it.
        let Ok((connection, _)) = listener.accept().await else { continue };
        let (store, secret) = (store.clone(), secret.clone());
        let service = service_fn(move |request| {
            let (store, known) = (store.clone(), is_known(&request, &secret));
            async move { if known { serve(store, request).await } else { Ok(forbidden()) } }
        });
        // There is no read timeout, because workerd keeps idle connections for as long as it likes.
        let served =
            http1::Builder::new().header_read_timeout(None).serve_connection(TokioIo::new(connection), service);
        tokio::spawn(served);
    }
}

/// Whether a request comes from the workerd of this edge, whose configuration has the secret. No page of a browser knows it.
fn is_known(request: &Request<Incoming>, secret: &Secret) -> bool {
    request.headers().get(SECRET_HEADER).is_some_and(|sent| secret.matches(sent.as_bytes()))
}

fn forbidden() -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::default()));
    *response.status_mut() = hyper::StatusCode::FORBIDDEN;
    response
}

type Chunks = Pin<Box<dyn stream::Stream<Item = io::Result<Frame<Bytes>>> + Send>>;
type Body = Either<Full<Bytes>, StreamBody<Chunks>>;

async fn serve(store: Arc<Store>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let (head, mut body) = request.into_parts();
    let (sender, content) = mpsc::channel(CHUNKS_AHEAD);
    let upload = async move {
        while let Some(frame) = body.frame().await {
            let chunk = match frame.map(Frame::into_data) {
                Ok(Ok(data)) => Ok(data),
                // The frame holds trailers, which are no part of the content.
                Ok(Err(_)) => continue,
                Err(error) => Err(io::Error::other(error)),
            };
            let broken = chunk.is_err();
            // The send fails if the store refused the request. It then does not need the rest of the body.
            if sender.send(chunk).await.is_err() || broken {
                break;
            }
        }
    };
    let header =
        |name: &str| head.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let operation = Operation {
        bucket: header(super::BUCKET_HEADER).unwrap_or_default(),
        request: header(super::REQUEST_HEADER),
        size: header(SIZE_HEADER).and_then(|size| size.parse().ok()),
    };
    let work = spawn_blocking(move || store.answer(&operation, &mut Upload { content, chunk: Bytes::new() }));
    let ((), answer) = join(upload, work).await;
    let answer = answer.map_err(io::Error::other).flatten();
    Ok(response(answer.unwrap_or_else(|error| Answer::failed(&error))))
}

/// The body of a request, for a reader on a thread that may block.
struct Upload {
    content: mpsc::Receiver<io::Result<Bytes>>,
    chunk: Bytes,
}

impl Read for Upload {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            match self.content.blocking_recv() {
                Some(chunk) => self.chunk = chunk?,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.chunk.len());
        buffer[..count].copy_from_slice(&self.chunk.split_to(count));
        Ok(count)
    }
}

fn response(answer: Answer) -> Response<Body> {
    let (status, metadata, error, object) = match answer {
        Answer::Metadata(metadata) => (200, metadata.to_string(), None, None),
        Answer::Object(metadata, bytes, length) => (200, metadata.to_string(), None, Some((bytes, length))),
        Answer::Refused(refusal, metadata) => {
            let metadata = metadata.map(|metadata| metadata.to_string()).unwrap_or_default();
            (refusal.status, metadata, Some(refusal.to_json()), None)
        }
    };
    let size = metadata.len() as u64;
    let total = size + object.as_ref().map_or(0, |(_, length)| *length);
    let body = match object {
        None => Either::Left(Full::from(metadata)),
        Some((bytes, _)) => Either::Right(StreamBody::new(chunks(metadata, bytes))),
    };
    let mut response = Response::new(body);
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(SIZE_HEADER, size.into());
    response.headers_mut().insert(CONTENT_LENGTH, total.into());
    if let Some(error) = error.and_then(|error| HeaderValue::from_bytes(error.as_bytes()).ok()) {
        response.headers_mut().insert(ERROR_HEADER, error);
    }
    response
}

/// The body of the answer to a get: the metadata, then the object. The disk is read only when the client asks for more.
fn chunks(metadata: String, bytes: Box<dyn Read + Send>) -> Chunks {
    let object = stream::try_unfold(bytes, |mut bytes| async {
        let read = move || {
            let mut chunk = vec![0; CHUNK_SIZE];
            let count = bytes.read(&mut chunk)?;
            chunk.truncate(count);
            Ok((count > 0).then(|| (Bytes::from(chunk), bytes)))
        };
        spawn_blocking(read).await.map_err(io::Error::other)?
    });
    let first = stream::once(async { Ok(Bytes::from(metadata)) });
    Box::pin(stream::StreamExt::chain(first, object).map_ok(Frame::data))
}
