//! Responses events to turn events. Pure.

use latimer_protocol::failure::{Failure, Kind};
use latimer_protocol::responses::event::{ResponsesEvent, ResponsesOutputItem, ResponsesResponse};
use latimer_protocol::turn::{EventSink, FinishReason, OpaqueState, TurnEvent};

use super::errors;
use crate::reader::{BodyEnd, Reader, ReaderContext};

/// One call of the answer.
#[derive(Debug)]
struct Call {
    output_index: u64,
    arguments: bool,
    ended: bool,
}

/// Reads one stream of Responses events, or one whole response.
///
/// Invariant: `finish` emits `Finished` exactly once; `push` never does.
pub struct ResponsesReader {
    context: ReaderContext,
    started: bool,
    /// The slot of a call is its place.
    calls: Vec<Call>,
    /// Items whose words, refusal or thoughts came in pieces.
    in_pieces: Vec<u64>,
    thought: bool,
    end: Option<FinishReason>,
    unreadable_lines: bool,
}

impl ResponsesReader {
    /// A reader for one answer.
    pub fn new(context: ReaderContext) -> Self {
        Self {
            context,
            started: false,
            calls: Vec::new(),
            in_pieces: Vec::new(),
            thought: false,
            end: None,
            unreadable_lines: false,
        }
    }

    fn event(&mut self, event: &ResponsesEvent<'_>, sink: &mut dyn EventSink) {
        let index = event.output_index.0.unwrap_or(0);
        let kind = event.kind.some().unwrap_or_default();
        match kind {
            "response.output_text.delta" => self.words(index, event.delta.some(), TurnEvent::Text, sink),
            "response.refusal.delta" => self.words(index, event.delta.some(), TurnEvent::Refusal, sink),
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                self.thought |= event.delta.some().is_some();
                self.words(index, event.delta.some(), TurnEvent::Reasoning, sink);
            }
            "response.reasoning_summary_part.added"
                if self.thought && event.summary_index.0.unwrap_or(0) > 0 =>
            {
                sink.event(TurnEvent::Reasoning("\n\n"));
            }
            "response.function_call_arguments.delta" => {
                if let (Some(slot), Some(json)) = (self.slot(index), event.delta.some()) {
                    self.arguments(slot, json, sink);
                }
            }
            "response.function_call_arguments.done" => {
                if let (Some(slot), Some(json)) = (self.slot(index), event.arguments.some())
                    && !self.calls.get(slot).is_some_and(|call| call.arguments)
                {
                    self.arguments(slot, json, sink);
                }
            }
            "response.output_item.added" => {
                if let Some(item) = &event.item.0 {
                    self.added(index, item, sink);
                }
            }
            "response.output_item.done" => {
                if let Some(item) = &event.item.0 {
                    self.done_item(index, item, sink);
                }
            }
            "response.created" | "response.in_progress" | "response.queued" => self.begin(sink),
            "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled" => {
                let status = kind.trim_start_matches("response.");
                self.end(status, event.response.0.as_ref(), sink);
            }
            "error" => self.end = Some(FinishReason::Failed(errors::event(event, &self.context))),
            _ => {}
        }
    }

    fn begin(&mut self, sink: &mut dyn EventSink) {
        if !self.started {
            self.started = true;
            sink.event(TurnEvent::Started);
        }
    }

    fn words<'t>(
        &mut self,
        index: u64,
        text: Option<&'t str>,
        event: impl Fn(&'t str) -> TurnEvent<'t>,
        sink: &mut dyn EventSink,
    ) {
        let Some(text) = text else { return };
        self.begin(sink);
        if self.in_pieces.last() != Some(&index) {
            self.in_pieces.push(index);
        }
        sink.event(event(text));
    }

    fn slot(&self, index: u64) -> Option<usize> {
        self.calls.iter().rposition(|call| call.output_index == index && !call.ended)
    }

    fn added(&mut self, index: u64, item: &ResponsesOutputItem<'_>, sink: &mut dyn EventSink) {
        self.begin(sink);
        let name = item.name.some().map(|name| self.context.names.client_name(name));
        match (item.kind.some(), name) {
            (Some("function_call"), Some(name)) => {
                let slot = u32::try_from(self.calls.len()).unwrap_or(u32::MAX);
                sink.event(TurnEvent::CallStarted { slot, id: item.call_id.some(), name });
                self.calls.push(Call { output_index: index, arguments: false, ended: false });
            }
            (Some("message" | "reasoning" | "function_call"), _) => {}
            _ => sink.event(TurnEvent::Note("an item of a kind that has no equal here was passed over")),
        }
    }

    fn arguments(&mut self, slot: usize, json: &str, sink: &mut dyn EventSink) {
        if let Some(call) = self.calls.get_mut(slot) {
            call.arguments = true;
            sink.event(TurnEvent::CallArguments { slot: u32::try_from(slot).unwrap_or(u32::MAX), json });
        }
    }

    /// A whole item: what did not come in pieces comes now.
    fn done_item(&mut self, index: u64, item: &ResponsesOutputItem<'_>, sink: &mut dyn EventSink) {
        self.begin(sink);
        let came = self.in_pieces.contains(&index);
        match item.kind.some() {
            Some("function_call") => self.done_call(index, item, sink),
            Some("message") if !came => {
                for part in item.content.iter() {
                    self.words(index, part.text.some(), TurnEvent::Text, sink);
                    self.words(index, part.refusal.some(), TurnEvent::Refusal, sink);
                }
            }
            Some("reasoning") => {
                if !came {
                    let parts = if item.content.is_empty() { &item.summary } else { &item.content };
                    for part in parts.iter() {
                        self.words(index, part.text.some(), TurnEvent::Reasoning, sink);
                    }
                }
                if let Some(state) = item.encrypted_content.some() {
                    let owner = self.context.owner.clone();
                    sink.event(TurnEvent::ReasoningState(OpaqueState { owner, data: state.to_owned() }));
                }
                self.thought = false;
            }
            _ => {}
        }
    }

    fn done_call(&mut self, index: u64, item: &ResponsesOutputItem<'_>, sink: &mut dyn EventSink) {
        if self.slot(index).is_none() {
            self.added(index, item, sink);
        }
        let Some(slot) = self.slot(index) else { return };
        if !self.calls.get(slot).is_some_and(|call| call.arguments) {
            self.arguments(slot, item.arguments.some().unwrap_or("{}"), sink);
        }
        if let Some(call) = self.calls.get_mut(slot) {
            call.ended = true;
            sink.event(TurnEvent::CallEnded { slot: u32::try_from(slot).unwrap_or(u32::MAX) });
        }
    }

    fn end(&mut self, status: &str, response: Option<&ResponsesResponse<'_>>, sink: &mut dyn EventSink) {
        self.begin(sink);
        if let Some(usage) = response.and_then(|response| response.usage.0) {
            sink.event(TurnEvent::Usage(usage.to_turn()));
        }
        self.end = Some(match status {
            "completed" if self.calls.is_empty() => FinishReason::Stop,
            "completed" => FinishReason::ToolCalls,
            "incomplete" => errors::incomplete(response),
            _ => FinishReason::Failed(errors::response(response, &self.context)),
        });
    }

    fn whole(&mut self, response: &ResponsesResponse<'_>, sink: &mut dyn EventSink) {
        for (index, item) in (0..).zip(response.output.iter()) {
            self.done_item(index, item, sink);
        }
        self.end(response.status.some().unwrap_or("completed"), Some(response), sink);
    }
}

