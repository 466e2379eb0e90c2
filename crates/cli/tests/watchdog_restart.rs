//! The proxy dies, hangs, or cannot start, and clients are not refused.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::time::{Duration, Instant};

use latimer_adapters::scripted::{ScriptedAnswer, Step};
use support::watchdog::{End, Load, WatchdogHarness, kill, lives, logs};

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
    let mut harness = WatchdogHarness::new("kill", [short()]);
    let clients = if rounds() > 3 { 50 } else { 4 };
    let load = Load::begin(&harness.client(), clients);
    let mut slowest = Duration::ZERO;
    for _ in 0..rounds() {
        let begun = load.complete();
        harness.until("the load is under way", |_| load.complete() > begun + 4 * clients as u64);
        let old = harness.proxy().expect("it serves");
        let before = load.complete();
        kill("KILL", old);
        let killed_at = Instant::now();
        harness.until("turns complete again", |harness| {
            !lives(old) && load.complete() > before + 4 && harness.proxy().is_some_and(|pid| pid != old)
        });
        slowest = slowest.max(killed_at.elapsed());
        if rounds() > 3 {
            // A person's restart forgets the crashes: this test is about the first back-off, not about giving up.
            let crashed = harness.proxy();
            assert!(harness.ask("restart").is_some());
            harness.until("the restarted one serves", |harness| {
                harness.proxy() != crashed && harness.status()["phase"] == "serving"
            });
        }
    }
    let [complete, failed, cut, refused] = load.end();
    assert_eq!(refused, 0, "complete {complete}, failed {failed}, cut {cut}\n{}", logs(&harness.dir));
    assert_eq!(failed, 0, "{}", logs(&harness.dir));
    assert!(cut <= u64::from(rounds()) * clients as u64, "only what was open may be cut: {cut}");
    assert!(complete > 20, "{complete}");
    // The goal for a release build is half a second. The short run may share its machine with anything.
    let limit = Duration::from_secs(if rounds() > 3 { 5 } else { 60 });
    assert!(slowest < limit, "{slowest:?}");
    let proxy = harness.proxy().expect("it serves");
    assert_eq!(harness.stop(), Some(0));
    assert!(!lives(proxy), "nothing is left behind");
    assert!(!harness.dir.join("state/watchdog.sock").exists());
}

#[test]
fn an_upgrade_under_load_fails_no_request() {
    let harness = WatchdogHarness::new("upgrade", [short()]);
    let load = Load::begin(&harness.client(), 4);
    for round in 0..3 {
        let old = harness.proxy().expect("it serves");
        let begun = load.complete();
        harness.until("the load is under way", |_| load.complete() > begun + 4);
        if round == 1 {
            kill("HUP", harness.watchdog.id());
        } else {
            let answer =
                harness.ask("upgrade").unwrap_or_else(|| panic!("not upgraded\n{}", logs(&harness.dir)));
            assert_eq!(answer["pid"].as_u64(), harness.proxy().map(u64::from));
        }
        harness.until("the new proxy serves", |harness| harness.proxy().is_some_and(|pid| pid != old));
        harness.until("the old one is gone", |_| !lives(old));
    }
    let [complete, failed, cut, refused] = load.end();
    assert_eq!((failed, cut, refused), (0, 0, 0), "{complete} complete\n{}", logs(&harness.dir));
    assert_eq!(harness.client().turn().0, End::Complete);
}
