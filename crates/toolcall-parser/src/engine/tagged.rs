//! The tool's name and every parameter in tags, values as bare text.

use super::{Context, Kind, Slot, Step, Walk, place};
use crate::json::{Ends, Span};
use crate::lex::{Found, Parsed, find, skip_space};
use crate::piece::ProblemKind;
use crate::settle::{Body, Parameter, RawCall, Typing, known};

/// The tags. Each parser after the head's gets the prefix that the head had, since all tags of a call share it.
#[derive(Debug)]
pub(crate) struct Grammar {
    pub(crate) call: for<'a> fn(&'a str) -> Parsed<'a, Head<'a>>,
    pub(crate) call_close: for<'a> fn(&'a str, &str) -> Parsed<'a, ()>,
    pub(crate) parameter: for<'a> fn(&'a str, &str) -> Parsed<'a, Key<'a>>,
    pub(crate) parameter_close: for<'a> fn(&'a str, &str) -> Parsed<'a, ()>,
    /// Ends the block; opens it again, where a model says it twice.
    pub(crate) close: for<'a> fn(&'a str) -> Parsed<'a, ()>,
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
pub(crate) struct Head<'a> {
    pub(crate) name: &'a str,
    pub(crate) id: Option<&'a str>,
    pub(crate) prefix: &'a str,
}

/// A parameter's opening tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key<'a> {
    pub(crate) name: &'a str,
    pub(crate) typing: Kind,
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

impl Grammar {
    pub(crate) fn step<'a>(&self, walk: &mut Walk, text: &'a str, context: Context<'_>) -> Step<'a> {
        loop {
            let step = match walk.stage {
                PARAMETERS => self.parameters(walk, text, context),
                VALUE => self.value(walk, text, context),
                JSON => Some(self.json(walk, text, context)),
                BARE => Some(self.bare(walk, text, context)),
                _ => self.head(walk, text, context),
            };
            if let Some(step) = step {
                return step;
            }
        }
    }

    fn head<'a>(&self, walk: &mut Walk, text: &'a str, context: Context<'_>) -> Option<Step<'a>> {
        let (space, all) = skip_space(text);
        if all {
            return Some(if context.end {
                Step::End(if walk.made > 0 { 0 } else { space })
            } else {
                Step::More
            });
        }
        let rest = &text[space..];
        match find(self.close, rest, context.end) {
            Found::Yes((), length) => return Some(Step::End(space + length)),
            Found::More => return Some(Step::More),
            Found::No => {}
        }
        match find(self.call, rest, context.end) {
            Found::Yes(head, length) => {
                walk.at = space + length;
                if !known(head.name, context.options) {
                    return Some(Step::Broken(walk.at, ProblemKind::Undeclared, Some(head.name.to_owned())));
                }
                walk.name = place(text, head.name);
                walk.id = head.id.map_or(0..0, |id| place(text, id));
                walk.prefix = place(text, head.prefix);
                walk.stage = PARAMETERS;
                None
            }
            Found::More => Some(Step::More),
            Found::No if walk.made > 0 => Some(Step::End(0)),
            Found::No => Some(Step::Broken(
                space + rest.chars().next().map_or(0, char::len_utf8),
                ProblemKind::Malformed,
                None,
            )),
        }
    }

    fn parameters<'a>(&self, walk: &mut Walk, text: &'a str, context: Context<'_>) -> Option<Step<'a>> {
        let (space, all) = skip_space(&text[walk.at..]);
        let at = walk.at + space;
        if all {
            return Some(match () {
                () if !context.end => Step::More,
                // Every value is closed: only the outer tags were lost.
                () if !walk.parameters.is_empty() => self.done(walk, text, walk.at),
                () => Step::Cut(Some(text[walk.name.clone()].to_owned())),
            });
        }
        let prefix = &text[walk.prefix.clone()];
        let rest = &text[at..];
        match find(|input| (self.call_close)(input, prefix), rest, context.end) {
            Found::Yes((), length) => return Some(self.done(walk, text, at + length)),
            Found::More => return Some(Step::More),
            Found::No => {}
        }
        match find(|input| (self.parameter)(input, prefix), rest, context.end) {
            Found::Yes(key, length) if self.takes(key.name, walk, text, context) => {
                walk.key = place(text, key.name);
                walk.typing = key.typing;
                walk.value = at + length;
                walk.at = at + length;
                walk.stage = VALUE;
                return None;
            }
            Found::Yes(..) | Found::No => {}
            Found::More => return Some(Step::More),
        }
        // The next call, or the end of the block: this call's own closing tag is missing.
        if !walk.parameters.is_empty() {
            match self.block_follows(rest, context.end) {
                Found::Yes(..) => return Some(self.done(walk, text, walk.at)),
                Found::More => return Some(Step::More),
                Found::No => {}
            }
        }
        if walk.parameters.is_empty() && self.body != Bodies::None {
            if rest.starts_with('{') {
                walk.value = at;
                walk.span = Some(Span::new(at));
                walk.stage = JSON;
                return None;
            }
            if self.body == Bodies::Any {
                walk.value = walk.at;
                walk.stage = BARE;
                return None;
            }
        }
        Some(Step::Broken(at, ProblemKind::Malformed, Some(text[walk.name.clone()].to_owned())))
    }

