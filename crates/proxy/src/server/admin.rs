//! What the watchdog and the person may change in a running proxy: overrides for a while, and forgetting what was learned.

use bytes::Bytes;
use hyper::Response;
use latimer_protocol::status::OverrideRequest;
use serde_json::json;

use super::overrides::Overrides;
use crate::clock;
use crate::config::Config;
use crate::http::refusal::Refusal;
use crate::http::reply::{Reply, json as reply};
use crate::route::limitations::LimitationStore;

/// The largest body of such a request.
pub const BODY_LIMIT: usize = 16 * 1024;

/// `GET /v1/admin/overrides`.
pub fn list(overrides: &Overrides) -> Response<Reply> {
    reply(200, json!({ "object": "list", "data": overrides.states(clock::now()) }).to_string())
}

/// `POST /v1/admin/overrides`.
pub fn add(overrides: &Overrides, config: &Config, body: &Bytes) -> Result<Response<Reply>, Refusal> {
    let request: OverrideRequest = serde_json::from_slice(body).map_err(|error| {
        Refusal::invalid(400, "invalid_value").message(format!("this is no override: {error}"))
    })?;
    let id = overrides.add(request, config, clock::now())?;
    Ok(reply(200, json!({ "id": id }).to_string()))
}

/// `DELETE /v1/admin/overrides` and `DELETE /v1/admin/overrides/{id}`.
pub fn remove(overrides: &Overrides, id: Option<&str>) -> Result<Response<Reply>, Refusal> {
    let unknown = || Refusal::invalid(404, "not_found").message("no such override is in force");
    let number = match id {
        Some(id) => Some(id.parse().map_err(|_| unknown())?),
        None => None,
    };
    match overrides.remove(number, clock::now()) {
        0 if id.is_some() => Err(unknown()),
        gone => Ok(reply(200, json!({ "removed": gone }).to_string())),
    }
}

/// `DELETE /v1/admin/learned` and `DELETE /v1/admin/learned/{endpoint}`: the endpoints are asked everything anew.
pub fn forget(limitations: &LimitationStore, endpoint: Option<&str>) -> Result<Response<Reply>, Refusal> {
    let gone = limitations.forget(endpoint, clock::now()).map_err(|error| {
        Refusal::new(500, "server_error", "state_not_written")
            .message(format!("nothing was forgotten: {error}"))
    })?;
    tracing::info!(event = "learned.forgotten", endpoint = endpoint.unwrap_or("*"), targets = gone);
    Ok(reply(200, json!({ "removed": gone }).to_string()))
}
