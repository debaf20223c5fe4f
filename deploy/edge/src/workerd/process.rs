//! One workerd process: started with our sockets, watched until it ends, and (on Linux) never left behind.

use crate::{EdgeError, EndSink, LogSink, RequestSink, error::io, os};
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

/// How long workerd may take until it serves. With an endless loop at the top level of a script it would never serve.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// The file descriptor on which workerd reports, in the child.
const CONTROL_FD: i32 = 3;

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// `log`, `info`, `warn`, `error`, `debug`.
    pub level: String,
    /// The Worker that wrote the line, if `EdgeOptions::labels` is set. `dev` sets it. The test harness does not, because it runs scripts as
    /// they would be deployed.
    pub source: Option<Source>,
    /// The text.
    pub message: String,
}

/// Where a line of the log comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The script.
    pub script: String,
    /// The class of the object, and its name, or its id if it has no name.
    pub object: Option<(String, String)>,
}

/// A request that a script answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedRequest {
    /// The script.
    pub script: String,
    /// The method.
    pub method: String,
    /// The path, with the query.
    pub path: String,
    /// The status of the response.
    pub status: u16,
    /// How long it took until the response began, in milliseconds.
    pub time_ms: u64,
}

/// A line that workerd printed, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Printed {
    Log(LogLine),
    Request(ServedRequest),
    /// A message about workerd's own work that is of no use to a developer.
    Chatter,
}

impl LogLine {
    /// A warning of the edge itself.
    pub(crate) fn warning(message: String) -> Self {
        Self { level: "warn".into(), source: None, message }
    }
}

impl Printed {
    /// Parses a line. workerd logs one JSON object a line; any other line is a complaint of workerd itself.
    fn parse(line: &str) -> Self {
        let json: Option<serde_json::Value> = serde_json::from_str(line).ok();
        let field = |name: &str| Some(json.as_ref()?.get(name)?.as_str()?.to_string());
        let (Some(level), Some(message)) = (field("level"), field("message")) else {
            return Self::Log(LogLine { level: "error".into(), source: None, message: line.into() });
        };
        if CHATTER.iter().any(|chatter| message.starts_with(chatter)) {
            return Self::Chatter;
        }
        if let Some(request) = message.strip_prefix('\u{3}').and_then(ServedRequest::parse) {
            return Self::Request(request);
        }
        let (source, message) = match labelled(&message) {
            Some((source, message)) => (Some(source), message.to_string()),
            None => (None, message),
        };
        Self::Log(LogLine { level, source, message })
    }
}

/// Texts that mark a line as [`Printed::Chatter`]. With these lines workerd reports an alarm that fell due while nothing ran. Such
/// an alarm is delivered late, which is right, so the lines would only alarm the developer.
const CHATTER: [&str; 2] = ["NOSENTRY DEBUG_ALARM", "NOSENTRY SQLite alarm overdue"];

/// The label that `label.js` puts in front of a message, and the message.
fn labelled(message: &str) -> Option<(Source, &str)> {
    let rest = message.strip_prefix('\u{1}')?;
    let end = rest.find(['\u{1}', '\u{2}'])?;
    let (label, text) = rest.split_at(end);
    // If the label is an argument of its own, `console` has put a space behind it.
    let text =
        text.strip_prefix('\u{1}').or_else(|| text.strip_prefix("\u{2} ")).or_else(|| text.strip_prefix('\u{2}'))?;
    let mut label: Vec<String> = serde_json::from_str(label).ok()?;
    let object = if label.len() == 3 { label.pop().zip(label.pop()).map(|(name, class)| (class, name)) } else { None };
    Some((Source { script: label.pop()?, object }, text))
}

