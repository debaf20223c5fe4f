//! Deployments: a program of many resources that are all as they should be, planned and run by alchemy and by us, with state in local
//! files and without a cloud; and a deployment to an edge whose every answer takes its time.
//!
//! A process reports the time from its first line to its plan, state read included, and its memory. The whole run is the process from
//! outside. The case `noop10000alone` is our plan without what comes before it.

use crate::{Row, agents};
use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};

/// The numbers of resources, with the names of their cases.
const COUNTS: [(usize, &str); 3] = [(100, "noop100"), (1000, "noop1000"), (10_000, "noop10000")];
/// How often each side runs. The median counts.
const RUNS: usize = 3;
/// How long each answer of the edge takes in the case `latency50`, in milliseconds.
const LATENCY_MS: u32 = 50;
/// The calls of the longest chain in that case: a list, the resource, three for the script, its address.
const CHAIN: u32 = 6;

/// What a run of a program took.
#[derive(Clone, Copy)]
struct Taken {
    /// The plan alone, in milliseconds, of a program that can tell.
    alone: f64,
    /// From the first line to the plan, in milliseconds.
    plan: f64,
    /// The process, in milliseconds.
    whole: f64,
    /// In megabytes.
    memory: f64,
}

/// Somebody's program, as a command that is followed by `prepare|run COUNT`.
struct Side {
    name: &'static str,
    command: Vec<PathBuf>,
    folder: PathBuf,
    /// Whether the folder of the state is an argument.
    takes_folder: bool,
}

impl Side {
    fn run(&self, what: &str, count: usize, more: &[&str]) -> Result<Taken, String> {
        let folder = self.folder.join(format!("{count}{}", more.concat()));
        fs::create_dir_all(&folder).map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).args([what, &count.to_string()]);
        if self.takes_folder {
            command.arg(&folder).args(more);
        } else {
            command.current_dir(&folder);
        }
        command.env("ALCHEMY_TELEMETRY_DISABLED", "1").env("DO_NOT_TRACK", "1");
        let started = Instant::now();
        let output = command.output().map_err(|error| format!("cannot run {command:?}: {error}"))?;
        let whole = started.elapsed().as_secs_f64() * 1e3;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            return Err(format!("{command:?} failed: {text}{}", String::from_utf8_lossy(&output.stderr)));
        }
        if what == "prepare" {
            return Ok(Taken { alone: 0.0, plan: 0.0, whole, memory: 0.0 });
        }
        let numbers: Vec<f64> =
            text.lines().last().unwrap_or_default().split(' ').filter_map(|number| number.parse().ok()).collect();
        match numbers.as_slice() {
            [alone @ .., plan, memory] => {
                let alone = alone.first().copied().unwrap_or_default();
                Ok(Taken { alone, plan: *plan, whole, memory: memory / 1024.0 })
            }
            _ => Err(format!("{command:?} printed no numbers: {text}")),
        }
    }

    /// The median of some runs on a state that is prepared first.
    fn measure(&self, count: usize, more: &[&str]) -> Result<Taken, String> {
        self.run("prepare", count, more)?;
        let runs = (0..RUNS).map(|_| self.run("run", count, more)).collect::<Result<Vec<_>, _>>()?;
        let median = |of: fn(&Taken) -> f64| {
            let mut all: Vec<f64> = runs.iter().map(of).collect();
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        Ok(Taken {
            alone: median(|taken| taken.alone),
            plan: median(|taken| taken.plan),
            whole: median(|taken| taken.whole),
            memory: median(|taken| taken.memory),
        })
    }
}

/// The folder of a comparison, empty.
fn folder(name: &str) -> Result<PathBuf, String> {
    let folder = std::path::absolute(Path::new("target/bench").join(name)).map_err(|error| error.to_string())?;
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(|error| format!("cannot create {}: {error}", folder.display()))?;
    Ok(folder)
}

fn ours() -> Result<Side, String> {
    let build = ["build", "--quiet", "--release", "-p", "realgar-bench-noop"];
    agents::run(Command::new("cargo").args(build))?;
    let program = std::path::absolute("target/release/realgar-bench-noop").map_err(|error| error.to_string())?;
    Ok(Side { name: "ours", command: vec![program], folder: folder("noop")?, takes_folder: true })
}

fn alchemy(name: &'static str, source: &str) -> Result<Side, String> {
    let installed = std::path::absolute(Path::new("target/bench").join(source)).map_err(|error| error.to_string())?;
    fs::create_dir_all(&installed).map_err(|error| error.to_string())?;
    for file in ["package.json", "package-lock.json", "run.js"] {
        let from = Path::new("bench/javascript").join(source).join(file);
        fs::copy(&from, installed.join(file)).map_err(|error| format!("cannot copy {}: {error}", from.display()))?;
    }
    let install = ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--legacy-peer-deps"];
    agents::run(Command::new("npm").args(install).current_dir(&installed))?;
    let command = vec!["node".into(), installed.join("run.js")];
    Ok(Side { name, command, folder: folder(&format!("{source}-state"))?, takes_folder: false })
}

