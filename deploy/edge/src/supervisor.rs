//! The supervisor: it owns the listening sockets, the data folder and one workerd process.

use crate::{
    EdgeError, Hooks, LogLine, Outbound, Script, check,
    error::io,
    migrations::Migrations,
    namespaces::Namespaces,
    os, outbound,
    private::{self, Secret},
    r2::{Objects, R2},
    workerd::{
        self, Config, Mode, install,
        process::{Process, ServedRequest, Sinks, Sockets},
    },
};
use serde::Serialize;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, TryLockError},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::runtime::Runtime;

/// How long a call of the administration Worker may take. Migrations may take long.
const PATIENCE: Duration = Duration::from_secs(600);

/// Called with every line that workerd or a Worker logs.
pub type LogSink = Arc<dyn Fn(LogLine) + Send + Sync>;

/// Called with every request that a script answered.
pub type RequestSink = Arc<dyn Fn(ServedRequest) + Send + Sync>;

/// Called when workerd ended by itself: see [`Edge::revive`].
pub type EndSink = Arc<dyn Fn() + Send + Sync>;

/// Where and how an [`Edge`] runs its scripts.
#[derive(Clone)]
pub struct EdgeOptions {
    /// The workerd binary.
    pub workerd: PathBuf,
    /// The folder for what objects and databases store. One edge at a time may use it.
    pub data: PathBuf,
    /// The port of the first script on 127.0.0.1; the others get the ports after it. `None` takes any free ports.
    pub port: Option<u16>,
    /// Receives the lines of the log.
    pub log: LogSink,
    /// Whether each line of the log names the Worker and the object that wrote it. Not to be combined with `hooks`.
    pub labels: bool,
    /// Receives every request that a script answered. `None` drops them.
    pub requests: Option<RequestSink>,
    /// The clock and the evictions that a test controls.
    pub hooks: Option<Hooks>,
    /// Where the scripts' own requests to the outside go.
    pub outbound: Outbound,
    /// Called when workerd ended by itself. Until it is revived, connections wait in the sockets.
    pub ended: EndSink,
}

impl std::fmt::Debug for EdgeOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EdgeOptions")
            .field("workerd", &self.workerd)
            .field("data", &self.data)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// A set of running scripts. Dropping it ends them.
#[derive(Debug)]
pub struct Edge {
    options: EdgeOptions,
    /// The running scripts. They are private copies, so that changes to the originals do not matter.
    scripts: Vec<Script>,
    sockets: Sockets,
    process: Option<Process>,
    r2: R2,
    /// Which data belongs to which class.
    namespaces: Namespaces,
    /// The secret that callers of the administration Worker and of the R2 store have to send.
    secret: Secret,
    /// The address of the server that answers the scripts' requests to the outside, if there is one.
    answers: Option<SocketAddr>,
    /// The tokio runtime of the servers that the edge itself runs.
    runtime: Option<Runtime>,
    /// The D1 migrations that have run.
    migrated: Migrations,
    /// The KV namespaces that the administration Worker is bound to.
    reached: BTreeSet<String>,
    /// How many times scripts were installed. It gives each copy a folder of its own.
    versions: u32,
    /// The lock on the data folder, held for as long as this edge uses the folder.
    _lock: File,
}

/// Writes down what is about to run: see [`Edge::set`].
type Commit<'a> = &'a mut dyn FnMut() -> Result<(), EdgeError>;

