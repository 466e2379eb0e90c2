//! Which responses are stored, and where.

use bytes::Bytes;

use super::body::{ConnectionMemory, StoreTarget};
use crate::inbound::responses::body::RequestBody;
use crate::store::Store;
use crate::store::scope::Scope;

/// A larger request body, in bytes, is not stored: no later request can go on with its conversation.
const MAX_STORED: usize = 8 << 20;

/// Where the response to this request will be stored. A connection remembers it even where the client wants nothing stored.
pub(super) fn store_target(
    store: &Store,
    scope: Scope,
    body: &Bytes,
    parsed: &RequestBody<'_>,
    memory: Option<ConnectionMemory>,
) -> Option<StoreTarget> {
    let stores = body.len() <= MAX_STORED && parsed.is_stored();
    if memory.is_none() && !stores {
        return None;
    }
    Some(StoreTarget {
        store: stores.then(|| (store.clone(), scope)),
        memory,
        input: parsed.stored_input(body)?,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};

    use super::*;
    use crate::inbound::responses::socket::history::ConnectionHistory;

    #[tokio::test]
    async fn what_is_stored_is_what_the_client_lets_be_stored_within_bounds() {
        let store = Store::open(None);
        let target = |request: &Value, memory| {
            let body = Bytes::from(request.to_string());
            store_target(&store, Scope::Owner, &body, &RequestBody::parse(&body).expect("an object"), memory)
        };
        let stored = target(&json!({ "model": "m", "input": "Hi" }), None).expect("stored by default");
        assert!(stored.store.is_some() && stored.memory.is_none());
        assert_eq!(stored.input, r#"[{"type":"message","role":"user","content":"Hi"}]"#);
        assert!(target(&json!({ "model": "m", "input": "Hi", "store": false }), None).is_none());
        assert!(target(&json!({ "model": "m", "input": 7 }), None).is_none(), "nothing to go on with");
        let large = json!({ "model": "m", "input": "x".repeat(MAX_STORED) });
        assert!(target(&large, None).is_none());
        let recall = Arc::new(Mutex::new(ConnectionHistory::new(100)));
        let memory = ConnectionMemory { recall, previous: None };
        let remembered = target(&json!({ "model": "m", "input": [], "store": false }), Some(memory));
        let remembered = remembered.expect("the connection remembers it all the same");
        assert!(remembered.store.is_none() && remembered.memory.is_some());
    }
}
