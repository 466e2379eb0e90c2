//! What known clients do differently from what their protocol's documentation says: one row for each, one documented switch for each
//! difference. Writers, errors and turns look here and never ask which client it is.

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
    /// It repeats a request that was answered with a 5xx far more often than a stream that failed: a failure that may pass is put
    /// into a stream.
    pub prefers_failed_streams: bool,
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
    repeats_not_found: false,
};

/// Codex. A 404 makes it ask six times, a 400 once; a 5xx thirty times, a failed stream six times.
pub const CODEX: ClientBehaviour = ClientBehaviour {
    name: "Codex",
    runs_every_done_call: true,
    fails_incomplete_responses: true,
    hides_refusals: true,
    has_own_error_table: true,
    prefers_failed_streams: true,
    repeats_not_found: true,
};

/// Claude Code. Measured: it runs calls whose block has ended and loses those that have not, which is what every Messages client is
/// served; `fixtures/messages_front/answers/claude-code.json`.
pub const CLAUDE_CODE: ClientBehaviour = ClientBehaviour { name: "Claude Code", ..ANY_CLIENT };

/// The Gemini CLI. It repeats some errors for minutes.
pub const GEMINI_CLI: ClientBehaviour =
    ClientBehaviour { name: "Gemini CLI", has_own_error_table: true, ..ANY_CLIENT };

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
        assert_eq!(ClientBehaviour { name: ANY_CLIENT.name, ..CLAUDE_CODE }, ANY_CLIENT);
    }

    #[test]
    fn every_known_client_has_its_own_name() {
        let mut names = [&ANY_CLIENT, &CODEX, &CLAUDE_CODE, &GEMINI_CLI].map(|client| client.name).to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 4);
    }
}
