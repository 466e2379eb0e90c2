//! MiniMax M3: a guard before every tag, parameters as tags that nest. Text without the guard is data.

use std::borrow::Cow;

use nom::Parser as _;
use nom::combinator::{peek, value};

use super::{Opens, Place, Row};
use crate::dialect::Dialect;
use crate::engine::Engine;
use crate::engine::until::{Read, UntilGrammar};
use crate::json::{MAX_DEPTH, Value};
use crate::lex::{LexResult, mark, ws};
use crate::options::Options;
use crate::piece::ProblemKind;
use crate::settle::{Body, RawCall};
use crate::tool::{Shape, below, shape, typed};

const GUARD: &str = "]<]minimax[>[";

pub(super) static ROWS: &[Row] = &[
    row(b']', |input| value((), (mark(GUARD), ws, mark("<tool_call>"))).parse(input)),
    // The block's own tag, or its guard, is lost.
    row(b']', |input| value((), peek((mark(GUARD), ws, mark("<invoke")))).parse(input)),
    row(b'<', |input| {
        value((), (mark("<tool_call>"), ws, peek((mark(GUARD), ws, mark("<invoke"))))).parse(input)
    }),
];

const fn row(trigger: u8, opens: for<'a> fn(&'a str) -> LexResult<'a, ()>) -> Row {
    Row {
        dialect: Dialect::MinimaxM3,
        trigger,
        place: Place::Anywhere,
        hint_only: false,
        opens: Opens::Text(opens),
        engine: Engine::Until(UntilGrammar { close: "]<]minimax[>[</tool_call>", at_end: true, read }),
    }
}

/// One guarded tag and the text up to the next.
struct Tag<'a> {
    name: &'a str,
    /// What stands behind the name.
    rest: &'a str,
    kind: TagKind,
    text: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TagKind {
    Opening,
    Closing,
    /// It opens and closes.
    Empty,
}

fn tags(body: &str) -> Option<Vec<Tag<'_>>> {
    let mut parts = body.split(GUARD);
    if !parts.next()?.trim().is_empty() {
        return None;
    }
    // The last guard is that of the tag which ends the block.
    parts.filter(|part| !part.trim().is_empty()).map(tag).collect()
}

fn tag(part: &str) -> Option<Tag<'_>> {
    let (inside, text) = part.trim_start().strip_prefix('<')?.split_once('>')?;
    let (inside, kind) = match inside.trim().strip_prefix('/') {
        Some(inside) => (inside, TagKind::Closing),
        None => match inside.trim().strip_suffix('/') {
            Some(inside) => (inside, TagKind::Empty),
            None => (inside, TagKind::Opening),
        },
    };
    let inside = inside.trim();
    let length = inside.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(inside.len());
    Some(Tag { name: &inside[..length], rest: &inside[length..], kind, text })
}

fn read<'a>(body: &'a str, options: &Options) -> Read<'a> {
    let Some(tags) = tags(body) else { return Read::Wrong(ProblemKind::Malformed) };
    let mut calls = Vec::new();
    let mut at = 0;
    while at < tags.len() {
        let Some(name) = invoke(&tags[at]) else {
            // Closing tags that nothing opened.
            if tags[at].kind == TagKind::Closing {
                at += 1;
                continue;
            }
            return Read::Wrong(ProblemKind::Malformed);
        };
        let tool = options.tool(name);
        let empty = Value::Null;
        let root = tool.map_or(&empty, |tool| tool.schema());
        let mut reader = Reader { tags: &tags, at: at + 1, root, open: vec!["invoke"] };
        let value = if tags[at].kind == TagKind::Empty {
            Some(Value::Object(Vec::new()))
        } else {
            reader.children("invoke", Some(root), Shape::Object)
        };
        at = reader.at;
        match value {
            Some(value) => calls.push(RawCall::new(name, Body::Value(value))),
            None => return Read::Wrong(ProblemKind::Truncated),
        }
    }
    if calls.is_empty() { Read::Wrong(ProblemKind::Malformed) } else { Read::Calls(calls) }
}

fn invoke<'a>(tag: &Tag<'a>) -> Option<&'a str> {
    if tag.name != "invoke" || tag.kind == TagKind::Closing {
        return None;
    }
    let name = match tag.rest.trim_start().strip_prefix(['=', ':']) {
        Some(name) => name.trim(),
        None => name_attribute(tag.rest)?,
    };
    Some(name.trim_matches(['"', '\'']))
}

