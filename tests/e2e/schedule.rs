//! Schedules: many events over the one alarm of an object.

use crate::common::eventually;
use realgar_test::App;
use serde_json::{Value, json};
use std::time::Duration;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

/// An app whose clocks stand still.
fn frozen() -> App {
    App::builder().worker("tests/workers/clockwork").test_clock().start()
}

pub(crate) fn running() -> App {
    App::start("tests/workers/clockwork")
}

/// What the object `path` answers to a command.
pub(crate) fn ask(app: &App, path: &str, command: &Value) -> Value {
    app.post(path).json(command).send().expect_status(200).json()
}

fn refused(app: &App, command: &Value) -> String {
    app.post("/clock/one").json(command).send().expect_status(400).text()
}

pub(crate) fn set(app: &App, id: &str, when: Value, job: Value) {
    let _: u64 = number(&ask(app, "/clock/one", &json!({ "Set": [id, when, job] })));
}

/// What was noted, as `(id, what)`.
pub(crate) fn notes(app: &App, path: &str) -> Vec<(String, String)> {
    log(app, path).into_iter().map(|note| (text(&note["id"]), text(&note["what"]))).collect()
}

pub(crate) fn log(app: &App, path: &str) -> Vec<Value> {
    ask(app, path, &json!("Log")).as_array().cloned().unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().into()
}

pub(crate) fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

pub(crate) fn pending(app: &App, path: &str) -> u64 {
    number(&ask(app, path, &json!("List"))["count"])
}

pub(crate) fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(id, what)| ((*id).into(), (*what).into())).collect()
}

#[test]
fn events_run_once_in_the_order_they_are_due() {
    let app = frozen();
    let start = app.now_ms();
    set(&app, "late", json!({"after": 3 * HOUR}), json!({"Note": "c"}));
    set(&app, "early", json!({"after": HOUR}), json!({"Note": "a"}));
    set(&app, "as late", json!({"after": 3 * HOUR}), json!({"Note": "d"}));
    set(&app, "later", json!({"at": start + 4 * HOUR}), json!({"Note": "e"}));
    set(&app, "never", json!({"after": 400 * 24 * HOUR}), json!({"Note": "f"}));
    app.advance(Duration::from_secs(3 * 3600 - 1));
    assert_eq!(notes(&app, "/clock/one"), pairs(&[("early", "a")]));
    app.advance(Duration::from_hours(72));
    assert_eq!(notes(&app, "/clock/one"), pairs(&[("early", "a"), ("late", "c"), ("as late", "d"), ("later", "e")]));
    let log = log(&app, "/clock/one");
    assert_eq!(number(&log[3]["now"]), start + 4 * HOUR, "each at its time");
    assert_eq!(pending(&app, "/clock/one"), 1);
}

#[test]
fn an_event_is_replaced_cancelled_found_and_run_at_once() {
    let app = frozen();
    set(&app, "one", json!({"after": HOUR}), json!({"Note": "old"}));
    set(&app, "one", json!({"after": 2 * HOUR}), json!({"Note": "new"}));
    set(&app, "two", json!({"after": HOUR}), json!({"Note": "cancelled"}));
    assert_eq!(ask(&app, "/clock/one", &json!({"Cancel": "two"})), true);
    assert_eq!(ask(&app, "/clock/one", &json!({"Cancel": "two"})), false);
    assert_eq!(ask(&app, "/clock/one", &json!({"Get": "two"})), Value::Null);
    let one = ask(&app, "/clock/one", &json!({"Get": "one"}));
    assert_eq!((number(&one["due"]), &one["payload"]), (app.now_ms() + 2 * HOUR, &json!({"Note": "new"})));
    set(&app, "three", json!({"after": 9 * HOUR}), json!({"Note": "now"}));
    assert_eq!(ask(&app, "/clock/one", &json!({"RunNow": "three"})), true);
    assert_eq!(ask(&app, "/clock/one", &json!({"RunNow": "four"})), false);
    app.advance(Duration::ZERO);
    assert_eq!(notes(&app, "/clock/one"), pairs(&[("three", "now")]));
    app.advance(Duration::from_hours(3));
    assert_eq!(notes(&app, "/clock/one"), pairs(&[("three", "now"), ("one", "new")]));
}

