//! The recorded texts of each program, and what they mean.

use super::*;

use FailureKind::{
    BadRequest, ContextLength, Forbidden, Interrupted, ModelNotFound, Overloaded, QuotaExhausted,
    RateLimited, Timeout, Unauthorized, Unreachable, UpstreamError, WindowExhausted,
};

fn said<'a>(words: &'a str, status: Option<u16>, login: &'a str) -> Failure {
    Refusal { words, status, endpoint: "lab", model: "m", login }.failure()
}

/// Codex 0.169 and 0.171, `codex exec --json`, `turn.failed`: what it makes of each status and of each code in a stream.
const CODEX: [(&str, FailureKind); 28] = [
    (r#"{"error": {"message": "scripted 400", "type": "x", "code": null}}"#, BadRequest),
    ("unexpected status 401 Unauthorized: scripted 401, url: http://127.0.0.1:1/responses", Unauthorized),
    (
        "unexpected status 402 Payment Required: scripted 402, url: http://127.0.0.1:1/responses",
        QuotaExhausted,
    ),
    ("unexpected status 403 Forbidden: scripted 403, url: http://127.0.0.1:1/responses", Forbidden),
    ("unexpected status 404 Not Found: scripted 404, url: http://127.0.0.1:1/responses", ModelNotFound),
    ("unexpected status 409 Conflict: scripted 409, url: http://127.0.0.1:1/responses", BadRequest),
    ("unexpected status 413 Payload Too Large: scripted 413, url: http://127.0.0.1:1/responses", BadRequest),
    ("unexpected status 422 Unprocessable Entity: scripted 422, url: http://127.0.0.1:1", BadRequest),
    ("exceeded retry limit, last status: 429 Too Many Requests", RateLimited),
    ("We’re currently experiencing high demand, which may cause temporary errors.", Overloaded),
    ("unexpected status 502 Bad Gateway: scripted 502, url: http://127.0.0.1:1/responses", Overloaded),
    ("unexpected status 503 Service Unavailable: scripted 503, url: http://127.0.0.1:1", Overloaded),
    ("unexpected status 529 <unknown status code>: scripted 529, url: http://127.0.0.1:1", Overloaded),
    ("rate limit exceeded: words of rate_limit_exceeded", RateLimited),
    ("Quota exceeded. Check your plan and billing details.", QuotaExhausted),
    ("You've hit your usage limit. Try again in 3 hours.", WindowExhausted),
    ("stream disconnected before completion: words of server_error", Interrupted),
    ("stream disconnected before completion: stream closed before response.completed", Interrupted),
    (
        "stream disconnected before completion: error sending request for url (http://127.0.0.1:1/)",
        Unreachable,
    ),
    ("stream disconnected before completion: words of invalid_api_key", Unauthorized),
    ("Selected model is at capacity. Please try a different model.", Overloaded),
    (
        "Codex ran out of room in the model's context window. Start a new thread or clear earlier history before retrying.",
        ContextLength,
    ),
    ("words of model_not_found", ModelNotFound),
    ("Incomplete response returned, reason: content_filter", BadRequest),
    ("Not logged in. Run codex login", Unauthorized),
    // latimer behind it, which tells Codex of a wrong key of its own in words alone.
    ("lab: wrong key (check the endpoint's api_key)", Unauthorized),
    ("an agent's own model leads back to an agent: `x` is answered by one here", BadRequest),
    ("lab: no such thing (asked for model `glm-5`; ids are case-sensitive)", ModelNotFound),
];

/// Claude Code 2.1.197, `result` with the `api_error_status` beside it.
const CLAUDE: [(&str, Option<u16>, FailureKind); 16] = [
    ("API Error: 400 scripted 400", Some(400), BadRequest),
    ("Failed to authenticate. API Error: 401 scripted 401", Some(401), Unauthorized),
    ("API Error: 402 scripted 402", Some(402), QuotaExhausted),
    ("Failed to authenticate. API Error: 403 scripted 403", Some(403), Forbidden),
    (
        "There's an issue with the selected model (m). It may not exist or you may not have access to it. Run --model to pick a different model.",
        Some(404),
        ModelNotFound,
    ),
    ("Request too large (max 32MB). Try with a smaller file.", Some(413), BadRequest),
    ("API Error: 422 scripted 422", Some(422), BadRequest),
    ("API Error: Request rejected (429) · scripted 429", Some(429), RateLimited),
    (
        "API Error: 500 scripted 500. This is a server-side issue, usually temporary — try again in a moment.",
        Some(500),
        UpstreamError,
    ),
    ("API Error: 529 scripted 529. This is a server-side issue, usually temporary.", Some(529), Overloaded),
    // The same without a status beside the words.
    ("Failed to authenticate. API Error: 401 scripted 401", None, Unauthorized),
    ("API Error: Request rejected (429) · scripted 429", None, RateLimited),
    ("Not logged in · Please run /login", None, Unauthorized),
    ("API Error: Unable to connect to API (ConnectionRefused)", None, Unreachable),
    ("API Error: Request timed out.", None, Timeout),
    ("No conversation found with session ID: 11111111-2222-4333-8444-000000000000", None, Interrupted),
];

#[test]
fn what_codex_says_of_its_model_is_of_the_true_kind() {
    for (words, kind) in CODEX {
        let failure = said(words, None, "codex");
        assert_eq!(failure.kind, kind, "{words}: {failure}");
        assert!(!failure.is_for_later(), "{words}: it is known");
    }
}

#[test]
fn what_claude_code_says_of_its_model_is_of_the_true_kind() {
    for (words, status, kind) in CLAUDE {
        assert_eq!(said(words, status, "claude").kind, kind, "{words}");
    }
}

#[test]
fn what_opencode_says_of_its_model_is_of_the_true_kind() {
    for (words, status, kind) in [
        ("mock error 401", Some(401), Unauthorized),
        ("mock error 403", Some(403), Forbidden),
        ("Not Found: mock error 404", Some(404), ModelNotFound),
        ("mock error 422", Some(422), BadRequest),
        ("Unauthorized: mock error", None, Unauthorized),
        ("Too Many Requests: mock error 429", None, RateLimited),
        ("Service Unavailable", None, Overloaded),
        ("Unable to connect. Is the computer able to access the url?", None, Unreachable),
    ] {
        assert_eq!(said(words, status, "opencode").kind, kind, "{words}");
    }
}

#[test]
fn unknown_words_are_the_providers_failure_and_nobody_asks_the_agent_again() {
    for words in ["a session of a thread failed", "something went sideways", ""] {
        let failure = said(words, None, "codex");
        assert_eq!((failure.kind, failure.is_for_later()), (UpstreamError, true), "{words}");
        assert!(failure.message.contains(words) && !failure.has_acted(), "{failure}");
    }
}

#[test]
fn what_a_person_has_to_mend_is_told_with_the_command() {
    let refused = said("lab: wrong key (check the endpoint's api_key)", None, "codex");
    assert_eq!(
        refused.message,
        "lab: lab: wrong key (run `latimer login codex --endpoint lab`, or check `agent.provider`)"
    );
    let missing = said("unexpected status 404 Not Found: nothing here", None, "codex");
    assert!(
        missing.message.contains("asked for model `m`") && missing.message.contains("agent.model"),
        "{missing}"
    );
    assert!(!missing.message.contains("base_url"), "an agent has none: {missing}");
    let busy = said("Service Unavailable", None, "codex");
    assert_eq!(busy.message, "lab: Service Unavailable");
}

#[test]
fn a_wait_is_read_from_the_words() {
    let limited = said("rate limit reached, please try again in 20s", None, "codex");
    assert_eq!(limited.retry_after, Some(std::time::Duration::from_secs(20)));
}
