//! The conversation as alternating contents. Pure.
//!
//! Invariant: the person is first and last; every call is answered in the next content, in the order of the calls; a signature
//! stands on exactly the part it came with.

use std::borrow::Cow;
use std::collections::HashMap;

use latimer_protocol::gemini::request::{
    GeminiContent, GeminiFileData, GeminiFunctionCall, GeminiFunctionResponse, GeminiInlineData, GeminiPart,
};
use latimer_protocol::turn::{
    Call, CallOutput, Content, Item, Message, Note, ReasoningItem, Role, StateOwner,
};
use serde_json::json;
use serde_json::value::RawValue;

use super::models::Family;
use super::signature::{NO_SIGNATURE, PartSignature, SignatureTarget};
use crate::arguments;
use crate::limitation::{Limitation, Limitations};
use crate::pairing::{NO_OUTPUT, PairedItem, orphan_text};
use crate::tool_names::ToolNames;
use crate::wording;

/// What may stand in the contents of a request.
#[derive(Debug, Clone, Copy)]
struct ContentRules {
    /// Pictures.
    pub(super) images: bool,
    /// Signatures of earlier thoughts.
    pub(super) signatures: bool,
    /// Addresses of pictures, which the provider fetches itself.
    pub(super) urls: bool,
}

/// Collects the contents.
pub(super) struct ContentsWriter<'a, 'n> {
    owner: &'n StateOwner,
    names: &'n ToolNames,
    family: Family,
    accepts: ContentRules,
    notes: &'n mut Vec<Note>,
    contents: Vec<GeminiContent<'a>>,
    /// The signature of the call that comes next.
    signature: Option<String>,
    /// Function of each call id.
    functions: HashMap<String, String>,
    /// Pictures of outputs, which follow all responses of their run.
    output_images: Vec<GeminiPart<'a>>,
}

impl<'a, 'n> ContentsWriter<'a, 'n> {
    pub(super) fn new(
        owner: &'n StateOwner,
        names: &'n ToolNames,
        family: Family,
        urls: bool,
        limitations: &Limitations,
        notes: &'n mut Vec<Note>,
    ) -> Self {
        Self {
            owner,
            names,
            family,
            accepts: ContentRules {
                images: !limitations.has(Limitation::NoImages),
                signatures: !limitations.has(Limitation::NoSignatures),
                urls,
            },
            notes,
            contents: Vec::new(),
            signature: None,
            functions: HashMap::new(),
            output_images: Vec::new(),
        }
    }

    pub(super) fn step(&mut self, step: PairedItem<'a>) {
        if !matches!(step, PairedItem::Output(..)) {
            self.flush_output_images();
        }
        match step {
            PairedItem::Item(Item::Message(message)) => self.message(message),
            PairedItem::Item(Item::Reasoning(thoughts)) => self.thoughts(thoughts),
            PairedItem::Item(_) => {}
            PairedItem::Call(call, id) => self.call(call, id),
            PairedItem::Output(output, id) => self.output(output, id),
            PairedItem::Orphan(output) => {
                self.signature = None;
                self.push("user", words(orphan_text(output).into()));
            }
        }
    }

