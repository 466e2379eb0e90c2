//! What known clients do differently from what their protocol's documentation says: one row for each, one documented switch for each
//! difference. Writers, errors and turns look here and never ask which client it is.

use std::time::Duration;

/// What a client needs. Every switch is off for a client of which nothing is known.
#[derive(Debug, PartialEq, Eq)]
pub struct ClientBehaviour {
    /// The client, as its vendor calls it.
    pub name: &'static str,
    /// It runs every call whose item is done, whatever the item's status says: a call with broken arguments is never done.
    pub runs_every_done_call: bool,
    /// It fails a turn whose response is incomplete, and repeats one that a filter cut: an answer that was cut is completed all the
    /// same, for a text that was cut, or why it was refused, is worth more than an error.
    pub fails_incomplete_responses: bool,
    /// It shows nothing of a refusal part: refusals are text.
    pub hides_refusals: bool,
    /// It repeats requests and hides messages by status and error code in its own way, so errors get the ones that make it show the
    /// cause with the fewest requests; see the tables in the protocols' `error.rs`.
    pub has_own_error_table: bool,
    /// It shows the words of a stream that failed, and the raw body of a status, some of which it repeats thirty times: a failure
    /// before the first event is put into a stream, too.
    pub prefers_failed_streams: bool,
    /// It repeats statuses such as 429 and 5xx many times: what latimer has tried in vain is a 400.
    pub repeats_failures: bool,
    /// It shows reasoning as it comes: that is where it reads for what it has to wait.
    pub shows_waits_as_reasoning: bool,
    /// The longest wait that it is held for. A longer one is handed over to it, or given up.
    pub max_wait: Duration,
    /// How long the status waits for the first event. After that the stream begins, and errors travel inside it.
    pub status_timeout: Duration,
    /// It repeats a 404 and shows the message of a 400 at once: an unknown model is a 400.
    pub repeats_not_found: bool,
}

/// A client of which nothing is known.
pub const ANY_CLIENT: ClientBehaviour = ClientBehaviour {
    name: "any client",
    runs_every_done_call: false,
    fails_incomplete_responses: false,
    hides_refusals: false,
    has_own_error_table: false,
    prefers_failed_streams: false,
    repeats_failures: false,
    shows_waits_as_reasoning: false,
    max_wait: Duration::from_secs(60),
    status_timeout: Duration::from_secs(10),
    repeats_not_found: false,
};

/// The longest wait of a client that counts the seconds of a longer one itself, for everybody to see.
const SHORT_WAIT: Duration = Duration::from_secs(15);

/// How long an agent waits for a status that tells it more than an error in a stream would. Below the 300 s of Node.
const LATE_STATUS: Duration = Duration::from_secs(240);

/// Codex. A 404 makes it ask six times, a 400 once; a 5xx thirty times, a failed stream six times.
pub const CODEX: ClientBehaviour = ClientBehaviour {
    name: "Codex",
    runs_every_done_call: true,
    fails_incomplete_responses: true,
    hides_refusals: true,
    has_own_error_table: true,
    prefers_failed_streams: true,
    repeats_failures: true,
    shows_waits_as_reasoning: true,
    repeats_not_found: true,
    ..ANY_CLIENT
};

/// Claude Code. Measured: it runs calls whose block has ended and loses those that have not, which is what every Messages client is
/// served (`fixtures/messages_front/answers/claude-code.json`); it counts down the `retry-after` of a 429, and asks ten times; an
/// error in a stream before any content makes it ask three times more, so that its status comes late.
pub const CLAUDE_CODE: ClientBehaviour = ClientBehaviour {
    name: "Claude Code",
    repeats_failures: true,
    max_wait: SHORT_WAIT,
    status_timeout: LATE_STATUS,
    ..ANY_CLIENT
};

/// opencode. It repeats 429 and 5xx without a limit, shows meanwhile why and until when, and ends with the words of a 400.
pub const OPENCODE: ClientBehaviour = ClientBehaviour { name: "opencode", ..CLAUDE_CODE };

/// The Gemini CLI. It repeats some errors for minutes.
pub const GEMINI_CLI: ClientBehaviour = ClientBehaviour {
    name: "Gemini CLI",
    has_own_error_table: true,
    repeats_failures: true,
    max_wait: SHORT_WAIT,
    status_timeout: LATE_STATUS,
    ..ANY_CLIENT
};

impl Default for &'static ClientBehaviour {
    fn default() -> Self {
        &ANY_CLIENT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_client_is_served_as_documented() {
        let unknown: &ClientBehaviour = Default::default();
        assert_eq!(unknown, &ANY_CLIENT);
    }

    #[test]
    fn every_known_client_has_its_own_name() {
        let mut names =
            [&ANY_CLIENT, &CODEX, &CLAUDE_CODE, &OPENCODE, &GEMINI_CLI].map(|client| client.name).to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 5);
    }
}
