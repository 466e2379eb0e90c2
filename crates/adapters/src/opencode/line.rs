//! The events of an OpenCode server as written. Lenient. Pure.

use latimer_protocol::lenient::{LenientCount, LenientObject, LenientText};
use serde::Deserialize;
use serde_json::value::RawValue;

/// What a server tells of a session, or of itself.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Event<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: LenientText<'a>,
    #[serde(borrow)]
    pub(super) properties: LenientObject<Properties<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Properties<'a> {
    /// Of a permission.
    #[serde(borrow)]
    pub(super) id: LenientText<'a>,
    #[serde(borrow, rename = "sessionID")]
    pub(super) session: LenientText<'a>,
    #[serde(borrow, rename = "messageID")]
    pub(super) message: LenientText<'a>,
    #[serde(borrow, rename = "partID")]
    pub(super) part_id: LenientText<'a>,
    #[serde(borrow)]
    pub(super) field: LenientText<'a>,
    #[serde(borrow)]
    pub(super) delta: LenientText<'a>,
    #[serde(borrow)]
    pub(super) info: LenientObject<Info<'a>>,
    #[serde(borrow)]
    pub(super) part: LenientObject<EventPart<'a>>,
    #[serde(borrow)]
    pub(super) status: LenientObject<Status<'a>>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Info<'a> {
    #[serde(borrow)]
    pub(super) id: LenientText<'a>,
    #[serde(borrow)]
    pub(super) role: LenientText<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct EventPart<'a> {
    #[serde(borrow)]
    pub(super) id: LenientText<'a>,
    #[serde(borrow, rename = "messageID")]
    pub(super) message: LenientText<'a>,
    #[serde(borrow, rename = "sessionID")]
    pub(super) session: LenientText<'a>,
    #[serde(borrow, rename = "type")]
    pub(super) kind: LenientText<'a>,
    #[serde(borrow)]
    pub(super) text: LenientText<'a>,
    #[serde(borrow)]
    pub(super) tool: LenientText<'a>,
    #[serde(borrow)]
    pub(super) state: LenientObject<ToolState<'a>>,
    #[serde(borrow)]
    pub(super) reason: LenientText<'a>,
    pub(super) tokens: LenientObject<StepTokens>,
    pub(super) time: LenientObject<PartTime>,
}

/// When a part was written.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default)]
pub(super) struct PartTime {
    /// Its end, once it is whole.
    pub(super) end: LenientCount,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ToolState<'a> {
    #[serde(borrow)]
    pub(super) status: LenientText<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Status<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: LenientText<'a>,
    pub(super) attempt: LenientCount,
    #[serde(borrow)]
    pub(super) message: LenientText<'a>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default)]
pub(super) struct StepTokens {
    pub(super) input: LenientCount,
    pub(super) output: LenientCount,
    pub(super) reasoning: LenientCount,
    pub(super) cache: LenientObject<CacheTokens>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default)]
pub(super) struct CacheTokens {
    pub(super) read: LenientCount,
    pub(super) write: LenientCount,
}

impl Properties<'_> {
    /// Whose it is, wherever that stands.
    pub(super) fn session(&self) -> Option<&str> {
        self.session.some().or_else(|| self.part.0.as_ref()?.session.some())
    }
}
