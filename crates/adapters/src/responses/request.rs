//! A turn to a Responses request, for clients of another protocol and for servers that take less. Pure.

use std::borrow::Cow;

use latimer_protocol::responses::request::{
    ResponsesCallOutput, ResponsesFunctionChoice, ResponsesItem, ResponsesPart, ResponsesReasoning,
    ResponsesRequest, ResponsesText, ResponsesTextFormat, ResponsesTool, ResponsesToolChoice,
};
use latimer_protocol::turn::{
    CallOutput, Content, Format, Item, Message, Note, ReasoningItem, Role, StateOwner, ToolChoice,
    TurnRequest,
};

use super::profile::Profile;
use crate::arguments;
use crate::body_room::room;
use crate::limitation::{Features, Limitation};
use crate::pairing::{NO_OUTPUT, PairedItem, orphan_text, pair};
use crate::prepared_request::EncodedRequest;
use crate::schema;
use crate::tool_names::{ToolNameRule, ToolNames};
use crate::wording;

/// Writes the turn for a server of this profile. `owner` is whose opaque state may go out.
pub fn write(turn: &TurnRequest, profile: &Profile, owner: &StateOwner) -> EncodedRequest {
    let names = ToolNames::new(turn, ToolNameRule::COMMON);
    let mut notes = Vec::new();
    let steps = pair(&turn.items, &mut notes);
    let mut writer = InputWriter {
        profile,
        owner,
        names: &names,
        notes: &mut notes,
        input: Vec::with_capacity(steps.len()),
        leading: true,
        instructions: String::new(),
    };
    for step in steps {
        writer.step(step);
    }
    writer.put_user_in();
    let (input, instructions) = (writer.input, writer.instructions);
    let has_tools = !turn.tools.is_empty();
    let request = ResponsesRequest {
        model: &turn.model,
        stream: true,
        store: false,
        input,
        instructions,
        tools: tools(turn, profile, &names, &mut notes),
        tool_choice: tool_choice(turn, profile, &names),
        parallel_tool_calls: turn.parallel_tool_calls.filter(|_| has_tools && profile.parallel_tool_calls),
        reasoning: reasoning(turn, profile),
        text: text(turn),
        include: if profile.reasoning { vec!["reasoning.encrypted_content"] } else { Vec::new() },
        max_output_tokens: turn.max_output_tokens.filter(|_| profile.token_limit),
        temperature: turn.sampling.temperature.filter(|_| profile.sampling),
        top_p: turn.sampling.top_p.filter(|_| profile.sampling),
        prompt_cache_key: turn.conversation.as_deref().filter(|_| profile.cache_key),
    };
    let features = features(turn, profile, &request);
    // Writing to memory fails only for maps with keys that are not strings, and there are none.
    let body = latimer_protocol::json::to_vec(&request, room(turn)).unwrap_or_default();
    EncodedRequest { body, names, features, notes, ..EncodedRequest::default() }
}

struct InputWriter<'a, 'n> {
    profile: &'n Profile,
    owner: &'n StateOwner,
    names: &'n ToolNames,
    notes: &'n mut Vec<Note>,
    input: Vec<ResponsesItem<'a>>,
    /// Nothing but base prompt was read.
    leading: bool,
    instructions: String,
}

