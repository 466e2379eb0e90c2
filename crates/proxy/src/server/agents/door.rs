//! Turns of runs, through the proxy's own Responses door: routing, repair, usage, logs and limits are those of every turn.

use std::sync::Arc;

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};

use crate::agents::door::{Began, DoorState, RunAnswer, RunDoor};
use crate::agents::names::RunId;
use crate::inbound::client_protocol::{ClientProtocol, ResponsesClient};
use crate::lifecycle::phase::Phase;
use crate::server::proxy::Proxy;
use crate::turn;

/// Names the conversation, so that a route keeps its target.
const SESSION: HeaderName = HeaderName::from_static("session-id");

/// Turns that this proxy begins for its own runs.
pub(in crate::server) struct ProxyDoor<'p>(pub(in crate::server) &'p Arc<Proxy>);

impl RunDoor for ProxyDoor<'_> {
    fn ask<'d>(&'d self, run: &'d RunId, body: Bytes, began: Began<'d>) -> RunAnswer<'d> {
        Box::pin(async move {
            let request = self.0.request_name();
            let context = match self.0.begin_turn(&request) {
                Ok(context) => context,
                Err(refusal) => {
                    let protocol = ClientProtocol::Responses { client: ResponsesClient::Other };
                    return refusal.into_response(protocol, &request);
                }
            };
            began(Arc::clone(&context.open.running));
            tracing::debug!(event = "agents.turn", run = %run, request, turn = context.open.id());
            turn::responses(context, &headers(run), body).await
        })
    }

    fn state(&self) -> DoorState {
        match self.0.phase() {
            Phase::Serving => DoorState::Open,
            phase if phase.accepts_turns() => DoorState::Leaving,
            _ => DoorState::Stopping,
        }
    }
}

fn headers(run: &RunId) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static("latimer-runs"));
    if let Ok(run) = HeaderValue::try_from(run.as_str()) {
        headers.insert(SESSION, run);
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::proxy::tests::proxy;

    #[tokio::test]
    async fn the_door_is_as_open_as_the_proxy() {
        let proxy = proxy();
        let door = ProxyDoor(&proxy);
        for (phase, state) in [
            (Phase::Serving, DoorState::Open),
            (Phase::Leaving, DoorState::Leaving),
            (Phase::HandingOver, DoorState::Leaving),
            (Phase::Draining, DoorState::Stopping),
            (Phase::ForceStop, DoorState::Stopping),
        ] {
            proxy.enter(phase);
            assert_eq!(door.state(), state, "{phase:?}");
        }
        let answer = door.ask(&RunId::new(1), Bytes::new(), &|_| panic!("no turn begins")).await;
        assert_eq!(answer.status(), 503);
    }

    #[test]
    fn a_run_names_its_conversation() {
        let headers = headers(&RunId::new(7));
        assert_eq!(headers[SESSION], "run_0000000000000007");
        assert_eq!(headers[USER_AGENT], "latimer-runs");
    }
}
