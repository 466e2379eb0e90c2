//! One turn, running or over: what `GET /api/v1/turns` lists, `latimer explain` shows and the page draws.

use serde::{Deserialize, Serialize};

use crate::turn::Usage;

/// The version of the documents below `/api/v1`. It grows only when a key changes its meaning or goes; new keys do not count.
pub const SCHEMA_VERSION: u32 = 1;

/// Where a turn stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnState {
    /// The request is being read.
    #[default]
    Reading,
    /// It is being decided who answers.
    Routing,
    /// The request is on its way to an endpoint.
    Connecting,
    /// Nothing happens until a known time, or until something is free; [`TurnReport::wait`] says what.
    Waiting,
    /// The endpoint has taken the request, and has not said anything yet.
    FirstWord,
    /// The answer arrives.
    Streaming,
    /// The model is asked something about its answer, which the client does not see.
    AskingAgain,
    /// The turn has ended; [`TurnReport::finish`] says how.
    Over,
    /// A state of a newer latimer.
    #[serde(other)]
    Unknown,
}

impl TurnState {
    /// In words for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Reading => "reading",
            Self::Routing => "routing",
            Self::Connecting => "connecting",
            Self::Waiting => "waiting",
            Self::FirstWord => "waiting for the first word",
            Self::Streaming => "streaming",
            Self::AskingAgain => "asking again",
            Self::Over => "over",
            Self::Unknown => "unknown",
        }
    }
}

/// Why a turn waits, and how long. Times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitReport {
    /// Since when.
    pub since_ms: u64,
    /// Until when; `None` where nobody knows.
    pub until_ms: Option<u64>,
    /// For people: who asked for it, or what is not free.
    pub why: String,
}

/// A failure, as a document tells it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FailureReport {
    /// The code of its kind, such as `rate_limited`.
    pub code: String,
    /// The provider's HTTP status, when it answered with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// In the provider's words where it had any.
    pub message: String,
    /// How long the provider asked to wait, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

/// One attempt: a request sent to one target with one key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AttemptReport {
    /// Where the request went.
    pub endpoint: String,
    /// The model as the endpoint knows it.
    pub model: String,
    /// The key or account, as people call it; empty where none is needed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub account: String,
    /// When it began, in milliseconds after the turn.
    pub at_ms: u64,
    /// How long it waited for room on its endpoint before it was sent, in milliseconds; part of the time below.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub queued_ms: u64,
    /// For what it waited then.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub queued_for: String,
    /// How long until it failed; `None` for the one that answered or is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ms: Option<u64>,
    /// Why it failed; `None` for the one that answered or is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureReport>,
    /// What was done then: `retry`, `next_target`, `rewrite`, `fewer_items` or `give_up`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<String>,
    /// How long was waited before the next attempt, in milliseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub wait_ms: u64,
}

/// How it was decided in which order the targets of a route are asked.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RouteReport {
    /// The name of the route.
    pub route: String,
    /// Its strategy, as in the configuration.
    pub strategy: String,
    /// The target that answered the conversation before, where the route keeps to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<String>,
    /// The targets in the order in which they are asked.
    pub candidates: Vec<CandidateReport>,
}

/// One target of a route at the moment of the decision.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct CandidateReport {
    /// `endpoint/model`.
    pub target: String,
    /// Lower is better: priority, latency, failures, price.
    pub score: f64,
    /// Turns that were open on its endpoint.
    pub open_turns: u64,
    /// Why it comes after those that are ready; `None` for one that is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_ready: Option<String>,
}

