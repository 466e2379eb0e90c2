//! A turn to a Chat Completions request. Pure.

use std::borrow::Cow;

use latimer_protocol::chat::request::{
    ChatCall, ChatCallFunction, ChatContent, ChatFile, ChatFunction, ChatImageUrl, ChatJsonSchema,
    ChatMessage, ChatPart, ChatRequest, ChatResponseFormat, ChatStreamOptions, ChatTool,
};
use latimer_protocol::turn::{
    Call, CallOutput, Content, Format, Item, Message, Owner, ReasoningItem, Role, ToolChoice, TurnRequest,
};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::quirks::{Echo, Quirks, ReasoningStyle, ToolChoiceSupport};
use crate::arguments;
use crate::limitation::{Features, Limitation};
use crate::pairing::{NO_OUTPUT, PairedItem, orphan_text, pair};
use crate::prepared_request::EncodedRequest;
use crate::tool_names::{ToolNameRule, ToolNames};

/// The schema of a tool that declares none.
const NO_PARAMETERS: &str = r#"{"type":"object","properties":{}}"#;

/// Writes the turn for a provider with these quirks. `owner` is whose opaque state may go out.
pub fn write(turn: &TurnRequest, quirks: &Quirks, owner: &Owner) -> EncodedRequest {
    let names = ToolNames::new(turn, ToolNameRule { max_len: quirks.max_tool_name, ..ToolNameRule::COMMON });
    let mut writer = Writer {
        quirks,
        owner,
        names: &names,
        messages: Vec::with_capacity(turn.items.len() + 1),
        thoughts: Vec::new(),
        images: Vec::new(),
        behind_run: false,
    };
    let mut notes = Vec::new();
    for step in pair(&turn.items, &mut notes) {
        writer.step(step);
    }
    writer.flush_images();
    writer.flush_thoughts();
    let mut messages = writer.messages;
    let schema_note = schema_as_words(turn, quirks);
    if let Some(words) = &schema_note {
        messages.insert(
            0,
            ChatMessage {
                role: "system",
                content: ChatContent::Text(Cow::Borrowed(words)),
                ..ChatMessage::default()
            },
        );
    }
    let messages = arrange(messages, quirks);
    let limit = turn.max_output_tokens.max(quirks.least_tokens);
    let request = ChatRequest {
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
        extra: extra(turn, quirks),
    };
    // Writing to memory fails only for maps with keys that are not strings, and there are none.
    let body = serde_json::to_vec(&request).unwrap_or_default();
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

struct Writer<'a, 'n> {
    quirks: &'a Quirks,
    owner: &'a Owner,
    names: &'n ToolNames,
    messages: Vec<ChatMessage<'a>>,
    /// Thoughts that wait for the assistant message they belong to.
    thoughts: Vec<&'a ReasoningItem>,
    /// Pictures of tool outputs that wait for the end of the run of outputs.
    images: Vec<ChatPart<'a>>,
    /// The last message is a tool's output.
    behind_run: bool,
}

impl<'a> Writer<'a, '_> {
    fn step(&mut self, step: PairedItem<'a>) {
        if !matches!(step, PairedItem::Output(..)) {
            self.flush_images();
            self.behind_run = false;
        }
        match step {
            PairedItem::Item(Item::Message(message)) => self.message(message),
            PairedItem::Item(Item::Reasoning(reasoning)) => self.thoughts.push(reasoning),
            PairedItem::Item(_) => {}
            PairedItem::Call(call, id) => self.call(call, id),
            PairedItem::Output(output, id) => self.output(output, id),
            PairedItem::Orphan(output) => self.orphan_text(output),
        }
    }

    fn message(&mut self, message: &'a Message) {
        let content = content(&message.content, self.quirks.images);
        if matches!(&content, ChatContent::Text(text) if text.is_empty()) {
            return;
        }
        if message.role != Role::Assistant {
            self.flush_thoughts();
            let role = match message.role {
                Role::System if self.quirks.developer_role => "developer",
                Role::System => "system",
                _ => "user",
            };
            return self.messages.push(ChatMessage { role, content, ..ChatMessage::default() });
        }
        let mut wire = ChatMessage { role: "assistant", content, ..ChatMessage::default() };
        self.attach_thoughts(&mut wire, self.quirks.echo != Echo::WithCalls);
        self.messages.push(wire);
    }

    fn call(&mut self, call: &'a Call, id: String) {
        let wire = ChatCall {
            id: self.id(id),
            kind: "function",
            function: ChatCallFunction {
                name: Cow::Owned(self.names.provider_name(&call.name).to_owned()),
                arguments: arguments::object_text(&call.arguments),
            },
        };
        let extends = self.messages.last().is_some_and(|last| last.role == "assistant");
        if !extends {
            let content = if self.quirks.null_content {
                ChatContent::Null
            } else {
                ChatContent::Text(Cow::Borrowed(""))
            };
            self.messages.push(ChatMessage { role: "assistant", content, ..ChatMessage::default() });
        }
        let Some(mut last) = self.messages.pop() else { return };
        self.attach_thoughts(&mut last, true);
        last.tool_calls.push(wire);
        self.messages.push(last);
    }

    fn output(&mut self, output: Option<&'a CallOutput>, id: String) {
        let parts = output.map_or(&[][..], |output| output.content.as_slice());
        let mut text = join_text(parts);
        let images: Vec<ChatPart<'a>> = parts.iter().filter_map(image_part).collect();
        let content = if images.is_empty() {
            if output.is_none() {
                text = Cow::Borrowed(NO_OUTPUT);
            }
            ChatContent::Text(text)
        } else if !self.quirks.images {
            ChatContent::Text(without_images(parts))
        } else if self.quirks.tool_images {
            content(parts, true)
        } else {
            if text.is_empty() {
                text = Cow::Borrowed("(an image; it follows in the next message)");
            }
            self.images.extend(images);
            ChatContent::Text(text)
        };
        let tool_call_id = Some(self.id(id));
        self.messages.push(ChatMessage { role: "tool", content, tool_call_id, ..ChatMessage::default() });
        self.behind_run = true;
    }

    fn orphan_text(&mut self, output: &'a CallOutput) {
        let text = orphan_text(output);
        self.messages.push(ChatMessage {
            role: "user",
            content: ChatContent::Text(Cow::Owned(text)),
            ..ChatMessage::default()
        });
    }

    /// Pictures of a run of outputs go into one user message behind it.
    fn flush_images(&mut self) {
        if self.images.is_empty() {
            return;
        }
        let mut parts = vec![ChatPart::Text { text: Cow::Borrowed("Images from the tool output above:") }];
        parts.append(&mut self.images);
        self.messages.push(ChatMessage {
            role: "user",
            content: ChatContent::Parts(parts),
            ..ChatMessage::default()
        });
    }

    /// Thoughts that no message claimed belong to nothing the provider knows.
    fn flush_thoughts(&mut self) {
        self.thoughts.clear();
    }

    fn attach_thoughts(&mut self, wire: &mut ChatMessage<'a>, wanted: bool) {
        if !wanted || self.thoughts.is_empty() {
            return;
        }
        let thoughts = std::mem::take(&mut self.thoughts);
        let text = || {
            thoughts
                .iter()
                .map(|item| item.text.as_str())
                .filter(|text| !text.is_empty())
                .collect::<Vec<_>>()
                .join("\n\n")
        };
        match self.quirks.echo {
            Echo::Never => {}
            Echo::WithCalls | Echo::Always => wire.reasoning_content = Some(text()),
            Echo::Details => {
                // Only what this provider and model made goes back to it.
                let own = thoughts
                    .iter()
                    .filter_map(|item| item.opaque.as_ref())
                    .filter(|opaque| opaque.owner == *self.owner);
                let details: Vec<Value> = own
                    .filter_map(|opaque| serde_json::from_str::<Vec<Value>>(&opaque.data).ok())
                    .flatten()
                    .collect();
                if details.is_empty() {
                    wire.reasoning = Some(text()).filter(|text| !text.is_empty());
                } else {
                    wire.reasoning_details = Some(Value::Array(details));
                }
            }
        }
    }

    /// Nine alphanumerics where the provider insists: the same id always gives the same nine.
    fn id(&self, id: String) -> Cow<'a, str> {
        if !self.quirks.nine_character_call_ids
            || (id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        {
            return Cow::Owned(id);
        }
        const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        // FNV-1a: no need for more than spread.
        let mut hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let nine = std::iter::repeat_with(|| {
            let letter = ALPHABET.get((hash % 62) as usize).copied().unwrap_or(b'A');
            hash /= 62;
            char::from(letter)
        });
        Cow::Owned(nine.take(9).collect())
    }
}

