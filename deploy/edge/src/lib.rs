//! Cloudflare on this machine: a supervisor that runs Workers on the real runtime, workerd.
//!
//! An [`Edge`] owns the listening sockets and hands them to one workerd process that runs all its scripts. So a new version
//! takes over without a closed port: it is first started on its own, to see whether it starts at all; then the old process
//! ends, and connections wait in the socket for the new one. WebSockets do not survive that.
//!
//! Objects and databases are on disk and outlive the process, the machine's supervisor included.

mod config;
mod error;
mod hooks;
mod install;
mod migrations;
mod os;
mod process;
mod r2;
mod values;

pub use error::EdgeError;
pub use hooks::Hooks;
pub use process::LogLine;
pub use values::read_values;

use config::{Config, Mode};
use error::io;
use migrations::Migrations;
use process::{Process, Sockets};
use r2::R2;
use realgar_wire::{BindingKind, Manifest};
use std::{
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Gets every line that workerd or a Worker logs.
pub type LogSink = Arc<dyn Fn(LogLine) + Send + Sync>;

/// Is told that workerd ended by itself: see [`Edge::revive`].
pub type EndSink = Arc<dyn Fn() + Send + Sync>;

/// A script to run: a bundle on disk.
#[derive(Clone, Debug)]
pub struct Script {
    /// The folder of its modules.
    pub folder: PathBuf,
    /// Its metadata.
    pub manifest: Manifest,
    /// The values of its variables and secrets, by the name of the binding.
    pub values: BTreeMap<String, String>,
}

impl Script {
    /// The name of the script.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.manifest.worker.script
    }

    /// The value of the variable or secret bound as `name`: what was given, or its default.
    fn value(&self, name: &str) -> Option<&str> {
        let default = || {
            let binding = self.manifest.bindings.iter().find(|binding| binding.name == name)?;
            match &binding.kind {
                BindingKind::PlainText { default } | BindingKind::Json { default } => default.as_deref(),
                _ => None,
            }
        };
        self.values.get(name).map(String::as_str).or_else(default)
    }

    /// Checks that everything that needs a value has one.
    fn check_values(&self) -> Result<(), EdgeError> {
        for binding in &self.manifest.bindings {
            let needed = matches!(
                &binding.kind,
                BindingKind::PlainText { .. }
                    | BindingKind::Json { .. }
                    | BindingKind::SecretText {}
                    | BindingKind::SecretsStoreSecret { .. }
            );
            if needed && self.value(&binding.name).is_none() {
                return Err(EdgeError::NoValue { script: self.name().into(), binding: binding.name.clone() });
            }
        }
        Ok(())
    }
}

/// Where and how to run.
#[derive(Clone)]
pub struct EdgeOptions {
    /// The workerd binary.
    pub workerd: PathBuf,
    /// The folder for what objects and databases store. One edge at a time may use it.
    pub data: PathBuf,
    /// The port of the first script on 127.0.0.1; the others get the ports after it. `None` takes any free ports.
    pub port: Option<u16>,
    /// Where logs go.
    pub log: LogSink,
    /// What a test puts in front of the scripts.
    pub hooks: Option<Hooks>,
    /// Who is told that workerd ended by itself. Until it is revived, connections wait.
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

/// Running scripts. Dropping it ends them.
#[derive(Debug)]
pub struct Edge {
    options: EdgeOptions,
    /// What runs: private copies, so that what becomes of the originals does not matter.
    scripts: Vec<Script>,
    sockets: Sockets,
    process: Option<Process>,
    r2: R2,
    /// The migrations that ran.
    migrated: Migrations,
    /// How many versions were installed.
    versions: u32,
    /// Held for as long as the data folder is ours.
    _lock: File,
}

impl Edge {
    /// Starts `scripts`, and returns when they serve.
    ///
    /// # Errors
    /// When a port is taken, the data folder is in use, a binding leads nowhere, or a script does not start.
    pub fn start(scripts: Vec<Script>, options: EdgeOptions) -> Result<Self, EdgeError> {
        check_names(&scripts)?;
        check_bindings(&scripts)?;
        scripts.iter().try_for_each(Script::check_values)?;
        let lock = lock(&options.data)?;
        let mut sockets = Sockets::new();
        for (script, offset) in scripts.iter().zip(0_u16..) {
            let no_port = |first| EdgeError::NoPort { script: script.name().into(), first };
            let port = options.port.map(|first| first.checked_add(offset).ok_or_else(|| no_port(first))).transpose()?;
            sockets.add(script.name(), listen(port)?);
        }
        sockets.add(config::ADMIN, listen(None)?);
        install::clear(&options.data)?;
        let r2 = R2::start(options.data.join(config::R2))?;
        let migrated = Migrations::default();
        let mut edge =
            Self { options, scripts: Vec::new(), sockets, process: None, r2, migrated, versions: 0, _lock: lock };
        edge.scripts = edge.install(scripts)?;
        edge.migrate()?;
        edge.process = Some(edge.spawn()?);
        Ok(edge)
    }

