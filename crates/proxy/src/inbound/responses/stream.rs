//! Turn events to the events of a Responses stream, and to one response. Pure.
//!
//! Invariant: items do not overlap; sequence numbers have no gaps; there is exactly one terminal event, and nothing after it.
//! Invariant: a call is only done when its arguments are whole. A text delta allocates nothing.

use bytes::Bytes;
use latimer_protocol::failure::Failure;
use latimer_protocol::turn::{EventSink, FinishReason, TurnEvent};

use super::error::{Shown, stream_code, stream_message};
pub use super::object::ResponsesWriterOptions;
use super::object::{Echo, ResponseObject, Snapshot, usage_json};
use super::output_items::OutputItems;
use super::passthrough::ResponsesPassthrough;
use crate::inbound::wire::json::push_string;
use crate::inbound::wire::rope::Rope;
use crate::inbound::wire::tool_map::ToolMap;
use crate::inbound::writer::answer::Answer;
use crate::inbound::writer::calls::{CallIdRule, broken_call};
use crate::inbound::writer::sequencer::CallDelivery;
use crate::inbound::writer::{
    AnswerPhase, ClientWriter, StoredResponse, WriterSeed, WriterState, argument_bytes,
};

/// Any id of an upstream is handed on: Codex and the SDKs send it back as it is.
const CALL_IDS: CallIdRule = CallIdRule { prefix: "call_", max_bytes: usize::MAX, visible_ascii: false };

/// A whole stream that fails at once.
pub fn failed_stream(seed: WriterSeed, failure: &Failure) -> Vec<u8> {
    let options = ResponsesWriterOptions { stream: true, ..ResponsesWriterOptions::default() };
    let mut writer = ResponsesWriter::new(seed, options, &Echo::default(), ToolMap::default());
    writer.fail(failure);
    writer.take()
}

/// Writes one response.
pub struct ResponsesWriter {
    seed: WriterSeed,
    options: ResponsesWriterOptions,
    state: WriterState,
    items: OutputItems,
    object: ResponseObject,
    /// Unix time of the end, in seconds.
    now: u64,
    /// The summary so far, of a compaction.
    summary: String,
    /// The response at its end.
    whole: Rope,
}

impl ResponsesWriter {
    /// A writer for one response. Nothing is written before the first event.
    pub fn new(mut seed: WriterSeed, options: ResponsesWriterOptions, echo: &Echo, tools: ToolMap) -> Self {
        Self {
            state: WriterState::new(CallDelivery::Streamed, CALL_IDS, &mut seed, options.input_tokens),
            items: OutputItems::new(&seed, tools),
            object: ResponseObject::new(&format!("resp_{}", seed.hex()), seed.created_at, echo),
            now: seed.created_at,
            summary: String::new(),
            whole: Rope::default(),
            seed,
            options,
        }
    }

    /// The answer by this writer, unless an upstream's own events come.
    pub fn into_answer(self) -> Answer {
        let passthrough = ResponsesPassthrough::new(&self.seed, self.options);
        Answer::with_passthrough(self, passthrough)
    }

    fn begin(&mut self) {
        if self.state.open() {
            self.in_progress("response.created");
            self.in_progress("response.in_progress");
        }
    }

    fn finish(&mut self, reason: FinishReason) {
        self.begin();
        let cut = match reason {
            FinishReason::Failed(failure) => return self.fail(&failure),
            FinishReason::Stop if self.options.compaction => return self.compacted(),
            FinishReason::Stop | FinishReason::ToolCalls => None,
            FinishReason::Length => Some("max_output_tokens"),
            FinishReason::ContentFilter => Some("content_filter"),
        };
        let client = self.seed.client;
        let had_items = self.items.has_answer();
        let is_incomplete = cut.is_some() && !client.fails_incomplete_responses;
        self.items.close_text(if is_incomplete { "incomplete" } else { "completed" });
        self.state.sequencer.finish(cut.is_some(), &mut self.items);
        self.items.close_text("completed");
        let broken = self.state.sequencer.broken_call();
        match (cut, broken) {
            (Some(_), None) if client.fails_incomplete_responses && had_items => {
                self.terminal("response.completed", "completed", None, None);
            }
            (Some(reason), _) => self.terminal("response.incomplete", "incomplete", None, Some(reason)),
            (None, Some(name)) => {
                let failure = broken_call(self.items.client_name(name));
                self.fail(&failure);
            }
            (None, None) => self.terminal("response.completed", "completed", None, None),
        }
    }

