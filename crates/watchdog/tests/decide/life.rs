//! The proxy is kept alive: started again, tried in safe mode, given up, left alone, replaced.

use latimer_protocol::status::Fault;
use latimer_watchdog::action::{Action, Level, Proposer};
use latimer_watchdog::decide::ProxyPhase;
use latimer_watchdog::pattern::{Fact, Pattern};
use latimer_watchdog::rules::Remedy;
use latimer_watchdog::settings::Settings;
use latimer_watchdog::signal::{
    BindConflict, HealthReading, MissReason, Outcome, PersonRequest, ProxyExit, Signal, StalePort,
};

use crate::support::{
    Bench, alerts, crash, done, event, foreign, health, killed, missed, names, probe_failed, started,
};

const NOTHING: [&str; 0] = [];

fn settings(change: impl FnOnce(&mut Settings)) -> Settings {
    let mut settings = Settings::default();
    change(&mut settings);
    settings
}

#[test]
fn a_dead_process_is_not_waited_for() {
    let mut bench = Bench::up();
    bench.send(killed(9));
    assert_eq!(bench.phase(), ProxyPhase::Down);
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
        actions.extend(bench.send(missed(MissReason::Timeout)));
    }
    actions.extend(bench.pass(1));
    assert!(actions.contains(&Action::Restart { safe_mode: false, hung: true }), "{actions:?}");
}

