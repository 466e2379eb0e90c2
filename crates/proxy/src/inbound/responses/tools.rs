//! Tools of the Responses protocol as plain functions: namespaces are flattened, freeform tools wrapped, hosted tools left out.

use latimer_protocol::turn::Tool;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::inbound::wire::field::Word;
use crate::inbound::wire::freeform::{describe_grammar, freeform_schema};
use crate::inbound::wire::tool_map::{ToolKind, ToolMap, ToolTable};
use crate::text::{MAX_WORD, shown};

/// A tool or a namespace of tools as declared. Only the fields that matter; `RawValue` keeps schemas untouched.
#[derive(Deserialize)]
struct ToolFields<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Word<'a>>,
    name: Option<String>,
    description: Option<String>,
    #[serde(borrow)]
    parameters: Option<&'a RawValue>,
    strict: Option<bool>,
    #[serde(borrow)]
    format: Option<&'a RawValue>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
}

/// The flat names of the tools in a list of declarations.
pub(super) fn flat_names(list: &RawValue, map: &ToolMap) -> Vec<String> {
    let list = serde_json::from_str::<Vec<ToolFields<'_>>>(list.get()).unwrap_or_default();
    let mut flats = Vec::new();
    for tool in &list {
        let name = tool.name.as_deref().unwrap_or_default();
        match tool.tools {
            Some(inner) => {
                let inner = serde_json::from_str::<Vec<ToolFields<'_>>>(inner.get()).unwrap_or_default();
                flats.extend(
                    inner.iter().filter_map(|tool| Some(map.flat(Some(name), tool.name.as_deref()?))),
                );
            }
            None => flats.push(map.flat(None, name)),
        }
    }
    flats
}

/// Reads a list of declarations and adds what can be offered upstream.
pub(super) fn declare(list: &RawValue, table: &mut ToolTable<'_>) {
    let Ok(list) = serde_json::from_str::<Vec<&RawValue>>(list.get()) else {
        table.notes.add("`tools` is not a list and was passed over");
        return;
    };
    for raw in list {
        declare_one(None, raw, table);
    }
}

fn declare_one(namespace: Option<&str>, raw: &RawValue, table: &mut ToolTable<'_>) {
    let Ok(tool) = serde_json::from_str::<ToolFields<'_>>(raw.get()) else {
        table.notes.add("a tool declaration could not be read and was left out");
        return;
    };
    let name = tool.name.as_deref().map(str::trim).filter(|name| !name.is_empty() && *name != "null");
    let kind = match (tool.kind.as_deref().unwrap_or("function"), name) {
        ("namespace", Some(name)) => {
            let inner = tool.tools.and_then(|tools| serde_json::from_str::<Vec<&RawValue>>(tools.get()).ok());
            for raw in inner.unwrap_or_default() {
                declare_one(Some(name), raw, table);
            }
            return;
        }
        ("function", Some(_)) => ToolKind::Function,
        ("custom", Some(_)) => ToolKind::Custom,
        ("tool_search", _) => ToolKind::ToolSearch,
        ("local_shell", _) => ToolKind::LocalShell,
        (other, _) => {
            let kind = shown(other, MAX_WORD);
            table.notes.add(format!("a tool of type `{kind}` has no equal upstream and was left out"));
            return;
        }
    };
    let name = match kind {
        ToolKind::ToolSearch => "tool_search",
        ToolKind::LocalShell => "local_shell",
        ToolKind::Function | ToolKind::Custom => name.unwrap_or_default(),
    };
    if let Some(flat) = table.map.insert(namespace, name, kind) {
        table.declared.push(as_function(&tool, kind, &flat));
    }
}

/// The tool as a function of the hub, under its flat name.
fn as_function(tool: &ToolFields<'_>, kind: ToolKind, flat: &str) -> Tool {
    let raw = |value: Value| serde_json::value::to_raw_value(&value).ok();
    let parameters = match kind {
        ToolKind::Custom => freeform_schema(),
        ToolKind::LocalShell => raw(json!({
            "type": "object",
            "properties": {
                "command": { "type": "array", "items": { "type": "string" }, "description": "The program and its arguments." },
                "working_directory": { "type": "string" },
                "timeout_ms": { "type": "integer" },
            },
            "required": ["command"],
        })),
        // `null` means no parameters.
        ToolKind::Function | ToolKind::ToolSearch => {
            tool.parameters.filter(|raw| raw.get() != "null").map(ToOwned::to_owned)
        }
    };
    let description = match kind {
        ToolKind::Custom => Some(describe_custom(tool)),
        ToolKind::LocalShell => Some(
            tool.description.clone().unwrap_or_else(|| "Runs a command on the user's machine.".to_owned()),
        ),
        ToolKind::Function | ToolKind::ToolSearch => tool.description.clone(),
    };
    Tool { name: flat.to_owned(), description, parameters, strict: tool.strict }
}

