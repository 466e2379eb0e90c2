//! The fields of a request that are objects of their own: thinking, the shape of the answer, the session. Pure.

use latimer_protocol::turn::Format;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::inbound::wire::bad_field::BadField;
use crate::inbound::wire::field::{optional, optional_object, raw_fields, required};
use crate::inbound::wire::path::Path;

raw_fields! {
    struct OutputConfigFields { effort, format }
}

/// Effort, and the shape of the answer.
pub(super) struct OutputConfig<'a> {
    pub(super) effort: Option<String>,
    pub(super) format: Option<&'a RawValue>,
}

pub(super) fn config(raw: Option<&RawValue>) -> Result<OutputConfig<'_>, BadField> {
    let at = Path::dotted("output_config");
    let fields: OutputConfigFields<'_> = optional_object(raw, &at)?.unwrap_or_default();
    Ok(OutputConfig {
        effort: optional(fields.effort, &at.field("effort"), "a string")?,
        format: fields.format,
    })
}

/// The switch for thinking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thinking {
    Absent,
    Off,
    Adaptive,
    /// Tokens.
    Budget(u64),
}

pub(super) fn thinking(raw: Option<&RawValue>) -> Result<Thinking, BadField> {
    raw_fields! {
        struct ThinkingFields {
            #[serde(rename = "type")]
            thinking_type,
            budget_tokens,
        }
    }
    let at = Path::dotted("thinking");
    let Some(fields) = optional_object::<ThinkingFields<'_>>(raw, &at)? else { return Ok(Thinking::Absent) };
    let kind: String = required(fields.thinking_type, &at.field("type"), "enabled, adaptive or disabled")?;
    match kind.as_str() {
        "disabled" => Ok(Thinking::Off),
        "adaptive" => Ok(Thinking::Adaptive),
        "enabled" => {
            let at = at.field("budget_tokens");
            required(fields.budget_tokens, &at, "a whole number").map(Thinking::Budget)
        }
        _ => Err(BadField::invalid(&at.field("type"), "should be enabled, adaptive or disabled")),
    }
}

/// One word for two fields. Without a switch for thinking an effort of `high` says nothing: it is the API's default, and
/// Claude Code sends it with its small background requests too.
pub(super) fn effort(thinking: Thinking, effort: Option<String>) -> Option<String> {
    let by_budget = |budget: u64| match budget {
        0..=4096 => "low",
        4097..=16_384 => "medium",
        _ => "high",
    };
    match thinking {
        Thinking::Off => Some("none".to_owned()),
        Thinking::Adaptive => effort.or_else(|| Some("high".to_owned())),
        Thinking::Budget(budget) => effort.or_else(|| Some(by_budget(budget).to_owned())),
        Thinking::Absent => effort.filter(|effort| effort != "high"),
    }
}

pub(super) fn format(raw: Option<&RawValue>, at: &Path<'_>) -> Result<Format, BadField> {
    raw_fields! {
        struct FormatFields {
            #[serde(rename = "type")]
            format_type,
            schema,
        }
    }
    let Some(fields) = optional_object::<FormatFields<'_>>(raw, at)? else { return Ok(Format::Text) };
    let kind: String = required(fields.format_type, &at.field("type"), "json_schema")?;
    if kind != "json_schema" {
        return Err(BadField::invalid(&at.field("type"), "should be json_schema"));
    }
    let at = at.field("schema");
    let schema = fields.schema.ok_or_else(|| BadField::missing(&at, "a JSON Schema"))?;
    if !schema.get().starts_with('{') {
        return Err(BadField::wrong_type(schema, &at, "an object"));
    }
    Ok(Format::JsonSchema {
        name: "answer".to_owned(),
        description: None,
        schema: schema.to_owned(),
        strict: None,
    })
}

/// The session inside of `metadata.user_id`; the rest of it names a person and is not looked at.
pub(super) fn session(raw: Option<&RawValue>) -> Result<Option<String>, BadField> {
    raw_fields! {
        struct MetadataFields {
            user_id,
        }
    }
    let at = Path::dotted("metadata");
    let fields: Option<MetadataFields<'_>> = optional_object(raw, &at)?;
    let user: Option<String> =
        optional(fields.and_then(|fields| fields.user_id), &at.field("user_id"), "a string")?;
    Ok(user.as_deref().and_then(session_of))
}

/// Claude Code writes JSON with a `session_id`; before 2026 it wrote `user_…_account_…_session_…`.
fn session_of(user: &str) -> Option<String> {
    let json = serde_json::from_str::<Value>(user).ok();
    let by_json = json.as_ref().and_then(|value| value.get("session_id")?.as_str());
    let by_name = || user.rsplit_once("_session_").map(|(_, session)| session);
    by_json.or_else(by_name).filter(|session| !session.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_found_in_either_spelling() {
        let session = |json: &str| {
            let raw = RawValue::from_string(json.to_owned()).expect("JSON");
            session(Some(&raw)).expect("readable")
        };
        assert_eq!(session(r#"{"user_id":"{\"session_id\":\"a\"}"}"#).as_deref(), Some("a"));
        assert_eq!(session(r#"{"user_id":"user_x_session_b"}"#).as_deref(), Some("b"));
        assert_eq!(session(r#"{"user_id":"x"}"#), None);
    }

    #[test]
    fn an_effort_of_high_says_nothing_by_itself() {
        let high = || Some("high".to_owned());
        assert_eq!(effort(Thinking::Absent, high()), None);
        assert_eq!(effort(Thinking::Adaptive, high()), high());
        assert_eq!(effort(Thinking::Budget(1024), None).as_deref(), Some("low"));
    }
}