    fn takes(&self, key: &str, walk: &Walk, text: &str, context: Context<'_>) -> bool {
        !self.declared
            || context.options.tool(&text[walk.name.clone()]).is_some_and(|tool| tool.declares(key))
    }

    /// Looks for the end of a parameter's text.
    fn value<'a>(&self, walk: &mut Walk, text: &'a str, context: Context<'_>) -> Option<Step<'a>> {
        let prefix = &text[walk.prefix.clone()];
        while let Some(found) = memchr::memchr(b'<', &text.as_bytes()[walk.at..]) {
            let at = walk.at + found;
            walk.at = at;
            match self.ends(walk, text, at, prefix, context) {
                Found::Yes(next, _) => {
                    let value = walk.value..at;
                    walk.parameters.push(Slot { key: walk.key.clone(), value, typing: walk.typing });
                    walk.at = next;
                    walk.depth = 0;
                    walk.stage = PARAMETERS;
                    return None;
                }
                Found::More => return Some(Step::More),
                Found::No => {
                    let inner = find(|input| (self.parameter)(input, prefix), &text[at..], context.end);
                    walk.depth += usize::from(matches!(inner, Found::Yes(..)));
                    walk.at = at + 1;
                }
            }
        }
        walk.at = text.len();
        Some(if context.end { Step::Cut(Some(text[walk.name.clone()].to_owned())) } else { Step::More })
    }

    /// Whether the value ends at this `<`, and where what follows it starts.
    fn ends(&self, walk: &Walk, text: &str, at: usize, prefix: &str, context: Context<'_>) -> Found<usize> {
        let rest = &text[at..];
        let end = context.end;
        match self.closes(walk, text, rest, prefix, end) {
            Found::Yes((), length) => {
                let next = at + length;
                return match self.follows(walk, text, next, prefix, context) {
                    Found::Yes((), _) => Found::Yes(next, 0),
                    Found::No => Found::No,
                    Found::More => Found::More,
                };
            }
            Found::More => return Found::More,
            Found::No => {}
        }
        if !self.unclosed {
            return Found::No;
        }
        // A tag that can only follow a value ends it, where its own closing tag was forgotten.
        match find(|input| (self.call_close)(input, prefix), rest, end) {
            Found::Yes((), length) => {
                return match self.block_follows(&rest[length..], end) {
                    Found::Yes((), _) => Found::Yes(at, 0),
                    Found::More => Found::More,
                    Found::No => Found::No,
                };
            }
            Found::More => return Found::More,
            Found::No => {}
        }
        let fresh_line = text[..at].trim_end_matches([' ', '\t']).ends_with('\n');
        match find(|input| (self.parameter)(input, prefix), rest, end) {
            Found::Yes(key, _) if fresh_line && declares(key.name, walk, text, context) => Found::Yes(at, 0),
            Found::More => Found::More,
            _ => Found::No,
        }
    }

