//! The real binary without a client: starting, refusing, stopping.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use latimer_adapters::scripted::{ScriptedAnswer, Step};
use latimer_protocol::responses::legality;
use serde_json::{Value, json};
use support::{Harness, body, dechunk, folder, latimer, output, status, wait_until};

const ASK: &str = r#"{"model":"glm-5","stream":true,"input":"go"}"#;

#[test]
fn a_stream_is_legal_and_a_plain_answer_is_whole() {
    let harness =
        Harness::new("serve", [ScriptedAnswer::turn([Step::reasoning("hm"), Step::text("Hello.")])]);
    let answer = harness.post(ASK, "");
    assert_eq!(status(&answer), 200, "{answer}");
    let stream = dechunk(&answer);
    assert_eq!(legality::check(stream.as_bytes()), Vec::<String>::new(), "{stream}");
    let plain = harness.post(r#"{"model":"glm-5","input":"go"}"#, "");
    let object: Value = serde_json::from_str(body(&plain)).expect("JSON");
    assert_eq!(
        (&object["status"], &object["output"][1]["content"][0]["text"]),
        (&json!("completed"), &json!("Hello."))
    );
}

#[test]
fn strangers_and_nonsense_are_told_why() {
    let harness = Harness::configured("refused", [ScriptedAnswer::text("never")], "body_limit = \"1kB\"", "");
    let auth = format!("authorization: Bearer {}\r\n", harness.token());
    let json = "content-type: application/json\r\n";
    let big = format!("{{\"x\":\"{}\"}}", "y".repeat(2000));
    // Request line, host, headers, body, status, words of the answer.
    let cases: Vec<(&str, &str, String, &str, u16, &str)> = vec![
        ("POST /v1/responses", "localhost", json.to_owned(), ASK, 401, "needs its own token"),
        (
            "POST /v1/responses",
            "localhost",
            format!("{json}authorization: Bearer wrong\r\n"),
            ASK,
            401,
            "needs its own token",
        ),
        ("POST /v1/responses", "evil.test", format!("{auth}{json}"), ASK, 403, "forbidden_host"),
        (
            "POST /v1/responses",
            "localhost",
            format!("{auth}{json}origin: http://evil.test\r\n"),
            ASK,
            403,
            "forbidden_origin",
        ),
        (
            "POST /v1/responses",
            "localhost",
            format!("{auth}content-type: text/plain\r\n"),
            ASK,
            415,
            "application/json",
        ),
        (
            "POST /v1/responses",
            "localhost",
            format!("{auth}{json}"),
            "{\"model\":",
            400,
            "not valid JSON at line 1 column 9",
        ),
        ("POST /v1/responses", "localhost", format!("{auth}{json}"), "", 400, "empty"),
        (
            "POST /v1/responses",
            "localhost",
            format!("{auth}{json}"),
            "{\"input\":\"x\"}",
            400,
            "`model` is missing",
        ),
        ("POST /v1/responses", "localhost", format!("{auth}{json}"), &big, 413, "server.body_limit"),
        (
            "POST /v1/responses",
            "localhost",
            format!("{auth}{json}content-encoding: gzip\r\n"),
            ASK,
            400,
            "content-encoding",
        ),
        ("POST /v1/respnses", "localhost", auth.clone(), "", 404, "closest path is `/v1/responses`"),
        ("GET /v1/responses", "localhost", auth.clone(), "", 405, "takes POST"),
        (
            "GET /v1/responses",
            "localhost",
            format!("{auth}connection: upgrade\r\nupgrade: websocket\r\n"),
            "",
            426,
            "not over WebSocket",
        ),
        ("GET /v1/models/none", "localhost", auth.clone(), "", 404, "model_not_found"),
        ("GET http://localhost/v1/models", "localhost", auth.clone(), "", 400, "not a forward proxy"),
    ];
    for (line, host, headers, sent, want, words) in cases {
        let close = if headers.contains("upgrade") { "" } else { "connection: close\r\n" };
        let head = format!(
            "{line} HTTP/1.1\r\nhost: {host}\r\n{close}{headers}content-length: {}\r\n\r\n",
            sent.len()
        );
        let answer = if close.is_empty() {
            first_answer(&harness, &head)
        } else {
            harness.http(&head, sent.as_bytes())
        };
        assert_eq!(status(&answer), want, "{line} {headers}\n{answer}");
        assert!(answer.contains(words), "{line}: `{words}` is missing in {answer}");
        let error: Value = serde_json::from_str(body(&answer)).expect("an error is JSON");
        for key in ["message", "type", "param", "code"] {
            assert!(error["error"].get(key).is_some(), "no {key} in {error}");
        }
        assert!(!answer.to_ascii_lowercase().contains("access-control"), "{answer}");
    }
    assert!(harness.requests().is_empty(), "nothing of this may reach a provider");
}

/// The first answer on a connection that stays open.
fn first_answer(harness: &Harness, head: &str) -> String {
    let mut stream = TcpStream::connect(harness.url.trim_start_matches("http://")).expect("connected");
    stream.write_all(head.as_bytes()).expect("sent");
    let mut bytes = vec![0; 4096];
    let length = stream.read(&mut bytes).expect("read");
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}

#[test]
fn health_says_much_to_friends_and_little_to_strangers() {
    let harness = Harness::new("health", [ScriptedAnswer::error(500, json!({"error": {"message": "no"}}))]);
    let stranger = harness.http("GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n", b"");
    assert_eq!(body(&stranger), "{\"status\":\"ok\"}");
    let head = format!(
        "GET /health HTTP/1.1\r\nhost: localhost\r\nx-api-key: {}\r\nconnection: close\r\n\r\n",
        harness.token()
    );
    let friend: Value = serde_json::from_str(body(&harness.http(&head, b""))).expect("JSON");
    assert_eq!(
        (&friend["endpoints"][0]["name"], &friend["endpoints"][0]["state"]),
        (&json!("lab"), &json!("idle"))
    );
    assert!(friend["memory_bytes"].as_u64().is_some_and(|bytes| bytes > 1_000_000), "{friend}");
    let mode =
        |path: &str| std::fs::metadata(harness.dir.join(path)).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode("state"), mode("state/token"), mode("state/proxy.json")), (0o700, 0o600, 0o600));
}

