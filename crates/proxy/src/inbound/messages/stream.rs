//! Turn events to the events of a Messages stream, and to one message. Pure.
//!
//! Invariant: blocks do not overlap, and their indexes have no gaps; there is exactly one terminal event (`message_stop` or
//! `error`), and nothing after it.
//! Invariant: the block of a call only ends when its arguments are one JSON object. Clients run what has ended; a call that
//! was cut has no end and is lost, as measured. A delta allocates nothing but room for its bytes.

use latimer_protocol::failure::Failure;
use latimer_protocol::turn::{EventSink, FinishReason, TurnEvent, Usage};

use super::content_blocks::ContentBlocks;
use super::message::{MessageEnd, MessageEnvelope, usage_json};
use super::passthrough::MessagesPassthrough;
use crate::inbound::writer::answer::Answer;
use crate::inbound::writer::calls::{CallIdRule, broken_call};
use crate::inbound::writer::sequencer::CallDelivery;
use crate::inbound::writer::{AnswerPhase, ClientWriter, WriterSeed, WriterState, argument_bytes};

const CALL_IDS: CallIdRule = CallIdRule { prefix: "toolu_", max_bytes: 64, visible_ascii: false };

/// How one message is wanted.
#[derive(Debug, Clone, Default)]
pub struct MessagesWriterOptions {
    /// The model, as the client asked for it.
    pub model: String,
    /// Events are wanted, not one object at the end.
    pub stream: bool,
    /// A rough count of the input's tokens, for upstreams that do not count.
    pub input_tokens: u64,
    /// Texts that end the answer.
    pub stops: Vec<String>,
}

/// Writes one message.
pub struct MessagesWriter {
    seed: WriterSeed,
    stream: bool,
    envelope: MessageEnvelope,
    state: WriterState,
    blocks: ContentBlocks,
    failure: Option<Failure>,
    /// The message at its end, or the error.
    whole: Vec<u8>,
}

impl MessagesWriter {
    /// A writer for one message. Nothing is written before the first item or count.
    pub fn new(mut seed: WriterSeed, options: MessagesWriterOptions) -> Self {
        let MessagesWriterOptions { model, stream, input_tokens, stops } = options;
        Self {
            state: WriterState::new(CallDelivery::Streamed, CALL_IDS, &mut seed, input_tokens),
            blocks: ContentBlocks::new(&seed, stops, stream),
            envelope: MessageEnvelope::new(&seed, model),
            seed,
            stream,
            failure: None,
            whole: Vec::new(),
        }
    }

    /// The answer by this writer, unless an upstream's own events come. Those only come for a request that wants a stream: one object
    /// is always made by the writer.
    pub fn into_answer(self) -> Answer {
        let passthrough = MessagesPassthrough::new(self.envelope.clone(), self.seed.seal.clone());
        Answer::with_passthrough(self, passthrough)
    }

    /// `message_start` waits for the first item, or for the count of the input, whichever is first: providers that count early do so
    /// right behind their first event.
    fn begin(&mut self) {
        if self.state.open() {
            let usage = usage_json(self.state.usage, self.state.input(), 0);
            self.envelope.start(&usage, &mut self.blocks.out);
        }
    }

    fn count(&mut self, usage: Usage) {
        self.state.usage = usage;
        if usage.input.is_some() {
            self.begin();
        }
    }

    fn item(&mut self, event: TurnEvent<'_>) {
        self.begin();
        self.blocks.text_bytes += argument_bytes(&event);
        self.state.sequencer.event(event, &mut self.blocks);
        self.end_at_stop_sequence();
    }

    fn finish(&mut self, reason: FinishReason) {
        let cut = match reason {
            FinishReason::Failed(failure) => return self.fail(&failure),
            FinishReason::Length => Some("max_tokens"),
            FinishReason::ContentFilter => Some("refusal"),
            FinishReason::Stop | FinishReason::ToolCalls => None,
        };
        self.begin();
        self.blocks.close_text();
        self.state.sequencer.finish(cut.is_some(), &mut self.blocks);
        self.end_at_stop_sequence();
        if self.is_finished() {
            return;
        }
        self.blocks.close_text();
        match (cut, self.state.sequencer.broken_call()) {
            (Some(cut), _) => self.end(cut, None),
            (None, Some(name)) => self.fail(&broken_call(name)),
            (None, None) => self.end(if self.blocks.calls > 0 { "tool_use" } else { "end_turn" }, None),
        }
    }

