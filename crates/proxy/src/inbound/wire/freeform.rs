//! Freeform tools as plain functions. A freeform tool takes text; most providers know only functions, so the text is wrapped as
//! `{"input": "…"}` on the way to them and taken out of it on the way back, while it is still arriving.

use std::fmt::Write as _;

use serde_json::value::RawValue;
use serde_json::{Value, json};

/// The parameters of a freeform tool towards a provider that knows only functions: one string, `input`.
pub(in crate::inbound) fn freeform_schema() -> Option<Box<RawValue>> {
    let schema = json!({
        "type": "object",
        "properties": { "input": { "type": "string", "description": "The whole input of the tool, as plain text." } },
        "required": ["input"],
        "additionalProperties": false,
    });
    serde_json::value::to_raw_value(&schema).ok()
}

/// Adds to a description the grammar that the text must follow. `syntax` is the client's word for the kind of grammar: `lark` or
/// `regex` in OpenAI's API reference.
pub(in crate::inbound) fn describe_grammar(text: &mut String, syntax: &str, definition: &str) {
    let _ = write!(
        text,
        "\n\nPut the whole text into `input`, unescaped apart from JSON itself. It must follow this {syntax} grammar:\n{definition}"
    );
}

/// Follows the arguments of a wrapped tool and hands out the decoded text. Text is only ever handed out in whole characters: no
/// escape and no surrogate pair is cut.
#[derive(Debug, Default)]
pub(in crate::inbound) struct FreeformDecoder {
    state: State,
    /// What was seen before the text began, or an escape that is not complete.
    pending: String,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the opening quote of the value.
    #[default]
    Before,
    /// In the text.
    Inside,
    /// Behind the closing quote.
    Behind,
    /// Not the expected shape: the whole is looked at when it is complete.
    Other,
}

impl FreeformDecoder {
    /// Reads on and appends what can be decoded.
    pub(in crate::inbound) fn push(&mut self, piece: &str, out: &mut String) {
        match self.state {
            State::Before => {
                self.pending.push_str(piece);
                match begin(&self.pending) {
                    Begin::Text(at) => {
                        self.state = State::Inside;
                        let rest = self.pending.split_off(at);
                        self.pending.clear();
                        self.text(&rest, out);
                    }
                    Begin::More => {}
                    Begin::Other => {
                        self.state = State::Other;
                        self.pending = String::new();
                    }
                }
            }
            State::Inside => self.text(piece, out),
            State::Behind | State::Other => {}
        }
    }

    fn text(&mut self, piece: &str, out: &mut String) {
        let joined;
        let mut rest = piece;
        if !self.pending.is_empty() {
            joined = std::mem::take(&mut self.pending) + piece;
            rest = &joined;
        }
        loop {
            let Some(at) = rest.find(['"', '\\']) else { return out.push_str(rest) };
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            if rest.starts_with('"') {
                self.state = State::Behind;
                return;
            }
            match escape(rest) {
                Escape::Char(c, length) => {
                    out.push(c);
                    rest = &rest[length..];
                }
                Escape::More => return self.pending.push_str(rest),
                Escape::Bad => {
                    self.state = State::Other;
                    return;
                }
            }
        }
    }
}

/// The free text of a whole call of a wrapped tool; `None` when the arguments hold none.
pub(in crate::inbound) fn freeform_input(arguments: &str) -> Option<String> {
    match serde_json::from_str::<Value>(arguments.trim()) {
        Ok(Value::Object(map)) => match map.get("input") {
            Some(Value::String(input)) => Some(input.clone()),
            // A wrapper of another name around one text means the same.
            None if map.len() == 1 => map.values().next()?.as_str().map(str::to_owned),
            _ => None,
        },
        Ok(Value::String(text)) => Some(text),
        // The model left the wrapper out and wrote the text itself.
        Err(_) if !arguments.trim_start().starts_with(['{', '"']) => Some(arguments.to_owned()),
        _ => None,
    }
}

enum Begin {
    Text(usize),
    More,
    Other,
}

/// Finds the first character of the value in `{ "input" : "`.
fn begin(text: &str) -> Begin {
    let mut rest = text;
    for token in ["{", "\"input\"", ":", "\""] {
        rest = rest.trim_start();
        match rest.strip_prefix(token) {
            Some(behind) => rest = behind,
            None if token.starts_with(rest) => return Begin::More,
            None => return Begin::Other,
        }
    }
    Begin::Text(text.len() - rest.len())
}

enum Escape {
    Char(char, usize),
    More,
    Bad,
}

/// Decodes the escape at the beginning of `text`.
fn escape(text: &str) -> Escape {
    let Some(letter) = text[1..].chars().next() else { return Escape::More };
    let plain = match letter {
        '"' | '\\' | '/' => letter,
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'u' => return unicode(text),
        _ => return Escape::Bad,
    };
    Escape::Char(plain, 2)
}

fn unicode(text: &str) -> Escape {
    let unit = |from: usize| match text.get(from..from + 4) {
        Some(hex) => u32::from_str_radix(hex, 16).map_err(|_| Escape::Bad),
        None => Err(Escape::More),
    };
    let high = match unit(2) {
        Ok(unit) => unit,
        Err(other) => return other,
    };
    if !(0xd800..0xe000).contains(&high) {
        return char::from_u32(high).map_or(Escape::Bad, |c| Escape::Char(c, 6));
    }
    match text.get(6..8) {
        None => return Escape::More,
        Some("\\u") => {}
        Some(_) => return Escape::Bad,
    }
    match unit(8) {
        Ok(low) if (0xdc00..0xe000).contains(&low) && high < 0xdc00 => {
            char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))
                .map_or(Escape::Bad, |c| Escape::Char(c, 12))
        }
        Ok(_) => Escape::Bad,
        Err(other) => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(pieces: &[String]) -> String {
        let (mut decoder, mut out) = (FreeformDecoder::default(), String::new());
        for piece in pieces {
            decoder.push(piece, &mut out);
        }
        out
    }

    proptest! {
        #[test]
        fn the_text_comes_out_whatever_the_cuts(text in "(\\PC|[\\x00-\\x1f\"\\\\]|😀){0,30}", size in 1usize..7, escaped in any::<bool>()) {
            let mut json = serde_json::json!({ "input": text }).to_string();
            if escaped {
                json = json.replace('😀', "\\ud83d\\ude00");
            }
            let chars: Vec<char> = json.chars().collect();
            let pieces: Vec<String> = chars.chunks(size).map(|chunk| chunk.iter().collect()).collect();
            prop_assert_eq!(decoded(&pieces), text);
        }
    }

    #[test]
    fn other_shapes_give_nothing_early() {
        for text in ["*** Begin Patch", "{\"patch\":\"x\"}", "\"input\"", "{\"input\":7}", "[1]"] {
            assert_eq!(decoded(&[text.to_owned()]), "", "{text}");
        }
    }
}
