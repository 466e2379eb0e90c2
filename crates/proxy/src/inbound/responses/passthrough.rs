//! An upstream's own events on their way to a client of the same protocol. Payloads are not touched, with one exception: state
//! of the provider is sealed, so that it finds its way back to its owner and to nobody else. Pure.

use std::borrow::Cow;

use latimer_protocol::failure::Failure;
use latimer_protocol::turn::{FinishReason, OpaqueState, PassthroughFrame, SealKey, StateOwner};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::error::{Shown, stream_code, stream_message};
use super::object::ResponsesWriterOptions;
use crate::inbound::client_behaviour::ClientBehaviour;
use crate::inbound::wire::json::push_string;
use crate::inbound::writer::passthrough::{FrameBuffer, Passthrough};
use crate::inbound::writer::{StoredResponse, WriterSeed};

/// The field that holds state, up to the value's first character.
const STATE: &[u8] = b"\"encrypted_content\":\"";

/// Hands frames on. The last one has `[DONE]` behind it.
#[derive(Debug)]
pub(super) struct ResponsesPassthrough {
    frames: FrameBuffer,
    seal: SealKey,
    client: &'static ClientBehaviour,
    created_at: u64,
    /// Items and the last frame are kept: the client wants one object, or the answer is stored.
    collects: bool,
    sequence: u64,
    /// The upstream's own name of the response.
    id: Option<String>,
    /// The response as it was created, for an end of our own.
    created: Option<String>,
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

impl ResponsesPassthrough {
    pub(super) fn new(seed: &WriterSeed, options: ResponsesWriterOptions) -> Self {
        Self {
            frames: FrameBuffer::default(),
            seal: seed.seal.clone(),
            client: seed.client,
            created_at: seed.created_at,
            collects: !options.stream || options.stores,
            sequence: 0,
            id: None,
            created: None,
            items: Vec::new(),
            last: None,
        }
    }

    /// `response.created` of an attempt: what the last one began was never shown.
    fn begin_attempt(&mut self, data: &str) {
        self.frames.forget();
        self.sequence = 0;
        if let Ok(created) = serde_json::from_str::<Created<'_>>(data) {
            let response = created.response.get();
            let head = serde_json::from_str::<Head<'_>>(response).ok();
            self.id = head.and_then(|head| head.id).map(Cow::into_owned);
            self.created = Some(response.to_owned());
        }
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

    fn whole(&self) -> Vec<u8> {
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
    fn sealed<'d>(&self, data: &'d str, owner: &StateOwner) -> Cow<'d, str> {
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

impl Passthrough for ResponsesPassthrough {
    fn frames(&self) -> &FrameBuffer {
        &self.frames
    }

    fn frames_mut(&mut self) -> &mut FrameBuffer {
        &mut self.frames
    }

    /// The hot path: a delta is copied once.
    fn frame(&mut self, frame: &PassthroughFrame<'_>) {
        if !self.frames.takes_more() {
            return;
        }
        if frame.kind == "response.created" && !self.frames.is_shown() {
            self.begin_attempt(frame.data);
        }
        let data = match frame.state_of {
            Some(owner) => self.sealed(frame.data, owner),
            None => Cow::Borrowed(frame.data),
        };
        if self.collects {
            self.collect(frame.kind, &data);
        }
        self.sequence += 1;
        if frame.semantic {
            self.frames.show();
        }
        self.frames.push_event(frame.kind, &data);
    }

    fn finish(&mut self, reason: &FinishReason) {
        if let FinishReason::Failed(failure) = reason {
            return self.fail(failure);
        }
        if self.frames.finish() {
            self.frames.out.extend_from_slice(b"data: [DONE]\n\n");
        }
    }

