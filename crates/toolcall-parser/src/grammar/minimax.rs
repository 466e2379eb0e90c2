//! MiniMax M2: `<minimax:tool_call>` around invokes; Seed-OSS: `<seed:tool_call>` around functions; Dots: `<dots_function_call>`.

use nom::Parser as _;
use nom::combinator::{peek, value};

use super::claude::{invoke, invoke_close, parameter, parameter_close};
use super::function_tag::{function, function_close, key, key_close};
use super::{Opens, Place, Row};
use crate::dialect::Dialect;
use crate::engine::json_list::{self, Form};
use crate::engine::tagged::Layout;
use crate::engine::{Engine, tagged};
use crate::lex::{LexResult, any_of, mark, never, opener, ws};

pub(super) static ROWS: &[Row] = &[
    Row {
        dialect: Dialect::MinimaxM2,
        trigger: b'<',
        place: Place::Anywhere,
        hint_only: false,
        opens: Opens::Text(|input| opener("<minimax:tool_call>")(input)),
        engine: Engine::Tagged(invokes(|input| mark("</minimax:tool_call>")(input), Layout::Verbatim)),
    },
    Row {
        dialect: Dialect::SeedOss,
        trigger: b'<',
        place: Place::Anywhere,
        hint_only: false,
        opens: Opens::Text(|input| opener("<seed:tool_call>")(input)),
        engine: Engine::Tagged(tagged::TaggedGrammar {
            call: function,
            call_close: function_close,
            parameter: key,
            parameter_close: key_close,
            close: |input| mark("</seed:tool_call>")(input),
            body: tagged::Bodies::None,
            layout: Layout::Lines,
            unclosed: true,
            declared: false,
            plain_close: never,
        }),
    },
    Row {
        dialect: Dialect::Dots,
        trigger: b'<',
        place: Place::Anywhere,
        hint_only: false,
        opens: Opens::Text(dots_invokes),
        engine: Engine::Tagged(invokes(|input| mark("</dots_function_call>")(input), Layout::Lines)),
    },
    Row {
        dialect: Dialect::Dots,
        trigger: b'<',
        place: Place::Anywhere,
        hint_only: false,
        opens: Opens::Text(|input| opener("<dots_function_call>")(input)),
        engine: Engine::JsonList(json_list::JsonListGrammar {
            close: &["</dots_function_call>"],
            between: |input| any_of(&["```json", "```"], input),
            form: Form::Call,
        }),
    },
];

/// Invokes in Claude's style, in a block that ends so.
const fn invokes(close: for<'a> fn(&'a str) -> LexResult<'a, ()>, layout: Layout) -> tagged::TaggedGrammar {
    tagged::TaggedGrammar {
        call: invoke,
        call_close: invoke_close,
        parameter,
        parameter_close,
        close,
        body: tagged::Bodies::None,
        layout,
        unclosed: true,
        declared: false,
        plain_close: never,
    }
}

fn dots_invokes(input: &str) -> LexResult<'_, ()> {
    value((), (opener("<dots_function_call>"), ws, peek(invoke))).parse(input)
}
