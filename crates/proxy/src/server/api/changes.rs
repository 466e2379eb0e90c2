//! What a page or a script may change, below `/api/v1`. Each change is written into the log.

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::{HeaderMap, Response};
use latimer_adapters::inspection::inspect;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{bad, no_document, requests, settings, whole};
use crate::clock;
use crate::config::edit::{self, Direction, EditError};
use crate::http::refusal::Refusal;
use crate::http::reply::Reply;
use crate::server::proxy::Proxy;
use crate::server::{admin, page, watchdog};
use crate::{text, turn};

/// The largest body of a change, in bytes.
pub(in crate::server) const BODY_LIMIT: usize = 2 << 20;

/// Who asks for a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Who {
    /// A program that has the token.
    Token,
    /// A page that has a session, and showed that it is one of ours.
    Page,
}

/// Carries out the change at this path below `/api/v1`. `request` is the name of the request in the log.
///
/// # Errors
///
/// There is no such change (404), it is not for pages (403), or what it is about is not there (404).
pub(in crate::server) async fn carry_out(
    proxy: &Proxy,
    change: &str,
    who: Who,
    body: &Bytes,
    request: &str,
) -> Result<Response<Reply>, Refusal> {
    if change == "codes" {
        return if who == Who::Token { page::make_code(proxy) } else { Err(only_for_programs()) };
    }
    tracing::info!(
        event = "page.change",
        request,
        change,
        by = if who == Who::Page { "page" } else { "token" }
    );
    match change.split('/').collect::<Vec<_>>()[..] {
        ["incidents", "cancel"] => {
            let Order { id } = body_of(body)?;
            let id = id.map(|id| id.to_string());
            watchdog::cancel(proxy.state_dir().as_deref(), id.as_deref()).await
        }
        ["incidents", action] => incident(proxy, action, body).await,
        ["config"] => Ok(whole(&settings::save(&proxy.live, body)?)),
        ["config", "check"] => Ok(whole(&settings::check(&proxy.live, body)?)),
        ["config", "restore"] => Ok(whole(&settings::restore(&proxy.live)?)),
        ["config", "keep_requests"] => {
            let KeepRequests { keep } =
                serde_json::from_slice(body).map_err(|_| bad("`keep` is true or false"))?;
            edited(proxy, |text| edit::keep_requests(text, keep))
        }
        ["turns", id, "replay"] => Ok(whole(&requests::replay(proxy, id, body, request).await?)),
        ["accounts", login, "login"] => {
            Ok(whole(&proxy.logins.begin(login, proxy.endpoints().places.clone()).await?))
        }
        ["endpoints", name, "pause"] => edited(proxy, |text| edit::pause(text, name, true)),
        ["endpoints", name, "resume"] => edited(proxy, |text| edit::pause(text, name, false)),
        ["endpoints", name, "move"] => {
            let Move { direction } =
                serde_json::from_slice(body).map_err(|_| bad("`direction` is `up` or `down`"))?;
            edited(proxy, |text| edit::shift(text, name, direction))
        }
        ["parse"] => Ok(whole(&parse(body)?)),
        ["endpoints", name, "test"] => Ok(whole(&test(proxy, name, body, request).await?)),
        ["endpoints", name, "forget"] => {
            known(proxy, name)?;
            admin::forget(&proxy.memory.limitations, Some(name), body_of::<Lesson>(body)?.lesson.as_deref())
        }
        ["endpoints", name, "retry"] => {
            known(proxy, name)?;
            Ok(admin::retry(&proxy.endpoints(), Some(name)))
        }
        _ => Err(no_document(change)),
    }
}

/// Whether the requests of the last turns are kept.
#[derive(Deserialize)]
struct KeepRequests {
    keep: bool,
}

/// Changes the configuration file and says that it is done.
fn edited(
    proxy: &Proxy,
    change: impl FnOnce(&str) -> Result<String, EditError>,
) -> Result<Response<Reply>, Refusal> {
    settings::edit(&proxy.live, change)?;
    Ok(whole(&json!({ "schema_version": super::SCHEMA_VERSION, "changed": true })))
}

/// What a person says to an incident, or to the watchdog's settings.
async fn incident(proxy: &Proxy, action: &str, body: &Bytes) -> Result<Response<Reply>, Refusal> {
    #[derive(Deserialize)]
    struct Silence {
        fault: String,
        seconds: Option<u64>,
    }
    #[derive(Deserialize)]
    struct Numbered {
        id: u64,
    }
    let bad = |error: serde_json::Error| bad(&format!("the body cannot be read: {error}"));
    let request = match action {
        "silence" => {
            let Silence { fault, seconds } = serde_json::from_slice(body).map_err(bad)?;
            json!({ "do": "silence", "fault": fault, "seconds": seconds })
        }
        "accept" => {
            let Numbered { id } = serde_json::from_slice(body).map_err(bad)?;
            json!({ "do": "accept", "id": id })
        }
        "undo" => {
            let Numbered { id } = serde_json::from_slice(body).map_err(bad)?;
            return admin::remove(&proxy.endpoints.overrides, Some(&id.to_string()));
        }
        "switches" => {
            let switches = serde_json::from_slice(body).map_err(bad)?;
            return edited(proxy, |text| edit::switch(text, &switches));
        }
        _ => return Err(no_document(&format!("incidents/{action}"))),
    };
    let answer = watchdog::ask(proxy.state_dir().as_deref(), &request).await?;
    Ok(whole(&json!({ "schema_version": super::SCHEMA_VERSION, "answer": answer })))
}