/// Everything that is known of one turn. Times are milliseconds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TurnReport {
    /// Its name in the log. Never used for another turn of this state directory.
    pub id: String,
    /// Where it stands.
    pub state: TurnState,
    /// What it waits for, while it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait: Option<WaitReport>,
    /// The client, as it calls itself.
    pub client: String,
    /// The client key that asked, by its name; `None` for the owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The node that answers, where nodes have names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// What names the conversation, as the client says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The project that the client works on, where its launcher says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The protocol the client speaks.
    pub protocol: String,
    /// The model that was asked for.
    pub asked: String,
    /// The endpoint that answers, or was asked last; empty before one is.
    pub endpoint: String,
    /// The model as the endpoint knows it.
    pub model: String,
    /// The key or account, as people call it.
    pub account: String,
    /// When it began, since 1970.
    pub begun_ms: u64,
    /// How long it took, or takes so far.
    pub ms: u64,
    /// From its beginning to the first word.
    pub first_ms: Option<u64>,
    /// A finish reason, `failed`, or `client_left`; `None` while it runs.
    pub finish: Option<String>,
    /// Why it failed.
    pub failure: Option<FailureReport>,
    /// Attempts after the first.
    pub retries: u32,
    /// Calls that were found in text or mended.
    pub repairs: u32,
    /// Tokens, as far as the provider said them.
    pub tokens: TokenReport,
    /// In US dollars; `None` where the price or the tokens are not known.
    pub cost_usd: Option<f64>,
    /// How the route decided; `None` where the model has one target only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<RouteReport>,
    /// Every attempt, the first one first. Left out in lists.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<AttemptReport>,
    /// What was changed, left out or mended, in order. Left out in lists.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<NoteReport>,
}

/// Tokens of a turn; `None` for what the provider does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TokenReport {
    /// What was sent, whether or not it was read from a cache.
    pub input: Option<u64>,
    /// Of it, read from a cache.
    pub cached: Option<u64>,
    /// Of it, written to a cache.
    pub cache_write: Option<u64>,
    /// Words, calls and thoughts together.
    pub output: Option<u64>,
    /// Of it, thoughts.
    pub reasoning: Option<u64>,
}

impl From<Usage> for TokenReport {
    fn from(usage: Usage) -> Self {
        let Usage { input, cached, cache_write, output, reasoning } = usage;
        Self { input, cached, cache_write, output, reasoning }
    }
}

/// Something that was noted about a turn.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NoteReport {
    /// What kind of note it is.
    pub code: String,
    /// In words. What a model wrote stands in it only as long as the proxy runs: nothing of a conversation reaches a disk.
    pub text: String,
}

impl TurnReport {
    /// The same for a list: without its route, its attempts and its notes.
    #[must_use]
    pub fn headline(&self) -> Self {
        Self { route: None, attempts: Vec::new(), notes: Vec::new(), ..self.clone() }
    }

    /// Whether a usage row says all of it: one attempt, nothing noted, no route.
    pub fn is_plain(&self) -> bool {
        self.route.is_none() && self.notes.is_empty() && self.attempts.len() <= 1 && self.failure.is_none()
    }

    /// `endpoint/model`; the model that was asked for, as long as nobody was asked.
    pub fn target(&self) -> String {
        if self.endpoint.is_empty() {
            return self.asked.clone();
        }
        format!("{}/{}", self.endpoint, self.model)
    }
}

/// A page of turns: what `GET /api/v1/turns` answers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TurnPage {
    /// The version of this document: [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Turns under way that fit the filter, the oldest first. Only on the first page.
    pub running: Vec<TurnReport>,
    /// Turns that are over, the newest first.
    pub data: Vec<TurnReport>,
    /// For the parameter `before` of the next page; `None` on the last one.
    pub next: Option<i64>,
    /// For the parameter `after`, which lists what is newer than this page.
    pub latest: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_another_release_is_read() {
        let text = r#"{"id":"t7","state":"dreaming","client":"codex","novel":1,"attempts":[{"endpoint":"a","model":"m","at_ms":1}]}"#;
        let report: TurnReport = serde_json::from_str(text).expect("read");
        assert_eq!((report.state, report.id.as_str()), (TurnState::Unknown, "t7"));
        assert_eq!(report.attempts[0].endpoint, "a");
        assert_eq!(report.target(), "", "nobody was asked");
    }

    #[test]
    fn a_headline_keeps_what_a_list_shows_and_nothing_long() {
        let report = TurnReport {
            id: "t1".to_owned(),
            endpoint: "a".to_owned(),
            model: "m".to_owned(),
            notes: vec![NoteReport::default()],
            attempts: vec![AttemptReport::default()],
            ..TurnReport::default()
        };
        let line = serde_json::to_string(&report.headline()).expect("JSON");
        assert!(
            !line.contains("notes") && !line.contains("attempts") && line.contains("\"state\":\"reading\"")
        );
        assert_eq!(report.target(), "a/m");
    }
}
