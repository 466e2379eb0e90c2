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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hyper::header::HeaderValue;

    use super::*;
    use crate::clock;
    use crate::config::parse::config_of;
    use crate::route::endpoint_set::EndpointSet;
    use crate::route::memory::Memory;

    const FILE: &str = "[[endpoint]]\nname = \"codex\"\nprotocol = \"codex-exec\"\nmodels = [\"x\"]\n\
        [[endpoint]]\nname = \"lab\"\nbase_url = \"https://a.test\"\nmodels = [\"m\"]\n\
        [[route]]\nname = \"chain\"\ntargets = [\"codex/x\", \"lab/m\"]\n";

    #[test]
    fn an_agent_that_asks_is_answered_by_what_is_no_agent_or_not_at_all() {
        let set = EndpointSet::new(Arc::new(config_of(FILE)), Arc::new(Memory::new(None)), None, None);
        let of_agent = HeaderMap::from_iter([(
            hyper::header::HeaderName::from_static(AGENT_HEADER),
            HeaderValue::from_static("1"),
        )]);
        let protocol = ClientProtocol::Chat { opencode: false };
        let asked = |model: &str, headers: &HeaderMap| {
            let ranking = set.ranking(model, None, clock::now()).expect("a target");
            refused(ranking, headers, model, protocol, "req_1").map(|ranking| {
                ranking.targets.iter().map(|target| target.id.clone()).collect::<Vec<_>>().join(" ")
            })
        };
        assert_eq!(asked("chain", &HeaderMap::new()).ok().as_deref(), Some("codex/x lab/m"));
        assert_eq!(asked("chain", &of_agent).ok().as_deref(), Some("lab/m"));
        assert_eq!(asked("m", &of_agent).ok().as_deref(), Some("lab/m"));
        let error = asked("x", &of_agent).expect_err("a loop");
        assert!(error.status == 400 && error.body.contains("agent.model"), "{}", error.body);
    }
}
