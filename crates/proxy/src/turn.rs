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
use latimer_adapters::prepared::{Raw, Wire};
use latimer_adapters::repair::Level;
use latimer_protocol::failure::Failure;
use latimer_protocol::status::Trace;
use latimer_protocol::turn::{FinishReason, Item, Seal, Sink, TurnEvent};
use tokio::time::Sleep;

use crate::inbound::responses::answer::Answer;
use crate::inbound::responses::error::{self, HttpError};
use crate::inbound::responses::request::{self, Parsed};
use crate::inbound::responses::stream::{Begin, Writer};
use crate::route::attempt::{Asked, Attempts, Progress, shutting_down};
use crate::route::fleet::Fleet;
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
pub async fn responses(surroundings: Surroundings, headers: &HeaderMap, body: Bytes) -> Response<Reply> {
    let codex = is_codex(headers);
    let parsed = match request::read(&body, &surroundings.seal) {
        Ok(parsed) => parsed,
        Err(error) => return from_error(error.into()),
    };
    let level = match repair_level(headers) {
        Ok(level) => level,
        Err(refusal) => return refusal.into_response(),
    };
    let Parsed { turn, stream, notes, echo, tools, input_tokens } = parsed;
    let conversation = turn.conversation.clone().or_else(|| session(headers));
    let fleet = &surroundings.fleet;
    let legs = match fleet.legs(&turn.model, conversation.as_deref(), Instant::now()) {
        Ok(legs) => legs,
        Err(error) => {
            return refuse(Refusal::invalid(404, "model_not_found").message(error.to_string()), codex);
        }
    };
    let stay = fleet.stay_key(&turn.model, conversation.as_deref());
    let mut log = Log::new(surroundings.open, stream);
    for note in &notes {
        log.note(note);
    }
    let call_ids = turn
        .items
        .iter()
        .filter_map(|item| if let Item::Call(call) = item { Some(call.id.to_string()) } else { None })
        .collect();
    let seal = surroundings.seal.clone();
    let begin = Begin { seed: random(), created_at: unix_now(), codex, stream, input_tokens, call_ids, seal };
    let answer = Answer::new(Writer::new(begin, &echo, tools));
    let raw = Raw { wire: Wire::Responses, body, headers: own_headers(headers), seal: surroundings.seal };
    let keep_alive = fleet.config.server.keep_alive;
    let Some(attempts) = Attempts::new(legs, Asked { turn, raw: Some(raw), level, stay }) else {
        let message = "the route has no endpoint left; check the configuration";
        return refuse(Refusal::invalid(404, "model_not_found").message(message), codex);
    };
    let body = TurnBody::new(attempts, answer, log, keep_alive, surroundings.cut);
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
        Err(_elapsed) => body.keep_alive(),
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

/// What names the conversation where the request does not: the session headers of known clients.
fn session(headers: &HeaderMap) -> Option<String> {
    const SESSION: [&str; 4] = ["session_id", "session-id", "thread-id", "x-session-id"];
    SESSION.iter().find_map(|name| headers.get(*name)?.to_str().ok()).map(str::to_owned)
}

/// The client's headers that may concern an upstream of the same protocol; never a credential.
fn own_headers(headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    const NEVER: [&str; 9] = [
        "authorization",
        "x-api-key",
        "cookie",
        "host",
        "content-length",
        "content-type",
        "accept",
        "accept-encoding",
        "connection",
    ];
    let keep = |name: &HeaderName| !NEVER.contains(&name.as_str());
    headers.iter().filter(|(name, _)| keep(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The level of repair that the request chooses.
fn repair_level(headers: &HeaderMap) -> Result<Option<Level>, Refusal> {
    let Some(value) = headers.get(REPAIR) else { return Ok(None) };
    match value.as_bytes() {
        b"off" => Ok(Some(Level::Off)),
        b"parse" => Ok(Some(Level::Parse)),
        b"assist" => Ok(Some(Level::Assist)),
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
    writer: Answer,
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
    fn new(attempts: Attempts, writer: Answer, log: Log, keep_alive: Duration, cut: Cut) -> Self {
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
                self.keep_alive();
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
            self.log.follow(&self.attempts);
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

    /// An event that keeps the client waiting.
    fn keep_alive(&mut self) {
        let passes = self.attempts.passes();
        if !passes {
            self.attempts.begun();
        }
        self.writer.keep_alive(passes);
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
        self.log.follow(&self.attempts);
        match progress {
            Poll::Pending => self.cut.poll(cx).map(|()| Progress::Failed(shutting_down())),
            ready @ Poll::Ready(_) => ready,
        }
    }
}

/// Lets the log see what the writer is told.
struct Watch<'t> {
    writer: &'t mut Answer,
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
    /// `endpoint/model`, and both apart.
    target: String,
    endpoint: String,
    model: String,
    account: String,
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
    fn new(open: OpenTurn, stream: bool) -> Self {
        Self {
            id: open.id(),
            target: String::new(),
            endpoint: String::new(),
            model: String::new(),
            account: String::new(),
            begun: Instant::now(),
            first_event: None,
            stream,
            usage: latimer_protocol::turn::Usage::default(),
            finish: None,
            failure: None,
            notes: Vec::new(),
            effort: (0, 0),
            open,
        }
    }

    /// Takes over who answers, and how much trouble it was.
    fn follow(&mut self, attempts: &Attempts) {
        self.effort = (attempts.retries(), attempts.repairs());
        let Some(leg) = attempts.leg() else { return };
        if self.target != leg.target {
            self.target.clone_from(&leg.target);
            self.endpoint = leg.runtime.endpoint.name.to_string();
            self.model.clone_from(&leg.model);
        }
        let account = attempts.account().unwrap_or_default();
        if self.account != account {
            account.clone_into(&mut self.account);
        }
    }

    fn note(&mut self, note: &str) {
        tracing::info!(event = "turn.note", turn = %self.id, endpoint = %self.endpoint, note);
        if self.notes.len() < MOST_NOTES {
            self.notes.push(note.to_owned());
        }
    }

    /// What is remembered of the turn.
    fn trace(&mut self, ms: u64) -> Trace {
        Trace {
            turn: self.id.clone(),
            endpoint: self.endpoint.clone(),
            account: self.account.clone(),
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
        self.open.ended(self.failure.is_some());
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let trace = self.trace(ms(self.begun.elapsed()));
        self.open.record(trace);
        if let Some(failure) = &self.failure {
            tracing::warn!(
                event = "turn.done",
                turn = %self.id,
                endpoint = %self.endpoint,
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
