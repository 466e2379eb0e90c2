//! The one question to a call's arguments before anybody runs it.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// The text is one complete JSON object that every reader of JSON reads: no half of a surrogate pair, no number out of range. White
/// space around it does not matter.
pub fn is_whole_object(text: &str) -> bool {
    let text = text.trim();
    text.starts_with('{') && text.ends_with('}') && serde_json::from_str::<ReadableJson>(text).is_ok()
}

/// Reads any JSON value strictly and keeps nothing of it. `IgnoredAny` and `RawValue` skip strings without decoding them.
struct ReadableJson;

impl<'de> Deserialize<'de> for ReadableJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for ReadableJson {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self, A::Error> {
        while elements.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self, A::Error> {
        while entries.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_and_readable_objects_are_complete() {
        for whole in
            ["{}", " {\"a\": [1, -2.5e3, null, true, {\"b\": \"\\ud83d\\ude00\"}]}\n", "{\"\\u00e9\":\"é\"}"]
        {
            assert!(is_whole_object(whole), "{whole}");
        }
        for broken in [
            "",
            " ",
            "[1]",
            "\"x\"",
            "{",
            "{\"a\":1",
            "{\"a\":1}}",
            "{\"half\":\"\\ud83d\"}",
            "{\"\\udc00\":1}",
            "{\"a\":1e999}",
            "{\"a\":01}",
        ] {
            assert!(!is_whole_object(broken), "{broken}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_serde_reads_as_an_object_is_complete(text in "[{}\\[\\]\",:a\\\\u0189d .e-]{0,16}") {
            let read = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&text).is_ok();
            proptest::prop_assert_eq!(is_whole_object(&text), read);
        }
    }
}
