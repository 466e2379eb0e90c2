//! The table of paths. Common mistakes are accepted: a doubled or missing `/v1`, a trailing slash.

use hyper::{HeaderMap, Method};

use crate::http::refusal::Refusal;
use crate::inbound::client_protocol::ClientProtocol;
use crate::inbound::gemini::target::Target;
use crate::turn;

/// What a path and a method ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action<'p> {
    /// `POST /v1/responses`.
    Responses,
    /// `POST /v1/responses/compact`.
    Compact,
    /// `POST /v1/responses/input_tokens`.
    InputTokens,
    /// `GET /v1/responses/{id}`.
    Response(&'p str),
    /// `DELETE /v1/responses/{id}`.
    DeleteResponse(&'p str),
    /// `POST /v1/responses/{id}/cancel`.
    CancelResponse(&'p str),
    /// `GET /v1/responses/{id}/input_items`.
    InputItems(&'p str),
    /// `POST /v1/chat/completions`.
    Chat,
    /// `POST /v1/messages`.
    Messages,
    /// `POST /v1/messages/count_tokens`.
    CountTokens,
    /// `POST /v1beta/models/{id}:generateContent` and its kin.
    Generate(Target),
    /// `GET /v1beta/models`.
    GeminiModels,
    /// `GET /v1beta/models/{id}`.
    GeminiModel(&'p str),
    /// `GET /v1/models`.
    Models,
    /// `GET /v1/models/{id}`; ids may contain `/`.
    Model(&'p str),
    /// `GET /v1/accounts`.
    Accounts,
    /// `GET /v1/turns`.
    Turns,
    /// `GET /v1/turns/{id}`.
    Turn(&'p str),
    /// What stands below `/v1/admin`.
    Admin(Admin<'p>),
    /// `GET /health`.
    Health,
    /// `HEAD` or `GET /`.
    Root,
    /// `OPTIONS` on a known path; the methods it takes. Never grants a foreign origin.
    Options(&'static str),
}

/// What the watchdog and the person may ask of a running proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admin<'p> {
    /// `GET /v1/admin/overrides`.
    Overrides,
    /// `POST /v1/admin/overrides`.
    AddOverride,
    /// `DELETE /v1/admin/overrides`, of one or of all.
    RemoveOverride(Option<&'p str>),
    /// `DELETE /v1/admin/learned`, of one endpoint or of all.
    Forget(Option<&'p str>),
    /// `POST /v1/admin/retry`, of one endpoint or of all.
    Retry(Option<&'p str>),
    /// `POST /v1/admin/reconnect`, of one endpoint or of all.
    Reconnect(Option<&'p str>),
    /// `GET /watchdog`.
    Watchdog,
    /// `POST /watchdog/cancel`, of one order or of all.
    Cancel(Option<&'p str>),
}

/// A path, as the table has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place<'p> {
    Fixed(&'static str),
    /// With the name of what stands there.
    Named(&'static str, &'p str),
}

/// Every path and the methods it takes.
const PATHS: [(&str, &str); 23] = [
    ("/v1/responses", "POST"),
    ("/v1/responses/compact", "POST"),
    ("/v1/responses/input_tokens", "POST"),
    ("/v1/responses/{id}", "GET, HEAD, DELETE"),
    ("/v1/responses/{id}/cancel", "POST"),
    ("/v1/responses/{id}/input_items", "GET, HEAD"),
    ("/v1/chat/completions", "POST"),
    ("/v1/messages", "POST"),
    ("/v1/messages/count_tokens", "POST"),
    ("/v1beta/models/{model}:generateContent", "POST"),
    ("/v1beta/models", "GET, HEAD"),
    ("/v1beta/models/{id}", "GET, HEAD"),
    ("/v1/models", "GET, HEAD"),
    ("/v1/accounts", "GET, HEAD"),
    ("/v1/turns", "GET, HEAD"),
    ("/v1/admin/overrides", "GET, HEAD, POST, DELETE"),
    ("/v1/admin/learned", "DELETE"),
    ("/v1/admin/retry", "POST"),
    ("/v1/admin/reconnect", "POST"),
    ("/watchdog", "GET, HEAD"),
    ("/watchdog/cancel", "POST"),
    ("/health", "GET, HEAD"),
    ("/", "GET, HEAD"),
];

/// Finds the action, or says which path was probably meant.
pub fn find<'p>(method: &Method, path: &'p str) -> Result<Action<'p>, Refusal> {
    let target = Target::read(path);
    let place = if target.is_some() {
        Place::Fixed("/v1beta/models/{model}:generateContent")
    } else {
        place(path).ok_or_else(|| unknown(path))?
    };
    let (Place::Fixed(known) | Place::Named(known, _)) = place;
    let allow = allow(known);
    if *method == Method::OPTIONS {
        return Ok(Action::Options(allow));
    }
    if !allow.split(", ").any(|allowed| allowed == method.as_str()) {
        let mut refusal = Refusal::invalid(405, "method_not_allowed")
            .message(format!("{known} takes {allow}, not {}", crate::text::shown(method.as_str(), 20)));
        refusal.allow = Some(allow);
        return Err(refusal);
    }
    if let Some(target) = target {
        return Ok(Action::Generate(target));
    }
    Ok(match place {
        Place::Named("/v1/responses/{id}", id) if *method == Method::DELETE => Action::DeleteResponse(id),
        Place::Named("/v1/responses/{id}", id) => Action::Response(id),
        Place::Named("/v1/responses/{id}/cancel", id) => Action::CancelResponse(id),
        Place::Named("/v1/responses/{id}/input_items", id) => Action::InputItems(id),
        Place::Named("/v1beta/models/{id}", id) => Action::GeminiModel(id),
        Place::Named("/v1/models", id) => Action::Model(id),
        Place::Named("/v1/admin/overrides", id) if *method == Method::DELETE => {
            Action::Admin(Admin::RemoveOverride(Some(id)))
        }
        Place::Named("/v1/admin/overrides", _) => return Err(unknown(path)),
        Place::Named("/v1/admin/learned", id) => Action::Admin(Admin::Forget(Some(id))),
        Place::Named("/v1/admin/retry", id) => Action::Admin(Admin::Retry(Some(id))),
        Place::Named("/v1/admin/reconnect", id) => Action::Admin(Admin::Reconnect(Some(id))),
        Place::Named("/watchdog/cancel", id) => Action::Admin(Admin::Cancel(Some(id))),
        Place::Named(_, id) => Action::Turn(id),
        Place::Fixed("/v1/responses") => Action::Responses,
        Place::Fixed("/v1/responses/compact") => Action::Compact,
        Place::Fixed("/v1/responses/input_tokens") => Action::InputTokens,
        Place::Fixed("/v1/chat/completions") => Action::Chat,
        Place::Fixed("/v1/messages") => Action::Messages,
        Place::Fixed("/v1/messages/count_tokens") => Action::CountTokens,
        Place::Fixed("/v1beta/models") => Action::GeminiModels,
        Place::Fixed("/v1/models") => Action::Models,
        Place::Fixed("/v1/accounts") => Action::Accounts,
        Place::Fixed("/v1/turns") => Action::Turns,
        Place::Fixed("/v1/admin/overrides") => match *method {
            Method::DELETE => Action::Admin(Admin::RemoveOverride(None)),
            Method::POST => Action::Admin(Admin::AddOverride),
            _ => Action::Admin(Admin::Overrides),
        },
        Place::Fixed("/v1/admin/learned") => Action::Admin(Admin::Forget(None)),
        Place::Fixed("/v1/admin/retry") => Action::Admin(Admin::Retry(None)),
        Place::Fixed("/v1/admin/reconnect") => Action::Admin(Admin::Reconnect(None)),
        Place::Fixed("/watchdog") => Action::Admin(Admin::Watchdog),
        Place::Fixed("/watchdog/cancel") => Action::Admin(Admin::Cancel(None)),
        Place::Fixed("/health") => Action::Health,
        Place::Fixed(_) => Action::Root,
    })
}

fn place(path: &str) -> Option<Place<'_>> {
    let google = path.trim_end_matches('/').strip_prefix("/v1beta/models");
    if let Some(rest) = google {
        return match rest.strip_prefix('/') {
            Some(id) if !id.is_empty() => Some(Place::Named("/v1beta/models/{id}", id)),
            None if rest.is_empty() => Some(Place::Fixed("/v1beta/models")),
            _ => None,
        };
    }
    let bare = bare(path);
    let fixed = PATHS.iter().find(|(known, _)| self::bare(known) == bare && !known.contains(['{', ':']));
    if let Some((known, _)) = fixed {
        return Some(Place::Fixed(known));
    }
    let admin = PATHS.iter().filter_map(|(known, _)| Some((*known, known.strip_prefix("/v1/admin/")?)));
    let below = |name: &str| bare.strip_prefix("admin/")?.strip_prefix(name)?.strip_prefix('/');
    if let Some(place) = admin.into_iter().find_map(|(known, name)| Some(Place::Named(known, below(name)?))) {
        return Some(place);
    }
    if let Some(id) = bare.strip_prefix("watchdog/cancel/") {
        return Some(Place::Named("/watchdog/cancel", id));
    }
    let (kind, id) = bare.split_once('/')?;
    match kind {
        "models" => Some(Place::Named("/v1/models", id)),
        "turns" => Some(Place::Named("/v1/turns", id)),
        "responses" => {
            let named = [
                ("/cancel", "/v1/responses/{id}/cancel"),
                ("/input_items", "/v1/responses/{id}/input_items"),
            ];
            let tail = named.iter().find_map(|(tail, known)| Some((id.strip_suffix(tail)?, *known)));
            let (id, known) = tail.unwrap_or((id, "/v1/responses/{id}"));
            (!id.is_empty() && !id.contains('/')).then_some(Place::Named(known, id))
        }
        _ => None,
    }
}

fn allow(known: &str) -> &'static str {
    PATHS.iter().find(|(name, _)| *name == known).map_or("GET", |(_, allow)| allow)
}

/// True for a path on which the Responses protocol is spoken, whatever the method.
pub fn is_responses(path: &str) -> bool {
    bare(path) == "responses"
}

/// The protocol in which a request wants to be told no: by its path, else by headers that only one protocol's clients send.
pub fn front(path: &str, headers: &HeaderMap) -> ClientProtocol {
    let bare = bare(path);
    let google =
        path.starts_with("/v1beta") || Target::read(path).is_some() || headers.contains_key("x-goog-api-key");
    if bare.starts_with("messages") || (!google && headers.contains_key("anthropic-version")) {
        ClientProtocol::Messages
    } else if bare == "chat/completions" {
        ClientProtocol::Chat
    } else if google {
        ClientProtocol::Gemini { cli: turn::is_gemini_cli(headers) }
    } else {
        ClientProtocol::Responses { codex: turn::is_codex(headers) }
    }
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
    let shown = crate::text::shown(path, crate::text::MAX_NAME);
    let nearest = PATHS
        .iter()
        .map(|(known, _)| (strsim::jaro_winkler(&shown, known), *known))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or("/v1/responses", |(_, known)| known);
    Refusal::invalid(404, "not_found").message(format!(
        "there is nothing at `{shown}`; the closest path is `{nearest}` (latimer answers POST /v1/responses, /v1/chat/completions and /v1/messages, GET /v1/models and /health)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_their_common_mistakes() {
        let count = Target::read("/v1beta/models/m:countTokens").expect("a target");
        let cases = [
            ("POST", "/v1/responses", Ok(Action::Responses)),
            ("POST", "/responses", Ok(Action::Responses)),
            ("POST", "/v1/v1/responses/", Ok(Action::Responses)),
            ("GET", "/v1/models", Ok(Action::Models)),
            ("GET", "/models", Ok(Action::Models)),
            ("GET", "/v1/models/lab/glm-5", Ok(Action::Model("lab/glm-5"))),
            ("GET", "/health", Ok(Action::Health)),
            ("GET", "/v1/health", Ok(Action::Health)),
            ("HEAD", "/", Ok(Action::Root)),
            ("GET", "/v1/admin/overrides", Ok(Action::Admin(Admin::Overrides))),
            ("POST", "/v1/admin/overrides", Ok(Action::Admin(Admin::AddOverride))),
            ("DELETE", "/v1/admin/overrides", Ok(Action::Admin(Admin::RemoveOverride(None)))),
            ("DELETE", "/v1/admin/overrides/7", Ok(Action::Admin(Admin::RemoveOverride(Some("7"))))),
            ("DELETE", "/v1/admin/learned/lab", Ok(Action::Admin(Admin::Forget(Some("lab"))))),
            ("GET", "/v1/admin/learned", Err(405)),
            ("POST", "/v1/admin/retry", Ok(Action::Admin(Admin::Retry(None)))),
            ("POST", "/v1/admin/reconnect/lab/", Ok(Action::Admin(Admin::Reconnect(Some("lab"))))),
            ("POST", "/v1/admin", Err(404)),
            ("OPTIONS", "/v1/responses", Ok(Action::Options("POST"))),
            ("POST", "/v1/v1/chat/completions", Ok(Action::Chat)),
            ("POST", "/chat/completions/", Ok(Action::Chat)),
            ("POST", "/v1/v1/messages", Ok(Action::Messages)),
            ("POST", "/messages", Ok(Action::Messages)),
            ("POST", "/v1/messages/count_tokens", Ok(Action::CountTokens)),
            ("GET", "/v1/responses/resp_1", Ok(Action::Response("resp_1"))),
            ("DELETE", "/responses/resp_1", Ok(Action::DeleteResponse("resp_1"))),
            ("POST", "/v1/responses/resp_1/cancel", Ok(Action::CancelResponse("resp_1"))),
            ("GET", "/v1/responses/resp_1/input_items", Ok(Action::InputItems("resp_1"))),
            ("POST", "/v1/responses/input_tokens", Ok(Action::InputTokens)),
            ("GET", "/v1beta/models", Ok(Action::GeminiModels)),
            ("GET", "/v1beta/models/a/b", Ok(Action::GeminiModel("a/b"))),
            ("POST", "/v1beta/models/m:countTokens", Ok(Action::Generate(count))),
            ("GET", "/v1/turns/t1", Ok(Action::Turn("t1"))),
            ("GET", "/v1/messages", Err(405)),
            ("GET", "/v1beta/models/m:generateContent", Err(405)),
            ("POST", "/v1/responses/a/b", Err(404)),
            ("POST", "/v1/completions", Err(404)),
            ("GET", "/watchdog", Ok(Action::Admin(Admin::Watchdog))),
            ("POST", "/watchdog/cancel/7", Ok(Action::Admin(Admin::Cancel(Some("7"))))),
            ("GET", "/v1/responses", Err(405)),
            ("DELETE", "/v1/models", Err(405)),
            ("POST", "/v1/respones", Err(404)),
            ("GET", "/v1x/models", Err(404)),
            ("GET", "/../etc/passwd", Err(404)),
        ];
        for (method, path, want) in cases {
            let method: Method = method.parse().expect("a method");
            assert_eq!(find(&method, path).map_err(|refusal| refusal.status), want, "{method} {path}");
        }
    }

    #[test]
    fn an_unknown_path_names_the_closest() {
        let refusal = find(&Method::POST, "/v1/respones").expect_err("no such path");
        assert!(refusal.message.contains("closest path is `/v1/responses`"), "{}", refusal.message);
    }
}
