//! A turn to a Messages request. Pure.
//!
//! Invariant: roles alternate and the person begins; every call of a turn is answered in the next one, results first.

use hyper::header::{HeaderName, HeaderValue};
use latimer_protocol::messages::request::{
    MessagesBlockParam, MessagesCacheControl, MessagesMessage, MessagesOutputConfig, MessagesOutputFormat,
    MessagesRequest, MessagesThinking,
};
use latimer_protocol::turn::{Format, Item, Note, Role, StateOwner, ToolChoice, TurnRequest};

use super::blocks::{MessagesWriter, text};
use super::models::{self, DEFAULT_MAX_TOKENS, Thinking};
use super::tools;
use crate::body_room::room;
use crate::limitation::{Features, Limitation, Limitations};
use crate::pairing::{PairedItem, pair};
use crate::prepared_request::EncodedRequest;
use crate::tool_names::{ToolNameRule, ToolNames};
use crate::wording;

/// Features are asked for in this header, separated by commas.
pub(super) const BETA: &str = "anthropic-beta";
/// Thoughts between the calls of one answer, for models that think within a budget.
const INTERLEAVED: &str = "interleaved-thinking-2025-05-14";
/// The least the provider takes for thinking.
const MIN_THINKING_BUDGET: u64 = 1024;
/// Room for the answer itself behind the thoughts.
const ANSWER_ROOM: u64 = 4096;

/// Writes the turn. `owner` is whose opaque state may go out.
pub fn write(turn: &TurnRequest, owner: &StateOwner, limitations: &Limitations) -> EncodedRequest {
    let names = ToolNames::new(turn, ToolNameRule { max_len: 128, ..ToolNameRule::COMMON });
    let mut notes = Vec::new();
    let (system, messages) = conversation(turn, owner, &names, limitations, &mut notes);
    let mut request = MessagesRequest {
        model: &turn.model,
        stream: true,
        messages,
        system,
        tools: tools::write(turn, &names, limitations, &mut notes),
        ..MessagesRequest::default()
    };
    let model = models::find(&turn.model);
    request.max_tokens = turn.max_output_tokens.unwrap_or(DEFAULT_MAX_TOKENS).clamp(1, model.max_tokens);
    let thinks = thinking(turn, model, limitations, &mut request, &mut notes);
    request.tool_choice = tools::choice(turn, &names, thinks, limitations, &mut notes);
    format(turn, model.json_schema && !limitations.has(Limitation::NoJsonSchema), &mut request);
    sampling(turn, thinks, limitations, &mut request, &mut notes);
    let has_tools = !request.tools.is_empty();
    let features = features(turn, &request);
    if !limitations.has(Limitation::NoCacheKey) {
        mark(&mut request);
    }
    let interleaved = thinks && has_tools && model.thinking == Thinking::Budget;
    let beta = interleaved.then_some((HeaderName::from_static(BETA), HeaderValue::from_static(INTERLEAVED)));
    // Writing to memory fails only for maps with keys that are not strings, and there are none.
    let body = latimer_protocol::json::to_vec(&request, room(turn)).unwrap_or_default();
    EncodedRequest { body, names, headers: beta.into_iter().collect(), features, notes }
}

/// The base prompt and the alternating turns.
fn conversation<'a>(
    turn: &'a TurnRequest,
    owner: &StateOwner,
    names: &ToolNames,
    limitations: &Limitations,
    notes: &mut Vec<Note>,
) -> (Vec<MessagesBlockParam<'a>>, Vec<MessagesMessage<'a>>) {
    let mut system = Vec::new();
    let steps = pair(&turn.items, notes);
    let mut writer = MessagesWriter::new(owner, names, limitations, notes);
    for step in steps {
        match step {
            PairedItem::Item(Item::Message(message)) if message.role == Role::System => {
                system.extend(message.content.iter().filter_map(text));
            }
            step => writer.step(step),
        }
    }
    (system, writer.finish())
}

/// Switches thinking; true when it is on.
fn thinking<'a>(
    turn: &'a TurnRequest,
    model: models::Model,
    limitations: &Limitations,
    request: &mut MessagesRequest<'a>,
    notes: &mut Vec<Note>,
) -> bool {
    let effort = turn.reasoning.effort.as_deref().filter(|_| !limitations.has(Limitation::NoReasoning));
    let (Some(effort), true) = (effort, model.thinking != Thinking::None) else { return false };
    if effort == "none" {
        request.thinking = Some(MessagesThinking::Disabled);
        return false;
    }
    if model.thinking == Thinking::Adaptive {
        request.thinking = Some(MessagesThinking::Adaptive);
        request.output_config =
            Some(MessagesOutputConfig { effort: Some(models::effort(effort)), format: None });
        return true;
    }
    if !may_think(&request.messages) {
        notes.push(Note::request(
            "thinking was switched off: the calls of this turn came without this model's thoughts",
        ));
        return false;
    }
    let budget = models::budget(effort);
    if request.max_tokens < budget + ANSWER_ROOM {
        request.max_tokens = (budget + ANSWER_ROOM).min(model.max_tokens);
    }
    let budget = budget.min(request.max_tokens.saturating_sub(ANSWER_ROOM)).max(MIN_THINKING_BUDGET);
    request.max_tokens = request.max_tokens.max(budget + 1);
    request.thinking = Some(MessagesThinking::Enabled { budget_tokens: budget });
    true
}

