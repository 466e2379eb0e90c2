//! The table of routes: pattern, methods, action. Common mistakes are accepted: a doubled or missing `/v1`, a trailing slash.
//!
//! A path is matched once, by [`find`]. The first row that fits it counts; a row with a parameter stands behind those that are
//! spelled out. What a method does there is an [`Action`], and only `dispatch` carries it out.

use hyper::{HeaderMap, Method};

use self::Family::{ByHeaders, Chat, Gemini, Messages};
use self::Verb::{Delete, Get, Patch, Post};
pub(super) use super::action::{
    Action, Admin, AgentsRequest, Count, DocumentRequest, Stored, Turn, Unavailable,
};
use crate::http::refusal::Refusal;
use crate::inbound::client_protocol::ClientProtocol;
use crate::inbound::gemini::target::Target;
use crate::{text, turn};

/// Every route.
const ROUTES: &[Route] = &[
    fixed("/v1/responses", ByHeaders, &[(Post, Action::Turn(Turn::Response))]).over_websocket(),
    fixed("/v1/responses/compact", ByHeaders, &[(Post, Action::Turn(Turn::Compaction))]),
    fixed("/v1/responses/input_tokens", ByHeaders, &[(Post, Action::Count(Count::Response))]),
    with_id(
        "/v1/responses/{id}",
        ByHeaders,
        &[(Get, |id| Action::Stored(Stored::Get(id))), (Delete, |id| Action::Stored(Stored::Delete(id)))],
    ),
    with_id("/v1/responses/{id}/cancel", ByHeaders, &[(Post, |id| Action::Stored(Stored::Cancel(id)))]),
    with_id(
        "/v1/responses/{id}/input_items",
        ByHeaders,
        &[(Get, |id| Action::Stored(Stored::InputItems(id)))],
    ),
    fixed("/v1/chat/completions", Chat, &[(Post, Action::Turn(Turn::Chat))]),
    with_id("/v1/images/{*task}", Chat, &[(Post, |_| Action::Unavailable(Unavailable::Images))]),
    fixed("/v1/messages", Messages, &[(Post, Action::Turn(Turn::Message))]),
    fixed("/v1/messages/count_tokens", Messages, &[(Post, Action::Count(Count::Message))]),
    gemini_call("/v1beta/models/{model}:generateContent", &[(Post, Action::Gemini)]),
    fixed("/v1beta/models", Gemini, &[(Get, Action::Document(DocumentRequest::GeminiModels))]),
    with_id(
        "/v1beta/models/{*id}",
        Gemini,
        &[(Get, |id| Action::Document(DocumentRequest::GeminiModel(id)))],
    ),
    fixed("/v1/models", ByHeaders, &[(Get, Action::Document(DocumentRequest::Models))]),
    with_id("/v1/models/{*id}", ByHeaders, &[(Get, |id| Action::Document(DocumentRequest::Model(id)))]),
    fixed("/v1/accounts", ByHeaders, &[(Get, Action::Document(DocumentRequest::Accounts))]),
    fixed("/v1/turns", ByHeaders, &[(Get, Action::Document(DocumentRequest::Turns))]),
    with_id("/v1/turns/{*id}", ByHeaders, &[(Get, |id| Action::Document(DocumentRequest::Turn(id)))]),
    fixed(
        "/v1/admin/overrides",
        ByHeaders,
        &[
            (Get, Action::Admin(Admin::Overrides)),
            (Post, Action::Admin(Admin::AddOverride)),
            (Delete, Action::Admin(Admin::RemoveOverrides(None))),
        ],
    ),
    with_id(
        "/v1/admin/overrides/{*id}",
        ByHeaders,
        &[(Delete, |id| Action::Admin(Admin::RemoveOverrides(Some(id))))],
    ),
    fixed("/v1/admin/learned", ByHeaders, &[(Delete, Action::Admin(Admin::Forget(None)))]),
    with_id(
        "/v1/admin/learned/{*endpoint}",
        ByHeaders,
        &[(Delete, |endpoint| Action::Admin(Admin::Forget(Some(endpoint))))],
    ),
    fixed("/v1/admin/retry", ByHeaders, &[(Post, Action::Admin(Admin::Retry(None)))]),
    with_id(
        "/v1/admin/retry/{*endpoint}",
        ByHeaders,
        &[(Post, |endpoint| Action::Admin(Admin::Retry(Some(endpoint))))],
    ),
    fixed("/v1/admin/reconnect", ByHeaders, &[(Post, Action::Admin(Admin::Reconnect(None)))]),
    with_id(
        "/v1/admin/reconnect/{*endpoint}",
        ByHeaders,
        &[(Post, |endpoint| Action::Admin(Admin::Reconnect(Some(endpoint))))],
    ),
    fixed(
        "/v1/agents/profiles",
        ByHeaders,
        &[(Get, Action::Agents(AgentsRequest::Profiles)), (Post, Action::Agents(AgentsRequest::AddProfile))],
    ),
    with_id(
        "/v1/agents/profiles/{id}",
        ByHeaders,
        &[
            (Get, |id| Action::Agents(AgentsRequest::Profile(id))),
            (Delete, |id| Action::Agents(AgentsRequest::DeleteProfile(id))),
        ],
    ),
    fixed(
        "/v1/agents/runs",
        ByHeaders,
        &[(Get, Action::Agents(AgentsRequest::Runs)), (Post, Action::Agents(AgentsRequest::StartRun))],
    ),
    with_id(
        "/v1/agents/runs/{id}",
        ByHeaders,
        &[
            (Get, |id| Action::Agents(AgentsRequest::Run(id))),
            (Delete, |id| Action::Agents(AgentsRequest::DeleteRun(id))),
        ],
    ),
    with_id(
        "/v1/agents/runs/{id}/events",
        ByHeaders,
        &[(Get, |id| Action::Agents(AgentsRequest::RunEvents(id)))],
    ),
    with_id(
        "/v1/agents/runs/{id}/input",
        ByHeaders,
        &[(Post, |id| Action::Agents(AgentsRequest::PushInput(id)))],
    ),
    with_id(
        "/v1/agents/runs/{id}/cancel",
        ByHeaders,
        &[(Post, |id| Action::Agents(AgentsRequest::CancelRun(id)))],
    ),
    fixed(
        "/v1/agents/messages",
        ByHeaders,
        &[(Get, Action::Agents(AgentsRequest::Messages)), (Post, Action::Agents(AgentsRequest::SendMessage))],
    ),
    fixed("/v1/agents/messages/take", ByHeaders, &[(Post, Action::Agents(AgentsRequest::TakeMessages))]),
    with_id(
        "/v1/agents/messages/{id}/read",
        ByHeaders,
        &[(Post, |id| Action::Agents(AgentsRequest::ReadMessage(id)))],
    ),
    fixed(
        "/v1/agents/schedules",
        ByHeaders,
        &[
            (Get, Action::Agents(AgentsRequest::Schedules)),
            (Post, Action::Agents(AgentsRequest::AddSchedule)),
        ],
    ),
    with_id(
        "/v1/agents/schedules/{id}",
        ByHeaders,
        &[
            (Get, |id| Action::Agents(AgentsRequest::Schedule(id))),
            (Patch, |id| Action::Agents(AgentsRequest::SwitchSchedule(id))),
            (Delete, |id| Action::Agents(AgentsRequest::DeleteSchedule(id))),
        ],
    ),
    with_id(
        "/v1/agents/schedules/{id}/run",
        ByHeaders,
        &[(Post, |id| Action::Agents(AgentsRequest::RunSchedule(id)))],
    ),
    fixed("/v1/agents/pools", ByHeaders, &[(Get, Action::Agents(AgentsRequest::Pools))]),
    with_id(
        "/v1/agents/pools/{id}/restart",
        ByHeaders,
        &[(Post, |id| Action::Agents(AgentsRequest::RestartPool(id)))],
    ),
    with_id(
        "/api/v1/{*document}",
        ByHeaders,
        &[(Get, |document| Action::Api(document)), (Post, |change| Action::Change(change))],
    ),
    fixed("/ui", ByHeaders, &[(Get, Action::Page(""))]),
    fixed("/ui/session", ByHeaders, &[(Post, Action::BeginSession)]),
    with_id("/ui/{*file}", ByHeaders, &[(Get, |file| Action::Page(file))]),
    fixed("/watchdog", ByHeaders, &[(Get, Action::Admin(Admin::Watchdog))]),
    fixed("/watchdog/cancel", ByHeaders, &[(Post, Action::Admin(Admin::CancelOrder(None)))]),
    with_id("/watchdog/cancel/{*id}", ByHeaders, &[(Post, |id| Action::Admin(Admin::CancelOrder(Some(id))))]),
    fixed("/metrics", ByHeaders, &[(Get, Action::Metrics)]),
    fixed("/healthz", ByHeaders, &[(Get, Action::Alive)]),
    fixed("/readyz", ByHeaders, &[(Get, Action::Ready)]),
    fixed("/health", ByHeaders, &[(Get, Action::Document(DocumentRequest::Health))]),
    fixed("/", ByHeaders, &[(Get, Action::Document(DocumentRequest::Root))]),
];

