//! Events of one session to turn events. Pure.
//!
//! The person's own words come as parts too, so only those of messages that are the agent's count. An end counts once the server was busy
//! with this turn: an error has two (fixture agents/opencode/error-401.jsonl).

use latimer_protocol::failure::{Failure, FailureKind};
use latimer_protocol::turn::{EventSink, FinishReason, TurnEvent, Usage};
use serde_json::Value;

use super::line::{Event, EventPart, Properties, Status, StepTokens};
use crate::agents::refusal::Refusal;
use crate::agents::settings::Activity;
use crate::agents::turn_end::TurnEnding;
use crate::reader::{BodyEnd, Progress, Reader, ReaderContext};

/// The server tries for ever what it thinks may pass; this many times is enough.
const MAX_TRIES: u64 = 3;

/// Reads one turn.
pub struct OpenCodeReader {
    progress: Progress,
    activity: Activity,
    /// Messages of the agent.
    messages: Vec<String>,
    /// The part that is shown.
    shown: String,
    /// Parts that were shown before it, and tools that are told of.
    shown_before: Vec<String>,
    /// Parts that are thoughts.
    thoughts: Vec<String>,
    /// Something was shown: the next part stands apart.
    has_text: bool,
    server: ServerState,
    usage: Option<Usage>,
    reason: Option<FinishReason>,
    end: TurnEnding,
}

/// What the server does about this turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ServerState {
    /// Nothing yet: an end is that of the turn before.
    Idle,
    /// It works at it.
    Working,
}

impl OpenCodeReader {
    /// A reader for one turn.
    pub fn new(context: ReaderContext, activity: Activity) -> Self {
        Self {
            progress: Progress::new(context),
            activity,
            messages: Vec::new(),
            shown: String::new(),
            shown_before: Vec::new(),
            thoughts: Vec::new(),
            has_text: false,
            server: ServerState::Idle,
            usage: None,
            reason: None,
            end: TurnEnding::default(),
        }
    }

    fn event(&mut self, kind: &str, properties: &Properties<'_>, sink: &mut dyn EventSink) {
        match kind {
            "message.part.delta" => self.delta(properties, sink),
            "message.updated" => {
                if let Some(info) = &properties.info.0
                    && info.role.some() == Some("assistant")
                    && let Some(id) = info.id.some()
                    && !self.is_agents(id)
                {
                    self.messages.push(id.to_owned());
                }
            }
            "message.part.updated" => {
                if let Some(part) = &properties.part.0
                    && part.message.some().is_some_and(|message| self.is_agents(message))
                {
                    self.part(part, sink);
                }
            }
            "session.status" => {
                if let Some(status) = &properties.status.0 {
                    self.status(status, sink);
                }
            }
            "session.error" => self.failed(properties),
            "session.idle" if self.server == ServerState::Working => {
                self.progress.begin(sink);
                // An answer of nothing has at least been counted.
                let is_answer = self.has_text || self.usage.is_some();
                self.end.finish = Some(match self.reason.take() {
                    Some(reason) => reason,
                    None if is_answer => FinishReason::Stop,
                    None => FinishReason::Failed(
                        self.progress.failure(FailureKind::Interrupted, "the turn ended without an answer"),
                    ),
                });
            }
            _ => {}
        }
    }

    fn is_agents(&self, message: &str) -> bool {
        self.messages.iter().any(|known| known == message)
    }

    fn is_shown(&self, part: &str) -> bool {
        self.shown == part || self.shown_before.iter().any(|shown| shown == part)
    }

    fn delta(&mut self, properties: &Properties<'_>, sink: &mut dyn EventSink) {
        let (Some(part), Some(text)) = (properties.part_id.some(), properties.delta.some()) else { return };
        let is_agents = properties.message.some().is_some_and(|message| self.is_agents(message));
        if !is_agents || properties.field.some() != Some("text") {
            return;
        }
        if self.thoughts.iter().any(|thought| thought == part) {
            self.progress.begin(sink);
            sink.event(TurnEvent::Reasoning(text));
        } else {
            self.text(part, text, sink);
        }
    }

    fn text(&mut self, part: &str, text: &str, sink: &mut dyn EventSink) {
        self.progress.begin(sink);
        if self.shown != part {
            let before = std::mem::replace(&mut self.shown, part.to_owned());
            self.shown_before.push(before);
            if self.has_text {
                sink.event(TurnEvent::Text("\n\n"));
            }
        }
        self.has_text = true;
        sink.event(TurnEvent::Text(text));
    }

