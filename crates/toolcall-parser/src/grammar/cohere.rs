//! Cohere Command: `<|START_ACTION|>` around JSON with `tool_name` and `parameters`; Command R+: `Action:` and a fence.

use nom::Parser as _;
use nom::bytes::streaming::tag;
use nom::combinator::{peek, value};

use super::{Opens, Place, Row};
use crate::dialect::Dialect;
use crate::engine::Engine;
use crate::engine::channel::{self, Message};
use crate::engine::json_list::{Form, JsonListGrammar};
use crate::lex::{LexResult, any_of, mark, opener, ws};

pub(super) static ROWS: &[Row] = &[
    Row {
        dialect: Dialect::Cohere,
        trigger: b'<',
        place: Place::Anywhere,
        hint_only: false,
        opens: Opens::Text(|input| opener("<|START_ACTION|>")(input)),
        engine: Engine::JsonList(JsonListGrammar {
            close: &["<|END_ACTION|>"],
            between: |input| any_of(&["```json", "```"], input),
            form: Form::Call,
        }),
    },
    Row {
        dialect: Dialect::Cohere,
        trigger: b'<',
        place: Place::Anywhere,
        hint_only: false,
        opens: Opens::Text(|input| value((), peek(head)).parse(input)),
        engine: Engine::Channel(channel::ChannelGrammar {
            head,
            ends: &["<|END_THINKING|>", "<|END_RESPONSE|>", "<|END_TEXT|>", "<|START_ACTION|>"],
            next: &["<|START_ACTION|>"],
        }),
    },
    Row {
        dialect: Dialect::Cohere,
        trigger: b'A',
        place: Place::LineStart,
        hint_only: true,
        opens: Opens::Text(|input| {
            value((), (tag("Action:"), ws, tag("```json"), ws, peek(|input| any_of(&["[", "{"], input))))
                .parse(input)
        }),
        engine: Engine::JsonList(JsonListGrammar {
            close: &["```"],
            between: crate::lex::never,
            form: Form::Call,
        }),
    },
];

fn head(input: &str) -> LexResult<'_, Message<'_>> {
    let (rest, ()) = any_of(&["<|START_THINKING|>"], input).or_else(|error| match error {
        nom::Err::Error(_) => any_of(&["<|START_RESPONSE|>", "<|START_TEXT|>"], input),
        other => Err(other),
    })?;
    let thoughts = mark("<|START_THINKING|>")(input).is_ok();
    Ok((rest, if thoughts { Message::Thoughts } else { Message::Text }))
}
