//! `POST /v1/responses`, read into a turn. Pure.
//!
//! Every field is looked at on its own, so that an error names the field, and what nobody knows is passed over.

use latimer_protocol::turn::{Format, Reasoning, Sampling, Seal, ToolChoice, TurnRequest};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::message::Items;
use super::object::{ECHOED, Echo};
use crate::inbound::wire::openai_error::RequestError;
use crate::inbound::wire::tool_map::ToolMap;
use crate::text::{MAX_NAME, shown};

/// A request, understood.
#[derive(Debug)]
pub struct Parsed {
    /// What is asked; the model is still as the client wrote it.
    pub turn: TurnRequest,
    /// Whether the answer is a stream.
    pub stream: bool,
    /// What was lowered or dropped, for the log.
    pub notes: Vec<String>,
    /// The fields to be echoed.
    pub echo: Echo,
    /// Flat names and what they stand for.
    pub tools: ToolMap,
    /// A rough count of the input's tokens, for upstreams that do not count.
    pub input_tokens: u64,
    /// A summary of the history is asked for instead of an answer.
    pub compacts: bool,
}

/// The body's fields, untouched. A field that is not here is of no concern to any upstream.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    stream: Option<&'a RawValue>,
    #[serde(borrow)]
    conversation: Option<&'a RawValue>,
    #[serde(borrow)]
    prompt: Option<&'a RawValue>,
    #[serde(borrow)]
    background: Option<&'a RawValue>,
    #[serde(borrow)]
    include: Option<&'a RawValue>,
    #[serde(borrow)]
    instructions: Option<&'a RawValue>,
    #[serde(borrow)]
    max_output_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    max_tool_calls: Option<&'a RawValue>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    parallel_tool_calls: Option<&'a RawValue>,
    #[serde(borrow)]
    previous_response_id: Option<&'a RawValue>,
    #[serde(borrow)]
    prompt_cache_key: Option<&'a RawValue>,
    #[serde(borrow)]
    prompt_cache_retention: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    safety_identifier: Option<&'a RawValue>,
    #[serde(borrow)]
    service_tier: Option<&'a RawValue>,
    #[serde(borrow)]
    store: Option<&'a RawValue>,
    #[serde(borrow)]
    temperature: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_choice: Option<&'a RawValue>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    #[serde(borrow)]
    top_logprobs: Option<&'a RawValue>,
    #[serde(borrow)]
    top_p: Option<&'a RawValue>,
    #[serde(borrow)]
    presence_penalty: Option<&'a RawValue>,
    #[serde(borrow)]
    frequency_penalty: Option<&'a RawValue>,
    #[serde(borrow)]
    truncation: Option<&'a RawValue>,
    #[serde(borrow)]
    user: Option<&'a RawValue>,
}

/// Reads a body. The seal opens the carriers of provider state that latimer made.
pub fn read(body: &[u8], seal: &Seal) -> Result<Parsed, RequestError> {
    let wire: Body<'_> = serde_json::from_slice(body).map_err(|error| bad_json(body, &error))?;
    refuse_what_needs_a_store(&wire)?;
    refuse_unknown_includes(wire.include)?;
    let model: String = field(wire.model, "model", "a string")?
        .ok_or_else(|| missing("model", "the name of a model, such as \"deepseek-chat\""))?;
    let input = wire.input.ok_or_else(|| missing("input", "a string or a list of items"))?;
    let mut notes = Vec::new();
    let mut tools = ToolMap::default();
    let mut turn = TurnRequest { model: model.clone(), ..TurnRequest::default() };
    if let Some(list) = wire.tools {
        expect_list(list, "tools")?;
        tools.declare(list, &mut turn.tools, &mut notes);
    }
    let mut items = Items::new(&mut tools, &mut turn.tools, &mut notes, seal);
    if let Some(instructions) = field::<String>(wire.instructions, "instructions", "a string")? {
        items.instructions(instructions);
    }
    items.read(input)?;
    let compacts;
    (turn.items, compacts) = items.finish();
    turn.tool_choice = tool_choice(wire.tool_choice, &tools, &mut turn.tools)?;
    turn.parallel_tool_calls = field(wire.parallel_tool_calls, "parallel_tool_calls", "true or false")?;
    turn.max_output_tokens = field(wire.max_output_tokens, "max_output_tokens", "a whole number")?;
    turn.sampling = Sampling {
        temperature: field(wire.temperature, "temperature", "a number")?,
        top_p: field(wire.top_p, "top_p", "a number")?,
        presence_penalty: field(wire.presence_penalty, "presence_penalty", "a number")?,
        frequency_penalty: field(wire.frequency_penalty, "frequency_penalty", "a number")?,
    };
    turn.reasoning = Reasoning { effort: effort(wire.reasoning)? };
    (turn.format, turn.verbosity) = text(wire.text)?;
    turn.conversation = field(wire.prompt_cache_key, "prompt_cache_key", "a string")?;
    let stream = field(wire.stream, "stream", "true or false")?.unwrap_or(false);
    let echo = echo(&wire, model);
    Ok(Parsed { turn, stream, notes, echo, tools, input_tokens: body.len() as u64 / 4, compacts })
}

