//! Everything up to a closing word, read as a whole by the dialect's own reader.

use super::{Context, EngineState, Step};
use crate::options::Options;
use crate::piece::{ProblemKind, Request};
use crate::settle::RawCall;

/// The closing word, and what the text before it means.
#[derive(Debug)]
pub(crate) struct UntilGrammar {
    pub(crate) close: &'static str,
    /// Whether the end of the text closes it too.
    pub(crate) at_end: bool,
    pub(crate) read: for<'a> fn(&'a str, &Options) -> Read<'a>,
}

/// What a block means.
#[derive(Debug)]
pub(crate) enum Read<'a> {
    Calls(Vec<RawCall<'a>>),
    Request(Request),
    Wrong(ProblemKind),
    Prose,
}

impl UntilGrammar {
    pub(crate) fn step<'a>(&self, state: &mut EngineState, text: &'a str, context: Context<'_>) -> Step<'a> {
        if state.calls_read > 0 {
            return Step::End(0);
        }
        let found = memchr::memmem::find(&text.as_bytes()[state.at..], self.close.as_bytes());
        let Some(found) = found else {
            if !context.end {
                let mut at = text.len().saturating_sub(self.close.len() - 1).max(state.at);
                while !text.is_char_boundary(at) {
                    at -= 1;
                }
                state.at = at;
                return Step::More;
            }
            return if self.at_end {
                self.done(state, text, text, text.len(), context)
            } else {
                Step::Prose(text.len())
            };
        };
        let at = state.at + found;
        self.done(state, text, &text[..at], at + self.close.len(), context)
    }

    fn done<'a>(
        &self,
        state: &mut EngineState,
        text: &'a str,
        body: &'a str,
        end: usize,
        context: Context<'_>,
    ) -> Step<'a> {
        let end = end.min(text.len());
        match (self.read)(body, context.options) {
            Read::Calls(calls) => {
                state.next_call();
                Step::Calls(end, calls)
            }
            Read::Request(request) => {
                state.next_call();
                Step::Request(end, request)
            }
            Read::Wrong(kind) => Step::Broken(end, kind, None),
            Read::Prose => Step::Prose(end),
        }
    }
}
