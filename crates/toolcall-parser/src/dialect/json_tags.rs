//! JSON inside tags that nothing else uses: a row for each family.

use nom::Parser as _;
use nom::branch::alt;
use nom::bytes::streaming::tag;
use nom::combinator::{opt, peek, value};

use super::{Dialect, Opens, Place, Row};
use crate::engine::Engine;
use crate::engine::json_list::{Form, Grammar};
use crate::lex::{Parsed, any_of, blanks, ws};

pub(super) static ROWS: &[Row] = &[
    row(
        Dialect::Nemotron,
        Place::Anywhere,
        |input| value((), tag("<TOOLCALL>")).parse(input),
        Grammar { close: &["</TOOLCALL>"], between: fences, form: Form::Call },
    ),
    row(
        Dialect::LongCat,
        Place::Anywhere,
        |input| value((), tag("<longcat_tool_call>")).parse(input),
        Grammar { close: &["</longcat_tool_call>"], between: fences, form: Form::Call },
    ),
    row(
        Dialect::Apertus,
        Place::Anywhere,
        |input| value((), tag("<|tools_prefix|>")).parse(input),
        Grammar { close: &["<|tools_suffix|>"], between: fences, form: Form::Map },
    ),
    row(
        Dialect::Sarashina,
        Place::Anywhere,
        |input| value((), tag("<|tool_calls|>")).parse(input),
        Grammar { close: &["</s>"], between: fences, form: Form::Call },
    ),
    row(
        Dialect::Inkling,
        Place::Anywhere,
        |input| value((), tag("<|content_invoke_tool_json|>")).parse(input),
        Grammar { close: &["<|end_message|>"], between: fences, form: Form::Call },
    ),
    row(
        Dialect::Granite,
        Place::Anywhere,
        |input| value((), tag("<|tool_call|>")).parse(input),
        Grammar { close: &["<|/tool_call|>", "<|end_of_text|>"], between: fences, form: Form::Call },
    ),
    row(
        Dialect::InternLm,
        Place::Anywhere,
        |input| value((), (tag("<|action_start|>"), ws, tag("<|plugin|>"))).parse(input),
        Grammar {
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
                    tag("<ifm|tool_calls>"),
                    ws,
                    opt((tag("<ifm|tool_call>"), ws)),
                    peek(alt((tag("{"), tag("[")))),
                ),
            )
            .parse(input)
        },
        Grammar {
            close: &["</ifm|tool_calls>"],
            between: |input| any_of(&["<ifm|tool_call>", "</ifm|tool_call>"], input),
            form: Form::Call,
        },
    ),
    row(
        Dialect::GigaChat,
        Place::Anywhere,
        gigachat,
        Grammar { close: &["<|message_sep|>", "</s>"], between: fences, form: Form::Call },
    ),
    Row {
        trigger: b'f',
        ..row(
            Dialect::GigaChat,
            Place::LineStart,
            |input| value((), (tag("function call<|role_sep|>"), ws)).parse(input),
            Grammar { close: &["<|message_sep|>", "</s>"], between: fences, form: Form::Call },
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
            Grammar { close: &[], between: fences, form: Form::Call },
        )
    },
    row(
        Dialect::Jamba,
        Place::Unquoted,
        |input| value((), (tag("<tool_calls>"), ws, peek(alt((tag("["), tag("{")))))).parse(input),
        Grammar {
            close: &["</tool_calls>"],
            between: |input| any_of(&["<tool_calls>", "```json", "```"], input),
            form: Form::Call,
        },
    ),
    row(
        Dialect::Granite,
        Place::Unquoted,
        |input| value((), (tag("<function_call>"), ws, peek(tag("{")))).parse(input),
        Grammar {
            close: &["</function_call>"],
            between: |input| any_of(&["<function_call>"], input),
            form: Form::Call,
        },
    ),
];

const fn row(
    dialect: Dialect,
    place: Place,
    opens: for<'a> fn(&'a str) -> Parsed<'a, ()>,
    grammar: Grammar,
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

fn fences(input: &str) -> Parsed<'_, ()> {
    any_of(&["```json", "```"], input)
}

fn gigachat(input: &str) -> Parsed<'_, ()> {
    let role = (tag("<|message_sep|>"), ws, tag("function call<|role_sep|>"), blanks);
    alt((value((), tag("<|function_call|>")), value((), role))).parse(input)
}
