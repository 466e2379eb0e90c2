//! One request to the action of its route, and everything that may keep it from there.

use std::io;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::header::{ALLOW, CONNECTION, HeaderValue, UPGRADE};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request, Response};
use latimer_protocol::status::PROBE_PID;
use latimer_protocol::surrogates;

use super::access::Pages;
use super::admission::Admitted;
use super::api::changes::Who;
use super::asker::Asker;
use super::proxy::Proxy;
use super::refusals::RefusalWatch;
use super::router::{self, Action, Admin, Count, DocumentRequest, RouteMatch, Stored, Turn};
use super::transport::ConnectionOrigin;
use super::websocket::{self, UpgradeSlot};
use super::{
    access, admin, agents, api, documents, forwarded, metrics, page, proof, readiness, request_body,
    stored_responses, watchdog,
};
use crate::clock;
use crate::config::Config;
use crate::http::refusal::Refusal;
use crate::http::reply::{Reply, json};
use crate::inbound::gemini::target::{Method as GeminiMethod, Target};
use crate::inbound::wire::depth;
use crate::keys::keyring::ClientKey;
use crate::lifecycle::phase::Phase;
use crate::{probe, turn};

/// What the requests of one connection share.
pub(super) struct ConnectionContext {
    /// The port that the client connected to.
    pub(super) port: u16,
    /// The address that it connected to.
    pub(super) local: Option<IpAddr>,
    /// From where it did.
    pub(super) peer: Option<IpAddr>,
    pub(super) origin: ConnectionOrigin,
    pub(super) admitted: Admitted,
    pub(super) upgrade: UpgradeSlot,
}

/// Answers one request, whatever becomes of it: a refusal and a panic are responses too.
pub(super) async fn answer(
    proxy: &Proxy,
    request: Request<Incoming>,
    connection: &ConnectionContext,
) -> Response<Reply> {
    let id = proxy.request_name();
    let uri = request.uri().clone();
    let address = forwarded::client(request.headers(), connection.origin, connection.peer);
    let found = router::find(uri.path());
    let protocol = found.protocol(request.headers());
    let result = AssertUnwindSafe(dispatch(proxy, found, request, &id, connection)).catch_unwind().await;
    let mut response = match result {
        Ok(Ok(response)) => response,
        Ok(Err(refusal)) => {
            tracing::debug!(event = "request.refused", request = %id, status = refusal.status, code = refusal.code, address = ?address);
            refusal.into_response(protocol, &id)
        }
        Err(_) => {
            tracing::error!(event = "request.panicked", request = %id);
            Refusal::new(500, "server_error", "internal_error")
                .message(format!("latimer made a mistake; its log has the details under {id}"))
                .into_response(protocol, &id)
        }
    };
    if let Ok(value) = HeaderValue::try_from(id) {
        response.headers_mut().insert("x-request-id", value);
    }
    proxy.metrics.answered(protocol.name(), response.status().as_u16());
    if matches!(proxy.phase(), Phase::Leaving | Phase::HandingOver) {
        // The next request of this client shall go to the other process.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A request on its way to its action.
struct Received<'r> {
    head: Parts,
    body: Incoming,
    /// The configuration of this moment.
    config: Arc<Config>,
    /// The name of the request in the log.
    id: &'r str,
    asker: Asker,
}

impl Received<'_> {
    /// The whole body, within the limit of the configuration. What no parser would take is mended here, for every protocol.
    async fn body(self) -> Result<(Parts, bytes::Bytes), Refusal> {
        let limit = self.config.server.body_limit;
        let body = request_body::read(&self.head.headers, self.body, limit).await?;
        if depth::exceeds(&body, depth::MAX_DEPTH) {
            return Err(Refusal::invalid(400, "invalid_type").message(depth::TOO_DEEP));
        }
        let body = surrogates::mend(&body).map_or(body, bytes::Bytes::from);
        Ok((self.head, body))
    }

    /// A body of a few bytes, within this limit.
    async fn small_body(self, limit: usize) -> Result<bytes::Bytes, Refusal> {
        request_body::read(&self.head.headers, self.body, limit).await
    }

    fn query(&self) -> &str {
        self.head.uri.query().unwrap_or_default()
    }
}

