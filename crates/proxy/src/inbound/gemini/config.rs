//! `generationConfig`: how to pick tokens, how hard to think, and the shape of the answer. Pure.

use latimer_protocol::turn::{Format, TurnRequest};
use serde_json::Value;
use serde_json::value::RawValue;

use super::schema;
use crate::inbound::notes::Notes;
use crate::inbound::wire::bad_field::BadField;
use crate::inbound::wire::field::{Word, given, optional, optional_object, raw_fields};
use crate::inbound::wire::path::Path;
use crate::text::{MAX_WORD, shown};

/// What a configuration says besides the turn.
#[derive(Debug, Default)]
pub(super) struct GenerationOptions {
    /// The thoughts are to be shown.
    pub(super) thoughts: bool,
    /// What had to be put into words for the model.
    pub(super) words: Option<String>,
}

raw_fields! {
    /// The fields of `generationConfig`, in both spellings.
    #[serde(rename_all = "camelCase")]
    struct ConfigFields {
        temperature,
        #[serde(alias = "top_p")]
        top_p,
        #[serde(alias = "top_k")]
        top_k,
        #[serde(alias = "max_output_tokens")]
        max_output_tokens,
        #[serde(alias = "stop_sequences")]
        stop_sequences,
        #[serde(alias = "candidate_count")]
        candidate_count,
        #[serde(alias = "presence_penalty")]
        presence_penalty,
        #[serde(alias = "frequency_penalty")]
        frequency_penalty,
        seed,
        #[serde(alias = "response_logprobs")]
        response_logprobs,
        #[serde(alias = "response_modalities")]
        response_modalities,
        #[serde(alias = "speech_config")]
        speech_config,
        #[serde(alias = "image_config")]
        image_config,
        #[serde(alias = "media_resolution")]
        media_resolution,
        #[serde(alias = "response_mime_type")]
        response_mime_type,
        #[serde(alias = "response_schema")]
        response_schema,
        #[serde(alias = "response_json_schema", alias = "_responseJsonSchema")]
        response_json_schema,
        #[serde(alias = "thinking_config")]
        thinking_config,
    }
}

const ROOT: Path<'static> = Path::bracketed("generationConfig");

/// Reads the configuration into the turn.
pub(super) fn read(
    raw: Option<&RawValue>,
    turn: &mut TurnRequest,
    notes: &mut Notes,
) -> Result<GenerationOptions, BadField> {
    let Some(fields) = optional_object::<ConfigFields<'_>>(raw, &ROOT)? else {
        return Ok(GenerationOptions::default());
    };
    let number = |raw, name| optional::<f64>(raw, &ROOT.field(name), "a number");
    turn.sampling.temperature = number(fields.temperature, "temperature")?;
    turn.sampling.top_p = number(fields.top_p, "topP")?;
    turn.sampling.presence_penalty = number(fields.presence_penalty, "presencePenalty")?;
    turn.sampling.frequency_penalty = number(fields.frequency_penalty, "frequencyPenalty")?;
    turn.max_output_tokens =
        optional(fields.max_output_tokens, &ROOT.field("maxOutputTokens"), "a whole number")?
            .filter(|most| *most > 0);
    one_answer_in_words(&fields)?;
    note_what_has_no_equal(&fields, notes);
    let (effort, thoughts) = thinking(fields.thinking_config)?;
    turn.reasoning.effort = effort;
    let (format, words) = format(&fields, notes)?;
    turn.format = format;
    Ok(GenerationOptions { thoughts, words })
}

/// What would change the answer's meaning is refused.
fn one_answer_in_words(fields: &ConfigFields<'_>) -> Result<(), BadField> {
    let at = ROOT.field("candidateCount");
    let count: Option<u64> = optional(fields.candidate_count, &at, "a whole number")?;
    if count.is_some_and(|count| count > 1) {
        return Err(BadField::invalid(&at, "should be 1: latimer gives one answer to a request"));
    }
    let at = ROOT.field("responseModalities");
    let modalities: Vec<Word<'_>> =
        optional(fields.response_modalities, &at, "a list of words")?.unwrap_or_default();
    let is_text = |word: &Word<'_>| {
        word.eq_ignore_ascii_case("TEXT") || word.eq_ignore_ascii_case("MODALITY_UNSPECIFIED")
    };
    if !modalities.is_empty() && !modalities.iter().any(is_text) {
        return Err(BadField::invalid(&at, "should hold TEXT: latimer's models answer in words"));
    }
    Ok(())
}

fn note_what_has_no_equal(fields: &ConfigFields<'_>, notes: &mut Notes) {
    let is_set =
        |raw: Option<&RawValue>| given(raw).is_some_and(|raw| !matches!(raw.get(), "[]" | "false" | "{}"));
    let table = [
        (fields.top_k, "topK"),
        (fields.stop_sequences, "stopSequences"),
        (fields.seed, "seed"),
        (fields.response_logprobs, "responseLogprobs"),
        (fields.speech_config, "speechConfig"),
        (fields.image_config, "imageConfig"),
        (fields.media_resolution, "mediaResolution"),
    ];
    let set: Vec<&str> = table.into_iter().filter(|(raw, _)| is_set(*raw)).map(|(_, name)| name).collect();
    if !set.is_empty() {
        notes.add(format!("no equal in the turn for {} of `generationConfig`, left out", set.join(", ")));
    }
}

