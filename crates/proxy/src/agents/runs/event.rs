//! What happens in a run, as it is told to whoever listens: one event of a server-sent stream each.

use bytes::Bytes;
use serde::Serialize;

use crate::agents::run::{RunStatus, RunUsage};

/// What happens in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RunEvent<'e> {
    /// It stands here now.
    Status {
        /// Where.
        status: RunStatus,
    },
    /// A turn has begun.
    Init {
        /// The name by which it can be gone on with.
        continuation: &'e str,
    },
    /// Words for a person.
    Progress {
        /// The words.
        message: &'e str,
    },
    /// More of the answer.
    TextDelta {
        /// To which message it belongs.
        item: &'e str,
        /// The text.
        text: &'e str,
    },
    /// A message of the answer is whole.
    TextDone {
        /// Which one.
        item: &'e str,
        /// All of its text.
        text: &'e str,
    },
    /// More of the thoughts.
    ReasoningDelta {
        /// To which item it belongs.
        item: &'e str,
        /// The text.
        text: &'e str,
    },
    /// What was pushed has entered the conversation.
    PushSeen {
        /// The words.
        text: &'e str,
    },
    /// What the turns used until now.
    Usage {
        /// The tokens.
        #[serde(flatten)]
        usage: RunUsage,
    },
    /// A turn has its answer.
    Result {
        /// The answer.
        text: &'e str,
    },
    /// The run ends without an answer.
    Error {
        /// A word for programs.
        code: &'e str,
        /// What happened.
        message: &'e str,
    },
    /// More happened than is kept: pieces of text are left out from here on, and whole messages are not.
    Truncated {},
}

impl RunEvent<'_> {
    /// Its type, which stands in the line `event:` too.
    fn name(&self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::Init { .. } => "init",
            Self::Progress { .. } => "progress",
            Self::TextDelta { .. } => "text_delta",
            Self::TextDone { .. } => "text_done",
            Self::ReasoningDelta { .. } => "reasoning_delta",
            Self::PushSeen { .. } => "push_seen",
            Self::Usage { .. } => "usage",
            Self::Result { .. } => "result",
            Self::Error { .. } => "error",
            Self::Truncated {} => "truncated",
        }
    }

    /// Whether the run can be understood without it.
    pub(super) fn is_piece(&self) -> bool {
        matches!(self, Self::TextDelta { .. } | Self::ReasoningDelta { .. } | Self::Progress { .. })
    }

    /// As it is sent.
    pub(super) fn frame(&self) -> Bytes {
        let data = serde_json::to_string(self).unwrap_or_default();
        format!("event: {}\ndata: {data}\n\n", self.name()).into()
    }
}