/// Checks who asks, and for what.
async fn dispatch(
    proxy: &Proxy,
    found: RouteMatch<'_>,
    request: Request<Incoming>,
    id: &str,
    connection: &ConnectionContext,
) -> Result<Response<Reply>, Refusal> {
    let (mut head, body) = request.into_parts();
    let config = proxy.live.current();
    if found.is_for_load_balancers() {
        return found.action(&head.method).and_then(|action| readiness::show(proxy, &action));
    }
    forwarded::take_over(&mut head.headers, connection.origin)?;
    if head.uri.authority().is_some() {
        return Err(Refusal::invalid(400, "invalid_target")
            .message("latimer is not a forward proxy; send a path, not a whole URL"));
    }
    access::check_framing(&head.headers)?;
    let pages = if found.is_for_pages() { Pages::Own } else { Pages::None };
    let names =
        access::ServerNames { hosts: &config.server.hosts, port: connection.port, address: connection.local };
    access::check_origin(&head.headers, names, pages)?;
    if found.is_for_figures() && metrics::is_opened(&head.headers, &config.metrics) {
        found.action(&head.method)?;
        return Ok(metrics::show(proxy, &head.headers).await);
    }
    let asker = Asker::of(proxy, &head.headers, &config, pages, connection.port).await;
    let takes_websocket = found.takes_websocket();
    let action = found.action(&head.method);
    if action.as_ref().map_or(true, Action::needs_token) {
        asker.check_came_in()?;
    }
    if asker.came_in() {
        connection.admitted.prove();
    }
    if takes_websocket && wants_upgrade(&head.headers) {
        return open_websocket(proxy, head, &config, asker.into_key(), &connection.upgrade);
    }
    let action = action?;
    asker.check(&action, &head.headers, proxy)?;
    carry_out(proxy, action, Received { head, body, config, id, asker }, connection).await
}

/// Carries out what somebody may ask for.
async fn carry_out(
    proxy: &Proxy,
    action: Action<'_>,
    received: Received<'_>,
    connection: &ConnectionContext,
) -> Result<Response<Reply>, Refusal> {
    let (scope, id) = (received.asker.scope(), received.id);
    match action {
        Action::Turn(turn) => begin_turn(proxy, turn, received).await,
        Action::Gemini(target) => gemini_call(proxy, &target, received).await,
        Action::Count(count) => {
            let (_, body) = received.body().await?;
            Ok(match count {
                Count::Response => turn::input_tokens(&proxy.seal, &body),
                Count::Message => turn::messages_count(&proxy.seal, &body, id),
            })
        }
        Action::Stored(Stored::Get(id)) => {
            stored_responses::get(&proxy.store, &scope, id, received.query()).await
        }
        Action::Stored(Stored::Delete(id)) => stored_responses::delete(&proxy.store, &scope, id).await,
        Action::Stored(Stored::Cancel(id)) => stored_responses::cancel(&proxy.store, &scope, id).await,
        Action::Stored(Stored::InputItems(id)) => {
            stored_responses::input_items(&proxy.store, &scope, id, received.query()).await
        }
        Action::Document(DocumentRequest::Root) if page::is_wanted(&received.head.headers) => {
            Ok(page::redirect())
        }
        Action::Document(document) => {
            let viewer = received.asker.viewer();
            let mut response =
                documents::show(proxy, document, &received.config, &received.head.headers, viewer)?;
            if let Some(key) = proxy.entry.proof_key() {
                proof::answer(&received.head.headers, &key, connection.port, response.headers_mut());
            }
            Ok(response)
        }
        Action::Agents(asked) => {
            let (query, body) = agents_body(proxy, received).await?;
            agents::carry_out(proxy, asked, &query, &body, connection.port).await
        }
        Action::Api(document) => {
            let csrf = received.asker.session().map(|session| session.csrf(&proxy.page_seal()));
            api::show(proxy, document, received.query(), &received.config, csrf).await
        }
        Action::Change(change) => {
            let who = if matches!(received.asker, Asker::Owner) { Who::Token } else { Who::Page };
            let change = change.to_owned();
            let body = received.small_body(api::changes::BODY_LIMIT).await?;
            api::changes::carry_out(proxy, &change, who, &body, id).await
        }
        Action::Page(file) => page::show(file),
        Action::BeginSession => {
            let body = received.small_body(page::BODY_LIMIT).await?;
            page::begin_session(proxy, &body, connection.port)
        }
        Action::Metrics => Ok(metrics::show(proxy, &received.head.headers).await),
        Action::Alive | Action::Ready => readiness::show(proxy, &action),
        Action::Admin(admin) => administer(proxy, admin, received).await,
        Action::Unavailable(what) => Err(what.refusal()),
        Action::Options(allow) => {
            let mut response = json(204, "");
            if let Ok(allow) = HeaderValue::try_from(allow) {
                response.headers_mut().insert(ALLOW, allow);
            }
            Ok(response)
        }
    }
}

