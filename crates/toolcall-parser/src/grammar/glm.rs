//! GLM: `<tool_call>name`, then `<arg_key>` and `<arg_value>` pairs. GLM 4.5 breaks the line behind the name, 4.7 does not.

use nom::Parser as _;
use nom::bytes::streaming::{tag, take_while_m_n};
use nom::combinator::{opt, peek, value};

use super::{Opens, Place, Row};
use crate::dialect::Dialect;
use crate::engine::{Engine, ValueSyntax, tagged};
use crate::lex::{LexResult, MAX_NAME, any_of, never, ws};
use crate::options::Options;

pub(super) static ROWS: &[Row] = &[
    Row {
        dialect: Dialect::Glm,
        trigger: b'<',
        place: Place::Unquoted,
        hint_only: false,
        opens: Opens::Tools(opens),
        engine: Engine::Tagged(tagged::TaggedGrammar {
            call,
            call_close: |input, _| any_of(&["</tool_call>", "</iquest_tool_call>"], input),
            parameter,
            parameter_close: |input, _| value((), tag("</arg_value>")).parse(input),
            close: never,
            body: tagged::Bodies::None,
            layout: true,
            unclosed: true,
            declared: false,
        }),
    },
    Row {
        dialect: Dialect::K2Horizon,
        trigger: b'<',
        place: Place::Anywhere,
        hint_only: false,
        opens: Opens::Text(|input| {
            let (rest, _) = (tag("<ifm|tool_calls>"), ws).parse(input)?;
            value(
                (),
                peek((
                    tag("<ifm|tool_call>"),
                    ws,
                    take_while_m_n(1, 1, |c: char| c.is_alphanumeric() || c == '_'),
                )),
            )
            .parse(rest)
        }),
        engine: Engine::Tagged(tagged::TaggedGrammar {
            call: horizon_call,
            call_close: |input, _| value((), tag("</ifm|tool_call>")).parse(input),
            parameter: horizon_parameter,
            parameter_close: |input, _| value((), tag("</ifm|arg_value>")).parse(input),
            close: |input| value((), tag("</ifm|tool_calls>")).parse(input),
            body: tagged::Bodies::None,
            layout: true,
            unclosed: true,
            declared: false,
        }),
    },
];

fn opens<'a>(input: &'a str, options: &Options) -> LexResult<'a, ()> {
    let (rest, head) = call(input)?;
    peek((ws, |input| any_of(&["<arg_key>", "</tool_call>", "</iquest_tool_call>"], input))).parse(rest)?;
    super::hermes::declared(head.name, input, options)?;
    Ok((input, ()))
}

fn name(input: &str) -> LexResult<'_, &str> {
    let (input, name) =
        take_while_m_n(1, MAX_NAME, |c: char| !matches!(c, '<' | '>' | '{' | '[' | '\n' | '"'))
            .parse(input)?;
    Ok((input, name.trim()))
}

fn call(input: &str) -> LexResult<'_, tagged::TaggedHead<'_>> {
    let (input, _) = (|input| any_of(&["<tool_call>", "<iquest_tool_call>"], input), ws).parse(input)?;
    let (input, name) = name(input)?;
    Ok((input, tagged::TaggedHead { name, id: None, prefix: "" }))
}

fn parameter<'a>(input: &'a str, _: &str) -> LexResult<'a, tagged::Key<'a>> {
    let (input, _) = tag("<arg_key>")(input)?;
    let (input, key) = take_while_m_n(1, MAX_NAME, |c: char| c != '<').parse(input)?;
    let (input, _) = (tag("</arg_key>"), ws, tag("<arg_value>")).parse(input)?;
    Ok((input, tagged::Key { name: key.trim(), typing: ValueSyntax::Schema }))
}

fn horizon_call(input: &str) -> LexResult<'_, tagged::TaggedHead<'_>> {
    let (input, _) = (tag("<ifm|tool_call>"), ws).parse(input)?;
    let (input, name) = name(input)?;
    Ok((input, tagged::TaggedHead { name, id: None, prefix: "" }))
}

fn horizon_parameter<'a>(input: &'a str, _: &str) -> LexResult<'a, tagged::Key<'a>> {
    let (input, _) = tag("<ifm|arg_key>")(input)?;
    let (input, key) = take_while_m_n(1, MAX_NAME, |c: char| c != '<').parse(input)?;
    let (input, _) = (tag("</ifm|arg_key>"), ws).parse(input)?;
    let kind =
        (tag("<ifm|arg_type>"), take_while_m_n(0, MAX_NAME, |c: char| c != '<'), tag("</ifm|arg_type>"), ws);
    let (input, kind) = opt(kind.map(|found: (_, &str, _, _)| found.1)).parse(input)?;
    let (input, _) = tag("<ifm|arg_value>")(input)?;
    let typing = match kind {
        Some("string") => ValueSyntax::Text,
        Some(_) => ValueSyntax::Json,
        None => ValueSyntax::Schema,
    };
    Ok((input, tagged::Key { name: key.trim(), typing }))
}
