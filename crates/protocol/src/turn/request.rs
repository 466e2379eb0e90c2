//! What is asked.

use serde_json::value::RawValue;

use super::OpaqueState;
use crate::id::CallId;

/// One question to a model, free of any wire format.
#[derive(Debug, Clone, Default)]
pub struct TurnRequest {
    /// The model's name as the upstream knows it.
    pub model: String,
    /// The whole conversation, oldest first. System texts stay where the client put them.
    pub items: Vec<Item>,
    /// What the model may call.
    pub tools: Vec<Tool>,
    /// Whether and what the model must call.
    pub tool_choice: ToolChoice,
    /// Whether several calls in one answer are welcome; `None` leaves it to the upstream.
    pub parallel_tool_calls: Option<bool>,
    /// The most tokens the answer may have.
    pub max_output_tokens: Option<u64>,
    /// How to pick tokens.
    pub sampling: Sampling,
    /// How hard to think, and whether to show it.
    pub reasoning: Reasoning,
    /// The shape the answer text must have.
    pub format: Format,
    /// `low`, `medium` or `high`, as the client wrote it.
    pub verbosity: Option<String>,
    /// Stable for one conversation; a key for caches and sticky routing. Never a person's name.
    pub conversation: Option<String>,
}

/// One entry of the conversation.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// Somebody said something.
    Message(Message),
    /// The model thought something.
    Reasoning(ReasoningItem),
    /// The model called a tool.
    Call(Call),
    /// A tool answered.
    Output(CallOutput),
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The operator: base prompt, rules. Both `system` and `developer` on the wire.
    System,
    /// The person, or the client speaking for them.
    User,
    /// The model.
    Assistant,
}

/// Words and pictures of one speaker.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// The parts in order.
    pub content: Vec<Content>,
}

/// A part of a message or of a tool's output.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Words.
    Text(String),
    /// The model's refusal, kept apart from ordinary words.
    Refusal(String),
    /// A picture.
    Image(Image),
    /// A file given inline, such as a PDF: its name and a data URL.
    File {
        /// The name the client gave.
        name: Option<String>,
        /// `data:<media type>;base64,<data>`.
        data_url: String,
    },
}

/// A picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// An `https:` or `data:` URL. latimer never fetches it.
    pub url: String,
    /// `low`, `high`, `auto` or `original`, as the client wrote it.
    pub detail: Option<String>,
}

/// Thoughts of an earlier answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ReasoningItem {
    /// The readable thoughts.
    pub text: String,
    /// State that only its owner understands.
    pub opaque: Option<OpaqueState>,
}

/// A call of a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Links the call to its output.
    pub id: CallId,
    /// The flat name, as in [`Tool::name`].
    pub name: String,
    /// The arguments as JSON text. Usually an object; may be anything in a history somebody else wrote.
    pub arguments: String,
}

/// What a tool answered.
#[derive(Debug, Clone, PartialEq)]
pub struct CallOutput {
    /// The call that is answered.
    pub id: CallId,
    /// The parts in order.
    pub content: Vec<Content>,
}

/// A function the model may call.
#[derive(Debug, Clone)]
pub struct Tool {
    /// Unique in the request, `[A-Za-z0-9_-]{1,64}`.
    pub name: String,
    /// What it does, for the model.
    pub description: Option<String>,
    /// JSON Schema of the arguments, passed on untouched. `None` means an empty object.
    pub parameters: Option<Box<RawValue>>,
    /// Whether the client asked for strict schema adherence.
    pub strict: Option<bool>,
}

/// Whether and what the model must call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ToolChoice {
    /// The model decides.
    #[default]
    Auto,
    /// No calls.
    None,
    /// Some call.
    Required,
    /// A call of this tool, by its flat name.
    Function(String),
}

/// How to pick tokens; every field is optional and sent only when given.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sampling {
    /// 0 to 2.
    pub temperature: Option<f64>,
    /// 0 to 1.
    pub top_p: Option<f64>,
    /// -2 to 2.
    pub presence_penalty: Option<f64>,
    /// -2 to 2.
    pub frequency_penalty: Option<f64>,
}

/// How hard to think.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reasoning {
    /// `none`, `minimal`, `low`, `medium`, `high`, `xhigh`, `max`, or a word of tomorrow; as the client wrote it.
    pub effort: Option<String>,
}

/// The shape the answer text must have.
#[derive(Debug, Clone, Default)]
pub enum Format {
    /// Any text.
    #[default]
    Text,
    /// Some JSON object.
    JsonObject,
    /// JSON of this schema.
    JsonSchema {
        /// `[A-Za-z0-9_-]{1,64}`.
        name: String,
        /// What it is for, for the model.
        description: Option<String>,
        /// The schema, passed on untouched.
        schema: Box<RawValue>,
        /// Whether the client asked for strict adherence.
        strict: Option<bool>,
    },
}
