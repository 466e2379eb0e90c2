//! The scanner: the one place that decides how much text to hold back.

mod begin;
mod block;
mod out;
mod progress;
mod table;

use std::sync::Arc;

use crate::dialect::{Row, STRAYS};
use crate::engine::Walk;
use crate::json::{Ends, Span};
use crate::lex::{Found, any_of, find};
use crate::options::Options;
use crate::piece::{Event, Piece, PieceKind};
use crate::prose::{self, Hidden, Line};

use begin::{Begin, code, data, lead, lead_in, list_data, may_follow};
use out::Out;
use table::Table;

/// Tags around thoughts that a server left in the text.
const THINK: [(&str, &str); 2] = [("<think>", "</think>"), ("<thinking>", "</thinking>")];

/// Tags around results that a model invents for its own calls.
const INVENTED: [(&str, &str); 4] = [
    ("<function_results>", "</function_results>"),
    ("<function_response>", "</function_response>"),
    ("<tool_response>", "</tool_response>"),
    ("<tool_result>", "</tool_result>"),
];

/// How often modes may hand over to each other at one place.
const MOST_IDLE: usize = 16;

/// Reads text that still arrives.
///
/// ```
/// use toolcall_parser::{Event, Options, Scanner, Tool};
///
/// let options = Options::new([Tool::new("get_time", "{}")]);
/// let mut scanner = Scanner::new(options);
/// let mut names = Vec::new();
/// let mut sink = |event: Event<'_>| {
///     if let Event::CallEnded { call, .. } = event {
///         names.push(call.name.clone());
///     }
/// };
/// for piece in ["It is <tool_", "call>{\"name\":\"get_", "time\"}</tool_call>"] {
///     scanner.push(piece, &mut sink);
/// }
/// scanner.finish(&mut sink);
/// assert_eq!(names, ["get_time"]);
/// ```
#[derive(Debug)]
pub struct Scanner {
    /// What has arrived and is not settled.
    held: String,
    machine: Machine,
}

/// Options, prepared once for any number of texts. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Parser(Arc<Prepared>);

#[derive(Debug)]
struct Prepared {
    options: Options,
    table: Table,
}

impl Parser {
    /// Prepares the options.
    pub fn new(options: Options) -> Self {
        let table = Table::new(&options);
        Self(Arc::new(Prepared { options, table }))
    }

    /// What was prepared.
    pub fn options(&self) -> &Options {
        &self.0.options
    }

    /// A scanner for one text.
    pub fn scanner(&self) -> Scanner {
        Scanner { held: String::new(), machine: Machine::new(self.clone()) }
    }
}

/// Reads a whole text.
pub fn parse(text: &str, options: &Options) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut at = 0;
    let mut sink = |event: Event<'_>| {
        let (text, kind) = match event {
            Event::Text(text) => (text, PieceKind::Text),
            Event::Reasoning(text) => (text, PieceKind::Reasoning),
            Event::Markup(text) => (text, PieceKind::Markup),
            Event::CallEnded { call, text, .. } => (text, PieceKind::Call(call.clone())),
            Event::Request { request, text } => (text, PieceKind::Request(request.clone())),
            Event::Cut { problem, text } => (text, PieceKind::Cut(problem.clone())),
            Event::CallStarted { .. }
            | Event::CallArguments { .. }
            | Event::CallRefused { .. }
            | Event::Problem(_) => return,
        };
        let span = at..at + text.len();
        at = span.end;
        let joins = matches!(kind, PieceKind::Text | PieceKind::Reasoning | PieceKind::Markup);
        match pieces.last_mut() {
            Some(last) if joins && last.kind == kind => last.span.end = span.end,
            _ => pieces.push(Piece { span, kind }),
        }
    };
    let mut machine = Machine::new(Parser::new(options.clone()));
    machine.run(text, true, &mut sink);
    machine.out.finish(&mut sink);
    pieces
}

impl Scanner {
    /// A scanner for one text. For many texts with the same tools, [`Parser::scanner`] does the preparation once.
    pub fn new(options: Options) -> Self {
        Parser::new(options).scanner()
    }

