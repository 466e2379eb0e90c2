//! Formats that only a hint tells from prose: Functionary 3.2's `>>>name` and ReAct's `Action:` lines.

use nom::Parser as _;
use nom::bytes::streaming::{tag, take_while_m_n};
use nom::combinator::{opt, peek, value};

use super::{Opens, Place, Row};
use crate::dialect::Dialect;
use crate::engine::{Engine, named};
use crate::lex::{LexResult, MAX_NAME, blanks, never, ws};

pub(super) static ROWS: &[Row] = &[
    Row {
        dialect: Dialect::FunctionaryV3,
        trigger: b'>',
        place: Place::LineStart,
        hint_only: true,
        opens: Opens::Text(|input| value((), peek(functionary)).parse(input)),
        engine: Engine::Named(named::NamedGrammar {
            head: functionary,
            tail: never,
            close: never,
            empty: false,
        }),
    },
    Row {
        dialect: Dialect::React,
        trigger: b'A',
        place: Place::LineStart,
        hint_only: true,
        opens: Opens::Text(|input| value((), peek(react)).parse(input)),
        engine: Engine::Named(named::NamedGrammar { head: react, tail: never, close: never, empty: false }),
    },
];

fn line_name(input: &str) -> LexResult<'_, &str> {
    take_while_m_n(1, MAX_NAME, |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.')).parse(input)
}

fn functionary(input: &str) -> LexResult<'_, named::NamedHead<'_>> {
    let (input, _) = tag(">>>")(input)?;
    let (input, name) = line_name(input)?;
    let (input, _) = (blanks, tag("\n"), ws, peek(tag("{"))).parse(input)?;
    Ok((input, named::NamedHead { name, id: None }))
}

fn react(input: &str) -> LexResult<'_, named::NamedHead<'_>> {
    let (input, _) = (tag("Action:"), blanks).parse(input)?;
    let (input, name) = line_name(input)?;
    let (input, _) =
        (blanks, tag("\n"), blanks, tag("Action Input:"), ws, opt((tag("```json"), ws)), peek(tag("{")))
            .parse(input)?;
    Ok((input, named::NamedHead { name, id: None }))
}
