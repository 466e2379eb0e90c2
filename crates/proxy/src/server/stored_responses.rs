//! Stored responses: shown, listed, deleted.

use std::sync::Arc;

use hyper::Response;

use crate::clock;
use crate::http::refusal::Refusal;
use crate::http::reply::{Reply, json};
use crate::inbound::responses::input_items::{Page, deleted, input_items as list};
use crate::inbound::wire::openai_error::code;
use crate::store::Store;
use crate::store::chain::StoredConversation;
use crate::store::scope::Scope;

/// `GET /v1/responses/{id}`.
///
/// # Errors
///
/// There is none (404), or its events are asked for, which are not stored (400).
pub(super) async fn get(
    store: &Store,
    scope: &Scope,
    id: &str,
    query: &str,
) -> Result<Response<Reply>, Refusal> {
    let stored = find(store, scope, id).await?;
    if query.split('&').any(|pair| pair == "stream=true") {
        let mut refusal = Refusal::invalid(400, "unsupported_parameter");
        refusal.param = Some("stream".to_owned());
        return Err(refusal
            .message("the events of an answer are not kept; leave `stream` out to get the whole answer"));
    }
    Ok(json(200, stored.response.clone()))
}

/// `DELETE /v1/responses/{id}`.
///
/// # Errors
///
/// There is none (404).
pub(super) async fn delete(store: &Store, scope: &Scope, id: &str) -> Result<Response<Reply>, Refusal> {
    find(store, scope, id).await?;
    if let Some(id) = scope.stored_id(id) {
        // Gone from the database before it is said; who has a copy at hand is told at the same moment.
        store.delete_response(&id).await;
    }
    Ok(json(200, deleted(id)))
}

/// `POST /v1/responses/{id}/cancel`.
///
/// # Errors
///
/// Always: there is none (404), or it is over (400).
pub(super) async fn cancel(store: &Store, scope: &Scope, id: &str) -> Result<Response<Reply>, Refusal> {
    find(store, scope, id).await?;
    Err(Refusal::invalid(400, "invalid_request").message(
        "only an answer in the background can be cancelled, and latimer makes none; a client that leaves cancels its turn",
    ))
}

/// `GET /v1/responses/{id}/input_items`.
///
/// # Errors
///
/// There is none (404), or the query is wrong (400).
pub(super) async fn input_items(
    store: &Store,
    scope: &Scope,
    id: &str,
    query: &str,
) -> Result<Response<Reply>, Refusal> {
    let page = Page::read(query).map_err(|error| {
        let mut refusal = Refusal::invalid(400, code(error.problem)).message(error.message);
        refusal.param = error.path;
        refusal
    })?;
    let stored = find(store, scope, id).await?;
    Ok(json(200, list(id, &stored.items, &stored.response, &page)))
}

async fn find(store: &Store, scope: &Scope, id: &str) -> Result<Arc<StoredConversation>, Refusal> {
    let found = match scope.stored_id(id) {
        Some(id) => store.response(&id, clock::unix_now()).await,
        None => None,
    };
    found.ok_or_else(|| {
        let shown = crate::text::shown(id, crate::text::MAX_NAME);
        Refusal::invalid(404, "response_not_found").message(format!(
            "no answer `{shown}` is kept; answers are kept for ten minutes, unless `store` is false"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_not_stored_is_not_found() {
        let store = Store::open(None);
        let missing = [
            get(&store, &Scope::Owner, "resp_1", "").await.err(),
            delete(&store, &Scope::Owner, "resp_1").await.err(),
            cancel(&store, &Scope::Owner, "resp_1").await.err(),
            input_items(&store, &Scope::Owner, "resp_1", "").await.err(),
        ];
        for refusal in missing.map(|refusal| refusal.expect("refused")) {
            assert_eq!((refusal.status, refusal.code), (404, "response_not_found"));
        }
        let wrong =
            input_items(&store, &Scope::Owner, "resp_1", "limit=0").await.err().expect("no such page");
        assert_eq!((wrong.status, wrong.param.as_deref()), (400, Some("limit")));
    }

    #[tokio::test]
    async fn a_stored_response_is_shown_and_deleted() {
        let store = Store::open(None);
        let response = b"{\"id\":\"resp_1\",\"output\":[]}".to_vec();
        store.keep_response("resp_1", b"[]".to_vec(), response, clock::unix_now());
        assert!(get(&store, &Scope::Owner, "resp_1", "").await.is_ok());
        let events = get(&store, &Scope::Owner, "resp_1", "stream=true").await.err().expect("not stored");
        assert_eq!((events.status, events.param.as_deref()), (400, Some("stream")));
        assert_eq!(
            cancel(&store, &Scope::Owner, "resp_1").await.err().map(|refusal| refusal.status),
            Some(400)
        );
        assert!(delete(&store, &Scope::Owner, "resp_1").await.is_ok());
        assert!(get(&store, &Scope::Owner, "resp_1", "").await.is_err());
    }
}
