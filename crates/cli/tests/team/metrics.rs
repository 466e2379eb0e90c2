//! `GET /metrics`: whom it is shown, what it says, and that strangers' names do not blow it up.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use latimer_adapters::scripted::{ScriptedAnswer, Step};
use serde_json::json;

use super::{ask, make};
use crate::support::{Harness, wait_until};

fn answer() -> ScriptedAnswer {
    ScriptedAnswer::turn([Step::text("Hello."), Step::usage(10, 5)])
}

fn figures(harness: &Harness) -> String {
    let (status, head, body) = ask(harness, &harness.token(), "GET", "/metrics", "");
    assert!(status == 200 && head.contains("text/plain; version=0.0.4"), "{head}");
    body
}

/// The samples of a document.
fn samples(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect()
}

#[test]
fn names_from_requests_make_no_series_and_every_sample_has_a_type() {
    let endpoint = "[[endpoint]]\nname = \"spare\"\nbase_url = \"http://127.0.0.1:9\"\n";
    let harness = Harness::configured("team-metrics", [answer()], "node = \"a\"", endpoint);
    for number in 0..150 {
        let body = json!({ "model": format!("lab/made-up-{number}"), "input": "hi" }).to_string();
        let answer = harness.post(&body, &format!("user-agent: client-{number}/1\r\n"));
        assert!(answer.contains("Hello."), "{answer}");
    }
    let mine = r#"{"model":"glm-5","input":"hi"}"#;
    assert!(harness.post(mine, "").contains("Hello."));
    let named =
        "latimer_turns_total{endpoint=\"lab\",model=\"glm-5\",protocol=\"responses\",outcome=\"stop\"} 1";
    wait_until("the last turn is counted", || figures(&harness).lines().any(|line| line == named));
    let text = figures(&harness);
    let other =
        "latimer_turns_total{endpoint=\"lab\",model=\"other\",protocol=\"responses\",outcome=\"stop\"} 150";
    assert!(text.lines().any(|line| line == other), "{text}");
    assert!(!text.contains("made-up") && !text.contains("client-"), "{text}");
    assert!(samples(&text).len() < 100, "{} series\n{text}", samples(&text).len());
    let typed: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    for sample in samples(&text) {
        let name = sample.split(['{', ' ']).next().unwrap_or_default();
        let base =
            ["_bucket", "_sum", "_count"].iter().find_map(|tail| name.strip_suffix(tail)).unwrap_or(name);
        assert!(typed.contains(name) || typed.contains(base), "{sample}");
    }
    for name in [
        "latimer_build_info{version=",
        "latimer_ready 1",
        "latimer_tokens_total{endpoint=\"lab\",model=\"glm-5\",kind=\"input\"} 10",
        "latimer_added_latency_seconds_count{protocol=\"responses\"} 151",
        "latimer_first_event_seconds_count{endpoint=\"lab\"} 151",
        "latimer_requests_total{protocol=\"responses\",status=\"200\"}",
        "latimer_endpoint_resting{endpoint=\"spare\"} 0",
        "latimer_turns_open{state=\"waiting\"} 0",
        "latimer_store_lag_seconds",
        "latimer_usage_lost_rows_total 0",
        "process_resident_memory_bytes",
    ] {
        assert!(text.contains(name), "{name}\n{text}");
    }
    check_with_promtool(&text);
}

/// What every figure has happened to once, but for repairs.
fn with_everything() -> String {
    let endpoint = "models = [{ id = \"glm-5\", price = { input = 1, output = 1 } }]\n[[endpoint]]\nname = \"gone\"\nbase_url = \"http://127.0.0.1:9\"\nretries = 1\n";
    let harness = Harness::configured("team-everything", [answer()], "", endpoint);
    let key = make(&harness, &["anna", "--requests", "1/min"])["key"].as_str().expect("a key").to_owned();
    let ask_for = |model: &str| {
        let body = json!({ "model": model, "input": "hi" }).to_string();
        ask(&harness, &key, "POST", "/v1/responses", &body).0
    };
    assert_eq!((ask_for("glm-5"), ask_for("glm-5")), (200, 429));
    harness.post(&json!({ "model": "gone/x", "input": "hi" }).to_string(), "");
    let is_counted = || {
        let text = figures(&harness);
        text.contains("latimer_retries_total{endpoint=\"gone\"}") && text.contains("latimer_key_turns_total{")
    };
    wait_until("both turns are counted", is_counted);
    figures(&harness)
}