/// What may be asked for besides the answer.
const INCLUDES: [&str; 8] = [
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "code_interpreter_call.outputs",
];

/// A client that waits for something that will never be there should know.
fn refuse_unknown_includes(include: Option<&RawValue>) -> Result<(), RequestError> {
    let asked: Option<Vec<String>> = field(include, "include", "a list of strings")?;
    match asked.iter().flatten().find(|asked| !INCLUDES.contains(&asked.as_str())) {
        None => Ok(()),
        Some(unknown) => Err(RequestError {
            code: "invalid_value",
            param: Some("include".to_owned()),
            message: format!(
                "`include` knows no `{}`; it knows {}",
                shown(unknown, MAX_NAME),
                INCLUDES.join(", ")
            ),
        }),
    }
}

/// What only a store of earlier answers could give. Better refused than half done.
fn refuse_what_needs_a_store(wire: &Body<'_>) -> Result<(), RequestError> {
    let given = |raw: Option<&RawValue>| raw.is_some_and(|raw| raw.get() != "null");
    let cases = [
        (
            given(wire.conversation),
            "conversation",
            "latimer keeps no conversations; send the whole conversation as `input`",
        ),
        (given(wire.prompt), "prompt", "latimer has no stored prompts; send `instructions` and `input`"),
        (
            wire.background.is_some_and(|raw| raw.get() == "true"),
            "background",
            "latimer answers while the client waits; leave `background` out",
        ),
    ];
    match cases.into_iter().find(|(given, _, _)| *given) {
        Some((_, param, message)) => Err(RequestError {
            code: "unsupported_parameter",
            param: Some(param.to_owned()),
            message: message.to_owned(),
        }),
        None => Ok(()),
    }
}

/// A field of this type; `null` means absent.
pub(in crate::inbound) fn field<'a, T: Deserialize<'a>>(
    raw: Option<&'a RawValue>,
    param: &str,
    wanted: &str,
) -> Result<Option<T>, RequestError> {
    match raw {
        None => Ok(None),
        Some(raw) => serde_json::from_str::<Option<T>>(raw.get()).map_err(|_| wrong_type(raw, param, wanted)),
    }
}

/// The error for a value of the wrong type; says what was sent, but not its text.
pub(in crate::inbound) fn wrong_type(raw: &RawValue, param: &str, wanted: &str) -> RequestError {
    let sent = match raw.get().as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        _ => "a number",
    };
    let message = if sent == wanted {
        format!("`{param}` has a value that cannot be used")
    } else {
        format!("`{param}` should be {wanted}, and {sent} was sent")
    };
    RequestError { code: "invalid_type", param: Some(param.to_owned()), message }
}

/// The error for a field that must be there.
pub(in crate::inbound) fn missing(param: &str, what: &str) -> RequestError {
    RequestError {
        code: "missing_required_parameter",
        param: Some(param.to_owned()),
        message: format!("`{param}` is missing; send {what}"),
    }
}

fn bad_json(body: &[u8], error: &serde_json::Error) -> RequestError {
    let message = if body.trim_ascii().is_empty() {
        "the request body is empty; send a JSON object with `model` and `input`".to_owned()
    } else if error.is_data() {
        "the request body should be a JSON object with `model` and `input`".to_owned()
    } else {
        format!("the request body is not valid JSON at line {} column {}", error.line(), error.column())
    };
    RequestError { code: "invalid_json", param: None, message }
}

/// Refuses what is neither a list nor `null`.
pub(in crate::inbound) fn expect_list(raw: &RawValue, param: &str) -> Result<(), RequestError> {
    match raw.get().as_bytes().first() {
        Some(b'[' | b'n') => Ok(()),
        _ => Err(wrong_type(raw, param, "a list")),
    }
}

fn effort(raw: Option<&RawValue>) -> Result<Option<String>, RequestError> {
    #[derive(Deserialize)]
    struct Wire<'a> {
        #[serde(borrow)]
        effort: Option<&'a RawValue>,
    }
    let wire: Option<Wire<'_>> = field(raw, "reasoning", "an object")?;
    field(wire.and_then(|wire| wire.effort), "reasoning.effort", "a string")
}

