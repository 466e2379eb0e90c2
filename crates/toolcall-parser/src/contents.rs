//! What is put right in arguments that are sound as JSON: patches, and optional arguments that are an empty text.

use std::borrow::Cow;

use crate::json::Value;
use crate::patch;
use crate::piece::Repair;
use crate::tool::{Input, Tool};

/// Puts right what a tool would refuse. Arguments without such a thing come back as they are.
pub(crate) fn put_right<'a>(arguments: Value<'a>, tool: &Tool, repairs: &mut Vec<Repair>) -> Value<'a> {
    if tool.input() == Input::Patch
        && let Some(key) = tool.only_parameter()
        && let Some(patch) = patch::in_value(&arguments)
    {
        let is_right = matches!(arguments.entries(), Some([(name, Value::String(text))])
            if name == key && text.strip_prefix(patch.as_str()).is_some_and(|rest| matches!(rest, "" | "\n")));
        if is_right {
            return arguments;
        }
        repairs.push(Repair::Patch);
        return of_patch(key, patch);
    }
    without_empty_texts(arguments, tool, repairs)
}

/// The arguments of a tool whose one parameter is this patch.
pub(crate) fn of_patch<'a>(key: &str, patch: String) -> Value<'a> {
    Value::Object(vec![(Cow::Owned(key.to_owned()), Value::String(Cow::Owned(patch)))])
}

/// Some models fill every optional text with nothing, and clients refuse it (fixture
/// field-reports/K23-optional-argument-filled-with-nothing.json).
fn without_empty_texts<'a>(arguments: Value<'a>, tool: &Tool, repairs: &mut Vec<Repair>) -> Value<'a> {
    let Value::Object(mut entries) = arguments else { return arguments };
    let count = entries.len();
    entries.retain(|(key, value)| value.as_str() != Some("") || !tool.is_empty_as_absent(key));
    if entries.len() < count {
        repairs.push(Repair::EmptyArgument);
    }
    Value::Object(entries)
}
