//! Inside a block, and behind a broken one.

use super::machine::Machine;
use super::mode::{Mode, Next};
use super::out::Out;
use super::progress::Progress;
use super::table::Table;
use crate::engine::{Context, Engine, EngineState, Step};
use crate::grammar::Row;
use crate::lex::{Lookahead, any_of, find};
use crate::options::Options;
use crate::piece::{Event, Problem, ProblemKind};
use crate::prose::Line;
use crate::settle::{SettledCall, settle};

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

impl Machine {
    /// One step of the machine that reads the block.
    pub(super) fn block(&mut self, text: &str, end: bool, sink: &mut dyn FnMut(Event<'_>)) -> Next {
        let Mode::Block(row, state, lead) = &mut self.mode else { return Next::Wait(0) };
        let row = *row;
        let parser = self.parser.clone();
        let context = Context { options: parser.options(), end };
        let step = next_step(row, state, lead, text, context);
        let before = *lead;
        let cap = parser.options().limits.call_bytes;
        let too_long = passed(&step, text.len(), before) > cap;
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
                self.out.request(&request, &text[..before + length], sink);
                Next::On(before + length)
            }
            Step::End(length) => self.block_ends(&text[..before + length], sink),
            Step::Prose(length) => self.give_back(row, &text[..whole(text, before + length)], false, sink),
            Step::Broken(length, kind, name) => {
                sink(Event::Problem(&Problem { dialect: row.dialect, kind, name }));
                self.give_back(row, &text[..whole(text, before + length)], true, sink)
            }
            Step::Cut(name) => self.block_cut(row, name, text, sink),
        }
    }

    /// Hands out the calls of one piece of source; without one that may be made the source is text.
    fn calls(
        &mut self,
        row: &'static Row,
        settled: Vec<SettledCall>,
        source: &str,
        sink: &mut dyn FnMut(Event<'_>),
    ) -> Next {
        self.refused = !self.out.calls(row.dialect, settled, source, sink);
        if self.refused {
            self.text(source, sink);
        } else {
            self.line = Line::default();
        }
        Next::On(source.len())
    }

    /// The block's own end was read.
    fn block_ends(&mut self, source: &str, sink: &mut dyn FnMut(Event<'_>)) -> Next {
        self.mode = Mode::Prose;
        if self.refused {
            self.text(source, sink);
        } else {
            self.out.markup(source, sink);
            self.line = Line::default();
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
        if problem.name.is_some() {
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

    /// Text, up to the next marker of the dialect.
    pub(super) fn resync(
        &mut self,
        row: &'static Row,
        text: &str,
        end: bool,
        sink: &mut dyn FnMut(Event<'_>),
    ) -> Next {
        let trigger = if matches!(row.trigger, b'[' | b']' | b'{') { row.trigger } else { b'<' };
        let mut from = 0;
        while let Some(found) = memchr::memchr(trigger, &text.as_bytes()[from..]) {
            let at = from + found;
            let rest = &text[at..];
            let mut wait = false;
            match closes(&row.engine, rest, end) {
                Lookahead::Yes((), length) => {
                    self.mode = Mode::Prose;
                    self.text(&text[..at + length], sink);
                    return Next::On(at + length);
                }
                Lookahead::More => wait = true,
                Lookahead::No => {}
            }
            let mut rows = self.parser.0.table.rows(trigger).filter(|other| other.dialect == row.dialect);
            let opens: Option<Lookahead<()>> =
                rows.find_map(|row| match Table::opens(row, rest, self.parser.options(), end) {
                    Lookahead::No => None,
                    found => Some(found),
                });
            drop(rows);
            match opens {
                Some(Lookahead::Yes((), _)) => {
                    self.mode = Mode::Prose;
                    self.text(&text[..at], sink);
                    return Next::On(at);
                }
                Some(_) => wait = true,
                None => {}
            }
            if wait {
                self.text(&text[..at], sink);
                return Next::Wait(at);
            }
            from = at + 1;
        }
        self.text(text, sink);
        Next::Wait(text.len())
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
        Step::Skip(length) | Step::Calls(length, _) | Step::Request(length, _) | Step::Prose(length) => {
            before + length
        }
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
