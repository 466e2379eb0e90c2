//! Tools and the choice among them. Pure.

use latimer_adapters::fields::is_no_choice;
use latimer_protocol::turn::{Tool, ToolChoice, TurnRequest};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::builtin::{self, RunBy};
use crate::inbound::notes::Notes;
use crate::inbound::wire::bad_field::BadField;
use crate::inbound::wire::field::{
    Word, elements, given, object, optional, optional_object, raw_fields, required,
};
use crate::inbound::wire::path::Path;
use crate::text::{MAX_WORD, shown};

/// A tool as declared; what is not here is of no concern to another provider.
#[derive(Deserialize)]
struct ToolFields<'a> {
    #[serde(rename = "type", borrow)]
    tool_type: Option<&'a RawValue>,
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

/// What a list of tools says besides the functions in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct HostedTools {
    /// How many entries the list has.
    pub(super) count: usize,
    /// Names of tools that only Anthropic runs; they were left out.
    pub(super) names: Vec<String>,
    /// One of them searches the web.
    pub(super) searches: bool,
}

/// Reads `tools`.
pub(super) fn read(
    raw: Option<&RawValue>,
    out: &mut Vec<Tool>,
    notes: &mut Notes,
) -> Result<HostedTools, BadField> {
    let at = Path::dotted("tools");
    let mut hosted = HostedTools::default();
    let Some(raw) = given(raw) else { return Ok(hosted) };
    for (place, raw) in elements(raw, &at, "a list of tools")?.into_iter().enumerate() {
        let at = at.index(place);
        let fields: ToolFields<'_> = object(raw, &at)?;
        hosted.count += 1;
        declare(&fields, &at, out, &mut hosted, notes)?;
    }
    Ok(hosted)
}

fn declare(
    fields: &ToolFields<'_>,
    at: &Path<'_>,
    out: &mut Vec<Tool>,
    hosted: &mut HostedTools,
    notes: &mut Notes,
) -> Result<(), BadField> {
    let kind: Option<Word<'_>> = optional(fields.tool_type, &at.field("type"), "a string")?;
    let kind = kind.as_deref().unwrap_or("custom");
    let tool = if kind == "custom" {
        Tool {
            name: required(fields.name, &at.field("name"), "a string")?,
            description: optional(fields.description, &at.field("description"), "a string")?,
            parameters: schema(fields.input_schema, &at.field("input_schema"))?,
            strict: optional(fields.strict, &at.field("strict"), "true or false")?,
        }
    } else {
        let name: Option<String> = optional(fields.name, &at.field("name"), "a string")?;
        match builtin::find(kind) {
            RunBy::Client(known) => {
                let mut description = known.description.to_owned();
                if let (Some(width), Some(height)) = (&fields.display_width_px, &fields.display_height_px) {
                    description = format!("{description} The screen has {width} by {height} pixels.");
                }
                Tool {
                    name: name.ok_or_else(|| BadField::missing(&at.field("name"), "a string"))?,
                    description: Some(description),
                    parameters: RawValue::from_string(known.schema.to_owned()).ok(),
                    strict: None,
                }
            }
            RunBy::Anthropic(note) => {
                notes.add(note);
                hosted.searches |= kind.starts_with("web_search_");
                hosted.names.extend(name);
                return Ok(());
            }
        }
    };
    if tool.name.trim().is_empty() {
        return Err(BadField::invalid(&at.field("name"), "is empty"));
    }
    if out.iter().any(|known| known.name == tool.name) {
        notes.add(format!(
            "the tool `{}` was declared twice; the first one counts",
            shown(&tool.name, MAX_WORD)
        ));
        return Ok(());
    }
    out.push(tool);
    Ok(())
}

/// The schema as it is; that it is an object is all that is looked at.
fn schema(raw: Option<&RawValue>, at: &Path<'_>) -> Result<Option<Box<RawValue>>, BadField> {
    match given(raw) {
        None => Ok(None),
        Some(raw) if raw.get().starts_with('{') => Ok(Some(raw.to_owned())),
        Some(raw) => Err(BadField::wrong_type(raw, at, "an object")),
    }
}

