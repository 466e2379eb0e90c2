//! The table of paths. Common mistakes are accepted: a doubled or missing `/v1`, a trailing slash.

use hyper::Method;

use super::reply::Refusal;

/// What a path and a method ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action<'p> {
    /// `POST /v1/responses`.
    Responses,
    /// `POST /v1/responses/compact`.
    Compact,
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
    /// `GET /health`.
    Health,
    /// `HEAD` or `GET /`.
    Root,
    /// `OPTIONS` on a known path; the methods it takes. Never grants a foreign origin.
    Options(&'static str),
}

/// Every path and the methods it takes.
const PATHS: [(&str, &str); 11] = [
    ("/v1/responses", "POST"),
    ("/v1/responses/compact", "POST"),
    ("/v1/models", "GET, HEAD"),
    ("/v1/accounts", "GET, HEAD"),
    ("/v1/turns", "GET, HEAD"),
    ("/v1/admin/overrides", "GET, HEAD, POST, DELETE"),
    ("/v1/admin/learned", "DELETE"),
    ("/v1/admin/retry", "POST"),
    ("/v1/admin/reconnect", "POST"),
    ("/health", "GET, HEAD"),
    ("/", "GET, HEAD"),
];

/// Finds the action, or says which path was probably meant.
pub fn find<'p>(method: &Method, path: &'p str) -> Result<Action<'p>, Refusal> {
    let bare = bare(path);
    let model = bare.strip_prefix("models/").filter(|id| !id.is_empty());
    let turn = bare.strip_prefix("turns/").filter(|id| !id.is_empty());
    let below = |path: &str| bare.strip_prefix(path)?.strip_prefix('/').filter(|id| !id.is_empty());
    let changed = below("admin/overrides");
    let endpoint =
        below("admin/learned").or_else(|| below("admin/retry")).or_else(|| below("admin/reconnect"));
    let known = match bare {
        "responses" => "/v1/responses",
        "responses/compact" => "/v1/responses/compact",
        "models" => "/v1/models",
        "accounts" => "/v1/accounts",
        "turns" => "/v1/turns",
        _ if turn.is_some() => "/v1/turns",
        "admin/overrides" => "/v1/admin/overrides",
        _ if changed.is_some() => "/v1/admin/overrides",
        _ if bare == "admin/learned" || below("admin/learned").is_some() => "/v1/admin/learned",
        _ if bare == "admin/retry" || below("admin/retry").is_some() => "/v1/admin/retry",
        _ if bare == "admin/reconnect" || below("admin/reconnect").is_some() => "/v1/admin/reconnect",
        "health" => "/health",
        "" => "/",
        _ if model.is_some() => "/v1/models",
        _ => return Err(unknown(path)),
    };
    let allow = PATHS.iter().find(|(name, _)| *name == known).map_or("GET", |(_, allow)| allow);
    if *method == Method::OPTIONS {
        return Ok(Action::Options(allow));
    }
    if !allow.split(", ").any(|allowed| allowed == method.as_str()) {
        let mut refusal = Refusal::invalid(405, "method_not_allowed").message(format!(
            "{known} takes {allow}, not {}",
            method.as_str().chars().take(20).collect::<String>()
        ));
        refusal.allow = Some(allow);
        return Err(refusal);
    }
    Ok(match (known, model.or(turn)) {
        ("/v1/responses", _) => Action::Responses,
        ("/v1/responses/compact", _) => Action::Compact,
        ("/v1/models", Some(id)) => Action::Model(id),
        ("/v1/models", None) => Action::Models,
        ("/v1/accounts", _) => Action::Accounts,
        ("/v1/turns", Some(id)) => Action::Turn(id),
        ("/v1/turns", None) => Action::Turns,
        ("/v1/admin/overrides", _) if *method == Method::DELETE => Action::RemoveOverride(changed),
        ("/v1/admin/overrides", _) if *method == Method::POST => Action::AddOverride,
        ("/v1/admin/overrides", _) => Action::Overrides,
        ("/v1/admin/learned", _) => Action::Forget(endpoint),
        ("/v1/admin/retry", _) => Action::Retry(endpoint),
        ("/v1/admin/reconnect", _) => Action::Reconnect(endpoint),
        ("/health", _) => Action::Health,
        _ => Action::Root,
    })
}

/// True for a path on which the Responses protocol is spoken, whatever the method.
pub fn is_responses(path: &str) -> bool {
    bare(path) == "responses"
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
    let shown: String = path.chars().filter(|c| !c.is_control()).take(80).collect();
    let nearest = PATHS
        .iter()
        .map(|(known, _)| (strsim::jaro_winkler(&shown, known), *known))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or("/v1/responses", |(_, known)| known);
    Refusal::invalid(404, "not_found").message(format!(
        "there is nothing at `{shown}`; the closest path is `{nearest}` (latimer answers POST /v1/responses, GET /v1/models and GET /health)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_their_common_mistakes() {
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
            ("GET", "/v1/admin/overrides", Ok(Action::Overrides)),
            ("POST", "/v1/admin/overrides", Ok(Action::AddOverride)),
            ("DELETE", "/v1/admin/overrides", Ok(Action::RemoveOverride(None))),
            ("DELETE", "/v1/admin/overrides/7", Ok(Action::RemoveOverride(Some("7")))),
            ("DELETE", "/v1/admin/learned/lab", Ok(Action::Forget(Some("lab")))),
            ("GET", "/v1/admin/learned", Err(405)),
            ("POST", "/v1/admin/retry", Ok(Action::Retry(None))),
            ("POST", "/v1/admin/reconnect/lab/", Ok(Action::Reconnect(Some("lab")))),
            ("POST", "/v1/admin", Err(404)),
            ("OPTIONS", "/v1/responses", Ok(Action::Options("POST"))),
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
