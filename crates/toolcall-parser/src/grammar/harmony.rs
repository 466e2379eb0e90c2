//! Harmony, the format of gpt-oss: messages with a channel, calls by recipient. What is left of it where a server strips its
//! tokens is `to=functions.name` at the start of a line.

use nom::Parser as _;
use nom::bytes::streaming::{tag, take_while_m_n};
use nom::combinator::{opt, peek, value};
use nom::{Err, IResult};

use super::{Opens, Place, Row};
use crate::dialect::Dialect;
use crate::engine::channel::{self, Message};
use crate::engine::{Engine, named};
use crate::lex::{LexResult, MAX_NAME, any_of, never, ws};
use crate::options::Options;

const START: &str = "<|start|>";
const CHANNEL: &str = "<|channel|>";
const MESSAGE: &str = "<|message|>";
/// The longest head.
const MAX_HEAD: usize = 512;

pub(super) static ROWS: &[Row] = &[
    Row {
        dialect: Dialect::Harmony,
        trigger: b'<',
        place: Place::Anywhere,
        hint_only: false,
        opens: Opens::Text(|input| value((), peek(head)).parse(input)),
        engine: Engine::Channel(channel::ChannelGrammar {
            head,
            ends: &["<|end|>", "<|call|>", "<|return|>", START, CHANNEL],
            next: &[START, CHANNEL],
        }),
    },
    Row {
        dialect: Dialect::Harmony,
        trigger: b't',
        place: Place::LineStart,
        hint_only: false,
        opens: Opens::Tools(opens_leftover),
        engine: Engine::Named(named::NamedGrammar {
            head: leftover,
            tail: |input| any_of(&["<|call|>", "<|end|>"], input),
            close: never,
            empty: false,
        }),
    },
];

/// `<|start|>assistant<|channel|>commentary to=functions.name <|constrain|>json<|message|>`, its parts in any order.
fn head(input: &str) -> LexResult<'_, Message<'_>> {
    let begins = |word: &str| any_of(&[word], input).is_ok();
    if !begins(START) && !begins(CHANNEL) {
        return any_of(&[START, CHANNEL], input).map(|(rest, ())| (rest, Message::Text));
    }
    let Some(end) = input.find(MESSAGE) else {
        let line = input.len().min(MAX_HEAD);
        let broken = input.len() > MAX_HEAD || input.as_bytes()[..line].contains(&b'\n');
        return if broken {
            never(input).map(|(rest, ())| (rest, Message::Text))
        } else {
            Err(Err::Incomplete(nom::Needed::Unknown))
        };
    };
    let words = &input[..end];
    if words.len() > MAX_HEAD || words.contains(['\n', '{']) {
        return fail(input);
    }
    let rest = &input[end + MESSAGE.len()..];
    if let Some(found) = words.find("to=") {
        let name = &words[found + 3..];
        let length = name.find([' ', '<', '\t']).unwrap_or(name.len());
        let name = &name[..length];
        let name = name.strip_prefix("functions.").unwrap_or(name);
        return if name.is_empty() { fail(input) } else { Ok((rest, Message::To(name))) };
    }
    let thoughts = words.contains("analysis");
    Ok((rest, if thoughts { Message::Thoughts } else { Message::Text }))
}

fn fail(input: &str) -> IResult<&str, Message<'_>> {
    never(input).map(|(rest, ())| (rest, Message::Text))
}

fn leftover(input: &str) -> LexResult<'_, named::NamedHead<'_>> {
    let (input, _) = tag("to=functions.")(input)?;
    let (input, name) =
        take_while_m_n(1, MAX_NAME, |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
            .parse(input)?;
    let (input, _) = (
        ws,
        opt((|input| any_of(&["<|constrain|>json", "json", "code"], input), ws)),
        opt((tag(MESSAGE), ws)),
    )
        .parse(input)?;
    let (input, _) = peek(tag("{")).parse(input)?;
    Ok((input, named::NamedHead { name, id: None }))
}

fn opens_leftover<'a>(input: &'a str, options: &Options) -> LexResult<'a, ()> {
    let (_, head) = leftover(input)?;
    super::hermes::declared(head.name, input, options)?;
    Ok((input, ()))
}
