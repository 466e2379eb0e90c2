//! A JSON object, or a list of them, that spells out a call without any marker. It is prose unless nothing is in doubt.

use nom::Parser as _;
use nom::branch::alt;
use nom::bytes::streaming::{tag, take_while_m_n};
use nom::combinator::{opt, peek, value};

use super::{Opens, Place, Row};
use crate::dialect::Dialect;
use crate::engine::Engine;
use crate::engine::json_list::{Form, JsonListGrammar};
use crate::lex::{LexResult, any_of, never, ws};

/// The keys such an object begins with. Data that begins otherwise streams on at once.
const KEYS: [&str; 13] = [
    "name",
    "type",
    "id",
    "call_id",
    "arguments",
    "parameters",
    "input",
    "function",
    "tool_calls",
    "tool_name",
    "tool_call_id",
    "cmd",
    "toolCallId",
];

pub(super) static ROWS: &[Row] = &[
    row(b'{', false, opens_object, Form::Unmarked, &[]),
    row(b'[', false, opens_list, Form::Unmarked, &[]),
    Row {
        dialect: Dialect::Sarashina,
        place: Place::LineStart,
        ..row(b'[', false, opens_python_list, Form::PythonList, &[])
    },
    row(b'{', true, |input| value((), peek(tag("{"))).parse(input), Form::Hinted, &[]),
    row(b'[', true, |input| value((), peek((tag("["), ws, tag("{")))).parse(input), Form::Hinted, &[]),
    Row { place: Place::LineStart, ..row(b'`', true, opens_fence, Form::Hinted, &["```"]) },
];

const fn row(
    trigger: u8,
    hint_only: bool,
    opens: for<'a> fn(&'a str) -> LexResult<'a, ()>,
    form: Form,
    close: &'static [&'static str],
) -> Row {
    Row {
        dialect: Dialect::RawJson,
        trigger,
        place: Place::Unquoted,
        hint_only,
        opens: Opens::Text(opens),
        engine: Engine::JsonList(JsonListGrammar { close, between: never, form }),
    }
}

fn opens_object(input: &str) -> LexResult<'_, ()> {
    let key = take_while_m_n(1, 16, |c: char| c.is_ascii_alphabetic() || c == '_');
    let (_, (_, _, _, key, _, _, _)) =
        peek((tag("{"), ws, tag("\""), key, tag("\""), ws, tag(":"))).parse(input)?;
    if KEYS.contains(&key) { Ok((input, ())) } else { never(input) }
}

/// A list of Python's, as Sarashina writes it where its marker is lost.
fn opens_python_list(input: &str) -> LexResult<'_, ()> {
    value((), peek((tag("["), ws, tag("{"), ws, tag("'name'"), ws, tag(":")))).parse(input)
}

fn opens_list(input: &str) -> LexResult<'_, ()> {
    let (rest, _) = (tag("["), ws).parse(input)?;
    opens_object(rest)?;
    Ok((input, ()))
}

/// Nothing but a fence with a call in it, from a model that is known to write so.
fn opens_fence(input: &str) -> LexResult<'_, ()> {
    let (rest, _) =
        (tag("```"), opt(alt((tag("json"), tag("tool_call"), tag("tool_code")))), ws).parse(input)?;
    value((), peek(|input| any_of(&["{", "["], input))).parse(rest)
}