/// The methods that routes have. Where there is `GET`, there is `HEAD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Get,
    Post,
    Patch,
    Delete,
}

impl Verb {
    fn of(method: &Method) -> Option<Self> {
        match *method {
            Method::GET | Method::HEAD => Some(Get),
            Method::POST => Some(Post),
            Method::PATCH => Some(Patch),
            Method::DELETE => Some(Delete),
            _ => None,
        }
    }

    fn allow(self) -> &'static str {
        match self {
            Get => "GET, HEAD",
            Post => "POST",
            Patch => "PATCH",
            Delete => "DELETE",
        }
    }
}

/// The protocol whose clients use a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Chat,
    Messages,
    Gemini,
    /// Clients of several protocols do; their headers tell.
    ByHeaders,
}

/// One row of the table.
struct Route {
    /// As documented. `{id}` stands for one segment, `{*id}` for all that follow.
    pattern: &'static str,
    family: Family,
    methods: Methods,
    /// Whether a connection may change to WebSocket here, whatever the methods are.
    websocket: bool,
}

/// What each method does, by what the path holds.
enum Methods {
    /// Nothing.
    Fixed(FixedMethods),
    /// An id.
    WithId(IdMethods),
    /// A model and what is asked of it, as [`Target`] reads it.
    GeminiCall(CallMethods),
}

