//! DeepSeek V3 and R1, V3.1: `<｜tool▁calls▁begin｜>`. V3 has a type, a line for the name and a fence; V3.1 has neither.

use nom::Parser as _;
use nom::branch::alt;
use nom::bytes::streaming::{tag, take_while_m_n};
use nom::combinator::{opt, peek, value};
use nom::sequence::{delimited, terminated};

use super::{Opens, Place, Row};
use crate::dialect::Dialect;
use crate::engine::{Engine, named};
use crate::lex::{LexResult, MAX_NAME, any_of, bar, low, ws};

pub(super) static ROWS: &[Row] = &[
    Row {
        dialect: Dialect::DeepseekV3,
        trigger: b'<',
        place: Place::Anywhere,
        hint_only: false,
        opens: Opens::Text(opens_v3),
        engine: Engine::Named(named::NamedGrammar { head: head_v3, tail: tail_v3, close, empty: true }),
    },
    Row {
        dialect: Dialect::DeepseekV31,
        trigger: b'<',
        place: Place::Anywhere,
        hint_only: false,
        opens: Opens::Text(opens_v31),
        engine: Engine::Named(named::NamedGrammar { head: head_v31, tail: tail_v31, close, empty: true }),
    },
];

/// `<｜word▁word▁word｜>` in every spelling.
fn token<'a>(words: &[&str], input: &'a str) -> LexResult<'a, ()> {
    let (mut input, _) = (tag("<"), bar).parse(input)?;
    for (index, word) in words.iter().enumerate() {
        if index > 0 {
            input = low(input)?.0;
        }
        input = tag(*word)(input)?.0;
    }
    value((), (bar, tag(">"))).parse(input)
}

fn outer(input: &str) -> LexResult<'_, ()> {
    alt((
        |input| token(&["tool", "calls", "begin"], input),
        |input| token(&["tool", "call", "s", "begin"], input),
    ))
    .parse(input)
}

fn inner(input: &str) -> LexResult<'_, ()> {
    token(&["tool", "call", "begin"], input)
}

fn separator(input: &str) -> LexResult<'_, ()> {
    token(&["tool", "sep"], input)
}

fn call_end(input: &str) -> LexResult<'_, ()> {
    token(&["tool", "call", "end"], input)
}

fn close(input: &str) -> LexResult<'_, ()> {
    token(&["tool", "calls", "end"], input)
}

/// The type that V3 puts before the separator.
fn kind(input: &str) -> LexResult<'_, ()> {
    value((), (tag("function"), separator)).parse(input)
}

fn opens_v3(input: &str) -> LexResult<'_, ()> {
    let (rest, _) = opt(terminated(outer, ws)).parse(input)?;
    value((), peek((inner, ws, kind))).parse(rest)
}

fn opens_v31(input: &str) -> LexResult<'_, ()> {
    let (rest, _) = opt(terminated(outer, ws)).parse(input)?;
    value((), peek((nom::combinator::not((inner, ws, kind)), head_v31))).parse(rest)
}

fn head_v3(input: &str) -> LexResult<'_, named::NamedHead<'_>> {
    let (input, _) = (inner, ws, kind, ws).parse(input)?;
    let (input, name) =
        take_while_m_n(1, MAX_NAME, |c: char| !matches!(c, '\n' | '<' | '`' | '{')).parse(input)?;
    let (input, _) = (ws, opt((any_fence, ws))).parse(input)?;
    Ok((input, named::NamedHead { name: name.trim(), id: None }))
}

fn any_fence(input: &str) -> LexResult<'_, ()> {
    any_of(&["```json", "```"], input)
}

fn tail_v3(input: &str) -> LexResult<'_, ()> {
    value((), (opt((tag("```"), ws)), call_end)).parse(input)
}

fn head_v31(input: &str) -> LexResult<'_, named::NamedHead<'_>> {
    let name = take_while_m_n(1, MAX_NAME, |c: char| !matches!(c, '\n' | '<' | '{'));
    let (input, name) = delimited((inner, ws), name, (separator, ws)).parse(input)?;
    Ok((input, named::NamedHead { name: name.trim(), id: None }))
}

fn tail_v31(input: &str) -> LexResult<'_, ()> {
    value((), (opt((tag("```"), ws)), call_end)).parse(input)
}
