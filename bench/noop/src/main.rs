//! A program of many resources, all of them recorded and unchanged. `prepare COUNT FOLDER` writes their state. `run COUNT FOLDER` reads
//! it, plans, and prints three numbers: how long the plan took and how long all of it, in milliseconds, and the memory in kilobytes.
//! With `secrets` as the last argument, every tenth resource has a secret.
//!
//! Each resource has seven properties, some 0.4 KB, and each tenth one is used by the nine after it. Nothing asks a cloud.
#![expect(clippy::print_stdout, reason = "a program whose output is its purpose")]

use realgar_engine::{
    Allowed, Data, Facts, Failure, FileStore, FingerprintKey, Found, Fqn, Kind, Kinds, Name, NameRule, Observed,
    Origin, Output, Policy, Program, ROW_SCHEMA, Recorded, Recovery, Reference, Resource, Row, Secret, Stack, Status,
    Store, SystemClock, Wanted, plan,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, env, error::Error, fs, path::Path, sync::Arc, time::Instant};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = env::args().collect();
    let [_, what, count, folder, more @ ..] = arguments.as_slice() else {
        return Err("prepare|run COUNT FOLDER [secrets]".into());
    };
    let (count, folder) = (count.parse()?, Path::new(folder));
    let key = more.first().map(|_| FingerprintKey::new(&[7; 32]));
    match what.as_str() {
        "prepare" => prepare(count, folder, key.as_ref()),
        "run" => run(count, folder, key.as_ref()),
        other => Err(format!("`{other}` is neither `prepare` nor `run`").into()),
    }
}

/// What a resource says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Props {
    title: String,
    description: String,
    size: u32,
    enabled: bool,
    labels: Vec<String>,
    ratio: f64,
    hub: Option<Output<String>>,
    /// The fingerprint of a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Attributes {
    id: String,
}

fn fqn(index: usize) -> Outcome<Fqn> {
    Ok(Fqn::new(format!("resource-{index}"))?)
}

fn hub(index: usize) -> usize {
    index - index % 10
}

fn props(index: usize, hub: Option<Output<String>>, key: Option<&FingerprintKey>) -> Outcome<Data> {
    let key = key.filter(|_| index.is_multiple_of(10));
    Ok(serde_json::to_value(Props {
        title: format!("resource number {index}"),
        description: "some text that says at length what this is good for, and for whom ".repeat(3),
        size: u32::try_from(index)?,
        enabled: index.is_multiple_of(2),
        labels: ["one", "two", "three"].map(|label| format!("{label}-{index}")).into(),
        ratio: 0.25,
        hub,
        secret: key.map(|key| key.fingerprint(&format!("bench/dev/{index}"), &Secret::new(format!("secret {index}")))),
    })?)
}

fn program(count: usize, key: Option<&FingerprintKey>) -> Outcome<Program> {
    let mut program = Program::new(Stack::new("bench", "dev")?);
    for index in 0..count {
        let hub = match index % 10 {
            0 => None,
            _ => Some(Output::Of(Reference { of: fqn(hub(index))?, attribute: "id".into() })),
        };
        program.declare(Resource {
            fqn: fqn(index)?,
            kind: "thing",
            props: props(index, hub, key)?,
            after: BTreeSet::new(),
            parent: None,
            pinned: None,
            policy: Policy::Delete,
        })?;
    }
    Ok(program)
}

/// Writes the rows as a run would have.
fn prepare(count: usize, folder: &Path, key: Option<&FingerprintKey>) -> Outcome<()> {
    let folder = folder.join("bench/dev");
    fs::create_dir_all(&folder)?;
    for index in 0..count {
        let fqn = fqn(index)?;
        let known = (index % 10 != 0).then(|| Output::Known(format!("id-{}", hub(index))));
        let row = Row {
            schema: ROW_SCHEMA,
            kind: "thing".into(),
            instance: format!("{index:032x}"),
            serial: 1,
            generation: 0,
            name: Name { text: format!("bench-{fqn}-dev"), pinned: false },
            named: None,
            status: Status::Created,
            origin: Origin::Created,
            desired: props(index, known, key)?,
            pending: Vec::new(),
            effective: serde_json::json!({}),
            attributes: serde_json::json!({ "id": format!("id-{index}") }),
            needs: if index % 10 == 0 { BTreeSet::new() } else { [self::fqn(hub(index))?].into() },
            parent: None,
            policy: Policy::Delete,
            replaced: Vec::new(),
            failure: None,
            fqn,
        };
        fs::write(folder.join(format!("{}.json", row.fqn)), serde_json::to_vec_pretty(&row)?)?;
    }
    fs::write(folder.join(".stack.json"), r#"{"schema":1,"birth":"b","serial":1}"#)?;
    Ok(())
}

fn run(count: usize, folder: &Path, key: Option<&FingerprintKey>) -> Outcome<()> {
    let began = Instant::now();
    let program = program(count, key)?;
    let kinds = Kinds::default().with(Thing);
    let snapshot = FileStore::new(folder.into(), Arc::new(SystemClock)).read(program.stack())?;
    let started = Instant::now();
    let plan = plan(&program, &snapshot, &Observed::default(), &kinds, &Allowed::default())?;
    let took = started.elapsed().as_secs_f64() * 1e3;
    let whole = began.elapsed().as_secs_f64() * 1e3;
    if !plan.is_empty() || plan.actions.len() != count {
        return Err("the plan is not empty".into());
    }
    let status = fs::read_to_string("/proc/self/status")?;
    let memory = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    println!("{took} {whole} {}", memory.trim().trim_end_matches(" kB"));
    Ok(())
}

/// The kind of all resources. Nothing is called: all is as it should be.
struct Thing;

impl Kind for Thing {
    type Props = Props;
    type Attributes = Attributes;

    fn name(&self) -> &'static str {
        "thing"
    }

    fn facts(&self) -> Facts {
        Facts {
            title: "thing",
            rule: NameRule { length_max: 63, capitals: false, underscores: false },
            recovery: Recovery::Named,
            replacing: &[],
            side_by_side: false,
            stable: &["id"],
            holds_data: |_| false,
            dies_with_parent: false,
            restarts: false,
            has_users: false,
            is_shared: false,
        }
    }

    fn find(&self, wanted: &[Wanted<Props, Attributes>]) -> Result<Vec<Option<Found<Attributes>>>, Failure> {
        Ok(wanted.iter().map(|_| None).collect())
    }

    fn create(&self, wanted: &Wanted<Props, Attributes>) -> Result<Found<Attributes>, Failure> {
        Err(called(&wanted.fqn))
    }

    fn update(&self, recorded: &Recorded<Props, Attributes>, _props: &Props) -> Result<Found<Attributes>, Failure> {
        Err(called(&recorded.fqn))
    }

    fn delete(&self, recorded: &Recorded<Props, Attributes>) -> Result<(), Failure> {
        Err(called(&recorded.fqn))
    }
}

fn called(fqn: &Fqn) -> Failure {
    Failure::new(realgar_engine::FailureKind::Refused, format!("`{fqn}` was called"))
}
