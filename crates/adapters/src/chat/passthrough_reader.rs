//! Reads along while a provider's own chunks go through to a client of the same protocol. It says what is semantic, how many tokens
//! were used and how the answer ended; the one thing it takes out is state of the provider's, which must be sealed. Pure.

use latimer_protocol::chat::chunk::{ChatChoice, ChatChunk, ChatDelta};
use latimer_protocol::turn::{EventSink, PassthroughFrame, TurnEvent};
use serde_json::Value;

use super::stream::{ChatReader, is_bare};
use crate::reader::{BodyEnd, Reader, ReaderContext};

/// The type of a frame that holds a piece of the answer.
pub const PIECE: &str = "piece";
/// The type of a frame that says why the answer ended.
pub const REASON: &str = "reason";
/// The type of a frame that holds nothing but tokens.
pub const USAGE: &str = "usage";

/// Reads one Chat stream and hands its chunks on.
///
/// Invariant: `finish` emits `Finished` exactly once; a failure is never handed on as a frame.
pub struct ChatPassthroughReader {
    reader: ChatReader,
}

/// What of the reader's events goes on beside the frames.
struct NonFrameEvents<'s>(&'s mut dyn EventSink);

impl EventSink for NonFrameEvents<'_> {
    fn event(&mut self, event: TurnEvent<'_>) {
        match event {
            TurnEvent::Started
            | TurnEvent::Usage(_)
            | TurnEvent::Note(_)
            | TurnEvent::ReasoningState(_)
            | TurnEvent::Finished(_) => {
                self.0.event(event);
            }
            _ => {}
        }
    }
}

impl ChatPassthroughReader {
    /// A reader for one answer.
    pub fn new(context: ReaderContext) -> Self {
        Self { reader: ChatReader::new(context) }
    }
}

impl Reader for ChatPassthroughReader {
    fn push(&mut self, data: &[u8], sink: &mut dyn EventSink) {
        if self.done() {
            return;
        }
        let text = latimer_protocol::sse::text(data);
        if self.reader.same_chunk(&text, &mut NonFrameEvents(sink)) {
            let frame = PassthroughFrame { kind: PIECE, data: &text, semantic: true, state_of: None };
            return sink.event(TurnEvent::Frame(frame));
        }
        let chunk = match serde_json::from_str::<ChatChunk<'_>>(&text) {
            // A whole completion is no chunk: it is told as events.
            Ok(chunk) if chunk.choices.iter().any(|choice| choice.message.0.is_some()) => {
                return self.reader.chunk(&chunk, sink);
            }
            // A failure in words of its own, or a completion in an envelope, which is told as events.
            Ok(chunk) if is_bare(&chunk) => {
                let was_waiting = self.reader.is_waiting();
                self.reader.bare_chunk(&text, sink);
                if self.reader.has_failed() || was_waiting != self.reader.is_waiting() {
                    return;
                }
                chunk
            }
            Ok(chunk) => {
                self.reader.remember(&text, &chunk);
                chunk
            }
            // The end mark, or a line that is noted and passed over.
            Err(_) => return self.reader.push(data, &mut NonFrameEvents(sink)),
        };
        if !is_bare(&chunk) {
            self.reader.chunk(&chunk, &mut NonFrameEvents(sink));
        }
        if self.reader.has_failed() {
            return;
        }
        let stateful = chunk
            .choices
            .iter()
            .any(|choice| choice.delta.0.as_ref().is_some_and(|delta| delta.reasoning_details.is_some()));
        let without_state;
        let data = if stateful {
            match without_details(&text) {
                Some(data) => {
                    without_state = data;
                    without_state.as_str()
                }
                None => return,
            }
        } else {
            &text
        };
        let kind = match chunk.choices.first() {
            None => USAGE,
            Some(choice) if choice.finish_reason.some().is_some() => REASON,
            Some(_) => PIECE,
        };
        let semantic = chunk.choices.iter().any(says_something);
        sink.event(TurnEvent::Frame(PassthroughFrame { kind, data, semantic, state_of: None }));
    }

    fn error(&mut self, data: &[u8], sink: &mut dyn EventSink) {
        self.reader.error(data, &mut NonFrameEvents(sink));
    }

    fn stray(&mut self, text: &[u8]) {
        self.reader.stray(text);
    }

    fn done(&self) -> bool {
        self.reader.done()
    }

    fn finish(self: Box<Self>, end: BodyEnd, sink: &mut dyn EventSink) {
        Box::new(self.reader).finish(end, &mut NonFrameEvents(sink));
    }
}

