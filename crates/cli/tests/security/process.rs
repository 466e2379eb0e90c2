//! What the system knows of the processes: memory, limits, and how soon a hung one is replaced.

use latimer_adapters::scripted::{ScriptedAnswer, Step};

use crate::support::watchdog::WatchdogHarness;
use crate::support::{Harness, status};

const REQUEST: &str = r#"{"model":"glm-5","stream":true,"input":"go"}"#;

fn core_limit(pid: u32) -> u64 {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("limits");
    let line = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a line");
    line.split_ascii_whitespace().nth(4).and_then(|soft| soft.parse().ok()).unwrap_or(u64::MAX)
}

#[test]
#[cfg(target_os = "linux")]
fn no_process_with_keys_leaves_a_core_dump() {
    let harness = Harness::new("core", [ScriptedAnswer::text("Whole.")]);
    assert_eq!(status(&harness.post(REQUEST, "")), 200);
    assert_eq!(core_limit(harness.proxy.id()), 0);
    harness.signal("ABRT");
    let mut harness = harness;
    let ended = harness.proxy.wait().expect("ended");
    assert!(!std::os::unix::process::ExitStatusExt::core_dumped(&ended), "{ended:?}");
    let watched = WatchdogHarness::new("core-watched", [ScriptedAnswer::text("Whole.")]);
    assert_eq!(core_limit(watched.watchdog.id()), 0);
    // One byte: a watchdog may look into its proxy, and no program is called that collects dumps.
    assert!(core_limit(watched.proxy().expect("one serves")) <= 1);
}

#[test]
fn a_hung_proxy_is_replaced_in_time() {
    let harness = WatchdogHarness::new("hung", [ScriptedAnswer::text("Whole.")]);
    let first = harness.proxy().expect("one serves");
    crate::support::watchdog::kill("STOP", first);
    let took = harness.until("another one serves", |harness| {
        harness.status()["phase"] == "serving" && harness.proxy().is_some_and(|proxy| proxy != first)
    });
    // The promise is three seconds on a machine that does nothing else; what is checked here is that nobody waits for a longer clock.
    assert!(took.as_secs() < 30, "{took:?}");
    let settings = latimer_watchdog::settings::Settings::default();
    assert!(settings.health_interval.as_millis() * 3 < 2_000, "three misses leave a second to start anew");
}

#[test]
fn comments_alone_keep_no_upstream_alive() {
    let comments = Step::repeat(600, [Step::comment("still here"), Step::sleep(100)]);
    let answer = ScriptedAnswer::steps([Step::text("Half."), comments]);
    let endpoint = "timeouts = { idle = \"500ms\" }\nretries = 0\nresume = 0";
    let harness = Harness::configured("comments", [answer], "", endpoint);
    let begun = std::time::Instant::now();
    let answer = harness.post(REQUEST, "");
    assert!(answer.contains("without any content"), "{answer}");
    // Four times `idle`; the provider would have gone on for a minute.
    assert!(begun.elapsed().as_secs() < 45, "{:?}", begun.elapsed());
}

#[test]
fn a_watched_proxy_goes_on_with_an_exchanged_token() {
    let harness = WatchdogHarness::new("watched-rotation", [ScriptedAnswer::text("Whole.")]);
    let (old, proxy) = (harness.client(), harness.proxy());
    std::fs::write(harness.dir.join("state/token"), "d41d8cd98f00b204e9800998ecf8427e5f4dcc3b5aa765d6")
        .expect("written");
    harness.until("the old token is refused", |_| {
        old.send("GET /v1/turns", "").is_ok_and(|(status, _)| status == 401)
    });
    let newer = harness.client();
    for _ in 0..40 {
        let (status, _) = newer.send("GET /v1/turns", "").expect("answered");
        assert_eq!(status, 200);
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert_eq!(harness.proxy(), proxy, "the watchdog found the newer token, and restarted nothing");
}

#[test]
fn the_store_comes_back_when_the_disk_does() {
    let dir = crate::support::folder("store-back");
    std::fs::create_dir_all(dir.join("state/latimer.db")).expect("made");
    let answers = (0..200).map(|_| ScriptedAnswer::text("Whole."));
    let harness = Harness::inside(dir, answers, "", "");
    assert_eq!(status(&harness.post(REQUEST, "")), 200);
    crate::support::wait_until("it is said", || !harness.log_events("store.unavailable").is_empty());
    std::fs::remove_dir(harness.dir.join("state/latimer.db")).expect("removed");
    crate::support::wait_until("it is back", || !harness.log_events("store.back").is_empty());
}
