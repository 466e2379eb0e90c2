//! What an upstream of this protocol sends: events of a stream, or one whole response. Only the fields that are looked at.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::lenient::{LenientCount, LenientList, LenientObject, LenientText};
use crate::turn::Usage;

/// What an event says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponsesEventKind {
    /// `response.output_text.delta`.
    OutputTextDelta,
    /// `response.refusal.delta`.
    RefusalDelta,
    /// `response.reasoning_summary_text.delta`.
    SummaryTextDelta,
    /// `response.reasoning_text.delta`.
    ReasoningTextDelta,
    /// `response.reasoning_summary_part.added`.
    SummaryPartAdded,
    /// `response.function_call_arguments.delta`.
    ArgumentsDelta,
    /// `response.function_call_arguments.done`.
    ArgumentsDone,
    /// `response.output_item.added`.
    ItemAdded,
    /// `response.output_item.done`.
    ItemDone,
    /// `response.created`.
    Created,
    /// `response.in_progress`.
    InProgress,
    /// `response.queued`.
    Queued,
    /// `response.completed`.
    Completed,
    /// `response.incomplete`.
    Incomplete,
    /// `response.failed`.
    Failed,
    /// `response.cancelled`.
    Cancelled,
    /// `error`.
    Error,
    /// Anything else, and nothing at all.
    Other,
}

impl ResponsesEventKind {
    /// The kind of this name.
    pub fn of(name: &str) -> Self {
        match name {
            "response.output_text.delta" => Self::OutputTextDelta,
            "response.refusal.delta" => Self::RefusalDelta,
            "response.reasoning_summary_text.delta" => Self::SummaryTextDelta,
            "response.reasoning_text.delta" => Self::ReasoningTextDelta,
            "response.reasoning_summary_part.added" => Self::SummaryPartAdded,
            "response.function_call_arguments.delta" => Self::ArgumentsDelta,
            "response.function_call_arguments.done" => Self::ArgumentsDone,
            "response.output_item.added" => Self::ItemAdded,
            "response.output_item.done" => Self::ItemDone,
            "response.created" => Self::Created,
            "response.in_progress" => Self::InProgress,
            "response.queued" => Self::Queued,
            "response.completed" => Self::Completed,
            "response.incomplete" => Self::Incomplete,
            "response.failed" => Self::Failed,
            "response.cancelled" => Self::Cancelled,
            "error" => Self::Error,
            _ => Self::Other,
        }
    }
}

/// One event of a stream.
#[derive(Debug, Default, Deserialize)]
#[serde(bound = "'de: 'a")]
pub struct ResponsesEvent<'a> {
    /// `response.created`, `response.output_text.delta` and so on.
    #[serde(default, rename = "type")]
    pub kind: LenientText<'a>,
    /// Which item it is about.
    #[serde(default)]
    pub output_index: LenientCount,
    /// Which part of a summary it is about.
    #[serde(default)]
    pub summary_index: LenientCount,
    /// A piece of words, thoughts or arguments.
    #[serde(default)]
    pub delta: LenientText<'a>,
    /// Arguments, whole.
    #[serde(default)]
    pub arguments: LenientText<'a>,
    /// An item that begins or is done.
    #[serde(default)]
    pub item: LenientObject<ResponsesOutputItem<'a>>,
    /// The response, at its beginning and its end.
    #[serde(default)]
    pub response: LenientObject<ResponsesResponse<'a>>,
    /// A failure in an event of its own, in any shape.
    #[serde(default, borrow)]
    pub error: Option<&'a RawValue>,
    /// The code of an `error` event, flat.
    #[serde(default)]
    pub code: LenientText<'a>,
    /// The words of an `error` event, flat.
    #[serde(default)]
    pub message: LenientText<'a>,
}

/// What an item of an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponsesItemKind {
    /// `message`.
    Message,
    /// `reasoning`.
    Reasoning,
    /// `function_call`.
    FunctionCall,
    /// Anything else, and nothing at all.
    Other,
}

