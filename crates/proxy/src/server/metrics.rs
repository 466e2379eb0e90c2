//! `GET /metrics`: what is counted, and what is looked at now; on the main door, and on one of its own.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use latimer_protocol::status::TurnReport;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};

use super::access::{TokenHash, has_token};
use super::proxy::Proxy;
use super::{health, readiness, watchdog};
use crate::clock;
use crate::config::MetricsAccess;
use crate::http::reply::{Reply, json};
use crate::keys::keyring::ClientKey;
use crate::keys::limits::Rate;
use crate::keys::period::Amounts;
use crate::metrics::reading::{
    EndpointReading, KeyReading, MetricsReading, OPEN_METRICS, TEXT, WatchdogReading,
};

/// Turns under way that are looked at.
const MAX_RUNNING: usize = 20_000;
/// Client keys that are told apart.
const MAX_KEYS: usize = 200;
/// Connections at once on the door for figures.
const MAX_CONNECTIONS: usize = 32;
/// How long a client of it may take for its request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait before accepting again when the system has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Whether these headers carry the token that opens the figures alone.
pub(super) fn is_opened(headers: &HeaderMap, access: &MetricsAccess) -> bool {
    access.token.as_ref().is_some_and(|token| has_token(headers, &TokenHash::new(token)))
}

/// The figures, in the format that is asked for.
pub(super) async fn show(proxy: &Proxy, headers: &HeaderMap) -> Response<Reply> {
    let reading = reading(proxy).await;
    let wants_open = headers
        .get(ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("application/openmetrics-text"));
    let (kind, text) = if wants_open {
        (OPEN_METRICS, reading.open_metrics(&proxy.metrics))
    } else {
        (TEXT, reading.text(&proxy.metrics))
    };
    let mut response = json(200, text);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

async fn reading(proxy: &Proxy) -> MetricsReading {
    let health = health::health(proxy);
    let now = clock::unix_now();
    let waiting = proxy.store.waiting_rows();
    let keys = proxy.keys.active();
    MetricsReading {
        node: proxy.live.current().server.node.clone().unwrap_or_default(),
        is_ready: readiness::not_ready(proxy).is_none(),
        turns: by_state(&proxy.turns.running.list(MAX_RUNNING)),
        endpoints: health
            .endpoints
            .iter()
            .map(|state| EndpointReading {
                name: state.name.clone(),
                turns_open: state.turns_open,
                is_resting: readiness::is_resting(state),
                keys: state.keys as u64,
                keys_resting: state.keys_resting as u64,
            })
            .collect(),
        keys: keys.iter().take(MAX_KEYS).map(|key| of_key(key, now)).collect(),
        pending_rows: waiting.count as u64,
        store_lag_s: waiting.oldest_at.map_or(0, |at| now.saturating_sub(at)),
        lost_rows: health.usage_lost,
        runtime_lag_s: Duration::from_millis(health.lag_ms).as_secs_f64(),
        memory_bytes: health.memory_bytes,
        descriptors: health.descriptors,
        started_at: now.saturating_sub(health.uptime_s),
        watchdog: watchdog::exported(proxy.state_dir().as_deref())
            .await
            .ok()
            .flatten()
            .map(|known| of_watchdog(&known)),
    }
}

/// Turns by where they stand; those that wait are always there, so that nobody has to ask whether there are none.
fn by_state(running: &[TurnReport]) -> Vec<(&'static str, u64)> {
    let mut states = BTreeMap::from([("waiting", 0), ("streaming", 0)]);
    for turn in running {
        *states.entry(turn.state.words()).or_default() += 1;
    }
    states.into_iter().collect()
}

fn of_key(key: &ClientKey, now: u64) -> KeyReading {
    let limits = &key.record.limits;
    #[expect(clippy::cast_precision_loss, reason = "a ratio is read by people")]
    let ratio = |rate: Option<Rate>, of: fn(Amounts) -> u64| {
        rate.map(|rate| of(key.live.used(rate.per, now)) as f64 / rate.amount.max(1) as f64)
    };
    let open = key.live.open();
    let quotas = [
        ("requests", ratio(limits.requests, |used| used.requests)),
        ("tokens", ratio(limits.tokens, |used| used.tokens)),
        ("budget", ratio(limits.budget, |used| used.micro_usd)),
        ("parallel", limits.parallel.map(|max| f64::from(open) / f64::from(max.get()))),
    ];
    KeyReading {
        name: key.record.name.clone(),
        turns_open: open.into(),
        quotas: quotas.into_iter().filter_map(|(limit, used)| Some((limit, used?))).collect(),
    }
}

/// What the watchdog's own document says of faults and remedies. Words that are not there count nothing.
fn of_watchdog(known: &Value) -> WatchdogReading {
    let mut faults = BTreeMap::<String, u64>::new();
    let mut actions = BTreeMap::<String, (u64, u64)>::new();
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    for incident in known["incidents"].as_array().into_iter().flatten() {
        let fault = incident["fault"].as_str().unwrap_or("unknown").to_owned();
        *faults.entry(fault).or_default() += number(&incident["seen"]);
        for fix in incident["fixes"].as_array().into_iter().flatten() {
            let action = fix["remedy"].as_str().unwrap_or("unknown").to_owned();
            let (helped, failed) = actions.entry(action).or_default();
            *helped += number(&fix["successes"]);
            *failed += number(&fix["failures"]);
        }
    }
    WatchdogReading {
        faults: faults.into_iter().collect(),
        actions: actions.into_iter().map(|(action, (helped, failed))| (action, helped, failed)).collect(),
    }
}

/// Serves figures alone, as long as it is polled; for ever where there is no door for them.
pub(super) async fn serve(proxy: &Arc<Proxy>, listener: Option<TcpListener>) {
    let Some(listener) = listener else { return std::future::pending().await };
    let mut connections = FuturesUnordered::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(_) if connections.len() >= MAX_CONNECTIONS => {}
                Ok((stream, _)) => connections.push(connection(Arc::clone(proxy), stream)),
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            Some(()) = connections.next(), if !connections.is_empty() => {}
        }
    }
}

