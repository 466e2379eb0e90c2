//! The machines that read on once a dialect is known. A dialect's grammar is data for one of them.
//!
//! A machine looks at the text from the last place it is done with, and says what stands there, or that it needs more. What it has
//! found so far it keeps as offsets in its [`EngineState`], so no byte of a long value is looked at twice, however small the pieces are in
//! which it arrives.

pub(crate) mod braces;
pub(crate) mod channel;
pub(crate) mod json_list;
pub(crate) mod named;
pub(crate) mod python_calls;
pub(crate) mod tagged;
pub(crate) mod until;

use std::ops::Range;

use crate::json::Span;
use crate::lex::is_space;
use crate::options::Options;
use crate::piece::{ProblemKind, Request};
use crate::settle::RawCall;

/// The most closing brackets too many, with white space, that are passed over.
const MAX_CLOSERS: usize = 64;

/// A machine and its grammar.
#[derive(Debug)]
pub(crate) enum Engine {
    /// JSON objects that spell out calls, between markers.
    JsonList(json_list::JsonListGrammar),
    /// The name in the markup, the arguments as JSON.
    Named(named::NamedGrammar),
    /// The name and every parameter in tags.
    Tagged(tagged::TaggedGrammar),
    /// Calls in Python.
    PythonCalls(python_calls::PythonCallsGrammar),
    /// `call:name{key:value}`.
    Braces(braces::BracesGrammar),
    /// Everything up to a closing word, read as a whole.
    Until(until::UntilGrammar),
    /// Messages with channels and recipients.
    Channel(channel::ChannelGrammar),
}

/// What stands at the place a machine looks at. Numbers are bytes from there.
#[derive(Debug)]
pub(crate) enum Step<'a> {
    /// It takes more text to tell.
    More,
    /// This is markup.
    Skip(usize),
    /// This is for the reader.
    Text(usize),
    /// These are thoughts.
    Reasoning(usize),
    /// These are calls.
    Calls(usize, Vec<RawCall<'a>>),
    /// This is a request that is no call.
    Request(usize, Request),
    /// This is markup, and the block is over.
    End(usize),
    /// This is text, and so is what follows up to the dialect's next marker.
    Broken(usize, ProblemKind, Option<String>),
    /// This is text: a call of the block that is none. The block goes on.
    Skipped(usize, ProblemKind, Option<String>),
    /// This is text after all, and no sign of anything wrong.
    Prose(usize),
    /// The text ends behind the mark that opened the block.
    Alone,
    /// The text ends inside a call.
    Cut(Option<String>),
}

/// What a machine has found since the place it is done with.
#[derive(Debug, Default)]
pub(crate) struct EngineState {
    /// Calls of this block so far.
    pub(crate) calls_read: usize,
    /// Open lists.
    pub(crate) lists: usize,
    /// Which part of a call is next; every machine numbers its own.
    pub(crate) stage: u8,
    /// Where to look on.
    pub(crate) at: usize,
    /// A value whose end is looked for.
    pub(crate) span: Option<Span>,
    /// The name in the call's head.
    pub(crate) name: Range<usize>,
    /// The id in the call's head.
    pub(crate) id: Range<usize>,
    /// What all tags of the call have in common.
    pub(crate) prefix: Range<usize>,
    /// The parameters that are whole.
    pub(crate) parameters: Vec<ParameterSpan>,
    /// The key of the parameter that is not.
    pub(crate) key: Range<usize>,
    /// How its text becomes a value.
    pub(crate) typing: ValueSyntax,
    /// Where its text starts.
    pub(crate) value: usize,
    /// Nesting, for machines that count it themselves.
    pub(crate) depth: usize,
    /// The text of the parameter has opening tags of its own.
    pub(crate) inner: bool,
    /// A parameter of the call was closed as its dialect has it.
    pub(crate) strict: bool,
    /// How far a look ahead has come that needs more text.
    pub(crate) ahead: usize,
}

/// A parameter by its places.
#[derive(Debug, Clone)]
pub(crate) struct ParameterSpan {
    pub(crate) key: Range<usize>,
    pub(crate) value: Range<usize>,
    pub(crate) typing: ValueSyntax,
}

/// How a parameter's text becomes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum ValueSyntax {
    /// As the schema says.
    #[default]
    Schema,
    /// It is the string.
    Text,
    /// JSON.
    Json,
}

impl EngineState {
    /// Forgets the call that is done, and counts it.
    pub(crate) fn next_call(&mut self) {
        *self = Self { calls_read: self.calls_read + 1, lists: self.lists, ..Self::default() };
    }

    /// Forgets the call at hand, which is none.
    pub(crate) fn skip_call(&mut self) {
        *self = Self { calls_read: self.calls_read, lists: self.lists, ..Self::default() };
    }

    /// Forgets where it looked; the text's first bytes left.
    pub(crate) fn restart(&mut self) {
        *self = Self {
            calls_read: self.calls_read,
            lists: self.lists,
            stage: self.stage,
            depth: self.depth,
            ..Self::default()
        };
    }
}

/// What a machine is told besides the text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'o> {
    pub(crate) options: &'o Options,
    /// No more text will come.
    pub(crate) end: bool,
}

impl Engine {
    pub(crate) fn step<'a>(&self, state: &mut EngineState, text: &'a str, context: Context<'_>) -> Step<'a> {
        match self {
            Self::JsonList(grammar) => grammar.step(state, text, context),
            Self::Named(grammar) => grammar.step(state, text, context),
            Self::Tagged(grammar) => grammar.step(state, text, context),
            Self::PythonCalls(grammar) => grammar.step(state, text, context),
            Self::Braces(grammar) => grammar.step(state, text, context),
            Self::Until(grammar) => grammar.step(state, text, context),
            Self::Channel(grammar) => grammar.step(state, text, context),
        }
    }
}

/// Closing brackets too many behind a value, with the white space between them; how long they are. All of the text may be some.
pub(crate) fn closers(text: &str) -> usize {
    let passed = text
        .bytes()
        .take(MAX_CLOSERS)
        .take_while(|byte| matches!(byte, b'}' | b']' | b')') || is_space(char::from(*byte)));
    let length = passed.count();
    text[..length].trim_end_matches(is_space).len()
}

/// Where a slice of `text` stands in it.
pub(crate) fn place(text: &str, part: &str) -> Range<usize> {
    let start = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
    start..start + part.len()
}
