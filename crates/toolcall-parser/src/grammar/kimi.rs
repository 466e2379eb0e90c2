//! Kimi K2: `<|tool_calls_section_begin|>`, ids of the form `functions.name:0`.

use nom::Parser as _;
use nom::branch::alt;
use nom::bytes::streaming::{tag, take_while_m_n};
use nom::combinator::{opt, peek, value};
use nom::sequence::terminated;

use super::{Opens, Place, Row};
use crate::dialect::Dialect;
use crate::engine::{Engine, named};
use crate::lex::{LexResult, MAX_NAME, any_of, is_space, mark, never, ws};

pub(super) static ROWS: &[Row] = &[
    Row {
        dialect: Dialect::KimiK2,
        trigger: b'<',
        place: Place::Anywhere,
        hint_only: false,
        opens: Opens::Text(opens),
        engine: Engine::Named(named::NamedGrammar { head, tail, close, empty: true }),
    },
    // Without the token before the id.
    Row {
        dialect: Dialect::KimiK2,
        trigger: super::NAME,
        place: Place::LineStart,
        hint_only: false,
        opens: Opens::Tools(|input, options| {
            let (_, head) = bare(input)?;
            super::hermes::declared(head.name, input, options)?;
            Ok((input, ()))
        }),
        engine: Engine::Named(named::NamedGrammar {
            head: |input| alt((head, bare)).parse(input),
            tail,
            close,
            empty: true,
        }),
    },
];

const ARGUMENTS: &str = "<|tool_call_argument_begin|>";

fn section(input: &str) -> LexResult<'_, ()> {
    any_of(&["<|tool_calls_section_begin|>", "<|tool_call_section_begin|>"], input)
}

fn opens(input: &str) -> LexResult<'_, ()> {
    let (rest, _) = opt(terminated(section, ws)).parse(input)?;
    value((), peek(head)).parse(rest)
}

fn id(input: &str) -> LexResult<'_, &str> {
    take_while_m_n(1, MAX_NAME, |c: char| !is_space(c) && !matches!(c, '<' | '{')).parse(input)
}

/// The token before the arguments may be lost.
fn head(input: &str) -> LexResult<'_, named::NamedHead<'_>> {
    let (input, ((), _, id, _)) = (mark("<|tool_call_begin|>"), ws, id, ws).parse(input)?;
    let (input, ()) = alt((mark(ARGUMENTS), value((), peek(tag("{"))))).parse(input)?;
    Ok((input, named::NamedHead { name: name_of(id), id: Some(id) }))
}

/// `functions.name:0` and its arguments, or any id before the token for them.
fn bare(input: &str) -> LexResult<'_, named::NamedHead<'_>> {
    let (input, id) = id(input)?;
    let numbered = id.starts_with("functions") && id.ends_with(|c: char| c.is_ascii_digit());
    let object = |input| if numbered { value((), peek(tag("{"))).parse(input) } else { never(input) };
    let (input, _) = (ws, alt((mark(ARGUMENTS), object))).parse(input)?;
    Ok((input, named::NamedHead { name: name_of(id), id: Some(id) }))
}

/// `functions.read_file:0` names `read_file`.
fn name_of(id: &str) -> &str {
    let name = id.strip_prefix("functions.").unwrap_or(id);
    match name.rsplit_once(':') {
        Some((name, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => name,
        // Another sign stands before the number, perhaps: which part is the name, the declared tools tell.
        _ if name.ends_with(|c: char| c.is_ascii_digit()) => id,
        _ => name,
    }
}

fn tail(input: &str) -> LexResult<'_, ()> {
    mark("<|tool_call_end|>")(input)
}

fn close(input: &str) -> LexResult<'_, ()> {
    any_of(&["<|tool_calls_section_end|>", "<|tool_call_section_end|>"], input)
}
