//! Pieces of a `GenerateContentResponse` in the three forms an answer has: events, one JSON array, one object.

use crate::inbound::wire::json::{push_escaped, push_string};

/// How the answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// `:streamGenerateContent?alt=sse`: a piece for each `data:` line.
    #[default]
    Events,
    /// `:streamGenerateContent`: the same pieces as the elements of one JSON array.
    Array,
    /// `:generateContent`: one object at the end.
    Object,
}

/// What stands before the parts of every piece.
const OPEN: &[u8] = b"{\"candidates\":[{\"content\":{\"parts\":[";
/// What stands behind them.
const CLOSE: &[u8] = b"],\"role\":\"model\"}";
/// What stands behind the finish reason, where there is one.
const INDEX: &[u8] = b",\"index\":0}]";

/// How an answer ends.
pub(super) struct PieceEnd<'e> {
    pub(super) reason: &'e str,
    pub(super) message: Option<&'e str>,
    /// JSON text of `usageMetadata`.
    pub(super) usage: &'e str,
    pub(super) signature: Option<&'e str>,
}

/// Writes the pieces of one answer.
pub(super) struct ResponsePieces {
    form: Form,
    /// From behind the candidates to the end of a piece; the same in all of them.
    identity: Vec<u8>,
    /// What is ready for the client.
    pub(super) out: Vec<u8>,
    begun: bool,
    /// The parts so far, of the form that has them all in one object; then the whole object.
    parts: Vec<u8>,
    /// The last of the parts is a text that was not closed yet: thoughts, or not.
    open: Option<bool>,
}

impl ResponsePieces {
    pub(super) fn new(form: Form, model: &str, response_id: &str) -> Self {
        let mut identity = b",\"modelVersion\":".to_vec();
        push_string(&mut identity, model);
        identity.extend_from_slice(b",\"responseId\":");
        push_string(&mut identity, response_id);
        identity.push(b'}');
        Self { form, identity, out: Vec::new(), begun: false, parts: Vec::new(), open: None }
    }

    /// A piece of text, or of thoughts.
    pub(super) fn text(&mut self, text: &str, thought: bool, signature: Option<&str>) {
        if self.form == Form::Object {
            if self.open != Some(thought) || signature.is_some() {
                self.next_part();
                open_text(&mut self.parts, thought, signature);
                self.open = Some(thought);
            }
            return push_escaped(&mut self.parts, text);
        }
        self.begin_piece();
        open_text(&mut self.out, thought, signature);
        push_escaped(&mut self.out, text);
        self.out.extend_from_slice(b"\"}");
        self.end_piece();
    }

    /// A call, whole. `args` is the text of a JSON object.
    pub(super) fn call(&mut self, id: &str, name: &str, args: &str, signature: Option<&str>) {
        if self.form == Form::Object {
            self.next_part();
            return push_call(&mut self.parts, id, name, args, signature);
        }
        self.begin_piece();
        push_call(&mut self.out, id, name, args, signature);
        self.end_piece();
    }

    /// Something that means nothing. A comment breaks the stream for the SDKs (google-genai 3.4 for Python and 1.30 for
    /// JavaScript, which is in the Gemini CLI 0.61), and their chats forget a turn over a piece without parts. What is left is an
    /// empty text, or a line break inside of the array.
    pub(super) fn keep_alive(&mut self) {
        match self.form {
            Form::Events => self.text("", false, None),
            Form::Array => self.out.push(b'\n'),
            Form::Object => {}
        }
    }

    /// The last piece.
    pub(super) fn finish(&mut self, end: &PieceEnd<'_>) {
        if self.form == Form::Object {
            if self.parts.is_empty() || end.signature.is_some() {
                self.text("", false, end.signature);
            }
            self.close_part();
            let parts = std::mem::take(&mut self.parts);
            self.parts.reserve(parts.len() + 512);
            self.parts.extend_from_slice(OPEN);
            self.parts.extend_from_slice(&parts);
            return push_end(&mut self.parts, end, &self.identity);
        }
        self.begin_piece();
        open_text(&mut self.out, false, end.signature);
        self.out.extend_from_slice(b"\"}");
        push_end(&mut self.out, end, &self.identity);
        self.out.extend_from_slice(if self.form == Form::Events { b"\n\n" } else { b"]" });
    }