fn text(raw: Option<&RawValue>) -> Result<(Format, Option<String>), RequestError> {
    #[derive(Deserialize)]
    struct Wire<'a> {
        #[serde(borrow)]
        format: Option<&'a RawValue>,
        #[serde(borrow)]
        verbosity: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct WireFormat<'a> {
        #[serde(rename = "type")]
        kind: Option<String>,
        name: Option<String>,
        description: Option<String>,
        strict: Option<bool>,
        #[serde(borrow)]
        schema: Option<&'a RawValue>,
    }
    let Some(wire) = field::<Wire<'_>>(raw, "text", "an object")? else { return Ok((Format::Text, None)) };
    let verbosity = field(wire.verbosity, "text.verbosity", "a string")?;
    let Some(format) = field::<WireFormat<'_>>(wire.format, "text.format", "an object")? else {
        return Ok((Format::Text, verbosity));
    };
    let format = match format.kind.as_deref() {
        Some("text") | None => Format::Text,
        Some("json_object") => Format::JsonObject,
        Some("json_schema") => Format::JsonSchema {
            name: format.name.unwrap_or_else(|| "answer".to_owned()),
            description: format.description,
            schema: format.schema.ok_or_else(|| missing("text.format.schema", "a JSON Schema"))?.to_owned(),
            strict: format.strict,
        },
        Some(_) => {
            return Err(RequestError {
                code: "invalid_value",
                param: Some("text.format.type".to_owned()),
                message: "`text.format.type` should be text, json_object or json_schema".to_owned(),
            });
        }
    };
    Ok((format, verbosity))
}

fn tool_choice(
    raw: Option<&RawValue>,
    tools: &ToolMap,
    declared: &mut Vec<latimer_protocol::turn::Tool>,
) -> Result<ToolChoice, RequestError> {
    let Some(value) = field::<Value>(raw, "tool_choice", "a string or an object")? else {
        return Ok(ToolChoice::Auto);
    };
    let mode = |word: &str| match word {
        "auto" => Some(ToolChoice::Auto),
        "none" => Some(ToolChoice::None),
        "required" => Some(ToolChoice::Required),
        _ => None,
    };
    let bad = |message: String| RequestError {
        code: "invalid_value",
        param: Some("tool_choice".to_owned()),
        message,
    };
    if let Some(word) = value.as_str() {
        return mode(word)
            .ok_or_else(|| bad("`tool_choice` should be auto, none, required or an object".to_owned()));
    }
    let chosen = |value: &Value| -> Option<String> {
        let kind = value.get("type").and_then(Value::as_str).unwrap_or_default();
        let name = value.get("name").and_then(Value::as_str).unwrap_or(kind);
        tools.chosen(name).map(str::to_owned)
    };
    if value.get("type").and_then(Value::as_str) == Some("allowed_tools") {
        let allowed: Vec<String> =
            value.get("tools").and_then(Value::as_array).into_iter().flatten().filter_map(chosen).collect();
        declared.retain(|tool| allowed.contains(&tool.name));
        let required = value.get("mode").and_then(Value::as_str) == Some("required");
        return Ok(match (required, allowed.as_slice()) {
            (_, []) => ToolChoice::None,
            (true, [only]) => ToolChoice::Function(only.clone()),
            (true, _) => ToolChoice::Required,
            (false, _) => ToolChoice::Auto,
        });
    }
    chosen(&value).map(ToolChoice::Function).ok_or_else(|| {
        bad("`tool_choice` names a tool that is not in `tools`, or that this route cannot offer".to_owned())
    })
}