#[test]
fn a_failing_event_is_tried_again_and_becomes_a_dead_letter_beside_healthy_ones() {
    let app = frozen();
    set(&app, "poison", json!({"after": HOUR}), json!({"Fail": 99}));
    set(&app, "flaky", json!({"after": HOUR}), json!({"Fail": 2}));
    set(&app, "healthy", json!({"after": HOUR}), json!({"Note": "well"}));
    app.advance(Duration::from_hours(1));
    assert_eq!(notes(&app, "/clock/one"), pairs(&[("poison", "tried"), ("flaky", "tried"), ("healthy", "well")]));
    let waiting = ask(&app, "/clock/one", &json!({"Get": "poison"}));
    assert_eq!((number(&waiting["attempts"]), &waiting["history"][0]["error"]), (1, &json!("failure 1")));
    let pause = number(&waiting["next"]) - number(&waiting["due"]);
    assert!((40..=60).contains(&pause), "{pause} ms");
    app.advance(Duration::from_hours(1));
    let tries = |id: &str| notes(&app, "/clock/one").iter().filter(|(own, _)| own == id).count();
    assert_eq!((tries("poison"), tries("flaky"), tries("healthy")), (4, 3, 1));
    assert_eq!(pending(&app, "/clock/one"), 0);

    let letters = ask(&app, "/clock/one", &json!("DeadLetters"));
    let due = app.now_ms() - HOUR;
    assert_eq!(
        letters,
        json!([{
            "number": 1, "id": "poison", "due": due, "attempts": 4, "error": "failure 4", "history": 4, "payload": {"Fail": 99},
        }])
    );
    // It has its own number of attempts also when it is replayed.
    set(&app, "twice", json!({"attempts": 2}), json!({"Fail": 99}));
    app.advance(Duration::from_mins(1));
    assert_eq!(tries("twice"), 2);
    assert_eq!(ask(&app, "/clock/one", &json!({"Replay": 2})), true);
    app.advance(Duration::from_mins(1));
    assert_eq!(tries("twice"), 4);
    assert_eq!(ask(&app, "/clock/one", &json!({"Drop": 3})), true);
    app.restart();
    assert_eq!(ask(&app, "/clock/one", &json!({"Replay": 1})), true);
    assert_eq!(ask(&app, "/clock/one", &json!({"Replay": 1})), false);
    app.advance(Duration::from_mins(1));
    assert_eq!(tries("poison"), 8);
    assert_eq!(ask(&app, "/clock/one", &json!({"Drop": 4})), true);
    assert_eq!(ask(&app, "/clock/one", &json!("DeadLetters")), json!([]));
}

#[test]
fn a_panic_counts_as_a_failure_and_the_others_go_on() {
    let app = running();
    set(&app, "panics", json!({}), json!({"Panic": 2}));
    set(&app, "dies", json!({}), json!({"Panic": 99}));
    set(&app, "healthy", json!({}), json!({"Note": "well"}));
    eventually("all of it is over", || ask_late(&app, &json!("List"))["count"] == 0);
    let all = notes(&app, "/clock/one");
    let tries = |id: &str| all.iter().filter(|(own, _)| own == id).count();
    assert_eq!((tries("panics"), tries("dies"), tries("healthy")), (3, 4, 1));
    let letters = ask(&app, "/clock/one", &json!("DeadLetters"));
    let error = text(&letters[0]["error"]);
    assert!(error.starts_with("the object ended while it ran: panicked at") && error.contains("panic 4"), "{letters}");
}

#[test]
fn an_interval_does_not_drift_and_remembers_its_runs() {
    let app = frozen();
    let start = app.now_ms();
    set(&app, "tick", json!({"every": MINUTE}), json!({"Note": "tick"}));
    // 10,000 of them.
    app.advance(Duration::from_mins(10_000));
    let log = log(&app, "/clock/one");
    assert_eq!(log.len(), 10_000);
    for (index, note) in log.iter().enumerate() {
        let due = start + (index as u64 + 1) * MINUTE;
        assert_eq!((number(&note["due"]), number(&note["now"])), (due, due));
    }
    let tick = ask(&app, "/clock/one", &json!({"Get": "tick"}));
    assert_eq!(tick["repeat"], json!({"every_ms": MINUTE}));
    assert_eq!(tick["history"].as_array().unwrap().len(), 10);
    assert_eq!(number(&tick["history"][9]["due_ms"]), start + 10_000 * MINUTE);
}

#[test]
fn a_repeating_event_that_is_scheduled_again_goes_on_in_its_rhythm() {
    let app = frozen();
    let start = app.now_ms();
    set(&app, "tick", json!({"every": HOUR}), json!({"Note": "one"}));
    app.advance(Duration::from_mins(40));
    set(&app, "tick", json!({"every": HOUR}), json!({"Note": "two"}));
    app.advance(Duration::from_mins(20));
    let log = log(&app, "/clock/one");
    assert_eq!((log.len(), &log[0]["what"], number(&log[0]["due"])), (1, &json!("two"), start + HOUR));
    set(&app, "tick", json!({"every": 2 * HOUR}), json!({"Note": "three"}));
    let tick = ask(&app, "/clock/one", &json!({"Get": "tick"}));
    assert_eq!(number(&tick["due"]), app.now_ms() + 2 * HOUR);
}

