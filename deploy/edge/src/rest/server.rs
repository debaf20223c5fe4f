//! The HTTP server of the API: who may call, what a call is, and which function answers it.

use super::{
    answer::{self, Answer, ApiError, Reply},
    assets, databases,
    faults::{Fate, Faults},
    normalise, resources, scripts,
    tables::{self, ScriptRow, Tables},
    upload,
};
use crate::{Admin, Edge, EdgeError, EdgeOptions, Script, error::io, private, private::Secret};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{AUTHORIZATION, CONTENT_TYPE, ETAG, HOST, HeaderValue, ORIGIN, RETRY_AFTER},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::{
    collections::{BTreeMap, VecDeque},
    fmt, fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{net::TcpListener, runtime::Runtime, task::spawn_blocking};

/// The id of the only account here.
pub const LOCAL_ACCOUNT: &str = "00000000000000000000000000000001";

/// The largest request, in bytes. A script has at most 64 MiB.
const BODY_MAX: usize = 128 << 20;
/// The status in the record of a call that got no answer.
const HELD: u16 = 0;
/// How many entries a page of a list has if the query does not say, and at most.
const PAGE: usize = 20;
const PAGE_MAX: usize = 1000;
/// How many calls are remembered.
const CALLS_MAX: usize = 10_000;
const TOKEN_FILE: &str = "token";
/// The file with the base of all addresses.
const ADDRESS_FILE: &str = "address";
const BASE: &str = "/client/v4";

/// Where and how a [`Rest`] runs.
#[derive(Clone)]
pub struct RestOptions {
    /// Where and how the uploaded scripts run. The tables are in the same folder. The port is that of the API.
    pub edge: EdgeOptions,
    /// Called when a client asks for the end, and nothing is deployed.
    pub stop: Arc<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for RestOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RestOptions").field("edge", &self.edge).finish_non_exhaustive()
    }
}

/// A call that was answered.
#[derive(Clone, Debug)]
struct Call {
    method: String,
    /// The path, without the part that all paths share.
    path: String,
    status: u16,
    /// The code of the error, if it was one.
    code: Option<u32>,
}

/// A running API. Dropping it ends the scripts.
#[derive(Debug)]
pub struct Rest {
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

pub(super) struct Shared {
    token: Secret,
    stop: Arc<dyn Fn() + Send + Sync>,
    address: SocketAddr,
    pub(super) data: PathBuf,
    state: Mutex<State>,
    sessions: Mutex<assets::Sessions>,
    calls: Mutex<VecDeque<Call>>,
    faults: Mutex<Faults>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("address", &self.address).field("data", &self.data).finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub(super) struct State {
    edge: Edge,
    pub(super) tables: Tables,
    /// Versions that were uploaded and do not serve yet, by Worker and id. They do not outlive the process.
    pub(super) versions: BTreeMap<(String, String), scripts::Prepared>,
}

impl Rest {
    /// Starts the scripts that were uploaded to `options.edge.data`, and then the API.
    ///
    /// # Errors
    /// When the folder is in use or cannot be read, or the port is taken.
    pub fn start(options: RestOptions) -> Result<Self, EdgeError> {
        let RestOptions { edge: mut options, stop } = options;
        let (port, data) = (options.port.take(), options.data.clone());
        let mut edge = Edge::start(Vec::new(), options)?;
        let mut tables = Tables::read(&data, edge.has_classes())?;
        let token = read_token(&data)?;
        let scripts = tables.scripts.iter().map(|(name, row)| scripts::script(&data, &tables, name, row));
        let scripts: Vec<Script> = scripts
            .collect::<Result<_, _>>()
            .map_err(|error| EdgeError::Unreadable { path: data.clone(), reason: error.message })?;
        edge.set(scripts, &ports(&tables.scripts), &mut || Ok(()))?;
        if note_ports(&edge, &mut tables) {
            tables.write(&data)?;
        }
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().map_err(io("start the API for", &data))?;
        let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, port.unwrap_or(0)));
        let failed = |source| EdgeError::Listen { address: wanted, source };
        let listener = runtime.block_on(TcpListener::bind(wanted)).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let state = Mutex::new(State { edge, tables, versions: BTreeMap::new() });
        let shared = Arc::new(Shared {
            token,
            stop,
            address,
            data,
            state,
            sessions: Mutex::default(),
            calls: Mutex::default(),
            faults: Mutex::default(),
        });
        runtime.spawn(accept(listener, shared.clone()));
        // Whoever reads this finds an API that answers.
        private::write(&shared.data.join(ADDRESS_FILE), format!("http://{address}{BASE}").as_bytes())?;
        Ok(Self { shared, runtime: Some(runtime) })
    }