/// With a budget, the turn that is going on must begin with thoughts where it holds calls.
fn may_think(messages: &[MessagesMessage<'_>]) -> bool {
    let is_result = |block: &MessagesBlockParam<'_>| matches!(block, MessagesBlockParam::ToolResult { .. });
    let going_on = messages.last().is_some_and(|last| last.content.iter().any(is_result));
    if !going_on {
        return true;
    }
    let last_question = messages
        .iter()
        .rposition(|message| message.role == "user" && !message.content.iter().any(is_result))
        .map_or(0, |place| place + 1);
    messages.iter().skip(last_question).filter(|message| message.role == "assistant").all(|message| {
        matches!(message.content.first(), Some(MessagesBlockParam::Own(_)))
            || !message.content.iter().any(|block| matches!(block, MessagesBlockParam::ToolUse { .. }))
    })
}

/// The shape of the answer: as a schema where the model takes one, in words else.
fn format<'a>(turn: &'a TurnRequest, takes_schemas: bool, request: &mut MessagesRequest<'a>) {
    if let (Format::JsonSchema { schema, .. }, true) = (&turn.format, takes_schemas) {
        let config = request.output_config.get_or_insert_default();
        config.format = Some(MessagesOutputFormat::JsonSchema { schema });
        return;
    }
    if let Some(text) = wording::format_instruction(&turn.format) {
        request.system.push(MessagesBlockParam::Text { text: text.into(), cache_control: None });
    }
}

fn sampling(
    turn: &TurnRequest,
    thinks: bool,
    limitations: &Limitations,
    request: &mut MessagesRequest<'_>,
    notes: &mut Vec<Note>,
) {
    let wanted = turn.sampling;
    if wanted.presence_penalty.is_some() || wanted.frequency_penalty.is_some() {
        notes.push(Note::request("penalties were left out: this protocol has none"));
    }
    if thinks || limitations.has(Limitation::NoSampling) {
        if wanted.temperature.is_some() || wanted.top_p.is_some() {
            notes.push(Note::request(
                "temperature and top_p were left out: the model thinks, or refuses them",
            ));
        }
        return;
    }
    request.temperature = wanted.temperature.map(|temperature| temperature.clamp(0.0, 1.0));
    // Newer models refuse both at once.
    request.top_p = wanted.top_p.filter(|_| wanted.temperature.is_none());
}

/// Marks for the cache: the base prompt, the tools, and the last two turns of the person. The provider allows four.
fn mark(request: &mut MessagesRequest<'_>) {
    const MARK: MessagesCacheControl = MessagesCacheControl { kind: "ephemeral" };
    if let Some(MessagesBlockParam::Text { cache_control, .. }) = request.system.last_mut() {
        *cache_control = Some(MARK);
    }
    if let Some(tool) = request.tools.last_mut() {
        tool.cache_control = Some(MARK);
    }
    let turns = request.messages.iter_mut().rev().filter(|message| message.role == "user");
    for block in turns.filter_map(|message| message.content.last_mut()).take(2) {
        match block {
            MessagesBlockParam::Text { cache_control, .. }
            | MessagesBlockParam::Image { cache_control, .. }
            | MessagesBlockParam::Document { cache_control, .. }
            | MessagesBlockParam::ToolResult { cache_control, .. } => *cache_control = Some(MARK),
            MessagesBlockParam::ToolUse { .. } | MessagesBlockParam::Own(_) => {}
        }
    }
}

/// What of the request a provider may refuse, and what could be left out then.
fn features(turn: &TurnRequest, request: &MessagesRequest<'_>) -> Features {
    let blocks = || request.messages.iter().flat_map(|message| &message.content);
    let seen = |block: &MessagesBlockParam<'_>| {
        matches!(block, MessagesBlockParam::Image { .. } | MessagesBlockParam::Document { .. })
    };
    let has_images = blocks().any(|block| match block {
        MessagesBlockParam::ToolResult { content, .. } => content.iter().any(seen),
        block => seen(block),
    });
    let has_schema = request.output_config.as_ref().is_some_and(|config| config.format.is_some());
    let table = [
        (has_images, Limitation::NoImages),
        (blocks().any(|block| matches!(block, MessagesBlockParam::Own(_))), Limitation::NoSignatures),
        (!request.tools.is_empty(), Limitation::NoTools),
        (turn.tool_choice != ToolChoice::Auto, Limitation::AutoToolChoice),
        (request.thinking.is_some(), Limitation::NoReasoning),
        (request.temperature.is_some() || request.top_p.is_some(), Limitation::NoSampling),
        (has_schema, Limitation::NoJsonSchema),
        (true, Limitation::NoCacheKey),
    ];
    Features::of(table.into_iter().filter(|(used, _)| *used).map(|(_, limitation)| limitation))
}
