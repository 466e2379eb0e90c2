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

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).expect("JSON")
    }

    #[test]
    fn searches_are_told_in_words() {
        assert!(
            is_search(Some(&raw("\"web_search\""))) && !is_search(Some(&raw("\"find\""))) && !is_search(None)
        );
        assert_eq!(search_query(Some(&raw(r#"{"query":"herons"}"#))), "(Searched the web for: herons)");
        let found = raw(r#"[{"title":"A","url":"https://example.org"}]"#);
        assert_eq!(search_results(Some(&found)), "(The search found:\n- A: https://example.org)");
        let failed = raw(r#"{"error_code":"unavailable"}"#);
        assert_eq!(search_results(Some(&failed)), "(The search failed: unavailable)");
        let tools = raw(r#"{"tool_references":[{"tool_name":"a"},{"tool_name":"b"}]}"#);
        assert_eq!(found_tools(Some(&tools)), "(The search for tools found: a, b)");
        assert_eq!(found_tools(Some(&failed)), "(The search for tools: unavailable)");
        assert_eq!(found_tools(None), "(The search for tools: nothing was found)");
    }
}