/// The effort, and whether the thoughts are to be shown.
fn thinking(raw: Option<&RawValue>) -> Result<(Option<String>, bool), BadField> {
    raw_fields! {
        #[serde(rename_all = "camelCase")]
        struct ThinkingFields {
            #[serde(alias = "include_thoughts")]
            include_thoughts,
            #[serde(alias = "thinking_budget")]
            thinking_budget,
            #[serde(alias = "thinking_level")]
            thinking_level,
        }
    }
    let at = ROOT.field("thinkingConfig");
    let Some(fields) = optional_object::<ThinkingFields<'_>>(raw, &at)? else { return Ok((None, false)) };
    let thoughts =
        optional(fields.include_thoughts, &at.field("includeThoughts"), "true or false")?.unwrap_or(false);
    let level: Option<String> = optional(fields.thinking_level, &at.field("thinkingLevel"), "a string")?;
    let budget: Option<i64> =
        optional(fields.thinking_budget, &at.field("thinkingBudget"), "a whole number")?;
    let level = level.map(|level| level.to_ascii_lowercase());
    let level = level.filter(|level| !level.is_empty() && level != "thinking_level_unspecified");
    Ok((level.or_else(|| budget.and_then(effort).map(str::to_owned)), thoughts))
}

/// The effort that a budget of tokens stands for; `None` leaves it to the model.
fn effort(budget: i64) -> Option<&'static str> {
    Some(match budget {
        ..0 => return None,
        0 => "none",
        1..=512 => "minimal",
        513..=4096 => "low",
        4097..=16_384 => "medium",
        _ => "high",
    })
}

/// The shape of the answer, and what can only be said in words.
fn format(fields: &ConfigFields<'_>, notes: &mut Notes) -> Result<(Format, Option<String>), BadField> {
    let kind: Option<Word<'_>> =
        optional(fields.response_mime_type, &ROOT.field("responseMimeType"), "a string")?;
    let schema = match (given(fields.response_json_schema), given(fields.response_schema)) {
        (Some(raw), _) => schema::pass(raw),
        (None, Some(raw)) => schema::raise(raw),
        (None, None) => None,
    };
    match (kind.as_deref().unwrap_or_default(), schema) {
        // A schema alone asks for JSON as well.
        ("application/json" | "", Some(schema)) => {
            let name = "answer".to_owned();
            Ok((Format::JsonSchema { name, description: None, schema, strict: None }, None))
        }
        ("application/json", None) => Ok((Format::JsonObject, None)),
        ("" | "text/plain", _) => Ok((Format::Text, None)),
        ("text/x.enum", schema) => Ok((Format::Text, schema.as_deref().and_then(one_of))),
        (other, _) => {
            notes.add(format!(
                "an answer of type `{}` has no equal and became plain text",
                shown(other, MAX_WORD)
            ));
            Ok((Format::Text, None))
        }
    }
}

/// The values of an enum, as an instruction.
fn one_of(schema: &RawValue) -> Option<String> {
    let schema: Value = serde_json::from_str(schema.get()).ok()?;
    let values: Vec<&str> = schema.get("enum")?.as_array()?.iter().filter_map(Value::as_str).collect();
    Some(format!("Answer with exactly one of these values, and nothing else:\n{}", values.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: &str) -> Result<(TurnRequest, GenerationOptions, Notes), BadField> {
        let raw = RawValue::from_string(json.to_owned()).expect("JSON");
        let (mut turn, mut notes) = (TurnRequest::default(), Notes::default());
        read(Some(&raw), &mut turn, &mut notes).map(|options| (turn, options, notes))
    }

    #[test]
    fn both_spellings_are_read_and_what_has_no_equal_is_noted_once() {
        let (turn, options, notes) = config(
            r#"{"max_output_tokens":9,"topK":1,"seed":2,"thinkingConfig":{"includeThoughts":true,"thinking_budget":600}}"#,
        )
        .expect("a configuration");
        assert_eq!((turn.max_output_tokens, turn.reasoning.effort.as_deref()), (Some(9), Some("low")));
        assert!(options.thoughts);
        assert_eq!(notes[..], ["no equal in the turn for topK, seed of `generationConfig`, left out"]);
    }

    #[test]
    fn an_answer_of_another_kind_is_refused() {
        for (json, path) in [
            (r#"{"candidateCount":2}"#, "generationConfig.candidateCount"),
            (r#"{"responseModalities":["IMAGE"]}"#, "generationConfig.responseModalities"),
        ] {
            assert_eq!(config(json).expect_err(json).path.as_deref(), Some(path));
        }
        let (_, options, _) =
            config(r#"{"responseMimeType":"text/x.enum","responseSchema":{"enum":["a","b"]}}"#)
                .expect("an enum");
        assert!(options.words.expect("in words").ends_with("a\nb"));
    }
}
