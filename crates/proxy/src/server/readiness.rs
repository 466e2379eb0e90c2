//! `GET /healthz` and `GET /readyz`: what a load balancer or Kubernetes asks, without a token and by any name.

use hyper::Response;
use latimer_protocol::status::EndpointState;
use serde_json::json;

use super::proxy::Proxy;
use super::router::Action;
use crate::clock::{self, Clocks};
use crate::http::refusal::Refusal;
use crate::http::reply::{Reply, json as reply};
use crate::lifecycle::phase::Phase;

/// Shows whether the process lives, or whether requests may be sent to it.
///
/// # Errors
///
/// The action is neither.
pub(super) fn show(proxy: &Proxy, action: &Action<'_>) -> Result<Response<Reply>, Refusal> {
    match action {
        Action::Alive => Ok(reply(200, "{\"status\":\"alive\"}")),
        Action::Ready => Ok(match not_ready(proxy) {
            None => reply(200, "{\"status\":\"ready\"}"),
            Some(why) => reply(503, json!({ "status": "not_ready", "because": why }).to_string()),
        }),
        Action::Options(_) => Ok(reply(204, "")),
        _ => Err(Refusal::invalid(404, "not_found").message("there is /healthz and /readyz")),
    }
}

/// Why no requests should be sent here; `None` where they may. Tells nothing that a stranger may not know.
pub(super) fn not_ready(proxy: &Proxy) -> Option<&'static str> {
    if proxy.phase() != Phase::Serving {
        return Some("draining");
    }
    if proxy.store.nodes().is_some_and(|nodes| !nodes.was_reached()) {
        return Some("the database of the nodes was not reached yet");
    }
    let states = proxy.endpoints.get(clock::now()).states(Clocks::now());
    if states.is_empty() {
        return Some("no endpoint is configured");
    }
    states.iter().all(is_resting).then_some("every endpoint rests after failures or limits")
}

/// Whether no turn goes to an endpoint while another one answers.
pub(super) fn is_resting(state: &EndpointState) -> bool {
    state.rests_until.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::proxy::tests::proxy;

    #[tokio::test]
    async fn alive_is_not_ready() {
        let proxy = proxy();
        let status = |action| show(&proxy, &action).expect("shown").status().as_u16();
        assert_eq!(status(Action::Alive), 200);
        assert_eq!((status(Action::Ready), not_ready(&proxy)), (503, Some("no endpoint is configured")));
        proxy.enter(Phase::Leaving);
        assert_eq!((status(Action::Alive), not_ready(&proxy)), (200, Some("draining")));
    }
}
