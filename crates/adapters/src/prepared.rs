//! A turn in a provider's words.

use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use latimer_protocol::turn::Owner;

use crate::learn::Features;
use crate::names::Names;

/// A turn in a provider's words, ready to be sent as often as needed.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// Which protocol the words are of.
    pub wire: Wire,
    /// The JSON body.
    pub body: Bytes,
    /// The model as the provider knows it.
    pub model: String,
    /// Whose opaque state comes back.
    pub owner: Owner,
    /// Tool names that were changed.
    pub names: Names,
    /// Headers that belong to this turn alone, such as a conversation's id.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What the request makes use of: only that can be what a provider refused.
    pub features: Features,
    /// What was lowered or dropped, for the log.
    pub notes: Vec<String>,
}

/// The upstream protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wire {
    /// OpenAI Chat Completions.
    Chat,
    /// Anthropic Messages.
    Anthropic,
    /// OpenAI Responses.
    Responses,
    /// Gemini `generateContent`, bare or in the envelope of Code Assist.
    Gemini,
    /// Command Code `alpha/generate`.
    CommandCode,
}
