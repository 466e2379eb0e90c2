//! Every key of the configuration file. Unknown keys are told by these tables, and so is `docs/configuration.md`.

/// What may stand in a table of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// As written in the file.
    pub name: &'static str,
    /// What stands behind it.
    pub kind: &'static str,
    /// What holds without it; empty when nothing does.
    pub default: &'static str,
}

const fn key(name: &'static str, kind: &'static str, default: &'static str) -> Key {
    Key { name, kind, default }
}

/// The top of the file.
pub const TOP: [Key; 12] = [
    key("default_endpoint", "string", ""),
    key("proxy", "URL or none", ""),
    key("launch_env", "list of strings", "[]"),
    key("server", "table", ""),
    key("store", "table", ""),
    key("agents", "table", ""),
    key("endpoint", "list of tables", ""),
    key("route", "list of tables", ""),
    key("profile", "list of tables", ""),
    key("launch", "table", ""),
    key("metrics", "table", ""),
    key("watchdog", "table", ""),
];

/// The keys of `[server]`.
pub const SERVER: [Key; 14] = [
    key("listen", "address and port", "127.0.0.1:4180"),
    key("auth", "token or none", "token"),
    key("hosts", "list of strings", "[]"),
    key("body_limit", "size", "64MiB"),
    key("grace", "duration", "30s"),
    key("keep_alive", "duration", "15s"),
    key("websocket", "true or false", "false"),
    key("keep_requests", "true or false", "true"),
    key("workers", "number", ""),
    key("node", "string", ""),
    key("tls", "table", ""),
    key("behind_proxy", "true or false", "false"),
    key("trusted_proxies", "list of addresses and networks", "[]"),
    key("drain_delay", "duration", ""),
];

/// The keys of `[store]`.
pub const STORE: [Key; 5] = [
    key("url", "URL", ""),
    key("url_env", "string", ""),
    key("pool", "number", "8"),
    key("secret_env", "string", ""),
    key("secret_file", "path", ""),
];

/// The keys of `[agents]`: what holds for all endpoints that are agents.
pub const AGENTS: [Key; 2] = [key("dir", "path", ""), key("children", "number", "16")];

/// The keys of `[server.tls]`.
pub const TLS: [Key; 2] = [key("cert", "path", ""), key("key", "path", "")];

/// The keys of `[metrics]`.
pub const METRICS: [Key; 3] =
    [key("listen", "address and port", ""), key("token_env", "string", ""), key("token_file", "path", "")];

/// The keys of each `[[endpoint]]`.
pub const ENDPOINT: [Key; 24] = [
    key("name", "string", ""),
    key("enabled", "true or false", "true"),
    key("preset", "string", ""),
    key(
        "protocol",
        "chat, anthropic, responses, gemini, code_assist, antigravity, command_code, codebuff, by_model, codex-exec, codex-app-server, claude-code or opencode",
        "chat",
    ),
    key("base_url", "URL", ""),
    key("api_key", "string or list", ""),
    key("api_key_env", "string or list", ""),
    key("api_key_file", "string or list", ""),
    key("login", "google, antigravity, codebuff, anthropic, command-code, chatgpt or none", "none"),
    key("models", "list", "[]"),
    key("timeouts", "table", ""),
    key("retries", "number", "3"),
    key("resume", "number", "2"),
    key("repair", "off, parse or assist", "parse"),
    key("max_parallel", "number", ""),
    key("requests_per_minute", "number", ""),
    key("history", "table", ""),
    key("options", "table", ""),
    key("headers", "table", "{}"),
    key("ca_file", "path", ""),
    key("proxy", "URL or none", ""),
    key("allow_http", "true or false", "false"),
    key("quirks", "table", ""),
    key("agent", "table", ""),
];