    fn part(&mut self, part: &EventPart<'_>, sink: &mut dyn EventSink) {
        let id = part.id.some().unwrap_or_default();
        match part.kind.some().unwrap_or_default() {
            "text" => {
                // A part that came without deltas is said when it is whole.
                if let Some(text) = part.text.some()
                    && !self.is_shown(id)
                {
                    self.text(id, text, sink);
                }
            }
            "reasoning" if !self.thoughts.iter().any(|known| known == id) => {
                self.thoughts.push(id.to_owned());
            }
            "tool" => {
                let is_running =
                    part.state.0.as_ref().and_then(|state| state.status.some()) == Some("running");
                if is_running && !self.is_shown(id) {
                    self.end.has_acted = true;
                    self.shown_before.push(id.to_owned());
                    if self.activity == Activity::Summary {
                        let tool = part.tool.some().unwrap_or("a tool");
                        sink.event(TurnEvent::Reasoning(&format!("{tool}\n")));
                    }
                }
            }
            "step-finish" => {
                if let Some(tokens) = &part.tokens.0 {
                    let usage = self.usage.unwrap_or_default().plus(usage(tokens));
                    self.usage = Some(usage);
                    sink.event(TurnEvent::Usage(usage));
                }
                self.reason = match part.reason.some() {
                    Some("length") => Some(FinishReason::Length),
                    Some("content-filter") => Some(FinishReason::ContentFilter),
                    _ => None,
                };
            }
            _ => {}
        }
    }

    fn status(&mut self, status: &Status<'_>, sink: &mut dyn EventSink) {
        match status.kind.some() {
            Some("busy") => {
                self.server = ServerState::Working;
                self.progress.begin(sink);
            }
            Some("retry") if status.attempt.0.unwrap_or(0) >= MAX_TRIES => {
                let words = status.message.some().unwrap_or("the model does not answer");
                self.end.finish = Some(FinishReason::Failed(self.tried_in_vain(words)));
            }
            _ => {}
        }
    }

    /// The server has tried again what it thinks may pass: unknown words mean that, too.
    fn tried_in_vain(&self, words: &str) -> Failure {
        let ReaderContext { endpoint, model, .. } = &self.progress.context;
        let failure = Refusal { words, status: None, endpoint, model, login: "opencode" }.failure();
        let kind = if failure.is_for_later() { FailureKind::Overloaded } else { failure.kind };
        let message = format!("{} (tried {MAX_TRIES} times)", failure.message.as_str());
        Failure { message: message.into(), cause: None, kind, ..failure }
    }

    fn failed(&mut self, properties: &Properties<'_>) {
        let error: Value =
            properties.error.and_then(|error| serde_json::from_str(error.get()).ok()).unwrap_or_default();
        let ReaderContext { endpoint, model, .. } = &self.progress.context;
        let name = error["name"].as_str().unwrap_or_default();
        let words = error["data"]["message"].as_str().unwrap_or(name);
        let status = error["data"]["statusCode"].as_u64().and_then(|status| u16::try_from(status).ok());
        let refusal = Refusal { words, status, endpoint, model, login: "opencode" };
        let kind = match (name, status) {
            (_, Some(_)) => None,
            ("MessageAbortedError", _) => Some(FailureKind::Interrupted),
            ("ProviderAuthError", _) => Some(FailureKind::Unauthorized),
            ("ContextOverflowError", _) => Some(FailureKind::ContextLength),
            ("MessageOutputLengthError", _) if self.has_text => {
                self.reason = Some(FinishReason::Length);
                return;
            }
            ("ProviderModelNotFoundError" | "ModelNotFoundError", _) => Some(FailureKind::ModelNotFound),
            _ => None,
        };
        let failure = kind.map_or_else(
            || refusal.failure(),
            |kind| refusal.with_remedy(self.progress.failure(kind, words)),
        );
        self.end.finish = Some(FinishReason::Failed(failure));
    }
}

/// Input and output are told without what came from the cache, and without thoughts.
fn usage(tokens: &StepTokens) -> Usage {
    let cache = tokens.cache.0.unwrap_or_default();
    let sum = |counts: [Option<u64>; 3]| counts.into_iter().flatten().reduce(u64::saturating_add);
    Usage {
        input: sum([tokens.input.0, cache.read.0, cache.write.0]),
        cached: cache.read.0,
        cache_write: cache.write.0,
        output: sum([tokens.output.0, tokens.reasoning.0, None]),
        reasoning: tokens.reasoning.0,
    }
}

impl Reader for OpenCodeReader {
    fn push(&mut self, data: &[u8], sink: &mut dyn EventSink) {
        if let Some(line) = self.end.line::<Event<'_>>(data, sink)
            && let Some(properties) = &line.properties.0
        {
            self.event(line.kind.some().unwrap_or_default(), properties, sink);
        }
    }

    fn done(&self) -> bool {
        self.end.finish.is_some()
    }

    fn finish(self: Box<Self>, end: BodyEnd, sink: &mut dyn EventSink) {
        self.end.emit(&self.progress, end, "one of OpenCode", sink);
    }
}
