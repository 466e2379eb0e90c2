//! The way of an order: announced, cancelled, measured, offered, asked for.

use latimer_protocol::status::Fault;
use latimer_watchdog::action::{Action, ActionId, By, Level};
use latimer_watchdog::decide::{Phase, State, decide};
use latimer_watchdog::incidents::file::Record;
use latimer_watchdog::pattern::{Fact, Pattern};
use latimer_watchdog::rules::{Remedy, Rules, file};
use latimer_watchdog::settings::{Diagnosis as Model, Settings};
use latimer_watchdog::signal::{Diagnosis, Exit, Health, MissKind, Outcome, Person, Signal};
use latimer_watchdog::time::Time;

use crate::support::{
    BEGIN, Bench, alerts, crash, done, event, foreign, health, killed, missed, named, names, probe_failed,
    started,
};

const NOTHING: [&str; 0] = [];

fn settings(change: impl FnOnce(&mut Settings)) -> Settings {
    let mut settings = Settings::default();
    change(&mut settings);
    settings
}

fn with_model() -> Settings {
    let model = Model { endpoint: Some("ollama".to_owned()), model: None, monthly_budget_micros: 2_000_000 };
    settings(|settings| settings.diagnosis = model)
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
        (id, By::Rule, Some(Fault::B8)),
        "the number it was announced by"
    );
}

#[test]
fn a_cancel_is_a_no_for_five_minutes() {
    let mut bench = Bench::up();
    let (id, _) = announced(&bench.send(event("bad_request", 400))).expect("announced");
    assert_eq!(bench.state.status(bench.now).announced[0].id, id);
    bench.pass(1);
    bench.send(Signal::Person(Person::Cancelled { id }));
    assert_eq!(names(&bench.pass(60)), NOTHING);
    assert_eq!(names(&bench.settle(event("bad_request", 400))), NOTHING);
    bench.pass(300);
    assert_eq!(names(&bench.settle(event("bad_request", 400))), ["clear_capabilities"]);
    let fixes = &bench.state.record().incidents.all()[0].fixes;
    assert!(fixes.iter().all(|fix| fix.failures == 0), "a cancel is no failure: {fixes:?}");
}

