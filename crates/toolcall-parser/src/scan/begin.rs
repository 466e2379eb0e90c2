//! What begins at a place in prose.

use super::mode::Mode;
use crate::context::TextContext;
use crate::context::code::{self, MIN_FENCE};
use crate::context::tags::Tag;
use crate::grammar::{LEFTOVER_HEADS, NAME, Row};
use crate::json::Span;
use crate::lex::{Lookahead, MAX_NAME, MAX_SPACE, is_name, is_space};
use crate::options::Options;
use crate::prose::Line;
use crate::settle::known;

/// Words whose last character is what the scan stops at; so much of one must stay in reach.
const LEAD_INS: [&str; 2] = ["functools", "function call"];
/// The longest of these words and of the heads that Harmony leaves over.
const MAX_LEAD_IN: usize = 25;
/// The most white space between a name and the mark behind it.
const MAX_GAP: usize = 4;

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
    /// The same, of a dialect that is not known to be in use.
    Stray(usize),
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
        // The last are how bars of other alphabets begin.
        b'<' => {
            next.is_ascii_alphanumeric()
                || matches!(next, b'|' | b'/' | b'_' | b'!' | b' ' | 0xc2 | 0xc7 | 0xe2 | 0xef)
        }
        b'[' => {
            next.is_ascii_alphanumeric() || next.is_ascii_whitespace() || matches!(next, b'{' | b'/' | b'_')
        }
        b'{' => next.is_ascii_whitespace() || matches!(next, b'"' | b'\''),
        b']' => next == b'<',
        _ => true,
    }
}

/// Where the word begins whose end a trigger is, and the byte its row is found under.
pub(super) fn lead(text: &str, at: usize, options: &Options) -> Option<(usize, u8)> {
    let before = &text[..at];
    let words: &[&str] = match text.as_bytes()[at] {
        b'{' => &["functools"],
        b'[' => &["functools"],
        b'<' => &["function call", "function"],
        b'=' => &LEFTOVER_HEADS,
        _ => return None,
    };
    if let Some(word) = words.iter().find(|word| before.ends_with(**word)) {
        let trigger = if word.starts_with('f') { b'f' } else { b't' };
        return Some((at - word.len(), trigger));
    }
    // A tool's name before a mark that follows such a name.
    let name = last_name(before)?;
    is_lead_name(name, options).then_some((name_start(before, name), NAME))
}

/// The name at the end of a text, white space behind it aside.
fn last_name(text: &str) -> Option<&str> {
    let end = text.trim_end_matches(is_space);
    if text.len() - end.len() > MAX_GAP {
        return None;
    }
    let length =
        end.chars().rev().take(MAX_NAME).take_while(|c| is_name(*c)).map(char::len_utf8).sum::<usize>();
    (length > 0).then(|| &end[end.len() - length..])
}

fn name_start(text: &str, name: &str) -> usize {
    text.trim_end_matches(is_space).len() - name.len()
}

/// A name that may stand before a mark: a tool's, as Kimi numbers it, or behind Gemma's word.
fn is_lead_name(name: &str, options: &Options) -> bool {
    known(name.strip_prefix("call:").unwrap_or(name), options)
}

/// How much of the end may be the beginning of a word that a trigger ends. `line` stands before the text.
pub(super) fn lead_in(text: &str, line: Line, options: &Options) -> usize {
    let bytes = text.as_bytes();
    let from = bytes.len().saturating_sub(MAX_LEAD_IN);
    let begins = |at: usize| {
        let words = || LEAD_INS.iter().chain(&LEFTOVER_HEADS);
        // The cheapest question first: within a word nothing begins.
        matches!(bytes[at], b'f' | b't' | b'a' | b'c')
            && !(at > 0 && bytes[at - 1].is_ascii_alphanumeric())
            && words().any(|word| word.as_bytes().starts_with(&bytes[at..]))
            && !line_at(text, at, line).in_word()
    };
    let word = (from..bytes.len()).find(|at| begins(*at)).map_or(0, |at| bytes.len() - at);
    word.max(lead_name(text, line, options))
}

/// The line's state at a place of a text before which `line` stands.
fn line_at(text: &str, at: usize, line: Line) -> Line {
    let mut line = line;
    line.pass(&text[..at]);
    line
}

/// The same for a name at the start of a line.
fn lead_name(text: &str, line: Line, options: &Options) -> usize {
    if !line.is_blank() && memchr::memchr(b'\n', text.as_bytes()).is_none() {
        return 0;
    }
    let Some(name) = last_name(text) else { return 0 };
    let start = name_start(text, name);
    if !line_at(text, start, line).is_blank() || options.tools.is_empty() {
        return 0;
    }
    let whole = start + name.len() == text.len();
    let bare = name.strip_prefix("call:").or_else(|| name.strip_prefix("functions")).unwrap_or(name);
    let begins = whole
        && (options
            .tools
            .iter()
            .any(|tool| tool.name().starts_with(bare.trim_start_matches(['.', '_', ':', '/'])))
            || "functions".starts_with(name)
            || "call:".starts_with(name));
    if begins || is_lead_name(name, options) || is_numbered(name, options) { text.len() - start } else { 0 }
}

/// `functions.name:` before its number.
fn is_numbered(name: &str, options: &Options) -> bool {
    name.starts_with("functions") && known(name.trim_end_matches([':', '_', '.']), options)
}

/// The longest tag that is looked through for an invisible character, in bytes.
const MAX_ESCAPED: usize = 64;

/// A tag with a zero-width character in it, as those write it who do not want it to be read as one.
pub(super) fn escaped_tag(rest: &str, end: bool) -> Lookahead<()> {
    let mut hidden = false;
    for (at, c) in rest.char_indices().skip(1).take_while(|(at, _)| *at < MAX_ESCAPED) {
        match c {
            '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}' | '\u{ad}' => hidden = true,
            '>' if hidden => return Lookahead::Yes((), at + 1),
            '>' | '<' | '\n' | '"' | '{' => return Lookahead::No,
            _ => {}
        }
    }
    if hidden && !end && rest.len() < MAX_ESCAPED { Lookahead::More } else { Lookahead::No }
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
