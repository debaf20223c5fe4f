//! `realgar dev`: build, run, and again when something changes.

use crate::output::{self, Outcome};
use notify::{RecursiveMode, Watcher};
use realgar_bundle::{BuildOptions, Builder, Bundle, Profile, Tools, build, node_tools, read_plain};
use realgar_edge::{Edge, EdgeOptions, Script};
use std::{
    error::Error,
    path::{Component, Path, PathBuf},
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::Duration,
};

/// How long it must be quiet after a change: editors write a file in several steps.
const QUIET: Duration = Duration::from_millis(50);

/// Folders in a crate that are not its source.
const NOT_SOURCE: [&str; 4] = ["target", ".git", ".realgar", "node_modules"];

enum Event {
    Changed(Vec<PathBuf>),
    Stop,
}

pub(crate) fn run(paths: &[PathBuf], port: u16) -> Outcome {
    output::note(&format!("Starting {}", paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")));
    let (events, queue) = mpsc::channel();
    let stop = events.clone();
    ctrlc::set_handler(move || {
        let _ = stop.send(Event::Stop);
    })?;
    // Beside the first build, which takes as long.
    let tools = thread::spawn(|| node_tools(&mut output::show_progress));
    let mut session = Session::new(paths, events)?;
    session.build_all();
    let tools = tools.join().map_err(|_| "the installation of the tools panicked")??;
    session.serve(&tools, port)?;
    while let Some(changed) = next_change(&queue, &session) {
        session.rebuild(&changed);
        session.serve(&tools, port)?;
    }
    output::note("Stopping");
    Ok(())
}

/// Waits for a change of a source, and for the quiet after it. `None` when it is time to stop.
fn next_change(queue: &Receiver<Event>, session: &Session) -> Option<Vec<PathBuf>> {
    let mut sources = Vec::new();
    loop {
        let event = if sources.is_empty() {
            queue.recv().ok()
        } else {
            match queue.recv_timeout(QUIET) {
                Ok(event) => Some(event),
                Err(_) => return Some(sources),
            }
        };
        match event {
            Some(Event::Changed(paths)) => sources.extend(paths.into_iter().filter(|path| session.is_source(path))),
            Some(Event::Stop) | None => return None,
        }
    }
}

/// One Worker, and its last good build.
struct Source {
    path: PathBuf,
    bundle: Option<Bundle>,
}

impl Source {
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

    /// Whether a change of `path` makes the build stale. Without a build, every change may mend it.
    fn depends_on(&self, path: &Path) -> bool {
        match &self.bundle {
            Some(bundle) => bundle.sources.iter().any(|source| path.starts_with(source)),
            None => true,
        }
    }
}

struct Session {
    sources: Vec<Source>,
    /// The Workers that were built anew and do not run yet.
    fresh: Vec<Script>,
    edge: Option<Edge>,
    watcher: notify::RecommendedWatcher,
    watched: Vec<PathBuf>,
}

impl Session {
    fn new(paths: &[PathBuf], events: Sender<Event>) -> Result<Self, Box<dyn Error>> {
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            if event.kind.is_access() {
                return;
            }
            let _ = events.send(Event::Changed(event.paths));
        })?;
        let mut sources = Vec::new();
        for path in paths {
            let path = path.canonicalize().map_err(|error| format!("cannot find `{}`: {error}", path.display()))?;
            if !["Cargo.toml", "wrangler.toml"].iter().any(|file| path.join(file).exists()) {
                let text = "has neither a `Cargo.toml` nor a `wrangler.toml`; name the folder of a Worker";
                return Err(format!("`{}` {text}", path.display()).into());
            }
            sources.push(Source { path, bundle: None });
        }
        Ok(Self { sources, fresh: Vec::new(), edge: None, watcher, watched: Vec::new() })
    }

    fn build_all(&mut self) {
        for index in 0..self.sources.len() {
            self.build(index);
        }
    }

    fn rebuild(&mut self, changed: &[PathBuf]) {
        for index in 0..self.sources.len() {
            if changed.iter().any(|path| self.sources[index].depends_on(path)) {
                self.build(index);
            }
        }
    }

    /// Builds one Worker. What is wrong with it is shown, and the next change tries again.
    fn build(&mut self, index: usize) {
        // Watched from before the build on: a change during it is not missed.
        let own = self.sources[index].path.clone();
        self.watch(&own);
        match self.sources[index].build() {
            Ok(bundle) => {
                for source in bundle.sources.clone() {
                    self.watch(&source);
                }
                if bundle.changed || self.sources[index].bundle.is_none() {
                    self.fresh.push(Script { folder: bundle.folder.clone(), manifest: bundle.manifest.clone() });
                }
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
        let mut targets = self.sources.iter().filter_map(|source| source.bundle.as_ref()?.target.as_ref());
        let watched = |target: &Path| self.watched.iter().any(|folder| target.starts_with(folder));
        if targets.any(|target| watched(target) && path.starts_with(target)) {
            return false;
        }
        let inside = self.watched.iter().find_map(|folder| path.strip_prefix(folder).ok());
        let generated = |part: Component<'_>| NOT_SOURCE.iter().any(|name| part.as_os_str() == *name);
        inside.is_some_and(|path| !path.components().any(generated))
    }

    /// Runs what was built. Starts when everything has been built once.
    fn serve(&mut self, tools: &Tools, port: u16) -> Outcome {
        let Some(edge) = &mut self.edge else { return self.start(tools, port) };
        let fresh = std::mem::take(&mut self.fresh);
        if fresh.is_empty() {
            return Ok(());
        }
        match edge.update(fresh) {
            Ok(()) => output::note("Serving the new version"),
            Err(error) => output::show_error(&error),
        }
        Ok(())
    }

    fn start(&mut self, tools: &Tools, port: u16) -> Outcome {
        if self.sources.iter().any(|source| source.bundle.is_none()) {
            output::note("Waiting for a change that mends this");
            return Ok(());
        }
        self.fresh.clear();
        let bundles = self.sources.iter().filter_map(|source| source.bundle.as_ref());
        let scripts = bundles.map(|bundle| Script { folder: bundle.folder.clone(), manifest: bundle.manifest.clone() });
        let options = EdgeOptions {
            workerd: tools.workerd.clone(),
            data: self.sources[0].path.join(".realgar/dev"),
            port: (port != 0).then_some(port),
            log: Arc::new(output::show_log),
        };
        let edge = Edge::start(scripts.collect(), options)?;
        for script in edge.scripts() {
            if let Some(url) = edge.url(script.name()) {
                output::show_address(script.name(), &url);
            }
        }
        self.edge = Some(edge);
        Ok(())
    }
}