#[test]
fn a_cron_expression_follows_its_time_zone_through_a_change_of_the_clocks() {
    let app = frozen();
    // 2027-03-26T12:00Z: clocks go forward on the 28th, at 2:00 in Berlin, which leaves 2:30 out; and back on October 31st.
    let start = 1_806_062_400_000;
    app.advance(Duration::from_millis(start - app.now_ms()));
    let _: u64 = number(&ask(&app, "/clock/one", &json!({"Nightly": {"Note": "night"}})));
    app.advance(Duration::from_hours(96));
    let dues =
        |from: usize| -> Vec<u64> { log(&app, "/clock/one")[from..].iter().map(|note| number(&note["now"])).collect() };
    let day = 24 * HOUR;
    // 1:30Z, 1:00Z (3:00 on the wall, because there is no 2:30), 0:30Z.
    let midnight = start + day / 2;
    assert_eq!(
        dues(0),
        [
            midnight + HOUR + HOUR / 2,
            midnight + day + HOUR,
            midnight + 2 * day + HOUR / 2,
            midnight + 3 * day + HOUR / 2
        ]
    );
    // 2027-10-29T12:00Z
    let autumn = 1_824_811_200_000;
    app.advance(Duration::from_millis(autumn - app.now_ms()));
    let before = dues(0).len();
    app.advance(Duration::from_hours(72));
    let midnight = autumn + day / 2;
    // Once on the night that has 2:30 twice.
    assert_eq!(dues(before), [midnight + HOUR / 2, midnight + day + HOUR / 2, midnight + 2 * day + HOUR + HOUR / 2]);
}

#[test]
fn missed_runs_are_made_up_for_as_their_policy_says() {
    let app = running();
    let now = app.now_ms();
    // Their first runs were ten and a half seconds ago.
    let when = |missed: Value| json!({"every": 1_000, "at": now - 10_500, "missed": missed});
    set(&app, "once", when(json!("run_once")), json!({"Note": "run"}));
    set(&app, "three", when(json!({"catch_up": {"at_most": 3}})), json!({"Note": "run"}));
    set(&app, "none", when(json!({"skip": {"later_than_ms": 200}})), json!({"Note": "run"}));
    eventually("each has run on time", || {
        let log = log(&app, "/clock/one");
        ["once", "three", "none"]
            .iter()
            .all(|id| log.iter().any(|note| note["id"] == *id && number(&note["due"]) > now))
    });
    let log = log(&app, "/clock/one");
    let late = |id: &str| -> Vec<u64> {
        let own = log.iter().filter(|note| note["id"] == id).map(|note| number(&note["due"]));
        own.filter(|due| *due <= now).map(|due| now - due).collect()
    };
    assert_eq!(late("once"), [500]);
    assert_eq!(late("three"), [2_500, 1_500, 500]);
    assert_eq!(late("none"), [0; 0]);
}

/// A run that makes up for missed ones is for the time of the last of them, and stands behind what was due before that.
#[test]
fn a_run_that_makes_up_for_missed_ones_takes_its_place_by_its_time() {
    let app = frozen();
    let now = app.now_ms();
    let missed = |policy: Value| json!({"every": HOUR, "at": now - 5 * HOUR, "missed": policy});
    set(&app, "once", missed(json!("run_once")), json!({"Note": "run"}));
    set(&app, "two", missed(json!({"catch_up": {"at_most": 2}})), json!({"Note": "run"}));
    for hours in [4, 3, 0] {
        set(&app, &format!("{hours} hours"), json!({"at": now - hours * HOUR - 1}), json!({"Note": "single"}));
    }
    app.advance(Duration::ZERO);
    let log = log(&app, "/clock/one");
    let dues: Vec<u64> = log.iter().map(|note| number(&note["due"])).collect();
    assert!(dues.is_sorted(), "{log:?}");
    let order: Vec<(String, u64)> = log.iter().map(|note| (text(&note["id"]), now - number(&note["due"]))).collect();
    let expected =
        [("4 hours", 4 * HOUR + 1), ("3 hours", 3 * HOUR + 1), ("two", HOUR), ("0 hours", 1), ("once", 0), ("two", 0)];
    assert_eq!(order, expected.map(|(id, late)| (id.to_string(), late)));
}

/// Lateness counts when the handler begins: after a start, to store that it is tried comes before that.
#[test]
fn no_run_begins_later_than_its_limit() {
    const LIMIT: u64 = 15;
    /// From the look at the clock to the note, which is the handler's own.
    const NOTED: u64 = 100;
    let app = running();
    let skip = json!({"every": 40, "missed": {"skip": {"later_than_ms": LIMIT}}});
    set(&app, "tick", skip, json!({"Note": "tick"}));
    for round in 0..12 {
        let before = notes(&app, "/clock/one").len();
        eventually("it runs", || notes(&app, "/clock/one").len() > before);
        if round % 2 == 0 { app.kill() } else { app.restart() }
    }
    for note in log(&app, "/clock/one") {
        let late = number(&note["now"]) - number(&note["due"]);
        assert!(late <= LIMIT + NOTED, "a run began {late} ms late: {note}");
    }
}

