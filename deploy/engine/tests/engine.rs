//! Plans and runs against a simulated cloud.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "in a test, a panic is the report, and counts are shown with it"
)]

mod cloud;
mod statements;

use cloud::{Cloud, Dying, Props, Reaper, TestClock};
use realgar_engine::{
    Allowed, ApplyError, ApplyOptions, Event, Fence, FileStore, Fqn, Holder, MemoryStore, Observed, Origin, Outcome,
    Output, Plan, PlanError, Policy, Program, ProgramError, Reason, Reference, Resource, Risk, Row, Stack, Status,
    Store, StoreError, Verb, apply, observe, plan,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};

/// Longer than any lease.
const LONG_MS: u64 = 1_000_000;

fn stack() -> Stack {
    Stack::new("app", "dev").unwrap()
}

fn fqn(name: &str) -> Fqn {
    Fqn::new(name).unwrap()
}

fn holder() -> Holder {
    Holder { user: "ada".into(), host: "here".into(), machine: "1".into(), process: 1 }
}

/// A resource in a program of a test.
fn resource(kind: &'static str, name: &str, props: &Props) -> Resource {
    let name = fqn(name);
    let parent = name.as_str().rsplit_once('/').map(|(parent, _)| fqn(parent));
    let props = serde_json::to_value(props).unwrap();
    Resource { fqn: name, kind, props, after: BTreeSet::new(), parent, pinned: None, policy: Policy::Delete }
}

fn uses(names: &[&str]) -> Props {
    let output = |name: &&str| Output::Of(Reference { of: fqn(name), attribute: "id".into() });
    Props { uses: names.iter().map(output).collect(), ..Props::default() }
}

fn sized(size: u32) -> Props {
    Props { size: Some(size), ..Props::default() }
}

fn program(resources: &[Resource]) -> Program {
    let mut program = Program::new(stack());
    resources.iter().for_each(|resource| program.declare(resource.clone()).unwrap());
    program
}

/// The services use each other.
fn named(names: &[&str]) -> Props {
    let output = |name: &&str| Output::Of(Reference { of: fqn(name), attribute: "name".into() });
    Props { uses: names.iter().map(output).collect(), ..Props::default() }
}

/// Two stores, a service that uses them, and what belongs to it; another service, and two that use each other.
fn twelve() -> Vec<Resource> {
    vec![
        resource("store", "a", &sized(1)),
        resource("store", "b", &sized(2)),
        resource("service", "api", &uses(&["a", "b"])),
        resource("setting", "api/address", &uses(&["api"])),
        resource("setting", "api/crons", &uses(&["api"])),
        resource("service", "web", &uses(&["api"])),
        resource("service", "left", &named(&["right"])),
        resource("setting", "left/address", &uses(&["left"])),
        resource("service", "right", &named(&["left"])),
    ]
}

/// A machine on which runs are made.
struct Machine<S> {
    cloud: Cloud,
    store: S,
    clock: Arc<TestClock>,
    allowed: Allowed,
}

impl Machine<MemoryStore> {
    fn new() -> Self {
        let clock = Arc::new(TestClock::default());
        Self { cloud: Cloud::default(), store: MemoryStore::new(clock.clone()), clock, allowed: Allowed::default() }
    }
}

impl Machine<FileStore> {
    fn in_files(folder: &Path) -> Self {
        let clock = Arc::new(TestClock::default());
        let store = FileStore::new(folder.into(), clock.clone());
        Self { cloud: Cloud::default(), store, clock, allowed: Allowed::default() }
    }
}

impl<S: Store + 'static> Machine<S> {
    /// A machine whose store may be of any kind.
    fn boxed(self) -> Machine<Box<dyn Store>> {
        let Self { cloud, store, clock, allowed } = self;
        Machine { cloud, store: Box::new(store), clock, allowed }
    }
}

#[derive(Debug)]
#[expect(dead_code, reason = "what is inside is shown when a test fails")]
enum Died {
    Plan(PlanError),
    Apply(ApplyError),
    Store(StoreError),
}

impl<S: Store + Clone> Machine<S> {
    fn plan(&self, program: &Program) -> Result<Plan, PlanError> {
        let kinds = self.cloud.kinds(&Reaper::never());
        let snapshot = self.store.read(&stack()).unwrap();
        let observed = observe(program, &snapshot, &kinds).unwrap();
        plan(program, &snapshot, &observed, &kinds, &self.allowed)
    }