fn echo(wire: &Body<'_>, model: String) -> Echo {
    let given: [Option<&RawValue>; ECHOED.len()] = [
        wire.background,
        wire.instructions,
        wire.max_output_tokens,
        wire.max_tool_calls,
        wire.metadata,
        wire.parallel_tool_calls,
        wire.previous_response_id,
        wire.prompt_cache_key,
        wire.prompt_cache_retention,
        wire.reasoning,
        wire.safety_identifier,
        wire.service_tier,
        wire.store,
        wire.temperature,
        wire.text,
        wire.tool_choice,
        wire.tools,
        wire.top_logprobs,
        wire.top_p,
        wire.presence_penalty,
        wire.frequency_penalty,
        wire.truncation,
        wire.user,
    ];
    Echo { model, fields: given.into_iter().map(|raw| raw.map(ToOwned::to_owned)).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_requests_say_where_and_what() {
        let cases = [
            ("", "invalid_json", None, "empty"),
            ("[1]", "invalid_json", None, "should be a JSON object"),
            ("{\"model\":\"m\",\n \"input\":}", "invalid_json", None, "line 2 column 10"),
            ("{\"input\":\"x\"}", "missing_required_parameter", Some("model"), "`model` is missing"),
            (
                "{\"model\":7,\"input\":\"x\"}",
                "invalid_type",
                Some("model"),
                "should be a string, and a number was sent",
            ),
            ("{\"model\":\"m\"}", "missing_required_parameter", Some("input"), "`input` is missing"),
            ("{\"model\":\"m\",\"input\":7}", "invalid_type", Some("input"), "a string or a list"),
            ("{\"model\":\"m\",\"input\":[7]}", "invalid_type", Some("input[0]"), "an object"),
            (
                "{\"model\":\"m\",\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":7}]}]}",
                "invalid_type",
                Some("input[0].content[0].text"),
                "a string",
            ),
            (
                "{\"model\":\"m\",\"input\":[{\"type\":\"function_call\",\"name\":\"f\"}]}",
                "missing_required_parameter",
                Some("input[0].call_id"),
                "missing",
            ),
            (
                "{\"model\":\"m\",\"input\":\"x\",\"stream\":\"yes\"}",
                "invalid_type",
                Some("stream"),
                "true or false",
            ),
            (
                "{\"model\":\"m\",\"input\":\"x\",\"temperature\":\"1\"}",
                "invalid_type",
                Some("temperature"),
                "a number",
            ),
            ("{\"model\":\"m\",\"input\":\"x\",\"tools\":{}}", "invalid_type", Some("tools"), "a list"),
            (
                "{\"model\":\"m\",\"input\":\"x\",\"tool_choice\":{\"type\":\"function\",\"name\":\"f\"}}",
                "invalid_value",
                Some("tool_choice"),
                "not in `tools`",
            ),
            (
                "{\"model\":\"m\",\"input\":\"x\",\"conversation\":\"c\"}",
                "unsupported_parameter",
                Some("conversation"),
                "whole conversation",
            ),
            (
                "{\"model\":\"m\",\"input\":\"x\",\"background\":true}",
                "unsupported_parameter",
                Some("background"),
                "leave `background` out",
            ),
            (
                "{\"model\":\"m\",\"input\":\"x\",\"text\":{\"format\":{\"type\":\"yaml\"}}}",
                "invalid_value",
                Some("text.format.type"),
                "json_schema",
            ),
        ];
        for (body, code, param, words) in cases {
            let error = read(body.as_bytes(), &Seal::default()).expect_err(body);
            assert_eq!((error.code, error.param.as_deref()), (code, param), "{body}");
            assert!(error.message.contains(words), "{body}: {}", error.message);
        }
    }

    #[test]
    fn invalid_utf8_and_depth_are_refused() {
        assert_eq!(
            read(b"{\"model\":\"m\",\"input\":\"\xff\"}", &Seal::default()).expect_err("not UTF-8").code,
            "invalid_json"
        );
        let deep = format!(
            "{{\"model\":\"m\",\"input\":\"x\",\"tool_choice\":{}1{}}}",
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        assert_eq!(
            read(deep.as_bytes(), &Seal::default()).expect_err("too deep").param.as_deref(),
            Some("tool_choice")
        );
    }

    #[test]
    fn tool_choice_in_every_form() {
        let tools = r#"[{"type":"function","name":"a"},{"type":"custom","name":"b"},{"type":"namespace","name":"n","tools":[{"type":"function","name":"c"}]}]"#;
        let cases = [
            ("\"auto\"", ToolChoice::Auto, 3),
            ("\"none\"", ToolChoice::None, 3),
            ("\"required\"", ToolChoice::Required, 3),
            (r#"{"type":"function","name":"a"}"#, ToolChoice::Function("a".into()), 3),
            (r#"{"type":"custom","name":"b"}"#, ToolChoice::Function("b".into()), 3),
            (r#"{"type":"function","name":"c"}"#, ToolChoice::Function("n__c".into()), 3),
            (
                r#"{"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"a"},{"type":"custom","name":"b"}]}"#,
                ToolChoice::Auto,
                2,
            ),
            (
                r#"{"type":"allowed_tools","mode":"required","tools":[{"type":"function","name":"a"}]}"#,
                ToolChoice::Function("a".into()),
                1,
            ),
        ];
        for (choice, want, count) in cases {
            let body =
                format!("{{\"model\":\"m\",\"input\":\"x\",\"tools\":{tools},\"tool_choice\":{choice}}}");
            let parsed = read(body.as_bytes(), &Seal::default()).expect(choice);
            assert_eq!((parsed.turn.tool_choice, parsed.turn.tools.len()), (want, count), "{choice}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_body_panics(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = read(&body, &Seal::default());
        }
    }
}