type FixedMethods = &'static [(Verb, Action<'static>)];
type IdMethods = &'static [(Verb, for<'p> fn(&'p str) -> Action<'p>)];
type CallMethods = &'static [(Verb, fn(Target) -> Action<'static>)];

const fn fixed(pattern: &'static str, family: Family, methods: FixedMethods) -> Route {
    Route { pattern, family, methods: Methods::Fixed(methods), websocket: false }
}

const fn with_id(pattern: &'static str, family: Family, methods: IdMethods) -> Route {
    Route { pattern, family, methods: Methods::WithId(methods), websocket: false }
}

const fn gemini_call(pattern: &'static str, methods: CallMethods) -> Route {
    Route { pattern, family: Gemini, methods: Methods::GeminiCall(methods), websocket: false }
}

/// A path with the row that fits it, if there is one.
pub(super) struct RouteMatch<'p> {
    path: &'p str,
    route: Option<(&'static Route, Offer<'p>)>,
}

/// What the methods of a row do at one path.
enum Offer<'p> {
    Fixed(FixedMethods),
    WithId(IdMethods, &'p str),
    GeminiCall(CallMethods, Target),
}

/// Finds the row of a path, whatever the method.
pub(super) fn find(path: &str) -> RouteMatch<'_> {
    let bare = bare(path);
    RouteMatch { path, route: ROUTES.iter().find_map(|route| Some((route, route.offer(path, bare)?))) }
}

impl Route {
    const fn over_websocket(mut self) -> Self {
        self.websocket = true;
        self
    }

    /// `path` as it came, and `bare` without what does not matter.
    fn offer<'p>(&self, path: &'p str, bare: &'p str) -> Option<Offer<'p>> {
        let pattern = self::bare(self.pattern);
        match self.methods {
            Methods::Fixed(methods) => (pattern == bare).then_some(Offer::Fixed(methods)),
            Methods::WithId(methods) => Some(Offer::WithId(methods, id(pattern, bare)?)),
            Methods::GeminiCall(methods) => Some(Offer::GeminiCall(methods, Target::read(path)?)),
        }
    }

    fn verbs(&self) -> Vec<Verb> {
        match self.methods {
            Methods::Fixed(methods) => methods.iter().map(|(verb, _)| *verb).collect(),
            Methods::WithId(methods) => methods.iter().map(|(verb, _)| *verb).collect(),
            Methods::GeminiCall(methods) => methods.iter().map(|(verb, _)| *verb).collect(),
        }
    }

    /// The header `Allow`.
    fn allow(&self) -> String {
        self.verbs().into_iter().map(Verb::allow).collect::<Vec<_>>().join(", ")
    }
}

impl<'p> Offer<'p> {
    fn action(self, verb: Verb) -> Option<Action<'p>> {
        match self {
            Self::Fixed(methods) => pick(methods, verb).cloned(),
            Self::WithId(methods, id) => pick(methods, verb).map(|action| action(id)),
            Self::GeminiCall(methods, target) => pick(methods, verb).map(|action| action(target)),
        }
    }
}

