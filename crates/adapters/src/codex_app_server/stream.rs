//! Notifications of one turn to turn events. Pure.
//!
//! Deltas go straight through. A message that came without any is said when it is whole. What the tokens of a thread are is counted
//! over its whole life, so those of a turn are a difference: from what stood before the turn's first request (fixtures
//! agents/codex_app_server/two-requests.jsonl, resumed-thread.jsonl).

use latimer_protocol::failure::{Failure, FailureKind};
use latimer_protocol::turn::{EventSink, FinishReason, TurnEvent, Usage};
use serde_json::Value;
use serde_json::value::RawValue;

use super::line::{Item, Params, TokenUsage, Turn, TurnLine, is_tool};
use crate::agents::codex::errors;
use crate::agents::settings::Activity;
use crate::agents::turn_end::TurnEnding;
use crate::reader::{BodyEnd, Progress, Reader, ReaderContext, slot_number};

/// Reads one turn.
pub struct AppServerReader {
    progress: Progress,
    activity: Activity,
    /// The message that is shown.
    message: String,
    /// Messages that were shown before it.
    messages_before: Vec<String>,
    /// Something was shown: the next message stands apart.
    has_text: bool,
    thoughts: Thoughts,
    /// The tokens of the thread before this turn's first request.
    before: Option<[u64; 5]>,
    calls: usize,
    end: TurnEnding,
}

/// Which thoughts are shown, and whether there were some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Thoughts {
    None,
    /// Summaries; thoughts as they are would say the same again.
    Summary,
    Raw,
}

impl AppServerReader {
    /// A reader for one turn.
    pub fn new(context: ReaderContext, activity: Activity) -> Self {
        Self {
            progress: Progress::new(context),
            activity,
            message: String::new(),
            messages_before: Vec::new(),
            has_text: false,
            thoughts: Thoughts::None,
            before: None,
            calls: 0,
            end: TurnEnding::default(),
        }
    }

    fn line(&mut self, line: &TurnLine<'_>, sink: &mut dyn EventSink) {
        let Some(params) = &line.params.0 else { return };
        match line.method.some().unwrap_or_default() {
            "item/agentMessage/delta" => {
                if let Some(text) = params.delta.some() {
                    self.text(params.item_id.some().unwrap_or_default(), text, sink);
                }
            }
            "item/reasoning/summaryTextDelta" => self.thought(Thoughts::Summary, params, sink),
            "item/reasoning/textDelta" => self.thought(Thoughts::Raw, params, sink),
            "item/reasoning/summaryPartAdded" => {
                if self.thoughts == Thoughts::Summary {
                    sink.event(TurnEvent::Reasoning("\n\n"));
                }
            }
            "item/started" => {
                if let Some(item) = &params.item.0 {
                    self.started(item, sink);
                }
            }
            "item/completed" => {
                if let Some(item) = &params.item.0 {
                    self.completed(item, sink);
                }
            }
            "thread/tokenUsage/updated" => {
                if let Some(usage) = &params.token_usage.0 {
                    self.usage(usage, sink);
                }
            }
            "error" if !params.will_retry => self.end.failure = params.error.map(|error| self.failed(error)),
            "item/tool/call" => self.call(params, sink),
            "latimer/file" => {
                if let Some(text) = params.text.some() {
                    self.text("latimer/file", text, sink);
                }
            }
            "turn/completed" => {
                if let Some(turn) = &params.turn.0 {
                    self.over(turn, sink);
                }
            }
            // Signs of life, plans, settings: nothing of the answer.
            _ => self.progress.begin(sink),
        }
    }

    fn text(&mut self, item: &str, text: &str, sink: &mut dyn EventSink) {
        self.progress.begin(sink);
        if self.message != item {
            let before = std::mem::replace(&mut self.message, item.to_owned());
            self.messages_before.push(before);
            if self.has_text {
                sink.event(TurnEvent::Text("\n\n"));
            }
        }
        self.has_text = true;
        sink.event(TurnEvent::Text(text));
    }

    fn thought(&mut self, kind: Thoughts, params: &Params<'_>, sink: &mut dyn EventSink) {
        if self.thoughts == Thoughts::None {
            self.thoughts = kind;
        }
        if let (true, Some(text)) = (self.thoughts == kind, params.delta.some()) {
            self.progress.begin(sink);
            sink.event(TurnEvent::Reasoning(text));
        }
    }

