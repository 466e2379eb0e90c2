//! The drive loop with bodies made by hand and a clock that stands still.

#![expect(clippy::expect_used, reason = "helpers of tests may stop the test")]

use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use latimer_adapters::drive::{Limits, TurnStream};
use latimer_adapters::reader::{BodyEnd, Reader};
use latimer_adapters::transport::Body;
use latimer_protocol::failure::{Failure, FailureKind};
use latimer_protocol::turn::{EventSink, FinishReason, RecordedEvents, TurnEvent};
use tokio::time::{Instant, sleep};

/// Every payload is text; `[DONE]` is the end marker and `-` says nothing.
#[derive(Default)]
struct Plain {
    done: bool,
}

impl Reader for Plain {
    fn push(&mut self, data: &[u8], sink: &mut dyn EventSink) {
        match data {
            b"[DONE]" => self.done = true,
            b"-" => {}
            text => sink.event(TurnEvent::Text(std::str::from_utf8(text).expect("text"))),
        }
    }

    fn done(&self) -> bool {
        self.done
    }

    fn finish(self: Box<Self>, end: BodyEnd, sink: &mut dyn EventSink) {
        let reason = match end {
            BodyEnd::Broken(failure) => FinishReason::Failed(failure),
            BodyEnd::Clean if self.done => FinishReason::Stop,
            BodyEnd::Clean => FinishReason::Failed(Failure::new(FailureKind::Interrupted, "no end marker")),
        };
        sink.event(TurnEvent::Finished(reason));
    }
}

/// A reader that forgets its last word, or has too many.
struct Broken(usize);

impl Reader for Broken {
    fn push(&mut self, _: &[u8], _: &mut dyn EventSink) {}

    fn done(&self) -> bool {
        false
    }

    fn finish(self: Box<Self>, _: BodyEnd, sink: &mut dyn EventSink) {
        for _ in 0..self.0 {
            sink.event(TurnEvent::Finished(FinishReason::Stop));
        }
    }
}

type Chunk = Result<Bytes, Failure>;