    fn fail(&mut self, failure: &Failure) {
        if !self.frames.finish() {
            return;
        }
        let created = self.created.as_deref().and_then(|text| serde_json::from_str(text).ok());
        let mut response: Map<String, Value> = created.unwrap_or_default();
        let has_own_codes = self.client.has_own_error_table;
        let ends = [
            ("object", json!("response")),
            ("status", json!("failed")),
            (
                "error",
                json!({
                    "code": stream_code(failure.kind, has_own_codes, Shown::Part),
                    "message": stream_message(failure, has_own_codes, Shown::Part),
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
        self.frames.push_event("response.failed", &data.to_string());
        self.frames.out.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn keep_alive(&mut self) {
        let data = format!("{{\"type\":\"keepalive\",\"sequence_number\":{}}}", self.sequence);
        self.frames.push_event("keepalive", &data);
    }

    /// The response's id and its items.
    fn stored(&self) -> Option<StoredResponse> {
        let id = self.id.clone().filter(|_| self.frames.is_finished() && self.last.is_some())?;
        let items: Vec<&str> = self.items.iter().map(|(_, item)| item.as_str()).collect();
        let output = items.join(",").into_bytes().into();
        Some(StoredResponse { id, output, response: self.whole().into() })
    }

    fn object(&self) -> Option<Vec<u8>> {
        Some(self.whole())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbound::responses::object::Echo;
    use crate::inbound::responses::stream::ResponsesWriter;
    use crate::inbound::wire::tool_map::ToolMap;
    use crate::inbound::writer::answer::Answer;
    use latimer_protocol::failure::FailureKind;
    use latimer_protocol::turn::{EventSink as _, TurnEvent};

    fn pass(stream: bool) -> ResponsesPassthrough {
        let options = ResponsesWriterOptions { stream, ..ResponsesWriterOptions::default() };
        ResponsesPassthrough::new(&WriterSeed { created_at: 7, ..WriterSeed::default() }, options)
    }

    fn push(pass: &mut ResponsesPassthrough, kind: &str, data: &str) {
        let owner = StateOwner::new("openai", "gpt-5.5");
        let semantic = !matches!(kind, "response.created" | "response.in_progress");
        let state_of = data.contains("encrypted_content").then_some(&owner);
        pass.frame(&PassthroughFrame { kind, data, semantic, state_of });
    }

    #[test]
    fn nothing_is_written_before_something_is_shown() {
        let mut pass = pass(true);
        push(&mut pass, "response.created", r#"{"type":"response.created","response":{"id":"resp_0"}}"#);
        assert!(!pass.frames.is_shown() && pass.frames.out.is_empty());
        push(&mut pass, "response.created", r#"{"type":"response.created","response":{"id":"resp_1"}}"#);
        push(&mut pass, "response.output_text.delta", r#"{"type":"response.output_text.delta","delta":"a"}"#);
        let text = String::from_utf8(std::mem::take(&mut pass.frames.out)).expect("text");
        assert_eq!(
            text,
            "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\"}}\n\nevent: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"a\"}\n\n"
        );
        pass.fail(&Failure::new(FailureKind::Interrupted, "cut"));
        pass.finish(&FinishReason::Stop);
        let text = String::from_utf8(std::mem::take(&mut pass.frames.out)).expect("text");
        assert!(text.contains("\"sequence_number\":2") && text.contains("\"id\":\"resp_1\""), "{text}");
        assert_eq!(text.matches("[DONE]").count(), 1);
    }

    #[test]
    fn state_is_sealed_for_its_owner() {
        let mut pass = pass(true);
        let data = r#"{"item":{"type":"reasoning","text":"\"encrypted_content\":\"no","encrypted_content":"gAAA\/x","summary":[]},"more":[{"encrypted_content":"b"}]}"#;
        push(&mut pass, "response.output_item.done", data);
        let text = String::from_utf8(std::mem::take(&mut pass.frames.out)).expect("text");
        let json = text.split("data: ").nth(1).expect("a payload");
        let value: Value = serde_json::from_str(json).expect("still JSON");
        assert_eq!(value["item"]["text"], "\"encrypted_content\":\"no");
        for (place, want) in [("/item/encrypted_content", "gAAA/x"), ("/more/0/encrypted_content", "b")] {
            let carrier = value.pointer(place).and_then(Value::as_str).expect("a carrier");
            let opaque = OpaqueState::decode(carrier, &SealKey::default()).expect("ours");
            assert_eq!((opaque.data.as_str(), opaque.owner.provider.as_str()), (want, "openai"));
        }
    }

    #[test]
    fn one_object_gets_its_items_back() {
        let mut pass = pass(false);
        push(&mut pass, "response.output_item.done", r#"{"output_index":1,"item":{"id":"b"}}"#);
        push(&mut pass, "response.output_item.done", r#"{"output_index":0,"item":{"id":"a"}}"#);
        push(&mut pass, "response.completed", r#"{"response":{"id":"r","status":"completed","output":[]}}"#);
        pass.finish(&FinishReason::Stop);
        let object: Value = serde_json::from_slice(&pass.whole()).expect("JSON");
        assert_eq!(
            object,
            json!({ "id": "r", "status": "completed", "output": [{ "id": "a" }, { "id": "b" }] })
        );
    }

    fn answer() -> Answer {
        let options = ResponsesWriterOptions { stream: true, ..ResponsesWriterOptions::default() };
        let (echo, tools) = (Echo::default(), ToolMap::default());
        ResponsesWriter::new(WriterSeed::default(), options, &echo, tools).into_answer()
    }

    fn frame(answer: &mut Answer, kind: &str, data: &str, semantic: bool) {
        answer.event(TurnEvent::Frame(PassthroughFrame { kind, data, semantic, state_of: None }));
    }

    #[test]
    fn there_is_one_beginning_however_slowly_it_comes() {
        let mut answer = answer();
        answer.event(TurnEvent::Started);
        frame(&mut answer, "response.created", r#"{"response":{"id":"resp_up"}}"#, false);
        assert!(answer.take().is_empty(), "nothing is shown before something is said");
        frame(&mut answer, "response.output_text.delta", "{}", true);
        let out = String::from_utf8(answer.take()).expect("text");
        assert_eq!(out.matches("response.created").count(), 1, "{out}");
    }

    #[test]
    fn another_attempt_may_be_translated() {
        let mut answer = answer();
        answer.event(TurnEvent::Started);
        frame(&mut answer, "response.created", r#"{"response":{"id":"resp_up"}}"#, false);
        answer.event(TurnEvent::Started);
        answer.event(TurnEvent::Text("hi"));
        answer.event(TurnEvent::Finished(FinishReason::Stop));
        let out = String::from_utf8(answer.take()).expect("text");
        assert!(out.contains("\"hi\"") && !out.contains("resp_up"), "{out}");
        assert_eq!(latimer_protocol::responses::legality::check(out.as_bytes()), Vec::<String>::new());
    }
}
