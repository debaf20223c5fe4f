//! The client of the REST API.
//!
//! A call that only reads is repeated when the network or the server fails. A call that changes something is not: whether it took
//! effect is for the engine to find out. When Cloudflare says that there were too many calls, all callers wait.

use crate::{codes, gate::Gate};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use realgar_engine::{Failure, FailureKind, Fence};
use serde::Deserialize;
use serde_json::Value;
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};
use ureq::{
    Agent,
    http::{Request, Response, StatusCode},
};

/// The address of the API.
const CLOUDFLARE: &str = "https://api.cloudflare.com/client/v4";

/// How long a call may take.
const CALL_MAX: Duration = Duration::from_secs(30);
/// How long an upload may take. A lease is renewed early enough that it lasts for longer than this.
const UPLOAD_MAX: Duration = Duration::from_secs(45);
/// How many calls are under way at once, and how many of them are uploads.
const CALLS: usize = 64;
const UPLOADS: usize = 6;
/// How often a call is made that only reads.
const ATTEMPTS: u32 = 6;
/// How often a call is made that is refused because of the rate. Each further time there are fewer beside it.
const BUSY_ATTEMPTS: u32 = 12;
/// The first pause before a call is repeated. Each further pause is twice as long.
const PAUSE: Duration = Duration::from_millis(500);
/// How long what was just made may be unknown to those who ask: the versions of Workers were seen to flap for 12 s.
const SEEN_AFTER: Duration = Duration::from_secs(15);
/// The longest pause that an answer may ask for.
const PAUSE_MAX: Duration = Duration::from_secs(310);

/// A secret that gives access to an account. It is not shown anywhere.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// The token `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// What a client has to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The base of all addresses.
    pub base: String,
    /// The id of the account.
    pub account: String,
    /// The token.
    pub token: Token,
}

/// Something about the account is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the environment variable `{0}` is not set")]
pub struct CredentialsError(pub &'static str);

impl Settings {
    /// The settings that the environment has: `CLOUDFLARE_API_TOKEN`, `CLOUDFLARE_ACCOUNT_ID`, and `CLOUDFLARE_API_BASE_URL`, which
    /// need not be set.
    ///
    /// # Errors
    /// When the token or the account is not there.
    pub fn from_environment() -> Result<Self, CredentialsError> {
        let read = |name| std::env::var(name).ok().filter(|value| !value.is_empty()).ok_or(CredentialsError(name));
        let token = Token(read("CLOUDFLARE_API_TOKEN")?);
        let account = read("CLOUDFLARE_ACCOUNT_ID")?;
        Ok(Self { base: read("CLOUDFLARE_API_BASE_URL").unwrap_or_else(|_| CLOUDFLARE.into()), account, token })
    }
}

/// A client. Clones share the connections, and wait together.
#[derive(Clone, Debug)]
pub struct Client {
    agent: Agent,
    settings: Arc<Settings>,
    /// No call is made before this moment.
    not_before: Arc<Mutex<Option<Instant>>>,
    calls: Gate,
    uploads: Gate,
    fence: Fence,
}

/// The body of a call.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    Empty,
    Json(Value),
    /// The content type, and the bytes.
    Bytes(String, Vec<u8>),
}

/// An error of the API.
#[derive(Clone, Debug)]
pub struct ApiFailure {
    /// The HTTP status. 0 if there was no answer.
    pub status: u16,
    /// Cloudflare's code, if the answer had one.
    pub code: Option<u32>,
    /// What the answer says, and which call it was.
    pub message: String,
    /// Whether the call changes something. If it has no answer, nobody knows whether it did.
    pub changes: bool,
    /// The Durable Object classes that do not fit what is there, each with Cloudflare's word for why (`scenario`).
    pub scenarios: Vec<(String, String)>,
}

impl From<ApiFailure> for Failure {
    fn from(failure: ApiFailure) -> Self {
        let kind = match failure.status {
            400..500 if failure.code.is_some_and(codes::is_unseen) => FailureKind::Unseen,
            401 | 403 => FailureKind::Denied,
            429 => FailureKind::Busy,
            0 | 500.. if failure.changes => FailureKind::Unanswered,
            _ => FailureKind::Refused,
        };
        let hints = failure.code.and_then(codes::remedy).map(Into::into).into_iter().collect();
        Self { kind, message: failure.message, hints }
    }
}

/// The envelope of every answer.
#[derive(Deserialize)]
struct Envelope {
    success: bool,
    #[serde(default)]
    errors: Vec<ApiMessage>,
    #[serde(default)]
    result: Value,
    #[serde(default)]
    result_info: Option<PageInfo>,
}

#[derive(Deserialize)]
struct ApiMessage {
    code: u32,
    message: String,
    #[serde(default)]
    meta: Option<Value>,
}

