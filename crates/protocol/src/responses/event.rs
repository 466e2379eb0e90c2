//! What an upstream of this protocol sends: events of a stream, or one whole response. Only the fields that are looked at.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::chat::chunk::{Count, List, Object, Text};
use crate::turn::Usage;

/// One event of a stream.
#[derive(Debug, Default, Deserialize)]
#[serde(bound = "'de: 'a")]
pub struct Event<'a> {
    /// `response.created`, `response.output_text.delta` and so on.
    #[serde(default, rename = "type")]
    pub kind: Text<'a>,
    /// Which item it is about.
    #[serde(default)]
    pub output_index: Count,
    /// Which part of a summary it is about.
    #[serde(default)]
    pub summary_index: Count,
    /// A piece of words, thoughts or arguments.
    #[serde(default)]
    pub delta: Text<'a>,
    /// Arguments, whole.
    #[serde(default)]
    pub arguments: Text<'a>,
    /// An item that begins or is done.
    #[serde(default)]
    pub item: Object<Item<'a>>,
    /// The response, at its beginning and its end.
    #[serde(default)]
    pub response: Object<Response<'a>>,
    /// A failure in an event of its own, in any shape.
    #[serde(default, borrow)]
    pub error: Option<&'a RawValue>,
    /// The code of an `error` event, flat.
    #[serde(default)]
    pub code: Text<'a>,
    /// The words of an `error` event, flat.
    #[serde(default)]
    pub message: Text<'a>,
}

/// One item of an answer.
#[derive(Debug, Default, Deserialize)]
#[serde(bound = "'de: 'a")]
pub struct Item<'a> {
    /// `message`, `reasoning`, `function_call` and others.
    #[serde(default, rename = "type")]
    pub kind: Text<'a>,
    /// Links a call to its output.
    #[serde(default)]
    pub call_id: Text<'a>,
    /// The tool.
    #[serde(default)]
    pub name: Text<'a>,
    /// Arguments, JSON text.
    #[serde(default)]
    pub arguments: Text<'a>,
    /// State that only the provider understands.
    #[serde(default)]
    pub encrypted_content: Text<'a>,
    /// The parts of a message, or raw thoughts.
    #[serde(default)]
    pub content: List<Part<'a>>,
    /// The parts of a summary of thoughts.
    #[serde(default)]
    pub summary: List<Part<'a>>,
}

/// A part of an item.
#[derive(Debug, Default, Deserialize)]
#[serde(bound = "'de: 'a")]
pub struct Part<'a> {
    /// Words or thoughts.
    #[serde(default)]
    pub text: Text<'a>,
    /// Words of a refusal.
    #[serde(default)]
    pub refusal: Text<'a>,
}

/// A response at its beginning or its end; also a whole answer that is no stream.
#[derive(Debug, Default, Deserialize)]
#[serde(bound = "'de: 'a")]
pub struct Response<'a> {
    /// `response` for a whole answer.
    #[serde(default)]
    pub object: Text<'a>,
    /// `completed`, `incomplete`, `failed` and others.
    #[serde(default)]
    pub status: Text<'a>,
    /// Why it is incomplete.
    #[serde(default)]
    pub incomplete_details: Object<Incomplete<'a>>,
    /// Why it failed, in any shape.
    #[serde(default, borrow)]
    pub error: Option<&'a RawValue>,
    /// Tokens.
    #[serde(default)]
    pub usage: Object<WireUsage>,
    /// The items.
    #[serde(default)]
    pub output: List<Item<'a>>,
}

/// Why a response is incomplete.
#[derive(Debug, Default, Deserialize)]
#[serde(bound = "'de: 'a")]
pub struct Incomplete<'a> {
    /// `max_output_tokens` or `content_filter`.
    #[serde(default)]
    pub reason: Text<'a>,
}

/// Tokens of a response.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
pub struct WireUsage {
    #[serde(default)]
    input_tokens: Count,
    #[serde(default)]
    output_tokens: Count,
    #[serde(default)]
    input_tokens_details: Object<Details>,
    #[serde(default)]
    output_tokens_details: Object<Details>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
struct Details {
    #[serde(default)]
    cached_tokens: Count,
    #[serde(default)]
    reasoning_tokens: Count,
}

impl WireUsage {
    /// In the hub's words.
    pub fn to_turn(self) -> Usage {
        Usage {
            input: self.input_tokens.0,
            cached: self.input_tokens_details.0.and_then(|details| details.cached_tokens.0),
            cache_write: None,
            output: self.output_tokens.0,
            reasoning: self.output_tokens_details.0.and_then(|details| details.reasoning_tokens.0),
        }
    }
}
