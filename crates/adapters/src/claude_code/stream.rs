//! Lines of one turn of Claude Code to turn events. Pure.
//!
//! The text is that of the stream alone: an error of the model also comes as a message, which nobody may take for an answer (fixture
//! agents/claude_code/error-429.jsonl). `result` ends the turn.

use latimer_protocol::failure::{Failure, FailureKind, UNEXPLAINED};
use latimer_protocol::turn::{EventSink, FinishReason, StreamNote, TurnEvent, Usage};
use serde_json::value::RawValue;

use super::line::{Block, ClaudeLine, ClaudeTokens, StreamEvent};
use crate::agents::refusal::Refusal;
use crate::agents::settings::Activity;
use crate::agents::turn_end::TurnEnding;
use crate::reader::{BodyEnd, Progress, Reader, ReaderContext};

/// Reads one turn.
pub struct ClaudeCodeReader {
    progress: Progress,
    activity: Activity,
    shape: AnswerShape,
    has_text: bool,
    end: TurnEnding,
}

/// What the client is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerShape {
    /// The text as it comes.
    Text,
    /// The object that fits the schema, which comes at the end.
    Structured,
}

impl ClaudeCodeReader {
    /// A reader for one turn.
    pub fn new(context: ReaderContext, activity: Activity, shape: AnswerShape) -> Self {
        let progress = Progress::new(context);
        Self { progress, activity, shape, has_text: false, end: TurnEnding::default() }
    }

    fn line(&mut self, line: &ClaudeLine<'_>, sink: &mut dyn EventSink) {
        match line.kind.some().unwrap_or_default() {
            "stream_event" => {
                // What a helper says is not the answer.
                if let (Some(event), None) = (&line.event.0, line.parent_tool_use_id.some()) {
                    self.event(event, sink);
                }
            }
            "result" => self.over(line, sink),
            "system"
            | "assistant"
            | "user"
            | "control_request"
            | "control_response"
            | "control_cancel_request"
            | "rate_limit_event" => self.progress.begin(sink),
            _ => sink.event(TurnEvent::Note(StreamNote::UnknownEvent.into())),
        }
    }

    fn event(&mut self, event: &StreamEvent<'_>, sink: &mut dyn EventSink) {
        self.progress.begin(sink);
        if let Some(delta) = &event.delta.0 {
            if let Some(text) = delta.text.some()
                && self.shape == AnswerShape::Text
            {
                self.has_text = true;
                sink.event(TurnEvent::Text(text));
            }
            if let Some(text) = delta.thinking.some() {
                sink.event(TurnEvent::Reasoning(text));
            }
        }
        if let Some(block) = &event.content_block.0 {
            self.block(block, sink);
        }
    }

    fn block(&mut self, block: &Block<'_>, sink: &mut dyn EventSink) {
        match block.kind.some() {
            // A text stands apart from what was said before a tool worked.
            Some("text") if self.has_text => sink.event(TurnEvent::Text("\n\n")),
            Some("tool_use" | "server_tool_use") => {
                let name = block.name.some().unwrap_or("a tool");
                // The answer's own shape is a tool too, which does nothing.
                if name == "StructuredOutput" {
                    return;
                }
                self.end.has_acted = true;
                if self.activity == Activity::Summary {
                    sink.event(TurnEvent::Reasoning(&format!("{name}\n")));
                }
            }
            _ => {}
        }
    }

    fn over(&mut self, line: &ClaudeLine<'_>, sink: &mut dyn EventSink) {
        self.progress.begin(sink);
        if let Some(tokens) = line.usage.0 {
            sink.event(TurnEvent::Usage(usage(&tokens)));
        }
        let subtype = line.subtype.some().unwrap_or_default();
        if line.is_error || subtype.starts_with("error") {
            self.end.finish = Some(FinishReason::Failed(self.failed(line)));
            return;
        }
        let text = match self.shape {
            AnswerShape::Structured => line.structured_output.map(RawValue::get).or(line.result.some()),
            AnswerShape::Text => line.result.some(),
        };
        if let (false, Some(text)) = (self.has_text, text) {
            sink.event(TurnEvent::Text(text));
        }
        self.end.finish = Some(match line.stop_reason.some() {
            Some("max_tokens") => FinishReason::Length,
            Some("refusal") => FinishReason::ContentFilter,
            _ => FinishReason::Stop,
        });
    }

    fn failed(&self, line: &ClaudeLine<'_>) -> Failure {
        let ReaderContext { endpoint, model, .. } = &self.progress.context;
        let errors = line.errors.and_then(|errors| serde_json::from_str::<Vec<String>>(errors.get()).ok());
        let errors = errors.unwrap_or_default().join("; ");
        let words = line.result.some().unwrap_or(&errors);
        let words = if words.is_empty() { line.subtype.some().unwrap_or("no reason") } else { words };
        let status = line.api_error_status.0.and_then(|status| u16::try_from(status).ok());
        if status.is_none() && line.subtype.some() == Some("error_max_turns") {
            return Failure::new(FailureKind::BadRequest, format!("{endpoint}: {words}"));
        }
        let failure = Refusal { words, status, endpoint, model, login: "claude" }.failure();
        // How it ends a turn that was interrupted, in words that mean nothing to anybody.
        if line.subtype.some() == Some("error_during_execution") && failure.cause == Some(UNEXPLAINED) {
            return Failure { kind: FailureKind::Interrupted, ..failure };
        }
        failure
    }
}

/// Input tokens are told without those of the cache.
fn usage(tokens: &ClaudeTokens) -> Usage {
    let count = |count: latimer_protocol::lenient::LenientCount| count.0;
    let (cached, cache_write) =
        (count(tokens.cache_read_input_tokens), count(tokens.cache_creation_input_tokens));
    let sum = |input: u64| input.saturating_add(cached.unwrap_or(0)).saturating_add(cache_write.unwrap_or(0));
    Usage {
        input: count(tokens.input_tokens).map(sum),
        cached,
        cache_write,
        output: count(tokens.output_tokens),
        reasoning: None,
    }
}

impl Reader for ClaudeCodeReader {
    fn push(&mut self, data: &[u8], sink: &mut dyn EventSink) {
        if let Some(line) = self.end.line::<ClaudeLine<'_>>(data, sink) {
            self.line(&line, sink);
        }
    }

    fn done(&self) -> bool {
        self.end.finish.is_some()
    }

    fn finish(self: Box<Self>, end: BodyEnd, sink: &mut dyn EventSink) {
        self.end.emit(&self.progress, end, "one of Claude Code", sink);
    }
}
