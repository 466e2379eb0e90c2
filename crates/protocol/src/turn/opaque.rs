//! Provider state that travels through the client and back to its owner, and to nobody else.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A value only its owner understands: encrypted reasoning, a signature, reasoning details.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opaque {
    /// Who made it: `provider/model-family`, for example `openrouter/deepseek`.
    pub owner: String,
    /// The value, as the owner wrote it.
    pub data: String,
}

impl Opaque {
    /// The first characters of every carrier latimer makes; the digit is the version of the layout.
    const PREFIX: &'static str = "latimer1.";

    /// The carrier as one opaque word, for a field such as `encrypted_content`.
    pub fn encode(&self) -> String {
        format!(
            "{}{}.{}",
            Self::PREFIX,
            URL_SAFE_NO_PAD.encode(&self.owner),
            URL_SAFE_NO_PAD.encode(&self.data)
        )
    }

    /// Reads a carrier back. `None` for anything latimer did not make: foreign state has no business upstream.
    pub fn decode(text: &str) -> Option<Self> {
        let (owner, data) = text.strip_prefix(Self::PREFIX)?.split_once('.')?;
        let field = |part: &str| String::from_utf8(URL_SAFE_NO_PAD.decode(part).ok()?).ok();
        Some(Self { owner: field(owner)?, data: field(data)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn decode_reads_what_encode_wrote(owner in ".*", data in ".*") {
            let opaque = Opaque { owner, data };
            proptest::prop_assert_eq!(Opaque::decode(&opaque.encode()), Some(opaque));
        }
    }

    #[test]
    fn foreign_carriers_are_not_ours() {
        for text in ["", "gAAAAABo", "latimer1.", "latimer1.a", "latimer1.!.!", "latimer9.YQ.YQ"] {
            assert_eq!(Opaque::decode(text), None, "{text:?}");
        }
    }
}
