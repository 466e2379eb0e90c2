//! The closed set of upstream protocols, and the one match over it.

use latimer_protocol::turn::TurnRequest;

use crate::anthropic::Anthropic;
use crate::by_model::ByModel;
use crate::chat::Chat;
use crate::codebuff::Codebuff;
use crate::command_code::CommandCode;
use crate::credential::Credential;
use crate::drive::TurnStream;
use crate::endpoint_client::OpenError;
use crate::gemini::Gemini;
use crate::limitation::Limitations;
use crate::prepared_request::{ClientRequest, PreparedRequest};
use crate::responses::Responses;

/// One configured upstream. The set is known at compile time: the compiler lists what a new protocol needs.
pub enum Adapter {
    /// OpenAI Chat Completions.
    Chat(Chat),
    /// Anthropic Messages.
    Anthropic(Anthropic),
    /// OpenAI Responses.
    Responses(Responses),
    /// Gemini, with a key or a login.
    Gemini(Gemini),
    /// Command Code.
    CommandCode(CommandCode),
    /// Codebuff.
    Codebuff(Codebuff),
    /// A gateway that serves each model by its own protocol.
    ByModel(ByModel),
}

impl Adapter {
    /// Translates the turn for this account, once for all attempts, without what the endpoint cannot do. CPU work only.
    /// `client_request` is the request as the client wrote it, for an upstream that speaks the client's protocol and is wanted to; `account`
    /// is whose credential will be sent, where state is bound to it.
    pub fn prepare(
        &self,
        turn: &TurnRequest,
        client_request: Option<&ClientRequest>,
        account: Option<&str>,
        limitations: &Limitations,
    ) -> PreparedRequest {
        match self {
            Self::Chat(chat) => chat.prepare(turn, client_request, limitations),
            Self::Anthropic(anthropic) => anthropic.prepare(turn, client_request, limitations),
            Self::Responses(responses) => responses.prepare(turn, client_request, account, limitations),
            Self::Gemini(gemini) => gemini.prepare(turn, limitations),
            Self::CommandCode(command_code) => command_code.prepare(turn, limitations),
            Self::Codebuff(codebuff) => codebuff.prepare(turn, limitations),
            Self::ByModel(gateway) => gateway.prepare(turn, client_request, account, limitations),
        }
    }

    /// Sends the turn with this credential. Returns once the upstream accepted it; its events are still to come.
    /// Dropping the stream, or this future, stops the upstream's work.
    ///
    /// # Errors
    /// Why the upstream did not take the turn, and what that teaches about it.
    pub async fn open(
        &self,
        prepared: &PreparedRequest,
        credential: Option<&Credential>,
    ) -> Result<TurnStream, OpenError> {
        match self {
            Self::Chat(chat) => chat.open(prepared, credential).await,
            Self::Anthropic(anthropic) => anthropic.open(prepared, credential).await,
            Self::Responses(responses) => responses.open(prepared, credential).await,
            Self::Gemini(gemini) => gemini.open(prepared, credential).await,
            Self::CommandCode(command_code) => command_code.open(prepared, credential).await,
            Self::Codebuff(codebuff) => codebuff.open(prepared, credential).await,
            Self::ByModel(gateway) => gateway.open(prepared, credential).await,
        }
    }

    /// The project of an account, where a request has found it: worth keeping, for it is looked up at a price.
    pub fn project(&self, account: &str) -> Option<String> {
        match self {
            Self::Gemini(gemini) => gemini.project_of(account),
            _ => None,
        }
    }
}
