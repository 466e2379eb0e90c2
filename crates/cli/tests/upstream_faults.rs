//! The faults of `faults.rs` that depend on the wire, on every other upstream protocol: a legal end, or an error in words.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use latimer_adapters::scripted::{Encoding, Framing, ScriptedAnswer, Step};
use serde_json::{Value, json};
use support::faults::{Completed, Failed, Fault, Refused, drive, fault};

const LIMITS: &str = "retries = 1\ntimeouts = { connect = \"1s\", first_byte = \"400ms\", idle = \"400ms\" }";

/// How one protocol says things.
struct Wire {
    protocol: &'static str,
    model: &'static str,
    /// What stands before the first words.
    begin: String,
    /// A piece of words.
    say: fn(&str) -> String,
    /// A whole and proper end after these words.
    end: fn(&str) -> String,
    /// The provider breaks off, in words.
    error: String,
    /// A line that is no JSON.
    garbage: &'static str,
    /// A line of JSON as deep as this text.
    line: fn(&str) -> String,
    /// The answer "Whole." as one document.
    whole: Value,
    /// What is left of an answer that comes twice.
    twice: &'static str,
    /// What may be said about a stream of this provider that our own streams never have.
    allowed: &'static [&'static str],
}

fn named(event: &Value) -> String {
    format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default())
}

fn messages() -> Wire {
    let start = json!({ "type": "message_start", "message": { "id": "msg_1", "usage": { "input_tokens": 4, "output_tokens": 1 } } });
    let block =
        json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } });
    let error = json!({ "type": "error", "error": { "type": "api_error", "message": "the model broke" } });
    Wire {
        protocol: "anthropic",
        model: "claude-sonnet-4-5",
        begin: named(&start) + &named(&block),
        say: |text| {
            let delta = json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": text } });
            named(&delta)
        },
        end: |_| {
            let stop = json!({ "type": "content_block_stop", "index": 0 });
            let delta = json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn" }, "usage": { "output_tokens": 2 } });
            named(&stop) + &named(&delta) + &named(&json!({ "type": "message_stop" }))
        },
        error: named(&error),
        garbage: "data: %%%%\n\n",
        line: |text| format!("data: {text}\n\n"),
        whole: json!({ "id": "msg_1", "type": "message", "role": "assistant", "content": [{ "type": "text", "text": "Whole." }], "stop_reason": "end_turn", "usage": { "input_tokens": 4, "output_tokens": 2 } }),
        twice: "ab",
        allowed: &[],
    }
}

/// A response as OpenAI's servers send it, with every field.
fn response(status: &str, output: &Value, error: &Value) -> Value {
    let usage = match status {
        "completed" => {
            json!({ "input_tokens": 4, "input_tokens_details": { "cached_tokens": 0 }, "output_tokens": 2, "output_tokens_details": { "reasoning_tokens": 0 }, "total_tokens": 6 })
        }
        _ => Value::Null,
    };
    json!({
        "id": "resp_0123456789abcdef0123456789abcdef", "object": "response", "created_at": 1_790_000_000, "model": "gpt-5.5", "status": status,
        "completed_at": (status == "completed").then_some(1_790_000_001), "background": false, "error": error,
        "frequency_penalty": 0.0, "incomplete_details": null, "instructions": null, "max_output_tokens": null,
        "max_tool_calls": null, "metadata": {}, "output": output, "parallel_tool_calls": true, "presence_penalty": 0.0,
        "previous_response_id": null, "prompt_cache_key": null, "prompt_cache_retention": null,
        "reasoning": { "effort": null, "summary": null }, "safety_identifier": null, "service_tier": "default",
        "store": true, "temperature": 1.0, "text": { "format": { "type": "text" }, "verbosity": "medium" },
        "tool_choice": "auto", "tools": [], "top_logprobs": 0, "top_p": 1.0, "truncation": "disabled", "usage": usage,
        "user": null,
    })
}

