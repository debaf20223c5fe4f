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
    let place = Place::find(&arguments.paths, &arguments.stack)?;
    let target =
        Target::new(place, &arguments.stack, &arguments.paths, profile(arguments.dev), arguments.prune, &cancel)?;
    let plan = target.plan(&arguments.allow)?;
    if arguments.json {
        output::show_json(&plan)?;
    } else {
        output::show_result(&target.show(&plan));
    }
    if arguments.detailed_exitcode && !plan.is_empty() { Err(CommandError::changes()) } else { Ok(()) }
}
