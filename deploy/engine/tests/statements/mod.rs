//! The statements `moved`, `removed` and `imported`.

use crate::cloud::{Object, Props, Reaper};
use crate::{LONG_MS, Machine, fqn, program, resource, sized, stack, twelve, uses, verbs};
use realgar_engine::{
    Fqn, MemoryStore, Move, Origin, PlanError, Program, ProgramError, Reason, Resource, Row, Store, Verb,
};
use std::collections::BTreeSet;

/// The twelve, of which some have another name.
fn renamed() -> Vec<Resource> {
    vec![
        resource("store", "base", &sized(1)),
        resource("store", "b", &sized(2)),
        resource("service", "backend", &uses(&["base", "b"])),
        resource("setting", "backend/address", &uses(&["backend"])),
        resource("setting", "backend/crons", &uses(&["backend"])),
        resource("service", "web", &uses(&["backend"])),
    ]
}

fn before() -> Program {
    program(&twelve()[..6])
}

fn after() -> Program {
    program(&renamed()).moved(fqn("a"), fqn("base")).moved(fqn("api"), fqn("backend"))
}

fn ids(machine: &Machine<MemoryStore>) -> BTreeSet<(String, String)> {
    let inner = machine.cloud.inner();
    inner.objects.iter().map(|((_, name), object)| (name.clone(), object.id.clone())).collect()
}

#[test]
fn law_06_what_has_another_name_in_the_program_is_the_same_resource() {
    let machine = Machine::new();
    machine.deploy(&before());
    let (there, calls) = (ids(&machine), machine.cloud.inner().log.len());
    let plan = machine.plan(&after()).unwrap();
    let moves = [("a", "base"), ("api", "backend"), ("api/address", "backend/address"), ("api/crons", "backend/crons")];
    assert_eq!(plan.moves, moves.map(|(from, to)| Move { from: fqn(from), to: fqn(to) }));
    assert!(verbs(&plan).is_empty(), "{:?}", verbs(&plan));
    machine.deploy(&after());
    assert_eq!((ids(&machine), machine.cloud.inner().log.len()), (there, calls), "no call was made");
    assert!(machine.plan(&after()).unwrap().is_empty());
    assert!(machine.plan(&program(&renamed())).unwrap().is_empty(), "the statement may go");
    // It may move on, and so may one that has not followed the first statement.
    let mut again = renamed();
    again[0] = resource("store", "ground", &sized(1));
    again[2] = resource("service", "backend", &uses(&["ground", "b"]));
    let last = program(&again).moved(fqn("a"), fqn("base")).moved(fqn("base"), fqn("ground"));
    let two = last.clone().moved(fqn("api"), fqn("backend"));
    assert_eq!(machine.plan(&two).unwrap().moves, [Move { from: fqn("base"), to: fqn("ground") }]);
    let late = Machine::new();
    late.deploy(&before());
    assert!(late.plan(&two).unwrap().moves.contains(&Move { from: fqn("a"), to: fqn("ground") }));
    let rows = machine.store.read(&stack()).unwrap().rows;
    assert!(rows.values().all(|row| row.needs.iter().chain(&row.parent).all(|other| rows.contains_key(other))));
    // Its names go on being made from the first one.
    let mut placed = renamed();
    placed[0] = resource("store", "base", &Props { place: Some("eu".into()), ..sized(1) });
    machine.deploy(&program(&placed));
    let row = machine.store.read(&stack()).unwrap().rows[&fqn("base")].clone();
    assert!(row.generation == 1 && row.name.text.starts_with("app-a-dev-"), "{row:?}");
}

#[test]
fn law_06_a_move_that_is_killed_anywhere_is_finished_by_the_next_run() {
    let whole = Reaper::never();
    let first = Machine::new();
    first.deploy(&before());
    let _ = first.run(&after(), &whole).unwrap();
    for point in 1..=whole.points() {
        let machine = Machine::new();
        machine.deploy(&before());
        let there = ids(&machine);
        let _ = machine.run(&after(), &Reaper::at(point));
        machine.clock.advance(LONG_MS);
        let destroyed = Machine::new();
        destroyed.deploy(&before());
        let _ = destroyed.run(&after(), &Reaper::at(point));
        destroyed.clock.advance(LONG_MS);
        let outcome = destroyed.deploy(&program(&[]));
        assert!(
            ids(&destroyed).is_empty(),
            "killed at point {point}, and destroyed: {outcome:?} {:?}",
            ids(&destroyed)
        );
        machine.deploy(&after());
        assert!(machine.plan(&after()).unwrap().is_empty(), "killed at point {point}");
        assert_eq!(ids(&machine), there, "killed at point {point}");
        let names: Vec<Fqn> = machine.store.read(&stack()).unwrap().rows.into_keys().collect();
        assert_eq!(names, after().resources().keys().cloned().collect::<Vec<_>>(), "killed at point {point}");
    }
}