    /// The base of all addresses of the API: `http://127.0.0.1:PORT/client/v4`.
    #[must_use]
    pub fn url(&self) -> String {
        self.shared.url()
    }

    /// The token that callers send.
    #[must_use]
    pub fn token(&self) -> &str {
        self.shared.token.as_str()
    }

    /// Starts workerd again if it ended by itself.
    ///
    /// # Errors
    /// When workerd does not start again.
    pub fn revive(&self) -> Result<bool, EdgeError> {
        self.shared.state().edge.revive()
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn ports(scripts: &BTreeMap<String, ScriptRow>) -> BTreeMap<String, u16> {
    scripts.iter().map(|(name, row)| (name.clone(), row.port)).collect()
}

/// Notes the ports on which scripts serve. Returns whether any of them is another one than before.
fn note_ports(edge: &Edge, tables: &mut Tables) -> bool {
    let before = ports(&tables.scripts);
    for (name, row) in &mut tables.scripts {
        row.port = edge.url(name).and_then(|url| url.rsplit(':').next()?.parse().ok()).unwrap_or(row.port);
    }
    ports(&tables.scripts) != before
}

/// Reads the token of this edge, or makes one.
fn read_token(data: &Path) -> Result<Secret, EdgeError> {
    let path = data.join(TOKEN_FILE);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Secret::of(text.trim())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let token = Secret::new()?;
            private::write(&path, token.as_str().as_bytes())?;
            Ok(token)
        }
        Err(error) => Err(io("read", &path)(error)),
    }
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Whether a resource of `kind` that was made then is visible to the upload of scripts.
    pub(super) fn sees(&self, kind: &str, created_ms: u64) -> bool {
        lock(&self.faults).sees(kind, created_ms, tables::now_ms())
    }

    fn record(&self, call: Call) {
        let mut calls = lock(&self.calls);
        if calls.len() == CALLS_MAX {
            calls.pop_front();
        }
        calls.push_back(call);
    }

    /// The base of all addresses.
    pub(super) fn url(&self) -> String {
        format!("http://{}{BASE}", self.address)
    }

    pub(super) fn sessions(&self) -> MutexGuard<'_, assets::Sessions> {
        lock(&self.sessions)
    }
}

impl State {
    /// Makes `tables` what exists, and runs the scripts that they have. If these do not start, nothing changes.
    pub(super) fn run(&mut self, data: &Path, mut tables: Tables) -> Result<(), ApiError> {
        let scripts = tables.scripts.iter().map(|(name, row)| scripts::script(data, &tables, name, row));
        let scripts: Vec<Script> = scripts.collect::<Result<_, _>>()?;
        if let Err(error) = self.edge.set(scripts, &ports(&tables.scripts), &mut || tables.write(data)) {
            self.tables.write(data).map_err(ApiError::internal)?;
            return Err(scripts::refusal(&error));
        }
        // They run, whatever follows. Ports that cannot be written down are noted again at the next start.
        if note_ports(&self.edge, &mut tables) {
            let _ = tables.write(data);
        }
        self.tables = tables;
        Ok(())
    }

    /// Makes `tables` what exists.
    pub(super) fn keep(&mut self, data: &Path, tables: Tables) -> Result<(), ApiError> {
        tables.write(data).map_err(ApiError::internal)?;
        self.tables = tables;
        Ok(())
    }

