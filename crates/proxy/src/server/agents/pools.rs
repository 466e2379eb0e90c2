//! `/v1/agents/pools`: the endpoints that are agents, their processes, and what waits for them.

use hyper::Response;
use serde_json::{Value, json};

use super::{document, unavailable, unknown};
use crate::http::refusal::Refusal;
use crate::http::reply::Reply;
use crate::route::endpoint_set::EndpointRuntime;
use crate::server::proxy::Proxy;

/// The endpoints, and what stands in the tables.
pub(super) async fn list(proxy: &Proxy) -> Result<Response<Reply>, Refusal> {
    let endpoints = proxy.endpoints();
    let pools: Vec<Value> = endpoints.endpoints().iter().filter_map(|runtime| pool(runtime)).collect();
    let kept = proxy
        .agents
        .with_store(|store| Ok((store.open_runs()?, store.unread()?)))
        .await
        .map_err(|error| unavailable(&error))?;
    let (runs, unread) = kept;
    let inboxes: Vec<Value> = unread.iter().map(|(to, count)| json!({ "to": to, "unread": count })).collect();
    Ok(document(
        200,
        &json!({
            "object": "list",
            "data": pools,
            "runs": { "queued": runs.queued, "running": runs.running },
            "profiles": proxy.agents.profiles().len(),
            "inboxes": inboxes,
        }),
    ))
}

fn pool(runtime: &EndpointRuntime) -> Option<Value> {
    let settings = runtime.endpoint.agent.as_deref()?;
    let load = runtime.adapter.agent_load()?;
    let processes: Vec<Value> = load
        .processes
        .iter()
        .map(|process| json!({ "pid": process.pid, "healthy": process.pid.is_some(), "starts": process.starts, "running": process.running }))
        .collect();
    Some(json!({
        "endpoint": runtime.endpoint.name.as_str(),
        "program": settings.program.command(),
        "protocol": runtime.endpoint.protocol.name(),
        "running": load.running,
        "waiting": load.waiting,
        "max_turns": settings.max_turns(),
        "threads": load.threads,
        "processes": processes,
    }))
}

/// Turns that run in the processes end with a failure.
pub(super) async fn restart(proxy: &Proxy, endpoint: &str) -> Result<Response<Reply>, Refusal> {
    let endpoints = proxy.endpoints();
    let is_meant = |runtime: &&std::sync::Arc<EndpointRuntime>| {
        runtime.endpoint.name.as_str() == endpoint && runtime.endpoint.agent.is_some()
    };
    let found = endpoints.endpoints().iter().find(is_meant);
    let runtime = found
        .ok_or_else(|| unknown("endpoint that is an agent", endpoint, "GET /v1/agents/pools lists them"))?;
    runtime.adapter.shutdown().await;
    tracing::info!(event = "agents.restarted", endpoint);
    Ok(document(200, &json!({ "endpoint": endpoint, "restarted": true })))
}
