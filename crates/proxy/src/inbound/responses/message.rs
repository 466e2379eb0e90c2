//! Input items to items of the turn. Nothing a newer client sends ends a turn: it is lowered or dropped with a note.

use std::borrow::Cow;

use latimer_protocol::id::CallId;
use latimer_protocol::turn::{
    Call, CallOutput, Content, Image, Item, Message, OpaqueState, ReasoningItem, Role, Seal, Tool,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::compact;
use super::request::{field, wrong_type};
use crate::inbound::wire::openai_error::RequestError;
use crate::inbound::wire::tool_map::ToolMap;
use crate::text::{MAX_WORD, shown};

/// Reads `input` item by item.
pub(super) struct Items<'t> {
    tools: &'t mut ToolMap,
    declared: &'t mut Vec<Tool>,
    notes: &'t mut Vec<String>,
    /// Opens the carriers that latimer made.
    seal: &'t Seal,
    items: Vec<Item>,
    /// A summary of the history is asked for.
    compacts: bool,
}

/// An input item of any type. Flat, because a tagged enum would copy every text twice.
#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    role: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    call_id: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    namespace: Option<&'a RawValue>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    output: Option<&'a RawValue>,
    #[serde(borrow)]
    action: Option<&'a RawValue>,
    #[serde(borrow)]
    summary: Option<&'a RawValue>,
    #[serde(borrow)]
    encrypted_content: Option<&'a RawValue>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
}

/// A content part of any type.
#[derive(Deserialize)]
struct Part<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    image_url: Option<&'a RawValue>,
    #[serde(borrow)]
    detail: Option<&'a RawValue>,
    #[serde(borrow)]
    file_data: Option<&'a RawValue>,
    #[serde(borrow)]
    filename: Option<&'a RawValue>,
}

impl<'t> Items<'t> {
    pub(super) fn new(
        tools: &'t mut ToolMap,
        declared: &'t mut Vec<Tool>,
        notes: &'t mut Vec<String>,
        seal: &'t Seal,
    ) -> Self {
        Self { tools, declared, notes, seal, items: Vec::new(), compacts: false }
    }

    pub(super) fn instructions(&mut self, text: String) {
        self.items.push(Item::Message(Message { role: Role::System, content: vec![Content::Text(text)] }));
    }

    pub(super) fn read(&mut self, input: &RawValue) -> Result<(), RequestError> {
        if let Ok(text) = serde_json::from_str::<String>(input.get()) {
            self.items.push(Item::Message(Message { role: Role::User, content: vec![Content::Text(text)] }));
            return Ok(());
        }
        let list: Vec<&RawValue> = serde_json::from_str(input.get())
            .map_err(|_| wrong_type(input, "input", "a string or a list of items"))?;
        // Tools of the lite form are declared inside of the input: they must be known before the calls are read.
        let mut wires = Vec::with_capacity(list.len());
        for (place, raw) in list.into_iter().enumerate() {
            let wire: Wire<'_> = serde_json::from_str(raw.get())
                .map_err(|_| wrong_type(raw, &format!("input[{place}]"), "an object"))?;
            if matches!(wire.kind.as_deref(), Some("additional_tools" | "tool_search_output"))
                && let Some(tools) = wire.tools
            {
                self.tools.declare(tools, self.declared, self.notes);
            }
            wires.push(wire);
        }
        for (place, wire) in wires.iter().enumerate() {
            self.item(wire, &format!("input[{place}]"))?;
        }
        Ok(())
    }

    /// The items, and whether a summary of them is asked for.
    pub(super) fn finish(self) -> (Vec<Item>, bool) {
        (self.items, self.compacts)
    }

    fn item(&mut self, wire: &Wire<'_>, at: &str) -> Result<(), RequestError> {
        match wire.kind.as_deref() {
            Some("message") => self.message(wire, at),
            None if wire.role.is_some() => self.message(wire, at),
            Some("reasoning") => self.reasoning(wire, at),
            Some("function_call") => self.function_call(wire, at),
            Some("custom_tool_call") => self.custom_call(wire, at),
            Some("tool_search_call") => self.object_call(wire, at, "tool_search", wire.arguments),
            Some("local_shell_call") => self.object_call(wire, at, "local_shell", wire.action),
            Some("function_call_output" | "custom_tool_call_output" | "local_shell_call_output") => {
                self.output(wire, at)
            }
            Some("tool_search_output") => self.search_output(wire, at),
            Some("additional_tools") => Ok(()),
            Some("compaction" | "compaction_summary") => self.compaction(wire, at),
            Some("compaction_trigger") => {
                self.compacts = true;
                Ok(())
            }
            Some(other) => {
                let shown = shown(other, MAX_WORD);
                self.notes.push(format!(
                    "an input item of type `{shown}` means nothing to this upstream and was left out"
                ));
                Ok(())
            }
            None => {
                self.notes.push("an input item without a type was left out".to_owned());
                Ok(())
            }
        }
    }

