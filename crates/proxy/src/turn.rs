//! The walk of one turn, top to bottom: read, route, attempt, answer.
//!
//! A turn is not a task: it is the response body. hyper polls the body, the body polls the attempt, the attempt polls the
//! upstream. So backpressure reaches the provider, and a client that leaves drops everything at once.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hyper::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT,
};
use hyper::{Response, StatusCode};
use latimer_adapters::learn::Lessons;
use latimer_adapters::repair::{Level, Plan};
use latimer_protocol::failure::Failure;
use latimer_protocol::status::Trace;
use latimer_protocol::turn::{FinishReason, Item, Seal, Sink, TurnEvent};
use tokio::time::Sleep;

use crate::inbound::responses::error::{self, HttpError};
use crate::inbound::responses::request::{self, Parsed};
use crate::inbound::responses::stream::{Begin, Writer};
use crate::route::attempt::{Attempts, Progress, shutting_down};
use crate::route::fleet::{Fleet, Runtime};
use crate::server::reply::{Refusal, Reply, json};
use crate::server::shutdown::{Cut, OpenTurn};
use crate::server::traces::MOST_NOTES;

/// How long the HTTP status waits for the first event. After that the stream begins, and errors travel inside it.
const STATUS_PATIENCE: Duration = Duration::from_secs(10);

/// The header with which a request chooses its level of repair.
const REPAIR: &str = "x-latimer-repair";

/// The most that is collected before it is written.
const BATCH: usize = 32 * 1024;

/// Passes of the scheduler within which hyper's client hands over the next chunk that it already has; measured.
const ROUNDS: u8 = 3;

/// After so long without a write, what arrives is alone: it is written at once.
const QUIET: Duration = Duration::from_millis(5);

/// What the server hands to a turn.
pub struct Surroundings {
    /// The configuration of this moment, alive.
    pub fleet: Arc<Fleet>,
    /// Counts the turn as open while it lives.
    pub open: OpenTurn,
    /// Fires when open turns must end.
    pub cut: Cut,
    /// Seals provider state for its way through the client.
    pub seal: Seal,
}

/// Answers one `POST /v1/responses`.
pub async fn responses(surroundings: Surroundings, headers: &HeaderMap, body: &[u8]) -> Response<Reply> {
    let codex = is_codex(headers);
    let parsed = match request::read(body, &surroundings.seal) {
        Ok(parsed) => parsed,
        Err(error) => return from_error(error.into()),
    };
    let (runtime, model) = match route(&surroundings.fleet, &parsed.turn.model) {
        Ok(found) => found,
        Err(refusal) => return refuse(refusal, codex),
    };
    let level = match repair_level(headers, runtime.endpoint.repair) {
        Ok(level) => level,
        Err(refusal) => return refusal.into_response(),
    };
    let Parsed { mut turn, stream, notes, echo, tools, input_tokens } = parsed;
    turn.model = model;
    let prepared = runtime.adapter.prepare(&turn, &Lessons::default());
    let plan = Plan::new(level, runtime.endpoint.resume, &turn);
    let mut log = Log::new(Arc::clone(&runtime), turn.model, surroundings.open);
    for note in notes.iter().chain(&prepared.notes) {
        log.note(note);
    }
    let call_ids = turn
        .items
        .iter()
        .filter_map(|item| if let Item::Call(call) = item { Some(call.id.to_string()) } else { None })
        .collect();
    let seal = surroundings.seal;
    let begin = Begin { seed: random(), created_at: unix_now(), codex, stream, input_tokens, call_ids, seal };
    let writer = Writer::new(begin, &echo, tools);
    // The history may be large, and the request is written: nothing needs it for the length of the stream.
    drop(turn.items);
    let attempts = Attempts::new(runtime, prepared, plan);
    let keep_alive = surroundings.fleet.config.server.keep_alive;
    log.stream = stream;
    let body = TurnBody::new(attempts, writer, log, keep_alive, surroundings.cut);
    if stream { answer_stream(body, codex).await } else { body.collect(codex).await }
}

