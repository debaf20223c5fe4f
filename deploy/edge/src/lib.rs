//! Cloudflare on this machine: a supervisor that runs Workers on the real runtime, workerd.
//!
//! An [`Edge`] owns the listening sockets and hands them to one workerd process that runs all its scripts. So a new version
//! takes over without a closed port: it is first started on its own, to see whether it starts at all; then the old process
//! ends, and connections wait in the socket for the new one. WebSockets do not survive that.
//!
//! Objects and databases are on disk and outlive the process, the machine's supervisor included.

mod config;
mod error;
mod install;
mod os;
mod process;

pub use error::EdgeError;
pub use process::LogLine;

use config::Config;
use error::io;
use process::{Process, Sockets};
use realgar_wire::{BindingKind, Manifest};
use std::{
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
}

impl Script {
    /// The name of the script.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.manifest.worker.script
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
        let lock = lock(&options.data)?;
        let mut sockets = Sockets::new();
        for (script, offset) in scripts.iter().zip(0_u16..) {
            let no_port = |first| EdgeError::NoPort { script: script.name().into(), first };
            let port = options.port.map(|first| first.checked_add(offset).ok_or_else(|| no_port(first))).transpose()?;
            sockets.add(script.name(), listen(port)?);
        }
        sockets.add(config::ADMIN, listen(None)?);
        install::clear(&options.data)?;
        let mut edge = Self { options, scripts: Vec::new(), sockets, process: None, versions: 0, _lock: lock };
        edge.scripts = edge.install(scripts)?;
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
        self.rehearse(scripts)?;
        let old = std::mem::replace(&mut self.scripts, scripts.to_vec());
        let Err(error) = self.restart() else { return Ok(()) };
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
        let config = Config { scripts: &self.scripts, data: &self.options.data, sockets: true };
        let file = self.options.data.join("workerd.capnp");
        fs::write(&file, config.render()).map_err(io("write", &file))?;
        let EdgeOptions { workerd, log, ended, .. } = &self.options;
        Process::spawn(workerd, &file, &self.sockets, log, ended.clone())
    }

    /// Starts `scripts` in a workerd of their own, without sockets and with nothing stored.
    fn rehearse(&self, scripts: &[Script]) -> Result<(), EdgeError> {
        let folder = self.options.data.join("rehearsal");
        // Of a rehearsal that was killed.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join(config::OBJECTS)).map_err(io("create", &folder))?;
        fs::create_dir_all(folder.join(config::D1)).map_err(io("create", &folder))?;
        let mut sockets = Sockets::new();
        sockets.add(config::ADMIN, listen(None)?);
        let file = folder.join("workerd.capnp");
        let config = Config { scripts, data: &folder, sockets: false };
        fs::write(&file, config.render()).map_err(io("write", &file))?;
        let started = Process::spawn(&self.options.workerd, &file, &sockets, &(Arc::new(|_| {}) as _), Arc::new(|| {}));
        started.map(Process::kill)?;
        let _ = fs::remove_dir_all(&folder);
        Ok(())
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            process.stop();
        }
    }
}

fn lock(data: &Path) -> Result<File, EdgeError> {
    for folder in [data.join(config::OBJECTS), data.join(config::D1)] {
        fs::create_dir_all(&folder).map_err(io("create", &folder))?;
    }
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
    for script in scripts {
        for binding in &script.manifest.bindings {
            let (target, class) = match &binding.kind {
                BindingKind::DurableObjectNamespace { class, script: host } => {
                    (host.as_deref().unwrap_or(script.name()), Some(class))
                }
                BindingKind::Service { service } => (service.as_str(), None),
                BindingKind::D1 { .. } => continue,
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
        }
    }
    Ok(())
}