impl Reader for ResponsesReader {
    fn push(&mut self, data: &[u8], sink: &mut dyn EventSink) {
        if self.done() || data.trim_ascii() == b"[DONE]" {
            return;
        }
        let text = latimer_protocol::sse::text(data);
        match serde_json::from_str::<ResponsesEvent<'_>>(&text) {
            Ok(event) if event.kind.some().is_some() => self.event(&event, sink),
            Ok(event) if event.error.is_some() => {
                self.end = Some(FinishReason::Failed(errors::event(&event, &self.context)));
            }
            Ok(_) => match serde_json::from_str::<ResponsesResponse<'_>>(&text) {
                Ok(response) if response.object.some() == Some("response") => self.whole(&response, sink),
                _ => self.unreadable_lines = true,
            },
            Err(_) if text.trim().is_empty() => {}
            Err(_) => {
                self.unreadable_lines = true;
                sink.event(TurnEvent::Note(
                    "a line of the provider's stream was not readable and was passed over",
                ));
            }
        }
    }

    fn done(&self) -> bool {
        self.end.is_some()
    }

    fn finish(mut self: Box<Self>, end: BodyEnd, sink: &mut dyn EventSink) {
        let reason = match (self.end.take(), end) {
            (Some(reason), _) => reason,
            (None, BodyEnd::Broken(failure)) => FinishReason::Failed(failure),
            (None, BodyEnd::Clean) => {
                FinishReason::Failed(interrupted(self.started, self.unreadable_lines, &self.context))
            }
        };
        // A call of a broken answer is not ended: nobody may run it.
        if !matches!(reason, FinishReason::Failed(_)) {
            for (slot, call) in (0..).zip(&self.calls) {
                if !call.ended {
                    sink.event(TurnEvent::CallEnded { slot });
                }
            }
        }
        sink.event(TurnEvent::Finished(reason));
    }
}

/// The failure of an answer that ended without a word about its end.
pub(super) fn interrupted(started: bool, unreadable_lines: bool, context: &ReaderContext) -> Failure {
    let (kind, what) = match (started, unreadable_lines) {
        (false, true) => (Kind::UpstreamError, "the answer is not a Responses stream; check base_url"),
        (false, false) => (Kind::Interrupted, "the provider sent an empty answer"),
        (true, _) => (Kind::Interrupted, "the provider ended its answer without saying that it was finished"),
    };
    Failure::new(kind, format!("{}: {what}", context.endpoint))
}
