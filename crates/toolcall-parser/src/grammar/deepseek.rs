//! DeepSeek V3 and R1, V3.1: `<｜tool▁calls▁begin｜>`. V3 has a type, a line for the name and a fence; V3.1 has neither.

use nom::Parser as _;
use nom::branch::alt;
use nom::bytes::streaming::{tag, take_while_m_n};
use nom::combinator::{opt, peek, value};
use nom::sequence::terminated;

use super::{Opens, Place, Row};
use crate::dialect::Dialect;
use crate::engine::{Engine, named};
use crate::lex::{LexResult, MAX_NAME, any_of, mark, ws};

pub(super) static ROWS: &[Row] = &[
    Row {
        dialect: Dialect::DeepseekV3,
        trigger: b'<',
        place: Place::Anywhere,
        hint_only: false,
        opens: Opens::Text(opens_v3),
        engine: Engine::Named(named::NamedGrammar { head: head_v3, tail, close, empty: true }),
    },
    Row {
        dialect: Dialect::DeepseekV31,
        trigger: b'<',
        place: Place::Anywhere,
        hint_only: false,
        opens: Opens::Text(opens_v31),
        engine: Engine::Named(named::NamedGrammar { head: head_v31, tail, close, empty: true }),
    },
    // Without the token before the type, or before the name.
    Row {
        dialect: Dialect::DeepseekV3,
        trigger: b'f',
        place: Place::LineStart,
        hint_only: false,
        opens: Opens::Tools(|input, options| {
            let (_, head) = head_v3(input)?;
            super::hermes::declared(head.name, input, options)?;
            Ok((input, ()))
        }),
        engine: Engine::Named(named::NamedGrammar { head: head_v3, tail, close, empty: true }),
    },
    Row {
        dialect: Dialect::DeepseekV31,
        trigger: super::NAME,
        place: Place::LineStart,
        hint_only: false,
        opens: Opens::Tools(|input, options| {
            let name = take_while_m_n(1, MAX_NAME, |c: char| !matches!(c, '\n' | '<' | '{'));
            peek((name, mark(SEPARATOR))).parse(input)?;
            let (_, head) = bare_v31(input)?;
            super::hermes::declared(head.name, input, options)?;
            Ok((input, ()))
        }),
        engine: Engine::Named(named::NamedGrammar {
            head: |input| alt((head_v31, bare_v31)).parse(input),
            tail,
            close,
            empty: true,
        }),
    },
];

fn outer(input: &str) -> LexResult<'_, ()> {
    any_of(&["<｜tool▁calls▁begin｜>", "<｜tool▁call▁s▁begin｜>"], input)
}

const INNER: &str = "<｜tool▁call▁begin｜>";
const SEPARATOR: &str = "<｜tool▁sep｜>";

fn close(input: &str) -> LexResult<'_, ()> {
    mark("<｜tool▁calls▁end｜>")(input)
}

/// The type that V3 puts before the separator.
fn kind(input: &str) -> LexResult<'_, ()> {
    value((), (tag("function"), ws, mark(SEPARATOR))).parse(input)
}

fn opens_v3(input: &str) -> LexResult<'_, ()> {
    let (rest, _) = opt(terminated(outer, ws)).parse(input)?;
    value((), peek((mark(INNER), ws, kind))).parse(rest)
}

fn opens_v31(input: &str) -> LexResult<'_, ()> {
    let (rest, _) = opt(terminated(outer, ws)).parse(input)?;
    value((), peek((nom::combinator::not((mark(INNER), ws, kind)), head_v31))).parse(rest)
}

fn head_v3(input: &str) -> LexResult<'_, named::NamedHead<'_>> {
    let (input, _) = (opt((mark(INNER), ws)), kind, ws).parse(input)?;
    let (input, name) =
        take_while_m_n(1, MAX_NAME, |c: char| !matches!(c, '\n' | '<' | '`' | '{')).parse(input)?;
    let (input, _) = (ws, opt((any_fence, ws))).parse(input)?;
    Ok((input, named::NamedHead { name: name.trim(), id: None }))
}

fn any_fence(input: &str) -> LexResult<'_, ()> {
    any_of(&["```json", "```"], input)
}

fn tail(input: &str) -> LexResult<'_, ()> {
    // Behind the fence the token is a mark without a meaning.
    any_of(&["```", "<｜tool▁call▁end｜>"], input)
}

/// The separator may be lost: an object follows the name then.
fn head_v31(input: &str) -> LexResult<'_, named::NamedHead<'_>> {
    let (input, _) = (mark(INNER), ws).parse(input)?;
    bare_v31(input)
}

fn bare_v31(input: &str) -> LexResult<'_, named::NamedHead<'_>> {
    let (input, name) = take_while_m_n(1, MAX_NAME, |c: char| !matches!(c, '\n' | '<' | '{')).parse(input)?;
    let (input, ()) = alt((mark(SEPARATOR), value((), peek(tag("{"))))).parse(input)?;
    let (input, _) = (ws, opt((any_fence, ws))).parse(input)?;
    Ok((input, named::NamedHead { name: name.trim(), id: None }))
}
