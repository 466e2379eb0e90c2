//! Why a request gets no turn, said in the client's own protocol.

use hyper::Response;
use hyper::header::{ALLOW, HeaderName, HeaderValue};
use latimer_protocol::secret::CleanText;

use super::reply::{Reply, error_response};
use crate::inbound::client_protocol::{ClientProtocol, RefusalBody};
use crate::inbound::wire::http_error::HttpError;

/// A request that is refused before a turn begins.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// `error.type` of OpenAI's protocols.
    pub kind: &'static str,
    /// `error.code` of OpenAI's protocols.
    pub code: &'static str,
    /// `error.param`: the field, if it is one field's fault.
    pub param: Option<String>,
    /// `error.message`: what happened and what to do next.
    pub message: CleanText,
    /// The header `Allow`: the methods that a path takes, for 405.
    pub allow: Option<Box<str>>,
    /// The header `Retry-After`, in seconds, for 503 and for limits.
    pub retry_after: Option<u64>,
    /// Whether waiting is in vain: the vendors' own SDKs are told by `x-should-retry: false`, whatever the status.
    pub is_final: bool,
}

impl Refusal {
    /// A refusal that has no message yet.
    pub fn new(status: u16, kind: &'static str, code: &'static str) -> Self {
        Self {
            status,
            kind,
            code,
            param: None,
            message: "".into(),
            allow: None,
            retry_after: None,
            is_final: false,
        }
    }

    /// A refusal of type `invalid_request_error`.
    pub fn invalid(status: u16, code: &'static str) -> Self {
        Self::new(status, "invalid_request_error", code)
    }

    /// Sets the message.
    #[must_use]
    pub fn message(mut self, message: impl Into<CleanText>) -> Self {
        self.message = message.into();
        self
    }

    /// The response, in the client's protocol. `request` is the name of the request in the log.
    pub fn into_response(mut self, protocol: ClientProtocol, request: &str) -> Response<Reply> {
        let allow = self.allow.take().map(|allow| HeaderValue::from_str(&allow));
        let is_final = self.is_final;
        let mut response = error_response(self.into_error(protocol, request));
        if is_final {
            response
                .headers_mut()
                .insert(HeaderName::from_static("x-should-retry"), HeaderValue::from_static("false"));
        }
        if let Some(Ok(allow)) = allow {
            response.headers_mut().insert(ALLOW, allow);
        }
        response
    }

    /// The same as an error, for where there is no HTTP response to send.
    pub fn into_error(self, protocol: ClientProtocol, request: &str) -> HttpError {
        let body = RefusalBody {
            status: self.status,
            kind: self.kind,
            code: self.code,
            param: self.param.as_deref(),
            message: &self.message,
        };
        HttpError { retry_after: self.retry_after, ..protocol.refusal(&body, request) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbound::client_protocol::ResponsesClient;
    use hyper::header::RETRY_AFTER;

    #[test]
    fn headers_of_a_refusal_reach_the_response() {
        let mut refusal = Refusal::invalid(405, "method_not_allowed").message("GET it");
        refusal.allow = Some("GET, HEAD".into());
        refusal.retry_after = Some(3);
        let response = refusal.into_response(ClientProtocol::Chat { opencode: false }, "req_1");
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()[ALLOW], "GET, HEAD");
        assert_eq!(response.headers()[RETRY_AFTER], "3");
    }

    #[test]
    fn a_refusal_has_the_shape_of_the_protocol() {
        let body = |protocol| {
            let refusal = Refusal::new(401, "authentication_error", "invalid_api_key").message("no token");
            let error = refusal.into_error(protocol, "req_1");
            assert_eq!(error.status, 401);
            serde_json::from_str::<serde_json::Value>(&error.body).expect("JSON")
        };
        let responses = body(ClientProtocol::Responses { client: ResponsesClient::Other });
        assert_eq!(responses["error"]["code"], "invalid_api_key");
        assert_eq!(body(ClientProtocol::Messages { agent: false })["type"], "error");
        assert_eq!(body(ClientProtocol::Gemini { cli: false })["error"]["code"], 401);
    }
}
