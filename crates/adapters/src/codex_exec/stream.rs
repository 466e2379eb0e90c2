//! Events of `codex exec --json` to turn events. Pure.
//!
//! Messages come whole. The last one is the answer; what stands before it is said too, as it came. `error` alone ends nothing: it also
//! tells of a new try (fixture `agents/codex_exec/reconnecting.jsonl`). Behind Codex's own lines stands one of ours, which says how the
//! process ended (`latimer/exit`).

use std::borrow::Cow;

use latimer_protocol::failure::{Failure, FailureKind};
use latimer_protocol::turn::{EventSink, FinishReason, StreamNote, TurnEvent, Usage};
use serde::Deserialize;

use crate::agents::codex::errors;
use crate::agents::settings::Activity;
use crate::agents::turn_end::TurnEnding;
use crate::reader::{BodyEnd, Progress, Reader, ReaderContext};

/// One event of Codex, or the line about the end of its process.
#[derive(Debug, Deserialize)]
struct ExecEvent<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    item: Option<ExecItem<'a>>,
    #[serde(borrow, default)]
    error: Option<ExecError<'a>>,
    #[serde(borrow, default)]
    message: Option<Cow<'a, str>>,
    #[serde(default)]
    usage: Option<ExecUsage>,
    /// Of the end: in words, as in `exit code 1`.
    #[serde(borrow, default)]
    exit: Option<Cow<'a, str>>,
    /// Of the end: whether it was a good one.
    #[serde(default)]
    success: bool,
    /// Of the end: what the file of the last message holds; absent where there is no file.
    #[serde(borrow, default)]
    answer: Option<Cow<'a, str>>,
}

#[derive(Debug, Deserialize)]
struct ExecItem<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    command: Option<Cow<'a, str>>,
}

#[derive(Debug, Deserialize)]
struct ExecError<'a> {
    #[serde(borrow, default)]
    message: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
struct ExecUsage {
    #[serde(default)]
    input_tokens: u64,
    #[serde(default)]
    cached_input_tokens: u64,
    #[serde(default)]
    cache_write_input_tokens: u64,
    #[serde(default)]
    output_tokens: u64,
    #[serde(default)]
    reasoning_output_tokens: u64,
}

impl ExecUsage {
    fn to_turn(&self) -> Usage {
        Usage {
            input: Some(self.input_tokens),
            cached: Some(self.cached_input_tokens),
            cache_write: Some(self.cache_write_input_tokens),
            output: Some(self.output_tokens),
            reasoning: Some(self.reasoning_output_tokens),
        }
    }
}

/// Reads one answer.
pub struct CodexExecReader {
    progress: Progress,
    activity: Activity,
    /// Something was said already: the next message stands apart.
    has_text: bool,
    /// What the last `error` or `turn.failed` said.
    words: Option<String>,
    end: TurnEnding,
}

impl CodexExecReader {
    /// A reader for one answer.
    pub fn new(context: ReaderContext, activity: Activity) -> Self {
        Self {
            progress: Progress::new(context),
            activity,
            has_text: false,
            words: None,
            end: TurnEnding::default(),
        }
    }

    fn event(&mut self, event: &ExecEvent<'_>, sink: &mut dyn EventSink) {
        match &*event.kind {
            "thread.started" | "turn.started" => self.progress.begin(sink),
            "item.started" | "item.completed" | "item.updated" => {
                if let Some(item) = &event.item {
                    self.item(item, event.kind == "item.completed", sink);
                }
            }
            "turn.completed" => {
                if let Some(usage) = &event.usage {
                    sink.event(TurnEvent::Usage(usage.to_turn()));
                }
            }
            "error" => self.words = event.message.as_deref().map(str::to_owned),
            "turn.failed" => {
                self.words = event.error.as_ref().map(|error| error.message.clone().into_owned());
            }
            "latimer/exit" => self.exit(event, sink),
            _ => sink.event(TurnEvent::Note(StreamNote::UnknownEvent.into())),
        }
    }

    fn item(&mut self, item: &ExecItem<'_>, is_completed: bool, sink: &mut dyn EventSink) {
        match (&*item.kind, is_completed) {
            ("agent_message", true) => {
                if let Some(text) = item.text.as_deref() {
                    self.text(text, sink);
                }
            }
            ("reasoning", true) => {
                if let Some(text) = item.text.as_deref().filter(|text| !text.is_empty()) {
                    self.progress.begin(sink);
                    sink.event(TurnEvent::Reasoning(text));
                }
            }
            ("command_execution" | "file_change" | "mcp_tool_call", false) => {
                self.end.has_acted = true;
                let what = item.command.as_deref().unwrap_or(&item.kind);
                self.tool(what, sink);
            }
            ("file_change" | "mcp_tool_call", true) => self.end.has_acted = true,
            // Warnings, lists of things to do, and what a command said.
            _ => {}
        }
    }

    fn tool(&mut self, what: &str, sink: &mut dyn EventSink) {
        if self.activity == Activity::Summary {
            self.progress.begin(sink);
            sink.event(TurnEvent::Reasoning(&format!("{what}\n")));
        }
    }

    fn text(&mut self, text: &str, sink: &mut dyn EventSink) {
        if text.is_empty() {
            return;
        }
        self.progress.begin(sink);
        if std::mem::replace(&mut self.has_text, true) {
            sink.event(TurnEvent::Text("\n\n"));
        }
        sink.event(TurnEvent::Text(text));
    }

    /// The process is gone: the file of the last message and its exit decide.
    fn exit(&mut self, event: &ExecEvent<'_>, sink: &mut dyn EventSink) {
        self.end.finish = Some(if let (Some(answer), true) = (&event.answer, event.success) {
            if !self.has_text {
                self.text(answer, sink);
            }
            self.progress.begin(sink);
            FinishReason::Stop
        } else {
            let exit = event.exit.as_deref().unwrap_or("unknown end");
            FinishReason::Failed(self.failure(exit, event.message.as_deref()))
        });
    }

    fn failure(&self, exit: &str, stderr: Option<&str>) -> Failure {
        let ReaderContext { endpoint, model, .. } = &self.progress.context;
        match (&self.words, stderr) {
            (Some(words), _) => errors::of_text(words, endpoint, model),
            (None, Some(words)) => {
                let failure = errors::of_text(words, endpoint, model);
                let said = failure.message.as_str();
                let said =
                    said.strip_prefix(endpoint.as_str()).map_or(said, |rest| rest.trim_start_matches(": "));
                Failure { message: format!("{endpoint}: codex ended with {exit}: {said}").into(), ..failure }
            }
            (None, None) => Failure::new(
                FailureKind::Interrupted,
                format!("{endpoint}: codex ended with {exit} before its answer was whole"),
            ),
        }
    }
}

impl Reader for CodexExecReader {
    fn push(&mut self, data: &[u8], sink: &mut dyn EventSink) {
        if self.end.finish.is_some() {
            return;
        }
        match serde_json::from_slice::<ExecEvent<'_>>(data) {
            Ok(event) => self.event(&event, sink),
            Err(_) => self.progress.unreadable_line(&latimer_protocol::sse::text(data), sink),
        }
    }

    fn done(&self) -> bool {
        self.end.finish.is_some()
    }

    fn finish(self: Box<Self>, end: BodyEnd, sink: &mut dyn EventSink) {
        self.end.emit(&self.progress, end, "one of `codex exec`", sink);
    }
}
