//! `latimer up`, `down`, `status` and `service`, and the commands that ask a running watchdog.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Instant;

use latimer_adapters::scripted::{ScriptedAnswer, Step};
use serde_json::{Value, json};
use support::watchdog::{Client, End, WatchdogHarness, configured, kill, lives, logs, on};
use support::{WAIT_TIMEOUT, latimer_in, wait_until};

fn latimer_on(dir: &Path, args: &[&str]) -> Output {
    latimer_in(dir, args).stdin(Stdio::null()).output().expect("it runs")
}

fn json_of(run: &Output) -> Value {
    serde_json::from_slice(&run.stdout).unwrap_or_else(|error| {
        panic!(
            "{error}: {:?} {:?}",
            String::from_utf8_lossy(&run.stdout),
            String::from_utf8_lossy(&run.stderr)
        )
    })
}

#[test]
fn up_and_down_leave_nothing_behind() {
    let dir = configured("up", "http://127.0.0.1:9", "");
    let nothing = latimer_on(&dir, &["status"]);
    assert_eq!(nothing.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&nothing.stdout).contains("latimer up"));
    let up = latimer_on(&dir, &["up", "--json"]);
    assert!(up.status.success(), "{}\n{}", String::from_utf8_lossy(&up.stderr), logs(&dir));
    let status = json_of(&up);
    let pid = |value: &Value| u32::try_from(value.as_u64().expect("a pid")).expect("a pid");
    let (watchdog, proxy) = (pid(&status["pid"]), pid(&status["proxy"]["pid"]));
    let again = json_of(&latimer_on(&dir, &["up", "--json"]));
    assert_eq!(pid(&again["pid"]), watchdog, "the second `up` finds the first");
    let words = latimer_on(&dir, &["status"]);
    assert!(String::from_utf8_lossy(&words.stdout).starts_with("serving on http://127.0.0.1:"), "{words:?}");
    let token = std::fs::read_to_string(dir.join("state/token")).expect("a token");
    let client = Client::new(status["address"].as_str().expect("an address"), &token);
    assert_eq!(client.get("/v1/models").expect("answered").0, 200);
    let down = json_of(&latimer_on(&dir, &["down", "--json"]));
    assert_eq!(down, json!({ "was_running": true }));
    wait_until("both are gone", || !lives(watchdog) && !lives(proxy));
    assert_eq!(json_of(&latimer_on(&dir, &["down", "--json"])), json!({ "was_running": false }));
    for left in ["state/watchdog.sock", "state/proxy.json"] {
        assert!(!dir.join(left).exists(), "{left}");
    }
    let running = std::fs::read_dir(dir.join("state/running")).map_or(0, Iterator::count);
    assert_eq!(running, 0, "the registry is empty");
}

#[test]
fn a_proxy_that_was_stopped_by_a_person_is_left_stopped_until_it_is_started() {
    let harness = WatchdogHarness::new("stopped", [ScriptedAnswer::text("Hi.")]);
    // Health must have been seen once: before that, an end is a failed start.
    harness.until("it is up", |harness| {
        harness.ask("export").is_some_and(|export| export["status"]["phase"] == "up")
    });
    kill("TERM", harness.proxy().expect("it serves"));
    harness.until("the port answers with the cause", |harness| harness.status()["phase"] == "holding");
    let (code, body) = harness.client().send("POST /v1/responses", "{}").expect("answered");
    assert!(code == 503 && body.contains("it was stopped"), "{body}");
    assert!(harness.ask("start").is_some());
    harness.until("it serves again", |harness| harness.status()["phase"] == "serving");
    assert_eq!(harness.client().turn().0, End::Complete);
    let old = harness.proxy();
    assert!(harness.ask("restart").is_some());
    harness.until("another one serves", |harness| {
        harness.status()["phase"] == "serving" && harness.proxy() != old
    });
    assert_eq!(harness.client().turn().0, End::Complete);
}

#[test]
fn incidents_rules_and_recordings_can_be_looked_at_with_and_without_a_watchdog() {
    let mut harness = WatchdogHarness::new("look", [ScriptedAnswer::text("Hi.")]);
    let old = harness.proxy();
    kill("KILL", old.expect("it serves"));
    harness.until("another one serves", |harness| {
        harness.status()["phase"] == "serving" && harness.proxy() != old
    });
    let running = harness.ask("incidents").expect("listed");
    assert_eq!(running[0]["fault"], "A1", "{running}");
    let id = running[0]["id"].to_string();
    let show = on(&harness.dir, "show").arg(&id).output().expect("it runs");
    assert!(String::from_utf8_lossy(&show.stdout).contains("the proxy is gone"), "{show:?}");
    assert_eq!(on(&harness.dir, "show").arg("99").output().expect("it runs").status.code(), Some(1));
    assert!(
        on(&harness.dir, "silence").args(["b2", "--for", "60"]).output().expect("it runs").status.success()
    );
    assert_eq!(on(&harness.dir, "silence").arg("Z9").output().expect("it runs").status.code(), Some(1));
    let silenced = |rules: &Value| {
        let rules = rules.as_array().expect("a list").clone();
        rules.iter().any(|rule| rule["fault"] == "B2" && rule["silenced"] == true)
    };
    assert!(silenced(&harness.ask("rules").expect("listed")));
    let status = harness.status();
    let cancelled = harness.ask("cancel").expect("answered");
    assert_eq!(cancelled["cancelled"], json!([]), "{status}\n{}", logs(&harness.dir));
    let played = harness.ask("simulate").expect("played");
    let starts = played["did"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|did| did["order"]["action"]["do"] == "start");
    assert_eq!(starts.count(), 2, "the first one and the one after the kill: {played}");
    assert_eq!(harness.stop(), Some(0));
    assert_eq!(harness.ask("incidents").expect("listed")[0]["fault"], "A1", "read from the file");
    assert!(!silenced(&harness.ask("rules").expect("listed")));
}

