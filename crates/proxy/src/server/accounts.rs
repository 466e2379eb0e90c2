//! `GET /v1/accounts`.

use std::collections::HashSet;

use latimer_protocol::status::AccountState;

use crate::accounts;
use crate::clock::Clocks;
use crate::config::Login;
use crate::route::endpoint_set::EndpointSet;

/// The accounts and keys of all endpoints; never a secret.
pub(super) fn document(endpoint_set: &EndpointSet) -> String {
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
        .to_string()
}