async fn connection(proxy: Arc<Proxy>, stream: TcpStream) {
    let service = hyper::service::service_fn(|request: Request<hyper::body::Incoming>| {
        let proxy = Arc::clone(&proxy);
        async move { Ok::<_, Infallible>(answer(&proxy, &request).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(event = "connection.broken", error = %error);
    }
}

async fn answer<B>(proxy: &Proxy, request: &Request<B>) -> Response<Reply> {
    let config = proxy.live.current();
    if request.uri().path() != "/metrics" || !matches!(*request.method(), Method::GET | Method::HEAD) {
        return json(404, "{\"error\":\"there is GET /metrics here and nothing else\"}");
    }
    if config.metrics.token.is_some() && !is_opened(request.headers(), &config.metrics) {
        return json(401, "{\"error\":\"the token of [metrics] is needed as `Authorization: Bearer …`\"}");
    }
    show(proxy, request.headers()).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::server::proxy::tests::proxy;

    #[tokio::test]
    async fn figures_are_there_from_the_first_moment() {
        let proxy = proxy();
        let turn = proxy.turns.begin();
        let reading = reading(&proxy).await;
        assert_eq!(reading.turns, [("reading", 1), ("streaming", 0), ("waiting", 0)]);
        drop(turn);
        let response = show(&proxy, &HeaderMap::new()).await;
        assert_eq!(response.headers()[CONTENT_TYPE], TEXT);
    }

    #[test]
    fn what_the_watchdog_did_is_added_up_by_fault_and_by_remedy() {
        let fix =
            |remedy: &str, successes: u64| json!({ "remedy": remedy, "successes": successes, "failures": 1 });
        let known = json!({ "incidents": [
            { "fault": "A1", "seen": 2, "fixes": [fix("restart_proxy", 3)] },
            { "fault": "A1", "seen": 1, "fixes": [fix("restart_proxy", 1), fix("wait", 0)] },
        ]});
        let reading = of_watchdog(&known);
        assert_eq!(reading.faults, [("A1".to_owned(), 3)]);
        assert_eq!(reading.actions, [("restart_proxy".to_owned(), 4, 2), ("wait".to_owned(), 0, 1)]);
        assert!(of_watchdog(&json!({})).faults.is_empty());
    }
}