#[test]
fn interruptions_are_no_failures() {
    let app = running();
    let patient = json!({"after": 1, "attempts": 2});
    set(&app, "healthy", patient, json!({"Slow": 400}));
    let began = || notes(&app, "/clock/one").iter().filter(|(_, what)| what == "began").count();
    for kill in 1..=4 {
        eventually("it begins", || began() >= kill);
        app.kill();
    }
    eventually("it ends", || notes(&app, "/clock/one").iter().any(|(_, what)| what == "ended"));
    assert_eq!(ask(&app, "/clock/one", &json!("DeadLetters")), json!([]));
    assert!(log(&app, "/clock/one").iter().any(|note| number(&note["attempt"]) > 4), "its attempts count on");
    // Its failures are still bounded as it says.
    set(&app, "poison", json!({"after": 1, "attempts": 2}), json!({"Fail": 99}));
    eventually("it is given up", || ask(&app, "/clock/one", &json!("DeadLetters"))[0]["attempts"] == 2);
}

#[test]
fn the_fault_of_another_object_is_no_failure_and_ones_own_is() {
    let app = running();
    set(&app, "healthy", json!({"after": 1, "attempts": 1}), json!({"Slow": 1_500}));
    eventually("it begins", || notes(&app, "/clock/one").iter().any(|(_, what)| what == "began"));
    let culprit = json!({ "Set": ["culprit", {"after": 1, "attempts": 1}, {"Panic": 99}] });
    let _ = ask(&app, "/clock/other", &culprit);
    eventually("the culprit is given up", || ask(&app, "/clock/other", &json!("DeadLetters"))[0]["attempts"] == 1);
    eventually("the other one ends", || notes(&app, "/clock/one").iter().any(|(_, what)| what == "ended"));
    assert_eq!(ask(&app, "/clock/one", &json!("DeadLetters")), json!([]));
}

#[test]
fn a_replayed_event_keeps_its_first_due_time_beside_the_new_one() {
    let app = frozen();
    let first = app.now_ms() + HOUR;
    set(&app, "one", json!({"at": first, "attempts": 1}), json!({"Fail": 1}));
    set(&app, "same", json!({"at": first}), json!("Dues"));
    app.advance(Duration::from_hours(3));
    let letter = ask(&app, "/clock/one", &json!("DeadLetters"))[0].clone();
    assert_eq!(number(&letter["due"]), first);
    assert_eq!(ask(&app, "/clock/one", &json!({"Replay": letter["number"]})), true);
    let waiting = ask(&app, "/clock/one", &json!({"Get": "one"}));
    assert_eq!((number(&waiting["due"]), number(&waiting["first"])), (app.now_ms(), first));
    // It fails again, because the payload says so of each first attempt.
    app.advance(Duration::from_hours(1));
    let again = ask(&app, "/clock/one", &json!("DeadLetters"))[0].clone();
    assert_eq!((number(&again["due"]), &again["id"]), (first, &json!("one")), "also when it dies again");
    assert!(notes(&app, "/clock/one").contains(&("same".into(), format!("{first} {first}"))));
}

#[test]
fn scheduling_returns_when_the_event_is_due() {
    let app = frozen();
    let now = app.now_ms();
    let due = |when: Value| number(&ask(&app, "/clock/one", &json!({ "Set": ["one", when, {"Note": "x"}] }))) - now;
    assert_eq!(due(json!({"after": HOUR})), HOUR);
    assert_eq!(due(json!({"at": now + 7})), 7);
    assert_eq!(due(json!({"every": 2 * HOUR})), 2 * HOUR);
    app.advance(Duration::from_hours(1));
    assert_eq!(due(json!({"every": 2 * HOUR})), 2 * HOUR, "the same one goes on in its rhythm");
    assert_eq!(due(json!({"every": 3 * HOUR})), 4 * HOUR, "another one begins anew");
    let bell = json!({ "Set": ["one", {"after": HOUR}, {"Note": "x"}] });
    assert_eq!(number(&ask(&app, "/bell/one", &bell)), app.now_ms() + HOUR);
}

#[test]
fn events_and_dead_letters_are_listed_in_pages() {
    let app = frozen();
    let now = app.now_ms();
    let name = |number: u64| format!("event {number}");
    for number in 0..7 {
        // Three at the same time.
        set(&app, &name(number), json!({"at": now + HOUR + number / 3, "attempts": 1}), json!({"Fail": 1}));
    }
    let pages = |command: &str, limit: u32| ask(&app, "/clock/one", &json!({ command: limit }));
    let expected = json!([[name(0), name(1), name(2)], [name(3), name(4), name(5)], [name(6)]]);
    assert_eq!(pages("Pages", 3), expected);
    assert_eq!(pages("Pages", 7), json!([(0..7).map(name).collect::<Vec<_>>()]));
    app.advance(Duration::from_hours(2));
    assert_eq!(pages("LetterPages", 3), expected);
    assert_eq!(pages("Pages", 3), json!([]));
}

