//! What is left of a turn: its line, its usage row, its trace.

use latimer_protocol::failure::FailureKind;
use latimer_protocol::status::Trace;
use latimer_protocol::turn::TurnRequest;

use super::*;
use crate::lifecycle::open_turns::OpenTurns;
use crate::lifecycle::traces::MAX_NOTES;
use crate::route::attempt::AttemptRequest;
use crate::store::FILE;
use crate::store::usage::{GroupBy, report};
use crate::turn::tests::Setup;
use crate::turn::tests::log_lines::LogLines;

/// Where the turns of a test are written down.
struct Sinks {
    turns: Arc<OpenTurns>,
    store: Store,
    caches: Arc<Mutex<CacheMonitor>>,
}

impl Sinks {
    fn new() -> Self {
        Self { turns: Arc::new(OpenTurns::default()), store: Store::open(None), caches: Arc::default() }
    }

    fn begin(&self, recording: Recording) -> TurnLog {
        let recorder = Recorder {
            store: self.store.clone(),
            caches: Arc::clone(&self.caches),
            client: "codex".to_owned(),
            conversation: Some("c".to_owned()),
            recording,
            key: None,
            config: Arc::new(crate::config::parse::config_of("")),
            metrics: Arc::default(),
            received: clock::now(),
            protocol: "responses",
            trace_id: None,
        };
        TurnLog::new(self.turns.begin(), recorder, true)
    }

    fn trace(&self, turn: &str) -> Option<Trace> {
        self.turns.traces.one(turn, |_| true).map(|trace| serde_json::from_str(&trace).expect("a trace"))
    }
}

fn overloaded() -> Failure {
    let retry_after = Some(Duration::from_millis(1500));
    Failure { status: Some(529), retry_after, ..Failure::new(FailureKind::Overloaded, "too much") }
}

#[test]
fn however_a_turn_ends_there_is_one_line_and_one_trace_that_say_the_same() {
    type End = fn(&mut TurnLog);
    let ends: [(End, &str); 9] = [
        (|_| {}, "client_left"),
        (TurnLog::begin_answer, "client_left"),
        (TurnLog::complete, "stop"),
        (|log| log.finished(&FinishReason::Stop), "stop"),
        (|log| log.finished(&FinishReason::ToolCalls), "tool_calls"),
        (|log| log.finished(&FinishReason::Length), "length"),
        (|log| log.finished(&FinishReason::ContentFilter), "content_filter"),
        (|log| log.finished(&FinishReason::Failed(overloaded())), "failed"),
        (|log| log.failed(&overloaded()), "failed"),
    ];
    for (number, (end, finish)) in ends.into_iter().enumerate() {
        let sinks = Sinks::new();
        let (lines, _guard) = LogLines::capture();
        let mut log = sinks.begin(Recording::Full);
        end(&mut log);
        if finish != "client_left" {
            // What the client has by now does not change how the model ended.
            log.complete();
        }
        assert_eq!(log.row(1, None).finish, finish, "{number}");
        assert_eq!((lines.of("turn.done").len(), sinks.turns.open()), (0, 1), "{number}: still open");
        drop(log);
        let done = lines.of("turn.done");
        assert_eq!(done.len(), 1, "{number}: {done:?}");
        let level = if finish == "failed" { "WARN" } else { "INFO" };
        assert_eq!((done[0]["finish"].as_str(), done[0]["level"].as_str()), (finish, level), "{number}");
        assert_eq!(sinks.trace("t1").expect("a trace").finish, finish, "{number}");
        let failed = u64::from(finish == "failed");
        assert_eq!((sinks.turns.open(), sinks.turns.failed()), (0, failed), "{number}");
    }
}

#[test]
fn a_failed_turn_says_why_in_words_and_in_codes() {
    let sinks = Sinks::new();
    let (lines, _guard) = LogLines::capture();
    let mut log = sinks.begin(Recording::Full);
    log.failed(&overloaded());
    assert_eq!(log.row(1, None).failure.as_deref(), Some("overloaded"));
    drop(log);
    let line = lines.of("turn.done").remove(0);
    for (field, value) in [
        ("turn", "t1"),
        ("failure", "overloaded"),
        ("status", "529"),
        ("retry_after_ms", "1500"),
        ("client", "codex"),
        ("message", "too much"),
    ] {
        assert_eq!(line.get(field).map(String::as_str), Some(value), "{field}: {line:?}");
    }
    assert_eq!(sinks.trace("t1").expect("a trace").failure.as_deref(), Some("too much"));
}

#[test]
fn the_first_semantic_event_is_timed_once() {
    let sinks = Sinks::new();
    let mut log = sinks.begin(Recording::Full);
    assert!(log.awaits_first_event());
    assert_eq!(log.row(1, None).first_ms, None);
    log.begin_answer();
    let first = log.first_event;
    assert!(first.is_some() && !log.awaits_first_event());
    log.started -= Duration::from_secs(9);
    log.begin_answer();
    assert_eq!(log.first_event, first, "later events change nothing");
}

