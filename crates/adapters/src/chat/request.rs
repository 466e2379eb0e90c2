//! A turn to a Chat Completions request. Pure.

use std::borrow::Cow;

use latimer_protocol::chat::request::{
    ChatContent, ChatFunction, ChatFunctionChoice, ChatFunctionName, ChatJsonSchema, ChatReasoning,
    ChatRequest, ChatResponseFormat, ChatStreamOptions, ChatTemplateKwargs, ChatThinking, ChatTool,
    ChatToolChoice,
};
use latimer_protocol::turn::{Format, Item, Note, StateOwner, Tool, ToolChoice, TurnRequest};
use serde_json::{Map, Value};

use super::conversation;
use super::quirks::{Echo, Quirks, ReasoningStyle, ToolChoiceSupport};
use crate::body_room::room;
use crate::limitation::{Features, Limitation};
use crate::prepared_request::EncodedRequest;
use crate::schema;
use crate::tool_names::{ToolNameRule, ToolNames};
use crate::wording;

/// Writes the turn for a provider with these quirks. `owner` is whose opaque state may go out.
pub fn write(turn: &TurnRequest, quirks: &Quirks, owner: &StateOwner) -> EncodedRequest {
    let names = ToolNames::new(turn, ToolNameRule { max_len: quirks.max_tool_name, ..ToolNameRule::COMMON });
    let mut notes = Vec::new();
    let preamble = schema_instruction(turn, quirks);
    let messages = conversation::messages(turn, quirks, owner, &names, preamble.as_deref(), &mut notes);
    let limit = turn.max_output_tokens.max(quirks.least_tokens);
    let mut request = ChatRequest {
        model: &turn.model,
        messages,
        stream: true,
        stream_options: quirks.stream_options.then_some(ChatStreamOptions { include_usage: true }),
        tools: tools(turn, quirks, &names, &mut notes),
        tool_choice: tool_choice(turn, quirks, &names),
        parallel_tool_calls: turn
            .parallel_tool_calls
            .filter(|_| quirks.parallel_tool_calls && quirks.tools && !turn.tools.is_empty()),
        max_tokens: limit.filter(|_| !quirks.max_completion_tokens),
        max_completion_tokens: limit.filter(|_| quirks.max_completion_tokens),
        temperature: turn.sampling.temperature.filter(|_| quirks.sampling),
        top_p: turn.sampling.top_p.filter(|_| quirks.sampling),
        presence_penalty: turn.sampling.presence_penalty.filter(|_| quirks.sampling),
        frequency_penalty: turn.sampling.frequency_penalty.filter(|_| quirks.sampling),
        response_format: response_format(turn, quirks),
        prompt_cache_key: turn.conversation.as_deref().filter(|_| quirks.prompt_cache_key),
        extra: extra(quirks),
        ..ChatRequest::default()
    };
    switch_thinking(turn, quirks, &mut request);
    // Writing to memory fails only for maps with keys that are not strings, and there are none.
    let body = latimer_protocol::json::to_vec(&request, room(turn)).unwrap_or_default();
    let features = features(&request, turn, quirks);
    EncodedRequest { body, names, features, notes, ..EncodedRequest::default() }
}

/// What of the request a provider may refuse, and what could be left out then.
fn features(request: &ChatRequest<'_>, turn: &TurnRequest, quirks: &Quirks) -> Features {
    let has_parts = request.messages.iter().any(|message| matches!(message.content, ChatContent::Parts(_)));
    let sampling = turn.sampling != latimer_protocol::turn::Sampling::default();
    let has_thoughts = turn.items.iter().any(|item| matches!(item, Item::Reasoning(_)));
    let table = [
        (has_parts, Limitation::TextContent),
        (has_parts && quirks.images, Limitation::NoImages),
        (!request.tools.is_empty(), Limitation::NoTools),
        (request.tool_choice.is_some(), Limitation::AutoToolChoice),
        (request.parallel_tool_calls.is_some(), Limitation::NoParallelCalls),
        (
            turn.reasoning.effort.is_some() && quirks.reasoning != ReasoningStyle::None,
            Limitation::NoReasoning,
        ),
        (has_thoughts && quirks.echo != Echo::Never, Limitation::NoThoughts),
        (has_thoughts && quirks.echo == Echo::Never, Limitation::ThoughtsWithCalls),
        (sampling && quirks.sampling, Limitation::NoSampling),
        (request.stream_options.is_some(), Limitation::NoStreamOptions),
        (request.max_tokens.is_some(), Limitation::MaxCompletionTokens),
        (request.response_format.is_some() && quirks.json_schema, Limitation::NoJsonSchema),
        (request.prompt_cache_key.is_some(), Limitation::NoCacheKey),
        (quirks.developer_role, Limitation::SystemRole),
    ];
    Features::of(table.into_iter().filter(|(used, _)| *used).map(|(_, limitation)| limitation))
}

