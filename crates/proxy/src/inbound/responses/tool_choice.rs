//! Which tool the model is to call. Pure.

use latimer_adapters::fields::is_no_choice;
use latimer_protocol::turn::{Tool, ToolChoice};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::inbound::wire::bad_field::BadField;
use crate::inbound::wire::field::optional;
use crate::inbound::wire::path::Path;
use crate::inbound::wire::tool_map::{ToolMap, restrict};

/// Reads `tool_choice`. Tools that are not allowed are no longer declared.
///
/// # Errors
/// When it is neither a known word nor an object that names a declared tool.
pub(super) fn tool_choice(
    raw: Option<&RawValue>,
    tools: &ToolMap,
    declared: &mut Vec<Tool>,
) -> Result<ToolChoice, BadField> {
    let at = Path::bracketed("tool_choice");
    let raw = raw.filter(|raw| !is_no_choice(raw));
    let Some(value) = optional::<Value>(raw, &at, "a string or an object")? else {
        return Ok(ToolChoice::Auto);
    };
    if let Some(word) = value.as_str() {
        return match word {
            "auto" => Ok(ToolChoice::Auto),
            "none" => Ok(ToolChoice::None),
            "required" => Ok(ToolChoice::Required),
            _ => Err(BadField::invalid(&at, "should be auto, none, required or an object")),
        };
    }
    let word = |key: &str| value.get(key).and_then(Value::as_str);
    if word("type") == Some("allowed_tools") {
        let list = value.get("tools").and_then(Value::as_array).into_iter().flatten();
        let allowed: Vec<&str> = list.filter_map(|tool| named(tool, tools)).collect();
        return Ok(restrict(declared, &allowed, word("mode") == Some("required")));
    }
    named(&value, tools).map(|name| ToolChoice::Function(name.to_owned())).ok_or_else(|| {
        BadField::invalid(&at, "names a tool that is not in `tools`, or that this route cannot offer")
    })
}

/// The flat name of the tool that an object names, by its name or, where tools have none, by its type.
fn named<'m>(value: &Value, tools: &'m ToolMap) -> Option<&'m str> {
    let word = |key: &str| value.get(key).and_then(Value::as_str);
    tools.chosen(word("name").or_else(|| word("type")).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbound::wire::tool_map::ToolKind;

    fn choice(json: &str) -> Result<ToolChoice, BadField> {
        let mut map = ToolMap::default();
        map.insert(None, "a", ToolKind::Function);
        map.insert(None, "tool_search", ToolKind::ToolSearch);
        let raw = RawValue::from_string(json.to_owned()).expect("JSON");
        tool_choice(Some(&raw), &map, &mut Vec::new())
    }

    #[test]
    fn a_tool_is_named_by_its_name_or_its_type() {
        assert_eq!(choice(r#"{"type":"function","name":"a"}"#), Ok(ToolChoice::Function("a".to_owned())));
        assert_eq!(choice(r#"{"type":"tool_search"}"#), Ok(ToolChoice::Function("tool_search".to_owned())));
        assert!(choice(r#"{"type":"web_search"}"#).is_err() && choice("\"any\"").is_err());
        for none in ["null", "{}", "{ }", "\"\""] {
            assert_eq!(choice(none), Ok(ToolChoice::Auto), "{none}");
        }
    }
}
