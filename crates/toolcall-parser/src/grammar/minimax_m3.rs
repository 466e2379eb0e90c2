//! MiniMax M3: a guard before every tag, parameters as tags that nest. Text without the guard is data.

use std::borrow::Cow;

use nom::Parser as _;
use nom::bytes::streaming::tag;
use nom::combinator::value;

use super::{Opens, Place, Row};
use crate::dialect::Dialect;
use crate::engine::Engine;
use crate::engine::tagged::trimmed;
use crate::engine::until::{Read, UntilGrammar};
use crate::json::{MAX_DEPTH, Value};
use crate::lex::ws;
use crate::options::Options;
use crate::piece::ProblemKind;
use crate::settle::{Body, RawCall};
use crate::tool::{below, typed};

const GUARD: &str = "]<]minimax[>[";

pub(super) static ROWS: &[Row] = &[Row {
    dialect: Dialect::MinimaxM3,
    trigger: b']',
    place: Place::Anywhere,
    hint_only: false,
    opens: Opens::Text(|input| value((), (tag(GUARD), ws, tag("<tool_call>"))).parse(input)),
    engine: Engine::Until(UntilGrammar { close: "]<]minimax[>[</tool_call>", at_end: true, read }),
}];

/// One guarded tag and the text up to the next.
struct Tag<'a> {
    name: &'a str,
    closing: bool,
    text: &'a str,
}

fn tags(body: &str) -> Option<Vec<Tag<'_>>> {
    let mut parts = body.split(GUARD);
    if !parts.next()?.trim().is_empty() {
        return None;
    }
    parts
        .map(|part| {
            let (inside, text) = part.trim_start().strip_prefix('<')?.split_once('>')?;
            let (name, closing) = inside.strip_prefix('/').map_or((inside, false), |name| (name, true));
            Some(Tag { name, closing, text })
        })
        .collect()
}

fn read<'a>(body: &'a str, options: &Options) -> Read<'a> {
    let Some(tags) = tags(body) else { return Read::Wrong(ProblemKind::Malformed) };
    let mut calls = Vec::new();
    let mut at = 0;
    while at < tags.len() {
        let Some(name) = invoke(&tags[at]) else {
            // Closing tags that nothing opened.
            if tags[at].closing {
                at += 1;
                continue;
            }
            return Read::Wrong(ProblemKind::Malformed);
        };
        at += 1;
        let tool = options.tool(name);
        let empty = Value::Null;
        let schema = tool.map_or(&empty, |tool| tool.schema());
        match children(&tags, &mut at, "invoke", schema, Some(schema), 0) {
            Some(Value::Object(entries)) => {
                calls.push(RawCall::new(name, Body::Value(Value::Object(entries))));
            }
            Some(_) => calls.push(RawCall::new(name, Body::Value(Value::Null))),
            None => return Read::Wrong(ProblemKind::Truncated),
        }
    }
    if calls.is_empty() { Read::Wrong(ProblemKind::Malformed) } else { Read::Calls(calls) }
}

fn invoke<'a>(tag: &Tag<'a>) -> Option<&'a str> {
    let name = tag.name.strip_prefix("invoke")?.trim_start().strip_prefix("name=")?;
    (!tag.closing).then(|| name.trim().trim_matches(['"', '\'']))
}

/// Everything up to the closing tag: an object, a list of `item`s, or nothing.
fn children(
    tags: &[Tag<'_>],
    at: &mut usize,
    close: &str,
    root: &Value<'static>,
    schema: Option<&Value<'static>>,
    depth: usize,
) -> Option<Value<'static>> {
    if depth > MAX_DEPTH {
        return None;
    }
    let mut entries: Vec<(Cow<'static, str>, Value<'static>)> = Vec::new();
    let mut items = Vec::new();
    loop {
        let tag = tags.get(*at)?;
        *at += 1;
        if tag.closing {
            // An inner closing tag that was forgotten is closed by the outer one.
            if tag.name == close {
                break;
            }
            continue;
        }
        let item = tag.name == "item";
        let below = schema.and_then(|schema| below(root, schema, (!item).then_some(tag.name)));
        let leaf = tags.get(*at).is_some_and(|next| next.closing && next.name == tag.name);
        let value = if leaf {
            *at += 1;
            typed(root, below, trimmed(tag.text, true))
        } else {
            children(tags, at, tag.name, root, below, depth + 1)?
        };
        if item {
            items.push(value);
        } else {
            entries.retain(|(known, _)| known != tag.name);
            entries.push((Cow::Owned(tag.name.to_owned()), value));
        }
    }
    Some(if items.is_empty() { Value::Object(entries) } else { Value::Array(items) })
}
