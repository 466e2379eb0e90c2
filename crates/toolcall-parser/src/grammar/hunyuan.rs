//! Hunyuan 3 and 4: `<tool_calls>` around `<tool_call>name`, tags with a checkpoint's suffix.

use nom::Parser as _;
use nom::bytes::streaming::{tag, take_while_m_n};
use nom::combinator::{opt, peek, recognize, value};

use super::{Opens, Place, Row};
use crate::dialect::Dialect;
use crate::engine::{Engine, ValueSyntax, tagged};
use crate::lex::{LexResult, MAX_NAME, ws};
use crate::options::Options;

pub(super) static ROWS: &[Row] = &[Row {
    dialect: Dialect::Hunyuan,
    trigger: b'<',
    place: Place::Unquoted,
    hint_only: false,
    opens: Opens::Tools(opens),
    engine: Engine::Tagged(tagged::TaggedGrammar {
        call,
        call_close: |input, suffix| value((), (tag("</tool_call"), tag(suffix), tag(">"))).parse(input),
        parameter,
        parameter_close: |input, suffix| value((), (tag("</arg_value"), tag(suffix), tag(">"))).parse(input),
        close: |input| value((), (tag("</tool_calls"), opt(suffix), tag(">"))).parse(input),
        body: tagged::Bodies::None,
        layout: false,
        unclosed: false,
        declared: false,
    }),
}];

fn suffix(input: &str) -> LexResult<'_, &str> {
    recognize((tag(":"), take_while_m_n(1, 64, |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-')))
        .parse(input)
}

fn opens<'a>(input: &'a str, options: &Options) -> LexResult<'a, ()> {
    let (rest, _) = (tag("<tool_calls"), opt(suffix), tag(">"), ws).parse(input)?;
    let (_, head) = peek(call).parse(rest)?;
    super::hermes::declared(head.name, rest, options)?;
    Ok((rest, ()))
}

fn call(input: &str) -> LexResult<'_, tagged::TaggedHead<'_>> {
    let (input, _) = tag("<tool_call")(input)?;
    let (input, suffix) = opt(suffix).parse(input)?;
    let (input, _) = (tag(">"), ws).parse(input)?;
    let (input, name) =
        take_while_m_n(1, MAX_NAME, |c: char| !matches!(c, '<' | '>' | '{' | '[' | '\n')).parse(input)?;
    let (input, _) = (ws, opt(tag("<tool_sep>"))).parse(input)?;
    Ok((input, tagged::TaggedHead { name: name.trim(), id: None, prefix: suffix.unwrap_or("") }))
}

fn parameter<'a>(input: &'a str, suffix: &str) -> LexResult<'a, tagged::Key<'a>> {
    let (input, _) = (tag("<arg_key"), tag(suffix), tag(">")).parse(input)?;
    let (input, key) = take_while_m_n(1, MAX_NAME, |c: char| c != '<').parse(input)?;
    let (input, _) = (tag("</arg_key"), tag(suffix), tag(">"), ws, tag("<arg_value"), tag(suffix), tag(">"))
        .parse(input)?;
    Ok((input, tagged::Key { name: key.trim(), typing: ValueSyntax::Schema }))
}