    /// The closing tag of the parameter at hand.
    fn closes<'a>(&self, walk: &Walk, text: &str, rest: &'a str, prefix: &str, end: bool) -> Found<()> {
        if self.declared {
            let word = format!("</{}>", &text[walk.key.clone()]);
            return find(|input: &'a str| crate::lex::any_of(&[&word], input), rest, end);
        }
        find(|input| (self.parameter_close)(input, prefix), rest, end)
    }

    /// A closing tag only counts when one of the tags that may follow it does follow, or nothing.
    fn follows(&self, walk: &Walk, text: &str, at: usize, prefix: &str, context: Context<'_>) -> Found<()> {
        let (space, all) = skip_space(&text[at..]);
        if all {
            return if context.end { Found::Yes((), 0) } else { Found::More };
        }
        let rest = &text[at + space..];
        let mut more = false;
        match find(|input| (self.call_close)(input, prefix), rest, context.end) {
            // The value has opening tags of its own: this may be the end of an example in it. The end of the call is where the
            // block goes on or ends.
            Found::Yes((), length) if walk.depth > 0 => {
                return self.block_follows(&rest[length..], context.end);
            }
            Found::Yes(..) => return Found::Yes((), 0),
            Found::More => more = true,
            Found::No => {}
        }
        match find(|input| (self.parameter)(input, prefix), rest, context.end) {
            Found::Yes(key, _) if walk.depth > 0 => {
                return if declares(key.name, walk, text, context) { Found::Yes((), 0) } else { Found::No };
            }
            Found::Yes(key, _) if self.takes(key.name, walk, text, context) => return Found::Yes((), 0),
            Found::More => more = true,
            _ => {}
        }
        for found in [
            find(self.close, rest, context.end),
            match find(self.call, rest, context.end) {
                Found::Yes(..) => Found::Yes((), 0),
                Found::More => Found::More,
                Found::No => Found::No,
            },
        ] {
            match found {
                Found::Yes(..) => return Found::Yes((), 0),
                Found::More => more = true,
                Found::No => {}
            }
        }
        if more { Found::More } else { Found::No }
    }

    /// Behind a call: the end of the block, the next call, or nothing.
    fn block_follows(&self, rest: &str, end: bool) -> Found<()> {
        let (space, all) = skip_space(rest);
        let after = &rest[space..];
        match (find(self.close, after, end), find(self.call, after, end)) {
            _ if all && end => Found::Yes((), 0),
            _ if all => Found::More,
            (Found::Yes(..), _) | (_, Found::Yes(..)) => Found::Yes((), 0),
            (Found::More, _) | (_, Found::More) => Found::More,
            _ => Found::No,
        }
    }

    /// A JSON object instead of parameters.
    fn json<'a>(&self, walk: &mut Walk, text: &'a str, context: Context<'_>) -> Step<'a> {
        let name = || Some(text[walk.name.clone()].to_owned());
        let Some(span) = &mut walk.span else { return Step::Cut(None) };
        let end = match span.feed(text) {
            Ends::At(end) => end,
            Ends::Never(end) => return Step::Broken(end, ProblemKind::Malformed, name()),
            Ends::NotYet if context.end => return Step::Cut(name()),
            Ends::NotYet => return Step::More,
        };
        let (space, all) = skip_space(&text[end..]);
        if all && !context.end {
            return Step::More;
        }
        let prefix = &text[walk.prefix.clone()];
        let after = match find(|input| (self.call_close)(input, prefix), &text[end + space..], context.end) {
            Found::Yes((), length) => end + space + length,
            Found::More => return Step::More,
            Found::No => end,
        };
        match crate::json::read(&text[walk.value..end]) {
            Some((value, overlooked)) => {
                let call = RawCall::new(&text[walk.name.clone()], Body::Value(value)).overlooked(overlooked);
                walk.next_call();
                Step::Calls(after, vec![call])
            }
            None => Step::Broken(after, ProblemKind::Malformed, name()),
        }
    }

    /// Bare text up to the closing tag.
    fn bare<'a>(&self, walk: &mut Walk, text: &'a str, context: Context<'_>) -> Step<'a> {
        let prefix = &text[walk.prefix.clone()];
        while let Some(found) = memchr::memchr(b'<', &text.as_bytes()[walk.at..]) {
            let at = walk.at + found;
            walk.at = at;
            match find(|input| (self.call_close)(input, prefix), &text[at..], context.end) {
                Found::Yes((), length) => {
                    let body = trimmed(&text[walk.value..at], self.layout);
                    let call = RawCall::new(&text[walk.name.clone()], Body::Bare(body));
                    walk.next_call();
                    return Step::Calls(at + length, vec![call]);
                }
                Found::More => return Step::More,
                Found::No => walk.at = at + 1,
            }
        }
        walk.at = text.len();
        if context.end { Step::Cut(Some(text[walk.name.clone()].to_owned())) } else { Step::More }
    }

    fn done<'a>(&self, walk: &mut Walk, text: &'a str, end: usize) -> Step<'a> {
        let parameters = walk.parameters.iter().map(|slot| {
            let value = trimmed(&text[slot.value.clone()], self.layout);
            let value = match slot.typing {
                Kind::Schema => Typing::Schema(value),
                Kind::Text => Typing::Text(value),
                Kind::Json => Typing::Json(value),
            };
            Parameter { key: text[slot.key.clone()].into(), value }
        });
        let call = RawCall {
            id: (!walk.id.is_empty()).then(|| text[walk.id.clone()].into()),
            ..RawCall::new(&text[walk.name.clone()], Body::Parameters(parameters.collect()))
        };
        walk.next_call();
        Step::Calls(end, vec![call])
    }
}

fn declares(key: &str, walk: &Walk, text: &str, context: Context<'_>) -> bool {
    context.options.tool(&text[walk.name.clone()]).is_some_and(|tool| tool.declares(key))
}

/// The value without the line breaks that only lay it out.
pub(crate) fn trimmed(text: &str, layout: bool) -> &str {
    if !layout {
        return text;
    }
    let text = text.strip_prefix("\r\n").or_else(|| text.strip_prefix('\n')).unwrap_or(text);
    text.strip_suffix("\r\n").or_else(|| text.strip_suffix('\n')).unwrap_or(text)
}