#[test]
fn only_what_was_announced_can_be_cancelled() {
    let mut bench = Bench::up();
    bench.send(killed(9));
    for id in 0..100 {
        bench.send(Signal::Person(Person::Cancelled { id: ActionId(id) }));
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
fn a_question_without_an_answer_is_given_up() {
    let mut bench = Bench::up_with(with_model());
    let actions: Vec<_> = (0..5).flat_map(|_| bench.send(named(Fault::C3))).collect();
    assert!(names(&actions).contains(&"diagnose"));
    assert_eq!(names(&bench.pass(110)), NOTHING);
    let actions = bench.pass(20);
    assert_eq!(names(&actions), ["alert"], "a person is told instead");
    let actions: Vec<_> = (0..5).flat_map(|_| bench.send(named(Fault::C7))).collect();
    assert!(names(&actions).contains(&"diagnose"), "and the next question may be asked");
}

#[test]
fn a_dead_process_is_not_waited_for() {
    let mut bench = Bench::up();
    bench.send(killed(9));
    assert_eq!(bench.phase(), Phase::Down);
    let before = bench.now;
    assert_eq!(names(&bench.pass(1)), ["start"]);
    let (at, _) = bench.log.iter().find(|(_, order)| order.action.name() == "start").expect("started");
    assert_eq!(at.since(before).as_millis(), 100, "the first back-off");
}

#[test]
fn a_hang_is_answered_within_three_misses() {
    let mut bench = Bench::up();
    let mut actions = Vec::new();
    for _ in 0..3 {
        actions.extend(bench.send(missed(MissKind::Timeout)));
    }
    actions.extend(bench.pass(1));
    assert!(actions.contains(&Action::Restart { safe_mode: false, hung: true }), "{actions:?}");
}

#[test]
fn a_new_proxy_has_its_time_to_come_up() {
    let mut bench = Bench::with(Settings::default());
    bench.send(Signal::Person(Person::Start));
    bench.send(started(4));
    for _ in 0..9 {
        assert_eq!(names(&bench.send(missed(MissKind::Timeout))), NOTHING);
        bench.pass(1);
    }
    bench.pass(2);
    let actions: Vec<_> = (0..3).flat_map(|_| bench.send(missed(MissKind::Timeout))).collect();
    assert_eq!(names(&actions), ["alert"], "but not for ever");
    assert_eq!(names(&bench.pass(1)), ["restart"]);
}

#[test]
fn a_storm_of_crashes_ends_with_a_held_port() {
    let mut bench = Bench::up();
    let mut actions = Vec::new();
    for _ in 0..30 {
        actions.extend(bench.send(crash(1)));
        actions.extend(bench.pass(31));
        if bench.phase() == Phase::Held {
            break;
        }
        bench.send(started(9));
    }
    let starts = names(&actions).iter().filter(|name| **name == "start").count();
    assert!((5..=11).contains(&starts), "{starts}");
    assert!(names(&actions).contains(&"hold_port"), "{:?}", names(&actions));
    let urgent: Vec<_> =
        alerts(&actions).into_iter().filter(|alert| alert.level == Level::Urgent).cloned().collect();
    assert_eq!(urgent.len(), 1);
    assert!(urgent[0].what.contains("the proxy ended with code 1"), "{}", urgent[0].what);
    assert_eq!(names(&bench.pass(7200)), NOTHING, "it is held until a person or a change");
    assert_eq!(names(&bench.settle(Signal::ConfigChanged)), ["start"], "what it failed on may be mended");
}

#[test]
fn a_quick_storm_is_tried_in_safe_mode() {
    let mut bench = Bench::up();
    let mut actions = Vec::new();
    for _ in 0..5 {
        actions.extend(bench.send(crash(1)));
        actions.extend(bench.pass(2));
        bench.send(started(9));
    }
    assert_eq!(actions.last(), Some(&Action::Start { safe_mode: true }));
    assert!(alerts(&actions).iter().any(|alert| alert.what.contains("safe mode")));
    assert!(!bench.state.status(bench.now).resting.iter().any(|one| one.remedy == Remedy::RestartProxy));
    bench.send(Signal::Person(Person::Restart));
    assert_eq!(
        bench.last("restart").expect("given").action,
        Action::Restart { safe_mode: false, hung: false },
        "a person leaves safe mode"
    );
}

#[test]
fn what_a_person_stopped_is_left_stopped() {
    let mut bench = Bench::up();
    assert_eq!(names(&bench.send(Signal::Person(Person::Stop))), ["stop"]);
    let noise = [
        crash(1),
        killed(9),
        missed(MissKind::Refused),
        health(),
        probe_failed(),
        foreign(Fault::D3),
        event("upstream_error", 500),
        event("bad_request", 400),
        Signal::ConfigChanged,
        Signal::CacheCorrupt(latimer_watchdog::signal::CacheCorrupt::default()),
    ];
    for _ in 0..10 {
        for signal in &noise {
            assert_eq!(names(&bench.send(signal.clone())), NOTHING, "{}", signal.name());
            assert_eq!(names(&bench.pass(30)), NOTHING);
        }
    }
    assert_eq!(bench.phase(), Phase::Stopped);
    assert_eq!(names(&bench.send(Signal::Person(Person::Start))), ["start"]);
}

#[test]
fn a_stop_takes_back_what_was_announced() {
    let mut bench = Bench::up();
    assert!(announced(&bench.send(event("bad_request", 400))).is_some());
    bench.send(killed(9));
    bench.send(Signal::Person(Person::Stop));
    assert_eq!(names(&bench.pass(100)), NOTHING);
}

#[test]
fn a_proxy_that_somebody_ended_politely_is_left_so() {
    let mut bench = Bench::up();
    let actions = bench.settle(crash(0));
    assert_eq!(names(&actions), ["alert"]);
    assert_eq!(bench.phase(), Phase::Stopped);
    assert_eq!(alerts(&actions)[0].run, "latimer-watchdog start");
}

#[test]
fn a_silenced_fault_is_only_counted() {
    let mut bench = Bench::up();
    bench.send(Signal::Person(Person::Silence { fault: Fault::B8, until: None }));
    let until = Some(Time::from_secs(BEGIN.as_secs() + 100));
    bench.send(Signal::Person(Person::Silence { fault: Fault::C4, until }));
    assert_eq!(names(&bench.settle(event("bad_request", 400))), NOTHING);
    assert_eq!(names(&bench.settle(named(Fault::C4))), NOTHING);
    assert_eq!(bench.state.record().incidents.len(), 2, "counted");
    bench.pass(100);
    assert_eq!(names(&bench.settle(named(Fault::C4))), ["alert"], "its time is over");
    bench.send(Signal::Person(Person::Unsilence { fault: Fault::B8 }));
    assert_eq!(names(&bench.settle(event("bad_request", 400))), ["clear_capabilities"]);
}

#[test]
fn silence_stops_what_was_announced() {
    let mut bench = Bench::up();
    assert!(announced(&bench.send(event("bad_request", 400))).is_some());
    bench.send(Signal::Person(Person::Silence { fault: Fault::B8, until: None }));
    assert_eq!(names(&bench.pass(10)), NOTHING);
}

#[test]
fn an_action_helped_if_its_fault_stays_away() {
    let mut bench = Bench::up();
    let pattern = Pattern::new(Fault::B8).with(Fact::Endpoint, "kimi").with(Fact::Status, "4xx");
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
fn a_start_that_fails_backs_off_like_a_crash() {
    let mut bench = Bench::up();
    bench.obeys = false;
    bench.send(killed(9));
    let mut starts = 0;
    for _ in 0..40 {
        let actions = bench.pass(31);
        starts += names(&actions).iter().filter(|name| **name == "start").count();
        let Some(id) = bench.last("start").map(|order| order.id) else { continue };
        let error = Some("no such file".to_owned());
        bench.send(Signal::Outcome(Outcome { id, done: false, error }));
    }
    assert_eq!(bench.phase(), Phase::Held);
    assert!((5..=11).contains(&starts), "{starts}");
}

#[test]
fn a_lost_outcome_leaves_no_proxy_down() {
    let mut bench = Bench::up();
    bench.obeys = false;
    bench.send(killed(9));
    assert_eq!(names(&bench.pass(1)), ["start"]);
    // Neither an outcome nor a proxy: after its grace the checks miss it, and it is started again.
    let mut actions = Vec::new();
    for _ in 0..20 {
        actions.extend(bench.send(missed(MissKind::Refused)));
        actions.extend(bench.pass(1));
    }
    assert!(names(&actions).contains(&"restart"), "{:?}", names(&actions));
}

#[test]
fn a_switch_is_offered_and_made_when_a_person_accepts() {
    let mut bench = Bench::up();
    let actions = bench.settle(event("overloaded", 503));
    assert_eq!(names(&actions), ["alert"]);
    let offered = bench.state.status(bench.now).offered;
    let [offer] = offered.as_slice() else { panic!("one offer: {offered:?}") };
    assert_eq!(alerts(&actions)[0].run, format!("latimer-watchdog accept {}", offer.id));
    let accept = Signal::Person(Person::Accepted { id: offer.id });
    assert_eq!(names(&bench.send(accept.clone())), ["switch_provider"]);
    assert_eq!(names(&bench.send(accept)), NOTHING, "once");
    let order = bench.last("switch_provider").expect("given");
    assert_eq!(order.by, By::Person);
    assert!(
        matches!(&order.action, Action::SwitchProvider { from, expires_at } if from == "kimi" && *expires_at > bench.now)
    );
}

#[test]
fn a_switch_is_made_where_the_settings_say_so() {
    let mut bench = Bench::up_with(settings(|settings| settings.auto_switch_provider = true));
    assert_eq!(names(&bench.settle(event("overloaded", 503))), ["switch_provider"]);
}

#[test]
fn without_auto_restart_a_person_is_told() {
    let mut bench = Bench::up_with(settings(|settings| settings.auto_restart = false));
    let actions = bench.settle(killed(9));
    assert_eq!(names(&actions), ["alert"]);
    assert_eq!(alerts(&actions)[0].run, "latimer-watchdog start");
    assert!(!names(&bench.pass(4000)).contains(&"start"));
    assert_eq!(names(&bench.send(Signal::Person(Person::Start))), ["start"]);
}

#[test]
fn without_the_table_the_proxy_is_still_kept_alive() {
    let mut bench = Bench::up_with(settings(|settings| settings.tier1 = false));
    assert_eq!(names(&bench.settle(killed(9))), ["alert", "start"]);
    assert_eq!(names(&bench.settle(event("bad_request", 400))), ["alert"], "the rest is told");
}

#[test]
fn what_helped_before_is_applied_where_no_rule_is() {
    let mut record = Record::default();
    let pattern = Pattern::new(Fault::C3).with(Fact::Endpoint, "kimi");
    for _ in 0..3 {
        record.incidents.tried(&pattern, Remedy::ClearSchemaCache, By::Model, true, BEGIN);
    }
    let five = |tier2| {
        let settings = settings(|settings| settings.tier2 = tier2);
        let mut bench = Bench::up();
        bench.state = State::new(settings, Rules::default(), record.clone());
        bench.send(Signal::Person(Person::Start));
        bench.send(health());
        let actions: Vec<_> = (0..5).flat_map(|_| bench.send(named(Fault::C3))).collect();
        let by = announced(&actions).and_then(|_| bench.last("announce").map(|order| order.by));
        (names(&bench.pass(4)), by)
    };
    assert_eq!(five(true), (vec!["clear_capabilities"], Some(By::Record)));
    assert_eq!(five(false), (vec![], None));
}

#[test]
fn what_helped_before_goes_before_a_rule_that_did_not() {
    let mut bench = Bench::up();
    let pattern = Pattern::new(Fault::B8).with(Fact::Endpoint, "kimi").with(Fact::Status, "4xx");
    let mut record = Record::default();
    for _ in 0..5 {
        record.incidents.tried(&pattern, Remedy::Reconnect, By::Model, true, BEGIN);
    }
    bench.state = State::new(Settings::default(), Rules::default(), record);
    bench.send(Signal::Person(Person::Start));
    bench.send(health());
    assert_eq!(names(&bench.settle(event("bad_request", 400))), ["clear_capabilities"], "the rule first");
    bench.pass(30);
    assert_eq!(names(&bench.settle(event("bad_request", 400))), ["reconnect"], "then what is proven");
}

#[test]
fn a_model_is_asked_and_its_answer_passes_the_guards() {
    let ask = |reply: Option<&str>| {
        let mut bench = Bench::up_with(with_model());
        let actions: Vec<_> = (0..5).flat_map(|_| bench.send(named(Fault::C3))).collect();
        assert_eq!(names(&actions), ["ignore", "diagnose"]);
        let id = bench.last("diagnose").expect("asked").id;
        bench.pass(2);
        let reply = reply.map(str::to_owned);
        let diagnosis = Diagnosis { id, reply, input_tokens: 800, output_tokens: 60, cost_micros: Some(300) };
        let mut actions = bench.send(Signal::Diagnosis(diagnosis));
        actions.extend(bench.pass(4));
        (names(&actions), bench)
    };
    let (got, bench) = ask(Some(r#"{"action":"clear_schema_cache","reason":"stale","confidence":0.8}"#));
    assert_eq!(got, ["clear_capabilities"]);
    assert_eq!(bench.last("clear_capabilities").expect("given").by, By::Model);
    let ledger = &bench.state.record().ledger;
    assert_eq!((ledger.calls, ledger.spent_micros, ledger.input_tokens), (1, 300, 800));
    for reply in [
        "",
        "restart it!",
        r#"{"action":"rm","reason":"","confidence":1}"#,
        r#"{"action":"ignore","reason":"","confidence":0.1}"#,
    ] {
        assert_eq!(ask(Some(reply)).0, ["alert"], "{reply}");
    }
    let (got, bench) = ask(None);
    assert_eq!(got, ["alert"], "a model that does not answer");
    assert_eq!(bench.state.record().incidents.len(), 1, "its failure is no incident");
    let (got, _) = ask(Some(r#"{"action":"switch_provider","reason":"","confidence":0.9}"#));
    assert_eq!(got, ["alert"], "a switch is offered, whoever proposes it");
    let (got, bench) = ask(Some(r#"{"action":"restart_proxy","reason":"","confidence":0.9}"#));
    assert_eq!(got, ["restart"]);
    assert_eq!(bench.state.status(bench.now).starts, 1, "counted by the guard of restarts");
}

#[test]
fn a_model_is_asked_once_a_minute_ten_times_a_day_and_never_without_a_budget() {
    let questions = |settings: Settings, seconds: usize| {
        let mut bench = Bench::up_with(settings);
        let mut asked = Vec::new();
        for second in 0..seconds {
            // Ever other patterns, so that no cooldown stands in the way.
            let source = format!("log{}", second / 5);
            let foreign = latimer_watchdog::signal::Foreign { fault: Fault::C3, source };
            if names(&bench.send(Signal::Foreign(foreign))).contains(&"diagnose") {
                asked.push(bench.now);
                let id = bench.last("diagnose").expect("asked").id;
                bench.send(Signal::Diagnosis(Diagnosis { id, ..Diagnosis::default() }));
            }
            bench.pass(1);
        }
        asked
    };
    let asked = questions(with_model(), 1500);
    assert_eq!(asked.len(), 10, "of a day");
    for pair in asked.windows(2) {
        assert!(pair[1].since(pair[0]).as_secs() >= 60);
    }
    let mut broke = with_model();
    broke.diagnosis.monthly_budget_micros = 0;
    assert_eq!(questions(broke, 100), []);
    assert_eq!(questions(settings(|_| ()), 100), [], "without an endpoint");
    let mut off = with_model();
    off.tier3 = false;
    assert_eq!(questions(off, 100), []);
}

#[test]
fn a_clock_that_is_set_back_gives_no_second_question_in_a_minute() {
    let mut bench = Bench::up_with(with_model());
    let mut ask = |fault, now: Time| {
        bench.now = now;
        let actions: Vec<_> = (0..5).flat_map(|_| bench.send(named(fault))).collect();
        let asked = names(&actions).contains(&"diagnose");
        if asked {
            let id = bench.last("diagnose").expect("asked").id;
            bench.send(Signal::Diagnosis(Diagnosis { id, ..Diagnosis::default() }));
        }
        asked
    };
    assert!(ask(Fault::C3, BEGIN));
    let back = Time::from_secs(BEGIN.as_secs() - 1000);
    assert!(!ask(Fault::C7, back), "no time has passed");
    assert!(ask(Fault::C8, Time::from_secs(back.as_secs() + 60)));
}

#[test]
fn a_model_that_never_answers_changes_nothing_in_tiers_one_and_two() {
    let night = |settings: Settings| {
        let mut bench = Bench::up_with(settings);
        for second in 0..600u64 {
            if second % 7 == 0 {
                bench.send(named(Fault::C3));
            }
            if second % 50 == 0 {
                bench.send(event("bad_request", 400));
            }
            if second % 200 == 199 {
                bench.send(killed(9));
            }
            bench.pass(1);
            bench.send(health());
        }
        let of_tier_three = ["diagnose", "alert"];
        let rest: Vec<_> = bench.log.iter().map(|(at, order)| (*at, order.action.name())).collect();
        rest.into_iter().filter(|(_, name)| !of_tier_three.contains(name)).collect::<Vec<_>>()
    };
    let with = night(with_model());
    assert!(with.len() > 5, "{with:?}");
    assert_eq!(with, night(settings(|settings| settings.tier3 = false)));
}

#[test]
fn a_rule_that_is_off_leaves_the_fault_to_the_next_tier() {
    let mut bench = Bench::up();
    bench.state.set_rules(file::read("[[rule]]\nfault = \"B8\"\nenabled = false\n").expect("rules"));
    assert_eq!(names(&bench.settle(event("bad_request", 400))), ["alert"]);
    bench.state.set_rules(
        file::read("[[rule]]\nfault = \"B8\"\naction = \"reconnect\"\nthreshold = 2\n").expect("rules"),
    );
    bench.pass(400);
    assert_eq!(names(&bench.settle(event("bad_request", 400))), NOTHING);
    assert_eq!(names(&bench.settle(event("bad_request", 400))), ["reconnect"]);
}

#[test]
fn rests_grow_from_thirty_seconds_to_five_minutes_and_then_a_person_is_told() {
    let mut bench = Bench::up();
    let mut done_at = Vec::new();
    for _ in 0..700 {
        let mut actions = bench.send(event("bad_request", 400));
        actions.extend(bench.pass(1));
        if names(&actions).contains(&"clear_capabilities") {
            done_at.push(bench.now.since(BEGIN).as_secs());
        }
    }
    assert_eq!(done_at, [3, 33, 93], "then it rests for five minutes, and is exhausted");
    bench.pass(3700);
    assert_eq!(
        names(&bench.settle(event("bad_request", 400))),
        ["clear_capabilities"],
        "a quiet hour has passed"
    );
}

#[test]
fn the_old_proxy_of_a_replacement_may_end() {
    let mut bench = Bench::up();
    bench.obeys = false;
    bench.send(Signal::Person(Person::Upgrade));
    assert_eq!(bench.last("replace").map(|order| order.by), Some(By::Person));
    bench.send(started(2));
    assert_eq!(bench.phase(), Phase::Up, "the old one serves until the new one does");
    let id = bench.last("replace").expect("given").id;
    bench.send(done(id));
    assert_eq!(
        names(&bench.settle(Signal::ProxyExited(Exit { pid: 1, code: Some(0), ..Exit::default() }))),
        NOTHING
    );
    assert_eq!(bench.phase(), Phase::Up);
    bench.obeys = true;
    let crash = Exit { pid: 2, signal: Some(9), ..Exit::default() };
    assert_eq!(
        names(&bench.settle(Signal::ProxyExited(crash))),
        ["alert", "start"],
        "the new one is watched"
    );
}

#[test]
fn an_answer_from_before_the_end_is_no_life() {
    let mut bench = Bench::up();
    let of = |pid| Signal::Health(Health { pid, ..Health::default() });
    bench.send(of(1));
    bench.send(Signal::ProxyExited(Exit { pid: 1, signal: Some(9), ..Exit::default() }));
    bench.send(of(1));
    assert_eq!(bench.phase(), Phase::Down, "it was read before the process ended");
    assert_eq!(names(&bench.pass(1)), ["start"]);
    bench.send(started(2));
    bench.send(of(1));
    assert_eq!(bench.phase(), Phase::Starting);
    bench.send(of(2));
    assert_eq!(bench.phase(), Phase::Up);
    let end = Exit { pid: 2, signal: Some(9), ..Exit::default() };
    bench.send(Signal::ProxyExited(end));
    assert_eq!(bench.phase(), Phase::Down, "the new one is the one that is watched");
}

#[test]
fn what_hangs_is_ended_before_the_port_is_held_or_started_again() {
    let mut bench = Bench::up();
    let mut actions = Vec::new();
    for _ in 0..100 {
        actions.extend(bench.send(missed(MissKind::Timeout)));
        actions.extend(bench.pass(4));
    }
    assert_eq!(bench.phase(), Phase::Held);
    let all = names(&actions);
    let held = all.iter().position(|name| *name == "hold_port").expect("held");
    assert_eq!(all[held - 1], "stop");
    // No end was reported: it may still be there.
    let actions = bench.send(Signal::Person(Person::Start));
    assert_eq!(actions, [Action::Restart { safe_mode: false, hung: true }]);
}

#[test]
fn a_proxy_in_safe_mode_is_so_until_it_is_started_anew() {
    let mut bench = Bench::up();
    bench.send(Signal::ProxyStarted(latimer_watchdog::signal::Started {
        pid: 2,
        safe_mode: true,
        adopted: false,
    }));
    bench.pass_healthy(200);
    assert!(bench.state.status(bench.now).safe_mode);
}

#[test]
fn a_crash_of_the_new_proxy_before_its_start_is_answered_counts() {
    let mut bench = Bench::up();
    bench.obeys = false;
    bench.send(killed(9));
    assert_eq!(names(&bench.pass(1)), ["start"]);
    bench.send(crash(1));
    assert_eq!(names(&bench.pass(1)), ["start"], "again, although the first start was never answered");
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
