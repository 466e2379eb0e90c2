//! The page: who opens it, and what its session opens.

use std::process::Stdio;

use latimer_adapters::scripted::ScriptedAnswer;
use serde_json::{Value, json};

use crate::support::{Harness, body, latimer_in, output, status};

/// The code of a new address.
fn code(harness: &Harness) -> String {
    let run = output(latimer_in(&harness.dir, &["dashboard", "--no-open"]).stdin(Stdio::null()));
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let (address, code) = text.trim_end().split_once('#').expect("a code");
    assert_eq!((address, text.lines().count()), (format!("{}/ui/", harness.url).as_str(), 1));
    assert!(code.len() >= 20 && !address.contains('?'), "{text}");
    code.to_owned()
}

fn host(harness: &Harness) -> String {
    harness.url.trim_start_matches("http://").to_owned()
}

fn get(harness: &Harness, path: &str, lines: &str) -> String {
    harness.http(
        &format!("GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n{lines}\r\n", host(harness)),
        b"",
    )
}

fn post(harness: &Harness, path: &str, lines: &str, body: &Value) -> String {
    let body = body.to_string();
    let host = host(harness);
    harness.http(&format!("POST {path} HTTP/1.1\r\nhost: {host}\r\norigin: http://{host}\r\nconnection: close\r\ncontent-type: application/json\r\n{lines}content-length: {}\r\n\r\n", body.len()), body.as_bytes())
}

fn cookie_of(answer: &str) -> String {
    let set = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")).expect("a cookie");
    for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(set.contains(part), "{set}");
    }
    format!("cookie: {}\r\n", set.split(';').next().expect("a pair"))
}

#[test]
fn a_code_opens_the_page_once_and_its_cookie_opens_the_documents_alone() {
    let mut harness = Harness::new("page-session", [ScriptedAnswer::text("ready")]);
    let code = code(&harness);
    let opened = post(&harness, "/ui/session", "", &json!({ "code": code }));
    assert_eq!(status(&opened), 200, "{opened}");
    let cookie = cookie_of(&opened);
    assert!(!cookie.contains(&harness.token()), "the cookie is not the token");
    assert_eq!(status(&post(&harness, "/ui/session", "", &json!({ "code": code }))), 403, "once");
    let read = |harness: &Harness, path: &str| status(&get(harness, path, &cookie));
    for path in ["/api/v1/turns", "/api/v1/usage", "/api/v1/health", "/api/v1/session"] {
        assert_eq!(read(&harness, path), 200, "{path}");
    }
    for path in ["/v1/models", "/v1/admin/overrides", "/v1/turns", "/v1/accounts", "/watchdog"] {
        assert_eq!(read(&harness, path), 401, "{path}");
    }
    let lines = |more: &str| format!("{cookie}{more}");
    let test = |lines: &str| post(&harness, "/api/v1/endpoints/lab/test", lines, &json!({}));
    assert_eq!(status(&test(&lines(""))), 403, "no change without the page's token");
    assert_eq!(status(&test("")), 401);
    let session: Value =
        serde_json::from_str(body(&get(&harness, "/api/v1/session", &cookie))).expect("JSON");
    let csrf = format!("x-csrf-token: {}\r\n", session["csrf"].as_str().expect("a token"));
    let tested = test(&lines(&csrf));
    assert_eq!(status(&tested), 200, "{tested}");
    let answer: Value = serde_json::from_str(body(&tested)).expect("JSON");
    assert_eq!(
        (&answer["works"], &answer["model"], &answer["turn"]),
        (&json!(true), &json!("glm-5"), &json!("t1"))
    );
    assert_eq!(harness.requests().len(), 1, "a real request");
    assert_eq!(
        status(&post(&harness, "/api/v1/codes", &lines(&csrf), &json!({}))),
        403,
        "a page makes no codes"
    );
    let elsewhere = format!("{cookie}origin: http://127.0.0.1:1\r\n");
    assert_eq!(status(&get(&harness, "/api/v1/turns", &elsewhere)), 403);
    let before = harness.url.clone();
    harness.signal("TERM");
    harness.proxy.wait().expect("stopped");
    let port = before.rsplit(':').next().expect("a port").to_owned();
    (harness.proxy, harness.url) =
        crate::support::serve(&harness.dir, &["--listen", &format!("127.0.0.1:{port}")]);
    assert_eq!(read(&harness, "/api/v1/health"), 200, "a session survives a restart");
}