#[test]
fn the_dashboard_and_the_alerts_ask_for_what_is_counted() {
    let text = with_everything();
    let typed: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    for (file, asked) in [
        ("the dashboard", include_str!("../../../../deploy/grafana/latimer.json")),
        ("the alerts", include_str!("../../../../deploy/prometheus/alerts.yml")),
    ] {
        for name in names_in(asked) {
            let base =
                ["_bucket", "_sum", "_count"].iter().find_map(|tail| name.strip_suffix(tail)).unwrap_or(name);
            // Without a watchdog there is nothing to tell of one, and nothing was repaired here.
            let is_rare = name.starts_with("latimer_watchdog_") || name == "latimer_repairs_total";
            assert!(
                is_rare || typed.contains(name) || typed.contains(base),
                "{file} asks for `{name}`, which nobody counts\n{text}"
            );
        }
    }
    for line in [
        "latimer_key_limited_total{key=\"anna\",limit=\"requests\"} 1",
        "latimer_key_tokens_total{key=\"anna\"} 15",
        "latimer_turn_failures_total{endpoint=\"gone\",failure=\"unreachable\"} 1",
    ] {
        assert!(text.lines().any(|have| have == line), "{line}\n{text}");
    }
}

/// The names of figures in a file.
fn names_in(text: &str) -> BTreeSet<&str> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c: char| !is_word(c)).filter(|word| word.starts_with("latimer_")).collect()
}

/// Has Prometheus's own tool read the document.
fn check_with_promtool(text: &str) {
    let child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            return eprintln!("skipped: promtool cannot be run ({error}); Debian has it in `prometheus`");
        }
    };
    child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("written");
    let output = child.wait_with_output().expect("ended");
    let said =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "{said}\n{text}");
}

#[test]
fn figures_need_the_token_or_one_of_their_own() {
    let dir = crate::support::folder("team-figures");
    std::fs::write(dir.join("figures"), "a-token-for-figures-alone\n").expect("written");
    let metrics = format!("[metrics]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"{}/figures\"", dir.display());
    let harness = Harness::inside(dir, [answer()], "", &metrics);
    let key = make(&harness, &["anna"])["key"].as_str().expect("a key").to_owned();
    let status = |token: &str, path: &str| ask(&harness, token, "GET", path, "").0;
    let own = "a-token-for-figures-alone";
    assert_eq!((status(own, "/metrics"), status(&harness.token(), "/metrics")), (200, 200));
    assert_eq!((status("wrong", "/metrics"), status(&key, "/metrics")), (401, 403));
    assert_eq!((status(own, "/v1/models"), status(own, "/health")), (401, 200), "it opens nothing else");
    assert_eq!(ask(&harness, own, "POST", "/metrics", "").0, 405);
    wait_until("the key is counted", || {
        status(&key, "/v1/models");
        harness.post("{}", "");
        figures(&harness).contains("latimer_key_turns_open{key=\"anna\"} 0")
    });
    let listening = harness.log_events("metrics.listening");
    let address = listening[0]["address"].as_str().expect("an address");
    let address = address.trim_start_matches("Some(").trim_end_matches(')').to_owned();
    let get = |head: &str| {
        let mut stream = std::net::TcpStream::connect(&address).expect("connected");
        stream.write_all(head.as_bytes()).expect("sent");
        let mut answer = String::new();
        let _ = std::io::Read::read_to_string(&mut stream, &mut answer);
        answer
    };
    let request = |path: &str, auth: &str| {
        format!("GET {path} HTTP/1.1\r\nhost: prometheus-sees:1\r\n{auth}connection: close\r\n\r\n")
    };
    let bearer = format!("authorization: Bearer {own}\r\naccept: application/openmetrics-text\r\n");
    let shown = get(&request("/metrics", &bearer));
    assert!(shown.contains("200 OK") && shown.contains("# EOF"), "{shown}");
    assert!(get(&request("/metrics", "")).contains("401 "));
    assert!(get(&request("/v1/models", &bearer)).contains("404 "), "nothing else is there");
}
