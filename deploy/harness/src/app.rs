//! A running app: its Workers, its data folder, its log.

use crate::{Request, Response, SocketClient, bundle, chain, folder::DataFolder, lock, outbound::OutboundPlan};
use realgar_bundle::{Bundle, Profile, node_tools, read_plain};
use realgar_edge::{
    Edge, EdgeError, EdgeOptions, Hooks, LogLine, OutboundRequest, OutboundResponse, SECRET_HEADER, Script, read_values,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use ureq::Agent;

/// How long a response may take. A test that waits longer has found a hang.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);

/// Configures and starts an [`App`].
#[derive(Clone, Debug)]
pub struct AppBuilder {
    workers: Vec<Source>,
    profile: Profile,
    values: BTreeMap<String, String>,
    test_clock: bool,
    evict: bool,
    outbound: OutboundPlan,
    data: Option<Arc<DataFolder>>,
}

#[derive(Clone, Debug)]
enum Source {
    Crate(PathBuf),
    Plain(PathBuf),
    Bundle(Box<Bundle>),
}

impl AppBuilder {
    /// Adds the Worker crate in `path`. The first Worker is the one that [`App::get`] and the like talk to.
    #[must_use]
    pub fn worker(mut self, path: impl AsRef<Path>) -> Self {
        self.workers.push(Source::Crate(path.as_ref().into()));
        self
    }

    /// Adds the plain JavaScript Worker in `path`, with its `wrangler.toml`.
    #[must_use]
    pub fn plain(mut self, path: impl AsRef<Path>) -> Self {
        self.workers.push(Source::Plain(path.as_ref().into()));
        self
    }

    /// Adds a Worker that is built already.
    #[must_use]
    pub fn bundle(mut self, bundle: Bundle) -> Self {
        self.workers.push(Source::Bundle(Box::new(bundle)));
        self
    }

    /// Sets a variable or secret, for all Workers. The values in a Worker's `.dev.vars` need not be set.
    #[must_use]
    pub fn value(mut self, name: &str, value: &str) -> Self {
        self.values.insert(name.into(), value.into());
        self
    }

    /// Makes all clocks stand still until [`App::advance`]: `Date` in the Workers, and with it the schedules and alarms of objects,
    /// and the clocks of queues, KV and cron triggers. Timers such as [`realgar::sleep`](https://docs.rs/realgar) go on.
    #[must_use]
    pub fn test_clock(mut self) -> Self {
        self.test_clock = true;
        self
    }

    /// Makes every event find a new instance of its object, unless another event is under way. A program that wrongly keeps
    /// something in memory only then loses it.
    #[must_use]
    pub fn evict_between_events(mut self) -> Self {
        self.evict = true;
        self
    }

    /// Answers the requests that Workers make to `host` with what `answer` returns. Requests to a host that no test names fail,
    /// so that a test never reaches the world. `"*"` is every other host.
    ///
    /// ```no_run
    /// use realgar_test::{App, OutboundResponse};
    ///
    /// let app = App::builder()
    ///     .worker(".")
    ///     .outbound("api.example.com", |request| {
    ///         OutboundResponse::new(200).json(&serde_json::json!({ "asked": request.url }))
    ///     })
    ///     .start();
    /// assert_eq!(app.outbound_requests().len(), 0);
    /// ```
    #[must_use]
    pub fn outbound(
        mut self,
        host: &str,
        answer: impl Fn(&OutboundRequest) -> OutboundResponse + Send + Sync + 'static,
    ) -> Self {
        self.outbound.answer(host, Arc::new(answer));
        self
    }

    /// Sends the requests that Workers make to `host` to `origin` instead, such as `"http://127.0.0.1:9000"`: a server of the
    /// test's own. WebSockets and streams go through as they are. Such requests are not recorded.
    #[must_use]
    pub fn outbound_to(mut self, host: &str, origin: &str) -> Self {
        self.outbound.route(host, Some(origin));
        self
    }

    /// Lets the requests that Workers make to `host` through to the network. They are not recorded.
    #[must_use]
    pub fn outbound_through(mut self, host: &str) -> Self {
        self.outbound.route(host, None);
        self
    }

    /// Uses the data folder of an app that has ended, for example to start another version of the program on it: see
    /// [`App::into_data`].
    #[must_use]
    pub fn data(mut self, data: Data) -> Self {
        self.data = Some(data.0);
        self
    }

    /// Builds as for a deployment: the build is slower, and the program faster. With `REALGAR_RELEASE=1` in the environment all
    /// apps are built this way, to run all tests against what is going to be deployed.
    #[must_use]
    pub fn release(mut self) -> Self {
        self.profile = Profile::Release;
        self
    }

    /// Builds what is not built, and starts everything.
    ///
    /// # Panics
    /// When something does not build or start, with the reason.
    #[must_use]
    #[track_caller]
    pub fn start(&self) -> App {
        match self.try_start() {
            Ok(app) => app,
            Err(error) => panic!("the app does not start: {error}"),
        }
    }

    /// As [`AppBuilder::start`], but returns an error, for tests of apps that do not start.
    ///
    /// # Errors
    /// When something does not build or start.
    pub fn try_start(&self) -> Result<App, String> {
        let scripts = self.workers.iter().map(|source| self.script(source)).collect::<Result<Vec<_>, _>>()?;
        self.check_values(&scripts)?;
        let tools = node_tools(&mut |_| {}).map_err(|error| chain(&error))?;
        let data = match &self.data {
            Some(data) => data.clone(),
            None => Arc::new(DataFolder::new().map_err(|error| error.to_string())?),
        };
        let (outbound, asked) = self.outbound.rules();
        let log: Arc<Mutex<Vec<LogLine>>> = Arc::default();
        let sink = log.clone();
        let clock_ms = self.test_clock.then(now);
        let options = EdgeOptions {
            workerd: tools.workerd,
            data: data.path().into(),
            outbound,
            port: None,
            log: Arc::new(move |line| lock(&sink).push(line)),
            labels: false,
            requests: None,
            hooks: Some(Hooks { clock_ms, evict: self.evict }),
            // Nothing to do here: the log says that workerd ended, and the test that waits for an answer fails and prints the log.
            ended: Arc::new(|| {}),
        };
        let main = scripts.first().map(|script| script.name().to_string()).ok_or("there is no Worker to run")?;
        let edge = Edge::start(scripts, options).map_err(|error| match &error {
            EdgeError::NoValue { binding, .. } => {
                format!("{error}; give it one with `.value(\"{binding}\", \"..\")`")
            }
            _ => chain(&error),
        })?;
        let agent: Agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            // No proxy is used, because the app is on this machine.
            .proxy(None)
            .timeout_global(Some(RESPONSE_TIMEOUT))
            .build()
            .into();
        let clock = Mutex::new(clock_ms);
        let patient = Agent::config_builder().http_status_as_error(false).proxy(None).build().into();
        Ok(App { edge: Mutex::new(edge), agent, patient, main, log, clock, asked, data })
    }

    /// Checks that some Worker binds each value that was given. With a plain Worker this is not known.
    fn check_values(&self, scripts: &[Script]) -> Result<(), String> {
        let bound = |name: &String| {
            scripts.iter().flat_map(|script| &script.manifest.bindings).any(|binding| binding.name == *name)
        };
        let plain = self.workers.iter().any(|source| matches!(source, Source::Plain(_)));
        match self.values.keys().find(|name| !plain && !bound(name)) {
            Some(name) => Err(format!("the test gives a value for `{name}`, which no Worker binds")),
            None => Ok(()),
        }
    }

    fn script(&self, source: &Source) -> Result<Script, String> {
        let (bundle, path) = match source {
            Source::Crate(path) => (bundle(path, self.profile)?, Some(path)),
            Source::Plain(path) => (read_plain(path).map_err(|error| chain(&error))?, Some(path)),
            Source::Bundle(bundle) => ((**bundle).clone(), None),
        };
        let own = path.map(|path| read_values(path)).transpose().map_err(|error| chain(&error))?;
        let mut values = own.unwrap_or_default();
        values.extend(self.values.clone());
        Ok(Script { folder: bundle.folder, manifest: bundle.manifest, values })
    }
}

/// A running app. Dropping it ends it and removes its data.
#[derive(Debug)]
pub struct App {
    // Dropped first: workerd writes to the data folder until it ends.
    edge: Mutex<Edge>,
    agent: Agent,
    /// The agent for requests that may take any time.
    patient: Agent,
    main: String,
    log: Arc<Mutex<Vec<LogLine>>>,
    /// The time at which the clocks stand still, with a test clock.
    clock: Mutex<Option<u64>>,
    /// The requests to the outside that the test answered or refused.
    asked: Arc<Mutex<Vec<OutboundRequest>>>,
    data: Arc<DataFolder>,
}

/// The data that an app stored. Dropping this removes the data.
#[derive(Clone, Debug)]
pub struct Data(Arc<DataFolder>);

impl App {
    /// Builds and starts the Worker crate in `path`.
    ///
    /// # Panics
    /// When it does not build or start, with the reason.
    #[must_use]
    #[track_caller]
    pub fn start(path: impl AsRef<Path>) -> Self {
        Self::builder().worker(path).start()
    }

    /// Starts to configure an app, such as one with several Workers.
    #[must_use]
    pub fn builder() -> AppBuilder {
        let release = std::env::var_os("REALGAR_RELEASE").is_some_and(|value| value == "1");
        AppBuilder {
            workers: Vec::new(),
            profile: if release { Profile::Release } else { Profile::Dev },
            values: BTreeMap::new(),
            test_clock: false,
            evict: false,
            outbound: OutboundPlan::default(),
            data: None,
        }
    }

    /// Begins a GET request to the first Worker.
    #[must_use]
    pub fn get(&self, path: &str) -> Request {
        self.request("GET", &self.main, path)
    }

    /// Begins a POST request to the first Worker.
    #[must_use]
    pub fn post(&self, path: &str) -> Request {
        self.request("POST", &self.main, path)
    }

    /// Begins a request to the Worker `script`.
    ///
    /// # Panics
    /// When there is no such Worker.
    #[must_use]
    #[track_caller]
    pub fn request(&self, method: &str, script: &str, path: &str) -> Request {
        Request::new(&self.agent, method, &format!("{}{path}", self.url(script)))
    }

    /// Opens a WebSocket to the first Worker.
    ///
    /// # Panics
    /// When the answer is no upgrade.
    #[must_use]
    #[track_caller]
    pub fn websocket(&self, path: &str) -> SocketClient {
        self.websocket_to(&self.main, path)
    }

    /// As [`App::websocket`], to the Worker `script`.
    ///
    /// # Panics
    /// When the answer is no upgrade.
    #[must_use]
    #[track_caller]
    pub fn websocket_to(&self, script: &str, path: &str) -> SocketClient {
        match self.try_websocket_to(script, path) {
            Ok(socket) => socket,
            Err(error) => panic!("there is no WebSocket at `{path}` of `{script}`: {error}"),
        }
    }

    /// As [`App::websocket`], but returns an error, for tests of WebSockets that are refused.
    ///
    /// # Errors
    /// The status and body of an answer that is no upgrade, or why there is none.
    pub fn try_websocket(&self, path: &str) -> Result<SocketClient, String> {
        self.try_websocket_to(&self.main, path)
    }

    /// As [`App::try_websocket`], to the Worker `script`.
    ///
    /// # Errors
    /// As [`App::try_websocket`].
    pub fn try_websocket_to(&self, script: &str, path: &str) -> Result<SocketClient, String> {
        SocketClient::open(&format!("{}{path}", self.url(script)))
    }

    /// The address of the Worker `script`, without a slash at its end.
    ///
    /// # Panics
    /// When there is no such Worker.
    #[must_use]
    #[track_caller]
    pub fn url(&self, script: &str) -> String {
        let url = lock(&self.edge).url(script);
        let Some(url) = url else { panic!("the app has no Worker `{script}`") };
        url
    }

    /// The object called `name` of the class `class` in the Worker `script`.
    #[must_use]
    pub fn object<'a>(&'a self, script: &str, class: &str, name: &str) -> ObjectRef<'a> {
        ObjectRef { app: self, class: format!("{script}/{class}"), name: name.into() }
    }

    /// Evicts every object that is in memory. Hibernating WebSockets stay open.
    ///
    /// # Panics
    /// When the runtime refuses.
    pub fn evict_all(&self) {
        let _ = self.admin("/evict-all").expect_status(200);
    }

    /// Ends workerd in order and starts it again, as a new version or a reboot does.
    ///
    /// # Panics
    /// When it does not start again.
    pub fn restart(&self) {
        lock(&self.edge).restart().unwrap_or_else(|error| panic!("cannot restart: {}", chain(&error)));
    }

    /// Kills workerd and starts it again, as a power failure does.
    ///
    /// # Panics
    /// When it does not start again.
    pub fn kill(&self) {
        lock(&self.edge).kill().unwrap_or_else(|error| panic!("cannot restart: {}", chain(&error)));
    }

    /// Replaces the Worker that has the name of `bundle`, as a deployment does.
    ///
    /// # Errors
    /// When the new version does not start. The old one then goes on.
    pub fn update(&self, bundle: &Bundle) -> Result<(), String> {
        let mut edge = lock(&self.edge);
        let name = &bundle.manifest.worker.script;
        let values = edge.scripts().iter().find(|script| script.name() == name).map(|script| script.values.clone());
        let (folder, manifest) = (bundle.folder.clone(), bundle.manifest.clone());
        let script = Script { folder, manifest, values: values.unwrap_or_default() };
        edge.update(vec![script]).map(drop).map_err(|error| chain(&error))
    }

    /// Fires the cron trigger `expression` of the Worker `script`, and returns the outcome: `"ok"`, or `"exception"` if the
    /// handler failed.
    ///
    /// # Panics
    /// When there is no such Worker, or it asks for no such trigger.
    #[must_use]
    #[track_caller]
    pub fn fire_cron(&self, script: &str, expression: &str) -> String {
        let crons =
            lock(&self.edge).scripts().iter().find(|own| own.name() == script).map(|own| own.manifest.crons.clone());
        let crons = crons.unwrap_or_else(|| panic!("the app has no Worker `{script}`"));
        assert!(
            crons.iter().any(|own| own == expression),
            "the Worker `{script}` asks for no cron trigger `{expression}`, but for {crons:?}"
        );
        let time = self.now_ms();
        let path = format!("/scheduled?script={}&cron={}&time={time}", escape(script), escape(expression));
        let outcome: serde_json::Value = self.admin(&path).expect_status(200).json();
        let text = outcome["outcome"].as_str();
        text.unwrap_or_else(|| panic!("the runtime does not say how the event ended: {outcome}")).into()
    }

    /// The current time of the Workers, in milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        lock(&self.clock).unwrap_or_else(now)
    }

    /// Advances the clocks of an app with [`AppBuilder::test_clock`]. What falls due meanwhile in the schedules of objects, alarms
    /// included, runs in order, each at its own time. After that, what is due in queues runs.
    ///
    /// # Panics
    /// When the app has no test clock, or the alarm of an object fails again and again.
    #[track_caller]
    pub fn advance(&self, time: Duration) {
        let from = *lock(&self.clock);
        let Some(from) = from else { panic!("the clocks go: start the app with `test_clock()`") };
        let to = from + time.as_millis() as u64;
        let objects = lock(&self.edge).objects().unwrap_or_else(|error| panic!("{}", chain(&error)));
        let path = format!("/advance?from={from}&to={to}");
        // No timeout, because any number of events may fall due.
        let _ = self.admin_request(&self.patient, &path).json(&objects).send().expect_status(200);
        *lock(&self.clock) = Some(to);
        lock(&self.edge).set_clock(to);
        let _ = self.admin(&format!("/clock?advance={}", time.as_millis())).expect_status(200);
    }

    /// The lines that were logged so far.
    #[must_use]
    pub fn logs(&self) -> Vec<LogLine> {
        lock(&self.log).clone()
    }

    /// The requests that Workers have made to the outside so far, in order. Refused requests are included.
    #[must_use]
    pub fn outbound_requests(&self) -> Vec<OutboundRequest> {
        lock(&self.asked).clone()
    }

    /// Ends the app, and returns its data, which [`AppBuilder::data`] gives to another app.
    #[must_use]
    pub fn into_data(self) -> Data {
        Data(self.data.clone())
    }

    fn admin(&self, path: &str) -> Response {
        self.admin_request(&self.agent, path).send()
    }

    /// A request to the administration Worker, with the secret that this Worker requires.
    fn admin_request(&self, agent: &Agent, path: &str) -> Request {
        let admin = lock(&self.edge).admin().unwrap_or_else(|error| panic!("{}", chain(&error)));
        Request::new(agent, "POST", &format!("{}{path}", admin.url())).header(SECRET_HEADER, admin.secret())
    }
}

