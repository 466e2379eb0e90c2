//! `GET /api/v1/quota`: what is left of every allowance. Providers that have a place to ask are asked, each at most once a minute.

use std::sync::Arc;

use futures_util::future::join_all;
use latimer_protocol::status::QuotaReport;

use crate::clock::Clocks;
use crate::route::endpoint_set::{EndpointRuntime, EndpointSet};
use crate::route::pool::PoolEntry;
use crate::route::quota::QuotaSource;
use crate::server::proxy::Proxy;
use crate::text;

/// How old a provider's word may be before it is asked again, in seconds.
const MAX_AGE: u64 = 60;
/// The most accounts that are asked at once.
const MAX_ASKED: usize = 16;

pub(super) async fn report(proxy: &Proxy, may_ask: bool) -> QuotaReport {
    let problems = if may_ask { ask_all(proxy).await } else { Vec::new() };
    let now = Clocks::now();
    let set = proxy.endpoints.get(now.now);
    let data = entries(&set)
        .map(|(runtime, entry)| {
            proxy.memory.quotas.report(entry.owner(runtime.endpoint.name.as_str()), now.unix)
        })
        .collect();
    QuotaReport { now: now.unix, data, problems, ..QuotaReport::default() }
}

/// Asks every provider that has a place to ask and was not asked for a minute; what went wrong.
pub(in crate::server) async fn ask_all(proxy: &Proxy) -> Vec<String> {
    let at = Clocks::now();
    let set = proxy.endpoints.get(at.now);
    let due = entries(&set).filter(|(runtime, entry)| {
        let owner = entry.owner(runtime.endpoint.name.as_str());
        runtime.adapter.tells_quota() && proxy.memory.quotas.begin_asking(owner, MAX_AGE, at.unix)
    });
    let asked = due.take(MAX_ASKED).map(|(runtime, entry)| async move { ask(runtime, &entry).await });
    join_all(asked).await.into_iter().flatten().collect()
}

/// Every key and account, with its endpoint.
fn entries(set: &EndpointSet) -> impl Iterator<Item = (&Arc<EndpointRuntime>, PoolEntry)> {
    set.endpoints()
        .iter()
        .flat_map(|runtime| runtime.pool.entries().into_iter().map(move |entry| (runtime, entry)))
}

/// Asks for one account; what went wrong.
async fn ask(runtime: &EndpointRuntime, entry: &PoolEntry) -> Option<String> {
    let asked = async {
        let credential = entry.credential().await?;
        runtime.adapter.ask_quota(&credential).await
    };
    match asked.await {
        Ok(readings) => {
            let owner = entry.owner(runtime.endpoint.name.as_str());
            runtime.memory.note_quota(owner, readings, QuotaSource::Asked);
            None
        }
        Err(failure) => Some(text::shown(&failure.message, text::MAX_NAME)),
    }
}

#[cfg(test)]
mod tests {
    use latimer_protocol::quota::{QuotaReading, QuotaScope};

    use super::*;
    use latimer_protocol::turn::SealKey;

    use crate::config::parse::config_of;
    use crate::config::watch::Live;

    #[tokio::test]
    async fn every_account_is_listed_with_what_is_known_of_it() {
        let text = "[[endpoint]]\nname = \"lab\"\nbase_url = \"http://127.0.0.1:1\"\nmodels = [\"m\"]\napi_key = \"k\"\n";
        let live = Arc::new(Live::new(config_of(text), None));
        let proxy = Proxy::new(live, None, SealKey::default(), None);
        let set = proxy.endpoints.get(Clocks::now().now);
        let runtime = Arc::clone(&set.endpoints()[0]);
        let entries: usize = set.endpoints().iter().map(|runtime| runtime.pool.entries().len()).sum();
        let before = report(&proxy, true).await;
        assert_eq!(
            (before.data.len(), before.problems.len()),
            (entries, 0),
            "none of them has a place to ask"
        );
        assert!(before.data.iter().all(|account| account.windows.is_empty()));
        for entry in runtime.pool.entries() {
            let reading = QuotaReading {
                name: "week".to_owned(),
                scope: QuotaScope::Week,
                remaining_percent: Some(40.0),
                ..QuotaReading::default()
            };
            let owner = entry.owner(runtime.endpoint.name.as_str());
            runtime.memory.note_quota(owner, vec![reading], QuotaSource::Header);
        }
        let after = report(&proxy, false).await;
        let known = after.data.iter().filter(|account| account.remaining_percent() == Some(40.0)).count();
        assert_eq!(known, runtime.pool.entries().len());
    }
}