    /// As [`Machine::plan`], without a look at the cloud.
    fn plan_unseen(&self, program: &Program) -> Result<Plan, PlanError> {
        let snapshot = self.store.read(&stack()).unwrap();
        plan(program, &snapshot, &Observed::default(), &self.cloud.kinds(&Reaper::never()), &self.allowed)
    }

    /// Plans and applies, in a process that `reaper` may kill.
    fn run(&self, program: &Program, reaper: &Arc<Reaper>) -> Result<Outcome, Died> {
        let kinds = self.cloud.kinds(reaper);
        let plan = self.plan(program).map_err(Died::Plan)?;
        let store = Dying { store: self.store.clone(), reaper: reaper.clone() };
        let recording = store.begin(&stack(), &holder(), None).map_err(Died::Store)?;
        let (stop, fence) = (AtomicBool::new(false), Fence::new(self.clock.clone()));
        let options = ApplyOptions { concurrency: 1, stop: &stop, fence: &fence };
        apply(&plan, &kinds, recording, &options, &mut |_| {}).map_err(Died::Apply)
    }

    /// Plans and applies to the end.
    fn deploy(&self, program: &Program) -> Outcome {
        self.run(program, &Reaper::never()).unwrap()
    }

    /// Checks that the cloud and the state have exactly what `program` says.
    fn assert_settled(&self, program: &Program, when: &str) {
        let plan = self.plan(program).unwrap();
        let left: Vec<_> = plan.changes().map(|action| (&action.fqn, action.verb, &action.reason)).collect();
        assert!(left.is_empty(), "{when}: {left:?}");
        let snapshot = self.store.read(&stack()).unwrap();
        assert!(snapshot.rows.values().all(|row| row.is_settled() && row.status != Status::Replaced), "{when}");
        let declared: BTreeSet<String> = program.resources().keys().map(Fqn::to_string).collect();
        let marks: BTreeSet<String> = self.cloud.inner().objects.values().map(|object| object.mark.clone()).collect();
        assert_eq!(marks, declared, "{when}");
        assert_eq!(self.cloud.names().len(), declared.len(), "{when}: each exists once");
    }
}

fn verbs(plan: &Plan) -> BTreeMap<String, Verb> {
    plan.changes().map(|action| (action.fqn.to_string(), action.verb)).collect()
}

#[test]
fn a_second_run_does_nothing() {
    let machine = Machine::new();
    let program = program(&twelve());
    assert_eq!(machine.deploy(&program).done.len(), 10, "one of nine in two steps");
    machine.assert_settled(&program, "after the first run");
    let serial = machine.store.read(&stack()).unwrap().serial;
    let calls = machine.cloud.inner().log.len();
    assert!(machine.deploy(&program).done.is_empty());
    assert_eq!(machine.store.read(&stack()).unwrap().serial, serial, "no write");
    assert_eq!(machine.cloud.inner().log.len(), calls, "no call");
}

#[test]
fn what_the_program_no_longer_has_is_deleted_after_what_uses_it() {
    let machine = Machine::new();
    machine.deploy(&program(&twelve()));
    machine.cloud.inner().log.clear();
    let outcome = machine.deploy(&program(&[]));
    assert!(outcome.is_complete(), "{outcome:?}");
    assert!(machine.cloud.names().is_empty());
    let log = machine.cloud.inner().log.clone();
    let of = |names: [&str; 4]| {
        log.iter().filter(|line| names.iter().any(|name| line.ends_with(name))).cloned().collect::<Vec<_>>()
    };
    assert_eq!(of(["web", "api", "a", "b"]), ["delete web", "delete api", "delete a", "delete b"]);
    assert_eq!(of(["left", "right", "-", "-"]), ["update left", "delete right", "delete left"], "no refusal");
    assert!(machine.store.read(&stack()).unwrap().rows.is_empty());
}

