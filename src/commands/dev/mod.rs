//! `realgar dev`: builds and runs Workers, and does so again when a source changes.

mod data;
mod session;
mod sources;

use super::{cancel_on_signal, workers_in};
use crate::{
    args::DevArguments,
    error::{CommandError, Outcome},
    output,
};
use realgar_bundle::node_tools;
use session::Session;
use std::{
    path::PathBuf,
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

/// How long no further change may come before a build starts. Editors write a file in several steps.
const QUIET: Duration = Duration::from_millis(50);

/// An event that `dev` may have to act on.
enum Event {
    /// Files that may have changed.
    Changed(Vec<PathBuf>),
    /// Folders that were made, moved or removed.
    Restructured(Vec<PathBuf>),
    /// The watcher missed changes, so any file may have changed.
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

pub(crate) fn run(arguments: &DevArguments) -> Outcome {
    let (events, queue) = mpsc::channel();
    let stop = events.clone();
    let cancel = cancel_on_signal(move || {
        let _ = stop.send(Event::Stop);
    })?;
    let paths = paths(arguments)?;
    output::note(&format!("Starting {}", paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")));
    let data = match &arguments.data {
        Some(folder) => {
            std::path::absolute(folder).map_err(|error| CommandError::user(format!("`--data`: {error}")))?
        }
        None => {
            let data = data::folder(&paths)?;
            data::find_earlier(&data, &paths)?;
            data
        }
    };
    output::note(&format!("Data is in {}", data.display()));
    let mut session = Session::new(paths, data, arguments, events, cancel)?;
    // The tools are installed during the first build, which takes as long.
    let tools = thread::spawn(|| node_tools(&mut output::show_progress));
    session.build_all()?;
    let tools = tools.join().map_err(|_| CommandError::user("the installation of the tools panicked"))??;
    session.serve(&tools)?;
    while let Some(task) = next_task(&queue, &mut session) {
        match task {
            Task::Rebuild(changed) => {
                session.rebuild(&changed)?;
                session.serve(&tools)?;
            }
            Task::Revive => session.revive(),
        }
    }
    output::note("Stopping");
    Ok(())
}

/// The Workers that the arguments name, each once.
fn paths(arguments: &DevArguments) -> Result<Vec<PathBuf>, CommandError> {
    let mut paths = Vec::new();
    for path in &arguments.paths {
        for worker in workers_in(path)? {
            if !paths.contains(&worker) {
                paths.push(worker);
            }
        }
    }
    Ok(paths)
}

/// Waits for a change of a source and until no further change follows, or for another reason to act. `None` when it is time to
/// stop.
fn next_task(queue: &Receiver<Event>, session: &mut Session) -> Option<Task> {
    let mut changed = Vec::new();
    let mut deadline: Option<Instant> = None;
    loop {
        let event = match deadline {
            None => queue.recv().ok()?,
            // Only changes of sources postpone the deadline, because workerd may be writing to its data all the time.
            Some(deadline) => match queue.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(event) => event,
                Err(_) => return Some(Task::Rebuild(changed)),
            },
        };
        let before = changed.len();
        match event {
            Event::Changed(paths) => changed.extend(paths.into_iter().filter(|path| session.is_changed(path))),
            Event::Restructured(paths) => changed.extend(paths.into_iter().filter(|path| session.is_source(path))),
            Event::Rescan => changed.extend(session.paths()),
            Event::Ended => return Some(Task::Revive),
            Event::Stop => return None,
        }
        if changed.len() > before {
            deadline = Some(Instant::now() + QUIET);
        }
    }
}
