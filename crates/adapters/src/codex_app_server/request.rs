//! What an app-server is asked: parameters of its calls. Pure.

use serde_json::{Map, Value, json};

use crate::agents::codex::config::thread_config;
use crate::agents::codex::effort;
use crate::agents::instructions;
use crate::agents::query::{AgentItem, AgentQuery, AgentRole, AgentTool, Part};
use crate::agents::settings::AgentSettings;

/// What is fixed when a thread begins. Another set of it is another thread.
#[derive(Debug, Clone, PartialEq)]
pub struct ThreadOptions(Map<String, Value>);

impl ThreadOptions {
    /// The options of a query's thread.
    pub fn new(query: &AgentQuery, settings: &AgentSettings, cwd: &str) -> Self {
        let mut options = Map::new();
        let mut put = |name: &str, value: Value| options.insert(name.to_owned(), value);
        put("cwd", cwd.into());
        put("sandbox", settings.safety.sandbox.name().into());
        put("approvalPolicy", settings.safety.ask.name().into());
        put("config", thread_config(settings).into());
        if let Some(text) = instructions::for_agent(&query.instructions, settings) {
            put("baseInstructions", text.into());
        }
        if !query.tools.is_empty() {
            put("dynamicTools", query.tools.iter().map(dynamic_tool).collect());
        }
        Self(options)
    }

    /// As bytes, to tell sets of options apart.
    pub fn key(&self) -> Vec<u8> {
        serde_json::to_vec(&self.0).unwrap_or_default()
    }

    /// `thread/start`.
    pub fn start(&self, model: &str, is_ephemeral: bool) -> Value {
        let mut params = self.with_model(model);
        params.insert("ephemeral".to_owned(), is_ephemeral.into());
        params.into()
    }

    /// `thread/resume`: every option again, since a server forgets `config`.
    pub fn resume(&self, thread: &str, model: &str) -> Value {
        let mut params = self.with_model(model);
        params.insert("threadId".to_owned(), thread.into());
        params.insert("excludeTurns".to_owned(), true.into());
        params.remove("dynamicTools");
        params.into()
    }

    /// `thread/fork` behind a turn.
    pub fn fork(&self, thread: &str, turn: &str, model: &str) -> Value {
        let mut params = self.with_model(model);
        params.insert("threadId".to_owned(), thread.into());
        params.insert("lastTurnId".to_owned(), turn.into());
        params.insert("excludeTurns".to_owned(), true.into());
        params.remove("dynamicTools");
        params.into()
    }

    fn with_model(&self, model: &str) -> Map<String, Value> {
        let mut params = self.0.clone();
        if !model.is_empty() {
            params.insert("model".to_owned(), model.into());
        }
        params
    }
}

fn dynamic_tool(tool: &AgentTool) -> Value {
    json!({ "name": tool.name, "description": tool.description, "inputSchema": tool.schema })
}

/// How latimer says who it is, with the client's tools allowed.
pub fn initialize(version: &str) -> Value {
    json!({
        "clientInfo": { "name": "latimer", "title": "latimer", "version": version },
        "capabilities": { "experimentalApi": true },
    })
}

/// `turn/start`. Model and effort stay for later turns, so both are always said; the schema holds for this turn.
pub fn turn(thread: &str, query: &AgentQuery) -> Value {
    let mut params = json!({ "threadId": thread, "input": input(&query.input()) });
    if !query.model.is_empty() {
        params["model"] = query.model.clone().into();
    }
    if let Some(effort) = query.effort.as_deref().and_then(effort) {
        params["effort"] = effort.into();
    }
    if let Some(schema) = &query.schema {
        params["outputSchema"] = schema.clone();
    }
    params
}

/// Parts as `turn/start` and `turn/steer` take them.
pub fn input(parts: &[Part]) -> Value {
    let part = |part: &Part| match part {
        Part::Text { text } => json!({ "type": "text", "text": text, "text_elements": [] }),
        Part::Image { url } => json!({ "type": "image", "url": url }),
    };
    parts.iter().map(part).collect()
}