impl<'a> InputWriter<'a, '_> {
    fn step(&mut self, step: PairedItem<'a>) {
        match step {
            PairedItem::Item(Item::Message(message)) => self.message(message),
            PairedItem::Item(Item::Reasoning(thoughts)) => self.thoughts(thoughts),
            PairedItem::Item(_) => {}
            PairedItem::Call(call, id) => self.input.push(ResponsesItem::FunctionCall {
                call_id: id.into(),
                name: Cow::Owned(self.names.allowed_name(&call.name).into_owned()),
                arguments: arguments::object_text(&call.arguments),
            }),
            PairedItem::Output(output, id) => {
                let output = self.output(output);
                self.input.push(ResponsesItem::FunctionCallOutput { call_id: id.into(), output });
            }
            PairedItem::Orphan(output) => {
                let content = vec![ResponsesPart::InputText { text: orphan_text(output).into() }];
                self.input.push(ResponsesItem::Message { role: "user", content });
            }
        }
    }

    /// Templates of some models refuse a conversation in which the person says nothing.
    fn put_user_in(&mut self) {
        let says = |item: &ResponsesItem<'_>| matches!(item, ResponsesItem::Message { role: "user", .. });
        if self.input.iter().any(says) {
            return;
        }
        self.notes.push(Note::request("a turn of the person's was put in: the conversation had none"));
        let is_system =
            |item: &&ResponsesItem<'_>| matches!(item, ResponsesItem::Message { role: "developer", .. });
        let place = self.input.iter().take_while(is_system).count();
        let text = if place == self.input.len() { wording::CONTINUE } else { wording::CONVERSATION_SO_FAR };
        let content = vec![ResponsesPart::InputText { text: text.into() }];
        self.input.insert(place, ResponsesItem::Message { role: "user", content });
    }

    fn message(&mut self, message: &'a Message) {
        let only_text = message.content.iter().all(|part| matches!(part, Content::Text(_)));
        if message.role == Role::System && self.leading && self.instructions.is_empty() && only_text {
            for part in &message.content {
                if let Content::Text(text) = part {
                    self.instructions.push_str(if self.instructions.is_empty() { "" } else { "\n\n" });
                    self.instructions.push_str(text);
                }
            }
            return;
        }
        self.leading = false;
        let content: Vec<ResponsesPart<'a>> = message
            .content
            .iter()
            .filter_map(|part| self.part(part, message.role == Role::Assistant))
            .collect();
        let role = match message.role {
            Role::System => "developer",
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        if !content.is_empty() {
            self.input.push(ResponsesItem::Message { role, content });
        }
    }

    fn part(&mut self, part: &'a Content, by_model: bool) -> Option<ResponsesPart<'a>> {
        Some(match part {
            Content::Text(text) if text.is_empty() => return None,
            Content::Text(text) if by_model => ResponsesPart::OutputText { text: text.into() },
            Content::Text(text) => ResponsesPart::InputText { text: text.into() },
            Content::Refusal(refusal) if by_model => ResponsesPart::Refusal { refusal },
            Content::Refusal(text) => ResponsesPart::InputText { text: text.into() },
            Content::Image(_) | Content::File { .. } if !self.profile.images || by_model => {
                self.notes.push(Note::request(wording::IMAGE_NOTE));
                let text = Cow::Borrowed(wording::IMAGE_PLACEHOLDER);
                if by_model { ResponsesPart::OutputText { text } } else { ResponsesPart::InputText { text } }
            }
            Content::Image(image) => {
                ResponsesPart::InputImage { image_url: &image.url, detail: image.detail.as_deref() }
            }
            Content::File { name, data_url } => {
                ResponsesPart::InputFile { filename: name.as_deref(), file_data: data_url }
            }
        })
    }

    fn thoughts(&mut self, thoughts: &'a ReasoningItem) {
        self.leading = false;
        let own =
            thoughts.opaque.as_ref().filter(|opaque| opaque.owner == *self.owner && self.profile.thoughts);
        match own {
            Some(opaque) => {
                let text = thoughts.text.as_str();
                let summary =
                    if text.is_empty() { Vec::new() } else { vec![ResponsesPart::SummaryText { text }] };
                self.input.push(ResponsesItem::Reasoning { summary, encrypted_content: &opaque.data });
            }
            None if thoughts.opaque.is_some() => {
                self.notes
                    .push(Note::request("thoughts of another model, provider or account were left out"));
            }
            None => {}
        }
    }

    fn output(&mut self, output: Option<&'a CallOutput>) -> ResponsesCallOutput<'a> {
        let Some(output) = output else { return ResponsesCallOutput::Text(NO_OUTPUT.into()) };
        if let [Content::Text(text)] = output.content.as_slice() {
            return ResponsesCallOutput::Text(text.into());
        }
        let parts: Vec<ResponsesPart<'a>> =
            output.content.iter().filter_map(|part| self.part(part, false)).collect();
        if parts.is_empty() {
            ResponsesCallOutput::Text("".into())
        } else {
            ResponsesCallOutput::Parts(parts)
        }
    }
}

fn tools<'a>(
    turn: &'a TurnRequest,
    profile: &Profile,
    names: &ToolNames,
    notes: &mut Vec<Note>,
) -> Vec<ResponsesTool<'a>> {
    let wire = |tool: &'a latimer_protocol::turn::Tool| {
        let parameters = schema::parameters(tool, notes);
        // A schema that was merged is none of those that can be adhered to strictly.
        let strict = tool.strict.unwrap_or(false) && matches!(parameters, Cow::Borrowed(_));
        ResponsesTool {
            kind: "function",
            name: Cow::Owned(names.provider_name(&tool.name).to_owned()),
            description: tool.description.as_deref(),
            parameters,
            strict: profile.strict.then_some(strict),
        }
    };
    turn.tools.iter().map(wire).collect()
}

