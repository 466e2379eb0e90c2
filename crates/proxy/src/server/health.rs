//! `GET /health`: what the watchdog and the person learn about a running proxy.

use latimer_protocol::status::{Health, StoreState};

use super::process_stats;
use super::proxy::Proxy;
use crate::clock::{self, Clocks};
use crate::lifecycle::phase::Phase;

/// The health document for those who have the token.
pub(super) fn document(proxy: &Proxy) -> String {
    serde_json::to_string(&health(proxy)).unwrap_or_default()
}

/// How the proxy is.
pub(super) fn health(proxy: &Proxy) -> Health {
    let now = clock::now();
    let status = if proxy.phase() == Phase::Serving { "ok" } else { "draining" };
    Health {
        status: status.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        uptime_s: now.saturating_duration_since(proxy.started).as_secs(),
        memory_bytes: process_stats::resident_memory(),
        turns_open: proxy.turns.open(),
        turns_total: proxy.turns.total(),
        turns_failed: proxy.turns.failed(),
        usage_lost: proxy.store.lost_rows(),
        warnings: proxy.turns.warnings(),
        lag_ms: u64::try_from(proxy.lag.lag(now).as_millis()).unwrap_or(u64::MAX),
        descriptors: process_stats::open_descriptors(),
        overrides: proxy.endpoints.overrides.states(now),
        config: proxy.live.state(),
        endpoints: proxy.endpoints.get(now).states(Clocks::now()),
        store: store(proxy),
    }
}

/// How the database of the nodes is.
fn store(proxy: &Proxy) -> Option<StoreState> {
    let nodes = proxy.store.nodes()?;
    let counting = proxy.keys.counting()?;
    let away = nodes.away();
    Some(StoreState {
        database: nodes.name().to_owned(),
        reachable: nodes.is_reachable(),
        away_since: away.as_ref().map(|(since, _)| *since),
        away: away.map(|(_, why)| why),
        waiting: nodes.waiting(),
        lost: proxy.store.lost_rows(),
        nodes: nodes.count(),
        limits_global: counting.is_global,
        limits_since: Some(counting.since),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::proxy::tests::proxy;

    #[tokio::test]
    async fn a_stopping_proxy_says_so() {
        let proxy = proxy();
        let status = || {
            let health: Health = serde_json::from_str(&document(&proxy)).expect("a health document");
            health.status
        };
        assert_eq!(status(), "ok");
        proxy.enter(Phase::HandingOver);
        assert_eq!(status(), "draining");
    }
}
