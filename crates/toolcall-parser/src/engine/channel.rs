//! Messages with a channel and perhaps a recipient, as gpt-oss writes them; and blocks of marked thoughts.

use super::{Context, EngineState, Step, closers, place};
use crate::json::{Span, SpanEnd};
use crate::lex::{LexResult, Lookahead, find, mark, skip_space};
use crate::piece::ProblemKind;
use crate::settle::{Body, RawCall, known};

/// The words of one family.
#[derive(Debug)]
pub(crate) struct ChannelGrammar {
    /// Everything before a message's body.
    pub(crate) head: for<'a> fn(&'a str) -> LexResult<'a, Message<'a>>,
    /// The words that end a body.
    pub(crate) ends: &'static [&'static str],
    /// Of those, the words that begin the next message: they are left standing.
    pub(crate) next: &'static [&'static str],
}

/// What a message's head says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Message<'a> {
    /// A call to this tool.
    To(&'a str),
    /// For the reader.
    Text,
    /// Thoughts.
    Thoughts,
}

const CALL: u8 = 1;
const TEXT: u8 = 2;
const THOUGHTS: u8 = 3;

impl ChannelGrammar {
    pub(crate) fn step<'a>(&self, state: &mut EngineState, text: &'a str, context: Context<'_>) -> Step<'a> {
        match state.stage {
            CALL => self.call(state, text, context),
            TEXT | THOUGHTS => self.body(state, text, context),
            _ => self.head(state, text, context),
        }
    }

    fn head<'a>(&self, state: &mut EngineState, text: &'a str, context: Context<'_>) -> Step<'a> {
        if state.calls_read > 0 {
            return Step::End(0);
        }
        match find(self.head, text, context.end) {
            Lookahead::Yes(Message::To(name), length) => {
                state.name = place(text, name);
                state.at = length;
                if !known(name, context.options) {
                    return Step::Broken(length, ProblemKind::Undeclared, Some(name.to_owned()));
                }
                state.stage = CALL;
                self.call(state, text, context)
            }
            Lookahead::Yes(message, length) => {
                state.stage = if message == Message::Text { TEXT } else { THOUGHTS };
                Step::Skip(length)
            }
            Lookahead::More => Step::More,
            Lookahead::No => Step::Prose(text.chars().next().map_or(0, char::len_utf8)),
        }
    }

    fn call<'a>(&self, state: &mut EngineState, text: &'a str, context: Context<'_>) -> Step<'a> {
        let name = || text[state.name.clone()].to_owned();
        if state.span.is_none() {
            let (space, all) = skip_space(&text[state.at..]);
            let at = state.at + space;
            if all {
                return if context.end { Step::Cut(Some(name())) } else { Step::More };
            }
            if !text[at..].starts_with('{') {
                return Step::Broken(at, ProblemKind::Malformed, Some(name()));
            }
            state.value = at;
            state.span = Some(Span::new(at));
        }
        let end = match state.span.as_mut().map_or(SpanEnd::NotYet, |span| span.feed(text)) {
            SpanEnd::At(end) => end,
            SpanEnd::Never(end) => return Step::Broken(end, ProblemKind::Malformed, Some(name())),
            SpanEnd::NotYet if context.end => return Step::Cut(Some(name())),
            SpanEnd::NotYet => return Step::More,
        };
        let source = &text[state.value..end];
        let end = end + closers(&text[end..]);
        let (space, all) = skip_space(&text[end..]);
        if all && !context.end {
            return Step::More;
        }
        let mut after = end;
        for word in self.ends {
            match find(mark(word), &text[end + space..], context.end) {
                Lookahead::Yes((), length) if !self.next.contains(word) => after = end + space + length,
                Lookahead::More if !all => return Step::More,
                _ => {}
            }
        }
        match crate::json::read(source) {
            Some((value, leniencies)) => {
                let call = RawCall::new(&text[state.name.clone()], Body::Value(value)).leniencies(leniencies);
                state.next_call();
                Step::Calls(after, vec![call])
            }
            None => Step::Broken(after, ProblemKind::Malformed, Some(name())),
        }
    }

    /// A body that is no call streams on until a word ends it.
    fn body<'a>(&self, state: &mut EngineState, text: &'a str, context: Context<'_>) -> Step<'a> {
        let pass =
            |length: usize| if state.stage == TEXT { Step::Text(length) } else { Step::Reasoning(length) };
        let mut at = 0;
        while let Some(found) = memchr::memchr(b'<', &text.as_bytes()[at..]) {
            at += found;
            let rest = &text[at..];
            for word in self.ends {
                match find(mark(word), rest, context.end) {
                    Lookahead::Yes((), length) => {
                        return match () {
                            () if at > 0 => pass(at),
                            () if self.next.contains(word) => Step::End(0),
                            () => Step::End(length),
                        };
                    }
                    Lookahead::More => return if at > 0 { pass(at) } else { Step::More },
                    Lookahead::No => {}
                }
            }
            at += 1;
        }
        match () {
            () if !text.is_empty() => pass(text.len()),
            () if context.end => Step::End(0),
            () => Step::More,
        }
    }
}
