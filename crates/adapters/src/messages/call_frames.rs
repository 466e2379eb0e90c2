//! Calls in the events of a Messages stream that go through to a client. A client adds up the pieces of a block and runs it when the block
//! ends, so a block is held until it does. Pure.

use std::sync::Arc;

use latimer_protocol::messages::event::{MessagesEvent, MessagesEventKind};
use latimer_protocol::turn::{EventSink, FinishReason, PassthroughFrame, TurnEvent};
use serde_json::{Value, json};

use crate::repair::{CallRules, FrameCalls, HeldFrames, emit};

/// Follows the blocks of one stream.
#[derive(Debug)]
pub(crate) struct MessagesCallFrames {
    rules: Arc<CallRules>,
    held: HeldFrames,
    /// The block that is held.
    open: Option<OpenCall>,
    /// How many blocks there are more than the upstream made.
    more: u64,
    /// The tool of the call that nobody may run: behind it only the end of the message is kept.
    broken: Option<String>,
}

#[derive(Debug)]
struct OpenCall {
    index: u64,
    name: String,
    /// The block as it began.
    block: Value,
    pieces: String,
}

impl MessagesCallFrames {
    pub(crate) fn new(rules: Arc<CallRules>) -> Self {
        Self { rules, held: HeldFrames::default(), open: None, more: 0, broken: None }
    }

    fn give_up(&mut self, name: String) {
        self.held.clear();
        self.open = None;
        self.broken = Some(name);
    }

    /// A frame that is no part of a call, with the index that its block has by now.
    fn pass(&self, frame: PassthroughFrame<'_>, sink: &mut dyn EventSink) {
        if self.more == 0 || !frame.kind.starts_with("content_block_") {
            return sink.event(TurnEvent::Frame(frame));
        }
        let mut value: Value = serde_json::from_str(frame.data).unwrap_or_default();
        if let Some(index) = value.get_mut("index") {
            *index = json!(index.as_u64().unwrap_or_default() + self.more);
        }
        sink.event(TurnEvent::Frame(PassthroughFrame { data: &value.to_string(), ..frame }));
    }

    /// True when a block begins that has to be held.
    fn begins(&mut self, event: &MessagesEvent<'_>, data: &str) -> bool {
        let Some(block) =
            event.content_block.0.as_ref().filter(|block| block.kind.some() == Some("tool_use"))
        else {
            return false;
        };
        let value: Value = serde_json::from_str(data).unwrap_or_default();
        self.open = Some(OpenCall {
            index: event.index.0.unwrap_or_default(),
            name: block.name.some().unwrap_or_default().to_owned(),
            block: value.get("content_block").cloned().unwrap_or_default(),
            pieces: String::new(),
        });
        true
    }

    /// The block that is held has ended.
    fn end(&mut self, sink: &mut dyn EventSink) {
        let Some(open) = self.open.take() else { return };
        // Clients run what came in pieces, or nothing at all.
        let arguments = if open.pieces.trim().is_empty() { "{}" } else { &open.pieces };
        let Ok(calls) = self.rules.calls(&open.name, arguments) else {
            return self.give_up(open.name);
        };
        if let [call] = calls.as_slice()
            && call.arguments == arguments
        {
            let held = std::mem::take(&mut self.held);
            return held.iter().for_each(|frame| self.pass(frame, sink));
        }
        self.held.clear();
        let id = open.block.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        for (place, call) in calls.iter().enumerate() {
            let mut block = open.block.clone();
            if let Some(fields) = block.as_object_mut() {
                fields.insert("input".to_owned(), json!({}));
                if place > 0 {
                    fields.insert("id".to_owned(), json!(format!("{id}_{place}")));
                }
            }
            let index = open.index + self.more + place as u64;
            let events = [
                json!({ "type": "content_block_start", "index": index, "content_block": block }),
                json!({ "type": "content_block_delta", "index": index, "delta": { "type": "input_json_delta", "partial_json": call.arguments } }),
                json!({ "type": "content_block_stop", "index": index }),
            ];
            for event in events {
                emit(event.get("type").and_then(Value::as_str).unwrap_or_default(), &event.to_string(), sink);
            }
        }
        self.more += calls.len().saturating_sub(1) as u64;
    }
}

