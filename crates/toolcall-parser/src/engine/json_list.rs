//! JSON objects that spell out calls, between an opening and a closing marker: one, several, or a list of them.

use std::ops::Range;

use super::{Context, EngineState, Step, closers};
use crate::json::{Leniencies, Span, SpanEnd, Value};
use crate::lex::{LexResult, Lookahead, any_of, find, is_space, skip_space};
use crate::mend;
use crate::piece::{ProblemKind, Repair};
use crate::python;
use crate::settle::{Body, RawCall, known, spelled_out};
use crate::shell::Shell;

/// What stands around the objects, and what they look like.
#[derive(Debug)]
pub(crate) struct JsonListGrammar {
    /// The words that end the block.
    pub(crate) close: &'static [&'static str],
    /// Markup between objects: an opening marker said twice, a fence.
    pub(crate) between: for<'a> fn(&'a str) -> LexResult<'a, ()>,
    pub(crate) form: Form,
}

/// What the objects look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `{"name": …, "arguments": …}`, between markers.
    Call,
    /// `{NAME: ARGUMENTS}`.
    Map,
    /// A call without a marker: nothing is mended, and everything must fit.
    Unmarked,
    /// The same as a list of Python's.
    PythonList,
    /// Without a marker, from a model that is known to write so.
    Hinted,
}

impl JsonListGrammar {
    pub(crate) fn step<'a>(&self, state: &mut EngineState, text: &'a str, context: Context<'_>) -> Step<'a> {
        if let Some(span) = &mut state.span {
            let start = state.value;
            return match span.feed(text) {
                SpanEnd::At(end) => self.object(state, text, start, end, context),
                SpanEnd::Never(end) => broken(text, end.max(1), self.form),
                SpanEnd::NotYet if context.end => self.unfinished(state, text, start, context),
                SpanEnd::NotYet => Step::More,
            };
        }
        let mut at = 0;
        loop {
            let (space, all) = skip_space(&text[at..]);
            if all {
                return self.space_only(state, text, at..at + space, context);
            }
            let next = at + space;
            let rest = &text[next..];
            match find(|input| any_of(self.close, input), rest, context.end) {
                Lookahead::Yes((), length) => return Step::End(next + length),
                Lookahead::More => return Step::More,
                Lookahead::No => {}
            }
            match find(self.between, rest, context.end) {
                Lookahead::Yes((), length) => {
                    at = next + length;
                    continue;
                }
                Lookahead::More => return Step::More,
                Lookahead::No => {}
            }
            match rest.as_bytes()[0] {
                b'[' if state.calls_read == 0 || state.lists > 0 => {
                    state.lists += 1;
                    at = next + 1;
                    // Done with: lists are counted once.
                    return Step::Skip(at);
                }
                b']' if state.lists > 0 => {
                    let last = state.lists == 1 && !self.form.is_marked() && self.close.is_empty();
                    return match line_of_closers(rest, context.end) {
                        _ if !last => {
                            state.lists -= 1;
                            Step::Skip(next + 1)
                        }
                        Lookahead::More => Step::More,
                        Lookahead::Yes((), length) => Step::End(next + length),
                        Lookahead::No => Step::End(next + 1),
                    };
                }
                b',' | b';' if state.calls_read > 0 || state.lists > 0 => at = next + 1,
                b'}' | b')' if state.calls_read > 0 && state.lists > 0 => return Step::Skip(next + 1),
                // Closers too many. Without a marker they have to be all that is left of the line.
                b'}' | b']' | b')' if state.calls_read > 0 => {
                    return match line_of_closers(rest, context.end) {
                        Lookahead::More => Step::More,
                        _ if self.form.is_marked() => Step::Skip(next + closers(rest).max(1)),
                        Lookahead::Yes((), length) => Step::End(next + length),
                        Lookahead::No => self.stranger(state, 0),
                    };
                }
                b'{' if state.calls_read == 0 || state.lists > 0 || self.form.is_marked() || at > 0 => {
                    let first = rest[1..].trim_start().bytes().next();
                    if first.is_none() && !context.end {
                        return Step::More;
                    }
                    if !matches!(first, Some(b'"' | b'\'' | b'}') | None) {
                        return broken(text, next + 1, self.form);
                    }
                    state.value = next;
                    let span = Span::new(next);
                    // Single quotes make strings where the object begins with one.
                    state.span = Some(if first == Some(b'\'') { span.python() } else { span });
                    return self.step(state, text, context);
                }
                byte if state.lists > 0 && byte != b'<' => match scalar(rest, context.end) {
                    Some(length) if length > 0 => return Step::Skip(next + length),
                    Some(_) => return self.stranger(state, next),
                    None => return Step::More,
                },
                _ => return self.stranger(state, if state.calls_read > 0 { 0 } else { next }),
            }
        }
    }