/// `agent`: the program behind an endpoint whose protocol is that of a coding agent.
pub const AGENT: [Key; 25] = [
    key("command", "path or name", "codex, claude or opencode"),
    key("home", "path or private", "private"),
    key("cwd", "path or empty", "empty"),
    key("model", "string", ""),
    key("provider", "table", ""),
    key("pool", "number", "3"),
    key("strategy", "round_robin or least_busy", "round_robin"),
    key("start", "lazy or eager", "lazy"),
    key("per_process", "number", "4"),
    key("queue", "table", ""),
    key("limits", "table", ""),
    key("own_tools", "true or false", "false"),
    key("sandbox", "read-only, workspace-write or danger-full-access", "read-only"),
    key("ask", "never, on-request or untrusted", "never"),
    key("approvals", "decline or accept", "decline"),
    key("outside_sandbox", "true or false", "false"),
    key("client_tools", "refuse, ignore or forward", "refuse"),
    key("activity", "off or summary", "off"),
    key("steer", "queue or steer", "queue"),
    key("threads", "table", ""),
    key("mcp", "table", "{}"),
    key("config", "table", "{}"),
    key("instructions", "string", ""),
    key("instructions_file", "path", ""),
    key("idle_close", "duration", "10m"),
];

/// `provider` of an agent: where its own model is.
pub const AGENT_PROVIDER: [Key; 4] = [
    key("base_url", "URL", ""),
    key("key", "string", ""),
    key("key_env", "string", ""),
    key("key_file", "path", ""),
];

/// `queue` of an agent: turns that wait for a place.
pub const AGENT_QUEUE: [Key; 2] = [key("size", "number", "16"), key("wait", "duration", "30s")];

/// How long an agent's start, calls, silence and turns may take: `limits`.
pub const AGENT_LIMITS: [Key; 5] = [
    key("start", "duration", "30s"),
    key("call", "duration", "30s"),
    key("idle", "duration", "120s"),
    key("turn", "duration", "10m"),
    key("park", "duration", "10m"),
];

/// `threads` of an agent: the conversations it keeps.
pub const AGENT_THREADS: [Key; 3] = [
    key("keep", "number", "4096"),
    key("life", "duration", "7d"),
    key("ephemeral", "true or false", "false"),
];

/// A table of an agent's `mcp`: a program or a server on the network.
pub const AGENT_MCP: [Key; 5] = [
    key("command", "string", ""),
    key("args", "list of strings", "[]"),
    key("env", "table", "{}"),
    key("url", "URL", ""),
    key("headers", "table", "{}"),
];

/// An entry of `models` that is a table.
pub const MODEL: [Key; 8] = [
    key("id", "string", ""),
    key("context_window", "number", ""),
    key("max_output", "number", ""),
    key("reasoning", "true or false", ""),
    key("efforts", "list of none, minimal, low, medium, high, xhigh and max", ""),
    key("images", "true or false", ""),
    key("tools", "true or false", ""),
    key("price", "table", ""),
];

/// `price`: US dollars for a million tokens.
pub const PRICE: [Key; 3] =
    [key("input", "number", ""), key("cached", "number", ""), key("output", "number", "")];

/// The keys of an endpoint's `timeouts`.
pub const TIMEOUTS: [Key; 4] = [
    key("connect", "duration", "10s"),
    key("first_byte", "duration", "120s"),
    key("idle", "duration", "300s"),
    key("content", "duration", ""),
];

/// `quirks`: what a preset says of its provider, for providers that have none.
pub const QUIRKS: [Key; 16] = [
    key(
        "reasoning",
        "none, effort, thinking, thinking_and_effort, enable_thinking, chat_template or openrouter",
        "none",
    ),
    key("echo_reasoning", "never, with_calls, always or details", "never"),
    key("max_completion_tokens", "true or false", "false"),
    key("developer_role", "true or false", "false"),
    key("single_system", "true or false", "true"),
    key("null_content", "true or false", "true"),
    key("stream_options", "true or false", "true"),
    key("tools", "true or false", "true"),
    key("parallel_tool_calls", "true or false", "true"),
    key("tool_choice", "true or false", "true"),
    key("sampling", "true or false", "true"),
    key("nine_character_call_ids", "true or false", "false"),
    key("json_schema", "true or false", "true"),
    key("prompt_cache_key", "true or false", "false"),
    key("images", "true or false", "true"),
    key("tool_images", "true or false", "false"),
];