impl ResponsesItemKind {
    /// The kind of this name.
    pub fn of(name: &str) -> Self {
        match name {
            "message" => Self::Message,
            "reasoning" => Self::Reasoning,
            "function_call" => Self::FunctionCall,
            _ => Self::Other,
        }
    }
}

/// One item of an answer.
#[derive(Debug, Default, Deserialize)]
#[serde(bound = "'de: 'a")]
pub struct ResponsesOutputItem<'a> {
    /// `message`, `reasoning`, `function_call` and others.
    #[serde(default, rename = "type")]
    pub kind: LenientText<'a>,
    /// Links a call to its output.
    #[serde(default)]
    pub call_id: LenientText<'a>,
    /// The tool.
    #[serde(default)]
    pub name: LenientText<'a>,
    /// Arguments, JSON text.
    #[serde(default)]
    pub arguments: LenientText<'a>,
    /// State that only the provider understands.
    #[serde(default)]
    pub encrypted_content: LenientText<'a>,
    /// The parts of a message, or raw thoughts.
    #[serde(default)]
    pub content: LenientList<ResponsesOutputPart<'a>>,
    /// The parts of a summary of thoughts.
    #[serde(default)]
    pub summary: LenientList<ResponsesOutputPart<'a>>,
}

/// A part of an item.
#[derive(Debug, Default, Deserialize)]
#[serde(bound = "'de: 'a")]
pub struct ResponsesOutputPart<'a> {
    /// Words or thoughts.
    #[serde(default)]
    pub text: LenientText<'a>,
    /// Words of a refusal.
    #[serde(default)]
    pub refusal: LenientText<'a>,
}

/// A response at its beginning or its end; also a whole answer that is no stream.
#[derive(Debug, Default, Deserialize)]
#[serde(bound = "'de: 'a")]
pub struct ResponsesResponse<'a> {
    /// `response` for a whole answer.
    #[serde(default)]
    pub object: LenientText<'a>,
    /// `completed`, `incomplete`, `failed` and others.
    #[serde(default)]
    pub status: LenientText<'a>,
    /// Why it is incomplete.
    #[serde(default)]
    pub incomplete_details: LenientObject<ResponsesIncompleteDetails<'a>>,
    /// Why it failed, in any shape.
    #[serde(default, borrow)]
    pub error: Option<&'a RawValue>,
    /// Tokens.
    #[serde(default)]
    pub usage: LenientObject<ResponsesUsage>,
    /// The items.
    #[serde(default)]
    pub output: LenientList<ResponsesOutputItem<'a>>,
}

/// Why a response is incomplete.
#[derive(Debug, Default, Deserialize)]
#[serde(bound = "'de: 'a")]
pub struct ResponsesIncompleteDetails<'a> {
    /// `max_output_tokens` or `content_filter`.
    #[serde(default)]
    pub reason: LenientText<'a>,
}

/// Tokens of a response.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
pub struct ResponsesUsage {
    #[serde(default)]
    input_tokens: LenientCount,
    #[serde(default)]
    output_tokens: LenientCount,
    #[serde(default)]
    input_tokens_details: LenientObject<Details>,
    #[serde(default)]
    output_tokens_details: LenientObject<Details>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
struct Details {
    #[serde(default)]
    cached_tokens: LenientCount,
    #[serde(default, alias = "cache_creation_tokens")]
    cache_write_tokens: LenientCount,
    #[serde(default)]
    reasoning_tokens: LenientCount,
}

impl ResponsesUsage {
    /// In the hub's words.
    pub fn to_turn(self) -> Usage {
        Usage {
            input: self.input_tokens.0,
            cached: self.input_tokens_details.0.and_then(|details| details.cached_tokens.0),
            cache_write: self.input_tokens_details.0.and_then(|details| details.cache_write_tokens.0),
            output: self.output_tokens.0,
            reasoning: self.output_tokens_details.0.and_then(|details| details.reasoning_tokens.0),
        }
    }
}
