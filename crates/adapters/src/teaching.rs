//! What a refusal teaches, by what it is about: the whole of something, one field, the length of answers, one picture. Pure.
//!
//! Only a wording about the whole takes something whole away. What is about one thing, told by its index, its path, its name, a size or
//! a number of pixels, changes that one thing and for this turn alone. And a lesson is only remembered when the request that was
//! written by it was taken: who sends it sees to that.

mod field;
mod picture;
mod whole;

pub use self::picture::Pictures;
pub use self::whole::learn;

use latimer_protocol::failure::{Failure, FailureKind};

use crate::errors::RefusalWords;
use crate::errors::tokens::{self, OutputBounds, TokenReading};
use crate::field_rules::{CONTEXT_WINDOW, FieldRule, MAX_OUTPUT, output_limit};
use crate::limitation::{Features, Limitation};
use crate::prepared_request::{PreparedRequest, WireProtocol};

/// A longer text may quote the person, and teaches nothing. In bytes.
const MAX_MESSAGE_LEN: usize = 600;
/// Statuses of refusals of the request itself.
const STATUSES: [u16; 6] = [400, 404, 413, 415, 422, 501];
/// Statuses that some servers have for it, too.
const DOUBTFUL_STATUSES: [u16; 3] = [500, 502, 503];

/// What a refusal teaches about its target.
#[derive(Debug, Clone, PartialEq)]
pub enum Teaching {
    /// It cannot do something at all.
    Whole(Limitation),
    /// It did not take one thing of this request, which is written without it. Nothing is known about other requests.
    ThisTurn(Limitation),
    /// It takes something else in a field.
    Field {
        /// As in the body: `reasoning.effort`.
        path: String,
        /// What it takes.
        rule: FieldRule,
    },
    /// It does not answer at such length.
    Output(OutputLesson),
    /// It refused a picture.
    Pictures(Pictures),
    /// It refused one thing in a request that the client wrote: a translation may mend that.
    Translate,
}

/// How long an answer may be: now, and from now on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OutputLesson {
    /// What this turn may ask for; `None` where the refusal names no number, and none is sent.
    pub now: Option<u64>,
    /// What is true of later turns, too.
    pub bounds: OutputBounds,
}

impl OutputLesson {
    /// The rules to remember.
    pub fn rules(&self) -> Vec<(&'static str, FieldRule)> {
        let range = |min: Option<u64>, max: Option<u64>| FieldRule::between(min, max);
        let OutputBounds { max, min, window, .. } = self.bounds;
        let answers = (max.is_some() || min.is_some()).then(|| (MAX_OUTPUT, range(min, max)));
        let window = window.map(|window| (CONTEXT_WINDOW, range(None, Some(window))));
        answers.into_iter().chain(window).collect()
    }

    /// What this turn's request is held to.
    pub fn rule_now(&self) -> FieldRule {
        self.now.map_or(FieldRule::Absent, |now| FieldRule::between(self.bounds.min, Some(now)))
    }
}

impl Teaching {
    /// What the refusal of a request teaches. `kind` is what it was classified as; `status` is `None` for one inside a stream.
    pub fn of(
        kind: FailureKind,
        status: Option<u16>,
        words: &RefusalWords,
        request: &PreparedRequest,
    ) -> Option<Self> {
        let certainty = Certainty::of(kind, status)?;
        if words.message.len().max(words.length) > MAX_MESSAGE_LEN {
            return None;
        }
        let refusal = Refusal { lower: words.lower(), words, request, certainty };
        let output = output(&refusal);
        if kind == FailureKind::ContextLength {
            return output;
        }
        let plain = output.or_else(|| field::listed(&refusal));
        if certainty == Certainty::Doubtful {
            return plain.or_else(|| picture::of(&refusal));
        }
        plain
            .or_else(|| whole::of(&refusal))
            .or_else(|| picture::of(&refusal))
            .or_else(|| field::unknown(&refusal))
            .or_else(|| translate(&refusal))
    }

    /// What a failure inside a stream that nobody saw anything of teaches about its request.
    pub fn of_failure(failure: &Failure, request: &PreparedRequest) -> Option<Self> {
        let said = failure.message.split_once(": ").map_or(failure.message.as_str(), |(_, said)| said);
        let words = RefusalWords { message: said.to_owned(), ..RefusalWords::default() };
        Self::of(failure.kind, None, &words, request)
    }

