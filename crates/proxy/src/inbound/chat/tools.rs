//! Tools of a Chat Completions request: declarations in every spelling, and which of them the model may call. Pure.

use latimer_adapters::fields::is_no_choice;
use latimer_protocol::turn::{Tool, ToolChoice};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::inbound::wire::bad_field::{BadField, Problem};
use crate::inbound::wire::field::{elements, given, object, optional, raw_fields};
use crate::inbound::wire::freeform::{describe_grammar, freeform_schema};
use crate::inbound::wire::path::Path;
use crate::inbound::wire::tool_map::{ToolKind, ToolMap, ToolTable, restrict};
use crate::text::{MAX_WORD, shown};

raw_fields! {
    /// A declaration: `{"type", "function": {…}}`, `{"type", "custom": {…}}`, or the fields themselves.
    struct DeclarationFields { type, function, custom }
}

/// What is declared.
#[derive(Deserialize)]
struct FunctionFields<'a> {
    name: Option<String>,
    description: Option<String>,
    #[serde(borrow)]
    parameters: Option<&'a RawValue>,
    /// The Messages API's word for the same.
    #[serde(borrow)]
    input_schema: Option<&'a RawValue>,
    strict: Option<bool>,
    format: Option<Value>,
}

/// Reads `tools`.
///
/// # Errors
/// When it is no list of objects, or a tool has no name.
pub(super) fn tools(raw: Option<&RawValue>, table: &mut ToolTable<'_>) -> Result<(), BadField> {
    let root = Path::bracketed("tools");
    for (place, raw) in list(raw, &root)?.into_iter().enumerate() {
        let at = root.index(place);
        let fields: DeclarationFields<'_> = object(raw, &at)?;
        match (fields.kind.as_deref(), fields.function, fields.custom) {
            (Some("function") | None, Some(inner), _) => {
                declare(inner, ToolKind::Function, &at.field("function"), table)?;
            }
            (Some("custom"), _, Some(inner)) => {
                declare(inner, ToolKind::Custom, &at.field("custom"), table)?;
            }
            // The Responses API's spelling, and with `custom` also that of the Messages API.
            (Some("function") | None, None, _) => declare(raw, ToolKind::Function, &at, table)?,
            (Some("custom"), _, None) if raw.get().contains("\"input_schema\"") => {
                declare(raw, ToolKind::Function, &at, table)?;
            }
            (Some("custom"), _, None) => declare(raw, ToolKind::Custom, &at, table)?,
            (Some(other), ..) => {
                let kind = shown(other, MAX_WORD);
                table.notes.add(format!("a tool of type `{kind}` has no equal upstream and was left out"));
            }
        }
    }
    Ok(())
}

/// Reads `functions`, the API's first form. True when there are any: then calls are written in the form that goes with them.
///
/// # Errors
/// As [`tools`].
pub(super) fn functions(raw: Option<&RawValue>, table: &mut ToolTable<'_>) -> Result<bool, BadField> {
    let root = Path::bracketed("functions");
    let list = list(raw, &root)?;
    for (place, raw) in list.iter().enumerate() {
        declare(raw, ToolKind::Function, &root.index(place), table)?;
    }
    Ok(!list.is_empty())
}

fn declare(raw: &RawValue, kind: ToolKind, at: &Path<'_>, table: &mut ToolTable<'_>) -> Result<(), BadField> {
    let fields: FunctionFields<'_> = serde_json::from_str(raw.get())
        .map_err(|_| BadField::wrong_type(raw, at, "an object that declares a tool"))?;
    let Some(name) = fields.name.as_deref().map(str::trim).filter(|name| !name.is_empty()) else {
        let at = at.field("name");
        return Err(BadField::at(&at, Problem::Missing, "is missing; a tool needs a name"));
    };
    let Some(flat) = table.map.insert(None, name, kind) else {
        table.notes.add("a tool that was declared twice was left out");
        return Ok(());
    };
    let (parameters, description) = match kind {
        ToolKind::Custom => (freeform_schema(), Some(describe(&fields))),
        _ => (fields.parameters.or(fields.input_schema).map(ToOwned::to_owned), fields.description),
    };
    table.declared.push(Tool { name: flat, description, parameters, strict: fields.strict });
    Ok(())
}

/// The description, and the grammar that the input must follow; it stands one level deeper than in the Responses API.
fn describe(fields: &FunctionFields<'_>) -> String {
    let mut text = fields.description.clone().unwrap_or_default();
    let format = fields.format.as_ref();
    let grammar = format.and_then(|format| format.get("grammar")).or(format);
    let word = |key: &str| grammar.and_then(|grammar| grammar.get(key)).and_then(Value::as_str);
    if let Some(definition) = word("definition") {
        describe_grammar(&mut text, word("syntax").unwrap_or("grammar"), definition);
    }
    text
}

