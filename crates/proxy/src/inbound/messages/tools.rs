//! Tools and the choice among them. Pure.

use std::borrow::Cow;

use latimer_protocol::turn::{Tool, ToolChoice, TurnRequest};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::builtin::{self, Typed};
use super::error::BadRequest;
use super::field::{At, list, object, optional, optional_object, required, wrong_type};
use crate::text::{MAX_WORD, shown};

/// A tool as declared; what is not here is of no concern to another provider.
#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    description: Option<&'a RawValue>,
    #[serde(borrow)]
    input_schema: Option<&'a RawValue>,
    #[serde(borrow)]
    strict: Option<&'a RawValue>,
    display_width_px: Option<Value>,
    display_height_px: Option<Value>,
}

/// What was declared besides functions.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Declared {
    /// How many entries the list has.
    pub(super) count: usize,
    /// Names of tools that were left out.
    pub(super) hosted: Vec<String>,
    /// One of them searches the web.
    pub(super) searches: bool,
}

/// Reads `tools`.
pub(super) fn read(
    raw: Option<&RawValue>,
    out: &mut Vec<Tool>,
    notes: &mut Vec<String>,
) -> Result<Declared, BadRequest> {
    let at = At::Field("tools");
    let mut declared = Declared::default();
    let Some(raw) = raw.filter(|raw| raw.get() != "null") else { return Ok(declared) };
    for (place, raw) in list(raw, at, "a list of tools")?.into_iter().enumerate() {
        let at = at.nth(place);
        let wire: Wire<'_> = object(raw, at)?;
        declared.count += 1;
        one(&wire, at, out, &mut declared, notes)?;
    }
    Ok(declared)
}

fn one(
    wire: &Wire<'_>,
    at: At<'_>,
    out: &mut Vec<Tool>,
    declared: &mut Declared,
    notes: &mut Vec<String>,
) -> Result<(), BadRequest> {
    let kind: Option<Cow<'_, str>> = optional(wire.kind, at.field("type"), "a string")?;
    let kind = kind.as_deref().unwrap_or("custom");
    let tool = if kind == "custom" {
        Tool {
            name: required(wire.name, at.field("name"), "a string")?,
            description: optional(wire.description, at.field("description"), "a string")?,
            parameters: schema(wire.input_schema, at.field("input_schema"))?,
            strict: optional(wire.strict, at.field("strict"), "true or false")?,
        }
    } else {
        let name: Option<String> = optional(wire.name, at.field("name"), "a string")?;
        match builtin::find(kind) {
            Typed::Runs(known) => {
                let mut description = known.description.to_owned();
                if let (Some(width), Some(height)) = (&wire.display_width_px, &wire.display_height_px) {
                    description = format!("{description} The screen has {width} by {height} pixels.");
                }
                Tool {
                    name: name.ok_or_else(|| super::field::missing(at.field("name"), "a string"))?,
                    description: Some(description),
                    parameters: RawValue::from_string(known.schema.to_owned()).ok(),
                    strict: None,
                }
            }
            Typed::Hosted(note) => {
                notes.push(note);
                declared.searches |= kind.starts_with("web_search_");
                declared.hosted.extend(name);
                return Ok(());
            }
        }
    };
    if tool.name.trim().is_empty() {
        return Err(BadRequest::at(at.field("name"), "is empty"));
    }
    if out.iter().any(|known| known.name == tool.name) {
        notes.push(format!(
            "the tool `{}` was declared twice; the first one counts",
            shown(&tool.name, MAX_WORD)
        ));
        return Ok(());
    }
    out.push(tool);
    Ok(())
}

/// The schema as it is; that it is an object is all that is looked at.
fn schema(raw: Option<&RawValue>, at: At<'_>) -> Result<Option<Box<RawValue>>, BadRequest> {
    match raw.filter(|raw| raw.get() != "null") {
        None => Ok(None),
        Some(raw) if raw.get().starts_with('{') => Ok(Some(raw.to_owned())),
        Some(raw) => Err(wrong_type(raw, at, "an object")),
    }
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    disable_parallel_tool_use: Option<&'a RawValue>,
}

/// Reads `tool_choice` into the turn, whose tools are known by now.
pub(super) fn choice(
    raw: Option<&RawValue>,
    declared: &Declared,
    turn: &mut TurnRequest,
    notes: &mut Vec<String>,
) -> Result<(), BadRequest> {
    let at = At::Field("tool_choice");
    let Some(wire) = optional_object::<Choice<'_>>(raw, at)? else { return Ok(()) };
    let kind: Cow<'_, str> = required(wire.kind, at.field("type"), "auto, any, tool or none")?;
    turn.tool_choice = match kind.as_ref() {
        "auto" => ToolChoice::Auto,
        "none" => ToolChoice::None,
        "any" if turn.tools.is_empty() => {
            return Err(BadRequest::at(at, "demands a call, and there are no tools"));
        }
        "any" => ToolChoice::Required,
        "tool" => {
            let at = at.field("name");
            let name: String = required(wire.name, at, "the name of a tool")?;
            if declared.hosted.contains(&name) {
                notes.push(format!("`{}` cannot be demanded: it was left out", shown(&name, MAX_WORD)));
                ToolChoice::Auto
            } else if turn.tools.iter().any(|tool| tool.name == name) {
                ToolChoice::Function(name)
            } else {
                return Err(BadRequest::at(at, "names a tool that is not in `tools`"));
            }
        }
        _ => return Err(BadRequest::at(at.field("type"), "should be auto, any, tool or none")),
    };
    let one_at_a_time: Option<bool> =
        optional(wire.disable_parallel_tool_use, at.field("disable_parallel_tool_use"), "true or false")?;
    // The protocol's own default is that several are welcome, so only the opposite says something.
    turn.parallel_tool_calls = one_at_a_time.filter(|one| *one).map(|_| false);
    Ok(())
}