/// Stands where an image or a file was, for models that see none.
const NOT_SEEN: &str = "(an image or a file stood here; this model does not see such things)";

fn content(parts: &[Content], images: bool) -> ChatContent<'_> {
    if parts.iter().all(|part| matches!(part, Content::Text(_) | Content::Refusal(_))) {
        return ChatContent::Text(join_text(parts));
    }
    if !images {
        return ChatContent::Text(without_images(parts));
    }
    let wire = parts.iter().filter_map(|part| match part {
        Content::Text(text) | Content::Refusal(text) => {
            (!text.is_empty()).then_some(ChatPart::Text { text: Cow::Borrowed(text) })
        }
        other => image_part(other),
    });
    ChatContent::Parts(wire.collect())
}

fn join_text(parts: &[Content]) -> Cow<'_, str> {
    let mut texts = parts.iter().filter_map(|part| match part {
        Content::Text(text) | Content::Refusal(text) => Some(text.as_str()),
        Content::Image(_) | Content::File { .. } => None,
    });
    let Some(first) = texts.next() else { return Cow::Borrowed("") };
    texts.fold(Cow::Borrowed(first), |joined, text| Cow::Owned(format!("{joined}\n{text}")))
}

fn without_images(parts: &[Content]) -> Cow<'_, str> {
    let texts: Vec<&str> = parts
        .iter()
        .map(|part| match part {
            Content::Text(text) | Content::Refusal(text) => text.as_str(),
            Content::Image(_) | Content::File { .. } => NOT_SEEN,
        })
        .collect();
    Cow::Owned(texts.join("\n"))
}