fn message(text: &str) -> Value {
    let part = json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] });
    json!({ "type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part] })
}

/// A place that is numbered when the whole answer is known.
const NUMBER: &str = "4294967296";

fn numbered(text: &str) -> String {
    let mut parts = text.split(NUMBER);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.enumerate().fold(first, |whole, (number, part)| format!("{whole}{number}{part}"))
}

fn responses() -> Wire {
    let at = |mut event: Value| {
        event["sequence_number"] = json!(4_294_967_296_u64);
        named(&event)
    };
    let part = |text: &str| json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] });
    let added = json!({ "type": "message", "id": "msg_1", "role": "assistant", "status": "in_progress", "content": [] });
    let in_progress = response("in_progress", &json!([]), &Value::Null);
    let failed =
        response("failed", &json!([]), &json!({ "code": "server_error", "message": "the model broke" }));
    Wire {
        protocol: "responses",
        model: "gpt-5.5",
        begin: at(json!({ "type": "response.created", "response": in_progress }))
            + &at(json!({ "type": "response.in_progress", "response": in_progress }))
            + &at(json!({ "type": "response.output_item.added", "output_index": 0, "item": added }))
            + &at(
                json!({ "type": "response.content_part.added", "output_index": 0, "item_id": "msg_1", "content_index": 0, "part": part("") }),
            ),
        say: |text| {
            named(
                &json!({ "type": "response.output_text.delta", "sequence_number": 4_294_967_296_u64, "output_index": 0, "item_id": "msg_1", "content_index": 0, "delta": text, "logprobs": [] }),
            )
        },
        end: |text| {
            let place = json!({ "sequence_number": 4_294_967_296_u64, "output_index": 0, "item_id": "msg_1", "content_index": 0 });
            let with = |kind: &str, name: &str, value: Value| {
                let mut event = place.clone();
                event["type"] = json!(kind);
                event[name] = value;
                event
            };
            let mut done = with("response.output_text.done", "text", json!(text));
            done["logprobs"] = json!([]);
            let part = with("response.content_part.done", "part", message(text)["content"][0].clone());
            let item = json!({ "type": "response.output_item.done", "sequence_number": 4_294_967_296_u64, "output_index": 0, "item": message(text) });
            let whole = response("completed", &json!([message(text)]), &Value::Null);
            let completed = json!({ "type": "response.completed", "sequence_number": 4_294_967_296_u64, "response": whole });
            [done, part, item, completed].iter().map(named).collect()
        },
        error: at(json!({ "type": "response.failed", "response": failed })),
        garbage: "data: %%%%\n\n",
        line: |text| format!("data: {text}\n\n"),
        whole: response("completed", &json!([message("Whole.")]), &Value::Null),
        twice: "ab",
        allowed: &[
            "the stream ends with an open item",
            "usage without",
            // An event that nobody knows goes through as it came.
            "something.new",
            "is not the deltas joined",
        ],
    }
}

fn gemini() -> Wire {
    Wire {
        protocol: "gemini",
        model: "gemini-3-flash",
        begin: String::new(),
        say: |text| {
            let event =
                json!({ "candidates": [{ "content": { "role": "model", "parts": [{ "text": text }] } }] });
            format!("data: {event}\r\n\r\n")
        },
        end: |_| {
            let end = json!({ "candidates": [{ "content": { "role": "model", "parts": [{ "text": "" }] }, "finishReason": "STOP" }], "usageMetadata": { "promptTokenCount": 4, "candidatesTokenCount": 2 } });
            format!("data: {end}\r\n\r\n")
        },
        error:
            "data: {\"error\":{\"code\":500,\"message\":\"the model broke\",\"status\":\"INTERNAL\"}}\r\n\r\n"
                .to_owned(),
        garbage: "data: %%%%\r\n\r\n",
        line: |text| format!("data: {text}\r\n\r\n"),
        whole: json!({ "candidates": [{ "content": { "role": "model", "parts": [{ "text": "Whole." }] }, "finishReason": "STOP" }] }),
        // Some of its models tell a reason to stop with each piece, so none of them ends the answer.
        twice: "abab",
        allowed: &[],
    }
}

fn command_code() -> Wire {
    Wire {
        protocol: "command_code",
        model: "deepseek/deepseek-v4-flash",
        begin: "{\"type\":\"start\"}\n".to_owned(),
        say: |text| format!("{}\n", json!({ "type": "text-delta", "text": text })),
        end: |_| {
            "{\"type\":\"finish\",\"finishReason\":\"stop\",\"totalUsage\":{\"inputTokens\":4}}\n".to_owned()
        },
        error: "{\"type\":\"error\",\"error\":{\"message\":\"the model broke\"}}\n".to_owned(),
        garbage: "%%%%\n",
        line: |text| format!("{text}\n"),
        whole: json!({ "text": "Whole.", "finishReason": "stop" }),
        twice: "ab",
        allowed: &[],
    }
}

