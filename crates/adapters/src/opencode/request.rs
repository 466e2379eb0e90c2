//! What an OpenCode server is told: its configuration, and the prompt of a turn. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::agents::AGENT_HEADER;
use crate::agents::instructions;
use crate::agents::query::{AgentQuery, Part, words};
use crate::agents::settings::{AgentSettings, Approvals, McpServer};

/// Our provider's name in its configuration.
const PROVIDER: &str = "latimer";

/// The configuration of a server for these models. It may hold the provider's key, so it is a private file.
pub fn config(settings: &AgentSettings, models: &BTreeSet<String>) -> Value {
    let own = settings.safety.own_tools;
    let permission = match (own, settings.safety.approvals) {
        (false, _) => "deny",
        (true, Approvals::Decline) => "ask",
        (true, Approvals::Accept) => "allow",
    };
    let mut config = json!({
        "autoupdate": false,
        "snapshot": false,
        "share": "disabled",
        "permission": permission,
        "mcp": mcp(&settings.mcp),
    });
    if let Some(prompt) =
        instructions::for_agent(settings.instructions.as_deref().unwrap_or_default(), settings)
    {
        config["agent"] = json!({ "build": { "prompt": prompt } });
    }
    if let Some(provider) = &settings.provider {
        let model = |id: &String| {
            let modalities = json!({ "input": ["text", "image"], "output": ["text"] });
            (id.clone(), json!({ "tool_call": true, "modalities": modalities }))
        };
        let models: Map<String, Value> = models.iter().map(model).collect();
        let key = provider.key.as_ref().map_or("none", |key| key.expose());
        config["enabled_providers"] = json!([PROVIDER]);
        config["provider"] = json!({ PROVIDER: {
            "npm": "@ai-sdk/openai-compatible",
            "name": PROVIDER,
            "options": { "baseURL": provider.base_url, "apiKey": key, "headers": { AGENT_HEADER: "1" } },
            "models": models,
        }});
    }
    config
}

fn mcp(servers: &BTreeMap<String, McpServer>) -> Value {
    let server = |server: &McpServer| match server {
        McpServer::Program { command, args, env } => {
            let mut line = vec![command.clone()];
            line.extend(args.iter().cloned());
            let mut table = json!({ "type": "local", "command": line, "enabled": true });
            if !env.is_empty() {
                table["environment"] = json!(env);
            }
            table
        }
        McpServer::Remote { url, headers } => {
            let mut table = json!({ "type": "remote", "url": url, "enabled": true });
            if !headers.is_empty() {
                table["headers"] = json!(headers);
            }
            table
        }
    };
    servers.iter().map(|(name, one)| (name.clone(), server(one))).collect::<Map<_, _>>().into()
}

/// What is fixed for a conversation. Another set of it is another session.
pub fn options_key(query: &AgentQuery) -> Vec<u8> {
    serde_json::to_vec(&json!([query.instructions, query.model])).unwrap_or_default()
}

/// `POST /session`: with a title, none is asked of the model.
pub fn session() -> Value {
    json!({ "title": "latimer" })
}

/// The prompt of a turn.
pub fn prompt(query: &AgentQuery, settings: &AgentSettings, parts: &[Part]) -> Value {
    let part = |part: &Part| match part {
        Part::Text { text } => json!({ "type": "text", "text": text }),
        Part::Image { url } => {
            let mime =
                url.strip_prefix("data:").and_then(|rest| rest.split(';').next()).unwrap_or("image/png");
            json!({ "type": "file", "mime": mime, "url": url })
        }
    };
    let mut prompt = json!({ "parts": parts.iter().map(part).collect::<Value>() });
    // The standing part of the instructions is in the configuration.
    let standing = settings.instructions.as_deref().unwrap_or_default();
    let system = query.instructions.strip_prefix(standing).unwrap_or(&query.instructions).trim();
    if !system.is_empty() {
        prompt["system"] = system.into();
    }
    if !settings.safety.own_tools && settings.mcp.is_empty() {
        prompt["tools"] = json!({ "*": false });
    }
    if let Some((provider, model)) = model(query, settings) {
        prompt["model"] = json!({ "providerID": provider, "modelID": model });
    }
    prompt
}

