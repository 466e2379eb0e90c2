//! What the holder of a client key is told when something does not go, in the words of their protocol.

use crate::http::refusal::Refusal;
use crate::keys::keyring::{Denied, KeyProblem};
use crate::keys::live::OverLimit;
use crate::metrics::Metrics;

/// A key that opens nothing: 401.
pub(super) fn refused(problem: &KeyProblem) -> Refusal {
    let message = match problem {
        KeyProblem::Unknown => {
            "latimer does not know this key, or it has been given another secret; whoever runs latimer makes keys with `latimer keys create --name …`".to_owned()
        }
        KeyProblem::Revoked(name) => {
            format!("the key `{name}` was revoked; whoever runs latimer makes another one with `latimer keys create --name …`")
        }
        KeyProblem::Expired(name) => {
            format!("the time of the key `{name}` is over; whoever runs latimer makes another one with `latimer keys create --name …`")
        }
        KeyProblem::Unreadable => return unreadable(),
    };
    Refusal::new(401, "authentication_error", "invalid_api_key").message(message)
}

/// Nobody knows yet whether the key opens something: 503, to be sent again.
fn unreadable() -> Refusal {
    let mut refusal = Refusal::new(503, "server_error", "keys_unreadable").message(
        "latimer has started and could not read its keys yet, because the database of its nodes does not answer; the request can be sent again",
    );
    refusal.retry_after = Some(2);
    refusal
}

/// A turn that does not begin: 401 for the key itself; 429 for a limit that passes while a client waits, with the seconds; 402 for what
/// is spent for longer, which no client repeats.
pub(super) fn denied(denied: Denied, metrics: &Metrics) -> Refusal {
    let (name, over) = match denied {
        Denied::Key(problem) => return refused(&problem),
        Denied::Limit(name, over) => (name, over),
    };
    metrics.limited(&name, over.code());
    tracing::info!(event = "key.limited", key = %name, limit = over.code(), retry_after_s = over.wait_seconds());
    let (status, kind, code) = match over {
        OverLimit::Budget(..) if over.lasts() => (402, "insufficient_quota", "budget_exceeded"),
        OverLimit::Budget(..) => (429, "insufficient_quota", "budget_exceeded"),
        OverLimit::Tokens(..) => (429, "tokens", "rate_limit_exceeded"),
        OverLimit::Requests(..) | OverLimit::Parallel(_) => (429, "rate_limit_error", "rate_limit_exceeded"),
    };
    let mut refusal = Refusal::new(status, kind, code).message(over.message(&name));
    refusal.retry_after = Some(over.wait_seconds());
    refusal.is_final = over.lasts();
    refusal
}

/// Something that is the owner's: 403.
pub(super) fn not_for_clients(name: &str) -> Refusal {
    Refusal::new(403, "permission_error", "token_needed").message(format!(
        "the key `{name}` opens turns and the list of its models; this needs the token of the state directory, which only the owner of this latimer has"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbound::client_protocol::{ClientProtocol, ResponsesClient};
    use crate::keys::limits::Rate;

    #[test]
    fn every_protocol_says_which_limit_and_when_it_ends() {
        let rate = Rate::of_money("5.00/day").expect("a rate");
        for protocol in [
            ClientProtocol::Responses { client: ResponsesClient::Codex },
            ClientProtocol::Chat { opencode: false },
            ClientProtocol::Messages { agent: false },
            ClientProtocol::Gemini { cli: true },
        ] {
            let denied =
                denied(Denied::Limit("anna".to_owned(), OverLimit::Budget(rate, 4000)), &Metrics::default());
            let error = denied.into_error(protocol, "req_1");
            assert_eq!((error.status, error.retry_after), (402, Some(4000)), "{protocol:?}");
            for words in ["budget", "`anna`", "$5.00 a day", "67 min"] {
                assert!(error.body.contains(words), "{words}: {}", error.body);
            }
        }
    }

    #[test]
    fn a_key_that_opens_nothing_is_a_401_with_the_remedy() {
        for problem in [
            KeyProblem::Unknown,
            KeyProblem::Revoked("anna".to_owned()),
            KeyProblem::Expired("anna".to_owned()),
        ] {
            let refusal = refused(&problem);
            assert!(refusal.status == 401 && refusal.message.contains("latimer keys create"), "{refusal:?}");
        }
    }
}
