//! What the system knows of the processes: memory, limits, and how soon a hung one is replaced.

use latimer_adapters::scripted::ScriptedAnswer;

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
