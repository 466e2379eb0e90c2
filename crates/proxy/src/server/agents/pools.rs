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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse::config_of;
    use crate::route::endpoint_set::EndpointSet;
    use crate::route::memory::Memory;
    use crate::server::agents::tests::answered;
    use crate::server::proxy::tests::proxy;

    #[tokio::test]
    async fn an_agent_tells_how_busy_it_is_and_another_endpoint_is_none() {
        let config = config_of(
            "[[endpoint]]\nname = \"codex\"\nprotocol = \"codex-app-server\"\nmodels = [\"m\"]\n[endpoint.agent]\npool = 2\n[[endpoint]]\nname = \"lab\"\nbase_url = \"https://lab.test\"\nmodels = [\"n\"]\n",
        );
        let memory = std::sync::Arc::new(Memory::new(None));
        let set = EndpointSet::new(std::sync::Arc::new(config), memory, None, None);
        let pools: Vec<Value> = set.endpoints().iter().filter_map(|runtime| pool(runtime)).collect();
        assert_eq!(pools.len(), 1);
        let processes = pools[0]["processes"].as_array().expect("a list");
        assert_eq!(
            (&pools[0]["running"], &pools[0]["max_turns"], processes.len()),
            (&json!(0), &json!(8), 2)
        );
        assert!(processes[0]["pid"].is_null(), "nothing was started");
    }

    #[tokio::test]
    async fn only_an_agent_can_be_restarted() {
        assert_eq!(answered(restart(&proxy(), "lab").await).await, (404, json!("not_found")));
    }
}
