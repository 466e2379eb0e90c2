//! Responses events to turn events. Pure.

use latimer_protocol::responses::event::{
    ResponsesEvent, ResponsesEventKind, ResponsesItemKind, ResponsesOutputItem, ResponsesResponse,
};
use latimer_protocol::turn::{EventSink, FinishReason, OpaqueState, StreamNote, TurnEvent};
use serde_json::Value;

use super::errors;
use super::told::ToldTexts;
use crate::reader::{BodyEnd, Foreign, Progress, Reader, ReaderContext, slot_number};

/// One call of the answer.
#[derive(Debug)]
struct Call {
    output_index: u64,
    named: CallName,
    has_arguments: bool,
    ended: bool,
}

/// Numbers of calls that only the closing event has begin here: no server counts so far.
const UNTOLD: u64 = 1 << 32;

/// What a call is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
struct CallName {
    id: Option<String>,
    name: Option<String>,
}

impl CallName {
    fn of(item: &ResponsesOutputItem<'_>) -> Self {
        Self { id: item.call_id.some().map(str::to_owned), name: item.name.some().map(str::to_owned) }
    }

    /// The same call: by its id, or by its name where one of them has none.
    fn is_same(&self, other: &Self) -> bool {
        match (&self.id, &other.id) {
            (Some(id), Some(other)) => id == other,
            _ => self.name == other.name,
        }
    }
}

/// Reads one stream of Responses events, or one whole response.
///
/// Invariant: `finish` emits `Finished` exactly once; `push` never does.
pub struct ResponsesReader {
    progress: Progress,
    /// The slot of a call is its place.
    calls: Vec<Call>,
    has_thoughts: bool,
    /// The words, and the thoughts, that were told.
    said: ToldTexts,
    thought: ToldTexts,
    /// How many states of thoughts were told.
    states: usize,
    end: Option<FinishReason>,
}

impl ResponsesReader {
    /// A reader for one answer.
    pub fn new(context: ReaderContext) -> Self {
        Self {
            progress: Progress::new(context),
            calls: Vec::new(),
            has_thoughts: false,
            said: ToldTexts::default(),
            thought: ToldTexts::default(),
            states: 0,
            end: None,
        }
    }