raw_fields! {
    struct ChoiceFields {
        #[serde(rename = "type")]
        choice_type,
        name,
        disable_parallel_tool_use,
    }
}

/// Reads `tool_choice` into the turn, whose tools are known by now.
pub(super) fn choice(
    raw: Option<&RawValue>,
    hosted: &HostedTools,
    turn: &mut TurnRequest,
    notes: &mut Notes,
) -> Result<(), BadField> {
    let at = Path::dotted("tool_choice");
    let raw = raw.filter(|raw| !is_no_choice(raw));
    let Some(fields) = optional_object::<ChoiceFields<'_>>(raw, &at)? else { return Ok(()) };
    let kind: Word<'_> = required(fields.choice_type, &at.field("type"), "auto, any, tool or none")?;
    turn.tool_choice = match &*kind {
        "auto" => ToolChoice::Auto,
        "none" => ToolChoice::None,
        "any" if turn.tools.is_empty() => {
            return Err(BadField::invalid(&at, "demands a call, and there are no tools"));
        }
        "any" => ToolChoice::Required,
        "tool" => {
            let at = at.field("name");
            let name: String = required(fields.name, &at, "the name of a tool")?;
            if hosted.names.contains(&name) {
                notes.add(format!("`{}` cannot be demanded: it was left out", shown(&name, MAX_WORD)));
                ToolChoice::Auto
            } else if turn.tools.iter().any(|tool| tool.name == name) {
                ToolChoice::Function(name)
            } else {
                return Err(BadField::invalid(&at, "names a tool that is not in `tools`"));
            }
        }
        _ => return Err(BadField::invalid(&at.field("type"), "should be auto, any, tool or none")),
    };
    let one_at_a_time: Option<bool> =
        optional(fields.disable_parallel_tool_use, &at.field("disable_parallel_tool_use"), "true or false")?;
    // The protocol's own default is that several are welcome, so only the opposite says something.
    turn.parallel_tool_calls = one_at_a_time.filter(|one| *one).map(|_| false);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(json: &str) -> Result<(Vec<Tool>, HostedTools, Notes), BadField> {
        let raw = RawValue::from_string(json.to_owned()).expect("JSON");
        let (mut tools, mut notes) = (Vec::new(), Notes::default());
        read(Some(&raw), &mut tools, &mut notes).map(|hosted| (tools, hosted, notes))
    }

    #[test]
    fn an_empty_choice_is_none() {
        for json in ["{}", "{ }", "\"\"", "null"] {
            let raw = RawValue::from_string(json.to_owned()).expect("JSON");
            let mut turn = TurnRequest { tool_choice: ToolChoice::None, ..TurnRequest::default() };
            let read = choice(Some(&raw), &HostedTools::default(), &mut turn, &mut Notes::default());
            assert_eq!((read, turn.tool_choice), (Ok(()), ToolChoice::None), "{json}");
        }
    }

    #[test]
    fn what_the_client_runs_is_declared_and_what_anthropic_runs_is_noted() {
        let (tools, hosted, notes) = declared(
            r#"[{"name":"a","input_schema":{}},{"type":"web_search_20250305","name":"web_search"},
                {"type":"computer_20250124","name":"computer","display_width_px":80,"display_height_px":60},{"name":"a"}]"#,
        )
        .expect("tools");
        let names: Vec<&str> = tools.iter().map(|tool| tool.name.as_str()).collect();
        assert_eq!(names, ["a", "computer"]);
        assert!(
            tools[1]
                .description
                .as_deref()
                .is_some_and(|text| text.ends_with("The screen has 80 by 60 pixels."))
        );
        assert_eq!((hosted.count, hosted.searches, hosted.names.len(), notes.len()), (4, true, 1, 2));
        assert_eq!(declared(r#"[{"name":" "}]"#).expect_err("blank").message, "tools.0.name: is empty");
    }
}
