//! `POST /v1/chat/completions`, read into a turn. Pure. Source: OpenAI's API reference, and the extensions of other providers that clients
//! send (`fixtures/chat_front`).
//!
//! Every field is looked at on its own, so that an error names the field, and what nobody knows is passed over.

use latimer_protocol::turn::{Format, Sampling, SealKey, TurnRequest};
use serde_json::value::RawValue;

use super::message::MessageReader;
use super::options::{self, ReasoningFields};
use super::tools::{choice, functions, tools};
use crate::inbound::notes::Notes;
use crate::inbound::wire::bad_field::BadField;
use crate::inbound::wire::field::{body as body_fields, optional, optional_object, raw_fields};
use crate::inbound::wire::path::Path;
use crate::inbound::wire::tool_map::{ToolMap, ToolTable};

/// What the answer must be like, besides what the turn says.
#[derive(Debug, Clone, Default)]
pub struct ResponseOptions {
    /// The answer is a stream.
    pub stream: bool,
    /// The stream ends with the tokens used.
    pub usage: bool,
    /// The model as the client wrote it, to be named in the answer.
    pub model: String,
    /// Flat names and what they stand for.
    pub tools: ToolMap,
    /// Calls are written as `function_call`, the API's first form: one for each answer.
    pub legacy: bool,
    /// Where the words of the answer end, if the model goes on to write one of these.
    pub stop: Vec<String>,
    /// Thoughts are shown.
    pub thoughts: bool,
    /// The client looks for a refusal in `refusal`. It only comes there with a schema for the answer, and other clients show nothing
    /// of it: for them it is words.
    pub refusals: bool,
    /// A rough count of the input's tokens, for upstreams that do not count.
    pub input_tokens: u64,
    /// What was lowered or left out, for the log.
    pub notes: Notes,
}

raw_fields! {
    /// The body's fields, untouched. A field that is not here changes nothing about any answer.
    struct BodyFields {
        model,
        messages,
        /// Not of this API, but sent to it by clients that speak several.
        system,
        stream,
        stream_options,
        tools,
        functions,
        tool_choice,
        function_call,
        parallel_tool_calls,
        max_tokens,
        max_completion_tokens,
        temperature,
        top_p,
        presence_penalty,
        frequency_penalty,
        response_format,
        verbosity,
        reasoning_effort,
        reasoning,
        thinking,
        enable_thinking,
        chat_template_kwargs,
        include_reasoning,
        stop,
        prompt_cache_key,
        n,
        logprobs,
        top_logprobs,
        modalities,
        seed,
        logit_bias,
        prediction,
        web_search_options,
        service_tier,
        store,
        audio,
    }
}

/// Reads a body. The seal opens the carriers of provider state that latimer made.
///
/// # Errors
/// When the body is no JSON object, or a field is missing, of the wrong type, or asks for what latimer cannot give.
pub fn read(body: &[u8], seal: &SealKey) -> Result<(TurnRequest, ResponseOptions), BadField> {
    const MODEL: Path<'_> = Path::bracketed("model");
    const MESSAGES: Path<'_> = Path::bracketed("messages");
    let fields: BodyFields<'_> =
        body_fields(body).map_err(|error| BadField::not_json(body, &error, "`model` and `messages`"))?;
    refuse_what_cannot_be(&fields)?;
    let mut options = ResponseOptions {
        notes: ignored(&fields),
        input_tokens: body.len() as u64 / 4,
        ..ResponseOptions::default()
    };
    let model: String = optional(fields.model, &MODEL, "a string")?
        .ok_or_else(|| BadField::not_sent(&MODEL, "the name of a model, such as \"deepseek-chat\""))?;
    options.model.clone_from(&model);
    let mut turn = TurnRequest { model, ..TurnRequest::default() };
    let mut table =
        ToolTable { map: &mut options.tools, declared: &mut turn.tools, notes: &mut options.notes };
    tools(fields.tools, &mut table)?;
    let has_tools = !table.declared.is_empty();
    options.legacy = functions(fields.functions, &mut table)? && !has_tools;
    let mut reader = MessageReader::new(&options.tools, &mut options.notes, seal);
    reader.system(fields.system)?;
    let messages = fields.messages.ok_or_else(|| BadField::not_sent(&MESSAGES, "a list of messages"))?;
    reader.read(messages, &MESSAGES)?;
    turn.items = reader.finish();
    let (chosen, name) = match (fields.tool_choice, fields.function_call) {
        (None, Some(first_form)) => (Some(first_form), "function_call"),
        (given, _) => (given, "tool_choice"),
    };
    turn.tool_choice = choice(chosen, &Path::bracketed(name), &options.tools, &mut turn.tools)?;
    sampling(&fields, &mut turn)?;
    if options.legacy {
        turn.parallel_tool_calls = Some(false);
    }
    answer(&fields, &mut turn, &mut options)?;
    Ok((turn, options))
}

/// How the model picks its words, and how many.
fn sampling(fields: &BodyFields<'_>, turn: &mut TurnRequest) -> Result<(), BadField> {
    let number = |raw, name| optional(raw, &Path::bracketed(name), "a number");
    let parallel = Path::bracketed("parallel_tool_calls");
    turn.parallel_tool_calls = optional(fields.parallel_tool_calls, &parallel, "true or false")?;
    turn.max_output_tokens = match options::limit(fields.max_completion_tokens, "max_completion_tokens")? {
        None => options::limit(fields.max_tokens, "max_tokens")?,
        given => given,
    };
    turn.sampling = Sampling {
        temperature: number(fields.temperature, "temperature")?,
        top_p: number(fields.top_p, "top_p")?,
        presence_penalty: number(fields.presence_penalty, "presence_penalty")?,
        frequency_penalty: number(fields.frequency_penalty, "frequency_penalty")?,
    };
    Ok(())
}

