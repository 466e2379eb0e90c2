//! A turn to a `generateContent` request. Pure.

use std::borrow::Cow;

use latimer_protocol::gemini::request::{GeminiContent, GeminiRequest};
use latimer_protocol::turn::{Content, Format, Item, Owner, Role, TurnRequest};
use serde_json::{Map, Value, json};

use super::contents::{Writer, words};
use super::models::{self, Family};
use super::tools;
use crate::limitation::{Features, Limitation, Limitations};
use crate::pairing::{PairedItem, pair};
use crate::prepared_request::EncodedRequest;
use crate::tool_names::ToolNames;

/// Words of somebody who wants a change.
const EDITS: [&str; 16] = [
    "change", "fix", "update", "redesign", "rewrite", "modify", "improve", "replace", "edit", "add",
    "remove", "delete", "rename", "move", "convert", "refactor",
];
const NUDGE: &str = "The person asks for a change. Make it with the tools, instead of describing it.";

/// A Claude must be told how much it may write.
const CLAUDE_LIMIT: u64 = 64_000;

/// What a flavour of the protocol takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlavourLimits {
    /// URLs of pictures, which the provider fetches.
    pub urls: bool,
    /// A limit on tokens for models that are no Claude. Antigravity alone takes none.
    pub token_limit: bool,
    /// Tell the model to use its tools when it is asked for an edit.
    pub edit_nudge: bool,
}

impl FlavourLimits {
    /// Antigravity also knows thinking by budgets only, has a speaker for the base prompt, and no schema for the answer.
    fn is_antigravity(self) -> bool {
        !self.token_limit
    }
}

/// Writes the turn. `owner` is whose opaque state may go out; `model` is the name the provider knows.
pub fn write(
    turn: &TurnRequest,
    model: &str,
    takes: FlavourLimits,
    owner: &Owner,
    limitations: &Limitations,
) -> EncodedRequest {
    let family = models::family(model);
    let names = ToolNames::new(turn, tools::NAME_RULE);
    let mut notes = Vec::new();
    let mut system = Vec::new();
    let steps = pair(&turn.items, &mut notes);
    let mut writer = Writer::new(owner, &names, family, takes.urls, limitations, &mut notes);
    for step in steps {
        match step {
            PairedItem::Item(Item::Message(message)) if message.role == Role::System => {
                for part in &message.content {
                    if let Content::Text(text) = part
                        && !text.is_empty()
                    {
                        system.push(words(Cow::Borrowed(text)));
                    }
                }
            }
            step => writer.step(step),
        }
    }
    let contents = writer.finish();
    if takes.edit_nudge && wants_edit(turn) {
        system.push(words(NUDGE.into()));
    }
    let has_tools = !turn.tools.is_empty() && !limitations.has(Limitation::NoTools);
    let config = config(turn, model, family, takes, has_tools, limitations, &mut notes);
    if let Some(text) = schema_in_words(turn, &config) {
        system.push(words(text.into()));
    }
    let features = features(turn, &contents, &config, has_tools);
    let role = takes.is_antigravity().then_some("user");
    let request = GeminiRequest {
        contents,
        system_instruction: (!system.is_empty()).then_some(GeminiContent { role, parts: system }),
        tools: if has_tools { tools::declarations(turn, &names, family) } else { Vec::new() },
        tool_config: if has_tools { tools::choice(turn, &names, family) } else { None },
        generation_config: config,
    };
    // Writing to memory fails only for maps with keys that are not strings, and there are none.
    let body = serde_json::to_vec(&request).unwrap_or_default();
    EncodedRequest { body, names, features, notes, ..EncodedRequest::default() }
}

