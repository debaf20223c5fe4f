//! What the commands about deployments share: which stack they are about, where it is, and what is to be done.

mod local;
pub(crate) mod text;
mod values;

use crate::{
    args::{AllowArguments, StackArguments},
    commands::{Interrupt, workers_in},
    error::CommandError,
    output,
};
pub(crate) use local::Local;
use realgar_bundle::{
    BuildOptions, Builder, Bundle, Cancel, Profile, Statements, Workspace, build, read_plain, workspace,
};
use realgar_cloudflare::{Client, Settings, Worker, declare, is_plain_worker, kinds};
use realgar_engine::{
    Allowed, ApplyError, ApplyOptions, Fence, FileStore, Fqn, Holder, Kinds, LEASE_MS, Observed, Outcome, Plan,
    Program, Recording, Row, Snapshot, Stack, Store, StoreError, SystemClock, apply, observe, plan,
};
use realgar_wire::BindingKind;
use std::{
    collections::BTreeMap,
    env,
    io::IsTerminal,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// How many calls run at once. Cloudflare counts the calls of five minutes, not those of a moment, and when it says that there are too
/// many, all wait.
const CONCURRENCY: usize = 64;
/// The folder with the state and with the local edge, if no variable names another one.
const DATA_FOLDER: &str = ".realgar";
/// The folders in it for the states of stacks at Cloudflare and on the local edge.
const STATE_FOLDER: &str = "state";
const LOCAL_STATE_FOLDER: &str = "local-state";
/// How often a run that waits for another one looks whether that is over.
const LOOK: Duration = Duration::from_millis(500);

/// A stack, and the store of its state.
pub(crate) struct Place {
    /// The folder with the state and with the local edge.
    data: PathBuf,
    /// The folders of the Workers of the workspace.
    workers: Vec<PathBuf>,
    /// What the workspace says of resources that are deployed.
    statements: Statements,
    pub(crate) stack: Stack,
    pub(crate) store: FileStore,
}

impl Place {
    /// The stack that the arguments name, of the workspace that the first of `paths` is in.
    pub(crate) fn find(paths: &[PathBuf], arguments: &StackArguments) -> Result<Self, CommandError> {
        let found = |path: &PathBuf| {
            let failed = |error| CommandError::user(format!("cannot find `{}`: {error}", path.display()));
            path.canonicalize().map_err(failed)
        };
        let all = paths.iter().map(found).collect::<Result<Vec<_>, _>>()?;
        let folder = all.first().ok_or_else(|| CommandError::usage("name the folder of a Worker"))?.clone();
        let (root, app, workers, statements) =
            match folder.ancestors().find(|folder| folder.join("Cargo.toml").is_file()) {
                Some(cargo) => {
                    let Workspace { root, app, workers, statements, .. } = workspace(cargo)?;
                    (root, app, workers.into_values().collect(), statements)
                }
                // Plain Workers that are in no workspace.
                None => {
                    let root = common_root(&all)?;
                    let app = root.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    (root, app, Vec::new(), Statements::default())
                }
            };
        let stack = Stack::new(&app, &stage(arguments)?).map_err(|error| {
            CommandError::from(error)
                .hint("`app = \"..\"` in `[workspace.metadata.realgar]` names the app, `--stage` the stage")
        })?;
        // The local edge and Cloudflare have nothing in common, so neither do their states.
        let data = data(&root);
        let folder = if arguments.local { LOCAL_STATE_FOLDER } else { STATE_FOLDER };
        let store = FileStore::new(data.join(folder), Arc::new(SystemClock));
        Ok(Self { data, workers, statements, stack, store })
    }

    /// Whether Workers belong to the stack that were not named, and stay. Plain Workers are in no workspace, so only the state knows
    /// them.
    fn has_others(&self, Named { folders, scripts, is_whole }: &Named, snapshot: &Snapshot) -> bool {
        let is_named = |fqn: &Fqn| scripts.iter().any(|script| script == fqn.as_str());
        let is_plain = |row: &Row| is_plain_worker(row) && !is_named(&row.fqn);
        let others = self.workers.iter().any(|worker| !folders.contains(worker));
        !is_whole && (others || snapshot.rows.values().any(is_plain))
    }

    /// A program without resources, with the statements that hold in this stage.
    fn program(&self, destroys: bool) -> Result<Program, CommandError> {
        let Statements { moved, removed, imported, .. } = &self.statements;
        let mut program = Program::new(self.stack.clone());
        for fqn in removed {
            program = program.removed(Fqn::new(&**fqn)?);
        }
        // Of what is destroyed, nobody asks what it is called.
        if destroys {
            return Ok(program);
        }
        for (from, to) in moved {
            program = program.moved(Fqn::new(&**from)?, Fqn::new(&**to)?);
        }
        for (fqn, name) in imported.get(self.stack.stage()).into_iter().flatten() {
            program = program.imported(Fqn::new(&**fqn)?, &**name);
        }
        Ok(program)
    }
}

/// What plain Workers belong to that are in no workspace: the next folder that has been deployed from, or else the folder that all of
/// them are in, or the only one. So the order of the paths does not matter.
fn common_root(folders: &[PathBuf]) -> Result<PathBuf, CommandError> {
    let common: PathBuf = folders.iter().fold(folders.first().cloned().unwrap_or_default(), |common, folder| {
        common.ancestors().find(|own| folder.starts_with(own)).unwrap_or(Path::new("/")).into()
    });
    let mut root = None;
    for folder in common.ancestors() {
        if root.is_none() && has_stack(folder)? {
            root = Some(folder.to_path_buf());
        }
    }
    let root = root.unwrap_or(common);
    for folder in folders.iter().filter(|folder| **folder != root) {
        if has_stack(folder)? {
            output::note(&format!(
                "`{}` has been deployed as an app of its own, which stays; `realgar destroy` with its folder alone deletes it",
                folder.display()
            ));
        }
    }
    Ok(root)
}

/// Whether a stack has been deployed from `folder`.
fn has_stack(folder: &Path) -> Result<bool, CommandError> {
    let app = folder.file_name().unwrap_or_default().to_string_lossy();
    for kind in [STATE_FOLDER, LOCAL_STATE_FOLDER] {
        let stacks = FileStore::new(data(folder).join(kind), Arc::new(SystemClock)).stacks()?;
        if stacks.iter().any(|stack| stack.app() == app) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The folder with the state and with the local edge of the workspace `root`.
pub(crate) fn data(root: &Path) -> PathBuf {
    env::var_os("REALGAR_DATA")
        .filter(|folder| !folder.is_empty())
        .map_or_else(|| root.join(DATA_FOLDER), PathBuf::from)
}

/// The stage that the arguments, the environment or the user's name say.
fn stage(arguments: &StackArguments) -> Result<String, CommandError> {
    let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    if let Some(stage) = arguments.stage.clone().or_else(|| set("REALGAR_STAGE")) {
        return Ok(stage);
    }
    if in_ci() {
        return Err(
            CommandError::usage("in CI the stage has to be said").hint("`--stage NAME`, or `REALGAR_STAGE=NAME`")
        );
    }
    let legal = |character: char| if character.is_ascii_alphanumeric() { character } else { '-' };
    Ok(format!("dev_{}", user().chars().map(legal).collect::<String>()))
}

/// Whether nobody is there who could answer, or notice.
fn in_ci() -> bool {
    env::var("CI").is_ok_and(|value| !value.is_empty() && value != "false" && value != "0")
}

/// The name of the user. Containers often do not say it, so the list of users is asked.
fn user() -> String {
    let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let listed = || {
        let own = rustix::process::getuid().as_raw().to_string();
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let found =
            users.lines().find(|line| line.split(':').nth(2) == Some(&own)).and_then(|line| line.split(':').next());
        found.map_or(format!("user-{own}"), str::to_string)
    };
    set("USER").or_else(|| set("LOGNAME")).unwrap_or_else(listed)
}

/// Cloudflare, or the edge on this machine, and what is to be there.
pub(crate) struct Target {
    pub(crate) place: Place,
    pub(crate) local: Option<Local>,
    pub(crate) base: String,
    program: Program,
    kinds: Kinds,
    snapshot: Snapshot,
    fence: Fence,
    named: Named,
}

/// The Workers that a command is about.
struct Named {
    folders: Vec<PathBuf>,
    scripts: Vec<String>,
    /// Whether the stack is to have nothing but these.
    is_whole: bool,
}

impl Target {
    /// Reads the state, and finds out what the Workers in `paths` need. Without `paths`, nothing is needed. With `prune`, they are all
    /// that the stack is to have.
    pub(crate) fn new(
        place: Place,
        arguments: &StackArguments,
        paths: &[PathBuf],
        profile: Profile,
        prune: bool,
        cancel: &Cancel,
    ) -> Result<Self, CommandError> {
        let folders = folders(paths)?;
        let snapshot = place.store.read(&place.stack)?;
        let mut program = place.program(folders.is_empty())?;
        let workers = build_all(folders.clone(), profile, arguments.local, cancel)?;
        let scripts = workers.iter().map(|worker| worker.bundle.manifest.worker.script.clone()).collect();
        let named = Named { is_whole: prune || folders.is_empty(), folders, scripts };
        if place.has_others(&named, &snapshot) {
            program = program.partial(&snapshot);
        }
        let mut bindings = workers.iter().flat_map(|worker| &worker.bundle.manifest.bindings);
        let has_secrets = bindings.any(|binding| matches!(binding.kind, BindingKind::SecretText {}));
        let key = values::key(&place.data, &place.stack, has_secrets)?;
        let files = declare(&mut program, &workers, &key)?;
        let local = if arguments.local { Some(Local::attach(&place.data)?) } else { None };
        let settings = match &local {
            Some(local) => local.settings(),
            None => Settings::from_environment()?,
        };
        let base = settings.base.clone();
        let fence = Fence::new(Arc::new(SystemClock));
        let client = Client::new(settings, fence.clone());
        let kinds = kinds(&client, &place.stack, &files);
        Ok(Self { place, local, base, program, kinds, snapshot, fence, named })
    }

    /// What is to be done.
    pub(crate) fn plan(&self, arguments: &AllowArguments) -> Result<Plan, CommandError> {
        let fqns = |texts: &[String]| texts.iter().map(Fqn::new).collect::<Result<_, _>>();
        let allowed = Allowed {
            data_loss: fqns(&arguments.allow_data_loss)?,
            adopt: fqns(&arguments.adopt)?,
            breaking: fqns(&arguments.allow_breaking)?,
        };
        let observed =
            if arguments.refresh { observe(&self.program, &self.snapshot, &self.kinds)? } else { Observed::default() };
        Ok(plan(&self.program, &self.snapshot, &observed, &self.kinds, &allowed)?)
    }

    /// The text that shows `plan`.
    pub(crate) fn show(&self, plan: &Plan) -> String {
        text::plan(plan, &self.kinds, &self.base)
    }

    /// Does what `plan` says. `None` if another run has changed the state since it was made.
    pub(crate) fn apply(&self, plan: &Plan, stop: &AtomicBool) -> Result<Option<Outcome>, CommandError> {
        let recording = self.begin(stop)?;
        let options = ApplyOptions { concurrency: CONCURRENCY, stop, fence: &self.fence };
        match apply(plan, &self.kinds, recording, &options, &mut output::show_step) {
            Err(ApplyError::Stale) => Ok(None),
            outcome => Ok(Some(outcome?)),
        }
    }

    /// Reads the state again, for another plan.
    pub(crate) fn read_again(&mut self) -> Result<(), CommandError> {
        self.snapshot = self.place.store.read(&self.place.stack)?;
        if self.place.has_others(&self.named, &self.snapshot) {
            self.program = self.program.clone().partial(&self.snapshot);
        }
        Ok(())
    }

    /// Says what there is, if the stack is one that nobody knows.
    pub(crate) fn check_known(&self) -> Result<(), CommandError> {
        if !self.snapshot.rows.is_empty() {
            return Ok(());
        }
        let others: Vec<String> = self.place.store.stacks()?.iter().map(ToString::to_string).collect();
        let (stack, at) = (&self.place.stack, self.place.data.display());
        let others: Vec<String> = others.into_iter().filter(|other| *other != stack.to_string()).collect();
        let known = match others.as_slice() {
            [] => format!("No other stack is known in `{at}`"),
            others => format!("Others in `{at}`: {}", others.join(", ")),
        };
        output::note(&format!("Nothing is known of {stack}. {known}"));
        Ok(())
    }

    /// Takes the lease of the stack, and waits for it if another run holds it.
    fn begin(&self, stop: &AtomicBool) -> Result<Box<dyn Recording>, CommandError> {
        let holder = holder();
        let (mut waited_for, mut over): (Option<Holder>, _) = (None, None);
        loop {
            match self.place.store.begin(&self.place.stack, &holder, over) {
                Err(StoreError::Held(lease)) => {
                    if is_dead(&lease.holder, &holder) {
                        output::note(&format!("Taking over from a run that was cut off: {}", lease.holder));
                        over = Some(lease.token);
                        continue;
                    }
                    if waited_for.as_ref() != Some(&lease.holder) {
                        output::note(&format!(
                            "Waiting for another run: {}; if it no longer goes on, this one takes over within {} s",
                            lease.holder,
                            LEASE_MS / 1000
                        ));
                        waited_for = Some(lease.holder);
                    }
                    if stop.load(Ordering::Relaxed) {
                        return Err(CommandError::interrupted());
                    }
                    thread::sleep(LOOK);
                }
                outcome => return Ok(outcome?),
            }
        }
    }

    /// The addresses of the Workers, by name.
    pub(crate) fn addresses(&self) -> Result<BTreeMap<String, String>, CommandError> {
        let snapshot = self.place.store.read(&self.place.stack)?;
        let address = |row: &Row| {
            let url = row.attributes["url"].as_str()?;
            Some((row.parent.as_ref()?.to_string(), url.to_string()))
        };
        Ok(snapshot.rows.values().filter_map(address).collect())
    }
}

/// This process, as the holder of a lease.
fn holder() -> Holder {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    // Process numbers mean the same since the machine was started, and in one container.
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let space = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let machine = format!("{} {}", boot.trim(), space.display());
    Holder { user: user(), host, machine, process: std::process::id() }
}

/// Whether the holder of a lease is known to be gone: it was a process of this machine, and there is none of its number.
fn is_dead(other: &Holder, own: &Holder) -> bool {
    let process = i32::try_from(other.process).ok().and_then(rustix::process::Pid::from_raw);
    let is_gone = |process| rustix::process::test_kill_process(process) == Err(rustix::io::Errno::SRCH);
    !own.machine.trim().is_empty() && other.machine == own.machine && process.is_some_and(is_gone)
}

/// The folders of the Workers in `paths`.
fn folders(paths: &[PathBuf]) -> Result<Vec<PathBuf>, CommandError> {
    let mut folders = Vec::new();
    for path in paths {
        for folder in workers_in(path)? {
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
    }
    Ok(folders)
}

/// Builds Workers.
fn build_all(
    folders: Vec<PathBuf>,
    profile: Profile,
    local: bool,
    cancel: &Cancel,
) -> Result<Vec<Worker>, CommandError> {
    let build = |path: PathBuf| {
        let bundle = build_one(path.clone(), profile, cancel)?;
        Ok(Worker { values: values::read(&path, &bundle, local)?, bundle })
    };
    folders.into_iter().map(build).collect()
}

fn build_one(path: PathBuf, profile: Profile, cancel: &Cancel) -> Result<Bundle, CommandError> {
    if !path.join("Cargo.toml").is_file() {
        return Ok(read_plain(&path)?);
    }
    let options = BuildOptions {
        path,
        profile,
        builder: Builder::Realgar,
        color: output::color(),
        wasm_bindgen: None,
        cancel: Some(cancel.clone()),
    };
    Ok(build(&options, &mut output::show_progress)?)
}

/// Asks whether to go on. Without a terminal nothing is asked.
pub(crate) fn confirm(question: &str, yes: bool, interrupt: &Interrupt) -> Result<(), CommandError> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(CommandError::user("there is no terminal to ask on").hint("`--yes` answers the question"));
    }
    output::ask(question);
    let answer = interrupt.read_line()?;
    if matches!(answer.trim(), "y" | "yes") { Ok(()) } else { Err(CommandError::user("declined")) }
}