impl FrameCalls for MessagesCallFrames {
    fn frame(&mut self, frame: &PassthroughFrame<'_>, sink: &mut dyn EventSink) {
        if self.broken.is_some() {
            if frame.kind == "message_delta" || frame.kind == "message_stop" {
                let _ = self.held.push(frame);
            }
            return;
        }
        let is_block = frame.kind.starts_with("content_block_");
        if self.open.is_none() && !(is_block && frame.kind == "content_block_start") {
            return self.pass(*frame, sink);
        }
        let event: MessagesEvent<'_> = if is_block {
            serde_json::from_str(frame.data).unwrap_or_default()
        } else {
            MessagesEvent::default()
        };
        if self.open.is_none() && !self.begins(&event, frame.data) {
            return self.pass(*frame, sink);
        }
        if !self.held.push(frame) {
            let name = self.open.take().map(|open| open.name).unwrap_or_default();
            return self.give_up(name);
        }
        let Some(open) =
            self.open.as_mut().filter(|open| is_block && event.index.0.unwrap_or_default() == open.index)
        else {
            return;
        };
        match MessagesEventKind::of(frame.kind) {
            MessagesEventKind::BlockDelta => {
                if let Some(piece) = event.delta.0.as_ref().and_then(|delta| delta.partial_json.some()) {
                    open.pieces.push_str(piece);
                }
            }
            MessagesEventKind::BlockStop => self.end(sink),
            _ => {}
        }
    }

    fn finish(&mut self, reason: &FinishReason, sink: &mut dyn EventSink) -> Option<String> {
        let by_itself = matches!(reason, FinishReason::Stop | FinishReason::ToolCalls);
        if let Some(open) = self.open.take() {
            let held = std::mem::take(&mut self.held);
            self.broken = Some(open.name);
            held.iter().for_each(|frame| self.frame(&frame, sink));
        }
        let broken = self.broken.take().filter(|_| by_itself);
        if broken.is_none() && !matches!(reason, FinishReason::Failed(_)) {
            self.held.release(sink);
        }
        broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use latimer_protocol::turn::RecordedEvents;

    fn run(events: &[Value], reason: &FinishReason) -> (Vec<String>, Option<String>) {
        let mut record = RecordedEvents::default();
        let mut frames = MessagesCallFrames::new(Arc::default());
        for event in events {
            let data = event.to_string();
            let kind = event["type"].as_str().unwrap_or_default();
            frames
                .frame(&PassthroughFrame { kind, data: &data, semantic: true, state_of: None }, &mut record);
        }
        let broken = frames.finish(reason, &mut record);
        (record.lines, broken)
    }

    fn call(index: u64, pieces: &[&str]) -> Vec<Value> {
        let start = json!({ "type": "content_block_start", "index": index, "content_block": { "type": "tool_use", "id": "t", "name": "f", "input": {} } });
        let deltas = pieces.iter().map(|piece| json!({ "type": "content_block_delta", "index": index, "delta": { "type": "input_json_delta", "partial_json": piece } }));
        let stop = json!({ "type": "content_block_stop", "index": index });
        [start].into_iter().chain(deltas).chain([stop]).collect()
    }

    fn lines(events: &[Value]) -> Vec<String> {
        events
            .iter()
            .map(|event| format!("frame {} {event}", event["type"].as_str().unwrap_or_default()))
            .collect()
    }

    const END: FinishReason = FinishReason::ToolCalls;

    #[test]
    fn a_right_block_goes_through_as_it_came_and_a_copy_does_not() {
        let text = json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } });
        let right: Vec<Value> = [vec![text], call(1, &["{\"a\"", ":1}"]), call(2, &[])].concat();
        assert_eq!(run(&right, &END), (lines(&right), None));
        let twice = call(0, &["{\"a\":1}", "{\"a\":1}"]);
        assert_eq!(run(&twice, &END), (lines(&call(0, &["{\"a\":1}"])), None));
    }

    #[test]
    fn of_a_broken_block_nothing_is_handed_on() {
        let end = [json!({ "type": "message_delta", "delta": {} }), json!({ "type": "message_stop" })];
        let broken: Vec<Value> = [call(0, &["{\"a\":"]), call(1, &["{}"]), end.to_vec()].concat();
        assert_eq!(run(&broken, &END), (vec![], Some("f".to_owned())));
        assert_eq!(run(&broken, &FinishReason::Length), (lines(&end), None));
        let cut: Vec<Value> = [call(0, &["{\"a\":"])[..2].to_vec(), end.to_vec()].concat();
        assert_eq!(run(&cut, &FinishReason::Length), (lines(&end), None));
        assert_eq!(run(&cut, &END), (vec![], Some("f".to_owned())));
    }
}
