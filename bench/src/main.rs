//! Side-by-side benchmarks: both sides in one run, on one machine, on one workerd. What is printed is ratios; a benchmark is
//! no test, and no test measures time.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program whose output is its purpose")]

mod agents;
mod broadcast;
mod cold;
mod isolation;
mod memory;
mod plan;
mod rounds;
mod rpc;
mod scheduler;
mod size;
mod values;
mod workers_rs;

use clap::{Parser, ValueEnum};
use std::process::ExitCode;

/// Compare Realgar with others.
#[derive(Debug, Parser)]
struct Arguments {
    /// What to compare.
    suite: Suite,
    /// One JSON object a line instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Suite {
    /// The latency of a method call.
    Rpc,
    /// Composite values, as bytes and as JavaScript objects.
    Codec,
    /// The throughput of a stream, and the time to its first item.
    Stream,
    /// From the start of the runtime to the first response.
    Cold,
    /// Rows of SQL, written and read.
    Sql,
    /// Events of an object: scheduled, and run.
    Scheduler,
    /// Objects with a wasm instance each.
    Isolation,
    /// The time until many WebSockets have a message.
    Broadcast,
    /// The size of a bundle.
    Size,
    /// From the first line of a program of many resources to its plan, in which nothing is to be done.
    Plan,
    /// The same as a whole run, and a deployment to an edge that is far away.
    Deploy,
}

/// One comparison. A ratio is ours over the other's: less is better.
#[derive(Debug)]
struct Row {
    case: &'static str,
    vs: &'static str,
    ours: f64,
    other: f64,
    unit: &'static str,
}

fn main() -> ExitCode {
    if let Some(arguments) = workers_rs::as_wasm_bindgen() {
        return match realgar_bundle::run_as_wasm_bindgen(&arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error.to_string()),
        };
    }
    let Arguments { suite, json } = Arguments::parse();
    let (name, rows) = match suite {
        Suite::Rpc => ("rpc", rpc::run()),
        Suite::Codec => ("codec", values::codec()),
        Suite::Stream => ("stream", values::stream()),
        Suite::Cold => ("cold", cold::run()),
        Suite::Sql => ("sql", values::sql()),
        Suite::Scheduler => ("scheduler", scheduler::run()),
        Suite::Isolation => ("isolation", isolation::run()),
        Suite::Broadcast => ("broadcast", broadcast::run()),
        Suite::Size => ("size", size::run()),
        Suite::Plan => ("plan", plan::plan()),
        Suite::Deploy => ("deploy", plan::deploy()),
    };
    match rows {
        Ok(rows) => {
            show(name, &rows, json);
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error),
    }
}

fn fail(error: &str) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

fn show(suite: &str, rows: &[Row], json: bool) {
    for Row { case, vs, ours, other, unit } in rows {
        let ratio = ours / other;
        if json {
            let line = serde_json::json!({
                "suite": suite, "case": case, "vs": vs, "ratio": (ratio * 1000.0).round() / 1000.0,
                "ours": ours, "other": other, "unit": unit,
            });
            println!("{line}");
        } else {
            println!("{suite:9} {case:22} vs {vs:20} {ours:10.1} {other:10.1} {unit:6} ratio {ratio:.3}");
        }
    }
}
