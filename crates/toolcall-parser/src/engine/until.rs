//! Everything up to a closing word, read as a whole by the dialect's own reader.

use super::{Context, Step, Walk};
use crate::options::Options;
use crate::piece::{ProblemKind, Request};
use crate::settle::RawCall;

/// The closing word, and what the text before it means.
#[derive(Debug)]
pub(crate) struct Grammar {
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

impl Grammar {
    pub(crate) fn step<'a>(&self, walk: &mut Walk, text: &'a str, context: Context<'_>) -> Step<'a> {
        if walk.made > 0 {
            return Step::End(0);
        }
        let found = memchr::memmem::find(&text.as_bytes()[walk.at..], self.close.as_bytes());
        let Some(found) = found else {
            if !context.end {
                let mut at = text.len().saturating_sub(self.close.len() - 1).max(walk.at);
                while !text.is_char_boundary(at) {
                    at -= 1;
                }
                walk.at = at;
                return Step::More;
            }
            return if self.at_end {
                self.done(walk, text, text, text.len(), context)
            } else {
                Step::Prose(text.len())
            };
        };
        let at = walk.at + found;
        self.done(walk, text, &text[..at], at + self.close.len(), context)
    }

    fn done<'a>(
        &self,
        walk: &mut Walk,
        text: &'a str,
        body: &'a str,
        end: usize,
        context: Context<'_>,
    ) -> Step<'a> {
        let end = end.min(text.len());
        match (self.read)(body, context.options) {
            Read::Calls(calls) => {
                walk.next_call();
                Step::Calls(end, calls)
            }
            Read::Request(request) => {
                walk.next_call();
                Step::Request(end, request)
            }
            Read::Wrong(kind) => Step::Broken(end, kind, None),
            Read::Prose => Step::Prose(end),
        }
    }
}
