//! Every fault of the catalogue: what has to be sensed, and what is done about it.

use std::collections::BTreeSet;

use latimer_protocol::status::Fault;
use latimer_watchdog::action::{Action, Level};
use latimer_watchdog::ids::ProcessId;
use latimer_watchdog::settings::Settings;
use latimer_watchdog::signal::{
    BindConflict, ClientExit, HealthReading, NetworkState, PortOwner, ProbeResult, ProxyEvent, Signal,
};

use crate::fault_cases::cases;
use crate::support::{BEGIN, Bench, alerts, event, names};

#[test]
fn every_case_does_what_the_catalogue_says() {
    let mut failed = Vec::new();
    for case in cases() {
        let mut bench = Bench::up();
        let mut before = Vec::new();
        let (last, first) = case.signals.split_last().expect("a signal");
        for signal in first {
            before.extend(names(&bench.send(signal.clone())));
            before.extend(names(&bench.pass(1)));
        }
        before.retain(|name| *name != "ignore" && *name != "probe");
        let asked_twice = matches!(case.fault, Fault::PortTaken | Fault::ContextTooLong);
        let got = names(&bench.settle(last.clone()));
        if got != case.want || (!asked_twice && before != case.before) {
            failed.push(format!(
                "{} {}: before {before:?}, then {got:?}, not {:?}",
                case.fault, case.name, case.want
            ));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn every_fault_has_a_case() {
    let cases: BTreeSet<Fault> = cases().iter().map(|case| case.fault).collect();
    assert_eq!(cases, Fault::all().collect());
}

#[test]
fn memory_that_grows_is_a_fault_before_the_limit() {
    let mut bench = Bench::up();
    let mut done = Vec::new();
    for second in 0..900u64 {
        let memory_bytes = (200 << 20) + second * (1 << 20) / 2;
        done.extend(names(
            &bench.send(Signal::Health(HealthReading { memory_bytes, ..HealthReading::default() })),
        ));
        done.extend(names(&bench.pass(1)));
        if done.contains(&"replace") {
            assert!((300..420).contains(&second), "after five minutes of growth, not at {second} s");
            assert!(memory_bytes < 400 << 20, "far below the limit of a gibibyte");
            return;
        }
    }
    panic!("never replaced: {done:?}");
}

#[test]
fn turns_that_begin_later_and_later_are_told_of() {
    let mut bench = Bench::up();
    let mut told = Vec::new();
    for second in (0..900u64).step_by(10) {
        let probe = ProbeResult { first_event_ms: 50 + second, total_ms: 60 + second };
        told.extend(alerts(&bench.send(Signal::ProbeOk(probe))).into_iter().cloned());
        bench.pass_healthy(10);
    }
    assert_eq!(told.len(), 1, "said once in half an hour: {told:?}");
    assert!(told[0].what.starts_with("turns begin later and later"));
}

#[test]
fn a_name_cannot_steer_a_terminal() {
    let mut bench = Bench::up();
    let name = "codex\u{1b}[2J\u{7}\nall is well".to_owned();
    let exit = ClientExit {
        pid: 9,
        name,
        signal: Some(11),
        resume: Some("x\r\n".to_owned()),
        ..ClientExit::default()
    };
    let actions = bench.send(Signal::ClientExited(exit));
    let alert = alerts(&actions)[0];
    assert!(!alert.what.chars().chain(alert.run.chars()).any(char::is_control), "{alert:?}");
    assert!(alert.what.contains("codex"));
}

#[test]
fn a_thread_that_is_too_long_is_told_of_once() {
    let mut bench = Bench::up();
    let too_long = |thread: &str| {
        Signal::Proxy(ProxyEvent {
            event: "turn.done".to_owned(),
            failure: Some("context_length_exceeded".to_owned()),
            thread: Some(thread.to_owned()),
            ..ProxyEvent::default()
        })
    };
    assert_eq!(alerts(&bench.send(too_long("one"))).len(), 1);
    bench.pass(4000);
    assert_eq!(alerts(&bench.send(too_long("one"))).len(), 0);
    assert_eq!(alerts(&bench.send(too_long("two"))).len(), 1);
    assert_eq!(bench.state.record().incidents.len(), 1, "threads do not fill the record");
}

#[test]
fn a_foreign_owner_of_the_port_is_named_and_left_alone() {
    let mut bench = Bench::with(Settings::default());
    bench.send(Signal::Person(latimer_watchdog::signal::PersonRequest::Start));
    let owner =
        PortOwner { process: ProcessId { pid: 77, started: 5 }, name: "nginx".to_owned(), ours: false };
    let actions = bench.settle(Signal::BindConflict(BindConflict { port: 8484, owner: Some(owner) }));
    let alerts = alerts(&actions);
    assert_eq!(alerts[0].level, Level::Urgent);
    assert_eq!(alerts[0].what, "port 8484 is held by nginx (process 77)");
    assert!(!names(&actions).contains(&"kill_stale"));
    assert_eq!(names(&bench.pass(60)), ["start"], "the port may be free after a minute");
}

#[test]
fn an_alert_says_what_since_when_what_was_tried_and_what_to_run() {
    let mut bench = Bench::up();
    // Three tries that do not help, then only a person does.
    let mut last = Vec::new();
    for _ in 0..60 {
        last.extend(bench.send(event("timeout", 0)));
        last.extend(bench.pass(20));
    }
    assert_eq!(names(&last).iter().filter(|name| **name == "raise_timeout").count(), 3);
    let alerts = alerts(&last);
    assert_eq!(alerts.len(), 1, "said once an hour: {alerts:?}");
    assert_eq!(alerts[0].since, BEGIN);
    assert_eq!(alerts[0].tried, ["increase_timeout 3 times: helped 0, did not 3"]);
    assert_eq!(alerts[0].run, "latimer endpoints");
    assert!(alerts[0].what.contains("kimi"), "{}", alerts[0].what);
}

#[test]
fn nothing_of_a_dead_network_is_the_providers_fault() {
    let mut bench = Bench::up();
    assert_eq!(alerts(&bench.send(Signal::Network(NetworkState { up: false }))).len(), 1);
    for _ in 0..20 {
        for signal in [event("timeout", 0), event("upstream_error", 502), event("interrupted", 0)] {
            assert_eq!(names(&bench.settle(signal)), [] as [&str; 0]);
        }
    }
    bench.send(Signal::Network(NetworkState { up: true }));
    assert_eq!(names(&bench.settle(event("timeout", 0))), ["raise_timeout"]);
}

#[test]
fn a_wait_is_as_long_as_the_provider_asked_for() {
    let mut bench = Bench::up();
    let limited = |retry_after_ms| {
        Signal::Proxy(ProxyEvent {
            event: "turn.retry".to_owned(),
            failure: Some("rate_limited".to_owned()),
            status: Some(429),
            endpoint: Some("kimi".to_owned()),
            retry_after_ms: Some(retry_after_ms),
            ..ProxyEvent::default()
        })
    };
    let actions = bench.settle(limited(90_000));
    let want = Action::Wait { endpoint: Some("kimi".to_owned()), for_ms: 90_000 };
    assert!(actions.contains(&want), "{actions:?}");
    bench.pass(60);
    assert_eq!(names(&bench.settle(limited(90_000))), [] as [&str; 0], "it rests already");
    bench.pass(30);
    let absurd = bench.settle(limited(u64::MAX));
    assert!(
        absurd.contains(&Action::Wait { endpoint: Some("kimi".to_owned()), for_ms: 3_600_000 }),
        "{absurd:?}"
    );
}
