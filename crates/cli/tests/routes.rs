//! Routes over real sockets: the turn moves before the client notices.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;

use latimer_adapters::scripted::{Provider, Scenario, ScriptedAnswer, Step};
use serde_json::{Value, json};
use support::{Harness, RunningProvider, dechunk, status};

/// A proxy with a second provider, `spare`, and a route over both.
struct TwoProviders {
    harness: Harness,
    spare: Provider,
}

impl TwoProviders {
    fn new(
        name: &str,
        first: impl IntoIterator<Item = ScriptedAnswer>,
        second: Vec<ScriptedAnswer>,
        route: &str,
    ) -> Self {
        let RunningProvider { provider: spare, runtime } = RunningProvider::start(Scenario::new(second));
        let more = format!(
            "retries = 1\n[[endpoint]]\nname = \"spare\"\nbase_url = \"{}\"\napi_key = \"spare-key\"\nretries = 1\n[[route]]\nname = \"coder\"\ntargets = [\"lab/glm-5\", \"spare/qwen\"]\n{route}",
            spare.base_url()
        );
        let mut harness = Harness::configured(name, first, "", &more);
        // The second provider lives as long as the harness.
        harness.spare_runtime = Some(runtime);
        Self { harness, spare }
    }

    fn ask(&self, conversation: &str) -> String {
        let body =
            json!({ "model": "coder", "input": "hello", "stream": true, "prompt_cache_key": conversation });
        dechunk(&self.harness.post(&body.to_string(), ""))
    }

    fn counts(&self) -> (usize, usize) {
        (self.harness.requests().len(), self.spare.requests().len())
    }
}

fn busy() -> ScriptedAnswer {
    ScriptedAnswer::error(503, json!({ "error": { "message": "overloaded" } }))
}

#[test]
fn a_broken_endpoint_is_left_before_the_client_notices() {
    for (name, broken) in [
        ("refuses", busy()),
        ("resets", ScriptedAnswer::reset()),
        (
            "limits",
            ScriptedAnswer::error(429, json!({ "error": { "message": "slow down" } }))
                .header("retry-after", "30"),
        ),
        ("rejects", ScriptedAnswer::error(400, json!({ "error": { "message": "I do not like this" } }))),
        ("bills", ScriptedAnswer::error(402, json!({ "error": { "message": "Insufficient Balance" } }))),
        ("ends", ScriptedAnswer::steps([Step::Chunk { json: json!({ "choices": [] }) }, Step::Cut])),
    ] {
        let two = TwoProviders::new(name, [broken], vec![ScriptedAnswer::text("from the spare")], "");
        let answer = two.ask("c");
        assert!(
            answer.contains("from the spare") && answer.contains("response.completed"),
            "{name}: {answer}"
        );
        assert_eq!(two.counts(), (1, 1), "{name}");
        let request = &two.spare.requests()[0];
        assert_eq!(request.body["model"], "qwen");
        assert_eq!(
            request.header("authorization"),
            Some("Bearer spare-key"),
            "each key goes to its own endpoint"
        );
        let trace = two.harness.http(&two.harness.get("/v1/turns"), b"");
        assert!(trace.contains("\"endpoint\":\"spare\"") && trace.contains("did not answer"), "{trace}");
    }
}

#[test]
fn nothing_is_sent_twice_after_something_was_shown() {
    let half = ScriptedAnswer::steps([Step::text("half a sent"), Step::Cut]);
    let two = TwoProviders::new("shown", [half], vec![ScriptedAnswer::text("from the spare")], "");
    let answer = two.ask("c");
    assert!(answer.contains("half a sent") && answer.contains("response.failed"), "{answer}");
    assert_eq!(two.counts(), (1, 0));
}

#[test]
fn when_all_fail_each_is_named() {
    let two = TwoProviders::new(
        "all",
        [busy()],
        vec![ScriptedAnswer::error(401, json!({ "error": { "message": "bad key" } }))],
        "",
    );
    let body = json!({ "model": "coder", "input": "hello" }).to_string();
    let answer = two.harness.post(&body, "");
    assert!(status(&answer) >= 400, "{answer}");
    for words in ["no endpoint of the route answered", "lab/glm-5: lab: overloaded", "spare: bad key"] {
        assert!(answer.contains(words), "{words}: {answer}");
    }
}

#[test]
fn a_history_that_is_too_long_goes_back_to_the_client() {
    let long = ScriptedAnswer::error(
        400,
        json!({ "error": { "code": "context_length_exceeded", "message": "too long" } }),
    );
    let two = TwoProviders::new("long", [long], vec![ScriptedAnswer::text("no")], "");
    let answer = two.harness.post(&json!({ "model": "coder", "input": "hello" }).to_string(), "");
    assert!(answer.contains("context_length_exceeded"), "{answer}");
    assert_eq!(two.counts(), (1, 0), "the client compacts; another endpoint is no better");
}

