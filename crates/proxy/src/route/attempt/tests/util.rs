//! Turns without a network: scripted answers, a clock that stands still until somebody waits, and a transcript of what happened.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;
use latimer_adapters::drive::{Limits, TurnStream};
use latimer_adapters::endpoint_client::OpenError;
use latimer_adapters::field_rules::output_limit;
use latimer_adapters::limitation::Limitation;
use latimer_adapters::prepared_request::{ClientRequest, PreparedRequest, WireProtocol};
use latimer_adapters::reader::{BodyEnd, Reader};
use latimer_adapters::teaching::Teaching;
use latimer_adapters::transport::Body;
use latimer_protocol::failure::{Failure, FailureKind};
use latimer_protocol::turn::{
    Content, EventSink, FinishReason, Image, Item, Message, Role, SealKey, Tool, TurnEvent, TurnRequest,
    Usage,
};

use crate::clock::{self, Clocks};
use crate::config::parse;
use crate::route::attempt::open::{OpenAnswer, Opening, RoomFor};
use crate::route::attempt::platform::Platform;
use crate::route::attempt::{AttemptRequest, Attempts, Progress};
use crate::route::endpoint_set::{EndpointRuntime, EndpointSet, RouteTarget};
use crate::route::memory::Memory;
use crate::route::pool::PoolEntry;
use crate::sync::lock;

/// Unix seconds at the beginning of a scene.
pub(super) const UNIX: u64 = 1_800_000_000;

/// What comes of one attempt.
pub(super) enum Answer {
    /// The upstream refuses it.
    Refusal(Failure, Option<Teaching>),
    /// The upstream answers with these events, one a word; see [`ScriptReader`].
    Events(&'static str),
}

/// An upstream's refusal of this kind.
pub(super) fn refuse(kind: FailureKind) -> Answer {
    Answer::Refusal(Failure::new(kind, "no"), None)
}

/// A refusal that names a time.
pub(super) fn refuse_for(kind: FailureKind, seconds: u64) -> Answer {
    let retry_after = Some(Duration::from_secs(seconds));
    Answer::Refusal(Failure { retry_after, ..Failure::new(kind, "no") }, None)
}

/// A refusal that teaches something.
pub(super) fn teach(limitation: Limitation) -> Answer {
    teach_this(Teaching::Whole(limitation), "no")
}

/// A refusal in these words that teaches this.
pub(super) fn teach_this(teaching: Teaching, words: &str) -> Answer {
    Answer::Refusal(Failure::new(FailureKind::BadRequest, words.to_owned()), Some(teaching))
}

/// An answer of these events.
pub(super) fn answer(events: &'static str) -> Answer {
    Answer::Events(events)
}

/// The platform of a scene.
#[derive(Clone)]
struct Stage(Arc<Mutex<Script>>);

struct Script {
    now: Instant,
    begun: Instant,
    answers: VecDeque<Answer>,
    /// When whoever waits is woken.
    wake_at: Option<Instant>,
    transcript: Vec<String>,
}

impl Stage {
    fn say(&self, line: impl Into<String>) {
        lock(&self.0).transcript.push(line.into());
    }
}

impl Platform for Stage {
    type Sleep = FakeSleep;

    fn clocks(&self) -> Clocks {
        let script = lock(&self.0);
        Clocks { now: script.now, unix: UNIX + (script.now - script.begun).as_secs() }
    }

    fn sleep(&self, wait: Duration) -> FakeSleep {
        self.say(format!("wait {wait:?}"));
        let mut script = lock(&self.0);
        let until = script.now + wait;
        script.wake_at = Some(until);
        FakeSleep { until, stage: self.clone() }
    }

    fn random(&self) -> u8 {
        0
    }

