//! Calls in Python, in a list or one on a line.

use super::{Context, EngineState, Step, place};
use crate::json::{Span, SpanEnd};
use crate::lex::{LexResult, Lookahead, find, name, skip_space};
use crate::piece::ProblemKind;
use crate::python;
use crate::settle::{Body, RawCall, known};

/// What stands around the calls.
#[derive(Debug)]
pub(crate) struct PythonCallsGrammar {
    /// Ends the block.
    pub(crate) close: for<'a> fn(&'a str) -> LexResult<'a, ()>,
    /// Whether a marker proved the dialect; else the first thing that is no call ends it.
    pub(crate) marked: bool,
}

const CALL: u8 = 1;

impl PythonCallsGrammar {
    pub(crate) fn step<'a>(&self, state: &mut EngineState, text: &'a str, context: Context<'_>) -> Step<'a> {
        if state.stage == CALL {
            return self.call(state, text, context);
        }
        let (space, all) = skip_space(text);
        if all {
            return match () {
                () if !context.end => Step::More,
                () if state.calls_read > 0 && !self.marked => Step::End(0),
                () if state.calls_read == 0 && state.lists == 0 && self.marked => Step::Alone,
                () => Step::End(space),
            };
        }
        let rest = &text[space..];
        match find(self.close, rest, context.end) {
            Lookahead::Yes((), length) => return Step::End(space + length),
            Lookahead::More => return Step::More,
            Lookahead::No => {}
        }
        match rest.as_bytes()[0] {
            b'[' if state.calls_read == 0 || state.lists > 0 => {
                state.lists += 1;
                return Step::Skip(space + 1);
            }
            b']' if state.lists > 0 => {
                state.lists -= 1;
                return if state.lists == 0 && !self.marked {
                    Step::End(space + 1)
                } else {
                    Step::Skip(space + 1)
                };
            }
            b',' | b';' if state.calls_read > 0 || state.lists > 0 => return Step::Skip(space + 1),
            _ => {}
        }
        match find(head, rest, context.end) {
            Lookahead::Yes(found, length) => {
                state.name = place(text, found);
                state.at = space + length;
                state.span = Some(Span::new(state.at).python());
                state.stage = CALL;
                self.call(state, text, context)
            }
            Lookahead::More => Step::More,
            Lookahead::No if state.calls_read > 0 => Step::End(0),
            Lookahead::No if self.marked => Step::Broken(space + 1, ProblemKind::Malformed, None),
            Lookahead::No => Step::Prose(space + rest.chars().next().map_or(0, char::len_utf8)),
        }
    }

    fn call<'a>(&self, state: &mut EngineState, text: &'a str, context: Context<'_>) -> Step<'a> {
        let broken = |end: usize, state: &EngineState| {
            let name = text[state.name.clone()].to_owned();
            if self.marked { Step::Broken(end, ProblemKind::Malformed, Some(name)) } else { Step::Prose(end) }
        };
        // The rest of the list may still hold calls: this one alone is text.
        let wrong = |end: usize, state: &mut EngineState| {
            let name = text[state.name.clone()].to_owned();
            let kind =
                if known(&name, context.options) { ProblemKind::Malformed } else { ProblemKind::Undeclared };
            state.skip_call();
            Step::Skipped(end, kind, Some(name))
        };
        let Some(span) = &mut state.span else { return Step::Cut(None) };
        let end = match span.feed(text) {
            SpanEnd::At(end) => end,
            SpanEnd::Never(end) => return broken(end, state),
            SpanEnd::NotYet if context.end && self.marked => {
                return Step::Cut(Some(text[state.name.clone()].to_owned()));
            }
            SpanEnd::NotYet if context.end => return Step::Prose(text.len()),
            SpanEnd::NotYet => return Step::More,
        };
        let source = &text[state.name.start..end];
        match python::call(source) {
            Some((call, length)) if length == source.len() => {
                let call = RawCall::new(call.name, Body::Value(call.arguments));
                state.next_call();
                Step::Calls(end, vec![call])
            }
            _ => wrong(end, state),
        }
    }
}

/// A name right before an opening parenthesis.
fn head(input: &str) -> LexResult<'_, &str> {
    use nom::Parser as _;
    use nom::character::streaming::char;
    use nom::combinator::peek;
    use nom::sequence::terminated;
    terminated(name, peek(char('('))).parse(input)
}
