//! One workerd process: started with our sockets, watched until it ends, and (on Linux) never left behind.

use crate::{EdgeError, EndSink, LogSink, error::io, os};
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
        atomic::{AtomicBool, Ordering},
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
    /// Something to know, which stops nothing.
    pub(crate) fn warning(message: String) -> Self {
        Self { level: "warn".into(), message }
    }

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
    /// Set before the process is told to end: until then its end is a surprise.
    stopping: Arc<AtomicBool>,
    /// The threads that pass on what it prints.
    output: Vec<thread::JoinHandle<()>>,
}

impl Process {
    /// Starts workerd, and returns when it listens on every socket.
    /// If it later ends by itself, the log says so and `ended` is called.
    pub(crate) fn spawn(
        workerd: &Path,
        config: &Path,
        sockets: &Sockets,
        log: &LogSink,
        ended: EndSink,
    ) -> Result<Self, EdgeError> {
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
        let kept = Arc::new(Mutex::new(Some(Vec::new())));
        let output = vec![forward(child.stdout.take(), &kept, log), forward(child.stderr.take(), &kept, log)];
        let process = Self::watch(child, output, log.clone(), ended);
        let outcome = serves(control, sockets.list.len());
        let process = if outcome == Serving::Yes {
            Some(process)
        } else {
            process.kill();
            None
        };
        // From here on a line is a log line only.
        let kept = lock(&kept).take().unwrap_or_default();
        let text = || kept.iter().map(|line| line.message.trim_end()).collect::<Vec<_>>().join("\n");
        match process {
            Some(process) => {
                kept.into_iter().for_each(|line| log(line));
                Ok(process)
            }
            None if outcome == Serving::No => Err(EdgeError::Refused { output: text() }),
            None => Err(EdgeError::StartTimeout { seconds: START_TIMEOUT.as_secs(), output: text() }),
        }
    }

    fn watch(mut child: Child, output: Vec<thread::JoinHandle<()>>, log: LogSink, on_end: EndSink) -> Self {
        let pid = Pid::from_child(&child);
        let (end, ended) = mpsc::channel::<()>();
        let stopping = Arc::new(AtomicBool::new(false));
        let expected = stopping.clone();
        thread::spawn(move || {
            let status = child.wait();
            drop(end);
            if !expected.load(Ordering::SeqCst) {
                let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                log(LogLine { level: "error".into(), message: format!("workerd ended by itself: {status}") });
                on_end();
            }
        });
        Self { pid, ended, stopping, output }
    }

    /// Whether it still runs.
    pub(crate) fn runs(&self) -> bool {
        matches!(self.ended.try_recv(), Err(mpsc::TryRecvError::Empty))
    }

    /// Lets requests under way finish, and ends the process.
    pub(crate) fn stop(self) {
        self.end(Signal::TERM, STOP_TIMEOUT);
    }

    /// Ends the process at once.
    pub(crate) fn kill(self) {
        self.end(Signal::KILL, Duration::MAX);
    }

    fn end(self, signal: Signal, patience: Duration) {
        self.stopping.store(true, Ordering::SeqCst);
        // Nobody is sent a signal for a process that is gone: its number may be somebody else's by now.
        if self.runs() {
            let _ = kill_process(self.pid, signal);
            if self.ended.recv_timeout(patience) == Err(mpsc::RecvTimeoutError::Timeout) {
                let _ = kill_process(self.pid, Signal::KILL);
                let _ = self.ended.recv();
            }
        }
        for thread in self.output {
            let _ = thread.join();
        }
    }
}

/// Whether a process listens.
#[derive(PartialEq, Eq)]
enum Serving {
    Yes,
    /// It ended before that.
    No,
    /// It takes too long.
    Unknown,
}

/// Waits until workerd has reported as many sockets.
fn serves(control: PipeReader, sockets: usize) -> Serving {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let reports = BufReader::new(control).lines().map_while(Result::ok);
        let listening = reports.filter(|line| line.contains("\"listen\"")).take(sockets).count();
        let _ = tell.send(if listening == sockets { Serving::Yes } else { Serving::No });
    });
    told.recv_timeout(START_TIMEOUT).unwrap_or(Serving::Unknown)
}

/// Passes on what workerd prints, and keeps it until the process serves.
fn forward(
    pipe: Option<impl Read + Send + 'static>,
    kept: &Arc<Mutex<Option<Vec<LogLine>>>>,
    log: &LogSink,
) -> thread::JoinHandle<()> {
    let (kept, log) = (kept.clone(), log.clone());
    thread::spawn(move || {
        for line in pipe.into_iter().flat_map(|pipe| BufReader::new(pipe).split(b'\n')).map_while(Result::ok) {
            let line = LogLine::parse(&String::from_utf8_lossy(&line));
            match &mut *lock(&kept) {
                Some(kept) => kept.push(line),
                None => log(line),
            }
        }
    })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

type Spawned = std::io::Result<Child>;

/// Starts `command` so that Linux kills it when this process ends, in whatever way.
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