/// The description, and the grammar the input must follow.
fn describe_custom(tool: &ToolFields<'_>) -> String {
    let mut text = tool.description.clone().unwrap_or_default();
    let format =
        tool.format.and_then(|format| serde_json::from_str::<Value>(format.get()).ok()).unwrap_or_default();
    if let Some(definition) = format.get("definition").and_then(Value::as_str) {
        let syntax = format.get("syntax").and_then(Value::as_str).unwrap_or("grammar");
        describe_grammar(&mut text, syntax, definition);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbound::notes::Notes;

    fn declared(tools: &Value) -> (ToolMap, Vec<Tool>, Notes) {
        let raw = serde_json::value::to_raw_value(tools).expect("a value");
        let (mut map, mut out, mut notes) = (ToolMap::default(), Vec::new(), Notes::default());
        declare(&raw, &mut ToolTable { map: &mut map, declared: &mut out, notes: &mut notes });
        (map, out, notes)
    }

    #[test]
    fn namespaces_are_flattened_and_found_again() {
        let (map, out, _) = declared(&json!([
            {"type": "function", "name": "exec_command", "parameters": null},
            {"type": "namespace", "name": "mcp__lab", "tools": [{"type": "function", "name": "add"}, {"type": "function", "name": "mcp__lab__sub"}]},
            {"type": "namespace", "name": "a b", "tools": [{"type": "function", "name": "ö".repeat(80)}]},
        ]));
        let names: Vec<&str> = out.iter().map(|tool| tool.name.as_str()).collect();
        assert_eq!(&names[..3], ["exec_command", "mcp__lab__add", "mcp__lab__sub"]);
        assert!(names[3].len() <= 64 && names[3].is_ascii(), "{names:?}");
        let entry = map.find("mcp__lab__add").expect("known");
        assert_eq!((entry.namespace.as_deref(), entry.name.as_str()), (Some("mcp__lab"), "add"));
        assert_eq!(map.flat(Some("mcp__lab"), "add"), "mcp__lab__add");
        assert_eq!(map.flat(Some("gone"), "tool"), "gone__tool");
    }

    #[test]
    fn flat_names_that_would_collide_are_kept_apart() {
        let (map, out, _) = declared(&json!([
            {"type": "function", "name": "a__b"},
            {"type": "namespace", "name": "a", "tools": [{"type": "function", "name": "b"}]},
            {"type": "function", "name": "a__b"},
        ]));
        let names: Vec<&str> = out.iter().map(|tool| tool.name.as_str()).collect();
        assert_eq!(names, ["a__b", "a__b_2"]);
        assert_eq!(map.flat(Some("a"), "b"), "a__b_2");
    }

    #[test]
    fn custom_tools_are_wrapped_with_their_grammar_and_hosted_ones_left_out() {
        let (map, out, notes) = declared(&json!([
            {"type": "custom", "name": "apply_patch", "description": "Edits.", "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"}},
            {"type": "web_search", "external_web_access": true},
            {"type": "tool_search", "execution": "client", "description": "Finds tools.", "parameters": {"type": "object"}},
            {"type": "function", "name": "null"}, {"type": "function"}, 7,
        ]));
        assert_eq!(out.len(), 2);
        let description = out[0].description.as_deref().expect("described");
        assert!(
            description.starts_with("Edits.") && description.ends_with("lark grammar:\nstart: x"),
            "{description}"
        );
        assert!(out[0].parameters.as_ref().expect("wrapped").get().contains("\"required\":[\"input\"]"));
        assert_eq!(map.find("tool_search").map(|entry| entry.kind), Some(ToolKind::ToolSearch));
        assert_eq!(notes.len(), 4, "{notes:?}");
    }
}
