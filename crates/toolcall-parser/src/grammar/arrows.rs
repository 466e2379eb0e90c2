//! `[TOOL_CALL]{tool => "name", args => {--key "value"}}[/TOOL_CALL]`: what MiniMax M2 falls back to where it forgets its own tags.
//!
//! Seen in the reports of several agents. The arguments are options of a command line, or JSON.

use std::borrow::Cow;

use nom::Parser as _;
use nom::branch::alt;
use nom::bytes::streaming::tag;
use nom::combinator::{peek, value};

use super::{Opens, Place, Row};
use crate::dialect::Dialect;
use crate::engine::Engine;
use crate::engine::json_list::{Form, JsonListGrammar};
use crate::engine::until::{Read, UntilGrammar};
use crate::json::{self, SEPARATORS, Value};
use crate::lex::{LexResult, any_of, is_space, mark, never, ws};
use crate::options::Options;
use crate::piece::ProblemKind;
use crate::settle::{Body, RawCall, declared_tool};
use crate::tool::Tool;

/// Words for the tool, and for its arguments.
const TOOL_WORDS: [&str; 3] = ["tool", "name", "function"];
const ARGUMENT_WORDS: [&str; 4] = ["args", "arguments", "parameters", "input"];
/// The longest name of an option.
const MAX_OPTION: usize = 128;

pub(super) static ROWS: &[Row] = &[
    Row {
        dialect: Dialect::MinimaxM2,
        trigger: b'[',
        place: Place::Unquoted,
        hint_only: false,
        opens: Opens::Text(|input| value((), (mark("[TOOL_CALL]"), ws, peek(arrow))).parse(input)),
        engine: Engine::Until(UntilGrammar { close: "[/TOOL_CALL]", at_end: true, read }),
    },
    Row {
        dialect: Dialect::MinimaxM2,
        trigger: b'<',
        place: Place::Unquoted,
        hint_only: false,
        opens: Opens::Text(|input| value((), (mark("<tool_call>"), ws, peek(arrow))).parse(input)),
        engine: Engine::Until(UntilGrammar { close: "</tool_call>", at_end: true, read }),
    },
    Row {
        dialect: Dialect::MinimaxM2,
        trigger: b'[',
        place: Place::Unquoted,
        hint_only: false,
        opens: Opens::Text(|input| {
            let object = |input| any_of(&["{", "["], input);
            value((), (mark("[TOOL_CALL]"), ws, peek(object))).parse(input)
        }),
        engine: Engine::JsonList(JsonListGrammar {
            close: &["[/TOOL_CALL]"],
            between: never,
            form: Form::Call,
        }),
    },
];

/// `{tool =>`.
fn arrow(input: &str) -> LexResult<'_, ()> {
    let sign = alt((tag("=>"), tag("->"), tag("→")));
    value((), (tag("{"), ws, |input| any_of(&TOOL_WORDS, input), ws, sign)).parse(input)
}