    fn started(&mut self, item: &Item<'_>, sink: &mut dyn EventSink) {
        self.progress.begin(sink);
        let kind = item.kind.some().unwrap_or_default();
        if !is_tool(kind) {
            return;
        }
        self.end.has_acted = true;
        if self.activity == Activity::Summary {
            let what = item.command.some().or(item.tool.some()).or(item.query.some()).unwrap_or_default();
            sink.event(TurnEvent::Reasoning(&format!("{kind}: {what}\n")));
        }
    }

    fn completed(&mut self, item: &Item<'_>, sink: &mut dyn EventSink) {
        if item.kind.some() != Some("agentMessage") {
            return;
        }
        if let (Some(id), Some(text)) = (item.id.some(), item.text.some())
            && self.message != id
            && !self.messages_before.iter().any(|shown| shown == id)
        {
            self.text(id, text, sink);
        }
    }

    fn usage(&mut self, usage: &TokenUsage, sink: &mut dyn EventSink) {
        let Some(total) = usage.total.0 else { return };
        let total = total.counts();
        let last = usage.last.0.unwrap_or_default().counts();
        let before = *self
            .before
            .get_or_insert_with(|| std::array::from_fn(|place| total[place].saturating_sub(last[place])));
        let [input, cached, cache_write, output, reasoning] =
            std::array::from_fn(|place| Some(total[place].saturating_sub(before[place])));
        sink.event(TurnEvent::Usage(Usage { input, cached, cache_write, output, reasoning }));
    }

    /// A tool of the client is called: the arguments come whole.
    fn call(&mut self, params: &Params<'_>, sink: &mut dyn EventSink) {
        let Some(name) = params.tool.some() else { return };
        self.progress.begin(sink);
        let slot = slot_number(self.calls);
        self.calls += 1;
        let name = self.progress.context.names.client_name(name);
        sink.event(TurnEvent::CallStarted { slot, id: params.call_id.some(), name });
        sink.event(TurnEvent::CallArguments { slot, json: params.arguments.map_or("{}", RawValue::get) });
        sink.event(TurnEvent::CallEnded { slot });
    }

    fn failed(&self, error: &RawValue) -> Failure {
        let ReaderContext { endpoint, model, .. } = &self.progress.context;
        let error = serde_json::from_str::<Value>(error.get()).unwrap_or(Value::Null);
        errors::of_error(&error, endpoint, model)
    }

    fn over(&mut self, turn: &Turn<'_>, sink: &mut dyn EventSink) {
        self.progress.begin(sink);
        self.end.finish = Some(match turn.status.some() {
            Some("completed") => {
                if !self.has_text
                    && let Some(item) = turn.items.iter().rfind(|item| item.text.some().is_some())
                {
                    self.completed(item, sink);
                }
                FinishReason::Stop
            }
            Some("interrupted") => FinishReason::Failed(
                self.progress.failure(FailureKind::Interrupted, "the turn was interrupted"),
            ),
            _ => {
                let failure = turn.error.map(|error| self.failed(error)).or(self.end.failure.take());
                let failure = failure.unwrap_or_else(|| {
                    self.progress.failure(FailureKind::UpstreamError, "the turn failed without a reason")
                });
                self.limit(failure)
            }
        });
    }

    /// A limit of the model is how an answer ends, where there is one.
    fn limit(&self, failure: Failure) -> FinishReason {
        match () {
            () if failure.message.contains("max_output_tokens") && self.has_text => FinishReason::Length,
            () if failure.message.contains("content_filter") && self.has_text => FinishReason::ContentFilter,
            () => FinishReason::Failed(failure),
        }
    }
}

impl Reader for AppServerReader {
    fn push(&mut self, data: &[u8], sink: &mut dyn EventSink) {
        if let Some(line) = self.end.line::<TurnLine<'_>>(data, sink) {
            if line.method.some() == Some("latimer/parked") {
                self.end.finish = Some(FinishReason::ToolCalls);
            } else {
                self.line(&line, sink);
            }
        }
    }

    fn done(&self) -> bool {
        self.end.finish.is_some()
    }

    fn finish(self: Box<Self>, end: BodyEnd, sink: &mut dyn EventSink) {
        self.end.emit(&self.progress, end, "one of `codex app-server`", sink);
    }
}