/// Waits for the first event, so that errors keep their HTTP status, then streams.
async fn answer_stream(mut body: TurnBody, codex: bool) -> Response<Reply> {
    match tokio::time::timeout(STATUS_PATIENCE, std::future::poll_fn(|cx| body.poll_first(cx))).await {
        // Codex answers a 5xx with thirty requests, and a failed stream with six: after our own retries that is plenty.
        Ok(Progress::Failed(failure)) if codex && error::is_passing(&failure) => body.fail(&failure),
        Ok(Progress::Failed(failure)) => {
            body.log.failed(&failure);
            return from_error(error::http_error(&failure, codex));
        }
        Ok(Progress::More | Progress::Ended) => {}
        Err(_elapsed) => body.writer.keep_alive(),
    }
    let mut response = Response::new(Reply::Turn(Box::new(body)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

/// True when the caller is Codex, by the headers it always sends.
fn is_codex(headers: &HeaderMap) -> bool {
    let starts =
        |value: Option<&HeaderValue>| value.is_some_and(|value| value.as_bytes().starts_with(b"codex"));
    starts(headers.get("originator"))
        || starts(headers.get(USER_AGENT))
        || headers.contains_key("x-codex-turn-metadata")
}

fn route(fleet: &Fleet, model: &str) -> Result<(Arc<Runtime>, String), Refusal> {
    let unknown = |message: String| Refusal::invalid(404, "model_not_found").message(message);
    let (endpoint, model) = fleet.config.route(model).map_err(|error| unknown(error.to_string()))?;
    let runtime =
        fleet.find(endpoint).ok_or_else(|| unknown(format!("endpoint {} is gone", endpoint.name)))?;
    Ok((Arc::clone(runtime), model))
}

/// The endpoint's level of repair, unless the request names one.
fn repair_level(headers: &HeaderMap, configured: Level) -> Result<Level, Refusal> {
    let Some(value) = headers.get(REPAIR) else { return Ok(configured) };
    match value.as_bytes() {
        b"off" => Ok(Level::Off),
        b"parse" => Ok(Level::Parse),
        b"assist" => Ok(Level::Assist),
        _ => Err(Refusal::invalid(400, "invalid_value")
            .message(format!("the header {REPAIR} is `off`, `parse` or `assist`"))),
    }
}

/// Codex asks six times after a 404 and once after a 400, and shows the message of either.
fn refuse(mut refusal: Refusal, codex: bool) -> Response<Reply> {
    refusal.param = Some("model".to_owned());
    if codex {
        refusal.status = 400;
    }
    refusal.into_response()
}

fn from_error(error: HttpError) -> Response<Reply> {
    let mut response = json(error.status, error.body);
    if let Some(seconds) = error.retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// One turn as a response body.
pub struct TurnBody {
    attempts: Attempts,
    writer: Writer,
    log: Log,
    keep_alive: Duration,
    last_sent: Instant,
    alarm: Pin<Box<Sleep>>,
    cut: Cut,
    /// How often the upstream's task may still be asked for more before what is there is written.
    rounds: u8,
    over: bool,
}

impl TurnBody {
    fn new(attempts: Attempts, writer: Writer, log: Log, keep_alive: Duration, cut: Cut) -> Self {
        let alarm = Box::pin(tokio::time::sleep(keep_alive));
        Self {
            attempts,
            writer,
            log,
            keep_alive,
            last_sent: Instant::now(),
            alarm,
            cut,
            rounds: 0,
            over: false,
        }
    }

    /// True once the last byte was handed out.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// The next bytes for the client: everything that has arrived, and nothing that has not.
    ///
    /// hyper hands the upstream's chunks over one at a time, through a task of its own. So after each piece of news that task
    /// gets `ROUNDS` more turns; as long as it brings more, there is one write for all of it. Nobody waits for a clock, and after
    /// `QUIET` there is nothing to collect.
    pub fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.over {
            return Poll::Ready(None);
        }
        if self.poll_until_pending(cx) {
            if self.rounds > 0 && !self.writer.out().is_empty() {
                self.rounds -= 1;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.cut.poll(cx).is_ready() {
                self.fail(&shutting_down());
            } else if self.writer.out().is_empty() && self.alarm_rang(cx) {
                self.writer.keep_alive();
            }
        }
        let out = self.writer.take();
        if self.writer.is_finished() {
            self.over = true;
        } else if out.is_empty() {
            return Poll::Pending;
        }
        self.last_sent = Instant::now();
        Poll::Ready((!out.is_empty()).then(|| out.into()))
    }

    /// Takes what has arrived, up to a buffer's worth. True when there is no more at the moment.
    fn poll_until_pending(&mut self, cx: &mut Context<'_>) -> bool {
        while !self.writer.is_finished() && self.writer.out().len() < BATCH {
            let mut watch = Watch { writer: &mut self.writer, log: &mut self.log };
            let progress = self.attempts.poll(cx, &mut watch);
            self.log.effort = (self.attempts.retries(), self.attempts.repairs());
            match progress {
                Poll::Ready(Progress::Failed(failure)) => self.fail(&failure),
                Poll::Ready(Progress::More | Progress::Ended) => {
                    self.rounds = if self.last_sent.elapsed() < QUIET { ROUNDS } else { 0 };
                }
                Poll::Pending => return true,
            }
        }
        false
    }

    /// The alarm is set once and looked at late: resetting a timer for every delta would cost more than the delta.
    fn alarm_rang(&mut self, cx: &mut Context<'_>) -> bool {
        while self.alarm.as_mut().poll(cx).is_ready() {
            let due = self.last_sent + self.keep_alive;
            let now = Instant::now();
            if due <= now {
                self.alarm.as_mut().reset((now + self.keep_alive).into());
                // Registers the waker for the next round.
                let _ = self.alarm.as_mut().poll(cx);
                return true;
            }
            self.alarm.as_mut().reset(due.into());
        }
        false
    }

    fn fail(&mut self, failure: &Failure) {
        self.log.failed(failure);
        self.writer.set_now(unix_now());
        self.writer.fail(failure);
    }

    /// Runs the turn to its end and answers with one JSON object.
    async fn collect(mut self, codex: bool) -> Response<Reply> {
        loop {
            match std::future::poll_fn(|cx| self.poll_first(cx)).await {
                Progress::More => self.writer.discard(),
                Progress::Ended => break,
                Progress::Failed(failure) => {
                    self.log.failed(&failure);
                    return from_error(error::http_error(&failure, codex));
                }
            }
        }
        if let Some(failure) = self.log.failure.clone() {
            return from_error(error::http_error(&failure, codex));
        }
        json(StatusCode::OK.as_u16(), self.writer.into_object())
    }

    /// As long as no status was sent, a stop is an answer like any other failure.
    fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<Progress> {
        let mut watch = Watch { writer: &mut self.writer, log: &mut self.log };
        let progress = self.attempts.poll(cx, &mut watch);
        self.log.effort = (self.attempts.retries(), self.attempts.repairs());
        match progress {
            Poll::Pending => self.cut.poll(cx).map(|()| Progress::Failed(shutting_down())),
            ready @ Poll::Ready(_) => ready,
        }
    }
}

/// Lets the log see what the writer is told.
struct Watch<'t> {
    writer: &'t mut Writer,
    log: &'t mut Log,
}

impl Sink for Watch<'_> {
    fn event(&mut self, event: TurnEvent<'_>) {
        match &event {
            TurnEvent::Finished(reason) => {
                self.log.finished(reason);
                self.writer.set_now(unix_now());
            }
            TurnEvent::Usage(usage) => self.log.usage = *usage,
            TurnEvent::Note(note) => return self.log.note(note),
            _ if self.log.first_event.is_none() && event.is_semantic() => {
                self.log.first_event = Some(self.log.begun.elapsed());
            }
            _ => {}
        }
        self.writer.event(event);
    }
}

/// Writes one line when the turn is over, however it ends.
struct Log {
    id: String,
    runtime: Arc<Runtime>,
    model: String,
    begun: Instant,
    first_event: Option<Duration>,
    stream: bool,
    usage: latimer_protocol::turn::Usage,
    finish: Option<&'static str>,
    failure: Option<Failure>,
    notes: Vec<String>,
    /// Attempts after the first, and repairs.
    effort: (u32, u32),
    open: OpenTurn,
}

impl Log {
    fn new(runtime: Arc<Runtime>, model: String, open: OpenTurn) -> Self {
        runtime.stats.begin();
        Self {
            id: open.id(),
            runtime,
            model,
            begun: Instant::now(),
            first_event: None,
            stream: true,
            usage: latimer_protocol::turn::Usage::default(),
            finish: None,
            failure: None,
            notes: Vec::new(),
            effort: (0, 0),
            open,
        }
    }

    fn note(&mut self, note: &str) {
        tracing::info!(event = "turn.note", turn = %self.id, endpoint = %self.runtime.endpoint.name, note);
        if self.notes.len() < MOST_NOTES {
            self.notes.push(note.to_owned());
        }
    }

    /// What is remembered of the turn.
    fn trace(&mut self, ms: u64) -> Trace {
        Trace {
            turn: self.id.clone(),
            endpoint: self.runtime.endpoint.name.to_string(),
            model: self.model.clone(),
            begun: unix_now().saturating_sub(ms / 1000),
            ms,
            finish: self.finish.unwrap_or("client_left").to_owned(),
            failure: self.failure.as_ref().map(|failure| failure.message.clone()),
            retries: self.effort.0,
            repairs: self.effort.1,
            notes: std::mem::take(&mut self.notes),
        }
    }

    fn finished(&mut self, reason: &FinishReason) {
        self.finish = Some(match reason {
            FinishReason::Stop => "stop",
            FinishReason::ToolCalls => "tool_calls",
            FinishReason::Length => "length",
            FinishReason::ContentFilter => "content_filter",
            FinishReason::Failed(failure) => return self.failed(failure),
        });
    }

    fn failed(&mut self, failure: &Failure) {
        self.finish = Some("failed");
        self.failure = Some(failure.clone());
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.runtime.stats.end(self.failure.as_ref(), self.finish.is_some());
        self.open.ended(self.failure.is_some());
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.runtime.stats.repaired(&self.model, self.effort.1);
        let trace = self.trace(ms(self.begun.elapsed()));
        self.open.record(trace);
        if let Some(failure) = &self.failure {
            tracing::warn!(
                event = "turn.done",
                turn = %self.id,
                endpoint = %self.runtime.endpoint.name,
                model = %self.model,
                finish = "failed",
                failure = failure.kind.code(),
                status = failure.status,
                ms = ms(self.begun.elapsed()),
                message = %failure.message,
            );
        } else {
            tracing::info!(
                event = "turn.done",
                turn = %self.id,
                endpoint = %self.runtime.endpoint.name,
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

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Sixteen random bytes, from which all ids of a response are made.
fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    if getrandom::fill(&mut bytes).is_err() {
        // Ids must differ, not be secret: the clock is enough where the system gives no randomness.
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        bytes = nanos.to_le_bytes();
    }
    bytes
}
