//! A turn to a Command Code request, structured or as plain strings. Pure.
//!
//! In the form of plain strings no tools can be declared: they are announced in words, and what the model writes is read by the
//! repair layer.

use std::borrow::Cow;

use latimer_protocol::command_code::request::{
    CommandCodeBlock, CommandCodeContent, CommandCodeMessage, CommandCodeParams, CommandCodeRequest,
    CommandCodeTool,
};
use latimer_protocol::turn::{
    Call, CallOutput, Content, Item, Message, Note, Role, Tool, ToolChoice, TurnRequest,
};
use serde_json::json;

use super::{thread_id, tool_prompt};
use crate::arguments;
use crate::body_room::room;
use crate::limitation::{Features, Limitation, Limitations};
use crate::pairing::{NO_OUTPUT, PairedItem, orphan_text, pair};
use crate::prepared_request::EncodedRequest;
use crate::schema;
use crate::tool_names::{ToolNameRule, ToolNames};
use crate::wording;

/// The usual limit on tokens.
const DEFAULT_MAX_TOKENS: u64 = 64_000;
/// The most of one tool output in the form of plain strings, in characters.
const MAX_OUTPUT_CHARS: usize = 8000;
/// How freely tokens are picked in the form of plain strings, where the client does not say: what the server is used to there.
const DEFAULT_TEMPERATURE: f64 = 0.3;

/// Writes the turn; `structured` where the server takes blocks and tools. `today` is the date, as in `2026-01-31`.
pub fn write(turn: &TurnRequest, structured: bool, limitations: &Limitations, today: &str) -> EncodedRequest {
    let structured = structured && !limitations.has(Limitation::StringMode);
    let names = ToolNames::new(turn, ToolNameRule::COMMON);
    let mut notes = Vec::new();
    let steps = pair(&turn.items, &mut notes);
    let mut writer = CommandCodeWriter {
        names: &names,
        structured,
        images: if structured && !limitations.has(Limitation::NoImages) {
            Images::Taken
        } else {
            Images::Refused
        },
        notes: &mut notes,
        system: Vec::new(),
        messages: Vec::new(),
    };
    for step in steps {
        writer.step(step);
    }
    let (mut system, mut messages, has_images) =
        (writer.system, writer.messages, writer.images == Images::Written);
    system.extend(wording::format_instruction(&turn.format).map(Cow::Owned));
    if !structured {
        system.extend(tool_prompt::tools(turn, &names).map(Cow::Owned));
        if !system.is_empty() {
            let content = CommandCodeContent::Text(Cow::Owned(system.join("\n\n")));
            messages.insert(0, CommandCodeMessage { role: "user", content });
        }
    }
    let system = (structured && !system.is_empty()).then(|| system.join("\n\n"));
    let declared =
        structured && !limitations.has(Limitation::NoTools) && turn.tool_choice != ToolChoice::None;
    let tools = if declared { tools(turn, &names, &mut notes) } else { Vec::new() };
    if !tools.is_empty() && turn.tool_choice != ToolChoice::Auto {
        notes.push(Note::request("tool_choice was left out: this provider has no field for it"));
    }
    let effort = turn.reasoning.effort.as_deref().filter(|effort| structured && *effort != "none");
    let table = [
        (structured, Limitation::StringMode),
        (has_images, Limitation::NoImages),
        (!tools.is_empty(), Limitation::NoTools),
        (effort.is_some(), Limitation::NoReasoning),
    ];
    let features =
        Features::of(table.into_iter().filter(|(used, _)| *used).map(|(_, limitation)| limitation));
    let request = CommandCodeRequest {
        params: CommandCodeParams {
            messages: alternating(messages),
            model: &turn.model,
            stream: true,
            max_tokens: turn.max_output_tokens.unwrap_or(DEFAULT_MAX_TOKENS),
            temperature: turn.sampling.temperature.or((!structured).then_some(DEFAULT_TEMPERATURE)),
            system,
            tools,
            reasoning_effort: effort.filter(|_| !limitations.has(Limitation::NoReasoning)),
        },
        config: json!({
            "workingDir": "/", "date": today, "environment": "linux", "shell": "bash", "files": [],
            "structure": [], "isGitRepo": false, "currentBranch": "", "mainBranch": "", "gitStatus": "",
            "recentCommits": [],
        }),
        memory: "",
        taste: "",
        skills: "",
        thread_id: thread_id::of(turn),
    };
    // Writing to memory fails only for maps with keys that are not strings, and there are none.
    let body = latimer_protocol::json::to_vec(&request, room(turn)).unwrap_or_default();
    EncodedRequest { body, names, features, notes, ..EncodedRequest::default() }
}

