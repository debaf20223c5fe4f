//! `realgar edge`.

use super::cancel_on_signal;
use crate::{
    args::EdgeArguments,
    error::{CommandError, Outcome},
    output,
    stack::{Local, data},
};
use realgar_bundle::{node_tools, workspace};
use realgar_edge::{EdgeOptions, Outbound, Rest, RestOptions};
use std::{
    path::Path,
    sync::{Arc, mpsc},
};

/// An event that `edge` has to act on.
enum Event {
    /// workerd ended by itself.
    Ended,
    Stop,
}

pub(crate) fn run(arguments: &EdgeArguments) -> Outcome {
    let (events, queue) = mpsc::channel();
    let (stop, stopped, ended) = (events.clone(), events.clone(), events);
    cancel_on_signal(move || drop(stop.send(Event::Stop)))?;
    let folder = match &arguments.data {
        Some(folder) => folder.clone(),
        None => Local::folder(&data(&workspace(Path::new("."))?.root)),
    };
    let data = std::path::absolute(&folder).map_err(CommandError::user)?;
    let tools = node_tools(&mut output::show_progress)?;
    let rest = Rest::start(RestOptions {
        edge: EdgeOptions {
            workerd: tools.workerd,
            data: data.clone(),
            port: (arguments.port != 0).then_some(arguments.port),
            log: Arc::new(|line| output::show_log(&line)),
            labels: true,
            requests: Some(Arc::new(|request| output::show_request(&request))),
            hooks: None,
            outbound: Outbound::Network,
            ended: Arc::new(move || drop(ended.send(Event::Ended))),
        },
        stop: Arc::new(move || drop(stopped.send(Event::Stop))),
    })?;
    output::note(&format!("Data is in {}; `token` in it has the token", data.display()));
    output::show_result(&format!("{}\n", rest.url()));
    while let Ok(event) = queue.recv() {
        match event {
            Event::Ended => drop(rest.revive()?),
            Event::Stop => break,
        }
    }
    Ok(())
}
