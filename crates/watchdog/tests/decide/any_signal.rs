//! Strategies: any signal, as it may come from anywhere.

use std::time::Duration;

use latimer_protocol::status::Fault;
use latimer_watchdog::ids::{ActionId, ProcessId};
use latimer_watchdog::signal::{
    BindConflict, CacheCorrupt, ClientDatabase, ClientExit, ClientMemory, DeadPids, Diagnosis,
    ForeignLogMatch, HealthReading, MissReason, MissedCheck, NetworkState, Outcome, PersonRequest, PortOwner,
    ProbeResult, ProxyEvent, ProxyExit, ProxyStarted, Signal, StalePort, TokenExpiring,
};
use latimer_watchdog::time::Time;
use proptest::prelude::*;

use crate::support::BEGIN;

fn fault() -> impl Strategy<Value = Fault> {
    prop::sample::select(Fault::all().collect::<Vec<_>>())
}

fn pid() -> impl Strategy<Value = u32> {
    0u32..4
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(vec!["kimi", "zai", "codex"]).prop_map(str::to_owned),
        1 => "\\PC{0,80}",
    ]
}

fn proxy_event() -> impl Strategy<Value = Signal> {
    let failures = vec![
        "rate_limited",
        "quota_exhausted",
        "unauthorized",
        "forbidden",
        "overloaded",
        "upstream_error",
        "unreachable",
        "timeout",
        "interrupted",
        "bad_request",
        "context_length_exceeded",
        "internal",
        "no such code",
    ];
    let failure = prop::option::of(prop::sample::select(failures).prop_map(str::to_owned));
    let cause = prop::option::of(
        prop::sample::select(vec!["tls", "dns", "bot_filter", "loop"]).prop_map(str::to_owned),
    );
    let finish =
        prop::option::of(prop::sample::select(vec!["stop", "failed", "client_left"]).prop_map(str::to_owned));
    let many = (failure, cause, finish, prop::option::of(word()), prop::option::of(any::<u16>()));
    (many, prop::option::of(fault()), prop::option::of(any::<u64>()), word()).prop_map(
        |((failure, cause, finish, endpoint, status), fault, retry_after_ms, model)| {
            Signal::Proxy(ProxyEvent {
                event: "turn.done".to_owned(),
                fault,
                failure,
                cause,
                endpoint,
                model: Some(model),
                status,
                retry_after_ms,
                finish,
                ..ProxyEvent::default()
            })
        },
    )
}

fn person() -> impl Strategy<Value = PersonRequest> {
    prop_oneof![
        2 => Just(PersonRequest::Start),
        1 => Just(PersonRequest::Stop),
        1 => Just(PersonRequest::Restart),
        1 => Just(PersonRequest::Upgrade),
        1 => (fault(), prop::option::of(0u64..4000)).prop_map(|(fault, secs)| PersonRequest::Silence {
            fault,
            until: secs.map(|secs| BEGIN.plus(Duration::from_secs(secs))),
        }),
        1 => fault().prop_map(|fault| PersonRequest::Unsilence { fault }),
        2 => (0u64..200).prop_map(|id| PersonRequest::Cancelled { id: ActionId(id) }),
        2 => (0u64..200).prop_map(|id| PersonRequest::Accepted { id: ActionId(id) }),
    ]
}

fn reply() -> impl Strategy<Value = Option<String>> {
    let actions = vec![
        "restart_proxy",
        "kill_stale_processes",
        "clear_schema_cache",
        "switch_provider",
        "increase_timeout",
        "regenerate_config",
        "cleanup_codex_stale",
        "alert_user",
        "ignore",
        "retry_now",
        "delete_everything",
    ];
    let good = prop::sample::select(actions)
        .prop_map(|action| Some(format!("{{\"action\":\"{action}\",\"reason\":\"r\",\"confidence\":0.9}}")));
    prop_oneof![3 => good, 1 => Just(None), 1 => "\\PC{0,60}".prop_map(Some)]
}

