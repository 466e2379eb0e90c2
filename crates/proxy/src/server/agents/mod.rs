//! `/v1/agents`: profiles, runs, messages, schedules, and the processes of agents. For the owner only, by the rules of `/v1/admin`.

mod door;
mod event_stream;
pub(super) mod listed;
mod messages;
mod pools;
mod profiles;
mod runs;
mod schedules;

use bytes::Bytes;
use hyper::Response;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub(super) use self::door::ProxyDoor;
use super::action::AgentsRequest;
use super::api::query::Query;
use super::proxy::Proxy;
use crate::agents::store::AgentStoreError;
use crate::http::refusal::Refusal;
use crate::http::reply::{Reply, json as reply};
use crate::text;

/// The largest body, in bytes: the longest input, escaped.
pub(super) const BODY_LIMIT: usize = 16 << 20;
/// Rows of a page where nothing is said, and at most.
const PAGE: usize = 50;
const MAX_PAGE: usize = 500;

/// Carries out what the owner asks at this port.
///
/// # Errors
/// It is not understood (400), not there (404), over (409), too much (413, 429), or nothing can be kept (503).
pub(super) async fn carry_out(
    proxy: &Proxy,
    request: AgentsRequest<'_>,
    query: &str,
    body: &Bytes,
    port: u16,
) -> Result<Response<Reply>, Refusal> {
    let query = Query::read(query);
    let agents = &proxy.agents;
    match request {
        AgentsRequest::Profiles => profiles::list(agents).await,
        AgentsRequest::AddProfile => profiles::add(proxy, body, port).await,
        AgentsRequest::Profile(id) => profiles::show(agents, id).await,
        AgentsRequest::DeleteProfile(id) => profiles::delete(agents, id).await,
        AgentsRequest::Runs => runs::list(agents, &query).await,
        AgentsRequest::StartRun => runs::start(agents, body).await,
        AgentsRequest::Run(id) => runs::show(agents, id, &query).await,
        AgentsRequest::DeleteRun(id) => runs::delete(agents, id).await,
        AgentsRequest::RunEvents(id) => event_stream::open(agents, id).await,
        AgentsRequest::PushInput(id) => runs::push(agents, id, body).await,
        AgentsRequest::CancelRun(id) => runs::cancel(agents, id).await,
        AgentsRequest::Messages => messages::list(agents, &query).await,
        AgentsRequest::SendMessage => messages::send(agents, body).await,
        AgentsRequest::TakeMessages => messages::take(agents, body).await,
        AgentsRequest::ReadMessage(id) => messages::mark_read(agents, id).await,
        AgentsRequest::Schedules => schedules::list(&proxy.schedules, &proxy.clockwork, &query).await,
        AgentsRequest::AddSchedule => schedules::add(&proxy.schedules, body).await,
        AgentsRequest::Schedule(id) => schedules::show(&proxy.schedules, id).await,
        AgentsRequest::SwitchSchedule(id) => schedules::switch(&proxy.schedules, id, body).await,
        AgentsRequest::DeleteSchedule(id) => schedules::delete(&proxy.schedules, id).await,
        AgentsRequest::RunSchedule(id) => schedules::run(&proxy.schedules, id).await,
        AgentsRequest::Pools => pools::list(proxy).await,
        AgentsRequest::RestartPool(endpoint) => pools::restart(proxy, endpoint).await,
    }
}

/// What the body says.
fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| bad("invalid_value", format!("the body cannot be read: {error}")))
}

fn bad(code: &'static str, message: impl Into<latimer_protocol::secret::CleanText>) -> Refusal {
    Refusal::invalid(400, code).message(message)
}

/// There is none of this name.
fn unknown(what: &str, id: &str, remedy: &str) -> Refusal {
    let shown = text::shown(id, text::MAX_NAME);
    Refusal::invalid(404, "not_found").message(format!("there is no {what} `{shown}`; {remedy}"))
}

/// Nothing can be kept or read.
fn unavailable(error: &AgentStoreError) -> Refusal {
    Refusal::new(503, "server_error", "agents_unavailable").message(error.to_string())
}

/// A page: `limit` of the query, within bounds.
fn page(query: &Query<'_>) -> Result<usize, Refusal> {
    let limit: Option<usize> = query.number("limit")?;
    Ok(limit.unwrap_or(PAGE).clamp(1, MAX_PAGE))
}

/// A list, from one row more than were wanted.
fn list<T: serde::Serialize>(mut rows: Vec<T>, limit: usize) -> Response<Reply> {
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    reply(200, json!({ "object": "list", "data": rows, "has_more": has_more }).to_string())
}

fn document(status: u16, value: &Value) -> Response<Reply> {
    reply(status, value.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http_body_util::BodyExt as _;

    use super::*;
    use crate::agents::profile::AgentProfile;
    use crate::agents::run::{NewRun, RunMode};
    use crate::agents::runs::Runs;
    use crate::server::proxy::tests::proxy;

    /// What is kept in a directory of its own, with a profile `lab`. Nobody works on runs.
    pub(super) async fn agents() -> (tempfile::TempDir, Arc<Runs>) {
        let dir = tempfile::tempdir().expect("a directory");
        let agents = Runs::new(Some(dir.path()));
        let profile: AgentProfile = serde_json::from_str(r#"{"id":"lab","model":"m"}"#).expect("a profile");
        assert!(agents.put_profile(profile).await.expect("kept").1);
        (dir, agents)
    }

    /// A run of it that waits.
    pub(super) async fn queued(agents: &Arc<Runs>) -> String {
        let new = NewRun::new("lab", "a question", RunMode::Detached);
        agents.start(new).await.expect("started").to_string()
    }

    /// The status and the document of an answer; a refusal is its status and its code.
    pub(super) async fn answered(answer: Result<Response<Reply>, Refusal>) -> (u16, Value) {
        match answer {
            Ok(answer) => {
                let status = answer.status().as_u16();
                let bytes = answer.into_body().collect().await.expect("a body").to_bytes();
                (status, serde_json::from_slice(&bytes).unwrap_or_default())
            }
            Err(refusal) => (refusal.status, json!(refusal.code)),
        }
    }

    #[tokio::test]
    async fn without_a_state_directory_it_is_off_and_says_so() {
        let proxy = proxy();
        for request in [
            AgentsRequest::Profiles,
            AgentsRequest::Profile("lab"),
            AgentsRequest::Runs,
            AgentsRequest::Messages,
            AgentsRequest::Pools,
        ] {
            let answer = carry_out(&proxy, request, "", &Bytes::new(), 1).await;
            assert_eq!(answered(answer).await, (503, json!("agents_unavailable")), "{request:?}");
        }
    }

    #[tokio::test]
    async fn a_body_and_a_page_that_cannot_be_read_are_refused() {
        let proxy = proxy();
        for request in [AgentsRequest::AddProfile, AgentsRequest::StartRun, AgentsRequest::TakeMessages] {
            let answer = carry_out(&proxy, request, "", &Bytes::from_static(b"{"), 1).await;
            assert_eq!(answered(answer).await, (400, json!("invalid_value")), "{request:?}");
        }
        let answer = carry_out(&proxy, AgentsRequest::Runs, "limit=x", &Bytes::new(), 1).await;
        assert_eq!(answered(answer).await.0, 400);
        let (_, three) = answered(Ok(list(vec![1, 2, 3], 2))).await;
        assert_eq!(three, json!({ "object": "list", "data": [1, 2], "has_more": true }));
    }
}