/// Begins a turn, or the probe's.
async fn begin_turn(proxy: &Proxy, turn: Turn, received: Received<'_>) -> Result<Response<Reply>, Refusal> {
    if turn == Turn::Response {
        return response_turn(proxy, received).await;
    }
    let mut context = proxy.begin_turn_for(received.asker.key(), received.id).await?;
    let watch = RefusalWatch::of(proxy, &context, &received.head.headers);
    let (head, body) = watch.body(received.body().await)?;
    context.received = clock::now();
    Ok(watch.response(match turn {
        Turn::Response => turn::responses(context, &head.headers, body).await,
        Turn::Compaction => turn::compact(context, &head.headers, body).await,
        Turn::Chat => turn::chat(context, &head.headers, body).await,
        Turn::Message => turn::messages(context, &head.headers, body).await,
    }))
}

/// A turn of the Responses API. The probe is asked for like any other turn, and only its body tells.
async fn response_turn(proxy: &Proxy, received: Received<'_>) -> Result<Response<Reply>, Refusal> {
    proxy.check_accepts_turns()?;
    let id = received.id;
    // The probe is the owner's; and a key is over its limit before its body is read.
    let of_key = match received.asker.key() {
        Some(key) => Some(proxy.begin_turn_for(Some(key), id).await?),
        None => None,
    };
    let (head, body) = received.body().await?;
    let is_probe = of_key.is_none() && probe::asks(&body);
    let mut context = if let Some(context) = of_key {
        context
    } else if is_probe {
        let stage = proxy.probe.stage().await.map_err(|error| no_probe(&error))?;
        let mut context = proxy.turn_context(stage.turns.begin(), id);
        context.endpoint_set = Arc::clone(&stage.endpoint_set);
        context.recording = turn::Recording::FailuresOnly;
        context
    } else {
        proxy.begin_turn(id)?
    };
    context.received = clock::now();
    let watch = RefusalWatch::of(proxy, &context, &head.headers);
    let mut response = turn::responses(context, &head.headers, body).await;
    if is_probe {
        response.headers_mut().insert(PROBE_PID, HeaderValue::from(std::process::id()));
        return Ok(response);
    }
    Ok(watch.response(response))
}

/// Begins a turn of a Gemini client, or counts its tokens.
async fn gemini_call(
    proxy: &Proxy,
    target: &Target,
    received: Received<'_>,
) -> Result<Response<Reply>, Refusal> {
    if target.method == GeminiMethod::Count {
        let (_, body) = received.body().await?;
        return Ok(turn::generate_count(&proxy.seal, &body, &target.model));
    }
    let mut context = proxy.begin_turn_for(received.asker.key(), received.id).await?;
    let watch = RefusalWatch::of(proxy, &context, &received.head.headers);
    let (head, body) = watch.body(received.body().await)?;
    context.received = clock::now();
    let form = target.form(head.uri.query());
    let caller = turn::GeminiCaller { headers: &head.headers, model: &target.model, form };
    Ok(watch.response(turn::generate(context, caller, body).await))
}

