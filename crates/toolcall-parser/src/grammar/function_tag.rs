//! `<function=name>`: Qwen3-Coder inside `<tool_call>`, others alone; `<function name="name">`: MiniCPM.

use nom::Parser as _;
use nom::branch::alt;
use nom::bytes::streaming::tag;
use nom::combinator::{opt, peek, value};

use super::{Opens, Place, Row};
use crate::dialect::Dialect;
use crate::engine::{Engine, ValueSyntax, tagged};
use crate::lex::{LexResult, any_of, mark, naming, never, tag_end, ws};
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
                let (input, _) = opt((mark("<tool_call>"), ws)).parse(input)?;
                function(input)
            },
            tagged::Layout::Lines,
            tagged::Bodies::Json,
        )),
    },
    Row {
        dialect: Dialect::QwenCoder,
        trigger: b'<',
        place: Place::Unquoted,
        hint_only: false,
        opens: Opens::Tools(opens_bare_coder),
        engine: Engine::Tagged(grammar(function, tagged::Layout::Lines, tagged::Bodies::Json)),
    },
    Row {
        dialect: Dialect::FunctionTag,
        trigger: b'<',
        place: Place::Unquoted,
        hint_only: false,
        opens: Opens::Tools(opens_with_content),
        engine: Engine::Tagged(grammar(function, tagged::Layout::CData, tagged::Bodies::Json)),
    },
    Row {
        dialect: Dialect::FunctionTag,
        trigger: b'<',
        place: Place::LineStart,
        hint_only: false,
        opens: Opens::Tools(opens_bare),
        engine: Engine::Tagged(grammar(function, tagged::Layout::CData, tagged::Bodies::Any)),
    },
];

const fn grammar(
    call: for<'a> fn(&'a str) -> LexResult<'a, tagged::TaggedHead<'a>>,
    layout: tagged::Layout,
    body: tagged::Bodies,
) -> tagged::TaggedGrammar {
    tagged::TaggedGrammar {
        call,
        call_close: function_close,
        parameter: key,
        parameter_close: key_close,
        close: |input| mark("</tool_call>")(input),
        body,
        layout,
        unclosed: true,
        declared: false,
        plain_close: never,
    }
}

/// `<tool_call>` before a function; said twice by some.
fn opens_coder(input: &str) -> LexResult<'_, ()> {
    let open = mark("<tool_call>");
    let (rest, _) = (&open, ws, opt((&open, ws))).parse(input)?;
    value((), peek(function)).parse(rest)
}

/// A function with parameters needs no wrapper.
fn opens_bare_coder<'a>(input: &'a str, options: &Options) -> LexResult<'a, ()> {
    peek((mark("<function"), ws, alt((tag("="), tag(":"))))).parse(input)?;
    let (rest, head) = function(input)?;
    let parameter = |input| value((), (mark("<parameter"), ws, alt((tag("="), tag(":"))))).parse(input);
    peek((ws, alt((parameter, mark("</function>"))))).parse(rest)?;
    super::hermes::declared(head.name, input, options)?;
    Ok((input, ()))
}

/// A function that holds an object or a parameter is no mere mention.
fn opens_with_content<'a>(input: &'a str, options: &Options) -> LexResult<'a, ()> {
    let (rest, head) = function(input)?;
    let begins = |input| any_of(&["{", "<parameter", "<param"], input);
    peek((ws, begins)).parse(rest)?;
    super::hermes::declared(head.name, input, options)?;
    Ok((input, ()))
}

fn opens_bare<'a>(input: &'a str, options: &Options) -> LexResult<'a, ()> {
    let (_, head) = function(input)?;
    super::hermes::declared(head.name, input, options)?;
    Ok((input, ()))
}

/// `<function=name>`, `<function name="name">`.
pub(super) fn function(input: &str) -> LexResult<'_, tagged::TaggedHead<'_>> {
    let (input, (name, _)) = naming("<function", &["name"], input)?;
    let (input, ()) = tag_end(input)?;
    Ok((input, tagged::TaggedHead { name, id: None, prefix: "" }))
}

pub(super) fn function_close<'a>(input: &'a str, _: &str) -> LexResult<'a, ()> {
    mark("</function>")(input)
}

/// `<parameter=key>`, `<parameter name="key">`, `<param name="key">`.
pub(super) fn key<'a>(input: &'a str, _: &str) -> LexResult<'a, tagged::Key<'a>> {
    let named = |word| move |input| naming(word, &["name", "key"], input);
    let (input, (name, _)) = alt((named("<parameter"), named("<param"))).parse(input)?;
    let (input, ()) = tag_end(input)?;
    Ok((input, tagged::Key { name, typing: ValueSyntax::Schema }))
}

pub(super) fn key_close<'a>(input: &'a str, _: &str) -> LexResult<'a, ()> {
    any_of(&["</parameter>", "</param>"], input)
}