#[test]
fn of_two_that_use_each_other_one_is_made_without_the_other_first() {
    let machine = Machine::new();
    let program = program(&twelve()[6..]);
    let plan = machine.plan(&program).unwrap();
    let steps: Vec<_> = plan.changes().map(|action| (action.fqn.as_str(), action.step, action.verb)).collect();
    let expected = [
        ("left", 0, Verb::Create),
        ("left", 1, Verb::Update),
        ("left/address", 1, Verb::Create),
        ("right", 1, Verb::Create),
    ];
    assert_eq!(steps, expected);
    machine.deploy(&program);
    // What belongs to one comes when that is whole.
    assert_eq!(machine.cloud.inner().log, ["create left", "create right", "update left", "create left/address"]);
    machine.assert_settled(&program, "after the first run");
}

#[test]
fn a_changed_property_is_an_update_and_a_fixed_one_a_replacement() {
    let mut machine = Machine::new();
    machine.deploy(&program(&[resource("store", "a", &sized(1))]));
    let bigger = program(&[resource("store", "a", &sized(2))]);
    let plan = machine.plan(&bigger).unwrap();
    assert_eq!((plan.actions[0].verb, &plan.actions[0].differences[0].path), (Verb::Update, &"size".to_string()));
    machine.deploy(&bigger);
    let placed = Props { place: Some("eu".into()), ..sized(2) };
    let placed = program(&[resource("store", "a", &placed)]);
    let plan = machine.plan(&placed).unwrap();
    assert_eq!((plan.actions[0].verb, &plan.actions[0].reason), (Verb::Supersede, &Reason::Fixed("place".into())));
    assert_eq!((plan.actions[1].verb, &plan.actions[1].reason), (Verb::Discard, &Reason::Superseded));
    machine.deploy(&placed);
    machine.assert_settled(&placed, "after the replacement");
    // Now it holds data.
    let moved = Props { place: Some("us".into()), ..sized(2) };
    let moved = program(&[resource("store", "a", &moved)]);
    assert_eq!(machine.plan(&moved).unwrap().data_loss, [fqn("a")]);
    assert!(matches!(machine.run(&moved, &Reaper::never()), Err(Died::Apply(ApplyError::DataLoss(_)))));
    machine.allowed.data_loss.insert(fqn("a"));
    assert_eq!(machine.plan(&moved).unwrap().actions[1].risk, Risk::DataLoss);
    machine.deploy(&moved);
    machine.assert_settled(&moved, "after the second replacement");
}

#[test]
fn what_somebody_else_did_is_seen() {
    let machine = Machine::new();
    let program = program(&twelve());
    machine.deploy(&program);
    let key = ("store", "app-a-dev".to_string());
    machine.cloud.inner().objects.get_mut(&key).unwrap().props["size"] = 9.into();
    let plan = machine.plan(&program).unwrap();
    assert_eq!(plan.changes().map(|action| &action.reason).collect::<Vec<_>>(), [&Reason::Drifted]);
    machine.cloud.inner().objects.remove(&key);
    let plan = machine.plan(&program).unwrap();
    let expected = [("a".to_string(), Verb::Create), ("api".to_string(), Verb::Update)].into();
    assert_eq!(verbs(&plan), expected, "what uses it gets the new id");
    machine.deploy(&program);
    machine.assert_settled(&program, "after the mend");
}

#[test]
fn ownership_is_decided_before_the_first_write() {
    let mut machine = Machine::new();
    let program = program(&[resource("store", "a", &sized(1))]);
    machine.deploy(&program);
    // The state is lost, and the object has our mark.
    machine.store = MemoryStore::new(machine.clock.clone());
    let plan = machine.plan(&program).unwrap();
    assert_eq!((plan.actions[0].verb, &plan.actions[0].reason), (Verb::Adopt, &Reason::Lost));
    // It has somebody else's mark.
    machine.cloud.inner().objects.values_mut().for_each(|object| object.mark = "other".into());
    assert!(matches!(machine.plan(&program), Err(PlanError::Foreign { .. })));
    machine.allowed.adopt.insert(fqn("a"));
    machine.deploy(&program);
    machine.assert_settled(&program, "after the adoption");
    let empty = Program::new(stack());
    machine.deploy(&empty);
    assert_eq!(machine.cloud.names().len(), 1, "an adopted one is kept");
}