    /// Replaces the version of the scripts that have the names of `fresh`, and returns whether any of them is another one than
    /// runs. Until the new version is known to start, the old one serves; if it does not start, the old one stays.
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
        match self.swap(&scripts) {
            Ok(()) => {
                install::remove_all(&self.options.data, &scripts);
                Ok(true)
            }
            Err(error) => {
                install::remove_all(&self.options.data, &self.scripts);
                Err(error)
            }
        }
    }

    /// Runs `scripts` instead of what runs, if they start.
    fn swap(&mut self, scripts: &[Script]) -> Result<(), EdgeError> {
        check_bindings(scripts)?;
        scripts.iter().try_for_each(Script::check_values)?;
        self.rehearse(scripts)?;
        let old = std::mem::replace(&mut self.scripts, scripts.to_vec());
        if let Some(process) = self.process.take() {
            process.stop();
        }
        let Err(error) = self.migrate().and_then(|()| self.restart()) else { return Ok(()) };
        self.scripts = old;
        self.restart()?;
        Err(error)
    }

    /// Ends workerd, as a machine that reboots would, and starts it again. What is stored stays; memory does not.
    ///
    /// # Errors
    /// When workerd does not start again.
    pub fn restart(&mut self) -> Result<(), EdgeError> {
        self.replace(Process::stop)
    }

    /// Says what time it is from the next start on, where the clock stands still: see [`Hooks`].
    pub fn set_clock(&mut self, time_ms: u64) {
        if let Some(hooks) = &mut self.options.hooks {
            hooks.clock_ms = Some(time_ms);
        }
    }

