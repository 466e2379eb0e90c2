//! Requests that were let in and got no turn: a row for each, so that `latimer logs` and the page show them beside the turns. Who was not
//! let in leaves none: nobody without the token writes to the disk.

use std::sync::Arc;

use hyper::{HeaderMap, Response};
use latimer_protocol::status::{FailureReport, TurnReport, TurnState};

use super::proxy::Proxy;
use crate::clock;
use crate::http::refusal::Refusal;
use crate::http::reply::{RefusedRequest, Reply};
use crate::inbound::wire::http_error::HttpError;
use crate::running::RunningTurn;
use crate::store::usage::UsageRow;
use crate::text;
use crate::turn::{self, TurnContext};

/// Characters of a refusal that are kept.
const MAX_MESSAGE: usize = 2000;

/// Looks at what becomes of one request.
pub(super) struct RefusalWatch<'p> {
    proxy: &'p Proxy,
    running: Arc<RunningTurn>,
    /// The client, as it calls itself.
    client: String,
}

impl<'p> RefusalWatch<'p> {
    pub(super) fn of(proxy: &'p Proxy, context: &TurnContext, headers: &HeaderMap) -> Self {
        Self { proxy, running: Arc::clone(&context.open.running), client: turn::client_name(headers) }
    }

    /// A body that may have been refused.
    pub(super) fn body<T>(&self, body: Result<T, Refusal>) -> Result<T, Refusal> {
        body.inspect_err(|refusal| self.note(refusal.status, &refusal.message))
    }

    /// A response that may be a refusal.
    pub(super) fn response(&self, mut response: Response<Reply>) -> Response<Reply> {
        if let Some(refused) = response.extensions_mut().remove::<RefusedRequest>() {
            self.note(refused.status, &refused.message);
        }
        response
    }

    /// An error over WebSocket, which may be that of a turn: such a one has left its row already.
    pub(super) fn error(&self, error: &HttpError) {
        // The client goes on by sending everything again.
        let is_usual = error.body.contains("previous_response_not_found");
        if !is_usual && self.proxy.turns.traces.report(self.running.id()).is_none() {
            let refused = RefusedRequest::of(error);
            self.note(refused.status, &refused.message);
        }
    }

    fn note(&self, status: u16, message: &str) {
        let failure = FailureReport {
            code: code(status).to_owned(),
            message: text::shown(message, MAX_MESSAGE),
            ..FailureReport::default()
        };
        let report = TurnReport {
            state: TurnState::Over,
            wait: None,
            finish: Some("refused".to_owned()),
            failure: Some(failure.clone()),
            client: self.client.clone(),
            ..self.running.take()
        };
        tracing::info!(event = "turn.refused", turn = %report.id, status, message = %failure.message);
        self.proxy.store.record(UsageRow {
            at: clock::unix_now(),
            turn: report.id.clone(),
            client: report.client.clone(),
            key: report.key.clone(),
            node: report.node.clone(),
            protocol: report.protocol.clone(),
            asked: report.asked.clone(),
            finish: "refused".to_owned(),
            failure: Some(failure.code),
            message: Some(failure.message),
            ms: report.ms,
            ..UsageRow::default()
        });
        self.proxy.turns.traces.push(Arc::new(report));
    }
}

/// What a refusal is called where failures have codes.
fn code(status: u16) -> &'static str {
    match status {
        403 => "forbidden",
        404 => "model_not_found",
        413 => "too_large",
        503 => "shutting_down",
        _ => "bad_request",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::reply::refused_response;
    use crate::inbound::client_protocol::ClientProtocol;
    use crate::server::proxy::tests::proxy;

    #[tokio::test]
    async fn a_request_that_got_no_turn_is_remembered_with_its_words() {
        let proxy = proxy();
        let context = proxy.begin_turn("req_1").expect("serving");
        let watch = RefusalWatch::of(&proxy, &context, &HeaderMap::new());
        let id = context.open.id();
        let error = ClientProtocol::Chat { opencode: false }.no_model("nothing leads to `x`", "req_1");
        let response = watch.response(refused_response(error));
        assert_eq!(response.status(), 404);
        let report = proxy.turns.traces.report(&id).expect("remembered");
        let failure = report.failure.as_ref().expect("why");
        assert_eq!(
            (report.finish.as_deref(), failure.code.as_str(), failure.message.as_str()),
            (Some("refused"), "model_not_found", "nothing leads to `x`")
        );
        let error = ClientProtocol::Chat { opencode: false }.no_model("again", "req_1");
        watch.error(&error);
        assert_eq!(proxy.turns.traces.reports().len(), 1, "a turn that left its row leaves no other");
        let fine = watch.response(crate::http::reply::json(200, "{}"));
        assert_eq!((fine.status().as_u16(), proxy.turns.traces.reports().len()), (200, 1));
    }
}
