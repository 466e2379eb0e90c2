//! `POST /v1/chat/completions`, read into a turn. Pure.
//!
//! Every field is looked at on its own, so that an error names the field, and what nobody knows is passed over.

use latimer_protocol::turn::{Format, Sampling, Seal, TurnRequest};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::message::Items;
use super::options::{self, Efforts};
use super::tools::{Declare, choice};
use crate::inbound::responses::request::{field, missing};
use crate::inbound::wire::openai_error::RequestError;
use crate::inbound::wire::tool_map::ToolMap;

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
    /// What was lowered or dropped, for the log.
    pub notes: Vec<String>,
}

/// The body's fields, untouched. A field that is not here changes nothing about any answer.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    messages: Option<&'a RawValue>,
    /// Not of this API, but sent to it by clients that speak several.
    #[serde(borrow)]
    system: Option<&'a RawValue>,
    #[serde(borrow)]
    stream: Option<&'a RawValue>,
    #[serde(borrow)]
    stream_options: Option<&'a RawValue>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    #[serde(borrow)]
    functions: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_choice: Option<&'a RawValue>,
    #[serde(borrow)]
    function_call: Option<&'a RawValue>,
    #[serde(borrow)]
    parallel_tool_calls: Option<&'a RawValue>,
    #[serde(borrow)]
    max_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    max_completion_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    temperature: Option<&'a RawValue>,
    #[serde(borrow)]
    top_p: Option<&'a RawValue>,
    #[serde(borrow)]
    presence_penalty: Option<&'a RawValue>,
    #[serde(borrow)]
    frequency_penalty: Option<&'a RawValue>,
    #[serde(borrow)]
    response_format: Option<&'a RawValue>,
    #[serde(borrow)]
    verbosity: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_effort: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow)]
    enable_thinking: Option<&'a RawValue>,
    #[serde(borrow)]
    chat_template_kwargs: Option<&'a RawValue>,
    #[serde(borrow)]
    include_reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    stop: Option<&'a RawValue>,
    #[serde(borrow)]
    prompt_cache_key: Option<&'a RawValue>,
    #[serde(borrow)]
    n: Option<&'a RawValue>,
    #[serde(borrow)]
    logprobs: Option<&'a RawValue>,
    #[serde(borrow)]
    top_logprobs: Option<&'a RawValue>,
    #[serde(borrow)]
    modalities: Option<&'a RawValue>,
    #[serde(borrow)]
    seed: Option<&'a RawValue>,
    #[serde(borrow)]
    logit_bias: Option<&'a RawValue>,
    #[serde(borrow)]
    prediction: Option<&'a RawValue>,
    #[serde(borrow)]
    web_search_options: Option<&'a RawValue>,
    #[serde(borrow)]
    service_tier: Option<&'a RawValue>,
    #[serde(borrow)]
    store: Option<&'a RawValue>,
    #[serde(borrow)]
    audio: Option<&'a RawValue>,
}

