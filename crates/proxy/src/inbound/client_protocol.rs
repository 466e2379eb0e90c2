//! The protocols clients speak, and how each is told no. Pure.

use latimer_protocol::failure::{Again, Failure};

use super::client_behaviour::{ANY_CLIENT, CLAUDE_CODE, CODEX, ClientBehaviour, GEMINI_CLI, OPENCODE};
use super::wire::bad_field::BadField;
use super::wire::http_error::HttpError;
use super::wire::openai_error::{self, error_object};
use super::{chat, gemini, messages, responses};

/// A client's protocol, with what is said differently to one of its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientProtocol {
    /// The Responses API.
    Responses {
        /// Who speaks it.
        client: ResponsesClient,
    },
    /// Chat Completions.
    Chat {
        /// The client is opencode.
        opencode: bool,
    },
    /// Anthropic's Messages.
    Messages {
        /// The client is Claude Code, or another agent that asks again by itself.
        agent: bool,
    },
    /// Google's Gemini API.
    Gemini {
        /// The client is the Gemini CLI.
        cli: bool,
    },
}

/// A client of the Responses API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponsesClient {
    /// OpenAI's Codex.
    Codex,
    /// opencode, which repeats failures as it does in every protocol.
    Opencode,
    /// Any other.
    Other,
}

/// A request that is turned away before there is a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusalBody<'r> {
    /// The HTTP status.
    pub status: u16,
    /// `error.type` of OpenAI's protocols.
    pub kind: &'r str,
    /// `error.code` of OpenAI's protocols.
    pub code: &'r str,
    /// The field, if it is one field's fault.
    pub param: Option<&'r str>,
    /// What happened and what to do next.
    pub message: &'r str,
}

impl ClientProtocol {
    /// As a document calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Responses { .. } => "responses",
            Self::Chat { .. } => "chat",
            Self::Messages { .. } => "anthropic",
            Self::Gemini { .. } => "gemini",
        }
    }

    /// What this client needs.
    pub fn behaviour(self) -> &'static ClientBehaviour {
        match self {
            Self::Responses { client: ResponsesClient::Codex } => &CODEX,
            Self::Gemini { cli: true } => &GEMINI_CLI,
            Self::Messages { agent: true } => &CLAUDE_CODE,
            Self::Chat { opencode: true } | Self::Responses { client: ResponsesClient::Opencode } => {
                &OPENCODE
            }
            Self::Responses { client: ResponsesClient::Other }
            | Self::Chat { opencode: false }
            | Self::Messages { agent: false }
            | Self::Gemini { cli: false } => &ANY_CLIENT,
        }
    }

    /// A failure before the answer began. `request` is the name of the request in the log.
    pub fn failure(self, failure: &Failure, request: &str) -> HttpError {
        let client = self.behaviour();
        match self {
            Self::Responses { .. } => responses::error::failure_error(failure, client),
            Self::Chat { .. } => chat::error::failure_error(failure, client),
            Self::Messages { .. } => messages::error::failure_error(failure, request, client),
            Self::Gemini { .. } => gemini::error::failure_error(failure, client.has_own_error_table),
        }
    }

    /// A request that cannot be read. `request` is the name of the request in the log.
    pub fn bad_request(self, error: &BadField, request: &str) -> HttpError {
        match self {
            Self::Responses { .. } | Self::Chat { .. } => openai_error::bad_request(error),
            Self::Messages { .. } => messages::error::bad_request(error, request),
            Self::Gemini { .. } => gemini::error::bad_request(error),
        }
    }

    /// A request that is turned away.
    pub fn refusal(self, refusal_body: &RefusalBody<'_>, request: &str) -> HttpError {
        match self {
            Self::Responses { .. } | Self::Chat { .. } => HttpError {
                status: refusal_body.status,
                retry_after: None,
                again: Again::default(),
                body: error_object(
                    refusal_body.message,
                    refusal_body.kind,
                    refusal_body.param,
                    refusal_body.code,
                ),
            },
            Self::Messages { .. } => {
                messages::error::server_error(refusal_body.status, refusal_body.message, request)
            }
            Self::Gemini { .. } => gemini::error::server_error(refusal_body.status, refusal_body.message),
        }
    }

    /// A model that nothing leads to.
    pub fn no_model(self, message: &str, request: &str) -> HttpError {
        let status = if self.behaviour().repeats_not_found { 400 } else { 404 };
        let kind = "invalid_request_error";
        self.refusal(
            &RefusalBody { status, kind, code: "model_not_found", param: Some("model"), message },
            request,
        )
    }
}

#[cfg(test)]
mod tests {
    use latimer_protocol::failure::FailureKind;
    use serde_json::Value;

    use super::*;

    const PROTOCOLS: [ClientProtocol; 9] = [
        ClientProtocol::Responses { client: ResponsesClient::Opencode },
        ClientProtocol::Responses { client: ResponsesClient::Codex },
        ClientProtocol::Responses { client: ResponsesClient::Other },
        ClientProtocol::Chat { opencode: true },
        ClientProtocol::Chat { opencode: false },
        ClientProtocol::Messages { agent: true },
        ClientProtocol::Messages { agent: false },
        ClientProtocol::Gemini { cli: true },
        ClientProtocol::Gemini { cli: false },
    ];

    #[test]
    fn every_client_finds_the_message_where_it_looks_for_it() {
        for protocol in PROTOCOLS {
            for status in [400, 401, 403, 404, 405, 408, 413, 415, 429, 500, 503] {
                let refusal_body =
                    RefusalBody { status, kind: "k", code: "c", param: None, message: "words" };
                let error = protocol.refusal(&refusal_body, "req_1");
                let body: Value = serde_json::from_str(&error.body).expect("JSON");
                assert_eq!(
                    (error.status, &body["error"]["message"]),
                    (status, &Value::from("words")),
                    "{protocol:?}"
                );
            }
            let error = protocol.failure(&Failure::new(FailureKind::Unauthorized, "lab: words"), "req_1");
            assert_ne!(error.status, 401, "a bad key of a provider is not the client's: {protocol:?}");
            let error = protocol.no_model("no such model", "req_1");
            assert!(
                error.status == 404
                    || protocol == ClientProtocol::Responses { client: ResponsesClient::Codex }
                        && error.status == 400
            );
        }
    }

    #[test]
    fn every_known_client_has_its_row() {
        let names = PROTOCOLS.map(|client| client.behaviour().name);
        let any = "any client";
        assert_eq!(names, ["opencode", "Codex", any, "opencode", any, "Claude Code", any, "Gemini CLI", any]);
    }

    #[test]
    fn no_agent_repeats_what_was_tried_in_vain() {
        for protocol in PROTOCOLS.into_iter().filter(|client| client.behaviour().repeats_failures) {
            for kind in FailureKind::all() {
                let spent = Failure { again: Again::ByNobody, ..Failure::new(kind, "lab: words") };
                let error = protocol.failure(&spent, "req_1");
                let is_allowance = matches!(kind, FailureKind::WindowExhausted | FailureKind::QuotaExhausted);
                let ends = !matches!(error.status, 408 | 409 | 429 | 500..)
                    || matches!(protocol, ClientProtocol::Gemini { .. }) && is_allowance;
                assert!(ends && error.again == Again::ByNobody, "{protocol:?} {kind:?}: {}", error.status);
            }
        }
    }
}
