//! `realgar destroy`.

use super::{
    Interrupt,
    deploy::{conclude, plan_and_apply},
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
    let place = Place::find(&arguments.paths, &arguments.stack)?;
    let target = Target::new(place, &arguments.stack, &[], Profile::Release, false, &interrupt.cancel)?;
    let mut target = target;
    target.check_known()?;
    let (_, applied) = plan_and_apply(&mut target, &arguments.allow, "Destroy?", arguments.yes, &interrupt)?;
    conclude(applied, &interrupt)?;
    if let Some(local) = &target.local
        && local.stop_if_empty()
    {
        output::note("Nothing is left on the local edge, so it ends");
    }
    Ok(())
}
