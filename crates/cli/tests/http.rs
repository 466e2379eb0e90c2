//! Requests by hand against the real binary: the rarer ways of being refused, compressed bodies, model lists.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::fmt::Write as _;

use latimer_adapters::scripted::ScriptedAnswer;
use serde_json::{Value, json};
use support::Harness;

/// One request that must be refused.
struct Case {
    what: &'static str,
    line: &'static str,
    /// Header lines; `host`, the token and a JSON content type stand in for the ones not given.
    headers: &'static [&'static str],
    body: String,
    status: u16,
    /// `error.code` of the answer; empty where the HTTP layer answers before us.
    code: &'static str,
}

/// With two endpoints, a model that neither lists belongs to none of them.
const OTHER: &str = "[[endpoint]]\nname = \"other\"\nbase_url = \"https://other.example/v1\"";

const POST: &str = "POST /v1/responses HTTP/1.1";

fn case(
    what: &'static str,
    line: &'static str,
    headers: &'static [&'static str],
    body: impl Into<String>,
) -> Case {
    Case { what, line, headers, body: body.into(), status: 0, code: "" }
}

impl Case {
    fn gets(self, status: u16, code: &'static str) -> Self {
        Self { status, code, ..self }
    }

    fn head(&self, token: &str) -> String {
        let mut head = self.line.replace("{token}", token) + "\r\n";
        let given = |name: &str| self.headers.iter().any(|line| line.starts_with(name));
        for (name, value) in [
            ("host", "localhost".to_owned()),
            ("authorization", format!("Bearer {token}")),
            ("content-type", "application/json".to_owned()),
            ("content-length", self.body.len().to_string()),
            ("connection", "close".to_owned()),
        ] {
            if !given(name) {
                let _ = write!(head, "{name}: {value}\r\n");
            }
        }
        for line in self.headers.iter().filter(|line| !line.ends_with('-')) {
            let _ = write!(head, "{line}\r\n");
        }
        head + "\r\n"
    }
}

fn good() -> String {
    json!({"model": "glm-5", "input": "Go."}).to_string()
}

fn cases() -> Vec<Case> {
    let deep = format!("{{\"model\":\"glm-5\",\"input\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    vec![
        case("JSON nested too deep", POST, &[], deep).gets(400, "invalid_type"),
        case("a list", POST, &[], "[]").gets(400, "invalid_json"),
        case("no input", POST, &[], "{\"model\":\"glm-5\"}").gets(400, "missing_required_parameter"),
        case("an unknown model", POST, &[], "{\"model\":\"nope\",\"input\":\"Go.\"}")
            .gets(404, "model_not_found"),
        case("a form", POST, &["content-type: application/x-www-form-urlencoded"], good())
            .gets(415, "unsupported_media_type"),
        case("no content type", POST, &["content-type-"], good()).gets(415, "unsupported_media_type"),
        case("an unknown encoding", POST, &["content-encoding: br"], good()).gets(400, "invalid_encoding"),
        case(
            "the token as a parameter",
            "POST /v1/responses?key={token} HTTP/1.1",
            &["authorization-"],
            good(),
        )
        .gets(401, "invalid_api_key"),
        case("no token on an unknown path", "GET /nothing HTTP/1.1", &["authorization-"], "")
            .gets(401, "invalid_api_key"),
        case("a sandboxed page", POST, &["origin: null"], good()).gets(403, "forbidden_origin"),
        case("a cross-site request", POST, &["sec-fetch-site: cross-site"], good())
            .gets(403, "forbidden_origin"),
        case("a path that climbs", "GET /v1/models/../../etc/passwd HTTP/1.1", &[], "")
            .gets(404, "model_not_found"),
        case("a length that is a lie", POST, &["content-length: 9999999999"], "{")
            .gets(413, "request_too_large"),
        case("two lengths", POST, &["content-length: 2", "content-length: 3"], "{}").gets(400, ""),
        case("garbage", "\u{16}\u{3}\u{1} hello", &[], "").gets(400, ""),
    ]
}

#[test]
fn rare_kinds_of_bad_requests_are_refused_in_words() {
    let harness =
        Harness::configured("http", [ScriptedAnswer::text("Hello.")], "body_limit = \"1MiB\"", OTHER);
    let token = harness.token();
    for case in cases() {
        let answer = harness.http(&case.head(&token), case.body.as_bytes());
        let what = case.what;
        assert!(answer.starts_with(&format!("HTTP/1.1 {} ", case.status)), "{what}: {answer}");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(!head.to_ascii_lowercase().contains("access-control-allow"), "{what}: {head}");
        assert!(!answer.contains(&token), "{what}: the token is in the answer");
        if case.code.is_empty() {
            continue;
        }
        let error: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{what}: {body}"));
        assert_eq!(error["error"]["code"], case.code, "{what}: {body}");
        let message = error["error"]["message"].as_str().unwrap_or_default();
        assert!(message.len() > 20, "{what}: what to do next is not in {body}");
    }
    assert_eq!(harness.requests(), [], "a refused request reached the provider");
    assert!(harness.post(&good(), "").starts_with("HTTP/1.1 200"), "the good one is not answered");
}

#[test]
fn compressed_bodies_are_read_and_bombs_are_not() {
    use std::process::{Command, Stdio};
    let harness = Harness::configured("gzip", [ScriptedAnswer::text("Hello.")], "body_limit = \"1MiB\"", "");
    let gzip = |bytes: &[u8]| {
        let mut child =
            Command::new("gzip").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("gzip runs");
        let mut stdin = child.stdin.take().expect("piped");
        let bytes = bytes.to_vec();
        let writer = std::thread::spawn(move || std::io::Write::write_all(&mut stdin, &bytes));
        let packed = child.wait_with_output().expect("ended").stdout;
        writer.join().expect("joined").expect("written");
        packed
    };
    for (plain, status) in [(good().into_bytes(), 200), (vec![b' '; 8 << 20], 413)] {
        let packed = gzip(&plain);
        let head = format!(
            "{POST}\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            harness.token(),
            packed.len()
        );
        let answer = harness.http(&head, &packed);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{} bytes: {answer}", plain.len());
    }
}

#[test]
fn models_are_listed_for_every_kind_of_client() {
    let harness = Harness::new("models", [ScriptedAnswer::text("")]);
    let get = |path: &str| {
        let head = format!(
            "GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\nconnection: close\r\n\r\n",
            harness.token()
        );
        let answer = harness.http(&head, b"");
        let body = answer.split_once("\r\n\r\n").expect("a head").1.to_owned();
        serde_json::from_str::<Value>(&body).unwrap_or_else(|_| panic!("{path}: {body}"))
    };
    let list = get("/v1/models");
    assert_eq!((&list["object"], &list["data"][0]["id"]), (&json!("list"), &json!("glm-5")));
    assert_eq!(get("/v1/models/lab/glm-5")["object"], "model");
}
