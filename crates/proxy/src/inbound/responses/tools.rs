//! Tools of the Responses protocol as plain functions and back.
//!
//! Namespaces are flattened, freeform tools wrapped, hosted tools left out. The map lives as long as the request.

use std::fmt::Write as _;

use latimer_protocol::turn::Tool;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// The longest name every provider takes.
const LONGEST_NAME: usize = 64;

/// What a flat name stands for in the client's protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `function_call`.
    Function,
    /// `custom_tool_call`: the input is free text, wrapped as `{"input": …}` on the way out.
    Custom,
    /// `tool_search_call`: the arguments are an object.
    ToolSearch,
    /// `local_shell_call`: the arguments are the action.
    LocalShell,
}

/// One tool of a request.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The name upstream.
    pub flat: String,
    /// The name in the client's protocol.
    pub name: String,
    /// The namespace it sits in.
    pub namespace: Option<String>,
    /// What a call of it looks like to the client.
    pub kind: Kind,
}

/// Flat names and what they stand for.
#[derive(Debug, Clone, Default)]
pub struct ToolMap {
    entries: Vec<Entry>,
}

/// A tool as declared. Only the fields that matter; `RawValue` keeps schemas untouched.
#[derive(Debug, Deserialize)]
pub(super) struct Declared<'a> {
    #[serde(default, rename = "type", borrow)]
    kind: Option<std::borrow::Cow<'a, str>>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default, borrow)]
    parameters: Option<&'a RawValue>,
    #[serde(default)]
    strict: Option<bool>,
    #[serde(default, borrow)]
    format: Option<&'a RawValue>,
    #[serde(default, borrow)]
    tools: Option<&'a RawValue>,
}

impl ToolMap {
    /// The entry of a flat name.
    pub fn find(&self, flat: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.flat == flat)
    }

    /// The flat name of a call in the history; also for tools that are no longer declared.
    pub fn flat(&self, namespace: Option<&str>, name: &str) -> String {
        let exact = |entry: &&Entry| entry.name == name && entry.namespace.as_deref() == namespace;
        // Codex leaves the namespace of its own tools out in the history.
        let by_name = |entry: &&Entry| namespace.is_none() && entry.name == name;
        let known = self.entries.iter().find(exact).or_else(|| self.entries.iter().find(by_name));
        known.map_or_else(|| flatten(namespace, name), |entry| entry.flat.clone())
    }

    /// The flat name of a tool a `tool_choice` names.
    pub fn chosen(&self, name: &str) -> Option<&str> {
        self.entries
            .iter()
            .find(|entry| entry.name == name || entry.flat == name)
            .map(|entry| entry.flat.as_str())
    }

    /// The flat names of the tools in a list of declarations.
    pub(super) fn flats_of(&self, list: &RawValue) -> Vec<String> {
        let list = serde_json::from_str::<Vec<Declared<'_>>>(list.get()).unwrap_or_default();
        let mut flats = Vec::new();
        for tool in &list {
            let name = tool.name.as_deref().unwrap_or_default();
            match tool.tools {
                Some(inner) => {
                    let inner = serde_json::from_str::<Vec<Declared<'_>>>(inner.get()).unwrap_or_default();
                    flats.extend(
                        inner.iter().filter_map(|tool| Some(self.flat(Some(name), tool.name.as_deref()?))),
                    );
                }
                None => flats.push(self.flat(None, name)),
            }
        }
        flats
    }

    /// Reads a list of declarations and adds what can be offered upstream.
    pub(super) fn declare(&mut self, list: &RawValue, out: &mut Vec<Tool>, notes: &mut Vec<String>) {
        let Ok(list) = serde_json::from_str::<Vec<&RawValue>>(list.get()) else {
            notes.push("`tools` is not a list and was passed over".to_owned());
            return;
        };
        for raw in list {
            self.declare_one(None, raw, out, notes);
        }
    }

    fn declare_one(
        &mut self,
        namespace: Option<&str>,
        raw: &RawValue,
        out: &mut Vec<Tool>,
        notes: &mut Vec<String>,
    ) {
        let Ok(tool) = serde_json::from_str::<Declared<'_>>(raw.get()) else {
            notes.push("a tool declaration could not be read and was left out".to_owned());
            return;
        };
        let name = tool.name.as_deref().map(str::trim).filter(|name| !name.is_empty() && *name != "null");
        let kind = match (tool.kind.as_deref().unwrap_or("function"), name) {
            ("namespace", Some(name)) => {
                for inner in tool
                    .tools
                    .and_then(|tools| serde_json::from_str::<Vec<&RawValue>>(tools.get()).ok())
                    .unwrap_or_default()
                {
                    self.declare_one(Some(name), inner, out, notes);
                }
                return;
            }
            ("function", Some(_)) => Kind::Function,
            ("custom", Some(_)) => Kind::Custom,
            ("tool_search", _) => Kind::ToolSearch,
            ("local_shell", _) => Kind::LocalShell,
            (other, _) => {
                let shown: String = other.chars().take(40).collect();
                notes.push(format!("a tool of type `{shown}` has no equal upstream and was left out"));
                return;
            }
        };
        let name = match kind {
            Kind::ToolSearch => "tool_search",
            Kind::LocalShell => "local_shell",
            Kind::Function | Kind::Custom => name.unwrap_or_default(),
        };
        if let Some(flat) = self.insert(namespace, name, kind) {
            out.push(lower(&tool, kind, &flat));
        }
    }

    /// Gives a tool its flat name; `None` when it was declared before.
    pub(in crate::inbound) fn insert(
        &mut self,
        namespace: Option<&str>,
        name: &str,
        kind: Kind,
    ) -> Option<String> {
        if self.entries.iter().any(|entry| entry.name == name && entry.namespace.as_deref() == namespace) {
            return None;
        }
        let flat = self.unique(&flatten(namespace, name));
        self.entries.push(Entry {
            flat: flat.clone(),
            name: name.to_owned(),
            namespace: namespace.map(str::to_owned),
            kind,
        });
        Some(flat)
    }

    /// Two different tools never share a flat name.
    fn unique(&self, flat: &str) -> String {
        let mut candidate = flat.to_owned();
        let mut number = 2u32;
        while self.entries.iter().any(|entry| entry.flat == candidate) {
            let tail = format!("_{number}");
            candidate = flat.chars().take(LONGEST_NAME - tail.len()).collect();
            candidate.push_str(&tail);
            number += 1;
        }
        candidate
    }
}

