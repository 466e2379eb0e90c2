//! `POST /v1/messages` and `POST /v1/messages/count_tokens`, read into a turn. Pure. Source: Anthropic's API
//! reference of the Messages API, and what Claude Code was recorded to send (`fixtures/messages_front`).
//!
//! Every field is looked at on its own, so that an error names the field, and what nobody knows is passed over. Marks for
//! caches (`cache_control`) are not read: an adapter whose provider wants such marks sets its own.

use latimer_protocol::turn::{Format, Item, Reasoning, Role, Sampling, SealKey, TurnRequest};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::conversation::ConversationReader;
use super::options::{config, effort, format, session, thinking};
use super::request_kind::RequestKind;
use super::tools;
use crate::inbound::notes::Notes;
use crate::inbound::wire::bad_field::BadField;
use crate::inbound::wire::field::{body as body_fields, optional, raw_fields, required};
use crate::inbound::wire::path::Path;

/// A request of a Messages client, understood.
#[derive(Debug)]
pub struct MessagesRequest {
    /// What is asked; the model is still as the client wrote it.
    pub turn: TurnRequest,
    /// Whether the answer is a stream.
    pub stream: bool,
    /// What was lowered or left out, for the log.
    pub notes: Notes,
    /// Words that end the answer. The hub does not know them: the writer looks for them.
    pub stops: Vec<String>,
    /// A rough count of the input's tokens, for upstreams that do not count.
    pub input_tokens: u64,
    /// What kind of request it is.
    pub kind: RequestKind,
}

raw_fields! {
    /// The body's fields, untouched. A field that is not here is of no concern to any upstream.
    struct BodyFields {
        model,
        messages,
        system,
        max_tokens,
        stream,
        tools,
        tool_choice,
        thinking,
        output_config,
        output_format,
        stop_sequences,
        temperature,
        top_p,
        top_k,
        metadata,
        context_management,
        service_tier,
        container,
        mcp_servers,
    }
}

/// Reads a body. The seal opens the carriers of provider state that latimer made. A count of tokens has the same body
/// without a limit for the answer, so `max_tokens` may be absent.
///
/// # Errors
/// When the body is no JSON object, or a field is missing, of the wrong type, or asks for what latimer cannot give.
pub fn read(body: &[u8], seal: &SealKey) -> Result<MessagesRequest, BadField> {
    const MODEL: Path<'_> = Path::dotted("model");
    const MESSAGES: Path<'_> = Path::dotted("messages");
    let fields: BodyFields<'_> =
        body_fields(body).map_err(|error| BadField::not_json(body, &error, "`model` and `messages`"))?;
    let model: String = required(fields.model, &MODEL, "the name of a model, such as claude-sonnet-4-5")?;
    if model.is_empty() {
        return Err(BadField::invalid(&MODEL, "is empty; it should be the name of a model"));
    }
    let messages = fields.messages.ok_or_else(|| BadField::missing(&MESSAGES, "a list of messages"))?;
    let mut notes = Notes::default();
    let mut turn = TurnRequest { model, ..TurnRequest::default() };
    let hosted = tools::read(fields.tools, &mut turn.tools, &mut notes)?;
    let mut reader = ConversationReader::new(seal, &mut notes);
    reader.system(fields.system)?;
    reader.messages(messages)?;
    let subtask;
    (turn.items, subtask) = reader.finish();
    if !turn.items.iter().any(says_something) {
        return Err(BadField::invalid(&MESSAGES, "hold nothing to answer: every text is empty"));
    }
    tools::choice(fields.tool_choice, &hosted, &mut turn, &mut notes)?;
    answer(&fields, &mut turn, &mut notes)?;
    note_what_is_left_out(&fields, &mut notes);
    let stream = optional(fields.stream, &Path::dotted("stream"), "true or false")?.unwrap_or(false);
    let at = Path::dotted("stop_sequences");
    let stops: Vec<String> = optional(fields.stop_sequences, &at, "a list of strings")?.unwrap_or_default();
    let stops = stops.into_iter().filter(|stop| !stop.is_empty()).collect();
    let kind = RequestKind::of(&turn, &hosted, fields.tools.is_some(), subtask);
    Ok(MessagesRequest { turn, stream, notes, stops, input_tokens: body.len() as u64 / 4, kind })
}

