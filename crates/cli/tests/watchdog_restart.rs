//! The proxy dies, hangs, or cannot start, and clients are not refused.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::time::{Duration, Instant};

use latimer_adapters::scripted::{ScriptedAnswer, Step};
use support::pair::{End, Load, Pair, kill, lives, logs};

/// A short turn with a few events, so that a kill hits some in the middle.
fn short() -> ScriptedAnswer {
    ScriptedAnswer::turn([Step::Text { text: "one two three four".to_owned(), pieces: 4, gap_us: 2_000 }])
}

/// How long the test that kills goes on: a minute with `LATIMER_LONG` set.
fn rounds() -> u32 {
    if std::env::var_os("LATIMER_LONG").is_some() { 30 } else { 3 }
}

#[test]
fn killing_the_proxy_under_load_refuses_nobody() {
    let mut pair = Pair::new("kill", [short()]);
    let clients = if rounds() > 3 { 50 } else { 4 };
    let load = Load::begin(&pair.client(), clients);
    let mut slowest = Duration::ZERO;
    for _ in 0..rounds() {
        std::thread::sleep(Duration::from_millis(if rounds() > 3 { 2_000 } else { 700 }));
        let old = pair.proxy().expect("it serves");
        let before = load.complete();
        kill("KILL", old);
        let begun = Instant::now();
        pair.until("turns complete again", |pair| {
            !lives(old) && load.complete() > before + 4 && pair.proxy().is_some_and(|pid| pid != old)
        });
        slowest = slowest.max(begun.elapsed());
        if rounds() > 3 {
            // A person's restart forgets the crashes: this test is about the first back-off, not about giving up.
            let crashed = pair.proxy();
            assert!(pair.ask("restart").is_some());
            pair.until("the restarted one serves", |pair| {
                pair.proxy() != crashed && pair.status()["phase"] == "serving"
            });
        }
    }
    let [complete, failed, cut, refused] = load.end();
    assert_eq!(refused, 0, "complete {complete}, failed {failed}, cut {cut}\n{}", logs(&pair.dir));
    assert_eq!(failed, 0, "{}", logs(&pair.dir));
    assert!(cut <= u64::from(rounds()) * clients as u64, "only what was open may be cut: {cut}");
    assert!(complete > 20, "{complete}");
    // Wide enough for a busy machine and a debug build; the goal for a release build is half a second.
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    let proxy = pair.proxy().expect("it serves");
    assert_eq!(pair.stop(), Some(0));
    assert!(!lives(proxy), "nothing is left behind");
    assert!(!pair.dir.join("state/watchdog.sock").exists());
}

#[test]
fn an_upgrade_under_load_fails_no_request() {
    let pair = Pair::new("upgrade", [short()]);
    let load = Load::begin(&pair.client(), 4);
    for round in 0..3 {
        let old = pair.proxy().expect("it serves");
        std::thread::sleep(Duration::from_millis(200));
        if round == 1 {
            kill("HUP", pair.watchdog.id());
        } else {
            let answer = pair.ask("upgrade").unwrap_or_else(|| panic!("not upgraded\n{}", logs(&pair.dir)));
            assert_eq!(answer["pid"].as_u64(), pair.proxy().map(u64::from));
        }
        pair.until("the new proxy serves", |pair| pair.proxy().is_some_and(|pid| pid != old));
        pair.until("the old one is gone", |_| !lives(old));
    }
    let [complete, failed, cut, refused] = load.end();
    assert_eq!((failed, cut, refused), (0, 0, 0), "{complete} complete\n{}", logs(&pair.dir));
    assert_eq!(pair.client().turn().0, End::Complete);
}
