//! What clients send over WebSocket, and refusals as messages. Pure. Source: the WebSocket mode of OpenAI's Responses API, as Codex
//! was recorded to use it (`fixtures/codex`).

use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use latimer_adapters::fields::Fields;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::inbound::wire::bad_field::{BadField, Problem};
use crate::inbound::wire::depth;
use crate::inbound::wire::http_error::HttpError;
use crate::inbound::wire::path::Path;

/// The code of the error with which a connection ends that has lasted long enough.
const CONNECTION_LIMIT: &str = "websocket_connection_limit_reached";
/// Headers that Codex sends when it connects, and again in the metadata of each request.
const TURN_HEADERS: &str = "x-codex-";

/// What a client sends over a connection, one to a text message.
#[derive(Debug)]
pub enum ClientMessage {
    /// A turn is asked for.
    Create(ResponseCreate),
    /// The client says that it has read an answer; nothing follows from it.
    Processed,
}

/// The message `response.create`: a request, with what concerns the connection beside it.
#[derive(Debug)]
pub struct ResponseCreate {
    /// The request as `POST /v1/responses` takes it, always for a stream.
    pub body: Bytes,
    /// The response it goes on with.
    pub previous_response_id: Option<String>,
    /// The client only warms the connection up: it wants a name to go on with and no answer.
    pub warm_up: bool,
    /// Headers that changed since the client connected.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// Reads a message.
///
/// # Errors
/// When it is no JSON object, is of an unknown type, or asks for several streams at once.
pub fn read(text: &str) -> Result<ClientMessage, BadField> {
    if depth::exceeds(text.as_bytes(), depth::MAX_DEPTH) {
        return Err(refused(Problem::Invalid, None, depth::TOO_DEEP));
    }
    let Ok(Fields(fields)) = serde_json::from_str(text) else {
        return Err(refused(Problem::NotJson, None, "a message should be one JSON object"));
    };
    let value = |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.get());
    match value("type").and_then(|kind| serde_json::from_str::<String>(kind).ok()).as_deref() {
        Some("response.create") => {}
        Some("response.processed") => return Ok(ClientMessage::Processed),
        _ => {
            let message = "the `type` of a message should be `response.create`";
            return Err(refused(Problem::Invalid, Some("type"), message));
        }
    }
    if value("stream_id").is_some_and(|id| id != "null") {
        let message = "a connection answers one request after the other; leave `stream_id` out, or open another connection";
        return Err(BadField::unsupported(&Path::bracketed("stream_id"), message));
    }
    let body = body(&fields);
    Ok(ClientMessage::Create(ResponseCreate {
        previous_response_id: value("previous_response_id").and_then(|id| serde_json::from_str(id).ok()),
        warm_up: value("generate") == Some("false"),
        headers: value("client_metadata").map_or_else(Vec::new, metadata),
        body: body.into(),
    }))
}

