//! What the watchdog and the person may change in a running proxy: overrides, learned limitations, cooldowns, connections.

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{HeaderMap, Response};
use latimer_protocol::status::OverrideRequest;
use serde_json::json;

use super::endpoints::CurrentEndpoints;
use super::overrides::Overrides;
use crate::clock;
use crate::config::Config;
use crate::http::refusal::Refusal;
use crate::http::reply::{Reply, json as reply};
use crate::route::endpoint_set::EndpointSet;
use crate::route::limitations::LimitationStore;

/// The largest body of such a request, in bytes.
pub(super) const BODY_LIMIT: usize = 16 * 1024;

/// The header of an action where the request carries no token: no page and no form can send it.
const ADMIN_HEADER: HeaderName = HeaderName::from_static("x-latimer-admin");

/// Refuses an action that somebody may have been tricked into: it needs the token or a header of its own, and no body that a form can
/// send.
///
/// # Errors
///
/// Neither token nor header (403), or a content type other than JSON (415).
pub(super) fn check_intent(headers: &HeaderMap, carries_token: bool) -> Result<(), Refusal> {
    let is_json = |value: &HeaderValue| {
        let kind = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        kind.eq_ignore_ascii_case(b"application/json")
    };
    if !headers.get_all(CONTENT_TYPE).iter().all(is_json) {
        return Err(Refusal::invalid(415, "unsupported_media_type")
            .message("actions take `content-type: application/json`, or none without a body"));
    }
    if carries_token || headers.contains_key(ADMIN_HEADER) {
        return Ok(());
    }
    Err(Refusal::new(403, "permission_error", "admin_header_missing")
        .message("actions need the token, or the header `x-latimer-admin: 1` where no token is needed"))
}

/// `GET /v1/admin/overrides`.
pub(super) fn list(overrides: &Overrides) -> Response<Reply> {
    reply(200, json!({ "object": "list", "data": overrides.states(clock::now()) }).to_string())
}

/// `POST /v1/admin/overrides`: the id of the override that is now in force.
///
/// # Errors
///
/// The body is no override, or one that cannot be in force (400).
pub(super) fn add(overrides: &Overrides, config: &Config, body: &Bytes) -> Result<Response<Reply>, Refusal> {
    let request: OverrideRequest = serde_json::from_slice(body).map_err(|error| {
        Refusal::invalid(400, "invalid_value").message(format!("this is no override: {error}"))
    })?;
    let id = overrides.add(request, config, clock::now())?;
    Ok(reply(200, json!({ "id": id }).to_string()))
}

/// `DELETE /v1/admin/overrides` and `DELETE /v1/admin/overrides/{id}`: how many were removed.
///
/// # Errors
///
/// There is no such override (404).
pub(super) fn remove(overrides: &Overrides, id: Option<&str>) -> Result<Response<Reply>, Refusal> {
    let unknown = || Refusal::invalid(404, "not_found").message("no such override is in force");
    let number = match id {
        Some(id) => Some(id.parse().map_err(|_| unknown())?),
        None => None,
    };
    match overrides.remove(number, clock::now()) {
        0 if id.is_some() => Err(unknown()),
        removed => Ok(reply(200, json!({ "removed": removed }).to_string())),
    }
}

/// `DELETE /v1/admin/learned` and `DELETE /v1/admin/learned/{endpoint}`: the endpoints are asked everything anew, or what one lesson
/// was about.
///
/// # Errors
///
/// The state cannot be written (500); nothing is forgotten then.
pub(super) fn forget(
    limitations: &LimitationStore,
    endpoint: Option<&str>,
    lesson: Option<&str>,
) -> Result<Response<Reply>, Refusal> {
    let removed = limitations.forget(endpoint, lesson, clock::now()).map_err(|error| {
        Refusal::new(500, "server_error", "state_not_written")
            .message(format!("nothing was forgotten: {error}"))
    })?;
    tracing::info!(event = "learned.forgotten", endpoint = endpoint.unwrap_or("*"), targets = removed);
    Ok(reply(200, json!({ "removed": removed }).to_string()))
}

/// `POST /v1/admin/retry` and `POST /v1/admin/retry/{endpoint}`: cooldowns end now. Answers how many.
pub(super) fn retry(endpoints: &EndpointSet, endpoint: Option<&str>) -> Response<Reply> {
    tracing::info!(event = "route.retried", endpoint = endpoint.unwrap_or("*"));
    reply(200, format!("{{\"retried\":{}}}", endpoints.retry(endpoint)))
}

/// `POST /v1/admin/reconnect` and `POST /v1/admin/reconnect/{endpoint}`: the next turns make new connections.
pub(super) fn reconnect(endpoints: &CurrentEndpoints, endpoint: Option<&str>) -> Response<Reply> {
    endpoints.reconnect(endpoint, clock::now());
    reply(200, "{}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::parse::load;
    use crate::route::memory::Memory;

    fn config() -> Config {
        let text = "[[endpoint]]\nname = \"a\"\nbase_url = \"https://a.test\"\nmodels = [\"m\"]\n";
        let loaded = load(text, &|_| None, &|_| Err(std::io::ErrorKind::NotFound.into()));
        loaded.expect("a configuration").config
    }

    #[test]
    fn an_override_is_added_and_removed_by_its_id() {
        let (overrides, config) = (Overrides::default(), config());
        let body = Bytes::from_static(
            b"{\"kind\":\"avoid_endpoint\",\"endpoint\":\"a\",\"seconds\":60,\"why\":\"a test\"}",
        );
        assert_eq!(add(&overrides, &config, &body).expect("in force").status(), 200);
        let unknown = |id| remove(&overrides, Some(id)).err().map(|refusal| refusal.status);
        assert_eq!((unknown("2"), unknown("x")), (Some(404), Some(404)));
        assert_eq!(unknown("1"), None);
        assert!(remove(&overrides, None).is_ok(), "none is left, and that is no error");
    }

    #[test]
    fn a_body_that_is_no_override_is_refused() {
        let refusal = add(&Overrides::default(), &config(), &Bytes::from_static(b"[]"));
        assert_eq!(refusal.err().map(|refusal| refusal.status), Some(400));
    }

    #[test]
    fn forgetting_nothing_and_retrying_nothing_is_no_error() {
        let memory = Arc::new(Memory::new(None));
        let set = EndpointSet::new(Arc::new(config()), Arc::clone(&memory), None, None);
        assert!(forget(&memory.limitations, Some("a"), None).is_ok());
        assert_eq!(retry(&set, None).status(), 200);
    }
}
