//! One call of an answer: its id, its arguments, and when they are complete.

use latimer_protocol::failure::{Failure, FailureKind};
use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::WriterSeed;

/// A call whose arguments arrive.
#[derive(Debug)]
pub struct PendingCall {
    /// Which call of the answer.
    pub slot: u32,
    /// The id the client knows it by.
    pub id: String,
    /// The flat name, as declared in the request.
    pub name: String,
    /// No more arguments will come.
    pub(super) ended: bool,
    arguments: String,
}

impl PendingCall {
    /// A call without arguments so far.
    pub(in crate::inbound) fn new(slot: u32, id: String, name: &str) -> Self {
        Self { slot, id, name: name.to_owned(), ended: false, arguments: String::new() }
    }

    /// The arguments as they came.
    pub fn arguments(&self) -> &str {
        &self.arguments
    }

    /// Takes a piece of the arguments.
    pub(super) fn push(&mut self, json: &str) {
        self.arguments.push_str(json);
    }

    /// Something came that could be arguments. As long as nothing did, a call that is cut looks just like one that needs none.
    pub(super) fn has_arguments(&self) -> bool {
        !self.arguments.trim_start().is_empty()
    }

    /// The arguments are one complete JSON object.
    pub fn is_complete(&self) -> bool {
        is_complete_object(&self.arguments)
    }
}

/// Which ids of upstreams a protocol's clients take.
#[derive(Debug, Clone, Copy)]
pub(in crate::inbound) struct CallIdRule {
    /// What an id made here begins with.
    pub(in crate::inbound) prefix: &'static str,
    /// The longest that is handed on, in bytes.
    pub(in crate::inbound) max_bytes: usize,
    /// Only visible ASCII is handed on.
    pub(in crate::inbound) visible_ascii: bool,
}

/// Chooses the ids of an answer's calls: the upstream's where the client takes it and it is unused, else one of our own.
#[derive(Debug)]
pub(in crate::inbound) struct CallIds {
    rule: CallIdRule,
    hex: String,
    used: HashSet<String>,
    /// Calls so far.
    count: u32,
}

impl CallIds {
    /// `seed` gives the ids that are used already.
    pub(in crate::inbound) fn new(rule: CallIdRule, seed: &mut WriterSeed) -> Self {
        Self { rule, hex: seed.hex(), used: std::mem::take(&mut seed.call_ids), count: 0 }
    }

    /// The id of the next call.
    pub(in crate::inbound) fn choose(&mut self, upstream: Option<&str>) -> String {
        let CallIdRule { prefix, max_bytes, visible_ascii } = self.rule;
        let is_usable = |id: &&str| {
            (1..=max_bytes).contains(&id.len())
                && (!visible_ascii || id.bytes().all(|byte| byte.is_ascii_graphic()))
                && !self.used.contains(*id)
        };
        let id = match upstream.filter(is_usable) {
            Some(id) => id.to_owned(),
            None => format!("{prefix}{}{:02x}", self.hex, self.count),
        };
        self.count += 1;
        self.used.insert(id.clone());
        id
    }
}

/// What a client is told of a call that could not be handed on.
pub(in crate::inbound) fn broken_call_message(name: &str) -> String {
    format!("the model called `{name}` with arguments that are not JSON, so the call was not passed on")
}

/// How an answer ends whose call could not be handed on.
pub(in crate::inbound) fn broken_call(name: &str) -> Failure {
    Failure::new(FailureKind::UpstreamError, broken_call_message(name))
}

/// The text is one complete JSON object that every reader of JSON reads: no half of a surrogate pair, no number out of range. White
/// space around it does not matter.
pub(in crate::inbound) fn is_complete_object(text: &str) -> bool {
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
            assert!(is_complete_object(whole), "{whole}");
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
            assert!(!is_complete_object(broken), "{broken}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_serde_reads_as_an_object_is_complete(text in "[{}\\[\\]\",:a\\\\u0189d .e-]{0,16}") {
            let read = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&text).is_ok();
            proptest::prop_assert_eq!(is_complete_object(&text), read);
        }
    }

    #[test]
    fn ids_are_unused_and_within_the_rule() {
        let mut seed = WriterSeed { call_ids: ["used".to_owned()].into(), ..WriterSeed::default() };
        let rule = CallIdRule { prefix: "call_", max_bytes: 8, visible_ascii: true };
        let mut ids = CallIds::new(rule, &mut seed);
        assert_eq!(ids.choose(Some("c1")), "c1");
        let own_id = |count: u32| format!("call_{}{count:02x}", "00".repeat(16));
        for (count, id) in [Some("c1"), Some("used"), Some("too long for it"), Some("a b"), Some(""), None]
            .into_iter()
            .enumerate()
        {
            assert_eq!(ids.choose(id), own_id(u32::try_from(count).expect("few") + 1), "{id:?}");
        }
    }
}
