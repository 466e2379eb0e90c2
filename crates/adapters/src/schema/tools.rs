//! Declarations of tools on any wire, with their schemas lowered, for requests that go out as the client wrote them. Pure.

use std::borrow::Cow;

use serde_json::Value;
use serde_json::value::RawValue;

use super::check::all_right;
use super::lowered;
use crate::fields::Fields;

/// Where declarations keep schemas: `parameters` (Chat Completions, Responses), `input_schema` (Messages).
const SCHEMAS: [&str; 2] = ["parameters", "input_schema"];

/// A list of declarations whose schemas every provider takes. What needs no change stays byte for byte.
pub(crate) fn lower_declarations(list: &RawValue) -> Cow<'_, str> {
    let changed = if all_right(list) { None } else { list_of_tools(list, 0) };
    changed.map_or(Cow::Borrowed(list.get()), Cow::Owned)
}

fn list_of_tools(list: &RawValue, depth: usize) -> Option<String> {
    let tools = serde_json::from_str::<Vec<&RawValue>>(list.get()).ok()?;
    let changed: Vec<Option<String>> = tools.iter().map(|tool| declaration(tool, depth)).collect();
    if changed.iter().all(Option::is_none) {
        return None;
    }
    let tools = tools.iter().zip(changed);
    let tools: Vec<Cow<'_, str>> =
        tools.map(|(tool, changed)| changed.map_or(Cow::Borrowed(tool.get()), Cow::Owned)).collect();
    Some(format!("[{}]", tools.join(",")))
}

/// A tool, the `function` inside of one, or a namespace of tools.
fn declaration(tool: &RawValue, depth: usize) -> Option<String> {
    let Fields(fields) = serde_json::from_str(tool.get()).ok().filter(|_| depth < 4)?;
    let changed: Vec<Option<String>> = fields
        .iter()
        .map(|(name, value)| match name.as_ref() {
            name if SCHEMAS.contains(&name) && value.get() != "null" => {
                lowered(value).map(|schema| schema.get().to_owned())
            }
            "function" => declaration(value, depth + 1),
            "tools" => list_of_tools(value, depth + 1),
            _ => None,
        })
        .collect();
    if changed.iter().all(Option::is_none) {
        return None;
    }
    let fields = fields.iter().zip(changed).map(|((name, value), changed)| {
        let value = match changed {
            Some(changed) => Cow::Owned(changed),
            // A schema that was merged is none of those that can be adhered to strictly.
            None if name == "strict" && value.get() == "true" => Cow::Borrowed("false"),
            None => Cow::Borrowed(value.get()),
        };
        format!("{}:{value}", Value::from(name.as_ref()))
    });
    Some(format!("{{{}}}", fields.collect::<Vec<_>>().join(",")))
}
