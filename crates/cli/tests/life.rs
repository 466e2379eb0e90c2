//! How the process begins and ends: what it refuses to start with, and what a stop leaves whole.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use latimer_adapters::scripted::{ScriptedAnswer, Step};
use support::{Lab, folder, latimer, output};

/// Sends a streaming turn and reads until this text has come.
fn open_stream(lab: &Lab, text: &str) -> (TcpStream, String) {
    let body = "{\"model\":\"glm-5\",\"stream\":true,\"input\":\"Go.\"}";
    let mut stream = TcpStream::connect(lab.url.trim_start_matches("http://")).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("set");
    let head = format!(
        "POST /v1/responses HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        lab.token(),
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("sent");
    stream.write_all(body.as_bytes()).expect("sent");
    let mut seen = String::new();
    let mut buffer = [0; 4096];
    while !seen.contains(text) {
        let read = stream.read(&mut buffer).expect("read");
        assert!(read > 0, "the stream ended early: {seen}");
        seen.push_str(std::str::from_utf8(&buffer[..read]).expect("UTF-8"));
    }
    (stream, seen)
}

#[test]
fn a_stop_lets_open_turns_finish() {
    let slow = ScriptedAnswer::turn([Step::text("Once"), Step::sleep(700), Step::text(" upon a time.")]);
    let mut lab = Lab::configured("drain", [slow], "grace = \"20s\"", "");
    let (mut stream, mut body) = open_stream(&lab, "Once");
    lab.signal("TERM");
    stream.read_to_string(&mut body).expect("a proper end");
    assert!(body.contains("event: response.completed") && body.contains("Once upon a time."), "{body}");
    assert_eq!(lab.proxy.wait().expect("ended").code(), Some(0));
}

#[test]
fn a_connection_without_a_request_does_not_hold_up_a_stop() {
    let mut lab = Lab::configured("idle", [ScriptedAnswer::text("")], "grace = \"60s\"", "");
    let mut stream = TcpStream::connect(lab.url.trim_start_matches("http://")).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("set");
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").expect("sent");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 200");
    lab.signal("TERM");
    // It is closed long before the grace period is over; otherwise this read would fail.
    stream.read_to_end(&mut Vec::new()).expect("closed");
    assert_eq!(lab.proxy.wait().expect("ended").code(), Some(0));
}

#[test]
fn a_port_in_use_ends_the_start_with_a_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = taken.local_addr().expect("an address").to_string();
    let dir = folder("taken");
    std::fs::write(dir.join("latimer.toml"), "").expect("written");
    let output = output(
        latimer()
            .args(["serve", "--listen", &address, "--config"])
            .arg(dir.join("latimer.toml"))
            .arg("--state-dir")
            .arg(dir.join("state")),
    );
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && output.stdout.is_empty(), "{said}");
    assert!(said.contains(&address) && said.contains("--listen 127.0.0.1:0"), "{said}");
}

#[test]
fn serve_refuses_a_broken_configuration() {
    let dir = folder("broken");
    let path = dir.join("latimer.toml");
    std::fs::write(&path, "[server]\nlisten = 4180\ngrase = \"1s\"\n").expect("written");
    let mut serve = latimer();
    serve.args(["serve", "--config"]).arg(&path).arg("--state-dir").arg(dir.join("state"));
    let output = output(&mut serve);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && output.stdout.is_empty(), "{said}");
    assert!(said.contains("server.listen") && said.contains("did you mean `grace`?"), "{said}");
}

#[test]
fn the_token_is_private_and_stays() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut lab = Lab::new("token", [ScriptedAnswer::text("")]);
    let token = lab.token();
    assert!(token.len() >= 64, "{} characters", token.len());
    let mode =
        |path: &str| std::fs::metadata(lab.dir.join(path)).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode("state"), mode("state/token")), (0o700, 0o600));
    lab.signal("TERM");
    lab.proxy.wait().expect("ended");
    let log = std::fs::read_to_string(lab.dir.join("proxy.log")).expect("a log");
    assert!(!log.contains(&token) && !log.contains("upstream-key"), "a secret is in the log");
    lab.proxy = support::serve(&lab.dir, &[]).0;
    assert_eq!(lab.token(), token);
}
