//! The way of an order: announced, cancelled, silenced, measured, offered.

use latimer_protocol::status::Fault;
use latimer_watchdog::action::{Action, Proposer};
use latimer_watchdog::decide::decide;
use latimer_watchdog::ids::ActionId;
use latimer_watchdog::pattern::{Fact, Pattern};
use latimer_watchdog::rules::Rules;
use latimer_watchdog::settings::Settings;
use latimer_watchdog::signal::{Outcome, PersonRequest, Signal};
use latimer_watchdog::time::Time;

use crate::support::{BEGIN, Bench, alerts, done, event, health, killed, named, names};

const NOTHING: [&str; 0] = [];

fn settings(change: impl FnOnce(&mut Settings)) -> Settings {
    let mut settings = Settings::default();
    change(&mut settings);
    settings
}

fn announced(actions: &[Action]) -> Option<(ActionId, Time)> {
    actions.iter().find_map(|action| match action {
        Action::Announce { id, at, .. } => Some((*id, *at)),
        _ => None,
    })
}

#[test]
fn a_change_waits_three_seconds_for_a_cancel() {
    let mut bench = Bench::up();
    let (id, at) = announced(&bench.send(event("bad_request", 400))).expect("announced");
    assert_eq!(at, Time::from_millis(BEGIN.as_millis() + 3000));
    assert_eq!(names(&bench.pass(2)), NOTHING);
    assert_eq!(names(&bench.pass(1)), ["clear_capabilities"]);
    let order = bench.last("clear_capabilities").expect("given");
    assert_eq!(
        (order.id, order.by, order.fault),
        (id, Proposer::Rule, Some(Fault::RequestRefused)),
        "the number it was announced by"
    );
}

#[test]
fn a_cancel_is_a_no_for_five_minutes() {
    let mut bench = Bench::up();
    let (id, _) = announced(&bench.send(event("bad_request", 400))).expect("announced");
    assert_eq!(bench.state.status(bench.now).announced[0].id, id);
    bench.pass(1);
    bench.send(Signal::Person(PersonRequest::Cancelled { id }));
    assert_eq!(names(&bench.pass(60)), NOTHING);
    assert_eq!(names(&bench.settle(event("bad_request", 400))), NOTHING);
    bench.pass(300);
    assert_eq!(names(&bench.settle(event("bad_request", 400))), ["clear_capabilities"]);
    let fixes = &bench.state.record().incidents.all()[0].fixes;
    assert!(fixes.iter().all(|fix| fix.failures == 0), "a cancel is no failure: {fixes:?}");
}

#[test]
fn a_later_step_takes_the_place_of_one_that_still_waits() {
    let mut bench = Bench::up();
    let actions: Vec<_> = (0..6).flat_map(|_| bench.send(event("interrupted", 0))).collect();
    let announced = actions.iter().filter(|action| matches!(action, Action::Announce { .. })).count();
    assert_eq!(announced, 2, "new connections, then a restart");
    assert_eq!(names(&bench.pass(4)), ["restart"]);
}

#[test]
fn only_what_was_announced_can_be_cancelled() {
    let mut bench = Bench::up();
    bench.send(killed(9));
    for id in 0..100 {
        bench.send(Signal::Person(PersonRequest::Cancelled { id: ActionId(id) }));
    }
    assert_eq!(names(&bench.pass(1)), ["start"]);
}

#[test]
fn an_order_without_an_outcome_is_given_up() {
    let mut bench = Bench::up();
    bench.obeys = false;
    assert_eq!(names(&bench.settle(event("bad_request", 400))), ["clear_capabilities"]);
    bench.pass(60);
    assert_eq!(names(&bench.settle(event("bad_request", 400))), NOTHING, "it may still be at it");
    bench.pass(120);
    assert_eq!(names(&bench.settle(event("bad_request", 400))), ["clear_capabilities"]);
}

#[test]
fn a_stop_takes_back_what_was_announced() {
    let mut bench = Bench::up();
    assert!(announced(&bench.send(event("bad_request", 400))).is_some());
    bench.send(killed(9));
    bench.send(Signal::Person(PersonRequest::Stop));
    assert_eq!(names(&bench.pass(100)), NOTHING);
}

#[test]
fn a_silenced_fault_is_only_counted() {
    let mut bench = Bench::up();
    bench.send(Signal::Person(PersonRequest::Silence { fault: Fault::RequestRefused, until: None }));
    let until = Some(Time::from_secs(BEGIN.as_secs() + 100));
    bench.send(Signal::Person(PersonRequest::Silence { fault: Fault::WrappedCommand, until }));
    assert_eq!(names(&bench.settle(event("bad_request", 400))), NOTHING);
    assert_eq!(names(&bench.settle(named(Fault::WrappedCommand))), NOTHING);
    assert_eq!(bench.state.record().incidents.len(), 2, "counted");
    bench.pass(100);
    assert_eq!(names(&bench.settle(named(Fault::WrappedCommand))), ["alert"], "its time is over");
    bench.send(Signal::Person(PersonRequest::Unsilence { fault: Fault::RequestRefused }));
    assert_eq!(names(&bench.settle(event("bad_request", 400))), ["clear_capabilities"]);
}

#[test]
fn silence_stops_what_was_announced() {
    let mut bench = Bench::up();
    assert!(announced(&bench.send(event("bad_request", 400))).is_some());
    bench.send(Signal::Person(PersonRequest::Silence { fault: Fault::RequestRefused, until: None }));
    assert_eq!(names(&bench.pass(10)), NOTHING);
}