/// The query and the body of a request for `/v1/agents`; a change is meant as one of `/v1/admin` must be.
async fn agents_body(proxy: &Proxy, received: Received<'_>) -> Result<(String, bytes::Bytes), Refusal> {
    let query = received.query().to_owned();
    let headers = &received.head.headers;
    if received.head.method != Method::GET {
        admin::check_intent(headers, proxy.entry.carries_token(headers))?;
    }
    if received.body.is_end_stream() {
        return Ok((query, bytes::Bytes::new()));
    }
    Ok((query, received.small_body(agents::BODY_LIMIT).await?))
}

async fn administer(
    proxy: &Proxy,
    admin: Admin<'_>,
    received: Received<'_>,
) -> Result<Response<Reply>, Refusal> {
    let overrides = &proxy.endpoints.overrides;
    if received.head.method != Method::GET {
        admin::check_intent(&received.head.headers, proxy.entry.carries_token(&received.head.headers))?;
    }
    match admin {
        Admin::Overrides => Ok(admin::list(overrides)),
        Admin::AddOverride => {
            let body = request_body::read(&received.head.headers, received.body, admin::BODY_LIMIT).await?;
            admin::add(overrides, &received.config, &body)
        }
        Admin::RemoveOverrides(id) => admin::remove(overrides, id),
        Admin::Forget(endpoint) => admin::forget(&proxy.memory.limitations, endpoint, None),
        Admin::Retry(endpoint) => Ok(admin::retry(&proxy.endpoints(), endpoint)),
        Admin::Reconnect(endpoint) => Ok(admin::reconnect(&proxy.endpoints, endpoint)),
        Admin::Watchdog => watchdog::show(proxy.state_dir().as_deref()).await,
        Admin::CancelOrder(id) => watchdog::cancel(proxy.state_dir().as_deref(), id).await,
    }
}

/// Agrees to the Responses API over WebSocket, where it is on.
fn open_websocket(
    proxy: &Proxy,
    head: Parts,
    config: &Config,
    key: Option<Arc<ClientKey>>,
    upgrade: &UpgradeSlot,
) -> Result<Response<Reply>, Refusal> {
    if !config.server.websocket || !websocket::is_requested(&head.headers) {
        // Codex falls back to plain HTTP at once on 426, and only then.
        return Err(Refusal::invalid(426, "upgrade_not_supported").message("latimer speaks the Responses protocol over HTTP, not over WebSocket, unless `server.websocket` is true; send POST /v1/responses"));
    }
    proxy.check_accepts_turns()?;
    upgrade.open(head, config.server.body_limit, key)
}

fn wants_upgrade(headers: &HeaderMap) -> bool {
    let names_it = |value: &HeaderValue| {
        value.to_str().is_ok_and(|value| value.to_ascii_lowercase().contains("upgrade"))
    };
    headers.contains_key(UPGRADE) && headers.get(CONNECTION).is_none_or(names_it)
}

fn no_probe(error: &io::Error) -> Refusal {
    Refusal::new(503, "server_error", "probe_unavailable")
        .message(format!("the probe cannot be answered: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upgrade_is_wanted_only_where_both_headers_say_so() {
        let cases: [(&[(&'static str, &'static str)], bool); 5] = [
            (&[("upgrade", "websocket"), ("connection", "keep-alive, Upgrade")], true),
            (&[("upgrade", "websocket")], true),
            (&[("upgrade", "websocket"), ("connection", "close")], false),
            (&[("connection", "upgrade")], false),
            (&[], false),
        ];
        for (pairs, want) in cases {
            let headers = pairs.iter().map(|(name, value)| {
                (name.parse::<hyper::header::HeaderName>().expect("a name"), HeaderValue::from_static(value))
            });
            assert_eq!(wants_upgrade(&headers.collect()), want, "{pairs:?}");
        }
    }
}
