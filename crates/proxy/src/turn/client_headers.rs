//! What a client says of itself in its headers. Pure.

use hyper::header::{HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use latimer_adapters::repair::RepairLevel;
use latimer_protocol::secret::redact_known;

use crate::inbound::client_protocol::ResponsesClient;

/// The header with which a request chooses its level of repair.
static REPAIR_HEADER: HeaderName = HeaderName::from_static("x-latimer-repair");

/// What the names of latimer's own headers begin with.
const OWN_HEADERS: &str = "x-latimer-";

/// The header in which a launched client names its project.
static PROJECT_HEADER: HeaderName = HeaderName::from_static("x-latimer-project");

/// Headers that name a conversation: Claude Code's, opencode's, Codex's own.
static SESSION_HEADERS: [HeaderName; 7] = [
    CLAUDE_CODE_SESSION,
    HeaderName::from_static("x-session-id"),
    HeaderName::from_static("x-session-affinity"),
    HeaderName::from_static("session_id"),
    HeaderName::from_static("session-id"),
    HeaderName::from_static("thread-id"),
    HeaderName::from_static("conversation_id"),
];

/// Claude Code's conversation.
const CLAUDE_CODE_SESSION: HeaderName = HeaderName::from_static("x-claude-code-session-id");

/// How Codex calls itself.
static ORIGINATOR: HeaderName = HeaderName::from_static("originator");

/// What Codex says of a turn.
static CODEX_METADATA: HeaderName = HeaderName::from_static("x-codex-turn-metadata");

/// The client, as it calls itself: the first word of its name.
pub(crate) fn name(headers: &HeaderMap) -> String {
    let name = headers.get(&ORIGINATOR).or_else(|| headers.get(USER_AGENT));
    let name = name.and_then(|name| name.to_str().ok()).unwrap_or("unknown");
    crate::text::shown(name.split(['/', ' ']).next().unwrap_or(name), crate::text::MAX_WORD)
}

/// True when the caller is Codex, by the headers it always sends.
fn is_codex(headers: &HeaderMap) -> bool {
    let starts =
        |value: Option<&HeaderValue>| value.is_some_and(|value| value.as_bytes().starts_with(b"codex"));
    starts(headers.get(&ORIGINATOR))
        || starts(headers.get(USER_AGENT))
        || headers.contains_key(&CODEX_METADATA)
}

/// Who speaks the Responses API.
pub(crate) fn responses_client(headers: &HeaderMap) -> ResponsesClient {
    match (is_codex(headers), is_opencode(headers)) {
        (true, _) => ResponsesClient::Codex,
        (false, true) => ResponsesClient::Opencode,
        (false, false) => ResponsesClient::Other,
    }
}

/// True when the caller is the Gemini CLI.
pub(crate) fn is_gemini_cli(headers: &HeaderMap) -> bool {
    headers.get(USER_AGENT).is_some_and(|name| name.as_bytes().starts_with(b"GeminiCLI"))
}

/// True when the caller is Claude Code and asks for a turn.
pub(crate) fn is_claude_code(headers: &HeaderMap) -> bool {
    headers.contains_key(CLAUDE_CODE_SESSION)
        || headers.get(USER_AGENT).is_some_and(|name| name.as_bytes().starts_with(b"claude-cli"))
}

/// True when the caller is opencode.
pub(crate) fn is_opencode(headers: &HeaderMap) -> bool {
    headers.get(USER_AGENT).is_some_and(|name| name.as_bytes().starts_with(b"opencode"))
}

/// True when Claude Code looks for models: it keeps only those that are called Claude.
pub(crate) fn is_discovery(headers: &HeaderMap) -> bool {
    headers.get(USER_AGENT).is_some_and(|name| name.as_bytes().starts_with(b"claude-code"))
}

/// What names the conversation: the session headers of known clients.
pub(super) fn session(headers: &HeaderMap) -> Option<String> {
    SESSION_HEADERS.iter().find_map(|name| headers.get(name)?.to_str().ok()).map(str::to_owned)
}

/// The project that the client works on: what `latimer launch` has it send, as in a URL.
pub(super) fn project(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(&PROJECT_HEADER)?.to_str().ok().filter(|value| !value.is_empty())?;
    let name = crate::text::decoded(value);
    Some(crate::text::shown(&redact_known(&name), crate::text::MAX_NAME))
}

/// The client's headers that may concern an upstream of the same protocol; never a credential.
pub(super) fn own_headers(headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    const NEVER_FORWARDED: [&str; 11] = [
        "authorization",
        "proxy-authorization",
        "x-api-key",
        "x-goog-api-key",
        "cookie",
        "host",
        "content-length",
        "content-type",
        "accept",
        "accept-encoding",
        "connection",
    ];
    let keep = |name: &HeaderName| {
        !NEVER_FORWARDED.contains(&name.as_str()) && !name.as_str().starts_with(OWN_HEADERS)
    };
    headers.iter().filter(|(name, _)| keep(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The level of repair that the request chooses; or what is wrong with it.
pub(super) fn repair_level(headers: &HeaderMap) -> Result<Option<RepairLevel>, &'static str> {
    let Some(value) = headers.get(&REPAIR_HEADER) else { return Ok(None) };
    match value.as_bytes() {
        b"off" => Ok(Some(RepairLevel::Off)),
        b"parse" => Ok(Some(RepairLevel::Parse)),
        b"assist" => Ok(Some(RepairLevel::Assist)),
        _ => Err("the header x-latimer-repair is `off`, `parse` or `assist`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn known_clients_are_known_by_the_headers_they_send() {
        let codex =
            [("originator", "codex_cli_rs"), ("user-agent", "codex-tui/1"), ("x-codex-turn-metadata", "{}")];
        for pair in codex {
            assert!(is_codex(&headers(&[pair])), "{pair:?}");
        }
        assert!(!is_codex(&headers(&[("user-agent", "curl/8")])));
        assert!(is_gemini_cli(&headers(&[("user-agent", "GeminiCLI/0.9 (linux)")])));
        assert!(is_discovery(&headers(&[("user-agent", "claude-code/2.0")])));
        assert!(!is_discovery(&headers(&[])));
        assert!(is_claude_code(&headers(&[("user-agent", "claude-cli/2.1 (external, cli)")])));
        assert!(
            is_opencode(&headers(&[("user-agent", "opencode/1.18 ai-sdk/5")])) && !is_opencode(&headers(&[]))
        );
    }

    #[test]
    fn the_name_of_a_client_is_short() {
        assert_eq!(name(&headers(&[("user-agent", "opencode/1.2 bun/1.1")])), "opencode");
        assert_eq!(name(&headers(&[("originator", "codex_cli_rs"), ("user-agent", "x")])), "codex_cli_rs");
        assert_eq!(name(&headers(&[])), "unknown");
    }

    #[test]
    fn the_first_session_header_names_the_conversation() {
        let both = headers(&[("conversation_id", "b"), ("x-claude-code-session-id", "a")]);
        assert_eq!(session(&both).as_deref(), Some("a"));
        assert_eq!(session(&headers(&[("x-other", "a")])), None);
    }

    #[test]
    fn a_project_is_named_as_in_a_url() {
        let named = |value| project(&headers(&[("x-latimer-project", value)]));
        assert_eq!(named("caf%C3%A9%20app").as_deref(), Some("café app"));
        assert_eq!((named(""), project(&headers(&[]))), (None, None));
    }

    #[test]
    fn no_credential_is_passed_on() {
        let all = headers(&[
            ("authorization", "Bearer t"),
            ("x-api-key", "t"),
            ("cookie", "t"),
            ("x-latimer-project", "secret-plan"),
            ("anthropic-beta", "b"),
        ]);
        let names: Vec<String> = own_headers(&all).iter().map(|(name, _)| name.to_string()).collect();
        assert_eq!(names, ["anthropic-beta"]);
    }

    #[test]
    fn the_level_of_repair_is_one_of_three_words() {
        let level = |value| repair_level(&headers(&[("x-latimer-repair", value)]));
        assert_eq!(
            (level("off"), level("parse"), level("assist")),
            (Ok(Some(RepairLevel::Off)), Ok(Some(RepairLevel::Parse)), Ok(Some(RepairLevel::Assist)))
        );
        assert!(level("full").is_err());
        assert_eq!(repair_level(&headers(&[])), Ok(None));
    }
}