fn tool_choice<'a>(
    turn: &TurnRequest,
    profile: &Profile,
    names: &ToolNames,
) -> Option<ResponsesToolChoice<'a>> {
    if turn.tools.is_empty() {
        return None;
    }
    let choice = match &turn.tool_choice {
        ToolChoice::Auto => return Some(ResponsesToolChoice::Auto),
        ToolChoice::None => return Some(ResponsesToolChoice::None),
        ToolChoice::Required => ResponsesToolChoice::Required,
        ToolChoice::Function(name) => ResponsesToolChoice::Function(ResponsesFunctionChoice {
            kind: "function",
            name: Cow::Owned(names.provider_name(name).to_owned()),
        }),
    };
    profile.forced_calls.then_some(choice)
}

/// Without a summary nobody would see that the model thinks.
fn reasoning<'a>(turn: &'a TurnRequest, profile: &Profile) -> Option<ResponsesReasoning<'a>> {
    let effort = turn.reasoning.effort.as_deref().filter(|_| profile.reasoning)?;
    Some(ResponsesReasoning { effort, summary: "auto" })
}

fn text(turn: &TurnRequest) -> Option<ResponsesText<'_>> {
    let format = match &turn.format {
        Format::Text => None,
        Format::JsonObject => Some(ResponsesTextFormat::JsonObject),
        Format::JsonSchema { name, description, schema, strict } => Some(ResponsesTextFormat::JsonSchema {
            name,
            schema,
            description: description.as_deref(),
            strict: *strict,
        }),
    };
    let verbosity = turn.verbosity.as_deref();
    (format.is_some() || verbosity.is_some()).then_some(ResponsesText { format, verbosity })
}

/// What of the request a provider may refuse, and what could be left out then.
fn features(turn: &TurnRequest, profile: &Profile, request: &ResponsesRequest<'_>) -> Features {
    let seen = |part: &Content| matches!(part, Content::Image(_) | Content::File { .. });
    let has_images = turn.items.iter().any(|item| match item {
        Item::Message(message) => message.content.iter().any(seen),
        Item::Output(output) => output.content.iter().any(seen),
        Item::Call(_) | Item::Reasoning(_) => false,
    });
    let has_thoughts = request.input.iter().any(|item| matches!(item, ResponsesItem::Reasoning { .. }));
    let table = [
        (has_images && profile.images, Limitation::NoImages),
        (request.reasoning.is_some(), Limitation::NoReasoning),
        (has_thoughts, Limitation::NoThoughts),
        (request.temperature.is_some() || request.top_p.is_some(), Limitation::NoSampling),
        (request.max_output_tokens.is_some(), Limitation::NoTokenLimit),
        (request.tool_choice.is_some() && turn.tool_choice != ToolChoice::Auto, Limitation::AutoToolChoice),
        (request.parallel_tool_calls.is_some(), Limitation::NoParallelCalls),
        (request.prompt_cache_key.is_some(), Limitation::NoCacheKey),
        (!request.tools.is_empty() && profile.strict, Limitation::NoStrict),
    ];
    Features::of(table.into_iter().filter(|(used, _)| *used).map(|(_, limitation)| limitation))
}