#[test]
fn a_policy_is_stored_though_nothing_else_changes() {
    let machine = Machine::new();
    let mut store = resource("store", "a", &sized(1));
    machine.deploy(&program(&[store.clone()]));
    store.policy = Policy::Retain;
    let retained = program(&[store]);
    assert_eq!(verbs(&machine.plan(&retained).unwrap()), [("a".to_string(), Verb::Note)].into());
    machine.deploy(&retained);
    machine.assert_settled(&retained, "after the policy");
    machine.deploy(&program(&[]));
    assert_eq!(machine.cloud.names().len(), 1, "a retained one is kept");
}

#[test]
fn law_05_a_changed_edge_is_stored() {
    let machine = Machine::new();
    let two = |first: Fqn| {
        let user = Resource { after: [first].into(), ..resource("service", "user", &Props::default()) };
        program(&[resource("store", "a", &sized(1)), resource("store", "b", &sized(1)), user])
    };
    machine.deploy(&two(fqn("a")));
    let plan = machine.plan(&two(fqn("b"))).unwrap();
    assert_eq!(verbs(&plan), [("user".to_string(), Verb::Note)].into(), "no call");
    machine.deploy(&two(fqn("b")));
    machine.cloud.inner().log.clear();
    machine.deploy(&program(&[resource("store", "a", &sized(1))]));
    assert_eq!(machine.cloud.inner().log, ["delete user", "delete b"]);
}

#[test]
fn a_part_of_a_program_leaves_the_rest_and_may_refer_to_it() {
    let machine = Machine::new();
    machine.deploy(&program(&twelve()));
    let snapshot = machine.store.read(&stack()).unwrap();
    // `web` uses `api`, which is not here, and `left` has lost what belonged to it.
    let part = [
        resource("service", "web", &Props { size: Some(7), ..uses(&["api"]) }),
        resource("service", "left", &named(&["right"])),
    ];
    let part = program(&part).partial(&snapshot);
    let plan = machine.plan(&part).unwrap();
    let verbs: Vec<(&str, Verb)> = plan.changes().map(|action| (action.fqn.as_str(), action.verb)).collect();
    assert_eq!(verbs, [("left/address", Verb::Delete), ("web", Verb::Update)]);
    machine.deploy(&part);
    assert!(
        machine.store.read(&stack()).unwrap().rows[&fqn("web")].needs.contains(&fqn("api")),
        "it is still deleted first"
    );
    let whole = twelve().into_iter().filter(|own| own.fqn != fqn("web") && own.fqn != fqn("left/address"));
    let missing = program(&[resource("service", "web", &uses(&["nothing"]))]).partial(&snapshot);
    assert!(matches!(machine.plan(&missing), Err(PlanError::Program(ProgramError::Missing { .. }))));
    machine.deploy(&program(&whole.collect::<Vec<_>>()));
    assert_eq!(machine.cloud.names().len(), 7);
}

#[test]
fn another_resource_under_the_name_of_ours_is_ours_only_if_the_user_says_so() {
    let mut machine = Machine::new();
    let all = program(&[resource("store", "a", &sized(1)), resource("service", "api", &uses(&["a"]))]);
    machine.deploy(&all);
    let id = {
        let mut inner = machine.cloud.inner();
        let (_, object) = inner.objects.iter_mut().find(|((kind, _), _)| *kind == "store").unwrap();
        object.id = "other".into();
        object.id.clone()
    };
    assert!(matches!(machine.plan(&all), Err(PlanError::Foreign { .. })));
    machine.allowed.adopt.insert(fqn("a"));
    machine.deploy(&all);
    let rows = machine.store.read(&stack()).unwrap().rows;
    assert_eq!(rows[&fqn("a")].attributes["id"], *id);
    assert_eq!(rows[&fqn("api")].desired["uses"][0], *id, "what uses it uses the one that is there");
    assert_eq!(rows[&fqn("a")].origin, Origin::Adopted);
    // What is somebody else's stays.
    machine.deploy(&program(&[]));
    assert_eq!(machine.cloud.names().len(), 1);
}

#[test]
fn law_06_a_renamed_id_does_not_take_the_name_of_the_old_one() {
    let mut machine = Machine::new();
    let pinned = |id: &str| Resource { pinned: Some("precious".into()), ..resource("store", id, &sized(1)) };
    machine.deploy(&program(&[pinned("old")]));
    // Under the new id, the name belongs to something that this resource has not made.
    let renamed = program(&[pinned("new")]);
    assert!(matches!(machine.plan(&renamed), Err(PlanError::Foreign { name: Some(name), .. }) if name == "precious"));
    machine.allowed.adopt.insert(fqn("new"));
    let refused = machine.plan(&renamed);
    assert!(matches!(refused, Err(PlanError::OneName { .. })), "nothing that is taken over is deleted: {refused:?}");
    assert_eq!(machine.cloud.names().len(), 1);
}

