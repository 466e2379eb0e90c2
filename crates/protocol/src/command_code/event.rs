//! What an upstream sends: events on lines, or the whole answer as one object.

use std::fmt;
use std::ops::Deref;
use std::slice;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor, value};
use serde_json::value::RawValue;

use crate::lenient::{LenientCount, LenientList, LenientObject, LenientText};
use crate::turn::Usage;

/// What stands on a line: an event, or a list of them. One event costs no list.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "the large one is the usual one, and lives on the stack for one line"
)]
pub enum CommandCodeEvents<'a> {
    /// The usual case.
    One(CommandCodeEvent<'a>),
    /// All of an answer at once.
    Many(LenientList<CommandCodeEvent<'a>>),
}

impl<'a> Deref for CommandCodeEvents<'a> {
    type Target = [CommandCodeEvent<'a>];

    fn deref(&self) -> &Self::Target {
        match self {
            Self::One(event) => slice::from_ref(event),
            Self::Many(events) => events,
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for CommandCodeEvents<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EventsVisitor)
    }
}

struct EventsVisitor;

impl<'de> Visitor<'de> for EventsVisitor {
    type Value = CommandCodeEvents<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event or a list of events")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        CommandCodeEvent::deserialize(value::MapAccessDeserializer::new(map)).map(CommandCodeEvents::One)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        LenientList::deserialize(value::SeqAccessDeserializer::new(seq)).map(CommandCodeEvents::Many)
    }
}

/// What an event says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandCodeEventKind {
    /// `text-delta`.
    TextDelta,
    /// `reasoning-delta`.
    ReasoningDelta,
    /// `tool-input-start`.
    ToolInputStart,
    /// `tool-input-delta`.
    ToolInputDelta,
    /// `tool-call`.
    ToolCall,
    /// `finish-step`.
    FinishStep,
    /// `finish`.
    Finish,
    /// `error`.
    Error,
    /// The beginning or the end of a part or a step, which says nothing by itself.
    Boundary,
    /// No name: a whole answer, or a failure.
    Unnamed,
    /// Anything else.
    Other,
}

impl CommandCodeEventKind {
    /// The kind of this name.
    pub fn of(name: &str) -> Self {
        match name {
            "text-delta" => Self::TextDelta,
            "reasoning-delta" => Self::ReasoningDelta,
            "tool-input-start" => Self::ToolInputStart,
            "tool-input-delta" => Self::ToolInputDelta,
            "tool-call" => Self::ToolCall,
            "finish-step" => Self::FinishStep,
            "finish" => Self::Finish,
            "error" => Self::Error,
            "start" | "start-step" | "text-start" | "text-end" | "reasoning-start" | "reasoning-end"
            | "tool-input-end" => Self::Boundary,
            "" => Self::Unnamed,
            _ => Self::Other,
        }
    }
}

/// One event. A whole answer in one object has no `type`.
#[derive(Debug, Default, Deserialize)]
#[serde(bound = "'de: 'a", rename_all = "camelCase")]
pub struct CommandCodeEvent<'a> {
    /// `text-delta`, `tool-call`, `finish` and others.
    #[serde(default, rename = "type")]
    pub kind: LenientText<'a>,
    /// Which text or call it is about.
    #[serde(default)]
    pub id: LenientText<'a>,
    /// A piece of words or thoughts.
    #[serde(default)]
    pub text: LenientText<'a>,
    /// A piece of words or arguments.
    #[serde(default)]
    pub delta: LenientText<'a>,
    /// The thoughts of a whole answer.
    #[serde(default)]
    pub reasoning_text: LenientText<'a>,
    /// The calls of a whole answer.
    #[serde(default)]
    pub tool_calls: LenientList<CommandCodeEvent<'a>>,
    /// Another spelling of a piece of words.
    #[serde(default)]
    pub text_delta: LenientText<'a>,
    /// Links a call to its result; the same in every event about it.
    #[serde(default)]
    pub tool_call_id: LenientText<'a>,
    /// Which tool is called, as it was declared.
    #[serde(default)]
    pub tool_name: LenientText<'a>,
    /// The arguments, whole.
    #[serde(default, borrow)]
    pub input: Option<&'a RawValue>,
    /// The arguments, whole, in another spelling.
    #[serde(default, borrow)]
    pub args: Option<&'a RawValue>,
    /// Why it ended.
    #[serde(default)]
    pub finish_reason: LenientText<'a>,
    /// Tokens of a step.
    #[serde(default)]
    pub usage: LenientObject<CommandCodeUsage>,
    /// Tokens of all steps.
    #[serde(default)]
    pub total_usage: LenientObject<CommandCodeUsage>,
    /// A failure, in any shape.
    #[serde(default, borrow)]
    pub error: Option<&'a RawValue>,
}

/// Tokens.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommandCodeUsage {
    #[serde(default)]
    input_tokens: LenientCount,
    #[serde(default)]
    output_tokens: LenientCount,
    #[serde(default)]
    cached_input_tokens: LenientCount,
    #[serde(default)]
    output_token_details: LenientObject<Details>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    #[serde(default)]
    reasoning_tokens: LenientCount,
}

impl CommandCodeUsage {
    /// In the hub's words.
    pub fn to_turn(self) -> Usage {
        Usage {
            input: self.input_tokens.0,
            cached: self.cached_input_tokens.0,
            cache_write: None,
            output: self.output_tokens.0,
            reasoning: self.output_token_details.0.and_then(|details| details.reasoning_tokens.0),
        }
    }
}