#[test]
fn a_transaction_takes_the_schedule_along() {
    let app = running();
    assert_eq!(ask(&app, "/clock/one", &json!({"SetAndFail": ["one", {"after": 50}, {"Note": "never"}]})), true);
    assert_eq!(pending(&app, "/clock/one"), 0);
    // The table too went with it, and comes again.
    set(&app, "two", json!({"after": 100}), json!({"Note": "well"}));
    assert_eq!(ask(&app, "/clock/one", &json!({"SetAndFail": ["three", {"after": 50}, {"Note": "never"}]})), true);
    eventually("what was kept ran", || pending(&app, "/clock/one") == 0);
    assert_eq!(notes(&app, "/clock/one"), pairs(&[("two", "well")]));
}

#[test]
fn the_alarm_of_the_object_and_its_events_do_not_overwrite_each_other() {
    let app = running();
    let now = app.now_ms();
    // The alarm is set before there is a schedule.
    let _ = ask(&app, "/clock/one", &json!({"SetAlarm": now + 600}));
    set(&app, "early", json!({"at": now + 300}), json!({"Note": "a"}));
    set(&app, "late", json!({"at": now + 900}), json!({"Note": "b"}));
    assert_eq!(ask(&app, "/clock/one", &json!("Alarm")), now + 600);
    eventually("all of them ran", || log(&app, "/clock/one").len() == 3);
    assert_eq!(notes(&app, "/clock/one"), pairs(&[("early", "a"), ("alarm", "own"), ("late", "b")]));
    assert_eq!(ask(&app, "/clock/one", &json!("Alarm")), Value::Null);
    // And after: set, and deleted.
    let now = app.now_ms();
    let _ = ask(&app, "/clock/one", &json!({"SetAlarm": now + 100}));
    let _ = ask(&app, "/clock/one", &json!("DeleteAlarm"));
    set(&app, "last", json!({"at": now + 200}), json!({"Note": "c"}));
    eventually("the last ran", || log(&app, "/clock/one").len() == 4);
    assert_eq!(notes(&app, "/clock/one")[3], ("last".into(), "c".into()));
}

#[test]
fn a_lost_alarm_is_set_again_when_the_object_starts() {
    let app = running();
    set(&app, "one", json!({"after": 700}), json!({"Note": "well"}));
    let object = app.object("tower", "Clock", "one");
    object.lose_alarm();
    object.evict();
    eventually("it ran all the same", || notes(&app, "/clock/one") == pairs(&[("one", "well")]));
}

#[test]
fn an_alarm_that_is_delivered_twice_runs_nothing_twice() {
    let app = frozen();
    set(&app, "one", json!({"after": HOUR}), json!({"Note": "well"}));
    let object = app.object("tower", "Clock", "one");
    object.deliver_alarm().unwrap();
    assert_eq!(log(&app, "/clock/one").len(), 0, "it is not due");
    app.advance(Duration::from_hours(1));
    object.deliver_alarm().unwrap();
    object.deliver_alarm().unwrap();
    assert_eq!(notes(&app, "/clock/one"), pairs(&[("one", "well")]));
}

#[test]
fn a_slow_handler_holds_the_others_up_no_longer_than_a_wake() {
    let app = running();
    set(&app, "slow", json!({}), json!({"Slow": 1_200}));
    set(&app, "quick", json!({}), json!({"Note": "quick"}));
    eventually("all of it is over", || pending(&app, "/clock/one") == 0);
    assert_eq!(notes(&app, "/clock/one"), pairs(&[("slow", "began"), ("quick", "quick"), ("slow", "ended")]));
}

#[test]
fn a_handler_that_never_ends_is_given_up() {
    let app = running();
    set(&app, "hangs", json!({"attempts": 1}), json!("Hang"));
    set(&app, "quick", json!({}), json!({"Note": "quick"}));
    eventually("both are over", || pending(&app, "/clock/one") == 0);
    assert_eq!(notes(&app, "/clock/one"), pairs(&[("hangs", "began"), ("quick", "quick")]));
    let letters = ask(&app, "/clock/one", &json!("DeadLetters"));
    assert_eq!(letters[0]["error"], "it took longer than 2000 ms");
}

#[test]
fn a_dead_instance_leaves_no_timer_behind() {
    let app = running();
    set(&app, "sleeps", json!({}), json!({"Slow": 3_600_000}));
    set(&app, "panics", json!({"attempts": 1}), json!({"Panic": 1}));
    eventually("it panicked", || ask_late(&app, &json!("DeadLetters")) != json!([]));
    // workerd lets an eviction wait for timers: this one would have an hour to go.
    app.object("tower", "Clock", "one").evict();
}

/// As [`ask`], where a panic may interrupt it.
fn ask_late(app: &App, command: &Value) -> Value {
    let answer = app.post("/clock/one").json(command).send();
    if answer.status() == 200 { answer.json() } else { json!([]) }
}

