//! Calls in Python: Llama 4 in a list, LFM2 between tokens, OLMo 3 one on a line; Llama 3's JSON behind `<|python_tag|>`.

use nom::Parser as _;
use nom::branch::alt;
use nom::bytes::streaming::tag;
use nom::combinator::{opt, peek, value};

use super::{Opens, Place, Row};
use crate::dialect::Dialect;
use crate::engine::json_list::{self, Form};
use crate::engine::{Engine, python_calls};
use crate::lex::{LexResult, any_of, name, never, opener, ws};
use crate::options::Options;

pub(super) static ROWS: &[Row] = &[
    Row {
        dialect: Dialect::Llama,
        trigger: b'<',
        place: Place::Anywhere,
        hint_only: false,
        opens: Opens::Text(|input| {
            value((), (opener("<|python_tag|>"), ws, peek(|input| any_of(&["{", "["], input)))).parse(input)
        }),
        engine: Engine::JsonList(json_list::JsonListGrammar {
            close: &["<|eom_id|>", "<|eot_id|>"],
            between: |input| any_of(&["<|python_tag|>"], input),
            form: Form::Call,
        }),
    },
    Row {
        dialect: Dialect::Llama,
        trigger: b'<',
        place: Place::Anywhere,
        hint_only: false,
        opens: Opens::Tools(|input, options| {
            let (rest, _) = (opener("<|python_tag|>"), ws).parse(input)?;
            let (_, (name, _)) = peek((name, tag("("))).parse(rest)?;
            super::hermes::declared(name.strip_suffix(".call").unwrap_or(name), input, options)?;
            Ok((rest, ()))
        }),
        engine: Engine::PythonCalls(python_calls::PythonCallsGrammar {
            close: |input| any_of(&["<|eom_id|>", "<|eot_id|>"], input),
            marked: true,
        }),
    },
    Row {
        dialect: Dialect::Lfm2,
        trigger: b'<',
        place: Place::Anywhere,
        hint_only: false,
        opens: Opens::Text(|input| {
            let begins = peek(|input| any_of(&["[{", "{"], input));
            value((), (opener("<|tool_call_start|>"), ws, begins)).parse(input)
        }),
        engine: Engine::JsonList(json_list::JsonListGrammar {
            close: &["<|tool_call_end|>"],
            between: never,
            form: Form::Call,
        }),
    },
    Row {
        dialect: Dialect::Lfm2,
        trigger: b'<',
        place: Place::Anywhere,
        hint_only: false,
        opens: Opens::Text(|input| opener("<|tool_call_start|>")(input)),
        engine: Engine::PythonCalls(python_calls::PythonCallsGrammar {
            close: |input| any_of(&["<|tool_call_end|>"], input),
            marked: true,
        }),
    },
    Row {
        dialect: Dialect::Pythonic,
        trigger: b'<',
        place: Place::Anywhere,
        hint_only: false,
        opens: Opens::Text(|input| value((), (opener("<|python_start|>"), ws, peek(tag("[")))).parse(input)),
        engine: Engine::PythonCalls(python_calls::PythonCallsGrammar {
            close: |input| any_of(&["<|python_end|>"], input),
            marked: true,
        }),
    },
    Row {
        dialect: Dialect::Olmo,
        trigger: b'<',
        place: Place::Unquoted,
        hint_only: false,
        opens: Opens::Tools(|input, options| {
            let (rest, _) = (opener("<function_calls>"), ws).parse(input)?;
            let (_, (_, name, _)) = peek((opt(tag("[")), name, tag("("))).parse(rest)?;
            super::hermes::declared(name, input, options)?;
            Ok((rest, ()))
        }),
        engine: Engine::PythonCalls(python_calls::PythonCallsGrammar {
            close: |input| any_of(&["</function_calls>"], input),
            marked: true,
        }),
    },
    Row {
        dialect: Dialect::Pythonic,
        trigger: b'[',
        place: Place::LineStart,
        hint_only: false,
        opens: Opens::Tools(opens_list),
        engine: Engine::PythonCalls(python_calls::PythonCallsGrammar { close: never, marked: false }),
    },
];

/// `[name(key=` or `[name()`, with a declared name.
fn opens_list<'a>(input: &'a str, options: &Options) -> LexResult<'a, ()> {
    let (rest, (_, _, name, _)) = (tag("["), ws, name, tag("(")).parse(input)?;
    super::hermes::declared(name, input, options)?;
    let argument = value((), (crate::lex::name, ws, tag("=")));
    value((), peek((ws, alt((value((), tag(")")), argument))))).parse(rest)?;
    Ok((input, ()))
}
