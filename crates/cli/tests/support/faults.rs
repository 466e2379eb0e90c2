//! A table of faults driven through the whole proxy: what a provider does, and what the client must see.

use std::time::{Duration, Instant};

use latimer_adapters::scripted::ScriptedAnswer;
use latimer_protocol::responses::legality;
use serde_json::Value;

use super::{Lab, dechunk, status};

/// What the client must see.
#[derive(Debug)]
pub(crate) enum Seen {
    /// A completed turn with exactly this text.
    Completed(&'static str),
    /// A legal stream that ends in `response.failed`, with this text before.
    Failed(&'static str),
    /// An error instead of a stream, with this status and these words in its message.
    Refused(u16, &'static str),
}
pub(crate) use Seen::{Completed, Failed, Refused};

/// One way to break.
pub(crate) struct Fault {
    pub(crate) what: &'static str,
    pub(crate) answers: Vec<ScriptedAnswer>,
    pub(crate) seen: Seen,
}

/// A fault of one answer.
pub(crate) fn fault(what: &'static str, answer: ScriptedAnswer, seen: Seen) -> Fault {
    Fault { what, answers: vec![answer], seen }
}

/// The text a stream showed.
pub(crate) fn shown(stream: &str) -> String {
    let events = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    events
        .filter_map(|data| serde_json::from_str::<Value>(data).ok())
        .filter(|event| event["type"] == "response.output_text.delta")
        .map(|event| event["delta"].as_str().unwrap_or_default().to_owned())
        .collect()
}

fn verdict(answer: &str, seen: &Seen, allowed: &[&str]) -> Result<(), String> {
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
        let found = shown(&stream);
        if broken.is_empty() && ended && found == text {
            Ok(())
        } else {
            Err(format!("{broken:?} {found:?} {stream:.2000}"))
        }
    };
    match seen {
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

/// Drives each fault through a proxy of its own, with these lines under its endpoint; all that went wrong is told at once.
/// What is allowed are words about a stream that are no fault here.
pub(crate) fn drive(name: &str, endpoint: &str, ask: &str, allowed: &[&str], faults: Vec<Fault>) {
    let mut wrong = Vec::new();
    for Fault { what, answers, seen } in faults {
        let lab = Lab::configured(name, answers, "", endpoint);
        let begun = Instant::now();
        let answer = lab.post(ask, "");
        if let Err(found) = verdict(&answer, &seen, allowed) {
            wrong.push(format!("{what}: wanted {seen:?}, got {found}"));
        }
        if begun.elapsed() > Duration::from_secs(15) {
            wrong.push(format!("{what}: took {:?}", begun.elapsed()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