    /// An error in place of whatever would have come. It stands bare at the end of an event stream, as Google writes it: the SDK in
    /// the Gemini CLI passes over one behind `data:`, and a newer one over an error with an empty line behind it.
    pub(super) fn fail(&mut self, error: &str) {
        match self.form {
            Form::Events => self.out.extend_from_slice(error.as_bytes()),
            Form::Array => {
                self.begin_piece_bare();
                self.out.extend_from_slice(error.as_bytes());
                self.out.push(b']');
            }
            Form::Object => {
                self.parts.clear();
                self.parts.extend_from_slice(error.as_bytes());
            }
        }
    }

    /// The answer as one object, once it is over.
    pub(super) fn take_object(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.parts)
    }

    fn begin_piece_bare(&mut self) {
        let before: &[u8] = match (self.form, self.begun) {
            (Form::Events, _) => b"data: ",
            (Form::Array, false) => b"[",
            (Form::Array, true) => b",\n",
            (Form::Object, _) => b"",
        };
        self.begun = true;
        self.out.extend_from_slice(before);
    }

    fn begin_piece(&mut self) {
        self.begin_piece_bare();
        self.out.extend_from_slice(OPEN);
    }

    fn end_piece(&mut self) {
        self.out.extend_from_slice(CLOSE);
        self.out.extend_from_slice(INDEX);
        self.out.extend_from_slice(&self.identity);
        if self.form == Form::Events {
            self.out.extend_from_slice(b"\n\n");
        }
    }

    fn close_part(&mut self) {
        if self.open.take().is_some() {
            self.parts.extend_from_slice(b"\"}");
        }
    }

    fn next_part(&mut self) {
        self.close_part();
        if !self.parts.is_empty() {
            self.parts.push(b',');
        }
    }
}

/// A text part up to its first letter.
fn open_text(out: &mut Vec<u8>, thought: bool, signature: Option<&str>) {
    out.push(b'{');
    if thought {
        out.extend_from_slice(b"\"thought\":true,");
    }
    if let Some(signature) = signature {
        push_signature(out, signature);
        out.push(b',');
    }
    out.extend_from_slice(b"\"text\":\"");
}

fn push_signature(out: &mut Vec<u8>, signature: &str) {
    out.extend_from_slice(b"\"thoughtSignature\":");
    push_string(out, signature);
}

fn push_call(out: &mut Vec<u8>, id: &str, name: &str, args: &str, signature: Option<&str>) {
    out.extend_from_slice(b"{\"functionCall\":{\"id\":");
    push_string(out, id);
    out.extend_from_slice(b",\"name\":");
    push_string(out, name);
    out.extend_from_slice(b",\"args\":");
    // Line breaks between the fields would end the event; inside of strings there are none.
    out.extend(args.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
    out.push(b'}');
    if let Some(signature) = signature {
        out.push(b',');
        push_signature(out, signature);
    }
    out.push(b'}');
}

fn push_end(out: &mut Vec<u8>, end: &PieceEnd<'_>, identity: &[u8]) {
    out.extend_from_slice(CLOSE);
    out.extend_from_slice(b",\"finishReason\":");
    push_string(out, end.reason);
    if let Some(message) = end.message {
        out.extend_from_slice(b",\"finishMessage\":");
        push_string(out, message);
    }
    out.extend_from_slice(INDEX);
    out.extend_from_slice(b",\"usageMetadata\":");
    out.extend_from_slice(end.usage.as_bytes());
    out.extend_from_slice(identity);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn answer(form: Form) -> Vec<u8> {
        let mut pieces = ResponsePieces::new(form, "m", "id");
        pieces.text("a", true, None);
        pieces.text("b", false, Some("s"));
        pieces.text("c", false, None);
        pieces.call("call_1", "read", "{\n}", None);
        pieces.finish(&PieceEnd { reason: "STOP", message: None, usage: "{}", signature: None });
        if form == Form::Object { pieces.take_object() } else { pieces.out }
    }

    #[test]
    fn an_object_joins_texts_of_one_kind_and_an_array_does_not() {
        let object: Value = serde_json::from_slice(&answer(Form::Object)).expect("an object");
        let parts = object["candidates"][0]["content"]["parts"].as_array().expect("parts");
        assert_eq!((parts.len(), &parts[1]["text"]), (3, &Value::from("bc")));
        let array: Value = serde_json::from_slice(&answer(Form::Array)).expect("an array");
        assert_eq!(array.as_array().map(Vec::len), Some(5));
    }

    #[test]
    fn no_event_holds_a_line_break() {
        let events = String::from_utf8(answer(Form::Events)).expect("text");
        assert!(events.split("\n\n").all(|event| !event.contains('\n')), "{events}");
    }
}
