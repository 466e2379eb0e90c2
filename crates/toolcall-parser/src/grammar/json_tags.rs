//! JSON inside tags that nothing else uses: a row for each family.

use nom::Parser as _;
use nom::branch::alt;
use nom::bytes::streaming::tag;
use nom::combinator::{opt, peek, value};

use super::{Opens, Place, Row};
use crate::dialect::Dialect;
use crate::engine::Engine;
use crate::engine::json_list::{Form, JsonListGrammar};
use crate::lex::{LexResult, any_of, blanks, mark, opener, ws};

pub(super) static ROWS: &[Row] = &[
    row(
        Dialect::Nemotron,
        Place::Anywhere,
        |input| opener("<TOOLCALL>")(input),
        JsonListGrammar {
            close: &["</TOOLCALL>"],
            between: |input| any_of(&["<TOOLCALL>", "```json", "```"], input),
            form: Form::Call,
        },
    ),
    row(
        Dialect::LongCat,
        Place::Anywhere,
        |input| opener("<longcat_tool_call>")(input),
        JsonListGrammar {
            close: &["</longcat_tool_call>"],
            between: |input| any_of(&["<longcat_tool_call>", "```json", "```"], input),
            form: Form::Call,
        },
    ),
    row(
        Dialect::Apertus,
        Place::Anywhere,
        |input| opener("<|tools_prefix|>")(input),
        JsonListGrammar {
            close: &["<|tools_suffix|>"],
            between: |input| any_of(&["<|tools_prefix|>", "```json", "```"], input),
            form: Form::Map,
        },
    ),
    row(
        Dialect::Sarashina,
        Place::Anywhere,
        |input| opener("<|tool_calls|>")(input),
        JsonListGrammar {
            close: &["</s>"],
            between: |input| any_of(&["<|tool_calls|>", "```json", "```"], input),
            form: Form::Call,
        },
    ),
    row(
        Dialect::Inkling,
        Place::Anywhere,
        |input| opener("<|content_invoke_tool_json|>")(input),
        JsonListGrammar {
            close: &["<|end_message|>"],
            between: |input| any_of(&["<|content_invoke_tool_json|>", "```json", "```"], input),
            form: Form::Call,
        },
    ),
    row(
        Dialect::Granite,
        Place::Anywhere,
        |input| opener("<|tool_call|>")(input),
        JsonListGrammar {
            close: &["<|/tool_call|>", "<|end_of_text|>"],
            between: |input| any_of(&["<|tool_call|>", "```json", "```"], input),
            form: Form::Call,
        },
    ),
    row(
        Dialect::InternLm,
        Place::Anywhere,
        |input| value((), (opt((mark("<|action_start|>"), ws)), mark("<|plugin|>"))).parse(input),
        JsonListGrammar {
            close: &["<|action_end|>"],
            between: |input| any_of(&["<|action_start|>", "<|plugin|>", "```json", "```"], input),
            form: Form::Call,
        },
    ),
    row(
        Dialect::K2Horizon,
        Place::Anywhere,
        |input| {
            value(
                (),
                (
                    alt((opener("<ifm|tool_calls>"), mark("<ifm|tool_call>"))),
                    ws,
                    opt((mark("<ifm|tool_call>"), ws)),
                    peek(alt((tag("{"), tag("[")))),
                ),
            )
            .parse(input)
        },
        JsonListGrammar {
            close: &["</ifm|tool_calls>"],
            between: |input| any_of(&["<ifm|tool_call>", "</ifm|tool_call>"], input),
            form: Form::Call,
        },
    ),
    row(
        Dialect::GigaChat,
        Place::Anywhere,
        gigachat,
        JsonListGrammar {
            close: &["<|message_sep|>", "</s>"],
            between: |input| any_of(&["<|function_call|>", "```json", "```"], input),
            form: Form::Call,
        },
    ),
    Row {
        trigger: b'f',
        ..row(
            Dialect::GigaChat,
            Place::LineStart,
            |input| value((), (tag("function call"), mark("<|role_sep|>"), ws)).parse(input),
            JsonListGrammar { close: &["<|message_sep|>", "</s>"], between: fences, form: Form::Call },
        )
    },
    Row {
        trigger: b'f',
        ..row(
            Dialect::Phi,
            Place::Unquoted,
            |input| {
                value((), (tag("functools"), ws, peek((opt((tag("["), ws)), tag("{"), ws, tag("\"")))))
                    .parse(input)
            },
            JsonListGrammar { close: &[], between: fences, form: Form::Call },
        )
    },
    row(
        Dialect::Jamba,
        Place::Unquoted,
        |input| value((), (opener("<tool_calls>"), ws, peek(alt((tag("["), tag("{")))))).parse(input),
        JsonListGrammar {
            close: &["</tool_calls>"],
            between: |input| any_of(&["<tool_calls>", "```json", "```"], input),
            form: Form::Call,
        },
    ),
    row(
        Dialect::Granite,
        Place::Unquoted,
        |input| value((), (opener("<function_call>"), ws, peek(tag("{")))).parse(input),
        JsonListGrammar {
            close: &["</function_call>"],
            between: |input| any_of(&["<function_call>"], input),
            form: Form::Call,
        },
    ),
];

const fn row(
    dialect: Dialect,
    place: Place,
    opens: for<'a> fn(&'a str) -> LexResult<'a, ()>,
    grammar: JsonListGrammar,
) -> Row {
    Row {
        dialect,
        trigger: b'<',
        place,
        hint_only: false,
        opens: Opens::Text(opens),
        engine: Engine::JsonList(grammar),
    }
}

fn fences(input: &str) -> LexResult<'_, ()> {
    any_of(&["```json", "```"], input)
}

fn gigachat(input: &str) -> LexResult<'_, ()> {
    let role = (mark("<|message_sep|>"), ws, tag("function call"), mark("<|role_sep|>"), blanks);
    alt((value((), mark("<|function_call|>")), value((), role))).parse(input)
}