fn tools<'a>(
    turn: &'a TurnRequest,
    quirks: &Quirks,
    names: &ToolNames,
    notes: &mut Vec<Note>,
) -> Vec<ChatTool<'a>> {
    if !quirks.tools {
        if !turn.tools.is_empty() {
            notes.push(Note::request("this provider takes no tools; they were left out"));
        }
        return Vec::new();
    }
    let mut wire = |tool: &'a Tool| ChatTool {
        kind: "function",
        function: ChatFunction {
            name: Cow::Owned(names.provider_name(&tool.name).to_owned()),
            description: tool.description.as_deref(),
            parameters: schema::parameters(tool, notes),
        },
    };
    turn.tools.iter().map(&mut wire).collect()
}

fn tool_choice<'a>(turn: &TurnRequest, quirks: &Quirks, names: &ToolNames) -> Option<ChatToolChoice<'a>> {
    if turn.tools.is_empty() || !quirks.tools {
        return None;
    }
    let choice = match &turn.tool_choice {
        ToolChoice::Auto => return Some(ChatToolChoice::Auto),
        ToolChoice::None => ChatToolChoice::None,
        ToolChoice::Required => ChatToolChoice::Required,
        ToolChoice::Function(name) => ChatToolChoice::Function(ChatFunctionChoice {
            kind: "function",
            function: ChatFunctionName { name: Cow::Owned(names.provider_name(name).to_owned()) },
        }),
    };
    (quirks.tool_choice == ToolChoiceSupport::Full).then_some(choice)
}

fn response_format<'a>(turn: &'a TurnRequest, quirks: &Quirks) -> Option<ChatResponseFormat<'a>> {
    match &turn.format {
        Format::Text => None,
        Format::JsonObject => Some(ChatResponseFormat::JsonObject),
        Format::JsonSchema { .. } if !quirks.json_schema => Some(ChatResponseFormat::JsonObject),
        Format::JsonSchema { name, description, schema, strict } => Some(ChatResponseFormat::JsonSchema {
            json_schema: ChatJsonSchema {
                name,
                description: description.as_deref(),
                strict: *strict,
                schema,
            },
        }),
    }
}

/// For a provider that knows JSON but no schemas, the schema goes into the prompt.
fn schema_instruction(turn: &TurnRequest, quirks: &Quirks) -> Option<String> {
    let needs_words = matches!(turn.format, Format::JsonSchema { .. }) && !quirks.json_schema;
    if needs_words { wording::format_instruction(&turn.format) } else { None }
}

/// Fields only this provider knows.
fn extra(quirks: &Quirks) -> Map<String, Value> {
    let fields = quirks.extra_body.and_then(|text| serde_json::from_str(text).ok());
    fields.unwrap_or_default()
}

/// The switch for thinking, as this provider spells it.
fn switch_thinking<'a>(turn: &'a TurnRequest, quirks: &Quirks, request: &mut ChatRequest<'a>) {
    let Some(effort) = turn.reasoning.effort.as_deref() else { return };
    let on = effort != "none";
    // Beyond the common three, levels differ from provider to provider.
    let level = match effort {
        "minimal" => "low",
        "xhigh" | "max" => "high",
        other => other,
    };
    let switch = if on { ChatThinking::Enabled } else { ChatThinking::Disabled };
    match quirks.reasoning {
        ReasoningStyle::None => {}
        ReasoningStyle::Effort => request.reasoning_effort = on.then_some(level),
        ReasoningStyle::ThinkingObject => request.thinking = Some(switch),
        ReasoningStyle::ThinkingAndEffort => {
            request.thinking = Some(switch);
            request.reasoning_effort = on.then_some(level);
        }
        ReasoningStyle::EnableThinking => request.enable_thinking = Some(on),
        ReasoningStyle::ChatTemplate => {
            request.chat_template_kwargs = Some(ChatTemplateKwargs { enable_thinking: on });
        }
        ReasoningStyle::OpenRouter if on => request.reasoning = Some(ChatReasoning::Effort { effort: level }),
        ReasoningStyle::OpenRouter => request.reasoning = Some(ChatReasoning::Enabled { enabled: false }),
    }
}