#[test]
fn one_that_fails_leaves_the_rest_alone() {
    let machine = Machine::new();
    // A name that is taken by the time it is made.
    let program = program(&twelve());
    let plan = machine.plan(&program).unwrap();
    let other = cloud::Object { id: "x".into(), props: serde_json::json!({}), mark: "other".into() };
    machine.cloud.inner().objects.insert(("store", "app-a-dev".into()), other);
    let (stop, fence) = (AtomicBool::new(false), Fence::new(machine.clock.clone()));
    let options = ApplyOptions { concurrency: 4, stop: &stop, fence: &fence };
    let kinds = machine.cloud.kinds(&Reaper::never());
    let recording = machine.store.begin(&stack(), &holder(), None).unwrap();
    let outcome = apply(&plan, &kinds, recording, &options, &mut |_| {}).unwrap();
    assert_eq!(outcome.failed.keys().collect::<Vec<_>>(), [&fqn("a")]);
    let done: BTreeSet<&str> = outcome.done.iter().map(Fqn::as_str).collect();
    assert_eq!(done, ["b", "left", "left/address", "right"].into());
    assert_eq!(outcome.skipped.len(), 4);
    machine.cloud.inner().objects.remove(&("store", "app-a-dev".to_string()));
    machine.deploy(&program);
    machine.assert_settled(&program, "after the second run");
}

#[test]
fn a_plan_of_an_older_state_is_refused() {
    let machine = Machine::new();
    let program = program(&twelve());
    let plan = machine.plan(&program).unwrap();
    machine.deploy(&program);
    let (stop, fence) = (AtomicBool::new(false), Fence::new(machine.clock.clone()));
    let options = ApplyOptions { concurrency: 1, stop: &stop, fence: &fence };
    let kinds = machine.cloud.kinds(&Reaper::never());
    let recording = machine.store.begin(&stack(), &holder(), None).unwrap();
    assert!(matches!(apply(&plan, &kinds, recording, &options, &mut |_| {}), Err(ApplyError::Stale)));
    // The lease was given back.
    machine.store.begin(&stack(), &holder(), None).unwrap().finish().unwrap();
}

#[test]
fn a_row_of_a_kind_that_nobody_knows_is_named_and_the_rest_goes_on() {
    let machine = Machine::new();
    let whole = program(&twelve());
    machine.deploy(&whole);
    let snapshot = machine.store.read(&stack()).unwrap();
    let rows = snapshot
        .rows
        .values()
        .cloned()
        .map(|row| if row.fqn.as_str() == "web" { Row { kind: "unheard_of".into(), ..row } } else { row });
    let machine = Machine { store: MemoryStore::new(machine.clock.clone()).with(&stack(), rows), ..machine };
    let plan = machine.plan(&Program::new(stack())).unwrap();
    let web = plan.actions.iter().find(|action| action.fqn.as_str() == "web").unwrap();
    assert_eq!((web.verb, &web.reason), (Verb::Keep, &Reason::UnknownKind));
    assert_eq!(plan.changes().count(), 9);
}

/// The steps in the life of a stack: from each program to the next one.
fn lives() -> Vec<(&'static str, Vec<Resource>, Vec<Resource>)> {
    let changed = vec![
        resource("store", "a", &sized(7)),
        resource("store", "c", &sized(3)),
        resource("service", "api", &uses(&["a", "c"])),
        resource("setting", "api/address", &uses(&["api"])),
        resource("service", "web", &uses(&["api"])),
    ];
    let mut placed = twelve();
    placed[3] = resource("setting", "api/address", &Props { place: Some("eu".into()), ..uses(&["api"]) });
    vec![
        ("create", vec![], twelve()),
        ("update", twelve(), changed),
        ("replace", twelve(), placed),
        ("destroy", twelve(), vec![]),
    ]
}