fn lower(tool: &Declared<'_>, kind: Kind, flat: &str) -> Tool {
    let raw = |value: Value| serde_json::value::to_raw_value(&value).ok();
    let parameters = match kind {
        Kind::Custom => free_text(),
        Kind::LocalShell => raw(json!({
            "type": "object",
            "properties": {
                "command": { "type": "array", "items": { "type": "string" }, "description": "The program and its arguments." },
                "working_directory": { "type": "string" },
                "timeout_ms": { "type": "integer" },
            },
            "required": ["command"],
        })),
        // `null` means no parameters.
        Kind::Function | Kind::ToolSearch => {
            tool.parameters.filter(|raw| raw.get() != "null").map(ToOwned::to_owned)
        }
    };
    let description = match kind {
        Kind::Custom => Some(describe_custom(tool)),
        Kind::LocalShell => Some(
            tool.description.clone().unwrap_or_else(|| "Runs a command on the user's machine.".to_owned()),
        ),
        Kind::Function | Kind::ToolSearch => tool.description.clone(),
    };
    Tool { name: flat.to_owned(), description, parameters, strict: tool.strict }
}

/// The description, and the grammar the input must follow.
fn describe_custom(tool: &Declared<'_>) -> String {
    let mut text = tool.description.clone().unwrap_or_default();
    let format =
        tool.format.and_then(|format| serde_json::from_str::<Value>(format.get()).ok()).unwrap_or_default();
    if let Some(definition) = format.get("definition").and_then(Value::as_str) {
        let syntax = format.get("syntax").and_then(Value::as_str).unwrap_or("grammar");
        describe_grammar(&mut text, syntax, definition);
    }
    text
}

/// The parameters of a tool that takes free text, wrapped for providers that know only functions.
pub(in crate::inbound) fn free_text() -> Option<Box<RawValue>> {
    let schema = json!({
        "type": "object",
        "properties": { "input": { "type": "string", "description": "The whole input of the tool, as plain text." } },
        "required": ["input"],
        "additionalProperties": false,
    });
    serde_json::value::to_raw_value(&schema).ok()
}

/// Adds to a description the grammar that free text must follow.
pub(in crate::inbound) fn describe_grammar(text: &mut String, syntax: &str, definition: &str) {
    let _ = write!(
        text,
        "\n\nPut the whole text into `input`, unescaped apart from JSON itself. It must follow this {syntax} grammar:\n{definition}"
    );
}

/// `namespace__name` in the characters and the length every provider takes. A prefix that is already there is not repeated.
fn flatten(namespace: Option<&str>, name: &str) -> String {
    let joined = match namespace {
        // Codex's own namespace for plain tools: their bare names are what models know.
        Some("functions") => name.to_owned(),
        Some(namespace) if !name.starts_with(&format!("{namespace}__")) => format!("{namespace}__{name}"),
        _ => name.to_owned(),
    };
    let safe: String = joined
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' })
        .collect();
    if safe.len() <= LONGEST_NAME {
        return if safe.is_empty() { "tool".to_owned() } else { safe };
    }
    // A hash of the whole name keeps long names with the same beginning apart.
    let hash =
        joined.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let head: String = safe.chars().take(LONGEST_NAME - 9).collect();
    format!("{head}_{hash:08x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(tools: &Value) -> (ToolMap, Vec<Tool>, Vec<String>) {
        let raw = serde_json::value::to_raw_value(tools).expect("a value");
        let (mut map, mut out, mut notes) = (ToolMap::default(), Vec::new(), Vec::new());
        map.declare(&raw, &mut out, &mut notes);
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
        assert!(names[3].len() <= LONGEST_NAME && names[3].is_ascii(), "{names:?}");
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
        assert_eq!(map.find("tool_search").map(|entry| entry.kind), Some(Kind::ToolSearch));
        assert_eq!(notes.len(), 4, "{notes:?}");
    }
}