fn config(
    turn: &TurnRequest,
    model: &str,
    family: Family,
    takes: FlavourLimits,
    has_tools: bool,
    limitations: &Limitations,
    notes: &mut Vec<String>,
) -> Map<String, Value> {
    let mut config = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        config.extend(value.map(|value| (name.to_owned(), value)));
    };
    let effort = turn.reasoning.effort.as_deref().filter(|_| !limitations.has(Limitation::NoReasoning));
    let antigravity = takes.is_antigravity();
    let thinking = effort.and_then(|effort| models::thinking(&turn.model, model, effort, antigravity));
    let mut limit = turn.max_output_tokens.filter(|_| takes.token_limit || family == Family::Claude);
    if family == Family::Claude {
        // The thoughts count, and the answer needs room behind them.
        let budget = thinking.as_ref().and_then(|thinking| thinking["thinking_budget"].as_u64()).unwrap_or(0);
        limit = Some(limit.filter(|limit| *limit > budget).unwrap_or(CLAUDE_LIMIT));
    }
    put("maxOutputTokens", limit.map(Value::from));
    put("thinkingConfig", thinking);
    if !limitations.has(Limitation::NoSampling) {
        put("temperature", turn.sampling.temperature.map(Value::from));
        put("topP", turn.sampling.top_p.map(Value::from));
        put("presencePenalty", turn.sampling.presence_penalty.map(Value::from));
        put("frequencyPenalty", turn.sampling.frequency_penalty.map(Value::from));
    }
    let formats = !limitations.has(Limitation::NoJsonSchema)
        && !antigravity
        && family != Family::Claude
        && (!has_tools || family.formats_beside_tools());
    match &turn.format {
        Format::Text => {}
        _ if !formats => notes.push("the shape of the answer was put into words".to_owned()),
        Format::JsonObject => put("responseMimeType", Some(json!("application/json"))),
        Format::JsonSchema { schema, .. } => {
            put("responseMimeType", Some(json!("application/json")));
            put("responseJsonSchema", serde_json::from_str(schema.get()).ok());
        }
    }
    config
}

fn schema_in_words(turn: &TurnRequest, config: &Map<String, Value>) -> Option<String> {
    if config.contains_key("responseMimeType") {
        return None;
    }
    match &turn.format {
        Format::Text => None,
        Format::JsonObject => Some("Answer with one JSON object, and nothing else.".to_owned()),
        Format::JsonSchema { schema, .. } => Some(format!(
            "Answer with one JSON object that follows this JSON Schema, and nothing else:\n{}",
            schema.get()
        )),
    }
}

/// Whether the person's last words ask for a change.
fn wants_edit(turn: &TurnRequest) -> bool {
    let last = turn.items.iter().rev().find_map(|item| match item {
        Item::Message(message) if message.role == Role::User => Some(message),
        _ => None,
    });
    let text = last.into_iter().flat_map(|message| &message.content).find_map(|part| match part {
        Content::Text(text) => Some(text.to_ascii_lowercase()),
        _ => None,
    });
    text.is_some_and(|text| text.split(|c: char| !c.is_ascii_alphabetic()).any(|word| EDITS.contains(&word)))
}

/// What of the request a provider may refuse, and what could be left out then.
fn features(
    turn: &TurnRequest,
    contents: &[GeminiContent<'_>],
    config: &Map<String, Value>,
    has_tools: bool,
) -> Features {
    let parts = || contents.iter().flat_map(|content| &content.parts);
    let has_images = parts().any(|part| part.inline_data.is_some() || part.file_data.is_some());
    let table = [
        (has_images, Limitation::NoImages),
        (parts().any(|part| part.function_call.is_some()), Limitation::NoSignatures),
        (has_tools, Limitation::NoTools),
        (config.contains_key("thinkingConfig"), Limitation::NoReasoning),
        (turn.sampling != latimer_protocol::turn::Sampling::default(), Limitation::NoSampling),
        (config.contains_key("responseMimeType"), Limitation::NoJsonSchema),
    ];
    Features::of(table.into_iter().filter(|(used, _)| *used).map(|(_, limitation)| limitation))
}
