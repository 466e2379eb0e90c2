//! What is remembered of a turn: one line in the log, and its trace.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use latimer_protocol::failure::Failure;
use latimer_protocol::status::Trace;
use latimer_protocol::turn::{FinishReason, Note, Usage};

use crate::clock;
use crate::lifecycle::open_turns::OpenTurn;
use crate::lifecycle::traces::MAX_NOTES;
use crate::route::attempt::Attempts;
use crate::store::Store;
use crate::store::usage::{Price, UsageRow, cost};
use crate::store::warn::CacheMonitor;
use crate::sync::lock;

/// Writes one line when the turn is over, however it ends.
pub(super) struct Log {
    id: String,
    /// `endpoint/model`, and both apart.
    target: String,
    endpoint: String,
    model: String,
    account: String,
    pub(super) begun: Instant,
    pub(super) first_event: Option<Duration>,
    stream: bool,
    pub(super) usage: Usage,
    finish: Option<&'static str>,
    pub(super) failure: Option<Failure>,
    notes: Vec<String>,
    /// Attempts after the first, and repairs.
    effort: (u32, u32),
    price: Price,
    books: Recorder,
    open: OpenTurn,
}

/// Where a turn is written down, and under which names.
pub(super) struct Recorder {
    pub(super) store: Store,
    pub(super) caches: Arc<Mutex<CacheMonitor>>,
    /// The client, as it calls itself.
    pub(super) client: String,
    /// What names the conversation.
    pub(super) conversation: Option<String>,
    /// Write nothing down, except a failure in the log.
    pub(super) quiet: bool,
}

impl Log {
    pub(super) fn new(open: OpenTurn, books: Recorder, stream: bool) -> Self {
        Self {
            id: open.id(),
            target: String::new(),
            endpoint: String::new(),
            model: String::new(),
            account: String::new(),
            begun: clock::now(),
            first_event: None,
            stream,
            usage: Usage::default(),
            finish: None,
            failure: None,
            notes: Vec::new(),
            effort: (0, 0),
            price: Price::default(),
            books,
            open,
        }
    }

    /// Takes over who answers, and how much trouble it was.
    pub(super) fn follow(&mut self, attempts: &Attempts) {
        self.effort = (attempts.retries(), attempts.repairs());
        let Some(target) = attempts.target() else { return };
        if self.target != target.id {
            self.target.clone_from(&target.id);
            self.endpoint = target.runtime.endpoint.name.to_string();
            self.model.clone_from(&target.model);
            let known = target.runtime.endpoint.models.iter().find(|model| model.id == target.model);
            self.price = known.map_or_else(Price::default, |model| model.price);
        }
        let account = attempts.account().unwrap_or_default();
        if self.account != account {
            account.clone_into(&mut self.account);
        }
    }

    pub(super) fn note(&mut self, note: &Note) {
        if self.books.quiet {
            return;
        }
        let (endpoint, model, cause) = (&self.endpoint, &self.model, note.cause());
        let note = note.to_string();
        tracing::info!(event = "turn.note", turn = %self.id, endpoint, model, cause, note);
        if self.notes.len() < MAX_NOTES {
            self.notes.push(note);
        }
    }

    /// A note that a person should see without looking for it.
    pub(super) fn warn(&mut self, warning: &str) {
        tracing::warn!(event = "turn.warning", turn = %self.id, endpoint = %self.endpoint, warning);
        self.open.warn(warning);
        self.note(&Note::turn(warning.to_owned()));
    }

    /// The row of the turn.
    fn row(&self, ms: u64) -> UsageRow {
        UsageRow {
            at: clock::unix_now(),
            turn: self.id.clone(),
            client: self.books.client.clone(),
            endpoint: self.endpoint.clone(),
            account: self.account.clone(),
            model: self.model.clone(),
            finish: self.finish.unwrap_or("client_left").to_owned(),
            failure: self.failure.as_ref().map(|failure| failure.kind.code().to_owned()),
            usage: self.usage,
            ms,
            first_ms: self.first_event.map(|first| u64::try_from(first.as_millis()).unwrap_or(u64::MAX)),
            retries: self.effort.0,
            repairs: self.effort.1,
            cost_usd: cost(self.usage, self.price),
        }
    }

    /// What is remembered of the turn.
    fn trace(&mut self, ms: u64) -> Trace {
        Trace {
            turn: self.id.clone(),
            endpoint: self.endpoint.clone(),
            account: self.account.clone(),
            model: self.model.clone(),
            begun: clock::unix_now().saturating_sub(ms / 1000),
            ms,
            finish: self.finish.unwrap_or("client_left").to_owned(),
            failure: self.failure.as_ref().map(|failure| failure.message.clone()),
            retries: self.effort.0,
            repairs: self.effort.1,
            cost_usd: cost(self.usage, self.price),
            notes: std::mem::take(&mut self.notes),
        }
    }

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
    pub(super) fn answered(&mut self) {
        self.finish.get_or_insert("stop");
    }

    pub(super) fn failed(&mut self, failure: &Failure) {
        self.finish = Some("failed");
        self.failure = Some(failure.clone());
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if self.failure.is_some() {
            self.open.count_failure();
        }
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let warning = self.books.conversation.as_deref().and_then(|conversation| {
            let caches = &mut lock(&self.books.caches);
            caches.turn(conversation, self.usage)
        });
        if let Some(warning) = warning {
            self.warn(&warning);
        }
        if self.books.quiet && self.failure.is_none() {
            return;
        }
        if !self.books.quiet {
            self.books.store.record(self.row(ms(self.begun.elapsed())));
        }
        let trace = self.trace(ms(self.begun.elapsed()));
        self.open.record(trace);
        if let Some(failure) = &self.failure {
            tracing::warn!(
                event = "turn.done",
                turn = %self.id,
                endpoint = %self.endpoint,
                model = %self.model,
                finish = "failed",
                account = %self.account,
                client = %self.books.client,
                failure = failure.kind.code(),
                cause = failure.cause,
                status = failure.status,
                retry_after_ms = failure.retry_after.map(ms),
                ms = ms(self.begun.elapsed()),
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
                first_ms = self.first_event.map(ms),
                ms = ms(self.begun.elapsed()),
                input = self.usage.input,
                output = self.usage.output,
            );
        }
    }
}