/// How long, how free, how thoughtful and in which shape the answer is to be.
fn answer(fields: &BodyFields<'_>, turn: &mut TurnRequest, notes: &mut Notes) -> Result<(), BadField> {
    turn.max_output_tokens = max_tokens(fields.max_tokens)?;
    turn.sampling = sampling(fields, notes)?;
    let config = config(fields.output_config)?;
    let thinking = thinking(fields.thinking)?;
    turn.reasoning = Reasoning { effort: effort(thinking, config.effort) };
    turn.format = format(config.format, &Path::dotted("output_config").field("format"))?;
    if matches!(turn.format, Format::Text) {
        // The field's name while the feature was new.
        turn.format = format(fields.output_format, &Path::dotted("output_format"))?;
    }
    turn.conversation = session(fields.metadata)?;
    Ok(())
}

/// Rules alone are no question.
fn says_something(item: &Item) -> bool {
    !matches!(item, Item::Message(message) if message.role == Role::System)
}

fn max_tokens(raw: Option<&RawValue>) -> Result<Option<u64>, BadField> {
    let at = Path::dotted("max_tokens");
    let limit: Option<u64> = optional(raw, &at, "a whole number")?;
    if limit == Some(0) {
        return Err(BadField::invalid(&at, "should be at least 1"));
    }
    Ok(limit)
}

fn sampling(fields: &BodyFields<'_>, notes: &mut Notes) -> Result<Sampling, BadField> {
    let top_k: Option<u64> = optional(fields.top_k, &Path::dotted("top_k"), "a whole number")?;
    if top_k.is_some() {
        notes.add("`top_k` was left out: most providers have none");
    }
    Ok(Sampling {
        temperature: optional(fields.temperature, &Path::dotted("temperature"), "a number")?,
        top_p: optional(fields.top_p, &Path::dotted("top_p"), "a number")?,
        ..Sampling::default()
    })
}

fn note_what_is_left_out(fields: &BodyFields<'_>, notes: &mut Notes) {
    let given = |raw: Option<&RawValue>| raw.is_some_and(|raw| !matches!(raw.get(), "null" | "[]" | "{}"));
    let cases = [
        (given(fields.mcp_servers), "`mcp_servers` was left out: only Anthropic calls servers for a model"),
        (given(fields.container), "`container` was left out: only Anthropic runs code for a model"),
        (
            given(fields.context_management) && edits_more_than_thoughts(fields.context_management),
            "`context_management` was left out: the history goes out as it came",
        ),
        (
            fields.service_tier.is_some_and(|raw| raw.get() == "\"standard_only\""),
            "`service_tier` was left out: it means nothing to other providers",
        ),
    ];
    for (_, note) in cases.into_iter().filter(|(is_given, _)| *is_given) {
        notes.add(note);
    }
}

/// Claude Code asks on every turn that thoughts be kept, which is what happens anyway.
fn edits_more_than_thoughts(raw: Option<&RawValue>) -> bool {
    let value: Value = raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    let keeps = |edit: &Value| edit.get("keep") == Some(&json!("all"));
    value.get("edits").and_then(Value::as_array).is_none_or(|edits| !edits.iter().all(keeps))
}

#[cfg(test)]
mod tests {
    use super::*;
    use latimer_protocol::turn::ToolChoice;

