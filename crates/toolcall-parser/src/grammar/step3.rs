//! Step-3: `<｜tool_calls_begin｜>` around `steptml` tags. Its markers have `_` where DeepSeek has `▁`.

use nom::Parser as _;
use nom::bytes::streaming::tag;
use nom::combinator::{opt, peek, value};

use super::{Opens, Place, Row};
use crate::dialect::Dialect;
use crate::engine::{Engine, ValueSyntax, tagged};
use crate::lex::{LexResult, bar, quoted, ws};

pub(super) static ROWS: &[Row] = &[Row {
    dialect: Dialect::Step3,
    trigger: b'<',
    place: Place::Anywhere,
    hint_only: false,
    opens: Opens::Text(opens),
    engine: Engine::Tagged(tagged::TaggedGrammar {
        call,
        call_close,
        parameter,
        parameter_close: |input, _| value((), tag("</steptml:parameter>")).parse(input),
        close: |input| token("tool_calls_end", input),
        body: tagged::Bodies::None,
        layout: true,
        unclosed: true,
        declared: false,
    }),
}];

fn token<'a>(word: &str, input: &'a str) -> LexResult<'a, ()> {
    value((), (tag("<"), bar, tag(word), bar, tag(">"))).parse(input)
}

fn call_begin(input: &str) -> LexResult<'_, ()> {
    let kind = (tag("function"), |input| token("tool_sep", input), ws);
    value((), (|input| token("tool_call_begin", input), ws, kind)).parse(input)
}

fn opens(input: &str) -> LexResult<'_, ()> {
    let (input, _) = opt((|input| token("tool_calls_begin", input), ws)).parse(input)?;
    value((), peek((opt(call_begin), tag("<steptml:invoke")))).parse(input)
}

fn call(input: &str) -> LexResult<'_, tagged::TaggedHead<'_>> {
    let (input, _) =
        (opt(call_begin), tag("<steptml:invoke"), ws, tag("name"), ws, tag("="), ws).parse(input)?;
    let (input, name) = quoted(input)?;
    let (input, _) = (ws, tag(">")).parse(input)?;
    Ok((input, tagged::TaggedHead { name, id: None, prefix: "" }))
}

fn parameter<'a>(input: &'a str, _: &str) -> LexResult<'a, tagged::Key<'a>> {
    let (input, _) = (tag("<steptml:parameter"), ws, tag("name"), ws, tag("="), ws).parse(input)?;
    let (input, name) = quoted(input)?;
    let (input, _) = (ws, tag(">")).parse(input)?;
    Ok((input, tagged::Key { name, typing: ValueSyntax::Schema }))
}

fn call_close<'a>(input: &'a str, _: &str) -> LexResult<'a, ()> {
    value((), (tag("</steptml:invoke>"), opt((ws, |input| token("tool_call_end", input))))).parse(input)
}
