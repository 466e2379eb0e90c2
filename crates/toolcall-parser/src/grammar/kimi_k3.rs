//! Kimi K3: `<|open|>tools<|sep|>`, every argument with a type of its own.

use nom::Parser as _;
use nom::bytes::streaming::tag;
use nom::combinator::{opt, value};
use nom::sequence::preceded;

use super::{Opens, Place, Row};
use crate::dialect::Dialect;
use crate::engine::{Engine, ValueSyntax, tagged};
use crate::lex::{LexResult, blanks, quoted};

pub(super) static ROWS: &[Row] = &[Row {
    dialect: Dialect::KimiK3,
    trigger: b'<',
    place: Place::Anywhere,
    hint_only: false,
    opens: Opens::Text(|input| open("tools", input)),
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
        layout: false,
        unclosed: false,
        declared: false,
    }),
}];

fn word<'a>(word: &str, input: &'a str) -> LexResult<'a, ()> {
    value((), (tag("<|"), blanks, tag(word), blanks, tag("|>"))).parse(input)
}

fn open<'a>(name: &str, input: &'a str) -> LexResult<'a, ()> {
    value((), (|input| word("open", input), blanks, tag(name), blanks, |input| word("sep", input)))
        .parse(input)
}

fn shut<'a>(name: &str, input: &'a str) -> LexResult<'a, ()> {
    value((), (|input| word("close", input), blanks, tag(name), blanks, |input| word("sep", input)))
        .parse(input)
}

fn attribute<'a>(name: &str, input: &'a str) -> LexResult<'a, &'a str> {
    preceded((blanks, tag(name), tag("=")), quoted).parse(input)
}

fn call(input: &str) -> LexResult<'_, tagged::TaggedHead<'_>> {
    let (input, _) = (|input| word("open", input), blanks, tag("call")).parse(input)?;
    let (input, name) = attribute("tool", input)?;
    let (input, _) =
        (opt(|input| attribute("index", input)), blanks, |input| word("sep", input)).parse(input)?;
    // A raw object is announced by a tag of its own.
    let raw = (
        |input| word("open", input),
        blanks,
        tag("json"),
        opt(|input| attribute("type", input)),
        blanks,
        |input| word("sep", input),
    );
    let (input, _) = opt(raw).parse(input)?;
    Ok((input, tagged::TaggedHead { name, id: None, prefix: "" }))
}

fn parameter<'a>(input: &'a str, _: &str) -> LexResult<'a, tagged::Key<'a>> {
    let (input, _) = (|input| word("open", input), blanks, tag("argument")).parse(input)?;
    let (input, name) = attribute("key", input)?;
    let (input, kind) = opt(|input| attribute("type", input)).parse(input)?;
    let (input, _) = (blanks, |input| word("sep", input)).parse(input)?;
    let typing = match kind {
        Some("string") => ValueSyntax::Text,
        Some(_) => ValueSyntax::Json,
        None => ValueSyntax::Schema,
    };
    Ok((input, tagged::Key { name, typing }))
}
