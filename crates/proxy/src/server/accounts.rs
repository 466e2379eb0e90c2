//! `GET /v1/accounts`.

use std::collections::HashSet;

use latimer_protocol::status::AccountState;

use crate::accounts;
use crate::clock::Clocks;
use crate::config::Login;
use crate::route::endpoint_set::EndpointSet;

/// The accounts and keys of all endpoints; never a secret.
pub(super) fn document(fleet: &EndpointSet) -> String {
    let at = Clocks::now();
    let mut logins: Vec<Login> =
        fleet.config.endpoints.iter().filter_map(|endpoint| endpoint.login).collect();
    logins.dedup();
    let mut seen = HashSet::new();
    logins.retain(|login| seen.insert(*login));
    let found: Vec<accounts::Found> = fleet
        .places
        .iter()
        .flat_map(|places| logins.iter().map(|login| accounts::load(*login, places)))
        .collect();
    let states: Vec<AccountState> =
        found.iter().flat_map(|found| &found.accounts).map(|account| account.state(at.unix)).collect();
    let problems: Vec<&String> = found.iter().flat_map(|found| &found.problems).collect();
    let endpoints: Vec<_> = fleet
        .endpoints()
        .iter()
        .map(|runtime| {
            let rests = runtime.pool.rests(at.now).into_iter();
            let members: Vec<_> = rests
                .map(|(id, rests_s)| serde_json::json!({ "id": id, "rate_limited": rests_s.is_some(), "resets_in": rests_s }))
                .collect();
            serde_json::json!({ "endpoint": runtime.endpoint.name.as_str(), "members": members })
        })
        .collect();
    serde_json::json!({ "object": "list", "data": states, "endpoints": endpoints, "problems": problems })
        .to_string()
}
