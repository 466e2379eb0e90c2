//! Reads along while an upstream's own events go through to a client of the same protocol. It changes nothing; it says what is
//! semantic, how many tokens were used, and how the answer ended. Pure.

use latimer_protocol::messages::event::MessagesEvent;
use latimer_protocol::turn::{EventSink, PassthroughFrame, TurnEvent};

use super::stream::MessagesReader;
use crate::reader::{BodyEnd, Reader, ReaderContext};

/// Events that a client does not see as part of an answer: as long as nothing else came, there may be another attempt.
const EMPTY: [&str; 2] = ["message_start", "ping"];

/// Reads one stream of Messages events and hands every one of them on.
///
/// Invariant: `finish` emits `Finished` exactly once; a failure is never handed on as a frame.
pub struct MessagesPassthroughReader {
    context: ReaderContext,
    /// Counts tokens and reads the end; what it would say of the answer itself is not heard.
    reader: Box<MessagesReader>,
    /// A server that answers with one object, asked for a stream or not: there are no events to hand on, so it is translated.
    whole: bool,
}

impl MessagesPassthroughReader {
    /// A reader for one answer.
    pub fn new(context: ReaderContext) -> Self {
        let reader = Box::new(MessagesReader::new(context.clone(), None));
        Self { context, reader, whole: false }
    }

    fn frame(&self, kind: &str, data: &str, sink: &mut dyn EventSink) {
        // Thoughts are looked at by the one who seals their state; words that speak of thinking do no harm.
        let thinks = kind.starts_with("content_block_")
            && ["thinking", "signature_delta"]
                .iter()
                .any(|word| memchr::memmem::find(data.as_bytes(), word.as_bytes()).is_some());
        sink.event(TurnEvent::Frame(PassthroughFrame {
            kind,
            data,
            semantic: !EMPTY.contains(&kind),
            state_of: thinks.then_some(&self.context.owner),
        }));
    }
}

impl Reader for MessagesPassthroughReader {
    fn push(&mut self, data: &[u8], sink: &mut dyn EventSink) {
        if self.done() {
            return;
        }
        let text = latimer_protocol::sse::text(data);
        let parsed = serde_json::from_str::<MessagesEvent<'_>>(&text).ok();
        let kind = parsed.as_ref().and_then(|event| event.kind.some()).unwrap_or_default();
        if kind == "message" {
            self.whole = true;
            return self.reader.push(data, sink);
        }
        let Some(event) = &parsed else { return self.reader.push(data, sink) };
        if kind.is_empty() && event.error.is_none() {
            // A failure in words of its own, or a message in an envelope, which is told as events.
            self.reader.push(data, sink);
            self.whole |= self.reader.done();
            return;
        }
        // Usage comes behind the frame it stands in: no writer may begin before the frame does.
        let mut used = None;
        self.reader.event(event, &text, &mut |event: TurnEvent<'_>| match event {
            TurnEvent::Started => sink.event(TurnEvent::Started),
            TurnEvent::Usage(usage) => used = Some(usage),
            _ => {}
        });
        if event.error.is_none() && !self.reader.has_failed() {
            self.frame(kind, &text, sink);
        }
        if let Some(usage) = used {
            sink.event(TurnEvent::Usage(usage));
        }
    }

    fn error(&mut self, data: &[u8], sink: &mut dyn EventSink) {
        self.reader.error(data, &mut |event: TurnEvent<'_>| {
            if matches!(event, TurnEvent::Started) {
                sink.event(event);
            }
        });
    }

    fn stray(&mut self, text: &[u8]) {
        self.reader.stray(text);
    }

    fn done(&self) -> bool {
        self.reader.done()
    }

    fn finish(self: Box<Self>, end: BodyEnd, sink: &mut dyn EventSink) {
        if self.whole {
            return self.reader.finish(end, sink);
        }
        // Blocks that are still open went through as far as they came.
        self.reader.finish(end, &mut |event: TurnEvent<'_>| {
            if matches!(event, TurnEvent::Finished(_)) {
                sink.event(event);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use latimer_protocol::turn::RecordedEvents;

    fn read_lines(events: &[&str], end: BodyEnd) -> Vec<String> {
        let mut record = RecordedEvents::default();
        let mut reader = Box::new(MessagesPassthroughReader::new(ReaderContext {
            endpoint: "lab".into(),
            ..ReaderContext::default()
        }));
        for event in events {
            reader.push(event.as_bytes(), &mut record);
        }
        reader.finish(end, &mut record);
        record.lines
    }

    const START: &str = r#"{"type":"message_start","message":{"usage":{"input_tokens":9}}}"#;
    const CALL: &str = r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}"#;
    const DELTA: &str =
        r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":3}}"#;

    #[test]
    fn events_go_through_and_are_counted() {
        let lines =
            read_lines(&[START, CALL, DELTA, r#"{"type":"message_stop"}"#, "too late"], BodyEnd::Clean);
        let want = [
            "started".to_owned(),
            format!("frame message_start {START}"),
            "usage in=9".to_owned(),
            format!("frame content_block_start {CALL}"),
            format!("frame message_delta {DELTA}"),
            "usage in=9 out=3".to_owned(),
            r#"frame message_stop {"type":"message_stop"}"#.to_owned(),
            "finished tool_calls".to_owned(),
        ];
        assert_eq!(lines, want);
    }

    #[test]
    fn failures_are_no_frames() {
        let error = r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#;
        let lines = read_lines(&[START, error], BodyEnd::Clean);
        assert_eq!(lines.len(), 4, "{lines:?}");
        assert!(lines[3].starts_with("finished failed overloaded"), "{lines:?}");
        let lines = read_lines(&[START, CALL, "garbage"], BodyEnd::Clean);
        let end = "finished failed upstream_error \"lab: garbage\"";
        assert_eq!(lines.last().map(String::as_str), Some(end), "its words are the reason: {lines:?}");
    }

    #[test]
    fn a_pause_is_the_clients_affair() {
        let pause = r#"{"type":"message_delta","delta":{"stop_reason":"pause_turn"}}"#;
        let mut reader = MessagesPassthroughReader::new(ReaderContext::default());
        let mut record = RecordedEvents::default();
        for event in [START, pause, r#"{"type":"message_stop"}"#] {
            reader.push(event.as_bytes(), &mut record);
        }
        assert!(reader.continuation().is_none() && reader.done());
    }

    #[test]
    fn one_object_is_translated() {
        let whole = r#"{"type":"message","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":2}}"#;
        assert_eq!(
            read_lines(&[whole], BodyEnd::Clean),
            ["started", "text \"hi\"", "usage in=1 out=2", "finished stop"]
        );
    }
}
