//! An agent's own model that leads back to an agent: each turn would begin the next, and none would end.
//!
//! Every agent asks for its own model with a header, so that a latimer that is asked so, be it the same or another one, asks no agent again.

use hyper::header::HeaderMap;
use latimer_adapters::agents::AGENT_HEADER;
use latimer_protocol::secret::redact_known;

use crate::inbound::client_protocol::{ClientProtocol, RefusalBody};
use crate::inbound::wire::http_error::HttpError;
use crate::route::endpoint_set::Ranking;
use crate::text;

/// The targets without agents, where an agent asks.
///
/// # Errors
///
/// Nothing else answers for the model.
pub(super) fn refused(
    ranking: Ranking,
    headers: &HeaderMap,
    model: &str,
    protocol: ClientProtocol,
    request: &str,
) -> Result<Ranking, HttpError> {
    if !headers.contains_key(AGENT_HEADER) || ranking.targets.is_empty() {
        return Ok(ranking);
    }
    let ranking = ranking.for_an_agent();
    if !ranking.targets.is_empty() {
        return Ok(ranking);
    }
    let shown = text::shown(&redact_known(model), text::MAX_NAME);
    let message = format!(
        "an agent's own model leads back to an agent: `{shown}` is answered by one here, so that each turn would begin the next; set agent.model of that endpoint to a model of an endpoint that is no agent"
    );
    let (kind, code) = ("invalid_request_error", "agent_loop");
    let body = RefusalBody { status: 400, kind, code, param: Some("model"), message: &message };
    tracing::warn!(event = "agent.loop", request, model = %shown);
    Err(protocol.refusal(&body, request))
}
