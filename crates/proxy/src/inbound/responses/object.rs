//! The response object: what every snapshot of a stream and the plain answer have in common.

use latimer_protocol::turn::Usage;
use serde_json::value::RawValue;

use crate::inbound::wire::json::{push_number, push_string};
use crate::inbound::wire::rope::Rope;

/// How one response is wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct ResponsesWriterOptions {
    /// Events are wanted, not one object at the end.
    pub stream: bool,
    /// A rough count of the input's tokens, for upstreams that do not count.
    pub input_tokens: u64,
    /// The answer is stored, to be continued by a later request.
    pub stores: bool,
    /// The text of the answer is a summary that stands for the history.
    pub compaction: bool,
}

/// The request's fields as the client sent them, to be echoed in the response object.
#[derive(Debug, Clone, Default)]
pub struct Echo {
    /// The name the client asked for.
    pub model: String,
    /// Field and JSON text, in the order of [`ECHOED`]; absent ones get their default.
    pub fields: Vec<Option<Box<RawValue>>>,
}

/// The echoed fields, each with the default the API documents.
pub(super) const ECHOED: [(&str, &str); 23] = [
    ("background", "false"),
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("previous_response_id", "null"),
    ("prompt_cache_key", "null"),
    ("prompt_cache_retention", "null"),
    ("reasoning", "{\"effort\":null,\"summary\":null}"),
    ("safety_identifier", "null"),
    ("service_tier", "\"default\""),
    ("store", "true"),
    ("temperature", "1.0"),
    ("text", "{\"format\":{\"type\":\"text\"},\"verbosity\":\"medium\"}"),
    ("tool_choice", "\"auto\""),
    ("tools", "[]"),
    ("top_logprobs", "0"),
    ("top_p", "1.0"),
    ("presence_penalty", "0.0"),
    ("frequency_penalty", "0.0"),
    ("truncation", "\"disabled\""),
    ("user", "null"),
];

/// Room for what an object holds beside its head, its echoed fields and its output, in bytes; usage is the most of it.
const OBJECT_ROOM: usize = 512;

/// What changes between snapshots.
#[derive(Default)]
pub(super) struct Snapshot<'s> {
    pub(super) status: &'s str,
    pub(super) completed_at: Option<u64>,
    /// JSON text of `error`.
    pub(super) error: Option<&'s str>,
    /// `incomplete_details.reason`.
    pub(super) incomplete: Option<&'s str>,
    /// JSON text of the finished items, joined by commas.
    pub(super) output: Option<&'s Rope>,
    /// JSON text of `usage`.
    pub(super) usage: Option<&'s str>,
}

/// Writes response objects of one response.
#[derive(Debug)]
pub(super) struct ResponseObject {
    /// From the opening brace to `created_at`.
    head: Vec<u8>,
    /// The echoed fields, each with a comma before it.
    echo: Vec<u8>,
}

impl ResponseObject {
    pub(super) fn new(id: &str, created_at: u64, echo: &Echo) -> Self {
        let mut head = Vec::with_capacity(96 + id.len() + echo.model.len());
        head.extend_from_slice(b"{\"id\":");
        push_string(&mut head, id);
        head.extend_from_slice(b",\"object\":\"response\",\"created_at\":");
        push_number(&mut head, created_at);
        head.extend_from_slice(b",\"model\":");
        push_string(&mut head, &echo.model);
        let given = |place| echo.fields.get(place).and_then(Option::as_deref).map(RawValue::get);
        let lengths = ECHOED.iter().enumerate().map(|(place, (name, default))| {
            name.len() + given(place).unwrap_or_default().len().max(default.len()) + 4
        });
        let mut fields = Vec::with_capacity(lengths.sum());
        for (place, (name, default)) in ECHOED.iter().enumerate() {
            fields.extend_from_slice(b",\"");
            fields.extend_from_slice(name.as_bytes());
            fields.extend_from_slice(b"\":");
            // A line break inside of a client's JSON would end the frame.
            let value = given(place).filter(|given| *given != "null").unwrap_or(default);
            value.split(['\n', '\r']).for_each(|line| fields.extend_from_slice(line.as_bytes()));
        }
        Self { head, echo: fields }
    }

    pub(super) fn write(&self, rope: &mut Rope, snapshot: &Snapshot<'_>) {
        let out = rope.tail_mut();
        out.reserve(self.head.len() + self.echo.len() + OBJECT_ROOM);
        out.reserve(self.head.len() + self.echo.len() + OBJECT_ROOM);
        out.extend_from_slice(&self.head);
        out.extend_from_slice(b",\"status\":");
        push_string(out, snapshot.status);
        out.extend_from_slice(b",\"completed_at\":");
        match snapshot.completed_at {
            Some(at) => push_number(out, at),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"error\":");
        out.extend_from_slice(snapshot.error.unwrap_or("null").as_bytes());
        out.extend_from_slice(b",\"incomplete_details\":");
        match snapshot.incomplete {
            Some(reason) => {
                out.extend_from_slice(b"{\"reason\":");
                push_string(out, reason);
                out.push(b'}');
            }
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"output\":[");
        snapshot.output.inspect(|output| rope.share(output));
        let out = rope.tail_mut();
        out.extend_from_slice(b"],\"usage\":");
        out.extend_from_slice(snapshot.usage.unwrap_or("null").as_bytes());
        out.extend_from_slice(&self.echo);
        out.push(b'}');
    }
}

/// `usage`, complete.
pub(super) fn usage_json(usage: Usage, input: u64, output: u64) -> String {
    let (cached, cache_write) = (usage.cached.unwrap_or(0), usage.cache_write.unwrap_or(0));
    let (reasoning, total) = (usage.reasoning.unwrap_or(0), input.saturating_add(output));
    format!(
        "{{\"input_tokens\":{input},\"input_tokens_details\":{{\"cached_tokens\":{cached},\"cache_write_tokens\":{cache_write}}},\
         \"output_tokens\":{output},\"output_tokens_details\":{{\"reasoning_tokens\":{reasoning}}},\"total_tokens\":{total}}}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn every_echoed_field_has_its_default_and_stays_on_one_line() {
        let tools = RawValue::from_string("[\n]".to_owned()).expect("JSON");
        let place = ECHOED.iter().position(|(name, _)| *name == "tools").expect("echoed");
        let mut fields = vec![None; ECHOED.len()];
        fields[place] = Some(tools);
        let object = ResponseObject::new("resp_1", 7, &Echo { model: "m".to_owned(), fields });
        let mut out = Rope::default();
        let usage = usage_json(Usage::default(), 3, 4);
        object.write(&mut out, &Snapshot { status: "completed", usage: Some(&usage), ..Snapshot::default() });
        let out = out.into_vec();
        assert!(!out.contains(&b'\n'));
        let value: Value = serde_json::from_slice(&out).expect("JSON");
        for (name, default) in ECHOED {
            assert_eq!(value[name], serde_json::from_str::<Value>(default).expect("JSON"), "{name}");
        }
        assert_eq!((&value["usage"]["total_tokens"], &value["error"]), (&Value::from(7), &Value::Null));
    }
}
