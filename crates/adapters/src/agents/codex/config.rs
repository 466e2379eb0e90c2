//! The configuration that Codex is given. Pure.
//!
//! It shows the model nothing of this machine and nothing of Codex: no skills, no project documents, no permissions text, and, unless the
//! endpoint says otherwise, none of Codex's own tools (fixture agents/codex_app_server/clean-thread.jsonl).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use toml::Table;

use crate::agents::AGENT_HEADER;
use crate::agents::environment::MARK;
use crate::agents::settings::{AgentSettings, McpServer};

/// The name of our provider in Codex's configuration.
pub const PROVIDER: &str = "latimer";

/// What a command of the model has of Codex's environment.
const SHELL_VARIABLES: [&str; 13] =
    ["PATH", "HOME", "SHELL", "USER", "LOGNAME", "LANG", "LC_*", "TERM", "TZ", "TMPDIR", "TMP", "TEMP", MARK];

/// A value that cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the value of `{key}` {why}")]
pub struct ConfigError {
    /// Its path in the configuration.
    pub key: String,
    /// What is wrong with it.
    pub why: &'static str,
}

/// What both programs are told beside their model: as the `config` of a thread, or as `-c` arguments. Holds no secret.
pub fn thread_config(settings: &AgentSettings) -> Map<String, Value> {
    let own = settings.safety.own_tools;
    let mut config = json!({
        "web_search": if own { "cached" } else { "disabled" },
        "project_doc_max_bytes": 0,
        "include_permissions_instructions": own,
        "include_environment_context": own,
        "skills": { "include_instructions": false },
        "agents": { "enabled": false },
        "features": {
            "shell_tool": own,
            "unified_exec": own,
            "goals": false,
            "view_image": own,
            "multi_agent": false,
            "unbounded_connection_retries": false,
        },
    });
    if !settings.mcp.is_empty() {
        config["mcp_servers"] = settings
            .mcp
            .iter()
            .map(|(name, server)| (name.clone(), mcp(server)))
            .collect::<Map<_, _>>()
            .into();
    }
    let mut config = if let Value::Object(config) = config { config } else { Map::new() };
    merge(&mut config, &settings.config);
    config
}

/// Puts one table over another; tables in both are joined.
fn merge(base: &mut Map<String, Value>, over: &Map<String, Value>) {
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (Some(Value::Object(base)), Value::Object(over)) => merge(base, over),
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}

/// A tool server whose tools need no approval: it was named by the person.
fn mcp(server: &McpServer) -> Value {
    let mut table = Map::new();
    let texts = |map: &BTreeMap<String, String>| {
        map.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect::<Map<_, _>>()
    };
    match server {
        McpServer::Program { command, args, env } => {
            table.insert("command".to_owned(), command.clone().into());
            if !args.is_empty() {
                table.insert("args".to_owned(), args.clone().into());
            }
            if !env.is_empty() {
                table.insert("env".to_owned(), texts(env).into());
            }
        }
        McpServer::Remote { url, headers } => {
            table.insert("url".to_owned(), url.clone().into());
            if !headers.is_empty() {
                table.insert("http_headers".to_owned(), texts(headers).into());
            }
        }
    }
    table.insert("default_tools_approval_mode".to_owned(), "approve".into());
    table.into()
}

/// The file `config.toml` of a private home. It may hold the provider's key, so it is a private file.
///
/// # Errors
/// A text has a line break, which no setting of Codex means; or a number is none of TOML.
pub fn file(settings: &AgentSettings) -> Result<String, ConfigError> {
    let mut all = Map::new();
    all.insert("check_for_update_on_startup".to_owned(), false.into());
    all.insert("sandbox_mode".to_owned(), settings.safety.sandbox.name().into());
    all.insert("approval_policy".to_owned(), settings.safety.ask.name_in_config().into());
    if settings.safety.own_tools {
        // The commands of the model get the variables that a shell needs, and the mark by which they are found and ended.
        let policy = json!({ "inherit": "all", "include_only": SHELL_VARIABLES });
        all.insert("shell_environment_policy".to_owned(), policy);
    }
    if let Some(provider) = &settings.provider {
        let mut table = json!({
            "name": PROVIDER,
            "base_url": provider.base_url,
            "wire_api": "responses",
            // Trying again is the proxy's work.
            "request_max_retries": 0,
            "stream_max_retries": 0,
            "requires_openai_auth": false,
            "http_headers": { AGENT_HEADER: "1" },
        });
        if let Some(key) = &provider.key {
            table["experimental_bearer_token"] = key.expose().into();
        }
        all.insert("model_provider".to_owned(), PROVIDER.into());
        all.insert("model_providers".to_owned(), json!({ PROVIDER: table }));
    }
    merge(&mut all, &thread_config(settings));
    let mut path = Vec::new();
    let table = table(&all, &mut path)?;
    toml::to_string(&table).map_err(|_| ConfigError { key: String::new(), why: "is no value of TOML" })
}

/// `key=value` arguments for `-c`, one for each value that is no table. Holds no secret.
///
/// # Errors
/// As [`file()`].
pub fn arguments(config: &Map<String, Value>) -> Result<Vec<String>, ConfigError> {
    let mut arguments = Vec::new();
    flatten(config, &mut Vec::new(), &mut arguments)?;
    Ok(arguments)
}

