//! The tool's name and every parameter in tags, values as bare text.

use super::{Context, EngineState, ParameterSpan, Step, ValueSyntax, place};
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
    /// A line break behind an opening tag and one before a closing tag are layout.
    pub(crate) layout: bool,
    /// A parameter may lack its closing tag.
    pub(crate) unclosed: bool,
    /// Only declared parameters are parameters.
    pub(crate) declared: bool,
}

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

impl TaggedGrammar {
    pub(crate) fn step<'a>(&self, state: &mut EngineState, text: &'a str, context: Context<'_>) -> Step<'a> {
        loop {
            let step = match state.stage {
                PARAMETERS => self.parameters(state, text, context),
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
            return Some(if context.end {
                Step::End(if state.calls_read > 0 { 0 } else { space })
            } else {
                Step::More
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
                state.stage = VALUE;
                return None;
            }
            Lookahead::Yes(..) | Lookahead::No => {}
            Lookahead::More => return Some(Step::More),
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

    /// Looks for the end of a parameter's text.
    fn value<'a>(&self, state: &mut EngineState, text: &'a str, context: Context<'_>) -> Option<Step<'a>> {
        let prefix = &text[state.prefix.clone()];
        while let Some(found) = memchr::memchr(b'<', &text.as_bytes()[state.at..]) {
            let at = state.at + found;
            state.at = at;
            match self.ends(state, text, at, prefix, context) {
                Lookahead::Yes(next, _) => {
                    let value = state.value..at;
                    state.parameters.push(ParameterSpan {
                        key: state.key.clone(),
                        value,
                        typing: state.typing,
                    });
                    state.at = next;
                    state.depth = 0;
                    state.stage = PARAMETERS;
                    return None;
                }
                Lookahead::More => return Some(Step::More),
                Lookahead::No => {
                    let inner = find(|input| (self.parameter)(input, prefix), &text[at..], context.end);
                    state.depth += usize::from(matches!(inner, Lookahead::Yes(..)));
                    state.at = at + 1;
                }
            }
        }
        state.at = text.len();
        Some(if context.end { Step::Cut(Some(text[state.name.clone()].to_owned())) } else { Step::More })
    }

    /// Whether the value ends at this `<`, and where what follows it starts.
    fn ends(
        &self,
        state: &EngineState,
        text: &str,
        at: usize,
        prefix: &str,
        context: Context<'_>,
    ) -> Lookahead<usize> {
        let rest = &text[at..];
        let end = context.end;
        match self.closes(state, text, rest, prefix, end) {
            Lookahead::Yes((), length) => {
                let next = at + length;
                return match self.follows(state, text, next, prefix, context) {
                    Lookahead::Yes((), _) => Lookahead::Yes(next, 0),
                    Lookahead::No => Lookahead::No,
                    Lookahead::More => Lookahead::More,
                };
            }
            Lookahead::More => return Lookahead::More,
            Lookahead::No => {}
        }
        if !self.unclosed {
            return Lookahead::No;
        }
        // A tag that can only follow a value ends it, where its own closing tag was forgotten.
        match find(|input| (self.call_close)(input, prefix), rest, end) {
            Lookahead::Yes((), length) => {
                return match self.block_follows(&rest[length..], end) {
                    Lookahead::Yes((), _) => Lookahead::Yes(at, 0),
                    Lookahead::More => Lookahead::More,
                    Lookahead::No => Lookahead::No,
                };
            }
            Lookahead::More => return Lookahead::More,
            Lookahead::No => {}
        }
        let fresh_line = text[..at].trim_end_matches([' ', '\t']).ends_with('\n');
        match find(|input| (self.parameter)(input, prefix), rest, end) {
            Lookahead::Yes(key, _) if fresh_line && declares(key.name, state, text, context) => {
                Lookahead::Yes(at, 0)
            }
            Lookahead::More => Lookahead::More,
            _ => Lookahead::No,
        }
    }

    /// The closing tag of the parameter at hand.
    fn closes<'a>(
        &self,
        state: &EngineState,
        text: &str,
        rest: &'a str,
        prefix: &str,
        end: bool,
    ) -> Lookahead<()> {
        if self.declared {
            let word = format!("</{}>", &text[state.key.clone()]);
            return find(|input: &'a str| crate::lex::any_of(&[&word], input), rest, end);
        }
        find(|input| (self.parameter_close)(input, prefix), rest, end)
    }

    /// A closing tag only counts when one of the tags that may follow it does follow, or nothing.
    fn follows(
        &self,
        state: &EngineState,
        text: &str,
        at: usize,
        prefix: &str,
        context: Context<'_>,
    ) -> Lookahead<()> {
        let (space, all) = skip_space(&text[at..]);
        if all {
            return if context.end { Lookahead::Yes((), 0) } else { Lookahead::More };
        }
        let rest = &text[at + space..];
        let mut more = false;
        match find(|input| (self.call_close)(input, prefix), rest, context.end) {
            // The value has opening tags of its own: this may be the end of an example in it. The end of the call is where the
            // block goes on or ends.
            Lookahead::Yes((), length) if state.depth > 0 => {
                return self.block_follows(&rest[length..], context.end);
            }
            Lookahead::Yes(..) => return Lookahead::Yes((), 0),
            Lookahead::More => more = true,
            Lookahead::No => {}
        }
        match find(|input| (self.parameter)(input, prefix), rest, context.end) {
            Lookahead::Yes(key, _) if state.depth > 0 => {
                return if declares(key.name, state, text, context) {
                    Lookahead::Yes((), 0)
                } else {
                    Lookahead::No
                };
            }
            Lookahead::Yes(key, _) if self.takes(key.name, state, text, context) => {
                return Lookahead::Yes((), 0);
            }
            Lookahead::More => more = true,
            _ => {}
        }
        for found in [
            find(self.close, rest, context.end),
            match find(self.call, rest, context.end) {
                Lookahead::Yes(..) => Lookahead::Yes((), 0),
                Lookahead::More => Lookahead::More,
                Lookahead::No => Lookahead::No,
            },
        ] {
            match found {
                Lookahead::Yes(..) => return Lookahead::Yes((), 0),
                Lookahead::More => more = true,
                Lookahead::No => {}
            }
        }
        if more { Lookahead::More } else { Lookahead::No }
    }

    /// Behind a call: the end of the block, the next call, or nothing.
    fn block_follows(&self, rest: &str, end: bool) -> Lookahead<()> {
        let (space, all) = skip_space(rest);
        let after = &rest[space..];
        match (find(self.close, after, end), find(self.call, after, end)) {
            _ if all && end => Lookahead::Yes((), 0),
            _ if all => Lookahead::More,
            (Lookahead::Yes(..), _) | (_, Lookahead::Yes(..)) => Lookahead::Yes((), 0),
            (Lookahead::More, _) | (_, Lookahead::More) => Lookahead::More,
            _ => Lookahead::No,
        }
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
        match crate::json::read(&text[state.value..end]) {
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
                    let body = trimmed(&text[state.value..at], self.layout);
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
            let value = trimmed(&text[slot.value.clone()], self.layout);
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

/// The value without the line breaks that only lay it out.
pub(crate) fn trimmed(text: &str, layout: bool) -> &str {
    if !layout {
        return text;
    }
    let text = text.strip_prefix("\r\n").or_else(|| text.strip_prefix('\n')).unwrap_or(text);
    text.strip_suffix("\r\n").or_else(|| text.strip_suffix('\n')).unwrap_or(text)
}
