//! `<tool_call type="name">` with JSON and `<tool_call name="name">` with parameters: Command Code's own.

use nom::Parser as _;
use nom::combinator::peek;

use super::function_tag::{key, key_close};
use super::{Opens, Place, Row};
use crate::dialect::Dialect;
use crate::engine::{Engine, named, tagged};
use crate::lex::{LexResult, any_of, mark, naming, never, tag_end, ws};
use crate::options::Options;

/// Closing tags as they are seen, one of them with a bracket too many.
const CLOSE: &[&str] = &["</tool_call>", "</tool_call)>"];

pub(super) static ROWS: &[Row] = &[
    Row {
        dialect: Dialect::ToolCallAttr,
        trigger: b'<',
        place: Place::Unquoted,
        hint_only: false,
        opens: Opens::Tools(opens_json),
        engine: Engine::Named(named::NamedGrammar {
            head: |input| {
                let (rest, name) = open(input)?;
                Ok((rest, named::NamedHead { name, id: None }))
            },
            tail: |input| any_of(CLOSE, input),
            close: never,
            empty: true,
        }),
    },
    Row {
        dialect: Dialect::ToolCallAttr,
        trigger: b'<',
        place: Place::Unquoted,
        hint_only: false,
        opens: Opens::Tools(opens_tags),
        engine: Engine::Tagged(tagged::TaggedGrammar {
            call: |input| {
                let (rest, name) = open(input)?;
                Ok((rest, tagged::TaggedHead { name, id: None, prefix: "" }))
            },
            call_close: |input, _| any_of(CLOSE, input),
            parameter: key,
            parameter_close: key_close,
            close: never,
            body: tagged::Bodies::None,
            layout: tagged::Layout::Lines,
            unclosed: true,
            declared: false,
            plain_close: never,
        }),
    },
];

fn open(input: &str) -> LexResult<'_, &str> {
    let (input, (name, _)) = naming("<tool_call", &["name", "type", "function", "tool"], input)?;
    let (input, ()) = tag_end(input)?;
    Ok((input, name))
}

fn opens_json<'a>(input: &'a str, options: &Options) -> LexResult<'a, ()> {
    let (rest, name) = open(input)?;
    peek((ws, |input| any_of(&["{", "</tool_call"], input))).parse(rest)?;
    super::hermes::declared(name, input, options)?;
    Ok((input, ()))
}

fn opens_tags<'a>(input: &'a str, options: &Options) -> LexResult<'a, ()> {
    let (rest, name) = open(input)?;
    peek((ws, mark("<param"))).parse(rest)?;
    super::hermes::declared(name, input, options)?;
    Ok((input, ()))
}
