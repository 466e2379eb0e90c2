//! What begins at a place in prose.

use super::mode::Mode;
use crate::context::TextContext;
use crate::context::code::{self, MIN_FENCE};
use crate::context::tags::Tag;
use crate::grammar::Row;
use crate::json::Span;
use crate::lex::{MAX_SPACE, is_space};
use crate::prose::Line;

/// Words whose last character is what the scan stops at; so much of one must stay in reach.
const LEAD_INS: [&str; 3] = ["functools", "function call", "to"];
/// What begins at a place.
pub(super) enum Begin {
    No,
    /// More text will tell.
    Wait,
    /// This many bytes mean nothing.
    Markup(usize),
    /// A run of this character and length, which begins a fence or inline code.
    Code(u8, usize, CodeKind),
    /// A tag that shows what is in it, and the length of its opening.
    Tag(Tag, usize),
    /// Another mode, behind this many bytes of text.
    Mode(Mode, usize),
    /// A dialect, behind this many bytes of markup.
    Block(&'static Row, usize),
}

/// What a run of fence characters begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CodeKind {
    Fence,
    Inline,
}

/// Whether anything begins with these two bytes: most triggers in prose are dismissed here.
pub(super) fn may_follow(trigger: u8, next: Option<u8>) -> bool {
    let Some(next) = next else { return true };
    match trigger {
        // The last is how a full-width bar begins.
        b'<' => next.is_ascii_alphanumeric() || matches!(next, b'|' | b'/' | b'_' | b'!' | 0xef),
        b'[' => {
            next.is_ascii_alphanumeric() || next.is_ascii_whitespace() || matches!(next, b'{' | b'/' | b'_')
        }
        b'{' => next.is_ascii_whitespace() || matches!(next, b'"' | b'\''),
        b']' => next == b'<',
        _ => true,
    }
}

/// Where the word begins whose end a trigger is, and the byte its row is found under.
pub(super) fn lead(text: &str, at: usize) -> Option<(usize, u8)> {
    let word = match text.as_bytes()[at] {
        b'[' | b'{' => "functools",
        b'<' => "function call",
        b'=' => "to",
        _ => return None,
    };
    text[..at].ends_with(word).then(|| (at - word.len(), word.as_bytes()[0]))
}

/// How much of the end may be the beginning of a word that a trigger ends. `line` stands before the text.
pub(super) fn lead_in(text: &str, line: Line) -> usize {
    let mut longest = 0;
    for word in LEAD_INS {
        for length in 1..=word.len() {
            let Some(start) = text.len().checked_sub(length) else { break };
            if text.as_bytes()[start..] != word.as_bytes()[..length] {
                continue;
            }
            let mut line = line;
            line.pass(&text[..start]);
            if !line.in_word() {
                longest = longest.max(length);
            }
        }
    }
    longest
}

/// A fence or inline code, behind what has passed and `before`.
pub(super) fn code(rest: &str, before: &str, context: &TextContext, end: bool) -> Begin {
    let (length, open) = code::run(rest);
    if open && !end {
        return Begin::Wait;
    }
    let mark = rest.as_bytes()[0];
    let inline = if mark == b'`' { Begin::Code(mark, length, CodeKind::Inline) } else { Begin::No };
    if length < MIN_FENCE || !context.takes_fence(before) {
        return inline;
    }
    if mark == b'`' {
        // Behind a fence stands no other backtick on its line: there it would be inline code.
        let line = &rest.as_bytes()[length..rest.len().min(MAX_SPACE)];
        match memchr::memchr2(b'`', b'\n', line) {
            Some(found) if line[found] == b'`' => return inline,
            None if !end && rest.len() < MAX_SPACE => return Begin::Wait,
            _ => {}
        }
    }
    Begin::Code(mark, length, CodeKind::Fence)
}

/// An object that is no call hides what is in it.
pub(super) fn data(rest: &str, end: bool) -> Begin {
    let inside = rest[1..].trim_start_matches(is_space);
    match inside.as_bytes().first() {
        Some(b'"') => Begin::Mode(Mode::Data(Span::new(0)), 0),
        None if !end && rest.len() < MAX_SPACE => Begin::Wait,
        _ => Begin::No,
    }
}

/// The same for a list of objects.
pub(super) fn list_data(rest: &str, end: bool) -> Begin {
    let inside = rest[1..].trim_start_matches(is_space);
    match inside.as_bytes().first() {
        Some(b'{') => match data(inside, end) {
            Begin::Mode(mode, _) => Begin::Mode(mode, 0),
            other => other,
        },
        None if !end && rest.len() < MAX_SPACE => Begin::Wait,
        _ => Begin::No,
    }
}
