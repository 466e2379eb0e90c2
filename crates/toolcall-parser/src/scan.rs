//! The scanner: the one place that decides how much text to hold back.

mod begin;
mod block;
mod machine;
mod mode;
mod out;
mod progress;
mod region;
mod table;
mod trial;

use std::sync::Arc;

use crate::options::Options;
use crate::piece::{Event, Piece, PieceKind};

use machine::Machine;
use table::Table;

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
/// for piece in ["It is:\n<tool_", "call>{\"name\":\"get_", "time\"}</tool_call>"] {
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
pub struct Parser(Arc<ParserInner>);

#[derive(Debug)]
struct ParserInner {
    options: Options,
    table: Arc<Table>,
}

impl Parser {
    /// Prepares the options.
    pub fn new(options: Options) -> Self {
        let table = Table::of(&options);
        Self(Arc::new(ParserInner { options, table }))
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
            Event::Text(text) | Event::Stray(text) => (text, PieceKind::Text),
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
        self.machine.in_block()
    }

    /// Bytes that are held back because they may still become a call.
    pub fn held(&self) -> usize {
        self.held.len() + self.machine.out.held()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::Tool;

    const CALL: &str = "Hi.\n<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>";

    #[test]
    fn the_pieces_of_a_text_cover_it() {
        let options = Options::new([Tool::new("f", "{}")]);
        let pieces = parse(CALL, &options);
        let joined: String = pieces.iter().map(|piece| &CALL[piece.span.clone()]).collect();
        assert_eq!(joined, CALL);
        assert!(pieces.iter().any(|piece| matches!(&piece.kind, PieceKind::Call(call) if call.name == "f")));
    }

    #[test]
    fn only_what_may_become_a_call_is_held_back() {
        let mut scanner = Scanner::new(Options::new([Tool::new("f", "{}")]));
        let mut seen = String::new();
        scanner.push("Hi.\n<tool_", &mut |event| {
            if let Event::Text(text) = event {
                seen.push_str(text);
            }
        });
        assert_eq!((seen.as_str(), scanner.held(), scanner.in_call()), ("Hi.", 7, false));
        scanner.push("call>{\"name\"", &mut |_| {});
        assert!(scanner.in_call() && scanner.held() > 7);
    }
}