impl Edge {
    /// Starts `scripts`, and returns when they serve.
    ///
    /// # Errors
    /// When a port is taken, the data folder is in use, a binding leads nowhere, or a script does not start.
    pub fn start(scripts: Vec<Script>, mut options: EdgeOptions) -> Result<Self, EdgeError> {
        // workerd reads paths relative to its configuration, which is in this folder.
        options.data = std::path::absolute(&options.data).map_err(io("find", &options.data))?;
        check::script_names(&scripts)?;
        check::bindings(&scripts)?;
        scripts.iter().try_for_each(Script::check_values)?;
        let lock = lock(&options.data)?;
        let mut sockets = Sockets::new();
        for (script, offset) in scripts.iter().zip(0_u16..) {
            let no_port = |first| EdgeError::NoPort { script: script.name().into(), first };
            let port = options.port.map(|first| first.checked_add(offset).ok_or_else(|| no_port(first))).transpose()?;
            sockets.add(script.name(), listen(port)?);
        }
        sockets.add(workerd::ADMIN, listen(None)?);
        install::clear(&options.data)?;
        let secret = Secret::new()?;
        let runtime = runtime(&options.data)?;
        let r2 = R2::start(options.data.join(workerd::R2), &secret, &runtime)?;
        let answers = match &options.outbound {
            Outbound::Network => None,
            Outbound::Answered(rules) => Some(outbound::serve(rules.answer.clone(), &secret, &runtime, &options.data)?),
        };
        let namespaces = Namespaces::read(&options.data)?;
        let mut edge = Self {
            options,
            scripts: Vec::new(),
            sockets,
            process: None,
            r2,
            namespaces,
            secret,
            answers,
            runtime: Some(runtime),
            migrated: Migrations::default(),
            reached: BTreeSet::new(),
            versions: 0,
            _lock: lock,
        };
        let scripts = edge.install(scripts)?;
        let namespaces = edge.namespaces.next(&scripts)?;
        let before = edge.namespaces.clone();
        edge.scripts = scripts;
        match edge.adopt(namespaces).and_then(|()| edge.migrate()).and_then(|()| edge.spawn()) {
            Ok(process) => edge.process = Some(process),
            // The statements of a version that never ran are not followed.
            Err(error) => return before.write().and(Err(error)),
        }
        edge.namespaces.sweep()?;
        Ok(edge)
    }

    /// Replaces the running scripts that have the names of `fresh`, and returns whether any of them differs from the running
    /// version. The old version serves until the new one is known to start; if the new one does not start, the old one stays.
    ///
    /// # Errors
    /// When the new version does not start, or its bindings lead nowhere.
    pub fn update(&mut self, fresh: Vec<Script>) -> Result<bool, EdgeError> {
        for script in &fresh {
            if !self.scripts.iter().any(|old| old.name() == script.name()) {
                return Err(EdgeError::RenamedScript { name: script.name().into() });
            }
        }
        let mut scripts = self.scripts.clone();
        for script in self.install(fresh)? {
            let old = scripts.iter_mut().find(|old| old.name() == script.name() && !install::same(old, &script));
            match old {
                Some(old) => *old = script,
                None => install::remove(&script),
            }
        }
        if scripts.iter().zip(&self.scripts).all(|(new, old)| new.folder == old.folder) {
            return Ok(false);
        }
        let sockets = self.sockets_of(&scripts, &BTreeMap::new())?;
        self.exchange(&scripts, self.namespaces.clone(), sockets, &mut || Ok(())).map(|()| true)
    }

    /// Makes `fresh` the running scripts, whichever run now. A script that was not there before gets the port that `ports` has for
    /// it, if that is free. The objects of a script that is no longer there are deleted, as Cloudflare does.
    ///
    /// `commit` is called once `fresh` is known to start, before anything that is stored changes. If it writes down what is to run, a
    /// process that is killed after that is followed by one that goes on from there.
    ///
    /// # Errors
    /// As [`Edge::update`]. The running scripts then stay.
    pub(crate) fn set(
        &mut self,
        fresh: Vec<Script>,
        ports: &BTreeMap<String, u16>,
        commit: Commit<'_>,
    ) -> Result<(), EdgeError> {
        check::script_names(&fresh)?;
        let mut namespaces = self.namespaces.clone();
        namespaces.forget_all_but(&fresh);
        let mut scripts = Vec::new();
        for script in self.install(fresh)? {
            match self.scripts.iter().find(|old| old.name() == script.name() && install::same(old, &script)) {
                Some(old) => {
                    install::remove(&script);
                    scripts.push(old.clone());
                }
                None => scripts.push(script),
            }
        }
        let sockets = self.sockets_of(&scripts, ports)?;
        self.exchange(&scripts, namespaces, sockets, commit)
    }

