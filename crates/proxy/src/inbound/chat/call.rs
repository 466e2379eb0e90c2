//! One call in a Chat Completions answer: its name once, then its arguments in pieces.

use serde_json::value::RawValue;

use crate::inbound::responses::json::{push_escaped, push_number, push_string};
use crate::inbound::responses::tools::{Entry, Kind};
use crate::inbound::responses::unwrap::{Unwrap, whole_input};

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

/// A call that was begun.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) slot: u32,
    index: u32,
    form: Form,
    name: String,
    id: String,
    /// Arguments as they came.
    arguments: String,
    unwrap: Unwrap,
    /// The decoded free text, for [`Form::Custom`], and how much of it was sent.
    input: String,
    sent: usize,
    /// Nothing more will come; `Some(true)` when the client may run it.
    whole: Option<bool>,
}

impl Call {
    pub(super) fn new(
        slot: u32,
        index: u32,
        id: String,
        flat: &str,
        entry: Option<&Entry>,
        legacy: bool,
    ) -> Self {
        let form = match entry.map(|entry| entry.kind) {
            Some(Kind::Custom) => Form::Custom,
            _ if legacy => Form::First,
            _ => Form::Function,
        };
        Self {
            slot,
            index,
            form,
            name: entry.map_or(flat, |entry| &entry.name).to_owned(),
            id,
            arguments: String::new(),
            unwrap: Unwrap::default(),
            input: String::new(),
            sent: 0,
            whole: None,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn is_open(&self) -> bool {
        self.whole.is_none()
    }

    /// The client may run it.
    pub(super) fn is_whole(&self) -> bool {
        self.whole == Some(true)
    }

    /// The first piece: everything but the arguments.
    pub(super) fn begin(&self, out: &mut Vec<u8>) {
        if self.form == Form::First {
            out.extend_from_slice(b"\"function_call\":");
            return self.body(out, "");
        }
        out.extend_from_slice(b"\"tool_calls\":[{\"index\":");
        push_number(out, u64::from(self.index));
        out.push(b',');
        self.fields(out, "");
        out.extend_from_slice(b"}]");
    }

    /// Takes a piece of the arguments; `true` when there is something to be sent with [`Call::delta`].
    pub(super) fn push(&mut self, json: &str) -> bool {
        self.arguments.push_str(json);
        if self.form != Form::Custom {
            return true;
        }
        self.unwrap.push(json, &mut self.input);
        self.sent < self.input.len()
    }

    /// The next piece. `json` is what [`Call::push`] took last.
    pub(super) fn delta(&mut self, json: &str, out: &mut Vec<u8>) {
        match self.form {
            Form::First => out.extend_from_slice(b"\"function_call\":{\"arguments\":\""),
            Form::Function | Form::Custom => {
                out.extend_from_slice(b"\"tool_calls\":[{\"index\":");
                push_number(out, u64::from(self.index));
                out.extend_from_slice(if self.form == Form::Function {
                    b",\"function\":{\"arguments\":\""
                } else {
                    b",\"custom\":{\"input\":\""
                });
            }
        }
        if self.form == Form::Custom {
            push_escaped(out, self.input.get(self.sent..).unwrap_or_default());
            self.sent = self.input.len();
        } else {
            push_escaped(out, json);
        }
        out.extend_from_slice(if self.form == Form::First { b"\"}" } else { b"\"}}]" });
    }

    /// The call is over: decides whether the client may run it, and gives the piece that is missing until then.
    pub(super) fn end(&mut self) -> Option<&'static str> {
        if self.whole.is_some() {
            return None;
        }
        if self.form == Form::Custom {
            let input = whole_input(&self.arguments);
            // Nothing that was sent is taken back.
            let input = input.filter(|input| input.starts_with(&self.input));
            self.whole = Some(input.is_some());
            self.input = input.unwrap_or_default();
            return (self.sent < self.input.len()).then_some("");
        }
        if self.arguments.trim().is_empty() {
            self.arguments.push_str("{}");
            self.whole = Some(true);
            return Some("{}");
        }
        let text = self.arguments.trim();
        self.whole = Some(text.starts_with('{') && serde_json::from_str::<&RawValue>(text).is_ok());
        None
    }

    /// The whole call, as an element of `tool_calls` or as `function_call`.
    pub(super) fn object(&self, out: &mut Vec<u8>) {
        let text = if self.form == Form::Custom { &self.input } else { &self.arguments };
        if self.form == Form::First {
            return self.body(out, text);
        }
        out.push(b'{');
        self.fields(out, text);
        out.push(b'}');
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
