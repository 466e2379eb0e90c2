//! The loop over the modes, and what begins in prose.

use super::Parser;
use super::begin::{Begin, CodeKind, code, data, escaped_tag, lead, lead_in, list_data, may_follow};
use super::mode::{Mode, Next, Standing};
use super::out::Out;
use super::table::Table;
use super::trial::{Follows, Trial, Verdict};
use crate::context::code::CodeSpan;
use crate::context::tags::Tag;
use crate::context::{Hidden, Stand, TextContext};
use crate::dialect::Dialect;
use crate::grammar::{Row, STRAYS, may_be_stray, tool_close};
use crate::lex::{Lookahead, any_of, find, is_bar, is_space};
use crate::options::Trust;
use crate::piece::Event;
use crate::prose::{self, Line};

/// Tags around thoughts that a server left in the text.
const REASONING_TAGS: [(&str, &str); 4] = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<|open|>think<|sep|>", "<|close|>think<|sep|>"),
    ("<|plamo:begin_think:plamo|>", "<|plamo:end_think:plamo|>"),
];

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
    pub(super) context: TextContext,
    pub(super) standing: Standing,
    reading: Reading,
    /// A tag was made none with an invisible character in it: the text talks of markup, and what has no marker is no call.
    escaped: bool,
    pub(super) out: Out,
}

/// To whom what is read goes.
#[derive(Debug)]
enum Reading {
    /// To the caller.
    Handing,
    /// To the caller, once a block has been read ahead by this machine.
    Trying(Box<Machine>, Trial),
    /// To another machine, which reads ahead.
    Ahead,
}

impl Machine {
    pub(super) fn new(parser: Parser) -> Self {
        let out = Out::new(parser.options().limits.calls);
        Self {
            parser,
            mode: Mode::Prose,
            line: Line::default(),
            context: TextContext::default(),
            standing: Standing::Taken,
            escaped: false,
            reading: Reading::Handing,
            out,
        }
    }

