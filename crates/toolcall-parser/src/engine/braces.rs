//! `call:name{key:value}` with words for quotes, as the Gemma family writes it.

use std::borrow::Cow;

use super::{Context, EngineState, Step, place};
use crate::json::{self, MAX_DEPTH, Value};
use crate::lex::{LexResult, Lookahead, find, is_name, is_space, mark, skip_space};
use crate::piece::ProblemKind;
use crate::settle::{Body, RawCall, known};
use crate::tool::Tool;

/// The words of one family.
#[derive(Debug)]
pub(crate) struct BracesGrammar {
    pub(crate) head: for<'a> fn(&'a str) -> LexResult<'a, &'a str>,
    pub(crate) close: for<'a> fn(&'a str) -> LexResult<'a, ()>,
    /// What stands on either side of a string.
    pub(crate) quote: &'static str,
}

const BODY: u8 = 1;

impl BracesGrammar {
    pub(crate) fn step<'a>(&self, state: &mut EngineState, text: &'a str, context: Context<'_>) -> Step<'a> {
        if state.stage == BODY {
            return self.body(state, text, context);
        }
        let (space, all) = skip_space(text);
        if all {
            return match () {
                () if !context.end => Step::More,
                () if state.calls_read > 0 => Step::End(space),
                () => Step::Alone,
            };
        }
        let rest = &text[space..];
        match find(self.close, rest, context.end) {
            Lookahead::Yes((), length) => return Step::End(space + length),
            Lookahead::More => return Step::More,
            Lookahead::No => {}
        }
        match find(self.head, rest, context.end) {
            Lookahead::Yes(name, length) => {
                state.name = place(text, name);
                state.at = space + length;
                state.value = state.at;
                if !known(name, context.options) {
                    return Step::Broken(state.at, ProblemKind::Undeclared, Some(name.to_owned()));
                }
                state.stage = BODY;
                self.body(state, text, context)
            }
            Lookahead::More => Step::More,
            Lookahead::No if state.calls_read > 0 => Step::End(0),
            Lookahead::No => Step::Broken(
                space + rest.chars().next().map_or(0, char::len_utf8),
                ProblemKind::Malformed,
                None,
            ),
        }
    }

    /// Counts brackets up to the one that ends the call; what stands between two quote words is passed over.
    fn body<'a>(&self, state: &mut EngineState, text: &'a str, context: Context<'_>) -> Step<'a> {
        let bytes = text.as_bytes();
        let name = || Some(text[state.name.clone()].to_owned());
        while state.at < bytes.len() {
            let rest = &bytes[state.at..];
            let quoted = state.lists == 1;
            if rest[0] == b'<' {
                match find(mark(self.quote), &text[state.at..], context.end) {
                    Lookahead::Yes((), length) => {
                        state.lists = usize::from(!quoted);
                        state.at += length;
                        continue;
                    }
                    Lookahead::More => return Step::More,
                    Lookahead::No => {}
                }
            }
            if !quoted {
                match rest[0] {
                    b'{' | b'[' | b'(' => state.depth += 1,
                    b'}' | b']' | b')' => {
                        state.depth = state.depth.saturating_sub(1);
                        if state.depth == 0 {
                            let end = state.at + 1;
                            return self.done(state, text, end, context);
                        }
                    }
                    _ => {}
                }
                if state.depth > MAX_DEPTH {
                    return Step::Broken(state.at, ProblemKind::TooLarge, name());
                }
            }
            state.at += 1;
        }
        if context.end { Step::Cut(name()) } else { Step::More }
    }

    fn done<'a>(&self, state: &mut EngineState, text: &'a str, end: usize, context: Context<'_>) -> Step<'a> {
        let name = &text[state.name.clone()];
        let source = &text[state.value..end];
        let tool = context.options.tool(name);
        let mut reader = Reader { text: source, at: 0, quote: self.quote };
        let value = reader.object(0, tool).filter(|_| reader.at == source.len());
        let Some(value) = value.or_else(|| json::read(source).map(|(value, _)| value.into_owned())) else {
            return Step::Broken(end, ProblemKind::Malformed, Some(name.to_owned()));
        };
        state.next_call();
        state.lists = 0;
        Step::Calls(end, vec![RawCall::new(name, Body::Value(value))])
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    quote: &'static str,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn space(&mut self) {
        self.at += self.rest().bytes().take_while(|byte| is_space(char::from(*byte))).count();
    }

