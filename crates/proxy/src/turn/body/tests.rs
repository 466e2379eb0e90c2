//! The body by itself: what is written when, what is stored, and what a client that leaves takes with it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use latimer_adapters::scripted::{ScriptedAnswer, Step};
use latimer_protocol::failure::FailureKind;
use latimer_protocol::turn::{FinishReason, Note, Usage};
use tokio::sync::watch;

use super::*;
use crate::inbound::writer::ClientWriter;
use crate::lifecycle::open_turns::OpenTurns;
use crate::lifecycle::phase::Phase;
use crate::turn::log::Recorder;
use crate::turn::tests::Setup;
use crate::turn::tests::log_lines::LogLines;
use crate::turn::{Recording, chat};

/// Longer than any test takes.
const HOUR: Duration = Duration::from_secs(3600);

fn long_ago() -> Instant {
    clock::now().checked_sub(HOUR).expect("a clock that counts from before")
}

/// What the upstream does at one poll.
enum Act {
    Text(&'static str),
    End,
    Break,
    Refuse,
    /// Nothing more has arrived yet.
    Wait,
}

/// An upstream that does this, and nothing after it.
fn script(acts: impl IntoIterator<Item = Act>) -> EventSource {
    let mut acts: VecDeque<Act> = acts.into_iter().collect();
    EventSource::Scripted(Box::new(move |_, sink| match acts.pop_front() {
        Some(Act::Text(text)) => {
            sink.event(TurnEvent::Text(text));
            Poll::Ready(Progress::More)
        }
        Some(Act::End) => {
            sink.event(TurnEvent::Usage(Usage { output: Some(3), ..Usage::default() }));
            sink.event(TurnEvent::Finished(FinishReason::Stop));
            Poll::Ready(Progress::Ended)
        }
        Some(Act::Break) => {
            sink.event(TurnEvent::Finished(FinishReason::Failed(broken())));
            Poll::Ready(Progress::Ended)
        }
        Some(Act::Refuse) => Poll::Ready(Progress::Failed(broken())),
        Some(Act::Wait) | None => Poll::Pending,
    }))
}

fn broken() -> Failure {
    Failure::new(FailureKind::Interrupted, "it broke")
}

/// A protocol of plain words.
struct Words {
    out: Vec<u8>,
    /// Pieces of a large event, which its end comes in.
    pieces: Rope,
    output: Rope,
    is_finished: bool,
    is_broken: bool,
}

impl Default for Words {
    fn default() -> Self {
        let output = b"2".to_vec().into();
        Self { out: Vec::new(), pieces: Rope::default(), output, is_finished: false, is_broken: false }
    }
}

impl EventSink for Words {
    fn event(&mut self, event: TurnEvent<'_>) {
        match event {
            TurnEvent::Text(text) => self.out.extend_from_slice(text.as_bytes()),
            TurnEvent::Finished(FinishReason::Failed(failure)) => self.fail(&failure),
            TurnEvent::Finished(_) => {
                self.out.extend_from_slice(b"[end]");
                self.is_finished = true;
            }
            _ => {}
        }
    }
}

impl ClientWriter for Words {
    fn out(&self) -> &[u8] {
        &self.out
    }

    fn out_mut(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    fn pieces_before_out(&self) -> usize {
        usize::from(!self.pieces.is_empty())
    }

    fn pop(&mut self) -> Option<Bytes> {
        let out = &mut self.out;
        self.pieces.pop().or_else(|| (!out.is_empty()).then(|| std::mem::take(out).into()))
    }

    fn is_finished(&self) -> bool {
        self.is_finished
    }

    fn keep_alive(&mut self) {
        self.out.extend_from_slice(b"[ping]");
    }

    fn write_failure(&mut self, failure: &Failure) {
        self.out.extend_from_slice(format!("[{}]", failure.message).as_bytes());
        (self.is_finished, self.is_broken) = (true, true);
    }

    fn stored(&self) -> Option<StoredResponse> {
        let stored =
            StoredResponse { id: "r".into(), output: self.output.clone(), response: b"{}".to_vec().into() };
        (self.is_finished && !self.is_broken).then_some(stored)
    }

    fn take_object(&mut self) -> Vec<u8> {
        b"{\"whole\":true}".to_vec()
    }
}

/// What outlives a body.
struct Fixture {
    turns: Arc<OpenTurns>,
    phase: watch::Sender<Phase>,
    store: Store,
    recall: Arc<Mutex<ConnectionHistory>>,
}

impl Fixture {
    fn new() -> Self {
        Self {
            turns: Arc::new(OpenTurns::default()),
            phase: watch::Sender::new(Phase::Serving),
            store: Store::open(None),
            recall: Arc::new(Mutex::new(ConnectionHistory::new(100))),
        }
    }