    /// The ids of the objects that store something, by script and class.
    ///
    /// # Errors
    /// When the data folder cannot be read.
    pub fn objects(&self) -> Result<BTreeMap<String, Vec<String>>, EdgeError> {
        let mut found = BTreeMap::new();
        for script in &self.scripts {
            for object in &script.manifest.objects {
                let folder = self.options.data.join(config::OBJECTS).join(config::unique_key(script, &object.class));
                found.insert(format!("{}/{}", script.name(), object.class), ids(&folder)?);
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

    /// Runs the migrations that did not run yet, in a workerd that runs nothing else: what the scripts do has to find all of them
    /// done. To be called while no other runs.
    fn migrate(&mut self) -> Result<(), EdgeError> {
        let migrations = Migrations::read(&self.scripts)?;
        if migrations == self.migrated {
            return Ok(());
        }
        let sockets = admin_socket()?;
        let process = self.spawn_as(Mode::Migrate, &sockets)?;
        let admin = sockets.address(config::ADMIN).map(|address| format!("http://{address}"));
        let outcome = migrations.run(&admin.unwrap_or_default(), &self.options.data, &self.options.log);
        process.stop();
        outcome?;
        self.migrated = migrations;
        Ok(())
    }

    /// Copies `scripts` to where nobody else changes them.
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

    /// The address of the administration Worker, which can do to objects what the platform does: see `admin.js`.
    #[must_use]
    pub fn admin_url(&self) -> Option<String> {
        self.url(config::ADMIN)
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
        let (data, hooks) = (&self.options.data, self.options.hooks);
        let config = Config { scripts: &self.scripts, data, mode, hooks, r2: self.r2.address() };
        let file = self.options.data.join("workerd.capnp");
        fs::write(&file, config.render()).map_err(io("write", &file))?;
        let EdgeOptions { workerd, log, ended, .. } = &self.options;
        Process::spawn(workerd, &file, sockets, log, ended.clone())
    }

    /// Starts `scripts` in a workerd of their own, without sockets and with nothing stored.
    fn rehearse(&self, scripts: &[Script]) -> Result<(), EdgeError> {
        let folder = self.options.data.join("rehearsal");
        // Of a rehearsal that was killed.
        let _ = fs::remove_dir_all(&folder);
        create_folders(&folder)?;
        let sockets = admin_socket()?;
        let file = folder.join("workerd.capnp");
        let (mode, r2) = (Mode::Rehearse, self.r2.address());
        let config = Config { scripts, data: &folder, mode, hooks: None, r2 };
        fs::write(&file, config.render()).map_err(io("write", &file))?;
        let started = Process::spawn(&self.options.workerd, &file, &sockets, &(Arc::new(|_| {}) as _), Arc::new(|| {}));
        started.map(Process::kill)?;
        let _ = fs::remove_dir_all(&folder);
        Ok(())
    }
}

/// The ids of the objects whose databases are in `folder`.
fn ids(folder: &Path) -> Result<Vec<String>, EdgeError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut ids = Vec::new();
    for entry in fs::read_dir(folder).map_err(io("read", folder))? {
        let path = entry.map_err(io("read", folder))?.path();
        let database = path.extension().is_some_and(|extension| extension == "sqlite");
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        // Beside them is the runtime's own, `metadata.sqlite`.
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
    }
}

/// What workerd stores to: it makes no folders.
fn create_folders(data: &Path) -> Result<(), EdgeError> {
    for name in [config::OBJECTS, config::D1, config::SIMULATORS, config::BLOBS] {
        let folder = data.join(name);
        fs::create_dir_all(&folder).map_err(io("create", &folder))?;
    }
    Ok(())
}

fn lock(data: &Path) -> Result<File, EdgeError> {
    create_folders(data)?;
    let path = data.join("lock");
    let file = File::create(&path).map_err(io("create", &path))?;
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

/// For a workerd that nobody else talks to.
fn admin_socket() -> Result<Sockets, EdgeError> {
    let mut sockets = Sockets::new();
    sockets.add(config::ADMIN, listen(None)?);
    Ok(sockets)
}

fn check_names(scripts: &[Script]) -> Result<(), EdgeError> {
    for (index, script) in scripts.iter().enumerate() {
        let name = script.name();
        if scripts[..index].iter().any(|other| other.name() == name) {
            return Err(EdgeError::DuplicateScript { name: name.into() });
        }
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.is_empty() || !name.bytes().all(legal) {
            return Err(EdgeError::BadScriptName { name: name.into() });
        }
    }
    Ok(())
}

/// Checks what the runtime would only complain about: that a binding leads to something that exists.
fn check_bindings(scripts: &[Script]) -> Result<(), EdgeError> {
    let mut consumers: BTreeMap<&str, &str> = BTreeMap::new();
    for script in scripts {
        for consumer in &script.manifest.consumers {
            if let Some(other) = consumers.insert(&consumer.queue, script.name()) {
                let (queue, first, second) = (consumer.queue.clone(), other.into(), script.name().into());
                return Err(EdgeError::TwoConsumers { queue, first, second });
            }
        }
        for binding in &script.manifest.bindings {
            let (target, class) = match &binding.kind {
                BindingKind::DurableObjectNamespace { class, script: host } => {
                    (host.as_deref().unwrap_or(script.name()), Some(class))
                }
                BindingKind::Service { service, .. } => (service.as_str(), None),
                _ => continue,
            };
            let unbound = |reason: String| EdgeError::Unbound {
                script: script.name().into(),
                binding: binding.name.clone(),
                reason,
            };
            let Some(host) = scripts.iter().find(|other| other.name() == target) else {
                return Err(unbound(format!("there is no Worker `{target}` here; start it together with this one")));
            };
            if let Some(class) = class
                && !host.manifest.objects.iter().any(|object| object.class == *class)
            {
                return Err(unbound(format!("the Worker `{target}` has no class `{class}`")));
            }
            // Of a plain Worker it is not known what it exports.
            if let BindingKind::Service { entrypoint: Some(class), .. } = &binding.kind
                && host.manifest.worker.class != "default"
                && !host.manifest.entrypoints.iter().any(|entrypoint| entrypoint.class == *class)
            {
                return Err(unbound(format!("the Worker `{target}` has no entrypoint `{class}`")));
            }
        }
    }
    Ok(())
}
