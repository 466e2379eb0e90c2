//! The documents below `/api/v1`, and who gets them.

use latimer_adapters::scripted::{ScriptedAnswer, Step};
use serde_json::{Value, json};

use crate::support::{Harness, body, serve, status, wait_until};

const ASK: &str = r#"{"model":"glm-5","input":"hello"}"#;

pub(crate) fn document(harness: &Harness, path: &str) -> Value {
    let answer = harness.http(&harness.get(path), b"");
    assert_eq!(status(&answer), 200, "{path}: {answer}");
    serde_json::from_str(body(&answer)).expect("JSON")
}

fn limited() -> ScriptedAnswer {
    ScriptedAnswer::error(429, json!({ "error": { "message": "Slow down please" } }))
        .header("retry-after", "1")
}

#[test]
fn a_finished_turn_is_explained_after_a_restart_and_no_name_comes_twice() {
    let answers = [limited(), ScriptedAnswer::text("one"), ScriptedAnswer::text("two")];
    let mut harness = Harness::new("api-restart", answers);
    let session = "session-id: s-1\r\nuser-agent: my-client/1.0\r\n";
    assert_eq!(status(&harness.post(ASK, session)), 200);
    let check = |report: &Value| {
        assert_eq!((&report["asked"], &report["client"]), (&json!("glm-5"), &json!("my-client")), "{report}");
        assert_eq!((&report["endpoint"], &report["session"]), (&json!("lab"), &json!("s-1")), "{report}");
        assert_eq!(
            (&report["protocol"], &report["state"]),
            (&json!("responses"), &json!("over")),
            "{report}"
        );
        let attempts = report["attempts"].as_array().expect("attempts");
        assert_eq!(attempts.len(), 2, "{report}");
        assert_eq!(attempts[0]["failure"]["code"], "rate_limited");
        assert_eq!(
            attempts[0]["failure"]["message"].as_str().map(|text| text.contains("Slow down")),
            Some(true)
        );
        assert_eq!((&attempts[0]["then"], &attempts[0]["wait_ms"]), (&json!("retry"), &json!(1000)));
        assert_eq!((&attempts[1]["failure"], &report["schema_version"]), (&Value::Null, &json!(1)));
    };
    check(&document(&harness, "/api/v1/turns/t1"));
    harness.restart();
    check(&document(&harness, "/api/v1/turns/t1"));
    assert_eq!(status(&harness.post(ASK, "")), 200);
    let page = document(&harness, "/api/v1/turns");
    let ids: Vec<&str> =
        page["data"].as_array().expect("turns").iter().filter_map(|turn| turn["id"].as_str()).collect();
    assert_eq!(ids, ["t2-1", "t1"], "{page}");
}

#[test]
fn a_failure_is_listed_with_its_words_and_counted_at_once() {
    let words =
        || ScriptedAnswer::error(401, json!({ "error": { "message": "Your key is from another planet" } }));
    let used =
        ScriptedAnswer::steps([Step::text("x"), Step::finish("stop"), Step::usage(2000, 100), Step::Done]);
    let endpoint = "models = [{ id = \"glm-5\", price = { input = 1, output = 2.5 } }]";
    let harness = Harness::configured("api-failure", [used, words()], "", endpoint);
    harness.post(ASK, "");
    let total = &document(&harness, "/api/v1/usage")["total"];
    assert_eq!((&total["turns"], &total["input"], &total["output"]), (&json!(1), &json!(2000), &json!(100)));
    harness.post(ASK, "");
    let usage = document(&harness, "/api/v1/usage?by=model&since=24h");
    assert_eq!(usage["lines"][0]["name"], "lab/glm-5");
    assert_eq!((&usage["total"]["turns"], &usage["total"]["failed"]), (&json!(2), &json!(1)), "{usage}");
    let found = document(&harness, "/api/v1/turns?filter=another+planet&errors=1");
    assert_eq!(found["data"][0]["failure"]["code"], "unauthorized", "{found}");
    assert_eq!(document(&harness, "/api/v1/turns?filter=nowhere")["data"], json!([]));
    let endpoints = document(&harness, "/api/v1/endpoints");
    let lab = &endpoints["data"][0];
    assert_eq!(
        (&lab["name"], &lab["state"], &lab["keys_resting"]),
        (&json!("lab"), &json!("failing"), &json!(1))
    );
    assert!(lab["last_message"].as_str().is_some_and(|text| text.contains("another planet")), "{lab}");
    assert!(lab["rests_until"].is_u64() && lab["members"][0]["id"] == "key-1", "{lab}");
    for path in ["endpoints", "accounts", "turns", "health", "models", "usage", "incidents"] {
        let text = document(&harness, &format!("/api/v1/{path}")).to_string();
        assert!(!text.contains("upstream-key") && !text.contains(&harness.token()), "{path}: {text}");
    }
    assert_eq!(document(&harness, "/api/v1/models")["data"][0]["input_usd"], 1.0);
    assert_eq!(document(&harness, "/api/v1/incidents")["running"], false);
}