/// Kills the process at every point of each step, and runs again.
fn kill_everywhere<S: Store + Clone>(machine: impl Fn() -> Machine<S>, steps: &[&str]) {
    for (step, before, after) in lives().into_iter().filter(|(step, ..)| steps.contains(step)) {
        let (before, after) = (program(&before), program(&after));
        let whole = Reaper::never();
        let first = machine();
        first.deploy(&before);
        first.run(&after, &whole).unwrap();
        assert!(whole.points() > 0, "{step}");
        println!("{step}: {} points", whole.points());
        for point in 1..=whole.points() {
            let machine = machine();
            machine.deploy(&before);
            let when = format!("{step}, killed at point {point}");
            let outcome = machine.run(&after, &Reaper::at(point));
            assert!(!matches!(&outcome, Ok(outcome) if outcome.is_complete()), "{when}: it died");
            // The lease of the dead process runs out.
            machine.clock.advance(LONG_MS);
            let outcome = machine.deploy(&after);
            assert!(outcome.is_complete(), "{when}: {outcome:?}");
            machine.assert_settled(&after, &when);
        }
    }
}

#[test]
fn killed_at_any_point_the_next_run_converges() {
    kill_everywhere(Machine::new, &["create", "update", "replace", "destroy"]);
}

#[test]
fn killed_at_any_point_with_state_in_files_the_next_run_converges() {
    let count = std::cell::Cell::new(0);
    let folder = Folder::new("kill");
    let machine = || {
        count.set(count.get() + 1);
        Machine::in_files(&folder.0.join(count.get().to_string()))
    };
    // In this step things are made, changed and deleted.
    kill_everywhere(machine, &["update"]);
}

#[test]
fn killed_again_while_it_recovers_the_next_run_converges() {
    let program = program(&twelve());
    let whole = Reaper::never();
    Machine::new().run(&program, &whole).unwrap();
    for first in 1..=whole.points() {
        // Each third point, and all of them over three first ones.
        for second in (first % 3 + 1..).step_by(3) {
            let machine = Machine::new();
            let _ = machine.run(&program, &Reaper::at(first));
            machine.clock.advance(LONG_MS);
            let again = Reaper::at(second);
            let outcome = machine.run(&program, &again);
            if matches!(outcome, Ok(outcome) if outcome.is_complete()) {
                break;
            }
            machine.clock.advance(LONG_MS);
            machine.deploy(&program);
            machine.assert_settled(&program, &format!("killed at {first}, then at {second}"));
        }
    }
}

#[test]
fn without_a_look_beforehand_what_was_begun_is_looked_for() {
    let program = program(&twelve());
    let whole = Reaper::never();
    Machine::new().run(&program, &whole).unwrap();
    for point in 1..=whole.points() {
        let machine = Machine::new();
        let _ = machine.run(&program, &Reaper::at(point));
        machine.clock.advance(LONG_MS);
        let kinds = machine.cloud.kinds(&Reaper::never());
        let snapshot = machine.store.read(&stack()).unwrap();
        let plan = plan(&program, &snapshot, &Observed::default(), &kinds, &machine.allowed).unwrap();
        let (stop, fence) = (AtomicBool::new(false), Fence::new(machine.clock.clone()));
        let options = ApplyOptions { concurrency: 2, stop: &stop, fence: &fence };
        let recording = machine.store.begin(&stack(), &holder(), None).unwrap();
        let outcome = apply(&plan, &kinds, recording, &options, &mut |_| {}).unwrap();
        assert!(outcome.is_complete(), "killed at {point}: {outcome:?}");
        machine.assert_settled(&program, &format!("killed at {point}"));
    }
}

#[test]
fn a_resource_that_left_the_program_after_a_kill_is_cleaned_up() {
    let program = program(&twelve());
    let whole = Reaper::never();
    Machine::new().run(&program, &whole).unwrap();
    let empty = Program::new(stack());
    for point in 1..=whole.points() {
        let machine = Machine::new();
        let _ = machine.run(&program, &Reaper::at(point));
        machine.clock.advance(LONG_MS);
        let outcome = machine.deploy(&empty);
        assert!(outcome.is_complete(), "killed at {point}: {outcome:?}");
        machine.assert_settled(&empty, &format!("killed at {point}"));
    }
}