    /// A body whose last write was long ago.
    fn body(&self, source: EventSource) -> TurnBody {
        self.body_by(source, Words::default())
    }

    fn body_by(&self, source: EventSource, writer: Words) -> TurnBody {
        let recorder = Recorder {
            store: self.store.clone(),
            caches: Arc::default(),
            client: "c".to_owned(),
            conversation: None,
            recording: Recording::Full,
            key: None,
            config: Arc::new(crate::config::parse::config_of("")),
            metrics: Arc::default(),
            received: clock::now(),
            protocol: "responses",
            trace_id: None,
        };
        let log = TurnLog::new(self.turns.begin(), recorder, true);
        let memory = ConnectionMemory { recall: Arc::clone(&self.recall), previous: Some("before".into()) };
        lock(&self.recall).keep("before", Bytes::from_static(b"[0]"));
        let target = StoreTarget {
            store: Some((self.store.clone(), Scope::Owner)),
            memory: Some(memory),
            input: "[1]".into(),
        };
        let stop = ForceStop::new(self.phase.subscribe());
        let mut body = TurnBody::new(source, Answer::new(writer), log, Some(target), HOUR, stop);
        body.last_write = long_ago();
        body
    }

    async fn stored(&self) -> Option<Vec<u8>> {
        Some(self.store.response("r", clock::unix_now()).await?.items.clone())
    }

