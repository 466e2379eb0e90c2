//! How the process begins and ends: what it refuses to start with, and what a stop leaves whole.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use latimer_adapters::scripted::{ScriptedAnswer, Step};
use support::{Harness, WAIT_TIMEOUT, folder, latimer_in, output};

#[test]
fn a_stop_lets_open_turns_finish() {
    let slow = ScriptedAnswer::turn([Step::text("Once"), Step::sleep(700), Step::text(" upon a time.")]);
    let mut harness = Harness::configured("drain", [slow], "grace = \"20s\"", "");
    let (mut stream, mut body) = harness.open_stream("Once");
    harness.signal("TERM");
    stream.read_to_string(&mut body).expect("a proper end");
    assert!(body.contains("event: response.completed") && body.contains("Once upon a time."), "{body}");
    assert_eq!(harness.proxy.wait().expect("ended").code(), Some(0));
}

#[test]
fn turns_on_every_worker_are_counted_limited_and_finished_before_a_stop() {
    const CLIENTS: usize = 16;
    const TURNS: usize = 8;
    let answer = || ScriptedAnswer::turn([Step::text("Once"), Step::sleep(5), Step::text(" upon a time.")]);
    // Four turns at once on four threads: those that wait are woken from other threads.
    let mut harness =
        Harness::configured("workers", [answer()], "workers = 4\ngrace = \"60s\"", "max_parallel = 4");
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let harness = &harness;
            scope.spawn(move || {
                for turn in 0..TURNS {
                    let body = format!(r#"{{"model":"glm-5","stream":true,"input":"{client} {turn}"}}"#);
                    let answer = harness.post(&body, "");
                    assert!(answer.contains("event: response.completed"), "{answer}");
                }
            });
        }
        // The configuration changes meanwhile, for all of them.
        let path = harness.dir.join("latimer.toml");
        let text = std::fs::read_to_string(&path).expect("written");
        std::fs::write(&path, text.replace("max_parallel = 4", "max_parallel = 5")).expect("written");
        support::wait_until("it was taken up", || !harness.log_events("config.reloaded").is_empty());
    });
    let tasks = std::fs::read_dir(format!("/proc/{}/task", harness.proxy.id()));
    let names =
        tasks.expect("threads").flatten().map(|task| std::fs::read_to_string(task.path().join("comm")));
    assert_eq!(
        names.flatten().filter(|name| name.starts_with("worker-")).count(),
        3,
        "and the one that accepts"
    );
    let open: Vec<_> = (0..8).map(|_| harness.open_stream("Once")).collect();
    harness.signal("TERM");
    for (mut stream, mut body) in open {
        stream.read_to_string(&mut body).expect("a proper end");
        assert!(body.contains("event: response.completed"), "{body}");
    }
    assert_eq!(harness.proxy.wait().expect("ended").code(), Some(0));
    assert_eq!(harness.log_events("turn.done").len(), CLIENTS * TURNS + 8);
    let usage = output(latimer_in(&harness.dir, &["usage", "--json"]).stdin(std::process::Stdio::null()));
    let usage: serde_json::Value = serde_json::from_slice(&usage.stdout).expect("JSON");
    assert_eq!(usage["total"]["turns"], CLIENTS * TURNS + 8, "{usage}");
}

#[test]
fn a_connection_without_a_request_does_not_hold_up_a_stop() {
    let mut harness = Harness::configured("idle", [ScriptedAnswer::text("")], "grace = \"60s\"", "");
    let mut stream = TcpStream::connect(harness.url.trim_start_matches("http://")).expect("connected");
    stream.set_read_timeout(Some(WAIT_TIMEOUT)).expect("set");
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").expect("sent");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 200");
    harness.signal("TERM");
    // It is closed long before the grace period is over; otherwise this read would fail.
    stream.read_to_end(&mut Vec::new()).expect("closed");
    assert_eq!(harness.proxy.wait().expect("ended").code(), Some(0));
}

#[test]
fn a_port_in_use_ends_the_start_with_a_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = taken.local_addr().expect("an address").to_string();
    let dir = folder("taken");
    std::fs::write(dir.join("latimer.toml"), "").expect("written");
    let output = output(&mut latimer_in(&dir, &["serve", "--listen", &address]));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && output.stdout.is_empty(), "{stderr}");
    assert!(stderr.contains(&address) && stderr.contains("--listen 127.0.0.1:0"), "{stderr}");
}

#[test]
fn serve_refuses_a_broken_configuration() {
    let dir = folder("broken");
    std::fs::write(dir.join("latimer.toml"), "[server]\nlisten = 4180\ngrase = \"1s\"\n").expect("written");
    let output = output(&mut latimer_in(&dir, &["serve"]));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && output.stdout.is_empty(), "{stderr}");
    assert!(stderr.contains("server.listen") && stderr.contains("did you mean `grace`?"), "{stderr}");
}

#[test]
fn the_token_is_private_and_stays() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut harness = Harness::new("token", [ScriptedAnswer::text("")]);
    let token = harness.token();
    assert!(token.len() >= 64, "{} characters", token.len());
    let mode =
        |path: &str| std::fs::metadata(harness.dir.join(path)).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode("state"), mode("state/token")), (0o700, 0o600));
    harness.signal("TERM");
    harness.proxy.wait().expect("ended");
    let log = std::fs::read_to_string(harness.dir.join("proxy.log")).expect("a log");
    assert!(!log.contains(&token) && !log.contains("upstream-key"), "a secret is in the log");
    harness.proxy = support::serve(&harness.dir, &[]).0;
    assert_eq!(harness.token(), token);
}