fn image_part(part: &Content) -> Option<ChatPart<'_>> {
    match part {
        Content::Image(image) => Some(ChatPart::ImageUrl {
            image_url: ChatImageUrl {
                url: &image.url,
                // `original` is OpenAI's alone.
                detail: image
                    .detail
                    .as_deref()
                    .map(|detail| if detail == "original" { "high" } else { detail }),
            },
        }),
        Content::File { name, data_url } => {
            Some(ChatPart::File { file: ChatFile { filename: name.as_deref(), file_data: data_url } })
        }
        Content::Text(_) | Content::Refusal(_) => None,
    }
}

/// System texts to where the provider takes them, and strict alternation where it insists.
fn arrange<'a>(messages: Vec<ChatMessage<'a>>, quirks: &Quirks) -> Vec<ChatMessage<'a>> {
    let mut arranged: Vec<ChatMessage<'a>> = Vec::with_capacity(messages.len());
    for mut message in messages {
        let is_system = matches!(message.role, "system" | "developer");
        let leading = arranged.iter().all(|earlier| matches!(earlier.role, "system" | "developer"));
        if is_system && quirks.single_system && !leading {
            message.role = "user";
        }
        let merges = (is_system && quirks.single_system && leading) || quirks.alternate_roles;
        match arranged.last_mut() {
            Some(last)
                if merges
                    && last.role == message.role
                    && message.role != "tool"
                    && last.tool_calls.is_empty() =>
            {
                append(&mut last.content, message.content);
                last.tool_calls = message.tool_calls;
            }
            _ => arranged.push(message),
        }
    }
    arranged
}

