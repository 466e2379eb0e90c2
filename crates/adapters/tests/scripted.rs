//! The scripted provider as a program that speaks HTTP sees it.

#![expect(clippy::expect_used, reason = "helpers of tests may stop the test")]

use std::io::{Read, Write};
use std::net::TcpStream;

use latimer_adapters::scripted::{Framing, Provider, Scenario, ScriptedAnswer, Step};
use serde_json::json;

fn request(path: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Sends bytes and reads until the provider closes; both block, so they leave the runtime's thread.
async fn exchange(provider: &Provider, text: String) -> String {
    let address = provider.address();
    tokio::task::spawn_blocking(move || {
        let mut socket = TcpStream::connect(address).expect("listens");
        socket.write_all(text.as_bytes()).expect("open");
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        String::from_utf8(answer).expect("text")
    })
    .await
    .expect("no panic")
}

fn chat(text: &str) -> String {
    let body =
        json!({"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": "tests"}]});
    request("/v1/chat/completions", &body.to_string())
}

#[tokio::test]
async fn answers_come_in_order_and_the_last_repeats() {
    let answer = |text: &str| ScriptedAnswer::text(text).framing(Framing::Close);
    let provider = Provider::start(Scenario::new([answer("one"), answer("two")])).await.expect("a port");
    for want in ["one", "two", "two"] {
        let got = exchange(&provider, chat("go")).await;
        assert!(got.contains(&format!("{{\"content\":\"{want}\"}}")), "{got}");
        assert!(got.ends_with("data: [DONE]\n\n"), "{got}");
    }
    assert_eq!((provider.request_count(), provider.requests().len(), provider.disconnects()), (3, 3, 0));
}

#[tokio::test]
async fn a_matching_answer_goes_before_the_order() {
    let answer = |text: &str| ScriptedAnswer::text(text).framing(Framing::Close);
    let scenario = Scenario::new([answer("ordered"), answer("matched").when("tests")]);
    let provider = Provider::start(scenario).await.expect("a port");
    assert!(exchange(&provider, chat("run the tests")).await.contains("matched"));
    assert!(
        exchange(&provider, chat("say hello")).await.contains("ordered"),
        "only the last user text counts"
    );
}

#[tokio::test]
async fn requests_are_recorded() {
    let answer = ScriptedAnswer::whole(json!({"ok": true})).framing(Framing::Close);
    let provider = Provider::start(Scenario::new([answer])).await.expect("a port");
    exchange(&provider, chat("go")).await;
    let requests = provider.requests();
    let [request] = requests.as_slice() else { panic!("one request: {requests:?}") };
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/v1/chat/completions"));
    assert_eq!(request.header("connection"), Some("close"));
    assert_eq!(request.body["messages"][0]["content"], "go");
}

#[tokio::test]
async fn raw_bytes_are_all_there_is() {
    let provider =
        Provider::start(Scenario::new([ScriptedAnswer::raw_tcp("SSH-2.0-x\r\n")])).await.expect("a port");
    assert_eq!(exchange(&provider, chat("go")).await, "SSH-2.0-x\r\n");
}

#[tokio::test]
async fn dropping_the_provider_ends_its_connections() {
    let stall = ScriptedAnswer::steps([Step::text("a"), Step::Stall]);
    let provider = Provider::start(Scenario::new([stall])).await.expect("a port");
    let address = provider.address();
    let (first_byte, seen) = tokio::sync::oneshot::channel();
    let reading = tokio::task::spawn_blocking(move || {
        let mut socket = TcpStream::connect(address).expect("listens");
        socket.write_all(chat("go").as_bytes()).expect("open");
        socket.read_exact(&mut [0]).expect("an answer");
        let _ = first_byte.send(());
        let _ = socket.read_to_end(&mut Vec::new());
    });
    seen.await.expect("an answer");
    drop(provider);
    reading.await.expect("the connection ended");
    assert!(TcpStream::connect(address).is_err(), "the port is closed");
}

#[tokio::test]
async fn a_scenario_without_answers_is_refused() {
    assert!(Provider::start(Scenario::new([])).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn short_pauses_add_up() {
    let slow = Step::Text { text: "x".repeat(5_000), pieces: 5_000, gap_us: 200 };
    let provider = Provider::start(Scenario::new([ScriptedAnswer::turn([slow]).framing(Framing::Close)]))
        .await
        .expect("a port");
    let mut socket = tokio::net::TcpStream::connect(provider.address()).await.expect("listens");
    let started = tokio::time::Instant::now();
    tokio::io::AsyncWriteExt::write_all(&mut socket, chat("go").as_bytes()).await.expect("open");
    tokio::io::AsyncReadExt::read_to_end(&mut socket, &mut Vec::new()).await.expect("an end");
    // 5 000 pauses of a fifth of a millisecond, although a timer cannot be set to less than one.
    assert!((0.9..1.2).contains(&started.elapsed().as_secs_f64()), "{:?}", started.elapsed());
}
