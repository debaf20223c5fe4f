//! The Workers of one run of `dev`: their sources, their last good builds, and the edge that runs them.

use super::{
    Event,
    sources::{Sources, is_source},
};
use crate::{
    args::DevArguments,
    error::{CommandError, Outcome},
    output,
};
use notify::{EventKind, RecursiveMode, Watcher, event::ModifyKind};
use realgar_bundle::{
    BuildError, BuildOptions, Builder, Bundle, Cancel, Layout, Profile, Tools, build, layout, read_plain,
};
use realgar_edge::{Edge, EdgeError, EdgeOptions, Outbound, Script, read_values};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, mpsc::Sender},
    time::{Duration, Instant},
};

/// How long workerd must have run so that it is started again when it ends.
const HEALTHY: Duration = Duration::from_secs(1);

/// One Worker, and its last good build.
struct Worker {
    path: PathBuf,
    /// The folders and files of its source, as far as they are known.
    layout: Layout,
    bundle: Option<Bundle>,
    /// Whether its last build failed.
    failed: bool,
}

impl Worker {
    /// The script to run, with the values in `.dev.vars`.
    fn script(&self, bundle: &Bundle) -> Result<Script, EdgeError> {
        let values = read_values(&self.path)?;
        Ok(Script { folder: bundle.folder.clone(), manifest: bundle.manifest.clone(), values })
    }

    fn build(&self, cancel: &Cancel) -> Result<Bundle, BuildError> {
        if !self.path.join("Cargo.toml").exists() {
            return read_plain(&self.path);
        }
        let options = BuildOptions {
            path: self.path.clone(),
            profile: Profile::Dev,
            builder: Builder::Realgar,
            color: output::color(),
            wasm_bindgen: None,
            cancel: Some(cancel.clone()),
        };
        build(&options, &mut output::show_progress)
    }
}

pub(super) struct Session {
    workers: Vec<Worker>,
    /// New builds of Workers that do not run yet.
    fresh: Vec<(usize, Script)>,
    edge: Option<Edge>,
    data: PathBuf,
    port: Option<u16>,
    quiet: bool,
    /// When workerd was last started again after it had ended.
    revived: Option<Instant>,
    /// Whether the edge refused the last new version.
    refused: bool,
    cancel: Cancel,
    events: Sender<Event>,
    watcher: notify::RecommendedWatcher,
    watched: Vec<PathBuf>,
    sources: Sources,
}

