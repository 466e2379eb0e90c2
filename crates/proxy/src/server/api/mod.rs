//! What pages and scripts may know, below `/api/v1`: one set of documents, whose types are in `protocol::status`. Reading only.

pub(super) mod changes;
mod configured;
pub(super) mod live;
pub(in crate::server) mod query;
pub(super) mod quota;
mod requests;
mod settings;

use std::sync::Arc;

use hyper::Response;
use hyper::header::{HeaderName, HeaderValue};
use latimer_protocol::status::{SCHEMA_VERSION, TurnPage, TurnReport, UsageReport};
use serde::Serialize;
use serde_json::{Value, json};

use self::query::Query;
use super::proxy::Proxy;
use super::{accounts, health, watchdog};
use crate::clock;
use crate::config::{Config, edit};
use crate::http::refusal::Refusal;
use crate::http::reply::{Reply, json as reply};
use crate::recent_log::{self, Level};
use crate::store::engine::{Engine, StoreError};
use crate::store::turn_rows::TurnQuery;
use crate::store::usage::GroupBy;
use crate::text;

/// What can be asked for, as a page and a refusal name it.
const DOCUMENTS: [&str; 15] = [
    "turns",
    "turns/ID",
    "turns/ID/requests",
    "live",
    "usage",
    "endpoints",
    "models",
    "plan",
    "accounts",
    "quota",
    "incidents",
    "config",
    "clients",
    "logs",
    "health",
];

/// Turns under way that a list shows.
const MAX_RUNNING: usize = 100;

/// Shows the document at this path below `/api/v1`. A page that asks is told what its changes need.
///
/// # Errors
///
/// There is no such document or turn (404), a parameter cannot be read (400), or the store cannot be read (503).
pub(super) async fn show(
    proxy: &Proxy,
    document: &str,
    query: &str,
    config: &Config,
    csrf: Option<String>,
) -> Result<Response<Reply>, Refusal> {
    let query = Query::read(query);
    let mut response = match document.split_once('/').unwrap_or((document, "")) {
        ("turns", "") => whole(&turns(proxy, &query).await?),
        ("turns", id) => match id.strip_suffix("/requests") {
            Some(id) => whole(&requests::show(proxy, id)),
            None => whole(&turn(proxy, id).await?),
        },
        ("config", "") => whole(&settings::show(&proxy.live)?),
        ("clients", "") => whole(&proxy.clients.document().await),
        ("logs", "") => whole(&list_of_lines(&query)?),
        ("session", "") => whole(&json!({
            "schema_version": SCHEMA_VERSION,
            "csrf": csrf,
            "documents": DOCUMENTS,
        })),
        ("live", "") => proxy.feed.subscribe(),
        ("usage", "") => whole(&usage(proxy, &query).await?),
        ("endpoints", "") => whole(&list(configured::endpoints(proxy))),
        ("plan", "") => whole(&configured::plan(proxy, config, query.get("model").unwrap_or_default())?),
        ("models", "") => whole(&json!({
            "schema_version": SCHEMA_VERSION,
            "data": configured::models(config),
            "routes": configured::routes(config),
            "listed": configured::listed(config, proxy.state_dir().as_deref()),
        })),
        ("accounts", "") => {
            let mut document = with_version(accounts::document(&proxy.endpoints()));
            document["logins"] = proxy.logins.document();
            whole(&document)
        }
        ("quota", "") => whole(&quota::report(proxy, query.get("ask") != Some("0")).await),
        ("incidents", "") => whole(&incidents(proxy).await?),
        ("health", "") => {
            whole(&with_version(serde_json::to_value(health::health(proxy)).unwrap_or_default()))
        }
        _ => return Err(no_document(document)),
    };
    response
        .headers_mut()
        .insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    Ok(response)
}

fn whole(document: &impl Serialize) -> Response<Reply> {
    reply(200, serde_json::to_string(document).unwrap_or_default())
}

fn list(data: impl Serialize) -> Value {
    json!({ "schema_version": SCHEMA_VERSION, "data": data })
}

fn with_version(mut document: Value) -> Value {
    if let Some(object) = document.as_object_mut() {
        object.insert("schema_version".to_owned(), SCHEMA_VERSION.into());
    }
    document
}

/// `GET /api/v1/turns`: a page of turns, and on the first page those under way.
async fn turns(proxy: &Proxy, query: &Query<'_>) -> Result<TurnPage, Refusal> {
    let wanted = query.turns()?;
    let mut running =
        if wanted.before.is_none() { proxy.turns.running.list(MAX_RUNNING) } else { Vec::new() };
    running.retain(|turn| wanted.fits(turn));
    let page = if proxy.store.reader().keeps_rows() {
        let wanted = wanted.clone();
        read(proxy, move |reader| reader.page(&wanted)).await?
    } else {
        remembered(proxy, &wanted)
    };
    Ok(TurnPage {
        schema_version: SCHEMA_VERSION,
        running: running.iter().map(TurnReport::headline).collect(),
        ..page
    })
}

/// The same without a store: what the process remembers.
fn remembered(proxy: &Proxy, wanted: &TurnQuery) -> TurnPage {
    let turns = proxy.turns.traces.reports();
    let fitting = turns.iter().filter(|turn| wanted.before.is_none() && wanted.fits(turn));
    TurnPage { data: fitting.take(wanted.limit).map(|turn| turn.headline()).collect(), ..TurnPage::default() }
}