#[tokio::test]
async fn the_log_follows_the_target_that_is_asked() {
    let models = "[{ id = \"m\", price = { input = 2, output = 10 } }]";
    let setup = Setup::new([crate::turn::tests::answer()]).await;
    let text = format!(
        "[[endpoint]]\nname = \"dear\"\nbase_url = \"{0}\"\nmodels = {models}\napi_key = \"k\"\n\
         [[endpoint]]\nname = \"free\"\nbase_url = \"{0}\"\nmodels = [\"n\"]\n",
        setup.provider.base_url()
    );
    let config = Arc::new(crate::config::parse::config_of(&text));
    let memory = Arc::new(crate::route::memory::Memory::new(None));
    let set = crate::route::endpoint_set::EndpointSet::new(config, memory, None, None);
    let attempts = |model: &str| {
        let turn = TurnRequest { model: model.to_owned(), ..TurnRequest::default() };
        let request = AttemptRequest {
            turn,
            raw: None,
            headers: Vec::new(),
            level: None,
            max_wait: Duration::ZERO,
            affinity_key: None,
            running: Arc::default(),
        };
        Attempts::new(set.targets(model, None, clock::now()).expect("a target"), request).expect("a target")
    };
    let sinks = Sinks::new();
    let mut log = sinks.begin(Recording::Full);
    log.usage = Usage { input: Some(1_000_000), output: Some(100_000), ..Usage::default() };
    log.follow(&attempts("m"));
    let row = log.row(7, None);
    assert_eq!((row.endpoint.as_str(), row.model.as_str(), row.account.as_str()), ("dear", "m", "key-1"));
    assert_eq!((row.ms, row.client.as_str(), row.usage), (7, "codex", log.usage));
    assert_eq!(row.cost_usd.map(|cost| (cost * 100.0).round()), Some(300.0), "{:?}", row.cost_usd);
    log.follow(&attempts("n"));
    let row = log.row(7, None);
    assert_eq!((row.endpoint.as_str(), row.model.as_str(), row.account.as_str()), ("free", "n", ""));
    assert_eq!(row.cost_usd, None, "the price of one target is not that of the next");
}

#[test]
fn notes_are_lines_at_once_and_the_trace_keeps_a_bounded_number() {
    let sinks = Sinks::new();
    let (lines, _guard) = LogLines::capture();
    let mut log = sinks.begin(Recording::Full);
    for number in 0..=MAX_NOTES {
        log.note(&Note::request(format!("note {number}")));
    }
    let notes = lines.of("turn.note");
    assert_eq!(notes.len(), MAX_NOTES);
    assert_eq!((notes[0]["note"].as_str(), notes[0]["turn"].as_str()), ("note 0", "t1"));
    drop(log);
    let notes = lines.of("turn.note");
    assert_eq!(
        (notes.len(), notes[MAX_NOTES]["count"].as_str()),
        (MAX_NOTES + 1, "1"),
        "the last is counted"
    );
    let kept = sinks.trace("t1").expect("a trace").notes;
    assert_eq!((kept.len(), kept[0].as_str()), (MAX_NOTES, "note 0"));
}

#[test]
fn a_cache_that_went_cold_is_a_warning_of_the_turn_that_found_it_so() {
    let sinks = Sinks::new();
    let (lines, _guard) = LogLines::capture();
    for cached in [9000, 100] {
        let mut log = sinks.begin(Recording::Full);
        log.usage = Usage { input: Some(10_000), cached: Some(cached), ..Usage::default() };
        log.complete();
    }
    assert_eq!(lines.of("turn.warning").len(), 1);
    let warnings = sinks.turns.warnings();
    assert!(
        matches!(&warnings[..], [one] if one.starts_with("t2: ") && one.contains("cache")),
        "{warnings:?}"
    );
    assert_eq!(sinks.trace("t2").expect("a trace").notes.len(), 1);
    assert_eq!(sinks.trace("t1").expect("a trace").notes.len(), 0);
}

#[test]
fn of_a_turn_of_our_own_only_a_failure_is_written_down_and_no_row() {
    let dir = tempfile::tempdir().expect("a directory");
    let sinks = Sinks { store: Store::open(Some(dir.path())), ..Sinks::new() };
    let (lines, _guard) = LogLines::capture();
    let mut well = sinks.begin(Recording::FailuresOnly);
    well.note(&Note::turn("not written"));
    well.complete();
    drop(well);
    assert_eq!((sinks.trace("t1"), lines.of("turn.done"), lines.of("turn.note")), (None, vec![], vec![]));
    let mut broken = sinks.begin(Recording::FailuresOnly);
    broken.failed(&overloaded());
    drop(broken);
    assert_eq!(lines.of("turn.done").len(), 1);
    assert_eq!(sinks.trace("t2").expect("a trace").finish, "failed");
    drop(sinks.begin(Recording::Full));
    sinks.store.flush();
    let rows = report(&dir.path().join(FILE), GroupBy::Turn, 0).expect("a report");
    let names: Vec<&str> = rows.lines.iter().map(|line| line.name.as_str()).collect();
    assert!(matches!(names[..], [one] if one.contains(" t3 ")), "{names:?}");
}