#[test]
fn a_run_whose_lease_was_taken_over_writes_nothing() {
    let folder = Folder::new("lease");
    for machine in [Machine::in_files(&folder.0).boxed(), Machine::new().boxed()] {
        let Machine { store, clock, .. } = &machine;
        let mut paused = store.begin(&stack(), &holder(), None).unwrap();
        let event = Event::Gone { fqn: fqn("a") };
        assert!(
            matches!(store.begin(&stack(), &holder(), None), Err(StoreError::Held(lease)) if lease.holder == holder())
        );
        clock.advance(LONG_MS);
        let other = Holder { process: 2, ..holder() };
        let second = store.begin(&stack(), &other, None).unwrap();
        assert!(matches!(paused.append(&event), Err(StoreError::Fenced(holder)) if holder == other));
        assert!(matches!(paused.renew(), Err(StoreError::Fenced(_))));
        assert!(matches!(paused.finish(), Err(StoreError::Fenced(_))));
        second.finish().unwrap();
        assert_eq!(store.read(&stack()).unwrap().serial, 0);
        // One whose holder is known to be dead is not waited for.
        let dead = store.begin(&stack(), &holder(), None).unwrap();
        let Err(StoreError::Held(lease)) = store.begin(&stack(), &other, Some(1)) else {
            panic!("that is another lease")
        };
        let third = store.begin(&stack(), &other, Some(lease.token)).unwrap();
        assert!(matches!(dead.finish(), Err(StoreError::Fenced(_))));
        third.finish().unwrap();
    }
}

#[test]
fn a_plan_is_the_same_bytes_however_the_program_came_to_be() {
    let machine = Machine::new();
    let plan = |resources: &[Resource]| serde_json::to_string(&machine.plan(&program(resources)).unwrap()).unwrap();
    let mut resources = twelve();
    let first = plan(&resources);
    for _ in 0..resources.len() {
        resources.rotate_left(1);
        assert_eq!(plan(&resources), first);
    }
}

/// A file, what is done to it, and what the error says then.
type Damage<'a> = (&'a str, &'a dyn Fn(&Path), &'a str);

#[test]
fn what_cannot_be_read_is_an_error_that_names_it_and_stays() {
    let damages: [Damage<'_>; 6] = [
        ("a.json", &|path| fs::write(path, "{").unwrap(), "a.json"),
        ("a.json", &|path| fs::write(path, edited(path, "\"kind\"", "\"knd\"")).unwrap(), "unknown field `knd`"),
        ("a.json", &|path| fs::write(path, edited(path, "\"schema\": 1", "\"schema\": 2")).unwrap(), "the schema 2"),
        ("a.json", &|path| fs::rename(path, path.with_file_name("c.json")).unwrap(), "the row of `a`"),
        (".stack.json", &|path| fs::write(path, "[]").unwrap(), ".stack.json"),
        (".journal", &|path| fs::write(path, "{}\n").unwrap(), ".journal, line 1"),
    ];
    for (file, damage, expected) in damages {
        let folder = Folder::new("unreadable");
        let machine = Machine::in_files(&folder.0);
        machine.deploy(&program(&twelve()));
        damage(&folder.0.join("app/dev").join(file));
        let error = machine.store.read(&stack()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!matches!(machine.store.begin(&stack(), &holder(), None), Ok(_) | Err(StoreError::Held(_))));
        assert!(machine.store.read(&stack()).is_err(), "nothing was repaired without a word");
    }
}

fn edited(path: &Path, from: &str, to: &str) -> String {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from));
    text.replace(from, to)
}

#[test]
fn half_a_line_at_the_end_of_the_journal_was_never_confirmed() {
    let folder = Folder::new("torn");
    let machine = Machine::in_files(&folder.0);
    machine.deploy(&program(&twelve()));
    fs::write(folder.0.join("app/dev/.journal"), "{\"serial\":").unwrap();
    machine.assert_settled(&program(&twelve()), "after a torn write");
    machine.store.begin(&stack(), &holder(), None).unwrap().finish().unwrap();
    assert_eq!(fs::read_to_string(folder.0.join("app/dev/.journal")).unwrap(), "");
}