/// A figure of a run, and its unit.
type Figure = (fn(Taken) -> f64, &'static str);

/// One comparison of all cases. `of` picks what counts.
fn compare(of: fn(Taken) -> f64, unit: &'static str, also: &[Figure]) -> Result<Vec<Row>, String> {
    let (ours, others) = (ours()?, [alchemy("alchemy-0.94", "alchemy-1")?, alchemy("alchemy-2", "alchemy-2")?]);
    let mut rows = Vec::new();
    for (count, case) in COUNTS {
        let own = ours.measure(count, &[])?;
        for side in &others {
            let other = side.measure(count, &[])?;
            rows.push(Row { case, vs: side.name, ours: of(own), other: of(other), unit });
            let more = also.iter().map(|(of, unit)| Row { case, vs: side.name, ours: of(own), other: of(other), unit });
            rows.extend(more);
        }
        if count == COUNTS[2].0 {
            let secrets = ours.measure(count, &["secrets"])?;
            rows.push(Row { case: "noop10000secrets", vs: "noop10000", ours: of(secrets), other: of(own), unit });
            rows.push(Row { case: "noop10000alone", vs: "noop10000", ours: own.alone, other: of(own), unit: "ms" });
        }
    }
    Ok(rows)
}

/// From the first line of the program to its plan.
pub(crate) fn plan() -> Result<Vec<Row>, String> {
    compare(|taken| taken.plan, "ms", &[])
}

/// The whole run in which nothing is to be done, and a deployment to an edge that is far away.
pub(crate) fn deploy() -> Result<Vec<Row>, String> {
    let mut rows = compare(|taken| taken.whole, "ms", &[(|taken| taken.memory, "MB")])?;
    rows.push(latency()?);
    Ok(rows)
}

/// An edge of its own, which ends with this.
struct Edge {
    process: Child,
    data: PathBuf,
}

impl Edge {
    fn start(program: &Path, data: &Path) -> Result<Self, String> {
        let mut command = Command::new(program);
        command.args(["edge", "--data"]).arg(data.join("edge")).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().map_err(|error| format!("cannot start an edge: {error}"))?;
        let stdout = process.stdout.take().ok_or("an edge without output")?;
        BufReader::new(stdout).read_line(&mut String::new()).map_err(|error| error.to_string())?;
        Ok(Self { process, data: data.into() })
    }

    fn delay(&self, ms: u32) -> Result<(), String> {
        let read =
            |file: &str| fs::read_to_string(self.data.join("edge").join(file)).map_err(|error| error.to_string());
        let url = format!("{}/realgar/faults", read("address")?);
        let agent = ureq::Agent::new_with_config(ureq::Agent::config_builder().proxy(None).build());
        let request = agent.put(&url).header("authorization", format!("Bearer {}", read("token")?));
        let sent = request.send_json(serde_json::json!({ "delay_ms": ms }));
        sent.map(drop).map_err(|error| error.to_string())
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A Worker that binds 48 namespaces, deployed to an edge whose answers take a while, against the same deployment without that and the
/// longest chain of calls that wait for each other.
fn latency() -> Result<Row, String> {
    agents::run(Command::new("cargo").args(["build", "--quiet", "--release", "-p", "realgar-cli"]))?;
    let program = std::path::absolute("target/release/realgar").map_err(|error| error.to_string())?;
    let deploy = |ms: u32, run: usize| -> Result<f64, String> {
        let data = folder(&format!("latency-{ms}-{run}"))?;
        let web = data.join("web");
        fs::create_dir_all(&web).map_err(|error| error.to_string())?;
        let bind = |own: usize| format!("[[kv_namespaces]]\nbinding = \"K{own}\"\nid = \"k{own}\"\n");
        let head = "name = \"web\"\nmain = \"index.js\"\ncompatibility_date = \"2026-04-21\"\n".to_string();
        let toml = (0..48).fold(head, |toml, own| toml + &bind(own));
        let files =
            [("wrangler.toml", toml), ("index.js", "export default { fetch: () => new Response() };".to_string())];
        for (file, text) in files {
            fs::write(web.join(file), text).map_err(|error| error.to_string())?;
        }
        let edge = Edge::start(&program, &data)?;
        edge.delay(ms)?;
        let mut command = Command::new(&program);
        command.args(["deploy", "--local", "--yes"]).arg(&web).env("REALGAR_DATA", &data).env("REALGAR_STAGE", "bench");
        let started = Instant::now();
        agents::run(&mut command)?;
        Ok(started.elapsed().as_secs_f64() * 1e3)
    };
    let median = |ms: u32| -> Result<f64, String> {
        let mut all = (0..RUNS).map(|run| deploy(ms, run)).collect::<Result<Vec<_>, _>>()?;
        all.sort_by(f64::total_cmp);
        Ok(all[RUNS / 2])
    };
    let critical = median(0)? + f64::from(CHAIN * LATENCY_MS);
    Ok(Row { case: "latency50", vs: "critical path", ours: median(LATENCY_MS)?, other: critical, unit: "ms" })
}
