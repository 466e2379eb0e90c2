//! Claude-style XML: `<invoke name="…">`, perhaps in `<function_calls>`, perhaps with a prefix such as `antml:`.

use nom::Parser as _;
use nom::branch::alt;
use nom::bytes::streaming::{tag, take_while_m_n};
use nom::combinator::{opt, peek, recognize, value};

use super::{Opens, Place, Row};
use crate::dialect::Dialect;
use crate::engine::{Engine, ValueSyntax, tagged};
use crate::lex::{LexResult, any_of, blanks, mark, naming, never, tag_end, ws};
use crate::options::Options;

pub(super) static ROWS: &[Row] = &[Row {
    dialect: Dialect::Claude,
    trigger: b'<',
    place: Place::Unquoted,
    hint_only: false,
    opens: Opens::Tools(opens),
    engine: Engine::Tagged(tagged::TaggedGrammar {
        call: invoke,
        call_close: invoke_close,
        parameter,
        parameter_close,
        close,
        body: tagged::Bodies::None,
        layout: tagged::Layout::Lines,
        unclosed: true,
        declared: false,
        plain_close: never,
    }),
}];

/// An XML name with its colon, or nothing.
fn prefix(input: &str) -> LexResult<'_, &str> {
    let name = take_while_m_n(1, 16, |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let (rest, found) = opt(recognize((name, tag(":")))).parse(input)?;
    Ok((rest, found.unwrap_or("")))
}

fn wrapper<'a>(open: &str, input: &'a str) -> LexResult<'a, ()> {
    value((), (mark(open), blanks, prefix, mark("function_calls>"))).parse(input)
}

fn opens<'a>(input: &'a str, options: &Options) -> LexResult<'a, ()> {
    let (rest, _) = opt((|input| wrapper("<", input), ws)).parse(input)?;
    let (_, head) = peek(invoke).parse(rest)?;
    super::hermes::declared(head.name, rest, options)?;
    Ok((rest, ()))
}

fn close(input: &str) -> LexResult<'_, ()> {
    wrapper("</", input)
}

pub(super) fn invoke(input: &str) -> LexResult<'_, tagged::TaggedHead<'_>> {
    let (input, _) = (mark("<"), blanks).parse(input)?;
    let (input, prefix) = prefix(input)?;
    let (input, (name, _)) = naming("invoke", &["name"], input)?;
    let (input, ()) = tag_end(input)?;
    Ok((input, tagged::TaggedHead { name, id: None, prefix }))
}

pub(super) fn invoke_close<'a>(input: &'a str, prefix: &str) -> LexResult<'a, ()> {
    value((), (mark("</"), blanks, tag(prefix), mark("invoke>"))).parse(input)
}

pub(super) fn parameter<'a>(input: &'a str, prefix: &str) -> LexResult<'a, tagged::Key<'a>> {
    let (input, _) = (mark("<"), blanks, tag(prefix)).parse(input)?;
    let (input, (name, _)) = naming("parameter", &["name", "key"], input)?;
    let (input, ()) = tag_end(input)?;
    Ok((input, tagged::Key { name, typing: ValueSyntax::Schema }))
}

pub(super) fn parameter_close<'a>(input: &'a str, prefix: &str) -> LexResult<'a, ()> {
    value((), (mark("</"), blanks, tag(prefix), mark("parameter>"))).parse(input)
}

/// Any closing tag, whatever its prefix, and the wrapper's opening one.
pub(super) fn any_close(input: &str) -> LexResult<'_, ()> {
    let close = |input| {
        let words = ["function_calls>", "invoke>", "parameter>"];
        value((), (mark("</"), blanks, prefix, |input| any_of(&words, input))).parse(input)
    };
    alt((|input| wrapper("<", input), close)).parse(input)
}
