//! `realgar plan`.

use super::cancel_on_signal;
use crate::{
    args::{PlanArguments, profile},
    error::{CommandError, Outcome},
    output,
    stack::{Place, Target},
};

pub(crate) fn run(arguments: &PlanArguments) -> Outcome {
    let cancel = cancel_on_signal(|| {})?;
    let first = arguments.paths.first().ok_or_else(|| CommandError::usage("name the folder of a Worker"))?;
    let place = Place::find(first, &arguments.stack)?;
    let target = Target::new(place, &arguments.stack, &arguments.paths, profile(arguments.dev), &cancel)?;
    let plan = target.plan(&arguments.allow)?;
    if arguments.json {
        output::show_json(&plan)?;
    } else {
        output::show_result(&target.show(&plan));
    }
    if arguments.detailed_exitcode && !plan.is_empty() { Err(CommandError::changes()) } else { Ok(()) }
}
