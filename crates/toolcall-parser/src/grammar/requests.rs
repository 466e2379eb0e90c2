//! `<explore_agent>`, `<require_escalation>`, `<request_escalation_permission/>`: requests of a model that hold no command.

use nom::Parser as _;
use nom::branch::alt;
use nom::bytes::streaming::tag;
use nom::combinator::value;

use super::{Opens, Place, Row};
use crate::dialect::Dialect;
use crate::engine::Engine;
use crate::engine::until::{Read, UntilGrammar};
use crate::lex::{LexResult, ws};
use crate::options::Options;
use crate::piece::{Request, RequestKind};

pub(super) static ROWS: &[Row] = &[
    row(
        |input| value((), tag("<explore_agent>")).parse(input),
        UntilGrammar { close: "</explore_agent>", at_end: true, read: |body, _| explore(body) },
    ),
    row(
        |input| value((), tag("<require_escalation>")).parse(input),
        UntilGrammar { close: "</require_escalation>", at_end: false, read: escalation },
    ),
    // These close themselves, or have nothing in them.
    row(
        |input| {
            let word = alt((tag("<request_escalation_permission"), tag("<require_escalation")));
            value((), (word, ws, nom::combinator::peek(tag("/")))).parse(input)
        },
        UntilGrammar { close: "/>", at_end: false, read: escalation },
    ),
    row(
        |input| value((), tag("<request_escalation_permission>")).parse(input),
        UntilGrammar { close: "</request_escalation_permission>", at_end: true, read: escalation },
    ),
];

const fn row(opens: for<'a> fn(&'a str) -> LexResult<'a, ()>, grammar: UntilGrammar) -> Row {
    Row {
        dialect: Dialect::RequestTag,
        trigger: b'<',
        place: Place::LineStart,
        hint_only: false,
        opens: Opens::Text(opens),
        engine: Engine::Until(grammar),
    }
}

fn explore(body: &str) -> Read<'_> {
    let body = body.trim();
    let body = body.strip_prefix("messages:").unwrap_or(body).trim();
    Read::Request(Request { kind: RequestKind::Explore, body: body.to_owned() })
}

fn escalation<'a>(body: &'a str, _: &Options) -> Read<'a> {
    Read::Request(Request { kind: RequestKind::Escalation, body: body.trim().to_owned() })
}
