//! Regions that are no block: data, thoughts between tags, results that a model invents.

use super::begin::Begin;
use super::machine::Machine;
use super::mode::{Mode, Next};
use crate::context::Hidden;
use crate::json::SpanEnd;
use crate::piece::Event;
use crate::prose;

impl Machine {
    pub(super) fn invented_result(
        &mut self,
        close: &'static str,
        text: &str,
        end: bool,
        sink: &mut dyn FnMut(Event<'_>),
    ) -> Next {
        let length = match memchr::memmem::find(text.as_bytes(), close.as_bytes()) {
            Some(found) => {
                self.mode = Mode::Prose;
                found + close.len()
            }
            None if end => text.len(),
            None => back(text, close.len()),
        };
        self.out.markup(&text[..length], sink);
        if matches!(self.mode, Mode::Prose) { Next::On(length) } else { Next::Wait(length) }
    }

    pub(super) fn data(&mut self, text: &str, sink: &mut dyn FnMut(Event<'_>)) -> Next {
        let Mode::Data(span) = &mut self.mode else { return Next::Wait(0) };
        // Data has no blank lines; what has is a brace in prose. A line break at the end may be half of one.
        let blank = memchr::memmem::find(text.as_bytes(), b"\n\n");
        let certain = blank.unwrap_or(text.len() - usize::from(text.ends_with('\n')));
        let length = match (span.feed(&text[..certain]), blank) {
            (SpanEnd::At(length), _) => length,
            (SpanEnd::Never(length), _) => {
                (length..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())
            }
            (SpanEnd::NotYet, Some(blank)) => blank,
            (SpanEnd::NotYet, None) => {
                span.shift(certain);
                self.hidden(&text[..certain], Hidden::Inline, sink);
                return Next::Wait(certain);
            }
        };
        self.mode = Mode::Prose;
        self.hidden(&text[..length], Hidden::Inline, sink);
        Next::On(length)
    }

    pub(super) fn thoughts(&mut self, text: &str, end: bool, sink: &mut dyn FnMut(Event<'_>)) -> Next {
        let Mode::Thoughts { close, held, at } = &mut self.mode else { return Next::Wait(0) };
        let close = *close;
        if let Some(found) = memchr::memmem::find(&text.as_bytes()[*at..], close.as_bytes()) {
            let length = *at + found + close.len();
            self.mode = Mode::Prose;
            self.text(&text[..length], sink);
            self.start();
            return Next::On(length);
        }
        if *held {
            if end || text.len() > self.parser.options().limits.call_bytes {
                // They were never closed: what looked like a call is one.
                self.mode = Mode::Prose;
                return Next::On(0);
            }
            *at = back(text, close.len());
            return Next::Wait(0);
        }
        // The first thing that may be a call, or the beginning of the closing tag.
        let mut line = self.line;
        let (mut passed, mut from) = (0, 0);
        while let Some(at) = prose::next_trigger(text, from, None) {
            line.pass(&text[passed..at]);
            passed = at;
            let rest = &text[at..];
            let begins = self.row(rest.as_bytes()[0], rest, line, end);
            if !matches!(begins, Begin::No) || (close.starts_with(rest) && !end) {
                if matches!(begins, Begin::Block(..)) {
                    self.mode = Mode::Thoughts { close, held: true, at: 0 };
                }
                self.text(&text[..at], sink);
                return if matches!(self.mode, Mode::Thoughts { held: true, .. }) {
                    Next::On(at)
                } else {
                    Next::Wait(at)
                };
            }
            from = at + 1;
        }
        self.text(text, sink);
        Next::Wait(text.len())
    }
}

/// A place from which a word that is cut at the end would be found whole.
fn back(text: &str, word: usize) -> usize {
    let mut at = text.len().saturating_sub(word - 1);
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
