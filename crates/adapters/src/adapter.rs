//! The closed set of upstream protocols, and the one match over it.

use latimer_protocol::failure::Failure;
use latimer_protocol::quota::QuotaReading;

use crate::agents::endpoint::AgentLoad;
use crate::by_model::ByModel;
use crate::chat::Chat;
use crate::claude_code::ClaudeCode;
use crate::codebuff::Codebuff;
use crate::codex_app_server::CodexAppServer;
use crate::codex_exec::CodexExec;
use crate::command_code::CommandCode;
use crate::credential::Credential;
use crate::endpoint_client::OpenResult;
use crate::gemini::Gemini;
use crate::messages::Messages;
use crate::model_list::ProviderModel;
use crate::opencode::OpenCode;
use crate::prepared_request::{PreparedRequest, TurnInput};
use crate::quota_place::QuotaPlace;
use crate::responses::Responses;

/// One configured upstream. The set is known at compile time: the compiler lists what a new protocol needs.
pub enum Adapter {
    /// OpenAI Chat Completions.
    Chat(Chat),
    /// Anthropic Messages.
    Messages(Messages),
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
    /// `codex exec`.
    CodexExec(Box<CodexExec>),
    /// `codex app-server`.
    CodexAppServer(Box<CodexAppServer>),
    /// Claude Code.
    ClaudeCode(Box<ClaudeCode>),
    /// OpenCode.
    OpenCode(Box<OpenCode>),
}

impl Adapter {
    /// Translates the turn for this account, once for all attempts, without what the endpoint cannot do. CPU work only.
    pub fn prepare(&self, input: &TurnInput<'_>) -> PreparedRequest {
        match self {
            Self::Chat(chat) => chat.prepare(input),
            Self::Messages(messages) => messages.prepare(input),
            Self::Responses(responses) => responses.prepare(input),
            Self::Gemini(gemini) => gemini.prepare(input),
            Self::CommandCode(command_code) => command_code.prepare(input),
            Self::Codebuff(codebuff) => codebuff.prepare(input),
            Self::ByModel(gateway) => gateway.prepare(input),
            Self::CodexExec(codex) => codex.prepare(input),
            Self::CodexAppServer(codex) => codex.prepare(input),
            Self::ClaudeCode(claude) => claude.prepare(input),
            Self::OpenCode(opencode) => opencode.prepare(input),
        }
    }

    /// Sends the turn with this credential. Returns once the upstream accepted it; its events are still to come.
    /// Dropping the stream, or this future, stops the upstream's work.
    ///
    /// # Errors
    /// Why the upstream did not take the turn, and what that teaches about it.
    pub async fn open(&self, prepared: &PreparedRequest, credential: Option<&Credential>) -> OpenResult {
        match self {
            Self::Chat(chat) => chat.open(prepared, credential).await,
            Self::Messages(messages) => messages.open(prepared, credential).await,
            Self::Responses(responses) => responses.open(prepared, credential).await,
            Self::Gemini(gemini) => gemini.open(prepared, credential).await,
            Self::CommandCode(command_code) => command_code.open(prepared, credential).await,
            Self::Codebuff(codebuff) => codebuff.open(prepared, credential).await,
            Self::ByModel(gateway) => gateway.open(prepared, credential).await,
            Self::CodexExec(codex) => codex.open(prepared).await,
            Self::CodexAppServer(codex) => codex.open(prepared).await,
            Self::ClaudeCode(claude) => claude.open(prepared).await,
            Self::OpenCode(opencode) => opencode.open(prepared).await,
        }
    }

    /// Ends what runs for it beside turns, and waits until it is gone.
    pub async fn shutdown(&self) {
        match self {
            Self::CodexAppServer(codex) => codex.shutdown().await,
            Self::ClaudeCode(claude) => claude.shutdown().await,
            Self::OpenCode(opencode) => opencode.shutdown().await,
            _ => {}
        }
    }

    /// How busy the agent is; `None` for what is no agent.
    pub fn agent_load(&self) -> Option<AgentLoad> {
        match self {
            Self::CodexExec(codex) => Some(codex.report()),
            Self::CodexAppServer(codex) => Some(codex.report()),
            Self::ClaudeCode(claude) => Some(claude.report()),
            Self::OpenCode(opencode) => Some(opencode.report()),
            _ => None,
        }
    }

    /// The models that the provider lists; `None` where its protocol has no list.
    ///
    /// # Errors
    /// The list is refused, does not come, or is none.
    pub async fn models(
        &self,
        credential: Option<&Credential>,
    ) -> Result<Option<Vec<ProviderModel>>, Failure> {
        match self {
            Self::Chat(chat) => chat.models(credential).await.map(Some),
            Self::Messages(messages) => messages.models(credential).await.map(Some),
            Self::Responses(responses) => responses.models(credential).await.map(Some),
            Self::Gemini(gemini) => gemini.models(credential).await,
            Self::ByModel(gateway) => gateway.models(credential).await.map(Some),
            Self::CommandCode(_)
            | Self::Codebuff(_)
            | Self::CodexExec(_)
            | Self::CodexAppServer(_)
            | Self::ClaudeCode(_)
            | Self::OpenCode(_) => Ok(None),
        }
    }

    /// Whether the provider has a place that tells what is left of an account's allowances.
    pub fn tells_quota(&self) -> bool {
        match self {
            Self::Chat(chat) => QuotaPlace::of_provider(&chat.client.provider).is_some(),
            Self::Gemini(gemini) => gemini.tells_quota(),
            _ => false,
        }
    }

    /// Asks that place. Nothing where there is none.
    ///
    /// # Errors
    /// It does not answer, or with something else.
    pub async fn ask_quota(&self, credential: &Credential) -> Result<Vec<QuotaReading>, Failure> {
        match self {
            Self::Chat(chat) => match QuotaPlace::of_provider(&chat.client.provider) {
                Some(place) => place.ask(&chat.client, credential).await,
                None => Ok(Vec::new()),
            },
            Self::Gemini(gemini) if gemini.tells_quota() => gemini.ask_quota(credential).await,
            _ => Ok(Vec::new()),
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