    /// Takes the next piece of the text. What is certain goes to the sink at once.
    pub fn push(&mut self, text: &str, sink: &mut dyn FnMut(Event<'_>)) {
        if self.held.is_empty() {
            let done = self.machine.run(text, false, sink);
            self.held.push_str(&text[done..]);
        } else {
            self.held.push_str(text);
            let done = self.machine.run(&self.held, false, sink);
            self.held.drain(..done);
        }
    }

    /// Takes the end of the text.
    pub fn finish(&mut self, sink: &mut dyn FnMut(Event<'_>)) {
        let held = std::mem::take(&mut self.held);
        self.machine.run(&held, true, sink);
        self.machine.out.finish(sink);
    }

    /// Whether the text so far ends inside something that may be a call.
    pub fn in_call(&self) -> bool {
        matches!(self.machine.mode, Mode::Block(..))
    }

    /// Bytes that are held back because they may still become a call.
    pub fn held(&self) -> usize {
        self.held.len() + self.machine.out.held()
    }
}

/// What the scan is in the middle of.
#[derive(Debug)]
enum Mode {
    Prose,
    Hidden(Hidden),
    /// JSON that is no call.
    Data(Span),
    /// Thoughts between tags. Once something in them looks like a call, all is held until it is clear whether they are closed.
    Thoughts {
        close: &'static str,
        held: bool,
        at: usize,
    },
    /// A block; so many bytes of markup before what its machine looks at are not handed out yet.
    Block(&'static Row, Walk, usize),
    /// Results that the model invents: nobody sees them, nothing in them is read.
    Invented(&'static str),
    /// Behind something broken: text, up to the dialect's next marker.
    Resync(&'static Row),
}

/// What to do after a look at the text.
enum Next {
    /// Go on behind these bytes.
    On(usize),
    /// Wait for more, all but these bytes.
    Wait(usize),
}

#[derive(Debug)]
struct Machine {
    parser: Parser,
    mode: Mode,
    line: Line,
    /// The block's last call was refused and is text: so is the markup that closes it.
    refused: bool,
    out: Out,
}

impl Machine {
    fn new(parser: Parser) -> Self {
        let out = Out::new(parser.options().limits.calls);
        Self { parser, mode: Mode::Prose, line: Line::default(), refused: false, out }
    }

    /// Reads on. Returns how much of the text is settled; the rest has to be there again next time.
    fn run(&mut self, text: &str, end: bool, sink: &mut dyn FnMut(Event<'_>)) -> usize {
        let mut at = 0;
        let mut idle = 0;
        loop {
            let rest = &text[at..];
            if rest.is_empty() && !(end && matches!(self.mode, Mode::Block(..))) {
                return at;
            }
            let next = match &mut self.mode {
                Mode::Prose => self.prose(rest, end, sink),
                Mode::Hidden(hidden) => {
                    let (length, over) = hidden.pass(rest, self.line, end);
                    if over {
                        self.mode = Mode::Prose;
                    }
                    self.text(&rest[..length], sink);
                    if over { Next::On(length) } else { Next::Wait(length) }
                }
                Mode::Data(_) => self.data(rest, sink),
                Mode::Invented(close) => {
                    let close = *close;
                    self.invented(close, rest, end, sink)
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
                    if idle > MOST_IDLE {
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

    fn text(&mut self, text: &str, sink: &mut dyn FnMut(Event<'_>)) {
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
                    self.mode = Mode::Block(row, Walk::default(), length);
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
    fn row(&self, trigger: u8, rest: &str, line: Line, end: bool) -> Begin {
        for row in self.parser.0.table.rows(trigger) {
            if !Table::may_begin(row, line) {
                // What stands in quotes is quoted whole.
                if line.after_quote() && Table::may_begin(row, line.unquoted()) {
                    match Table::opens(row, rest, self.parser.options(), end) {
                        Found::Yes((), length) => return Begin::Mode(Mode::Resync(row), length.max(1)),
                        Found::More => return Begin::Wait,
                        Found::No => {}
                    }
                }
                continue;
            }
            match Table::opens(row, rest, self.parser.options(), end) {
                Found::Yes((), length) => return Begin::Block(row, length),
                Found::More => return Begin::Wait,
                Found::No => {}
            }
        }
        Begin::No
    }

    fn tag(&self, rest: &str, end: bool) -> Begin {
        for (open, close) in THINK {
            match find(|input| any_of(&[open], input), rest, end) {
                Found::Yes((), length) => {
                    return Begin::Mode(Mode::Thoughts { close, held: false, at: 0 }, length);
                }
                Found::More => return Begin::Wait,
                Found::No => {}
            }
        }
        for (open, close) in INVENTED.into_iter().filter(|_| self.out.has_called()) {
            match find(|input| any_of(&[open], input), rest, end) {
                Found::Yes(..) => return Begin::Mode(Mode::Invented(close), 0),
                Found::More => return Begin::Wait,
                Found::No => {}
            }
        }
        self.stray(rest, end)
    }

    fn invented(
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

    /// A token without a meaning of its own, of a dialect that is in use.
    fn stray(&self, rest: &str, end: bool) -> Begin {
        for (dialect, words) in STRAYS {
            if self.parser.options().hint != Some(*dialect) && !self.out.seen(*dialect) {
                continue;
            }
            match find(|input| any_of(words, input), rest, end) {
                Found::Yes((), length) => return Begin::Markup(length),
                Found::More => return Begin::Wait,
                Found::No => {}
            }
        }
        Begin::No
    }

    fn data(&mut self, text: &str, sink: &mut dyn FnMut(Event<'_>)) -> Next {
        let Mode::Data(span) = &mut self.mode else { return Next::Wait(0) };
        // Data has no blank lines; what has is a brace in prose. A line break at the end may be half of one.
        let blank = memchr::memmem::find(text.as_bytes(), b"\n\n");
        let certain = blank.unwrap_or(text.len() - usize::from(text.ends_with('\n')));
        let length = match (span.feed(&text[..certain]), blank) {
            (Ends::At(length), _) => length,
            (Ends::Never(length), _) => {
                (length..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())
            }
            (Ends::NotYet, Some(blank)) => blank,
            (Ends::NotYet, None) => {
                span.shift(certain);
                self.text(&text[..certain], sink);
                return Next::Wait(certain);
            }
        };
        self.mode = Mode::Prose;
        self.text(&text[..length], sink);
        Next::On(length)
    }

    fn thoughts(&mut self, text: &str, end: bool, sink: &mut dyn FnMut(Event<'_>)) -> Next {
        let Mode::Thoughts { close, held, at } = &mut self.mode else { return Next::Wait(0) };
        let close = *close;
        if let Some(found) = memchr::memmem::find(&text.as_bytes()[*at..], close.as_bytes()) {
            let length = *at + found + close.len();
            self.mode = Mode::Prose;
            self.text(&text[..length], sink);
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