    /// Whether the data folder belongs to classes of scripts that ran here.
    pub(crate) fn has_classes(&self) -> bool {
        self.namespaces.has_classes()
    }

    /// The sockets for `scripts`: those that there are already, and new ones.
    fn sockets_of(&self, scripts: &[Script], ports: &BTreeMap<String, u16>) -> Result<Sockets, EdgeError> {
        let mut sockets = Sockets::new();
        for name in scripts.iter().map(Script::name).chain([workerd::ADMIN]) {
            let listener = match self.sockets.share(name) {
                Some(shared) => shared.map_err(io("share a socket of", &self.options.data))?,
                None => ports.get(name).and_then(|port| listen(Some(*port)).ok()).map_or_else(|| listen(None), Ok)?,
            };
            sockets.add(name, listener);
        }
        Ok(sockets)
    }

    /// Replaces the running scripts by `scripts`, and removes the copies of those that do not run then.
    fn exchange(
        &mut self,
        scripts: &[Script],
        namespaces: Namespaces,
        sockets: Sockets,
        commit: Commit<'_>,
    ) -> Result<(), EdgeError> {
        let outcome = self.swap(scripts, namespaces, sockets, commit);
        install::remove_all(&self.options.data, &self.scripts);
        outcome
    }

    /// Replaces the running scripts by `scripts`, if these start. `from` is the record of classes that their own follows from.
    fn swap(
        &mut self,
        scripts: &[Script],
        from: Namespaces,
        sockets: Sockets,
        commit: Commit<'_>,
    ) -> Result<(), EdgeError> {
        check::bindings(scripts)?;
        scripts.iter().try_for_each(Script::check_values)?;
        self.rehearse(scripts, &from.next(scripts)?)?;
        commit()?;
        let old = (std::mem::replace(&mut self.scripts, scripts.to_vec()), self.namespaces.clone());
        let old_sockets = std::mem::replace(&mut self.sockets, sockets);
        if let Some(process) = self.process.take() {
            process.stop();
        }
        // Once more: until now the old version served, and may have stored something in a class that was empty.
        let namespaces = from.next(scripts);
        let outcome = namespaces.and_then(|next| self.adopt(next)).and_then(|()| self.migrate());
        let outcome = outcome.and_then(|()| self.restart());
        let Err(error) = outcome else { return self.namespaces.sweep() };
        self.scripts = old.0;
        self.sockets = old_sockets;
        self.adopt(old.1)?;
        self.restart()?;
        Err(error)
    }

    /// Makes `namespaces` the record of which data belongs to which class. To be called while no workerd runs.
    fn adopt(&mut self, namespaces: Namespaces) -> Result<(), EdgeError> {
        for message in namespaces.unserved(&self.namespaces, &self.scripts)? {
            (self.options.log)(LogLine::warning(message));
        }
        namespaces.write()?;
        self.namespaces = namespaces;
        Ok(())
    }

    /// Ends workerd, as a reboot of the machine would, and starts it again. Stored data stays; what is in memory is lost.
    ///
    /// # Errors
    /// When workerd does not start again.
    pub fn restart(&mut self) -> Result<(), EdgeError> {
        self.replace(Process::stop)
    }

    /// Sets the time at which the clock of a test stands still, from the next start of workerd on: see [`Hooks`].
    pub fn set_clock(&mut self, time_ms: u64) {
        if let Some(hooks) = &mut self.options.hooks {
            hooks.clock_ms = Some(time_ms);
        }
    }