/// The request without what only a connection understands. A socket always streams.
fn body(fields: &[(std::borrow::Cow<'_, str>, &RawValue)]) -> Vec<u8> {
    let mut out = b"{\"stream\":true".to_vec();
    for (name, value) in fields {
        if !matches!(name.as_ref(), "type" | "generate" | "stream" | "stream_id") {
            out.push(b',');
            out.extend_from_slice(Value::from(name.as_ref()).to_string().as_bytes());
            out.push(b':');
            out.extend_from_slice(value.get().as_bytes());
        }
    }
    out.push(b'}');
    out
}

fn metadata(metadata: &str) -> Vec<(HeaderName, HeaderValue)> {
    let Ok(Value::Object(fields)) = serde_json::from_str(metadata) else { return Vec::new() };
    let header = |(name, value): (&String, &Value)| {
        let name = HeaderName::try_from(name.as_str()).ok()?;
        let value = HeaderValue::try_from(value.as_str()?).ok()?;
        name.as_str().starts_with(TURN_HEADERS).then_some((name, value))
    };
    fields.iter().filter_map(header).collect()
}

/// The headers of one request: those the client connected with, and what it says anew of them.
pub fn headers(connected: &HeaderMap, changed: Vec<(HeaderName, HeaderValue)>) -> HeaderMap {
    let mut headers = connected.clone();
    for (name, value) in changed {
        if headers.contains_key(&name) {
            headers.insert(name, value);
        }
    }
    headers
}

/// The headers of a connection that are about the person's request, not about the connection.
pub fn connection_headers(headers: &HeaderMap) -> HeaderMap {
    let about_the_socket = |name: &HeaderName, value: &HeaderValue| {
        let name = name.as_str();
        name == "upgrade"
            || name.starts_with("sec-websocket-")
            || (name == "openai-beta" && value.as_bytes().starts_with(b"responses_websockets"))
    };
    headers
        .iter()
        .filter(|(name, value)| !about_the_socket(name, value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// An error as a message: what would be an HTTP answer, with its status beside it.
pub fn refusal(error: &HttpError) -> String {
    let wait = error.retry_after.map(|seconds| json!({ "retry-after": seconds.to_string() }).to_string());
    let wait = wait.map_or_else(String::new, |wait| format!("\"headers\":{wait},"));
    let rest = error.body.trim_start().strip_prefix('{').unwrap_or("}");
    format!("{{\"type\":\"error\",\"status\":{},{wait}{rest}", error.status)
}

/// The message with which a connection ends that has lasted for `minutes`.
pub fn limit_reached(minutes: u64) -> String {
    let message = format!("a connection lasts {minutes} minutes; open a new one to go on");
    let error = json!({ "message": message, "type": "invalid_request_error", "param": null, "code": CONNECTION_LIMIT });
    json!({ "type": "error", "status": 400, "error": error }).to_string()
}

fn refused(problem: Problem, field: Option<&str>, message: &str) -> BadField {
    BadField { problem, path: field.map(str::to_owned), message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbound::wire::openai_error;

    fn create(text: &str) -> ResponseCreate {
        match read(text) {
            Ok(ClientMessage::Create(create)) => create,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_message_is_a_request_with_a_few_fields_more() {
        let text = r#"{"type":"response.create","model":"m","stream":false,"input":[ 1 ],"generate":false,"previous_response_id":"resp_1","client_metadata":{"x-codex-a":"b","other":"c","x-codex-n":1}}"#;
        let create = create(text);
        assert_eq!(
            std::str::from_utf8(&create.body).expect("text"),
            r#"{"stream":true,"model":"m","input":[ 1 ],"previous_response_id":"resp_1","client_metadata":{"x-codex-a":"b","other":"c","x-codex-n":1}}"#
        );
        assert_eq!((create.previous_response_id.as_deref(), create.warm_up), (Some("resp_1"), true));
        assert_eq!(create.headers.len(), 1);
        assert!(matches!(
            read(r#"{"type":"response.processed","response_id":"resp_1"}"#),
            Ok(ClientMessage::Processed)
        ));
    }

    #[test]
    fn what_is_no_request_is_refused_by_name() {
        let cases = [
            ("[]", "invalid_json"),
            ("", "invalid_json"),
            ("{\"type\":1}", "invalid_value"),
            ("{\"model\":\"m\"}", "invalid_value"),
            ("{\"type\":\"response.create\",\"stream_id\":\"a\"}", "unsupported_parameter"),
        ];
        for (text, code) in cases {
            assert_eq!(openai_error::code(read(text).expect_err(text).problem), code, "{text}");
        }
    }

    #[test]
    fn an_error_is_an_event_with_its_status() {
        let error = HttpError {
            again: latimer_protocol::failure::Again::default(),
            status: 429,
            retry_after: Some(3),
            body: r#"{"error":{"message":"slow","code":"c"}}"#.to_owned(),
        };
        let event: Value = serde_json::from_str(&refusal(&error)).expect("JSON");
        assert_eq!(
            event,
            json!({ "type": "error", "status": 429, "headers": { "retry-after": "3" }, "error": { "message": "slow", "code": "c" } })
        );
        let event: Value = serde_json::from_str(&limit_reached(60)).expect("JSON");
        assert_eq!((&event["type"], &event["error"]["code"]), (&json!("error"), &json!(CONNECTION_LIMIT)));
    }

    #[test]
    fn headers_of_the_socket_stay_behind_and_those_of_the_turn_are_new() {
        let mut sent = HeaderMap::new();
        for (name, value) in [
            ("upgrade", "websocket"),
            ("sec-websocket-key", "k"),
            ("openai-beta", "responses_websockets=2026-02-06"),
            ("originator", "codex_exec"),
            ("x-codex-turn-metadata", "{}"),
        ] {
            sent.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let connected = connection_headers(&sent);
        assert_eq!(connected.len(), 2, "{connected:?}");
        let create = create(
            r#"{"type":"response.create","client_metadata":{"x-codex-turn-metadata":"{1}","x-codex-new":"n"}}"#,
        );
        let headers = headers(&connected, create.headers);
        assert_eq!(
            (headers.get("x-codex-turn-metadata").map(HeaderValue::as_bytes), headers.len()),
            (Some(&b"{1}"[..]), 2)
        );
    }
}
