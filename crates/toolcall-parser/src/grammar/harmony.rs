//! Harmony, the format of gpt-oss: messages with a channel, calls by recipient. What is left of it where a server strips its
//! tokens is `to=functions.name` at the start of a line, perhaps behind the words of the head.

use nom::Err;
use nom::Parser as _;
use nom::branch::alt;
use nom::bytes::streaming::{tag, take_while_m_n};
use nom::combinator::{opt, peek, value};

use super::{Opens, Place, Row};
use crate::dialect::Dialect;
use crate::engine::channel::{self, Message};
use crate::engine::{Engine, named};
use crate::lex::{LexResult, MAX_NAME, any_of, blanks, mark, never, ws};
use crate::options::Options;

const START: &str = "<|start|>";
const CHANNEL: &str = "<|channel|>";
const MESSAGE: &str = "<|message|>";
const CONSTRAIN: &str = "<|constrain|>";
/// The longest head.
const MAX_HEAD: usize = 512;

/// What a head without its tokens begins with; the last word is the recipient's. Longer ones stand first.
pub(crate) const LEFTOVER_HEADS: [&str; 6] = [
    "assistantcommentary to",
    "assistant commentary to",
    "commentary to",
    "assistantanalysis to",
    "analysis to",
    "to",
];
/// What may stand between the recipient and its object.
const KINDS: [&str; 3] = ["json", "code", "commentary"];

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
    // The two words of a new message run together are no prose, wherever they stand.
    Row {
        dialect: Dialect::Harmony,
        trigger: b't',
        place: Place::Unquoted,
        hint_only: false,
        opens: Opens::Tools(|input, options| {
            peek(alt((tag("assistantcommentary"), tag("assistantanalysis")))).parse(input)?;
            opens_leftover(input, options)
        }),
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
    any_of(&[START, CHANNEL], input)?;
    let Some((words, rest)) = up_to_message(input)? else { return fail(input) };
    if let Some(found) = words.find("to=").or_else(|| words.find("to:")) {
        let name = words[found + 3..].trim_start();
        let length = name.find(|c: char| c.is_whitespace() || c == '<').unwrap_or(name.len());
        let name = &name[..length];
        let name = name.strip_prefix("functions.").unwrap_or(name);
        return if name.is_empty() { fail(input) } else { Ok((rest, Message::To(name))) };
    }
    let thoughts = words.contains("analysis");
    Ok((rest, if thoughts { Message::Thoughts } else { Message::Text }))
}

/// The words of a head, and what follows its last token.
fn up_to_message(input: &str) -> Result<Option<(&str, &str)>, Err<nom::error::Error<&str>>> {
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'<', &input.as_bytes()[at..]) {
        at += found;
        if at > MAX_HEAD {
            return Ok(None);
        }
        match mark(MESSAGE)(&input[at..]) {
            Ok((rest, ())) => {
                let words = &input[..at];
                return Ok(Some((words, rest)).filter(|_| !words.contains(['\n', '{'])));
            }
            Err(Err::Incomplete(needed)) => return Err(Err::Incomplete(needed)),
            Err(_) => at += 1,
        }
    }
    let head = input.as_bytes();
    let broken = head.len() > MAX_HEAD || head.contains(&b'\n') || head.contains(&b'{');
    if broken { Ok(None) } else { Err(Err::Incomplete(nom::Needed::Unknown)) }
}

fn fail(input: &str) -> LexResult<'_, Message<'_>> {
    never(input).map(|(rest, ())| (rest, Message::Text))
}

fn leftover(input: &str) -> LexResult<'_, named::NamedHead<'_>> {
    let (input, ()) = any_of(&LEFTOVER_HEADS, input)?;
    let mut recipient = (tag("="), blanks, tag("functions"), alt((tag("."), tag("_"), tag(":"), tag("/"))));
    let (input, _) = recipient.parse(input)?;
    let letter = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let (input, name) = take_while_m_n(1, MAX_NAME, letter).parse(input)?;
    let (input, _) =
        (ws, opt((mark(CONSTRAIN), ws)), opt((|input| any_of(&KINDS, input), ws))).parse(input)?;
    let (input, _) =
        (opt((|input| any_of(&["json", "code"], input), ws)), opt((mark(MESSAGE), ws))).parse(input)?;
    let (input, _) = peek(tag("{")).parse(input)?;
    Ok((input, named::NamedHead { name, id: None }))
}

fn opens_leftover<'a>(input: &'a str, options: &Options) -> LexResult<'a, ()> {
    let (_, head) = leftover(input)?;
    super::hermes::declared(head.name, input, options)?;
    Ok((input, ()))
}