/// Reads a body. The seal opens the carriers of provider state that latimer made.
pub fn read(body: &[u8], seal: &Seal) -> Result<(TurnRequest, ResponseOptions), RequestError> {
    let wire: Body<'_> = serde_json::from_slice(body).map_err(|error| bad_json(body, &error))?;
    refuse_what_cannot_be(&wire)?;
    let mut wants = ResponseOptions {
        notes: ignored(&wire),
        input_tokens: body.len() as u64 / 4,
        ..ResponseOptions::default()
    };
    let model: String = field(wire.model, "model", "a string")?
        .ok_or_else(|| missing("model", "the name of a model, such as \"deepseek-chat\""))?;
    wants.model.clone_from(&model);
    let mut turn = TurnRequest { model, ..TurnRequest::default() };
    let mut declare = Declare { map: &mut wants.tools, out: &mut turn.tools, notes: &mut wants.notes };
    declare.tools(wire.tools)?;
    let has_tools = !declare.out.is_empty();
    wants.legacy = declare.functions(wire.functions)? && !has_tools;
    let mut items = Items::new(&wants.tools, &mut wants.notes, seal);
    items.system(wire.system)?;
    items.read(wire.messages.ok_or_else(|| missing("messages", "a list of messages"))?)?;
    turn.items = items.finish();
    turn.tool_choice = match (wire.tool_choice, wire.function_call) {
        (None, Some(first_form)) => choice(Some(first_form), "function_call", &wants.tools, &mut turn.tools)?,
        (given, _) => choice(given, "tool_choice", &wants.tools, &mut turn.tools)?,
    };
    turn.parallel_tool_calls = field(wire.parallel_tool_calls, "parallel_tool_calls", "true or false")?;
    if wants.legacy {
        turn.parallel_tool_calls = Some(false);
    }
    turn.max_output_tokens = match options::limit(wire.max_completion_tokens, "max_completion_tokens")? {
        None => options::limit(wire.max_tokens, "max_tokens")?,
        given => given,
    };
    turn.sampling = Sampling {
        temperature: field(wire.temperature, "temperature", "a number")?,
        top_p: field(wire.top_p, "top_p", "a number")?,
        presence_penalty: field(wire.presence_penalty, "presence_penalty", "a number")?,
        frequency_penalty: field(wire.frequency_penalty, "frequency_penalty", "a number")?,
    };
    let efforts = Efforts {
        reasoning_effort: wire.reasoning_effort,
        reasoning: wire.reasoning,
        thinking: wire.thinking,
        enable_thinking: wire.enable_thinking,
        chat_template_kwargs: wire.chat_template_kwargs,
        include_reasoning: wire.include_reasoning,
    };
    (turn.reasoning, wants.thoughts) = options::reasoning(efforts)?;
    turn.format = options::format(wire.response_format)?;
    wants.refusals = matches!(turn.format, Format::JsonSchema { .. });
    turn.verbosity = field(wire.verbosity, "verbosity", "a string")?;
    turn.conversation = field(wire.prompt_cache_key, "prompt_cache_key", "a string")?;
    wants.stop = options::stop(wire.stop)?;
    wants.stream = field(wire.stream, "stream", "true or false")?.unwrap_or(false);
    wants.usage = wants.stream && include_usage(wire.stream_options)?;
    Ok((turn, wants))
}

/// What changes the answer into something that latimer cannot make. Better refused than left out in silence.
fn refuse_what_cannot_be(wire: &Body<'_>) -> Result<(), RequestError> {
    let n: Option<f64> = field(wire.n, "n", "a whole number")?;
    let logprobs: Option<bool> = field(wire.logprobs, "logprobs", "true or false")?;
    let top: Option<f64> = field(wire.top_logprobs, "top_logprobs", "a whole number")?;
    let modalities: Vec<String> =
        field(wire.modalities, "modalities", "a list of strings")?.unwrap_or_default();
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
    match cases.into_iter().find(|(given, _, _)| *given) {
        Some((_, param, message)) => Err(RequestError {
            code: "unsupported_parameter",
            param: Some(param.to_owned()),
            message: message.to_owned(),
        }),
        None => Ok(()),
    }
}

/// A note for each field that is left out although it could change the answer a little.
fn ignored(wire: &Body<'_>) -> Vec<String> {
    let given = |raw: Option<&RawValue>| raw.is_some_and(|raw| !matches!(raw.get(), "null" | "{}" | "false"));
    let tier = wire.service_tier.map_or("", RawValue::get);
    let cases = [
        (given(wire.seed), "seed"),
        (given(wire.logit_bias), "logit_bias"),
        (given(wire.prediction), "prediction"),
        (wire.web_search_options.is_some_and(|raw| raw.get() != "null"), "web_search_options"),
        (!matches!(tier, "" | "null" | "\"auto\"" | "\"default\""), "service_tier"),
        (given(wire.store), "store"),
        (given(wire.audio), "audio"),
    ];
    let left_out = cases.into_iter().filter(|(given, _)| *given);
    left_out.map(|(_, name)| format!("`{name}` has no equal upstream and was left out")).collect()
}

fn include_usage(raw: Option<&RawValue>) -> Result<bool, RequestError> {
    #[derive(Deserialize)]
    struct Wire<'a> {
        #[serde(borrow)]
        include_usage: Option<&'a RawValue>,
    }
    let wire: Option<Wire<'_>> = field(raw, "stream_options", "an object")?;
    let given = wire.and_then(|wire| wire.include_usage);
    Ok(field(given, "stream_options.include_usage", "true or false")?.unwrap_or(false))
}

fn bad_json(body: &[u8], error: &serde_json::Error) -> RequestError {
    let message = if body.trim_ascii().is_empty() {
        "the request body is empty; send a JSON object with `model` and `messages`".to_owned()
    } else if error.is_data() {
        "the request body should be a JSON object with `model` and `messages`".to_owned()
    } else {
        format!("the request body is not valid JSON at line {} column {}", error.line(), error.column())
    };
    RequestError { code: "invalid_json", param: None, message }
}
