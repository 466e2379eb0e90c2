//! Signatures of thoughts: the provider's state, which goes back on exactly the part it came with. Pure.

use serde::{Deserialize, Serialize};

/// Stands on a call whose signature is not known: the provider takes it.
pub(super) const NO_SIGNATURE: &str = "skip_thought_signature_validator";

/// State of one part, as it travels through the client: the data of an opaque value.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PartSignature {
    /// The part it came with.
    pub(super) on: SignatureTarget,
    /// As the provider wrote it.
    pub(super) signature: String,
}

/// Which part a signature came with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SignatureTarget {
    /// The call that follows.
    Call,
    /// The text before.
    Text,
    /// A part without text, behind what was said. What another version of latimer wrote counts as this, too.
    #[serde(other)]
    Nothing,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_that_clients_hold() {
        let state = PartSignature { on: SignatureTarget::Call, signature: "s".into() };
        let text = serde_json::to_string(&state).expect("JSON");
        assert_eq!(text, r#"{"on":"call","signature":"s"}"#);
        assert_eq!(serde_json::from_str::<PartSignature>(&text).expect("read"), state);
        let newer: PartSignature =
            serde_json::from_str(r#"{"on":"tomorrow","signature":"s"}"#).expect("read");
        assert_eq!(newer.on, SignatureTarget::Nothing);
    }
}
