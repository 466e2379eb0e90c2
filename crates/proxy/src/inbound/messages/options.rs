//! The fields of a request that are objects of their own: thinking, the shape of the answer, the session. Pure.

use latimer_protocol::turn::Format;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::error::BadRequest;
use super::field::{At, missing, optional, optional_object, required, wrong_type};

#[derive(Default, Deserialize)]
struct Config<'a> {
    #[serde(borrow)]
    effort: Option<&'a RawValue>,
    #[serde(borrow)]
    format: Option<&'a RawValue>,
}

/// Effort, and the shape of the answer.
pub(super) struct OutputConfig<'a> {
    pub(super) effort: Option<String>,
    pub(super) format: Option<&'a RawValue>,
}

pub(super) fn config(raw: Option<&RawValue>) -> Result<OutputConfig<'_>, BadRequest> {
    let at = At::Field("output_config");
    let wire: Config<'_> = optional_object(raw, at)?.unwrap_or_default();
    Ok(OutputConfig { effort: optional(wire.effort, at.field("effort"), "a string")?, format: wire.format })
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

pub(super) fn thinking(raw: Option<&RawValue>) -> Result<Thinking, BadRequest> {
    #[derive(Deserialize)]
    struct Wire<'a> {
        #[serde(rename = "type", borrow)]
        kind: Option<&'a RawValue>,
        #[serde(borrow)]
        budget_tokens: Option<&'a RawValue>,
    }
    let at = At::Field("thinking");
    let Some(wire) = optional_object::<Wire<'_>>(raw, at)? else { return Ok(Thinking::Absent) };
    let kind: String = required(wire.kind, at.field("type"), "enabled, adaptive or disabled")?;
    match kind.as_str() {
        "disabled" => Ok(Thinking::Off),
        "adaptive" => Ok(Thinking::Adaptive),
        "enabled" => {
            let at = at.field("budget_tokens");
            required(wire.budget_tokens, at, "a whole number").map(Thinking::Budget)
        }
        _ => Err(BadRequest::at(at.field("type"), "should be enabled, adaptive or disabled")),
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

pub(super) fn format(raw: Option<&RawValue>, at: At<'_>) -> Result<Format, BadRequest> {
    #[derive(Deserialize)]
    struct Wire<'a> {
        #[serde(rename = "type", borrow)]
        kind: Option<&'a RawValue>,
        #[serde(borrow)]
        schema: Option<&'a RawValue>,
    }
    let Some(wire) = optional_object::<Wire<'_>>(raw, at)? else { return Ok(Format::Text) };
    let kind: String = required(wire.kind, at.field("type"), "json_schema")?;
    if kind != "json_schema" {
        return Err(BadRequest::at(at.field("type"), "should be json_schema"));
    }
    let at = at.field("schema");
    let schema = wire.schema.ok_or_else(|| missing(at, "a JSON Schema"))?;
    if !schema.get().starts_with('{') {
        return Err(wrong_type(schema, at, "an object"));
    }
    Ok(Format::JsonSchema {
        name: "answer".to_owned(),
        description: None,
        schema: schema.to_owned(),
        strict: None,
    })
}

/// The session inside of `metadata.user_id`; the rest of it names a person and is not looked at.
pub(super) fn session(raw: Option<&RawValue>) -> Result<Option<String>, BadRequest> {
    #[derive(Deserialize)]
    struct Wire<'a> {
        #[serde(borrow)]
        user_id: Option<&'a RawValue>,
    }
    let at = At::Field("metadata");
    let wire: Option<Wire<'_>> = optional_object(raw, at)?;
    let user: Option<String> = optional(wire.and_then(|wire| wire.user_id), at.field("user_id"), "a string")?;
    Ok(user.as_deref().and_then(session_of))
}

/// Claude Code writes JSON with a `session_id`; before 2026 it wrote `user_…_account_…_session_…`.
fn session_of(user: &str) -> Option<String> {
    let json = serde_json::from_str::<Value>(user).ok();
    let by_json = json.as_ref().and_then(|value| value.get("session_id")?.as_str());
    let by_name = || user.rsplit_once("_session_").map(|(_, session)| session);
    by_json.or_else(by_name).filter(|session| !session.is_empty()).map(str::to_owned)
}
