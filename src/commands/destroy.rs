//! `realgar destroy`.

use super::{cancel_on_signal, deploy::apply};
use crate::{
    args::DestroyArguments,
    error::Outcome,
    output,
    stack::{Place, Target},
};
use realgar_bundle::Profile;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

pub(crate) fn run(arguments: &DestroyArguments) -> Outcome {
    let stop = Arc::new(AtomicBool::new(false));
    let handler = stop.clone();
    let cancel = cancel_on_signal(move || handler.store(true, Ordering::Relaxed))?;
    let place = Place::find(&arguments.path, &arguments.stack)?;
    let target = Target::new(place, &arguments.stack, &[], Profile::Release, &cancel)?;
    let plan = target.plan(&arguments.allow)?;
    output::show_text(&target.show(&plan));
    apply(&target, &plan, "Destroy?", arguments.yes, &stop)?;
    if let Some(local) = &target.local
        && local.stop_if_empty()
    {
        output::note("Nothing is left on the local edge, so it ends");
    }
    Ok(())
}
