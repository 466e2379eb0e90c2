//! What is written down of a turn: one line in the log, a usage row, a trace.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use latimer_protocol::failure::Failure;
use latimer_protocol::secret::redact_known;
use latimer_protocol::status::{NoteReport, TurnReport, TurnState};
use latimer_protocol::turn::{FinishReason, Note, Usage};
use tracing::{Span, field};

use super::Recording;
use super::notes::{NotesForReport, TurnNotes, UnwrittenNotes};
use crate::clock;
use crate::config::{Config, Price};
use crate::keys::keyring::KeyTurn;
use crate::lifecycle::open_turns::OpenTurn;
use crate::metrics::{Metrics, TurnFigures};
use crate::route::attempt::Attempts;
use crate::running::failure_report;
use crate::store::Store;
use crate::store::usage::{UsageRow, cost};
use crate::store::warn::CacheMonitor;
use crate::sync::lock;
use crate::text;

/// Characters of a failure's words that are kept.
const MAX_MESSAGE: usize = 2000;

/// Writes one line when the turn is over, however it ends.
pub(super) struct TurnLog {
    id: String,
    /// `endpoint/model` of the last attempt, and both apart; empty before the first.
    target: String,
    endpoint: String,
    model: String,
    account: String,
    started: Instant,
    /// From the start to the first semantic event.
    first_event: Option<Duration>,
    stream: bool,
    pub(super) usage: Usage,
    finish: Option<&'static str>,
    pub(super) failure: Option<Failure>,
    notes: TurnNotes,
    /// Attempts after the first.
    retries: u32,
    repairs: u32,
    price: Price,
    recorder: Recorder,
    open: OpenTurn,
    span: Span,
}

/// Where a turn is written down, under which names, and how much of it.
pub(super) struct Recorder {
    pub(super) store: Store,
    pub(super) caches: Arc<Mutex<CacheMonitor>>,
    /// The client, as it calls itself.
    pub(super) client: String,
    /// What names the conversation.
    pub(super) conversation: Option<String>,
    pub(super) recording: Recording,
    /// The client key that asks, and what it may use.
    pub(super) key: Option<KeyTurn>,
    /// The configuration the turn began with.
    pub(super) config: Arc<Config>,
    pub(super) metrics: Arc<Metrics>,
    /// When the whole request was there.
    pub(super) received: Instant,
    /// The protocol of the client.
    pub(super) protocol: &'static str,
    /// The trace that the client's request belongs to.
    pub(super) trace_id: Option<String>,
}

impl Recorder {
    fn key_name(&self) -> Option<String> {
        self.key.as_ref().map(|turn| turn.key().record.name.clone())
    }
}

impl TurnLog {
    pub(super) fn new(open: OpenTurn, recorder: Recorder, stream: bool) -> Self {
        let id = open.id();
        // A level below that of the events: these name their turn themselves, and to enter a span that is written costs on every poll.
        let span = tracing::debug_span!("turn", turn = %id, endpoint = field::Empty, model = field::Empty);
        Self {
            id,
            target: String::new(),
            endpoint: String::new(),
            model: String::new(),
            account: String::new(),
            started: clock::now(),
            first_event: None,
            stream,
            usage: Usage::default(),
            finish: None,
            failure: None,
            notes: TurnNotes::default(),
            retries: 0,
            repairs: 0,
            price: Price::default(),
            recorder,
            open,
            span,
        }
    }

    /// The span of the turn; the log fills in who answers.
    pub(super) fn span(&self) -> Span {
        self.span.clone()
    }

    /// Whether there was no semantic event yet.
    pub(super) fn awaits_first_event(&self) -> bool {
        self.first_event.is_none()
    }

    /// Notes the time of the first semantic event.
    pub(super) fn begin_answer(&mut self) {
        self.first_event.get_or_insert_with(|| clock::now().saturating_duration_since(self.started));
    }