    /// The contents; never empty, the person first and last.
    pub(super) fn finish(mut self) -> Vec<GeminiContent<'a>> {
        self.flush_output_images();
        let mut contents = self.contents;
        if contents.first().is_none_or(|first| first.role != Some("user")) {
            let parts = vec![words(wording::CONVERSATION_SO_FAR.into())];
            contents.insert(0, GeminiContent { role: Some("user"), parts });
        }
        if contents.last().is_some_and(|last| last.role == Some("model")) {
            self.notes.push(Note::request(
                "the conversation ended with the model's own words; it was asked to continue",
            ));
            contents.push(GeminiContent { role: Some("user"), parts: vec![words(wording::CONTINUE.into())] });
        }
        contents
    }

    fn push(&mut self, role: &'static str, part: GeminiPart<'a>) {
        match self.contents.last_mut() {
            Some(last) if last.role == Some(role) => last.parts.push(part),
            _ => self.contents.push(GeminiContent { role: Some(role), parts: vec![part] }),
        }
    }

    fn message(&mut self, message: &'a Message) {
        self.signature = None;
        let role = if message.role == Role::Assistant { "model" } else { "user" };
        for part in &message.content {
            let part = match part {
                Content::Text(text) | Content::Refusal(text) if text.is_empty() => continue,
                Content::Text(text) | Content::Refusal(text) => words(Cow::Borrowed(text)),
                Content::Image(_) | Content::File { .. } => self.image_or_note(part),
            };
            self.push(role, part);
        }
    }

    /// Thoughts never go back; what belongs to the part beside them does, to its owner.
    fn thoughts(&mut self, thoughts: &ReasoningItem) {
        let Some(opaque) = &thoughts.opaque else { return };
        if opaque.owner != *self.owner {
            return self.note("signatures of another model or provider were left out");
        }
        if !self.accepts.signatures {
            return self.note("signatures of earlier thoughts were left out: the provider refused them");
        }
        let Ok(signed) = serde_json::from_str::<PartSignature>(&opaque.data) else { return };
        if signed.on == SignatureTarget::Call {
            self.signature = Some(signed.signature);
            return;
        }
        // The part it came with is gone, or stands behind the outputs now: on another part it would be refused.
        let Some(last) = self.contents.last_mut().filter(|last| last.role == Some("model")) else {
            return self.note("a signature whose part is not in the history was left out");
        };
        match last.parts.last_mut() {
            Some(part)
                if signed.on == SignatureTarget::Text
                    && part.text.is_some()
                    && part.thought_signature.is_none() =>
            {
                part.thought_signature = Some(signed.signature.into());
            }
            _ => {
                last.parts.push(GeminiPart {
                    thought_signature: Some(signed.signature.into()),
                    ..words("".into())
                });
            }
        }
    }

    fn note(&mut self, note: &str) {
        self.notes.push(Note::request(note.to_owned()));
    }

    fn call(&mut self, call: &'a Call, id: String) {
        // A tool of an earlier time may not be declared any more, and have any name.
        let name = self.names.allowed_name(&call.name).into_owned();
        self.functions.insert(id.clone(), name.clone());
        let own = self.signature.take();
        let is_first = self.contents.last().is_none_or(|last| {
            last.role != Some("model") || last.parts.iter().all(|part| part.function_call.is_none())
        });
        // A provider that refused signatures knows them, whatever its model is called. A Claude has others.
        let wanted = if self.accepts.signatures {
            self.family.wants_signatures() && is_first
        } else {
            self.family != Family::Claude
        };
        let signature = own.map(Cow::Owned).or_else(|| wanted.then_some(Cow::Borrowed(NO_SIGNATURE)));
        let call =
            GeminiFunctionCall { id: id.into(), name: name.into(), args: arguments::object(&call.arguments) };
        self.push(
            "model",
            GeminiPart { function_call: Some(call), thought_signature: signature, ..GeminiPart::default() },
        );
    }

    fn output(&mut self, output: Option<&'a CallOutput>, id: String) {
        self.signature = None;
        let parts = output.map_or(&[][..], |output| output.content.as_slice());
        let texts = parts.iter().filter_map(|part| match part {
            Content::Text(text) | Content::Refusal(text) => Some(text.as_str()),
            Content::Image(_) | Content::File { .. } => None,
        });
        let text = texts.collect::<Vec<_>>().join("\n");
        for part in parts {
            if matches!(part, Content::Image(_) | Content::File { .. }) {
                let image_part = self.image_or_note(part);
                self.output_images.push(image_part);
            }
        }
        // As text, whatever it is: keys of an object, such as `$ref`, may be refused (K20-json-output-to-gemini.json).
        let response = match output {
            Some(_) => json!({ "result": text }),
            None => json!({ "error": NO_OUTPUT }),
        };
        let response = response.to_string();
        let response = RawValue::from_string(response).map_or(Cow::Borrowed(RawValue::NULL), Cow::Owned);
        let name = self.functions.get(&id).cloned().unwrap_or_default();
        let response = GeminiFunctionResponse { id: id.into(), name: name.into(), response };
        self.push("user", GeminiPart { function_response: Some(response), ..GeminiPart::default() });
    }

    fn flush_output_images(&mut self) {
        for image_part in std::mem::take(&mut self.output_images) {
            self.push("user", image_part);
        }
    }

    /// A picture or a file, or words in its place.
    fn image_or_note(&mut self, part: &'a Content) -> GeminiPart<'a> {
        let image_or_note = if self.accepts.images { image_part(part, self.accepts.urls) } else { None };
        image_or_note.unwrap_or_else(|| {
            self.notes.push(Note::request(wording::IMAGE_NOTE));
            words(wording::IMAGE_PLACEHOLDER.into())
        })
    }
}

/// A part of words.
pub(super) fn words(text: Cow<'_, str>) -> GeminiPart<'_> {
    GeminiPart { text: Some(text), ..GeminiPart::default() }
}

fn image_part(part: &Content, urls: bool) -> Option<GeminiPart<'_>> {
    let url = match part {
        Content::Image(image) => image.url.as_str(),
        Content::File { data_url, .. } => data_url.as_str(),
        Content::Text(_) | Content::Refusal(_) => return None,
    };
    if let Some((head, data)) = url.strip_prefix("data:").and_then(|rest| rest.split_once(',')) {
        let mime_type = head.strip_suffix(";base64")?.split(';').next().filter(|kind| kind.contains('/'))?;
        return Some(GeminiPart {
            inline_data: Some(GeminiInlineData { mime_type, data }),
            ..GeminiPart::default()
        });
    }
    if !urls || !url.starts_with("https://") {
        return None;
    }
    let path = url.split(['?', '#']).next().unwrap_or(url).to_ascii_lowercase();
    const TYPES: [(&str, &str); 4] =
        [(".png", "image/png"), (".webp", "image/webp"), (".gif", "image/gif"), (".pdf", "application/pdf")];
    let mime_type = TYPES.iter().find(|(end, _)| path.ends_with(end)).map_or("image/jpeg", |(_, kind)| kind);
    Some(GeminiPart { file_data: Some(GeminiFileData { mime_type, file_uri: url }), ..GeminiPart::default() })
}
