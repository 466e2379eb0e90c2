//! `generationConfig`: how to pick tokens, how hard to think, and the shape of the answer.

use std::borrow::Cow;

use latimer_protocol::turn::{Format, TurnRequest};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::error::BadRequest;
use super::read::{At, field, given};
use super::schema;
use crate::text::{MAX_WORD, shown};

/// What a configuration says besides the turn.
#[derive(Debug, Default)]
pub(super) struct Generation {
    /// The thoughts are to be shown.
    pub(super) thoughts: bool,
    /// What had to be put into words for the model.
    pub(super) words: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    #[serde(borrow)]
    temperature: Option<&'a RawValue>,
    #[serde(borrow, alias = "top_p")]
    top_p: Option<&'a RawValue>,
    #[serde(borrow, alias = "top_k")]
    top_k: Option<&'a RawValue>,
    #[serde(borrow, alias = "max_output_tokens")]
    max_output_tokens: Option<&'a RawValue>,
    #[serde(borrow, alias = "stop_sequences")]
    stop_sequences: Option<&'a RawValue>,
    #[serde(borrow, alias = "candidate_count")]
    candidate_count: Option<&'a RawValue>,
    #[serde(borrow, alias = "presence_penalty")]
    presence_penalty: Option<&'a RawValue>,
    #[serde(borrow, alias = "frequency_penalty")]
    frequency_penalty: Option<&'a RawValue>,
    #[serde(borrow)]
    seed: Option<&'a RawValue>,
    #[serde(borrow, alias = "response_logprobs")]
    response_logprobs: Option<&'a RawValue>,
    #[serde(borrow, alias = "response_modalities")]
    response_modalities: Option<&'a RawValue>,
    #[serde(borrow, alias = "speech_config")]
    speech_config: Option<&'a RawValue>,
    #[serde(borrow, alias = "image_config")]
    image_config: Option<&'a RawValue>,
    #[serde(borrow, alias = "media_resolution")]
    media_resolution: Option<&'a RawValue>,
    #[serde(borrow, alias = "response_mime_type")]
    response_mime_type: Option<&'a RawValue>,
    #[serde(borrow, alias = "response_schema")]
    response_schema: Option<&'a RawValue>,
    #[serde(borrow, alias = "response_json_schema", alias = "_responseJsonSchema")]
    response_json_schema: Option<&'a RawValue>,
    #[serde(borrow, alias = "thinking_config")]
    thinking_config: Option<&'a RawValue>,
}

const ROOT: At<'static> = At::root("generationConfig");

/// Reads the configuration into the turn.
pub(super) fn read(
    raw: Option<&RawValue>,
    turn: &mut TurnRequest,
    notes: &mut Vec<String>,
) -> Result<Generation, BadRequest> {
    let Some(wire) = field::<Wire<'_>>(raw, &ROOT, "an object")? else { return Ok(Generation::default()) };
    let number = |raw, name| field::<f64>(raw, &ROOT.field(name), "a number");
    turn.sampling.temperature = number(wire.temperature, "temperature")?;
    turn.sampling.top_p = number(wire.top_p, "topP")?;
    turn.sampling.presence_penalty = number(wire.presence_penalty, "presencePenalty")?;
    turn.sampling.frequency_penalty = number(wire.frequency_penalty, "frequencyPenalty")?;
    turn.max_output_tokens = field(wire.max_output_tokens, &ROOT.field("maxOutputTokens"), "a whole number")?
        .filter(|most| *most > 0);
    one_answer_in_words(&wire)?;
    note_what_has_no_equal(&wire, notes);
    let (effort, thoughts) = thinking(wire.thinking_config)?;
    turn.reasoning.effort = effort;
    let (format, words) = format(&wire, notes)?;
    turn.format = format;
    Ok(Generation { thoughts, words })
}

/// What would change the answer's meaning is refused.
fn one_answer_in_words(wire: &Wire<'_>) -> Result<(), BadRequest> {
    let at = ROOT.field("candidateCount");
    let count: Option<u64> = field(wire.candidate_count, &at, "a whole number")?;
    if count.is_some_and(|count| count > 1) {
        return Err(BadRequest::at(&at, format_args!("should be 1: latimer gives one answer to a request")));
    }
    let at = ROOT.field("responseModalities");
    let modalities: Vec<Cow<'_, str>> =
        field(wire.response_modalities, &at, "a list of words")?.unwrap_or_default();
    let is_text = |word: &Cow<'_, str>| {
        word.eq_ignore_ascii_case("TEXT") || word.eq_ignore_ascii_case("MODALITY_UNSPECIFIED")
    };
    if !modalities.is_empty() && !modalities.iter().any(is_text) {
        return Err(BadRequest::at(&at, format_args!("should hold TEXT: latimer's models answer in words")));
    }
    Ok(())
}

fn note_what_has_no_equal(wire: &Wire<'_>, notes: &mut Vec<String>) {
    let is_set =
        |raw: Option<&RawValue>| given(raw).is_some_and(|raw| !matches!(raw.get(), "[]" | "false" | "{}"));
    let table = [
        (wire.top_k, "topK"),
        (wire.stop_sequences, "stopSequences"),
        (wire.seed, "seed"),
        (wire.response_logprobs, "responseLogprobs"),
        (wire.speech_config, "speechConfig"),
        (wire.image_config, "imageConfig"),
        (wire.media_resolution, "mediaResolution"),
    ];
    let set: Vec<&str> = table.into_iter().filter(|(raw, _)| is_set(*raw)).map(|(_, name)| name).collect();
    if !set.is_empty() {
        notes.push(format!("no equal in the turn for {} of `generationConfig`, left out", set.join(", ")));
    }
}

/// The effort, and whether the thoughts are to be shown.
fn thinking(raw: Option<&RawValue>) -> Result<(Option<String>, bool), BadRequest> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Thinking<'a> {
        #[serde(borrow, alias = "include_thoughts")]
        include_thoughts: Option<&'a RawValue>,
        #[serde(borrow, alias = "thinking_budget")]
        thinking_budget: Option<&'a RawValue>,
        #[serde(borrow, alias = "thinking_level")]
        thinking_level: Option<&'a RawValue>,
    }
    let at = ROOT.field("thinkingConfig");
    let Some(wire) = field::<Thinking<'_>>(raw, &at, "an object")? else { return Ok((None, false)) };
    let thoughts =
        field(wire.include_thoughts, &at.field("includeThoughts"), "true or false")?.unwrap_or(false);
    let level: Option<String> = field(wire.thinking_level, &at.field("thinkingLevel"), "a string")?;
    let budget: Option<i64> = field(wire.thinking_budget, &at.field("thinkingBudget"), "a whole number")?;
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
fn format(wire: &Wire<'_>, notes: &mut Vec<String>) -> Result<(Format, Option<String>), BadRequest> {
    let kind: Option<Cow<'_, str>> =
        field(wire.response_mime_type, &ROOT.field("responseMimeType"), "a string")?;
    let schema = match (given(wire.response_json_schema), given(wire.response_schema)) {
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
            notes.push(format!(
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
