//! A table of faults driven through the whole proxy: what a provider does, and what the client must get.

use std::time::{Duration, Instant};

use latimer_adapters::scripted::ScriptedAnswer;
use latimer_protocol::responses::legality;
use serde_json::Value;

use super::{Harness, dechunk, status};

/// The longest that one fault may take; the slowest waits for a few time limits of a second or two.
const MAX_DURATION: Duration = Duration::from_secs(60);

/// What the client must get.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// A completed turn with exactly this text.
    Completed(&'static str),
    /// A legal stream that ends in `response.failed`, with this text before.
    Failed(&'static str),
    /// An error instead of a stream, with this status and these words in its message.
    Refused(u16, &'static str),
}
pub(crate) use Outcome::{Completed, Failed, Refused};

/// One way to break.
pub(crate) struct Fault {
    pub(crate) name: &'static str,
    pub(crate) answers: Vec<ScriptedAnswer>,
    pub(crate) outcome: Outcome,
}

/// A fault of one answer.
pub(crate) fn fault(name: &'static str, answer: ScriptedAnswer, outcome: Outcome) -> Fault {
    Fault { name, answers: vec![answer], outcome }
}

/// The text in a Responses stream.
pub(crate) fn output_text(stream: &str) -> String {
    let events = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    events
        .filter_map(|data| serde_json::from_str::<Value>(data).ok())
        .filter(|event| event["type"] == "response.output_text.delta")
        .map(|event| event["delta"].as_str().unwrap_or_default().to_owned())
        .collect()
}

fn check_outcome(answer: &str, outcome: &Outcome, allowed: &[&str]) -> Result<(), String> {
    let stream = dechunk(answer);
    let stream = if stream.is_empty() { answer.to_owned() } else { stream };
    let check = |terminal: &str, text: &str| {
        if status(answer) != 200 {
            return Err(format!("no stream: {answer}"));
        }
        let is_allowed = |fault: &String| allowed.iter().any(|words| fault.contains(words));
        let broken: Vec<_> =
            legality::check(stream.as_bytes()).into_iter().filter(|fault| !is_allowed(fault)).collect();
        let ended = stream.contains(&format!("\nevent: {terminal}\n"));
        let found = output_text(&stream);
        if broken.is_empty() && ended && found == text {
            Ok(())
        } else {
            Err(format!("{broken:?} {found:?} {stream:.2000}"))
        }
    };
    match outcome {
        Completed(text) => check("response.completed", text),
        Failed(text) => check("response.failed", text),
        Refused(wanted, words) => {
            let message =
                answer.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str::<Value>(body).ok());
            let message = message.and_then(|error| error["error"]["message"].as_str().map(str::to_owned));
            let fine = message.as_ref().is_some_and(|text| text.len() > 15 && text.contains(words));
            if status(answer) == *wanted && fine { Ok(()) } else { Err(answer.to_owned()) }
        }
    }
}

/// Sends a request for each fault through a proxy of its own, with these lines under its endpoint; everything that went wrong is
/// reported at once. `allowed` are words of violations that are no fault here.
pub(crate) fn check_faults(name: &str, endpoint: &str, ask: &str, allowed: &[&str], faults: Vec<Fault>) {
    let mut wrong = Vec::new();
    for Fault { name: fault, answers, outcome } in faults {
        let harness = Harness::configured(name, answers, "", endpoint);
        let asked_at = Instant::now();
        let answer = harness.post(ask, "");
        if let Err(found) = check_outcome(&answer, &outcome, allowed) {
            wrong.push(format!("{fault}: wanted {outcome:?}, got {found}"));
        }
        if asked_at.elapsed() > MAX_DURATION {
            wrong.push(format!("{fault}: took {:?}", asked_at.elapsed()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
