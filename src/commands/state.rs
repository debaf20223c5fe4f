//! `realgar state`.

use crate::{
    args::{StateArguments, StateCommand},
    error::{CommandError, Outcome},
    output,
    stack::Place,
};
use realgar_engine::{Fqn, Snapshot, Store};

pub(crate) fn run(command: &StateCommand) -> Outcome {
    match command {
        StateCommand::List(arguments) => list(arguments),
        StateCommand::Show { fqn, state } => show(fqn, state),
    }
}

fn read(arguments: &StateArguments) -> Result<(Place, Snapshot), CommandError> {
    let place = Place::find(&arguments.paths, &arguments.stack)?;
    let snapshot = place.store.read(&place.stack)?;
    Ok((place, snapshot))
}

fn list(arguments: &StateArguments) -> Outcome {
    let (place, snapshot) = read(arguments)?;
    if arguments.json {
        return output::show_json(&snapshot.rows.values().collect::<Vec<_>>());
    }
    if snapshot.rows.is_empty() {
        output::note(&format!("Nothing is known of {}", place.stack));
    }
    for row in snapshot.rows.values() {
        output::show_row(row);
    }
    Ok(())
}

fn show(fqn: &str, arguments: &StateArguments) -> Outcome {
    let (place, snapshot) = read(arguments)?;
    let fqn = Fqn::new(fqn)?;
    match snapshot.rows.get(&fqn) {
        Some(row) => output::show_json(row),
        None => {
            let text = format!("nothing is known of `{fqn}` in {}", place.stack);
            Err(CommandError::user(text).hint("`realgar state list` shows what is known"))
        }
    }
}