#[test]
fn a_move_onto_something_or_of_something_half_made_is_refused() {
    let machine = Machine::new();
    machine.deploy(&program(&[resource("store", "a", &sized(1)), resource("store", "b", &sized(2))]));
    let onto = program(&[resource("store", "b", &sized(2))]).moved(fqn("a"), fqn("b"));
    let refused = machine.plan_unseen(&onto).unwrap_err().to_string();
    assert!(refused.contains("and so does `a`, which `moved` says that it was"), "{refused}");
    // The intent is recorded, and the call not answered.
    let half_made = |point| {
        let machine = Machine::new();
        let _ = machine.run(&program(&[resource("store", "a", &sized(1))]), &Reaper::at(point));
        machine.clock.advance(LONG_MS);
        let rows = machine.store.read(&stack()).unwrap().rows;
        rows.values().any(Row::is_unborn).then_some(machine)
    };
    let machine = (1..20).find_map(half_made).unwrap();
    let moved = program(&[resource("store", "b", &sized(1))]).moved(fqn("a"), fqn("b"));
    let refused = machine.plan_unseen(&moved).unwrap_err().to_string();
    assert!(refused.contains("was cut off, when it was called `a`"), "{refused}");
}

#[test]
fn what_was_removed_by_a_statement_stays_with_what_belongs_to_it() {
    let machine = Machine::new();
    machine.deploy(&before());
    let there = ids(&machine);
    let kept = program(&twelve()[..2]).removed(fqn("api")).removed(fqn("web"));
    let plan = machine.plan(&kept).unwrap();
    assert!(verbs(&plan).values().all(|verb| *verb == Verb::Forget), "{:?}", verbs(&plan));
    machine.deploy(&kept);
    assert_eq!(ids(&machine), there);
    let rows: Vec<Fqn> = machine.store.read(&stack()).unwrap().rows.into_keys().collect();
    assert_eq!(rows, [fqn("a"), fqn("b")]);
    assert!(machine.plan(&kept).unwrap().is_empty());
}

#[test]
fn what_was_imported_keeps_its_name_and_stays_in_the_end() {
    let machine = Machine::new();
    let theirs = Object { id: "theirs".into(), props: serde_json::to_value(sized(1)).unwrap(), mark: "other".into() };
    machine.cloud.inner().objects.insert(("store", "precious".into()), theirs);
    let store = || [resource("store", "a", &sized(1))];
    let imported = program(&store()).imported(fqn("a"), "precious");
    let plan = machine.plan(&imported).unwrap();
    assert_eq!(
        plan.actions.iter().map(|own| (own.verb, &own.reason)).collect::<Vec<_>>(),
        [(Verb::Adopt, &Reason::Adopted)]
    );
    machine.deploy(&imported);
    assert!(machine.plan(&imported).unwrap().is_empty());
    assert!(machine.plan(&program(&store())).unwrap().is_empty(), "the statement may go, and the name stays");
    assert_eq!(machine.store.read(&stack()).unwrap().rows[&fqn("a")].origin, Origin::Adopted);
    machine.deploy(&program(&[]));
    assert_eq!(ids(&machine), [("precious".to_string(), "theirs".to_string())].into());
    // One that vanished is not made either.
    let gone = machine.cloud.inner().objects.remove(&("store", "precious".to_string())).unwrap();
    machine.deploy(&program(&[]));
    machine.cloud.inner().objects.insert(("store", "precious".into()), gone.clone());
    machine.deploy(&imported);
    machine.cloud.inner().objects.clear();
    assert!(machine.plan(&imported).is_err());
    machine.deploy(&program(&[]));
    let unseen = machine.plan_unseen(&imported).unwrap_err().to_string();
    assert!(unseen.contains("nobody looked"), "{unseen}");
    // One that is not there is not made.
    let missing = machine.plan(&program(&store()).imported(fqn("a"), "preciuos")).unwrap_err().to_string();
    assert!(missing.contains("there is no store of that name"), "{missing}");
    // One that is ours under another name is not replaced.
    machine.deploy(&program(&store()));
    let other = machine.plan(&imported).unwrap_err().to_string();
    assert!(other.contains("the state has it as `app-a-dev`"), "{other}");
}

#[test]
fn a_statement_that_does_not_fit_the_program_is_an_error() {
    let machine = Machine::new();
    let own = || program(&[resource("store", "a", &sized(1))]);
    for (program, problem) in [
        (own().moved(fqn("a"), fqn("b")), "`moved` names `a`, which the program still has"),
        (own().moved(fqn("b"), fqn("c")), "`moved` names `c`, which the program does not have"),
        (own().removed(fqn("a")), "`removed` names `a`, which the program still has"),
        (own().imported(fqn("b"), "x"), "`imported` names `b`, which the program does not have"),
    ] {
        let refused = machine.plan(&program).unwrap_err();
        assert!(matches!(&refused, PlanError::Program(ProgramError::Statement { .. })), "{refused:?}");
        assert_eq!(refused.to_string(), problem);
    }
}
