//! Schedules beside the alarm of their object: who sets it, who is called, and what becomes of an object that does not start.

use crate::{
    common::eventually,
    schedule::{ask, log, notes, number, pairs, pending, running, set},
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

#[test]
fn an_object_works_its_events_off_in_its_own_alarm() {
    let app = running();
    let bell = |command: Value| ask(&app, "/bell/one", &command);
    let now = app.now_ms();
    let _ = bell(json!({"SetAlarm": now + 500}));
    for (id, after, job) in
        [("a", 100, json!({"Note": "1"})), ("b", 100, json!({"Fail": 1})), ("c", 1_500, json!({"Note": "3"}))]
    {
        let _ = bell(json!({"Set": [id, {"at": now + after}, job]}));
    }
    eventually("all of it is over", || pending(&app, "/bell/one") == 0);
    let all = notes(&app, "/bell/one");
    let of =
        |id: &str| -> Vec<&str> { all.iter().filter(|(own, _)| own == id).map(|(_, what)| what.as_str()).collect() };
    assert_eq!((of("a"), of("b"), of("c")), (vec!["1"], vec!["tried", "tried"], vec!["3"]));
    // Its own alarm, and one for each time that events were due.
    assert!(of("alarm").iter().filter(|rung| **rung == "rung 0").count() >= 1, "{all:?}");
}

#[test]
fn an_alarm_handler_that_fails_before_it_processes_its_events_is_called_again() {
    let app = running();
    let bell = |command: Value| ask(&app, "/bell/one", &command);
    let _ = bell(json!({"FailAlarm": 2}));
    let _ = bell(json!({"Set": ["a", {"after": 50}, {"Note": "1"}]}));
    eventually("it rang", || pending(&app, "/bell/one") == 0);
    // Not for ever at once: the log would be full of it.
    let failed = app.logs().iter().filter(|line| line.message.contains("the alarm fails")).count();
    assert_eq!(failed, 2);
    assert_eq!(notes(&app, "/bell/one")[0], ("a".into(), "1".into()));
}

#[test]
fn the_alarm_of_an_object_that_processes_its_events_is_its_own() {
    let app = running();
    let bell = |command: Value| ask(&app, "/bell/one", &command);
    let now = app.now_ms();
    let _ = bell(json!({"Set": ["later", {"at": now + 1_200}, {"Note": "1"}]}));
    // Set, and moved; set, and deleted: neither is called for.
    let _ = bell(json!({"SetAlarm": now + 300}));
    let _ = bell(json!({"SetAlarm": now + 600}));
    assert_eq!(bell(json!("Alarm")), now + 600);
    eventually("it rang", || log(&app, "/bell/one").len() == 1);
    assert_eq!(number(&log(&app, "/bell/one")[0]["due"]), now + 600);
    let _ = bell(json!({"SetAlarm": now + 900}));
    let _ = bell(json!("DeleteAlarm"));
    eventually("the event ran", || pending(&app, "/bell/one") == 0);
    assert_eq!(notes(&app, "/bell/one"), pairs(&[("alarm", "rung 0"), ("later", "1"), ("alarm", "rung 1")]));
}

#[test]
fn an_alarm_that_failed_is_not_lost_when_the_first_event_is_scheduled() {
    let app = running();
    let _ = ask(&app, "/clock/one", &json!({"FailAlarm": 1}));
    let now = app.now_ms();
    let _ = ask(&app, "/clock/one", &json!({"SetAlarm": now + 50}));
    crate::common::logged(&app, "the alarm failed");
    // The platform would call it again in two seconds.
    set(&app, "one", json!({"after": 50}), json!({"Note": "well"}));
    eventually("both ran", || log(&app, "/clock/one").len() == 2);
    assert_eq!(notes(&app, "/clock/one"), pairs(&[("one", "well"), ("alarm", "own")]));
}

#[test]
fn an_object_that_does_not_start_is_tried_until_it_does() {
    let app = running();
    set(&app, "one", json!({"after": 500}), json!({"Note": "well"}));
    let _ = ask(&app, "/clock/one", &json!({"FailStart": 3}));
    app.object("tower", "Clock", "one").evict();
    // Nothing but the alarm wakes it.
    let failed = || app.logs().iter().filter(|line| line.message.contains("`Clock` could not start")).count();
    eventually("it failed to start twice", || failed() == 2);
    let since = Instant::now();
    eventually("it failed to start three times", || failed() == 3);
    // The event is overdue, and yet the object is left alone for a while: otherwise it would be tried hundreds of times a second.
    assert!(since.elapsed() > Duration::from_millis(900), "{:?}", since.elapsed());
    eventually("it ran", || notes(&app, "/clock/one") == pairs(&[("one", "well")]));
}
