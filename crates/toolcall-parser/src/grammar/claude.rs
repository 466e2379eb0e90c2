//! Claude-style XML: `<invoke name="…">`, perhaps in `<function_calls>`, perhaps with a prefix such as `antml:`.

use nom::Parser as _;
use nom::bytes::streaming::{tag, take_while_m_n};
use nom::combinator::{opt, peek, recognize, value};

use super::{Opens, Place, Row};
use crate::dialect::Dialect;
use crate::engine::{Engine, ValueSyntax, tagged};
use crate::lex::{LexResult, any_of, quoted, ws};
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
        layout: true,
        unclosed: true,
        declared: false,
    }),
}];

/// An XML name with its colon, or nothing.
fn prefix(input: &str) -> LexResult<'_, &str> {
    let name = take_while_m_n(1, 16, |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let (rest, found) = opt(recognize((name, tag(":")))).parse(input)?;
    Ok((rest, found.unwrap_or("")))
}

fn wrapper(input: &str) -> LexResult<'_, ()> {
    value((), (tag("<"), prefix, tag("function_calls>"))).parse(input)
}

fn opens<'a>(input: &'a str, options: &Options) -> LexResult<'a, ()> {
    let (rest, _) = opt((wrapper, ws)).parse(input)?;
    let (_, head) = peek(invoke).parse(rest)?;
    super::hermes::declared(head.name, rest, options)?;
    Ok((rest, ()))
}

fn close(input: &str) -> LexResult<'_, ()> {
    value((), (tag("</"), prefix, tag("function_calls>"))).parse(input)
}

pub(super) fn invoke(input: &str) -> LexResult<'_, tagged::TaggedHead<'_>> {
    let (input, _) = tag("<")(input)?;
    let (input, prefix) = prefix(input)?;
    let (input, _) = (tag("invoke"), ws, tag("name"), ws, tag("="), ws).parse(input)?;
    let (input, name) = quoted(input)?;
    let (input, _) = (ws, tag(">")).parse(input)?;
    Ok((input, tagged::TaggedHead { name, id: None, prefix }))
}

pub(super) fn invoke_close<'a>(input: &'a str, prefix: &str) -> LexResult<'a, ()> {
    value((), (tag("</"), tag(prefix), tag("invoke>"))).parse(input)
}

pub(super) fn parameter<'a>(input: &'a str, prefix: &str) -> LexResult<'a, tagged::Key<'a>> {
    let (input, _) =
        (tag("<"), tag(prefix), tag("parameter"), ws, tag("name"), ws, tag("="), ws).parse(input)?;
    let (input, name) = quoted(input)?;
    let (input, _) = (ws, tag(">")).parse(input)?;
    Ok((input, tagged::Key { name, typing: ValueSyntax::Schema }))
}

pub(super) fn parameter_close<'a>(input: &'a str, prefix: &str) -> LexResult<'a, ()> {
    let (input, _) = (tag("</"), tag(prefix)).parse(input)?;
    any_of(&["parameter>"], input)
}
