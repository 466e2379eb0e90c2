//! Every fault of the catalogue: what has to be sensed, and what is done about it.

use std::collections::BTreeSet;

use latimer_protocol::status::Fault;
use latimer_watchdog::action::{Action, Level};
use latimer_watchdog::ids::ProcessId;
use latimer_watchdog::settings::Settings;
use latimer_watchdog::signal::{
    BindConflict, CacheCorrupt, ClientDatabase, ClientExit, ClientMemory, DeadPids, HealthReading,
    MissReason, NetworkState, PortOwner, ProbeResult, ProxyEvent, Signal, StalePort, TokenExpiring,
};
use latimer_watchdog::time::Time;

use crate::support::{
    BEGIN, Bench, alerts, crash, event, foreign, health, killed, missed, named, names, probe_failed,
    probe_ok, turn_ok,
};

/// One case: the fault, a name, signals one second apart, and what is done within four seconds of the last one. The
/// signals before the last one lead to nothing but `ignore`, unless they are named in `before`.
#[derive(Clone)]
struct Case {
    fault: Fault,
    name: &'static str,
    signals: Vec<Signal>,
    before: &'static [&'static str],
    want: &'static [&'static str],
}

fn case(fault: Fault, name: &'static str, signals: Vec<Signal>, want: &'static [&'static str]) -> Case {
    Case { fault, name, signals, before: &[], want }
}

/// The same signal so many times.
fn again(signal: Signal, times: usize) -> Vec<Signal> {
    vec![signal; times]
}

/// A failed turn with a finer cause.
fn with(cause: &str) -> Signal {
    Signal::Proxy(ProxyEvent {
        event: "turn.retry".to_owned(),
        failure: Some("unreachable".to_owned()),
        cause: Some(cause.to_owned()),
        endpoint: Some("kimi".to_owned()),
        ..ProxyEvent::default()
    })
}

fn cases() -> Vec<Case> {
    [proxy_cases(), provider_cases(), model_cases(), client_cases(), state_cases()].concat()
}

fn proxy_cases() -> Vec<Case> {
    use Fault::{
        CertificateRejected, NameUnresolved, PortTaken, ProxyCrashed, ProxyGone, ProxyMemoryHigh,
        ProxyUnresponsive,
    };
    let memory = |memory_bytes| Signal::Health(HealthReading { memory_bytes, ..HealthReading::default() });
    let lagging = Signal::Health(HealthReading {
        loop_lag_ms: 5000,
        memory_bytes: 60 << 20,
        ..HealthReading::default()
    });
    let conflict = |ours| {
        let process = ProcessId { pid: 77, started: 5 };
        Signal::BindConflict(BindConflict {
            port: 8484,
            owner: Some(PortOwner { process, name: "nginx".to_owned(), ours }),
        })
    };
    vec![
        case(ProxyGone, "killed from outside", vec![killed(9)], &["alert", "start"]),
        case(
            ProxyGone,
            "an adopted one is refused",
            again(missed(MissReason::Refused), 3),
            &["alert", "restart"],
        ),
        case(
            ProxyGone,
            "a foreign log says so, and a turn works",
            vec![foreign(ProxyGone), probe_ok()],
            &["ignore"],
        ),
        case(
            ProxyGone,
            "the proxy's own log says so: a process that writes lives",
            vec![named(ProxyGone), probe_ok()],
            &["ignore"],
        ),
        case(ProxyMemoryHigh, "over the limit", vec![memory(2 << 30)], &["replace"]),
        case(ProxyUnresponsive, "three misses", again(missed(MissReason::Timeout), 3), &["alert", "restart"]),
        case(ProxyUnresponsive, "two misses", again(missed(MissReason::Timeout), 2), &[]),
        case(
            ProxyUnresponsive,
            "an answer in between",
            vec![
                missed(MissReason::Timeout),
                missed(MissReason::Timeout),
                health(),
                missed(MissReason::Timeout),
                missed(MissReason::Timeout),
            ],
            &[],
        ),
        case(ProxyUnresponsive, "alive but dead", again(probe_failed(), 2), &["alert", "restart"]),
        case(
            ProxyUnresponsive,
            "a turn works in between",
            vec![probe_failed(), probe_ok(), probe_failed()],
            &[],
        ),
        case(ProxyUnresponsive, "late event loop", again(lagging, 5), &["alert"]),
        case(ProxyCrashed, "ended with a code", vec![crash(1)], &["alert", "start"]),
        case(ProxyCrashed, "a request failed inside", vec![event("internal", 500)], &["alert"]),
        case(CertificateRejected, "certificate", vec![with("tls")], &["alert"]),
        case(NameUnresolved, "resolver", vec![with("dns")], &["retry"]),
        case(
            NameUnresolved,
            "no network at all",
            vec![Signal::Network(NetworkState { up: false })],
            &["alert"],
        ),
        // While no proxy is up: a port that somebody else holds.
        case(
            PortTaken,
            "ours",
            vec![
                Signal::ProxyExited(latimer_watchdog::signal::ProxyExit {
                    code: Some(98),
                    ..Default::default()
                }),
                conflict(true),
            ],
            &["kill_stale", "start"],
        ),
        case(
            PortTaken,
            "somebody else's",
            vec![
                Signal::ProxyExited(latimer_watchdog::signal::ProxyExit {
                    code: Some(98),
                    ..Default::default()
                }),
                conflict(false),
            ],
            &["alert"],
        ),
    ]
}

fn provider_cases() -> Vec<Case> {
    use Fault::{
        BotFilter, ClientLeft, ClientVersionRefused, KeyRefused, NoCapacity, ProviderUnreachable,
        RateLimited, RequestRefused, ServerError, StreamInterrupted,
    };
    vec![
        case(RateLimited, "burst", vec![event("rate_limited", 429)], &["wait"]),
        case(RateLimited, "window", vec![event("window_exhausted", 429)], &["wait"]),
        case(RateLimited, "balance", vec![event("quota_exhausted", 429)], &["alert"]),
        case(ServerError, "once", vec![event("upstream_error", 500)], &["retry"]),
        case(ServerError, "three in a row", again(event("upstream_error", 500), 3), &["alert", "retry"]),
        Case {
            before: &["retry"],
            ..case(
                ServerError,
                "a turn works in between",
                vec![
                    event("upstream_error", 500),
                    turn_ok(),
                    event("upstream_error", 500),
                    event("upstream_error", 500),
                ],
                &[],
            )
        },
        case(KeyRefused, "refused key", vec![event("unauthorized", 401)], &["alert"]),
        case(ClientVersionRefused, "old client", vec![with("upgrade_required")], &["alert"]),
        case(ProviderUnreachable, "too slow", vec![event("timeout", 0)], &["raise_timeout"]),
        case(StreamInterrupted, "once", vec![event("interrupted", 0)], &["ignore"]),
        case(StreamInterrupted, "three", again(event("interrupted", 0), 3), &["reconnect"]),
        Case {
            before: &["reconnect"],
            ..case(StreamInterrupted, "six", again(event("interrupted", 0), 6), &["restart"])
        },
        case(ClientLeft, "the client left", vec![foreign(ClientLeft)], &["ignore"]),
        case(RequestRefused, "a field is refused", vec![event("bad_request", 400)], &["clear_capabilities"]),
        case(NoCapacity, "no capacity", vec![event("overloaded", 503)], &["alert"]),
        case(BotFilter, "bot filter", vec![with("bot_filter")], &["alert"]),
    ]
}

fn model_cases() -> Vec<Case> {
    use Fault::{
        BareExplore, BashWithoutCommand, CallNotFound, EmptyCommand, EscalationRequest, LoneBrace,
        ParameterSpelling, RepetitionLoop, SuspiciousCommand, WrappedCommand,
    };
    vec![
        case(BareExplore, "three", again(named(BareExplore), 3), &["clear_capabilities"]),
        Case {
            before: &["clear_capabilities"],
            ..case(BareExplore, "six", again(named(BareExplore), 6), &["alert"])
        },
        case(EscalationRequest, "five", again(named(EscalationRequest), 5), &["alert"]),
        case(EscalationRequest, "four", again(named(EscalationRequest), 4), &[]),
        case(CallNotFound, "five, and no model to ask", again(named(CallNotFound), 5), &["alert"]),
        case(WrappedCommand, "still wrapped", vec![named(WrappedCommand)], &["alert"]),
        case(SuspiciousCommand, "three", again(named(SuspiciousCommand), 3), &["clear_capabilities"]),
        case(SuspiciousCommand, "five", again(named(SuspiciousCommand), 5), &["alert", "clear_capabilities"]),
        case(EmptyCommand, "three", again(named(EmptyCommand), 3), &["alert"]),
        case(LoneBrace, "five, and no model to ask", again(named(LoneBrace), 5), &["alert"]),
        case(
            BashWithoutCommand,
            "three, and no model to ask",
            again(named(BashWithoutCommand), 3),
            &["alert"],
        ),
        case(ParameterSpelling, "another spelling", vec![named(ParameterSpelling)], &["ignore"]),
        case(RepetitionLoop, "a loop", vec![named(RepetitionLoop)], &["alert"]),
    ]
}

fn client_cases() -> Vec<Case> {
    use Fault::{
        ClientDatabaseMalformed, ClientGone, ClientMemoryHigh, ClientReconnecting, ClientStreamLost,
        ContextTooLong,
    };
    let client = |code, signal| {
        Signal::ClientExited(ClientExit { pid: 9, name: "codex".to_owned(), code, signal, resume: None })
    };
    let database = |generated| {
        Signal::ClientDatabase(ClientDatabase { client: "codex".to_owned(), file: String::new(), generated })
    };
    vec![
        case(ClientGone, "crashed", vec![client(None, Some(11))], &["alert"]),
        case(ClientGone, "ended by the person", vec![client(None, Some(2))], &[]),
        case(ClientGone, "ended well", vec![client(Some(0), None)], &[]),
        case(
            ClientMemoryHigh,
            "five gibibytes",
            vec![Signal::ClientMemory(ClientMemory {
                pid: 9,
                name: "codex".to_owned(),
                memory_bytes: 5 << 30,
            })],
            &["alert"],
        ),
        case(
            ClientMemoryHigh,
            "three gibibytes",
            vec![Signal::ClientMemory(ClientMemory {
                pid: 9,
                name: "codex".to_owned(),
                memory_bytes: 3 << 30,
            })],
            &[],
        ),
        case(ClientStreamLost, "and a turn works", vec![foreign(ClientStreamLost), probe_ok()], &["ignore"]),
        case(
            ClientStreamLost,
            "and a turn fails",
            vec![foreign(ClientStreamLost), probe_failed()],
            &["restart"],
        ),
        case(ClientDatabaseMalformed, "a file of ours", vec![database(true)], &["regenerate_config"]),
        case(ClientDatabaseMalformed, "a file of the person", vec![database(false)], &["alert"]),
        case(ContextTooLong, "too long", vec![named(ContextTooLong), named(ContextTooLong)], &[]),
        case(ClientReconnecting, "once", vec![foreign(ClientReconnecting)], &[]),
        case(
            ClientReconnecting,
            "three, and a turn fails",
            vec![
                foreign(ClientReconnecting),
                foreign(ClientReconnecting),
                foreign(ClientReconnecting),
                probe_failed(),
            ],
            &["restart"],
        ),
    ]
}

fn state_cases() -> Vec<Case> {
    use Fault::{AllRoutesResting, DeadRegistryEntries, LearnedStateCorrupt, LoginExpiring, StaleClientPort};
    let token = |expires_at, refresh_failed| {
        Signal::TokenExpiring(TokenExpiring {
            login: "google".to_owned(),
            account: "a".to_owned(),
            expires_at,
            refresh_failed,
        })
    };
    let later = Time::from_secs(BEGIN.as_secs() + 600);
    vec![
        case(
            LearnedStateCorrupt,
            "corrupt",
            vec![Signal::CacheCorrupt(CacheCorrupt::default())],
            &["clear_capabilities"],
        ),
        case(
            DeadRegistryEntries,
            "gone",
            vec![Signal::DeadPids(DeadPids { processes: vec![ProcessId { pid: 5, started: 6 }] })],
            &["clean_state"],
        ),
        case(
            StaleClientPort,
            "old port",
            vec![Signal::StalePort(StalePort {
                client: "codex".to_owned(),
                file: String::new(),
                found: 1,
                expected: 2,
            })],
            &["regenerate_config"],
        ),
        case(
            StaleClientPort,
            "our port",
            vec![Signal::StalePort(StalePort {
                client: "codex".to_owned(),
                file: String::new(),
                found: 2,
                expected: 2,
            })],
            &[],
        ),
        case(LoginExpiring, "refresh fails", vec![token(later, true)], &["alert"]),
        case(LoginExpiring, "over", vec![token(BEGIN, false)], &["alert"]),
        case(LoginExpiring, "near, and refreshing works", vec![token(later, false)], &[]),
        case(
            AllRoutesResting,
            "all rest",
            vec![Signal::Proxy(ProxyEvent {
                event: "routes.none".to_owned(),
                until: Some(later),
                ..ProxyEvent::default()
            })],
            &["alert"],
        ),
    ]
}

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
