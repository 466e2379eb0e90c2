//! Messages with a channel and perhaps a recipient, as gpt-oss writes them; and blocks of marked thoughts.

use super::{Context, Step, Walk, place};
use crate::json::{Ends, Span};
use crate::lex::{Found, Parsed, find, skip_space};
use crate::piece::ProblemKind;
use crate::settle::{Body, RawCall, known};

/// The words of one family.
#[derive(Debug)]
pub(crate) struct Grammar {
    /// Everything before a message's body.
    pub(crate) head: for<'a> fn(&'a str) -> Parsed<'a, Message<'a>>,
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

impl Grammar {
    pub(crate) fn step<'a>(&self, walk: &mut Walk, text: &'a str, context: Context<'_>) -> Step<'a> {
        match walk.stage {
            CALL => self.call(walk, text, context),
            TEXT | THOUGHTS => self.body(walk, text, context),
            _ => self.head(walk, text, context),
        }
    }

    fn head<'a>(&self, walk: &mut Walk, text: &'a str, context: Context<'_>) -> Step<'a> {
        if walk.made > 0 {
            return Step::End(0);
        }
        match find(self.head, text, context.end) {
            Found::Yes(Message::To(name), length) => {
                walk.name = place(text, name);
                walk.at = length;
                if !known(name, context.options) {
                    return Step::Broken(length, ProblemKind::Undeclared, Some(name.to_owned()));
                }
                walk.stage = CALL;
                self.call(walk, text, context)
            }
            Found::Yes(message, length) => {
                walk.stage = if message == Message::Text { TEXT } else { THOUGHTS };
                Step::Skip(length)
            }
            Found::More => Step::More,
            Found::No => Step::Prose(text.chars().next().map_or(0, char::len_utf8)),
        }
    }

    fn call<'a>(&self, walk: &mut Walk, text: &'a str, context: Context<'_>) -> Step<'a> {
        let name = || text[walk.name.clone()].to_owned();
        if walk.span.is_none() {
            let (space, all) = skip_space(&text[walk.at..]);
            let at = walk.at + space;
            if all {
                return if context.end { Step::Cut(Some(name())) } else { Step::More };
            }
            if !text[at..].starts_with('{') {
                return Step::Broken(at, ProblemKind::Malformed, Some(name()));
            }
            walk.value = at;
            walk.span = Some(Span::new(at));
        }
        let end = match walk.span.as_mut().map_or(Ends::NotYet, |span| span.feed(text)) {
            Ends::At(end) => end,
            Ends::Never(end) => return Step::Broken(end, ProblemKind::Malformed, Some(name())),
            Ends::NotYet if context.end => return Step::Cut(Some(name())),
            Ends::NotYet => return Step::More,
        };
        let (space, all) = skip_space(&text[end..]);
        if all && !context.end {
            return Step::More;
        }
        let mut after = end;
        for word in self.ends {
            let rest = &text[end + space..];
            if rest.starts_with(word) && !self.next.contains(word) {
                after = end + space + word.len();
            } else if word.starts_with(rest) && !rest.is_empty() && !context.end {
                return Step::More;
            }
        }
        match crate::json::read(&text[walk.value..end]) {
            Some((value, overlooked)) => {
                let call = RawCall::new(&text[walk.name.clone()], Body::Value(value)).overlooked(overlooked);
                walk.next_call();
                Step::Calls(after, vec![call])
            }
            None => Step::Broken(after, ProblemKind::Malformed, Some(name())),
        }
    }

    /// A body that is no call streams on until a word ends it.
    fn body<'a>(&self, walk: &mut Walk, text: &'a str, context: Context<'_>) -> Step<'a> {
        let pass =
            |length: usize| if walk.stage == TEXT { Step::Text(length) } else { Step::Reasoning(length) };
        let mut at = 0;
        while let Some(found) = memchr::memchr(b'<', &text.as_bytes()[at..]) {
            at += found;
            let rest = &text[at..];
            for word in self.ends {
                if rest.starts_with(word) {
                    return match () {
                        () if at > 0 => pass(at),
                        () if self.next.contains(word) => Step::End(0),
                        () => Step::End(word.len()),
                    };
                }
                if word.starts_with(rest) && !context.end {
                    return if at > 0 { pass(at) } else { Step::More };
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
