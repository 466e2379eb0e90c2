//! How a Chat Completions client wants its answer: length, shape, effort, and where it must stop.

use latimer_protocol::turn::{Format, Reasoning};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::inbound::responses::request::{field, missing, wrong_type};
use crate::inbound::wire::openai_error::RequestError;

/// The spellings of how hard to think, and whether to show it.
#[derive(Default, Clone, Copy)]
pub(super) struct Efforts<'a> {
    /// OpenAI: a word.
    pub(super) reasoning_effort: Option<&'a RawValue>,
    /// OpenRouter: an object.
    pub(super) reasoning: Option<&'a RawValue>,
    /// Z.ai, Moonshot, DeepSeek and others: an object.
    pub(super) thinking: Option<&'a RawValue>,
    /// Qwen: a switch.
    pub(super) enable_thinking: Option<&'a RawValue>,
    /// Local servers: switches for the template.
    pub(super) chat_template_kwargs: Option<&'a RawValue>,
    /// OpenRouter's first form: whether to show thoughts.
    pub(super) include_reasoning: Option<&'a RawValue>,
}

/// How hard to think, and whether the client wants to see it. Only OpenAI's own field can be wrong: the others are extensions, and
/// what cannot be read of them is as good as not sent.
pub(super) fn reasoning(efforts: Efforts<'_>) -> Result<(Reasoning, bool), RequestError> {
    let value = |raw: Option<&RawValue>| -> Value {
        raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
    };
    let reasoning = value(efforts.reasoning);
    let thinking = value(efforts.thinking);
    let kwargs = value(efforts.chat_template_kwargs);
    let shown = reasoning["exclude"] != true && value(efforts.include_reasoning) != false;
    let off = reasoning["enabled"] == false
        || thinking["type"] == "disabled"
        || value(efforts.enable_thinking) == false
        || kwargs["enable_thinking"] == false
        || kwargs["thinking"] == false;
    let budget = || reasoning["max_tokens"].as_u64().or_else(|| thinking["budget_tokens"].as_u64());
    let effort = field(efforts.reasoning_effort, "reasoning_effort", "a string")?
        .or_else(|| reasoning["effort"].as_str().map(str::to_owned))
        .or_else(|| off.then(|| "none".to_owned()))
        .or_else(|| budget().map(|tokens| of_budget(tokens).to_owned()));
    Ok((Reasoning { effort }, shown))
}

/// The word that comes nearest to a number of tokens.
fn of_budget(tokens: u64) -> &'static str {
    match tokens {
        0 => "none",
        1..4096 => "low",
        4096..16_384 => "medium",
        _ => "high",
    }
}

/// `response_format`.
pub(super) fn format(raw: Option<&RawValue>) -> Result<Format, RequestError> {
    #[derive(Deserialize)]
    struct Wire<'a> {
        #[serde(rename = "type", borrow)]
        kind: Option<&'a RawValue>,
        #[serde(borrow)]
        json_schema: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Schema<'a> {
        name: Option<String>,
        description: Option<String>,
        strict: Option<bool>,
        #[serde(borrow)]
        schema: Option<&'a RawValue>,
    }
    let Some(wire) = field::<Wire<'_>>(raw, "response_format", "an object")? else { return Ok(Format::Text) };
    let kind: Option<String> = field(wire.kind, "response_format.type", "a string")?;
    match kind.as_deref() {
        Some("text") | None => Ok(Format::Text),
        Some("json_object") => Ok(Format::JsonObject),
        Some("json_schema") => {
            let inner: Schema<'_> = field(wire.json_schema, "response_format.json_schema", "an object")?
                .ok_or_else(|| {
                    missing("response_format.json_schema", "an object with `name` and `schema`")
                })?;
            let schema = inner.schema.filter(|raw| raw.get() != "null");
            Ok(Format::JsonSchema {
                name: inner.name.filter(|name| !name.is_empty()).unwrap_or_else(|| "answer".to_owned()),
                description: inner.description,
                schema: schema
                    .ok_or_else(|| missing("response_format.json_schema.schema", "a JSON Schema"))?
                    .to_owned(),
                strict: inner.strict,
            })
        }
        Some(_) => Err(RequestError {
            code: "invalid_value",
            param: Some("response_format.type".to_owned()),
            message: "`response_format.type` should be text, json_object or json_schema".to_owned(),
        }),
    }
}

/// `stop`: a string or a list of them.
pub(super) fn stop(raw: Option<&RawValue>) -> Result<Vec<String>, RequestError> {
    match raw {
        Some(raw) if raw.get().starts_with('"') => {
            Ok(field(Some(raw), "stop", "a string")?.into_iter().collect())
        }
        raw => Ok(field(raw, "stop", "a string or a list of strings")?.unwrap_or_default()),
    }
}

/// A limit on tokens. Below zero means none, as local servers have it.
pub(super) fn limit(raw: Option<&RawValue>, param: &str) -> Result<Option<u64>, RequestError> {
    let Some(raw) = raw else { return Ok(None) };
    let given: Option<f64> = field(Some(raw), param, "a whole number")?;
    match given {
        None => Ok(None),
        Some(given) if given < 0.0 => Ok(None),
        // 32000.0 is how some languages write 32000.
        Some(given) if given.fract() == 0.0 && given < 9e15 => Ok(format!("{given:.0}").parse().ok()),
        Some(_) => Err(wrong_type(raw, param, "a whole number")),
    }
}
