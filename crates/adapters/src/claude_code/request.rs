//! What Claude Code is started with, and the line of a turn. Pure.

use std::ffi::OsString;
use std::path::Path;

use serde_json::{Value, json};

use crate::agents::query::{AgentQuery, Part};
use crate::agents::settings::{AgentSettings, McpServer};

/// Efforts that it knows.
const EFFORTS: [&str; 4] = ["low", "medium", "high", "max"];

/// How a process comes by its conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Session<'s> {
    /// It begins one of this name.
    New(&'s str),
    /// It goes on with one that a process before it had.
    Resumed(&'s str),
}

/// What a process cannot change while it lives. Another set of it is another process.
pub fn options_key(query: &AgentQuery) -> Vec<u8> {
    let key = json!([query.instructions, query.model, query.effort, query.schema]);
    serde_json::to_vec(&key).unwrap_or_default()
}

/// The arguments of a process. Instructions and tool servers are files: neither a prompt nor a secret is an argument.
pub fn arguments(
    query: &AgentQuery,
    settings: &AgentSettings,
    session: &Session<'_>,
    instructions: Option<&Path>,
    mcp: Option<&Path>,
) -> Vec<OsString> {
    let mut all: Vec<OsString> = [
        "-p",
        "--output-format",
        "stream-json",
        "--input-format",
        "stream-json",
        "--verbose",
        "--include-partial-messages",
        "--replay-user-messages",
        "--strict-mcp-config",
        "--setting-sources",
        "",
    ]
    .map(OsString::from)
    .into();
    let mut put = |flag: &str, value: OsString| all.extend([flag.into(), value]);
    if !query.model.is_empty() {
        put("--model", query.model.clone().into());
    }
    let effort = query.effort.as_deref().map(str::to_ascii_lowercase);
    if let Some(effort) = effort.filter(|effort| EFFORTS.contains(&effort.as_str())) {
        put("--effort", effort.into());
    }
    if let Some(path) = instructions {
        put("--system-prompt-file", path.into());
    }
    if let Some(path) = mcp {
        put("--mcp-config", path.into());
    }
    if let Some(schema) = &query.schema {
        put("--json-schema", schema.to_string().into());
    }
    if settings.safety.own_tools {
        put("--permission-mode", "default".into());
        put("--permission-prompt-tool", "stdio".into());
    } else {
        put("--permission-mode", "dontAsk".into());
        put("--tools", "".into());
    }
    for name in settings.mcp.keys() {
        // A server that the person named needs no approval.
        put("--allowedTools", format!("mcp__{name}").into());
    }
    match session {
        Session::New(id) => put("--session-id", (*id).into()),
        Session::Resumed(id) => put("--resume", (*id).into()),
    }
    all
}

/// The file of tool servers; `None` where there are none.
pub fn mcp_file(settings: &AgentSettings) -> Option<Vec<u8>> {
    if settings.mcp.is_empty() {
        return None;
    }
    let server = |server: &McpServer| match server {
        McpServer::Program { command, args, env } => {
            json!({ "type": "stdio", "command": command, "args": args, "env": env })
        }
        McpServer::Remote { url, headers } => json!({ "type": "http", "url": url, "headers": headers }),
    };
    let servers: serde_json::Map<String, Value> =
        settings.mcp.iter().map(|(name, one)| (name.clone(), server(one))).collect();
    serde_json::to_vec(&json!({ "mcpServers": servers })).ok()
}

/// The line of a turn.
///
/// # Errors
/// A picture is no base64 data URL.
pub fn turn(parts: &[Part]) -> Result<Value, &'static str> {
    let content = parts.iter().map(block).collect::<Result<Value, _>>()?;
    Ok(json!({ "type": "user", "message": { "role": "user", "content": content } }))
}

fn block(part: &Part) -> Result<Value, &'static str> {
    match part {
        Part::Text { text } => Ok(json!({ "type": "text", "text": text })),
        Part::Image { url } => {
            let picture = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
            let (media_type, data) = picture.ok_or("a picture is no base64 data URL")?;
            let source = json!({ "type": "base64", "media_type": media_type, "data": data });
            Ok(json!({ "type": "image", "source": source }))
        }
    }
}

/// A random name in the form that sessions have.
pub fn session_name(mut random: [u8; 16]) -> String {
    random[6] = random[6] & 0x0f | 0x40;
    random[8] = random[8] & 0x3f | 0x80;
    let hex: Vec<String> = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default().concat();
    [part(0..4), part(4..6), part(6..8), part(8..10), part(10..16)].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::query::{AgentItem, AgentRole};
    use crate::agents::settings::AgentProgram;

    #[test]
    fn nothing_of_the_person_and_no_words_are_in_the_arguments() {
        let mut settings = AgentSettings::usual(AgentProgram::ClaudeCode);
        let parts = vec![Part::Text { text: "PROMPT".to_owned() }];
        let query = AgentQuery {
            instructions: "INSTRUCTIONS".to_owned(),
            items: vec![AgentItem::Message { role: AgentRole::User, parts }],
            model: "claude-lab".to_owned(),
            effort: Some("High".to_owned()),
            ..AgentQuery::default()
        };
        let line = |settings: &AgentSettings, session: Session<'_>| {
            let all = arguments(&query, settings, &session, Some(Path::new("/t/i.md")), None);
            all.iter().map(|argument| argument.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
        };
        let plain = line(&settings, Session::New("s-1"));
        for word in ["PROMPT", "INSTRUCTIONS"] {
            assert!(!plain.contains(word), "{plain}");
        }
        for part in [
            "--setting-sources  --model claude-lab --effort high --system-prompt-file /t/i.md",
            "--permission-mode dontAsk --tools  --session-id s-1",
        ] {
            assert!(plain.contains(part), "{part}: {plain}");
        }
        settings.safety.own_tools = true;
        assert!(
            line(&settings, Session::Resumed("s-1")).ends_with("--permission-prompt-tool stdio --resume s-1")
        );
    }

    #[test]
    fn pictures_are_blocks_and_names_are_of_the_right_form() {
        let picture = Part::Image { url: "data:image/png;base64,AAAA".to_owned() };
        let line = turn(&[picture]).expect("a picture");
        assert_eq!(line["message"]["content"][0]["source"]["media_type"], "image/png");
        assert!(turn(&[Part::Image { url: "https://a.test".to_owned() }]).is_err());
        assert_eq!(session_name([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