    /// Whether the text so far ends inside a block.
    pub(super) fn in_block(&self) -> bool {
        match self.mode {
            Mode::Block(..) => self.standing != Standing::Quoted,
            Mode::Trial(..) => true,
            _ => false,
        }
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
                    let hidden = span.hidden();
                    let passed = span.pass(rest, self.line.is_empty(), end);
                    self.shown(passed, hidden, rest, sink)
                }
                Mode::Tag(tag) => {
                    let passed = tag.pass(rest, end);
                    self.shown(passed, Hidden::Inline, rest, sink)
                }
                Mode::Data(_) => self.data(rest, sink),
                Mode::InventedResult(close) => {
                    let close = *close;
                    self.invented_result(close, rest, end, sink)
                }
                Mode::Escaped => {
                    self.escaped = true;
                    self.mode = Mode::Prose;
                    Next::On(0)
                }
                Mode::Thoughts { .. } => self.thoughts(rest, end, sink),
                Mode::Block(..) => self.block(rest, end, sink),
                Mode::Trial(..) => self.trial(rest, end),
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
        self.context.pass(text);
        self.out.text(text, sink);
    }

    /// Text in which nothing begins.
    pub(super) fn hidden(&mut self, text: &str, hidden: Hidden, sink: &mut dyn FnMut(Event<'_>)) {
        if !text.is_empty() {
            self.line.pass(text);
            self.context.hide(text, hidden);
            self.out.text(text, sink);
        }
    }

    /// So much of the text is hidden, and whether that is all.
    fn shown(
        &mut self,
        (length, over): (usize, bool),
        hidden: Hidden,
        text: &str,
        sink: &mut dyn FnMut(Event<'_>),
    ) -> Next {
        if over {
            self.mode = Mode::Prose;
        }
        self.hidden(&text[..length], hidden, sink);
        if over { Next::On(length) } else { Next::Wait(length) }
    }

    /// What follows stands as at the beginning of a text.
    pub(super) fn start(&mut self) {
        self.line = Line::default();
        self.context.start();
    }

    /// The mode for a block that begins here, as it stands.
    fn begin_block(&mut self, row: &'static Row, lead: usize) {
        let alone = self.parser.options().trust == Trust::Alone;
        let ahead = matches!(self.reading, Reading::Ahead);
        let follows = match self.context.stand(Table::marker(row)) {
            Stand::Bare if alone && !ahead => Some(Follows::TextEnd),
            Stand::Bare => None,
            Stand::Behind if !ahead => Some(if alone { Follows::TextEnd } else { Follows::LineEnd }),
            Stand::Behind | Stand::Quoted => {
                self.standing = Standing::Quoted;
                self.mode = Mode::Block(row, Box::default(), lead);
                return;
            }
        };
        self.standing = Standing::Taken;
        self.mode = Mode::Block(row, Box::default(), lead);
        if let Some(follows) = follows {
            let mut machine = Self::new(self.parser.clone());
            machine.reading = Reading::Ahead;
            machine.mode = std::mem::replace(&mut self.mode, Mode::Trial(row, lead));
            self.reading = Reading::Trying(Box::new(machine), Trial::new(follows));
        }
    }

    /// A block is read ahead, without a word to the caller, and read again once it is clear what it is.
    fn trial(&mut self, text: &str, end: bool) -> Next {
        let (Mode::Trial(row, lead), Reading::Trying(machine, trial)) = (&self.mode, &mut self.reading)
        else {
            return Next::Wait(0);
        };
        let too_long = text.len() > self.parser.options().limits.call_bytes;
        if !too_long {
            let read = machine.run(&text[trial.done..], end, &mut |event| trial.take(&event));
            trial.done += read;
            if end {
                machine.out.finish(&mut |event| trial.take(&event));
            }
        }
        let verdict = if too_long { Some(Verdict::Prose) } else { trial.verdict(end) };
        self.standing = match verdict {
            Some(Verdict::Calls) => Standing::Taken,
            Some(Verdict::Broken) => Standing::Broken,
            Some(Verdict::Prose) => Standing::Quoted,
            None => return Next::Wait(0),
        };
        self.mode = Mode::Block(row, Box::default(), *lead);
        self.reading = Reading::Handing;
        Next::On(0)
    }

    /// Looks for the next place where something begins.
    fn prose(&mut self, text: &str, end: bool, sink: &mut dyn FnMut(Event<'_>)) -> Next {
        let mut passed = 0;
        let mut line = self.line;
        let mut from = 0;
        while let Some(at) = prose::next_trigger(text, from, self.parser.0.table.extra) {
            if !may_follow(text.as_bytes()[at], text.as_bytes().get(at + 1).copied())
                && lead(text, at, self.parser.options()).is_none()
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
                Begin::Stray(length) => {
                    self.text(&text[..start], sink);
                    self.out.stray(&text[start..start + length], sink);
                    return Next::On(start + length);
                }
                Begin::Code(mark, length, kind) => {
                    self.text(&text[..start], sink);
                    let span = match kind {
                        CodeKind::Fence => CodeSpan::Fence(self.context.fence(mark, length)),
                        CodeKind::Inline => CodeSpan::Inline(length),
                    };
                    self.hidden(&text[start..start + length], span.hidden(), sink);
                    self.mode = Mode::CodeSpan(span);
                    return Next::On(start + length);
                }
                Begin::Tag(tag, length) => {
                    self.text(&text[..start], sink);
                    self.hidden(&text[start..start + length], Hidden::Inline, sink);
                    self.mode = Mode::Tag(tag);
                    return Next::On(start + length);
                }
                Begin::Mode(mode, length) => {
                    self.text(&text[..start], sink);
                    if length > 0 {
                        self.text(&text[start..start + length], sink);
                    }
                    if matches!(mode, Mode::Thoughts { .. }) {
                        self.start();
                    }
                    self.mode = mode;
                    return Next::On(start + length);
                }
                Begin::Block(row, length) => {
                    self.text(&text[..start], sink);
                    self.begin_block(row, length);
                    return Next::On(start);
                }
            }
        }
        let keep = if end { 0 } else { lead_in(text, self.line, self.parser.options()) };
        self.text(&text[..text.len() - keep], sink);
        Next::Wait(text.len() - keep)
    }

    /// What begins at this trigger, and where it really begins.
    fn begins(&self, text: &str, at: usize, line: Line, end: bool) -> (usize, Begin) {
        let rest = &text[at..];
        let byte = rest.as_bytes()[0];
        if matches!(byte, b'`' | b'~') {
            let fence = self.row(b'`', rest, line, end);
            let code = || code(rest, &text[..at], &self.context, end);
            return (at, if matches!(fence, Begin::No) { code() } else { fence });
        }
        if let Some((start, trigger)) = lead(text, at, self.parser.options()) {
            let line = self.line_before(text, start);
            let begin = if line.in_word() { Begin::No } else { self.row(trigger, &text[start..], line, end) };
            if !matches!(begin, Begin::No) {
                return (start, begin);
            }
        }
        if byte == b'<' {
            match escaped_tag(rest, end) {
                Lookahead::Yes((), length) => return (at, Begin::Mode(Mode::Escaped, length)),
                Lookahead::More => return (at, Begin::Wait),
                Lookahead::No => {}
            }
        }
        let begin = self.row(byte, rest, line, end);
        if !matches!(begin, Begin::No) {
            return (at, begin);
        }
        let begin = match byte {
            b'<' => self.tag(text, at, line, end),
            b'[' | b']' => self.stray(text, at, line, end),
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
            if self.escaped && row.is_bare() {
                continue;
            }
            if !Table::may_begin(row, line) {
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

    fn tag(&self, text: &str, at: usize, line: Line, end: bool) -> Begin {
        let rest = &text[at..];
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
        let stray = self.stray(text, at, line, end);
        if !matches!(stray, Begin::No) {
            return stray;
        }
        match Tag::opens(rest, || self.context.takes_fence(&text[..at]), end) {
            Lookahead::Yes(tag, length) => Begin::Tag(tag, length),
            Lookahead::More => Begin::Wait,
            Lookahead::No => Begin::No,
        }
    }

    /// A mark without a meaning of its own. Right behind a call it means nothing, whichever dialect has it.
    fn stray(&self, text: &str, at: usize, line: Line, end: bool) -> Begin {
        let rest = &text[at..];
        let after_call = self.out.is_after_call() && text[..at].trim_start_matches(is_space).is_empty();
        if self.out.seen(Dialect::ToolTag) && after_call {
            match find(|input| tool_close(input, self.parser.options()), rest, end) {
                Lookahead::Yes((), length) => return Begin::Markup(length),
                Lookahead::More => return Begin::Wait,
                Lookahead::No => {}
            }
        }
        if self.parser.options().tools.is_empty() || !may_be_stray(rest) {
            return Begin::No;
        }
        for strays in STRAYS {
            let used = self.parser.options().hint == Some(strays.dialect)
                || self.out.seen(strays.dialect)
                || after_call;
            match find(|input| strays.find(input), rest, end) {
                Lookahead::Yes((), length) if used || strays.frames(&rest[..length]) => {
                    return Begin::Markup(length);
                }
                // Words of tags are words of prose too, where they do not stand by themselves.
                Lookahead::Yes((), length) if line.is_blank() || rest[..length].contains(is_bar) => {
                    return Begin::Stray(length);
                }
                Lookahead::More => return Begin::Wait,
                Lookahead::Yes(..) | Lookahead::No => {}
            }
        }
        Begin::No
    }
}
