//! The edge on this machine that `--local` uses. It runs in the background, and goes on when the command that started it ends.

use crate::error::CommandError;
use realgar_cloudflare::{Settings, Token};
use realgar_edge::LOCAL_ACCOUNT;
use std::{
    env,
    fs::{self, File},
    io::{BufRead, BufReader},
    os::unix::{fs::DirBuilderExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

/// The folder of the edge, below that of all data.
const FOLDER: &str = "edge";
/// How long a running edge may take to say that it is there.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// A running edge.
#[derive(Debug)]
pub(crate) struct Local {
    base: String,
    token: String,
    data: PathBuf,
}

impl Local {
    /// The folder of the edge, in the folder of all data.
    pub(crate) fn folder(data: &Path) -> PathBuf {
        data.join(FOLDER)
    }

    /// Uses the edge whose folder is in `data`. It is started if it does not run.
    pub(crate) fn attach(data: &Path) -> Result<Self, CommandError> {
        let data = Self::folder(data);
        let failed = |error: std::io::Error| {
            CommandError::user(format!("cannot make the folder of the local edge, `{}`: {error}", data.display()))
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&data).map_err(failed)?;
        // Of two commands at once, one starts it, and the other waits until it serves.
        let starting = File::create(data.join(".starting")).and_then(|file| file.lock().map(|()| file));
        let _starting = starting.map_err(failed)?;
        match Self::running(&data)? {
            Some(local) => Ok(local),
            None => Self::start(&data),
        }
    }

    /// The edge in the folder `data`, if it runs.
    fn running(data: &Path) -> Result<Option<Self>, CommandError> {
        let read = |name: &str| match fs::read_to_string(data.join(name)) {
            Ok(text) => Ok(Some(text.trim().to_string())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(CommandError::user(format!("cannot read `{}`: {error}", data.join(name).display()))),
        };
        let (Some(base), Some(token)) = (read("address")?, read("token")?) else { return Ok(None) };
        let local = Self { base, token, data: data.into() };
        Ok(local.call("GET", "/user/tokens/verify").then_some(local))
    }

    fn start(data: &Path) -> Result<Self, CommandError> {
        let failed = |what: &str, error: std::io::Error| CommandError::user(format!("cannot {what}: {error}"));
        let log = data.join("log");
        let output = File::create(&log).map_err(|error| failed("write the log of the local edge", error))?;
        let program = env::current_exe().map_err(|error| failed("find this program", error))?;
        let mut command = Command::new(program);
        command.args(["edge", "--data"]).arg(data).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(output);
        // In a group of its own, so that Ctrl-C does not reach it.
        let mut child = command.process_group(0).spawn().map_err(|error| failed("start the local edge", error))?;
        let mut address = String::new();
        let stdout = child.stdout.take().ok_or_else(|| CommandError::user("the local edge has no output"))?;
        // It prints one line once it serves. If it ends before, the line is empty.
        let read = BufReader::new(stdout).read_line(&mut address);
        read.map_err(|error| failed("read from the local edge", error))?;
        match Self::running(data)? {
            Some(local) => Ok(local),
            None => {
                let log = fs::read_to_string(&log).unwrap_or_default();
                Err(CommandError::user(format!("the local edge does not start:\n{}", log.trim_end())))
            }
        }
    }

    /// What a client needs to call it.
    pub(crate) fn settings(&self) -> Settings {
        Settings { base: self.base.clone(), account: LOCAL_ACCOUNT.into(), token: Token::new(&*self.token) }
    }

    /// Ends it, if nothing is deployed on it. Returns whether it was ended.
    pub(crate) fn stop_if_empty(&self) -> bool {
        self.call("POST", "/realgar/stop")
    }

    /// The folder of its data.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// Whether the call is answered as it should be.
    fn call(&self, method: &str, path: &str) -> bool {
        let config = ureq::Agent::config_builder().proxy(None).timeout_global(Some(ANSWER_MAX)).build();
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {}", self.token));
        let Ok(request) = request.body(()) else { return false };
        ureq::Agent::new_with_config(config).run(request).is_ok()
    }
}
