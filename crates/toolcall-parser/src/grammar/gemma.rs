//! Gemma 4 (`<|tool_call>call:name{…}<tool_call|>`) and FunctionGemma (`<start_function_call>`).

use nom::Parser as _;
use nom::branch::alt;
use nom::bytes::streaming::{tag, take_while_m_n};
use nom::combinator::{opt, peek};

use super::{Opens, Place, Row};
use crate::dialect::Dialect;
use crate::engine::{Engine, braces};
use crate::lex::{LexResult, MAX_NAME, any_of, is_name, opener, ws};

pub(super) static ROWS: &[Row] = &[
    Row {
        dialect: Dialect::Gemma,
        trigger: b'<',
        place: Place::Anywhere,
        hint_only: false,
        opens: Opens::Text(|input| opener("<|tool_call>")(input)),
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
        opens: Opens::Text(|input| opener("<start_function_call>")(input)),
        engine: Engine::Braces(braces::BracesGrammar {
            head,
            close: |input| any_of(&["<end_function_call>"], input),
            quote: "<escape>",
        }),
    },
    // Without the token before it.
    Row {
        dialect: Dialect::Gemma,
        trigger: super::NAME,
        place: Place::LineStart,
        hint_only: false,
        opens: Opens::Tools(|input, options| {
            let (_, name) = bare(input)?;
            super::hermes::declared(name, input, options)?;
            Ok((input, ()))
        }),
        engine: Engine::Braces(braces::BracesGrammar {
            head,
            close: |input| any_of(&["<tool_call|>", "<end_function_call>"], input),
            quote: "<|\"|>",
        }),
    },
];

/// `call:name{`; the word, or it and the colon, may be missing.
fn head(input: &str) -> LexResult<'_, &str> {
    let (input, _) = (opt(alt((tag("call"), tag("function")))), ws, opt((tag(":"), ws))).parse(input)?;
    let (input, name) = take_while_m_n(1, MAX_NAME, |c| is_name(c) && c != ':').parse(input)?;
    let (input, _) = (ws, peek(|input| any_of(&["{", "("], input))).parse(input)?;
    Ok((input, name))
}

/// The same with its word, without the token before it.
fn bare(input: &str) -> LexResult<'_, &str> {
    let (_, _) = (tag("call"), ws, tag(":")).parse(input)?;
    head(input)
}
