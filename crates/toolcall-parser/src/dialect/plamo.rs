//! PLaMo 3: `<|plamo:begin_tool_requests:plamo|>`, every part between tokens of its own.

use nom::Parser as _;
use nom::bytes::streaming::{tag, take_while_m_n};
use nom::combinator::{opt, value};
use nom::sequence::delimited;

use super::{Dialect, Opens, Place, Row};
use crate::engine::{Engine, named};
use crate::lex::{MOST_NAME, Parsed, ws};

pub(super) static ROWS: &[Row] = &[Row {
    dialect: Dialect::Plamo,
    trigger: b'<',
    place: Place::Anywhere,
    hint_only: false,
    opens: Opens::Text(|input| token("begin_tool_requests", input)),
    engine: Engine::Named(named::Grammar {
        head,
        tail,
        close: |input| token("end_tool_requests", input),
        empty: true,
    }),
}];

fn token<'a>(word: &str, input: &'a str) -> Parsed<'a, ()> {
    value((), (tag("<|plamo:"), tag(word), tag(":plamo|>"))).parse(input)
}

fn head(input: &str) -> Parsed<'_, named::Head<'_>> {
    let (input, _) = (|input| token("begin_tool_request", input), ws).parse(input)?;
    let (input, _) = (|input| token("begin_tool_name", input), ws).parse(input)?;
    let (input, _) = opt((tag("<|plamo:msg|>"), ws)).parse(input)?;
    let (input, name) = take_while_m_n(1, MOST_NAME, |c: char| !matches!(c, '<' | '\n')).parse(input)?;
    let (input, _) = (ws, |input| token("end_tool_name", input), ws).parse(input)?;
    let (input, _) =
        (|input| token("begin_tool_arguments", input), ws, opt((tag("<|plamo:msg|>"), ws))).parse(input)?;
    Ok((input, named::Head { name: name.trim(), id: None }))
}

fn tail(input: &str) -> Parsed<'_, ()> {
    let between =
        delimited(|input| token("end_tool_arguments", input), ws, |input| token("end_tool_request", input));
    value((), between).parse(input)
}
