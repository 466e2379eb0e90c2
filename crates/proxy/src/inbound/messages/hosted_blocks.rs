//! What tools that Anthropic ran in an earlier answer did, told in words. Pure.

use serde_json::Value;
use serde_json::value::RawValue;

/// Whether a tool of this name searches the web.
pub(super) fn is_search(name: Option<&RawValue>) -> bool {
    name.is_some_and(|name| name.get() == "\"web_search\"")
}

/// What was searched for.
pub(super) fn search_query(input: Option<&RawValue>) -> String {
    let value: Value = input.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    format!("(Searched the web for: {})", value.get("query").and_then(Value::as_str).unwrap_or_default())
}

/// What a search for tools found.
pub(super) fn found_tools(content: Option<&RawValue>) -> String {
    let value: Value = content.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    let references = value.get("tool_references").and_then(Value::as_array).into_iter().flatten();
    let names: Vec<&str> =
        references.filter_map(|reference| reference.get("tool_name").and_then(Value::as_str)).collect();
    match names.as_slice() {
        [] => {
            let code = value.get("error_code").and_then(Value::as_str).unwrap_or("nothing was found");
            format!("(The search for tools: {code})")
        }
        names => format!("(The search for tools found: {})", names.join(", ")),
    }
}

/// What a search of the web found.
pub(super) fn search_results(content: Option<&RawValue>) -> String {
    let value: Value = content.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    let field = |value: &Value, name| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let Some(results) = value.as_array() else {
        return format!("(The search failed: {})", field(&value, "error_code"));
    };
    let lines =
        results.iter().map(|result| format!("- {}: {}", field(result, "title"), field(result, "url")));
    format!("(The search found:\n{})", lines.collect::<Vec<_>>().join("\n"))
}