    fn recalled(&self, id: &str) -> Option<Bytes> {
        lock(&self.recall).find(id)
    }
}

/// Counts how often a task was woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// One poll: the bytes, `None` where there are none yet, and an empty text at the end.
fn poll(body: &mut TurnBody) -> Option<String> {
    match body.poll_bytes(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(bytes) => Some(String::from_utf8(bytes.unwrap_or_default().into()).expect("text")),
        Poll::Pending => None,
    }
}

#[tokio::test]
async fn what_arrives_together_is_one_write_and_what_comes_alone_does_not_wait() {
    let fixture = Fixture::new();
    let mut body = fixture.body(script([Act::Text("a"), Act::Text("b"), Act::Wait, Act::Text("c")]));
    assert_eq!(poll(&mut body).as_deref(), Some("ab"));
    body.last_write = long_ago();
    assert_eq!(poll(&mut body).as_deref(), Some("c"));
    assert_eq!(poll(&mut body), None, "nothing has arrived");
}

#[tokio::test]
async fn soon_after_a_write_more_is_collected_for_a_few_polls_and_nobody_waits_for_a_clock() {
    let fixture = Fixture::new();
    let acts = [Act::Text("a"), Act::Wait, Act::Text("b"), Act::Wait, Act::Wait, Act::Wait, Act::Wait];
    let mut body = fixture.body(script(acts));
    // However slow the machine is, this write is recent.
    body.last_write = clock::now() + HOUR;
    let wakes = Arc::new(Wakes::default());
    let task = Waker::from(Arc::clone(&wakes));
    let mut polls = 0;
    let bytes = loop {
        polls += 1;
        match body.poll_bytes(&mut Context::from_waker(&task)) {
            Poll::Ready(bytes) => break bytes.expect("bytes"),
            Poll::Pending => {
                assert_eq!(wakes.0.load(Ordering::Relaxed), polls, "it asks to be polled again itself");
            }
        }
    };
    assert_eq!(bytes, "ab");
    assert_eq!(polls, 1 + usize::from(COLLECT_POLLS) + 1, "one for `a`, and each of `b` and its last chance");
}

#[tokio::test]
async fn a_buffers_worth_is_written_although_more_has_arrived() {
    let fixture = Fixture::new();
    let source = EventSource::Scripted(Box::new(|_, sink| {
        sink.event(TurnEvent::Text("0123456789abcdef"));
        Poll::Ready(Progress::More)
    }));
    let mut body = fixture.body(source);
    for _ in 0..3 {
        let bytes = poll(&mut body).expect("bytes").len();
        assert!((MAX_BATCH..MAX_BATCH + 16).contains(&bytes), "{bytes}");
    }
}

#[tokio::test]
async fn the_end_is_handed_out_with_the_last_bytes_and_nothing_comes_after_it() {
    let fixture = Fixture::new();
    let mut body = fixture.body(script([Act::Text("a"), Act::End, Act::Text("never")]));
    assert_eq!(poll(&mut body).as_deref(), Some("a[end]"));
    assert!(ByteStream::is_over(&body), "known without another poll");
    assert_eq!(fixture.stored().await.as_deref(), Some(&b"[1,2]"[..]));
    assert_eq!(fixture.recalled("r").as_deref(), Some(&b"[1,2]"[..]));
    fixture.store.delete_response("r");
    for _ in 0..3 {
        assert_eq!(poll(&mut body).as_deref(), Some(""));
    }
    assert_eq!(fixture.stored().await, None, "it is stored once");
}

#[tokio::test]
async fn a_large_event_goes_out_piece_by_piece_and_the_turn_is_over_with_the_last() {
    let fixture = Fixture::new();
    let mut pieces = Rope::default();
    pieces.push(&vec![b'x'; 150_000]);
    let parts: Vec<String> = pieces.parts().map(|part| String::from_utf8_lossy(part).into_owned()).collect();
    assert!(parts.len() > 1);
    let mut body = fixture.body_by(script([Act::End]), Words { pieces, ..Words::default() });
    for part in &parts {
        assert!(!body.is_over() && fixture.turns.open() == 1);
        assert_eq!(poll(&mut body).as_ref(), Some(part));
    }
    assert!(!body.is_over(), "nobody was asked for more as long as pieces waited");
    assert_eq!(poll(&mut body).as_deref(), Some("[end]"));
    assert!(body.is_over());
    assert_eq!(fixture.stored().await.as_deref(), Some(&b"[1,2]"[..]));
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_kept_by_nobody() {
    for (size, is_kept) in [(chain::MAX_KEPT_ANSWER, true), (chain::MAX_KEPT_ANSWER + 1, false)] {
        let fixture = Fixture::new();
        *lock(&fixture.recall) = ConnectionHistory::new(usize::MAX);
        let (lines, _guard) = LogLines::capture();
        let writer = Words { output: vec![b'2'; size].into(), ..Words::default() };
        let mut body = fixture.body_by(script([Act::End]), writer);
        assert_eq!(poll(&mut body).as_deref(), Some("[end]"));
        assert_eq!((fixture.stored().await.is_some(), fixture.recalled("r").is_some()), (is_kept, is_kept));
        assert_eq!(lines.of("response.not_kept").len(), usize::from(!is_kept), "it is said");
    }
}

#[tokio::test]
async fn only_what_ended_well_is_stored_and_a_failure_is_forgotten_by_the_connection() {
    for acts in [vec![Act::Text("a"), Act::Break], vec![Act::Text("a"), Act::Refuse]] {
        let fixture = Fixture::new();
        let (lines, _guard) = LogLines::capture();
        let mut body = fixture.body(script(acts));
        assert_eq!(poll(&mut body).as_deref(), Some("a[it broke]"));
        assert!(body.is_over());
        drop(body);
        assert_eq!((fixture.stored().await, fixture.recalled("r")), (None, None));
        assert_eq!(fixture.recalled("before"), None, "the client sends everything again");
        let done = lines.of("turn.done");
        assert_eq!((done.len(), done[0]["failure"].as_str()), (1, "interrupted"), "{done:?}");
        assert_eq!(fixture.turns.failed(), 1);
    }
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_has_stored_nothing_and_no_failure() {
    let fixture = Fixture::new();
    let (lines, _guard) = LogLines::capture();
    let mut body = fixture.body(script([Act::Text("a"), Act::Wait, Act::End]));
    assert_eq!(poll(&mut body).as_deref(), Some("a"));
    drop(body);
    let done = lines.of("turn.done");
    assert_eq!((done.len(), done[0]["finish"].as_str()), (1, "client_left"), "{done:?}");
    assert_eq!((fixture.turns.open(), fixture.turns.failed()), (0, 0));
    assert_eq!((fixture.stored().await, fixture.recalled("r")), (None, None));
}

#[tokio::test]
async fn a_body_that_is_dropped_cancels_its_upstream() {
    let setup = Setup::new([ScriptedAnswer::steps([Step::text("All is "), Step::Stall])]).await;
    let request = serde_json::json!({ "model": "m", "messages": [{ "role": "user", "content": "Hi" }], "stream": true });
    let context = setup.context(Recording::Full);
    let response = chat(context, &hyper::HeaderMap::new(), request.to_string().into()).await;
    assert_eq!((setup.provider.disconnects(), setup.turns.open()), (0, 1));
    drop(response);
    let left = async {
        while setup.provider.disconnects() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(HOUR, left).await.expect("the provider sees that nobody listens");
    assert_eq!((setup.turns.open(), setup.turns.failed()), (0, 0));
    let endpoint = &setup.endpoint_set.states(clock::Clocks::now())[0];
    assert_eq!((endpoint.turns_open, endpoint.turns_failed), (0, 0), "nobody is to blame");
}

#[tokio::test(start_paused = true)]
async fn silence_is_broken_when_it_is_due() {
    let fixture = Fixture::new();
    let mut body = fixture.body(script([]));
    assert_eq!(poll(&mut body), None, "the timer has not run out");
    tokio::time::advance(HOUR).await;
    assert_eq!(poll(&mut body).as_deref(), Some("[ping]"));
    assert_eq!(poll(&mut body), None, "once for each time of silence");
    body.last_write = long_ago();
    tokio::time::advance(HOUR * 2).await;
    assert_eq!(poll(&mut body).as_deref(), Some("[ping]"), "the timer was set again");
}

#[tokio::test(start_paused = true)]
async fn a_timer_that_runs_out_soon_after_a_write_is_no_silence() {
    let fixture = Fixture::new();
    let mut body = fixture.body(script([Act::Text("a")]));
    assert_eq!(poll(&mut body).as_deref(), Some("a"));
    // The write is as recent on the timer's clock, which was moved on, as it is on the other.
    body.last_write = clock::now() + HOUR;
    tokio::time::advance(HOUR).await;
    assert_eq!(poll(&mut body), None);
    let deadline = body.keep_alive_timer.deadline().into_std();
    assert_eq!(deadline, body.last_write + HOUR, "it looks again when the silence is long enough");
}

#[tokio::test]
async fn a_stop_ends_the_stream_behind_what_has_arrived() {
    let fixture = Fixture::new();
    let mut body = fixture.body(script([Act::Text("a"), Act::Wait, Act::Text("never")]));
    fixture.phase.send_replace(Phase::ForceStop);
    let bytes = poll(&mut body).expect("bytes");
    assert_eq!(bytes, format!("a[{}]", shutting_down().message));
    assert_eq!(fixture.stored().await, None);
}

#[tokio::test]
async fn before_the_status_a_stop_is_an_answer_and_writes_nothing() {
    let fixture = Fixture::new();
    let mut body = fixture.body(script([]));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(body.poll_first(&mut cx).is_pending());
    fixture.phase.send_replace(Phase::ForceStop);
    let Poll::Ready(Progress::Failed(failure)) = body.poll_first(&mut cx) else { panic!("no failure") };
    assert_eq!(failure.kind, FailureKind::ShuttingDown);
    assert!(body.writer.out().is_empty());
}

#[tokio::test]
async fn one_object_at_the_end_is_stored_as_a_stream_is_and_a_failure_is_none() {
    let fixture = Fixture::new();
    let body = fixture.body(script([Act::Text("a"), Act::Text("b"), Act::End]));
    assert_eq!(body.collect().await.expect("an object").into_vec(), b"{\"whole\":true}");
    assert_eq!(fixture.stored().await.as_deref(), Some(&b"[1,2]"[..]));
    for last in [Act::Break, Act::Refuse] {
        let fixture = Fixture::new();
        let failure = fixture.body(script([Act::Text("a"), last])).collect().await.expect_err("broken");
        assert_eq!(failure.message, "it broke");
        assert_eq!((fixture.stored().await, fixture.turns.failed()), (None, 1));
    }
}

#[tokio::test]
async fn notes_go_to_the_log_and_never_to_the_client() {
    let fixture = Fixture::new();
    let (lines, _guard) = LogLines::capture();
    let mut acts = VecDeque::from([TurnEvent::Note(Note::turn("changed")), TurnEvent::Text("a")]);
    let mut body = fixture.body(EventSource::Scripted(Box::new(move |_, sink| match acts.pop_front() {
        Some(event) => {
            sink.event(event);
            Poll::Ready(Progress::More)
        }
        None => Poll::Pending,
    })));
    assert_eq!(poll(&mut body).as_deref(), Some("a"));
    assert!(!body.log.awaits_first_event(), "the text was the first semantic event");
    let notes = lines.of("turn.note");
    assert_eq!((notes.len(), notes[0]["note"].as_str()), (1, "changed"));
}