/// Everything that depends on the wire.
fn faults(wire: &Wire) -> Vec<Fault> {
    let raw = |text: String| ScriptedAnswer::steps([Step::raw(numbered(&text))]);
    let said = |text: &str| format!("{}{}", wire.begin, (wire.say)(text));
    let half =
        |step: Step| ScriptedAnswer::steps([Step::raw(numbered(&said("Half"))), Step::sleep(30), step]);
    let error = |status: u16| {
        ScriptedAnswer::error(status, json!({ "error": { "message": "the provider's own words" } }))
    };
    let page = |status: u16| {
        let page = "<html><body>Please log in</body></html>";
        ScriptedAnswer::steps([Step::raw(page)]).status(status).content_type("text/html")
    };
    let cut = |text: String| {
        let pieces: Vec<Vec<u8>> = numbered(&text).as_bytes().chunks(7).map(<[u8]>::to_vec).collect();
        let bytes = |bytes| Step::RawBytes { base64: latimer_adapters::scripted::Bytes64(bytes) };
        ScriptedAnswer::steps(pieces.into_iter().map(bytes))
    };
    let whole = |text: &str| format!("{}{}", said(text), (wire.end)(text));
    vec![
        fault("closed before headers", ScriptedAnswer::close(), Refused(502, "connection")),
        fault("silence before headers", ScriptedAnswer::silence(), Refused(504, "400ms")),
        fault("silence after headers", ScriptedAnswer::steps([Step::Stall]), Refused(504, "timeouts.idle")),
        fault("silence in mid-stream", half(Step::Stall), Failed("Half")),
        fault("reset in mid-stream", half(Step::Reset), Failed("Half")),
        fault("cut in mid-stream", half(Step::Cut), Failed("Half")),
        fault("a clean end without a reason", half(Step::End), Failed("Half")),
        fault(
            "a body shorter than its length",
            raw(said("Half")).framing(Framing::Length(9999)),
            Failed("Half"),
        ),
        fault(
            "open after the end",
            ScriptedAnswer::steps([Step::raw(numbered(&whole("ab"))), Step::Stall]),
            Completed("ab"),
        ),
        Fault {
            what: "closed once, then well",
            answers: vec![ScriptedAnswer::close(), raw(whole("ab"))],
            seen: Completed("ab"),
        },
        fault(
            "a redirect",
            page(302).header("location", "https://elsewhere.example/"),
            Refused(502, "redirects are never followed"),
        ),
        fault("a login page", page(200), Refused(502, "web page")),
        fault("an empty body with 200", ScriptedAnswer::steps([]), Refused(502, "empty answer")),
        fault("400", error(400), Refused(400, "the provider's own words")),
        fault("401", error(401), Refused(502, "the provider's own words")),
        fault("403", error(403), Refused(502, "the provider's own words")),
        fault("404", error(404), Refused(400, "the provider's own words")),
        fault("413", error(413), Refused(400, "the provider's own words")),
        fault("429", error(429), Refused(429, "the provider's own words")),
        fault("500", error(500), Refused(502, "the provider's own words")),
        fault("529 with nothing", ScriptedAnswer::steps([]).status(529), Refused(503, "HTTP 529")),
        fault(
            "a whole answer instead of a stream",
            ScriptedAnswer::whole(wire.whole.clone()),
            Completed("Whole."),
        ),
        fault("a wrong content type", raw(whole("ab")).content_type("text/plain"), Completed("ab")),
        fault("gzip", raw(whole("ab")).encoding(Encoding::Gzip), Completed("ab")),
        fault(
            "a garbage line between good ones",
            raw(format!("{}{}{}{}", said("a"), wire.garbage, (wire.say)("b"), (wire.end)("ab"))),
            Completed("ab"),
        ),
        fault(
            "a line cut by the end",
            raw(format!("{}{}", said("a"), (wire.say)("b").get(..20).unwrap_or_default())),
            Failed("a"),
        ),
        fault(
            "no line end at the end",
            raw(format!("{}{}", said("ab"), (wire.end)("ab").trim_end())),
            Completed("ab"),
        ),
        fault("a byte order mark", raw(format!("\u{feff}{}", whole("ab"))), Completed("ab")),
        fault("an error in mid-stream", raw(format!("{}{}", said("a"), wire.error)), Failed("a")),
        fault("an error at once", raw(wire.error.clone()), Refused(502, "the model broke")),
        fault("everything twice", raw(format!("{0}{0}", whole("ab"))), Completed(wire.twice)),
        fault(
            "a line without end",
            ScriptedAnswer::steps([
                Step::raw(numbered(&said("a"))),
                Step::repeat(80, [Step::raw("x".repeat(256 << 10))]),
            ]),
            Failed("a"),
        ),
        fault(
            "JSON nested deep",
            raw(format!("{}{}{}", said("ab"), (wire.line)(&"[".repeat(200_000)), (wire.end)("ab"))),
            Completed("ab"),
        ),
        fault(
            "an event nobody knows",
            raw(format!(
                "{}{}{}",
                said("ab"),
                (wire.line)(r#"{"type":"something.new","sequence_number":4294967296,"value":[1]}"#),
                (wire.end)("ab")
            )),
            Completed("ab"),
        ),
        fault("characters cut anywhere", cut(whole("añ€𝄞é")), Completed("añ€𝄞é")),
    ]
}

fn drive_all(wire: &Wire) {
    let endpoint = format!("protocol = \"{}\"\nmodels = [\"{}\"]\n{LIMITS}", wire.protocol, wire.model);
    let ask = json!({ "model": wire.model, "stream": true, "input": "go" }).to_string();
    drive(&format!("{}-faults", wire.protocol), &endpoint, &ask, wire.allowed, faults(wire));
}

#[test]
fn a_messages_provider_that_breaks() {
    drive_all(&messages());
}

#[test]
fn a_responses_provider_that_breaks() {
    drive_all(&responses());
}

#[test]
fn a_gemini_provider_that_breaks() {
    drive_all(&gemini());
}

#[test]
fn a_command_code_provider_that_breaks() {
    drive_all(&command_code());
}
