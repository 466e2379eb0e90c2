//! The loop over the modes, and what begins in prose.

use super::Parser;
use super::begin::{Begin, code, data, lead, lead_in, list_data, may_follow};
use super::mode::{Mode, Next};
use super::out::Out;
use super::table::Table;
use crate::engine::EngineState;
use crate::grammar::STRAYS;
use crate::lex::{Lookahead, any_of, find};
use crate::piece::Event;
use crate::prose::{self, Line};

/// Tags around thoughts that a server left in the text.
const REASONING_TAGS: [(&str, &str); 2] = [("<think>", "</think>"), ("<thinking>", "</thinking>")];

/// Tags around results that a model invents for its own calls.
const INVENTED_RESULT_TAGS: [(&str, &str); 4] = [
    ("<function_results>", "</function_results>"),
    ("<function_response>", "</function_response>"),
    ("<tool_response>", "</tool_response>"),
    ("<tool_result>", "</tool_result>"),
];

/// How often modes may hand over to each other at one place.
const MAX_IDLE: usize = 16;

#[derive(Debug)]
pub(super) struct Machine {
    pub(super) parser: Parser,
    pub(super) mode: Mode,
    pub(super) line: Line,
    /// The block's last call was refused and is text: so is the markup that closes it.
    pub(super) refused: bool,
    pub(super) out: Out,
}

impl Machine {
    pub(super) fn new(parser: Parser) -> Self {
        let out = Out::new(parser.options().limits.calls);
        Self { parser, mode: Mode::Prose, line: Line::default(), refused: false, out }
    }

    /// Whether the text so far ends inside a block.
    pub(super) fn in_block(&self) -> bool {
        matches!(self.mode, Mode::Block(..))
    }