#[test]
fn a_new_proxy_has_its_time_to_come_up() {
    let mut bench = Bench::with(Settings::default());
    bench.send(Signal::Person(PersonRequest::Start));
    bench.send(started(4));
    for _ in 0..9 {
        assert_eq!(names(&bench.send(missed(MissReason::Timeout))), NOTHING);
        bench.pass(1);
    }
    bench.pass(2);
    let actions: Vec<_> = (0..3).flat_map(|_| bench.send(missed(MissReason::Timeout))).collect();
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
        if bench.phase() == ProxyPhase::Held {
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
    bench.send(Signal::Person(PersonRequest::Restart));
    assert_eq!(
        bench.last("restart").expect("given").action,
        Action::Restart { safe_mode: false, hung: false },
        "a person leaves safe mode"
    );
}

#[test]
fn what_a_person_stopped_is_left_stopped() {
    let mut bench = Bench::up();
    assert_eq!(names(&bench.send(Signal::Person(PersonRequest::Stop))), ["stop"]);
    let noise = [
        crash(1),
        killed(9),
        missed(MissReason::Refused),
        health(),
        probe_failed(),
        foreign(Fault::ClientStreamLost),
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
    assert_eq!(bench.phase(), ProxyPhase::Stopped);
    assert_eq!(names(&bench.send(Signal::Person(PersonRequest::Start))), ["start"]);
}

#[test]
fn a_proxy_that_somebody_ended_politely_is_left_so() {
    let mut bench = Bench::up();
    let actions = bench.settle(crash(0));
    assert_eq!(names(&actions), ["alert"]);
    assert_eq!(bench.phase(), ProxyPhase::Stopped);
    assert_eq!(alerts(&actions)[0].run, "latimer-watchdog start");
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
    assert_eq!(bench.phase(), ProxyPhase::Held);
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
        actions.extend(bench.send(missed(MissReason::Refused)));
        actions.extend(bench.pass(1));
    }
    assert!(names(&actions).contains(&"restart"), "{:?}", names(&actions));
}

#[test]
fn without_auto_restart_a_person_is_told() {
    let mut bench = Bench::up_with(settings(|settings| settings.auto_restart = false));
    let actions = bench.settle(killed(9));
    assert_eq!(names(&actions), ["alert"]);
    assert_eq!(alerts(&actions)[0].run, "latimer-watchdog start");
    assert!(!names(&bench.pass(4000)).contains(&"start"));
    assert_eq!(names(&bench.send(Signal::Person(PersonRequest::Start))), ["start"]);
}

#[test]
fn without_the_table_the_proxy_is_still_kept_alive() {
    let mut bench = Bench::up_with(settings(|settings| settings.tier1 = false));
    assert_eq!(names(&bench.settle(killed(9))), ["alert", "start"]);
    assert_eq!(names(&bench.settle(event("bad_request", 400))), ["alert"], "the rest is told");
}

#[test]
fn the_old_proxy_of_a_replacement_may_end() {
    let mut bench = Bench::up();
    bench.obeys = false;
    bench.send(Signal::Person(PersonRequest::Upgrade));
    assert_eq!(bench.last("replace").map(|order| order.by), Some(Proposer::Person));
    bench.send(started(2));
    assert_eq!(bench.phase(), ProxyPhase::Up, "the old one serves until the new one does");
    let id = bench.last("replace").expect("given").id;
    bench.send(done(id));
    assert_eq!(
        names(&bench.settle(Signal::ProxyExited(ProxyExit {
            pid: 1,
            code: Some(0),
            ..ProxyExit::default()
        }))),
        NOTHING
    );
    assert_eq!(bench.phase(), ProxyPhase::Up);
    bench.obeys = true;
    let crash = ProxyExit { pid: 2, signal: Some(9), ..ProxyExit::default() };
    assert_eq!(
        names(&bench.settle(Signal::ProxyExited(crash))),
        ["alert", "start"],
        "the new one is watched"
    );
}

#[test]
fn an_answer_from_before_the_end_is_no_life() {
    let mut bench = Bench::up();
    let of = |pid| Signal::Health(HealthReading { pid, ..HealthReading::default() });
    bench.send(of(1));
    bench.send(Signal::ProxyExited(ProxyExit { pid: 1, signal: Some(9), ..ProxyExit::default() }));
    bench.send(of(1));
    bench.send(of(0));
    assert_eq!(bench.phase(), ProxyPhase::Down, "it was read before the process ended");
    assert_eq!(names(&bench.pass(1)), ["start"]);
    bench.send(started(2));
    bench.send(of(1));
    assert_eq!(bench.phase(), ProxyPhase::Starting);
    bench.send(of(2));
    assert_eq!(bench.phase(), ProxyPhase::Up);
    let end = ProxyExit { pid: 2, signal: Some(9), ..ProxyExit::default() };
    bench.send(Signal::ProxyExited(end));
    assert_eq!(bench.phase(), ProxyPhase::Down, "the new one is the one that is watched");
    bench.pass(1);
    bench.send(started(3));
    bench.pass(10);
    bench.send(of(2));
    assert_eq!(bench.phase(), ProxyPhase::Up, "after a while the id is another process's");
}

#[test]
fn what_hangs_is_ended_before_the_port_is_held_or_started_again() {
    let mut bench = Bench::up();
    let mut actions = Vec::new();
    for _ in 0..100 {
        actions.extend(bench.send(missed(MissReason::Timeout)));
        actions.extend(bench.pass(4));
    }
    assert_eq!(bench.phase(), ProxyPhase::Held);
    let all = names(&actions);
    let held = all.iter().position(|name| *name == "hold_port").expect("held");
    assert_eq!(all[held - 1], "stop");
    // No end was reported: it may still be there.
    let actions = bench.send(Signal::Person(PersonRequest::Start));
    assert_eq!(actions, [Action::Restart { safe_mode: false, hung: true }]);
}

#[test]
fn a_proxy_in_safe_mode_is_so_until_it_is_started_anew() {
    let mut bench = Bench::up();
    bench.send(Signal::ProxyStarted(latimer_watchdog::signal::ProxyStarted {
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
fn a_start_that_was_never_answered_and_died_is_a_failure() {
    let mut bench = Bench::up();
    bench.obeys = false;
    bench.send(killed(9));
    assert_eq!(names(&bench.pass(1)), ["start"]);
    bench.send(crash(1));
    let killed = Pattern::new(Fault::ProxyGone).with(Fact::Cause, "signal_9");
    let incident = bench.state.record().incidents.get(&killed).expect("recorded");
    assert_eq!((incident.fixes[0].remedy, incident.fixes[0].failures), (Remedy::RestartProxy, 1));
}

#[test]
fn the_end_of_what_is_being_restarted_is_no_second_crash() {
    let mut bench = Bench::up();
    bench.obeys = false;
    for _ in 0..3 {
        bench.send(missed(MissReason::Timeout));
    }
    assert_eq!(names(&bench.pass(1)), ["restart"]);
    assert_eq!(names(&bench.settle(killed(9))), NOTHING, "it was ended for the restart");
    bench.send(started(2));
    let end = ProxyExit { pid: 2, signal: Some(9), ..ProxyExit::default() };
    assert_eq!(names(&bench.settle(Signal::ProxyExited(end))), ["alert", "start"], "the new one's end is");
}

#[test]
fn health_with_a_gap_does_not_begin_the_back_off_again() {
    let waits = |gap: Signal| {
        let mut bench = Bench::up();
        bench.settle(killed(9));
        bench.send(started(2));
        bench.pass_healthy(50);
        bench.send(gap);
        bench.pass_healthy(50);
        bench.send(killed(9));
        bench.state.wake_in().map(|wait| wait.as_millis())
    };
    assert_eq!(waits(health()), Some(100));
    assert_eq!(waits(missed(MissReason::Timeout)), Some(200));
    assert_eq!(waits(probe_failed()), Some(200));
}

#[test]
fn a_silenced_end_is_left_alone() {
    let mut bench = Bench::up();
    bench.send(Signal::Person(PersonRequest::Silence { fault: Fault::ProxyGone, until: None }));
    assert_eq!(names(&bench.settle(killed(9))), NOTHING);
    assert_eq!(names(&bench.pass(4000)), NOTHING);
    let unsilence = Signal::Person(PersonRequest::Unsilence { fault: Fault::ProxyGone });
    assert_eq!(names(&bench.send(unsilence)), ["start"], "it is still down");
}

#[test]
fn a_port_that_was_taken_is_tried_again() {
    let mut bench = Bench::with(Settings::default());
    bench.obeys = false;
    bench.send(Signal::Person(PersonRequest::Start));
    bench.send(Signal::BindConflict(BindConflict::default()));
    let id = bench.last("start").expect("given").id;
    bench.send(Signal::Outcome(Outcome { id, done: false, error: None }));
    assert_eq!(names(&bench.pass(59)), NOTHING);
    assert_eq!(names(&bench.pass(2)), ["start"]);
}

#[test]
fn a_start_by_a_person_forgets_the_crashes_before() {
    let mut bench = Bench::up();
    for _ in 0..3 {
        bench.send(killed(9));
        bench.pass(1);
        bench.send(started(2));
    }
    bench.send(Signal::Person(PersonRequest::Stop));
    bench.send(Signal::Person(PersonRequest::Start));
    bench.send(started(3));
    bench.send(killed(9));
    assert_eq!(bench.state.wake_in().map(|wait| wait.as_millis()), Some(100));
}

#[test]
fn a_stop_takes_back_everything() {
    let mut bench = Bench::up();
    let port = StalePort { client: "codex".to_owned(), file: String::new(), found: 1, expected: 2 };
    bench.send(Signal::StalePort(port));
    assert_eq!(bench.state.status(bench.now).announced.len(), 1);
    bench.send(Signal::Person(PersonRequest::Stop));
    assert_eq!(names(&bench.pass(10)), NOTHING);
}

#[test]
fn a_proxy_that_runs_after_a_fashion_is_better_than_a_held_port() {
    let mut bench = Bench::up();
    for pid in 2..13 {
        bench.send(killed(9));
        bench.pass(31);
        bench.send(started(pid));
        bench.pass_healthy(20);
    }
    assert_eq!(bench.phase(), ProxyPhase::Up);
    let large = Signal::Health(HealthReading { memory_bytes: 2 << 30, ..HealthReading::default() });
    assert_eq!(names(&bench.settle(large)), ["alert"], "there is no room for one more start");
    assert_eq!(bench.phase(), ProxyPhase::Up);
}