/// The client would see something of the answer.
fn says_something(choice: &ChatChoice<'_>) -> bool {
    let says = |delta: &ChatDelta<'_>| {
        !delta.tool_calls.is_empty()
            || delta.function_call.0.is_some()
            || !delta.content.thinking.is_empty()
            || [&delta.content.text, &delta.reasoning_content, &delta.reasoning, &delta.refusal]
                .iter()
                .any(|text| text.some().is_some_and(|text| !text.is_empty()))
    };
    choice.delta.0.as_ref().is_some_and(says)
}

/// The chunk without its `reasoning_details`; `None` when nothing else is in it.
fn without_details(text: &str) -> Option<String> {
    let mut value: Value = serde_json::from_str(text).ok()?;
    let mut rest = !value.get("usage").is_none_or(Value::is_null);
    for choice in value.get_mut("choices").and_then(Value::as_array_mut).into_iter().flatten() {
        rest |= !choice.get("finish_reason").is_none_or(Value::is_null);
        if let Some(delta) = choice.get_mut("delta").and_then(Value::as_object_mut) {
            delta.shift_remove("reasoning_details");
            let empty = |value: &Value| value.is_null() || value.as_str() == Some("");
            rest |= delta.iter().any(|(name, value)| name != "role" && !empty(value));
        }
    }
    rest.then(|| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use latimer_protocol::turn::RecordedEvents;

    fn read_lines(lines: &[&str]) -> Vec<String> {
        let mut record = RecordedEvents::default();
        let mut reader = Box::new(ChatPassthroughReader::new(ReaderContext::default()));
        for line in lines {
            reader.push(line.as_bytes(), &mut record);
        }
        reader.finish(BodyEnd::Clean, &mut record);
        record.lines
    }

    #[test]
    fn chunks_go_through_and_tokens_are_counted() {
        let role =
            r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}],"x":{"kept":1.0e3}}"#;
        let text = r#"{"choices":[{"index":0,"delta":{"content":"a<think>"},"logprobs":{"content":[]}}]}"#;
        let end = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
        let usage = r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#;
        assert_eq!(
            read_lines(&[role, text, "garbage", end, usage, "[DONE]", text]),
            [
                "started".to_owned(),
                format!("frame piece {role}"),
                format!("frame piece {text}"),
                "note a line of the provider's stream was not readable and was passed over".to_owned(),
                format!("frame reason {end}"),
                "usage in=3 out=2".to_owned(),
                format!("frame usage {usage}"),
                "finished stop".to_owned(),
            ]
        );
    }

    #[test]
    fn state_does_not_go_through_bare() {
        let lines = read_lines(&[
            r#"{"choices":[{"delta":{"role":"assistant","content":"","reasoning_details":[{"type":"reasoning.encrypted","data":"secret","index":0}]}}]}"#,
            r#"{"choices":[{"delta":{"reasoning":"hm","reasoning_details":[{"type":"reasoning.text","text":"hm","index":1}]}}]}"#,
            r#"{"choices":[{"delta":{"content":"yes"},"finish_reason":"stop"}]}"#,
        ]);
        let frames = || lines.iter().filter(|line| line.starts_with("frame"));
        assert!(frames().all(|line| !line.contains("reasoning_details")), "{lines:?}");
        assert_eq!(frames().count(), 2, "{lines:?}");
        assert!(
            lines.iter().any(|line| line.starts_with("reasoning-state") && line.contains("secret")),
            "{lines:?}"
        );
    }

    #[test]
    fn a_failure_is_no_frame_and_a_whole_completion_is_told_as_events() {
        let lines = read_lines(&[r#"{"error":{"message":"busy","code":503}}"#]);
        assert!(matches!(lines.as_slice(), [one] if one.starts_with("finished failed")), "{lines:?}");
        let lines = read_lines(&[r#"{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}"#]);
        assert_eq!(lines, ["started", "text \"hi\"", "finished stop"]);
    }
}