#[test]
fn a_broken_record_is_set_aside_and_nobody_is_blind() {
    let mut harness = WatchdogHarness::new("record", [ScriptedAnswer::turn([Step::text("Hi.")])]);
    assert_eq!(harness.stop(), Some(0));
    std::fs::write(harness.dir.join("state/incidents.json"), "{\"version\":").expect("written");
    harness.watchdog = support::watchdog::start(&harness.dir, &[]);
    harness.url = support::watchdog::url_of(&mut harness.watchdog, &harness.dir);
    assert_eq!(harness.client().turn().0, End::Complete);
    let names = std::fs::read_dir(harness.dir.join("state")).expect("listed").flatten();
    let aside: Vec<String> = names
        .map(|file| file.file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("incidents.json.corrupt-"))
        .collect();
    assert_eq!(aside.len(), 1, "{aside:?}");
    let kept = std::fs::read_to_string(harness.dir.join("state").join(&aside[0])).expect("kept");
    assert_eq!(kept, "{\"version\":");
}

#[test]
fn a_pair_that_has_nothing_to_do_ends_by_itself_when_it_was_told_so() {
    let dir = configured("idle", "http://127.0.0.1:9", "");
    let mut child = support::watchdog::start(&dir, &["--idle-exit", "1"]);
    support::watchdog::url_of(&mut child, &dir);
    // Checks and probes go on all the time, and are not work.
    assert_eq!(support::watchdog::wait(&mut child), Some(0), "{}", logs(&dir));
    assert!(!dir.join("state/proxy.json").exists());
}

#[test]
fn a_service_is_written_and_undone() {
    let dir = configured("service", "http://127.0.0.1:9", "");
    let path = dir.join("latimer.toml");
    let text = std::fs::read_to_string(&path).expect("read");
    std::fs::write(&path, text.replace("api_key = \"upstream-key\"", "api_key_env = \"LAB_KEY\""))
        .expect("written");
    let service = |action: &str| -> Output {
        let mut command = latimer_in(&dir, &["service", action, "--no-start"]);
        command.env("HOME", dir.join("home"));
        command.env("LAB_KEY", "x").output().expect("it runs")
    };
    let unit = if cfg!(target_os = "macos") {
        "home/Library/LaunchAgents/latimer.watchdog.plist"
    } else {
        "home/.config/systemd/user/latimer.service"
    };
    let installed = service("install");
    assert!(installed.status.success(), "{installed:?}");
    assert!(String::from_utf8_lossy(&installed.stderr).contains("LAB_KEY"), "{installed:?}");
    let text = std::fs::read_to_string(dir.join(unit)).expect("written");
    assert!(text.contains("latimer-watchdog") && text.contains("latimer.toml"), "{text}");
    assert!(service("uninstall").status.success());
    assert!(!dir.join(unit).exists());
}

#[test]
fn a_launched_client_has_a_watched_proxy_and_its_violent_end_is_told() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = configured("launch", "http://127.0.0.1:9", "");
    let program = dir.join("codex");
    std::fs::write(&program, "#!/bin/sh\nexec sleep 60\n").expect("written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("made a program");
    let mut command = latimer_in(&dir, &["launch", "codex"]);
    command.arg("--program").arg(&program);
    let mut launch = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs");
    let status = || latimer_on(&dir, &["status", "--json"]);
    let wait_for = |what: &str, holds: &dyn Fn(&Value) -> bool| -> Value {
        let begun = Instant::now();
        loop {
            let run = status();
            if run.status.success() && holds(&json_of(&run)) {
                return json_of(&run);
            }
            assert!(begun.elapsed() < WAIT_TIMEOUT, "in vain: {what}\n{}", logs(&dir));
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    };
    let seen = wait_for("the client is watched", &|status| status["clients"][0]["name"] == "codex");
    kill("KILL", u32::try_from(seen["clients"][0]["pid"].as_u64().expect("a pid")).expect("a pid"));
    assert_eq!(launch.wait().expect("ended").code(), Some(137));
    let told = wait_for("the person is told", &|status| {
        status["alerts"].as_array().is_some_and(|alerts| alerts.iter().any(|alert| alert["fault"] == "D1"))
    });
    assert!(
        told["alerts"].to_string().contains("latimer launch codex -- resume --last"),
        "{}",
        told["alerts"]
    );
    assert!(latimer_on(&dir, &["down"]).status.success());
}

#[test]
fn a_page_sees_the_watchdog_through_the_proxy() {
    let harness = WatchdogHarness::new("page", [ScriptedAnswer::text("Hi.")]);
    let (code, body) = harness.client().get("/watchdog").expect("answered");
    let document: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((code, &document["running"]), (200, &Value::from(true)), "{body}");
    assert!(document["watchdog"].is_object(), "{body}");
    let (code, body) = harness.client().send("POST /watchdog/cancel", "").expect("answered");
    assert!(code == 200 || code == 409, "{code} {body}");
    let (code, body) = harness.client().send("POST /watchdog/cancel/x", "").expect("answered");
    assert_eq!(code, 400, "{body}");
}