    /// The ids of the objects that have stored data, by `SCRIPT/CLASS`.
    ///
    /// # Errors
    /// When the data folder cannot be read.
    pub fn objects(&self) -> Result<BTreeMap<String, Vec<String>>, EdgeError> {
        let mut found = BTreeMap::new();
        for script in &self.scripts {
            for object in &script.manifest.objects {
                let folder =
                    self.options.data.join(workerd::OBJECTS).join(self.namespaces.key(script.name(), &object.class));
                found.insert(format!("{}/{}", script.name(), object.class), stored(&folder)?);
            }
        }
        Ok(found)
    }

    /// Kills workerd without a chance to finish anything, and starts it again.
    ///
    /// # Errors
    /// When workerd does not start again.
    pub fn kill(&mut self) -> Result<(), EdgeError> {
        self.replace(Process::kill)
    }

    /// Starts workerd again if it ended by itself, and returns whether it had.
    ///
    /// # Errors
    /// When workerd does not start again.
    pub fn revive(&mut self) -> Result<bool, EdgeError> {
        let runs = self.process.as_ref().is_some_and(Process::runs);
        if !runs {
            self.restart()?;
        }
        Ok(!runs)
    }

    fn replace(&mut self, end: fn(Process)) -> Result<(), EdgeError> {
        if let Some(process) = self.process.take() {
            end(process);
        }
        self.process = Some(self.spawn()?);
        Ok(())
    }

    /// Runs the migrations that have not run yet, in a workerd that runs nothing else, so that the scripts find all of them done.
    /// To be called while no other workerd runs.
    fn migrate(&mut self) -> Result<(), EdgeError> {
        let migrations = Migrations::read(&self.scripts)?;
        if migrations == self.migrated {
            return Ok(());
        }
        let sockets = admin_socket()?;
        let process = self.spawn_as(Mode::Migrate, &sockets)?;
        let outcome =
            self.admin_at(&sockets).and_then(|admin| migrations.run(&admin, &self.options.data, &self.options.log));
        process.stop();
        outcome?;
        self.migrated = migrations;
        Ok(())
    }

    /// Copies `scripts` into the data folder, where nobody else changes them.
    fn install(&mut self, scripts: Vec<Script>) -> Result<Vec<Script>, EdgeError> {
        self.versions += 1;
        let install = |script| install::copy(script, &self.options.data, self.versions);
        scripts.into_iter().map(install).collect()
    }

    /// The address of a script: `http://127.0.0.1:PORT`. `None` if there is no such script.
    #[must_use]
    pub fn url(&self, script: &str) -> Option<String> {
        self.sockets.address(script).map(|address| format!("http://{address}"))
    }

    /// The administration Worker, which can do to objects what the platform does: see `admin.js`.
    ///
    /// # Errors
    /// When its socket is gone.
    pub fn admin(&self) -> Result<Admin, EdgeError> {
        self.admin_at(&self.sockets)
    }

    fn admin_at(&self, sockets: &Sockets) -> Result<Admin, EdgeError> {
        let address = sockets.address(workerd::ADMIN).ok_or(EdgeError::NoAdmin)?;
        Ok(Admin { url: format!("http://{address}"), secret: self.secret.clone() })
    }

    /// Makes the values of a KV namespace reachable through the administration Worker, whether or not a script binds it.
    pub(crate) fn reach_namespace(&mut self, id: &str) -> Result<(), EdgeError> {
        if self.reached.insert(id.into()) {
            self.restart()?;
        }
        Ok(())
    }

    /// The objects in R2 buckets.
    pub(crate) fn objects_of_buckets(&self) -> Objects {
        self.r2.objects()
    }

    /// Whether the R2 bucket `name` has no objects.
    pub(crate) fn bucket_is_empty(&self, name: &str) -> Result<bool, EdgeError> {
        self.r2.is_empty(name).map_err(io("read", self.options.data.join(workerd::R2)))
    }

