//! What a client says of itself in its headers. Pure.

use hyper::header::{HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use latimer_adapters::repair::RepairLevel;

/// The header with which a request chooses its level of repair.
const REPAIR: &str = "x-latimer-repair";

/// Headers that name a conversation: Claude Code's, opencode's, Codex's own.
const SESSION: [&str; 7] = [
    "x-claude-code-session-id",
    "x-session-id",
    "x-session-affinity",
    "session_id",
    "session-id",
    "thread-id",
    "conversation_id",
];

/// The client, as it calls itself: the first word of its name.
pub(super) fn name(headers: &HeaderMap) -> String {
    let name = headers.get("originator").or_else(|| headers.get(USER_AGENT));
    let name = name.and_then(|name| name.to_str().ok()).unwrap_or("unknown");
    crate::text::shown(name.split(['/', ' ']).next().unwrap_or(name), crate::text::MAX_WORD)
}

/// True when the caller is Codex, by the headers it always sends.
pub(crate) fn is_codex(headers: &HeaderMap) -> bool {
    let starts =
        |value: Option<&HeaderValue>| value.is_some_and(|value| value.as_bytes().starts_with(b"codex"));
    starts(headers.get("originator"))
        || starts(headers.get(USER_AGENT))
        || headers.contains_key("x-codex-turn-metadata")
}

/// True when the caller is the Gemini CLI.
pub(crate) fn is_gemini_cli(headers: &HeaderMap) -> bool {
    headers.get(USER_AGENT).is_some_and(|name| name.as_bytes().starts_with(b"GeminiCLI"))
}

/// True when Claude Code looks for models: it keeps only those that are called Claude.
pub(crate) fn is_discovery(headers: &HeaderMap) -> bool {
    headers.get(USER_AGENT).is_some_and(|name| name.as_bytes().starts_with(b"claude-code"))
}

/// What names the conversation: the session headers of known clients.
pub(super) fn session(headers: &HeaderMap) -> Option<String> {
    SESSION.iter().find_map(|name| headers.get(*name)?.to_str().ok()).map(str::to_owned)
}

/// The client's headers that may concern an upstream of the same protocol; never a credential.
pub(super) fn own_headers(headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    const NEVER: [&str; 11] = [
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
    let keep = |name: &HeaderName| !NEVER.contains(&name.as_str());
    headers.iter().filter(|(name, _)| keep(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The level of repair that the request chooses; or what is wrong with it.
pub(super) fn repair_level(headers: &HeaderMap) -> Result<Option<RepairLevel>, &'static str> {
    let Some(value) = headers.get(REPAIR) else { return Ok(None) };
    match value.as_bytes() {
        b"off" => Ok(Some(RepairLevel::Off)),
        b"parse" => Ok(Some(RepairLevel::Parse)),
        b"assist" => Ok(Some(RepairLevel::Assist)),
        _ => Err("the header x-latimer-repair is `off`, `parse` or `assist`"),
    }
}
