//! A turn in the words of agents: instructions, what was said before, what is said now. Pure.
//!
//! It is the body of an agent's request: written once for all attempts, and read again where a program is asked.

use std::fmt::Write as _;

use latimer_protocol::turn::{
    Content, Format, Image, Item, Note, Role, StateOwner, Tool, ToolChoice, TurnRequest,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::settings::{AgentProgram, AgentSettings, ClientTools};
use crate::prepared_request::{EncodedRequest, PreparedRequest, WireProtocol};

/// The most of one turn's input, in characters: Codex takes no more.
pub const MAX_INPUT_CHARS: usize = 1 << 20;

/// What an agent is asked.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct AgentQuery {
    /// Standing instructions, without which a client would be answered by another assistant.
    pub instructions: String,
    /// The conversation, oldest first; the last ones may be what is said now.
    pub items: Vec<AgentItem>,
    /// The model that the client names.
    pub model: String,
    /// How hard to think, as the client wrote it.
    pub effort: Option<String>,
    /// The schema that the answer must have.
    pub schema: Option<Value>,
    /// Tools of the client that the agent may call.
    pub tools: Vec<AgentTool>,
    /// Why no agent can be asked this, with the remedy.
    pub refusal: Option<String>,
}

/// One entry of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum AgentItem {
    /// Somebody said something.
    Message {
        /// Who.
        role: AgentRole,
        /// What.
        parts: Vec<Part>,
    },
    /// A tool of the client was called.
    Call {
        /// Links it to its output.
        id: String,
        /// The tool.
        name: String,
        /// JSON text.
        arguments: String,
    },
    /// It answered.
    Output {
        /// The call that is answered.
        id: String,
        /// What it said.
        parts: Vec<Part>,
    },
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentRole {
    /// The client's operator, in the middle of a conversation.
    Developer,
    /// The person.
    User,
    /// The agent.
    Assistant,
}

/// A piece of what is said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Part {
    /// Words.
    Text {
        /// The words.
        text: String,
    },
    /// A picture.
    Image {
        /// A data URL.
        url: String,
    },
}

/// A tool of the client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentTool {
    /// Its flat name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// JSON Schema of its arguments.
    pub schema: Value,
}

/// The request for an agent of these settings.
pub fn prepare(turn: &TurnRequest, settings: &AgentSettings, provider: &str) -> PreparedRequest {
    let (query, notes) = write(turn, settings);
    let body = serde_json::to_vec(&query).unwrap_or_default();
    let owner = StateOwner::new(provider, &turn.model);
    EncodedRequest { body, notes, ..EncodedRequest::default() }.prepare(
        WireProtocol::Agent,
        &turn.model,
        owner,
    )
}

/// A turn in the words of agents, and what was left out.
pub fn write(turn: &TurnRequest, settings: &AgentSettings) -> (AgentQuery, Vec<Note>) {
    let mut writer = Writer { query: AgentQuery::default(), notes: Vec::new(), program: settings.program };
    writer.query.instructions = settings.instructions.clone().unwrap_or_default();
    writer.query.model = settings.model.clone().unwrap_or_else(|| turn.model.clone());
    writer.query.effort.clone_from(&turn.reasoning.effort);
    writer.items(&turn.items);
    writer.format(&turn.format);
    writer.tools(turn, settings.client_tools);
    writer.dropped(turn);
    if writer.query.items.is_empty() {
        writer.refuse("there is nothing to answer; send at least one message");
    }
    (writer.query, writer.notes)
}

struct Writer {
    query: AgentQuery,
    notes: Vec<Note>,
    program: AgentProgram,
}

impl Writer {
    /// The first reason counts.
    fn refuse(&mut self, why: &str) {
        self.query.refusal.get_or_insert_with(|| why.to_owned());
    }

