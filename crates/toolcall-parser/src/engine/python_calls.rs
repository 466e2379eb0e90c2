//! Calls in Python, in a list or one on a line.

use super::{Context, Step, Walk, place};
use crate::json::{Ends, Span};
use crate::lex::{Found, Parsed, find, name, skip_space};
use crate::piece::ProblemKind;
use crate::python;
use crate::settle::{Body, RawCall, known};

/// What stands around the calls.
#[derive(Debug)]
pub(crate) struct Grammar {
    /// Ends the block.
    pub(crate) close: for<'a> fn(&'a str) -> Parsed<'a, ()>,
    /// Whether a marker proved the dialect; else the first thing that is no call ends it.
    pub(crate) marked: bool,
}

const CALL: u8 = 1;

impl Grammar {
    pub(crate) fn step<'a>(&self, walk: &mut Walk, text: &'a str, context: Context<'_>) -> Step<'a> {
        if walk.stage == CALL {
            return self.call(walk, text, context);
        }
        let (space, all) = skip_space(text);
        if all {
            return match () {
                () if !context.end => Step::More,
                () if walk.made > 0 && !self.marked => Step::End(0),
                () => Step::End(space),
            };
        }
        let rest = &text[space..];
        match find(self.close, rest, context.end) {
            Found::Yes((), length) => return Step::End(space + length),
            Found::More => return Step::More,
            Found::No => {}
        }
        match rest.as_bytes()[0] {
            b'[' if walk.made == 0 || walk.lists > 0 => {
                walk.lists += 1;
                return Step::Skip(space + 1);
            }
            b']' if walk.lists > 0 => {
                walk.lists -= 1;
                return if walk.lists == 0 && !self.marked {
                    Step::End(space + 1)
                } else {
                    Step::Skip(space + 1)
                };
            }
            b',' | b';' if walk.made > 0 => return Step::Skip(space + 1),
            _ => {}
        }
        match find(head, rest, context.end) {
            Found::Yes(found, length) => {
                walk.name = place(text, found);
                walk.at = space + length;
                walk.span = Some(Span::new(walk.at).python());
                walk.stage = CALL;
                self.call(walk, text, context)
            }
            Found::More => Step::More,
            Found::No if walk.made > 0 => Step::End(0),
            Found::No if self.marked => Step::Broken(space + 1, ProblemKind::Malformed, None),
            Found::No => Step::Prose(space + rest.chars().next().map_or(0, char::len_utf8)),
        }
    }

    fn call<'a>(&self, walk: &mut Walk, text: &'a str, context: Context<'_>) -> Step<'a> {
        let wrong = |end: usize, walk: &Walk| {
            let name = text[walk.name.clone()].to_owned();
            let kind =
                if known(&name, context.options) { ProblemKind::Malformed } else { ProblemKind::Undeclared };
            if self.marked { Step::Broken(end, kind, Some(name)) } else { Step::Prose(end) }
        };
        let Some(span) = &mut walk.span else { return Step::Cut(None) };
        let end = match span.feed(text) {
            Ends::At(end) => end,
            Ends::Never(end) => return wrong(end, walk),
            Ends::NotYet if context.end && self.marked => {
                return Step::Cut(Some(text[walk.name.clone()].to_owned()));
            }
            Ends::NotYet if context.end => return Step::Prose(text.len()),
            Ends::NotYet => return Step::More,
        };
        let source = &text[walk.name.start..end];
        match python::call(source) {
            Some((call, length)) if length == source.len() => {
                let call = RawCall::new(call.name, Body::Value(call.arguments));
                walk.next_call();
                Step::Calls(end, vec![call])
            }
            _ => wrong(end, walk),
        }
    }
}

/// A name right before an opening parenthesis.
fn head(input: &str) -> Parsed<'_, &str> {
    use nom::Parser as _;
    use nom::character::streaming::char;
    use nom::combinator::peek;
    use nom::sequence::terminated;
    terminated(name, peek(char('('))).parse(input)
}
