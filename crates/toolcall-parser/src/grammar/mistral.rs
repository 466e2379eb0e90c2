//! Mistral: `[TOOL_CALLS]` before a list of calls, or before a name and its arguments, once per call.

use nom::Parser as _;
use nom::branch::alt;
use nom::bytes::streaming::{tag, take_while_m_n};
use nom::combinator::{opt, peek, value};

use super::{Opens, Place, Row};
use crate::dialect::Dialect;
use crate::engine::json_list::{Form, JsonListGrammar};
use crate::engine::{Engine, named};
use crate::lex::{LexResult, MAX_NAME, any_of, is_name, mark, never, ws};
use crate::options::Options;

pub(super) static ROWS: &[Row] = &[
    Row {
        dialect: Dialect::Mistral,
        trigger: b'[',
        place: Place::Anywhere,
        hint_only: false,
        opens: Opens::Text(|input| {
            value((), (mark("[TOOL_CALLS]"), ws, peek(|input| any_of(&["[", "{"], input)))).parse(input)
        }),
        engine: Engine::JsonList(JsonListGrammar {
            close: &["[/TOOL_CALLS]", "</s>"],
            between: |input| any_of(&["[TOOL_CALLS]"], input),
            form: Form::Call,
        }),
    },
    Row {
        dialect: Dialect::Mistral,
        trigger: b'[',
        place: Place::Anywhere,
        hint_only: false,
        opens: Opens::Tools(opens_named),
        engine: Engine::Named(named::NamedGrammar {
            head,
            tail: never,
            close: |input| any_of(&["</s>"], input),
            empty: false,
        }),
    },
    // Without the token before the name; a name and an object alone are a call only where the model is known to write so.
    Row {
        dialect: Dialect::Mistral,
        trigger: super::NAME,
        place: Place::LineStart,
        hint_only: false,
        opens: Opens::Tools(|input, options| {
            let (rest, _) = take_while_m_n(1, MAX_NAME, is_name).parse(input)?;
            let hinted = options.hint == Some(Dialect::Mistral);
            let object = |input| if hinted { value((), tag("{")).parse(input) } else { never(input) };
            peek((ws, alt((mark("[CALL_ID]"), mark("[ARGS]"), object)))).parse(rest)?;
            let (_, head) = head(input)?;
            super::hermes::declared(head.name, input, options)?;
            Ok((input, ()))
        }),
        engine: Engine::Named(named::NamedGrammar {
            head,
            tail: never,
            close: |input| any_of(&["</s>"], input),
            empty: false,
        }),
    },
];

fn head(input: &str) -> LexResult<'_, named::NamedHead<'_>> {
    let (input, _) = (opt(mark("[TOOL_CALLS]")), ws).parse(input)?;
    let (input, name) = take_while_m_n(1, MAX_NAME, is_name).parse(input)?;
    let id = (
        mark("[CALL_ID]"),
        ws,
        take_while_m_n(1, MAX_NAME, |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-'),
    );
    let (input, id) =
        (ws, opt(id.map(|found: (_, _, &str)| found.2)), ws).map(|found| found.1).parse(input)?;
    let (input, _) = (opt((mark("[ARGS]"), ws)), opt((tag(":"), ws)), peek(tag("{"))).parse(input)?;
    Ok((input, named::NamedHead { name, id }))
}

fn opens_named<'a>(input: &'a str, options: &Options) -> LexResult<'a, ()> {
    let (rest, _) = (mark("[TOOL_CALLS]"), ws).parse(input)?;
    let (_, head) = head(rest)?;
    super::hermes::declared(head.name, input, options)?;
    Ok((rest, ()))
}
