//! The table of cases: for each fault of the catalogue, what is sensed and what is done about it.

use latimer_protocol::status::Fault;
use latimer_watchdog::ids::ProcessId;
use latimer_watchdog::signal::{
    BindConflict, CacheCorrupt, ClientDatabase, ClientExit, ClientMemory, DeadPids, HealthReading,
    MissReason, NetworkState, PortOwner, ProxyEvent, Signal, StalePort, TokenExpiring,
};
use latimer_watchdog::time::Time;

use crate::support::{
    BEGIN, crash, event, foreign, health, killed, missed, named, probe_failed, probe_ok, turn_ok,
};

/// One case: the fault, a name, signals one second apart, and what is done within four seconds of the last one. The
/// signals before the last one lead to nothing but `ignore`, unless they are named in `before`.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) fault: Fault,
    pub(crate) name: &'static str,
    pub(crate) signals: Vec<Signal>,
    pub(crate) before: &'static [&'static str],
    pub(crate) want: &'static [&'static str],
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

pub(crate) fn cases() -> Vec<Case> {
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
