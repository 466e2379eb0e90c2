//! A turn to a `generateContent` request. Pure.

use std::borrow::Cow;

use latimer_protocol::gemini::request::{
    GeminiContent, GeminiGenerationConfig, GeminiRequest, GeminiThinkingConfig,
};
use latimer_protocol::turn::{Content, Format, Item, Note, Role, Sampling, StateOwner, TurnRequest};

use super::contents::{ContentsWriter, words};
use super::models::{self, Family};
use super::tools;
use crate::body_room::room;
use crate::limitation::{Features, Limitation, Limitations};
use crate::pairing::{PairedItem, pair};
use crate::prepared_request::EncodedRequest;
use crate::tool_names::ToolNames;
use crate::wording;

/// Words of somebody who wants a change.
const EDITS: [&str; 16] = [
    "change", "fix", "update", "redesign", "rewrite", "modify", "improve", "replace", "edit", "add",
    "remove", "delete", "rename", "move", "convert", "refactor",
];
const NUDGE: &str = "The person asks for a change. Make it with the tools, instead of describing it.";

/// The type of an answer in JSON.
const JSON: &str = "application/json";
/// A Claude must be told how much it may write, in tokens.
const CLAUDE_LIMIT: u64 = 64_000;

/// What a flavour of the protocol limits.
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
    limits: FlavourLimits,
    owner: &StateOwner,
    limitations: &Limitations,
) -> EncodedRequest {
    let family = models::family(model);
    let names = ToolNames::new(turn, tools::NAME_RULE);
    let mut notes = Vec::new();
    let mut system = Vec::new();
    let steps = pair(&turn.items, &mut notes);
    let mut writer = ContentsWriter::new(owner, &names, family, limits.urls, limitations, &mut notes);
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
    if limits.edit_nudge && wants_edit(turn) {
        system.push(words(NUDGE.into()));
    }
    let has_tools = !turn.tools.is_empty() && !limitations.has(Limitation::NoTools);
    let config = config(turn, model, family, limits, has_tools, limitations, &mut notes);
    if config.response_mime_type.is_none() {
        system.extend(wording::format_instruction(&turn.format).map(|text| words(text.into())));
    }
    let features = features(turn, &contents, &config, has_tools);
    let role = limits.is_antigravity().then_some("user");
    let request = GeminiRequest {
        contents,
        system_instruction: (!system.is_empty()).then_some(GeminiContent { role, parts: system }),
        tools: if has_tools { tools::declarations(turn, &names, family) } else { Vec::new() },
        tool_config: if has_tools { tools::choice(turn, &names, family) } else { None },
        generation_config: config,
    };
    // Writing to memory fails only for maps with keys that are not strings, and there are none.
    let body = latimer_protocol::json::to_vec(&request, room(turn)).unwrap_or_default();
    EncodedRequest { body, names, features, notes, ..EncodedRequest::default() }
}

fn config<'a>(
    turn: &'a TurnRequest,
    model: &str,
    family: Family,
    limits: FlavourLimits,
    has_tools: bool,
    limitations: &Limitations,
    notes: &mut Vec<Note>,
) -> GeminiGenerationConfig<'a> {
    let effort = turn.reasoning.effort.as_deref().filter(|_| !limitations.has(Limitation::NoReasoning));
    let antigravity = limits.is_antigravity();
    let thinking = effort.and_then(|effort| models::thinking(&turn.model, model, effort, antigravity));
    let mut limit = turn.max_output_tokens.filter(|_| limits.token_limit || family == Family::Claude);
    if family == Family::Claude {
        // The thoughts count, and the answer needs room behind them.
        let budget = match thinking {
            Some(GeminiThinkingConfig::Claude { thinking_budget, .. }) => {
                u64::try_from(thinking_budget).unwrap_or(0)
            }
            _ => 0,
        };
        limit = Some(limit.filter(|limit| *limit > budget).unwrap_or(CLAUDE_LIMIT));
    }
    let sampling = if limitations.has(Limitation::NoSampling) { Sampling::default() } else { turn.sampling };
    let mut config = GeminiGenerationConfig {
        max_output_tokens: limit,
        thinking_config: thinking,
        temperature: sampling.temperature,
        top_p: sampling.top_p,
        presence_penalty: sampling.presence_penalty,
        frequency_penalty: sampling.frequency_penalty,
        ..GeminiGenerationConfig::default()
    };
    let takes_formats = !limitations.has(Limitation::NoJsonSchema)
        && !antigravity
        && family != Family::Claude
        && (!has_tools || family.formats_beside_tools());
    match &turn.format {
        Format::Text => {}
        _ if !takes_formats => notes.push(Note::request("the shape of the answer was put into words")),
        Format::JsonObject => config.response_mime_type = Some(JSON),
        Format::JsonSchema { schema, .. } => {
            config.response_mime_type = Some(JSON);
            config.response_json_schema = Some(schema);
        }
    }
    config
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
    config: &GeminiGenerationConfig<'_>,
    has_tools: bool,
) -> Features {
    let parts = || contents.iter().flat_map(|content| &content.parts);
    let has_images = parts().any(|part| part.inline_data.is_some() || part.file_data.is_some());
    let table = [
        (has_images, Limitation::NoImages),
        (parts().any(|part| part.function_call.is_some()), Limitation::NoSignatures),
        (has_tools, Limitation::NoTools),
        (config.thinking_config.is_some(), Limitation::NoReasoning),
        (turn.sampling != Sampling::default(), Limitation::NoSampling),
        (config.response_mime_type.is_some(), Limitation::NoJsonSchema),
    ];
    Features::of(table.into_iter().filter(|(used, _)| *used).map(|(_, limitation)| limitation))
}
