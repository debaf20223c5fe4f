//! `realgar dev`: build, run, and again when something changes.

use crate::output::{self, Outcome};
use notify::{RecursiveMode, Watcher};
use realgar_bundle::{BuildOptions, Builder, Bundle, Layout, Profile, Tools, build, layout, node_tools, read_plain};
use realgar_edge::{Edge, EdgeError, EdgeOptions, Script, read_values};
use std::{
    error::Error,
    path::{Component, Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::{Duration, Instant},
};

/// How long it must be quiet after a change: editors write a file in several steps.
const QUIET: Duration = Duration::from_millis(50);

/// Folders in a crate that are not its source.
const NOT_SOURCE: [&str; 4] = ["target", ".git", ".realgar", "node_modules"];

/// How long workerd must have run for its end to be no reason to give up on it.
const HEALTHY: Duration = Duration::from_secs(1);

enum Event {
    Changed(Vec<PathBuf>),
    /// Changes were missed, so there may be any.
    Rescan,
    /// workerd ended by itself.
    Ended,
    Stop,
}

/// What to do next.
enum Task {
    Rebuild(Vec<PathBuf>),
    Revive,
}

pub(crate) fn run(paths: &[PathBuf], port: u16) -> Outcome {
    output::note(&format!("Starting {}", paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")));
    let (events, queue) = mpsc::channel();
    let stop = events.clone();
    ctrlc::set_handler(move || {
        let _ = stop.send(Event::Stop);
    })?;
    let mut session = Session::new(paths, events)?;
    // Beside the first build, which takes as long.
    let tools = thread::spawn(|| node_tools(&mut output::show_progress));
    session.build_all();
    let tools = tools.join().map_err(|_| "the installation of the tools panicked")??;
    session.serve(&tools, port)?;
    while let Some(task) = next_task(&queue, &session) {
        match task {
            Task::Rebuild(changed) => {
                session.rebuild(&changed);
                session.serve(&tools, port)?;
            }
            Task::Revive => session.revive(),
        }
    }
    output::note("Stopping");
    Ok(())
}

/// Waits for a change of a source, and for the quiet after it, or for another reason to act. `None` when it is time to stop.
fn next_task(queue: &Receiver<Event>, session: &Session) -> Option<Task> {
    let mut changed = Vec::new();
    let mut deadline: Option<Instant> = None;
    loop {
        let event = match deadline {
            None => queue.recv().ok()?,
            // Only changes of sources put it off: workerd may be writing to its data all the time.
            Some(deadline) => match queue.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(event) => event,
                Err(_) => return Some(Task::Rebuild(changed)),
            },
        };
        let before = changed.len();
        match event {
            Event::Changed(paths) => changed.extend(paths.into_iter().filter(|path| session.is_source(path))),
            Event::Rescan => changed.extend(session.sources.iter().map(|source| source.path.clone())),
            Event::Ended => return Some(Task::Revive),
            Event::Stop => return None,
        }
        if changed.len() > before {
            deadline = Some(Instant::now() + QUIET);
        }
    }
}

/// One Worker, and its last good build.
struct Source {
    path: PathBuf,
    /// Where its source is, as far as that is known.
    layout: Layout,
    bundle: Option<Bundle>,
}

impl Source {
    /// What to run, with the values in `.dev.vars`.
    fn script(&self, bundle: &Bundle) -> Result<Script, EdgeError> {
        let values = read_values(&self.path)?;
        Ok(Script { folder: bundle.folder.clone(), manifest: bundle.manifest.clone(), values })
    }

    fn build(&self) -> Result<Bundle, Box<dyn Error>> {
        if self.path.join("Cargo.toml").exists() {
            let options = BuildOptions {
                path: self.path.clone(),
                profile: Profile::Dev,
                builder: Builder::Realgar,
                color: output::color(),
                wasm_bindgen: None,
            };
            Ok(build(&options, &mut output::show_progress)?)
        } else {
            Ok(read_plain(&self.path)?)
        }
    }
}

struct Session {
    sources: Vec<Source>,
    /// The Workers that were built anew and do not run yet.
    fresh: Vec<Script>,
    edge: Option<Edge>,
    /// When workerd was last started because it had ended.
    revived: Option<Instant>,
    events: Sender<Event>,
    watcher: notify::RecommendedWatcher,
    watched: Vec<PathBuf>,
}

impl Session {
    fn new(paths: &[PathBuf], events: Sender<Event>) -> Result<Self, Box<dyn Error>> {
        let changes = events.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            let event = match event {
                event if event.need_rescan() => Event::Rescan,
                event if event.kind.is_access() => return,
                event => Event::Changed(event.paths),
            };
            let _ = changes.send(event);
        })?;
        let mut sources = Vec::new();
        for path in paths {
            let path = path.canonicalize().map_err(|error| format!("cannot find `{}`: {error}", path.display()))?;
            if !["Cargo.toml", "wrangler.toml"].iter().any(|file| path.join(file).exists()) {
                let text = "has neither a `Cargo.toml` nor a `wrangler.toml`; name the folder of a Worker";
                return Err(format!("`{}` {text}", path.display()).into());
            }
            let layout = Layout { sources: vec![path.clone()], target: None };
            sources.push(Source { path, layout, bundle: None });
        }
        let watched = Vec::new();
        Ok(Self { sources, fresh: Vec::new(), edge: None, revived: None, events, watcher, watched })
    }

    fn build_all(&mut self) {
        for index in 0..self.sources.len() {
            self.build(index);
        }
    }

    fn rebuild(&mut self, changed: &[PathBuf]) {
        for index in 0..self.sources.len() {
            let folders = &self.sources[index].layout.sources;
            if changed.iter().any(|path| folders.iter().any(|folder| path.starts_with(folder))) {
                self.build(index);
            }
        }
    }

    /// Builds one Worker. What is wrong with it is shown, and the next change tries again.
    fn build(&mut self, index: usize) {
        // Known and watched from before the build on: a change during it is not missed, nor one that mends it. A `Cargo.toml`
        // that cannot be read is the build's to report.
        if let Ok(layout) = layout(&self.sources[index].path) {
            self.sources[index].layout = layout;
        }
        for folder in self.sources[index].layout.sources.clone() {
            self.watch(&folder);
        }
        let built = self.sources[index].build().and_then(|bundle| Ok((self.sources[index].script(&bundle)?, bundle)));
        match built {
            Ok((script, bundle)) => {
                self.fresh.retain(|other| other.name() != script.name());
                self.fresh.push(script);
                self.sources[index].bundle = Some(bundle);
            }
            Err(error) => output::show_error(&*error),
        }
    }

    fn watch(&mut self, folder: &Path) {
        if self.watched.iter().any(|watched| folder.starts_with(watched)) {
            return;
        }
        match self.watcher.watch(folder, RecursiveMode::Recursive) {
            Ok(()) => self.watched.push(folder.into()),
            Err(error) => output::show_error(&error),
        }
    }

    /// Whether a file in a watched folder is one that a build reads.
    fn is_source(&self, path: &Path) -> bool {
        let mut targets = self.sources.iter().filter_map(|source| source.layout.target.as_ref());
        let watched = |target: &Path| self.watched.iter().any(|folder| target.starts_with(folder));
        if targets.any(|target| watched(target) && path.starts_with(target)) || is_own_output(path) {
            return false;
        }
        let inside = self.watched.iter().find_map(|folder| path.strip_prefix(folder).ok());
        let generated = |part: Component<'_>| NOT_SOURCE.iter().any(|name| part.as_os_str() == *name);
        inside.is_some_and(|path| !path.components().any(generated))
    }

    /// Runs what was built. Starts when everything has been built once.
    fn serve(&mut self, tools: &Tools, port: u16) -> Outcome {
        let Some(edge) = &mut self.edge else { return self.start(tools, port) };
        if self.fresh.is_empty() {
            return Ok(());
        }
        match edge.update(self.fresh.clone()) {
            Ok(changed) => {
                self.fresh.clear();
                if changed {
                    output::note("Serving the new version");
                }
            }
            // What is refused now may fit the next version of another Worker.
            Err(error) => output::show_error(&error),
        }
        Ok(())
    }

    /// Starts workerd again after it ended by itself, unless it does nothing else.
    fn revive(&mut self) {
        let Some(edge) = &mut self.edge else { return };
        if self.revived.is_some_and(|last| last.elapsed() < HEALTHY) {
            return output::note("workerd keeps ending; waiting for a change");
        }
        self.revived = Some(Instant::now());
        match edge.revive() {
            Ok(true) => output::note("Started workerd again"),
            Ok(false) => {}
            Err(error) => output::show_error(&error),
        }
    }

    fn start(&mut self, tools: &Tools, port: u16) -> Outcome {
        if self.sources.iter().any(|source| source.bundle.is_none()) {
            output::note("Waiting for a change that mends this");
            return Ok(());
        }
        self.fresh.clear();
        let bundles = self.sources.iter().filter_map(|source| Some((source, source.bundle.as_ref()?)));
        let scripts: Vec<Script> = bundles.map(|(source, bundle)| source.script(bundle)).collect::<Result<_, _>>()?;
        let options = EdgeOptions {
            workerd: tools.workerd.clone(),
            data: self.sources[0].path.join(".realgar/dev"),
            port: (port != 0).then_some(port),
            log: Arc::new(output::show_log),
            hooks: None,
            ended: {
                let events = Mutex::new(self.events.clone());
                Arc::new(move || {
                    let _ = events.lock().unwrap_or_else(PoisonError::into_inner).send(Event::Ended);
                })
            },
        };
        let edge = match Edge::start(scripts, options) {
            Err(error) if error.is_mended_by_a_change() => {
                output::show_error(&error);
                output::note("Waiting for a change that mends this");
                return Ok(());
            }
            edge => edge?,
        };
        for script in edge.scripts() {
            if let Some(url) = edge.url(script.name()) {
                output::show_address(script.name(), &url);
            }
        }
        self.edge = Some(edge);
        Ok(())
    }
}

/// Whether this program prints into the file: each line of it would be a change.
#[cfg(unix)]
fn is_own_output(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let file = |path: &Path| std::fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    let changed = file(path);
    changed.is_some() && ["/dev/stdout", "/dev/stderr"].iter().any(|own| file(own.as_ref()) == changed)
}

#[cfg(not(unix))]
fn is_own_output(_: &Path) -> bool {
    false
}
