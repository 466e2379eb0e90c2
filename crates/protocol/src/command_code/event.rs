//! What an upstream sends: one event on each line.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::chat::chunk::{Count, Object, Text};
use crate::turn::Usage;

/// One event.
#[derive(Debug, Default, Deserialize)]
#[serde(bound = "'de: 'a", rename_all = "camelCase")]
pub struct Event<'a> {
    /// `text-delta`, `tool-call`, `finish` and others.
    #[serde(default, rename = "type")]
    pub kind: Text<'a>,
    /// Which text or call it is about.
    #[serde(default)]
    pub id: Text<'a>,
    /// A piece of words or thoughts.
    #[serde(default)]
    pub text: Text<'a>,
    /// A piece of words or arguments.
    #[serde(default)]
    pub delta: Text<'a>,
    /// Another spelling of a piece of words.
    #[serde(default)]
    pub text_delta: Text<'a>,
    /// The call.
    #[serde(default)]
    pub tool_call_id: Text<'a>,
    /// The tool.
    #[serde(default)]
    pub tool_name: Text<'a>,
    /// The arguments, whole.
    #[serde(default, borrow)]
    pub input: Option<&'a RawValue>,
    /// The arguments, whole, in another spelling.
    #[serde(default, borrow)]
    pub args: Option<&'a RawValue>,
    /// Why it ended.
    #[serde(default)]
    pub finish_reason: Text<'a>,
    /// Tokens of a step.
    #[serde(default)]
    pub usage: Object<WireUsage>,
    /// Tokens of all steps.
    #[serde(default)]
    pub total_usage: Object<WireUsage>,
    /// A failure, in any shape.
    #[serde(default, borrow)]
    pub error: Option<&'a RawValue>,
}

/// Tokens.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WireUsage {
    #[serde(default)]
    input_tokens: Count,
    #[serde(default)]
    output_tokens: Count,
    #[serde(default)]
    cached_input_tokens: Count,
    #[serde(default)]
    output_token_details: Object<Details>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    #[serde(default)]
    reasoning_tokens: Count,
}

impl WireUsage {
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
