//! `POST /v1/responses`, read into a turn. Pure. Source: OpenAI's API reference of the Responses API, and what Codex was recorded to send
//! (`fixtures/codex`).
//!
//! Every field is looked at on its own, so that an error names the field, and what nobody knows is passed over.

use latimer_protocol::turn::{Reasoning, Sampling, SealKey, TurnRequest};

use super::body::{BodyFields, RequestBody, echo};
use super::input::InputReader;
use super::limits;
use super::object::Echo;
use super::options::{effort, refuse_unknown_includes, refuse_what_needs_a_store, text};
use super::tool_choice::tool_choice;
use super::tools::declare;
use crate::inbound::notes::Notes;
use crate::inbound::wire::bad_field::BadField;
use crate::inbound::wire::field::optional;
use crate::inbound::wire::path::Path;
use crate::inbound::wire::tool_map::{ToolMap, ToolTable};

/// A request of a Responses client, understood.
#[derive(Debug)]
pub struct ResponsesRequest {
    /// What is asked; the model is still as the client wrote it.
    pub turn: TurnRequest,
    /// Whether the answer is a stream.
    pub stream: bool,
    /// What was lowered or left out, for the log.
    pub notes: Notes,
    /// The fields that the response repeats.
    pub echo: Echo,
    /// Flat names of tools and what they stand for.
    pub tools: ToolMap,
    /// A rough count of the input's tokens, for upstreams that do not count.
    pub input_tokens: u64,
    /// A summary of the history is asked for instead of an answer.
    pub compacts: bool,
}

/// Reads a body. The seal opens the carriers of provider state that latimer made.
///
/// # Errors
/// When the body is no JSON object, or a field is missing, of the wrong type, or asks for what latimer cannot give.
pub fn read(body: &[u8], seal: &SealKey) -> Result<ResponsesRequest, BadField> {
    RequestBody::parse(body)?.read(seal)
}

impl RequestBody<'_> {
    /// Reads the turn. The seal opens the carriers of provider state that latimer made.
    ///
    /// # Errors
    /// When a field is missing, of the wrong type, or asks for what latimer cannot give.
    pub fn read(&self, seal: &SealKey) -> Result<ResponsesRequest, BadField> {
        read_fields(self.fields(), self.length(), seal)
    }
}

fn read_fields(fields: &BodyFields<'_>, length: usize, seal: &SealKey) -> Result<ResponsesRequest, BadField> {
    const MODEL: Path<'_> = Path::bracketed("model");
    const INPUT: Path<'_> = Path::bracketed("input");
    refuse_what_needs_a_store(fields)?;
    refuse_unknown_includes(fields.include)?;
    limits::metadata(fields.metadata)?;
    let model: String = optional(fields.model, &MODEL, "a string")?
        .ok_or_else(|| BadField::not_sent(&MODEL, "the name of a model, such as \"deepseek-chat\""))?;
    let input = fields.input.ok_or_else(|| BadField::not_sent(&INPUT, "a string or a list of items"))?;
    let mut notes = Notes::default();
    let mut tools = ToolMap::default();
    let mut turn = TurnRequest { model: model.clone(), ..TurnRequest::default() };
    let mut table = ToolTable { map: &mut tools, declared: &mut turn.tools, notes: &mut notes };
    if let Some(list) = fields.tools {
        if !list.get().starts_with('[') {
            return Err(BadField::wrong_type(list, &Path::bracketed("tools"), "a list"));
        }
        limits::tools_have_names(list, &Path::bracketed("tools"))?;
        declare(list, &mut table);
    }
    let mut reader = InputReader::new(table, seal);
    if let Some(instructions) = optional(fields.instructions, &Path::bracketed("instructions"), "a string")? {
        reader.instructions(instructions);
    }
    reader.read(input, &INPUT)?;
    let compacts;
    (turn.items, compacts) = reader.finish();
    turn.tool_choice = tool_choice(fields.tool_choice, &tools, &mut turn.tools)?;
    let stream = options(fields, &mut turn)?;
    let echo = echo(fields, model);
    Ok(ResponsesRequest { turn, stream, notes, echo, tools, input_tokens: length as u64 / 4, compacts })
}

/// Everything that says how to answer. Whether as a stream is the writer's concern, and comes back.
fn options(fields: &BodyFields<'_>, turn: &mut TurnRequest) -> Result<bool, BadField> {
    let number = |raw, name| optional(raw, &Path::bracketed(name), "a number");
    let flag = |raw, name| optional(raw, &Path::bracketed(name), "true or false");
    turn.parallel_tool_calls = flag(fields.parallel_tool_calls, "parallel_tool_calls")?;
    let limit = Path::bracketed("max_output_tokens");
    turn.max_output_tokens = optional(fields.max_output_tokens, &limit, "a whole number")?;
    turn.sampling = Sampling {
        temperature: number(fields.temperature, "temperature")?,
        top_p: number(fields.top_p, "top_p")?,
        presence_penalty: number(fields.presence_penalty, "presence_penalty")?,
        frequency_penalty: number(fields.frequency_penalty, "frequency_penalty")?,
    };
    turn.reasoning = Reasoning { effort: effort(fields.reasoning)? };
    (turn.format, turn.verbosity) = text(fields.text)?;
    turn.conversation = optional(fields.prompt_cache_key, &Path::bracketed("prompt_cache_key"), "a string")?;
    Ok(flag(fields.stream, "stream")?.unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use latimer_protocol::turn::ToolChoice;

    use super::*;
    use crate::inbound::wire::bad_field::Problem;
    use crate::inbound::wire::openai_error::code;

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
                "{\"model\":\"m\",\"input\":[{\"role\":\"alien\",\"content\":\"x\"}]}",
                "invalid_value",
                Some("input[0].role"),
                "Invalid value: 'alien'. Supported values are: 'assistant', 'system', 'developer', and 'user'.",
            ),
            (
                "{\"model\":\"m\",\"input\":\"x\",\"tools\":[{\"type\":\"function\",\"name\":\"a\"},{\"type\":\"custom\"}]}",
                "missing_required_parameter",
                Some("tools[1].name"),
                "Missing required parameter: 'tools[1].name'.",
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
        for (body, want, param, words) in cases {
            let error = read(body.as_bytes(), &SealKey::default()).expect_err(body);
            assert_eq!((code(error.problem), error.path.as_deref()), (want, param), "{body}");
            assert!(error.message.contains(words), "{body}: {}", error.message);
        }
    }

    #[test]
    fn invalid_utf8_and_depth_are_refused() {
        assert_eq!(
            read(b"{\"model\":\"m\",\"input\":\"\xff\"}", &SealKey::default())
                .expect_err("not UTF-8")
                .problem,
            Problem::NotJson
        );
        let deep = format!(
            "{{\"model\":\"m\",\"input\":\"x\",\"tool_choice\":{}1{}}}",
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        assert_eq!(
            read(deep.as_bytes(), &SealKey::default()).expect_err("too deep").path.as_deref(),
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
            let parsed = read(body.as_bytes(), &SealKey::default()).expect(choice);
            assert_eq!((parsed.turn.tool_choice, parsed.turn.tools.len()), (want, count), "{choice}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_body_panics(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = read(&body, &SealKey::default());
        }
    }
}
