//! `realgar deploy`.

use super::Interrupt;
use crate::{
    args::{DeployArguments, profile},
    error::{CommandError, Outcome},
    output,
    stack::{Place, Target, confirm},
};
use realgar_engine::{ApplyError, Outcome as Applied, Plan};

pub(crate) fn run(arguments: &DeployArguments) -> Outcome {
    let interrupt = Interrupt::catch()?;
    let first = arguments.paths.first().ok_or_else(|| CommandError::usage("name the folder of a Worker"))?;
    let place = Place::find(first, &arguments.stack)?;
    let target = Target::new(place, &arguments.stack, &arguments.paths, profile(arguments.dev), &interrupt.cancel)?;
    let plan = target.plan(&arguments.allow)?;
    output::show_text(&target.show(&plan));
    apply(&target, &plan, "Deploy?", arguments.yes, &interrupt)?;
    for (worker, url) in target.addresses()? {
        output::show_address(&worker, &url);
    }
    if let Some(local) = &target.local {
        output::note(&format!("The local edge goes on; its log is {}", local.data().join("log").display()));
        output::note("`realgar destroy --local` deletes all this, and ends it");
    }
    Ok(())
}

/// Does what `plan` says, after asking.
pub(super) fn apply(target: &Target, plan: &Plan, question: &str, yes: bool, interrupt: &Interrupt) -> Outcome {
    if plan.is_empty() {
        return Ok(());
    }
    if !plan.data_loss.is_empty() {
        return Err(ApplyError::DataLoss(plan.data_loss.clone()).into());
    }
    confirm(question, yes, interrupt)?;
    let outcome = target.apply(plan, interrupt.flag())?;
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
