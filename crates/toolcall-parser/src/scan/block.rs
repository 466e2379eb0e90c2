//! Inside a block, and behind a broken one.

use super::machine::Machine;
use super::mode::{Mode, Next, Standing};
use super::out::Out;
use super::progress::Progress;
use super::table::Table;
use crate::context::Hidden;
use crate::engine::{Context, Engine, EngineState, Step};
use crate::grammar::Row;
use crate::lex::{Lookahead, any_of, find};
use crate::options::Options;
use crate::piece::{Event, Problem, ProblemKind, Request};
use crate::settle::{SettledCall, settle};
use crate::shell::Shell;

/// One step of the row's engine behind what it has skipped already. Until there is a call, all of the markup may turn out to be text.
fn next_step<'t>(
    row: &Row,
    state: &mut EngineState,
    lead: &mut usize,
    text: &'t str,
    context: Context<'_>,
) -> Step<'t> {
    loop {
        match row.engine.step(state, &text[*lead..], context) {
            Step::Skip(length)
                if state.calls_read == 0
                    && matches!(row.engine, Engine::JsonList(_) | Engine::PythonCalls(_)) =>
            {
                *lead += length;
                state.restart();
            }
            step => return step,
        }
    }
}

/// One step of a block that is quoted.
struct QuotedStep<'s> {
    row: &'static Row,
    step: &'s Step<'s>,
    too_long: bool,
    /// Markup that the step does not count.
    before: usize,
    /// Nothing of the block but that is read yet.
    opened: bool,
}

