//! `realgar destroy`.

use super::{Interrupt, deploy::apply};
use crate::{
    args::DestroyArguments,
    error::Outcome,
    output,
    stack::{Place, Target},
};
use realgar_bundle::Profile;

pub(crate) fn run(arguments: &DestroyArguments) -> Outcome {
    let interrupt = Interrupt::catch()?;
    let place = Place::find(&arguments.path, &arguments.stack)?;
    let target = Target::new(place, &arguments.stack, &[], Profile::Release, &interrupt.cancel)?;
    let plan = target.plan(&arguments.allow)?;
    output::show_text(&target.show(&plan));
    apply(&target, &plan, "Destroy?", arguments.yes, &interrupt)?;
    if let Some(local) = &target.local
        && local.stop_if_empty()
    {
        output::note("Nothing is left on the local edge, so it ends");
    }
    Ok(())
}
