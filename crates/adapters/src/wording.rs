//! What every encoder tells a model in the same words, where a protocol or a model has no field for it. Pure.

use latimer_protocol::turn::Format;
use serde_json::value::RawValue;

/// Stands where an image or a file was, for models that see none.
pub(crate) const IMAGE_PLACEHOLDER: &str =
    "(an image or a file stood here; this model does not see such things)";

/// What the log is told of such a placeholder.
pub(crate) const IMAGE_NOTE: &str = "an image or a file was replaced by a note: this model does not see it";

/// Stands for the person where a conversation begins without a word of theirs.
pub(crate) const CONVERSATION_SO_FAR: &str = "(the conversation so far)";

/// Said for the person where nothing else is left to answer.
pub(crate) const CONTINUE: &str = "Please continue.";

/// The schema of a tool that declares none: an object without properties.
pub(crate) const EMPTY_SCHEMA: &str = r#"{"type":"object","properties":{}}"#;

/// [`EMPTY_SCHEMA`] as JSON.
pub(crate) fn empty_schema() -> &'static RawValue {
    serde_json::from_str(EMPTY_SCHEMA).unwrap_or(RawValue::NULL)
}

/// The shape of the answer as an instruction; `None` where any text will do.
pub(crate) fn format_instruction(format: &Format) -> Option<String> {
    match format {
        Format::Text => None,
        Format::JsonObject => Some("Answer with one JSON object, and nothing else.".to_owned()),
        Format::JsonSchema { schema, .. } => Some(format!(
            "Answer with one JSON object that follows this JSON Schema, and nothing else:\n{}",
            schema.get()
        )),
    }
}

/// FNV-1a over bytes, from a seed: for names that must be the same each time and need not resist anybody.
pub(crate) fn fnv1a(seed: u64, bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The usual seed of [`fnv1a`].
pub(crate) const FNV_SEED: u64 = 0xcbf2_9ce4_8422_2325;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_the_standard() {
        // The test vectors of the FNV reference.
        assert_eq!(fnv1a(FNV_SEED, []), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(FNV_SEED, *b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(empty_schema().get(), EMPTY_SCHEMA);
    }
}
