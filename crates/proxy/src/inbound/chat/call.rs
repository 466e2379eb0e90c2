//! One call in a Chat Completions answer: its name once, then its arguments in pieces.

use serde_json::value::RawValue;

use crate::inbound::wire::freeform::{FreeformDecoder, freeform_input};
use crate::inbound::wire::json::{push_escaped, push_number, push_string};
use crate::inbound::wire::tool_map::{ToolEntry, ToolKind};

/// How a call looks to this client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `tool_calls[].function`.
    Function,
    /// `tool_calls[].custom`: free text.
    Custom,
    /// `function_call`: the API's first form, without an id.
    First,
}

/// A call of the model's.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) slot: u32,
    /// Its place among the calls, once the client knows of it.
    index: Option<u32>,
    form: Form,
    name: String,
    id: String,
    /// Arguments as they came, and whether they are more than white space.
    arguments: String,
    has_arguments: bool,
    decoder: FreeformDecoder,
    /// The decoded free text, for [`Form::Custom`].
    input: String,
    /// How much of what the client gets was sent.
    sent: usize,
    /// Nothing more will come; `Some(true)` when the client may run it.
    whole: Option<bool>,
}

impl Call {
    pub(super) fn new(slot: u32, id: String, flat: &str, entry: Option<&ToolEntry>, legacy: bool) -> Self {
        let form = match entry.map(|entry| entry.kind) {
            Some(ToolKind::Custom) => Form::Custom,
            _ if legacy => Form::First,
            _ => Form::Function,
        };
        Self {
            slot,
            index: None,
            form,
            name: entry.map_or(flat, |entry| &entry.name).to_owned(),
            id,
            arguments: String::new(),
            has_arguments: false,
            decoder: FreeformDecoder::default(),
            input: String::new(),
            sent: 0,
            whole: None,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Its place among the calls that the client knows of.
    pub(super) fn index(&self) -> Option<u32> {
        self.index
    }

    /// The client knows of it.
    pub(super) fn is_shown(&self) -> bool {
        self.index.is_some()
    }

    /// More arguments may come.
    pub(super) fn is_open(&self) -> bool {
        self.whole.is_none()
    }

    /// The client may run it.
    pub(super) fn is_whole(&self) -> bool {
        self.whole == Some(true)
    }

    /// Takes a piece of the arguments.
    pub(super) fn push(&mut self, json: &str) {
        self.arguments.push_str(json);
        // Looked at piece by piece: models that are stuck write white space without an end.
        self.has_arguments = self.has_arguments || !json.trim_start().is_empty();
        if self.form == Form::Custom {
            self.decoder.push(json, &mut self.input);
        }
    }

    /// There are arguments. As long as there are none, a call that is cut looks just like one that needs none.
    pub(super) fn has_arguments(&self) -> bool {
        self.has_arguments
    }

    /// There is something for [`Call::delta`] to write.
    pub(super) fn is_behind(&self) -> bool {
        self.sent < self.text().len()
    }

    /// The call is over: decides whether the client may run it.
    pub(super) fn end(&mut self) {
        if self.form == Form::Custom {
            // Nothing that was sent is taken back.
            let input = freeform_input(&self.arguments).filter(|input| input.starts_with(&self.input));
            self.whole = Some(input.is_some());
            self.input = input.unwrap_or_default();
            return;
        }
        if !self.has_arguments {
            self.arguments.push_str("{}");
        }
        let text = self.arguments.trim();
        self.whole = Some(text.starts_with('{') && serde_json::from_str::<&RawValue>(text).is_ok());
    }

    /// The first piece, at this place among the calls: everything but the arguments.
    pub(super) fn show(&mut self, index: u32, out: &mut Vec<u8>) {
        self.index = Some(index);
        if self.form == Form::First {
            out.extend_from_slice(b"\"function_call\":");
            return self.body(out, "");
        }
        self.place(out);
        out.push(b',');
        self.fields(out, "");
        out.extend_from_slice(b"}]");
    }

    /// The next piece of the arguments.
    pub(super) fn delta(&mut self, out: &mut Vec<u8>) {
        match self.form {
            Form::First => out.extend_from_slice(b"\"function_call\":{\"arguments\":\""),
            Form::Function => {
                self.place(out);
                out.extend_from_slice(b",\"function\":{\"arguments\":\"");
            }
            Form::Custom => {
                self.place(out);
                out.extend_from_slice(b",\"custom\":{\"input\":\"");
            }
        }
        push_escaped(out, self.text().get(self.sent..).unwrap_or_default());
        self.sent = self.text().len();
        out.extend_from_slice(if self.form == Form::First { b"\"}" } else { b"\"}}]" });
    }

    /// The whole call, as an element of `tool_calls` or as `function_call`.
    pub(super) fn object(&self, out: &mut Vec<u8>) {
        if self.form == Form::First {
            return self.body(out, self.text());
        }
        out.push(b'{');
        self.fields(out, self.text());
        out.push(b'}');
    }

    /// What the client gets as arguments, or as input.
    fn text(&self) -> &str {
        if self.form == Form::Custom { &self.input } else { &self.arguments }
    }

    fn place(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\"tool_calls\":[{\"index\":");
        push_number(out, u64::from(self.index.unwrap_or_default()));
    }

    fn fields(&self, out: &mut Vec<u8>, text: &str) {
        out.extend_from_slice(b"\"id\":");
        push_string(out, &self.id);
        out.extend_from_slice(if self.form == Form::Custom {
            b",\"type\":\"custom\",\"custom\":"
        } else {
            b",\"type\":\"function\",\"function\":"
        });
        self.body(out, text);
    }

    fn body(&self, out: &mut Vec<u8>, text: &str) {
        out.extend_from_slice(b"{\"name\":");
        push_string(out, &self.name);
        out.extend_from_slice(if self.form == Form::Custom { b",\"input\":" } else { b",\"arguments\":" });
        push_string(out, text);
        out.push(b'}');
    }
}
