//! Whole nights: one written by hand, and generated ones of thousands of signals. Their outcome is a snapshot.

use std::fmt::Write as _;
use std::path::PathBuf;

use latimer_protocol::status::Fault;
use latimer_watchdog::decide::State;
use latimer_watchdog::record::Record;
use latimer_watchdog::rules::{Rules, file};
use latimer_watchdog::settings::{DiagnosisSettings, Settings};
use latimer_watchdog::signal::{
    ClientExit, Diagnosis, ForeignLogMatch, HealthReading, MissReason, MissedCheck, NetworkState,
    PersonRequest, ProbeResult, ProxyEvent, ProxyExit, ProxyStarted, Signal,
};
use latimer_watchdog::simulate::{RecordedSignal, Replay, replay};
use latimer_watchdog::time::Time;

use crate::support::BEGIN;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/watchdog")
}

fn state() -> State {
    let model = DiagnosisSettings {
        endpoint: Some("small".to_owned()),
        model: None,
        monthly_budget_micros: 2_000_000,
    };
    let settings = Settings { diagnosis: model, ..Settings::default() };
    State::new(settings, Rules::default(), Record::default())
}

/// The snapshot beside the recordings.
fn check(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(folder());
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// What was done, then what was learned.
fn story(replay: &Replay, state: &State) -> String {
    let mut text = replay.to_string();
    for view in state.incident_views() {
        let incident = &view.incident;
        let _ = write!(text, "\nincident {} {} seen {}", incident.id, incident.pattern, incident.seen);
        for fix in &incident.fixes {
            let (good, bad) = (fix.successes, fix.failures);
            let _ = write!(text, "; {} by {}: {good} good, {bad} bad", fix.remedy.name(), fix.source.name());
        }
    }
    text
}

#[test]
fn a_night_written_by_hand() {
    let text = std::fs::read_to_string(folder().join("night.jsonl")).expect("the recording");
    let mut state = state();
    let replay = replay(&text, &mut state);
    assert_eq!(replay.bad.len(), 1, "{:?}", replay.bad);
    check("night", &story(&replay, &state));
}

#[test]
fn a_changed_rule_is_compared_on_the_same_night() {
    let text = std::fs::read_to_string(folder().join("night.jsonl")).expect("the recording");
    let rules = file::read("[[rule]]\nfault = \"B8\"\nthreshold = 100\n").expect("rules");
    let mut changed = State::new(Settings::default(), rules, Record::default());
    let (before, after) = (replay(&text, &mut state()), replay(&text, &mut changed));
    let count = |replay: &Replay| replay.counts().get("clear_capabilities").copied().unwrap_or(0);
    assert!(count(&before) > count(&after), "{} and {}", count(&before), count(&after));
}

/// A small generator, so that a night is the same for ever. (Numerical Recipes' constants.)
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides.max(1)
    }
}

/// A night of eight hours: a healthy proxy is seen every two seconds, and something goes wrong every so often.
fn night(seed: u64, one_in: u64) -> Vec<RecordedSignal> {
    let mut dice = Dice(seed);
    let mut all = vec![RecordedSignal { at: BEGIN, signal: Signal::Person(PersonRequest::Start) }];
    let mut at = BEGIN.as_millis();
    let mut pid = 4000;
    let faults: Vec<Fault> = Fault::all().collect();
    while at < BEGIN.as_millis() + 8 * 3_600_000 {
        at += 2000;
        let mut push = |signal| all.push(RecordedSignal { at: Time::from_millis(at), signal });
        if dice.roll(one_in) > 0 {
            let memory_bytes = (60 << 20) + (dice.roll(8) << 20);
            push(Signal::Health(HealthReading { pid, memory_bytes, ..HealthReading::default() }));
            continue;
        }
        let endpoint = Some(["kimi", "zai", "local"][usize::try_from(dice.roll(3)).unwrap_or(0)].to_owned());
        let fault = faults[usize::try_from(dice.roll(faults.len() as u64)).unwrap_or(0)];
        match dice.roll(10) {
            0 => {
                push(Signal::ProxyExited(ProxyExit { pid, signal: Some(9), ..ProxyExit::default() }));
                pid += 1;
                at += 500;
                let mut push = |signal| all.push(RecordedSignal { at: Time::from_millis(at), signal });
                push(Signal::ProxyStarted(ProxyStarted { pid, ..ProxyStarted::default() }));
            }
            1 => (0..3).for_each(|_| {
                push(Signal::HealthMissed(MissedCheck { why: MissReason::Timeout, waited_ms: 1000 }));
            }),
            2 => {
                push(Signal::Foreign(ForeignLogMatch {
                    fault: Fault::ClientStreamLost,
                    source: "codex".to_owned(),
                }));
                push(Signal::ProbeOk(ProbeResult::default()));
            }
            3 => push(Signal::Network(NetworkState { up: dice.roll(2) > 0 })),
            4 => push(Signal::ClientExited(ClientExit {
                pid: 9,
                name: "codex".to_owned(),
                signal: Some(11),
                ..ClientExit::default()
            })),
            5 => {
                let reply = Some(
                    "{\"action\":\"retry_now\",\"reason\":\"it may pass\",\"confidence\":0.7}".to_owned(),
                );
                push(Signal::Diagnosis(Diagnosis {
                    reply,
                    input_tokens: 700,
                    output_tokens: 40,
                    ..Diagnosis::default()
                }));
            }
            _ => {
                let event = "turn.note".to_owned();
                push(Signal::Proxy(ProxyEvent {
                    event,
                    fault: Some(fault),
                    endpoint,
                    ..ProxyEvent::default()
                }));
            }
        }
    }
    all
}

#[test]
fn generated_nights() {
    // Quiet, busy, and a night in which nothing works.
    for (name, seed, one_in) in
        [("generated-quiet", 1, 400), ("generated-busy", 2, 60), ("generated-bad", 3, 4)]
    {
        let lines: Vec<_> = night(seed, one_in).iter().filter_map(RecordedSignal::line).collect();
        assert!(lines.len() > 14_000, "a night is long");
        let mut state = state();
        let replay = replay(&lines.join("\n"), &mut state);
        assert_eq!((replay.bad.len(), replay.signals), (0, lines.len()));
        // The beginning, the sum, and what was learned: a whole bad night is too long to read.
        let story = story(&replay, &state);
        let told = |place: usize, line: &str| {
            place < 60 || line.contains(" signals, ") || (line.starts_with("incident") && line.contains(';'))
        };
        let lines: Vec<_> =
            story.lines().enumerate().filter(|(place, line)| told(*place, line)).map(|it| it.1).collect();
        check(name, &lines.join("\n"));
    }
}