    fn message(&mut self, wire: &Wire<'_>, at: &str) -> Result<(), RequestError> {
        let role: Cow<'_, str> = required(wire.role, &format!("{at}.role"), "a string")?;
        let role = match role.as_ref() {
            "assistant" => Role::Assistant,
            "system" | "developer" => Role::System,
            _ => Role::User,
        };
        let content = self.content(wire.content, &format!("{at}.content"))?;
        self.items.push(Item::Message(Message { role, content }));
        Ok(())
    }

    fn reasoning(&mut self, wire: &Wire<'_>, at: &str) -> Result<(), RequestError> {
        let mut text = String::new();
        // The raw thoughts where there are any, else their summary.
        for raw in [wire.content, wire.summary].into_iter().flatten() {
            let parts =
                serde_json::from_str::<Option<Vec<Part<'_>>>>(raw.get()).ok().flatten().unwrap_or_default();
            for part in parts {
                if let Some(piece) = field::<String>(part.text, at, "a string")? {
                    text.push_str(if text.is_empty() { "" } else { "\n\n" });
                    text.push_str(&piece);
                }
            }
            if !text.is_empty() {
                break;
            }
        }
        let carrier: Option<Cow<'_, str>> =
            field(wire.encrypted_content, &format!("{at}.encrypted_content"), "a string")?;
        let opaque = carrier.as_deref().and_then(|carrier| OpaqueState::decode(carrier, self.seal));
        if carrier.is_some() && opaque.is_none() {
            self.notes.push("encrypted reasoning of another provider was left out".to_owned());
        }
        if !text.is_empty() || opaque.is_some() {
            self.items.push(Item::Reasoning(ReasoningItem { text, opaque }));
        }
        Ok(())
    }

    /// A summary that stands for a part of the history. One that somebody else made cannot be read, and is no reason to fail
    /// for ever.
    fn compaction(&mut self, wire: &Wire<'_>, at: &str) -> Result<(), RequestError> {
        let carrier: Option<Cow<'_, str>> =
            field(wire.encrypted_content, &format!("{at}.encrypted_content"), "a string")?;
        match carrier.as_deref().and_then(|carrier| compact::unpack(carrier, self.seal)) {
            Some(item) => self.items.push(item),
            None => self.notes.push("a compaction of another provider was left out".to_owned()),
        }
        Ok(())
    }

    fn function_call(&mut self, wire: &Wire<'_>, at: &str) -> Result<(), RequestError> {
        let id = call_id(wire, at)?;
        let name: Cow<'_, str> = required(wire.name, &format!("{at}.name"), "a string")?;
        let namespace: Option<Cow<'_, str>> = field(wire.namespace, &format!("{at}.namespace"), "a string")?;
        // Other proxies write the object itself; it is the same call.
        let arguments = match wire.arguments {
            Some(raw) if raw.get().starts_with('{') => raw.get().to_owned(),
            raw => field(raw, &format!("{at}.arguments"), "a string")?.unwrap_or_default(),
        };
        let name = self.tools.flat(namespace.as_deref(), &name);
        self.items.push(Item::Call(Call { id, name, arguments }));
        Ok(())
    }

    fn custom_call(&mut self, wire: &Wire<'_>, at: &str) -> Result<(), RequestError> {
        let id = call_id(wire, at)?;
        let name: Cow<'_, str> = required(wire.name, &format!("{at}.name"), "a string")?;
        let namespace: Option<Cow<'_, str>> = field(wire.namespace, &format!("{at}.namespace"), "a string")?;
        let input: Cow<'_, str> = field(wire.input, &format!("{at}.input"), "a string")?.unwrap_or_default();
        let name = self.tools.flat(namespace.as_deref(), &name);
        self.items.push(Item::Call(Call { id, name, arguments: json!({ "input": input }).to_string() }));
        Ok(())
    }

    fn object_call(
        &mut self,
        wire: &Wire<'_>,
        at: &str,
        name: &str,
        object: Option<&RawValue>,
    ) -> Result<(), RequestError> {
        let id = call_id(wire, at)?;
        let arguments = match object {
            Some(raw) if raw.get().starts_with('"') => {
                field::<String>(Some(raw), at, "an object")?.unwrap_or_default()
            }
            raw => raw.map_or_else(|| "{}".to_owned(), |raw| raw.get().to_owned()),
        };
        let name = self.tools.flat(None, name);
        self.items.push(Item::Call(Call { id, name, arguments }));
        Ok(())
    }

    fn output(&mut self, wire: &Wire<'_>, at: &str) -> Result<(), RequestError> {
        let id = call_id(wire, at)?;
        let content = self.content(wire.output, &format!("{at}.output"))?;
        self.items.push(Item::Output(CallOutput { id, content }));
        Ok(())
    }