#[test]
fn runs_may_overlap_where_the_event_says_so() {
    let app = running();
    set(&app, "beside", json!({"every": 500, "overlap": "allow"}), json!({"Slow": 700}));
    set(&app, "left out", json!({"every": 500, "overlap": "skip"}), json!({"Slow": 700}));
    eventually("each ran twice", || {
        let all = notes(&app, "/clock/one");
        let ended = |id: &str| all.iter().filter(|(own, what)| own.starts_with(id) && what == "ended").count();
        ended("beside") >= 2 && ended("left out") >= 2
    });
    let log = log(&app, "/clock/one");
    let began = |id: &str| -> Vec<u64> {
        let own = log.iter().filter(|note| text(&note["id"]).starts_with(id) && note["what"] == "began");
        own.map(|note| number(&note["due"])).collect()
    };
    let (beside, left_out) = (began("beside"), began("left out"));
    assert_eq!(beside[1] - beside[0], 500);
    assert!(left_out[1] - left_out[0] >= 1_000, "{left_out:?}");
    assert!((left_out[1] - left_out[0]).is_multiple_of(500));
}

#[test]
fn what_falls_due_meanwhile_begins_beside_a_handler_that_waits() {
    let app = running();
    let set = |id: &str, when: Value, job: Value| ask(&app, "/choir/one", &json!({ "Set": [id, when, job] }));
    let _ = set("slow", json!({}), json!({"Slow": 3_000}));
    let _ = set("later", json!({"after": 500}), json!({"Note": "later"}));
    eventually("the first has begun", || !log(&app, "/choir/one").is_empty());
    let _ = set("at once", json!({}), json!({"Note": "at once"}));
    eventually("all of it is over", || pending(&app, "/choir/one") == 0);
    let expected = [("slow", "began"), ("at once", "at once"), ("later", "later"), ("slow", "ended")];
    assert_eq!(notes(&app, "/choir/one"), pairs(&expected));
}

/// What began inside would be rolled back with it, or run although it was never scheduled.
#[test]
fn nothing_begins_inside_of_a_transaction() {
    let app = running();
    let set = |id: &str, when: Value, job: Value| ask(&app, "/choir/one", &json!({ "Set": [id, when, job] }));
    let _ = set("slow", json!({}), json!({"Slow": 2_500}));
    eventually("the first has begun", || !log(&app, "/choir/one").is_empty());
    let _ = set("due meanwhile", json!({"after": 100}), json!({"Say": "said once"}));
    assert_eq!(ask(&app, "/choir/one", &json!({"SetSlowlyAndFail": ["never", {"Say": "never said"}]})), true);
    eventually("all of it is over", || pending(&app, "/choir/one") == 0);
    let said = |what: &str| app.logs().into_iter().filter(|line| line.message.contains(what)).count();
    assert_eq!((said("said once"), said("never said")), (1, 0));
}

/// A transaction takes back what is known of the alarm; what waits is not to wait any longer.
#[test]
fn what_waits_is_not_put_off_by_what_is_scheduled_after_a_rollback() {
    let app = running();
    set(&app, "soon", json!({"after": 800}), json!({"Note": "soon"}));
    assert_eq!(ask(&app, "/clock/one", &json!({"SetAndFail": ["never", {"after": 100}, {"Note": "never"}]})), true);
    set(&app, "far", json!({"after": HOUR}), json!({"Note": "far"}));
    eventually("it ran", || !log(&app, "/clock/one").is_empty());
    assert_eq!(notes(&app, "/clock/one"), pairs(&[("soon", "soon")]));
}

#[test]
fn a_handler_may_delete_everything() {
    let app = running();
    for path in ["/clock/one", "/choir/one", "/bell/one"] {
        let set = |id: &str, job: Value| ask(&app, path, &json!({ "Set": [id, {}, job] }));
        let _ = ask(&app, path, &json!({ "Set": ["never", {"after": 2 * HOUR}, {"Note": "never"}] }));
        let _ = set("wipe", json!("Wipe"));
        eventually("everything is deleted", || notes(&app, path).contains(&("wipe".into(), "wiped".into())));
        assert_eq!(pending(&app, path), 0);
        let _ = set("after", json!({"Note": "well"}));
        eventually("what came after ran", || notes(&app, path).contains(&("after".into(), "well".into())));
        assert!(!notes(&app, path).contains(&("alarm".into(), "own".into())), "nobody set that");
    }
    let complaints: Vec<_> = app.logs().into_iter().filter(|line| line.message.contains("no such table")).collect();
    assert!(complaints.is_empty(), "{complaints:?}");
}