    fn items(&mut self, items: &[Item]) {
        for item in items {
            match item {
                Item::Message(message) => self.message(message.role, &message.content),
                Item::Call(call) => self.query.items.push(AgentItem::Call {
                    id: call.id.as_str().to_owned(),
                    name: call.name.clone(),
                    arguments: call.arguments.clone(),
                }),
                Item::Output(output) => {
                    let parts = self.parts(&output.content);
                    self.query.items.push(AgentItem::Output { id: output.id.as_str().to_owned(), parts });
                }
                // Thoughts belong to whoever had them.
                Item::Reasoning(_) => {}
            }
        }
    }

    fn message(&mut self, role: Role, content: &[Content]) {
        let parts = self.parts(content);
        if parts.is_empty() {
            return;
        }
        let role = match role {
            Role::System if self.query.items.is_empty() => {
                let text = words(&parts);
                let instructions = &mut self.query.instructions;
                if !instructions.is_empty() {
                    instructions.push_str("\n\n");
                }
                return instructions.push_str(&text);
            }
            Role::System => AgentRole::Developer,
            Role::User => AgentRole::User,
            Role::Assistant => AgentRole::Assistant,
        };
        self.query.items.push(AgentItem::Message { role, parts });
    }

    fn parts(&mut self, content: &[Content]) -> Vec<Part> {
        let mut parts = Vec::new();
        for piece in content {
            match piece {
                Content::Text(text) | Content::Refusal(text) if text.is_empty() => {}
                Content::Text(text) | Content::Refusal(text) => parts.push(Part::Text { text: text.clone() }),
                Content::Image(Image { url, .. }) if url.starts_with("data:") => {
                    parts.push(Part::Image { url: url.clone() });
                }
                Content::Image(_) => {
                    self.refuse("an agent takes pictures as data URLs only; send the picture's bytes as `data:image/png;base64,…`");
                }
                Content::File { .. } => {
                    self.refuse("an agent takes no files in a request; put the file's text into the message");
                }
            }
        }
        parts
    }

    fn format(&mut self, format: &Format) {
        let schema = match format {
            Format::Text => return,
            Format::JsonObject => json!({ "type": "object" }),
            Format::JsonSchema { schema, .. } => match serde_json::from_str(schema.get()) {
                Ok(schema) => schema,
                Err(_) => return self.refuse("the schema of the answer is no JSON"),
            },
        };
        if self.program == AgentProgram::OpenCode {
            return self
                .refuse("OpenCode cannot be held to a JSON schema; ask an endpoint of another protocol");
        }
        self.query.schema = Some(schema);
    }

    fn tools(&mut self, turn: &TurnRequest, what: ClientTools) {
        if turn.tools.is_empty() || turn.tool_choice == ToolChoice::None {
            return;
        }
        let can_forward = self.program == AgentProgram::CodexAppServer;
        match what {
            ClientTools::Ignore => self.notes.push(Note::request(
                "the client's tools were left out: the agent has its own (`agent.client_tools = \"ignore\"`)",
            )),
            ClientTools::Forward if can_forward => match &turn.tool_choice {
                ToolChoice::Required | ToolChoice::Function(_) => self.refuse(
                    "an agent cannot be made to call a tool; leave `tool_choice` at `auto`",
                ),
                ToolChoice::Auto | ToolChoice::None => {
                    self.query.tools = turn.tools.iter().map(tool).collect();
                }
            },
            ClientTools::Forward | ClientTools::Refuse => self.refuse(
                "this agent runs its own tools and takes none of the client's; send no tools, or set `agent.client_tools` of the endpoint to \"ignore\" (any agent) or \"forward\" (codex-app-server)",
            ),
        }
    }

    fn dropped(&mut self, turn: &TurnRequest) {
        let sampling = &turn.sampling;
        let fields = [
            ("temperature", sampling.temperature.is_some()),
            ("top_p", sampling.top_p.is_some()),
            ("presence_penalty", sampling.presence_penalty.is_some()),
            ("frequency_penalty", sampling.frequency_penalty.is_some()),
            ("max_output_tokens", turn.max_output_tokens.is_some()),
            ("verbosity", turn.verbosity.is_some()),
        ];
        let dropped: Vec<&str> = fields.iter().filter(|(_, is_set)| *is_set).map(|(name, _)| *name).collect();
        if !dropped.is_empty() {
            self.notes.push(Note::request(format!("an agent has no such setting: {}", dropped.join(", "))));
        }
    }
}

