//! DSML: `<｜DSML｜tool_calls>`, by DeepSeek V3.2 (`function_calls`), V4 (`tool_calls`) and V4.1 (`calls`, with spaces).
//!
//! Layers in between double the bars or make them ASCII. GigaChat 3.5 writes `GCML` instead.

use nom::Parser as _;
use nom::branch::alt;
use nom::bytes::streaming::{tag, take_while_m_n};
use nom::combinator::{opt, value};

use super::{Opens, Place, Row};
use crate::dialect::Dialect;
use crate::engine::{Engine, ValueSyntax, tagged};
use crate::lex::{LexResult, any_of, bar, blanks, mark, naming, never, tag_end};

pub(super) static ROWS: &[Row] = &[Row {
    dialect: Dialect::Dsml,
    trigger: b'<',
    place: Place::Anywhere,
    hint_only: false,
    opens: Opens::Text(opens),
    engine: Engine::Tagged(tagged::TaggedGrammar {
        call,
        call_close: |input, _| alt((|input| close_tag("invoke", input), mark("</invoke>"))).parse(input),
        parameter,
        parameter_close: |input, _| close_tag("parameter", input),
        close,
        body: tagged::Bodies::Json,
        layout: tagged::Layout::Lines,
        unclosed: false,
        declared: false,
        plain_close: |input| mark("</parameter>")(input),
    }),
}];

/// What stands between the bars.
const WORDS: [&str; 2] = ["DSML", "GCML"];

/// `<｜DSML｜` and its spellings, or `</｜DSML｜`, with blanks wherever they are seen. The tags of one call need not be spelled alike.
fn begin<'a>(open: &str, input: &'a str) -> LexResult<'a, ()> {
    let bars = |input| value((), (blanks, bar, blanks, opt(bar), blanks)).parse(input);
    value((), (mark(open), bars, alt((tag(WORDS[0]), tag(WORDS[1]))), bars)).parse(input)
}

/// The block's own tag: `tool_calls`, `function_calls`, `calls`, `tool_use`, whatever the model calls it.
fn wrapper<'a>(open: &str, input: &'a str) -> LexResult<'a, ()> {
    let (input, ()) = begin(open, input)?;
    let (input, word) = take_while_m_n(1, 32, |c: char| c.is_ascii_lowercase() || c == '_').parse(input)?;
    if matches!(word, "invoke" | "parameter") { never(input) } else { tag_end(input) }
}

/// The wrapper is consumed; a call without one is left to the machine.
fn opens(input: &str) -> LexResult<'_, ()> {
    let invoke = |input| value((), (|input| begin("<", input), tag("invoke"))).parse(input);
    alt((|input| wrapper("<", input), value((), nom::combinator::peek(invoke)))).parse(input)
}

fn close(input: &str) -> LexResult<'_, ()> {
    let plain = |input| any_of(&["</tool_calls>", "</function_calls>", "</tool_use>", "</calls>"], input);
    alt((|input| wrapper("</", input), |input| wrapper("<", input), plain)).parse(input)
}

fn call(input: &str) -> LexResult<'_, tagged::TaggedHead<'_>> {
    let (input, ()) = begin("<", input)?;
    let (input, (name, _)) = naming("invoke", &["name"], input)?;
    let (input, ()) = tag_end(input)?;
    Ok((input, tagged::TaggedHead { name, id: None, prefix: "" }))
}

fn parameter<'a>(input: &'a str, _: &str) -> LexResult<'a, tagged::Key<'a>> {
    let (input, ()) = begin("<", input)?;
    let (input, (name, attributes)) = naming("parameter", &["name", "key"], input)?;
    let (input, ()) = tag_end(input)?;
    let typing = match attributes.get(&["string"]) {
        Some("true") => ValueSyntax::Text,
        Some("false") => ValueSyntax::Json,
        _ => ValueSyntax::Schema,
    };
    Ok((input, tagged::Key { name, typing }))
}

fn close_tag<'a>(word: &str, input: &'a str) -> LexResult<'a, ()> {
    value((), (|input| begin("</", input), tag(word), tag_end)).parse(input)
}

/// Any closing tag, and the wrapper's opening one.
pub(super) fn any_close(input: &str) -> LexResult<'_, ()> {
    let shut = |input| close_tag("parameter", input);
    alt((close, |input| close_tag("invoke", input), shut)).parse(input)
}