    /// One item that stands for the history.
    fn compacted(&mut self) {
        self.items.compaction(&super::compact::carrier(&self.summary, &self.seed.seal));
        self.terminal("response.completed", "completed", None, None);
    }

    fn in_progress(&mut self, name: &'static str) {
        let object = &self.object;
        self.items.events.event(name, |out| {
            out.push(b",\"response\":");
            object.write(out, &Snapshot { status: "in_progress", ..Snapshot::default() });
        });
    }

    fn terminal(&mut self, name: &'static str, status: &str, error: Option<&str>, incomplete: Option<&str>) {
        // Codex decides by the usage when to compact, so it is never missing.
        let output = self.state.output(self.items.text_bytes);
        let usage = usage_json(self.state.usage, self.state.input(), output);
        let snapshot = Snapshot {
            status,
            completed_at: (status == "completed").then_some(self.now.max(self.seed.created_at)),
            error,
            incomplete,
            output: Some(&self.items.finished),
            usage: Some(&usage),
        };
        self.object.write(&mut self.whole, &snapshot);
        let whole = &self.whole;
        self.items.events.event(name, |out| {
            out.push(b",\"response\":");
            out.share(whole);
        });
        self.items.events.done();
        self.state.phase = AnswerPhase::Finished;
    }
}

impl ClientWriter for ResponsesWriter {
    fn out(&self) -> &[u8] {
        self.items.events.out.tail()
    }

    fn out_mut(&mut self) -> &mut Vec<u8> {
        self.items.events.out.tail_mut()
    }

    fn pieces_before_out(&self) -> usize {
        self.items.events.out.pieces()
    }

    fn pop(&mut self) -> Option<Bytes> {
        self.items.events.out.pop()
    }

    fn is_finished(&self) -> bool {
        self.state.is_finished()
    }

    fn set_time(&mut self, now: u64) {
        self.now = now;
    }

    /// Codex counts only typed events as a sign of life.
    fn keep_alive(&mut self) {
        match self.state.phase {
            AnswerPhase::Waiting => self.begin(),
            AnswerPhase::Open => self.in_progress("response.in_progress"),
            AnswerPhase::Finished => {}
        }
    }

    fn say_wait(&mut self, words: &str) {
        if !self.state.is_finished() {
            self.begin();
            self.items.wait(words);
        }
    }

    /// What is open is closed: text as completed or incomplete, a call as broken.
    fn write_failure(&mut self, failure: &Failure) {
        self.begin();
        self.state.sequencer.abandon(&mut self.items);
        self.items.close_text("incomplete");
        let has_own_codes = self.seed.client.has_own_error_table;
        let shown = if self.items.has_answer() { Shown::Part } else { Shown::Nothing };
        let mut error = b"{\"code\":".to_vec();
        push_string(&mut error, stream_code(failure.kind, has_own_codes, shown));
        error.extend_from_slice(b",\"message\":");
        push_string(&mut error, &stream_message(failure, has_own_codes, shown));
        error.push(b'}');
        let error = String::from_utf8(error).unwrap_or_default();
        self.terminal("response.failed", "failed", Some(&error), None);
    }

    fn stored(&self) -> Option<StoredResponse> {
        self.is_finished().then(|| StoredResponse {
            id: format!("resp_{}", self.seed.hex()),
            output: self.items.finished.clone(),
            response: self.whole.clone(),
        })
    }

    fn take_object(&mut self) -> Vec<u8> {
        self.take_object_pieces().into_vec()
    }

    fn take_object_pieces(&mut self) -> Rope {
        std::mem::take(&mut self.whole)
    }
}