impl Session {
    pub(super) fn new(
        paths: Vec<PathBuf>,
        data: PathBuf,
        arguments: &DevArguments,
        events: Sender<Event>,
        cancel: Cancel,
    ) -> Result<Self, CommandError> {
        let changes = events.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            let event = match event {
                event if event.need_rescan() => Event::Rescan,
                event if event.kind.is_access() => return,
                event if is_folder_event(&event) => Event::Restructured(event.paths),
                event => Event::Changed(event.paths),
            };
            let _ = changes.send(event);
        })
        .map_err(CommandError::user)?;
        let worker = |path: PathBuf| {
            let layout = Layout { sources: vec![path.clone()], files: Vec::new(), target: None };
            Worker { path, layout, bundle: None, failed: false }
        };
        Ok(Self {
            workers: paths.into_iter().map(worker).collect(),
            fresh: Vec::new(),
            edge: None,
            data,
            port: (arguments.port != 0).then_some(arguments.port),
            quiet: arguments.quiet,
            revived: None,
            refused: false,
            cancel,
            events,
            watcher,
            watched: Vec::new(),
            sources: Sources::default(),
        })
    }

    /// The folders of the Workers.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.workers.iter().map(|worker| worker.path.clone()).collect()
    }

    pub(super) fn build_all(&mut self) -> Outcome {
        (0..self.workers.len()).try_for_each(|index| self.build(index))
    }

    pub(super) fn rebuild(&mut self, changed: &[PathBuf]) -> Outcome {
        for index in 0..self.workers.len() {
            let Layout { sources, files, .. } = &self.workers[index].layout;
            let is_of_it =
                |path: &PathBuf| files.contains(path) || sources.iter().any(|folder| path.starts_with(folder));
            if changed.iter().any(is_of_it) {
                self.build(index)?;
            }
        }
        Ok(())
    }

    /// Builds one Worker. An error is shown, and the next change tries again. But an error that no edit could resolve ends `dev`,
    /// unless the Workers already run.
    fn build(&mut self, index: usize) -> Outcome {
        // The folders are found and watched before the build starts, so that an edit during the build counts, such as one that
        // fixes its error. If a `Cargo.toml` cannot be read, the build reports that.
        self.watch_sources(index);
        let built = self.workers[index].build(&self.cancel).map_err(CommandError::from).and_then(|bundle| {
            let script = self.workers[index].script(&bundle)?;
            Ok((script, bundle))
        });
        // By now cargo has written down which files it read.
        self.watch_sources(index);
        match built {
            Ok((script, bundle)) => {
                self.fresh.retain(|(other, _)| *other != index);
                self.fresh.push((index, script));
                let worker = &mut self.workers[index];
                worker.bundle = Some(bundle);
                if std::mem::take(&mut worker.failed) && self.edge.is_some() {
                    output::note("It builds again");
                }
                Ok(())
            }
            Err(error) if self.cancel.is_cancelled() || (self.edge.is_none() && is_final(&error)) => Err(error),
            Err(error) => {
                // A version that waits to be served is no longer what the source says.
                self.fresh.retain(|(other, _)| *other != index);
                self.workers[index].failed = true;
                output::show_error(&error);
                if self.edge.is_some() {
                    output::note("The last good version still serves");
                }
                Ok(())
            }
        }
    }

    fn watch_sources(&mut self, index: usize) {
        if let Ok(layout) = layout(&self.workers[index].path) {
            self.workers[index].layout = layout;
        }
        let Layout { sources, files, .. } = self.workers[index].layout.clone();
        for folder in sources {
            self.watch(&folder, RecursiveMode::Recursive);
        }
        // The folder is watched instead of the file, because editors replace files.
        for folder in files.iter().filter_map(|file| file.parent()) {
            self.watch(folder, RecursiveMode::NonRecursive);
        }
    }

    fn watch(&mut self, folder: &Path, mode: RecursiveMode) {
        let known = self.watched.iter().any(|watched| folder.starts_with(watched));
        if known || !folder.exists() {
            return;
        }
        match self.watcher.watch(folder, mode) {
            Ok(()) if mode == RecursiveMode::Recursive => self.watched.push(folder.into()),
            Ok(()) => {}
            Err(error) => output::show_error(&CommandError::user(error)),
        }
    }

    /// Whether a file that the watcher reports may be one that a build reads.
    pub(super) fn is_source(&self, path: &Path) -> bool {
        is_source(path, self.workers.iter().map(|worker| &worker.layout), &self.data)
    }

    /// Whether `path` is a source, and its content differs from before.
    pub(super) fn is_changed(&mut self, path: &Path) -> bool {
        self.is_source(path) && self.sources.is_changed(path)
    }

    /// Runs the new builds. The edge starts once every Worker has been built.
    pub(super) fn serve(&mut self, tools: &Tools) -> Outcome {
        let Some(edge) = &mut self.edge else { return self.start(tools) };
        if self.fresh.is_empty() {
            return Ok(());
        }
        match edge.update(self.fresh.iter().map(|(_, script)| script.clone()).collect()) {
            Ok(changed) => {
                self.fresh.clear();
                output::note(match (changed, self.refused) {
                    (true, _) => "Serving the new version",
                    (false, true) => "The build is the one that serves again",
                    (false, false) => "The build is the same as before, and goes on serving",
                });
                self.refused = false;
            }
            // A version that is refused now may fit together with the next version of another Worker, so it is kept.
            Err(error) => {
                self.refused = true;
                output::show_error(&error.into());
                output::note("The last good version still serves");
            }
        }
        Ok(())
    }

    /// Starts workerd again after it ended by itself, unless it ends again and again.
    pub(super) fn revive(&mut self) {
        let Some(edge) = &mut self.edge else { return };
        if self.revived.is_some_and(|last| last.elapsed() < HEALTHY) {
            return output::note("workerd keeps ending; waiting for a change");
        }
        self.revived = Some(Instant::now());
        match edge.revive() {
            Ok(true) => output::note("Started workerd again"),
            Ok(false) => {}
            Err(error) => output::show_error(&error.into()),
        }
    }

    fn start(&mut self, tools: &Tools) -> Outcome {
        if self.workers.iter().any(|worker| worker.bundle.is_none()) {
            output::note("Waiting for a change that mends this");
            return Ok(());
        }
        self.fresh.clear();
        let bundles = self.workers.iter().filter_map(|worker| Some((worker, worker.bundle.as_ref()?)));
        let scripts: Vec<Script> = bundles.map(|(worker, bundle)| worker.script(bundle)).collect::<Result<_, _>>()?;
        let edge = match Edge::start(scripts, self.edge_options(tools)) {
            Err(error) if error.is_mended_by_an_edit() => {
                output::show_error(&error.into());
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
        output::note("Watching for changes; Ctrl-C stops");
        self.edge = Some(edge);
        Ok(())
    }

    fn edge_options(&self, tools: &Tools) -> EdgeOptions {
        let events = Mutex::new(self.events.clone());
        EdgeOptions {
            workerd: tools.workerd.clone(),
            data: self.data.clone(),
            port: self.port,
            log: Arc::new(|line| output::show_log(&line)),
            labels: true,
            requests: (!self.quiet).then(|| Arc::new(|request| output::show_request(&request)) as _),
            outbound: Outbound::Network,
            hooks: None,
            ended: Arc::new(move || {
                let _ = events.lock().unwrap_or_else(PoisonError::into_inner).send(Event::Ended);
            }),
        }
    }
}

/// Whether the event is about folders themselves. Files that come and go with a folder cause no events of their own.
fn is_folder_event(event: &notify::Event) -> bool {
    let moved = matches!(event.kind, EventKind::Create(_) | EventKind::Modify(ModifyKind::Name(_)));
    moved && event.paths.iter().any(|path| path.is_dir())
}

/// Whether no edit of the Worker's source would resolve the error, so that another command is needed.
fn is_final(error: &CommandError) -> bool {
    let build = error.error.downcast_ref::<BuildError>();
    build.is_some_and(|error| {
        matches!(
            error,
            BuildError::NoWorker { .. }
                | BuildError::NotAWorkerCrate { .. }
                | BuildError::NoExport { .. }
                | BuildError::Tool { .. }
                | BuildError::Version { .. }
        )
    })
}