    fn end_at_stop_sequence(&mut self) {
        if let Some(stop) = self.blocks.stopped_by.clone() {
            self.end("stop_sequence", Some(&stop));
        }
    }

    fn end(&mut self, reason: &str, stop: Option<&str>) {
        let output = self.state.output(self.blocks.text_bytes);
        let usage = usage_json(self.state.usage, self.state.input(), output);
        let end = MessageEnd { reason, stop, usage: &usage };
        MessageEnvelope::end(end, &mut self.blocks.out);
        if !self.stream {
            self.whole = self.envelope.whole(&self.blocks.finished, end);
        }
        self.state.phase = AnswerPhase::Finished;
    }
}

impl ClientWriter for MessagesWriter {
    fn out(&self) -> &[u8] {
        &self.blocks.out
    }

    fn out_mut(&mut self) -> &mut Vec<u8> {
        &mut self.blocks.out
    }

    fn is_finished(&self) -> bool {
        self.state.is_finished()
    }

    fn keep_alive(&mut self) {
        if !self.is_finished() {
            self.begin();
            self.blocks.out.extend_from_slice(b"event: ping\ndata: {\"type\":\"ping\"}\n\n");
        }
    }

    /// Text that is open is kept by the client, a call is not.
    fn write_failure(&mut self, failure: &Failure) {
        self.state.sequencer.abandon(&mut self.blocks);
        self.blocks.close_text();
        self.whole = self.envelope.error(failure, &mut self.blocks.out);
        self.failure = Some(failure.clone());
        self.state.phase = AnswerPhase::Finished;
    }

    fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    fn take_object(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.whole)
    }
}

impl EventSink for MessagesWriter {
    fn event(&mut self, event: TurnEvent<'_>) {
        if !self.state.accepts(&event) {
            return;
        }
        match event {
            TurnEvent::Usage(usage) => self.count(usage),
            TurnEvent::Finished(reason) => self.finish(reason),
            // Frames pass beside the writer.
            TurnEvent::Started | TurnEvent::Note(_) | TurnEvent::Frame(_) => {}
            item => self.item(item),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(events: &[TurnEvent<'_>]) -> String {
        let options =
            MessagesWriterOptions { stops: vec!["END".to_owned()], ..MessagesWriterOptions::default() };
        let mut writer = MessagesWriter::new(WriterSeed::default(), options);
        for event in events {
            writer.event(event.clone());
        }
        let bytes = writer.take();
        assert_eq!(latimer_protocol::messages::legality::check(&bytes), Vec::<String>::new());
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn the_count_of_the_input_begins_the_message() {
        let mut writer = MessagesWriter::new(WriterSeed::default(), MessagesWriterOptions::default());
        writer.event(TurnEvent::Started);
        writer.event(TurnEvent::Usage(Usage { output: Some(1), ..Usage::default() }));
        assert!(writer.out().is_empty());
        writer.event(TurnEvent::Usage(Usage { input: Some(9), ..Usage::default() }));
        assert!(String::from_utf8_lossy(writer.out()).contains("\"input_tokens\":9"));
    }

    #[test]
    fn a_stop_sequence_ends_the_message_before_the_upstream_does() {
        let text = written(&[
            TurnEvent::Text("a END"),
            TurnEvent::Text("b"),
            TurnEvent::Finished(FinishReason::Length),
        ]);
        assert!(text.contains("\"stop_reason\":\"stop_sequence\",\"stop_sequence\":\"END\""), "{text}");
    }

    #[test]
    fn a_broken_call_is_an_error() {
        let text = written(&[
            TurnEvent::CallStarted { slot: 0, id: None, name: "Bash" },
            TurnEvent::CallArguments { slot: 0, json: "{" },
            TurnEvent::CallEnded { slot: 0 },
            TurnEvent::Text("dropped"),
            TurnEvent::Finished(FinishReason::ToolCalls),
        ]);
        assert!(
            text.contains("event: error") && text.contains("`Bash`") && !text.contains("dropped"),
            "{text}"
        );
    }
}