    /// Reads on. Returns how much of the text is settled; the rest has to be there again next time.
    pub(super) fn run(&mut self, text: &str, end: bool, sink: &mut dyn FnMut(Event<'_>)) -> usize {
        let mut at = 0;
        let mut idle = 0;
        loop {
            let rest = &text[at..];
            if rest.is_empty() && !(end && matches!(self.mode, Mode::Block(..))) {
                return at;
            }
            let next = match &mut self.mode {
                Mode::Prose => self.prose(rest, end, sink),
                Mode::CodeSpan(span) => {
                    let (length, over) = span.pass(rest, self.line, end);
                    if over {
                        self.mode = Mode::Prose;
                    }
                    self.text(&rest[..length], sink);
                    if over { Next::On(length) } else { Next::Wait(length) }
                }
                Mode::Data(_) => self.data(rest, sink),
                Mode::InventedResult(close) => {
                    let close = *close;
                    self.invented_result(close, rest, end, sink)
                }
                Mode::Thoughts { .. } => self.thoughts(rest, end, sink),
                Mode::Block(..) => self.block(rest, end, sink),
                Mode::Resync(row) => {
                    let row = *row;
                    self.resync(row, rest, end, sink)
                }
            };
            match next {
                Next::On(0) => {
                    // No mode hands over to another without an end; should two ever do so, text is text.
                    idle += 1;
                    if idle > MAX_IDLE {
                        let length = rest.chars().next().map_or(0, char::len_utf8);
                        self.mode = Mode::Prose;
                        self.text(&rest[..length], sink);
                        at += length;
                    }
                }
                Next::On(length) => {
                    idle = 0;
                    at += length;
                }
                Next::Wait(length) => {
                    at += length;
                    if end && at < text.len() {
                        // Nothing more will come to decide it.
                        self.text(&text[at..], sink);
                        at = text.len();
                    }
                    return at;
                }
            }
        }
    }

    pub(super) fn text(&mut self, text: &str, sink: &mut dyn FnMut(Event<'_>)) {
        self.line.pass(text);
        self.out.text(text, sink);
    }

    /// Looks for the next place where something begins.
    fn prose(&mut self, text: &str, end: bool, sink: &mut dyn FnMut(Event<'_>)) -> Next {
        let mut passed = 0;
        let mut line = self.line;
        let mut from = 0;
        while let Some(at) = prose::next_trigger(text, from, self.parser.0.table.extra) {
            if !may_follow(text.as_bytes()[at], text.as_bytes().get(at + 1).copied())
                && lead(text, at).is_none()
            {
                from = at + 1;
                continue;
            }
            line.pass(&text[passed..at]);
            passed = at;
            let (start, found) = self.begins(text, at, line, end);
            match found {
                Begin::No => from = at + 1,
                Begin::Wait => {
                    self.text(&text[..start], sink);
                    return Next::Wait(start);
                }
                Begin::Markup(length) => {
                    self.text(&text[..start], sink);
                    self.out.markup(&text[start..start + length], sink);
                    return Next::On(start + length);
                }
                Begin::Mode(mode, length) => {
                    self.text(&text[..start], sink);
                    if length > 0 {
                        self.text(&text[start..start + length], sink);
                    }
                    self.mode = mode;
                    return Next::On(start + length);
                }
                Begin::Block(row, length) => {
                    self.text(&text[..start], sink);
                    self.mode = Mode::Block(row, EngineState::default(), length);
                    self.refused = false;
                    return Next::On(start);
                }
            }
        }
        let keep = if end { 0 } else { lead_in(text, self.line) };
        self.text(&text[..text.len() - keep], sink);
        Next::Wait(text.len() - keep)
    }

    /// What begins at this trigger, and where it really begins.
    fn begins(&self, text: &str, at: usize, line: Line, end: bool) -> (usize, Begin) {
        let rest = &text[at..];
        let byte = rest.as_bytes()[0];
        if matches!(byte, b'`' | b'~') {
            let fence = self.row(b'`', rest, line, end);
            return (at, if matches!(fence, Begin::No) { code(rest, line, end) } else { fence });
        }
        if let Some((start, trigger)) = lead(text, at) {
            let line = self.line_before(text, start);
            let begin = if line.in_word() { Begin::No } else { self.row(trigger, &text[start..], line, end) };
            if !matches!(begin, Begin::No) {
                return (start, begin);
            }
        }
        let begin = self.row(byte, rest, line, end);
        if !matches!(begin, Begin::No) {
            return (at, begin);
        }
        let begin = match byte {
            b'<' => self.tag(rest, end),
            b'[' | b']' => self.stray(rest, end),
            b'{' => data(rest, end),
            _ => Begin::No,
        };
        let begin = if byte == b'[' && matches!(begin, Begin::No) { list_data(rest, end) } else { begin };
        (at, begin)
    }

    /// The line's state at a place of the text.
    fn line_before(&self, text: &str, at: usize) -> Line {
        let mut line = self.line;
        line.pass(&text[..at]);
        line
    }

    /// The first row that begins here.
    pub(super) fn row(&self, trigger: u8, rest: &str, line: Line, end: bool) -> Begin {
        for row in self.parser.0.table.rows(trigger) {
            if !Table::may_begin(row, line) {
                // What stands in quotes is quoted whole.
                if line.after_quote() && Table::may_begin(row, line.unquoted()) {
                    match Table::opens(row, rest, self.parser.options(), end) {
                        Lookahead::Yes((), length) => return Begin::Mode(Mode::Resync(row), length.max(1)),
                        Lookahead::More => return Begin::Wait,
                        Lookahead::No => {}
                    }
                }
                continue;
            }
            match Table::opens(row, rest, self.parser.options(), end) {
                Lookahead::Yes((), length) => return Begin::Block(row, length),
                Lookahead::More => return Begin::Wait,
                Lookahead::No => {}
            }
        }
        Begin::No
    }

    fn tag(&self, rest: &str, end: bool) -> Begin {
        for (open, close) in REASONING_TAGS {
            match find(|input| any_of(&[open], input), rest, end) {
                Lookahead::Yes((), length) => {
                    return Begin::Mode(Mode::Thoughts { close, held: false, at: 0 }, length);
                }
                Lookahead::More => return Begin::Wait,
                Lookahead::No => {}
            }
        }
        for (open, close) in INVENTED_RESULT_TAGS.into_iter().filter(|_| self.out.has_called()) {
            match find(|input| any_of(&[open], input), rest, end) {
                Lookahead::Yes(..) => return Begin::Mode(Mode::InventedResult(close), 0),
                Lookahead::More => return Begin::Wait,
                Lookahead::No => {}
            }
        }
        self.stray(rest, end)
    }

    /// A token without a meaning of its own, of a dialect that is in use.
    fn stray(&self, rest: &str, end: bool) -> Begin {
        for (dialect, words) in STRAYS {
            if self.parser.options().hint != Some(*dialect) && !self.out.seen(*dialect) {
                continue;
            }
            match find(|input| any_of(words, input), rest, end) {
                Lookahead::Yes((), length) => return Begin::Markup(length),
                Lookahead::More => return Begin::Wait,
                Lookahead::No => {}
            }
        }
        Begin::No
    }
}
