//! `GET /v1/accounts`.

use std::collections::HashSet;

use latimer_protocol::status::AccountState;
use serde_json::Value;

use crate::accounts;
use crate::clock::Clocks;
use crate::config::Login;
use crate::route::endpoint_set::EndpointSet;

/// The accounts and keys of all endpoints; never a secret.
pub(super) fn document(endpoint_set: &EndpointSet) -> Value {
    let at = Clocks::now();
    let mut logins: Vec<Login> =
        endpoint_set.config.endpoints.iter().filter_map(|endpoint| endpoint.login).collect();
    logins.dedup();
    let mut seen = HashSet::new();
    logins.retain(|login| seen.insert(*login));
    let found: Vec<accounts::AccountList> = endpoint_set
        .places
        .iter()
        .flat_map(|places| logins.iter().map(|login| accounts::load(*login, places)))
        .collect();
    let states: Vec<AccountState> =
        found.iter().flat_map(|found| &found.accounts).map(|account| account.state(at.unix)).collect();
    let problems: Vec<&String> = found.iter().flat_map(|found| &found.problems).collect();
    let endpoints: Vec<_> = endpoint_set
        .endpoints()
        .iter()
        .map(|runtime| {
            let cooldowns = runtime.pool.cooldowns(at.now).into_iter();
            let entries: Vec<_> = cooldowns
                .map(|(id, cooldown_s)| serde_json::json!({ "id": id, "rate_limited": cooldown_s.is_some(), "resets_in": cooldown_s }))
                .collect();
            serde_json::json!({ "endpoint": runtime.endpoint.name.as_str(), "members": entries })
        })
        .collect();
    serde_json::json!({ "object": "list", "data": states, "endpoints": endpoints, "problems": problems })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::config::parse::load;
    use crate::route::memory::Memory;

    #[tokio::test]
    async fn each_endpoint_lists_its_keys_and_none_of_their_secrets() {
        let text = "[[endpoint]]\nname = \"a\"\nbase_url = \"https://a.test\"\nmodels = [\"m\"]\napi_key = \"s3cret-key\"\n";
        let loaded = load(text, &|_| None, &|_| Err(std::io::ErrorKind::NotFound.into()));
        let config = Arc::new(loaded.expect("a configuration").config);
        let text = document(&EndpointSet::new(config, Arc::new(Memory::new(None)), None, None)).to_string();
        assert!(!text.contains("s3cret-key"), "{text}");
        let document: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!((&document["data"], &document["problems"]), (&json!([]), &json!([])));
        assert_eq!(document["endpoints"][0]["endpoint"], "a");
        assert_eq!(document["endpoints"][0]["members"][0]["rate_limited"], false);
    }
}