fn read<'a>(body: &'a str, options: &Options) -> Read<'a> {
    let mut reader = Reader { text: body, at: 0 };
    match reader.call(options) {
        Some(call) => Read::Calls(vec![call]),
        None if reader.at >= body.trim_end().len() => Read::Wrong(ProblemKind::Truncated),
        None => Read::Wrong(ProblemKind::Malformed),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches(is_space).len();
    }

    fn eat(&mut self, word: &str) -> bool {
        self.space();
        let found = self.rest().starts_with(word);
        self.at += if found { word.len() } else { 0 };
        found
    }

    fn any(&mut self, words: &[&str]) -> bool {
        words.iter().any(|word| self.eat(word))
    }

    fn sign(&mut self) -> bool {
        self.eat(":") || self.any(&SEPARATORS)
    }

    /// All of it, closed; a brace too many is no matter.
    fn call(&mut self, options: &Options) -> Option<RawCall<'a>> {
        let named = self.eat("{") && self.any(&TOOL_WORDS) && self.sign();
        let name = if named { self.string()? } else { return None };
        let _ = self.eat(",");
        let tool = declared_tool(&name, options);
        let arguments =
            if self.any(&ARGUMENT_WORDS) && self.sign() { self.arguments(tool)? } else { Value::Null };
        let _ = self.eat(",");
        if !self.eat("}") {
            return None;
        }
        while self.eat("}") {}
        self.space();
        self.rest().is_empty().then(|| RawCall::new(name, Body::Value(arguments)))
    }

    fn arguments(&mut self, tool: Option<&Tool>) -> Option<Value<'a>> {
        self.space();
        if let Some(end) = self.rest().rfind('}').and_then(|outer| self.rest()[..outer].rfind('}'))
            && let Some((value, _)) = json::read(&self.rest()[..=end])
        {
            self.at += end + 1;
            return Some(value);
        }
        if !self.eat("{") {
            return None;
        }
        let mut entries: Vec<(Cow<'a, str>, Value<'a>)> = Vec::new();
        while !self.eat("}") {
            let key = self.option()?;
            let _ = self.sign();
            self.space();
            let value = if self.rest().starts_with(['"', '\'']) {
                let text = self.string()?;
                tool.map_or_else(|| Value::text(text.clone()), |tool| tool.typed(key, &text))
            } else {
                self.bare(key, tool)?
            };
            entries.retain(|(known, _)| known != key);
            entries.push((Cow::Borrowed(key), value));
            let _ = self.eat(",");
        }
        Some(Value::Object(entries))
    }

    /// `--key`.
    fn option(&mut self) -> Option<&'a str> {
        if !self.eat("--") {
            return None;
        }
        let rest = self.rest();
        let letter = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        let length = rest.find(|c| !letter(c)).unwrap_or(rest.len());
        self.at += length;
        (1..=MAX_OPTION).contains(&length).then(|| &rest[..length])
    }

    /// A value without quotes: up to the next option or the end. None at all is a switch.
    fn bare(&mut self, key: &str, tool: Option<&Tool>) -> Option<Value<'a>> {
        let rest = self.rest();
        if rest.starts_with("--") || rest.starts_with('}') {
            return Some(Value::Bool(true));
        }
        if rest.starts_with(['[', '{']) {
            let mut stop = json::Span::new(0);
            let json::SpanEnd::At(end) = stop.feed(rest) else { return None };
            self.at += end;
            return json::read(&rest[..end]).map(|(value, _)| value);
        }
        let length = rest.find([' ', '\t', '\r', '\n', '}', ',']).filter(|length| *length > 0)?;
        self.at += length;
        let text = &rest[..length];
        Some(tool.map_or_else(|| Value::text(text), |tool| tool.typed(key, text)))
    }

    /// A string in either quotes. A quote in it that nobody escaped ends it only where something follows that can follow a value.
    fn string(&mut self) -> Option<Cow<'a, str>> {
        self.space();
        let quote = self.rest().chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let inside = &self.rest()[1..];
        let mut escaped = false;
        let end = inside.char_indices().find(|(at, c)| {
            let closes = *c == quote && !escaped && ends_value(&inside[at + 1..]);
            escaped = *c == '\\' && !escaped;
            closes
        });
        let Some((end, _)) = end else {
            self.at = self.text.len();
            return None;
        };
        self.at += end + 2;
        Some(unescaped(&inside[..end]))
    }
}

/// Whether what follows a quote can follow a value: another option, a closing brace, a comma, or a word of the call's own.
fn ends_value(rest: &str) -> bool {
    let rest = rest.trim_start_matches(is_space);
    rest.starts_with("--")
        || rest.starts_with(['}', ','])
        || ARGUMENT_WORDS.iter().any(|word| rest.starts_with(word))
}

/// The escapes of JSON; every other backslash is one.
fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, chars.as_str().chars().next()) {
            ('\\', Some(next @ ('n' | 't' | 'r' | '"' | '\'' | '\\' | '/'))) => {
                chars.next();
                out.push(match next {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    other => other,
                });
            }
            _ => out.push(c),
        }
    }
    Cow::Owned(out)
}