#[derive(Clone, Deserialize)]
struct PageInfo {
    #[serde(default)]
    page: Option<u64>,
    #[serde(default)]
    per_page: Option<u64>,
    #[serde(default)]
    total_count: Option<u64>,
    /// What a call for the next page says. Lists with numbered pages have none.
    #[serde(default)]
    cursor: Option<String>,
}

impl PageInfo {
    /// What the call for the next page says in its query. `None` after the last one, and for a list without pages.
    fn next(self) -> Option<String> {
        if let Some(cursor) = self.cursor.filter(|cursor| !cursor.is_empty()) {
            return Some(format!("cursor={}", utf8_percent_encode(&cursor, NON_ALPHANUMERIC)));
        }
        let (page, per_page) = (self.page?, self.per_page?);
        (page.saturating_mul(per_page) < self.total_count?).then(|| format!("page={}", page + 1))
    }
}

impl Client {
    /// A client that makes no changing call outside of `fence`.
    #[must_use]
    pub fn new(settings: Settings, fence: Fence) -> Self {
        // A proxy would see the token of the local API, and does not reach it.
        let is_local = settings.base.starts_with("http://127.0.0.1:");
        let mut config = Agent::config_builder().http_status_as_error(false);
        if is_local {
            config = config.proxy(None);
        }
        Self {
            agent: config.build().into(),
            settings: Arc::new(settings),
            not_before: Arc::default(),
            calls: Gate::new(CALLS),
            uploads: Gate::new(UPLOADS),
            fence,
        }
    }

    /// A client that sends another token, for calls that go with it.
    pub(crate) fn with_token(&self, token: Token) -> Self {
        Self { settings: Arc::new(Settings { token, ..(*self.settings).clone() }), ..self.clone() }
    }

    /// Reads what is at `path`, below the account.
    pub(crate) fn get(&self, path: &str) -> Result<Value, ApiFailure> {
        self.call("GET", path, &Body::Empty, false).map(|envelope| envelope.result)
    }

    /// As [`Client::get`], of what a call of ours has just made: it may be found, and not found a moment later.
    pub(crate) fn get_made(&self, path: &str) -> Result<Value, ApiFailure> {
        let until = Instant::now() + SEEN_AFTER;
        loop {
            match self.get(path) {
                Err(failure) if failure.code.is_some_and(codes::is_unseen) && Instant::now() < until => {
                    thread::sleep(PAUSE);
                }
                outcome => return outcome,
            }
        }
    }