    fn event(&mut self, event: &ResponsesEvent<'_>, sink: &mut dyn EventSink) {
        let index = event.output_index.0.unwrap_or(0);
        match ResponsesEventKind::of(event.kind.some().unwrap_or_default()) {
            ResponsesEventKind::OutputTextDelta => {
                self.words(index, event.delta.some(), TurnEvent::Text, sink);
            }
            ResponsesEventKind::RefusalDelta => {
                self.words(index, event.delta.some(), TurnEvent::Refusal, sink);
            }
            ResponsesEventKind::SummaryTextDelta | ResponsesEventKind::ReasoningTextDelta => {
                self.has_thoughts |= event.delta.some().is_some();
                self.words(index, event.delta.some(), TurnEvent::Reasoning, sink);
            }
            ResponsesEventKind::SummaryPartAdded
                if self.has_thoughts && event.summary_index.0.unwrap_or(0) > 0 =>
            {
                sink.event(TurnEvent::Reasoning("\n\n"));
            }
            ResponsesEventKind::ArgumentsDelta => {
                if let (Some(slot), Some(json)) = (self.slot(index), event.delta.some()) {
                    self.arguments(slot, json, sink);
                }
            }
            ResponsesEventKind::ArgumentsDone => {
                if let (Some(slot), Some(json)) = (self.slot(index), event.arguments.some())
                    && !self.calls.get(slot).is_some_and(|call| call.has_arguments)
                {
                    self.arguments(slot, json, sink);
                }
            }
            ResponsesEventKind::ItemAdded => {
                if let Some(item) = &event.item.0 {
                    self.added(index, item, sink);
                }
            }
            ResponsesEventKind::ItemDone => {
                if let Some(item) = &event.item.0 {
                    self.done_item(index, item, sink);
                }
            }
            ResponsesEventKind::Created | ResponsesEventKind::InProgress | ResponsesEventKind::Queued => {
                self.progress.begin(sink);
            }
            kind @ (ResponsesEventKind::Completed
            | ResponsesEventKind::Incomplete
            | ResponsesEventKind::Failed
            | ResponsesEventKind::Cancelled) => self.end(kind, event.response.0.as_ref(), event, sink),
            ResponsesEventKind::Error => {
                self.end = Some(FinishReason::Failed(errors::event(event, &self.progress.context)));
            }
            ResponsesEventKind::SummaryPartAdded | ResponsesEventKind::Other => {}
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
        self.progress.begin(sink);
        match event(text) {
            TurnEvent::Reasoning(_) => self.thought.add(index, text),
            _ => self.said.add(index, text),
        }
        sink.event(event(text));
    }

    fn slot(&self, index: u64) -> Option<usize> {
        self.calls.iter().rposition(|call| call.output_index == index && !call.ended)
    }

    fn added(&mut self, index: u64, item: &ResponsesOutputItem<'_>, sink: &mut dyn EventSink) {
        self.progress.begin(sink);
        let name = item.name.some().map(|name| self.progress.context.names.client_name(name));
        match (ResponsesItemKind::of(item.kind.some().unwrap_or_default()), name) {
            (ResponsesItemKind::FunctionCall, Some(name)) => {
                let slot = slot_number(self.calls.len());
                sink.event(TurnEvent::CallStarted { slot, id: item.call_id.some(), name });
                self.calls.push(Call {
                    output_index: index,
                    named: CallName::of(item),
                    has_arguments: false,
                    ended: false,
                });
            }
            (ResponsesItemKind::Other, _) => sink.event(TurnEvent::Note(StreamNote::UnknownItem.into())),
            _ => {}
        }
    }

    fn arguments(&mut self, slot: usize, json: &str, sink: &mut dyn EventSink) {
        if let Some(call) = self.calls.get_mut(slot) {
            call.has_arguments = true;
            sink.event(TurnEvent::CallArguments { slot: slot_number(slot), json });
        }
    }

    /// A whole item: what did not come in pieces comes now.
    fn done_item(&mut self, index: u64, item: &ResponsesOutputItem<'_>, sink: &mut dyn EventSink) {
        self.progress.begin(sink);
        let was_streamed = self.said.has(index) || self.thought.has(index);
        match ResponsesItemKind::of(item.kind.some().unwrap_or_default()) {
            ResponsesItemKind::FunctionCall => self.done_call(index, item, sink),
            ResponsesItemKind::Message if !was_streamed => {
                for part in item.content.iter() {
                    self.words(index, part.text.some(), TurnEvent::Text, sink);
                    self.words(index, part.refusal.some(), TurnEvent::Refusal, sink);
                }
            }
            ResponsesItemKind::Reasoning => {
                if !was_streamed {
                    let parts = if item.content.is_empty() { &item.summary } else { &item.content };
                    for part in parts.iter() {
                        self.words(index, part.text.some(), TurnEvent::Reasoning, sink);
                    }
                }
                self.state(item, sink);
                self.has_thoughts = false;
            }
            _ => {}
        }
    }

    fn state(&mut self, item: &ResponsesOutputItem<'_>, sink: &mut dyn EventSink) {
        if let Some(state) = item.encrypted_content.some() {
            self.states += 1;
            let owner = self.progress.context.owner.clone();
            sink.event(TurnEvent::ReasoningState(OpaqueState { owner, data: state.to_owned() }));
        }
    }

    /// What the closing event has and nothing before it had: each thing is told once, whatever the server's numbers and ids are
    /// (`K19-only-the-closing-event.json`).
    fn untold(
        &mut self,
        how: ResponsesEventKind,
        output: &[ResponsesOutputItem<'_>],
        sink: &mut dyn EventSink,
    ) {
        let is = |item: &&ResponsesOutputItem<'_>, kind| {
            ResponsesItemKind::of(item.kind.some().unwrap_or_default()) == kind
        };
        let reasoning = || output.iter().filter(|item| is(item, ResponsesItemKind::Reasoning));
        let thoughts = |item: &ResponsesOutputItem<'_>| {
            let parts = if item.content.is_empty() { &item.summary } else { &item.content };
            parts.iter().filter_map(|part| part.text.some()).collect::<String>()
        };
        let rest = self.thought.untold(&reasoning().map(thoughts).collect::<Vec<_>>());
        if !rest.is_empty() {
            sink.event(TurnEvent::Reasoning(&rest));
        }
        for item in reasoning().filter(|item| item.encrypted_content.some().is_some()).skip(self.states) {
            self.state(item, sink);
        }
        let words = |item: &ResponsesOutputItem<'_>| {
            let parts = item.content.iter().flat_map(|part| [part.text.some(), part.refusal.some()]);
            parts.flatten().collect::<String>()
        };
        let messages = output.iter().filter(|item| is(item, ResponsesItemKind::Message));
        let rest = self.said.untold(&messages.map(words).collect::<Vec<_>>());
        if !rest.is_empty() {
            sink.event(TurnEvent::Text(&rest));
        }
        // A call of an answer that was cut may be half a call.
        if how != ResponsesEventKind::Completed {
            return;
        }
        let mut known: Vec<CallName> = self.calls.iter().map(|call| call.named.clone()).collect();
        for (index, item) in (0..).zip(output).filter(|(_, item)| is(item, ResponsesItemKind::FunctionCall)) {
            let named = CallName::of(item);
            match known.iter().position(|known| known.is_same(&named)) {
                Some(place) => drop(known.remove(place)),
                None => self.done_call(UNTOLD + index, item, sink),
            }
        }
    }

    fn done_call(&mut self, index: u64, item: &ResponsesOutputItem<'_>, sink: &mut dyn EventSink) {
        if self.slot(index).is_none() {
            self.added(index, item, sink);
        }
        let Some(slot) = self.slot(index) else { return };
        if !self.calls.get(slot).is_some_and(|call| call.has_arguments) {
            self.arguments(slot, item.arguments.some().unwrap_or("{}"), sink);
        }
        if let Some(call) = self.calls.get_mut(slot) {
            call.ended = true;
            sink.event(TurnEvent::CallEnded { slot: slot_number(slot) });
        }
    }

    fn end(
        &mut self,
        how: ResponsesEventKind,
        response: Option<&ResponsesResponse<'_>>,
        event: &ResponsesEvent<'_>,
        sink: &mut dyn EventSink,
    ) {
        self.progress.begin(sink);
        if matches!(how, ResponsesEventKind::Completed | ResponsesEventKind::Incomplete)
            && let Some(response) = response
            && !response.output.is_empty()
        {
            self.untold(how, &response.output, sink);
        }
        if let Some(usage) = response.and_then(|response| response.usage.0) {
            sink.event(TurnEvent::Usage(usage.to_turn()));
        }
        self.end = Some(match how {
            ResponsesEventKind::Completed if self.calls.is_empty() => FinishReason::Stop,
            ResponsesEventKind::Completed => FinishReason::ToolCalls,
            ResponsesEventKind::Incomplete => errors::incomplete(response),
            _ => FinishReason::Failed(errors::response(response, event, &self.progress.context)),
        });
    }

    /// JSON that is no event and no response: a failure in words of its own, or a response in an envelope.
    fn foreign(&mut self, text: &str, sink: &mut dyn EventSink) {
        match self.progress.foreign(text, is_response) {
            Foreign::Failed(failure) => self.end = Some(FinishReason::Failed(failure)),
            Foreign::Answer(answer) => {
                if let Ok(response) = serde_json::from_str::<ResponsesResponse<'_>>(&answer) {
                    self.whole(&response, sink);
                }
            }
            Foreign::Nothing => {}
        }
    }

    fn whole(&mut self, response: &ResponsesResponse<'_>, sink: &mut dyn EventSink) {
        for (index, item) in (0..).zip(response.output.iter()) {
            self.done_item(index, item, sink);
        }
        let how = match response.status.some() {
            None | Some("completed") => ResponsesEventKind::Completed,
            Some("incomplete") => ResponsesEventKind::Incomplete,
            Some(_) => ResponsesEventKind::Failed,
        };
        self.end(how, Some(response), &ResponsesEvent::default(), sink);
    }
}