/// The items of `thread/inject_items` that stand for what was said before; `None` where nothing was.
pub fn seed(query: &AgentQuery, thread: &str) -> Option<Value> {
    let (before, _) = query.split();
    let items: Vec<Value> = before.iter().map(response_item).collect();
    (!items.is_empty()).then(|| json!({ "threadId": thread, "items": items }))
}

fn response_item(item: &AgentItem) -> Value {
    match item {
        AgentItem::Message { role, parts } => {
            let (role, kind) = match role {
                AgentRole::Developer => ("developer", "input_text"),
                AgentRole::User => ("user", "input_text"),
                AgentRole::Assistant => ("assistant", "output_text"),
            };
            let part = |part: &Part| match part {
                Part::Text { text } => json!({ "type": kind, "text": text }),
                Part::Image { url } => json!({ "type": "input_image", "image_url": url }),
            };
            json!({ "type": "message", "role": role, "content": parts.iter().map(part).collect::<Value>() })
        }
        AgentItem::Call { id, name, arguments } => {
            json!({ "type": "function_call", "call_id": id, "name": name, "arguments": arguments })
        }
        AgentItem::Output { id, parts } => {
            let text = crate::agents::query::words(parts);
            json!({ "type": "function_call_output", "call_id": id, "output": text })
        }
    }
}

/// What a tool of the client said, as the answer to `item/tool/call`.
pub fn tool_answer(parts: &[Part]) -> Value {
    let part = |part: &Part| match part {
        Part::Text { text } => json!({ "type": "inputText", "text": text }),
        Part::Image { url } => json!({ "type": "inputImage", "imageUrl": url }),
    };
    json!({ "success": true, "contentItems": parts.iter().map(part).collect::<Value>() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::settings::AgentProgram;

    fn said(role: AgentRole, text: &str) -> AgentItem {
        AgentItem::Message { role, parts: vec![Part::Text { text: text.to_owned() }] }
    }

    fn query() -> AgentQuery {
        AgentQuery {
            instructions: "SYS".to_owned(),
            items: vec![
                said(AgentRole::User, "one"),
                AgentItem::Call { id: "c1".to_owned(), name: "f".to_owned(), arguments: "{}".to_owned() },
                AgentItem::Output { id: "c1".to_owned(), parts: vec![Part::Text { text: "7".to_owned() }] },
                said(AgentRole::Assistant, "1"),
                said(AgentRole::User, "two"),
            ],
            model: "m".to_owned(),
            effort: Some("High".to_owned()),
            ..AgentQuery::default()
        }
    }

    #[test]
    fn a_thread_is_resumed_with_all_of_its_options() {
        let settings = AgentSettings::usual(AgentProgram::CodexAppServer);
        let options = ThreadOptions::new(&query(), &settings, "/empty");
        let start = options.start("m", true);
        assert_eq!((&start["baseInstructions"], &start["ephemeral"]), (&json!("SYS"), &json!(true)));
        let resume = options.resume("t", "m");
        assert_eq!(resume["config"], start["config"], "its own tools stay off");
        assert_eq!(resume["config"]["features"]["shell_tool"], false);
        assert_eq!(options.fork("t", "u", "m")["lastTurnId"], "u");
        let other = AgentQuery { instructions: "OTHER".to_owned(), ..query() };
        assert_ne!(ThreadOptions::new(&other, &settings, "/empty").key(), options.key());
    }

    #[test]
    fn what_was_said_before_is_seeded_and_what_is_said_now_is_the_turn() {
        let seed = seed(&query(), "t").expect("a history");
        let kinds: Vec<&str> = seed["items"]
            .as_array()
            .expect("items")
            .iter()
            .filter_map(|item| item["type"].as_str())
            .collect();
        assert_eq!(kinds, ["message", "function_call", "function_call_output", "message"]);
        assert_eq!(seed["items"][3]["content"][0]["type"], "output_text");
        let turn = turn("t", &query());
        assert_eq!(turn["input"][0]["text"], "two");
        assert_eq!((&turn["effort"], &turn["model"]), (&json!("high"), &json!("m")));
    }
}
