//! An upstream's own events on their way to a client of the same protocol. Payloads are not touched, with one exception: state
//! of the provider is sealed, so that it finds its way back to its owner and to nobody else. Pure.

use std::borrow::Cow;

use latimer_protocol::failure::Failure;
use latimer_protocol::turn::{OpaqueState, Owner, PassthroughFrame, Seal};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::answer::StoredResponse;
use super::error::{stream_code, stream_message};
use super::stream::WriterSeed;
use crate::inbound::wire::json::push_string;

/// The field that holds state, up to the value's first character.
const STATE: &[u8] = b"\"encrypted_content\":\"";

/// Hands frames on.
///
/// Invariant: nothing is written before the first frame that shows something; there is one terminal event, and `[DONE]` behind it.
#[derive(Debug)]
pub(super) struct PassthroughWriter {
    seal: Seal,
    codex: bool,
    stream: bool,
    keeps: bool,
    created_at: u64,
    /// Frames that came before the first one that shows something.
    held: Vec<u8>,
    out: Vec<u8>,
    shown: bool,
    /// A comment was written to keep the client waiting.
    kept_alive: bool,
    finished: bool,
    sequence: u64,
    /// The upstream's own name of the response.
    id: Option<String>,
    /// The response as it was created, for an end of our own.
    created: Option<String>,
    /// For an answer that is one object: its items, and the last frame.
    items: Vec<(u64, String)>,
    last: Option<String>,
}

#[derive(Deserialize)]
struct Created<'a> {
    #[serde(borrow)]
    response: &'a RawValue,
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Done<'a> {
    output_index: Option<u64>,
    #[serde(borrow)]
    item: &'a RawValue,
}

impl PassthroughWriter {
    pub(super) fn new(begin: &WriterSeed) -> Self {
        Self {
            seal: begin.seal.clone(),
            codex: begin.codex,
            stream: begin.stream,
            keeps: begin.keeps,
            created_at: begin.created_at,
            held: Vec::new(),
            out: Vec::new(),
            shown: false,
            kept_alive: false,
            finished: false,
            sequence: 0,
            id: None,
            created: None,
            items: Vec::new(),
            last: None,
        }
    }

    /// Something was or will be written here and not by the writer.
    pub(super) fn begun(&self) -> bool {
        self.shown || self.kept_alive
    }

    /// Frames are on their way, shown or not: the writer has to be silent, for the client has to see one beginning only.
    pub(super) fn has_any(&self) -> bool {
        self.begun() || !self.held.is_empty()
    }

    /// Forgets frames that were not shown.
    pub(super) fn give_up(&mut self) {
        self.held.clear();
    }

