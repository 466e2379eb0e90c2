//! The protocols clients speak, and how each is told no. Pure.

use latimer_protocol::failure::Failure;

use super::client_behaviour::{ANY_CLIENT, CLAUDE_CODE, CODEX, ClientBehaviour, GEMINI_CLI};
use super::wire::bad_field::BadField;
use super::wire::http_error::HttpError;
use super::wire::openai_error::{self, error_object};
use super::{chat, gemini, messages, responses};

/// A client's protocol, with what is said differently to one of its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientProtocol {
    /// The Responses API.
    Responses {
        /// The client is Codex.
        codex: bool,
    },
    /// Chat Completions.
    Chat,
    /// Anthropic's Messages.
    Messages,
    /// Google's Gemini API.
    Gemini {
        /// The client is the Gemini CLI.
        cli: bool,
    },
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
            Self::Chat => "chat",
            Self::Messages => "anthropic",
            Self::Gemini { .. } => "gemini",
        }
    }

    /// What this client needs.
    pub fn behaviour(self) -> &'static ClientBehaviour {
        match self {
            Self::Responses { codex: true } => &CODEX,
            Self::Gemini { cli: true } => &GEMINI_CLI,
            Self::Messages => &CLAUDE_CODE,
            Self::Responses { codex: false } | Self::Chat | Self::Gemini { cli: false } => &ANY_CLIENT,
        }
    }

    /// A failure before the answer began. `request` is the name of the request in the log.
    pub fn failure(self, failure: &Failure, request: &str) -> HttpError {
        let has_own_errors = self.behaviour().has_own_error_table;
        match self {
            Self::Responses { .. } => responses::error::failure_error(failure, has_own_errors),
            Self::Chat => chat::error::failure_error(failure),
            Self::Messages => messages::error::failure_error(failure, request),
            Self::Gemini { .. } => gemini::error::failure_error(failure, has_own_errors),
        }
    }

    /// A request that cannot be read. `request` is the name of the request in the log.
    pub fn bad_request(self, error: &BadField, request: &str) -> HttpError {
        match self {
            Self::Responses { .. } | Self::Chat => openai_error::bad_request(error),
            Self::Messages => messages::error::bad_request(error, request),
            Self::Gemini { .. } => gemini::error::bad_request(error),
        }
    }

    /// A request that is turned away.
    pub fn refusal(self, refusal_body: &RefusalBody<'_>, request: &str) -> HttpError {
        match self {
            Self::Responses { .. } | Self::Chat => HttpError {
                status: refusal_body.status,
                retry_after: None,
                body: error_object(
                    refusal_body.message,
                    refusal_body.kind,
                    refusal_body.param,
                    refusal_body.code,
                ),
            },
            Self::Messages => {
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

    const PROTOCOLS: [ClientProtocol; 6] = [
        ClientProtocol::Responses { codex: true },
        ClientProtocol::Responses { codex: false },
        ClientProtocol::Chat,
        ClientProtocol::Messages,
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
                    || protocol == ClientProtocol::Responses { codex: true } && error.status == 400
            );
        }
    }

    #[test]
    fn every_known_client_has_its_row() {
        let names = PROTOCOLS.map(|client| client.behaviour().name);
        assert_eq!(names, ["Codex", "any client", "any client", "Claude Code", "Gemini CLI", "any client"]);
    }
}
