//! Tools of a Chat Completions request: declarations in every spelling, and which of them the model may call.

use std::borrow::Cow;

use latimer_protocol::turn::{Tool, ToolChoice};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::inbound::responses::request::{field, wrong_type};
use crate::inbound::wire::freeform::{describe_grammar, freeform_schema};
use crate::inbound::wire::openai_error::RequestError;
use crate::inbound::wire::tool_map::{ToolKind, ToolMap};
use crate::text::{MAX_WORD, shown};

/// A declaration: `{"type", "function": {…}}`, `{"type", "custom": {…}}`, or the fields themselves.
#[derive(Deserialize)]
struct Declared<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    function: Option<&'a RawValue>,
    #[serde(borrow)]
    custom: Option<&'a RawValue>,
}

/// What is declared.
#[derive(Deserialize)]
struct Fields<'a> {
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

/// Declares the tools of `tools`, and those of the API's first form in `functions`.
pub(super) struct Declare<'t> {
    pub(super) map: &'t mut ToolMap,
    pub(super) out: &'t mut Vec<Tool>,
    pub(super) notes: &'t mut Vec<String>,
}

impl Declare<'_> {
    /// `tools`.
    pub(super) fn tools(&mut self, raw: Option<&RawValue>) -> Result<(), RequestError> {
        for (place, raw) in list(raw, "tools")?.into_iter().enumerate() {
            let at = format!("tools[{place}]");
            let wire: Declared<'_> =
                serde_json::from_str(raw.get()).map_err(|_| wrong_type(raw, &at, "an object"))?;
            let kind = wire.kind.as_deref();
            match (kind, wire.function, wire.custom) {
                (Some("function") | None, Some(inner), _) => {
                    self.declare(inner, ToolKind::Function, &format!("{at}.function"))?;
                }
                (Some("custom"), _, Some(inner)) => {
                    self.declare(inner, ToolKind::Custom, &format!("{at}.custom"))?;
                }
                // The Responses API's spelling, and with `custom` also that of the Messages API.
                (Some("function") | None, None, _) => self.declare(raw, ToolKind::Function, &at)?,
                (Some("custom"), _, None) if raw.get().contains("\"input_schema\"") => {
                    self.declare(raw, ToolKind::Function, &at)?;
                }
                (Some("custom"), _, None) => self.declare(raw, ToolKind::Custom, &at)?,
                (Some(other), ..) => {
                    let shown = shown(other, MAX_WORD);
                    self.notes
                        .push(format!("a tool of type `{shown}` has no equal upstream and was left out"));
                }
            }
        }
        Ok(())
    }

    /// `functions`. True when there are any: then calls are written in the form that goes with them.
    pub(super) fn functions(&mut self, raw: Option<&RawValue>) -> Result<bool, RequestError> {
        let list = list(raw, "functions")?;
        for (place, raw) in list.iter().enumerate() {
            self.declare(raw, ToolKind::Function, &format!("functions[{place}]"))?;
        }
        Ok(!list.is_empty())
    }

    fn declare(&mut self, raw: &RawValue, kind: ToolKind, at: &str) -> Result<(), RequestError> {
        let fields: Fields<'_> = serde_json::from_str(raw.get())
            .map_err(|_| wrong_type(raw, at, "an object that declares a tool"))?;
        let Some(name) = fields.name.as_deref().map(str::trim).filter(|name| !name.is_empty()) else {
            return Err(RequestError {
                code: "missing_required_parameter",
                param: Some(format!("{at}.name")),
                message: format!("`{at}.name` is missing; a tool needs a name"),
            });
        };
        let Some(flat) = self.map.insert(None, name, kind) else {
            self.notes.push("a tool that was declared twice was left out".to_owned());
            return Ok(());
        };
        let given = |raw: &&RawValue| raw.get() != "null";
        let (parameters, description) = match kind {
            ToolKind::Custom => (freeform_schema(), Some(described(&fields))),
            _ => (
                fields.parameters.or(fields.input_schema).filter(given).map(ToOwned::to_owned),
                fields.description,
            ),
        };
        self.out.push(Tool { name: flat, description, parameters, strict: fields.strict });
        Ok(())
    }
}

/// The description, and the grammar that the input must follow; it stands one level deeper than in the Responses API.
fn described(fields: &Fields<'_>) -> String {
    let mut text = fields.description.clone().unwrap_or_default();
    let format = fields.format.as_ref();
    let grammar = format.and_then(|format| format.get("grammar")).or(format);
    let word = |key: &str| grammar.and_then(|grammar| grammar.get(key)).and_then(Value::as_str);
    if let Some(definition) = word("definition") {
        describe_grammar(&mut text, word("syntax").unwrap_or("grammar"), definition);
    }
    text
}

fn list<'a>(raw: Option<&'a RawValue>, at: &str) -> Result<Vec<&'a RawValue>, RequestError> {
    Ok(field(raw, at, "a list")?.unwrap_or_default())
}

/// Reads `tool_choice`, or `function_call` of the API's first form.
pub(super) fn choice(
    raw: Option<&RawValue>,
    param: &str,
    map: &ToolMap,
    declared: &mut Vec<Tool>,
) -> Result<ToolChoice, RequestError> {
    let Some(value) = field::<Value>(raw, param, "a string or an object")? else {
        return Ok(ToolChoice::Auto);
    };
    let bad =
        |message: String| RequestError { code: "invalid_value", param: Some(param.to_owned()), message };
    let kind = value.as_str().or_else(|| value.get("type").and_then(Value::as_str));
    let choice = match kind {
        Some("auto") => ToolChoice::Auto,
        Some("none") => ToolChoice::None,
        Some("required" | "any") => ToolChoice::Required,
        Some("allowed_tools") => allowed(&value, map, declared),
        _ if value.is_object() => {
            let Some(flat) = named(&value).and_then(|name| map.chosen(name)) else {
                return Err(bad(format!(
                    "`{param}` names a tool that is not declared, or that this route cannot offer"
                )));
            };
            ToolChoice::Function(flat.to_owned())
        }
        _ => return Err(bad(format!("`{param}` should be auto, none, required or an object"))),
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
    declared.retain(|tool| allowed.contains(&tool.name.as_str()));
    let required = value.get("mode").and_then(Value::as_str) == Some("required");
    match (required, allowed.as_slice()) {
        (_, []) => ToolChoice::None,
        (true, [only]) => ToolChoice::Function((*only).to_owned()),
        (true, _) => ToolChoice::Required,
        (false, _) => ToolChoice::Auto,
    }
}
