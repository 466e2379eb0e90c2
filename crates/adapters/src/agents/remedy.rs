//! What a person does about an agent that is not let in. Pure.

use latimer_protocol::failure::{Failure, FailureKind};

use crate::errors::CHECK_KEY;

/// A refused login with the command that mends it, in the place of words about a key that an agent does not have. `login` is what
/// `latimer login` calls the agent.
pub fn with_remedy(failure: Failure, endpoint: &str, login: &str) -> Failure {
    if !matches!(failure.kind, FailureKind::Unauthorized | FailureKind::Forbidden) {
        return failure;
    }
    let words = failure.message.as_str().replace(CHECK_KEY, "");
    let message =
        format!("{words} (run `latimer login {login} --endpoint {endpoint}`, or check `agent.provider`)");
    Failure { message: message.into(), ..failure }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_login_names_the_command_and_no_key() {
        let refused = Failure::new(FailureKind::Unauthorized, format!("lab: no{CHECK_KEY}"));
        let told = with_remedy(refused, "lab", "codex");
        assert_eq!(
            told.message,
            "lab: no (run `latimer login codex --endpoint lab`, or check `agent.provider`)"
        );
        let other = Failure::new(FailureKind::Overloaded, "lab: busy");
        assert_eq!(with_remedy(other.clone(), "lab", "codex"), other);
    }
}
