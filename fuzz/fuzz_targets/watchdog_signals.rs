//! A recording of any kind is played without a panic, the same each time, and within the cap of starts.
#![no_main]

use latimer_watchdog::action::{Action, Proposer};
use latimer_watchdog::decide::State;
use latimer_watchdog::guard::restarts::{MAX_STARTS, START_WINDOW};
use latimer_watchdog::record::Record;
use latimer_watchdog::rules::Rules;
use latimer_watchdog::settings::Settings;
use latimer_watchdog::simulate::replay;
use libfuzzer_sys::fuzz_target;

/// Lines that are worth repeating; a byte of input is one of them, after a wait.
const LINES: [&str; 12] = [
    r#""signal":"person","said":"start""#,
    r#""signal":"proxy_started","pid":1"#,
    r#""signal":"proxy_exited","code":1"#,
    r#""signal":"proxy_exited","ended_by":9"#,
    r#""signal":"health","pid":1,"memory_bytes":2000000000"#,
    r#""signal":"health","pid":1"#,
    r#""signal":"health_missed","why":"timeout""#,
    r#""signal":"probe_failed","why":"garbage""#,
    r#""signal":"foreign","fault":"D3","source":"codex""#,
    r#""signal":"proxy","event":"turn.retry","failure":"upstream_error","status":500,"endpoint":"kimi""#,
    r#""signal":"bind_conflict","port":1"#,
    r#""signal":"network","up":false"#,
];

fuzz_target!(|data: &[u8]| {
    let mut at = 1_700_000_000_000u64;
    let mut text = String::new();
    for pair in data.chunks(2).take(2000) {
        at += u64::from(pair.get(1).copied().unwrap_or(1)).pow(2);
        let line = LINES[usize::from(pair[0]) % LINES.len()];
        text.push_str(&format!("{{\"at\":{at},{line}}}\n"));
    }
    let play = || {
        let mut state = State::new(Settings::default(), Rules::default(), Record::default());
        replay(&text, &mut state)
    };
    let first = play();
    assert!(first.bad.is_empty(), "{:?}", first.bad);
    assert_eq!(first, play());
    // A person who begins anew lets the guard forget, so only what lies between two such requests is counted.
    for story in first.did.split(|did| did.order.by == Proposer::Person) {
        let starts: Vec<_> = story
            .iter()
            .filter(|did| matches!(did.order.action, Action::Start { .. } | Action::Restart { .. } | Action::Replace))
            .map(|did| did.at)
            .collect();
        for (place, start) in starts.iter().enumerate() {
            let within = starts[place..].iter().filter(|at| at.since(*start) <= START_WINDOW).count();
            assert!(within <= MAX_STARTS, "{within} starts");
        }
    }
});
