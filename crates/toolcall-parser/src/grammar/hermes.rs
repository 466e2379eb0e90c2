//! `<tool_call>` around JSON: Hermes, Qwen, and a great many fine-tunes.

use nom::Parser as _;
use nom::combinator::{opt, peek, value, verify};
use nom::{Err, multi::many_m_n};

use super::{Opens, Place, Row};
use crate::dialect::Dialect;
use crate::engine::Engine;
use crate::engine::json_list::{self, Form};
use crate::lex::{LexResult, any_of, attributes, mark, tag_end, ws};
use crate::options::Options;
use crate::settle::known;

pub(super) static ROWS: &[Row] = &[Row {
    dialect: Dialect::Hermes,
    trigger: b'<',
    place: Place::Unquoted,
    hint_only: false,
    opens: Opens::Text(opens),
    engine: Engine::JsonList(json_list::JsonListGrammar {
        close: &["</tool_call>"],
        between: |input| any_of(&["<tool_call>", "```json", "```"], input),
        form: Form::Call,
    }),
}];

fn opens(input: &str) -> LexResult<'_, ()> {
    // Attributes of the tag say nothing; a name among them is another dialect's.
    let open =
        (mark("<tool_call"), verify(attributes, |found| found.get(&["name", "type"]).is_none()), tag_end);
    let (rest, _) = many_m_n(1, 3, (open, ws)).parse(input)?;
    value(
        (),
        peek((opt((|input| any_of(&["```json", "```"], input), ws)), |input| any_of(&["{", "["], input))),
    )
    .parse(rest)
}

/// An error unless a call by this name may be made.
pub(super) fn declared<'a>(name: &str, input: &'a str, options: &Options) -> LexResult<'a, ()> {
    if known(name, options) {
        return Ok((input, ()));
    }
    Err(Err::Error(nom::error::Error::new(input, nom::error::ErrorKind::Verify)))
}
