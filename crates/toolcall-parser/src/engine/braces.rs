//! `call:name{key:value}` with words for quotes, as the Gemma family writes it.

use std::borrow::Cow;

use super::{Context, Step, Walk, place};
use crate::json::{self, MOST_DEPTH, Value};
use crate::lex::{Found, Parsed, find, is_name, is_space, skip_space};
use crate::piece::ProblemKind;
use crate::settle::{Body, RawCall, known};
use crate::tool::Tool;

/// The words of one family.
#[derive(Debug)]
pub(crate) struct Grammar {
    pub(crate) head: for<'a> fn(&'a str) -> Parsed<'a, &'a str>,
    pub(crate) close: for<'a> fn(&'a str) -> Parsed<'a, ()>,
    /// What stands on either side of a string.
    pub(crate) quote: &'static str,
}

const BODY: u8 = 1;

impl Grammar {
    pub(crate) fn step<'a>(&self, walk: &mut Walk, text: &'a str, context: Context<'_>) -> Step<'a> {
        if walk.stage == BODY {
            return self.body(walk, text, context);
        }
        let (space, all) = skip_space(text);
        if all {
            return if context.end { Step::End(space) } else { Step::More };
        }
        let rest = &text[space..];
        match find(self.close, rest, context.end) {
            Found::Yes((), length) => return Step::End(space + length),
            Found::More => return Step::More,
            Found::No => {}
        }
        match find(self.head, rest, context.end) {
            Found::Yes(name, length) => {
                walk.name = place(text, name);
                walk.at = space + length;
                walk.value = walk.at;
                if !known(name, context.options) {
                    return Step::Broken(walk.at, ProblemKind::Undeclared, Some(name.to_owned()));
                }
                walk.stage = BODY;
                self.body(walk, text, context)
            }
            Found::More => Step::More,
            Found::No if walk.made > 0 => Step::End(0),
            Found::No => Step::Broken(
                space + rest.chars().next().map_or(0, char::len_utf8),
                ProblemKind::Malformed,
                None,
            ),
        }
    }

    /// Counts brackets up to the one that ends the call; what stands between two quote words is passed over.
    fn body<'a>(&self, walk: &mut Walk, text: &'a str, context: Context<'_>) -> Step<'a> {
        let bytes = text.as_bytes();
        let quote = self.quote.as_bytes();
        let name = || Some(text[walk.name.clone()].to_owned());
        while walk.at < bytes.len() {
            let rest = &bytes[walk.at..];
            let quoted = walk.lists == 1;
            if rest[0] == quote[0] {
                if rest.starts_with(quote) {
                    walk.lists = usize::from(!quoted);
                    walk.at += quote.len();
                    continue;
                }
                if quote.starts_with(rest) && !context.end {
                    return Step::More;
                }
            }
            if !quoted {
                match rest[0] {
                    b'{' | b'[' | b'(' => walk.depth += 1,
                    b'}' | b']' | b')' => {
                        walk.depth = walk.depth.saturating_sub(1);
                        if walk.depth == 0 {
                            let end = walk.at + 1;
                            return self.done(walk, text, end, context);
                        }
                    }
                    _ => {}
                }
                if walk.depth > MOST_DEPTH {
                    return Step::Broken(walk.at, ProblemKind::TooLarge, name());
                }
            }
            walk.at += 1;
        }
        if context.end { Step::Cut(name()) } else { Step::More }
    }

    fn done<'a>(&self, walk: &mut Walk, text: &'a str, end: usize, context: Context<'_>) -> Step<'a> {
        let name = &text[walk.name.clone()];
        let source = &text[walk.value..end];
        let tool = context.options.tool(name);
        let mut reader = Reader { text: source, at: 0, quote: self.quote };
        let value = reader.object(0, tool).filter(|_| reader.at == source.len());
        let Some(value) = value.or_else(|| json::read(source).map(|(value, _)| value.into_owned())) else {
            return Step::Broken(end, ProblemKind::Malformed, Some(name.to_owned()));
        };
        walk.next_call();
        walk.lists = 0;
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
        for quote in [self.quote, "\""] {
            if self.eat(quote) {
                let end = self.rest().find(quote)?;
                let text = self.rest()[..end].to_owned();
                self.at += end + quote.len();
                return Some(text);
            }
        }
        None
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
            if !self.eat(":") && !self.eat("=") {
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
        if depth > MOST_DEPTH {
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
            (Some((value, _)), _) => Some(value.into_owned()),
            (None, Some((tool, key))) if !bare.is_empty() => Some(tool.typed(key, &bare)),
            (None, _) if !bare.is_empty() => Some(Value::text(bare)),
            _ => None,
        }
    }
}
