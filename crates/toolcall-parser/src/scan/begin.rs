//! What begins at a place in prose.

use super::mode::Mode;
use crate::grammar::Row;
use crate::json::Span;
use crate::lex::{MAX_SPACE, is_space};
use crate::prose::{self, CodeSpan, Line};

/// Words whose last character is what the scan stops at; so much of one must stay in reach.
const LEAD_INS: [&str; 3] = ["functools", "function call", "to"];
/// What begins at a place.
pub(super) enum Begin {
    No,
    /// More text will tell.
    Wait,
    /// This many bytes mean nothing.
    Markup(usize),
    /// Another mode, behind this many bytes of text.
    Mode(Mode, usize),
    /// A dialect, behind this many bytes of markup.
    Block(&'static Row, usize),
}

/// Whether anything begins with these two bytes: most triggers in prose are dismissed here.
pub(super) fn may_follow(trigger: u8, next: Option<u8>) -> bool {
    let Some(next) = next else { return true };
    match trigger {
        // The last is how a full-width bar begins.
        b'<' => next.is_ascii_alphanumeric() || matches!(next, b'|' | b'/' | b'_' | 0xef),
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

/// A fence or inline code.
pub(super) fn code(rest: &str, line: Line, end: bool) -> Begin {
    let (length, open) = prose::run(rest);
    if open && !end {
        return Begin::Wait;
    }
    let mark = rest.as_bytes()[0];
    if length >= 3 && line.takes_fence() {
        return Begin::Mode(Mode::CodeSpan(CodeSpan::Fence(mark, length)), length);
    }
    if mark == b'`' { Begin::Mode(Mode::CodeSpan(CodeSpan::Inline(length)), length) } else { Begin::No }
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