    /// Nothing follows but white space.
    fn space_only<'a>(
        &self,
        state: &EngineState,
        text: &str,
        space: Range<usize>,
        context: Context<'_>,
    ) -> Step<'a> {
        match () {
            () if !context.end => Step::More,
            () if state.calls_read > 0 && self.form.is_marked() => Step::End(space.end),
            () if state.calls_read > 0 => Step::End(space.start),
            () if self.form.is_marked() && state.lists == 0 => Step::Alone,
            () if self.form.is_marked() => Step::Cut(None),
            () => Step::Prose(text.len()),
        }
    }

    /// Something that is neither an object nor a marker.
    fn stranger<'a>(&self, state: &EngineState, at: usize) -> Step<'a> {
        match () {
            () if state.calls_read > 0 => Step::End(at),
            () if self.form.is_marked() => Step::Broken(at.max(1), ProblemKind::Malformed, None),
            () => Step::Prose(at.max(1)),
        }
    }

    /// A whole object.
    fn object<'a>(
        &self,
        state: &mut EngineState,
        text: &'a str,
        start: usize,
        end: usize,
        context: Context<'_>,
    ) -> Step<'a> {
        let source = &text[start..end];
        let read = crate::json::read(source);
        let calls = match read {
            Some((value, leniencies)) if self.form.allows(leniencies) => self
                .calls(value, context)
                .map(|calls| calls.into_iter().map(|call| call.leniencies(leniencies)).collect::<Vec<_>>()),
            Some(_) => None,
            None => python::literal(source)
                .filter(|_| self.form.is_marked() || self.form == Form::PythonList)
                .and_then(|value| self.calls(value, context))
                .or_else(|| self.mended(source, context)),
        };
        match calls {
            Some(calls) if !calls.is_empty() => {
                state.next_call();
                Step::Calls(end, calls)
            }
            _ if self.form.is_marked() || (state.lists > 0 && state.calls_read > 0) => {
                // The rest of the block may still hold calls: this object alone is text.
                state.skip_call();
                Step::Skipped(end, ProblemKind::Malformed, None)
            }
            _ => Step::Prose(end),
        }
    }

    /// The text ended inside an object.
    fn unfinished<'a>(
        &self,
        state: &mut EngineState,
        text: &'a str,
        start: usize,
        context: Context<'_>,
    ) -> Step<'a> {
        let source = &text[start..];
        if let Some(close) = state.span.as_ref().and_then(|span| span.missing(text)) {
            let whole = format!("{source}{close}");
            let whole = whole.trim_end_matches(']');
            if let Some((value, leniencies)) = crate::json::read(whole) {
                let calls = self.calls(value.into_owned(), context);
                if let Some(calls) = calls.filter(|calls| !calls.is_empty()) {
                    state.next_call();
                    let mend = |call: RawCall<'a>| {
                        let mut call = call.leniencies(leniencies);
                        call.repairs.push(Repair::MissingClose);
                        call
                    };
                    return Step::Calls(text.len(), calls.into_iter().map(mend).collect());
                }
            }
        }
        // Quotes inside a string hid the closing marker.
        let close = self.close.iter().filter_map(|word| source.rfind(word)).max();
        if let Some(close) = close
            && let Some(calls) =
                self.mended(source[..close].trim_end_matches(|c| is_space(c) || c == ']'), context)
        {
            state.next_call();
            return Step::Calls(start + close, calls);
        }
        if let Some(calls) = self.mended(source.trim_end(), context) {
            state.next_call();
            return Step::Calls(text.len(), calls);
        }
        if self.form.is_marked() { Step::Cut(None) } else { Step::Prose(text.len()) }
    }

    fn mended<'a>(&self, source: &'a str, context: Context<'_>) -> Option<Vec<RawCall<'a>>> {
        let value = mend::quotes(source, |value| {
            self.calls(value.clone(), context)
                .is_some_and(|calls| calls.iter().all(|call| fits(call, context)))
        })?;
        let mut calls = self.calls(value, context)?;
        for call in &mut calls {
            call.repairs.push(Repair::UnescapedQuotes);
        }
        Some(calls)
    }

    fn calls<'a>(&self, value: Value<'a>, context: Context<'_>) -> Option<Vec<RawCall<'a>>> {
        match self.form {
            Form::Map => match value {
                Value::Object(entries) => Some(
                    entries
                        .into_iter()
                        .map(|(name, arguments)| RawCall::new(name, Body::Value(arguments)))
                        .collect(),
                ),
                _ => None,
            },
            Form::Call => {
                let command = command_only(&value, context);
                spelled_out(value.clone(), true)
                    .or_else(|| command.map(|name| vec![RawCall::new(name, Body::Value(value))]))
            }
            Form::Unmarked | Form::PythonList => unmarked(value, context, false),
            Form::Hinted => unmarked(value, context, true),
        }
    }
}