/// `history`: how much of it an endpoint is given.
pub const HISTORY: [Key; 5] = [
    key("new_outputs", "number", ""),
    key("old_outputs", "number", ""),
    key("newest", "number", "6"),
    key("most_items", "number", ""),
    key("adaptive", "true or false", "false"),
];

/// `options`: settings of single protocols.
pub const OPTIONS: [Key; 7] = [
    key("bearer_keys", "true or false", "false"),
    key("command_code_version", "string", "0.26.8"),
    key("structured", "true or false", "true"),
    key("zero_retention", "true or false", "false"),
    key("hosts", "list of URLs", "[]"),
    key("antigravity_version", "string", ""),
    key("edit_nudge", "true or false", "false"),
];

/// `[launch]`: which models launched clients ask for; a table for each client.
pub const LAUNCH: [Key; 6] = [
    key("model", "string", ""),
    key("small_model", "string", ""),
    key("codex", "table", ""),
    key("claude", "table", ""),
    key("opencode", "table", ""),
    key("gemini", "table", ""),
];

/// The keys of a client's table in `[launch]`.
pub const LAUNCH_CLIENT: [Key; 2] = [key("model", "string", ""), key("small_model", "string", "")];

/// The keys of each `[[route]]`.
pub const ROUTE: [Key; 5] = [
    key("name", "string", ""),
    key("targets", "list", ""),
    key("models", "list of strings", "[]"),
    key("strategy", "ordered, round_robin, least_busy or score", "ordered"),
    key("affinity", "true or false", "true"),
];

/// The keys of each `[[profile]]`.
pub const PROFILE: [Key; 6] = [
    key("name", "string", ""),
    key("endpoint", "string", ""),
    key("model", "string", ""),
    key("small_model", "string", ""),
    key("repair", "off, parse or assist", ""),
    key("effort", "none, minimal, low, medium, high, xhigh or max", ""),
];

/// An entry of `targets` that is a table.
pub const TARGET: [Key; 3] =
    [key("endpoint", "string", ""), key("model", "string", ""), key("priority", "number", "0")];

/// The known name nearest to this one, when it is near enough to be meant.
pub fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    known
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .min()
        .filter(|(distance, known)| *distance <= 1 + known.len() / 3)
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered_only_where_it_may_be_meant() {
        let known = || TOP.iter().chain(&SERVER).map(|key| key.name);
        for (written, meant) in [
            ("lisen", Some("listen")),
            ("serevr", Some("server")),
            ("keepalive", Some("keep_alive")),
            ("default-endpoint", Some("default_endpoint")),
            ("Listen", Some("listen")),
            ("listen", Some("listen")),
            ("completely_different", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(nearest(written, known()), meant, "{written}");
        }
        assert_eq!(nearest("a", std::iter::empty()), None);
    }

    #[test]
    fn no_table_has_a_key_twice_and_every_key_says_what_stands_behind_it() {
        let tables: [&[Key]; 24] = [
            &AGENTS,
            &AGENT,
            &AGENT_PROVIDER,
            &AGENT_QUEUE,
            &AGENT_LIMITS,
            &AGENT_THREADS,
            &AGENT_MCP,
            &TOP,
            &SERVER,
            &TLS,
            &METRICS,
            &STORE,
            &ENDPOINT,
            &MODEL,
            &PRICE,
            &TIMEOUTS,
            &QUIRKS,
            &HISTORY,
            &OPTIONS,
            &LAUNCH,
            &LAUNCH_CLIENT,
            &ROUTE,
            &PROFILE,
            &TARGET,
        ];
        for table in tables {
            let mut names: Vec<&str> = table.iter().map(|key| key.name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), table.len(), "{names:?}");
            for key in table {
                let is_plain =
                    key.name.chars().all(|c| c.is_ascii_lowercase() || matches!(c, '_' | '0'..='9'));
                assert!(is_plain && !key.kind.is_empty(), "{key:?}");
            }
        }
    }
}