impl ServedRequest {
    /// Parses the message that `front.js` logs.
    fn parse(text: &str) -> Option<Self> {
        let (script, method, path, status, time_ms) = serde_json::from_str(text).ok()?;
        Some(Self { script, method, path, status, time_ms })
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

    /// Another handle of the socket called `name`, if there is one.
    pub(crate) fn share(&self, name: &str) -> Option<std::io::Result<TcpListener>> {
        self.list.iter().find(|(own, _)| own == name).map(|(_, listener)| listener.try_clone())
    }

    pub(crate) fn address(&self, name: &str) -> Option<SocketAddr> {
        self.list.iter().find(|(own, _)| own == name)?.1.local_addr().ok()
    }
}

/// The callbacks that are told what a workerd does.
#[derive(Clone)]
pub(crate) struct Sinks {
    pub(crate) log: LogSink,
    pub(crate) requests: Option<RequestSink>,
    pub(crate) ended: EndSink,
}

/// A running workerd.
#[derive(Debug)]
pub(crate) struct Process {
    pid: Pid,
    ended: Receiver<()>,
    /// Set before the process is told to end. If the process ends earlier, its end is unexpected and is reported.
    stopping: Arc<AtomicBool>,
    /// The threads that pass on what the process prints.
    output: Vec<thread::JoinHandle<()>>,
}

impl Process {
    /// Starts workerd, and returns when it listens on every socket. If the process later ends by itself, that is logged, and the
    /// callback `ended` is called.
    pub(crate) fn spawn(workerd: &Path, config: &Path, sockets: &Sockets, sinks: &Sinks) -> Result<Self, EdgeError> {
        let Sinks { log, ended, .. } = sinks;
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
        // workerd gets a process group of its own, so that Ctrl-C in a terminal reaches only us, and we end workerd in order.
        command.process_group(0);
        command.fd_mappings(descriptors).map_err(|error| EdgeError::Io {
            action: "hand sockets to",
            path: workerd.into(),
            source: std::io::Error::other(error),
        })?;
        let mut child = spawn_with_parent(command).map_err(io("run", workerd))?;
        let kept = Arc::new(Mutex::new(Some(Vec::new())));
        let output = vec![forward(child.stdout.take(), &kept, sinks), forward(child.stderr.take(), &kept, sinks)];
        let process = Self::watch(child, output, log.clone(), ended.clone());
        let outcome = serves(control, sockets.list.len());
        let process = if outcome == Serving::Yes {
            Some(process)
        } else {
            process.kill();
            None
        };
        // From here on, lines go to the log only, and are no longer kept.
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
                let message = format!("workerd ended by itself: {status}");
                log(LogLine { level: "error".into(), source: None, message });
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
        // A process that is gone is not sent a signal: its id may belong to another process by now.
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

/// Whether workerd listens on its sockets.
#[derive(PartialEq, Eq)]
enum Serving {
    Yes,
    /// The process ended before it listened.
    No,
    /// The process still runs, but takes too long.
    Unknown,
}

/// Waits until workerd has reported that it listens on this number of sockets.
fn serves(control: PipeReader, sockets: usize) -> Serving {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let reports = BufReader::new(control).lines().map_while(Result::ok);
        let listening = reports.filter(|line| line.contains("\"listen\"")).take(sockets).count();
        let _ = tell.send(if listening == sockets { Serving::Yes } else { Serving::No });
    });
    told.recv_timeout(START_TIMEOUT).unwrap_or(Serving::Unknown)
}

/// Reads what workerd prints. Until the process serves, lines of the log are kept; after that they are passed on.
fn forward(
    pipe: Option<impl Read + Send + 'static>,
    kept: &Arc<Mutex<Option<Vec<LogLine>>>>,
    sinks: &Sinks,
) -> thread::JoinHandle<()> {
    let (kept, sinks) = (kept.clone(), sinks.clone());
    thread::spawn(move || {
        for line in pipe.into_iter().flat_map(|pipe| BufReader::new(pipe).split(b'\n')).map_while(Result::ok) {
            match (Printed::parse(&String::from_utf8_lossy(&line)), &mut *lock(&kept)) {
                (Printed::Log(line), Some(kept)) => kept.push(line),
                (Printed::Log(line), None) => (sinks.log)(line),
                (Printed::Request(request), _) => sinks.requests.iter().for_each(|sink| sink(request.clone())),
                (Printed::Chatter, _) => {}
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(message: &str) -> Printed {
        Printed::parse(&serde_json::json!({ "timestamp": 1, "level": "log", "message": message }).to_string())
    }

    fn line(source: Option<(&str, Option<(&str, &str)>)>, message: &str) -> Printed {
        let source = source.map(|(script, object)| Source {
            script: script.into(),
            object: object.map(|(class, name)| (class.into(), name.into())),
        });
        Printed::Log(LogLine { level: "log".into(), source, message: message.into() })
    }

    #[test]
    fn a_line_says_where_it_comes_from_if_it_has_a_label() {
        assert_eq!(parse("plain"), line(None, "plain"));
        assert_eq!(parse("\u{1}[\"api\"]\u{1}a\u{1}b"), line(Some(("api", None)), "a\u{1}b"));
        assert_eq!(
            parse("\u{1}[\"api\",\"A\",\"ada\"]\u{2} { a: 1 }"),
            line(Some(("api", Some(("A", "ada")))), "{ a: 1 }")
        );
        assert_eq!(parse("\u{1}no label"), line(None, "\u{1}no label"));
        for chatter in
            ["DEBUG_ALARM: Moving alarm later", "SQLite alarm overdue, running despite AlarmManager mismatch"]
        {
            assert_eq!(parse(&format!("NOSENTRY {chatter}")), Printed::Chatter);
        }
        assert_eq!(parse("alarm overdue for ada"), line(None, "alarm overdue for ada"), "the program's own words");
        let complaint = Printed::Log(LogLine { level: "error".into(), source: None, message: "*** abort".into() });
        assert_eq!(Printed::parse("*** abort"), complaint);
    }

    #[test]
    fn a_request_is_told_with_its_status_and_time() {
        let expected =
            ServedRequest { script: "api".into(), method: "GET".into(), path: "/a?b".into(), status: 200, time_ms: 3 };
        assert_eq!(parse("\u{3}[\"api\",\"GET\",\"/a?b\",200,3]"), Printed::Request(expected));
    }
}