#[test]
fn a_handler_schedules_and_cancels_also_itself() {
    let app = frozen();
    set(&app, "1", json!({}), json!({"Then": ["other", {}, {"Note": "other"}]}));
    set(&app, "2", json!({}), json!({"Again": HOUR}));
    set(&app, "3", json!({}), json!({"Cancel": "4"}));
    set(&app, "4", json!({}), json!({"Note": "never"}));
    set(&app, "5", json!({"every": HOUR}), json!({"Cancel": "5"}));
    app.advance(Duration::from_hours(3));
    assert_eq!(
        notes(&app, "/clock/one"),
        pairs(&[
            ("1", "scheduled another"),
            ("2", "once"),
            ("3", "cancelled"),
            ("other", "other"),
            ("5", "cancelled"),
            ("2", "again"),
        ])
    );
    assert_eq!(pending(&app, "/clock/one"), 0);
}

#[test]
fn what_a_handler_changes_counts_for_those_behind_it() {
    let app = frozen();
    let later = json!({"after": HOUR});
    set(&app, "1", json!({}), json!({"Then": ["2", later, {"Note": "put off"}]}));
    set(&app, "2", json!({}), json!({"Note": "too early"}));
    set(&app, "3", json!({}), json!({"Then": ["4", {}, {"Note": "new payload"}]}));
    set(&app, "4", json!({}), json!({"Note": "old payload"}));
    set(&app, "5", json!({}), json!({"Then": ["6", {"every": HOUR, "at": 0}, {"Note": "new"}]}));
    set(&app, "6", json!({"every": HOUR, "at": 0}), json!({"Note": "old"}));
    app.advance(Duration::ZERO);
    let scheduled = "scheduled another";
    assert_eq!(
        notes(&app, "/clock/one"),
        // The sixth makes up for all hours since 1970: it is for the last one.
        pairs(&[("1", scheduled), ("3", scheduled), ("5", scheduled), ("4", "new payload"), ("6", "new")])
    );
    app.advance(Duration::from_hours(1));
    assert_eq!(notes(&app, "/clock/one")[5..].iter().filter(|(id, what)| id == "2" && what == "put off").count(), 1);
}

/// What the database is still to be told of an event is not true of one that takes its place meanwhile.
#[test]
fn an_event_may_take_the_place_of_one_that_is_done() {
    let app = frozen();
    let later = json!({"after": HOUR});
    // The first event after a start is stored with care.
    set(&app, "0", json!({}), json!({"Note": "zeroth"}));
    set(&app, "1", json!({}), json!({"Note": "first"}));
    set(&app, "2", json!({}), json!({"Then": ["1", later, {"Note": "second"}]}));
    set(&app, "3", json!({}), json!({"Then": ["3", later, {"Note": "itself"}]}));
    app.advance(Duration::from_hours(2));
    let scheduled = "scheduled another";
    let expected =
        [("0", "zeroth"), ("1", "first"), ("2", scheduled), ("3", scheduled), ("1", "second"), ("3", "itself")];
    assert_eq!(notes(&app, "/clock/one"), pairs(&expected));
    assert_eq!(pending(&app, "/clock/one"), 0);
}

#[test]
fn a_handler_sees_that_it_runs_and_that_those_before_it_are_gone() {
    let app = frozen();
    for id in ["1", "2", "3"] {
        set(&app, id, json!({}), json!("Look"));
    }
    app.advance(Duration::ZERO);
    let seen = |left: u32| format!("Some((1, true)), {left} in all");
    assert_eq!(notes(&app, "/clock/one"), pairs(&[("1", &seen(3)), ("2", &seen(2)), ("3", &seen(1))]));
}

/// Among events that run without waiting, in one turn: those before it are done for good, and only the one that panics is tried again.
#[test]
fn a_panic_in_the_midst_of_many_is_counted_for_the_one_event() {
    for app in [running(), App::start("tests/workers/clockwork-isolated")] {
        many_with_a_panic(&app);
    }
}

fn many_with_a_panic(app: &App) {
    let mut jobs: Vec<Value> = (0..40).map(|number| json!([format!("{number:02}"), {}, {"Note": "well"}])).collect();
    jobs[7][2] = json!({"PanicAtOnce": 1});
    jobs[23][2] = json!({"PanicAtOnce": 99});
    let _ = ask(app, "/clock/one", &json!({ "SetAll": jobs }));
    eventually("all of it is over", || ask_late(app, &json!("List"))["count"] == 0);
    let all = log(app, "/clock/one");
    for number in 0..40 {
        let attempts = all.iter().filter(|note| note["id"] == format!("{number:02}"));
        let attempts: Vec<u64> = attempts.map(|note| self::number(&note["attempt"])).collect();
        let expected: &[u64] = match number {
            7 => &[1, 2],
            23 => &[1, 2, 3, 4],
            _ => &[1],
        };
        assert_eq!(attempts, expected, "event {number}");
    }
    assert_eq!(ask(app, "/clock/one", &json!("DeadLetters"))[0]["id"], "23");
}

