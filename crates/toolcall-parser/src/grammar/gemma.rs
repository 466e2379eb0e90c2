//! Gemma 4 (`<|tool_call>call:name{…}<tool_call|>`) and FunctionGemma (`<start_function_call>`).

use nom::Parser as _;
use nom::bytes::streaming::{tag, take_while_m_n};
use nom::combinator::{opt, peek, value};

use super::{Opens, Place, Row};
use crate::dialect::Dialect;
use crate::engine::{Engine, braces};
use crate::lex::{LexResult, MAX_NAME, any_of, is_name, ws};

pub(super) static ROWS: &[Row] = &[
    Row {
        dialect: Dialect::Gemma,
        trigger: b'<',
        place: Place::Anywhere,
        hint_only: false,
        opens: Opens::Text(|input| value((), tag("<|tool_call>")).parse(input)),
        engine: Engine::Braces(braces::BracesGrammar {
            head,
            close: |input| any_of(&["<tool_call|>"], input),
            quote: "<|\"|>",
        }),
    },
    Row {
        dialect: Dialect::Gemma,
        trigger: b'<',
        place: Place::Anywhere,
        hint_only: false,
        opens: Opens::Text(|input| value((), tag("<start_function_call>")).parse(input)),
        engine: Engine::Braces(braces::BracesGrammar {
            head,
            close: |input| any_of(&["<end_function_call>"], input),
            quote: "<escape>",
        }),
    },
];

fn head(input: &str) -> LexResult<'_, &str> {
    let (input, _) = opt((tag("call:"), ws)).parse(input)?;
    let (input, name) = take_while_m_n(1, MAX_NAME, |c| is_name(c) && c != ':').parse(input)?;
    let (input, _) = (ws, peek(|input| any_of(&["{", "("], input))).parse(input)?;
    Ok((input, name))
}
