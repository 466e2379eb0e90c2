//! Hunyuan 3 and 4: `<tool_calls>` around `<tool_call>name`, tags with a checkpoint's suffix.

use nom::Parser as _;
use nom::bytes::streaming::{tag, take_while_m_n};
use nom::combinator::{opt, peek, recognize, value};
use nom::multi::many_m_n;

use super::glm::{MAX_CLOSES, sign};
use super::{Opens, Place, Row};
use crate::dialect::Dialect;
use crate::engine::{Engine, ValueSyntax, tagged};
use crate::lex::{LexResult, MAX_NAME, any_of, mark, never, tag_end, ws};
use crate::options::Options;

pub(super) static ROWS: &[Row] = &[Row {
    dialect: Dialect::Hunyuan,
    trigger: b'<',
    place: Place::Unquoted,
    hint_only: false,
    opens: Opens::Tools(opens),
    engine: Engine::Tagged(tagged::TaggedGrammar {
        call,
        call_close: |input, suffix| suffixed("</tool_call", suffix, input),
        parameter,
        parameter_close: |input, suffix| suffixed("</arg_value", suffix, input),
        close: |input| value((), (mark("</tool_calls"), opt(suffix), tag_end)).parse(input),
        body: tagged::Bodies::None,
        layout: tagged::Layout::Verbatim,
        unclosed: false,
        declared: false,
        plain_close: never,
    }),
}];

fn suffix(input: &str) -> LexResult<'_, &str> {
    recognize((tag(":"), take_while_m_n(1, 64, |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-')))
        .parse(input)
}

/// `<word` or `</word` with the suffix that all tags of a block share.
fn suffixed<'a>(word: &str, suffix: &str, input: &'a str) -> LexResult<'a, ()> {
    value((), (mark(word), tag(suffix), tag_end)).parse(input)
}

fn opens<'a>(input: &'a str, options: &Options) -> LexResult<'a, ()> {
    let (rest, wrapped) = opt((mark("<tool_calls"), opt(suffix), tag_end, ws)).parse(input)?;
    let (_, head) = peek(call).parse(rest)?;
    super::hermes::declared(head.name, rest, options)?;
    // Without its wrapper and without a suffix it is GLM's.
    if wrapped.is_none() && head.prefix.is_empty() {
        return never(input);
    }
    Ok((rest, ()))
}

fn call(input: &str) -> LexResult<'_, tagged::TaggedHead<'_>> {
    let (input, ((), suffix)) = (mark("<tool_call"), opt(suffix)).parse(input)?;
    let (input, _) = (tag_end, ws).parse(input)?;
    let part = |c: char| !matches!(c, '<' | '>' | '{' | '[' | '\n');
    let (input, name) = take_while_m_n(1, MAX_NAME, part).parse(input)?;
    let (input, _) = (ws, opt(mark("<tool_sep>"))).parse(input)?;
    Ok((input, tagged::TaggedHead { name: name.trim(), id: None, prefix: suffix.unwrap_or("") }))
}

fn parameter<'a>(input: &'a str, suffix: &str) -> LexResult<'a, tagged::Key<'a>> {
    let (input, ()) = suffixed("<arg_key", suffix, input)?;
    let (input, key) = take_while_m_n(1, MAX_NAME, |c: char| c != '<').parse(input)?;
    let close = |input| suffixed("</arg_key", suffix, input);
    let closes = many_m_n(0, MAX_CLOSES, (close, ws));
    let (input, _) = (closes, sign, |input| suffixed("<arg_value", suffix, input)).parse(input)?;
    Ok((input, tagged::Key { name: key.trim(), typing: ValueSyntax::Schema }))
}

/// Any closing tag of a block, and its opening one.
pub(super) fn any_close(input: &str) -> LexResult<'_, ()> {
    let words = ["</tool_calls", "<tool_calls", "</tool_call", "</arg_value", "</arg_key"];
    value((), (|input| any_of(&words, input), opt(suffix), tag_end)).parse(input)
}
