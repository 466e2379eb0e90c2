//! The tool's name in the markup, its arguments as one JSON object behind it.

use super::{Context, Step, Walk, place};
use crate::json::{Ends, Span, Value};
use crate::lex::{Found, Parsed, find, skip_space};
use crate::mend;
use crate::piece::{ProblemKind, Repair};
use crate::python;
use crate::settle::{Body, RawCall, known};

/// What stands around a name and its arguments.
#[derive(Debug)]
pub(crate) struct Grammar {
    /// Everything before the arguments.
    pub(crate) head: for<'a> fn(&'a str) -> Parsed<'a, Head<'a>>,
    /// What follows the arguments.
    pub(crate) tail: for<'a> fn(&'a str) -> Parsed<'a, ()>,
    /// Ends the block.
    pub(crate) close: for<'a> fn(&'a str) -> Parsed<'a, ()>,
    /// Whether a call may have no arguments at all.
    pub(crate) empty: bool,
}

/// The words before the arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head<'a> {
    pub(crate) name: &'a str,
    pub(crate) id: Option<&'a str>,
}

const ARGUMENTS: u8 = 1;
const TAIL: u8 = 2;

impl Grammar {
    pub(crate) fn step<'a>(&self, walk: &mut Walk, text: &'a str, context: Context<'_>) -> Step<'a> {
        match walk.stage {
            ARGUMENTS => self.arguments(walk, text, context),
            TAIL => self.tail(walk, text, context),
            _ => self.head(walk, text, context),
        }
    }

    fn head<'a>(&self, walk: &mut Walk, text: &'a str, context: Context<'_>) -> Step<'a> {
        let (space, all) = skip_space(text);
        if all {
            return if context.end { Step::End(if walk.made > 0 { 0 } else { space }) } else { Step::More };
        }
        let rest = &text[space..];
        match find(self.close, rest, context.end) {
            Found::Yes((), length) => return Step::End(space + length),
            Found::More => return Step::More,
            Found::No => {}
        }
        match find(self.head, rest, context.end) {
            Found::Yes(head, length) => {
                walk.name = place(text, head.name);
                walk.id = head.id.map_or(0..0, |id| place(text, id));
                walk.at = space + length;
                if !known(head.name, context.options) {
                    return Step::Broken(walk.at, ProblemKind::Undeclared, Some(head.name.to_owned()));
                }
                walk.stage = ARGUMENTS;
                self.arguments(walk, text, context)
            }
            Found::More => Step::More,
            Found::No if walk.made > 0 => Step::End(0),
            Found::No => Step::Broken(
                text.chars().next().map_or(0, char::len_utf8) + space,
                ProblemKind::Malformed,
                None,
            ),
        }
    }

    fn arguments<'a>(&self, walk: &mut Walk, text: &'a str, context: Context<'_>) -> Step<'a> {
        if let Some(span) = &mut walk.span {
            return match span.feed(text) {
                Ends::At(end) => {
                    walk.at = end;
                    walk.stage = TAIL;
                    self.tail(walk, text, context)
                }
                Ends::Never(end) => {
                    Step::Broken(end, ProblemKind::Malformed, Some(text[walk.name.clone()].to_owned()))
                }
                Ends::NotYet if context.end => Step::Cut(Some(text[walk.name.clone()].to_owned())),
                Ends::NotYet => Step::More,
            };
        }
        let (space, all) = skip_space(&text[walk.at..]);
        let at = walk.at + space;
        if all {
            let name = text[walk.name.clone()].to_owned();
            return if context.end { Step::Cut(Some(name)) } else { Step::More };
        }
        if text[at..].starts_with('{') {
            // An object that begins with neither a key nor its end is none; its brackets say nothing about what follows.
            match text[at + 1..].trim_start().bytes().next() {
                None if !context.end => return Step::More,
                Some(b'"' | b'\'' | b'}') | None => {}
                Some(_) => {
                    let name = text[walk.name.clone()].to_owned();
                    return Step::Broken(at + 1, ProblemKind::Malformed, Some(name));
                }
            }
            walk.value = at;
            walk.span = Some(Span::new(at));
            return self.arguments(walk, text, context);
        }
        let tail = if self.empty { find(self.tail, &text[at..], context.end) } else { Found::No };
        match tail {
            Found::Yes((), length) => {
                let call = RawCall {
                    id: id(walk, text),
                    ..RawCall::new(&text[walk.name.clone()], Body::Value(Value::Null))
                };
                walk.next_call();
                Step::Calls(at + length, vec![call])
            }
            Found::More => Step::More,
            Found::No => Step::Broken(at, ProblemKind::Malformed, Some(text[walk.name.clone()].to_owned())),
        }
    }

    fn tail<'a>(&self, walk: &mut Walk, text: &'a str, context: Context<'_>) -> Step<'a> {
        let (space, all) = skip_space(&text[walk.at..]);
        let mut end = walk.at;
        if all && !context.end {
            return Step::More;
        }
        match find(self.tail, &text[walk.at + space..], context.end) {
            Found::Yes((), length) => end += space + length,
            Found::More => return Step::More,
            Found::No => {}
        }
        let source = &text[walk.value..walk.at];
        let name = &text[walk.name.clone()];
        let value = crate::json::read(source)
            .map(|(value, overlooked)| RawCall::new(name, Body::Value(value)).overlooked(overlooked))
            .or_else(|| {
                python::literal(source).map(|value| RawCall {
                    repairs: vec![Repair::PythonSyntax],
                    ..RawCall::new(name, Body::Value(value))
                })
            })
            .or_else(|| mended(source, name, context));
        let Some(call) = value else {
            return Step::Broken(end, ProblemKind::Malformed, Some(name.to_owned()));
        };
        let call = RawCall { id: id(walk, text), source: Some(source), ..call };
        walk.next_call();
        Step::Calls(end, vec![call])
    }
}

fn id<'a>(walk: &Walk, text: &'a str) -> Option<std::borrow::Cow<'a, str>> {
    (!walk.id.is_empty()).then(|| text[walk.id.clone()].into())
}

fn mended<'a>(source: &str, name: &'a str, context: Context<'_>) -> Option<RawCall<'a>> {
    let tool = context.options.tool(name)?;
    let value = mend::quotes(source, |value| {
        value.entries().is_some_and(|entries| entries.iter().all(|(key, _)| tool.declares(key)))
    })?;
    Some(RawCall { repairs: vec![Repair::UnescapedQuotes], ..RawCall::new(name, Body::Value(value)) })
}