fn flatten(
    config: &Map<String, Value>,
    path: &mut Vec<String>,
    out: &mut Vec<String>,
) -> Result<(), ConfigError> {
    for (key, value) in config {
        path.push(key.clone());
        // Codex splits paths at dots and knows no quotes there: a name with a dot is written as part of a table.
        let is_plain = |map: &Map<String, Value>| !map.is_empty() && map.keys().all(|name| is_bare(name));
        match value {
            Value::Object(inner) if is_plain(inner) => flatten(inner, path, out)?,
            _ => out.push(format!("{}={}", path.join("."), toml_value(value, path)?)),
        }
        path.pop();
    }
    Ok(())
}

fn is_bare(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

fn table(map: &Map<String, Value>, path: &mut Vec<String>) -> Result<Table, ConfigError> {
    let mut table = Table::new();
    for (key, value) in map {
        path.push(key.clone());
        if !value.is_null() {
            table.insert(key.clone(), toml_value(value, path)?);
        }
        path.pop();
    }
    Ok(table)
}

fn toml_value(value: &Value, path: &mut Vec<String>) -> Result<toml::Value, ConfigError> {
    let wrong = |why| ConfigError { key: path.join("."), why };
    Ok(match value {
        Value::Null => return Err(wrong("is null, which TOML does not have")),
        Value::Bool(is_on) => (*is_on).into(),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => whole.into(),
            (None, Some(number)) => number.into(),
            (None, None) => return Err(wrong("is no number of TOML")),
        },
        Value::String(text) if text.contains(['\n', '\r']) => return Err(wrong("holds a line break")),
        Value::String(text) => text.clone().into(),
        Value::Array(values) => {
            let values = values.iter().map(|value| toml_value(value, path));
            toml::Value::Array(values.collect::<Result<_, _>>()?)
        }
        Value::Object(map) => toml::Value::Table(table(map, path)?),
    })
}

#[cfg(test)]
mod tests {
    use latimer_protocol::secret::Secret;

    use super::*;
    use crate::agents::settings::{AgentProgram, AgentProvider, Ask};

    fn settings() -> AgentSettings {
        AgentSettings::usual(AgentProgram::CodexExec)
    }

    fn server(args: &[&str], env: &[(&str, &str)]) -> McpServer {
        McpServer::Program {
            command: "/bin/tool".to_owned(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            env: env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        }
    }

    #[test]
    fn odd_names_and_characters_come_back_as_they_were() {
        let mut settings = settings();
        let odd = "a\"b\\c\u{1}d";
        settings.mcp.insert("with.dot".to_owned(), server(&[odd], &[("K.1", odd)]));
        settings.mcp.insert("plain".to_owned(), server(&[], &[]));
        settings.provider = Some(AgentProvider {
            base_url: "http://127.0.0.1:1/v1".to_owned(),
            key: Some(Secret::new("sk-lab-0123456789")),
        });
        let text = file(&settings).expect("written");
        let read: Table = text.parse().expect("TOML");
        let servers = &read["mcp_servers"];
        assert_eq!(servers["with.dot"]["args"][0].as_str(), Some(odd));
        assert_eq!(servers["with.dot"]["env"]["K.1"].as_str(), Some(odd));
        assert_eq!(servers["plain"].get("args"), None, "an empty list is left out");
        assert_eq!(servers["plain"]["default_tools_approval_mode"].as_str(), Some("approve"));
        let provider = &read["model_providers"]["latimer"];
        assert_eq!(provider["experimental_bearer_token"].as_str(), Some("sk-lab-0123456789"));
        assert_eq!(provider["http_headers"]["x-latimer-agent"].as_str(), Some("1"));
        assert_eq!(provider["request_max_retries"].as_integer(), Some(0));
        assert_eq!(read["features"]["shell_tool"].as_bool(), Some(false));
    }

    #[test]
    fn what_only_a_thread_may_ask_for_is_not_in_the_file() {
        let mut settings = settings();
        for (ask, written) in
            [(Ask::Never, "never"), (Ask::OnRequest, "on-request"), (Ask::Untrusted, "on-request")]
        {
            settings.safety.ask = ask;
            let read: Table = file(&settings).expect("written").parse().expect("TOML");
            assert_eq!(read["approval_policy"].as_str(), Some(written), "{ask:?}");
        }
    }

    #[test]
    fn commands_have_the_mark_by_which_they_are_ended_and_no_key() {
        let mut settings = settings();
        settings.safety.own_tools = true;
        let read: Table = file(&settings).expect("written").parse().expect("TOML");
        let policy = &read["shell_environment_policy"];
        let names: Vec<&str> = policy["include_only"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(toml::Value::as_str)
            .collect();
        assert!(names.contains(&"LATIMER_AGENT") && names.contains(&"PATH"), "{names:?}");
        assert!(!names.iter().any(|name| name.contains("KEY") || name.contains("PROXY")), "{names:?}");
    }

    #[test]
    fn a_line_break_is_refused_by_the_name_of_its_key() {
        let mut settings = settings();
        settings.mcp.insert("lab".to_owned(), server(&["two\nlines"], &[]));
        let wrong = file(&settings).expect_err("refused");
        assert_eq!(wrong.to_string(), "the value of `mcp_servers.lab.args` holds a line break");
    }

    #[test]
    fn the_last_word_is_the_configuration_s() {
        let mut settings = settings();
        let over = json!({ "features": { "view_image": true }, "model_verbosity": "low" });
        settings.config = over.as_object().expect("a table").clone();
        let config = thread_config(&settings);
        assert_eq!(config["features"]["view_image"], true);
        assert_eq!(config["features"]["shell_tool"], false);
        let arguments = arguments(&config).expect("written");
        assert!(arguments.contains(&"features.view_image=true".to_owned()), "{arguments:?}");
        assert!(arguments.contains(&"model_verbosity=\"low\"".to_owned()), "{arguments:?}");
    }
}