pub(crate) fn signal() -> impl Strategy<Value = Signal> {
    let miss = |kind| MissedCheck { why: kind, waited_ms: 1000 };
    let kinds = vec![
        MissReason::Refused,
        MissReason::Timeout,
        MissReason::Reset,
        MissReason::Status,
        MissReason::Garbage,
    ];
    let kind = move || prop::sample::select(kinds.clone());
    let exit = (pid(), prop::option::of(-1i32..3), prop::option::of(0i32..16), any::<bool>());
    let life = prop_oneof![
        (pid(), any::<bool>()).prop_map(|(pid, safe_mode)| {
            Signal::ProxyStarted(ProxyStarted { pid, safe_mode, adopted: false })
        }),
        exit.prop_map(|(pid, code, signal, wanted)| Signal::ProxyExited(ProxyExit {
            pid,
            code,
            signal,
            wanted
        })),
        (pid(), any::<u64>(), any::<u64>()).prop_map(|(pid, memory_bytes, loop_lag_ms)| {
            Signal::Health(HealthReading { pid, memory_bytes, loop_lag_ms, ..HealthReading::default() })
        }),
        (pid(), 0u64..(1 << 29)).prop_map(|(pid, memory_bytes)| {
            Signal::Health(HealthReading { pid, memory_bytes, ..HealthReading::default() })
        }),
        kind().prop_map(move |why| Signal::HealthMissed(miss(why))),
        kind().prop_map(move |why| Signal::ProbeFailed(miss(why))),
        Just(Signal::ProbeOk(ProbeResult::default())),
        prop::option::of((pid(), word(), any::<bool>())).prop_map(|owner| {
            let owner = owner.map(|(pid, name, ours)| PortOwner {
                process: ProcessId { pid, started: 1 },
                name,
                ours,
            });
            Signal::BindConflict(BindConflict { port: 8484, owner })
        }),
        Just(Signal::ConfigChanged),
    ];
    let around = prop_oneof![
        (fault(), word()).prop_map(|(fault, source)| Signal::Foreign(ForeignLogMatch { fault, source })),
        any::<bool>().prop_map(|up| Signal::Network(NetworkState { up })),
        (pid(), word(), prop::option::of(any::<i32>()), prop::option::of(0i32..16)).prop_map(
            |(pid, name, code, signal)| Signal::ClientExited(ClientExit {
                pid,
                name,
                code,
                signal,
                resume: None
            })
        ),
        (pid(), word(), any::<u64>()).prop_map(|(pid, name, memory_bytes)| {
            Signal::ClientMemory(ClientMemory { pid, name, memory_bytes })
        }),
        (word(), word(), any::<bool>()).prop_map(|(client, file, generated)| {
            Signal::ClientDatabase(ClientDatabase { client, file, generated })
        }),
        (word(), word(), any::<u16>(), any::<u16>()).prop_map(|(client, file, found, expected)| {
            Signal::StalePort(StalePort { client, file, found, expected })
        }),
        prop::collection::vec((pid(), 0u64..3), 0..3).prop_map(|all| {
            let processes = all.into_iter().map(|(pid, started)| ProcessId { pid, started }).collect();
            Signal::DeadPids(DeadPids { processes })
        }),
        (word(), any::<bool>())
            .prop_map(|(file, known_bad)| Signal::CacheCorrupt(CacheCorrupt { file, known_bad })),
        (word(), word(), any::<u64>(), any::<bool>()).prop_map(|(login, account, at, refresh_failed)| {
            Signal::TokenExpiring(TokenExpiring {
                login,
                account,
                expires_at: Time::from_millis(at),
                refresh_failed,
            })
        }),
    ];
    let answers = prop_oneof![
        (0u64..200, any::<bool>())
            .prop_map(|(id, done)| { Signal::Outcome(Outcome { id: ActionId(id), done, error: None }) }),
        (0u64..200, reply(), any::<u64>()).prop_map(|(id, reply, tokens)| {
            let id = ActionId(id);
            Signal::Diagnosis(Diagnosis {
                id,
                reply,
                input_tokens: tokens,
                output_tokens: tokens,
                cost_micros: None,
            })
        }),
    ];
    prop_oneof![
        8 => life,
        4 => around,
        4 => proxy_event(),
        2 => person().prop_map(Signal::Person),
        2 => answers,
        3 => Just(Signal::Tick),
    ]
}