impl EventSink for ResponsesWriter {
    fn event(&mut self, event: TurnEvent<'_>) {
        if !self.state.accepts(&event) {
            return;
        }
        match event {
            TurnEvent::Started => self.begin(),
            TurnEvent::Usage(usage) => self.state.usage = usage,
            TurnEvent::Finished(reason) => self.finish(reason),
            // Frames pass beside the writer.
            TurnEvent::Note(_) | TurnEvent::Frame(_) => {}
            TurnEvent::Text(text) | TurnEvent::Refusal(text) if self.options.compaction => {
                self.begin();
                self.items.text_bytes += text.len() as u64;
                self.summary.push_str(text);
            }
            item => {
                self.items.text_bytes += argument_bytes(&item);
                self.begin();
                self.state.sequencer.event(item, &mut self.items);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbound::client_behaviour::{ANY_CLIENT, CODEX, ClientBehaviour};

    fn last_event(client: &'static ClientBehaviour, events: &[TurnEvent<'_>]) -> String {
        let seed = WriterSeed { client, ..WriterSeed::default() };
        let mut writer = ResponsesWriter::new(
            seed,
            ResponsesWriterOptions::default(),
            &Echo::default(),
            ToolMap::default(),
        );
        for event in events {
            writer.event(event.clone());
        }
        let bytes = writer.take();
        assert_eq!(latimer_protocol::responses::legality::check(&bytes), Vec::<String>::new());
        let text = String::from_utf8(bytes).expect("text");
        let last = text.lines().filter_map(|line| line.strip_prefix("event: ")).next_back();
        last.unwrap_or_default().to_owned()
    }

    #[test]
    fn an_answer_that_was_cut_is_completed_for_a_client_that_would_fail_it() {
        let refused = [TurnEvent::Refusal("no"), TurnEvent::Finished(FinishReason::ContentFilter)];
        assert_eq!(last_event(&CODEX, &refused), "response.completed");
        assert_eq!(last_event(&ANY_CLIENT, &refused), "response.incomplete");
        let cut = [TurnEvent::Text("half"), TurnEvent::Finished(FinishReason::Length)];
        assert_eq!(last_event(&CODEX, &cut), "response.completed");
        assert_eq!(last_event(&ANY_CLIENT, &cut), "response.incomplete");
        assert_eq!(last_event(&CODEX, &cut[1..]), "response.incomplete");
    }

    #[test]
    fn a_wait_is_an_item_of_its_own_and_no_part_of_the_answer() {
        let seed = WriterSeed { client: &CODEX, ..WriterSeed::default() };
        let mut writer = ResponsesWriter::new(
            seed,
            ResponsesWriterOptions::default(),
            &Echo::default(),
            ToolMap::default(),
        );
        writer.say_wait("latimer waits for 30 s: lab asked for it");
        writer.event(TurnEvent::Started);
        writer.event(TurnEvent::Text("Here."));
        writer.event(TurnEvent::Finished(FinishReason::Stop));
        writer.say_wait("too late");
        let bytes = writer.take();
        assert_eq!(latimer_protocol::responses::legality::check(&bytes), Vec::<String>::new());
        let text = String::from_utf8(bytes).expect("text");
        assert!(
            text.contains("\"response.reasoning_summary_text.delta\"") && text.contains("lab asked for it")
        );
        assert!(text.contains("\"encrypted_content\":\"latimer.wait\"") && !text.contains("too late"));
        let failed = |waits| {
            let seed = WriterSeed { client: &CODEX, ..WriterSeed::default() };
            let options = ResponsesWriterOptions::default();
            let mut writer = ResponsesWriter::new(seed, options, &Echo::default(), ToolMap::default());
            if waits {
                writer.say_wait("latimer waits");
            }
            writer.fail(&Failure::new(latimer_protocol::failure::FailureKind::Overloaded, "lab: busy"));
            let bytes = writer.take();
            assert_eq!(latimer_protocol::responses::legality::check(&bytes), Vec::<String>::new());
            String::from_utf8(bytes).expect("text")
        };
        for waits in [true, false] {
            assert!(failed(waits).contains("\"code\":\"invalid_prompt\""), "nothing was answered");
        }
    }

    #[test]
    fn a_summary_is_one_item() {
        let options = ResponsesWriterOptions { compaction: true, ..ResponsesWriterOptions::default() };
        let mut writer =
            ResponsesWriter::new(WriterSeed::default(), options, &Echo::default(), ToolMap::default());
        writer.event(TurnEvent::Text("so far"));
        writer.event(TurnEvent::Finished(FinishReason::Stop));
        let stored = writer.stored().expect("over");
        let item: serde_json::Value = serde_json::from_slice(&stored.output.into_vec()).expect("one item");
        assert_eq!(item["type"], "compaction");
        assert!(!String::from_utf8_lossy(&writer.take()).contains("so far"), "sealed");
    }
}
