//! The tool's name in the markup, its arguments as one JSON object behind it.

use super::{Context, EngineState, Step, closers, place};
use crate::json::{Span, SpanEnd, Value};
use crate::lex::{LexResult, Lookahead, find, skip_space};
use crate::mend;
use crate::piece::{ProblemKind, Repair};
use crate::python;
use crate::settle::{Body, RawCall, known};

/// What stands around a name and its arguments.
#[derive(Debug)]
pub(crate) struct NamedGrammar {
    /// Everything before the arguments.
    pub(crate) head: for<'a> fn(&'a str) -> LexResult<'a, NamedHead<'a>>,
    /// What follows the arguments.
    pub(crate) tail: for<'a> fn(&'a str) -> LexResult<'a, ()>,
    /// Ends the block.
    pub(crate) close: for<'a> fn(&'a str) -> LexResult<'a, ()>,
    /// Whether a call may have no arguments at all.
    pub(crate) empty: bool,
}

/// The words before the arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NamedHead<'a> {
    pub(crate) name: &'a str,
    pub(crate) id: Option<&'a str>,
}

const ARGUMENTS: u8 = 1;
const TAIL: u8 = 2;

impl NamedGrammar {
    pub(crate) fn step<'a>(&self, state: &mut EngineState, text: &'a str, context: Context<'_>) -> Step<'a> {
        match state.stage {
            ARGUMENTS => self.arguments(state, text, context),
            TAIL => self.tail(state, text, context),
            _ => self.head(state, text, context),
        }
    }

    fn head<'a>(&self, state: &mut EngineState, text: &'a str, context: Context<'_>) -> Step<'a> {
        let (space, all) = skip_space(text);
        if all {
            return match () {
                () if !context.end => Step::More,
                () if state.calls_read > 0 => Step::End(0),
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
            Lookahead::Yes(head, length) => {
                state.name = place(text, head.name);
                state.id = head.id.map_or(0..0, |id| place(text, id));
                state.at = space + length;
                if !known(head.name, context.options) {
                    return Step::Broken(state.at, ProblemKind::Undeclared, Some(head.name.to_owned()));
                }
                state.stage = ARGUMENTS;
                self.arguments(state, text, context)
            }
            Lookahead::More => Step::More,
            Lookahead::No if state.calls_read > 0 => Step::End(0),
            Lookahead::No => Step::Broken(
                text.chars().next().map_or(0, char::len_utf8) + space,
                ProblemKind::Malformed,
                None,
            ),
        }
    }

    fn arguments<'a>(&self, state: &mut EngineState, text: &'a str, context: Context<'_>) -> Step<'a> {
        if let Some(span) = &mut state.span {
            return match span.feed(text) {
                SpanEnd::At(end) => {
                    state.at = end;
                    state.stage = TAIL;
                    self.tail(state, text, context)
                }
                SpanEnd::Never(end) => {
                    Step::Broken(end, ProblemKind::Malformed, Some(text[state.name.clone()].to_owned()))
                }
                SpanEnd::NotYet if context.end => Step::Cut(Some(text[state.name.clone()].to_owned())),
                SpanEnd::NotYet => Step::More,
            };
        }
        let (space, all) = skip_space(&text[state.at..]);
        let at = state.at + space;
        if all {
            let name = text[state.name.clone()].to_owned();
            return if context.end { Step::Cut(Some(name)) } else { Step::More };
        }
        if text[at..].starts_with('{') {
            // An object that begins with neither a key nor its end is none; its brackets say nothing about what follows.
            match text[at + 1..].trim_start().bytes().next() {
                None if !context.end => return Step::More,
                Some(b'"' | b'\'' | b'}') | None => {}
                Some(_) => {
                    let name = text[state.name.clone()].to_owned();
                    return Step::Broken(at + 1, ProblemKind::Malformed, Some(name));
                }
            }
            state.value = at;
            state.span = Some(Span::new(at));
            return self.arguments(state, text, context);
        }
        let tail = if self.empty { find(self.tail, &text[at..], context.end) } else { Lookahead::No };
        match tail {
            Lookahead::Yes((), length) => {
                let call = RawCall {
                    id: id(state, text),
                    ..RawCall::new(&text[state.name.clone()], Body::Value(Value::Null))
                };
                state.next_call();
                Step::Calls(at + length, vec![call])
            }
            Lookahead::More => Step::More,
            Lookahead::No => {
                Step::Broken(at, ProblemKind::Malformed, Some(text[state.name.clone()].to_owned()))
            }
        }
    }

    fn tail<'a>(&self, state: &mut EngineState, text: &'a str, context: Context<'_>) -> Step<'a> {
        let mut end = state.at + closers(&text[state.at..]);
        let (space, all) = skip_space(&text[end..]);
        if all && !context.end {
            return Step::More;
        }
        match find(self.tail, &text[end + space..], context.end) {
            Lookahead::Yes((), length) => end += space + length,
            Lookahead::More => return Step::More,
            Lookahead::No => {}
        }
        let source = &text[state.value..state.at];
        let name = &text[state.name.clone()];
        let value = crate::json::read(source)
            .map(|(value, leniencies)| RawCall::new(name, Body::Value(value)).leniencies(leniencies))
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
        let call = RawCall { id: id(state, text), source: Some(source), ..call };
        state.next_call();
        Step::Calls(end, vec![call])
    }
}

fn id<'a>(state: &EngineState, text: &'a str) -> Option<std::borrow::Cow<'a, str>> {
    (!state.id.is_empty()).then(|| text[state.id.clone()].into())
}

fn mended<'a>(source: &str, name: &'a str, context: Context<'_>) -> Option<RawCall<'a>> {
    let tool = context.options.tool(name)?;
    let value = mend::quotes(source, |value| {
        value.entries().is_some_and(|entries| entries.iter().all(|(key, _)| tool.declares(key)))
    })?;
    Some(RawCall { repairs: vec![Repair::UnescapedQuotes], ..RawCall::new(name, Body::Value(value)) })
}
