//! Provider state inside of a `thoughtSignature`: carriers, one a line, in base64.
//!
//! The field is of type `bytes`: SDKs decode it and refuse the whole answer when it is not base64. Some send it back in the
//! alphabet for URLs, so that one is read as well.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use crate::turn::{OpaqueState, SealKey};

/// The signature that carries this state, in order. Empty for no state.
pub fn seal(states: &[OpaqueState], seal: &SealKey) -> String {
    let carriers: Vec<String> = states.iter().map(|state| state.encode(seal)).collect();
    STANDARD.encode(carriers.join("\n"))
}

/// The state in a signature, in order. Empty for a signature that latimer did not make, or that was changed on its way.
pub fn open(signature: &str, seal: &SealKey) -> Vec<OpaqueState> {
    let plain = |c: char| match c {
        '-' => '+',
        '_' => '/',
        c => c,
    };
    let standard: String = signature.trim_end_matches('=').chars().map(plain).collect();
    let carriers = STANDARD_NO_PAD.decode(standard).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    carriers
        .iter()
        .flat_map(|carriers| carriers.lines())
        .filter_map(|line| OpaqueState::decode(line, seal))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::turn::StateOwner;

    proptest::proptest! {
        #[test]
        fn state_comes_back_in_either_alphabet(data in proptest::collection::vec(".{0,20}", 0..4)) {
            let key = SealKey::from_secret(b"a secret");
            let owner = StateOwner::new("lab", "m");
            let states: Vec<OpaqueState> =
                data.into_iter().map(|data| OpaqueState { owner: owner.clone(), data }).collect();
            let signature = seal(&states, &key);
            proptest::prop_assert_eq!(&open(&signature, &key), &states);
            let for_urls = signature.replace('+', "-").replace('/', "_");
            proptest::prop_assert_eq!(open(for_urls.trim_end_matches('='), &key), states);
        }

        #[test]
        fn any_text_may_stand_there(text in ".{0,80}") {
            open(&text, &SealKey::default());
        }
    }

    #[test]
    fn foreign_signatures_hold_nothing_of_ours() {
        let state = OpaqueState { owner: StateOwner::new("lab", "m"), data: "x".into() };
        let elsewhere = seal(std::slice::from_ref(&state), &SealKey::from_secret(b"another"));
        for text in ["", "skip_thought_signature_validator", "CoQBAdHtim8=", &elsewhere] {
            assert_eq!(open(text, &SealKey::default()), [], "{text}");
        }
    }
}