/// Whether pictures are taken, and whether there are any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Images {
    Refused,
    Taken,
    Written,
}

struct CommandCodeWriter<'a, 'n> {
    names: &'n ToolNames,
    structured: bool,
    images: Images,
    notes: &'n mut Vec<Note>,
    system: Vec<Cow<'a, str>>,
    messages: Vec<CommandCodeMessage<'a>>,
}

impl<'a> CommandCodeWriter<'a, '_> {
    fn step(&mut self, step: PairedItem<'a>) {
        match step {
            PairedItem::Item(Item::Message(message)) => self.message(message),
            // Earlier thoughts are not taken.
            PairedItem::Item(_) => {}
            PairedItem::Call(call, id) => self.call(call, id),
            PairedItem::Output(output, id) => self.output(output, id),
            PairedItem::Orphan(output) => {
                self.push("user", CommandCodeBlock::Text { text: orphan_text(output).into() });
            }
        }
    }

    /// A block, or in the form of plain strings its words.
    fn push(&mut self, role: &'static str, block: CommandCodeBlock<'a>) {
        if self.structured {
            match self.messages.last_mut() {
                Some(CommandCodeMessage { role: last, content: CommandCodeContent::Blocks(blocks) })
                    if *last == role =>
                {
                    blocks.push(block);
                }
                _ => self
                    .messages
                    .push(CommandCodeMessage { role, content: CommandCodeContent::Blocks(vec![block]) }),
            }
            return;
        }
        let CommandCodeBlock::Text { text } = block else { return };
        self.messages.push(CommandCodeMessage { role, content: CommandCodeContent::Text(text) });
    }

    fn message(&mut self, message: &'a Message) {
        for part in &message.content {
            match part {
                Content::Text(text) | Content::Refusal(text) if text.trim().is_empty() => {}
                Content::Text(text) | Content::Refusal(text) if message.role == Role::System => {
                    self.system.push(Cow::Borrowed(text));
                }
                Content::Text(text) | Content::Refusal(text) => {
                    let role = if message.role == Role::Assistant { "assistant" } else { "user" };
                    self.push(role, CommandCodeBlock::Text { text: Cow::Borrowed(text) });
                }
                Content::Image(image) if self.images != Images::Refused => {
                    self.images = Images::Written;
                    self.push("user", CommandCodeBlock::Image { image: &image.url });
                }
                Content::Image(_) | Content::File { .. } => {
                    self.notes.push(Note::request(wording::IMAGE_NOTE));
                    self.push("user", CommandCodeBlock::Text { text: wording::IMAGE_PLACEHOLDER.into() });
                }
            }
        }
    }

    fn call(&mut self, call: &'a Call, id: String) {
        let name = self.names.provider_name(&call.name).to_owned();
        if !self.structured {
            let args = arguments::object_text(&call.arguments);
            let line = json!({ "type": "tool-call", "id": id, "name": name, "arguments": args.as_ref() });
            return self.push("assistant", CommandCodeBlock::Text { text: line.to_string().into() });
        }
        let input = arguments::object(&call.arguments);
        self.push("assistant", CommandCodeBlock::ToolUse { id: id.into(), name: name.into(), input });
    }

    fn output(&mut self, output: Option<&'a CallOutput>, id: String) {
        let parts = output.map_or(&[][..], |output| output.content.as_slice());
        let texts = parts.iter().map(|part| match part {
            Content::Text(text) | Content::Refusal(text) => text.as_str(),
            Content::Image(_) | Content::File { .. } => {
                self.notes.push(Note::request(wording::IMAGE_NOTE));
                wording::IMAGE_PLACEHOLDER
            }
        });
        let mut text = texts.collect::<Vec<_>>().join("\n");
        if output.is_none() {
            NO_OUTPUT.clone_into(&mut text);
        }
        if self.structured {
            return self
                .push("user", CommandCodeBlock::ToolResult { tool_use_id: id.into(), content: text.into() });
        }
        let count = text.chars().count();
        if count > MAX_OUTPUT_CHARS {
            let head: String = text.chars().take(MAX_OUTPUT_CHARS).collect();
            text = format!("{head}\n(… {} characters were left out here …)", count - MAX_OUTPUT_CHARS);
            self.notes.push(Note::request("a tool output was shortened to 8000 characters"));
        }
        self.push(
            "user",
            CommandCodeBlock::Text { text: format!("Result of the tool call {id}:\n{text}").into() },
        );
    }
}

