//! PLaMo 3: `<|plamo:begin_tool_requests:plamo|>`, every part between tokens of its own.

use nom::Parser as _;
use nom::bytes::streaming::{tag, take_while_m_n};
use nom::combinator::{opt, value};
use nom::sequence::delimited;

use super::{Opens, Place, Row};
use crate::dialect::Dialect;
use crate::engine::{Engine, named};
use crate::lex::{LexResult, MAX_NAME, ws};

pub(super) static ROWS: &[Row] = &[Row {
    dialect: Dialect::Plamo,
    trigger: b'<',
    place: Place::Anywhere,
    hint_only: false,
    opens: Opens::Text(|input| token("begin_tool_requests", input)),
    engine: Engine::Named(named::NamedGrammar {
        head,
        tail,
        close: |input| token("end_tool_requests", input),
        empty: true,
    }),
}];

fn token<'a>(word: &str, input: &'a str) -> LexResult<'a, ()> {
    value((), (tag("<|plamo:"), tag(word), tag(":plamo|>"))).parse(input)
}

fn head(input: &str) -> LexResult<'_, named::NamedHead<'_>> {
    let (input, _) = (|input| token("begin_tool_request", input), ws).parse(input)?;
    let (input, _) = (|input| token("begin_tool_name", input), ws).parse(input)?;
    let (input, _) = opt((tag("<|plamo:msg|>"), ws)).parse(input)?;
    let (input, name) = take_while_m_n(1, MAX_NAME, |c: char| !matches!(c, '<' | '\n')).parse(input)?;
    let (input, _) = (ws, |input| token("end_tool_name", input), ws).parse(input)?;
    let (input, _) =
        (|input| token("begin_tool_arguments", input), ws, opt((tag("<|plamo:msg|>"), ws))).parse(input)?;
    Ok((input, named::NamedHead { name: name.trim(), id: None }))
}

fn tail(input: &str) -> LexResult<'_, ()> {
    let between =
        delimited(|input| token("end_tool_arguments", input), ws, |input| token("end_tool_request", input));
    value((), between).parse(input)
}