    fn open(
        &self,
        runtime: Arc<EndpointRuntime>,
        request: Arc<PreparedRequest>,
        entry: Option<PoolEntry>,
        _: RoomFor,
    ) -> Opening {
        let key = entry.map_or_else(|| "no key".to_owned(), |entry| entry.id);
        let messages = memchr::memmem::find_iter(&request.body, b"\"role\":").count();
        let mut line = format!("send {}/{} with {key}", runtime.endpoint.name, request.model);
        if messages > 1 {
            let _ = write!(line, ", {messages} messages");
        }
        if request.is_passthrough {
            line.push_str(", as it came");
        }
        if let Some(tokens) = output_limit(&request.body, request.protocol) {
            let _ = write!(line, ", at most {tokens} tokens");
        }
        let pictures = memchr::memmem::find_iter(&request.body, b"\"image_url\":{").count();
        if pictures > 0 {
            let _ = write!(line, ", {pictures} pictures");
        }
        self.say(line);
        let answer = lock(&self.0).answers.pop_front();
        Box::pin(std::future::ready(match answer {
            Some(Answer::Events(events)) => Ok(OpenAnswer::new(stream_of(events), None)),
            Some(Answer::Refusal(failure, teaching)) => {
                Err(OpenError { teaching: teaching.map(Box::new), ..failure.into() })
            }
            None => Err(Failure::new(FailureKind::Internal, "the script has no answer left").into()),
        }))
    }
}

struct FakeSleep {
    until: Instant,
    stage: Stage,
}

impl Future for FakeSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if lock(&self.stage.0).now >= self.until { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// One chunk for each line of a script; `...` is a pause until the next poll, and `hang` one for ever.
fn stream_of(script: &'static str) -> TurnStream {
    let mut lines = script.split('|').map(str::trim);
    let body = Body::from_stream(stream::poll_fn(move |cx| match lines.next() {
        Some("...") => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
        Some("hang") => {
            lines = "hang".split('|').map(str::trim);
            Poll::Pending
        }
        Some(line) => Poll::Ready(Some(Ok(Bytes::from(format!("{line}\n"))))),
        None => Poll::Ready(None),
    }));
    TurnStream::lines(body, Box::new(ScriptReader::default()), Limits::default())
}

/// Reads `started`, `text …`, `usage 3`, `stop`, `length`, `fail kind`.
#[derive(Default)]
struct ScriptReader {
    finish: Option<FinishReason>,
}

impl Reader for ScriptReader {
    fn push(&mut self, data: &[u8], sink: &mut dyn EventSink) {
        let line = std::str::from_utf8(data).expect("a script is text");
        match line.split_once(' ').unwrap_or((line, "")) {
            ("started", _) => sink.event(TurnEvent::Started),
            ("text", text) => sink.event(TurnEvent::Text(text)),
            ("usage", tokens) => {
                let output = tokens.parse().ok();
                sink.event(TurnEvent::Usage(Usage { output, ..Usage::default() }));
            }
            ("stop", _) => self.finish = Some(FinishReason::Stop),
            ("length", _) => self.finish = Some(FinishReason::Length),
            ("fail", code) => {
                let kind = FailureKind::all().find(|kind| kind.code() == code).expect("a kind of failure");
                self.finish = Some(FinishReason::Failed(Failure::new(kind, "broke")));
            }
            _ => panic!("not in a script: {line}"),
        }
    }

    fn done(&self) -> bool {
        false
    }

    fn finish(self: Box<Self>, end: BodyEnd, sink: &mut dyn EventSink) {
        let cut = || FinishReason::Failed(Failure::new(FailureKind::Interrupted, "cut"));
        let finish = self.finish.unwrap_or_else(cut);
        sink.event(TurnEvent::Finished(match end {
            BodyEnd::Clean => finish,
            BodyEnd::Broken(failure) => FinishReason::Failed(failure),
        }));
    }
}

/// A configuration, a request, and what the upstreams will do.
pub(super) struct Scene {
    set: EndpointSet,
    model: &'static str,
    request: AttemptRequest,
    stage: Stage,
    before: fn(&[RouteTarget], Instant),
    starts_writer: bool,
}

impl Scene {
    /// A turn for this model by this configuration, with one short question.
    pub(super) fn new<const N: usize>(config: &str, model: &'static str, answers: [Answer; N]) -> Self {
        let unreadable = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
        let config = parse::load(config, &|_| None, &unreadable).expect("a configuration").config;
        let now = clock::now();
        let set = EndpointSet::new(Arc::new(config), Arc::new(Memory::new(None)), None, None);
        let turn = TurnRequest { items: vec![question("hi")], ..TurnRequest::default() };
        let script =
            Script { now, begun: now, answers: answers.into(), wake_at: None, transcript: Vec::new() };
        Self {
            set,
            model,
            request: AttemptRequest {
                turn,
                raw: None,
                headers: Vec::new(),
                level: None,
                max_wait: Duration::from_secs(60),
                affinity_key: None,
                running: Arc::default(),
            },
            stage: Stage(Arc::new(Mutex::new(script))),
            before: |_, _| {},
            starts_writer: false,
        }
    }

    /// A history of so many items.
    pub(super) fn items(mut self, count: usize) -> Self {
        self.request.turn.items = (0..count).map(|number| question(&format!("question {number}"))).collect();
        self
    }

    /// A tool that takes any object.
    pub(super) fn tool(mut self, name: &str) -> Self {
        let tool = Tool { name: name.to_owned(), description: None, parameters: None, strict: None };
        self.request.turn.tools.push(tool);
        self
    }

