//! What a Responses client wants besides an answer: its shape, its effort, and what has to be refused. Pure.

use latimer_protocol::turn::Format;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::body::BodyFields;
use crate::inbound::wire::bad_field::BadField;
use crate::inbound::wire::field::{optional, optional_object, raw_fields};
use crate::inbound::wire::path::Path;
use crate::text::{MAX_NAME, shown};

/// What `include` may hold, by OpenAI's API reference.
const INCLUDES: [&str; 8] = [
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "code_interpreter_call.outputs",
];

/// Refuses an `include` that nobody knows: a client that waits for something that will never be there should know.
pub(super) fn refuse_unknown_includes(include: Option<&RawValue>) -> Result<(), BadField> {
    let at = Path::bracketed("include");
    let wanted: Option<Vec<String>> = optional(include, &at, "a list of strings")?;
    match wanted.iter().flatten().find(|wanted| !INCLUDES.contains(&wanted.as_str())) {
        None => Ok(()),
        Some(unknown) => {
            let unknown = shown(unknown, MAX_NAME);
            let known = INCLUDES.join(", ");
            Err(BadField::invalid(&at, format_args!("knows no `{unknown}`; it knows {known}")))
        }
    }
}

/// Refuses what only a store of conversations could give. Better refused than half done.
pub(super) fn refuse_what_needs_a_store(fields: &BodyFields<'_>) -> Result<(), BadField> {
    let cases = [
        (
            fields.conversation.is_some(),
            "conversation",
            "latimer keeps no conversations; send the whole conversation as `input`",
        ),
        (fields.prompt.is_some(), "prompt", "latimer has no stored prompts; send `instructions` and `input`"),
        (
            fields.background.is_some_and(|raw| raw.get() == "true"),
            "background",
            "latimer answers while the client waits; leave `background` out",
        ),
    ];
    match cases.into_iter().find(|(is_given, _, _)| *is_given) {
        Some((_, name, message)) => Err(BadField::unsupported(&Path::bracketed(name), message)),
        None => Ok(()),
    }
}

/// `reasoning.effort`.
pub(super) fn effort(raw: Option<&RawValue>) -> Result<Option<String>, BadField> {
    raw_fields! { struct ReasoningFields { effort } }
    let at = Path::bracketed("reasoning");
    let fields: Option<ReasoningFields<'_>> = optional_object(raw, &at)?;
    optional(fields.and_then(|fields| fields.effort), &at.field("effort"), "a string")
}

/// `text`: the shape of the answer, and how wordy it is.
pub(super) fn text(raw: Option<&RawValue>) -> Result<(Format, Option<String>), BadField> {
    raw_fields! { struct TextFields { format, verbosity } }
    #[derive(Deserialize)]
    struct FormatFields<'a> {
        #[serde(rename = "type")]
        kind: Option<String>,
        name: Option<String>,
        description: Option<String>,
        strict: Option<bool>,
        #[serde(borrow)]
        schema: Option<&'a RawValue>,
    }
    let at = Path::bracketed("text");
    let Some(fields) = optional_object::<TextFields<'_>>(raw, &at)? else { return Ok((Format::Text, None)) };
    let verbosity = optional(fields.verbosity, &at.field("verbosity"), "a string")?;
    let at = at.field("format");
    let Some(format) = optional_object::<FormatFields<'_>>(fields.format, &at)? else {
        return Ok((Format::Text, verbosity));
    };
    let format = match format.kind.as_deref() {
        Some("text") | None => Format::Text,
        Some("json_object") => Format::JsonObject,
        Some("json_schema") => Format::JsonSchema {
            name: format.name.unwrap_or_else(|| "answer".to_owned()),
            description: format.description,
            schema: format
                .schema
                .ok_or_else(|| BadField::not_sent(&at.field("schema"), "a JSON Schema"))?
                .to_owned(),
            strict: format.strict,
        },
        Some(_) => {
            return Err(BadField::invalid(&at.field("type"), "should be text, json_object or json_schema"));
        }
    };
    Ok((format, verbosity))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).expect("JSON")
    }

    #[test]
    fn an_unknown_include_is_named_without_control_characters() {
        let error = refuse_unknown_includes(Some(&raw(r#"["reasoning.encrypted_content","no\u001bvel"]"#)));
        let message = error.expect_err("unknown").message;
        assert!(
            message.starts_with("`include` knows no `novel`; it knows reasoning.encrypted_content, "),
            "{message}"
        );
        assert!(refuse_unknown_includes(Some(&raw("null"))).is_ok());
    }

    #[test]
    fn the_shape_of_the_answer_and_the_effort() {
        assert_eq!(
            effort(Some(&raw(r#"{"effort":"low","summary":"auto"}"#))).expect("an effort").as_deref(),
            Some("low")
        );
        let (format, verbosity) =
            text(Some(&raw(r#"{"verbosity":"low","format":{"type":"json_schema","schema":{}}}"#)))
                .expect("a shape");
        assert!(matches!(format, Format::JsonSchema { name, .. } if name == "answer"));
        assert_eq!(verbosity.as_deref(), Some("low"));
        let error = text(Some(&raw(r#"{"format":{"type":"json_schema"}}"#))).expect_err("no schema");
        assert_eq!(error.message, "`text.format.schema` is missing; send a JSON Schema");
    }
}
