//! `realgar deploy`.

use super::Interrupt;
use crate::{
    args::{DeployArguments, profile},
    error::{CommandError, Outcome},
    output,
    stack::{Place, Target, confirm},
};
use realgar_engine::{Fqn, Outcome as Applied, Plan};
use serde_json::json;
use std::collections::BTreeMap;

pub(crate) fn run(arguments: &DeployArguments) -> Outcome {
    let interrupt = Interrupt::catch()?;
    let first = arguments.paths.first().ok_or_else(|| CommandError::usage("name the folder of a Worker"))?;
    let place = Place::find(first, &arguments.stack)?;
    let target = Target::new(place, &arguments.stack, &arguments.paths, profile(arguments.dev), &interrupt.cancel)?;
    let plan = target.plan(&arguments.allow)?;
    output::show_text(&target.show(&plan));
    let applied = apply(&target, &plan, "Deploy?", arguments.yes, &interrupt)?;
    let addresses = target.addresses()?;
    if arguments.json {
        let failed: BTreeMap<&Fqn, &str> =
            applied.failed.iter().map(|(fqn, failure)| (fqn, failure.message.as_str())).collect();
        output::show_json(&json!({
            "plan": plan, "done": applied.done, "failed": failed, "skipped": applied.skipped, "addresses": addresses,
        }))?;
    }
    conclude(applied, &interrupt)?;
    for (worker, url) in addresses.iter().filter(|_| !arguments.json) {
        output::show_address(worker, url);
    }
    if let Some(local) = &target.local {
        output::note(&format!("The local edge goes on; its log is {}", local.data().join("log").display()));
        output::note("`realgar destroy --local` deletes all this, and ends it");
    }
    Ok(())
}

/// Does what `plan` says, after asking.
pub(super) fn apply(
    target: &Target,
    plan: &Plan,
    question: &str,
    yes: bool,
    interrupt: &Interrupt,
) -> Result<Applied, CommandError> {
    if plan.is_empty() {
        return Ok(Applied::default());
    }
    if let Some(refusal) = plan.refusal() {
        return Err(refusal.into());
    }
    confirm(question, yes, interrupt)?;
    target.apply(plan, interrupt.flag())
}

/// How a command ends that did what a plan says.
pub(super) fn conclude(outcome: Applied, interrupt: &Interrupt) -> Outcome {
    if outcome.is_complete() {
        return Ok(());
    }
    if interrupt.is_set() && outcome.failed.is_empty() {
        return Err(CommandError::interrupted());
    }
    Err(failed(outcome))
}

/// What failed, in one error.
fn failed(outcome: Applied) -> CommandError {
    let Applied { failed, skipped, .. } = outcome;
    let names: Vec<String> = failed.keys().map(|fqn| format!("`{fqn}`")).collect();
    let text = match skipped.len() {
        0 => format!("{} failed", names.join(", ")),
        count => format!("{} failed, and {count} others wait for that", names.join(", ")),
    };
    let hints = failed.into_values().flat_map(|failure| failure.hints);
    let command = hints.fold(CommandError::user(text), CommandError::hint);
    command.hint("run the command again: it does only what is missing")
}
