//! What an item of a history, or a part of a message, says in words: for models whose provider does not know its type. Pure.
//!
//! Items of agents, of tools that a provider runs itself, and of types that came after this was written hold text that belongs to the
//! conversation. Nothing of it may vanish (`fixtures/field-reports/K06-*`).

use serde_json::{Map, Value};

/// Fields that say nothing to a model: names of things, states, and data of other kinds than text.
const MUTE: [&str; 19] = [
    "tool_use_id",
    "type",
    "id",
    "call_id",
    "status",
    "role",
    "phase",
    "author",
    "recipient",
    "namespace",
    "internal_chat_message_metadata_passthrough",
    "tools",
    "annotations",
    "logprobs",
    "image_url",
    "file_data",
    "file_id",
    "container_id",
    "encrypted_content",
];
/// Lists of parts whose text stands for itself.
const PARTS: [&str; 2] = ["content", "summary"];
/// The longest word that may be text, in bytes. What is longer and holds no blank is data.
const MAX_WORD: usize = 64;

/// The texts of an item, or of a part of a message, in their order; empty where it holds none.
pub fn texts(item: &Map<String, Value>) -> Vec<String> {
    let (mut said, mut lines) = (Vec::new(), Vec::new());
    for name in PARTS {
        if let Some(content) = item.get(name) {
            parts(name, content, &mut said, &mut lines);
        }
    }
    let kind = item.get("type").and_then(Value::as_str).unwrap_or("unknown");
    // An agent's words stand alone; everything else says what it is.
    if kind == "agent_message" && !said.is_empty() {
        return said;
    }
    let behind = std::mem::take(&mut lines);
    for (name, value) in item {
        if !PARTS.contains(&name.as_str()) {
            fields(name, value, &mut lines);
        }
    }
    lines.extend(behind);
    if !lines.is_empty() {
        said.insert(0, format!("(an item of type `{kind}`)\n{}", lines.join("\n")));
    }
    said
}

/// The texts of a content: a string, or a list of parts. A part of another kind is told by its fields.
fn parts(name: &str, content: &Value, said: &mut Vec<String>, lines: &mut Vec<String>) {
    const TEXTS: [&str; 3] = ["text", "refusal", "encrypted_content"];
    match content {
        Value::String(text) => said.extend(readable(text)),
        Value::Array(all) => {
            for part in all {
                parts(name, part, said, lines);
            }
        }
        Value::Object(part) if TEXTS.iter().any(|text| part.get(*text).is_some_and(Value::is_string)) => {
            for text in TEXTS {
                said.extend(part.get(text).and_then(Value::as_str).and_then(readable));
            }
        }
        other => fields(name, other, lines),
    }
}

/// A line for each text, number or switch, with the field's name; texts of several lines follow their name.
fn fields(name: &str, value: &Value, lines: &mut Vec<String>) {
    if MUTE.contains(&name) {
        return;
    }
    match value {
        Value::String(text) => {
            if let Some(text) = readable(text) {
                let gap = if text.contains('\n') { "\n" } else { " " };
                lines.push(format!("{name}:{gap}{text}"));
            }
        }
        Value::Number(_) | Value::Bool(_) => lines.push(format!("{name}: {value}")),
        Value::Array(all) => all.iter().for_each(|value| fields(name, value, lines)),
        Value::Object(inner) => inner.iter().for_each(|(name, value)| fields(name, value, lines)),
        Value::Null => {}
    }
}

fn readable(text: &str) -> Option<String> {
    (!text.trim().is_empty() && is_plain(text)).then(|| text.to_owned())
}

/// Whether a text is for reading, and not data that was encrypted or encoded: that is one long word of letters, digits and the few signs
/// of base64.
pub fn is_plain(text: &str) -> bool {
    let text = text.trim();
    let is_encoded = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=-_.:".contains(&byte);
    let has = |of: fn(&u8) -> bool| text.as_bytes().iter().any(of);
    let is_token = text.len() > MAX_WORD
        && text.bytes().all(is_encoded)
        && has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_lowercase)
        && has(u8::is_ascii_digit);
    let is_sealed = text.starts_with("gAAAA") && text.len() > MAX_WORD;
    !(is_token || is_sealed || text.starts_with("data:"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(item: Value) -> Vec<String> {
        match item {
            Value::Object(item) => texts(&item),
            _ => panic!("an object"),
        }
    }

    #[test]
    fn an_agents_words_stand_alone_and_in_their_order() {
        let text = |text: &str| json!({ "type": "input_text", "text": text });
        let hidden = |text: &str| json!({ "type": "encrypted_content", "encrypted_content": text });
        let message = |content: Value| {
            said(
                json!({ "type": "agent_message", "author": "/lead", "recipient": "/lead/a", "content": content }),
            )
        };
        assert_eq!(message(json!([text("a"), hidden("do b"), text("c")])), ["a", "do b", "c"]);
        assert_eq!(message(json!("plain")), ["plain"]);
        assert_eq!(message(json!(["bare", text("x")])), ["bare", "x"]);
        let token = format!("gAAAA{}", "Ab1_".repeat(30));
        assert_eq!(message(json!([text("a"), hidden(&token)])), ["a"]);
        assert!(message(json!([hidden(&token)])).is_empty());
    }

    #[test]
    fn what_tools_did_is_told_with_the_names_of_its_fields() {
        let shell = said(json!({
            "type": "shell_call_output", "call_id": "c", "status": "completed",
            "output": [{ "stdout": "a\nb", "stderr": "", "outcome": { "type": "exit", "exit_code": 3 } }],
        }));
        assert_eq!(shell, ["(an item of type `shell_call_output`)\nstdout:\na\nb\nexit_code: 3"]);
        let mcp = said(
            json!({ "type": "mcp_call", "id": "m", "name": "find", "server_label": "depot", "arguments": "{\"q\":1}", "output": "three" }),
        );
        assert_eq!(
            mcp,
            [
                "(an item of type `mcp_call`)\nname: find\nserver_label: depot\narguments: {\"q\":1}\noutput: three"
            ]
        );
        let ran = said(
            json!({ "type": "bash_code_execution_tool_result", "tool_use_id": "s", "content": { "type": "bash_code_execution_result", "stdout": "a", "return_code": 0 } }),
        );
        assert_eq!(ran, ["(an item of type `bash_code_execution_tool_result`)\nstdout: a\nreturn_code: 0"]);
        let novel = said(json!({ "type": "novel", "content": [{ "type": "x", "text": "words" }], "n": 1 }));
        assert_eq!(novel, ["(an item of type `novel`)\nn: 1", "words"]);
        assert!(said(json!({ "type": "item_reference", "id": "x" })).is_empty());
        let picture = said(json!({ "type": "image_generation_call", "result": "iVBORw0KGgo".repeat(20) }));
        assert!(picture.is_empty(), "{picture:?}");
    }

    #[test]
    fn words_of_people_are_plain() {
        let path = "/home/person/projects/latimer/crates/protocol/src/responses/words/tests/plain";
        for text in ["HERON_77", "Reply with HERON_77.", path, "说明一下这个函数的作用"] {
            assert!(is_plain(text), "{text}");
        }
        let data = "aGVsbG8gd29ybGQ".repeat(8) + "9=";
        assert!(!is_plain(&data) && !is_plain("data:image/png;base64,xx"));
    }
}
