//! PLaMo 3: `<|plamo:begin_tool_requests:plamo|>`, every part between tokens of its own.

use nom::Parser as _;
use nom::branch::alt;
use nom::bytes::streaming::{tag, take_while_m_n};
use nom::combinator::{opt, peek, value};
use nom::multi::many_m_n;

use super::{Opens, Place, Row};
use crate::dialect::Dialect;
use crate::engine::{Engine, named};
use crate::lex::{LexResult, MAX_NAME, mark, ws};

pub(super) static ROWS: &[Row] = &[Row {
    dialect: Dialect::Plamo,
    trigger: b'<',
    place: Place::Anywhere,
    hint_only: false,
    opens: Opens::Text(|input| {
        let one = alt((|input| token("begin_tool_request", input), |input| token("begin_tool_name", input)));
        let requests = || (|input| token("begin_tool_requests", input), ws);
        let block = value((), many_m_n(1, MAX_CLOSES, requests()));
        alt((block, value((), peek(one)))).parse(input)
    }),
    engine: Engine::Named(named::NamedGrammar {
        head,
        tail: |input| token("end_tool_arguments", input),
        close: |input| token("end_tool_requests", input),
        empty: true,
    }),
}];

/// How often a part is ended at most.
const MAX_CLOSES: usize = 3;

fn token<'a>(word: &str, input: &'a str) -> LexResult<'a, ()> {
    value((), (mark("<|plamo:"), mark(word), mark(":plamo|>"))).parse(input)
}

/// What stands before a part's text: how it is constrained, and that it is a message.
fn lead(input: &str) -> LexResult<'_, ()> {
    let constrained = (mark("<|plamo:constrain|>"), ws, opt((tag("json"), ws)));
    value((), (ws, opt(constrained), opt((mark("<|plamo:msg|>"), ws)))).parse(input)
}

/// The tokens that end a part, and the one that begins a call, may be lost; those that end the call before are left over.
fn head(input: &str) -> LexResult<'_, named::NamedHead<'_>> {
    let (input, _) = many_m_n(0, MAX_CLOSES, (|input| token("end_tool_request", input), ws)).parse(input)?;
    let (input, _) = opt((|input| token("begin_tool_request", input), ws)).parse(input)?;
    let (input, _) = (|input| token("begin_tool_name", input), lead).parse(input)?;
    let (input, name) = take_while_m_n(1, MAX_NAME, |c: char| !matches!(c, '<' | '\n')).parse(input)?;
    let (input, _) =
        (ws, many_m_n(0, MAX_CLOSES, (|input| token("end_tool_name", input), ws))).parse(input)?;
    let (input, _) = (|input| token("begin_tool_arguments", input), lead).parse(input)?;
    Ok((input, named::NamedHead { name: name.trim(), id: None }))
}
