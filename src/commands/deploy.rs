//! `realgar deploy`.

use super::Interrupt;
use crate::{
    args::{AllowArguments, DeployArguments, profile},
    error::{CommandError, Outcome},
    output,
    stack::{Place, Target, confirm},
};
use realgar_engine::{Fqn, Outcome as Applied, Plan};
use serde_json::json;
use std::collections::BTreeMap;

pub(crate) fn run(arguments: &DeployArguments) -> Outcome {
    let interrupt = Interrupt::catch()?;
    let place = Place::find(&arguments.paths, &arguments.stack)?;
    let target = Target::new(
        place,
        &arguments.stack,
        &arguments.paths,
        profile(arguments.dev),
        arguments.prune,
        &interrupt.cancel,
    )?;
    let mut target = target;
    let (plan, applied) = plan_and_apply(&mut target, &arguments.allow, "Deploy?", arguments.yes, &interrupt)?;
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
        let paths: Vec<String> = arguments.paths.iter().map(|path| path.display().to_string()).collect();
        let (paths, stage) = (paths.join(" "), target.place.stack.stage());
        output::note(&format!(
            "`realgar destroy --local --stage {stage} {paths}` deletes all this, and ends it if it was the last"
        ));
    }
    Ok(())
}

/// Shows a plan, asks, and does what it says. If another run has changed the state meanwhile, there is a new plan.
pub(super) fn plan_and_apply(
    target: &mut Target,
    allow: &AllowArguments,
    question: &str,
    yes: bool,
    interrupt: &Interrupt,
) -> Result<(Plan, Applied), CommandError> {
    loop {
        let plan = target.plan(allow)?;
        output::show_text(&target.show(&plan));
        if plan.is_empty() {
            return Ok((plan, Applied::default()));
        }
        if let Some(refusal) = plan.refusal() {
            return Err(refusal.into());
        }
        confirm(question, yes, interrupt)?;
        match target.apply(&plan, interrupt.flag())? {
            Some(applied) => return Ok((plan, applied)),
            None => {
                output::note("Another run has changed the state, so this is planned anew");
                target.read_again()?;
            }
        }
    }
}

/// How a command ends that did what a plan says.
pub(super) fn conclude(outcome: Applied, interrupt: &Interrupt) -> Outcome {
    if outcome.is_complete() {
        return Ok(());
    }
    if interrupt.is_set() && outcome.failed.is_empty() {
        output::note("Interrupted: the next run goes on from here");
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
    command.hint(
        "mend what is named above if it is yours to mend, and run the command again: it does only what is missing",
    )
}
