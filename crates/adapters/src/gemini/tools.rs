//! Functions and the choice among them. Pure.

use std::borrow::Cow;

use latimer_protocol::gemini::request::{
    GeminiCallingMode, GeminiFunctionCallingConfig, GeminiFunctionDeclaration, GeminiToolConfig, GeminiTools,
};
use latimer_protocol::turn::{Tool, ToolChoice, TurnRequest};
use serde_json::{Map, Value, json};

use super::models::Family;
use super::schema;
use crate::schema::without_unions;
use crate::tool_names::{ToolNameRule, ToolNames};

/// What a function of a Claude must have at least; dropped again from its arguments.
pub(super) const PLACEHOLDER: &str = "_";
/// What functions may be called: `[A-Za-z_][A-Za-z0-9_.:-]{0,63}`.
pub(super) const NAME_RULE: ToolNameRule =
    ToolNameRule { max_len: 64, extra_chars: "_.:-", starts_with_letter: true };
/// The functions of a turn, their schemas rewritten to what the provider takes.
pub(super) fn declarations<'a>(
    turn: &'a TurnRequest,
    names: &ToolNames,
    family: Family,
) -> Vec<GeminiTools<'a>> {
    let function = |tool: &'a Tool| {
        let parameters = tool.parameters.as_deref().and_then(without_unions);
        let mut parameters = parameters.as_ref().map(schema::rewrite);
        if family == Family::Claude {
            parameters = Some(with_placeholder(parameters.unwrap_or_else(|| json!({ "type": "object" }))));
        }
        let is_empty = |schema: &Value| schema["properties"].as_object().is_none_or(Map::is_empty);
        GeminiFunctionDeclaration {
            name: Cow::Owned(names.provider_name(&tool.name).to_owned()),
            description: tool.description.as_deref().filter(|description| !description.is_empty()),
            parameters: parameters.filter(|schema| !is_empty(schema)),
        }
    };
    vec![GeminiTools { function_declarations: turn.tools.iter().map(function).collect() }]
}

/// Every function of a Claude here must have a required property.
fn with_placeholder(mut schema: Value) -> Value {
    let has_required = schema["required"].as_array().is_some_and(|required| !required.is_empty());
    if let (false, Some(fields)) = (has_required, schema.as_object_mut()) {
        let properties = fields.entry("properties").or_insert_with(|| json!({}));
        if let Some(properties) = properties.as_object_mut() {
            let words = "Not used; write an empty string.";
            properties.insert(PLACEHOLDER.to_owned(), json!({ "type": "string", "description": words }));
        }
        fields.insert("required".to_owned(), json!([PLACEHOLDER]));
    }
    schema
}

/// Which functions the model may or must call; `None` where it is free.
pub(super) fn choice<'a>(
    turn: &TurnRequest,
    names: &ToolNames,
    family: Family,
) -> Option<GeminiToolConfig<'a>> {
    let must = |mode, allowed_function_names| {
        let function_calling_config = GeminiFunctionCallingConfig { mode, allowed_function_names };
        Some(GeminiToolConfig { function_calling_config })
    };
    match &turn.tool_choice {
        ToolChoice::None => must(GeminiCallingMode::None, Vec::new()),
        ToolChoice::Required => must(GeminiCallingMode::Any, Vec::new()),
        ToolChoice::Function(name) if turn.tools.iter().any(|tool| tool.name == *name) => {
            must(GeminiCallingMode::Any, vec![Cow::Owned(names.provider_name(name).to_owned())])
        }
        // A tool that is not there cannot be demanded.
        ToolChoice::Function(_) | ToolChoice::Auto if family == Family::Claude => {
            must(GeminiCallingMode::Validated, Vec::new())
        }
        ToolChoice::Function(_) | ToolChoice::Auto => None,
    }
}
