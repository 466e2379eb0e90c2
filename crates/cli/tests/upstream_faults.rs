//! The faults of `faults.rs` that depend on the wire, on every other upstream protocol: a legal end, or an error in words.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use latimer_adapters::scripted::{Bytes64, Encoding, Framing, ScriptedAnswer, Step};
use serde_json::{Value, json};
use support::faults::{Completed, Failed, Fault, Refused, check_faults, fault};

const LIMITS: &str = "retries = 1\ntimeouts = { connect = \"1s\", first_byte = \"2s\", idle = \"2s\" }";

/// How one upstream protocol writes a stream.
struct Syntax {
    protocol: &'static str,
    model: &'static str,
    /// What stands before the first text.
    start: String,
    /// An event with a piece of text.
    text_delta: fn(&str) -> String,
    /// A proper end after this whole text.
    end: fn(&str) -> String,
    /// The event with which the provider reports an error.
    error: String,
    /// A line that is no JSON.
    unreadable_line: &'static str,
    /// A line with this JSON text.
    line: fn(&str) -> String,
    /// The answer "Whole." as one document.
    whole_answer: Value,
    /// The text the client gets of an answer that comes twice.
    repeated: &'static str,
    /// Violations that a stream of this provider may have and our own streams never have.
    allowed: &'static [&'static str],
}

fn sse_event(event: &Value) -> String {
    format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default())
}

fn messages() -> Syntax {
    let start = json!({ "type": "message_start", "message": { "id": "msg_1", "usage": { "input_tokens": 4, "output_tokens": 1 } } });
    let block =
        json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } });
    let error = json!({ "type": "error", "error": { "type": "api_error", "message": "the model broke" } });
    Syntax {
        protocol: "anthropic",
        model: "claude-sonnet-4-5",
        start: sse_event(&start) + &sse_event(&block),
        text_delta: |text| {
            let delta = json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": text } });
            sse_event(&delta)
        },
        end: |_| {
            let stop = json!({ "type": "content_block_stop", "index": 0 });
            let delta = json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn" }, "usage": { "output_tokens": 2 } });
            sse_event(&stop) + &sse_event(&delta) + &sse_event(&json!({ "type": "message_stop" }))
        },
        error: sse_event(&error),
        unreadable_line: "data: %%%%\n\n",
        line: |text| format!("data: {text}\n\n"),
        whole_answer: json!({ "id": "msg_1", "type": "message", "role": "assistant", "content": [{ "type": "text", "text": "Whole." }], "stop_reason": "end_turn", "usage": { "input_tokens": 4, "output_tokens": 2 } }),
        repeated: "ab",
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

/// A place that gets its number when the whole answer is known.
const NUMBER: &str = "4294967296";

fn number_events(text: &str) -> String {
    let mut parts = text.split(NUMBER);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.enumerate().fold(first, |whole, (number, part)| format!("{whole}{number}{part}"))
}

fn responses() -> Syntax {
    let at = |mut event: Value| {
        event["sequence_number"] = json!(4_294_967_296_u64);
        sse_event(&event)
    };
    let part = |text: &str| json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] });
    let added = json!({ "type": "message", "id": "msg_1", "role": "assistant", "status": "in_progress", "content": [] });
    let in_progress = response("in_progress", &json!([]), &Value::Null);
    let failed =
        response("failed", &json!([]), &json!({ "code": "server_error", "message": "the model broke" }));
    Syntax {
        protocol: "responses",
        model: "gpt-5.5",
        start: at(json!({ "type": "response.created", "response": in_progress }))
            + &at(json!({ "type": "response.in_progress", "response": in_progress }))
            + &at(json!({ "type": "response.output_item.added", "output_index": 0, "item": added }))
            + &at(
                json!({ "type": "response.content_part.added", "output_index": 0, "item_id": "msg_1", "content_index": 0, "part": part("") }),
            ),
        text_delta: |text| {
            sse_event(
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
            [done, part, item, completed].iter().map(sse_event).collect()
        },
        error: at(json!({ "type": "response.failed", "response": failed })),
        unreadable_line: "data: %%%%\n\n",
        line: |text| format!("data: {text}\n\n"),
        whole_answer: response("completed", &json!([message("Whole.")]), &Value::Null),
        repeated: "ab",
        allowed: &[
            "the stream ends with an open item",
            "usage without",
            // An event that nobody knows goes through as it came.
            "something.new",
            "is not the deltas joined",
        ],
    }
}