    /// The most tokens of the answer.
    pub(super) fn max_output(mut self, tokens: u64) -> Self {
        self.request.turn.max_output_tokens = Some(tokens);
        self
    }

    /// Pictures at the end of the history.
    pub(super) fn pictures<const N: usize>(mut self, urls: [&str; N]) -> Self {
        let picture = |url: &str| Content::Image(Image { url: url.to_owned(), detail: None });
        let content = urls.map(picture).to_vec();
        self.request.turn.items.push(Item::Message(Message { role: Role::User, content }));
        self
    }

    /// The request as a client of the Responses protocol wrote it.
    pub(super) fn passed_on(mut self) -> Self {
        let body = Bytes::from_static(br#"{"model":"m","input":"hi","stream":true}"#);
        let protocol = WireProtocol::Responses;
        self.request.raw =
            Some(ClientRequest { protocol, body, headers: Vec::new(), seal: SealKey::default() });
        self
    }

    /// The client's writer begins before anything is sent, as after a keep-alive.
    pub(super) fn writer_starts(mut self) -> Self {
        self.starts_writer = true;
        self
    }

    /// The conversation of the request, where its route has affinity.
    pub(super) fn conversation(mut self, conversation: &str) -> Self {
        self.request.affinity_key = self.set.affinity_key(self.model, Some(conversation));
        self
    }

    /// What happens to the targets before the turn begins.
    pub(super) fn before(mut self, before: fn(&[RouteTarget], Instant)) -> Self {
        self.before = before;
        self
    }

    /// Runs the turn to its end, or until nothing more will happen; the transcript, and what is remembered afterwards.
    pub(super) fn play(self) -> String {
        // The timers of a stream want a runtime to stand in; none of them ever fires.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let _inside = runtime.enter();
        let Self { set, model, request, stage, before, starts_writer } = self;
        let now = stage.clocks().now;
        before(&set.targets(model, None, now).expect("a target"), now);
        let targets = set.targets(model, None, now).expect("a target");
        let affinity_key = request.affinity_key.clone();
        let mut attempts = Attempts::on(stage.clone(), targets, request).expect("a target");
        if starts_writer {
            attempts.writer_started();
        }
        drive(&mut attempts, &stage);
        let (retries, repairs) = (attempts.retries(), attempts.repairs());
        drop(attempts);
        stage.say(format!("{retries} retries, {repairs} repairs"));
        let now = stage.clocks();
        for (state, runtime) in set.states(now).iter().zip(set.endpoints()) {
            let mut line = format!(
                "{}: {} open, {} of {} failed",
                state.name, state.turns_open, state.turns_failed, state.turns_total
            );
            for (key, left) in runtime.pool.cooldowns(now.now) {
                if let Some(left) = left {
                    let _ = write!(line, ", {key} cools down {left}s");
                }
            }
            let target = format!("{}/m", state.name);
            let (limitations, rules) = set.memory.limitations.known(&target, now);
            for limitation in limitations.iter() {
                let _ = write!(line, ", learned {limitation}");
            }
            for (field, _) in rules.iter() {
                let _ = write!(line, ", learned {field}");
            }
            if let Some(items) = set.memory.max_items(&target) {
                let _ = write!(line, ", at most {items} items");
            }
            stage.say(line);
        }
        if let Some(target) = affinity_key.and_then(|key| set.memory.affinity_target(&key, now.now)) {
            stage.say(format!("affinity to {target}"));
        }
        let transcript = &lock(&stage.0).transcript;
        transcript.join("\n")
    }
}

/// Polls a turn, and moves the clock on whenever it waits.
fn drive(attempts: &mut Attempts<Stage>, stage: &Stage) {
    let mut cx = Context::from_waker(Waker::noop());
    let mut idle = 0;
    while idle < 3 {
        match attempts.poll(&mut cx, &mut |event: TurnEvent<'_>| stage.say(event.to_string())) {
            Poll::Ready(Progress::More) => idle = 0,
            Poll::Ready(Progress::Ended) => return stage.say("ended"),
            Poll::Ready(Progress::Failed(failure)) => {
                return stage.say(format!("failed {}: {}", failure.kind.code(), failure.message));
            }
            Poll::Pending => {
                let mut script = lock(&stage.0);
                match script.wake_at.take() {
                    Some(at) => script.now = at,
                    None => idle += 1,
                }
            }
        }
    }
    stage.say("the client leaves");
}

fn question(text: &str) -> Item {
    Item::Message(Message { role: Role::User, content: vec![Content::Text(text.to_owned())] })
}