#[test]
fn requests_are_kept_until_a_switch_turns_it_off_and_clients_are_found() {
    let harness = Harness::new("page-keeps", [ScriptedAnswer::text("a"), ScriptedAnswer::text("b")]);
    let token = format!("authorization: Bearer {}\r\n", harness.token());
    let read =
        |path: &str| -> Value { serde_json::from_str(body(&get(&harness, path, &token))).expect("JSON") };
    let ask = || assert_eq!(status(&harness.post(r#"{"model":"glm-5","input":"my question"}"#, "")), 200);
    ask();
    let kept = read("/api/v1/turns/t1/requests");
    assert!(kept["client"]["text"].to_string().contains("my question"), "{kept}");
    assert_eq!(read("/api/v1/config")["keep_requests"], true);
    let switch =
        |keep: bool| post(&harness, "/api/v1/config/keep_requests", &token, &json!({ "keep": keep }));
    assert_eq!(status(&switch(false)), 200);
    assert_eq!(read("/api/v1/config")["keep_requests"], false);
    let file = std::fs::read_to_string(harness.dir.join("latimer.toml")).expect("a file");
    assert!(file.contains("keep_requests = false"), "{file}");
    ask();
    for turn in ["t1", "t2"] {
        let gone = read(&format!("/api/v1/turns/{turn}/requests"));
        assert_eq!((&gone["client"], &gone["may_replay"]), (&Value::Null, &json!(false)), "{gone}");
        assert!(gone["missing"].to_string().contains("keep_requests"), "{gone}");
    }
    assert_eq!(status(&post(&harness, "/api/v1/config/keep_requests", &token, &json!({}))), 400);
    let clients = read("/api/v1/clients");
    let programs: Vec<&Value> =
        clients["data"].as_array().expect("clients").iter().map(|client| &client["program"]).collect();
    assert_eq!(programs, ["codex", "claude", "opencode", "gemini"], "{clients}");
}

#[test]
fn five_bad_codes_lock_the_door_and_nothing_else() {
    let harness = Harness::new("page-lock", [ScriptedAnswer::text("ready")]);
    let first = post(&harness, "/ui/session", "", &json!({ "code": code(&harness) }));
    let cookie = cookie_of(&first);
    let good = code(&harness);
    let bad = |code: &str| status(&post(&harness, "/ui/session", "", &json!({ "code": code })));
    for _ in 0..3 {
        assert_eq!(bad(""), 400, "a missing code is no bad one");
    }
    for _ in 0..5 {
        assert_eq!(bad("00000000000000000000"), 403);
    }
    let locked = post(&harness, "/ui/session", "", &json!({ "code": good }));
    assert_eq!(status(&locked), 429, "good ones too");
    assert!(
        locked.to_ascii_lowercase().contains("retry-after: ") && locked.contains("too many wrong codes"),
        "{locked}"
    );
    assert_eq!(status(&get(&harness, "/api/v1/turns", &cookie)), 200, "open sessions go on");
    assert_eq!(status(&harness.post(r#"{"model":"glm-5","input":"x"}"#, "")), 200, "and turns");
    assert!(output(&mut latimer_in(&harness.dir, &["status"])).status.success());
}

#[test]
fn the_page_is_all_our_own_and_cannot_be_framed() {
    let harness = Harness::new("page-headers", [ScriptedAnswer::text("ready")]);
    let mut size = 0;
    for path in ["/ui", "/ui/", "/ui/requests", "/ui/usage", "/ui/app.js", "/ui/style.css"] {
        let answer = get(&harness, path, "");
        assert_eq!(status(&answer), 200, "{path}");
        let head = answer.split("\r\n\r\n").next().expect("a head").to_ascii_lowercase();
        for line in [
            "default-src 'none'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "nosniff",
            "no-referrer",
        ] {
            assert!(head.contains(line), "{path} {line}: {head}");
        }
        assert!(!head.contains("unsafe"), "{head}");
        assert!(!body(&answer).contains("http://") || path == "/ui/app.js", "{path} asks nobody else");
        size += answer.len();
    }
    assert!(size < 300_000, "{size}");
    assert_eq!(status(&get(&harness, "/ui/", "origin: http://127.0.0.1:1\r\n")), 403);
    assert_eq!(status(&get(&harness, "/ui/", "sec-fetch-site: cross-site\r\n")), 403);
    assert_eq!(
        status(&harness.http("GET /ui/ HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n", b"")),
        403
    );
    assert_eq!(status(&get(&harness, "/ui/nowhere", "")), 404);
}

#[test]
fn the_file_is_changed_by_the_page_without_showing_its_keys() {
    let harness = Harness::new("page-settings", [ScriptedAnswer::text("ready")]);
    let token = format!("authorization: Bearer {}\r\n", harness.token());
    let read =
        || -> Value { serde_json::from_str(body(&get(&harness, "/api/v1/config", &token))).expect("JSON") };
    let file = read();
    let text = file["text"].as_str().expect("text");
    assert!(text.contains("name = \"lab\"") && !text.contains("upstream-key"), "{text}");
    let save = |text: &str| {
        post(&harness, "/api/v1/config", &token, &json!({ "text": text, "version": file["version"] }))
    };
    let refused = save(&text.replace("base_url", "base_ulr"));
    assert_eq!(status(&refused), 400);
    assert!(refused.contains("line ") && refused.contains("base_ulr"), "{refused}");
    let changed = format!("# a comment of mine\n{}", text.replace("glm-5", "glm-6"));
    assert_eq!(status(&save(&changed)), 200);
    let on_disk = std::fs::read_to_string(harness.dir.join("latimer.toml")).expect("read");
    assert!(
        on_disk.starts_with("# a comment of mine\n") && on_disk.contains("\"upstream-key\""),
        "{on_disk}"
    );
    assert_eq!(status(&save(&changed)), 409, "it was changed meanwhile");
    let answer = harness.post(r#"{"model":"glm-6","input":"x"}"#, "");
    assert_eq!(status(&answer), 200, "turns use it at once: {answer}");
    let found = post(
        &harness,
        "/api/v1/parse",
        &token,
        &json!({ "text": "<tool_call>{\"name\":\"ls\",\"arguments\":{\"a\":1}}</tool_call>" }),
    );
    assert!(found.contains("\"dialect\":\"hermes\"") && found.contains("\"name\":\"ls\""), "{found}");
    let log: Value =
        serde_json::from_str(body(&get(&harness, "/api/v1/logs?level=info", &token))).expect("JSON");
    assert!(
        log["lines"].to_string().contains("turn.done") && log["lines"].to_string().contains("config.saved"),
        "{log}"
    );
    assert!(!log.to_string().contains("upstream-key"));
}