impl Drop for App {
    #[expect(clippy::print_stderr, reason = "the log of a failed test belongs beside its panic")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            for LogLine { level, message, .. } in lock(&self.log).iter() {
                eprintln!("[{level}] {message}");
            }
        }
    }
}

/// One object of an app.
#[derive(Debug)]
pub struct ObjectRef<'a> {
    app: &'a App,
    class: String,
    name: String,
}

/// What happens to the WebSockets of an evicted object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sockets {
    /// They stay open, and the next message wakes a new instance.
    Hibernate,
    /// They are closed.
    Close,
}

/// Why a call of an object failed, as JavaScript sees it.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
pub struct CallFailed {
    /// The kind of the failure: `method_error`, `bad_arguments`, `panicked`, …
    pub code: String,
    /// The message of the failure.
    pub message: String,
    /// The error that the method returned, for a `method_error`.
    #[serde(default)]
    pub data: serde_json::Value,
}

impl ObjectRef<'_> {
    /// Calls a method of the object by its name in JavaScript, with a list of plain values, so that a test needs no route for it.
    /// Integers beyond 2^53 - 1 come back as text, and bytes as a list; neither can be an argument.
    ///
    /// ```no_run
    /// # use realgar_test::App;
    /// # let app = App::start(".");
    /// let counter = app.object("counter", "Counter", "ada");
    /// assert_eq!(counter.call("increment", &serde_json::json!([2])).unwrap(), 2);
    /// ```
    ///
    /// # Errors
    /// When the call fails.
    ///
    /// # Panics
    /// When there is no such class, or `arguments` is no list.
    #[track_caller]
    pub fn call(&self, method: &str, arguments: &serde_json::Value) -> Result<serde_json::Value, CallFailed> {
        #[derive(serde::Deserialize)]
        struct Outcome {
            #[serde(default)]
            ok: serde_json::Value,
            error: Option<CallFailed>,
        }
        assert!(
            arguments.is_array(),
            "the arguments of `{method}` are to be a list, such as `json!([2])`, not `{arguments}`"
        );
        let (class, name, method) = (escape(&self.class), escape(&self.name), escape(method));
        let path = format!("/call?class={class}&name={name}&method={method}");
        let response = self.app.admin_request(&self.app.agent, &path).json(arguments).send();
        let outcome: Outcome = response.expect_status(200).json();
        outcome.error.map_or(Ok(outcome.ok), Err)
    }

    /// Delivers the alarm of the object, whether or not it has one, because the platform may deliver an alarm more than once.
    /// Returns when the handler has ended.
    ///
    /// # Errors
    /// When the handler fails, or there is none.
    pub fn deliver_alarm(&self) -> Result<(), String> {
        let now = self.app.now_ms();
        let response = self.send("/alarm", &format!("&now={now}"));
        if response.status() == 200 { Ok(()) } else { Err(response.text()) }
    }

    /// Deletes the alarm of the object behind its back. The platform should never lose an alarm; this shows what happens if it
    /// does.
    ///
    /// # Panics
    /// When the runtime refuses.
    pub fn lose_alarm(&self) {
        let _ = self.send("/lose-alarm", "").expect_status(200);
    }

    fn send(&self, command: &str, more: &str) -> Response {
        let (class, name) = (escape(&self.class), escape(&self.name));
        self.app.admin(&format!("{command}?class={class}&name={name}{more}"))
    }

    /// Evicts the object: its instance is gone, and the next event makes a new one. Hibernating WebSockets stay open.
    ///
    /// # Panics
    /// When the object is not in memory: then the test would show nothing.
    #[track_caller]
    pub fn evict(&self) {
        self.evict_with(Sockets::Hibernate);
    }

    /// As [`ObjectRef::evict`], with a choice for its WebSockets.
    ///
    /// # Panics
    /// As [`ObjectRef::evict`].
    #[track_caller]
    pub fn evict_with(&self, sockets: Sockets) {
        let sockets = match sockets {
            Sockets::Hibernate => "hibernate",
            Sockets::Close => "close",
        };
        let response = self.send("/evict", &format!("&webSockets={sockets}"));
        assert!(response.status() == 200, "cannot evict `{}` of {}: {}", self.name, self.class, response.text());
    }
}

/// The time of this machine, in milliseconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

/// Percent-encodes for a query.
fn escape(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(byte);
    text.bytes().map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