fn gemini() -> Syntax {
    Syntax {
        protocol: "gemini",
        model: "gemini-3-flash",
        start: String::new(),
        text_delta: |text| {
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
        unreadable_line: "data: %%%%\r\n\r\n",
        line: |text| format!("data: {text}\r\n\r\n"),
        whole_answer: json!({ "candidates": [{ "content": { "role": "model", "parts": [{ "text": "Whole." }] }, "finishReason": "STOP" }] }),
        // Some of its models tell a reason to stop with each piece, so none of them ends the answer.
        repeated: "abab",
        allowed: &[],
    }
}

fn command_code() -> Syntax {
    Syntax {
        protocol: "command_code",
        model: "deepseek/deepseek-v4-flash",
        start: "{\"type\":\"start\"}\n".to_owned(),
        text_delta: |text| format!("{}\n", json!({ "type": "text-delta", "text": text })),
        end: |_| {
            "{\"type\":\"finish\",\"finishReason\":\"stop\",\"totalUsage\":{\"inputTokens\":4}}\n".to_owned()
        },
        error: "{\"type\":\"error\",\"error\":{\"message\":\"the model broke\"}}\n".to_owned(),
        unreadable_line: "%%%%\n",
        line: |text| format!("{text}\n"),
        whole_answer: json!({ "text": "Whole.", "finishReason": "stop" }),
        repeated: "ab",
        allowed: &[],
    }
}

impl Syntax {
    /// The start of an answer with this text.
    fn partial(&self, text: &str) -> String {
        format!("{}{}", self.start, (self.text_delta)(text))
    }

    /// A whole answer with this text.
    fn complete(&self, text: &str) -> String {
        format!("{}{}", self.partial(text), (self.end)(text))
    }

    /// An answer that begins with the text `Half` and goes on with this step.
    fn half_then(&self, step: Step) -> ScriptedAnswer {
        ScriptedAnswer::steps([Step::raw(number_events(&self.partial("Half"))), Step::sleep(30), step])
    }
}

/// An answer with exactly these bytes.
fn raw(text: &str) -> ScriptedAnswer {
    ScriptedAnswer::steps([Step::raw(number_events(text))])
}

fn web_page(status: u16) -> ScriptedAnswer {
    let page = "<html><body>Please log in</body></html>";
    ScriptedAnswer::steps([Step::raw(page)]).status(status).content_type("text/html")
}

/// The connection fails, stalls, or ends too early or too late.
fn connection_faults(syntax: &Syntax) -> Vec<Fault> {
    let complete = syntax.complete("ab");
    vec![
        fault("closed before headers", ScriptedAnswer::close(), Refused(502, "connection")),
        fault("silence before headers", ScriptedAnswer::silence(), Refused(504, "2s")),
        fault("silence after headers", ScriptedAnswer::steps([Step::Stall]), Refused(504, "timeouts.idle")),
        fault("silence in mid-stream", syntax.half_then(Step::Stall), Failed("Half")),
        fault("reset in mid-stream", syntax.half_then(Step::Reset), Failed("Half")),
        fault("cut in mid-stream", syntax.half_then(Step::Cut), Failed("Half")),
        fault("a clean end without a reason", syntax.half_then(Step::End), Failed("Half")),
        fault(
            "a body shorter than its length",
            raw(&syntax.partial("Half")).framing(Framing::Length(9999)),
            Failed("Half"),
        ),
        fault(
            "open after the end",
            ScriptedAnswer::steps([Step::raw(number_events(&complete)), Step::Stall]),
            Completed("ab"),
        ),
        Fault {
            name: "closed once, then well",
            answers: vec![ScriptedAnswer::close(), raw(&complete)],
            outcome: Completed("ab"),
        },
    ]
}

/// The provider refuses, by status or with something that is no answer at all.
fn refusals(_: &Syntax) -> Vec<Fault> {
    const WORDS: &str = "the provider's own words";
    /// What the provider says, and what the client gets.
    const STATUSES: [(&str, u16, u16); 7] = [
        ("400", 400, 400),
        ("401", 401, 502),
        ("403", 403, 502),
        ("404", 404, 400),
        ("413", 413, 400),
        ("429", 429, 429),
        ("500", 500, 502),
    ];
    let by_status = STATUSES.into_iter().map(|(name, status, expected)| {
        let answer = ScriptedAnswer::error(status, json!({ "error": { "message": WORDS } }));
        fault(name, answer, Refused(expected, WORDS))
    });
    let redirect = web_page(302).header("location", "https://elsewhere.example/");
    let others = [
        fault("a redirect", redirect, Refused(502, "redirects are never followed")),
        fault("a login page", web_page(200), Refused(502, "web page")),
        fault("an empty body with 200", ScriptedAnswer::steps([]), Refused(502, "empty answer")),
        fault("529 with nothing", ScriptedAnswer::steps([]).status(529), Refused(503, "HTTP 529")),
    ];
    by_status.chain(others).collect()
}

/// A good answer in a form that is not the usual one.
fn unusual_forms(syntax: &Syntax) -> Vec<Fault> {
    let complete = syntax.complete("ab");
    let bytes = number_events(&syntax.complete("añ€𝄞é"));
    let pieces = bytes.as_bytes().chunks(7).map(|piece| Step::RawBytes { base64: Bytes64(piece.to_vec()) });
    vec![
        fault(
            "a whole answer instead of a stream",
            ScriptedAnswer::whole(syntax.whole_answer.clone()),
            Completed("Whole."),
        ),
        fault("a wrong content type", raw(&complete).content_type("text/plain"), Completed("ab")),
        fault("gzip", raw(&complete).encoding(Encoding::Gzip), Completed("ab")),
        fault("no line end at the end", raw(complete.trim_end()), Completed("ab")),
        fault("a byte order mark", raw(&format!("\u{feff}{complete}")), Completed("ab")),
        fault("everything twice", raw(&format!("{complete}{complete}")), Completed(syntax.repeated)),
        fault("characters cut anywhere", ScriptedAnswer::steps(pieces), Completed("añ€𝄞é")),
    ]
}

/// Lines that are broken, unknown or without end, and errors told in the stream.
fn broken_lines(syntax: &Syntax) -> Vec<Fault> {
    let (partial, end) = (syntax.partial("ab"), (syntax.end)("ab"));
    let nested = (syntax.line)(&"[".repeat(200_000));
    let unknown = (syntax.line)(r#"{"type":"something.new","sequence_number":4294967296,"value":[1]}"#);
    let (first, second) = (syntax.partial("a"), (syntax.text_delta)("b"));
    let cut = second.get(..20).unwrap_or_default();
    vec![
        fault(
            "a garbage line between good ones",
            raw(&format!("{first}{}{second}{end}", syntax.unreadable_line)),
            Completed("ab"),
        ),
        fault("a line cut by the end", raw(&format!("{first}{cut}")), Failed("a")),
        fault("an error in mid-stream", raw(&format!("{first}{}", syntax.error)), Failed("a")),
        fault("an error at once", raw(&syntax.error), Refused(502, "the model broke")),
        fault(
            "a line without end",
            ScriptedAnswer::steps([
                Step::raw(number_events(&first)),
                Step::repeat(80, [Step::raw("x".repeat(256 << 10))]),
            ]),
            Failed("a"),
        ),
        fault("JSON nested deep", raw(&format!("{partial}{nested}{end}")), Completed("ab")),
        fault("an event nobody knows", raw(&format!("{partial}{unknown}{end}")), Completed("ab")),
    ]
}

/// Every fault of the tables above, on a provider that speaks like this.
fn drive_all(syntax: &Syntax) {
    let endpoint = format!("protocol = \"{}\"\nmodels = [\"{}\"]\n{LIMITS}", syntax.protocol, syntax.model);
    let ask = json!({ "model": syntax.model, "stream": true, "input": "go" }).to_string();
    let tables = [connection_faults, refusals, unusual_forms, broken_lines];
    let faults = tables.iter().flat_map(|faults| faults(syntax)).collect();
    check_faults(&format!("{}-faults", syntax.protocol), &endpoint, &ask, syntax.allowed, faults);
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
