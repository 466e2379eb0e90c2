//! `<function=name>`: Qwen3-Coder inside `<tool_call>`, others alone; `<function name="name">`: MiniCPM.

use nom::Parser as _;
use nom::branch::alt;
use nom::bytes::streaming::{tag, take_while_m_n};
use nom::combinator::{opt, peek, value};

use super::{Opens, Place, Row};
use crate::dialect::Dialect;
use crate::engine::{Engine, ValueSyntax, tagged};
use crate::lex::{LexResult, MAX_NAME, any_of, quoted, ws};
use crate::options::Options;

pub(super) static ROWS: &[Row] = &[
    Row {
        dialect: Dialect::QwenCoder,
        trigger: b'<',
        place: Place::Unquoted,
        hint_only: false,
        opens: Opens::Text(opens_coder),
        engine: Engine::Tagged(grammar(
            |input| {
                let (input, _) = opt((tag("<tool_call>"), ws)).parse(input)?;
                function(input)
            },
            |input| any_of(&["</tool_call>"], input),
            tagged::Bodies::Json,
        )),
    },
    Row {
        dialect: Dialect::QwenCoder,
        trigger: b'<',
        place: Place::Unquoted,
        hint_only: false,
        opens: Opens::Tools(opens_bare_coder),
        engine: Engine::Tagged(grammar(
            function,
            |input| any_of(&["</tool_call>"], input),
            tagged::Bodies::Json,
        )),
    },
    Row {
        dialect: Dialect::FunctionTag,
        trigger: b'<',
        place: Place::Unquoted,
        hint_only: false,
        opens: Opens::Tools(opens_with_content),
        engine: Engine::Tagged(grammar(
            either,
            |input| any_of(&["</tool_call>"], input),
            tagged::Bodies::Json,
        )),
    },
    Row {
        dialect: Dialect::FunctionTag,
        trigger: b'<',
        place: Place::LineStart,
        hint_only: false,
        opens: Opens::Tools(opens_bare),
        engine: Engine::Tagged(grammar(
            either,
            |input| any_of(&["</tool_call>"], input),
            tagged::Bodies::Any,
        )),
    },
];

const fn grammar(
    call: for<'a> fn(&'a str) -> LexResult<'a, tagged::TaggedHead<'a>>,
    close: for<'a> fn(&'a str) -> LexResult<'a, ()>,
    body: tagged::Bodies,
) -> tagged::TaggedGrammar {
    tagged::TaggedGrammar {
        call,
        call_close: function_close,
        parameter: key,
        parameter_close: key_close,
        close,
        body,
        layout: true,
        unclosed: true,
        declared: false,
    }
}

/// `<tool_call>` before a function; said twice by some.
fn opens_coder(input: &str) -> LexResult<'_, ()> {
    let (rest, _) = (tag("<tool_call>"), ws, opt((tag("<tool_call>"), ws))).parse(input)?;
    value((), peek(tag("<function="))).parse(rest)
}

/// A function with parameters needs no wrapper.
fn opens_bare_coder<'a>(input: &'a str, options: &Options) -> LexResult<'a, ()> {
    let (rest, head) = function(input)?;
    peek((ws, alt((tag("<parameter="), tag("</function>"))))).parse(rest)?;
    super::hermes::declared(head.name, input, options)?;
    Ok((input, ()))
}

/// A function that holds an object or a parameter is no mere mention.
fn opens_with_content<'a>(input: &'a str, options: &Options) -> LexResult<'a, ()> {
    let (rest, head) = either(input)?;
    let begins = |input| any_of(&["{", "<parameter", "<param"], input);
    peek((ws, begins)).parse(rest)?;
    super::hermes::declared(head.name, input, options)?;
    Ok((input, ()))
}

fn opens_bare<'a>(input: &'a str, options: &Options) -> LexResult<'a, ()> {
    let (_, head) = either(input)?;
    super::hermes::declared(head.name, input, options)?;
    Ok((input, ()))
}

fn either(input: &str) -> LexResult<'_, tagged::TaggedHead<'_>> {
    alt((function, named_function)).parse(input)
}

pub(super) fn function(input: &str) -> LexResult<'_, tagged::TaggedHead<'_>> {
    let (input, _) = (tag("<function="), ws).parse(input)?;
    let (input, name) = take_while_m_n(1, MAX_NAME, |c: char| !matches!(c, '>' | '<' | '\n')).parse(input)?;
    let (input, _) = tag(">")(input)?;
    Ok((input, tagged::TaggedHead { name: name.trim().trim_matches(['"', '\'']), id: None, prefix: "" }))
}

fn named_function(input: &str) -> LexResult<'_, tagged::TaggedHead<'_>> {
    let (input, _) = (tag("<function"), ws, tag("name"), ws, tag("="), ws).parse(input)?;
    let (input, name) = quoted(input)?;
    let (input, _) = (ws, tag(">")).parse(input)?;
    Ok((input, tagged::TaggedHead { name, id: None, prefix: "" }))
}

pub(super) fn function_close<'a>(input: &'a str, _: &str) -> LexResult<'a, ()> {
    value((), tag("</function>")).parse(input)
}

/// `<parameter=key>`, `<parameter name="key">`, `<param name="key">`.
pub(super) fn key<'a>(input: &'a str, _: &str) -> LexResult<'a, tagged::Key<'a>> {
    let bare = take_while_m_n(1, MAX_NAME, |c: char| !matches!(c, '>' | '<' | '\n'));
    let (input, _) = (tag("<param"), opt(tag("eter"))).parse(input)?;
    let by_sign = (tag("="), bare).map(|(_, name): (_, &str)| name.trim().trim_matches(['"', '\'']));
    let by_name = (ws, tag("name"), ws, tag("="), ws, quoted).map(|found| found.5);
    let (input, name) = alt((by_sign, by_name)).parse(input)?;
    let (input, _) = (ws, tag(">")).parse(input)?;
    Ok((input, tagged::Key { name, typing: ValueSyntax::Schema }))
}

pub(super) fn key_close<'a>(input: &'a str, _: &str) -> LexResult<'a, ()> {
    any_of(&["</parameter>", "</param>"], input)
}
