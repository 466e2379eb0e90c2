//! The lines of `claude -p --output-format stream-json` as written. Lenient. Pure.

use latimer_protocol::lenient::{LenientCount, LenientList, LenientObject, LenientText};
use serde::Deserialize;
use serde_json::value::RawValue;

/// A message of the program, whatever its type.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ClaudeLine<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: LenientText<'a>,
    #[serde(borrow)]
    pub(super) subtype: LenientText<'a>,
    /// Of `stream_event`.
    #[serde(borrow)]
    pub(super) event: LenientObject<StreamEvent<'a>>,
    /// Set where a helper of the agent speaks, and not the agent.
    #[serde(borrow)]
    pub(super) parent_tool_use_id: LenientText<'a>,
    /// Of `assistant` and `user`.
    #[serde(borrow)]
    pub(super) message: LenientObject<Message<'a>>,
    pub(super) is_error: bool,
    pub(super) api_error_status: LenientCount,
    #[serde(borrow)]
    pub(super) result: LenientText<'a>,
    #[serde(borrow)]
    pub(super) errors: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) stop_reason: LenientText<'a>,
    pub(super) usage: LenientObject<ClaudeTokens>,
    #[serde(borrow)]
    pub(super) structured_output: Option<&'a RawValue>,
    /// Of `control_request`.
    #[serde(borrow)]
    pub(super) request_id: LenientText<'a>,
    #[serde(borrow)]
    pub(super) request: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct StreamEvent<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: LenientText<'a>,
    #[serde(borrow)]
    pub(super) delta: LenientObject<Delta<'a>>,
    #[serde(borrow)]
    pub(super) content_block: LenientObject<Block<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Delta<'a> {
    #[serde(borrow)]
    pub(super) text: LenientText<'a>,
    #[serde(borrow)]
    pub(super) thinking: LenientText<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Message<'a> {
    #[serde(borrow)]
    pub(super) content: LenientList<Block<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Block<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: LenientText<'a>,
    #[serde(borrow)]
    pub(super) name: LenientText<'a>,
    #[serde(borrow)]
    pub(super) text: LenientText<'a>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default)]
pub(super) struct ClaudeTokens {
    pub(super) input_tokens: LenientCount,
    pub(super) cache_read_input_tokens: LenientCount,
    pub(super) cache_creation_input_tokens: LenientCount,
    pub(super) output_tokens: LenientCount,
}