fn tool(tool: &Tool) -> AgentTool {
    let schema = tool.parameters.as_ref().and_then(|schema| serde_json::from_str(schema.get()).ok());
    AgentTool {
        name: tool.name.clone(),
        description: tool.description.clone().unwrap_or_default(),
        schema: schema.unwrap_or_else(|| json!({ "type": "object", "properties": {} })),
    }
}

/// The words of some parts, each on its own line.
pub fn words(parts: &[Part]) -> String {
    let texts = parts.iter().filter_map(|part| match part {
        Part::Text { text } => Some(text.as_str()),
        Part::Image { .. } => None,
    });
    texts.collect::<Vec<_>>().join("\n")
}

impl AgentQuery {
    /// The query of a prepared request.
    pub fn of(prepared: &PreparedRequest) -> Option<Self> {
        serde_json::from_slice(&prepared.body).ok()
    }

    /// What was said before, and what is said now: the messages of the person behind the last thing that was not theirs.
    pub fn split(&self) -> (&[AgentItem], &[AgentItem]) {
        let is_said_now = |item: &AgentItem| {
            matches!(item, AgentItem::Message { role: AgentRole::User | AgentRole::Developer, .. })
        };
        let now = self.items.iter().rev().take_while(|item| is_said_now(item)).count();
        self.items.split_at(self.items.len() - now)
    }

    /// What is said now, in its parts. Where the client only gave outputs of tools, a word to go on.
    pub fn input(&self) -> Vec<Part> {
        let (_, now) = self.split();
        let mut parts = Vec::new();
        for item in now {
            if let AgentItem::Message { parts: said, .. } = item {
                parts.extend(said.iter().cloned());
            }
        }
        if parts.is_empty() {
            parts.push(Part::Text { text: "Go on.".to_owned() });
        }
        parts
    }

    /// The outputs at the end of the conversation, where it ends with some.
    pub fn last_outputs(&self) -> impl Iterator<Item = (&str, &[Part])> {
        self.items.iter().rev().map_while(|item| match item {
            AgentItem::Output { id, parts } => Some((id.as_str(), parts.as_slice())),
            _ => None,
        })
    }

    /// How many characters are said now.
    pub fn input_chars(&self) -> usize {
        let count = |part: &Part| if let Part::Text { text } = part { text.chars().count() } else { 0 };
        self.input().iter().map(count).sum()
    }

    /// What was said before and what is said now as one text, for programs that take no history.
    pub fn as_transcript(&self) -> String {
        let (before, _) = self.split();
        let now = words(&self.input());
        if before.is_empty() {
            return now;
        }
        let mut text = String::from("The conversation so far:\n\n");
        for item in before {
            let (who, what) = match item {
                AgentItem::Message { role, parts } => (role.name(), words(parts)),
                AgentItem::Call { name, arguments, .. } => ("Tool call", format!("{name} {arguments}")),
                AgentItem::Output { parts, .. } => ("Tool output", words(parts)),
            };
            let _ = write!(text, "[{who}]\n{what}\n\n");
        }
        text.push_str("Answer this now:\n\n");
        text.push_str(&now);
        text
    }

    /// The pictures of what is said now, as data URLs.
    pub fn pictures(&self) -> Vec<String> {
        let input = self.input().into_iter();
        let url = |part| if let Part::Image { url } = part { Some(url) } else { None };
        input.filter_map(url).collect()
    }
}

impl AgentRole {
    fn name(self) -> &'static str {
        match self {
            Self::Developer => "Instructions",
            Self::User => "User",
            Self::Assistant => "Assistant",
        }
    }
}

#[cfg(test)]
mod tests;
