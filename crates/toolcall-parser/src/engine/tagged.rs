//! The tool's name and every parameter in tags, values as bare text.

mod value;

use super::{Context, EngineState, Step, ValueSyntax, closers, place};
use crate::json::{Span, SpanEnd};
use crate::lex::{LexResult, Lookahead, find, skip_space};
use crate::piece::ProblemKind;
use crate::settle::{Body, Parameter, RawCall, Typing, known};

/// The tags. Each parser after the head's gets the prefix that the head had, since all tags of a call share it.
#[derive(Debug)]
pub(crate) struct TaggedGrammar {
    pub(crate) call: for<'a> fn(&'a str) -> LexResult<'a, TaggedHead<'a>>,
    pub(crate) call_close: for<'a> fn(&'a str, &str) -> LexResult<'a, ()>,
    pub(crate) parameter: for<'a> fn(&'a str, &str) -> LexResult<'a, Key<'a>>,
    pub(crate) parameter_close: for<'a> fn(&'a str, &str) -> LexResult<'a, ()>,
    /// Ends the block; opens it again, where a model says it twice.
    pub(crate) close: for<'a> fn(&'a str) -> LexResult<'a, ()>,
    /// What else a call may hold instead of parameters.
    pub(crate) body: Bodies,
    /// What of a parameter's text is its value.
    pub(crate) layout: Layout,
    /// A parameter may lack its closing tag.
    pub(crate) unclosed: bool,
    /// Only declared parameters are parameters.
    pub(crate) declared: bool,
    /// What closes a parameter where a model left out what its tags have in common.
    pub(crate) plain_close: for<'a> fn(&'a str) -> LexResult<'a, ()>,
}

/// What of a parameter's text is its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// All of it.
    Verbatim,
    /// All but a line break at each end, where there is one at the beginning: then the tags stand on lines of their own.
    Lines,
    /// The same, and what stands in CDATA is the value as it is.
    CData,
}

/// How CDATA begins and ends.
const CDATA: (&str, &str) = ("<![CDATA[", "]]>");

/// A call's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TaggedHead<'a> {
    pub(crate) name: &'a str,
    pub(crate) id: Option<&'a str>,
    pub(crate) prefix: &'a str,
}

/// A parameter's opening tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key<'a> {
    pub(crate) name: &'a str,
    pub(crate) typing: ValueSyntax,
}

/// What a call may hold instead of parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bodies {
    /// Nothing.
    None,
    /// A JSON object.
    Json,
    /// A JSON object, or text for a tool with one parameter.
    Any,
}

const PARAMETERS: u8 = 1;
const VALUE: u8 = 2;
const JSON: u8 = 3;
const BARE: u8 = 4;
const BEGUN: u8 = 5;
const IN_CDATA: u8 = 6;

impl TaggedGrammar {
    pub(crate) fn step<'a>(&self, state: &mut EngineState, text: &'a str, context: Context<'_>) -> Step<'a> {
        loop {
            let step = match state.stage {
                PARAMETERS => self.parameters(state, text, context),
                BEGUN => Self::begun(state, text, context),
                IN_CDATA => Self::cdata(state, text, context),
                VALUE => self.value(state, text, context),
                JSON => Some(self.json(state, text, context)),
                BARE => Some(self.bare(state, text, context)),
                _ => self.head(state, text, context),
            };
            if let Some(step) = step {
                return step;
            }
        }
    }

