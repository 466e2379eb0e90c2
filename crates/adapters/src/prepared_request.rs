//! A turn on its way out: as the client wrote it, encoded for a provider, ready to be sent.

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use latimer_protocol::turn::{Note, SealKey, StateOwner, TurnRequest};

use crate::exchange;
use crate::limitation::{Features, Limitations};
use crate::repair::CallRules;
use crate::tool_names::ToolNames;

/// A larger body, in bytes, is not kept for going on with an answer that the provider paused.
const MAX_KEPT_BODY: usize = 4 << 20;

/// The headers of a request, in the order in which they are sent.
pub type Headers = Vec<(HeaderName, HeaderValue)>;

/// What an adapter is given to make a request of.
#[derive(Debug, Clone, Copy)]
pub struct TurnInput<'t> {
    /// What is to be answered.
    pub turn: &'t TurnRequest,
    /// The same as the client wrote it, for an upstream that speaks the client's protocol and is wanted to.
    pub client_request: Option<&'t ClientRequest>,
    /// Whose credential will be sent, where opaque state is bound to an account.
    pub account: Option<&'t str>,
    /// What the endpoint is known not to take.
    pub limitations: &'t Limitations,
}

impl<'t> TurnInput<'t> {
    /// A turn that is translated, for no account in particular.
    pub fn new(turn: &'t TurnRequest, limitations: &'t Limitations) -> Self {
        Self { turn, client_request: None, account: None, limitations }
    }
}

/// What an encoder or a rewriter makes of a turn. [`EncodedRequest::prepare`] makes it sendable.
#[derive(Debug, Default)]
pub struct EncodedRequest {
    /// The JSON body.
    pub body: Vec<u8>,
    /// Tool names that were changed for the provider.
    pub names: ToolNames,
    /// Headers that belong to this turn alone, such as the features it asks for.
    pub headers: Headers,
    /// What the request makes use of: only that can be what a provider refuses.
    pub features: Features,
    /// What was changed or left out, for the log.
    pub notes: Vec<Note>,
}

impl EncodedRequest {
    /// The request in sendable form: `model` as the provider knows it, `owner` of the opaque state that comes back.
    pub fn prepare(self, protocol: WireProtocol, model: &str, owner: StateOwner) -> PreparedRequest {
        PreparedRequest {
            protocol,
            is_passthrough: false,
            body: self.body.into(),
            model: model.to_owned(),
            owner,
            names: self.names,
            headers: self.headers,
            features: self.features,
            notes: self.notes,
            call_rules: Arc::default(),
        }
    }
}

/// A turn in a provider's protocol, ready to be sent as often as needed.
#[derive(Debug, Clone)]
pub struct PreparedRequest {
    /// Which protocol the body is of.
    pub protocol: WireProtocol,
    /// The answer goes through as the upstream writes it: the client speaks the same protocol.
    pub is_passthrough: bool,
    /// The JSON body.
    pub body: Bytes,
    /// The model as the provider knows it.
    pub model: String,
    /// Whose opaque state comes back.
    pub owner: StateOwner,
    /// Tool names that were changed for the provider.
    pub names: ToolNames,
    /// Headers that belong to this turn alone, such as a conversation's id.
    pub headers: Headers,
    /// What the request makes use of: only that can be what a provider refused.
    pub features: Features,
    /// What was changed or left out, for the log.
    pub notes: Vec<Note>,
    /// What the calls of its answer are held to where the answer is not repaired.
    pub call_rules: Arc<CallRules>,
}

impl PreparedRequest {
    /// The same request, whose answer goes through as the upstream writes it.
    #[must_use]
    pub fn as_passthrough(self) -> Self {
        Self { is_passthrough: true, ..self }
    }

    /// How many bytes go to the upstream.
    pub fn body_len(&self) -> usize {
        self.body.len()
    }

    /// The body, for going on with an answer that the provider pauses; `None` where it is too large to be kept (4 MB).
    pub(crate) fn kept_body(&self) -> Option<Bytes> {
        (self.body.len() <= MAX_KEPT_BODY).then(|| self.body.clone())
    }

    /// The same turn with two more messages at its end: what the model wrote, and what it is told next. `None` where the body
    /// has no list to which they could be added.
    pub fn with_exchange(&self, assistant: &str, user: &str) -> Option<Self> {
        let body = match self.protocol {
            WireProtocol::Chat | WireProtocol::Messages => {
                exchange::append_messages(&self.body, assistant, user)
            }
            WireProtocol::Responses => exchange::append_items(&self.body, assistant, user),
            WireProtocol::Gemini => exchange::append_contents(&self.body, assistant, user),
            WireProtocol::CommandCode => exchange::append_messages(&self.body, assistant, user),
            // An agent goes on by itself.
            WireProtocol::Agent => None,
        };
        Some(Self { body: body?.into(), ..self.clone() })
    }
}

/// A request as the client wrote it, for an upstream of the same protocol.
#[derive(Debug, Clone)]
pub struct ClientRequest {
    /// The client's protocol.
    pub protocol: WireProtocol,
    /// The JSON body.
    pub body: Bytes,
    /// Headers of the client; the adapter picks those that concern its upstream.
    pub headers: Headers,
    /// Opens the carriers of provider state.
    pub seal: SealKey,
}

/// The upstream protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WireProtocol {
    /// OpenAI Chat Completions.
    Chat,
    /// Anthropic Messages.
    Messages,
    /// OpenAI Responses.
    Responses,
    /// Gemini `generateContent`, bare or in the envelope of Code Assist.
    Gemini,
    /// Command Code `alpha/generate`.
    CommandCode,
    /// A query for one of the agents' programs.
    Agent,
}

impl WireProtocol {
    /// As a document calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Messages => "anthropic",
            Self::Responses => "responses",
            Self::Gemini => "gemini",
            Self::CommandCode => "command_code",
            Self::Agent => "agent",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prepared_request_keeps_what_was_encoded() {
        let encoded = EncodedRequest {
            body: b"{\"messages\":[]}".to_vec(),
            notes: vec![Note::request("x")],
            ..EncodedRequest::default()
        };
        let owner = StateOwner::new("lab", "m");
        let prepared = encoded.prepare(WireProtocol::Chat, "m", owner.clone());
        assert_eq!((prepared.model.as_str(), &prepared.owner, prepared.body_len()), ("m", &owner, 15));
        assert_eq!(prepared.kept_body(), Some(prepared.body.clone()));
        assert!(!prepared.is_passthrough && prepared.clone().as_passthrough().is_passthrough);
        let large = PreparedRequest { body: vec![b' '; MAX_KEPT_BODY + 1].into(), ..prepared };
        assert_eq!(large.kept_body(), None);
    }
}