    /// Takes over who answers, and how often it was tried and repaired.
    pub(super) fn follow(&mut self, attempts: &Attempts) {
        (self.retries, self.repairs) = (attempts.retries(), attempts.repairs());
        let target = attempts.target();
        if self.target != target.id {
            self.target.clone_from(&target.id);
            self.endpoint = target.runtime.endpoint.name.to_string();
            // With a default endpoint the client chooses the name.
            self.model = redact_known(&target.model).into_owned();
            let known = target.runtime.endpoint.known_model(&target.model);
            self.price = known.map_or_else(Price::default, |model| model.price);
            self.span.record("endpoint", &*self.endpoint).record("model", &*self.model);
        }
        let account = attempts.account().unwrap_or_default();
        if self.account != account {
            account.clone_into(&mut self.account);
        }
    }

    /// Writes a note into the log and the trace.
    pub(super) fn note(&mut self, note: &Note) {
        if self.recorder.recording == Recording::FailuresOnly {
            return;
        }
        let (endpoint, model, cause) = (&self.endpoint, &self.model, note.cause());
        if let Some(note) = self.notes.add(note) {
            tracing::info!(event = "turn.note", turn = %self.id, endpoint, model, cause, note);
        }
    }

    /// Writes how many notes had no line of their own, a line for each kind.
    fn note_the_rest(&mut self) {
        let (endpoint, model) = (&self.endpoint, &self.model);
        for UnwrittenNotes { cause, text, count } in self.notes.unwritten() {
            tracing::info!(event = "turn.note", turn = %self.id, endpoint, model, cause, count, note = text);
        }
    }

    /// A note that a person should see without looking for it.
    pub(super) fn warn(&mut self, warning: &str) {
        tracing::warn!(event = "turn.warning", turn = %self.id, endpoint = %self.endpoint, warning);
        self.open.warn(warning);
        self.note(&Note::turn(warning.to_owned()));
    }

    /// The usage row of the turn, which took so many milliseconds; beside it goes what else is worth keeping.
    fn row(&self, ms: u64, report: Option<Arc<TurnReport>>) -> UsageRow {
        let known = report.as_deref();
        UsageRow {
            key: self.recorder.key_name(),
            node: self.recorder.config.server.node.clone(),
            session: known.and_then(|report| report.session.clone()),
            project: known.and_then(|report| report.project.clone()),
            asked: known.map_or_else(String::new, |report| report.asked.clone()),
            protocol: known.map_or_else(String::new, |report| report.protocol.clone()),
            message: self.failure.as_ref().map(|failure| text::shown(&failure.message, MAX_MESSAGE)),
            report: report.filter(|report| !report.is_plain()),
            at: clock::unix_now(),
            turn: self.id.clone(),
            client: self.recorder.client.clone(),
            endpoint: self.endpoint.clone(),
            account: self.account.clone(),
            model: self.model.clone(),
            finish: self.finish.unwrap_or("client_left").to_owned(),
            failure: self.failure.as_ref().map(|failure| failure.kind.code().to_owned()),
            usage: self.usage,
            ms,
            first_ms: self.first_event.map(millis),
            retries: self.retries,
            repairs: self.repairs,
            cost_usd: cost(self.usage, self.price),
        }
    }

    /// Adds the turn to the figures.
    fn count(&self) {
        if self.recorder.recording == Recording::FailuresOnly {
            return;
        }
        let now = clock::now();
        let received = self.recorder.received;
        let sent = self.open.running.first_attempt();
        self.recorder.metrics.turn(&TurnFigures {
            endpoint: &self.endpoint,
            model: Some(&*self.model).filter(|model| self.recorder.config.names(&self.endpoint, model)),
            protocol: self.recorder.protocol,
            outcome: self.finish.unwrap_or("client_left"),
            failure: self.failure.as_ref().map(|failure| failure.kind.code()),
            usage: self.usage,
            cost_usd: cost(self.usage, self.price),
            first_event: self.first_event,
            took: now.saturating_duration_since(self.started),
            added: sent.map(|sent| sent.saturating_duration_since(received)),
            retries: self.retries,
            repairs: self.repairs,
            key: self.recorder.key.as_ref().map(|turn| &*turn.key().record.name),
        });
    }

