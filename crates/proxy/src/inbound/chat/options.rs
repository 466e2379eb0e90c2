//! How a Chat Completions client wants its answer: length, shape, effort, and where it must stop. Pure.

use latimer_protocol::turn::{Format, Reasoning};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::inbound::wire::bad_field::BadField;
use crate::inbound::wire::field::{given, optional, optional_object, raw_fields};
use crate::inbound::wire::path::Path;

/// The spellings of how hard to think, and whether to show it.
#[derive(Default, Clone, Copy)]
pub(super) struct ReasoningFields<'a> {
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
pub(super) fn reasoning(fields: ReasoningFields<'_>) -> Result<(Reasoning, bool), BadField> {
    let value = |raw: Option<&RawValue>| -> Value {
        raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
    };
    let reasoning = value(fields.reasoning);
    let thinking = value(fields.thinking);
    let kwargs = value(fields.chat_template_kwargs);
    let is_shown = reasoning["exclude"] != true && value(fields.include_reasoning) != false;
    let off = reasoning["enabled"] == false
        || thinking["type"] == "disabled"
        || value(fields.enable_thinking) == false
        || kwargs["enable_thinking"] == false
        || kwargs["thinking"] == false;
    let budget = || reasoning["max_tokens"].as_u64().or_else(|| thinking["budget_tokens"].as_u64());
    let effort = optional(fields.reasoning_effort, &Path::bracketed("reasoning_effort"), "a string")?
        .or_else(|| reasoning["effort"].as_str().map(str::to_owned))
        .or_else(|| off.then(|| "none".to_owned()))
        .or_else(|| budget().map(|tokens| effort_of_budget(tokens).to_owned()));
    Ok((Reasoning { effort }, is_shown))
}

/// The word that comes nearest to a number of tokens.
fn effort_of_budget(tokens: u64) -> &'static str {
    match tokens {
        0 => "none",
        1..4096 => "low",
        4096..16_384 => "medium",
        _ => "high",
    }
}

/// `response_format`.
pub(super) fn format(raw: Option<&RawValue>) -> Result<Format, BadField> {
    raw_fields! {
        struct FormatFields {
            #[serde(rename = "type")]
            format_type,
            json_schema,
        }
    }
    #[derive(Deserialize)]
    struct SchemaFields<'a> {
        name: Option<String>,
        description: Option<String>,
        strict: Option<bool>,
        #[serde(borrow)]
        schema: Option<&'a RawValue>,
    }
    let at = Path::bracketed("response_format");
    let Some(fields) = optional_object::<FormatFields<'_>>(raw, &at)? else { return Ok(Format::Text) };
    let kind: Option<String> = optional(fields.format_type, &at.field("type"), "a string")?;
    match kind.as_deref() {
        Some("text") | None => Ok(Format::Text),
        Some("json_object") => Ok(Format::JsonObject),
        Some("json_schema") => {
            let at = at.field("json_schema");
            let inner: SchemaFields<'_> = optional_object(fields.json_schema, &at)?
                .ok_or_else(|| BadField::not_sent(&at, "an object with `name` and `schema`"))?;
            let schema = given(inner.schema)
                .ok_or_else(|| BadField::not_sent(&at.field("schema"), "a JSON Schema"))?;
            Ok(Format::JsonSchema {
                name: inner.name.filter(|name| !name.is_empty()).unwrap_or_else(|| "answer".to_owned()),
                description: inner.description,
                schema: schema.to_owned(),
                strict: inner.strict,
            })
        }
        Some(_) => Err(BadField::invalid(&at.field("type"), "should be text, json_object or json_schema")),
    }
}

/// `stop`: a string or a list of them.
pub(super) fn stop(raw: Option<&RawValue>) -> Result<Vec<String>, BadField> {
    let at = Path::bracketed("stop");
    match raw {
        Some(raw) if raw.get().starts_with('"') => {
            Ok(optional(Some(raw), &at, "a string")?.into_iter().collect())
        }
        raw => Ok(optional(raw, &at, "a string or a list of strings")?.unwrap_or_default()),
    }
}

/// A limit on tokens, the field `name` of the body. Below zero means none, as local servers have it.
///
/// # Errors
/// When it is no whole number.
pub(super) fn limit(raw: Option<&RawValue>, name: &str) -> Result<Option<u64>, BadField> {
    let at = Path::bracketed(name);
    let Some(raw) = raw else { return Ok(None) };
    let number: Option<f64> = optional(Some(raw), &at, "a whole number")?;
    match number {
        None => Ok(None),
        Some(number) if number < 0.0 => Ok(None),
        // 32000.0 is how some languages write 32000.
        Some(number) if number.fract() == 0.0 && number < 9e15 => Ok(format!("{number:.0}").parse().ok()),
        Some(_) => Err(BadField::wrong_type(raw, &at, "a whole number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).expect("JSON")
    }

    #[test]
    fn a_limit_is_a_whole_number_in_any_spelling() {
        for (json, want) in [("32000", Some(32_000)), ("32000.0", Some(32_000)), ("-1", None), ("null", None)]
        {
            assert_eq!(limit(Some(&raw(json)), "max_tokens").expect(json), want, "{json}");
        }
        let error = limit(Some(&raw("0.5")), "max_tokens").expect_err("half a token");
        assert_eq!(error.path.as_deref(), Some("max_tokens"));
    }

    #[test]
    fn every_spelling_of_an_effort_is_one_word() {
        let (low, switch, budget) =
            (raw("\"low\""), raw("false"), raw(r#"{"max_tokens":20000,"exclude":true}"#));
        let none = ReasoningFields::default();
        let word = |fields| {
            let (reasoning, is_shown) = reasoning(fields).expect("readable");
            (reasoning.effort, is_shown)
        };
        assert_eq!(word(none), (None, true));
        assert_eq!(
            word(ReasoningFields { reasoning_effort: Some(&low), ..none }),
            (Some("low".to_owned()), true)
        );
        assert_eq!(
            word(ReasoningFields { enable_thinking: Some(&switch), ..none }),
            (Some("none".to_owned()), true)
        );
        assert_eq!(
            word(ReasoningFields { reasoning: Some(&budget), ..none }),
            (Some("high".to_owned()), false)
        );
    }
}
