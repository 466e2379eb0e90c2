//! The table walked row by row, and the mistakes in paths that are accepted.

use crate::inbound::client_protocol::ResponsesClient;
use hyper::header::HeaderValue;

use super::*;

fn resolve<'p>(method: &str, path: &'p str) -> Result<Action<'p>, Refusal> {
    find(path).action(&method.parse().expect("a method"))
}

/// A path that fits the pattern.
fn sample(pattern: &str) -> String {
    pattern
        .replace("{id}", "x7")
        .replace("{*id}", "x7/y")
        .replace("{*endpoint}", "lab")
        .replace("{*document}", "turns/t1")
        .replace("{*file}", "app.js")
        .replace("{model}", "glm-5")
}

fn protocol(path: &str, headers: &[(&'static str, &'static str)]) -> ClientProtocol {
    let pairs =
        headers.iter().map(|(name, value)| (name.parse().expect("a name"), HeaderValue::from_static(value)));
    find(path).protocol(&pairs.collect::<HeaderMap>())
}

#[test]
fn no_row_hides_another() {
    for route in ROUTES {
        let path = sample(route.pattern);
        let (found, _) = find(&path).route.expect("found");
        assert_eq!(found.pattern, route.pattern, "{path}");
    }
}

#[test]
fn each_row_answers_its_methods_and_refuses_all_others() {
    for route in ROUTES {
        let path = sample(route.pattern);
        let allow = route.allow();
        let allowed: Vec<&str> = allow.split(", ").collect();
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE"] {
            match resolve(method, &path) {
                Ok(action) => {
                    assert!(allowed.contains(&method), "{method} {path}: {action:?}");
                    assert!(!matches!(action, Action::Options(_)), "{method} {path}");
                }
                Err(refusal) => {
                    assert!(!allowed.contains(&method), "{method} {path}");
                    assert_eq!((refusal.status, refusal.allow.as_deref()), (405, Some(&*allow)), "{path}");
                }
            }
        }
        assert_eq!(resolve("OPTIONS", &path), Ok(Action::Options(allow)), "{path}");
    }
}

#[test]
fn no_two_rows_and_methods_do_the_same() {
    let mut seen: Vec<String> = Vec::new();
    for route in ROUTES {
        let path = sample(route.pattern);
        for verb in route.verbs() {
            let method = verb.allow().split(',').next().unwrap_or_default();
            let action = format!("{:?}", resolve(method, &path).expect("answered"));
            assert!(!seen.contains(&action), "{action} at {path} too");
            seen.push(action);
        }
    }
}

#[test]
fn nothing_stands_beside_the_rows() {
    for route in ROUTES.iter().filter(|route| !route.pattern.contains("{*") && route.pattern != "/") {
        let path = format!("{}/nope/nope", sample(route.pattern));
        let below_a_rest = find(&path).route.is_some_and(|(route, _)| route.pattern.contains("{*"));
        if !below_a_rest {
            let refusal = resolve("POST", &path).expect_err("nothing there");
            assert_eq!((refusal.status, refusal.allow), (404, None), "{path}");
        }
    }
}

#[test]
fn only_what_tells_nothing_is_done_without_a_token() {
    for route in ROUTES {
        let path = sample(route.pattern);
        // The shell of the page holds no data, and a code is the way to a session. A load balancer has no token.
        let open = ["/health", "/healthz", "/readyz", "/", "/ui", "/ui/session", "/ui/{*file}"]
            .contains(&route.pattern);
        for verb in route.verbs() {
            let method = verb.allow().split(',').next().unwrap_or_default();
            assert_eq!(resolve(method, &path).expect("answered").needs_token(), !open, "{path}");
        }
        assert!(!resolve("OPTIONS", &path).expect("answered").needs_token());
    }
}