impl Form {
    /// Whether a call may be written with this much of what is no JSON.
    fn allows(self, leniencies: Leniencies) -> bool {
        match self {
            Self::Unmarked => !leniencies.python && !leniencies.separator,
            Self::PythonList => !leniencies.separator,
            Self::Call | Self::Map | Self::Hinted => true,
        }
    }

    fn is_marked(self) -> bool {
        matches!(self, Self::Call | Self::Map)
    }
}

/// A shell's name, for an object that holds its command and no name.
fn command_only(value: &Value<'_>, context: Context<'_>) -> Option<String> {
    let shell = Shell::only(context.options)?;
    let keys = ["cmd", "command", "script"];
    let named = value.get("name").is_some() || value.get("function").is_some();
    let has = value.entries()?.iter().any(|(key, _)| keys.contains(&key.as_ref()));
    (has && !named).then(|| shell.tool.name().to_owned())
}

/// A call without any marker must leave no doubt: a declared name, arguments that are an object with everything required.
fn unmarked<'a>(value: Value<'a>, context: Context<'_>, hinted: bool) -> Option<Vec<RawCall<'a>>> {
    let kind = value.get("type").and_then(Value::as_str).map(str::to_owned);
    let is_named = matches!(
        kind.as_deref(),
        Some("tool-call" | "tool_call" | "function_call" | "tool_use" | "function")
    );
    if kind.is_some() && !is_named {
        return None;
    }
    if is_named && let Some(name) = command_only(&value, context) {
        let Value::Object(entries) = value else { return None };
        let entries = entries.into_iter().filter(|(key, _)| !matches!(key.as_ref(), "type" | "id")).collect();
        return Some(vec![RawCall::new(name, Body::Value(Value::Object(entries)))]);
    }
    let calls = spelled_out(value, hinted)?;
    let sure = calls.iter().all(|call| {
        known(&call.name, context.options)
            && match &call.body {
                Body::Value(Value::Null) => is_named || hinted,
                Body::Value(Value::Object(_)) => true,
                Body::Value(Value::String(text)) => {
                    matches!(crate::json::read(text), Some((Value::Object(_) | Value::String(_), _)))
                }
                _ => false,
            }
            && (hinted || has_required(call, context))
    });
    sure.then_some(calls)
}

fn has_required(call: &RawCall<'_>, context: Context<'_>) -> bool {
    let Some(tool) = context.options.tool(&call.name) else { return true };
    if Shell::of(tool).is_some() {
        return true;
    }
    let Body::Value(arguments) = &call.body else { return false };
    let inner;
    let arguments = match arguments {
        Value::String(text) => match crate::json::read(text) {
            Some((value, _)) => {
                inner = value;
                &inner
            }
            None => return false,
        },
        other => other,
    };
    tool.required().all(|key| arguments.get(key).is_some())
}

/// Every key of a mended call is one that the tool declares.
fn fits(call: &RawCall<'_>, context: Context<'_>) -> bool {
    let Some(tool) = context.options.tool(&call.name) else { return known(&call.name, context.options) };
    let Body::Value(Value::Object(entries)) = &call.body else { return false };
    tool.parameters().next().is_none() || entries.iter().all(|(key, _)| tool.declares(key))
}

fn broken<'a>(text: &str, end: usize, form: Form) -> Step<'a> {
    let mut end = end;
    while !text.is_char_boundary(end) {
        end += 1;
    }
    if form.is_marked() { Step::Broken(end, ProblemKind::Malformed, None) } else { Step::Prose(end) }
}

/// Closing brackets that are all that is left of a line.
fn line_of_closers(rest: &str, end: bool) -> Lookahead<()> {
    let length = closers(rest);
    let line = rest[length..].trim_start_matches([' ', '\t', '\r']);
    match line.bytes().next() {
        None if !end => Lookahead::More,
        None | Some(b'\n') => Lookahead::Yes((), length),
        Some(_) => Lookahead::No,
    }
}

/// The longest entry of a list that is passed over because it is no object.
const MAX_SCALAR: usize = 256;

/// The length of a list's entry that is no object; 0 for what is no JSON, `None` for what is not whole.
fn scalar(rest: &str, end: bool) -> Option<usize> {
    let bytes = &rest.as_bytes()[..rest.len().min(MAX_SCALAR)];
    let length = if bytes.first() == Some(&b'"') {
        let mut escaped = false;
        let close = bytes.iter().skip(1).position(|byte| {
            let closes = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            closes
        });
        close.map(|close| close + 2)
    } else {
        let word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'-');
        bytes.iter().position(|byte| !word(byte)).or(end.then_some(bytes.len()))
    };
    match length {
        Some(length) => Some(rest.get(..length).and_then(crate::json::read).map_or(0, |_| length)),
        None if rest.len() < MAX_SCALAR && !end => None,
        None => Some(0),
    }
}
