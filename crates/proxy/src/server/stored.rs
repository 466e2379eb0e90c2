//! Answers that were kept: shown, listed, deleted.

use std::sync::Arc;

use hyper::Response;

use crate::clock;
use crate::http::refusal::Refusal;
use crate::http::reply::{Reply, json};
use crate::inbound::responses::stored::{Page, deleted, input_items as list};
use crate::store::Store;
use crate::store::chain::StoredConversation;

/// `GET /v1/responses/{id}`.
pub(super) async fn retrieve(store: &Store, id: &str, query: &str) -> Result<Response<Reply>, Refusal> {
    let stored = find(store, id).await?;
    if query.split('&').any(|pair| pair == "stream=true") {
        let mut refusal = Refusal::invalid(400, "unsupported_parameter");
        refusal.param = Some("stream".to_owned());
        return Err(refusal
            .message("the events of an answer are not kept; leave `stream` out to get the whole answer"));
    }
    Ok(json(200, stored.response.clone()))
}

/// `DELETE /v1/responses/{id}`.
pub(super) async fn delete(store: &Store, id: &str) -> Result<Response<Reply>, Refusal> {
    find(store, id).await?;
    store.delete_response(id);
    Ok(json(200, deleted(id)))
}

/// `POST /v1/responses/{id}/cancel`.
pub(super) async fn cancel(store: &Store, id: &str) -> Result<Response<Reply>, Refusal> {
    find(store, id).await?;
    Err(Refusal::invalid(400, "invalid_request").message(
        "only an answer in the background can be cancelled, and latimer makes none; a client that leaves cancels its turn",
    ))
}

/// `GET /v1/responses/{id}/input_items`.
pub(super) async fn input_items(store: &Store, id: &str, query: &str) -> Result<Response<Reply>, Refusal> {
    let page = Page::read(query).map_err(|error| {
        let mut refusal = Refusal::invalid(400, error.code).message(error.message);
        refusal.param = error.param;
        refusal
    })?;
    let stored = find(store, id).await?;
    Ok(json(200, list(id, &stored.items, &stored.response, &page)))
}

async fn find(store: &Store, id: &str) -> Result<Arc<StoredConversation>, Refusal> {
    let now = clock::unix_now();
    store.response(id, now).await.ok_or_else(|| {
        let shown = crate::text::shown(id, crate::text::MAX_NAME);
        Refusal::invalid(404, "response_not_found").message(format!(
            "no answer `{shown}` is kept; answers are kept for ten minutes, unless `store` is false"
        ))
    })
}
