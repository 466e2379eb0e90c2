//! Kimi K2: `<|tool_calls_section_begin|>`, ids of the form `functions.name:0`.

use nom::Parser as _;
use nom::bytes::streaming::{tag, take_while_m_n};
use nom::combinator::{opt, peek, value};
use nom::sequence::terminated;

use super::{Opens, Place, Row};
use crate::dialect::Dialect;
use crate::engine::{Engine, named};
use crate::lex::{LexResult, MAX_NAME, any_of, is_space, ws};

pub(super) static ROWS: &[Row] = &[Row {
    dialect: Dialect::KimiK2,
    trigger: b'<',
    place: Place::Anywhere,
    hint_only: false,
    opens: Opens::Text(opens),
    engine: Engine::Named(named::NamedGrammar { head, tail, close, empty: true }),
}];

fn section(input: &str) -> LexResult<'_, ()> {
    any_of(&["<|tool_calls_section_begin|>", "<|tool_call_section_begin|>"], input)
}

fn opens(input: &str) -> LexResult<'_, ()> {
    let (rest, _) = opt(terminated(section, ws)).parse(input)?;
    value((), peek(tag("<|tool_call_begin|>"))).parse(rest)
}

fn head(input: &str) -> LexResult<'_, named::NamedHead<'_>> {
    let (input, _) = (tag("<|tool_call_begin|>"), ws).parse(input)?;
    let (input, id) =
        take_while_m_n(1, MAX_NAME, |c: char| !is_space(c) && !matches!(c, '<' | '{')).parse(input)?;
    let (input, _) = (ws, tag("<|tool_call_argument_begin|>")).parse(input)?;
    Ok((input, named::NamedHead { name: name_of(id), id: Some(id) }))
}

/// `functions.read_file:0` names `read_file`.
fn name_of(id: &str) -> &str {
    let name = id.strip_prefix("functions.").unwrap_or(id);
    match name.rsplit_once(':') {
        Some((name, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => name,
    }
}

fn tail(input: &str) -> LexResult<'_, ()> {
    value((), tag("<|tool_call_end|>")).parse(input)
}

fn close(input: &str) -> LexResult<'_, ()> {
    any_of(&["<|tool_calls_section_end|>", "<|tool_call_section_end|>"], input)
}