    /// Removes the R2 bucket `name`.
    pub(crate) fn drop_bucket(&self, name: &str) -> Result<(), EdgeError> {
        self.r2.remove(name).map_err(io("remove", self.options.data.join(workerd::R2)))
    }

    /// The scripts, in the order of their ports.
    #[must_use]
    pub fn scripts(&self) -> &[Script] {
        &self.scripts
    }

    fn spawn(&self) -> Result<Process, EdgeError> {
        self.spawn_as(Mode::Serve, &self.sockets)
    }

    fn spawn_as(&self, mode: Mode, sockets: &Sockets) -> Result<Process, EdgeError> {
        let config = self.config(&self.scripts, &self.namespaces, &self.options.data, mode);
        let file = self.options.data.join("workerd.capnp");
        private::write(&file, config.render().as_bytes())?;
        let EdgeOptions { log, requests, ended, .. } = &self.options;
        let sinks = Sinks { log: log.clone(), requests: requests.clone(), ended: ended.clone() };
        Process::spawn(&self.options.workerd, &file, sockets, &sinks)
    }

    fn config<'a>(
        &'a self,
        scripts: &'a [Script],
        namespaces: &'a Namespaces,
        data: &'a Path,
        mode: Mode,
    ) -> Config<'a> {
        let hooks = self.options.hooks.filter(|_| mode != Mode::Rehearse);
        let (r2, secret) = (self.r2.address(), self.secret.as_str());
        let outbound = match &self.options.outbound {
            Outbound::Network => None,
            Outbound::Answered(rules) => self.answers.map(|address| (address, &rules.routes)),
        };
        let (labels, requests) = (self.options.labels, self.options.requests.is_some());
        let reached = &self.reached;
        Config { scripts, namespaces, data, mode, r2, secret, outbound, hooks, labels, requests, reached }
    }

    /// Checks that `scripts` start, in a workerd of their own, without their sockets and with an empty data folder.
    fn rehearse(&self, scripts: &[Script], namespaces: &Namespaces) -> Result<(), EdgeError> {
        let folder = self.options.data.join("rehearsal");
        // A rehearsal that was killed has left its folder.
        private::remove_folder(&folder)?;
        create_folders(&folder)?;
        let sockets = admin_socket()?;
        let file = folder.join("workerd.capnp");
        private::write(&file, self.config(scripts, namespaces, &folder, Mode::Rehearse).render().as_bytes())?;
        let silent = Sinks { log: Arc::new(|_| {}), requests: None, ended: Arc::new(|| {}) };
        let started = Process::spawn(&self.options.workerd, &file, &sockets, &silent);
        started.map(Process::kill)?;
        private::remove_folder(&folder)
    }
}

/// A call of the simulator of KV, in the protocol of workerd's binding.
pub(crate) struct KvCall<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) method: &'a str,
    /// The path and the query.
    pub(crate) path: &'a str,
    pub(crate) metadata: Option<&'a str>,
}

/// A value in KV.
pub(crate) struct KvValue {
    pub(crate) body: Vec<u8>,
    /// As JSON text.
    pub(crate) metadata: Option<String>,
}

/// The administration Worker of a running edge.
#[derive(Clone, Debug)]
pub struct Admin {
    url: String,
    secret: Secret,
}

impl Admin {
    /// The address of the Worker, `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Runs statements of SQL on the D1 database `id`, all or none. The answer has a result for each: `columns`, `rows` and `meta`.
    pub(crate) fn query(&self, id: &str, statements: &[Value]) -> Result<Value, String> {
        self.post(&format!("/query?database={id}"), &statements)?
            .body_mut()
            .read_json()
            .map_err(|error| error.to_string())
    }

