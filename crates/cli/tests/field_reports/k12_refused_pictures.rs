//! K12: a picture that a provider refuses becomes a note, and the rest of the history stays.

use serde_json::{Value, json};

use super::fronts::{CODEX, PROVIDERS, refusal, words};
use crate::support::field_report::{FieldHarness, FieldReport, RuleProvider};

const PICTURE: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

fn has_picture(text: &str) -> bool {
    text.contains("iVBORw0KGgo")
}

#[test]
fn a_broken_picture_in_the_history() {
    let report = FieldReport::load("K12-broken-picture");
    let harness = report.start("", |body| has_picture(&body.to_string()));
    report.ask(&harness, &report.request()).assert_completed();
    report.ask(&harness, &report.request()).assert_completed();
    let requests = harness.requests();
    assert!(requests.len() <= 3, "the second turn is asked once: {}", requests.len());
    let last = &requests[requests.len() - 1].text;
    assert!(last.contains("never mind, go on") && last.contains("hm") && last.contains("see"), "{last}");
}

/// Words of a refusal, in which `PLACE` stands for the path of the second picture.
const WORDINGS: [(u16, &str); 6] = [
    (400, "Invalid PNG image"),
    (400, "PLACE: Could not process image"),
    (500, "failed to decode image"),
    (413, "image exceeds 5 MB maximum: 6291456 bytes"),
    (400, "图片格式不正确"),
    (400, "Die Bilddatei ist beschädigt: Bild 2"),
];

fn request(path: &str) -> Value {
    let base64 = PICTURE.trim_start_matches("data:image/png;base64,");
    match path {
        "/v1/responses" => {
            let message = |text: &str| json!({ "type": "message", "role": "user", "content": [{ "type": "input_text", "text": text }, { "type": "input_image", "image_url": PICTURE }] });
            json!({ "model": "m1", "stream": true, "input": [message("first"), message("second")] })
        }
        "/v1/chat/completions" => {
            let message = |text: &str| json!({ "role": "user", "content": [{ "type": "text", "text": text }, { "type": "image_url", "image_url": { "url": PICTURE } }] });
            json!({ "model": "m1", "stream": true, "messages": [message("first"), message("second")] })
        }
        "/v1/messages" => {
            let source = json!({ "type": "base64", "media_type": "image/png", "data": base64 });
            let message = |text: &str| json!({ "role": "user", "content": [{ "type": "text", "text": text }, { "type": "image", "source": source }] });
            json!({ "model": "m1", "stream": true, "max_tokens": 900, "messages": [message("first"), message("second")] })
        }
        _ => {
            let content = |text: &str| json!({ "role": "user", "parts": [{ "text": text }, { "inlineData": { "mimeType": "image/png", "data": base64 } }] });
            json!({ "contents": [content("first"), content("second")] })
        }
    }
}

#[test]
fn a_note_stands_in_its_place_for_every_client_and_provider() {
    let paths = [
        "/v1/responses",
        "/v1/chat/completions",
        "/v1/messages",
        "/v1beta/models/m1:streamGenerateContent?alt=sse",
    ];
    for protocol in PROVIDERS {
        for (status, wording) in WORDINGS {
            let provider = RuleProvider::start(move |request| {
                if has_picture(&request.text) {
                    refusal(protocol, status, wording)
                } else {
                    words(protocol, "ok")
                }
            });
            let harness = FieldHarness::start(provider, protocol, "m1", "");
            for path in paths {
                let before = harness.requests().len();
                let headers = if path == "/v1/responses" { CODEX } else { "" };
                let answer = harness.ask(path, headers, &request(path).to_string());
                assert_eq!(answer.transcript.text, "ok", "{path} before {protocol}: {wording}: {answer:?}");
                let requests = harness.requests();
                assert_eq!(requests.len(), before + 2, "{path} before {protocol}: {wording}");
                let sent = &requests[before + 1].text;
                assert!(
                    sent.contains("first")
                        && sent.contains("second")
                        && sent.contains("a picture stood here"),
                    "{sent}"
                );
            }
            assert!(!harness.dir.join("state/learned.json").exists(), "nothing is learned about pictures");
        }
    }
}

#[test]
fn only_the_picture_that_is_named_is_replaced() {
    let provider = RuleProvider::start(|request| {
        let second = &request.body["messages"][1]["content"].to_string();
        if has_picture(second) {
            refusal("chat", 400, "messages.1.content.1.image_url: image exceeds 5 MB maximum: 6291456 bytes")
        } else {
            words("chat", "ok")
        }
    });
    let harness = FieldHarness::start(provider, "chat", "m1", "");
    let path = "/v1/chat/completions";
    harness.ask(path, "", &request(path).to_string()).assert_completed();
    harness.ask(path, "", &request(path).to_string()).assert_completed();
    let requests = harness.requests();
    assert!(has_picture(&requests[1].body["messages"][0]["content"].to_string()), "the other one stays");
    let pictures = requests.iter().map(|request| request.text.matches("iVBORw0KGgo").count());
    // The same picture stands twice here: once it is known that it is refused, it is not sent again.
    assert_eq!(pictures.collect::<Vec<_>>(), [2, 1, 0]);
}
