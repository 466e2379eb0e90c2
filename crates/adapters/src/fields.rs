//! The fields of an object in their order, untouched: for requests that go out as they came but for a few fields.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Names and values. Of a field that stands twice the last one counts, as everywhere.
pub struct Fields<'a>(pub Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                #[derive(Deserialize)]
                struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
                let mut fields: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::new();
                while let Some((Name(name), value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
                    fields.push((name, value));
                }
                let mut seen = HashSet::new();
                fields.reverse();
                fields.retain(|(name, _)| seen.insert(name.clone()));
                fields.reverse();
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(FieldsVisitor)
    }
}

/// Whether a `tool_choice` says nothing: some clients send an empty object, or an empty word (`K23` of the field reports).
pub fn is_no_choice(value: &RawValue) -> bool {
    match value.get() {
        "null" | "\"\"" | "{}" => true,
        text => text.strip_prefix('{').is_some_and(|rest| rest.trim_start() == "}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_choice_is_none() {
        for (json, want) in [
            ("{}", true),
            ("{ }", true),
            ("\"\"", true),
            ("null", true),
            ("\"auto\"", false),
            ("{\"a\":1}", false),
        ] {
            let value: &RawValue = serde_json::from_str(json).expect("JSON");
            assert_eq!(is_no_choice(value), want, "{json}");
        }
    }

    #[test]
    fn of_a_name_that_stands_twice_the_last_counts() {
        let Fields(fields) = serde_json::from_str(r#"{"a":1,"b":2,"a":3,"c":4,"c":5}"#).expect("an object");
        let fields: Vec<(&str, &str)> =
            fields.iter().map(|(name, value)| (name.as_ref(), value.get())).collect();
        assert_eq!(fields, [("b", "2"), ("a", "3"), ("c", "5")]);
    }
}