/// Neighbouring texts of the same speaker become one message.
fn alternating(messages: Vec<CommandCodeMessage<'_>>) -> Vec<CommandCodeMessage<'_>> {
    let mut merged: Vec<CommandCodeMessage<'_>> = Vec::with_capacity(messages.len());
    for message in messages {
        match (merged.last_mut(), message) {
            (
                Some(CommandCodeMessage { role, content: CommandCodeContent::Text(text) }),
                CommandCodeMessage { role: same, content: CommandCodeContent::Text(more) },
            ) if *role == same => {
                let text = text.to_mut();
                text.push('\n');
                text.push_str(&more);
            }
            (_, message) => merged.push(message),
        }
    }
    merged
}

fn tools<'a>(turn: &'a TurnRequest, names: &ToolNames, notes: &mut Vec<Note>) -> Vec<CommandCodeTool<'a>> {
    let wire = |tool: &'a Tool| CommandCodeTool {
        name: Cow::Owned(names.provider_name(&tool.name).to_owned()),
        description: tool.description.as_deref(),
        input_schema: schema::parameters(tool, notes),
    };
    turn.tools.iter().map(wire).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use latimer_protocol::id::CallId;
    use serde_json::Value;
    use serde_json::value::RawValue;

    fn turn() -> TurnRequest {
        let message_of = |role: Role, text: &str| {
            Item::Message(Message { role, content: vec![Content::Text(text.into())] })
        };
        let schema = r#"{"type":"object","properties":{"cmd":{"type":"string"}},"required":["cmd"]}"#;
        TurnRequest {
            model: "deepseek/deepseek-v4-flash".into(),
            items: vec![
                message_of(Role::System, "Be brief."),
                message_of(Role::User, "list"),
                message_of(Role::Assistant, "I will."),
                Item::Call(Call {
                    id: CallId::from("c1"),
                    name: "shell".into(),
                    arguments: "{\"cmd\":\"ls\"}".into(),
                }),
                Item::Output(CallOutput {
                    id: CallId::from("c1"),
                    content: vec![Content::Text("x".repeat(9000))],
                }),
                message_of(Role::User, "and now?"),
            ],
            tools: vec![Tool {
                name: "shell".into(),
                description: Some("Runs a command.".into()),
                parameters: RawValue::from_string(schema.into()).ok(),
                strict: None,
            }],
            ..TurnRequest::default()
        }
    }

    fn body(structured: bool) -> (Value, Vec<Note>) {
        let written = write(&turn(), structured, &Limitations::default(), "2026-01-31");
        (serde_json::from_slice(&written.body).expect("JSON"), written.notes)
    }

    #[test]
    fn structured() {
        let (body, notes) = body(true);
        let params = &body["params"];
        assert_eq!(params["system"], "Be brief.");
        assert_eq!(params["tools"][0]["input_schema"]["required"], json!(["cmd"]));
        let roles: Vec<&str> = params["messages"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|message| message["role"].as_str())
            .collect();
        assert_eq!(roles, ["user", "assistant", "user"]);
        assert_eq!(
            params["messages"][1]["content"][1],
            json!({ "type": "tool_use", "id": "c1", "name": "shell", "input": { "cmd": "ls" } })
        );
        assert_eq!(params["messages"][2]["content"][0]["content"].as_str().map(str::len), Some(9000));
        assert_eq!(body["config"]["date"], "2026-01-31");
        assert_eq!(body["threadId"].as_str().map(str::len), Some(36));
        assert!(notes.is_empty());
    }

    #[test]
    fn plain_strings_with_tools_in_words() {
        let (body, notes) = body(false);
        let messages = body["params"]["messages"].as_array().expect("a list");
        assert!(messages.iter().all(|message| message["content"].is_string()));
        assert_eq!(body["params"]["tools"], json!([]));
        let first = messages[0]["content"].as_str().expect("text");
        assert!(
            first.starts_with("Be brief.")
                && first.contains("- shell: Runs a command.")
                && first.ends_with("list"),
            "{first}"
        );
        let content = messages[1]["content"].as_str().expect("text");
        let line = content.lines().last().expect("a line");
        assert!(line.starts_with(r#"{"type":"tool-call","id":"c1","name":"shell""#), "{line}");
        assert!(
            messages[2]["content"]
                .as_str()
                .is_some_and(|text| text.contains("1000 characters were left out"))
        );
        assert_eq!(notes.len(), 1);
        let limitations = Limitations::new([Limitation::StringMode]);
        let learned = write(&turn(), true, &limitations, "2026-01-31");
        assert_eq!(serde_json::from_slice::<Value>(&learned.body).expect("JSON"), body);
    }
}