    /// The tools that were found are declared by now; the model is told their names.
    fn search_output(&mut self, wire: &Wire<'_>, at: &str) -> Result<(), RequestError> {
        let id = call_id(wire, at)?;
        let found = wire.tools.map_or_else(Vec::new, |tools| self.tools.flats_of(tools));
        let text = match found.as_slice() {
            [] => "No tools were found.".to_owned(),
            found => format!("Tools that can be called now: {}", found.join(", ")),
        };
        self.items.push(Item::Output(CallOutput { id, content: vec![Content::Text(text)] }));
        Ok(())
    }

    /// A string, or a list of parts.
    fn content(&mut self, raw: Option<&RawValue>, at: &str) -> Result<Vec<Content>, RequestError> {
        let Some(raw) = raw.filter(|raw| raw.get() != "null") else { return Ok(Vec::new()) };
        if raw.get().starts_with('"') {
            return Ok(vec![Content::Text(field(Some(raw), at, "a string")?.unwrap_or_default())]);
        }
        let list: Vec<&RawValue> = match serde_json::from_str(raw.get()) {
            Ok(list) => list,
            // An object as the output of a tool is its JSON text.
            Err(_) if raw.get().starts_with('{') && at.ends_with(".output") => {
                return Ok(vec![Content::Text(raw.get().to_owned())]);
            }
            Err(_) => return Err(wrong_type(raw, at, "a string or a list of parts")),
        };
        let mut content = Vec::with_capacity(list.len());
        for (place, raw) in list.into_iter().enumerate() {
            let at = format!("{at}[{place}]");
            let part: Part<'_> =
                serde_json::from_str(raw.get()).map_err(|_| wrong_type(raw, &at, "an object"))?;
            content.extend(self.part(&part, &at)?);
        }
        Ok(content)
    }

    fn part(&mut self, part: &Part<'_>, at: &str) -> Result<Option<Content>, RequestError> {
        let kind = part.kind.as_deref().unwrap_or("input_text");
        Ok(match kind {
            "input_text" | "output_text" | "text" | "summary_text" | "reasoning_text" => {
                field(part.text, &format!("{at}.text"), "a string")?.map(Content::Text)
            }
            "refusal" => field(part.refusal, &format!("{at}.refusal"), "a string")?.map(Content::Refusal),
            "input_image" | "image_url" => Some(image(part, at)?),
            "input_file" => Some(file(part, at)?),
            other => {
                let shown = shown(other, MAX_WORD);
                self.notes.push(format!("a content part of type `{shown}` was left out"));
                None
            }
        })
    }
}

fn image(part: &Part<'_>, at: &str) -> Result<Content, RequestError> {
    let at = format!("{at}.image_url");
    let url = match part.image_url {
        // Chat clients write an object around the URL.
        Some(raw) if raw.get().starts_with('{') => {
            let value: Value = serde_json::from_str(raw.get()).unwrap_or_default();
            value.get("url").and_then(Value::as_str).map(str::to_owned)
        }
        raw => field(raw, &at, "a string")?,
    };
    let url =
        url.filter(|url: &String| ["data:", "https:", "http:"].iter().any(|scheme| url.starts_with(scheme)));
    let url = url.ok_or_else(|| RequestError {
        code: "unsupported_parameter",
        param: Some(at.clone()),
        message: format!("`{at}` should be a data: or https: URL; files by id are not known here"),
    })?;
    Ok(Content::Image(Image { url, detail: field(part.detail, &at, "a string")? }))
}

fn file(part: &Part<'_>, at: &str) -> Result<Content, RequestError> {
    let data_url: Option<String> = field(part.file_data, &format!("{at}.file_data"), "a string")?;
    let name = field(part.filename, &format!("{at}.filename"), "a string")?;
    match data_url {
        Some(data_url) => Ok(Content::File { name, data_url }),
        None => Err(RequestError {
            code: "unsupported_parameter",
            param: Some(format!("{at}.file_data")),
            message: "files are taken inline only; send `file_data` as a data: URL".to_owned(),
        }),
    }
}

fn call_id(wire: &Wire<'_>, at: &str) -> Result<CallId, RequestError> {
    required::<String>(wire.call_id, &format!("{at}.call_id"), "a string").map(CallId::from)
}

fn required<'a, T: Deserialize<'a>>(
    raw: Option<&'a RawValue>,
    param: &str,
    wanted: &str,
) -> Result<T, RequestError> {
    field(raw, param, wanted)?.ok_or_else(|| RequestError {
        code: "missing_required_parameter",
        param: Some(param.to_owned()),
        message: format!("`{param}` is missing; it should be {wanted}"),
    })
}
