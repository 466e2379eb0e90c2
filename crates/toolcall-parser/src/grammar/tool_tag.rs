//! A tag that is a declared tool's name, as Cline, Roo and Kilo prompt for it.

use nom::Parser as _;
use nom::bytes::streaming::{tag, take_while_m_n};
use nom::combinator::{peek, value};

use super::{Opens, Place, Row};
use crate::dialect::Dialect;
use crate::engine::{Engine, ValueSyntax, tagged};
use crate::lex::{LexResult, blanks, mark, never, tag_end, ws};
use crate::options::Options;

pub(super) static ROWS: &[Row] = &[Row {
    dialect: Dialect::ToolTag,
    trigger: b'<',
    place: Place::LineStart,
    hint_only: false,
    opens: Opens::Tools(opens),
    engine: Engine::Tagged(tagged::TaggedGrammar {
        call,
        call_close: |input, name| value((), (mark("</"), blanks, tag(name), tag_end)).parse(input),
        parameter,
        parameter_close,
        close: never,
        body: tagged::Bodies::None,
        layout: tagged::Layout::Lines,
        unclosed: false,
        declared: true,
        plain_close: never,
    }),
}];

fn word(input: &str) -> LexResult<'_, &str> {
    take_while_m_n(1, 128, |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.')).parse(input)
}

/// The tool is declared by exactly this name, and a declared parameter or the closing tag follows.
fn opens<'a>(input: &'a str, options: &Options) -> LexResult<'a, ()> {
    let (rest, head) = call(input)?;
    let Some(tool) = options.tool(head.name) else { return never(input) };
    let (inner, (_, close)) = (ws, nom::combinator::opt(mark("</"))).parse(rest)?;
    let after = if close.is_some() { inner } else { mark("<")(inner)?.0 };
    let (_, (_, key)) = peek((blanks, word)).parse(after)?;
    if close.is_some() && key == head.name || tool.declares(key) { Ok((input, ())) } else { never(input) }
}

fn call(input: &str) -> LexResult<'_, tagged::TaggedHead<'_>> {
    let (input, _) = (mark("<"), blanks).parse(input)?;
    let (input, name) = word(input)?;
    let (input, ()) = tag_end(input)?;
    Ok((input, tagged::TaggedHead { name, id: None, prefix: name }))
}

fn parameter<'a>(input: &'a str, _: &str) -> LexResult<'a, tagged::Key<'a>> {
    let (input, _) = (mark("<"), blanks).parse(input)?;
    let (input, name) = word(input)?;
    let (input, ()) = tag_end(input)?;
    Ok((input, tagged::Key { name, typing: ValueSyntax::Schema }))
}

/// Any closing tag: the machine takes it only where a parameter or the call's end follows.
fn parameter_close<'a>(input: &'a str, name: &str) -> LexResult<'a, ()> {
    let (rest, _) = (mark("</"), blanks).parse(input)?;
    let (rest, key) = word(rest)?;
    if key == name { never(input) } else { tag_end(rest) }
}

/// The closing tag of a declared tool.
pub(crate) fn tool_close<'a>(input: &'a str, options: &Options) -> LexResult<'a, ()> {
    let (rest, _) = (mark("</"), blanks).parse(input)?;
    let (rest, name) = word(rest)?;
    if options.tool(name).is_some() { tag_end(rest) } else { never(input) }
}