    /// Makes a call of the simulator of KV. `None` if there is no such key.
    pub(crate) fn kv(&self, call: &KvCall<'_>, body: &[u8]) -> Result<Option<KvValue>, String> {
        let url = format!("{}/kv?namespace={}&method={}", self.url, call.namespace, call.method);
        let request = agent().post(&url).header(private::SECRET_HEADER, self.secret.as_str());
        let request = request.header("x-path", call.path);
        let request = call.metadata.into_iter().fold(request, |request, own| request.header("cf-kv-metadata", own));
        let mut response = request.send(body).map_err(|error| error.to_string())?;
        let header = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.to_string());
        let (metadata, reason) = (header("cf-kv-metadata"), header("x-reason"));
        let status = response.status();
        if status.as_u16() == 404 {
            return Ok(None);
        }
        let body = response.body_mut().read_to_vec().map_err(|error| error.to_string())?;
        if status.is_success() {
            return Ok(Some(KvValue { body, metadata }));
        }
        Err(reason.unwrap_or_else(|| String::from_utf8_lossy(&body).into_owned()))
    }

    /// Makes a call of the Worker. An answer that is no success is an error.
    pub(crate) fn post(&self, path: &str, body: &impl Serialize) -> Result<ureq::http::Response<ureq::Body>, String> {
        let url = format!("{}{path}", self.url);
        let sent = agent().post(&url).header(private::SECRET_HEADER, self.secret.as_str()).send_json(body);
        let mut response = sent.map_err(|error| error.to_string())?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(response.body_mut().read_to_string().unwrap_or_else(|error| error.to_string()))
    }

    /// The value that requests must have in the header [`SECRET_HEADER`](crate::SECRET_HEADER). It is never part of a URL, because
    /// a URL may be logged.
    #[must_use]
    pub fn secret(&self) -> &str {
        self.secret.as_str()
    }
}

fn agent() -> ureq::Agent {
    // No proxy is used, because the address is on this machine.
    let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None);
    config.timeout_global(Some(PATIENCE)).build().into()
}

/// Starts the tokio runtime of the servers that the edge itself runs.
fn runtime(data: &Path) -> Result<Runtime, EdgeError> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_io().build().map_err(io("start the servers for", data))
}

/// The ids of the objects whose databases are in `folder`. An object has a database once it has stored something.
pub(crate) fn stored(folder: &Path) -> Result<Vec<String>, EdgeError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut ids = Vec::new();
    for entry in fs::read_dir(folder).map_err(io("read", folder))? {
        let path = entry.map_err(io("read", folder))?.path();
        let database = path.extension().is_some_and(|extension| extension == "sqlite");
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        // The runtime's own `metadata.sqlite` lies beside the databases of objects. Its name is not hexadecimal.
        ids.extend(stem.filter(|stem| database && stem.bytes().all(|byte| byte.is_ascii_hexdigit())).map(String::from));
    }
    ids.sort();
    Ok(ids)
}

impl Drop for Edge {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            process.stop();
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Creates the folders that workerd stores to, because workerd itself creates none.
fn create_folders(data: &Path) -> Result<(), EdgeError> {
    private::create_folder(data)?;
    for name in [workerd::OBJECTS, workerd::D1, workerd::SIMULATORS, workerd::BLOBS] {
        private::create_folder(&data.join(name))?;
    }
    Ok(())
}

fn lock(data: &Path) -> Result<File, EdgeError> {
    private::check_own(data)?;
    create_folders(data)?;
    let path = data.join("lock");
    let file = private::create(&path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(EdgeError::DataInUse { folder: data.into() }),
        Err(TryLockError::Error(error)) => Err(io("lock", &path)(error)),
    }
}

fn listen(port: Option<u16>) -> Result<TcpListener, EdgeError> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.unwrap_or(0)));
    let failed = |source| EdgeError::Listen { address, source };
    let listener = TcpListener::bind(address).map_err(failed)?;
    os::accept_with_data(&listener).map_err(failed)?;
    Ok(listener)
}

/// The only socket of a workerd that does not serve: that of the administration Worker.
fn admin_socket() -> Result<Sockets, EdgeError> {
    let mut sockets = Sockets::new();
    sockets.add(workerd::ADMIN, listen(None)?);
    Ok(sockets)
}