    fn head<'a>(&self, state: &mut EngineState, text: &'a str, context: Context<'_>) -> Option<Step<'a>> {
        let (space, all) = skip_space(text);
        if all {
            return Some(match () {
                () if !context.end => Step::More,
                () if state.calls_read > 0 => Step::End(0),
                () => Step::Alone,
            });
        }
        let rest = &text[space..];
        match find(self.close, rest, context.end) {
            Lookahead::Yes((), length) => return Some(Step::End(space + length)),
            Lookahead::More => return Some(Step::More),
            Lookahead::No => {}
        }
        match find(self.call, rest, context.end) {
            Lookahead::Yes(head, length) => {
                state.at = space + length;
                if !known(head.name, context.options) {
                    return Some(Step::Broken(state.at, ProblemKind::Undeclared, Some(head.name.to_owned())));
                }
                state.name = place(text, head.name);
                state.id = head.id.map_or(0..0, |id| place(text, id));
                state.prefix = place(text, head.prefix);
                state.stage = PARAMETERS;
                None
            }
            Lookahead::More => Some(Step::More),
            Lookahead::No if state.calls_read > 0 => Some(Step::End(0)),
            Lookahead::No => Some(Step::Broken(
                space + rest.chars().next().map_or(0, char::len_utf8),
                ProblemKind::Malformed,
                None,
            )),
        }
    }

    fn parameters<'a>(
        &self,
        state: &mut EngineState,
        text: &'a str,
        context: Context<'_>,
    ) -> Option<Step<'a>> {
        let (space, all) = skip_space(&text[state.at..]);
        let at = state.at + space;
        if all {
            return Some(match () {
                () if !context.end => Step::More,
                // Every value is closed: only the outer tags were lost.
                () if !state.parameters.is_empty() => self.done(state, text, state.at),
                () => Step::Cut(Some(text[state.name.clone()].to_owned())),
            });
        }
        let prefix = &text[state.prefix.clone()];
        let rest = &text[at..];
        match find(|input| (self.call_close)(input, prefix), rest, context.end) {
            Lookahead::Yes((), length) => return Some(self.done(state, text, at + length)),
            Lookahead::More => return Some(Step::More),
            Lookahead::No => {}
        }
        match find(|input| (self.parameter)(input, prefix), rest, context.end) {
            Lookahead::Yes(key, length) if self.takes(key.name, state, text, context) => {
                state.key = place(text, key.name);
                state.typing = key.typing;
                state.value = at + length;
                state.at = at + length;
                state.stage = self.value_stage();
                return None;
            }
            Lookahead::Yes(..) | Lookahead::No => {}
            Lookahead::More => return Some(Step::More),
        }
        // A parameter that is closed once more.
        if !state.parameters.is_empty() {
            match self.closes(state, text, rest, prefix, context.end) {
                Lookahead::Yes((), length) => {
                    state.at = at + length;
                    return None;
                }
                Lookahead::More => return Some(Step::More),
                Lookahead::No => {}
            }
        }
        // The next call, or the end of the block: this call's own closing tag is missing.
        if !state.parameters.is_empty() {
            match self.block_follows(rest, context.end) {
                Lookahead::Yes(..) => return Some(self.done(state, text, state.at)),
                Lookahead::More => return Some(Step::More),
                Lookahead::No => {}
            }
        }
        if state.parameters.is_empty() && self.body != Bodies::None {
            if rest.starts_with('{') {
                state.value = at;
                state.span = Some(Span::new(at));
                state.stage = JSON;
                return None;
            }
            if self.body == Bodies::Any {
                state.value = state.at;
                state.stage = BARE;
                return None;
            }
        }
        Some(Step::Broken(at, ProblemKind::Malformed, Some(text[state.name.clone()].to_owned())))
    }

    fn takes(&self, key: &str, state: &EngineState, text: &str, context: Context<'_>) -> bool {
        !self.declared
            || context.options.tool(&text[state.name.clone()]).is_some_and(|tool| tool.declares(key))
    }

    /// A JSON object instead of parameters.
    fn json<'a>(&self, state: &mut EngineState, text: &'a str, context: Context<'_>) -> Step<'a> {
        let name = || Some(text[state.name.clone()].to_owned());
        let Some(span) = &mut state.span else { return Step::Cut(None) };
        let end = match span.feed(text) {
            SpanEnd::At(end) => end,
            SpanEnd::Never(end) => return Step::Broken(end, ProblemKind::Malformed, name()),
            SpanEnd::NotYet if context.end => return Step::Cut(name()),
            SpanEnd::NotYet => return Step::More,
        };
        let source = &text[state.value..end];
        let end = end + closers(&text[end..]);
        let (space, all) = skip_space(&text[end..]);
        if all && !context.end {
            return Step::More;
        }
        let prefix = &text[state.prefix.clone()];
        let after = match find(|input| (self.call_close)(input, prefix), &text[end + space..], context.end) {
            Lookahead::Yes((), length) => end + space + length,
            Lookahead::More => return Step::More,
            Lookahead::No => end,
        };
        match crate::json::read(source) {
            Some((value, leniencies)) => {
                let call = RawCall::new(&text[state.name.clone()], Body::Value(value)).leniencies(leniencies);
                state.next_call();
                Step::Calls(after, vec![call])
            }
            None => Step::Broken(after, ProblemKind::Malformed, name()),
        }
    }

    /// Bare text up to the closing tag.
    fn bare<'a>(&self, state: &mut EngineState, text: &'a str, context: Context<'_>) -> Step<'a> {
        let prefix = &text[state.prefix.clone()];
        while let Some(found) = memchr::memchr(b'<', &text.as_bytes()[state.at..]) {
            let at = state.at + found;
            state.at = at;
            match find(|input| (self.call_close)(input, prefix), &text[at..], context.end) {
                Lookahead::Yes((), length) => {
                    let body = self.layout.value(&text[state.value..at]);
                    let call = RawCall::new(&text[state.name.clone()], Body::Bare(body));
                    state.next_call();
                    return Step::Calls(at + length, vec![call]);
                }
                Lookahead::More => return Step::More,
                Lookahead::No => state.at = at + 1,
            }
        }
        state.at = text.len();
        if context.end { Step::Cut(Some(text[state.name.clone()].to_owned())) } else { Step::More }
    }

    fn done<'a>(&self, state: &mut EngineState, text: &'a str, end: usize) -> Step<'a> {
        let parameters = state.parameters.iter().map(|slot| {
            let value = self.layout.value(&text[slot.value.clone()]);
            let value = match slot.typing {
                ValueSyntax::Schema => Typing::Schema(value),
                ValueSyntax::Text => Typing::Text(value),
                ValueSyntax::Json => Typing::Json(value),
            };
            Parameter { key: text[slot.key.clone()].into(), value }
        });
        let call = RawCall {
            id: (!state.id.is_empty()).then(|| text[state.id.clone()].into()),
            ..RawCall::new(&text[state.name.clone()], Body::Parameters(parameters.collect()))
        };
        state.next_call();
        Step::Calls(end, vec![call])
    }
}

