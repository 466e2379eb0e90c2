//! The lines of an app-server as written. Lenient: a field of another type counts as absent. Pure.

use latimer_protocol::lenient::{LenientCount, LenientList, LenientObject, LenientText};
use serde::Deserialize;
use serde_json::value::RawValue;

/// What the process side has to know of every line: what it is, and whose. Read in one pass without a copy.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct LineHead<'a> {
    /// Of a request or an answer.
    #[serde(borrow)]
    pub id: Option<&'a RawValue>,
    /// Of a request or a notification.
    #[serde(borrow)]
    pub method: LenientText<'a>,
    /// Whose it is.
    #[serde(borrow)]
    pub params: LenientObject<HeadParams<'a>>,
    /// Of an answer.
    #[serde(borrow)]
    pub result: Option<&'a RawValue>,
    /// Of an answer.
    #[serde(borrow)]
    pub error: Option<&'a RawValue>,
}

/// Whose a line is.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HeadParams<'a> {
    /// Which conversation it belongs to.
    #[serde(borrow)]
    pub thread_id: LenientText<'a>,
    /// Which turn of it; absent in some kinds.
    #[serde(borrow)]
    pub turn_id: LenientText<'a>,
    /// Of `turn/started` and `turn/completed`.
    #[serde(borrow)]
    pub turn: LenientObject<HeadTurn<'a>>,
    /// Of `item/started` and `item/completed`.
    #[serde(borrow)]
    pub item: LenientObject<HeadItem<'a>>,
    /// Of `error`.
    pub will_retry: bool,
}

/// A turn by its name.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct HeadTurn<'a> {
    /// The name.
    #[serde(borrow)]
    pub id: LenientText<'a>,
    /// `completed`, `failed` or `interrupted`.
    #[serde(borrow)]
    pub status: LenientText<'a>,
}

/// An item by its kind.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HeadItem<'a> {
    /// `agentMessage`, `commandExecution` and the like.
    #[serde(borrow, rename = "type")]
    pub kind: LenientText<'a>,
    /// Of a message of the agent.
    #[serde(borrow)]
    pub text: LenientText<'a>,
    /// Of a message of ours: the name that we gave it.
    #[serde(borrow)]
    pub client_id: LenientText<'a>,
}

impl HeadParams<'_> {
    /// The turn, wherever it is named.
    pub fn turn(&self) -> Option<&str> {
        self.turn_id.some().or_else(|| self.turn.0.as_ref()?.id.some())
    }
}

/// Kinds of items that are tools of the agent: between their beginning and their end silence is none.
pub fn is_tool(kind: &str) -> bool {
    matches!(
        kind,
        "commandExecution"
            | "fileChange"
            | "mcpToolCall"
            | "webSearch"
            | "collabAgentToolCall"
            | "sleep"
            | "imageView"
            | "imageGeneration"
    )
}

/// What a reader has to know of a line.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TurnLine<'a> {
    #[serde(borrow)]
    pub(super) method: LenientText<'a>,
    #[serde(borrow)]
    pub(super) params: LenientObject<Params<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Params<'a> {
    #[serde(borrow)]
    pub(super) item_id: LenientText<'a>,
    #[serde(borrow)]
    pub(super) delta: LenientText<'a>,
    #[serde(borrow)]
    pub(super) item: LenientObject<Item<'a>>,
    pub(super) token_usage: LenientObject<TokenUsage>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
    pub(super) will_retry: bool,
    #[serde(borrow)]
    pub(super) turn: LenientObject<Turn<'a>>,
    #[serde(borrow)]
    pub(super) call_id: LenientText<'a>,
    #[serde(borrow)]
    pub(super) tool: LenientText<'a>,
    #[serde(borrow)]
    pub(super) arguments: Option<&'a RawValue>,
    /// Of a line of ours about a file.
    #[serde(borrow)]
    pub(super) text: LenientText<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Item<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: LenientText<'a>,
    #[serde(borrow)]
    pub(super) id: LenientText<'a>,
    #[serde(borrow)]
    pub(super) text: LenientText<'a>,
    #[serde(borrow)]
    pub(super) command: LenientText<'a>,
    #[serde(borrow)]
    pub(super) tool: LenientText<'a>,
    #[serde(borrow)]
    pub(super) query: LenientText<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Turn<'a> {
    #[serde(borrow)]
    pub(super) status: LenientText<'a>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) items: LenientList<Item<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct TokenUsage {
    pub(super) total: LenientObject<ThreadTokens>,
    pub(super) last: LenientObject<ThreadTokens>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ThreadTokens {
    pub(super) input_tokens: LenientCount,
    pub(super) cached_input_tokens: LenientCount,
    pub(super) cache_write_input_tokens: LenientCount,
    pub(super) output_tokens: LenientCount,
    pub(super) reasoning_output_tokens: LenientCount,
}

impl ThreadTokens {
    /// In a fixed order.
    pub(super) fn counts(&self) -> [u64; 5] {
        [
            self.input_tokens,
            self.cached_input_tokens,
            self.cache_write_input_tokens,
            self.output_tokens,
            self.reasoning_output_tokens,
        ]
        .map(|count| count.0.unwrap_or(0))
    }
}