#[test]
fn only_the_token_and_our_own_pages_may_read() {
    let harness = Harness::new("api-doors", [ScriptedAnswer::text("x")]);
    let host = harness.url.trim_start_matches("http://").to_owned();
    let ask = |path: &str, lines: &str| {
        status(&harness.http(&format!("GET {path} HTTP/1.1\r\nconnection: close\r\n{lines}\r\n"), b""))
    };
    let token = format!("authorization: Bearer {}\r\n", harness.token());
    let other_port = "http://127.0.0.1:1";
    for path in
        ["turns", "turns/t1", "live", "usage", "endpoints", "models", "accounts", "incidents", "health"]
    {
        let path = format!("/api/v1/{path}");
        assert_eq!(ask(&path, &format!("host: {host}\r\n")), 401, "{path}");
        assert_eq!(ask(&path, "host: evil.example\r\n"), 403, "{path}");
        for line in [
            format!("origin: {other_port}\r\n"),
            "origin: null\r\n".to_owned(),
            format!("origin: http://localhost:{}\r\n", host.rsplit(':').next().expect("a port")),
            "sec-fetch-site: same-site\r\n".to_owned(),
            "sec-fetch-site: cross-site\r\n".to_owned(),
        ] {
            assert_eq!(ask(&path, &format!("host: {host}\r\n{token}{line}")), 403, "{path} {line}");
        }
    }
    let own = format!("host: {host}\r\n{token}origin: http://{host}\r\nsec-fetch-site: same-origin\r\n");
    assert_eq!(ask("/api/v1/health", &own), 200);
    assert_eq!(ask("/v1/models", &own), 403, "pages ask no models");
    let answer = harness.http(&harness.get("/api/v1/health"), b"").to_ascii_lowercase();
    assert!(answer.contains("cache-control: no-store") && answer.contains("x-content-type-options: nosniff"));
    assert_eq!(ask("/api/v1/mood", &format!("host: {host}\r\n{token}")), 404);
}

#[test]
fn a_hundred_thousand_rows_are_read_in_no_time_from_any_place() {
    let mut harness = Harness::new("api-rows", [ScriptedAnswer::text("x")]);
    // Only now the file is sure to be there.
    document(&harness, "/api/v1/usage");
    harness.signal("TERM");
    harness.proxy.wait().expect("stopped");
    let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
        INSERT INTO usage (at, turn, client, endpoint, account, model, finish, failure, input, output, ms, retries, repairs)
        SELECT unixepoch() - 100000 + i, 'old-' || i, 'codex', 'lab', 'key-1', 'm' || (i % 7), 'stop',
            CASE WHEN i % 100 = 0 THEN 'rate_limited' END, 10, 1, i % 5000, 0, 0 FROM n";
    let connection = rusqlite::Connection::open(harness.dir.join("state/latimer.db")).expect("opened");
    connection.execute_batch(rows).expect("inserted");
    drop(connection);
    (harness.proxy, harness.url) = serve(&harness.dir, &[]);
    let timed = |path: &str| {
        let begun = std::time::Instant::now();
        let value = document(&harness, path);
        (value, begun.elapsed())
    };
    let (usage, _) = timed("/api/v1/usage?by=model");
    assert_eq!((&usage["total"]["turns"], &usage["total"]["failed"]), (&json!(100_000), &json!(1000)));
    assert_eq!(usage["lines"].as_array().map(Vec::len), Some(7));
    let (first, first_took) = timed("/api/v1/turns?limit=100");
    assert_eq!(first["data"][0]["id"], "old-100000");
    let (late, late_took) = timed("/api/v1/turns?limit=100&before=20000");
    assert_eq!(late["data"][0]["id"], "old-19999");
    let (found, filter_took) = timed("/api/v1/turns?filter=old-77+codex&errors=1&limit=5");
    assert_eq!(found["data"][0]["id"], "old-77900", "{found}");
    let (again, usage_took) = timed("/api/v1/usage?by=model");
    assert_eq!(again["total"], usage["total"]);
    println!("first {first_took:?} late {late_took:?} filter {filter_took:?} usage again {usage_took:?}");
}

#[test]
fn a_waiting_turn_says_until_when_and_why() {
    let long = ScriptedAnswer::error(429, json!({ "error": { "message": "Busy until noon" } }))
        .header("retry-after", "30");
    let harness = Harness::new("api-waits", [long]);
    let (stream, _) = harness.open_stream("");
    wait_until("the turn waits", || {
        let page = document(&harness, "/api/v1/turns");
        let turn = &page["running"][0];
        let wait = &turn["wait"];
        let left =
            wait["until_ms"].as_u64().zip(wait["since_ms"].as_u64()).map(|(until, since)| until - since);
        turn["state"] == "waiting"
            && left == Some(30_000)
            && wait["why"]
                .as_str()
                .is_some_and(|why| why.contains("lab asked for it") && why.contains("Busy until noon"))
    });
    drop(stream);
    wait_until("the turn that nobody wants is over", || {
        let page = document(&harness, "/api/v1/turns");
        page["running"] == json!([]) && page["data"][0]["finish"] == "client_left"
    });
}