fn declares(key: &str, state: &EngineState, text: &str, context: Context<'_>) -> bool {
    context.options.tool(&text[state.name.clone()]).is_some_and(|tool| tool.declares(key))
}

impl Layout {
    /// The value in a parameter's text.
    pub(crate) fn value(self, text: &str) -> &str {
        if self == Self::Verbatim {
            return text;
        }
        if self == Self::CData
            && let Some(inside) =
                text.trim().strip_prefix(CDATA.0).and_then(|rest| rest.strip_suffix(CDATA.1))
        {
            return inside;
        }
        let Some(text) = text.strip_prefix("\r\n").or_else(|| text.strip_prefix('\n')) else { return text };
        text.strip_suffix("\r\n").or_else(|| text.strip_suffix('\n')).unwrap_or(text)
    }

    /// What of the value is certain while its text still arrives.
    pub(crate) fn certain(self, text: &str) -> Option<&str> {
        let begun = &text[skip_space(text).0..];
        if self == Self::CData && (CDATA.0.starts_with(begun) || begun.starts_with(CDATA.0)) {
            return None;
        }
        if matches!(text, "" | "\r") {
            return None;
        }
        let lines = self != Self::Verbatim;
        let inside = text.strip_prefix("\r\n").or_else(|| text.strip_prefix('\n')).filter(|_| lines);
        let text = inside.unwrap_or(text);
        // A line break at the end may be layout.
        let text = text.strip_suffix('\n').unwrap_or(text);
        Some(text.strip_suffix('\r').unwrap_or(text))
    }
}