/// Where an endpoint goes in the order of the file.
#[derive(Deserialize)]
struct Move {
    direction: Direction,
}

/// What a lesson is forgotten by; without it, all of them are.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Lesson {
    lesson: Option<String>,
}

/// What the watchdog shall not do; without a number, all that it announced.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Order {
    id: Option<u64>,
}

/// What is tested; without it, the first model.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Tested {
    model: Option<String>,
}

fn body_of<'b, T: Deserialize<'b> + Default>(body: &'b Bytes) -> Result<T, Refusal> {
    if body.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(body).map_err(|error| bad(&format!("the body cannot be read: {error}")))
}

/// The first model of an endpoint that is there.
fn known(proxy: &Proxy, name: &str) -> Result<Option<String>, Refusal> {
    let config = proxy.live.current();
    let endpoint = config.endpoints.iter().find(|endpoint| endpoint.name.as_str() == name);
    let endpoint = endpoint.ok_or_else(|| {
        let shown = text::shown(name, text::MAX_WORD);
        Refusal::invalid(404, "not_found").message(format!("no endpoint is called `{shown}`"))
    })?;
    Ok(endpoint.models.first().map(|model| model.id.clone()))
}

/// What latimer makes of a text that a model wrote. Nothing is kept of it, and nothing is run.
fn parse(body: &Bytes) -> Result<Value, Refusal> {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Pasted {
        text: String,
        tools: Vec<String>,
    }
    let Pasted { text, tools } = body_of(body)?;
    Ok(json!({ "schema_version": super::SCHEMA_VERSION, "pieces": inspect(&text, &tools) }))
}

/// One real short turn on an endpoint: it goes the way of every other one, and is counted like it.
async fn test(proxy: &Proxy, name: &str, body: &Bytes, request: &str) -> Result<Value, Refusal> {
    let first = known(proxy, name)?;
    let model = body_of::<Tested>(body)?.model.or(first);
    let model = model.ok_or_else(|| bad("the endpoint lists no model; name one in `model`"))?;
    let context = proxy.begin_turn(request)?;
    let turn = context.open.id();
    let question = json!({
        "model": format!("{name}/{model}"),
        "max_tokens": 64,
        "messages": [{ "role": "user", "content": "Answer with the one word: ready" }],
    });
    let mut headers = HeaderMap::new();
    headers.insert(hyper::header::USER_AGENT, hyper::header::HeaderValue::from_static("latimer-test/1"));
    let begun = clock::now();
    let answer = turn::chat(context, &headers, question.to_string().into()).await;
    let status = answer.status().as_u16();
    let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let Ok(body) = answer.into_body().collect().await;
    let document: Value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
    let message = document["error"]["message"].as_str().map(str::to_owned);
    Ok(json!({
        "schema_version": super::SCHEMA_VERSION,
        "endpoint": name,
        "model": model,
        "turn": turn,
        "works": status == 200,
        "ms": ms,
        "status": status,
        "message": message,
    }))
}

fn only_for_programs() -> Refusal {
    Refusal::new(403, "permission_error", "forbidden").message("only `latimer dashboard` makes codes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::proxy::tests::proxy;

    async fn status(change: &str, who: Who) -> u16 {
        let proxy = proxy();
        match carry_out(&proxy, change, who, &Bytes::new(), "req_1").await {
            Ok(response) => response.status().as_u16(),
            Err(refusal) => refusal.status,
        }
    }

    #[tokio::test]
    async fn a_page_makes_no_codes_and_changes_only_what_is_there() {
        assert_eq!(status("codes", Who::Token).await, 200);
        assert_eq!(status("codes", Who::Page).await, 403);
        assert_eq!(status("endpoints/lab/test", Who::Page).await, 404);
        assert_eq!(status("endpoints/lab/forget", Who::Page).await, 404);
        for gone in [
            "turns/t1/replay",
            "endpoints/lab/pause",
            "config/restore",
            "incidents/mood",
            "incidents/silence",
        ] {
            assert!(matches!(status(gone, Who::Page).await, 400 | 404), "{gone}");
        }
        assert_eq!(status("mood", Who::Page).await, 404);
    }
}