    /// Reads all pages of the list at `path`. `inside` is where a page has its entries, if not at its top.
    pub(crate) fn list(&self, path: &str, inside: Option<&str>, per_page: u32) -> Result<Vec<Value>, ApiFailure> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let mut all = Vec::new();
        let mut next = "page=1".to_string();
        loop {
            let path = format!("{path}{separator}{next}&per_page={per_page}");
            let Envelope { result, result_info, .. } = self.call("GET", &path, &Body::Empty, false)?;
            let entries = inside.map_or(&result, |key| &result[key]);
            let entries = entries.as_array().ok_or_else(|| ApiFailure {
                status: 200,
                code: None,
                message: format!("GET {path}: the answer has no list"),
                changes: false,
                scenarios: Vec::new(),
            })?;
            all.extend(entries.iter().cloned());
            let following = result_info.and_then(PageInfo::next).filter(|_| !entries.is_empty());
            let Some(following) = following else { return Ok(all) };
            next = following;
        }
    }

    /// Asks a question that has a body. It changes nothing.
    pub(crate) fn ask(&self, path: &str, question: &Value) -> Result<Value, ApiFailure> {
        self.call("POST", path, &Body::Json(question.clone()), false).map(|envelope| envelope.result)
    }

    /// Makes a call that changes something.
    pub(crate) fn change(&self, method: &str, path: &str, body: &Body) -> Result<Value, ApiFailure> {
        self.call(method, path, body, true).map(|envelope| envelope.result)
    }

    fn call(&self, method: &str, path: &str, body: &Body, changes: bool) -> Result<Envelope, ApiFailure> {
        let mut pause = PAUSE;
        let (mut attempts, mut busy) = (0, 0);
        loop {
            let failure = match self.send_in_turn(method, path, body, changes) {
                Ok(envelope) => {
                    self.calls.widen();
                    return Ok(envelope);
                }
                Err((failure, wanted)) => {
                    pause = wanted.unwrap_or(pause).min(PAUSE_MAX);
                    failure
                }
            };
            match failure.status {
                429 if busy < BUSY_ATTEMPTS => {
                    busy += 1;
                    self.calls.narrow();
                    self.hold_all(pause);
                }
                0 | 500.. if !changes && attempts < ATTEMPTS => {
                    attempts += 1;
                    thread::sleep(pause);
                }
                _ => return Err(failure),
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Sends a call once there is room for it, and reads the answer. With an error comes how long it asks to wait.
    fn send_in_turn(
        &self,
        method: &str,
        path: &str,
        body: &Body,
        changes: bool,
    ) -> Result<Envelope, (ApiFailure, Option<Duration>)> {
        let is_upload = matches!(body, Body::Bytes(..));
        let _upload = is_upload.then(|| self.uploads.pass());
        let _passed = self.calls.pass();
        self.wait();
        let answer = self.send(method, path, body, changes).map_err(|failure| (failure, None))?;
        read(method, path, changes, answer)
    }

    fn send(&self, method: &str, path: &str, body: &Body, changes: bool) -> Result<Response<ureq::Body>, ApiFailure> {
        let failed = |status, message: String| ApiFailure {
            status,
            code: None,
            message: format!("{method} {path}: {message}"),
            changes,
            scenarios: Vec::new(),
        };
        let Settings { base, account, token } = self.settings.as_ref();
        let builder = Request::builder()
            .method(method)
            .uri(format!("{base}/accounts/{account}{path}"))
            .header("authorization", format!("Bearer {}", token.0))
            .header("user-agent", concat!("realgar/", env!("CARGO_PKG_VERSION")));
        let (kind, bytes) = match body {
            Body::Empty => (None, Vec::new()),
            Body::Json(value) => (Some("application/json"), value.to_string().into_bytes()),
            Body::Bytes(kind, bytes) => (Some(kind.as_str()), bytes.clone()),
        };
        let builder = kind.into_iter().fold(builder, |builder, kind| builder.header("content-type", kind));
        let request = builder.body(bytes).map_err(|error| failed(400, error.to_string()))?;
        // Nothing comes between the question and the call.
        let longest = if matches!(body, Body::Bytes(..)) { UPLOAD_MAX } else { CALL_MAX };
        if changes && !self.fence.allows(longest) {
            return Err(failed(409, "not sent, because this run no longer holds the lease of its stack".into()));
        }
        let request = self.agent.configure_request(request).timeout_global(Some(longest)).build();
        self.agent.run(request).map_err(|error| failed(0, format!("no answer from {base}: {error}")))
    }

    /// Waits until calls may be made again.
    fn wait(&self) {
        let until = *self.not_before.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rest) = until.and_then(|until| until.checked_duration_since(Instant::now())) {
            thread::sleep(rest);
        }
    }

    /// Lets all callers wait.
    fn hold_all(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut own = self.not_before.lock().unwrap_or_else(PoisonError::into_inner);
        if own.is_none_or(|own| own < until) {
            *own = Some(until);
        }
    }
}

/// Reads an answer. With an error comes how long it asks to wait.
fn read(
    method: &str,
    path: &str,
    changes: bool,
    mut answer: Response<ureq::Body>,
) -> Result<Envelope, (ApiFailure, Option<Duration>)> {
    let status = answer.status();
    let wanted = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
    let wanted = wanted.map(Duration::from_secs);
    let failed = |code, message: String| {
        (
            ApiFailure {
                status: status.as_u16(),
                code,
                message: format!("{method} {path}: {message}"),
                changes,
                scenarios: Vec::new(),
            },
            wanted,
        )
    };
    let text = answer.body_mut().read_to_string();
    let text = text.map_err(|error| {
        // The call was answered, but nobody knows how.
        let (failure, wanted) = failed(None, error.to_string());
        (ApiFailure { status: 0, ..failure }, wanted)
    })?;
    if status == StatusCode::NO_CONTENT || status == StatusCode::RESET_CONTENT {
        return Ok(Envelope { success: true, errors: Vec::new(), result: Value::Null, result_info: None });
    }
    let envelope: Envelope = match serde_json::from_str(&text) {
        Ok(envelope) => envelope,
        Err(error) => return Err(failed(None, format!("status {status}, and the body is not of the API: {error}"))),
    };
    if status.is_success() && envelope.success {
        return Ok(envelope);
    }
    match envelope.errors.first() {
        None => Err(failed(None, format!("status {status}"))),
        Some(first) => {
            let details = first.meta.as_ref().and_then(|meta| meta["details"].as_array()).into_iter().flatten();
            let text = |key: &'static str| details.clone().filter_map(move |detail| detail[key].as_str());
            let texts = envelope.errors.iter().map(|error| error.message.as_str()).chain(text("message"));
            let message = format!("{} (code {})", texts.collect::<Vec<_>>().join("; "), first.code);
            let (failure, wanted) = failed(Some(first.code), message);
            let pairs = text("class").map(str::to_string).zip(text("scenario").map(str::to_string));
            Err((ApiFailure { scenarios: pairs.collect(), ..failure }, wanted))
        }
    }
}
