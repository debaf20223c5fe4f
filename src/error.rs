//! How a command ends: what kind of failure it is, with which hints, and the exit code.

use realgar_bundle::BuildError;
use realgar_cloudflare::{CredentialsError, DeclareError};
use realgar_edge::EdgeError;
use realgar_engine::{ApplyError, Failure, Fqn, NameError, PlanError, StoreError};
use std::{error::Error, fmt};

#[cfg(test)]
mod tests;

/// Exit code: done, or nothing to do. Ctrl-C also ends a `dev` that serves with it.
pub const EXIT_DONE: u8 = 0;
/// Exit code: something failed or was declined; standard error says what.
pub const EXIT_FAILED: u8 = 1;
/// Exit code: `plan --detailed-exitcode` found something to do.
pub const EXIT_CHANGES: u8 = 2;
/// Exit code: wrong usage, as `sysexits.h` has it.
pub const EXIT_USAGE: u8 = 64;
/// Exit code: Ctrl-C or SIGTERM before the command was done.
pub const EXIT_INTERRUPTED: u8 = 130;

/// The result of a command.
pub(crate) type Outcome = Result<(), CommandError>;

/// The kind of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    /// Something that the user can change: the source, a file, a port.
    User,
    /// The arguments do not make sense.
    Usage,
    /// The user interrupted the command.
    Interrupted,
    /// Nothing failed: there is something to do, and the exit code is to say so.
    Changes,
}

/// A failure, with hints what to do about it.
#[derive(Debug)]
pub(crate) struct CommandError {
    pub(crate) kind: ErrorKind,
    pub(crate) error: Box<dyn Error + Send + Sync>,
    pub(crate) hints: Vec<String>,
}

impl CommandError {
    /// A failure whose cause the user can change.
    pub(crate) fn user(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind: ErrorKind::User, error: error.into(), hints: Vec::new() }
    }

    /// Arguments that do not make sense.
    pub(crate) fn usage(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind: ErrorKind::Usage, ..Self::user(error) }
    }

    /// The user interrupted the command.
    pub(crate) fn interrupted() -> Self {
        Self { kind: ErrorKind::Interrupted, ..Self::user("interrupted") }
    }

    /// There is something to do.
    pub(crate) fn changes() -> Self {
        Self { kind: ErrorKind::Changes, ..Self::user("there is something to do") }
    }

    /// Adds a hint what to do about the failure.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The exit code.
    pub(crate) fn code(&self) -> u8 {
        match self.kind {
            ErrorKind::User => EXIT_FAILED,
            ErrorKind::Usage => EXIT_USAGE,
            ErrorKind::Interrupted => EXIT_INTERRUPTED,
            ErrorKind::Changes => EXIT_CHANGES,
        }
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl From<BuildError> for CommandError {
    fn from(error: BuildError) -> Self {
        let kind = if matches!(error, BuildError::Cancelled) { ErrorKind::Interrupted } else { ErrorKind::User };
        Self { kind, ..Self::user(error) }
    }
}

impl From<EdgeError> for CommandError {
    fn from(error: EdgeError) -> Self {
        let hint = match &error {
            EdgeError::Listen { .. } => Some("`--port` chooses another port, and `--port 0` any free one".to_string()),
            EdgeError::DataInUse { .. } => Some("`--data` chooses another folder for this run".into()),
            EdgeError::NoPort { .. } => Some("`--port` chooses a lower one".into()),
            EdgeError::NoValue { binding, .. } => {
                Some(format!("write `{binding}=..` into the file `.dev.vars` in the folder of the Worker"))
            }
            _ => None,
        };
        let command = Self::user(error);
        hint.into_iter().fold(command, Self::hint)
    }
}

impl From<DeclareError> for CommandError {
    fn from(error: DeclareError) -> Self {
        let hint = match &error {
            DeclareError::NoValue { binding, .. } => Some(format!(
                "set `{binding}` in the environment; with `--local`, `{binding}=..` in the `.dev.vars` of the Worker does it too"
            )),
            DeclareError::NotYet { .. } => {
                Some("`wrangler deploy` in the folder of the bundle does it; `realgar build` prints that folder".into())
            }
            _ => None,
        };
        hint.into_iter().fold(Self::user(error), Self::hint)
    }
}

impl From<NameError> for CommandError {
    fn from(error: NameError) -> Self {
        Self::usage(error)
    }
}

const UNREADABLE: &str = "nothing was changed; restore the file as it was, or use the version that wrote it";
const AGAIN: &str = "run the command again: it goes on from where this one stopped";

/// The flag `--name` with all of `fqns`.
fn flag(name: &str, fqns: &[Fqn]) -> String {
    let fqns: Vec<&str> = fqns.iter().map(Fqn::as_str).collect();
    format!("`--{name}={}`", fqns.join(","))
}

impl From<PlanError> for CommandError {
    fn from(error: PlanError) -> Self {
        let hint = match &error {
            PlanError::Foreign { fqn, .. } => Some(format!(
                "{} takes it over; it then stays when the stack is destroyed",
                flag("adopt", std::slice::from_ref(fqn))
            )),
            PlanError::NotDeployed { .. } => Some("name its folder too, or deploy it first".into()),
            PlanError::Row { .. } => Some(UNREADABLE.into()),
            _ => None,
        };
        hint.into_iter().fold(Self::user(error), Self::hint)
    }
}

impl From<Failure> for CommandError {
    fn from(failure: Failure) -> Self {
        let hints = failure.hints.clone();
        Self { hints, ..Self::user(failure) }
    }
}

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        let hint = store_hint(&error);
        hint.into_iter().fold(Self::user(error), Self::hint)
    }
}

/// What to do about an error of a store, if it is known.
fn store_hint(error: &StoreError) -> Option<&'static str> {
    match error {
        StoreError::Held(_) => Some("wait until that run has ended"),
        StoreError::Fenced(_) => Some(AGAIN),
        StoreError::Unreadable { .. } => Some(UNREADABLE),
        StoreError::Row(_) => Some("files of two states were mixed; restore the folder of the stack as it was"),
        StoreError::Locked { .. } => Some("let that process go on, or end it; `fuser` names it"),
        _ => None,
    }
}

impl From<ApplyError> for CommandError {
    fn from(error: ApplyError) -> Self {
        let hint = match &error {
            ApplyError::DataLoss(fqns) => format!("{} allows that", flag("allow-data-loss", fqns)),
            ApplyError::Breaking(fqns) => {
                format!("deploy those that use it at the same time, or allow it: {}", flag("allow-breaking", fqns))
            }
            ApplyError::Store(error) => store_hint(error).unwrap_or(AGAIN).into(),
            _ => AGAIN.into(),
        };
        Self::user(error).hint(hint)
    }
}

impl From<CredentialsError> for CommandError {
    fn from(error: CredentialsError) -> Self {
        Self::user(error)
            .hint("make a token in the dashboard, and set `CLOUDFLARE_API_TOKEN` and `CLOUDFLARE_ACCOUNT_ID`")
            .hint("`--local` deploys to this machine, without an account")
    }
}
