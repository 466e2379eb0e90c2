//! Both requests of a turn, as the client sent it and as it went to the provider, without secrets; and the same turn once more to another
//! target.

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::header::{HeaderValue, USER_AGENT};
use hyper::{HeaderMap, Response};
use latimer_protocol::secret::redact;
use latimer_protocol::status::SCHEMA_VERSION;
use serde::Deserialize;
use serde_json::{Value, json};

use super::bad;
use crate::clock;
use crate::http::refusal::Refusal;
use crate::http::reply::Reply;
use crate::inbound::client_protocol::ClientProtocol;
use crate::inbound::gemini::stream::Form;
use crate::running::{AskedRequest, KeptBody};
use crate::server::proxy::Proxy;
use crate::{text, turn};

/// Bytes of a body that are shown.
const MAX_SHOWN: usize = 256 << 10;
/// Bytes of an answer that are shown.
const MAX_ANSWER: usize = 64 << 10;
/// Who asks, towards the log and the provider.
const REPLAY_AGENT: &str = "latimer-replay/1";
/// What is said where nothing is left of a turn.
const GONE: &str = "the requests of the last turns are kept in memory only, 64 of them and 8 MB at most; those of this turn are not among them";

/// What is said where nothing is kept of any turn.
const NOT_KEPT: &str = "requests are not kept: `keep_requests` of `[server]` is off; Settings switches it on for the turns to come";

/// `GET /api/v1/turns/{id}/requests`.
pub(super) fn show(proxy: &Proxy, turn: &str) -> Value {
    let all = proxy.kept_requests();
    let kept = all.of(turn).unwrap_or_default();
    let client = kept.client.as_ref().map(|asked| {
        let mut shown = shown(&asked.body);
        shown["protocol"] = asked.protocol.name().into();
        shown["model"] = asked.path_model.clone().into();
        shown
    });
    let upstream = kept.upstream.as_ref().map(|sent| {
        let mut shown = shown(&sent.body);
        shown["protocol"] = sent.protocol.into();
        shown["target"] = redact(&sent.target).into();
        shown
    });
    let may_replay = kept.client.as_ref().is_some_and(|asked| matches!(asked.body, KeptBody::Whole(_)));
    let why = if all.are_kept() { GONE } else { NOT_KEPT };
    let missing = (client.is_none() && upstream.is_none()).then_some(why);
    json!({
        "schema_version": SCHEMA_VERSION,
        "turn": text::shown(turn, text::MAX_WORD),
        "client": client,
        "upstream": upstream,
        "may_replay": may_replay,
        "missing": missing,
    })
}

/// A body for people: indented, cut, without secrets. Headers are not kept, so none is shown.
fn shown(body: &KeptBody) -> Value {
    match body {
        KeptBody::Whole(bytes) => {
            let whole = indented(&String::from_utf8_lossy(bytes));
            let beginning = beginning(&whole, MAX_SHOWN);
            json!({ "bytes": bytes.len(), "text": redact(beginning), "cut": beginning.len() < whole.len() })
        }
        KeptBody::TooLong(bytes) => json!({ "bytes": bytes, "text": null, "cut": true }),
    }
}