#[test]
fn conversations_stay_and_rounds_go_round() {
    let (first, second) = (vec![ScriptedAnswer::text("lab")], vec![ScriptedAnswer::text("spare")]);
    let two = TwoProviders::new("round", first, second, "strategy = \"round_robin\"");
    let said = |conversation: &str| {
        let answer = two.ask(conversation);
        if answer.contains("\"delta\":\"spare\"") { "spare" } else { "lab" }
    };
    assert_eq!([said("a"), said("b"), said("c")], ["lab", "spare", "lab"]);
    assert_eq!([said("b"), said("b"), said("a")], ["spare", "spare", "lab"], "their caches are warm there");
}

#[test]
fn what_routing_knows_survives_a_restart() {
    let limited =
        ScriptedAnswer::error(429, json!({ "error": { "message": "daily limit reached, resets in 2h" } }));
    let mut two = TwoProviders::new(
        "restart",
        [limited, ScriptedAnswer::text("lab")],
        vec![ScriptedAnswer::text("spare")],
        "",
    );
    assert!(two.ask("a").contains("\"delta\":\"spare\""));
    two.harness.restart();
    assert!(two.ask("b").contains("\"delta\":\"spare\""), "the limit still holds");
    assert_eq!(two.counts().0, 1, "the limited endpoint was not asked again");
    let routes = std::fs::read_to_string(two.harness.dir.join("state/routes.json")).expect("saved");
    let document: Value = serde_json::from_str(&routes).expect("JSON");
    assert!(document["targets"]["lab/glm-5"]["limited_until"].is_u64(), "{routes}");
    assert!(!routes.contains("upstream-key"), "keys are kept by fingerprint only");
}

#[test]
fn more_at_once_than_allowed_wait_or_go_elsewhere() {
    let slow = ScriptedAnswer { delay_ms: 400, ..ScriptedAnswer::text("lab") };
    let harness = Harness::configured("slots", [slow], "", "max_parallel = 1");
    let url = harness.url.clone();
    let begun = std::time::Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let answer = harness.post(r#"{"model":"glm-5","input":"hello"}"#, "");
                assert_eq!(status(&answer), 200, "{url}: {answer}");
            });
        }
    });
    assert!(begun.elapsed() >= std::time::Duration::from_millis(1200), "one after the other");
}

#[test]
fn who_has_little_left_is_asked_last_and_a_guard_says_so() {
    let said = || {
        let answer = ScriptedAnswer::text("from the first");
        answer
            .header("x-ratelimit-limit-requests-day", "100")
            .header("x-ratelimit-remaining-requests-day", "2")
            .header("x-ratelimit-reset-requests-day", "5000")
    };
    let mut two =
        TwoProviders::new("little-left", [said(), said()], vec![ScriptedAnswer::text("from the spare")], "");
    assert!(two.ask("a").contains("from the first"), "nobody knows yet");
    assert!(two.ask("b").contains("from the spare"), "2 % is left");
    assert!(two.ask("a").contains("from the spare"), "also where the first answered before");
    let explained = support::output(&mut support::latimer_in(&two.harness.dir, &["explain", "t3"]));
    let explained = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(explained.contains("2 % is left of its allowance"), "{explained}");
    let quota = |least: &str| {
        let output =
            support::output(&mut support::latimer_in(&two.harness.dir, &["quota", "--min-remaining", least]));
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, told) = quota("10");
    assert!(code == Some(5) && told.contains("2 %") && told.contains("back in 1 h"), "{code:?} {told}");
    assert_eq!(quota("1").0, Some(0));
    two.harness.signal("TERM");
    two.harness.proxy.wait().expect("stopped");
    let quota = |least: &str| {
        let output =
            support::output(&mut support::latimer_in(&two.harness.dir, &["quota", "--min-remaining", least]));
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, told) = quota("10");
    assert!(code == Some(5) && told.contains("requests day"), "the last word is kept: {code:?} {told}");
}

/// A provider that says how much money is left, and nothing else; and what it was asked.
fn bank() -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (sender, asked) = mpsc::channel();
    std::thread::spawn(move || {
        let money = json!({ "is_available": true, "balance_infos": [{ "currency": "USD", "total_balance": "2.50" }] });
        let money = money.to_string();
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let length = stream.read(&mut request).expect("read");
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", money.len());
            stream.write_all(head.as_bytes()).expect("sent");
            stream.write_all(money.as_bytes()).expect("sent");
            let _ = sender.send(String::from_utf8_lossy(&request[..length]).into_owned());
        }
    });
    (url, asked)
}

#[test]
fn a_balance_is_asked_for_where_somebody_looks() {
    let (url, asked) = bank();
    let more = format!(
        "models = [\"glm-5\"]\n[[endpoint]]\nname = \"bank\"\npreset = \"deepseek\"\nbase_url = \"{url}\"\napi_key = \"bank-key\"\n"
    );
    let harness = Harness::configured("balance", [ScriptedAnswer::text("x")], "", &more);
    let quota = || support::output(&mut support::latimer_in(&harness.dir, &["quota"]));
    let told = quota();
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.status.success() && text.contains("2.50 USD left"), "{text} {told:?}");
    let request = asked.recv_timeout(support::WAIT_TIMEOUT).expect("asked");
    assert!(request.starts_with("GET /user/balance ") && request.contains("Bearer bank-key"), "{request}");
    quota();
    support::output(&mut support::latimer_in(&harness.dir, &["statusline"]));
    assert!(asked.try_recv().is_err(), "once a minute at most");
}
