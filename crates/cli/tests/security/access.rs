//! Who may come in, and what a request may do.

use latimer_adapters::scripted::ScriptedAnswer;

use crate::support::{Harness, folder, latimer_in, output, status, wait_until};

const REQUEST: &str = r#"{"model":"glm-5","stream":true,"input":"go"}"#;

fn ask(harness: &Harness, line: &str, headers: &str) -> u16 {
    status(
        &harness
            .http(&format!("{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n"), b""),
    )
}

#[test]
fn a_token_that_is_wanted_by_a_reload_is_wanted_at_once() {
    let harness = Harness::configured("tightened", [ScriptedAnswer::text("Whole.")], "auth = \"none\"", "");
    assert_eq!(ask(&harness, "GET /v1/turns", ""), 200);
    let config = harness.dir.join("latimer.toml");
    let text = std::fs::read_to_string(&config).expect("read").replace("auth = \"none\"", "auth = \"token\"");
    std::fs::write(&config, text).expect("written");
    wait_until("strangers are refused", || ask(&harness, "GET /v1/turns", "") == 401);
    assert_eq!(status(&harness.http(&harness.get("/v1/turns"), b"")), 200);
}

#[test]
fn an_exchanged_token_is_the_only_one_that_opens() {
    let harness = Harness::new("rotated", [ScriptedAnswer::text("Whole.")]);
    let old = harness.get("/v1/turns");
    assert_eq!(status(&harness.http(&old, b"")), 200);
    let newer = "d41d8cd98f00b204e9800998ecf8427e5f4dcc3b5aa765d6";
    std::fs::write(harness.dir.join("state/token"), newer).expect("written");
    wait_until("the old one is refused", || status(&harness.http(&old, b"")) == 401);
    assert_eq!(status(&harness.http(&harness.get("/v1/turns"), b"")), 200);
    // Commands still find the proxy to be theirs.
    let found = output(&mut latimer_in(&harness.dir, &["endpoints", "show", "lab"]));
    let said = String::from_utf8_lossy(&found.stderr);
    assert!(!said.contains("another state directory"), "{said}");
}

#[test]
fn placeholder_tokens_are_refused() {
    for token in [
        "changeme".repeat(4),
        "0".repeat(64),
        "your-api-key-1234567890-1234567890".to_owned(),
        "a".repeat(32),
    ] {
        let dir = folder("placeholder");
        std::fs::write(dir.join("latimer.toml"), "[server]\nlisten = \"127.0.0.1:0\"\n").expect("written");
        std::fs::create_dir(dir.join("state")).expect("made");
        std::fs::write(dir.join("state/token"), &token).expect("written");
        let refused = output(&mut latimer_in(&dir, &["serve"]));
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(
            !refused.status.success() && said.contains("placeholder") && said.contains("delete the file"),
            "{said}"
        );
    }
}

#[test]
fn actions_need_the_token_or_a_header_of_their_own() {
    let open = Harness::configured("actions-open", [ScriptedAnswer::text("Whole.")], "auth = \"none\"", "");
    let closed = Harness::new("actions", [ScriptedAnswer::text("Whole.")]);
    let token = format!("authorization: Bearer {}\r\n", closed.token());
    for line in [
        "POST /v1/admin/retry",
        "POST /v1/admin/reconnect",
        "DELETE /v1/admin/learned",
        "DELETE /v1/admin/overrides",
        "POST /watchdog/cancel",
    ] {
        let length = "content-length: 0\r\n";
        assert_eq!(ask(&open, line, length), 403, "{line}");
        assert_ne!(ask(&open, line, &format!("{length}x-latimer-admin: 1\r\n")), 403, "{line}");
        assert_eq!(ask(&closed, line, length), 401, "{line}");
        assert_ne!(ask(&closed, line, &format!("{length}{token}")), 403, "{line}");
        for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
            let headers = format!("{length}{token}x-latimer-admin: 1\r\ncontent-type: {kind}\r\n");
            assert_eq!(ask(&closed, line, &headers), 415, "{line} {kind}");
        }
    }
}

/// Whoever writes the configuration sends the keys in it wherever they like: being on the same machine is not enough.
#[test]
fn without_a_token_the_configuration_is_neither_shown_nor_changed() {
    let open = Harness::configured("owner-open", [ScriptedAnswer::text("Whole.")], "auth = \"none\"", "");
    assert_eq!(ask(&open, "GET /api/v1/turns", ""), 200, "what the door allows");
    let before = std::fs::read_to_string(open.dir.join("latimer.toml")).expect("read");
    for line in [
        "GET /api/v1/config",
        "POST /api/v1/config",
        "POST /api/v1/codes",
        "POST /api/v1/parse",
        "POST /api/v1/endpoints/lab/test",
        "POST /api/v1/endpoints/lab/forget",
        "POST /api/v1/incidents/cancel",
    ] {
        for headers in ["", "x-latimer-admin: 1\r\n", "authorization: Bearer wrong\r\n"] {
            assert_eq!(ask(&open, line, &format!("content-length: 0\r\n{headers}")), 403, "{line} {headers}");
        }
    }
    assert_eq!(std::fs::read_to_string(open.dir.join("latimer.toml")).expect("read"), before);
    assert!(open.requests().is_empty(), "nobody asked the provider");
    let page = output(&mut latimer_in(&open.dir, &["dashboard", "--no-open"]));
    let address = String::from_utf8_lossy(&page.stdout);
    assert!(
        address.contains("/ui/#"),
        "its owner gets in: {address}{}",
        String::from_utf8_lossy(&page.stderr)
    );
}