/// `GET /api/v1/turns/{id}`: everything that is known of one.
async fn turn(proxy: &Proxy, id: &str) -> Result<Value, Refusal> {
    let known = proxy.turns.running.find(id);
    let known = known.or_else(|| proxy.turns.traces.report(id).map(Arc::unwrap_or_clone));
    let report = match known {
        Some(report) => Some(report),
        None if proxy.store.reader().keeps_rows() => {
            let id = id.to_owned();
            read(proxy, move |reader| reader.turn(&id)).await?
        }
        None => None,
    };
    let report = report.ok_or_else(|| {
        let shown = text::shown(id, text::MAX_WORD);
        Refusal::invalid(404, "turn_not_found")
            .message(format!("no turn `{shown}` is remembered; GET /api/v1/turns lists those that are"))
    })?;
    Ok(with_version(serde_json::to_value(report).unwrap_or_default()))
}

/// `GET /api/v1/usage`: what `latimer usage --json` prints.
async fn usage(proxy: &Proxy, query: &Query<'_>) -> Result<Value, Refusal> {
    let by = query.get("by").unwrap_or("model");
    let group = GroupBy::from_name(by).filter(|group| *group != GroupBy::Turn).ok_or_else(|| {
        let names: Vec<&str> =
            GroupBy::NAMES.iter().map(|(name, _)| *name).filter(|name| *name != "turn").collect();
        bad(&format!("`by` is one of {}; GET /api/v1/turns lists turns", names.join(", ")))
    })?;
    let window = query.window(clock::unix_now())?;
    let (since, until) = (window.since, window.until);
    let report = if proxy.store.reader().keeps_rows() {
        read(proxy, move |reader| reader.usage(group, &window, clock::now())).await?
    } else {
        UsageReport::default()
    };
    Ok(json!({
        "schema_version": SCHEMA_VERSION,
        "by": by,
        "since": since,
        "until": until,
        "lines": report.lines,
        "total": report.total,
    }))
}

/// `GET /api/v1/incidents`: what the watchdog knows, or how to get one.
async fn incidents(proxy: &Proxy) -> Result<Value, Refusal> {
    let known = watchdog::exported(proxy.state_dir().as_deref()).await?;
    Ok(json!({
        "schema_version": SCHEMA_VERSION,
        "running": known.is_some(),
        "watchdog": known,
        "overrides": proxy.endpoints.overrides.states(clock::now()),
        "switches": settings::text(&proxy.live).map(|text| edit::switches(&text)),
        "next": known.is_none().then_some("no watchdog keeps this proxy; `latimer up` starts both"),
    }))
}

/// `GET /api/v1/logs`: the newest lines of the log, from this level on.
fn list_of_lines(query: &Query<'_>) -> Result<Value, Refusal> {
    let level = query.get("level").unwrap_or("info");
    let level = Level::from_name(level).ok_or_else(|| bad("`level` is error, warn, info or debug"))?;
    Ok(json!({ "schema_version": SCHEMA_VERSION, "lines": recent_log::lines(level) }))
}

/// Asks the store, on a thread that may wait. At the start the file may not be there yet.
async fn read<T: Send + 'static>(
    proxy: &Proxy,
    read: impl Fn(&dyn Engine) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Refusal> {
    let store = proxy.store.clone();
    let answer = tokio::task::spawn_blocking(move || {
        read(store.reader()).or_else(|error| match error {
            StoreError::File(_) => {
                store.flush();
                read(store.reader())
            }
            StoreError::Database(_) => Err(error),
        })
    });
    match answer.await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(unreadable(&error.to_string())),
        Err(error) => Err(unreadable(&error.to_string())),
    }
}

fn unreadable(error: &str) -> Refusal {
    Refusal::new(503, "server_error", "store_unreadable").message(format!(
        "the usage of this state directory cannot be read ({error}); the log says why under `store.`"
    ))
}

fn no_document(document: &str) -> Refusal {
    let shown = text::shown(document, text::MAX_WORD);
    Refusal::invalid(404, "not_found")
        .message(format!("there is no document `{shown}`; there are {}", DOCUMENTS.join(", ")))
}

fn bad(message: &str) -> Refusal {
    Refusal::invalid(400, "invalid_value").message(message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::proxy::tests::proxy;

    async fn status(document: &str, query: &str) -> u16 {
        let proxy = proxy();
        let config = proxy.live.current();
        match show(&proxy, document, query, &config, None).await {
            Ok(response) => {
                assert_eq!(response.headers()["x-content-type-options"], "nosniff", "{document}");
                assert!(response.headers().contains_key("cache-control"), "{document}");
                response.status().as_u16()
            }
            Err(refusal) => refusal.status,
        }
    }

    #[tokio::test]
    async fn every_document_is_there_also_without_a_store() {
        for document in [
            "turns",
            "live",
            "usage",
            "endpoints",
            "models",
            "accounts",
            "quota",
            "incidents",
            "config",
            "clients",
            "logs",
            "health",
        ] {
            assert_eq!(status(document, "").await, 200, "{document}");
        }
        for (document, query, want) in [
            ("turns/t1", "", 404),
            ("mood", "", 404),
            ("usage/x", "", 404),
            ("usage", "by=mood", 400),
            ("usage", "by=turn", 400),
            ("usage", "since=soon", 400),
            ("turns", "limit=many", 400),
            ("logs", "level=loud", 400),
        ] {
            assert_eq!(status(document, query).await, want, "{document}?{query}");
        }
    }

    #[tokio::test]
    async fn a_turn_is_known_while_it_runs() {
        let proxy = proxy();
        let open = proxy.turns.begin();
        let report = turn(&proxy, "t1").await.expect("known");
        assert_eq!((report["state"].as_str(), report["schema_version"].as_u64()), (Some("reading"), Some(1)));
        let page = turns(&proxy, &Query::read("filter=t1")).await.expect("a page");
        assert_eq!(page.running.len(), 1);
        drop(open);
        assert!(turns(&proxy, &Query::read("")).await.expect("a page").running.is_empty());
    }
}
