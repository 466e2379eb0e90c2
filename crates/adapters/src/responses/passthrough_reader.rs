//! Reads along while an upstream's own events go through to a client of the same protocol. It changes none of them; it adds those that
//! the server left out, and says what is semantic, how many tokens were used, and how the answer ended. Pure.

use latimer_protocol::responses::event::{ResponsesEvent, ResponsesEventKind};
use latimer_protocol::turn::{EventSink, FinishReason, PassthroughFrame, StreamNote, TurnEvent};
use serde::Deserialize;

use super::errors;
use super::missing_events::HandedOn;
use super::stream::{ResponsesReader, is_response, is_strange};
use crate::reader::{BodyEnd, Foreign, Progress, Reader, ReaderContext};

/// Events that a client does not see as part of an answer: as long as nothing else came, there may be another attempt.
const EMPTY: [&str; 6] = [
    "response.created",
    "response.in_progress",
    "response.queued",
    "keepalive",
    "codex.rate_limits",
    "codex.response.metadata",
];
/// Events that may hold encrypted state.
const STATEFUL: [&str; 4] =
    ["response.output_item.added", "response.output_item.done", "response.completed", "response.incomplete"];

#[derive(Deserialize)]
#[serde(bound = "'de: 'a")]
struct EventType<'a> {
    #[serde(rename = "type", default)]
    kind: latimer_protocol::lenient::LenientText<'a>,
}

/// Reads one stream of Responses events and hands every one of them on.
///
/// Invariant: `finish` emits `Finished` exactly once; a failure is never handed on as a frame.
pub struct ResponsesPassthroughReader {
    progress: Progress,
    has_calls: bool,
    handed_on: HandedOn,
    /// A frame went out that shows something of the answer.
    has_shown: bool,
    end: Option<FinishReason>,
    /// An object in place of a stream that is no complete answer: there are no events to hand on, so it is translated.
    whole: Option<Box<ResponsesReader>>,
}

impl ResponsesPassthroughReader {
    /// A reader for one answer.
    pub fn new(context: ReaderContext) -> Self {
        Self {
            progress: Progress::new(context),
            has_calls: false,
            handed_on: HandedOn::default(),
            has_shown: false,
            end: None,
            whole: None,
        }
    }

    fn frame(&mut self, kind: &str, data: &str, sink: &mut dyn EventSink) {
        let stateful = STATEFUL.contains(&kind)
            && memchr::memmem::find(data.as_bytes(), b"\"encrypted_content\":\"").is_some();
        if kind == "response.output_item.done" && !self.has_calls {
            self.has_calls = memchr::memmem::find(data.as_bytes(), b"_call\"").is_some();
        }
        let semantic = !EMPTY.contains(&kind);
        self.has_shown |= semantic;
        sink.event(TurnEvent::Frame(PassthroughFrame {
            kind,
            data,
            semantic,
            state_of: stateful.then_some(&self.progress.context.owner),
        }));
    }

    /// The last event, behind those that the server left out.
    fn last_frames(
        &mut self,
        kind: &str,
        data: &str,
        reason: FinishReason,
        sink: &mut dyn EventSink,
    ) -> FinishReason {
        let Some(events) = self.handed_on.missing(data) else {
            self.frame(kind, data, sink);
            return reason;
        };
        for event in events {
            let kind = event.get("type").and_then(serde_json::Value::as_str).unwrap_or_default();
            self.frame(kind, &event.to_string(), sink);
        }
        sink.event(TurnEvent::Note(StreamNote::MissingEvents.into()));
        if self.has_calls && reason == FinishReason::Stop { FinishReason::ToolCalls } else { reason }
    }

    fn terminal(&mut self, kind: &str, data: &str, sink: &mut dyn EventSink) {
        let Ok(event) = serde_json::from_str::<ResponsesEvent<'_>>(data) else {
            return self.progress.unreadable_line(data, sink);
        };
        let response = event.response.0.as_ref();
        if let Some(usage) = response.and_then(|response| response.usage.0) {
            sink.event(TurnEvent::Usage(usage.to_turn()));
        }
        let reason = match ResponsesEventKind::of(kind) {
            ResponsesEventKind::Completed if self.has_calls => FinishReason::ToolCalls,
            ResponsesEventKind::Completed => FinishReason::Stop,
            ResponsesEventKind::Incomplete => errors::incomplete(response),
            ResponsesEventKind::Error => FinishReason::Failed(errors::event(&event, &self.progress.context)),
            _ => FinishReason::Failed(errors::response(response, &event, &self.progress.context)),
        };
        let reason = match reason {
            FinishReason::Failed(_) => reason,
            // Clients ask again and again for what a filter refused before a word was said: they get its words as an answer.
            FinishReason::ContentFilter if !self.has_shown => {
                self.progress.filtered(data);
                reason
            }
            reason => self.last_frames(kind, data, reason, sink),
        };
        self.end = Some(reason);
    }
}

