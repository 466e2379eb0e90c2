//! Step-3: `<｜tool_calls_begin｜>` around `steptml` tags. Its markers have `_` where DeepSeek has `▁`.

use nom::Parser as _;
use nom::bytes::streaming::tag;
use nom::combinator::{opt, peek, value};

use super::{Opens, Place, Row};
use crate::dialect::Dialect;
use crate::engine::{Engine, ValueSyntax, tagged};
use crate::lex::{LexResult, mark, naming, never, tag_end, ws};

pub(super) static ROWS: &[Row] = &[Row {
    dialect: Dialect::Step3,
    trigger: b'<',
    place: Place::Anywhere,
    hint_only: false,
    opens: Opens::Text(opens),
    engine: Engine::Tagged(tagged::TaggedGrammar {
        call,
        call_close: |input, _| mark("</steptml:invoke>")(input),
        parameter,
        parameter_close: |input, _| mark("</steptml:parameter>")(input),
        close: |input| mark("<｜tool_calls_end｜>")(input),
        body: tagged::Bodies::None,
        layout: tagged::Layout::Lines,
        unclosed: true,
        declared: false,
        plain_close: never,
    }),
}];

fn call_begin(input: &str) -> LexResult<'_, ()> {
    let kind = (opt(tag("function")), ws, mark("<｜tool_sep｜>"), ws);
    value((), (mark("<｜tool_call_begin｜>"), ws, opt(kind))).parse(input)
}

fn opens(input: &str) -> LexResult<'_, ()> {
    let (input, _) = opt((mark("<｜tool_calls_begin｜>"), ws)).parse(input)?;
    value((), peek((opt(call_begin), mark("<steptml:invoke")))).parse(input)
}

fn call(input: &str) -> LexResult<'_, tagged::TaggedHead<'_>> {
    let (input, _) = opt(call_begin).parse(input)?;
    let (input, (name, _)) = naming("<steptml:invoke", &["name"], input)?;
    let (input, ()) = tag_end(input)?;
    Ok((input, tagged::TaggedHead { name, id: None, prefix: "" }))
}

fn parameter<'a>(input: &'a str, _: &str) -> LexResult<'a, tagged::Key<'a>> {
    let (input, (name, _)) = naming("<steptml:parameter", &["name", "key"], input)?;
    let (input, ()) = tag_end(input)?;
    Ok((input, tagged::Key { name, typing: ValueSyntax::Schema }))
}
