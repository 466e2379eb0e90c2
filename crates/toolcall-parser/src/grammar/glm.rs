//! GLM: `<tool_call>name`, then `<arg_key>` and `<arg_value>` pairs. GLM 4.5 breaks the line behind the name, 4.7 does not.
//! K2 Horizon writes the same with `ifm|` in every tag.

use nom::Parser as _;
use nom::branch::alt;
use nom::bytes::streaming::{tag, take_while_m_n};
use nom::combinator::{opt, peek, value};
use nom::multi::many_m_n;

use super::{Opens, Place, Row};
use crate::dialect::Dialect;
use crate::engine::tagged::{self, Layout};
use crate::engine::{Engine, ValueSyntax};
use crate::lex::{LexResult, MAX_NAME, any_of, is_space, mark, never, ws};
use crate::options::Options;

pub(super) static ROWS: &[Row] = &[
    Row {
        dialect: Dialect::Glm,
        trigger: b'<',
        place: Place::Unquoted,
        hint_only: false,
        opens: Opens::Tools(|input, options| opens(call, input, options)),
        engine: Engine::Tagged(grammar(call)),
    },
    // Without the opening tag: the line that it would stand on begins with the name.
    Row {
        dialect: Dialect::Glm,
        trigger: super::NAME,
        place: Place::LineStart,
        hint_only: false,
        opens: Opens::Tools(|input, options| opens(bare_call, input, options)),
        engine: Engine::Tagged(grammar(|input| alt((call, bare_call)).parse(input))),
    },
    Row {
        dialect: Dialect::K2Horizon,
        trigger: b'<',
        place: Place::Anywhere,
        hint_only: false,
        opens: Opens::Text(|input| {
            let (rest, _) = opt((mark("<ifm|tool_calls>"), ws)).parse(input)?;
            let first = take_while_m_n(1, 1, |c: char| c.is_alphanumeric() || c == '_');
            value((), peek((mark("<ifm|tool_call>"), ws, first))).parse(rest)
        }),
        engine: Engine::Tagged(tagged::TaggedGrammar {
            call: |input| {
                let (input, _) = (mark("<ifm|tool_call>"), ws).parse(input)?;
                name(input)
            },
            call_close: |input, _| mark("</ifm|tool_call>")(input),
            parameter: horizon_parameter,
            parameter_close: |input, _| mark("</ifm|arg_value>")(input),
            close: |input| mark("</ifm|tool_calls>")(input),
            body: tagged::Bodies::None,
            layout: Layout::Verbatim,
            unclosed: true,
            declared: false,
            plain_close: never,
        }),
    },
];

const fn grammar(
    call: for<'a> fn(&'a str) -> LexResult<'a, tagged::TaggedHead<'a>>,
) -> tagged::TaggedGrammar {
    tagged::TaggedGrammar {
        call,
        call_close: |input, _| any_of(&["</tool_call>", "</iquest_tool_call>"], input),
        parameter: |input, _| parameter(PLAIN, input),
        parameter_close: |input, _| mark("</arg_value>")(input),
        close: never,
        body: tagged::Bodies::None,
        layout: Layout::Verbatim,
        unclosed: true,
        declared: false,
        plain_close: never,
    }
}

fn opens<'a>(
    call: for<'b> fn(&'b str) -> LexResult<'b, tagged::TaggedHead<'b>>,
    input: &'a str,
    options: &Options,
) -> LexResult<'a, ()> {
    let (rest, head) = call(input)?;
    peek((ws, |input| any_of(&["<arg_key>", "</tool_call>", "</iquest_tool_call>"], input))).parse(rest)?;
    super::hermes::declared(head.name, input, options)?;
    Ok((input, ()))
}

fn name(input: &str) -> LexResult<'_, tagged::TaggedHead<'_>> {
    let part = |c: char| !matches!(c, '<' | '>' | '{' | '[' | '\n' | '"');
    let (input, name) = take_while_m_n(1, MAX_NAME, part).parse(input)?;
    let name = name.trim().trim_end_matches(':');
    Ok((input, tagged::TaggedHead { name, id: None, prefix: "" }))
}

fn call(input: &str) -> LexResult<'_, tagged::TaggedHead<'_>> {
    let (input, _) = (|input| any_of(&["<tool_call>", "<iquest_tool_call>"], input), ws).parse(input)?;
    name(input)
}

fn bare_call(input: &str) -> LexResult<'_, tagged::TaggedHead<'_>> {
    let (rest, head) = name(input)?;
    peek((ws, mark("<arg_key>"))).parse(rest)?;
    Ok((rest, head))
}

/// How often a key is closed at most.
pub(super) const MAX_CLOSES: usize = 3;

/// The tags of a pair.
type Pair = [&'static str; 3];

pub(super) const PLAIN: Pair = ["<arg_key>", "</arg_key>", "<arg_value>"];
const HORIZON: Pair = ["<ifm|arg_key>", "</ifm|arg_key>", "<ifm|arg_value>"];

/// What may stand between a key and its value besides white space.
pub(super) fn sign(input: &str) -> LexResult<'_, ()> {
    value((), (opt(alt((tag("=>"), tag("->"), tag("→"), tag(":"), tag("="), tag(",")))), ws)).parse(input)
}

fn key(pair: Pair, input: &str) -> LexResult<'_, (&str, bool)> {
    let (input, ()) = mark(pair[0])(input)?;
    let (input, key) = take_while_m_n(1, MAX_NAME, |c: char| c != '<').parse(input)?;
    let (input, closed) = many_m_n(0, MAX_CLOSES, (mark(pair[1]), ws)).parse(input)?;
    let (input, ()) = sign(input)?;
    Ok((input, (key.trim(), !closed.is_empty())))
}

/// The tag before a value. It may be lost where the key was closed and no other tag follows.
fn value_begins(pair: Pair, closed: bool, input: &str) -> LexResult<'_, ()> {
    match mark(pair[2])(input) {
        Err(nom::Err::Error(_)) if closed && !input.starts_with(|c| c == '<' || is_space(c)) => {
            Ok((input, ()))
        }
        other => other,
    }
}

fn parameter(pair: Pair, input: &str) -> LexResult<'_, tagged::Key<'_>> {
    let (input, (name, closed)) = key(pair, input)?;
    let (input, ()) = value_begins(pair, closed, input)?;
    Ok((input, tagged::Key { name, typing: ValueSyntax::Schema }))
}

fn horizon_parameter<'a>(input: &'a str, _: &str) -> LexResult<'a, tagged::Key<'a>> {
    let (input, (name, closed)) = key(HORIZON, input)?;
    let kind = take_while_m_n(0, MAX_NAME, |c: char| c != '<');
    let ends = many_m_n(1, MAX_CLOSES, (mark("</ifm|arg_type>"), ws));
    let kind = (mark("<ifm|arg_type>"), kind, ends);
    let (input, kind) = opt(kind.map(|found: ((), &str, _)| found.1.trim())).parse(input)?;
    let (input, ()) = value_begins(HORIZON, closed, input)?;
    let typing = match kind {
        Some("string") => ValueSyntax::Text,
        Some(_) => ValueSyntax::Json,
        None => ValueSyntax::Schema,
    };
    Ok((input, tagged::Key { name, typing }))
}