    fn parsed(fields: &str) -> MessagesRequest {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}]{fields}}}"#);
        read(body.as_bytes(), &SealKey::default()).expect(fields)
    }

    #[test]
    fn bad_requests_say_where_and_what() {
        let user = r#""messages":[{"role":"user","content":"x"}]"#;
        let cases = [
            (String::new(), None, "empty"),
            ("[1]".to_owned(), None, "should be a JSON object"),
            ("{\"model\":\"m\",\n \"messages\":}".to_owned(), None, "line 2 column 13"),
            (format!("{{{user}}}"), Some("model"), "is missing"),
            (format!(r#"{{"model":7,{user}}}"#), Some("model"), "a number was sent"),
            (format!(r#"{{"model":"",{user}}}"#), Some("model"), "is empty"),
            (r#"{"model":"m"}"#.to_owned(), Some("messages"), "is missing"),
            (r#"{"model":"m","messages":[]}"#.to_owned(), Some("messages"), "at least one"),
            (r#"{"model":"m","messages":"x"}"#.to_owned(), Some("messages"), "a list of messages"),
            (
                r#"{"model":"m","system":"s","messages":[{"role":"user","content":""}]}"#.to_owned(),
                Some("messages"),
                "nothing to answer",
            ),
            (r#"["m", [], "x"]"#.to_owned(), None, "should be a JSON object"),
            (r#"{"model":"m","messages":[["user","x"]]}"#.to_owned(), Some("messages.0"), "a list was sent"),
            (r#"{"model":"m","messages":[7]}"#.to_owned(), Some("messages.0"), "an object"),
            (
                r#"{"model":"m","messages":[{"content":"x"}]}"#.to_owned(),
                Some("messages.0.role"),
                "is missing",
            ),
            (
                r#"{"model":"m","messages":[{"role":"tool","content":"x"}]}"#.to_owned(),
                Some("messages.0.role"),
                "user, assistant or system",
            ),
            (
                r#"{"model":"m","messages":[{"role":"user"}]}"#.to_owned(),
                Some("messages.0.content"),
                "is missing",
            ),
            (format!(r#"{{"model":"m",{user},"max_tokens":"9"}}"#), Some("max_tokens"), "a whole number"),
            (format!(r#"{{"model":"m",{user},"max_tokens":0}}"#), Some("max_tokens"), "at least 1"),
            (format!(r#"{{"model":"m",{user},"stream":"yes"}}"#), Some("stream"), "true or false"),
            (
                format!(r#"{{"model":"m",{user},"stop_sequences":"x"}}"#),
                Some("stop_sequences"),
                "a list of strings",
            ),
            (format!(r#"{{"model":"m",{user},"system":7}}"#), Some("system"), "a string or a list"),
            (format!(r#"{{"model":"m",{user},"tools":{{}}}}"#), Some("tools"), "a list of tools"),
            (format!(r#"{{"model":"m",{user},"tools":[{{}}]}}"#), Some("tools.0.name"), "is missing"),
            (
                format!(r#"{{"model":"m",{user},"tools":[{{"name":"f","input_schema":[]}}]}}"#),
                Some("tools.0.input_schema"),
                "an object",
            ),
            (
                format!(r#"{{"model":"m",{user},"tool_choice":{{"type":"tool","name":"f"}}}}"#),
                Some("tool_choice.name"),
                "not in `tools`",
            ),
            (
                format!(r#"{{"model":"m",{user},"tool_choice":{{"type":"any"}}}}"#),
                Some("tool_choice"),
                "no tools",
            ),
            (format!(r#"{{"model":"m",{user},"tool_choice":"auto"}}"#), Some("tool_choice"), "an object"),
            (
                format!(r#"{{"model":"m",{user},"thinking":{{"type":"enabled"}}}}"#),
                Some("thinking.budget_tokens"),
                "is missing",
            ),
            (
                format!(r#"{{"model":"m",{user},"thinking":{{"type":"deep"}}}}"#),
                Some("thinking.type"),
                "adaptive",
            ),
            (
                format!(r#"{{"model":"m",{user},"output_config":{{"format":{{"type":"json_schema"}}}}}}"#),
                Some("output_config.format.schema"),
                "is missing",
            ),
        ];
        for (body, param, words) in cases {
            assert_refused(&body, param, words);
        }
    }

    fn assert_refused(body: &str, param: Option<&str>, words: &str) {
        let error = read(body.as_bytes(), &SealKey::default()).expect_err(body);
        assert_eq!(error.path.as_deref(), param, "{body}");
        assert!(error.message.contains(words), "{body}: {}", error.message);
    }

    #[test]
    fn bad_blocks_say_where_and_what() {
        let cases = [
            (r#"{"type":"text","text":7}"#, Some("messages.0.content.0.text"), "a string"),
            (r#"{"content":7}"#, Some("messages.0.content.0.type"), "is missing"),
            (r#"{"type":"image"}"#, Some("messages.0.content.0.source"), "is missing"),
            (
                r#"{"type":"image","source":{"type":"file","file_id":"f"}}"#,
                Some("messages.0.content.0.source"),
                "files by id",
            ),
            (
                r#"{"type":"image","source":{"type":"base64","media_type":"image/png"}}"#,
                Some("messages.0.content.0.source.data"),
                "is missing",
            ),
            (
                r#"{"type":"document","source":{"type":"url","url":"file:///etc"}}"#,
                Some("messages.0.content.0.source.url"),
                "https:",
            ),
            (r#"{"type":"tool_use","name":"f"}"#, Some("messages.0.content.0.id"), "is missing"),
            (
                r#"{"type":"tool_result","content":"x"}"#,
                Some("messages.0.content.0.tool_use_id"),
                "is missing",
            ),
            (
                r#"{"type":"tool_result","tool_use_id":"t","content":[{"type":"text"}]}"#,
                Some("messages.0.content.0.content.0.text"),
                "is missing",
            ),
        ];
        for (block, param, words) in cases {
            let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":[{block}]}}]}}"#);
            assert_refused(&body, param, words);
        }
    }

    #[test]
    fn invalid_utf8_and_depth_are_refused() {
        let error = read(
            b"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"\xff\"}]}",
            &SealKey::default(),
        );
        assert!(error.is_err());
        let deep = format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}],"metadata":{}1{}}}"#,
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        assert_eq!(
            read(deep.as_bytes(), &SealKey::default()).expect_err("too deep").path.as_deref(),
            Some("metadata")
        );
    }

    #[test]
    fn thinking_and_effort_become_one_word() {
        let cases = [
            ("", None),
            (r#","output_config":{"effort":"high"}"#, None),
            (r#","output_config":{"effort":"low"}"#, Some("low")),
            (r#","output_config":{"effort":"max"}"#, Some("max")),
            (r#","thinking":{"type":"adaptive"},"output_config":{"effort":"high"}"#, Some("high")),
            (r#","thinking":{"type":"adaptive"}"#, Some("high")),
            (r#","thinking":{"type":"disabled"},"output_config":{"effort":"high"}"#, Some("none")),
            (r#","thinking":{"type":"enabled","budget_tokens":1024}"#, Some("low")),
            (r#","thinking":{"type":"enabled","budget_tokens":10000}"#, Some("medium")),
            (r#","thinking":{"type":"enabled","budget_tokens":31999}"#, Some("high")),
            (r#","thinking":null"#, None),
        ];
        for (fields, want) in cases {
            assert_eq!(parsed(fields).turn.reasoning.effort.as_deref(), want, "{fields}");
        }
    }

    #[test]
    fn tool_choice_in_every_form() {
        let tools = r#","tools":[{"name":"a"},{"type":"web_search_20250305","name":"web_search"}]"#;
        let cases = [
            ("", ToolChoice::Auto, None),
            (r#","tool_choice":{"type":"auto"}"#, ToolChoice::Auto, None),
            (r#","tool_choice":{"type":"none"}"#, ToolChoice::None, None),
            (
                r#","tool_choice":{"type":"any","disable_parallel_tool_use":true}"#,
                ToolChoice::Required,
                Some(false),
            ),
            (r#","tool_choice":{"type":"tool","name":"a"}"#, ToolChoice::Function("a".into()), None),
            (r#","tool_choice":{"type":"tool","name":"web_search"}"#, ToolChoice::Auto, None),
        ];
        for (choice, want, parallel) in cases {
            let turn = parsed(&format!("{tools}{choice}")).turn;
            assert_eq!((turn.tool_choice, turn.parallel_tool_calls), (want, parallel), "{choice}");
        }
    }

    #[test]
    fn the_session_is_found_and_the_person_is_not() {
        let cases = [
            (r#"{"device_id":"d","session_id":"74bf"}"#, Some("74bf")),
            ("user_abc_account__session_0a-1b", Some("0a-1b")),
            ("jane@example.org", None),
            (r#"{"session_id":""}"#, None),
        ];
        for (user, want) in cases {
            let fields = format!(r#","metadata":{}"#, json!({ "user_id": user }));
            assert_eq!(parsed(&fields).turn.conversation.as_deref(), want, "{user}");
        }
    }

    #[test]
    fn what_cannot_be_done_is_noted_once() {
        let fields = r#","top_k":3,"mcp_servers":[{"url":"https://x"}],"container":"c","service_tier":"auto","novel":{"a":[1]},
            "context_management":{"edits":[{"type":"clear_tool_uses_20250919"}]},"stop_sequences":["END",""]"#;
        let parsed = parsed(fields);
        assert_eq!(parsed.notes.len(), 4, "{:?}", parsed.notes);
        assert_eq!(parsed.stops, ["END"]);
    }

    proptest::proptest! {
        #[test]
        fn no_body_panics(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = read(&body, &SealKey::default());
        }
    }
}