/// Ids of any kind are found again when many events are deleted at once, and large payloads come one by one.
#[test]
fn ids_of_any_kind_and_large_payloads_run_once() {
    let app = frozen();
    let ids = [
        "",
        "a\"b",
        "a\\b\\u0041",
        "a\nb\t\u{1}",
        "é😀\u{2028}",
        "__proto__",
        "constructor",
        "1",
        "null",
        "'; --",
        "%s?1",
    ];
    for id in ids {
        set(&app, id, json!({}), json!({"Note": id}));
    }
    let large = "x".repeat(1_500_000);
    set(&app, "large", json!({}), json!({"Note": large}));
    app.advance(Duration::ZERO);
    app.advance(Duration::from_hours(1));
    let mut expected: Vec<(String, String)> = ids.iter().map(|id| ((*id).into(), (*id).into())).collect();
    expected.push(("large".into(), large));
    assert_eq!(notes(&app, "/clock/one"), expected);
    assert_eq!(pending(&app, "/clock/one"), 0);
}

#[test]
fn transactions_in_others_and_given_up_take_the_schedule_along() {
    let app = running();
    assert_eq!(ask(&app, "/clock/one", &json!({"SetNested": ["nested", {"Note": "never"}]})), true);
    assert_eq!(ask(&app, "/clock/two", &json!({"SetAndGiveUp": ["given up", {"Note": "never"}]})), true);
    for path in ["/clock/one", "/clock/two"] {
        eventually("it is gone", || pending(&app, path) == 0);
        let _ = ask(&app, path, &json!({"Set": ["well", {"after": 50}, {"Note": "well"}]}));
        eventually("what came after ran", || !log(&app, path).is_empty());
        assert_eq!(notes(&app, path), pairs(&[("well", "well")]));
    }
}

#[test]
fn what_cannot_be_scheduled_is_refused_with_the_reason() {
    let app = running();
    let refuses = |when: Value| refused(&app, &json!({"Set": ["one", when, {"Note": ""}]}));
    assert!(
        refuses(json!({"cron": ["61 * * * *", "UTC"]}))
            .contains("the cron expression `61 * * * *`: a minute is 0 to 59")
    );
    assert!(refuses(json!({"cron": ["0 9 * * *", "Mars/Olympus"]})).contains("there is no time zone `Mars/Olympus`"));
    assert!(refuses(json!({"every": 0})).contains("an event cannot repeat every 0 ms"));
    assert!(refuses(json!({"after": 9_000_000_000_000_000_u64})).contains("would never run"));
    let taken = refused(&app, &json!({"Set": ["realgar:alarm", {}, {"Note": ""}]}));
    assert!(taken.contains("the id `realgar:alarm` is taken"), "{taken}");
    let long = refused(&app, &json!({"Set": ["x".repeat(2049), {}, {"Note": ""}]}));
    assert!(long.contains("the id of an event has 2049 bytes, and at most 2048 are possible"), "{long}");
    let nul = refused(&app, &json!({"Set": ["a\0b", {}, {"Note": ""}]}));
    assert!(nul.contains("the id `a\\0b` has a NUL in it"), "{nul}");
    let large = refused(&app, &json!({"Set": ["one", {}, {"Note": "x".repeat(2_000_001)}]}));
    assert!(
        large.contains("the payload of `one` has 2000012 bytes, and the platform stores at most 2000000"),
        "{large}"
    );
}

#[test]
fn ten_thousand_events_wait_and_run() {
    let app = frozen();
    let _ = ask(&app, "/clock/one", &json!({"SetMany": [10_000, {"after": HOUR}, {"Note": ""}]}));
    set(&app, "first", json!({"after": MINUTE}), json!({"Note": "first"}));
    app.advance(Duration::from_mins(1));
    assert_eq!(notes(&app, "/clock/one"), pairs(&[("first", "first")]));
    app.advance(Duration::from_hours(1));
    let all = notes(&app, "/clock/one");
    assert_eq!(all.len(), 10_001);
    assert!(all[1..].is_sorted(), "in the order they were scheduled in");
    assert_eq!(pending(&app, "/clock/one"), 0);
}

#[test]
fn everything_can_be_deleted_with_the_rest() {
    let app = running();
    set(&app, "one", json!({"after": 100}), json!({"Note": "never"}));
    let _ = ask(&app, "/clock/one", &json!("Wipe"));
    set(&app, "two", json!({"after": 200}), json!({"Note": "well"}));
    eventually("what came after ran", || !log(&app, "/clock/one").is_empty());
    assert_eq!(notes(&app, "/clock/one"), pairs(&[("two", "well")]));
}

#[test]
fn a_schedule_needs_nothing_in_memory() {
    let app = App::builder().worker("tests/workers/clockwork").test_clock().evict_between_events().start();
    set(&app, "tick", json!({"every": HOUR}), json!({"Note": "tick"}));
    set(&app, "flaky", json!({"after": HOUR}), json!({"Fail": 2}));
    app.advance(Duration::from_hours(3));
    assert_eq!(notes(&app, "/clock/one").iter().filter(|(id, _)| id == "tick").count(), 3);
    assert_eq!(notes(&app, "/clock/one").iter().filter(|(id, _)| id == "flaky").count(), 3);
}
