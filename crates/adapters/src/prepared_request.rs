//! A turn in a provider's words.

use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use latimer_protocol::turn::{Owner, Seal};

use crate::limitation::Features;
use crate::tool_names::ToolNames;

/// A turn in a provider's words, ready to be sent as often as needed.
#[derive(Debug, Clone)]
pub struct PreparedRequest {
    /// Which protocol the words are of.
    pub protocol: WireProtocol,
    /// The answer goes through as the upstream writes it: the client speaks the same protocol.
    pub is_passthrough: bool,
    /// The JSON body.
    pub body: Bytes,
    /// The model as the provider knows it.
    pub model: String,
    /// Whose opaque state comes back.
    pub owner: Owner,
    /// Tool names that were changed.
    pub names: ToolNames,
    /// Headers that belong to this turn alone, such as a conversation's id.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What the request makes use of: only that can be what a provider refused.
    pub features: Features,
    /// What was lowered or dropped, for the log.
    pub notes: Vec<String>,
}

/// A request as the client wrote it, for an upstream of the same protocol.
#[derive(Debug, Clone)]
pub struct ClientRequest {
    /// The client's protocol.
    pub protocol: WireProtocol,
    /// The JSON body.
    pub body: Bytes,
    /// Headers of the client; the adapter picks those that concern its upstream.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Opens the carriers of provider state.
    pub seal: Seal,
}

/// The upstream protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WireProtocol {
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