fn append<'a>(content: &mut ChatContent<'a>, more: ChatContent<'a>) {
    let parts = |content: ChatContent<'a>| match content {
        ChatContent::Null => Vec::new(),
        ChatContent::Text(text) => vec![ChatPart::Text { text }],
        ChatContent::Parts(parts) => parts,
    };
    *content = match (std::mem::take(content), more) {
        (ChatContent::Null, more) => more,
        (kept, ChatContent::Null) => kept,
        (ChatContent::Text(first), ChatContent::Text(second)) => {
            ChatContent::Text(Cow::Owned(format!("{first}\n\n{second}")))
        }
        (first, second) => ChatContent::Parts(parts(first).into_iter().chain(parts(second)).collect()),
    };
}

fn tools<'a>(
    turn: &'a TurnRequest,
    quirks: &Quirks,
    names: &ToolNames,
    notes: &mut Vec<String>,
) -> Vec<ChatTool<'a>> {
    if !quirks.tools {
        if !turn.tools.is_empty() {
            notes.push("this provider takes no tools; they were left out".to_owned());
        }
        return Vec::new();
    }
    let empty: &'static RawValue = serde_json::from_str(NO_PARAMETERS).unwrap_or(RawValue::NULL);
    let wire = |tool: &'a latimer_protocol::turn::Tool| ChatTool {
        kind: "function",
        function: ChatFunction {
            name: Cow::Owned(names.provider_name(&tool.name).to_owned()),
            description: tool.description.as_deref(),
            parameters: tool.parameters.as_deref().unwrap_or(empty),
        },
    };
    turn.tools.iter().map(wire).collect()
}

fn tool_choice(turn: &TurnRequest, quirks: &Quirks, names: &ToolNames) -> Option<Value> {
    if turn.tools.is_empty() || !quirks.tools {
        return None;
    }
    let choice = match &turn.tool_choice {
        ToolChoice::Auto => return Some(json!("auto")),
        ToolChoice::None => json!("none"),
        ToolChoice::Required => json!("required"),
        ToolChoice::Function(name) => {
            json!({ "type": "function", "function": { "name": names.provider_name(name) } })
        }
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
fn schema_as_words(turn: &TurnRequest, quirks: &Quirks) -> Option<String> {
    match &turn.format {
        Format::JsonSchema { schema, .. } if !quirks.json_schema => Some(format!(
            "Answer with one JSON object that follows this JSON Schema, and nothing else:\n{}",
            schema.get()
        )),
        _ => None,
    }
}

/// The switch for thinking, and fields only this provider knows.
fn extra(turn: &TurnRequest, quirks: &Quirks) -> Map<String, Value> {
    let mut extra = quirks
        .extra_body
        .and_then(|text| serde_json::from_str::<Map<String, Value>>(text).ok())
        .unwrap_or_default();
    let Some(effort) = turn.reasoning.effort.as_deref() else { return extra };
    let on = effort != "none";
    // Beyond the common three, levels differ from provider to provider.
    let level = match effort {
        "minimal" => "low",
        "xhigh" | "max" => "high",
        other => other,
    };
    let switch = json!({ "type": if on { "enabled" } else { "disabled" } });
    let mut put = |name: &str, value: Value| {
        extra.insert(name.to_owned(), value);
    };
    match quirks.reasoning {
        ReasoningStyle::None => {}
        ReasoningStyle::Effort if on => put("reasoning_effort", json!(level)),
        ReasoningStyle::Effort => {}
        ReasoningStyle::ThinkingObject => put("thinking", switch),
        ReasoningStyle::ThinkingAndEffort => {
            put("thinking", switch);
            if on {
                put("reasoning_effort", json!(level));
            }
        }
        ReasoningStyle::EnableThinking => put("enable_thinking", json!(on)),
        ReasoningStyle::ChatTemplate => put("chat_template_kwargs", json!({ "enable_thinking": on })),
        ReasoningStyle::OpenRouter if on => put("reasoning", json!({ "effort": level })),
        ReasoningStyle::OpenRouter => put("reasoning", json!({ "enabled": false })),
    }
    extra
}
