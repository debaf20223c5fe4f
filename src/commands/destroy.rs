//! `realgar destroy`.

use super::{
    Interrupt,
    deploy::{apply, conclude},
};
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
    let applied = apply(&target, &plan, "Destroy?", arguments.yes, &interrupt)?;
    conclude(applied, &interrupt)?;
    if let Some(local) = &target.local
        && local.stop_if_empty()
    {
        output::note("Nothing is left on the local edge, so it ends");
    }
    Ok(())
}