    /// The address of a script.
    pub(super) fn url(&self, script: &str) -> Option<String> {
        self.edge.url(script)
    }

    /// Makes the values of a KV namespace reachable through the administration Worker.
    pub(super) fn reach_namespace(&mut self, id: &str) -> Result<Admin, ApiError> {
        self.edge.reach_namespace(id).map_err(ApiError::internal)?;
        self.admin()
    }

    /// The R2 store.
    pub(super) fn objects(&self) -> crate::r2::Objects {
        self.edge.objects_of_buckets()
    }

    /// The administration Worker.
    pub(super) fn admin(&self) -> Result<Admin, ApiError> {
        self.edge.admin().map_err(ApiError::internal)
    }

    /// Removes the files of a bucket.
    pub(super) fn drop_bucket(&mut self, name: &str) -> Result<(), ApiError> {
        self.edge.drop_bucket(name).map_err(ApiError::internal)
    }

    /// Whether a bucket has objects.
    pub(super) fn bucket_is_empty(&self, name: &str) -> Result<bool, ApiError> {
        self.edge.bucket_is_empty(name).map_err(ApiError::internal)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        // An error means that the connection ended before it was accepted. Nothing is left to do for it.
        let Ok((connection, _)) = listener.accept().await else { continue };
        let shared = shared.clone();
        let service = service_fn(move |request| respond(shared.clone(), request));
        let served =
            http1::Builder::new().header_read_timeout(None).serve_connection(TokioIo::new(connection), service);
        tokio::spawn(served);
    }
}

/// A connection that ends without an answer, on demand.
#[derive(Debug, thiserror::Error)]
#[error("lost on demand")]
struct Lost;