/// A server that answers with one object, asked for a stream or not, has left out every event: the closing one for an answer that is
/// complete.
fn whole_answer(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Head<'a> {
        #[serde(borrow)]
        object: &'a str,
        #[serde(borrow)]
        status: &'a str,
    }
    let head = serde_json::from_str::<Head<'_>>(text).ok()?;
    let is_whole = head.object == "response" && head.status == "completed";
    is_whole.then(|| format!("{{\"type\":\"response.completed\",\"sequence_number\":0,\"response\":{text}}}"))
}

impl ResponsesPassthroughReader {
    /// JSON that is no event of the protocol: a whole response, a failure in words of its own, an event of tomorrow.
    fn strange(&mut self, kind: Option<&str>, text: &str, sink: &mut dyn EventSink) {
        let begins = !self.progress.has_begun();
        if kind.is_none() && begins && serde_json::from_str(text).is_ok_and(|value| is_response(&value)) {
            return self.whole(text, sink);
        }
        match (self.progress.foreign(text, is_response), kind) {
            (Foreign::Failed(failure), _) => self.end = Some(FinishReason::Failed(failure)),
            (Foreign::Answer(answer), _) if begins => self.whole(&answer, sink),
            (Foreign::Answer(_) | Foreign::Nothing, Some(kind)) => {
                self.progress.begin(sink);
                self.frame(kind, text, sink);
            }
            (Foreign::Answer(_) | Foreign::Nothing, None) => {}
        }
    }

    /// One object instead of events.
    fn whole(&mut self, text: &str, sink: &mut dyn EventSink) {
        if let Some(last) = whole_answer(text) {
            self.progress.begin(sink);
            return self.terminal("response.completed", &last, sink);
        }
        let mut whole = Box::new(ResponsesReader::new(self.progress.context.clone()));
        whole.push(text.as_bytes(), sink);
        self.whole = whole.done().then_some(whole);
    }
}

impl Reader for ResponsesPassthroughReader {
    fn push(&mut self, data: &[u8], sink: &mut dyn EventSink) {
        if self.done() || data.trim_ascii() == b"[DONE]" {
            return;
        }
        let text = latimer_protocol::sse::text(data);
        let parsed = serde_json::from_str::<EventType<'_>>(&text);
        let kind = parsed.as_ref().ok().and_then(|parsed| parsed.kind.some());
        let Some(kind) = kind.filter(|kind| !is_strange(kind)) else {
            if parsed.is_ok() {
                self.strange(kind, &text, sink);
            } else if !text.trim().is_empty() {
                self.progress.unreadable_line(&text, sink);
            }
            return;
        };
        self.progress.begin(sink);
        match ResponsesEventKind::of(kind) {
            ResponsesEventKind::Completed
            | ResponsesEventKind::Incomplete
            | ResponsesEventKind::Failed
            | ResponsesEventKind::Cancelled
            | ResponsesEventKind::Error => self.terminal(kind, &text, sink),
            _ => {
                if !EMPTY.contains(&kind) {
                    self.handed_on.note(kind, &text);
                }
                self.frame(kind, &text, sink);
            }
        }
    }

    fn error(&mut self, data: &[u8], sink: &mut dyn EventSink) {
        let text = latimer_protocol::sse::text(data);
        let parsed = serde_json::from_str::<EventType<'_>>(&text);
        if parsed.is_ok_and(|parsed| matches!(parsed.kind.some(), Some("error" | "response.failed"))) {
            return self.push(data, sink);
        }
        if !self.done() {
            self.end = Some(FinishReason::Failed(self.progress.failure_in_words(&text)));
        }
    }

    fn stray(&mut self, text: &[u8]) {
        self.progress.stray(&latimer_protocol::sse::text(text));
    }

    fn done(&self) -> bool {
        self.end.is_some() || self.whole.is_some()
    }

    fn finish(mut self: Box<Self>, end: BodyEnd, sink: &mut dyn EventSink) {
        if let Some(whole) = self.whole.take() {
            return whole.finish(end, sink);
        }
        let reason = match (self.end.take(), end) {
            (Some(reason), _) => reason,
            (None, BodyEnd::Broken(failure)) => FinishReason::Failed(failure),
            (None, BodyEnd::Clean) => FinishReason::Failed(self.progress.interrupted("a Responses stream")),
        };
        if reason == FinishReason::ContentFilter {
            self.progress.explain(sink);
        }
        sink.event(TurnEvent::Finished(reason));
    }
}
