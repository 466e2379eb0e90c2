//! The Responses API over WebSocket, over real sockets: each rule of `docs/websocket.md` has its test.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::time::{Duration, Instant};

use latimer_adapters::scripted::{ScriptedAnswer, Step};
use latimer_protocol::responses::legality;
use serde_json::{Value, json};
use support::upstream_scripts::{Ending, Output, script};
use support::websocket_client::{WebSocketClient, as_stream, id, text};
use support::{Harness, WAIT_TIMEOUT};
use tokio_tungstenite::tungstenite::Message;

const ON: &str = "websocket = true";

type Headers<'h> = &'h [(&'h str, &'h str)];

fn harness(name: &str, answers: impl IntoIterator<Item = ScriptedAnswer>) -> Harness {
    Harness::configured(name, answers, ON, "")
}

/// Runs the client's side on the thread of the test.
fn run(client: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(client);
}

/// Waits until something is so.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let started_at = Instant::now();
    while !is_so() {
        assert!(started_at.elapsed() < WAIT_TIMEOUT, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn user_texts(harness: &Harness, number: usize) -> Vec<String> {
    let messages = harness.requests()[number].body["messages"].as_array().cloned().expect("messages");
    messages.iter().filter_map(|message| message["content"].as_str().map(str::to_owned)).collect()
}

#[test]
fn the_events_are_those_of_the_stream_one_in_each_message() {
    let answer = || ScriptedAnswer::turn([Step::reasoning("Hm."), Step::text("Hello, "), Step::text("you.")]);
    let harness = harness("ws-events", [answer(), answer()]);
    run(async {
        let mut client = WebSocketClient::connect(&harness).await;
        client.create("Hi.", json!({})).await;
        let events = client.answer().await;
        let stream = as_stream(&events);
        assert_eq!(legality::check(stream.as_bytes()), Vec::<String>::new(), "{stream}");
        assert_eq!(text(&events), "Hm.Hello, you.");
        let body = json!({ "model": "glm-5", "stream": true, "store": false, "input": [{ "type": "message", "role": "user", "content": "Hi." }] });
        let http = harness.post(&body.to_string(), "");
        let kinds = |text: &str| -> Vec<String> {
            text.lines().filter_map(|line| line.strip_prefix("event: ")).map(str::to_owned).collect()
        };
        assert_eq!(kinds(&stream), kinds(&http));
    });
    assert_eq!(harness.requests()[0].body, harness.requests()[1].body, "the provider sees no difference");
}

#[test]
fn half_a_pair_in_a_message_breaks_nothing() {
    let harness = harness("ws-half", [ScriptedAnswer::text("Hi.")]);
    run(async {
        let mut client = WebSocketClient::connect(&harness).await;
        let message = r#"{"type":"response.create","model":"glm-5","store":false,"client_metadata":{"k\udc00":"\ud83d"},"input":[{"type":"message","role":"user","content":"cut \ud83d"}]}"#;
        client.send(Message::text(message)).await;
        assert_eq!(text(&client.answer().await), "Hi.");
    });
    assert_eq!(user_texts(&harness, 0), ["cut \u{fffd}"]);
}

#[test]
fn without_the_setting_the_upgrade_is_refused() {
    let harness = Harness::new("ws-off", [ScriptedAnswer::text("Hi.")]);
    let token = format!("Bearer {}", harness.token());
    run(async {
        let refused =
            WebSocketClient::try_connect(&harness, "/v1/responses", &[("authorization", &token)]).await;
        let (status, body) = refused.err().expect("refused");
        assert!(status == 426 && body.contains("server.websocket"), "{status} {body}");
    });
}

#[test]
fn strangers_stay_outside() {
    let harness = harness("ws-door", [ScriptedAnswer::text("Hi.")]);
    let token = format!("Bearer {}", harness.token());
    run(async {
        let auth = ("authorization", token.as_str());
        let cases: [(&str, Headers<'_>, u16); 7] = [
            ("/v1/responses", &[], 401),
            ("/v1/responses", &[("authorization", "Bearer guess")], 401),
            ("/v1/responses", &[auth, ("origin", "https://page.example")], 403),
            ("/v1/responses", &[auth, ("origin", "null")], 403),
            ("/v1/responses", &[auth, ("host", "rebound.example")], 403),
            ("/v1/responses", &[auth, ("sec-websocket-version", "8")], 400),
            ("/v1/models", &[auth], 200),
        ];
        for (path, headers, want) in cases {
            let refused = WebSocketClient::try_connect(&harness, path, headers).await;
            assert_eq!(refused.err().map(|(status, _)| status), Some(want), "{path} {headers:?}");
        }
        for path in ["/v1/responses", "/responses", "/v1/responses/"] {
            assert!(WebSocketClient::try_connect(&harness, path, &[auth]).await.is_ok(), "{path}");
        }
    });
    assert!(harness.requests().is_empty());
}

#[test]
fn a_connection_remembers_what_is_not_stored() {
    let harness = harness(
        "ws-chain",
        [ScriptedAnswer::text("One."), ScriptedAnswer::text("Two."), ScriptedAnswer::text("Three.")],
    );
    run(async {
        let mut client = WebSocketClient::connect(&harness).await;
        client.create("first", json!({})).await;
        let first = id(&client.answer().await);
        client.create("second", json!({ "previous_response_id": first })).await;
        let second = id(&client.answer().await);
        client.create("third", json!({ "previous_response_id": second })).await;
        client.answer().await;
        // Nobody else knows it: not another connection, and not the store.
        let mut other = WebSocketClient::connect(&harness).await;
        other.create("fourth", json!({ "previous_response_id": second })).await;
        let error = other.answer().await.remove(0);
        assert_eq!(
            (&error["type"], &error["status"], &error["error"]["code"]),
            (&json!("error"), &json!(400), &json!("previous_response_not_found"))
        );
        assert!(
            harness.http(&harness.get(&format!("/v1/responses/{second}")), b"").starts_with("HTTP/1.1 404")
        );
    });
    assert_eq!(user_texts(&harness, 2), ["first", "One.", "second", "Two.", "third"]);
    assert_eq!(harness.requests().len(), 3);
}

#[test]
fn an_upstream_of_the_same_protocol_gets_a_plain_request() {
    let answer = |text| script("responses", &[Output::Text(text)], Ending::Complete);
    let endpoint = "protocol = \"responses\"\nrepair = \"off\"";
    let harness = Harness::configured("ws-pass", [answer("One."), answer("Two.")], ON, endpoint);
    run(async {
        let mut client = WebSocketClient::connect(&harness).await;
        client.create("the beginning", json!({ "generate": false })).await;
        let warm = id(&client.answer().await);
        client.create("first", json!({ "previous_response_id": warm })).await;
        let events = client.answer().await;
        assert_eq!(text(&events), "One.");
        client.create("second", json!({ "previous_response_id": id(&events) })).await;
        assert_eq!(text(&client.answer().await), "Two.");
    });
    let requests = harness.requests();
    let body = &requests[1].body;
    for field in ["type", "generate", "previous_response_id"] {
        assert!(body.get(field).is_none(), "{field} in {body}");
    }
    assert_eq!(body["stream"], true);
    let input: Vec<String> = body["input"].as_array().expect("items").iter().map(Value::to_string).collect();
    let order = ["the beginning", "first", "One.", "second"];
    assert_eq!(input.len(), order.len());
    assert!(input.iter().zip(order).all(|(item, text)| item.contains(text)), "{input:?}");
    let of_the_socket = |name: &str| name.starts_with("sec-websocket") || name == "upgrade";
    assert!(!requests[1].headers.iter().any(|(name, _)| of_the_socket(name)), "{:?}", requests[1].headers);
}

#[test]
fn after_an_error_in_the_chain_the_client_sends_everything_again() {
    let broken = ScriptedAnswer::error(400, json!({ "error": { "message": "no such temperature" } }));
    let harness = harness("ws-broken", [ScriptedAnswer::text("One."), broken, ScriptedAnswer::text("Two.")]);
    run(async {
        let mut client = WebSocketClient::connect(&harness).await;
        client.create("first", json!({})).await;
        let first = id(&client.answer().await);
        client.create("second", json!({ "previous_response_id": first })).await;
        let error = client.answer().await.remove(0);
        assert_eq!((&error["type"], &error["status"]), (&json!("error"), &json!(400)), "{error}");
        assert!(
            error["error"]["message"].as_str().is_some_and(|words| words.contains("no such temperature"))
        );
        client.create("second", json!({ "previous_response_id": first })).await;
        let error = client.answer().await.remove(0);
        assert_eq!(error["error"]["code"], "previous_response_not_found", "{error}");
        client.create("all of it", json!({})).await;
        assert_eq!(text(&client.answer().await), "Two.");
    });
    assert_eq!(harness.requests().len(), 3);
}

#[test]
fn a_turn_that_breaks_in_the_middle_is_forgotten_too() {
    let half = ScriptedAnswer::steps([Step::text("It beg"), Step::Cut]);
    let harness = harness("ws-half", [ScriptedAnswer::text("One."), half]);
    run(async {
        let mut client = WebSocketClient::connect(&harness).await;
        client.create("first", json!({})).await;
        let first = id(&client.answer().await);
        client.create("second", json!({ "previous_response_id": first })).await;
        let events = client.answer().await;
        assert_eq!(events.last().expect("events")["type"], "response.failed", "{events:?}");
        client.create("second", json!({ "previous_response_id": first })).await;
        assert_eq!(client.answer().await[0]["error"]["code"], "previous_response_not_found");
    });
}

#[test]
fn a_warm_up_asks_nobody_and_can_be_gone_on_with() {
    let harness = harness("ws-warm", [ScriptedAnswer::text("Hello.")]);
    run(async {
        let mut client = WebSocketClient::connect(&harness).await;
        client.create("the long beginning", json!({ "generate": false })).await;
        let events = client.answer().await;
        let done = &events.last().expect("events")["response"];
        assert_eq!((&done["status"], &done["output"]), (&json!("completed"), &json!([])), "{events:?}");
        assert_eq!(legality::check(as_stream(&events).as_bytes()), Vec::<String>::new());
        assert!(harness.requests().is_empty(), "a provider was asked");
        client.create("and now?", json!({ "previous_response_id": id(&events) })).await;
        assert_eq!(text(&client.answer().await), "Hello.");
    });
    assert_eq!(user_texts(&harness, 0), ["the long beginning", "and now?"]);
}

#[test]
fn requests_are_answered_one_after_the_other() {
    let slow = ScriptedAnswer::turn([Step::text("Slow"), Step::sleep(300), Step::text("ly.")]);
    let harness = harness("ws-queue", [slow, ScriptedAnswer::text("Then this.")]);
    run(async {
        let mut client = WebSocketClient::connect(&harness).await;
        client.create("one", json!({})).await;
        client.send(Message::text("{\"type\":\"response.nonsense\"}")).await;
        client.create("two", json!({})).await;
        let first = client.answer().await;
        assert_eq!(text(&first), "Slowly.");
        assert_eq!(legality::check(as_stream(&first).as_bytes()), Vec::<String>::new());
        assert_eq!(client.answer().await[0]["error"]["param"], "type", "in its turn");
        assert_eq!(text(&client.answer().await), "Then this.");
        client.create("three", json!({ "stream_id": "a" })).await;
        assert_eq!(client.answer().await[0]["error"]["param"], "stream_id");
    });
    let requests = harness.requests();
    assert!(requests[1].received_at >= requests[0].received_at + Duration::from_millis(300));
}

#[test]
fn a_flood_of_requests_is_not_kept() {
    let harness = harness("ws-flood", [ScriptedAnswer::steps([Step::text("Slowly"), Step::Stall])]);
    run(async {
        let mut client = WebSocketClient::connect(&harness).await;
        client.create("one", json!({})).await;
        until("the turn is open", || harness.requests().len() == 1).await;
        for _ in 0..9 {
            client.create("another", json!({})).await;
        }
        loop {
            match client.next().await {
                Message::Text(_) => {}
                Message::Close(Some(frame)) => break assert_eq!(u16::from(frame.code), 1008),
                other => panic!("{other:?}"),
            }
        }
    });
    assert_eq!(harness.requests().len(), 1);
}

#[test]
fn a_client_that_leaves_ends_its_turn() {
    for politely in [true, false] {
        let harness = harness("ws-leave", [ScriptedAnswer::steps([Step::text("Slowly"), Step::Stall])]);
        run(async {
            let mut client = WebSocketClient::connect(&harness).await;
            client.create("Hi.", json!({})).await;
            while text(&[client.event().await]).is_empty() {}
            assert_eq!(harness.provider.disconnects(), 0);
            if politely {
                client.socket.close(None).await.expect("closed");
            } else {
                drop(client);
            }
            until("the provider is left", || harness.provider.disconnects() == 1).await;
        });
    }
}

#[test]
fn a_client_that_does_not_read_holds_the_provider_back() {
    const PIECES: u64 = 4000;
    let piece = "x".repeat(16 << 10);
    let long = ScriptedAnswer::turn([Step::repeat(PIECES, [Step::text(piece.clone())])]);
    let harness = harness("ws-slow", [long]);
    let health = || -> Value {
        serde_json::from_str(support::body(&harness.http(&harness.get("/health"), b""))).expect("JSON")
    };
    let held = |health: &Value| health["memory_bytes"].as_u64().expect("bytes");
    run(async {
        let mut client = WebSocketClient::connect(&harness).await;
        let before = held(&health());
        client.create("Hi.", json!({})).await;
        until("the turn is open", || harness.requests().len() == 1).await;
        // Without backpressure all 64 MB would be in the proxy long before this is over.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let now = health();
        assert_eq!(now["turns_open"], 1, "the turn waits for its reader: {now}");
        let more = held(&now).saturating_sub(before);
        assert!(more < 48 << 20, "{more} bytes more are held");
        let mut size = 0;
        loop {
            let event = client.event().await;
            size += event["delta"].as_str().map_or(0, str::len);
            if event["type"] == "response.completed" {
                break;
            }
        }
        assert_eq!(size, piece.len() * usize::try_from(PIECES).expect("fits"));
    });
}

#[test]
fn what_is_no_text_within_the_limit_closes_the_connection() {
    let harness = Harness::configured(
        "ws-size",
        [ScriptedAnswer::text("Hi.")],
        "websocket = true\nbody_limit = \"64KiB\"",
        "",
    );
    run(async {
        let mut client = WebSocketClient::connect(&harness).await;
        client.send(Message::binary(vec![1, 2, 3])).await;
        assert_eq!(client.closed().await, 1003);
        let mut client = WebSocketClient::connect(&harness).await;
        client.send(Message::text("x".repeat(65 << 10))).await;
        assert_eq!(client.closed().await, 1009);
        let mut client = WebSocketClient::connect(&harness).await;
        client.create(&"x".repeat(60 << 10), json!({})).await;
        assert_eq!(text(&client.answer().await), "Hi.", "just within the limit");
    });
    assert_eq!(harness.requests().len(), 1);
}

#[test]
fn a_stop_lets_the_turn_finish_and_says_goodbye() {
    let slow = ScriptedAnswer::turn([Step::text("Once"), Step::sleep(500), Step::text(" more.")]);
    let mut harness = Harness::configured("ws-drain", [slow], "websocket = true\ngrace = \"20s\"", "");
    run(async {
        let mut idle = WebSocketClient::connect(&harness).await;
        let mut client = WebSocketClient::connect(&harness).await;
        client.create("Hi.", json!({})).await;
        until("the turn is open", || harness.requests().len() == 1).await;
        harness.signal("TERM");
        assert_eq!(idle.closed().await, 1001);
        let events = client.answer().await;
        assert_eq!(text(&events), "Once more.");
        assert_eq!(client.closed().await, 1001);
    });
    assert_eq!(harness.proxy.wait().expect("ended").code(), Some(0));
}

#[test]
fn a_stop_that_cannot_wait_ends_the_turn_legally() {
    let stalled = ScriptedAnswer::steps([Step::text("Slowly"), Step::Stall]);
    let mut harness = Harness::configured("ws-cut", [stalled], "websocket = true\ngrace = \"300ms\"", "");
    run(async {
        let mut client = WebSocketClient::connect(&harness).await;
        client.create("Hi.", json!({})).await;
        let mut events = Vec::new();
        while text(&events).is_empty() {
            events.push(client.event().await);
        }
        client.create("Me too.", json!({})).await;
        harness.signal("TERM");
        events.extend(client.answer().await);
        assert_eq!(events.last().expect("events")["type"], "response.failed");
        assert_eq!(legality::check(as_stream(&events).as_bytes()), Vec::<String>::new());
        assert_eq!(client.answer().await[0]["error"]["code"], "proxy_shutting_down");
        assert_eq!(client.closed().await, 1001);
    });
    assert_eq!(harness.proxy.wait().expect("ended").code(), Some(0));
}