fn list<'a>(raw: Option<&'a RawValue>, at: &Path<'_>) -> Result<Vec<&'a RawValue>, BadField> {
    given(raw).map_or_else(|| Ok(Vec::new()), |raw| elements(raw, at, "a list"))
}

/// Reads `tool_choice`, or `function_call` of the API's first form, whichever stands at `at`. Tools that are not allowed are no
/// longer declared.
///
/// # Errors
/// When it is neither a known word nor an object that names a declared tool.
pub(super) fn choice(
    raw: Option<&RawValue>,
    at: &Path<'_>,
    map: &ToolMap,
    declared: &mut Vec<Tool>,
) -> Result<ToolChoice, BadField> {
    let raw = raw.filter(|raw| !is_no_choice(raw));
    let Some(value) = optional::<Value>(raw, at, "a string or an object")? else {
        return Ok(ToolChoice::Auto);
    };
    let kind = value.as_str().or_else(|| value.get("type").and_then(Value::as_str));
    let choice = match kind {
        Some("auto") => ToolChoice::Auto,
        Some("none") => ToolChoice::None,
        Some("required" | "any") => ToolChoice::Required,
        Some("allowed_tools") => allowed(&value, map, declared),
        _ if value.is_object() => {
            let Some(flat) = named(&value).and_then(|name| map.chosen(name)) else {
                let what = "names a tool that is not declared, or that this route cannot offer";
                return Err(BadField::invalid(at, what));
            };
            ToolChoice::Function(flat.to_owned())
        }
        _ => return Err(BadField::invalid(at, "should be auto, none, required or an object")),
    };
    // Without tools there is nothing to insist on.
    Ok(if declared.is_empty() && choice == ToolChoice::Required { ToolChoice::Auto } else { choice })
}

/// The name in `{"function": {"name"}}`, `{"custom": {"name"}}` or `{"name"}`.
fn named(value: &Value) -> Option<&str> {
    let inner = value.get("function").or_else(|| value.get("custom")).unwrap_or(value);
    inner.get("name").and_then(Value::as_str)
}

/// Leaves only the tools that the client allows.
fn allowed(value: &Value, map: &ToolMap, declared: &mut Vec<Tool>) -> ToolChoice {
    let value = value.get("allowed_tools").unwrap_or(value);
    let tools = value.get("tools").and_then(Value::as_array).into_iter().flatten();
    let allowed: Vec<&str> = tools.filter_map(|tool| map.chosen(named(tool)?)).collect();
    restrict(declared, &allowed, value.get("mode").and_then(Value::as_str) == Some("required"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbound::notes::Notes;

    #[test]
    fn an_empty_choice_is_none() {
        for json in ["{}", "{ }", "\"\"", "null"] {
            let raw = RawValue::from_string(json.to_owned()).expect("JSON");
            let choice =
                choice(Some(&raw), &Path::bracketed("tool_choice"), &ToolMap::default(), &mut Vec::new());
            assert_eq!(choice, Ok(ToolChoice::Auto), "{json}");
        }
    }

    #[test]
    fn declarations_come_in_every_spelling() {
        let raw = RawValue::from_string(
            r#"[{"type":"function","function":{"name":"a","parameters":{}}},{"type":"function","name":"b"},
                {"type":"custom","custom":{"name":"c","format":{"grammar":{"syntax":"lark","definition":"start: x"}}}},
                {"type":"custom","name":"d","input_schema":{}},{"type":"novel"},{"name":"a"}]"#
                .to_owned(),
        )
        .expect("JSON");
        let (mut map, mut declared, mut notes) = (ToolMap::default(), Vec::new(), Notes::default());
        let mut table = ToolTable { map: &mut map, declared: &mut declared, notes: &mut notes };
        tools(Some(&raw), &mut table).expect("tools");
        let nameless = RawValue::from_string(r#"[{"function":{}}]"#.to_owned()).expect("JSON");
        let error = tools(Some(&nameless), &mut table).expect_err("no name");
        assert_eq!(error.message, "`tools[0].function.name` is missing; a tool needs a name");
        let names: Vec<&str> = declared.iter().map(|tool| tool.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c", "d"]);
        let description = declared[2].description.as_deref().expect("described");
        assert!(description.ends_with("lark grammar:\nstart: x"), "{description}");
        assert_eq!(notes.len(), 2, "{notes:?}");
    }
}