impl Machine {
    /// One step of the machine that reads the block.
    pub(super) fn block(&mut self, text: &str, end: bool, sink: &mut dyn FnMut(Event<'_>)) -> Next {
        let Mode::Block(row, state, lead) = &mut self.mode else { return Next::Wait(0) };
        let row = *row;
        let parser = self.parser.clone();
        let context = Context { options: parser.options(), end };
        let step = next_step(row, state, lead, text, context);
        let before = *lead;
        let opened = state.calls_read == 0 && state.stage == 0;
        let cap = parser.options().limits.call_bytes;
        let too_long = passed(&step, text.len(), before) > cap;
        if self.standing == Standing::Quoted {
            let quoted = QuotedStep { row, step: &step, too_long, before, opened };
            return self.quoted_block(&quoted, text, sink);
        }
        if !matches!(step, Step::More | Step::Calls(..)) || too_long {
            self.out.refuse(sink);
        }
        if too_long {
            let length = whole(text, cap);
            sink(Event::Problem(&Problem { dialect: row.dialect, kind: ProblemKind::TooLarge, name: None }));
            return self.give_back(row, &text[..length], true, sink);
        }
        match step {
            Step::More => {
                announce(row, state, &text[before..], parser.options(), &mut self.out, sink);
                Next::Wait(0)
            }
            Step::Skip(length) => {
                *lead = 0;
                state.restart();
                self.out.markup(&text[..before + length], sink);
                Next::On(before + length)
            }
            Step::Text(length) => {
                state.restart();
                self.text(&text[..length], sink);
                Next::On(length)
            }
            Step::Reasoning(length) => {
                state.restart();
                self.out.reasoning(&text[..length], sink);
                Next::On(length)
            }
            Step::Calls(length, calls) => {
                *lead = 0;
                let settled =
                    calls.into_iter().map(|call| settle(parser.options(), row.dialect, call)).collect();
                self.calls(row, settled, &text[..before + length], sink)
            }
            Step::Request(length, request) => {
                *lead = 0;
                self.request(&request, &text[..before + length], sink)
            }
            Step::End(length) => self.block_ends(&text[..before + length], sink),
            Step::Skipped(length, kind, name) => {
                *lead = 0;
                self.skipped(&Problem { dialect: row.dialect, kind, name }, &text[..before + length], sink)
            }
            Step::Prose(length) => self.give_back(row, &text[..whole(text, before + length)], false, sink),
            Step::Broken(length, kind, name) => {
                let broken = &text[..whole(text, before + length)];
                let mark = if opened && name.is_none() { before } else { 0 };
                if !self.is_shown(broken) {
                    sink(Event::Problem(&Problem { dialect: row.dialect, kind, name }));
                }
                // The mark that opened the block opened nothing.
                if mark > 0 {
                    self.out.stray(&broken[..mark], sink);
                }
                self.give_back(row, &broken[mark..], true, sink);
                Next::On(broken.len())
            }
            Step::Alone => {
                let problem = Problem { dialect: row.dialect, kind: ProblemKind::Truncated, name: None };
                self.alone(&problem, text, sink)
            }
            Step::Cut(name) => self.block_cut(row, name, text, sink),
        }
    }

    /// A request that is no call.
    fn request(&mut self, request: &Request, source: &str, sink: &mut dyn FnMut(Event<'_>)) -> Next {
        if self.standing == Standing::Broken || self.is_shown(source) {
            self.hidden(source, Hidden::Inline, sink);
        } else {
            self.out.request(request, source, sink);
        }
        Next::On(source.len())
    }

    /// A call of the block is none, and the block goes on.
    fn skipped(&mut self, problem: &Problem, source: &str, sink: &mut dyn FnMut(Event<'_>)) -> Next {
        if !self.is_shown(source) {
            sink(Event::Problem(problem));
        }
        self.refused(source, sink)
    }

    /// A part of the block that is no call: it is text, and so is the markup that closes it.
    fn refused(&mut self, source: &str, sink: &mut dyn FnMut(Event<'_>)) -> Next {
        if self.standing != Standing::Broken {
            self.standing = Standing::Refused;
        }
        self.hidden(source, Hidden::Inline, sink);
        Next::On(source.len())
    }

    /// The text ended behind the mark that opened the block.
    fn alone(&mut self, problem: &Problem, mark: &str, sink: &mut dyn FnMut(Event<'_>)) -> Next {
        if !self.is_shown(mark) {
            sink(Event::Problem(problem));
        }
        self.mode = Mode::Prose;
        self.out.stray(mark, sink);
        Next::On(mark.len())
    }

    /// One step of a block that is quoted: whatever it is, it is text.
    fn quoted_block(&mut self, quoted: &QuotedStep<'_>, text: &str, sink: &mut dyn FnMut(Event<'_>)) -> Next {
        let QuotedStep { row, step, too_long, before, opened } = *quoted;
        let cap = self.parser.options().limits.call_bytes;
        let (length, over) = match *step {
            _ if too_long => (cap, Some(Mode::Resync(row))),
            Step::More => return Next::Wait(0),
            Step::Text(length) | Step::Reasoning(length) => (length, None),
            Step::Skip(length)
            | Step::Calls(length, _)
            | Step::Request(length, _)
            | Step::Skipped(length, ..) => (before + length, None),
            Step::End(length) | Step::Prose(length) => (before + length, Some(Mode::Prose)),
            Step::Broken(length, ..) => (before + length, Some(Mode::Resync(row))),
            Step::Cut(_) | Step::Alone => (text.len(), Some(Mode::Prose)),
        };
        let length = whole(text, length);
        match (over, &mut self.mode) {
            (Some(mode), _) => self.mode = mode,
            (None, Mode::Block(_, state, lead)) => {
                *lead = 0;
                if !matches!(step, Step::Calls(..) | Step::Request(..) | Step::Skipped(..)) {
                    state.restart();
                }
            }
            (None, _) => {}
        }
        // The mark that opened the block opened nothing.
        let mark = match step {
            Step::Alone => length,
            Step::Broken(_, _, None) if opened => before,
            _ => 0,
        };
        if mark > 0 {
            self.out.stray(&text[..mark], sink);
        }
        self.hidden(&text[mark..length], Hidden::Inline, sink);
        Next::On(length)
    }

    /// Hands out the calls of one piece of source; without one that may be made the source is text.
    fn calls(
        &mut self,
        row: &'static Row,
        settled: Vec<SettledCall>,
        source: &str,
        sink: &mut dyn FnMut(Event<'_>),
    ) -> Next {
        let mut settled = settled;
        if self.standing == Standing::Broken {
            settled.retain(|settled| matches!(settled, SettledCall::Refused(_)));
        }
        let taken = !self.is_echo(&settled, source) && self.out.calls(row.dialect, settled, source, sink);
        if !taken {
            self.out.refuse(sink);
            return self.refused(source, sink);
        }
        self.standing = Standing::Taken;
        self.start();
        Next::On(source.len())
    }

    /// Whether somebody else wrote one of the calls.
    fn is_echo(&self, settled: &[SettledCall], source: &str) -> bool {
        let options = self.parser.options();
        options.provenance.as_ref().is_some_and(|provenance| {
            settled.iter().any(|settled| match settled {
                SettledCall::Call(call) => {
                    let command = options.tool(&call.name).and_then(Shell::of).map(|shell| shell.key);
                    provenance.is_echo(source, call, command)
                }
                SettledCall::Request(_) | SettledCall::Refused(_) => provenance.holds(source),
            })
        })
    }

    /// Whether somebody else wrote markup that is no call.
    fn is_shown(&self, markup: &str) -> bool {
        self.parser.options().provenance.as_ref().is_some_and(|provenance| provenance.holds(markup))
    }

    /// The block's own end was read.
    fn block_ends(&mut self, source: &str, sink: &mut dyn FnMut(Event<'_>)) -> Next {
        self.mode = Mode::Prose;
        if self.standing == Standing::Taken {
            self.out.markup(source, sink);
            self.start();
        } else {
            self.hidden(source, Hidden::Inline, sink);
        }
        Next::On(source.len())
    }

    /// The text ended within a call, or within markup that names none.
    fn block_cut(
        &mut self,
        row: &'static Row,
        name: Option<String>,
        text: &str,
        sink: &mut dyn FnMut(Event<'_>),
    ) -> Next {
        let problem = Problem { dialect: row.dialect, kind: ProblemKind::Truncated, name };
        if self.is_shown(text) {
            self.hidden(text, Hidden::Inline, sink);
        } else if problem.name.is_some() {
            self.out.cut(&problem, text, sink);
        } else {
            sink(Event::Problem(&problem));
            self.text(text, sink);
        }
        self.mode = Mode::Prose;
        Next::On(text.len())
    }

    fn give_back(
        &mut self,
        row: &'static Row,
        text: &str,
        resync: bool,
        sink: &mut dyn FnMut(Event<'_>),
    ) -> Next {
        self.mode = if resync { Mode::Resync(row) } else { Mode::Prose };
        self.text(text, sink);
        Next::On(text.len())
    }

    /// Text up to where the dialect goes on: what follows stands as the broken block did.
    fn broken(&mut self, text: &str, sink: &mut dyn FnMut(Event<'_>)) {
        self.hidden(text, Hidden::Inline, sink);
        if matches!(self.standing, Standing::Taken | Standing::Refused) {
            self.start();
        }
    }

    /// Text, up to the next marker of the dialect.
    pub(super) fn resync(
        &mut self,
        row: &'static Row,
        text: &str,
        end: bool,
        sink: &mut dyn FnMut(Event<'_>),
    ) -> Next {
        let trigger = if matches!(row.trigger, b'[' | b']' | b'{') { row.trigger } else { b'<' };
        // A quotation ends with its paragraph at the latest.
        let quoted = self.standing == Standing::Quoted;
        let paragraph = memchr::memmem::find(text.as_bytes(), b"\n\n").filter(|_| quoted);
        let limit = paragraph.unwrap_or(text.len());
        let mut from = 0;
        while let Some(found) = memchr::memchr(trigger, &text.as_bytes()[from..limit]) {
            let at = from + found;
            let rest = &text[at..];
            let mut wait = false;
            match closes(&row.engine, rest, end) {
                Lookahead::Yes((), length) => {
                    self.mode = Mode::Prose;
                    self.broken(&text[..at + length], sink);
                    return Next::On(at + length);
                }
                Lookahead::More => wait = true,
                Lookahead::No => {}
            }
            match self.reopens(row, trigger, rest, end) {
                Some((row, Lookahead::Yes((), length))) if quoted => {
                    self.mode = Mode::Block(row, Box::default(), length);
                    self.hidden(&text[..at], Hidden::Inline, sink);
                    return Next::On(at);
                }
                Some((_, Lookahead::Yes(..))) => {
                    self.mode = Mode::Prose;
                    self.broken(&text[..at], sink);
                    return Next::On(at);
                }
                Some(_) => wait = true,
                None => {}
            }
            if wait {
                self.hidden(&text[..at], Hidden::Inline, sink);
                return Next::Wait(at);
            }
            from = at + 1;
        }
        if paragraph.is_some() {
            self.mode = Mode::Prose;
            self.hidden(&text[..limit], Hidden::Inline, sink);
            return Next::On(limit);
        }
        let length = limit - usize::from(quoted && !end && text.ends_with('\n'));
        self.hidden(&text[..length], Hidden::Inline, sink);
        Next::Wait(length)
    }

    /// The row of the same dialect that begins here.
    fn reopens(
        &self,
        row: &'static Row,
        trigger: u8,
        rest: &str,
        end: bool,
    ) -> Option<(&'static Row, Lookahead<()>)> {
        let rows = self.parser.0.table.rows(trigger).filter(|other| other.dialect == row.dialect);
        rows.map(|row| (row, Table::opens(row, rest, self.parser.options(), end)))
            .find(|(_, found)| !matches!(found, Lookahead::No))
    }
}

/// A marker that ends what a machine reads.
fn closes(engine: &Engine, rest: &str, end: bool) -> Lookahead<()> {
    match engine {
        Engine::JsonList(grammar) => find(|input| any_of(grammar.close, input), rest, end),
        Engine::Named(grammar) => match find(grammar.close, rest, end) {
            Lookahead::No => find(grammar.tail, rest, end),
            found => found,
        },
        Engine::Tagged(grammar) => match find(grammar.close, rest, end) {
            Lookahead::No => find(|input| (grammar.call_close)(input, ""), rest, end),
            found => found,
        },
        Engine::PythonCalls(grammar) => find(grammar.close, rest, end),
        Engine::Braces(grammar) => find(grammar.close, rest, end),
        Engine::Until(grammar) => find(|input| any_of(&[grammar.close], input), rest, end),
        Engine::Channel(grammar) => find(|input| any_of(grammar.ends, input), rest, end),
    }
}

/// How long the text is that a step keeps or takes as one.
fn passed(step: &Step<'_>, all: usize, before: usize) -> usize {
    match step {
        Step::More => all,
        Step::Skip(length)
        | Step::Calls(length, _)
        | Step::Request(length, _)
        | Step::Skipped(length, ..)
        | Step::Prose(length) => before + length,
        _ => 0,
    }
}

/// Says what is certain of the call that is being written.
fn announce(
    row: &Row,
    state: &EngineState,
    text: &str,
    options: &Options,
    out: &mut Out,
    sink: &mut dyn FnMut(Event<'_>),
) {
    if let Some(tool) = Progress::tool(&row.engine, state, text, options) {
        out.begin(tool.name(), text.get(state.id.clone()), sink).advance(&row.engine, state, text, tool);
        out.tell(sink);
    }
}

/// The next place from `at` on that is between two characters.
fn whole(text: &str, at: usize) -> usize {
    (at..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())
}