/// What the answer must be like.
fn answer(
    fields: &BodyFields<'_>,
    turn: &mut TurnRequest,
    options: &mut ResponseOptions,
) -> Result<(), BadField> {
    let text = |raw, name| optional(raw, &Path::bracketed(name), "a string");
    let reasoning = ReasoningFields {
        reasoning_effort: fields.reasoning_effort,
        reasoning: fields.reasoning,
        thinking: fields.thinking,
        enable_thinking: fields.enable_thinking,
        chat_template_kwargs: fields.chat_template_kwargs,
        include_reasoning: fields.include_reasoning,
    };
    (turn.reasoning, options.thoughts) = options::reasoning(reasoning)?;
    turn.format = options::format(fields.response_format)?;
    options.refusals = matches!(turn.format, Format::JsonSchema { .. });
    turn.verbosity = text(fields.verbosity, "verbosity")?;
    turn.conversation = text(fields.prompt_cache_key, "prompt_cache_key")?;
    options.stop = options::stop(fields.stop)?;
    options.stream = optional(fields.stream, &Path::bracketed("stream"), "true or false")?.unwrap_or(false);
    options.usage = options.stream && include_usage(fields.stream_options)?;
    Ok(())
}

/// What changes the answer into something that latimer cannot make. Better refused than left out in silence.
fn refuse_what_cannot_be(fields: &BodyFields<'_>) -> Result<(), BadField> {
    let number = |raw, name| optional::<f64>(raw, &Path::bracketed(name), "a whole number");
    let n = number(fields.n, "n")?;
    let logprobs: Option<bool> = optional(fields.logprobs, &Path::bracketed("logprobs"), "true or false")?;
    let top = number(fields.top_logprobs, "top_logprobs")?;
    let modalities: Vec<String> =
        optional(fields.modalities, &Path::bracketed("modalities"), "a list of strings")?.unwrap_or_default();
    let no_logprobs = "token probabilities are not passed on; leave this field out";
    let cases = [
        (
            n.is_some_and(|n| n > 1.0),
            "n",
            "latimer gives one answer for each request; send `n` requests instead",
        ),
        (logprobs == Some(true), "logprobs", no_logprobs),
        (top.is_some_and(|top| top > 0.0), "top_logprobs", no_logprobs),
        (
            modalities.iter().any(|word| word != "text"),
            "modalities",
            "answers are text; leave `modalities` out or send [\"text\"]",
        ),
    ];
    match cases.into_iter().find(|(is_given, _, _)| *is_given) {
        Some((_, name, message)) => Err(BadField::unsupported(&Path::bracketed(name), message)),
        None => Ok(()),
    }
}

/// A note for each field that is left out although it could change the answer a little.
fn ignored(fields: &BodyFields<'_>) -> Notes {
    let given = |raw: Option<&RawValue>| raw.is_some_and(|raw| !matches!(raw.get(), "{}" | "false"));
    let tier = fields.service_tier.map_or("", RawValue::get);
    let cases = [
        (given(fields.seed), "seed"),
        (given(fields.logit_bias), "logit_bias"),
        (given(fields.prediction), "prediction"),
        (fields.web_search_options.is_some(), "web_search_options"),
        (!matches!(tier, "" | "\"auto\"" | "\"default\""), "service_tier"),
        (given(fields.store), "store"),
        (given(fields.audio), "audio"),
    ];
    let mut notes = Notes::default();
    for (_, name) in cases.into_iter().filter(|(is_given, _)| *is_given) {
        notes.add(format!("`{name}` has no equal upstream and was left out"));
    }
    notes
}

fn include_usage(raw: Option<&RawValue>) -> Result<bool, BadField> {
    raw_fields! { struct StreamOptionFields { include_usage } }
    let at = Path::bracketed("stream_options");
    let fields: StreamOptionFields<'_> = optional_object(raw, &at)?.unwrap_or_default();
    Ok(optional(fields.include_usage, &at.field("include_usage"), "true or false")?.unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_without_an_equal_are_noted_once_each() {
        let body = br#"{"model":"m","messages":[{"role":"user","content":"x"}],"seed":1,"store":false,"service_tier":"auto","web_search_options":{},"audio":null}"#;
        let (_, options) = read(body, &SealKey::default()).expect("a request");
        assert_eq!(options.notes.len(), 2, "{:?}", options.notes);
    }

    #[test]
    fn usage_is_for_streams_that_ask_for_it() {
        let usage = |fields: &str| {
            let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}]{fields}}}"#);
            read(body.as_bytes(), &SealKey::default()).map(|(_, options)| options.usage)
        };
        assert_eq!(usage(r#","stream":true,"stream_options":{"include_usage":true}"#), Ok(true));
        assert_eq!(usage(r#","stream_options":{"include_usage":true}"#), Ok(false));
        let error = usage(r#","stream":true,"stream_options":{"include_usage":1}"#).expect_err("a number");
        assert_eq!(error.path.as_deref(), Some("stream_options.include_usage"));
    }
}