    /// What is known of the turn at its end, which came after so many milliseconds.
    fn report(&mut self, ms: u64, notes: Vec<NoteReport>) -> TurnReport {
        TurnReport {
            state: TurnState::Over,
            key: self.recorder.key_name(),
            node: self.recorder.config.server.node.clone(),
            wait: None,
            endpoint: self.endpoint.clone(),
            account: self.account.clone(),
            model: self.model.clone(),
            ms,
            first_ms: self.first_event.map(millis),
            finish: Some(self.finish.unwrap_or("client_left").to_owned()),
            failure: self.failure.as_ref().map(failure_report),
            retries: self.retries,
            repairs: self.repairs,
            tokens: self.usage.into(),
            cost_usd: cost(self.usage, self.price),
            notes,
            ..self.open.running.take()
        }
    }

    /// Takes over how the model ended.
    pub(super) fn finished(&mut self, reason: &FinishReason) {
        self.finish = Some(match reason {
            FinishReason::Stop => "stop",
            FinishReason::ToolCalls => "tool_calls",
            FinishReason::Length => "length",
            FinishReason::ContentFilter => "content_filter",
            FinishReason::Failed(failure) => return self.failed(failure),
        });
    }

    /// The client has the whole answer, whether or not the model had more to say: a stop word may have ended it.
    pub(super) fn complete(&mut self) {
        self.finish.get_or_insert("stop");
    }

    /// The turn failed.
    pub(super) fn failed(&mut self, failure: &Failure) {
        self.finish = Some("failed");
        self.failure = Some(failure.clone());
    }
}

impl Drop for TurnLog {
    fn drop(&mut self) {
        if self.failure.is_some() {
            self.open.count_failure();
        }
        let warning = self.recorder.conversation.as_deref().and_then(|conversation| {
            let caches = &mut lock(&self.recorder.caches);
            caches.turn(conversation, self.usage)
        });
        if let Some(warning) = warning {
            self.warn(&warning);
        }
        let cost_usd = cost(self.usage, self.price);
        if let Some(key) = &mut self.recorder.key {
            key.spend(tokens(self.usage), micro_usd(cost_usd));
        }
        let took_ms = millis(clock::now().saturating_duration_since(self.started));
        if self.recorder.recording == Recording::FailuresOnly && self.failure.is_none() {
            return;
        }
        self.note_the_rest();
        let NotesForReport { told, kept } = self.notes.take();
        let report = Arc::new(self.report(took_ms, told));
        if self.recorder.recording == Recording::Full {
            let kept = if kept == report.notes {
                Arc::clone(&report)
            } else {
                Arc::new(TurnReport { notes: kept, ..(*report).clone() })
            };
            self.recorder.store.record(self.row(took_ms, Some(kept)));
        }
        self.count();
        self.open.record(report);
        if let Some(failure) = &self.failure {
            tracing::warn!(
                event = "turn.done",
                turn = %self.id,
                endpoint = %self.endpoint,
                model = %self.model,
                finish = "failed",
                account = %self.account,
                client = %self.recorder.client,
                key = self.recorder.key_name(),
                trace_id = self.recorder.trace_id,
                failure = failure.kind.code(),
                cause = failure.cause,
                status = failure.status,
                retry_after_ms = failure.retry_after.map(millis),
                ms = took_ms,
                message = %failure.message,
            );
        } else {
            tracing::info!(
                event = "turn.done",
                turn = %self.id,
                endpoint = %self.endpoint,
                model = %self.model,
                finish = self.finish.unwrap_or("client_left"),
                stream = self.stream,
                first_ms = self.first_event.map(millis),
                ms = took_ms,
                input = self.usage.input,
                output = self.usage.output,
                key = self.recorder.key_name(),
                trace_id = self.recorder.trace_id,
            );
        }
    }
}

/// What counts against a limit of tokens: everything that was sent and everything that came.
fn tokens(usage: Usage) -> u64 {
    usage.input.unwrap_or(0).saturating_add(usage.output.unwrap_or(0))
}

/// What counts against a budget, in millionths of a US dollar, rounded up; what nobody knows the price of counts nothing.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cost is small and never negative"
)]
fn micro_usd(cost_usd: Option<f64>) -> u64 {
    cost_usd.map_or(0, |cost| (cost * 1e6).ceil().max(0.0) as u64)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