    /// What is done about it, for people.
    pub fn meaning(&self) -> String {
        match self {
            Self::Whole(limitation) => limitation.meaning().to_owned(),
            Self::ThisTurn(limitation) => format!("for this turn, {}", limitation.meaning()),
            Self::Field { path, rule } => rule.meaning(path),
            Self::Output(lesson) => {
                let rules = lesson.rules();
                let rules: Vec<String> = rules.iter().map(|(field, rule)| rule.meaning(field)).collect();
                if rules.is_empty() {
                    "no number of tokens is asked for".to_owned()
                } else {
                    rules.join(", ")
                }
            }
            Self::Pictures(Pictures::All) => "for this turn, pictures are replaced by a note".to_owned(),
            Self::Pictures(Pictures::Nth(_)) => "a picture is replaced by a note".to_owned(),
            Self::Translate => "for this turn, the client's request is translated".to_owned(),
        }
    }
}

/// How sure it is that the request itself was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Certainty {
    /// By its status: also words that say nothing are about the request.
    Certain,
    /// By its words.
    Likely,
    /// The server may have failed: only what is plainly said teaches.
    Doubtful,
}

impl Certainty {
    /// `None` for what teaches nothing: keys, allowances, the network.
    fn of(kind: FailureKind, status: Option<u16>) -> Option<Self> {
        let is_doubtful = status.is_some_and(|status| DOUBTFUL_STATUSES.contains(&status));
        let is_refusal = status.is_some_and(|status| STATUSES.contains(&status));
        match (kind, status) {
            (FailureKind::BadRequest, Some(_)) if is_refusal => Some(Self::Certain),
            (FailureKind::BadRequest | FailureKind::ModelNotFound | FailureKind::ContextLength, None) => {
                Some(Self::Likely)
            }
            (FailureKind::ModelNotFound | FailureKind::ContextLength, Some(_)) if is_refusal => {
                Some(Self::Likely)
            }
            (FailureKind::UpstreamError, None) => Some(Self::Doubtful),
            (
                FailureKind::BadRequest
                | FailureKind::ContextLength
                | FailureKind::UpstreamError
                | FailureKind::Overloaded,
                Some(_),
            ) if is_doubtful => Some(Self::Doubtful),
            _ => None,
        }
    }
}

/// A refusal and the request that it is about.
struct Refusal<'r> {
    /// Codes, field and words, in lower case.
    lower: String,
    words: &'r RefusalWords,
    request: &'r PreparedRequest,
    certainty: Certainty,
}

impl Refusal<'_> {
    fn features(&self) -> Features {
        self.request.features
    }

    fn param(&self) -> &str {
        self.words.param.as_deref().unwrap_or_default()
    }

    fn body(&self) -> &str {
        std::str::from_utf8(&self.request.body).unwrap_or_default()
    }
}

/// Too long an answer was asked for, or too short a one.
fn output(refusal: &Refusal<'_>) -> Option<Teaching> {
    let wanted = output_limit(&refusal.request.body, refusal.request.protocol)?;
    // Another name of the field is wanted, or none.
    let is_name =
        ["unsupported parameter", "not supported with this model", "unknown parameter", "unrecognized"]
            .iter()
            .any(|words| refusal.lower.contains(words));
    let is_allowance = ["per minute", "per day", "rate limit", "rate_limit", "tpm"]
        .iter()
        .any(|words| refusal.lower.contains(words));
    if is_name || is_allowance {
        return None;
    }
    let named = refusal.words.message.to_lowercase();
    let text = match refusal.param() {
        "" => named.clone(),
        param => format!("{}: {named}", param.to_lowercase()),
    };
    match tokens::read(&text, Some(wanted)) {
        Some(TokenReading::Overflow) => None,
        Some(TokenReading::Output(bounds)) => {
            let rest = bounds.window.map(|window| window.saturating_sub(bounds.prompt.unwrap_or(0)));
            let most = [bounds.max, rest].into_iter().flatten().min();
            // The window alone says nothing about how much of it is left: half is a fair try.
            let most = match (most, bounds) {
                (Some(most), OutputBounds { max: None, prompt: None, window: Some(_), .. }) => Some(most / 2),
                (most, _) => most,
            };
            let now = most.or(bounds.min.map(|min| min.max(wanted)))?;
            (now > 0).then_some(Teaching::Output(OutputLesson { now: Some(now), bounds }))
        }
        None if tokens::says_too_much(&text) && !speaks_of_prompt(&named) => {
            let needs_number =
                matches!(refusal.request.protocol, WireProtocol::Messages | WireProtocol::CommandCode);
            (!needs_number || wanted > 4096)
                .then_some(Teaching::Output(OutputLesson { now: None, bounds: OutputBounds::default() }))
        }
        None => None,
    }
}

fn speaks_of_prompt(lower: &str) -> bool {
    ["prompt", "messages", "context", "input", "上下文", "输入"].iter().any(|word| lower.contains(word))
}

/// One thing of a request that goes on as its client wrote it.
fn translate(refusal: &Refusal<'_>) -> Option<Teaching> {
    let is_about_one = whole::is_about_one_thing(refusal);
    (refusal.request.is_passthrough && is_about_one).then_some(Teaching::Translate)
}

#[cfg(test)]
mod tests;