#[test]
fn paths_and_their_common_mistakes() {
    use Action::{Document as Show, Stored as Keep, Turn as Begin};
    let count = Target::read("/v1beta/models/m:countTokens").expect("a target");
    let cases = [
        ("POST", "/v1/responses", Ok(Begin(Turn::Response))),
        ("POST", "/responses", Ok(Begin(Turn::Response))),
        ("POST", "/v1/v1/responses/", Ok(Begin(Turn::Response))),
        ("GET", "/v1/models", Ok(Show(DocumentRequest::Models))),
        ("GET", "/models", Ok(Show(DocumentRequest::Models))),
        ("GET", "/v1/models/lab/glm-5", Ok(Show(DocumentRequest::Model("lab/glm-5")))),
        ("GET", "/health", Ok(Show(DocumentRequest::Health))),
        ("GET", "/v1/health", Ok(Show(DocumentRequest::Health))),
        ("HEAD", "/", Ok(Show(DocumentRequest::Root))),
        ("GET", "/v1/admin/overrides", Ok(Action::Admin(Admin::Overrides))),
        ("POST", "/v1/admin/overrides", Ok(Action::Admin(Admin::AddOverride))),
        ("DELETE", "/v1/admin/overrides", Ok(Action::Admin(Admin::RemoveOverrides(None)))),
        ("DELETE", "/v1/admin/overrides/7", Ok(Action::Admin(Admin::RemoveOverrides(Some("7"))))),
        ("GET", "/v1/admin/overrides/7", Err(405)),
        ("DELETE", "/v1/admin/learned/lab", Ok(Action::Admin(Admin::Forget(Some("lab"))))),
        ("GET", "/v1/admin/learned", Err(405)),
        ("POST", "/v1/admin/retry", Ok(Action::Admin(Admin::Retry(None)))),
        ("POST", "/v1/admin/reconnect/lab/", Ok(Action::Admin(Admin::Reconnect(Some("lab"))))),
        ("POST", "/v1/admin", Err(404)),
        ("OPTIONS", "/v1/responses", Ok(Action::Options("POST".to_owned()))),
        ("OPTIONS", "/v1/responses/resp_1", Ok(Action::Options("GET, HEAD, DELETE".to_owned()))),
        ("POST", "/v1/v1/chat/completions", Ok(Begin(Turn::Chat))),
        ("POST", "/chat/completions/", Ok(Begin(Turn::Chat))),
        ("POST", "/v1/v1/messages", Ok(Begin(Turn::Message))),
        ("POST", "/messages", Ok(Begin(Turn::Message))),
        ("POST", "/v1/messages/count_tokens", Ok(Action::Count(Count::Message))),
        ("GET", "/v1/responses/resp_1", Ok(Keep(Stored::Get("resp_1")))),
        ("DELETE", "/responses/resp_1", Ok(Keep(Stored::Delete("resp_1")))),
        ("POST", "/v1/responses/resp_1/cancel", Ok(Keep(Stored::Cancel("resp_1")))),
        ("GET", "/v1/responses/resp_1/input_items", Ok(Keep(Stored::InputItems("resp_1")))),
        ("POST", "/v1/responses/input_tokens", Ok(Action::Count(Count::Response))),
        ("GET", "/v1beta/models", Ok(Show(DocumentRequest::GeminiModels))),
        ("GET", "/v1beta/models/a/b", Ok(Show(DocumentRequest::GeminiModel("a/b")))),
        ("POST", "/v1beta/models/m:countTokens", Ok(Action::Gemini(count.clone()))),
        ("POST", "/v1/models/m:countTokens", Ok(Action::Gemini(count.clone()))),
        ("POST", "/v1alpha/models/m:countTokens", Ok(Action::Gemini(count))),
        ("GET", "/v1/turns/t1", Ok(Show(DocumentRequest::Turn("t1")))),
        ("GET", "/v1/messages", Err(405)),
        ("GET", "/v1beta/models/m:generateContent", Err(405)),
        ("POST", "/v1/responses/a/b", Err(404)),
        ("POST", "/v1/responses//cancel", Err(404)),
        ("POST", "/v1/completions", Err(404)),
        ("GET", "/watchdog", Ok(Action::Admin(Admin::Watchdog))),
        ("POST", "/watchdog/cancel/7", Ok(Action::Admin(Admin::CancelOrder(Some("7"))))),
        ("GET", "/v1/responses", Err(405)),
        ("DELETE", "/v1/models", Err(405)),
        ("POST", "/v1/respones", Err(404)),
        ("GET", "/v1x/models", Err(404)),
        ("GET", "/../etc/passwd", Err(404)),
    ];
    for (method, path, want) in cases {
        assert_eq!(resolve(method, path).map_err(|refusal| refusal.status), want, "{method} {path}");
    }
}

#[test]
fn an_unknown_path_names_the_closest() {
    let refusal = resolve("POST", "/v1/respones").expect_err("no such path");
    assert!(refusal.message.contains("closest path is `/v1/responses`"), "{}", refusal.message);
}

#[test]
fn refusals_are_in_the_protocol_of_the_path_or_of_the_headers() {
    const ANTHROPIC: (&str, &str) = ("anthropic-version", "2023-06-01");
    const GOOGLE: (&str, &str) = ("x-goog-api-key", "k");
    let responses = ClientProtocol::Responses { client: ResponsesClient::Other };
    let gemini = ClientProtocol::Gemini { cli: false };
    type Headers = &'static [(&'static str, &'static str)];
    let cases: [(&str, Headers, ClientProtocol); 14] = [
        ("/v1/responses", &[], responses),
        (
            "/v1/responses",
            &[("originator", "codex_cli_rs")],
            ClientProtocol::Responses { client: ResponsesClient::Codex },
        ),
        ("/v1/chat/completions", &[], ClientProtocol::Chat { opencode: false }),
        ("/v1/chat/completions", &[ANTHROPIC], ClientProtocol::Messages { agent: false }),
        ("/v1/messages", &[], ClientProtocol::Messages { agent: false }),
        ("/v1/messages/batches", &[GOOGLE], ClientProtocol::Messages { agent: false }),
        ("/v1beta/models", &[], gemini),
        (
            "/v1beta/models/m:generateContent",
            &[("user-agent", "GeminiCLI/1")],
            ClientProtocol::Gemini { cli: true },
        ),
        ("/v1/models/m:generateContent", &[ANTHROPIC], gemini),
        ("/v1beta/cachedContents", &[ANTHROPIC], gemini),
        ("/v1/models", &[ANTHROPIC], ClientProtocol::Messages { agent: false }),
        ("/v1/models", &[ANTHROPIC, GOOGLE], gemini),
        ("/nope", &[GOOGLE], gemini),
        ("/nope", &[], responses),
    ];
    for (path, headers, want) in cases {
        assert_eq!(protocol(path, headers), want, "{path} {headers:?}");
    }
}

#[test]
fn a_websocket_begins_at_one_path_only() {
    let paths: Vec<&str> = ROUTES
        .iter()
        .filter(|route| find(route.pattern).takes_websocket())
        .map(|route| route.pattern)
        .collect();
    assert_eq!(paths, ["/v1/responses"]);
    assert!(find("/responses/").takes_websocket(), "by any of its spellings");
}