#[test]
fn a_client_that_leaves_ends_the_upstreams_work() {
    let harness = Harness::new("leave", [ScriptedAnswer::steps([Step::text("Slowly"), Step::Stall])]);
    let (stream, _) = harness.open_stream("Slowly");
    drop(stream);
    wait_until("the upstream request is over", || harness.provider.disconnects() > 0);
}

#[test]
fn a_stop_ends_open_streams_legally_and_a_second_one_sooner() {
    for signals in [1, 2] {
        let grace = if signals == 1 { "grace = \"300ms\"" } else { "grace = \"10m\"" };
        let mut harness = Harness::configured(
            "stop",
            [ScriptedAnswer::steps([Step::text("Slowly"), Step::Stall])],
            grace,
            "",
        );
        let (mut stream, mut answer) = harness.open_stream("Slowly");
        harness.signal("TERM");
        // Two signals that come too close are one to the system, so the second one is sent until it was heard.
        while signals == 2 && harness.proxy.try_wait().expect("waited").is_none() {
            harness.signal("TERM");
            std::thread::sleep(Duration::from_millis(200));
        }
        let _ = stream.read_to_string(&mut answer);
        let stream = dechunk(&answer);
        assert_eq!(legality::check(stream.as_bytes()), Vec::<String>::new(), "{stream}");
        assert!(stream.contains("response.failed") && stream.contains("latimer was stopped"), "{stream}");
        assert_eq!(harness.proxy.wait().expect("ended").code(), Some(0));
        assert!(
            TcpStream::connect(harness.url.trim_start_matches("http://")).is_err(),
            "nobody listens any more"
        );
    }
}

#[test]
fn a_listener_can_be_handed_over() {
    let dir = folder("handed");
    std::fs::write(dir.join("latimer.toml"), "").expect("written");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    // Standard input is the one descriptor a child inherits without unsafe code; the shell moves it to 3, where a service
    // manager would put it.
    let script = "exec 3<&0 </dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$0\" serve --config \"$1\" --state-dir \"$2\"";
    let mut child = std::process::Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_latimer")])
        .arg(dir.join("latimer.toml"))
        .arg(dir.join("state"))
        .stdin(std::os::fd::OwnedFd::from(listener.try_clone().expect("cloned")))
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("it runs");
    let mut line = [0; 64];
    let length = child.stdout.as_mut().expect("piped").read(&mut line).expect("a line");
    let line = String::from_utf8_lossy(&line[..length]).into_owned();
    let _ = child.kill();
    let _ = child.wait();
    assert_eq!(line.trim(), format!("latimer listening on http://{address}"));
}

#[test]
fn check_lists_every_problem_at_once() {
    let dir = folder("check");
    let path = dir.join("bad.toml");
    std::fs::write(&path, "default_endpoint = \"lob\"\n[server]\nlisten = \"nowhere\"\nauht = \"token\"\n[[endpoint]]\nname = \"lab\"\nbase_url = \"ftp://x\"\ntimeouts = { idle = \"soon\" }\n").expect("written");
    let run = output(latimer().args(["check", "--config"]).arg(&path));
    assert_eq!(run.status.code(), Some(4), "the configuration is no good");
    let stderr = String::from_utf8_lossy(&run.stderr).into_owned();
    for words in [
        "bad.toml:3:10: server.listen: should be an address and a port",
        "bad.toml:4:1: server.auht: unknown key; did you mean `auth`?",
        "bad.toml:7:12: endpoint[0].base_url: should be a URL that begins with https://",
        "endpoint[0].timeouts.idle: should be a duration above zero",
        "default_endpoint: there is no endpoint of this name",
    ] {
        assert!(stderr.contains(words), "`{words}` is missing in\n{stderr}");
    }
    std::fs::write(&path, "[[endpoint]]\nname = \"lab\"\npreset = \"ollama\"\n").expect("written");
    assert_eq!(output(latimer().args(["check", "--config"]).arg(&path)).status.code(), Some(0));
}

#[test]
fn a_changed_file_is_taken_up_and_a_broken_one_refused() {
    let harness = Harness::new("reload", [ScriptedAnswer::text("Hi.")]);
    let path = harness.dir.join("latimer.toml");
    let text = std::fs::read_to_string(&path).expect("read");
    let known = |model: &str| {
        status(&harness.http(&format!("GET /v1/models/{model} HTTP/1.1\r\nhost: localhost\r\nx-api-key: {}\r\nconnection: close\r\n\r\n", harness.token()), b"")) == 200
    };
    let until = |what: &dyn Fn() -> bool| {
        wait_until("the file is taken up", what);
    };
    std::fs::write(&path, text.replace("glm-5", "glm-6")).expect("written");
    until(&|| known("glm-6") && !known("glm-5"));
    std::fs::write(&path, "[[endpoint]]\nnaem = 1\n").expect("written");
    let head = format!(
        "GET /health HTTP/1.1\r\nhost: localhost\r\nx-api-key: {}\r\nconnection: close\r\n\r\n",
        harness.token()
    );
    until(&|| harness.http(&head, b"").contains("did you mean `name`?"));
    assert!(known("glm-6"), "the old configuration stays");
}