#[test]
fn an_action_helped_if_its_fault_stays_away() {
    let mut bench = Bench::up();
    let pattern = Pattern::new(Fault::RequestRefused).with(Fact::Endpoint, "kimi").with(Fact::Status, "4xx");
    let counts = |bench: &Bench| {
        let incident = bench.state.record().incidents.get(&pattern).expect("recorded");
        incident.fixes.first().map_or((0, 0), |fix| (fix.successes, fix.failures))
    };
    bench.settle(event("bad_request", 400));
    bench.pass_healthy(50);
    assert_eq!(counts(&bench), (0, 0), "the window is not over");
    bench.pass_healthy(20);
    assert_eq!(counts(&bench), (1, 0));
    bench.settle(event("bad_request", 400));
    bench.pass(10);
    bench.send(event("bad_request", 400));
    assert_eq!(counts(&bench), (1, 1), "it came back");
}

#[test]
fn an_action_that_could_not_be_done_is_a_failure() {
    let mut bench = Bench::up();
    bench.obeys = false;
    let (id, _) = announced(&bench.send(event("bad_request", 400))).expect("announced");
    bench.pass(3);
    let error = Some("the proxy refused".to_owned());
    let actions = bench.send(Signal::Outcome(Outcome { id, done: false, error }));
    assert!(alerts(&actions)[0].what.contains("the proxy refused"));
    assert_eq!(bench.state.record().incidents.all()[0].fixes[0].failures, 1);
    // Said twice, or of a number that never was: nothing.
    assert_eq!(names(&bench.send(done(id))), NOTHING);
    assert_eq!(names(&bench.send(done(ActionId(u64::MAX)))), NOTHING);
}

#[test]
fn a_switch_is_offered_and_made_when_a_person_accepts() {
    let mut bench = Bench::up();
    let actions = bench.settle(event("overloaded", 503));
    assert_eq!(names(&actions), ["alert"]);
    let offered = bench.state.status(bench.now).offered;
    let [offer] = offered.as_slice() else { panic!("one offer: {offered:?}") };
    assert_eq!(alerts(&actions)[0].run, format!("latimer-watchdog accept {}", offer.id));
    let accept = Signal::Person(PersonRequest::Accepted { id: offer.id });
    assert_eq!(names(&bench.send(accept.clone())), ["switch_provider"]);
    assert_eq!(names(&bench.send(accept)), NOTHING, "once");
    let order = bench.last("switch_provider").expect("given");
    assert_eq!(order.by, Proposer::Person);
    assert!(
        matches!(&order.action, Action::SwitchProvider { from, expires_at } if from == "kimi" && *expires_at > bench.now)
    );
}

#[test]
fn an_offer_stands_for_an_hour() {
    let mut bench = Bench::up();
    bench.settle(event("overloaded", 503));
    let id = bench.state.status(bench.now).offered[0].id;
    bench.pass(3600);
    assert!(bench.state.status(bench.now).offered.is_empty());
    assert_eq!(names(&bench.settle(Signal::Person(PersonRequest::Accepted { id }))), NOTHING);
}

#[test]
fn a_window_of_hours_is_not_waited_for_to_learn() {
    let mut bench = Bench::up();
    let rules = "[[rule]]\nfault = \"B8\"\nwindow = \"5h\"\n";
    bench.state.set_rules(latimer_watchdog::rules::file::read(rules).expect("rules"));
    bench.settle(event("bad_request", 400));
    bench.pass(601);
    assert_eq!(bench.state.record().incidents.all()[0].fixes[0].successes, 1);
}

#[test]
fn a_switch_is_made_where_the_settings_say_so() {
    let mut bench = Bench::up_with(settings(|settings| settings.auto_switch_provider = true));
    assert_eq!(names(&bench.settle(event("overloaded", 503))), ["switch_provider"]);
}

#[test]
fn a_clock_that_is_set_breaks_nothing() {
    let mut bench = Bench::up();
    bench.send(event("bad_request", 400));
    let back = Time::from_secs(1000);
    assert!(names(&bench.send(health())).is_empty());
    let actions = decide(&mut bench.state, Signal::Tick, back);
    assert!(actions.is_empty(), "set back: no time has passed");
    let actions = decide(&mut bench.state, Signal::Tick, Time::from_secs(1003));
    assert_eq!(actions.len(), 1, "three seconds are three seconds");
    let year = Time::from_secs(1003 + 31_536_000);
    assert!(decide(&mut bench.state, Signal::Tick, year).is_empty());
    let actions = decide(&mut bench.state, killed(9), year);
    assert_eq!(actions.len(), 1, "an alert");
    assert_eq!(bench.state.wake_in().map(|wait| wait.as_millis()), Some(100));
}

#[test]
fn the_views_are_whole() {
    let mut bench = Bench::up();
    bench.settle(event("bad_request", 400));
    bench.send(event("timeout", 0));
    let export = bench.state.export(bench.now);
    assert_eq!(export.incidents.len(), 2);
    assert_eq!(export.rules.len(), Rules::default().rows().len());
    assert_eq!(export.status.announced.len(), 1);
    assert_eq!(export.status.resting.len(), 2);
    let id = export.incidents[0].incident.id;
    assert_eq!(bench.state.incident_view(id).as_ref(), Some(&export.incidents[0]));
    assert_eq!(bench.state.incident_view(u64::MAX), None);
    let json = serde_json::to_value(&export).expect("JSON");
    assert_eq!(json["status"]["phase"], "up");
    assert_eq!(json["incidents"][1]["fault"], "B8");
    assert_eq!(json["rules"][0]["fault"], "A1");
}
