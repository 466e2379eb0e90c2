//! Kimi K3: `<|open|>tools<|sep|>`, every argument with a type of its own.

use nom::Parser as _;
use nom::branch::alt;
use nom::bytes::streaming::tag;
use nom::combinator::{opt, peek, value};
use nom::multi::many_m_n;

use super::{Opens, Place, Row};
use crate::dialect::Dialect;
use crate::engine::{Engine, ValueSyntax, tagged};
use crate::lex::{LexResult, attributes, blanks, mark, naming, never, ws};

pub(super) static ROWS: &[Row] = &[Row {
    dialect: Dialect::KimiK3,
    trigger: b'<',
    place: Place::Anywhere,
    hint_only: false,
    opens: Opens::Text(opens),
    engine: Engine::Tagged(tagged::TaggedGrammar {
        call,
        call_close: |input, _| {
            let (input, _) = opt(|input| shut("json", input)).parse(input)?;
            shut("call", input)
        },
        parameter,
        parameter_close: |input, _| shut("argument", input),
        close: |input| shut("tools", input),
        body: tagged::Bodies::Json,
        layout: tagged::Layout::Verbatim,
        unclosed: false,
        declared: false,
        plain_close: never,
    }),
}];

fn sep(input: &str) -> LexResult<'_, ()> {
    value((), (blanks, mark("<|sep|>"))).parse(input)
}

/// `<|open|>tools<|sep|>`, or a call that stands in another channel.
fn opens(input: &str) -> LexResult<'_, ()> {
    let one = || (mark("<|open|>"), blanks, tag("tools"), sep);
    let tools = value((), (one(), many_m_n(0, 2, (ws, one()))));
    let call = value((), peek((mark("<|open|>"), blanks, tag("call"), blanks, tag("tool="))));
    let attributed = value((), peek(call_head));
    alt((tools, call, attributed)).parse(input)
}

fn shut<'a>(name: &str, input: &'a str) -> LexResult<'a, ()> {
    value((), (mark("<|close|>"), blanks, tag(name), sep)).parse(input)
}

fn call_head(input: &str) -> LexResult<'_, tagged::TaggedHead<'_>> {
    let (input, ((), _, (name, _), ())) =
        (mark("<|open|>"), blanks, |input| naming("call", &["tool", "name"], input), sep).parse(input)?;
    Ok((input, tagged::TaggedHead { name, id: None, prefix: "" }))
}

fn call(input: &str) -> LexResult<'_, tagged::TaggedHead<'_>> {
    let (input, head) = call_head(input)?;
    // A raw object is announced by a tag of its own.
    let raw = (mark("<|open|>"), blanks, tag("json"), attributes, sep);
    let (input, _) = opt(raw).parse(input)?;
    Ok((input, head))
}

fn parameter<'a>(input: &'a str, _: &str) -> LexResult<'a, tagged::Key<'a>> {
    let (input, _) = (mark("<|open|>"), blanks).parse(input)?;
    let (input, (name, attributes)) = naming("argument", &["key", "name"], input)?;
    let (input, ()) = sep(input)?;
    let typing = match attributes.get(&["type"]) {
        Some("string") => ValueSyntax::Text,
        Some(_) => ValueSyntax::Json,
        None => ValueSyntax::Schema,
    };
    Ok((input, tagged::Key { name, typing }))
}