/// The provider and the model of a turn, as the server knows them.
fn model<'q>(query: &'q AgentQuery, settings: &AgentSettings) -> Option<(&'q str, &'q str)> {
    if settings.provider.is_some() {
        return (!query.model.is_empty()).then_some((PROVIDER, query.model.as_str()));
    }
    query.model.split_once('/')
}

/// All that is said now, in its parts; with what was said before, where the server does not know it.
pub fn parts(query: &AgentQuery, is_known: bool) -> Vec<Part> {
    if is_known {
        return query.input();
    }
    let text = query.as_transcript();
    let text = if text.is_empty() { words(&query.input()) } else { text };
    let mut parts = vec![Part::Text { text }];
    parts.extend(query.pictures().into_iter().map(|url| Part::Image { url }));
    parts
}

/// Where a server says that it listens, in a line of its output.
pub fn address(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("listening on ")?;
    let url = rest.split_whitespace().next()?.trim_end_matches('/');
    url.starts_with("http://").then(|| url.to_owned())
}

#[cfg(test)]
mod tests {
    use latimer_protocol::secret::Secret;

    use super::*;
    use crate::agents::settings::{AgentProgram, AgentProvider};

    #[test]
    fn tool_servers_are_written_as_opencode_wants_them() {
        let mut settings = AgentSettings::usual(AgentProgram::OpenCode);
        let empty = config(&settings, &BTreeSet::new());
        assert_eq!((&empty["mcp"], &empty["permission"]), (&json!({}), &json!("deny")));
        let program = |env: &[(&str, &str)]| McpServer::Program {
            command: "tool".to_owned(),
            args: vec!["-x".to_owned()],
            env: env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        };
        settings.mcp.insert("bare".to_owned(), program(&[]));
        settings.mcp.insert("env".to_owned(), program(&[("A", "1")]));
        let remote = McpServer::Remote { url: "https://m.test".to_owned(), headers: BTreeMap::new() };
        settings.mcp.insert("far".to_owned(), remote);
        let mcp = config(&settings, &BTreeSet::new())["mcp"].clone();
        assert_eq!(mcp["bare"], json!({ "type": "local", "command": ["tool", "-x"], "enabled": true }));
        assert_eq!(mcp["env"]["environment"], json!({ "A": "1" }));
        assert_eq!(mcp["far"], json!({ "type": "remote", "url": "https://m.test", "enabled": true }));
    }

    #[test]
    fn a_model_of_ours_is_a_provider_of_its_own() {
        let mut settings = AgentSettings::usual(AgentProgram::OpenCode);
        let query = AgentQuery { model: "anthropic/claude".to_owned(), ..AgentQuery::default() };
        assert_eq!(model(&query, &settings), Some(("anthropic", "claude")));
        let key = Some(Secret::new("sk-opencode-0123456789"));
        settings.provider = Some(AgentProvider { base_url: "http://127.0.0.1:1/v1".to_owned(), key });
        assert_eq!(model(&query, &settings), Some((PROVIDER, "anthropic/claude")));
        let config = config(&settings, &BTreeSet::from(["m".to_owned()]));
        assert_eq!(config["provider"][PROVIDER]["options"]["baseURL"], "http://127.0.0.1:1/v1");
        assert!(config["provider"][PROVIDER]["models"]["m"].is_object());
    }

    #[test]
    fn the_address_is_read_and_never_assumed() {
        for (line, url) in [
            ("opencode server listening on http://127.0.0.1:4096", Some("http://127.0.0.1:4096")),
            ("Warning: OPENCODE_SERVER_PASSWORD is not set; server is unsecured.", None),
            ("listening on /tmp/socket", None),
            ("", None),
        ] {
            assert_eq!(address(line).as_deref(), url, "{line}");
        }
    }
}