#[test]
fn json_that_is_too_deep_is_refused_by_every_protocol() {
    let harness = Harness::new("deep", [ScriptedAnswer::text("Whole.")]);
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    for path in [
        "/v1/responses",
        "/v1/chat/completions",
        "/v1/messages",
        "/v1beta/models/glm-5:generateContent",
        "/v1/messages/count_tokens",
    ] {
        for depth in [129, 1000, 200_000] {
            let body = format!("{{\"model\":\"glm-5\",\"unread\":{}}}", nested(depth));
            let answer = harness.post_to(path, &body, "");
            assert_eq!(status(&answer), 400, "{path} {depth}");
            assert!(answer.contains("128 objects and lists"), "{path}: {answer}");
        }
    }
    assert!(harness.requests().is_empty());
    let body = REQUEST.replace("\"go\"", &format!("\"{}\"", "[".repeat(500)));
    assert_eq!(status(&harness.post(&body, "")), 200, "text is not nested");
}

#[test]
fn a_model_name_leads_to_no_other_path_of_the_provider() {
    for model in ["../../v1/evil", "m?x=", "m#y", "m:other?z", "m%2fn"] {
        let endpoint = "protocol = \"gemini\"";
        let harness = Harness::configured("model-path", [ScriptedAnswer::text("Whole.")], "", endpoint);
        let body = serde_json::json!({ "model": format!("lab/{model}"), "input": "go" }).to_string();
        harness.post(&body, "");
        for request in harness.requests() {
            let path = &request.path;
            assert!(
                path.contains("/models/") && !path.contains("../") && path.matches('?').count() <= 1,
                "{model}: {path}"
            );
            assert!(
                path.ends_with(":streamGenerateContent") || path.ends_with(":streamGenerateContent?alt=sse"),
                "{model}: {path}"
            );
        }
        assert!(!harness.requests().is_empty(), "{model}");
    }
}

#[test]
fn a_launched_client_gets_no_key_of_a_provider() {
    let dir = folder("launch-env");
    let text = "launch_env = [\"AWS_SECRET_ACCESS_KEY\"]\n[server]\nlisten = \"127.0.0.1:0\"\n[[endpoint]]\nname = \"lab\"\nbase_url = \"http://127.0.0.1:9\"\napi_key_env = \"MY_LAB_SECRET\"\nmodels = [\"glm-5\"]\n[watchdog]\nenabled = false\n";
    std::fs::write(dir.join("latimer.toml"), text).expect("written");
    let wrapper = dir.join("client.sh");
    std::fs::write(&wrapper, "#!/bin/sh\nexec /usr/bin/env\n").expect("written");
    std::fs::set_permissions(&wrapper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("set");
    let variables = [
        ("MY_LAB_SECRET", "canary-key"),
        ("OPENAI_API_KEY", "canary-key"),
        ("ANTHROPIC_API_KEY", "canary-key"),
        ("DEEPSEEK_API_KEY", "canary-key"),
        ("GEMINI_API_KEY", "canary-key"),
        ("AWS_SESSION_TOKEN", "canary-key"),
        ("AWS_SECRET_ACCESS_KEY", "wanted"),
        ("MY_OWN", "stays"),
    ];
    let mut proxy = latimer_in(&dir, &["serve"])
        .envs(variables)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("latimer runs");
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(proxy.stdout.take().expect("piped")), &mut line)
        .expect("a line");
    for client in ["codex", "claude", "opencode", "gemini"] {
        let launched = output(
            latimer_in(&dir, &["launch", client, "--program", wrapper.to_str().expect("text")])
                .envs(variables)
                .env("HOME", dir.join("home")),
        );
        let seen = String::from_utf8_lossy(&launched.stdout).into_owned();
        assert!(
            seen.contains("MY_OWN=stays"),
            "{client}: {seen} {}",
            String::from_utf8_lossy(&launched.stderr)
        );
        assert!(!seen.contains("canary-key"), "{client}: {seen}");
        assert!(seen.contains("AWS_SECRET_ACCESS_KEY=wanted"), "{client}: {seen}");
    }
    proxy.kill().expect("ended");
    proxy.wait().expect("ended");
}