#[test]
fn no_name_leads_out_of_the_folder_and_none_is_readable_for_others() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("names");
    let machine = Machine::in_files(&folder.0);
    let long = "x".repeat(64);
    let names = ["..", ".", "../../x", ".stack.json", "a%2Fb", "a\\b", &[long.as_str(); 8].join("/"), "ä ö"];
    let resources: Vec<Resource> =
        names.iter().map(|name| Resource { parent: None, ..resource("store", name, &sized(1)) }).collect();
    let program = program(&resources);
    machine.deploy(&program);
    machine.assert_settled(&program, "with odd names");
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
    let files: Vec<_> = fs::read_dir(folder.0.join("app/dev")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.iter().filter(|path| path.extension().is_some_and(|own| own == "json")).count(), names.len() + 2);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert!(files.iter().all(|path| mode(path) == 0o600), "{files:?}");
    assert_eq!(mode(&folder.0.join("app/dev")), 0o700);
}

/// Random numbers that a seed repeats (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators").
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

/// A program of some stores, some services that use any of them and each other, and what belongs to those.
fn random_program(random: &mut Random) -> Vec<Resource> {
    let some = |names: &[&'static str], random: &mut Random| -> Vec<&'static str> {
        names.iter().copied().filter(|_| !random.one_in(3)).collect()
    };
    let stores = some(&["s0", "s1", "s2", "s3"], random);
    let services = some(&["v0", "v1", "v2", "v3"], random);
    let mut resources = Vec::new();
    for name in &stores {
        let place = random.one_in(3).then(|| format!("place{}", random.below(2)));
        let props = Props { place, ..sized(random.below(3) as u32) };
        let policy = if random.one_in(8) { Policy::Retain } else { Policy::Delete };
        resources.push(Resource { policy, ..resource("store", name, &props) });
    }
    for name in &services {
        let mut props = uses(&stores.iter().copied().filter(|_| random.one_in(2)).collect::<Vec<_>>());
        let others: Vec<&str> = services.iter().copied().filter(|other| other != name && random.one_in(3)).collect();
        props.uses.extend(named(&others).uses);
        props.size = Some(random.below(2) as u32);
        resources.push(resource("service", name, &props));
        if random.one_in(2) {
            resources.push(resource("setting", &format!("{name}/address"), &uses(&[name])));
        }
    }
    resources
}

/// Random programs one after the other on one machine, with kills, with what somebody else does, and with a state that is lost.
#[test]
fn random_lives_converge() {
    let seeds = if std::env::var_os("REALGAR_LONG").is_some() { 0..2000 } else { 0..150 };
    for seed in seeds {
        let mut random = Random(seed);
        let mut machine = Machine::new();
        machine.allowed.data_loss = ["s0", "s1", "s2", "s3"].map(fqn).into();
        for step in 0..6 {
            let when = format!("seed {seed}, step {step}");
            let program = program(&random_program(&mut random));
            if random.one_in(2) {
                let _ = machine.run(&program, &Reaper::at(random.below(60) + 1));
                machine.clock.advance(LONG_MS);
            }
            if random.one_in(4) {
                let mut inner = machine.cloud.inner();
                let keys: Vec<_> = inner.objects.keys().filter(|(kind, _)| *kind == "setting").cloned().collect();
                keys.into_iter().filter(|_| random.one_in(2)).for_each(|key| drop(inner.objects.remove(&key)));
            }
            // Without the state, nobody knows how often something was replaced, and so its name.
            let rows = machine.store.read(&stack()).unwrap().rows;
            if random.one_in(8) && rows.values().all(|row| row.generation == 0 && row.replaced.is_empty()) {
                machine.store = MemoryStore::new(machine.clock.clone());
                machine
                    .cloud
                    .inner()
                    .objects
                    .retain(|_, object| program.resources().keys().any(|own| own.as_str() == object.mark));
            }
            let outcome = machine.run(&program, &Reaper::never());
            let outcome = outcome.unwrap_or_else(|error| panic!("{when}: {error:?}"));
            assert!(outcome.is_complete(), "{when}: {outcome:?}");
            // One that is retained stays in the cloud when it has left the program; here it is let go.
            machine.cloud.inner().objects.retain(|_, object| {
                program.resources().keys().any(|own| own.as_str() == object.mark) || !object.mark.starts_with('s')
            });
            machine.assert_settled(&program, &when);
            let rows = machine.store.read(&stack()).unwrap().rows;
            let closed = rows.values().all(|row| row.needs.iter().all(|need| rows.contains_key(need)));
            assert!(closed, "{when}: the graph is closed");
        }
    }
}

/// A folder of a test's own. It is removed when the test passes.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