    fn eat(&mut self, word: &str) -> bool {
        self.space();
        let found = self.rest().starts_with(word);
        self.at += if found { word.len() } else { 0 };
        found
    }

    fn string(&mut self) -> Option<String> {
        self.space();
        if let Some(length) = self.quote_at(self.at) {
            self.at += length;
            let (end, close) = self.next_quote()?;
            let text = self.text[self.at..end].to_owned();
            self.at = end + close;
            return Some(text);
        }
        if self.eat("\"") {
            let end = self.rest().find('"')?;
            let text = self.rest()[..end].to_owned();
            self.at += end + 1;
            return Some(text);
        }
        None
    }

    /// The length of the quote word at a place.
    fn quote_at(&self, at: usize) -> Option<usize> {
        match find(mark(self.quote), &self.text[at..], true) {
            Lookahead::Yes((), length) => Some(length),
            _ => None,
        }
    }

    /// Where the next quote word stands, and its length.
    fn next_quote(&self) -> Option<(usize, usize)> {
        let mut at = self.at;
        loop {
            at += memchr::memchr(b'<', &self.text.as_bytes()[at..])?;
            match self.quote_at(at) {
                Some(length) => return Some((at, length)),
                None => at += 1,
            }
        }
    }

    fn key(&mut self) -> Option<String> {
        if let Some(key) = self.string() {
            return Some(key);
        }
        self.space();
        let rest = self.rest();
        let length = rest.find(|c: char| !is_name(c) || c == ':').unwrap_or(rest.len());
        let key = rest[..length].to_owned();
        self.at += length;
        (length > 0).then_some(key)
    }

    /// An object; `tool` gives the types of its bare values.
    fn object(&mut self, depth: usize, tool: Option<&Tool>) -> Option<Value<'static>> {
        let close = if self.eat("{") {
            "}"
        } else if depth == 0 && self.eat("(") {
            ")"
        } else {
            return None;
        };
        let mut entries: Vec<(Cow<'static, str>, Value<'static>)> = Vec::new();
        while !self.eat(close) {
            let key = self.key()?;
            if !self.eat(":") && !json::SEPARATORS.iter().any(|sign| self.eat(sign)) {
                return None;
            }
            let value = self.value(depth + 1, tool.map(|tool| (tool, key.as_str())))?;
            entries.retain(|(known, _)| *known != key);
            entries.push((Cow::Owned(key), value));
            if !self.eat(",") && !self.rest().starts_with(close) {
                return None;
            }
        }
        Some(Value::Object(entries))
    }

    fn value(&mut self, depth: usize, typed: Option<(&Tool, &str)>) -> Option<Value<'static>> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.space();
        if self.rest().starts_with('{') {
            return self.object(depth, None);
        }
        if self.eat("[") {
            let mut items = Vec::new();
            while !self.eat("]") {
                items.push(self.value(depth + 1, None)?);
                if !self.eat(",") && !self.rest().starts_with(']') {
                    return None;
                }
            }
            return Some(Value::Array(items));
        }
        if let Some(text) = self.string() {
            return Some(Value::text(text));
        }
        let rest = self.rest();
        let length = rest.find([',', '}', ']', ')']).unwrap_or(rest.len());
        let bare = rest[..length].trim().to_owned();
        self.at += length;
        if matches!(bare.as_str(), "none" | "nil" | "null" | "None") {
            return Some(Value::Null);
        }
        match (json::read(&bare), typed) {
            // What has to be text is text, whatever it looks like.
            (_, Some((tool, key))) if !bare.is_empty() && tool.takes_only_string(key) => {
                Some(Value::text(bare))
            }
            (Some((value, _)), _) => Some(value.into_owned()),
            (None, Some((tool, key))) if !bare.is_empty() => Some(tool.typed(key, &bare)),
            (None, _) if !bare.is_empty() => Some(Value::text(bare)),
            _ => None,
        }
    }
}