/// The value of the attribute `name`, wherever it stands.
fn name_attribute(rest: &str) -> Option<&str> {
    rest.match_indices("name").find_map(|(at, word)| {
        let fresh = rest[..at].ends_with(char::is_whitespace);
        let value = rest[at + word.len()..].trim_start().strip_prefix(['=', ':'])?.trim_start();
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
        let value = match quote {
            Some(quote) => value[1..].split(quote).next()?,
            None => value.split_whitespace().next()?,
        };
        fresh.then_some(value)
    })
}

struct Reader<'t, 'a> {
    tags: &'t [Tag<'a>],
    at: usize,
    root: &'t Value<'static>,
    /// The elements around the place.
    open: Vec<&'a str>,
}

impl<'a> Reader<'_, 'a> {
    /// Everything up to the element's closing tag: an object, a list of `item`s, or nothing. An element that was left open ends where
    /// something follows that can only stand outside of it.
    fn children(
        &mut self,
        close: &'a str,
        schema: Option<&Value<'static>>,
        shape: Shape,
    ) -> Option<Value<'static>> {
        if self.open.len() > MAX_DEPTH {
            return None;
        }
        let mut entries: Vec<(Cow<'static, str>, Value<'static>)> = Vec::new();
        let mut items = Vec::new();
        loop {
            let tag = self.tags.get(self.at)?;
            if tag.kind == TagKind::Closing {
                // The closing tag of an element around it closes this one too.
                let outer = tag.name != close && self.open.contains(&tag.name);
                self.at += usize::from(!outer);
                if outer || tag.name == close {
                    break;
                }
                continue;
            }
            // The next call: the closing tags of this one are missing.
            if tag.name == "invoke" && !tag.rest.is_empty() {
                break;
            }
            let item = tag.name == "item" && shape != Shape::Object;
            let below = schema.and_then(|schema| below(self.root, schema, (!item).then_some(tag.name)));
            if close != "invoke" && !item && below.is_none() && Self::ends(shape, schema) {
                break;
            }
            self.at += 1;
            let value = self.element(tag.name, tag.kind, tag.text, below)?;
            if item {
                items.push(value);
            } else {
                entries.retain(|(known, _)| known != tag.name);
                entries.push((Cow::Owned(tag.name.to_owned()), value));
            }
        }
        let list = !items.is_empty() || (entries.is_empty() && shape == Shape::List);
        Some(if list { Value::Array(items) } else { Value::Object(entries) })
    }

    /// Whether an element of this name cannot stand in one of that shape: the schema knows what can.
    fn ends(shape: Shape, schema: Option<&Value<'static>>) -> bool {
        let knows = schema.is_some_and(|schema| schema.get("properties").is_some());
        shape == Shape::List || (shape == Shape::Object && knows)
    }

    fn element(
        &mut self,
        name: &'a str,
        kind: TagKind,
        text: &str,
        schema: Option<&Value<'static>>,
    ) -> Option<Value<'static>> {
        let shape = schema.map_or(Shape::Unknown, |schema| shape(self.root, schema));
        let closing =
            self.tags.get(self.at).is_some_and(|next| next.kind == TagKind::Closing && next.name == name);
        // The guard of the closing tag is lost.
        let bare = text.trim_end().strip_suffix(&format!("</{name}>"));
        let next_is_item = self.tags.get(self.at).is_some_and(|next| next.name == "item");
        let leaf = kind == TagKind::Empty
            || closing
            || bare.is_some()
            || shape == Shape::Text
            || (shape == Shape::Unknown && !text.trim().is_empty())
            || (self.tags.get(self.at)?.kind == TagKind::Closing);
        if !leaf || (shape == Shape::List && next_is_item) {
            self.open.push(name);
            let value = self.children(name, schema, shape);
            self.open.pop();
            return value;
        }
        self.at += usize::from(closing);
        let text = if kind == TagKind::Empty { "" } else { bare.filter(|_| !closing).unwrap_or(text) };
        Some(match shape {
            Shape::List if text.trim().is_empty() => Value::Array(Vec::new()),
            Shape::Object if text.trim().is_empty() => Value::Object(Vec::new()),
            _ => typed(self.root, schema, text),
        })
    }
}
