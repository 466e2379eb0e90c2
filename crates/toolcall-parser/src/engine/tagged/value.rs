//! Where the text of a parameter ends: its closing tag may stand in the text too.

use super::{BEGUN, CDATA, IN_CDATA, Layout, PARAMETERS, TaggedGrammar, VALUE, declares};
use crate::engine::{Context, EngineState, ParameterSpan, Step};
use crate::lex::{Lookahead, MAX_SPACE, any_of, find, skip_space};

/// How often a parameter is closed at most.
const MAX_CLOSES: usize = 4;

/// The end of a value, and where what follows it starts.
#[derive(Debug, PartialEq, Eq)]
struct Ends {
    value: usize,
    next: usize,
}

impl TaggedGrammar {
    /// The stage in which a parameter's text is read first.
    pub(super) fn value_stage(&self) -> u8 {
        if self.layout == Layout::CData { BEGUN } else { VALUE }
    }

    /// Whether the value is CDATA: then nothing in it is a tag.
    pub(super) fn begun<'a>(
        state: &mut EngineState,
        text: &'a str,
        context: Context<'_>,
    ) -> Option<Step<'a>> {
        let (space, all) = skip_space(&text[state.value..]);
        let begun = &text[state.value + space..];
        if (all || CDATA.0.starts_with(begun)) && space < MAX_SPACE && !context.end {
            return Some(Step::More);
        }
        state.stage = if begun.starts_with(CDATA.0) { IN_CDATA } else { VALUE };
        None
    }

    pub(super) fn cdata<'a>(
        state: &mut EngineState,
        text: &'a str,
        context: Context<'_>,
    ) -> Option<Step<'a>> {
        if let Some(found) = memchr::memmem::find(&text.as_bytes()[state.at..], CDATA.1.as_bytes()) {
            state.at += found + CDATA.1.len();
            state.stage = VALUE;
            return None;
        }
        let mut at = text.len().saturating_sub(CDATA.1.len() - 1).max(state.at);
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        state.at = at;
        Some(if context.end { Step::Cut(Some(text[state.name.clone()].to_owned())) } else { Step::More })
    }

    /// Looks for the end of a parameter's text.
    pub(super) fn value<'a>(
        &self,
        state: &mut EngineState,
        text: &'a str,
        context: Context<'_>,
    ) -> Option<Step<'a>> {
        let prefix = &text[state.prefix.clone()];
        while let Some(found) = memchr::memchr(b'<', &text.as_bytes()[state.at..]) {
            let at = state.at + found;
            state.at = at;
            match self.ends(state, text, at, prefix, context) {
                Lookahead::Yes(Ends { value, next }, _) => {
                    state.parameters.push(ParameterSpan {
                        key: state.key.clone(),
                        value: state.value..value,
                        typing: state.typing,
                    });
                    state.at = next;
                    (state.depth, state.inner, state.ahead) = (0, false, 0);
                    state.stage = PARAMETERS;
                    return None;
                }
                Lookahead::More => return Some(Step::More),
                Lookahead::No => match self.nests(state, text, at, prefix, context) {
                    Some(depth) => {
                        state.inner |= depth > state.depth;
                        state.depth = depth;
                        (state.at, state.ahead) = (at + 1, 0);
                    }
                    None => return Some(Step::More),
                },
            }
        }
        state.at = text.len();
        Some(if context.end { Step::Cut(Some(text[state.name.clone()].to_owned())) } else { Step::More })
    }

    /// How deep the value is in tags of its own behind this `<`; `None` when more text will tell.
    fn nests(
        &self,
        state: &EngineState,
        text: &str,
        at: usize,
        prefix: &str,
        context: Context<'_>,
    ) -> Option<usize> {
        let rest = &text[at..];
        match find(|input| (self.parameter)(input, prefix), rest, context.end) {
            Lookahead::Yes(..) => return Some(state.depth + 1),
            Lookahead::More => return None,
            Lookahead::No => {}
        }
        match self.closes(state, text, rest, prefix, context.end) {
            Lookahead::Yes(..) => Some(state.depth.saturating_sub(1)),
            Lookahead::More => None,
            Lookahead::No => Some(state.depth),
        }
    }

    /// Whether the value ends at this `<`.
    fn ends(
        &self,
        state: &mut EngineState,
        text: &str,
        at: usize,
        prefix: &str,
        context: Context<'_>,
    ) -> Lookahead<Ends> {
        let rest = &text[at..];
        let end = context.end;
        match self.closes(state, text, rest, prefix, end) {
            Lookahead::Yes((), length) => {
                let next = at + length;
                let follows = self.follows(state, text, next, prefix, context);
                state.strict |= matches!(follows, Lookahead::Yes(..));
                return follows.map(Ends { value: at, next });
            }
            Lookahead::More => return Lookahead::More,
            Lookahead::No => {}
        }
        if !state.strict {
            match find(self.plain_close, rest, end) {
                Lookahead::Yes((), length) => {
                    return self.plain_ends(state, text, Ends { value: at, next: at + length }, context);
                }
                Lookahead::More => return Lookahead::More,
                Lookahead::No => {}
            }
        }
        if self.unclosed { self.unclosed_ends(state, text, at, prefix, context) } else { Lookahead::No }
    }

    /// A closing tag without what the tags of the call have in common counts only where no closing tag that has it comes first.
    fn plain_ends(
        &self,
        state: &mut EngineState,
        text: &str,
        ends: Ends,
        context: Context<'_>,
    ) -> Lookahead<Ends> {
        let from = state.ahead.max(ends.next);
        let mut at = from;
        while let Some(found) = memchr::memchr(b'<', &text.as_bytes()[at..]) {
            at += found;
            let rest = &text[at..];
            let closes = find(|input| (self.parameter_close)(input, ""), rest, context.end);
            let others = [
                find(|input| (self.parameter)(input, "").map(|(rest, _)| (rest, ())), rest, context.end),
                find(|input| (self.call)(input).map(|(rest, _)| (rest, ())), rest, context.end),
            ];
            match closes {
                Lookahead::Yes(..) => return Lookahead::No,
                _ if others.iter().any(|other| matches!(other, Lookahead::Yes(..))) => break,
                Lookahead::More => {
                    state.ahead = at;
                    return Lookahead::More;
                }
                _ if others.contains(&Lookahead::More) => {
                    state.ahead = at;
                    return Lookahead::More;
                }
                Lookahead::No => at += 1,
            }
        }
        if memchr::memchr(b'<', &text.as_bytes()[at..]).is_none() && !context.end {
            state.ahead = text.len();
            return Lookahead::More;
        }
        self.follows(state, text, ends.next, "", context).map(ends)
    }

    /// A tag that can only follow a value ends it, where its own closing tag was forgotten.
    fn unclosed_ends(
        &self,
        state: &EngineState,
        text: &str,
        at: usize,
        prefix: &str,
        context: Context<'_>,
    ) -> Lookahead<Ends> {
        let rest = &text[at..];
        // The line break before such a tag is layout. Where the value begins with one, that is seen to when it is read.
        let before = &text[state.value..at];
        let laid_out = self.layout != Layout::Verbatim && before.starts_with(['\r', '\n']);
        let cut = if laid_out { before } else { before.strip_suffix('\n').unwrap_or(before) };
        let ends = Ends { value: state.value + cut.len(), next: at };
        match find(|input| (self.call_close)(input, prefix), rest, context.end) {
            Lookahead::Yes((), length) => return self.block_follows(&rest[length..], context.end).map(ends),
            Lookahead::More => return Lookahead::More,
            Lookahead::No => {}
        }
        let fresh_line = text[..at].trim_end_matches([' ', '\t']).ends_with('\n');
        match find(|input| (self.parameter)(input, prefix), rest, context.end) {
            Lookahead::Yes(key, _) if fresh_line && declares(key.name, state, text, context) => {
                Lookahead::Yes(ends, 0)
            }
            Lookahead::More => Lookahead::More,
            _ => Lookahead::No,
        }
    }

    /// The closing tag of the parameter at hand.
    pub(super) fn closes<'a>(
        &self,
        state: &EngineState,
        text: &str,
        rest: &'a str,
        prefix: &str,
        end: bool,
    ) -> Lookahead<()> {
        if self.declared {
            let word = format!("</{}>", &text[state.key.clone()]);
            return find(|input: &'a str| any_of(&[&word], input), rest, end);
        }
        find(|input| (self.parameter_close)(input, prefix), rest, end)
    }

    /// A closing tag only counts when one of the tags that may follow it does follow, or nothing. It may be said more than once.
    fn follows(
        &self,
        state: &EngineState,
        text: &str,
        at: usize,
        prefix: &str,
        context: Context<'_>,
    ) -> Lookahead<()> {
        let mut at = at;
        for _ in 0..MAX_CLOSES {
            let (space, all) = skip_space(&text[at..]);
            if all {
                return if context.end { Lookahead::Yes((), 0) } else { Lookahead::More };
            }
            // A tag that the value has opened is closed first.
            if state.depth > 0 {
                break;
            }
            match self.closes(state, text, &text[at + space..], prefix, context.end) {
                Lookahead::Yes((), length) => at += space + length,
                Lookahead::More => return Lookahead::More,
                Lookahead::No => break,
            }
        }
        let (space, all) = skip_space(&text[at..]);
        if all {
            return if context.end { Lookahead::Yes((), 0) } else { Lookahead::More };
        }
        self.goes_on(state, text, at + space, prefix, context)
    }

    /// Whether the call goes on here as it does behind a parameter.
    fn goes_on(
        &self,
        state: &EngineState,
        text: &str,
        at: usize,
        prefix: &str,
        context: Context<'_>,
    ) -> Lookahead<()> {
        let rest = &text[at..];
        let mut more = false;
        match find(|input| (self.call_close)(input, prefix), rest, context.end) {
            // The value has opening tags of its own: this may be the end of an example in it. The end of the call is where the
            // block goes on or ends.
            Lookahead::Yes((), length) if state.inner => {
                return self.block_follows(&rest[length..], context.end);
            }
            Lookahead::Yes(..) => return Lookahead::Yes((), 0),
            Lookahead::More => more = true,
            Lookahead::No => {}
        }
        match find(|input| (self.parameter)(input, prefix), rest, context.end) {
            Lookahead::Yes(key, _) if state.inner => {
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
        for found in [find(self.close, rest, context.end), find(self.call, rest, context.end).map(())] {
            match found {
                Lookahead::Yes(..) => return Lookahead::Yes((), 0),
                Lookahead::More => more = true,
                Lookahead::No => {}
            }
        }
        if more { Lookahead::More } else { Lookahead::No }
    }

    /// Behind a call: the end of the block, the next call, or nothing.
    pub(super) fn block_follows(&self, rest: &str, end: bool) -> Lookahead<()> {
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
}
