//! DSML: `<｜DSML｜tool_calls>`, by DeepSeek V3.2 (`function_calls`), V4 (`tool_calls`) and V4.1 (`calls`, with spaces).
//!
//! Layers in between double the bars or make them ASCII. GigaChat 3.5 writes `GCML` instead.

use nom::Parser as _;
use nom::branch::alt;
use nom::bytes::streaming::tag;
use nom::combinator::{opt, recognize, value};
use nom::multi::many_m_n;
use nom::sequence::{preceded, terminated};

use super::{Opens, Place, Row};
use crate::dialect::Dialect;
use crate::engine::{Engine, ValueSyntax, tagged};
use crate::lex::{LexResult, any_of, bar, quoted, ws};

pub(super) static ROWS: &[Row] = &[Row {
    dialect: Dialect::Dsml,
    trigger: b'<',
    place: Place::Anywhere,
    hint_only: false,
    opens: Opens::Text(opens),
    engine: Engine::Tagged(tagged::TaggedGrammar {
        call,
        call_close: |input, prefix| close_tag(&["invoke"], input, prefix),
        parameter,
        parameter_close: |input, prefix| close_tag(&["parameter"], input, prefix),
        close,
        body: tagged::Bodies::Json,
        layout: true,
        unclosed: false,
        declared: false,
    }),
}];

/// `｜DSML｜` and its spellings, with the space of V4.1.
fn prefix(input: &str) -> LexResult<'_, &str> {
    let bars = |input| many_m_n(1, 2, bar).parse(input);
    recognize((bars, alt((tag("DSML"), tag("GCML"))), bars, opt(tag(" ")))).parse(input)
}

fn wrapper(input: &str) -> LexResult<'_, ()> {
    value((), (prefix, |input| any_of(&["tool_calls", "function_calls", "calls"], input), tag(">")))
        .parse(input)
}

/// The wrapper is consumed; a call without one is left to the machine.
fn opens(input: &str) -> LexResult<'_, ()> {
    alt((value((), (tag("<"), wrapper)), value((), nom::combinator::peek((tag("<"), prefix, tag("invoke"))))))
        .parse(input)
}

fn close(input: &str) -> LexResult<'_, ()> {
    alt((value((), (tag("</"), wrapper)), value((), (tag("<"), wrapper)))).parse(input)
}

fn call(input: &str) -> LexResult<'_, tagged::TaggedHead<'_>> {
    let (input, _) = tag("<")(input)?;
    let (input, prefix) = prefix(input)?;
    let (input, name) =
        (tag("invoke"), ws, tag("name"), ws, tag("="), ws).parse(input).and_then(|(rest, _)| quoted(rest))?;
    let (input, _) = (ws, tag(">")).parse(input)?;
    Ok((input, tagged::TaggedHead { name, id: None, prefix }))
}

fn parameter<'a>(input: &'a str, prefix: &str) -> LexResult<'a, tagged::Key<'a>> {
    let (input, _) =
        (tag("<"), tag(prefix), tag("parameter"), ws, tag("name"), ws, tag("="), ws).parse(input)?;
    let (input, name) = quoted(input)?;
    let string = preceded((tag("string"), ws, tag("="), ws), quoted);
    let (input, string) = preceded(ws, opt(string)).parse(input)?;
    let (input, _) = terminated(ws, tag(">")).parse(input)?;
    let typing = match string {
        Some("true") => ValueSyntax::Text,
        Some("false") => ValueSyntax::Json,
        _ => ValueSyntax::Schema,
    };
    Ok((input, tagged::Key { name, typing }))
}

fn close_tag<'a>(words: &[&str], input: &'a str, prefix: &str) -> LexResult<'a, ()> {
    let (input, _) = (tag("</"), tag(prefix)).parse(input)?;
    let (input, ()) = any_of(words, input)?;
    value((), tag(">")).parse(input)
}