fn pick<T>(methods: &'static [(Verb, T)], verb: Verb) -> Option<&'static T> {
    methods.iter().find(|(known, _)| *known == verb).map(|(_, action)| action)
}

impl<'p> RouteMatch<'p> {
    /// What the method does here.
    ///
    /// # Errors
    ///
    /// There is nothing at the path (404, with the path that was probably meant), or it takes other methods (405).
    pub(super) fn action(self, method: &Method) -> Result<Action<'p>, Refusal> {
        let Some((route, offer)) = self.route else { return Err(unknown(self.path)) };
        if *method == Method::OPTIONS {
            return Ok(Action::Options(route.allow()));
        }
        Verb::of(method).and_then(|verb| offer.action(verb)).ok_or_else(|| {
            let allow = route.allow();
            let shown = text::shown(method.as_str(), 20);
            let message = format!("{} takes {allow}, not {shown}", route.pattern);
            Refusal {
                allow: Some(allow.into()),
                ..Refusal::invalid(405, "method_not_allowed").message(message)
            }
        })
    }

    /// Whether pages of latimer's own origin may ask here.
    pub(super) fn is_for_pages(&self) -> bool {
        self.route
            .as_ref()
            .is_some_and(|(route, _)| route.pattern.starts_with("/api/") || route.pattern.starts_with("/ui"))
    }

    /// Whether a load balancer asks here, by whatever name it knows the node.
    pub(super) fn is_for_load_balancers(&self) -> bool {
        self.route.as_ref().is_some_and(|(route, _)| matches!(route.pattern, "/healthz" | "/readyz"))
    }

    /// Whether figures are shown here.
    pub(super) fn is_for_figures(&self) -> bool {
        self.route.as_ref().is_some_and(|(route, _)| route.pattern == "/metrics")
    }

    /// Whether a connection may change to WebSocket here.
    pub(super) fn takes_websocket(&self) -> bool {
        self.route.as_ref().is_some_and(|(route, _)| route.websocket)
    }

    /// The protocol in which the client reads refusals: by the path, else by headers that only one protocol's clients send.
    pub(super) fn protocol(&self, headers: &HeaderMap) -> ClientProtocol {
        let family = self.route.as_ref().map_or_else(|| nearest_family(self.path), |(route, _)| route.family);
        let google_key = headers.contains_key("x-goog-api-key");
        let agent = turn::is_claude_code(headers) || turn::is_opencode(headers);
        let messages = ClientProtocol::Messages { agent };
        match family {
            Messages => messages,
            Gemini => ClientProtocol::Gemini { cli: turn::is_gemini_cli(headers) },
            Chat | ByHeaders if !google_key && headers.contains_key("anthropic-version") => messages,
            Chat => ClientProtocol::Chat { opencode: turn::is_opencode(headers) },
            ByHeaders if google_key => ClientProtocol::Gemini { cli: turn::is_gemini_cli(headers) },
            ByHeaders => ClientProtocol::Responses { client: turn::responses_client(headers) },
        }
    }
}

/// The family of an unknown path: that of the rows which begin like it.
fn nearest_family(path: &str) -> Family {
    let bare = bare(path);
    let first =
        |pattern: &'static str| self::bare(pattern).split('/').next().filter(|first| !first.is_empty());
    let begins = |route: &&Route| first(route.pattern).is_some_and(|first| bare.starts_with(first));
    ROUTES.iter().find(begins).map_or(ByHeaders, |route| route.family)
}

/// What stands in a path where the pattern has a parameter.
fn id<'p>(pattern: &str, path: &'p str) -> Option<&'p str> {
    let (before, rest) = pattern.split_once('{')?;
    let (name, after) = rest.split_once('}')?;
    let id = path.strip_prefix(before)?.strip_suffix(after)?;
    let fits = !id.is_empty() && (name.starts_with('*') || !id.contains('/'));
    fits.then_some(id)
}

/// The path without any number of leading `/v1`, without slashes at its ends.
fn bare(path: &str) -> &str {
    let mut rest = path.trim_matches('/');
    while let Some(shorter) = rest.strip_prefix("v1") {
        if !shorter.is_empty() && !shorter.starts_with('/') {
            break;
        }
        rest = shorter.trim_start_matches('/');
    }
    rest
}

fn unknown(path: &str) -> Refusal {
    let shown = text::shown(path, text::MAX_NAME);
    let nearest = ROUTES
        .iter()
        .map(|route| (strsim::jaro_winkler(&shown, route.pattern), route.pattern))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or("/v1/responses", |(_, pattern)| pattern);
    Refusal::invalid(404, "not_found").message(format!(
        "there is nothing at `{shown}`; the closest path is `{nearest}` (latimer answers POST /v1/responses, /v1/chat/completions and /v1/messages, GET /v1/models and /health)"
    ))
}

#[cfg(test)]
mod tests;
