//! One workerd process: started with our sockets, watched until it serves, and never left behind.

use crate::{EdgeError, LogSink, error::io, os};
use command_fds::{CommandFdExt, FdMapping};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::{BufRead, BufReader, PipeReader, Read},
    net::{SocketAddr, TcpListener},
    os::{fd::OwnedFd, unix::process::CommandExt},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::Duration,
};

/// How long workerd may take to end by itself. Requests under way have that long to finish.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// How long workerd may take to serve. A script that never ends at its top level would take for ever.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// The file descriptor on which workerd reports, in the child.
const CONTROL_FD: i32 = 3;

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// `log`, `info`, `warn`, `error`, `debug`.
    pub level: String,
    /// The text.
    pub message: String,
}

impl LogLine {
    /// workerd logs one JSON object a line; what is no such object is its own complaint.
    fn parse(line: &str) -> Self {
        let json: Option<serde_json::Value> = serde_json::from_str(line).ok();
        let field = |name: &str| Some(json.as_ref()?.get(name)?.as_str()?.to_string());
        match (field("level"), field("message")) {
            (Some(level), Some(message)) => Self { level, message },
            _ => Self { level: "error".into(), message: line.into() },
        }
    }
}

/// The listening sockets, by the name that the configuration gives them.
#[derive(Debug)]
pub(crate) struct Sockets {
    list: Vec<(String, TcpListener)>,
}

impl Sockets {
    pub(crate) fn new() -> Self {
        Self { list: Vec::new() }
    }

    pub(crate) fn add(&mut self, name: &str, listener: TcpListener) {
        self.list.push((name.into(), listener));
    }

    pub(crate) fn address(&self, name: &str) -> Option<SocketAddr> {
        self.list.iter().find(|(own, _)| own == name)?.1.local_addr().ok()
    }
}

/// A running workerd.
#[derive(Debug)]
pub(crate) struct Process {
    pid: Pid,
    ended: Receiver<()>,
}

impl Process {
    /// Starts workerd, and returns when it listens on every socket.
    pub(crate) fn spawn(workerd: &Path, config: &Path, sockets: &Sockets, log: LogSink) -> Result<Self, EdgeError> {
        let (control, report) = std::io::pipe().map_err(io("make a pipe for", workerd))?;
        let mut command = Command::new(workerd);
        command.args(["serve", "--experimental", "-I", "/", &format!("--control-fd={CONTROL_FD}")]);
        let mut descriptors = vec![FdMapping { parent_fd: OwnedFd::from(report), child_fd: CONTROL_FD }];
        for (child_fd, (name, listener)) in (CONTROL_FD + 1..).zip(&sockets.list) {
            command.arg("-S").arg(format!("{name}={child_fd}"));
            let listener = listener.try_clone().map_err(io("share a socket with", workerd))?;
            descriptors.push(FdMapping { parent_fd: OwnedFd::from(listener), child_fd });
        }
        command.arg(config).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own: Ctrl-C in a terminal is for us, and we end workerd in order.
        command.process_group(0);
        command.fd_mappings(descriptors).map_err(|error| EdgeError::Io {
            action: "hand sockets to",
            path: workerd.into(),
            source: std::io::Error::other(error),
        })?;
        let mut child = spawn_with_parent(command).map_err(io("run", workerd))?;
        let output = Arc::new(Mutex::new(Some(String::new())));
        forward(child.stdout.take(), &output, &log);
        let complaints = forward(child.stderr.take(), &output, &log);
        let process = Self::watch(child);
        if !serves(control, sockets.list.len()) {
            process.kill();
            let _ = complaints.join();
            let output = lock(&output).take().unwrap_or_default();
            return Err(EdgeError::Refused { output: output.trim_end().into() });
        }
        // From here on a line is a log line only.
        lock(&output).take();
        Ok(process)
    }

    fn watch(mut child: Child) -> Self {
        let pid = Pid::from_child(&child);
        let (end, ended) = mpsc::channel();
        thread::spawn(move || {
            let _ = child.wait();
            let _ = end.send(());
        });
        Self { pid, ended }
    }

    /// Lets requests under way finish, and ends the process.
    pub(crate) fn stop(self) {
        let _ = kill_process(self.pid, Signal::TERM);
        if self.ended.recv_timeout(STOP_TIMEOUT).is_err() {
            self.kill();
        }
    }

    /// Ends the process at once.
    pub(crate) fn kill(self) {
        let _ = kill_process(self.pid, Signal::KILL);
        let _ = self.ended.recv();
    }
}

/// Waits until workerd has reported as many sockets. False when it ends before that, or takes too long.
fn serves(control: PipeReader, sockets: usize) -> bool {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let reports = BufReader::new(control).lines().map_while(Result::ok);
        let listening = reports.filter(|line| line.contains("\"listen\"")).take(sockets).count();
        let _ = tell.send(listening == sockets);
    });
    told.recv_timeout(START_TIMEOUT).unwrap_or(false)
}

/// Passes on what workerd prints, and keeps it until the process serves.
fn forward(
    pipe: Option<impl Read + Send + 'static>,
    output: &Arc<Mutex<Option<String>>>,
    log: &LogSink,
) -> thread::JoinHandle<()> {
    let (output, log) = (output.clone(), log.clone());
    thread::spawn(move || {
        for line in pipe.into_iter().flat_map(|pipe| BufReader::new(pipe).lines()).map_while(Result::ok) {
            let line = LogLine::parse(&line);
            match &mut *lock(&output) {
                Some(kept) => {
                    kept.push_str(&line.message);
                    kept.push('\n');
                }
                None => log(line),
            }
        }
    })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

type Spawned = std::io::Result<Child>;

/// Starts `command` so that the kernel kills it when this process ends, in whatever way.
///
/// The kernel watches the thread that forked, so all children come from one thread that lives as long as the process.
fn spawn_with_parent(command: Command) -> Spawned {
    static SPAWNER: LazyLock<Sender<(Command, Sender<Spawned>)>> = LazyLock::new(|| {
        let (requests, queue) = mpsc::channel::<(Command, Sender<Spawned>)>();
        thread::spawn(move || {
            for (mut command, answer) in queue {
                os::end_with_parent(&mut command);
                let _ = answer.send(command.spawn());
            }
        });
        requests
    });
    let gone = || std::io::Error::other("the thread that starts processes is gone");
    let (answer, spawned) = mpsc::channel();
    SPAWNER.send((command, answer)).map_err(|_| gone())?;
    spawned.recv().map_err(|_| gone())?
}