/// At most so many bytes of a text, whole characters.
fn beginning(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

/// JSON with line breaks; what stands in texts stays as it is, and so does every number.
fn indented(json: &str) -> String {
    let (mut out, mut depth, mut is_in_text, mut is_escaped) = (String::new(), 0_usize, false, false);
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth.min(40)));
    };
    let mut characters = json.chars().peekable();
    while let Some(character) = characters.next() {
        if is_in_text {
            out.push(character);
            is_in_text = character != '"' || is_escaped;
            is_escaped = character == '\\' && !is_escaped;
            continue;
        }
        match character {
            '"' => {
                is_in_text = true;
                out.push('"');
            }
            '{' | '[' => {
                out.push(character);
                while characters.next_if(char::is_ascii_whitespace).is_some() {}
                if characters.peek().is_some_and(|next| matches!(next, '}' | ']')) {
                    out.extend(characters.next());
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(character);
            }
            ',' => {
                out.push(',');
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            white if white.is_ascii_whitespace() => {}
            other => out.push(other),
        }
    }
    out
}

/// Where a turn goes once more.
#[derive(Debug, Deserialize)]
struct Target {
    /// `endpoint/model`, or any name that a client may ask for.
    target: String,
}

/// `POST /api/v1/turns/{id}/replay`: what the client sent goes to another target, as a turn of its own. No tool is run.
///
/// # Errors
///
/// The request is not kept any more (404), or the body names no target (400).
pub(super) async fn replay(proxy: &Proxy, turn: &str, body: &Bytes, request: &str) -> Result<Value, Refusal> {
    let Target { target } =
        serde_json::from_slice(body).map_err(|error| bad(&format!("the body cannot be read: {error}")))?;
    let kept = proxy.kept_requests().of(turn).and_then(|kept| kept.client);
    let Some(AskedRequest { protocol, body: KeptBody::Whole(body), .. }) = kept else {
        return Err(Refusal::invalid(404, "not_kept").message(GONE));
    };
    let context = proxy.begin_turn(request)?;
    let turn = context.open.id();
    let begun = clock::now();
    let answer = send(context, protocol, &target, &body).await?;
    let status = answer.status().as_u16();
    let Ok(body) = answer.into_body().collect().await;
    let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let body = body.to_bytes();
    let document: Value = serde_json::from_slice(&body).unwrap_or_default();
    let whole = indented(&String::from_utf8_lossy(&body));
    let beginning = beginning(&whole, MAX_ANSWER);
    Ok(json!({
        "schema_version": SCHEMA_VERSION,
        "turn": turn,
        "target": text::shown(&target, text::MAX_NAME),
        "works": status == 200,
        "status": status,
        "ms": ms,
        "message": document["error"]["message"].as_str(),
        "answer": redact(beginning),
        "cut": beginning.len() < whole.len(),
    }))
}

/// The request in the client's own protocol, answered as one object.
async fn send(
    context: turn::TurnContext,
    protocol: ClientProtocol,
    target: &str,
    body: &Bytes,
) -> Result<Response<Reply>, Refusal> {
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static(REPLAY_AGENT));
    if let ClientProtocol::Gemini { .. } = protocol {
        let caller = turn::GeminiCaller { headers: &headers, model: target, form: Form::Object };
        return Ok(turn::generate(context, caller, body.clone()).await);
    }
    let mut document: Value = serde_json::from_slice(body)
        .map_err(|error| bad(&format!("what the client sent is no JSON: {error}")))?;
    let fields = document.as_object_mut().ok_or_else(|| bad("what the client sent is no JSON object"))?;
    fields.insert("model".to_owned(), target.into());
    fields.insert("stream".to_owned(), false.into());
    // Only a stream may be asked for it.
    fields.remove("stream_options");
    let body = Bytes::from(document.to_string());
    Ok(match protocol {
        ClientProtocol::Chat { .. } => turn::chat(context, &headers, body).await,
        ClientProtocol::Messages { .. } => turn::messages(context, &headers, body).await,
        ClientProtocol::Responses { .. } | ClientProtocol::Gemini { .. } => {
            turn::responses(context, &headers, body).await
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbound::client_protocol::ResponsesClient;
    use crate::server::proxy::tests::proxy;

    #[test]
    fn json_is_indented_and_nothing_else() {
        let shown = indented(r#"{"a":[1.50,{}, [ ]],"b":"x{,:\"\\","c":12345678901234567890}"#);
        let wanted = "{\n  \"a\": [\n    1.50,\n    {},\n    []\n  ],\n  \"b\": \"x{,:\\\"\\\\\",\n  \"c\": 12345678901234567890\n}";
        assert_eq!(shown, wanted);
        assert_eq!(indented("]]}"), "\n]\n]\n}");
    }

    #[tokio::test]
    async fn a_turn_that_is_not_kept_says_why_and_is_not_sent_again() {
        let proxy = proxy();
        let document = show(&proxy, "t7");
        assert!(document["missing"].as_str().is_some_and(|text| text.contains("memory")), "{document}");
        assert_eq!((&document["client"], &document["may_replay"]), (&Value::Null, &json!(false)));
        let body = Bytes::from_static(b"{\"target\":\"a/m\"}");
        assert_eq!(replay(&proxy, "t7", &body, "r").await.err().map(|refusal| refusal.status), Some(404));
        assert_eq!(
            replay(&proxy, "t7", &Bytes::new(), "r").await.err().map(|refusal| refusal.status),
            Some(400)
        );
    }

    #[tokio::test]
    async fn what_was_asked_is_shown_without_the_secrets_of_this_process() {
        let proxy = proxy();
        let secret = latimer_protocol::secret::Secret::new("a-key-of-this-process-7f3");
        let open = proxy.turns.begin();
        let body = Bytes::from(
            json!({ "model": "m", "input": format!("my key is {}", secret.expose()) }).to_string(),
        );
        open.running.asked(ClientProtocol::Responses { client: ResponsesClient::Other }, None, &body);
        open.running.sent("a/m", "chat", &body);
        let document = show(&proxy, "t1").to_string();
        assert!(document.contains("my key is") && !document.contains(secret.expose()), "{document}");
        assert!(document.contains("\"target\":\"a/m\"") && document.contains("\"may_replay\":true"));
    }
}
