//! What the Responses API refuses of a request's form, in the API's own words: clients and their tests know them. Pure.
//! Source: OpenAI's API reference (16 pairs of metadata, keys of 64 and values of 512 characters) and the API's own answers.

use latimer_adapters::fields::Fields;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::inbound::wire::bad_field::{BadField, Problem};
use crate::inbound::wire::field::{Word, given};
use crate::inbound::wire::path::Path;
use crate::text::{MAX_WORD, shown};

/// The most pairs of metadata.
const MAX_PAIRS: usize = 16;
/// The longest key of metadata, in characters.
const MAX_KEY: usize = 64;
/// The longest value of metadata, in characters.
const MAX_VALUE: usize = 512;

/// Holds metadata against the API's limits.
///
/// # Errors
/// When it is no object of texts, has too many of them, or one is too long.
pub(super) fn metadata(raw: Option<&RawValue>) -> Result<(), BadField> {
    const AT: Path<'_> = Path::bracketed("metadata");
    let Some(raw) = given(raw) else { return Ok(()) };
    let Ok(Fields(pairs)) = serde_json::from_str::<Fields<'_>>(raw.get()) else {
        return Err(BadField::wrong_type(raw, &AT, "an object"));
    };
    if pairs.len() > MAX_PAIRS {
        let words = format!(
            "Invalid 'metadata': too many properties. Expected an object with at most {MAX_PAIRS} properties, but got an object with {} properties instead.",
            pairs.len()
        );
        return Err(BadField::in_words(&AT, Problem::TooMany, words));
    }
    let too_long = |what: &str, most: usize, length: usize| {
        let words = format!(
            "Invalid {what}: string too long. Expected a string with maximum length {most}, but got a string with length {length} instead."
        );
        BadField::in_words(&AT, Problem::TooLong, words)
    };
    for (key, value) in &pairs {
        let length = key.chars().count();
        if length > MAX_KEY {
            return Err(too_long("property name in 'metadata'", MAX_KEY, length));
        }
        let Ok(text) = serde_json::from_str::<Word<'_>>(value.get()) else {
            return Err(BadField::wrong_type(value, &AT.field(&shown(key, MAX_WORD)), "a string"));
        };
        let length = text.chars().count();
        if length > MAX_VALUE {
            return Err(too_long(&format!("'metadata.{}'", shown(key, MAX_WORD)), MAX_VALUE, length));
        }
    }
    Ok(())
}

/// Every function, freeform tool and namespace has a name. What has another type, or is no object, is passed over here.
///
/// # Errors
/// When one has none.
pub(super) fn tools_have_names(list: &RawValue, at: &Path<'_>) -> Result<(), BadField> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(rename = "type", borrow)]
        kind: Option<Word<'a>>,
        #[serde(borrow)]
        name: Option<Word<'a>>,
        #[serde(borrow)]
        tools: Option<&'a RawValue>,
    }
    let tools = serde_json::from_str::<Vec<&RawValue>>(list.get()).unwrap_or_default();
    for (place, raw) in tools.iter().enumerate() {
        let Ok(tool) = serde_json::from_str::<Named<'_>>(raw.get()) else { continue };
        if !matches!(tool.kind.as_deref(), None | Some("function" | "custom" | "namespace")) {
            continue;
        }
        let at = at.index(place);
        let at_name = at.field("name");
        match tool.name.as_deref().map(str::trim) {
            None => {
                let words = format!("Missing required parameter: '{at_name}'.");
                return Err(BadField::in_words(&at_name, Problem::Missing, words));
            }
            Some("") => {
                let words = format!(
                    "Invalid '{at_name}': empty string. Expected a string with minimum length 1, but got an empty string instead."
                );
                return Err(BadField::in_words(&at_name, Problem::Invalid, words));
            }
            Some(_) => {}
        }
        if let Some(inner) = tool.tools {
            tools_have_names(inner, &at.field("tools"))?;
        }
    }
    Ok(())
}

/// A role that the API does not know.
pub(super) fn unknown_role(role: &str, at: &Path<'_>) -> BadField {
    let role = shown(role, MAX_WORD);
    let words = format!(
        "Invalid value: '{role}'. Supported values are: 'assistant', 'system', 'developer', and 'user'."
    );
    BadField::in_words(at, Problem::Invalid, words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbound::wire::openai_error::code;
    use serde_json::{Map, Value, json};

    fn raw(value: &Value) -> Box<RawValue> {
        RawValue::from_string(value.to_string()).expect("JSON")
    }

    fn checked(value: &Value) -> Result<(), (&'static str, Option<String>, String)> {
        metadata(Some(&raw(value))).map_err(|error| (code(error.problem), error.path, error.message))
    }

    #[test]
    fn metadata_within_the_limits_is_taken() {
        let pairs = |count: usize| (0..count).map(|key| (key.to_string(), json!("x"))).collect::<Map<_, _>>();
        for fine in [json!(null), json!({}), json!(pairs(16)), json!({ "ż".repeat(64): "ó".repeat(512) })] {
            assert_eq!(checked(&fine), Ok(()));
        }
        assert!(metadata(None).is_ok());
        let refused = [
            (
                json!(pairs(17)),
                "object_above_max_properties",
                "metadata",
                "at most 16 properties, but got an object with 17 properties",
            ),
            (
                json!({ "k": "x".repeat(513) }),
                "string_above_max_length",
                "metadata",
                "Invalid 'metadata.k': string too long. Expected a string with maximum length 512, but got a string with length 513",
            ),
            (json!({ "k".repeat(65): "x" }), "string_above_max_length", "metadata", "maximum length 64"),
            (json!({ "k": 7 }), "invalid_type", "metadata.k", "a number was sent"),
            (json!(["k"]), "invalid_type", "metadata", "an object"),
        ];
        for (value, want, param, words) in refused {
            let (code, path, message) = checked(&value).expect_err(words);
            assert_eq!((code, path.as_deref()), (want, Some(param)));
            assert!(message.contains(words), "{message}");
        }
    }

    #[test]
    fn tools_of_every_kind_need_a_name() {
        const AT: Path<'_> = Path::bracketed("tools");
        let fine = json!([{ "type": "function", "name": "a" }, { "type": "web_search" }, { "type": "local_shell" }, 7, { "name": "b" }]);
        assert!(tools_have_names(&raw(&fine), &AT).is_ok());
        let nameless = [
            (json!([{ "type": "function" }]), "tools[0].name", "missing_required_parameter"),
            (
                json!([{ "type": "web_search" }, { "type": "custom", "name": null }]),
                "tools[1].name",
                "missing_required_parameter",
            ),
            (json!([{}]), "tools[0].name", "missing_required_parameter"),
            (json!([{ "type": "function", "name": " " }]), "tools[0].name", "invalid_value"),
            (json!([{ "type": "namespace", "tools": [] }]), "tools[0].name", "missing_required_parameter"),
            (
                json!([{ "type": "namespace", "name": "n", "tools": [{ "type": "function", "name": "a" }, { "type": "function" }] }]),
                "tools[0].tools[1].name",
                "missing_required_parameter",
            ),
        ];
        for (tools, param, want) in nameless {
            let error = tools_have_names(&raw(&tools), &AT).expect_err(param);
            assert_eq!((error.path.as_deref(), code(error.problem)), (Some(param), want));
        }
    }
}