fn chunks(parts: &[&'static str]) -> impl Stream<Item = Chunk> + Send + 'static {
    stream::iter(parts.iter().map(|part| Ok(Bytes::from_static(part.as_bytes()))).collect::<Vec<_>>())
}

/// A chunk every so often, for ever.
fn every(pause: Duration, part: &'static str) -> impl Stream<Item = Chunk> + Send + 'static {
    stream::unfold((), move |()| async move {
        sleep(pause).await;
        Some((Ok(Bytes::from_static(part.as_bytes())), ()))
    })
}

fn turn(body: impl Stream<Item = Chunk> + Send + 'static, limits: Limits) -> TurnStream {
    TurnStream::new(Body::from_stream(body), Box::<Plain>::default(), limits)
}

async fn run(mut turn: TurnStream) -> Vec<String> {
    let mut record = RecordedEvents::default();
    while !poll_fn(|cx| turn.poll_events(cx, &mut record)).await {}
    record.lines
}

#[tokio::test]
async fn text_arrives_whatever_the_cuts() {
    for parts in [
        &["data: one\n\ndata: two\n\ndata: [DONE]\n\n"][..],
        &["da", "ta: one\n\nda", "ta: two", "\n", "\ndata: [DONE]\n\n"][..],
        &["data: one\n\n", "data: two\n\n", "data: [DONE]"][..],
    ] {
        let lines = run(turn(chunks(parts), Limits::default())).await;
        assert_eq!(lines, ["text \"one\"", "text \"two\"", "finished stop"], "{parts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_marker_ends_at_once_and_nothing_follows() {
    let body = chunks(&["data: a\n\ndata: [DONE]\n\ndata: late\n\n"]).chain(stream::pending());
    let started = Instant::now();
    assert_eq!(run(turn(body, Limits::default())).await, ["text \"a\"", "finished stop"]);
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn a_clean_end_without_a_marker_is_the_readers_to_judge() {
    let lines = run(turn(chunks(&["data: a\n\n"]), Limits::default())).await;
    assert_eq!(lines, ["text \"a\"", "finished failed interrupted \"no end marker\""]);
}

#[tokio::test]
async fn a_broken_body_keeps_what_arrived() {
    let broken = stream::iter([Err(Failure::new(FailureKind::Interrupted, "reset"))]);
    let lines = run(turn(chunks(&["data: a\n\n"]).chain(broken), Limits::default())).await;
    assert_eq!(lines, ["text \"a\"", "finished failed interrupted \"reset\""]);
}

#[tokio::test(start_paused = true)]
async fn silence_ends_after_the_idle_limit_even_inside_a_line() {
    for first in ["data: a\n\n", "data: a\n\ndata: ha"] {
        let parts: &'static [&'static str] = Box::leak(Box::new([first]));
        let limits = Limits { idle: Duration::from_secs(5), ..Limits::default() };
        let started = Instant::now();
        let lines = run(turn(chunks(parts).chain(stream::pending()), limits)).await;
        assert_eq!(lines[0], "text \"a\"");
        assert!(
            lines[1].starts_with("finished failed timeout") && lines[1].contains("timeouts.idle"),
            "{lines:?}"
        );
        assert!((5.0..5.1).contains(&started.elapsed().as_secs_f64()), "{:?}", started.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn every_byte_moves_the_idle_limit() {
    let limits = Limits { idle: Duration::from_secs(5), ..Limits::default() };
    let body = every(Duration::from_secs(4), "data: a\n\n").take(20).chain(chunks(&["data: [DONE]\n\n"]));
    let started = Instant::now();
    assert_eq!(run(turn(body, limits)).await.last().map(String::as_str), Some("finished stop"));
    assert!(started.elapsed() >= Duration::from_secs(80));
}

#[tokio::test(start_paused = true)]
async fn comments_are_life_but_not_content() {
    for part in [": keep-alive\n\n", "data: -\n\n"] {
        let started = Instant::now();
        let lines = run(turn(every(Duration::from_secs(100), part), Limits::default())).await;
        assert!(lines[0].contains("without any content"), "{lines:?}");
        assert!((600.0..601.0).contains(&started.elapsed().as_secs_f64()), "{:?}", started.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn content_moves_the_content_limit() {
    let body = every(Duration::from_secs(250), "data: a\n\n").take(8).chain(chunks(&["data: [DONE]\n\n"]));
    assert_eq!(run(turn(body, Limits::default())).await.len(), 9);
}

#[tokio::test]
async fn limits_on_size_are_kept() {
    let big: Bytes = vec![b'x'; 100_000].into();
    let endless = move || stream::repeat(big.clone()).map(Ok);
    let small = Limits { line: 1 << 20, total: 3 << 20, whole: 2 << 20, ..Limits::default() };
    let lines = run(turn(endless(), small)).await;
    assert_eq!(lines, ["finished failed too_large \"one line of the answer is larger than 1 MB\""]);

    let reader = Box::<Plain>::default();
    let lines = run(TurnStream::whole(Body::from_stream(endless()), reader, small)).await;
    assert_eq!(lines, ["finished failed too_large \"one answer is larger than 2 MB\""]);

    let frames = stream::repeat(Bytes::from_static(b"data: -\n\n")).map(Ok);
    let lines = run(turn(frames, small)).await;
    assert_eq!(lines, ["finished failed too_large \"one answer is larger than 3 MB\""]);
}

#[tokio::test]
async fn a_document_is_one_push() {
    let reader = Box::<Plain>::default();
    let lines =
        run(TurnStream::whole(Body::from_stream(chunks(&["{\"a\":", "1}"])), reader, Limits::default()))
            .await;
    assert_eq!(lines[0], "text \"{\\\"a\\\":1}\"");
}

#[tokio::test]
async fn the_first_byte_tells_the_shape() {
    let cases: [(&'static [&'static str], &str); 5] = [
        (&[" \n", "{\"a\"", ":1}"], "text \"{\\\"a\\\":1}\""),
        (&["\u{feff}[1]"], "text \"[1]\""),
        (&["\n", "data: x\n\n"], "text \"x\""),
        (&["<!doctype html>"], "finished failed upstream_error"),
        (&[], "finished failed interrupted"),
    ];
    for (parts, want) in cases {
        let reader = Box::<Plain>::default();
        let lines =
            run(TurnStream::detect(Body::from_stream(chunks(parts)), reader, Limits::default())).await;
        assert!(lines[0].starts_with(want), "{parts:?}: {lines:?}");
    }
}

#[tokio::test]
async fn a_poll_stops_at_its_budget() {
    let frame = "data: 0123456789\n\n";
    let all = Bytes::from(frame.repeat(20_000));
    let body = stream::iter([Ok(all)]).chain(chunks(&["data: [DONE]\n\n"]));
    let mut turn = turn(body, Limits::default());
    let (mut polls, mut texts) = (0, 0);
    loop {
        let mut in_poll = 0;
        let mut count = |event: TurnEvent<'_>| in_poll += usize::from(matches!(event, TurnEvent::Text(_)));
        let ended = poll_fn(|cx| turn.poll_events(cx, &mut count)).await;
        assert!(in_poll <= 64 * 1024 / frame.len() + 1, "{in_poll}");
        polls += 1;
        texts += in_poll;
        if ended {
            break;
        }
    }
    assert_eq!(texts, 20_000);
    assert!(polls >= frame.len() * 20_000 / (64 * 1024), "{polls}");
}

#[tokio::test]
async fn there_is_exactly_one_end() {
    for (count, want) in
        [(0, "finished failed internal \"a reader ended without saying how\""), (2, "finished stop")]
    {
        let body = Body::from_stream(chunks(&["data: a\n\n"]));
        let lines = run(TurnStream::new(body, Box::new(Broken(count)), Limits::default())).await;
        assert_eq!(lines, [want]);
    }
}

#[tokio::test]
async fn dropping_the_turn_drops_the_body() {
    struct Flag(std::sync::Arc<()>);
    let alive = std::sync::Arc::new(());
    let flag = Flag(alive.clone());
    let body = stream::poll_fn(move |_| {
        let _ = &flag.0;
        std::task::Poll::Pending
    });
    let turn = turn(body, Limits::default());
    assert_eq!(std::sync::Arc::strong_count(&alive), 2);
    drop(turn);
    assert_eq!(std::sync::Arc::strong_count(&alive), 1);
}
