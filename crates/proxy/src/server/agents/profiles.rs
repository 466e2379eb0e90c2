//! `/v1/agents/profiles`.

use std::sync::Arc;

use bytes::Bytes;
use hyper::Response;
use serde_json::json;

use super::{bad, document, read, unavailable, unknown};
use crate::agents::profile::{AgentProfile, MODEL_START};
use crate::agents::runs::Runs;
use crate::clock;
use crate::config::agent_loop::leads_back;
use crate::http::refusal::Refusal;
use crate::http::reply::{Reply, json as reply};
use crate::server::proxy::Proxy;

const REMEDY: &str = "GET /v1/agents/profiles lists them";

pub(super) async fn list(agents: &Arc<Runs>) -> Result<Response<Reply>, Refusal> {
    agents.with_store(|_| Ok(())).await.map_err(|error| unavailable(&error))?;
    let profiles = agents.profiles();
    let data: Vec<&AgentProfile> = profiles.iter().map(|profile| &**profile).collect();
    Ok(document(200, &json!({ "object": "list", "data": data, "has_more": false })))
}

/// 201 for a new one, 200 for one that takes the place of an older one.
pub(super) async fn add(proxy: &Proxy, body: &Bytes, port: u16) -> Result<Response<Reply>, Refusal> {
    let profile: AgentProfile = read(body)?;
    profile.check().map_err(|error| bad("invalid_value", error.to_string()))?;
    let endpoints = proxy.endpoints();
    let name = format!("{MODEL_START}{}", profile.id);
    if endpoints.config.named_route(&name).is_some() {
        let words =
            format!("a route of the configuration is called `{name}` already; give the profile another id");
        return Err(bad("invalid_value", words));
    }
    let ranked = endpoints.foresee(&profile.model, clock::now());
    ranked.map_err(|error| bad("model_not_found", format!("`model`: {error}")))?;
    let agents = &proxy.agents;
    let leads_to = |id: &str| {
        let known = || agents.profile(id).map(|known| known.model.clone());
        if id == profile.id { Some(profile.model.clone()) } else { known() }
    };
    if let Some(words) = leads_back(&endpoints.config, &profile.model, &leads_to, port) {
        return Err(bad("invalid_value", format!("`model`: {words}")));
    }
    let (profile, is_new) = agents.put_profile(profile).await.map_err(|error| unavailable(&error))?;
    Ok(document(if is_new { 201 } else { 200 }, &json!(*profile)))
}

pub(super) async fn show(agents: &Arc<Runs>, id: &str) -> Result<Response<Reply>, Refusal> {
    agents.with_store(|_| Ok(())).await.map_err(|error| unavailable(&error))?;
    let profile = agents.profile(id).ok_or_else(|| unknown("profile", id, REMEDY))?;
    Ok(document(200, &json!(*profile)))
}

pub(super) async fn delete(agents: &Arc<Runs>, id: &str) -> Result<Response<Reply>, Refusal> {
    if agents.delete_profile(id).await.map_err(|error| unavailable(&error))? {
        return Ok(reply(200, json!({ "id": id, "deleted": true }).to_string()));
    }
    Err(unknown("profile", id, REMEDY))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::agents::tests::{agents, answered};
    use crate::server::proxy::tests::proxy;

    #[tokio::test]
    async fn profiles_are_shown_listed_and_forgotten() {
        let (_dir, agents) = agents().await;
        let (status, listed) = answered(list(&agents).await).await;
        assert_eq!((status, &listed["data"][0]["id"]), (200, &json!("lab")), "{listed}");
        assert_eq!(answered(show(&agents, "lab").await).await.1["model"], "m");
        assert_eq!(answered(delete(&agents, "lab").await).await.1["deleted"], true);
        assert_eq!(answered(show(&agents, "lab").await).await, (404, json!("not_found")));
        assert_eq!(answered(delete(&agents, "lab").await).await.0, 404);
    }

    #[tokio::test]
    async fn a_profile_whose_model_nobody_answers_for_is_refused() {
        let body = Bytes::from_static(br#"{"id":"lab","model":"m"}"#);
        assert_eq!(answered(add(&proxy(), &body, 1).await).await, (400, json!("model_not_found")));
    }
}
