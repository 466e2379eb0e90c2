//! JSON inside tags that nothing else uses: a row for each family.

use nom::Parser as _;
use nom::branch::alt;
use nom::bytes::streaming::tag;
use nom::combinator::{opt, peek, value};

use super::{Opens, Place, Row};
use crate::dialect::Dialect;
use crate::engine::Engine;
use crate::engine::json_list::{Form, JsonListGrammar};
use crate::lex::{LexResult, any_of, blanks, ws};

pub(super) static ROWS: &[Row] = &[
    row(
        Dialect::Nemotron,
        Place::Anywhere,
        |input| value((), tag("<TOOLCALL>")).parse(input),
        JsonListGrammar { close: &["</TOOLCALL>"], between: fences, form: Form::Call },
    ),
    row(
        Dialect::LongCat,
        Place::Anywhere,
        |input| value((), tag("<longcat_tool_call>")).parse(input),
        JsonListGrammar { close: &["</longcat_tool_call>"], between: fences, form: Form::Call },
    ),
    row(
        Dialect::Apertus,
        Place::Anywhere,
        |input| value((), tag("<|tools_prefix|>")).parse(input),
        JsonListGrammar { close: &["<|tools_suffix|>"], between: fences, form: Form::Map },
    ),
    row(
        Dialect::Sarashina,
        Place::Anywhere,
        |input| value((), tag("<|tool_calls|>")).parse(input),
        JsonListGrammar { close: &["</s>"], between: fences, form: Form::Call },
    ),
    row(
        Dialect::Inkling,
        Place::Anywhere,
        |input| value((), tag("<|content_invoke_tool_json|>")).parse(input),
        JsonListGrammar { close: &["<|end_message|>"], between: fences, form: Form::Call },
    ),
    row(
        Dialect::Granite,
        Place::Anywhere,
        |input| value((), tag("<|tool_call|>")).parse(input),
        JsonListGrammar { close: &["<|/tool_call|>", "<|end_of_text|>"], between: fences, form: Form::Call },
    ),
    row(
        Dialect::InternLm,
        Place::Anywhere,
        |input| value((), (tag("<|action_start|>"), ws, tag("<|plugin|>"))).parse(input),
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
                    tag("<ifm|tool_calls>"),
                    ws,
                    opt((tag("<ifm|tool_call>"), ws)),
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
        JsonListGrammar { close: &["<|message_sep|>", "</s>"], between: fences, form: Form::Call },
    ),
    Row {
        trigger: b'f',
        ..row(
            Dialect::GigaChat,
            Place::LineStart,
            |input| value((), (tag("function call<|role_sep|>"), ws)).parse(input),
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
        |input| value((), (tag("<tool_calls>"), ws, peek(alt((tag("["), tag("{")))))).parse(input),
        JsonListGrammar {
            close: &["</tool_calls>"],
            between: |input| any_of(&["<tool_calls>", "```json", "```"], input),
            form: Form::Call,
        },
    ),
    row(
        Dialect::Granite,
        Place::Unquoted,
        |input| value((), (tag("<function_call>"), ws, peek(tag("{")))).parse(input),
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
    let role = (tag("<|message_sep|>"), ws, tag("function call<|role_sep|>"), blanks);
    alt((value((), tag("<|function_call|>")), value((), role))).parse(input)
}