async fn respond(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Lost> {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let path = uri.path().strip_prefix(BASE).unwrap_or(uri.path()).to_string();
    let record = |status, code| shared.record(Call { method: method.to_string(), path: path.clone(), status, code });
    let mut wait = None;
    let allowed = allow(&shared, &request);
    let delay = lock(&shared.faults).delay_ms;
    if delay > 0 {
        tokio::time::sleep(Duration::from_millis(delay)).await;
    }
    let fate = if allowed.is_ok() { lock(&shared.faults).fate(method.as_str(), &path) } else { Fate::Answer };
    let answer = match (allowed, &fate) {
        (Err(error), _) => Err(error),
        (Ok(()), Fate::Refuse(error, retry_after)) => {
            wait = *retry_after;
            Err(error.clone())
        }
        (Ok(()), Fate::Hold { after: false }) => {
            record(HELD, None);
            std::future::pending().await
        }
        (Ok(()), _) => answer(shared.clone(), request).await,
    };
    let form = lock(&shared.faults).normalise;
    let answer = answer.map(|reply| match form {
        Some(seed) => normalise::another_form(reply, seed, &path),
        None => reply,
    });
    match fate {
        Fate::Lose => {
            record(HELD, None);
            return Err(Lost);
        }
        Fate::Hold { .. } => {
            record(HELD, None);
            std::future::pending().await
        }
        Fate::Answer | Fate::Refuse(..) => {}
    }
    let etag = answer.as_ref().ok().and_then(Reply::etag);
    let (status, code, (kind, body)) = match answer {
        Ok(reply) => (200, None, reply.body()),
        Err(error) => (error.status, Some(error.code), (answer::JSON.into(), error.body().to_string().into_bytes())),
    };
    record(status, code);
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Ok(kind) = HeaderValue::try_from(kind) {
        response.headers_mut().insert(CONTENT_TYPE, kind);
    }
    if let Some(etag) = etag.and_then(|etag| HeaderValue::try_from(etag).ok()) {
        response.headers_mut().insert(ETAG, etag);
    }
    if let Some(seconds) = wait {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    Ok(response)
}

/// Lets only those through who know the token, and no page of a browser.
fn allow(shared: &Shared, request: &Request<Incoming>) -> Result<(), ApiError> {
    let header = |name| request.headers().get(name).map(HeaderValue::as_bytes);
    let port = shared.address.port();
    let hosts = [format!("127.0.0.1:{port}"), format!("localhost:{port}")];
    let is_own = header(HOST).is_some_and(|host| hosts.iter().any(|own| own.as_bytes() == host));
    if !is_own || header(ORIGIN).is_some() {
        return Err(ApiError::new(403, 10000, "Authentication error: this API answers no pages and no other hosts"));
    }
    let sent = header(AUTHORIZATION).and_then(|value| value.strip_prefix(b"Bearer "));
    match sent {
        // Where a file of SQL goes nobody can guess, and the file comes without a token.
        _ if shared.sessions().knows_import(request.uri().path()) => Ok(()),
        Some(sent) if shared.token.matches(sent) => Ok(()),
        // Files are uploaded with the token of their session.
        Some(sent) if request.uri().path().ends_with(assets::UPLOAD) && shared.sessions().knows(sent) => Ok(()),
        Some(_) => Err(ApiError::new(403, 9109, "Invalid access token")),
        None => Err(ApiError::new(401, 10000, "Authentication error")),
    }
}

/// A request, whole.
pub(super) struct Asked {
    pub(super) method: Method,
    /// The token that was sent.
    pub(super) token: String,
    pub(super) query: BTreeMap<String, String>,
    /// The content type.
    pub(super) kind: String,
    pub(super) content: Content,
}

/// The body of a request.
pub(super) enum Content {
    Bytes(Bytes),
    Parts(Vec<upload::Part>),
}

impl Asked {
    /// The body as it is.
    pub(super) fn bytes(&self) -> Result<&[u8], ApiError> {
        match &self.content {
            Content::Bytes(bytes) => Ok(bytes),
            Content::Parts(_) => Err(ApiError::bad_body("the body must not be a form")),
        }
    }

    /// The body as JSON. Some clients send JSON under another content type.
    pub(super) fn json(&self) -> Result<Value, ApiError> {
        let Content::Bytes(bytes) = &self.content else { return Err(ApiError::bad_body("the body has to be JSON")) };
        serde_json::from_slice(bytes).map_err(|error| ApiError::bad_body(format!("the body is no JSON: {error}")))
    }

    /// A text in the body, which has to be there.
    pub(super) fn text(&self, key: &str) -> Result<String, ApiError> {
        let body = self.json()?;
        let text = body[key].as_str().filter(|text| !text.is_empty());
        text.map(Into::into).ok_or_else(|| ApiError::bad_body(format!("`{key}` is required")))
    }

    /// A number in the query, from 1 on.
    fn number(&self, key: &str, default: usize) -> Result<usize, ApiError> {
        let Some(text) = self.query.get(key) else { return Ok(default) };
        let number = text.parse::<usize>().ok().filter(|number| *number > 0);
        number.ok_or_else(|| ApiError::bad_body(format!("`{key}` has to be a number from 1 on")))
    }

    /// The part of `all` that follows the query's cursor, which is the name of an entry, in the field `inside` of the result. `all` is
    /// sorted by name.
    pub(super) fn scroll(&self, inside: &str, all: Vec<Value>) -> Answer {
        let per_page = self.number("per_page", PAGE)?.min(PAGE_MAX);
        let is_after =
            |entry: &Value| self.query.get("cursor").is_none_or(|cursor| entry["name"].as_str() > Some(cursor));
        let mut rest = all.into_iter().filter(is_after);
        let results: Vec<Value> = rest.by_ref().take(per_page).collect();
        let last = results.last().map(|entry| entry["name"].clone()).filter(|_| rest.next().is_some());
        let info = serde_json::json!({ "count": results.len(), "per_page": per_page, "cursor": last });
        Ok(Reply::With(serde_json::json!({ inside: results }), info))
    }

    /// A page of `all`, as the query asks for it. A page past the end is empty.
    pub(super) fn page(&self, all: Vec<Value>) -> Answer {
        let (page, per_page) = (self.number("page", 1)?, self.number("per_page", PAGE)?.min(PAGE_MAX));
        let total = all.len();
        let results = all.into_iter().skip((page - 1).saturating_mul(per_page)).take(per_page).collect();
        Ok(Reply::Page { results, page, per_page, total })
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_string();
    let rest = path.strip_prefix(BASE).ok_or_else(|| ApiError::no_route(&path))?;
    let decoded = |segment| percent_encoding::percent_decode_str(segment).decode_utf8_lossy().into_owned();
    let segments: Vec<String> = rest.split('/').skip(1).map(decoded).collect();
    let query = form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let body = Limited::new(body, BODY_MAX).collect().await;
    let body =
        body.map_err(|error| ApiError::new(413, 10027, format!("the request cannot be read: {error}")))?.to_bytes();
    let kind = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let content = match multer::parse_boundary(kind) {
        Ok(boundary) => Content::Parts(upload::parts(body, boundary).await?),
        Err(_) => Content::Bytes(body),
    };
    let token = head.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let asked =
        Asked { method: head.method, token: token.unwrap_or_default().into(), query, kind: kind.into(), content };
    let routed = spawn_blocking(move || route(&shared, &path, &segments, &asked)).await;
    routed.unwrap_or_else(|error| Err(ApiError::internal(error)))
}

fn route(shared: &Shared, path: &str, segments: &[String], asked: &Asked) -> Answer {
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match segments.as_slice() {
        ["user", "tokens", "verify"] => {
            Ok(Reply::One(serde_json::json!({ "id": tables::new_id()?, "status": "active" })))
        }
        // These are ours: Cloudflare has no such calls.
        ["realgar", "imports", id] if asked.method == Method::PUT => databases::receive(shared, id, asked),
        ["realgar", "faults"] if asked.method == Method::PUT => {
            let faults =
                serde_json::from_value(asked.json()?).map_err(|error| ApiError::bad_body(error.to_string()))?;
            *lock(&shared.faults) = faults;
            Ok(Reply::One(Value::Null))
        }
        ["realgar", "calls"] => {
            let calls = lock(&shared.calls);
            let calls = calls.iter().map(|Call { method, path, status, code }| {
                serde_json::json!({ "method": method, "path": path, "status": status, "code": code })
            });
            Ok(Reply::One(calls.collect()))
        }
        ["realgar", "stop"] if asked.method == Method::POST => {
            if !shared.state().tables.is_empty() {
                return Err(ApiError::new(409, 10064, "something is still deployed here"));
            }
            (shared.stop)();
            Ok(Reply::One(Value::Null))
        }
        ["accounts"] => asked.page(vec![serde_json::json!({ "id": LOCAL_ACCOUNT, "name": "This machine" })]),
        ["accounts", LOCAL_ACCOUNT, own @ ..] => match own {
            ["tokens", "verify"] => Ok(Reply::One(serde_json::json!({ "id": tables::new_id()?, "status": "active" }))),
            ["workers", "assets", "upload"] => assets::upload(shared, asked),
            ["workers", "scripts", name, "assets-upload-session"] => assets::begin(shared, name, asked),
            ["workers", rest @ ..] => scripts::route(shared, path, rest, asked),
            ["d1", "database", rest @ ..] => databases::route(shared, path, rest, asked),
            ["storage", "kv", "namespaces", rest @ ..] => resources::kv(shared, path, rest, asked),
            ["r2", "buckets", rest @ ..] => resources::r2(shared, path, rest, asked),
            ["queues", rest @ ..] => resources::queues(shared, path, rest, asked),
            _ => Err(ApiError::no_route(path)),
        },
        ["accounts", other, ..] => {
            Err(ApiError::new(403, 10000, format!("Authentication error: the token is not for the account {other}")))
        }
        _ => Err(ApiError::no_route(path)),
    }
}
