//! The completion as one object, and what it has in common with the chunks of a stream.

use latimer_protocol::turn::Usage;
use serde_json::json;

use super::tool_call::ToolCall;
use crate::inbound::wire::json::{push_escaped, push_number, push_string};

/// The fields of a message that hold text.
#[derive(Debug, Clone, Copy)]
pub(super) enum TextField {
    Content,
    Refusal,
    Reasoning,
}

/// What one object at the end is made of; empty in a stream. Texts are escaped already.
#[derive(Debug, Default)]
pub(super) struct MessageFields {
    text: Vec<u8>,
    refusal: Vec<u8>,
    reasoning: Vec<u8>,
    /// JSON objects, joined by commas.
    details: Vec<u8>,
}

impl MessageFields {
    /// Adds a piece of text.
    pub(super) fn push(&mut self, field: TextField, text: &str) {
        let collected = match field {
            TextField::Content => &mut self.text,
            TextField::Refusal => &mut self.refusal,
            TextField::Reasoning => &mut self.reasoning,
        };
        push_escaped(collected, text);
    }

    /// Adds a detail, JSON text.
    pub(super) fn detail(&mut self, detail: &str) {
        if !self.details.is_empty() {
            self.details.push(b',');
        }
        self.details.extend_from_slice(detail.as_bytes());
    }

    /// Bytes that the texts need.
    pub(super) fn len(&self) -> usize {
        self.text.len() + self.refusal.len() + self.reasoning.len()
    }

    /// Writes the one choice, and the key of `usage`.
    pub(super) fn write(&self, calls: &[&ToolCall], legacy: bool, reason: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(b",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\"");
        let nothing = self.text.is_empty() && (!calls.is_empty() || !self.refusal.is_empty());
        text_field(out, "content", (!nothing).then_some(&self.text));
        text_field(out, "refusal", Some(&self.refusal).filter(|text| !text.is_empty()));
        if !self.reasoning.is_empty() {
            text_field(out, "reasoning_content", Some(&self.reasoning));
        }
        if !self.details.is_empty() {
            out.extend_from_slice(b",\"reasoning_details\":[");
            out.extend_from_slice(&self.details);
            out.push(b']');
        }
        if !calls.is_empty() {
            out.extend_from_slice(if legacy { b",\"function_call\":" } else { b",\"tool_calls\":[" });
            for (place, call) in calls.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                call.object(out);
            }
            if !legacy {
                out.push(b']');
            }
        }
        out.extend_from_slice(b"},\"logprobs\":null,\"finish_reason\":");
        push_string(out, reason);
        out.extend_from_slice(b"}],\"usage\":");
    }
}

/// What every chunk and the completion begin with, up to `model`.
pub(super) fn push_envelope(out: &mut Vec<u8>, hex: &str, object: &str, created_at: u64, model: &str) {
    out.extend_from_slice(b"{\"id\":\"chatcmpl-");
    out.extend_from_slice(hex.as_bytes());
    out.extend_from_slice(b"\",\"object\":");
    push_string(out, object);
    out.extend_from_slice(b",\"created\":");
    push_number(out, created_at);
    out.extend_from_slice(b",\"model\":");
    push_string(out, model);
}

/// A field of text that is escaped already, or `null`.
fn text_field(out: &mut Vec<u8>, name: &str, text: Option<&Vec<u8>>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    match text {
        Some(text) => {
            out.push(b'"');
            out.extend_from_slice(text);
            out.push(b'"');
        }
        None => out.extend_from_slice(b"null"),
    }
}

/// Tokens, every number given.
pub(super) fn push_usage(out: &mut Vec<u8>, usage: Usage, input: u64, output: u64) {
    let fields = json!({
        "prompt_tokens": input,
        "completion_tokens": output,
        "total_tokens": input.saturating_add(output),
        "prompt_tokens_details": {
            "cached_tokens": usage.cached.unwrap_or(0),
            "cache_write_tokens": usage.cache_write.unwrap_or(0),
        },
        "completion_tokens_details": { "reasoning_tokens": usage.reasoning.unwrap_or(0) },
    });
    out.extend_from_slice(fields.to_string().as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn message(fill: impl FnOnce(&mut MessageFields)) -> Value {
        let mut fields = MessageFields::default();
        fill(&mut fields);
        let mut out = Vec::new();
        push_envelope(&mut out, "00", "chat.completion", 7, "m");
        fields.write(&[], false, "stop", &mut out);
        push_usage(&mut out, Usage::default(), 2, 3);
        out.push(b'}');
        let completion: Value = serde_json::from_slice(&out).expect("JSON");
        assert_eq!(completion["usage"]["total_tokens"], 5);
        completion["choices"][0]["message"].clone()
    }

    #[test]
    fn text_is_there_unless_something_stands_in_its_place() {
        assert_eq!(message(|_| ())["content"], "");
        let refused = message(|fields| fields.push(TextField::Refusal, "no"));
        assert_eq!((&refused["content"], &refused["refusal"]), (&Value::Null, &Value::from("no")));
    }

    #[test]
    fn pieces_and_details_are_joined() {
        let message = message(|fields| {
            fields.push(TextField::Content, "a\n");
            fields.push(TextField::Content, "b");
            fields.push(TextField::Reasoning, "hm");
            fields.detail("{}");
            fields.detail("{}");
        });
        assert_eq!(
            (&message["content"], &message["reasoning_content"]),
            (&Value::from("a\nb"), &Value::from("hm"))
        );
        assert_eq!(message["reasoning_details"].as_array().map(Vec::len), Some(2));
    }
}