/// The type of an event that the protocol does not have; a failure may hide behind it.
pub(super) fn is_strange(kind: &str) -> bool {
    !kind.starts_with("response.")
        && !kind.starts_with("codex.")
        && !matches!(kind, "error" | "keepalive" | "ping")
}

/// A whole response.
pub(super) fn is_response(value: &Value) -> bool {
    value.get("object").and_then(Value::as_str) == Some("response")
        || value.get("output").is_some_and(Value::is_array)
}

impl Reader for ResponsesReader {
    fn push(&mut self, data: &[u8], sink: &mut dyn EventSink) {
        if self.done() || data.trim_ascii() == b"[DONE]" {
            return;
        }
        let text = latimer_protocol::sse::text(data);
        match serde_json::from_str::<ResponsesEvent<'_>>(&text) {
            Ok(event) if event.kind.some().is_some_and(is_strange) => self.foreign(&text, sink),
            Ok(event) if event.kind.some().is_some() => {
                self.event(&event, sink);
                if self.end == Some(FinishReason::ContentFilter) {
                    self.progress.filtered(&text);
                }
            }
            Ok(event) if event.error.is_some() => {
                self.end = Some(FinishReason::Failed(errors::event(&event, &self.progress.context)));
            }
            Ok(_) => match serde_json::from_str::<ResponsesResponse<'_>>(&text) {
                Ok(response) if response.object.some() == Some("response") => {
                    self.whole(&response, sink);
                    if self.end == Some(FinishReason::ContentFilter) {
                        self.progress.filtered(&text);
                    }
                }
                _ => self.foreign(&text, sink),
            },
            Err(_) if text.trim().is_empty() => {}
            Err(_) => self.progress.unreadable_line(&text, sink),
        }
    }

    fn error(&mut self, data: &[u8], sink: &mut dyn EventSink) {
        self.push(data, sink);
        if !self.done() {
            let failure = self.progress.failure_in_words(&latimer_protocol::sse::text(data));
            self.end = Some(FinishReason::Failed(failure));
        }
    }

    fn stray(&mut self, text: &[u8]) {
        self.progress.stray(&latimer_protocol::sse::text(text));
    }

    fn done(&self) -> bool {
        self.end.is_some()
    }

    fn finish(mut self: Box<Self>, end: BodyEnd, sink: &mut dyn EventSink) {
        let reason = match (self.end.take(), end) {
            (Some(reason), _) => reason,
            (None, BodyEnd::Broken(failure)) => FinishReason::Failed(failure),
            (None, BodyEnd::Clean) => FinishReason::Failed(self.progress.interrupted("a Responses stream")),
        };
        if reason == FinishReason::ContentFilter {
            self.progress.explain(sink);
        }
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
