//! `/v1/agents/messages`.

use std::sync::Arc;

use bytes::Bytes;
use hyper::Response;
use serde::Deserialize;
use serde_json::json;

use super::{MAX_PAGE, PAGE, bad, document, list as list_of, page, read, runs, unavailable, unknown};
use crate::agents::message::{MAX_BODY, MAX_UNREAD, MessageState, NewMessage, is_correspondent};
use crate::agents::names::RunId;
use crate::agents::runs::Runs;
use crate::agents::store::MessageQuery;
use crate::clock;
use crate::http::refusal::Refusal;
use crate::http::reply::Reply;
use crate::server::api::query::Query;

/// The body that takes messages.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Take {
    to: String,
    #[serde(default)]
    limit: Option<usize>,
}

/// A message to a run that works is said to it; any other waits for its recipient.
pub(super) async fn send(agents: &Arc<Runs>, body: &Bytes) -> Result<Response<Reply>, Refusal> {
    let message: NewMessage = read(body)?;
    for (field, name) in [("from", &message.from), ("to", &message.to)] {
        if !is_correspondent(name) {
            let words = format!("`{field}` should be 1 to 64 letters, digits, `.`, `_`, `-`, `:` or `@`");
            return Err(bad("invalid_value", words));
        }
    }
    if message.body.len() > MAX_BODY {
        let words = format!("`body` has {} bytes, and at most {MAX_BODY} are taken", message.body.len());
        return Err(Refusal::invalid(413, "message_too_large").message(words));
    }
    if message.body.trim().is_empty() {
        return Err(bad("invalid_value", "`body` is empty"));
    }
    if let Some(run) = RunId::read(&message.to) {
        let text = format!("Message from {}:\n{}", message.from, message.body);
        return runs::push_text(agents, &run, &text).await;
    }
    let to = message.to.clone();
    let kept = agents.with_store(move |store| store.send(&message, MAX_UNREAD, clock::unix_now())).await;
    match kept.map_err(|error| unavailable(&error))? {
        Some(message) => Ok(document(201, &json!(message))),
        None => Err(Refusal::new(429, "rate_limit_error", "inbox_full").message(format!(
            "`{to}` has {MAX_UNREAD} unread messages, and takes no more before some are taken"
        ))),
    }
}

pub(super) async fn list(agents: &Arc<Runs>, query: &Query<'_>) -> Result<Response<Reply>, Refusal> {
    let state = match query.get("state") {
        Some(word) => Some(
            MessageState::of(word)
                .ok_or_else(|| bad("invalid_value", "`state` is one of unread, delivered, read"))?,
        ),
        None => None,
    };
    let limit = page(query)?;
    let wanted = MessageQuery {
        to: query.get("to").map(str::to_owned),
        state,
        after: query.number("after")?,
        limit: limit + 1,
    };
    let messages = agents.with_store(move |store| store.messages(&wanted)).await;
    Ok(list_of(messages.map_err(|error| unavailable(&error))?, limit))
}

pub(super) async fn take(agents: &Arc<Runs>, body: &Bytes) -> Result<Response<Reply>, Refusal> {
    let Take { to, limit } = read(body)?;
    let limit = limit.unwrap_or(PAGE).clamp(1, MAX_PAGE);
    let taken = agents.with_store(move |store| store.take(&to, limit, clock::unix_now())).await;
    let taken = taken.map_err(|error| unavailable(&error))?;
    Ok(document(200, &json!({ "object": "list", "data": taken, "has_more": taken.len() == limit })))
}

pub(super) async fn mark_read(agents: &Arc<Runs>, id: &str) -> Result<Response<Reply>, Refusal> {
    let none = || unknown("message", id, "GET /v1/agents/messages lists them");
    let number: u64 = id.parse().map_err(|_| none())?;
    let read = agents.with_store(move |store| store.mark_read(number, clock::unix_now())).await;
    if read.map_err(|error| unavailable(&error))? {
        return Ok(document(200, &json!({ "id": number, "state": MessageState::Read })));
    }
    Err(none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::agents::tests::{agents, answered, queued};

    fn body(value: &serde_json::Value) -> Bytes {
        value.to_string().into()
    }

    #[tokio::test]
    async fn a_message_is_sent_taken_and_read() {
        let (_dir, agents) = agents().await;
        let (status, sent) =
            answered(send(&agents, &body(&json!({ "from": "anna", "to": "lab", "body": "hello" }))).await)
                .await;
        assert_eq!((status, &sent["state"]), (201, &json!("unread")), "{sent}");
        let unread = Query::read("to=lab&state=unread");
        assert_eq!(answered(list(&agents, &unread).await).await.1["data"][0], sent);
        let (_, taken) = answered(take(&agents, &body(&json!({ "to": "lab" }))).await).await;
        assert_eq!((&taken["data"][0]["state"], &taken["has_more"]), (&json!("delivered"), &json!(false)));
        assert_eq!(answered(list(&agents, &unread).await).await.1["data"], json!([]));
        let id = sent["id"].to_string();
        assert_eq!(answered(mark_read(&agents, &id).await).await.1["state"], "read");
        assert_eq!(answered(mark_read(&agents, "99").await).await.0, 404);
        assert_eq!(answered(mark_read(&agents, "x").await).await.0, 404);
        assert_eq!(answered(list(&agents, &Query::read("state=lost")).await).await.0, 400);
    }

    #[tokio::test]
    async fn a_message_to_a_run_is_said_to_it_and_a_bad_one_is_refused() {
        let (_dir, agents) = agents().await;
        let id = queued(&agents).await;
        let to_run = body(&json!({ "from": "anna", "to": id, "body": "more" }));
        assert_eq!(answered(send(&agents, &to_run).await).await.0, 202);
        let run = RunId::read(&id).expect("a name");
        agents.cancel(&run).await.expect("cancelled");
        assert_eq!(answered(send(&agents, &to_run).await).await, (409, json!("run_is_over")));
        for (message, wanted) in [
            (json!({ "from": "a b", "to": "lab", "body": "x" }), 400),
            (json!({ "from": "anna", "to": "", "body": "x" }), 400),
            (json!({ "from": "anna", "to": "lab", "body": " " }), 400),
            (json!({ "from": "anna", "to": "lab", "body": "x".repeat(MAX_BODY + 1) }), 413),
        ] {
            assert_eq!(answered(send(&agents, &body(&message)).await).await.0, wanted);
        }
    }
}