    /// The client has seen something of an upstream's own answer.
    pub(super) fn has_shown(&self) -> bool {
        self.shown
    }

    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }

    pub(super) fn out(&self) -> &[u8] {
        &self.out
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        self.kept_alive = false;
        std::mem::take(&mut self.out)
    }

    pub(super) fn discard(&mut self) {
        self.out.clear();
    }

    /// The hot path: a delta is copied once.
    pub(super) fn frame(&mut self, frame: &PassthroughFrame<'_>) {
        if self.finished {
            return;
        }
        if frame.kind == "response.created" && !self.shown {
            // Another attempt: what the last one began was never shown.
            self.held.clear();
            self.sequence = 0;
            if let Ok(created) = serde_json::from_str::<Created<'_>>(frame.data) {
                let response = created.response.get();
                let head = serde_json::from_str::<Head<'_>>(response).ok();
                self.id = head.and_then(|head| head.id).map(Cow::into_owned);
                self.created = Some(response.to_owned());
            }
        }
        let data = match frame.state_of {
            Some(owner) => self.sealed(frame.data, owner),
            None => Cow::Borrowed(frame.data),
        };
        if !self.stream || self.keeps {
            self.collect(frame.kind, &data);
        }
        self.sequence += 1;
        if frame.semantic && !self.shown {
            self.shown = true;
            self.out.append(&mut self.held);
        }
        let out = if self.shown { &mut self.out } else { &mut self.held };
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(frame.kind.as_bytes());
        out.extend_from_slice(b"\ndata: ");
        if memchr::memchr2(b'\n', b'\r', data.as_bytes()).is_some() {
            // Between the tokens of JSON a line break is only blank; in a frame it would end the line.
            out.extend(data.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
        } else {
            out.extend_from_slice(data.as_bytes());
        }
        out.extend_from_slice(b"\n\n");
    }

    /// The response's id and its items; once it is over and well.
    pub(super) fn kept(&self) -> Option<StoredResponse> {
        let id = self.id.clone().filter(|_| self.finished && self.last.is_some())?;
        let items: Vec<&str> = self.items.iter().map(|(_, item)| item.as_str()).collect();
        Some(StoredResponse { id, output: items.join(",").into_bytes(), response: self.object() })
    }

    /// What one object at the end is made of: some servers leave its items out.
    fn collect(&mut self, kind: &str, data: &str) {
        match kind {
            "response.output_item.done" => {
                if let Ok(done) = serde_json::from_str::<Done<'_>>(data) {
                    let index = done.output_index.unwrap_or(self.items.len() as u64);
                    self.items.push((index, done.item.get().to_owned()));
                }
            }
            "response.completed" | "response.incomplete" => self.last = Some(data.to_owned()),
            _ => {}
        }
    }

    /// The upstream said that it is done.
    pub(super) fn finish(&mut self) {
        if !std::mem::replace(&mut self.finished, true) {
            self.out.extend_from_slice(b"data: [DONE]\n\n");
        }
    }

    /// An end of our own, where the upstream gave none.
    pub(super) fn fail(&mut self, failure: &Failure) {
        if self.finished {
            return;
        }
        let created = self.created.as_deref().and_then(|text| serde_json::from_str(text).ok());
        let mut response: Map<String, Value> = created.unwrap_or_default();
        let ends = [
            ("object", json!("response")),
            ("status", json!("failed")),
            (
                "error",
                json!({
                    "code": stream_code(failure.kind, self.codex),
                    "message": stream_message(failure, self.codex),
                }),
            ),
            ("incomplete_details", Value::Null),
            ("output", json!([])),
            ("usage", Value::Null),
        ];
        response.extend(ends.map(|(name, value)| (name.to_owned(), value)));
        response.entry("created_at").or_insert_with(|| json!(self.created_at));
        let data =
            json!({ "type": "response.failed", "sequence_number": self.sequence, "response": response });
        self.out.extend_from_slice(b"event: response.failed\ndata: ");
        self.out.extend_from_slice(data.to_string().as_bytes());
        self.out.extend_from_slice(b"\n\n");
        self.finish();
    }

    /// Codex counts only typed events; before the first of them a comment has to do.
    pub(super) fn keep_alive(&mut self) {
        if self.shown {
            let data = format!("{{\"type\":\"keepalive\",\"sequence_number\":{}}}", self.sequence);
            self.out.extend_from_slice(b"event: keepalive\ndata: ");
            self.out.extend_from_slice(data.as_bytes());
            self.out.extend_from_slice(b"\n\n");
        } else {
            self.kept_alive = true;
            self.out.extend_from_slice(b": keep-alive\n\n");
        }
    }

    /// The response as one JSON object.
    pub(super) fn into_object(self) -> Vec<u8> {
        self.object()
    }

    fn object(&self) -> Vec<u8> {
        let last = self.last.as_deref().and_then(|last| serde_json::from_str::<Value>(last).ok());
        let mut response =
            last.and_then(|mut last| last.get_mut("response").map(Value::take)).unwrap_or_default();
        let is_empty = response.get("output").and_then(Value::as_array).is_none_or(Vec::is_empty);
        if let (true, Some(fields)) = (is_empty, response.as_object_mut()) {
            let mut items: Vec<&(u64, String)> = self.items.iter().collect();
            items.sort_by_key(|(index, _)| *index);
            let items = items.iter().filter_map(|(_, item)| serde_json::from_str(item).ok()).collect();
            fields.insert("output".to_owned(), Value::Array(items));
        }
        response.to_string().into_bytes()
    }

    /// The payload with every state in it sealed for its owner.
    fn sealed<'d>(&self, data: &'d str, owner: &Owner) -> Cow<'d, str> {
        let mut out: Vec<u8> = Vec::with_capacity(data.len() * 3 / 2);
        let mut rest = data;
        // Inside strings every quote is escaped: what is found is always the field.
        while let Some(at) = memchr::memmem::find(rest.as_bytes(), STATE) {
            let start = at + STATE.len() - 1;
            let mut values = serde_json::Deserializer::from_str(&rest[start..]).into_iter::<String>();
            let Some(Ok(state)) = values.next() else { break };
            let end = start + values.byte_offset();
            out.extend_from_slice(&rest.as_bytes()[..start]);
            let carrier = OpaqueState { owner: owner.clone(), data: state }.encode(&self.seal);
            push_string(&mut out, &carrier);
            rest = &rest[end..];
        }
        out.extend_from_slice(rest.as_bytes());
        String::from_utf8(out).map_or(Cow::Borrowed(data), Cow::Owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use latimer_protocol::failure::Kind;

    fn pass(stream: bool) -> PassthroughWriter {
        PassthroughWriter::new(&WriterSeed { stream, created_at: 7, ..WriterSeed::default() })
    }

    fn push(pass: &mut PassthroughWriter, kind: &str, data: &str) {
        let owner = Owner::new("openai", "gpt-5.5");
        let semantic = !matches!(kind, "response.created" | "response.in_progress");
        let state_of = data.contains("encrypted_content").then_some(&owner);
        pass.frame(&PassthroughFrame { kind, data, semantic, state_of });
    }

    #[test]
    fn nothing_is_written_before_something_is_shown() {
        let mut pass = pass(true);
        push(&mut pass, "response.created", r#"{"type":"response.created","response":{"id":"resp_0"}}"#);
        assert!(!pass.begun() && pass.out().is_empty());
        push(&mut pass, "response.created", r#"{"type":"response.created","response":{"id":"resp_1"}}"#);
        push(&mut pass, "response.output_text.delta", r#"{"type":"response.output_text.delta","delta":"a"}"#);
        let text = String::from_utf8(pass.take()).expect("text");
        assert_eq!(
            text,
            "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\"}}\n\nevent: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"a\"}\n\n"
        );
        pass.fail(&Failure::new(Kind::Interrupted, "cut"));
        pass.finish();
        let text = String::from_utf8(pass.take()).expect("text");
        assert!(text.contains("\"sequence_number\":2") && text.contains("\"id\":\"resp_1\""), "{text}");
        assert_eq!(text.matches("[DONE]").count(), 1);
    }

    #[test]
    fn state_is_sealed_for_its_owner() {
        let mut pass = pass(true);
        let data = r#"{"item":{"type":"reasoning","text":"\"encrypted_content\":\"no","encrypted_content":"gAAA\/x","summary":[]},"more":[{"encrypted_content":"b"}]}"#;
        push(&mut pass, "response.output_item.done", data);
        let text = String::from_utf8(pass.take()).expect("text");
        let json = text.split("data: ").nth(1).expect("a payload");
        let value: Value = serde_json::from_str(json).expect("still JSON");
        assert_eq!(value["item"]["text"], "\"encrypted_content\":\"no");
        for (place, want) in [("/item/encrypted_content", "gAAA/x"), ("/more/0/encrypted_content", "b")] {
            let carrier = value.pointer(place).and_then(Value::as_str).expect("a carrier");
            let opaque = OpaqueState::decode(carrier, &Seal::default()).expect("ours");
            assert_eq!((opaque.data.as_str(), opaque.owner.provider.as_str()), (want, "openai"));
        }
    }

    #[test]
    fn one_object_gets_its_items_back() {
        let mut pass = pass(false);
        push(&mut pass, "response.output_item.done", r#"{"output_index":1,"item":{"id":"b"}}"#);
        push(&mut pass, "response.output_item.done", r#"{"output_index":0,"item":{"id":"a"}}"#);
        push(&mut pass, "response.completed", r#"{"response":{"id":"r","status":"completed","output":[]}}"#);
        pass.finish();
        let object: Value = serde_json::from_slice(&pass.into_object()).expect("JSON");
        assert_eq!(
            object,
            json!({ "id": "r", "status": "completed", "output": [{ "id": "a" }, { "id": "b" }] })
        );
    }
}
