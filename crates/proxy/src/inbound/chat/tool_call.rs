//! One call in a Chat Completions answer: its name once, then its arguments in pieces.

use latimer_protocol::whole_object::is_whole_object;

use crate::inbound::wire::freeform::{FreeformDecoder, freeform_input};
use crate::inbound::wire::json::{push_escaped, push_number, push_string};
use crate::inbound::wire::tool_map::{ToolEntry, ToolKind};

/// How a call looks to this client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CallForm {
    /// `tool_calls[].function`.
    Function,
    /// `tool_calls[].custom`: free text.
    Custom,
    /// `function_call`: the API's first form, without an id.
    First,
}

/// How far a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CallPhase {
    /// Nothing came that could be arguments.
    Bare,
    /// More arguments may come.
    Open,
    /// Over, and the client may run it.
    Complete,
    /// Over, and nobody may.
    Broken,
}

/// A call of the model's. Unlike other protocols' this one has an index in every piece: calls may overlap, and none waits.
#[derive(Debug)]
pub(super) struct ToolCall {
    pub(super) slot: u32,
    /// Its place among the calls, once the client knows of it.
    index: Option<u32>,
    form: CallForm,
    phase: CallPhase,
    name: String,
    id: String,
    /// Arguments as they came.
    arguments: String,
    decoder: FreeformDecoder,
    /// The decoded free text, for [`CallForm::Custom`].
    input: String,
    /// How much of what the client gets was sent.
    sent: usize,
}

impl ToolCall {
    pub(super) fn new(slot: u32, id: String, flat: &str, entry: Option<&ToolEntry>, legacy: bool) -> Self {
        let form = match entry.map(|entry| entry.kind) {
            Some(ToolKind::Custom) => CallForm::Custom,
            _ if legacy => CallForm::First,
            _ => CallForm::Function,
        };
        Self {
            slot,
            index: None,
            form,
            phase: CallPhase::Bare,
            name: entry.map_or(flat, |entry| &entry.name).to_owned(),
            id,
            arguments: String::new(),
            decoder: FreeformDecoder::default(),
            input: String::new(),
            sent: 0,
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
        matches!(self.phase, CallPhase::Bare | CallPhase::Open)
    }

    /// The client may run it.
    pub(super) fn is_complete(&self) -> bool {
        self.phase == CallPhase::Complete
    }

    /// Takes a piece of the arguments.
    pub(super) fn push(&mut self, json: &str) {
        self.arguments.push_str(json);
        // Looked at piece by piece: models that are stuck write white space without an end.
        if self.phase == CallPhase::Bare && !json.trim_start().is_empty() {
            self.phase = CallPhase::Open;
        }
        if self.form == CallForm::Custom {
            self.decoder.push(json, &mut self.input);
        }
    }

    /// There are arguments. As long as there are none, a call that is cut looks just like one that needs none.
    pub(super) fn has_arguments(&self) -> bool {
        self.phase != CallPhase::Bare
    }

    /// There is something for [`ToolCall::delta`] to write.
    pub(super) fn has_unsent(&self) -> bool {
        self.sent < self.text().len()
    }

    /// The call is over: decides whether the client may run it.
    pub(super) fn end(&mut self) {
        let is_complete = if self.form == CallForm::Custom {
            // Nothing that was sent is taken back.
            let input = freeform_input(&self.arguments).filter(|input| input.starts_with(&self.input));
            let is_complete = input.is_some();
            self.input = input.unwrap_or_default();
            is_complete
        } else {
            if self.phase == CallPhase::Bare {
                self.arguments.push_str("{}");
            }
            is_whole_object(&self.arguments)
        };
        self.phase = if is_complete { CallPhase::Complete } else { CallPhase::Broken };
    }

    /// The client is about to know of it, at this place among the calls.
    pub(super) fn set_index(&mut self, index: u32) {
        self.index = Some(index);
    }

    /// The first piece: everything but the arguments.
    pub(super) fn start(&self, out: &mut Vec<u8>) {
        if self.form == CallForm::First {
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
            CallForm::First => out.extend_from_slice(b"\"function_call\":{\"arguments\":\""),
            CallForm::Function => {
                self.place(out);
                out.extend_from_slice(b",\"function\":{\"arguments\":\"");
            }
            CallForm::Custom => {
                self.place(out);
                out.extend_from_slice(b",\"custom\":{\"input\":\"");
            }
        }
        push_escaped(out, self.text().get(self.sent..).unwrap_or_default());
        self.sent = self.text().len();
        out.extend_from_slice(if self.form == CallForm::First { b"\"}" } else { b"\"}}]" });
    }

    /// The whole call, as an element of `tool_calls` or as `function_call`.
    pub(super) fn object(&self, out: &mut Vec<u8>) {
        if self.form == CallForm::First {
            return self.body(out, self.text());
        }
        out.push(b'{');
        self.fields(out, self.text());
        out.push(b'}');
    }

    /// What the client gets as arguments, or as input.
    fn text(&self) -> &str {
        if self.form == CallForm::Custom { &self.input } else { &self.arguments }
    }

    fn place(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\"tool_calls\":[{\"index\":");
        push_number(out, u64::from(self.index.unwrap_or_default()));
    }

    fn fields(&self, out: &mut Vec<u8>, text: &str) {
        out.extend_from_slice(b"\"id\":");
        push_string(out, &self.id);
        out.extend_from_slice(if self.form == CallForm::Custom {
            b",\"type\":\"custom\",\"custom\":"
        } else {
            b",\"type\":\"function\",\"function\":"
        });
        self.body(out, text);
    }

    fn body(&self, out: &mut Vec<u8>, text: &str) {
        out.extend_from_slice(b"{\"name\":");
        push_string(out, &self.name);
        out.extend_from_slice(if self.form == CallForm::Custom {
            b",\"input\":"
        } else {
            b",\"arguments\":"
        });
        push_string(out, text);
        out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deltas(call: &mut ToolCall, pieces: &[&str]) -> String {
        let mut out = Vec::new();
        call.set_index(0);
        call.start(&mut out);
        for piece in pieces {
            call.push(piece);
            if call.has_unsent() {
                call.delta(&mut out);
            }
        }
        call.end();
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_call_without_arguments_has_an_empty_object() {
        let mut call = ToolCall::new(0, "c".to_owned(), "f", None, false);
        deltas(&mut call, &[" "]);
        assert!(call.is_complete() && call.has_unsent());
        let mut out = Vec::new();
        call.object(&mut out);
        assert_eq!(out, br#"{"id":"c","type":"function","function":{"name":"f","arguments":" {}"}}"#);
    }

    #[test]
    fn broken_arguments_are_never_complete() {
        for pieces in [&["{"][..], &["[1]"], &["{\"half\":", "\"\\ud83d\"}"]] {
            let mut call = ToolCall::new(0, "c".to_owned(), "f", None, true);
            let text = deltas(&mut call, pieces);
            assert!(!call.is_complete() && !call.is_open(), "{text}");
            assert!(text.starts_with("\"function_call\":{\"name\":\"f\""), "{text}");
        }
    }
}
