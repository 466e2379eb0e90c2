//! `<bash>` blocks with a few settings on top, and `<todo_write>` with a list.

use std::borrow::Cow;

use nom::Parser as _;
use nom::bytes::streaming::tag;
use nom::combinator::value;

use super::{Opens, Place, Row};
use crate::dialect::Dialect;
use crate::engine::Engine;
use crate::engine::until::{Read, UntilGrammar};
use crate::json::{self, Value};
use crate::lex::ws;
use crate::options::Options;
use crate::piece::ProblemKind;
use crate::settle::{Body, RawCall, known};

/// The settings a block may begin with.
const SETTINGS: [&str; 3] = ["sandbox_permissions", "justification", "prefix_rule"];

pub(super) static ROWS: &[Row] = &[
    Row {
        dialect: Dialect::Bash,
        trigger: b'<',
        place: Place::LineStart,
        hint_only: false,
        opens: Opens::Tools(|input, options| {
            let (rest, ()) = value((), tag("<bash>")).parse(input)?;
            // A tag that is itself a declared tool with parameters belongs to the dialect of such tags.
            super::hermes::declared("bash", input, options)?;
            Ok((rest, ()))
        }),
        engine: Engine::Until(UntilGrammar { close: "</bash>", at_end: false, read: bash }),
    },
    Row {
        dialect: Dialect::Bash,
        trigger: b'<',
        place: Place::LineStart,
        hint_only: false,
        opens: Opens::Tools(|input, options| {
            let (rest, _) = (tag("<todo_write>"), ws).parse(input)?;
            todo_tool(options).map_or_else(|| crate::lex::never(input), |_| Ok((rest, ())))
        }),
        engine: Engine::Until(UntilGrammar { close: "</todo_write>", at_end: false, read: todos }),
    },
];

fn bash<'a>(body: &'a str, options: &Options) -> Read<'a> {
    // A tool named `bash` in the style of tags: `<bash><command>…</command></bash>`.
    let trimmed = body.trim();
    for key in ["command", "cmd", "script"] {
        let inner = trimmed
            .strip_prefix(&format!("<{key}>"))
            .and_then(|rest| rest.strip_suffix(&format!("</{key}>")));
        if let Some(inner) = inner {
            return call(vec![("command".into(), Value::text(inner.trim_matches('\n')))]);
        }
    }
    let mut entries: Vec<(Cow<'a, str>, Value<'a>)> = Vec::new();
    let mut rest = body;
    loop {
        rest = rest.trim_start_matches(['\r', '\n']);
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let Some((key, text)) = line.split_once(':') else { break };
        if !SETTINGS.contains(&key.trim()) {
            break;
        }
        let text = text.trim();
        let setting = match json::read(text) {
            Some((value @ (Value::Array(_) | Value::Object(_) | Value::String(_)), _)) => value,
            _ => Value::text(text),
        };
        entries.push((Cow::Borrowed(key.trim()), setting));
        rest = after;
    }
    let command = rest.trim();
    if command.starts_with('{')
        && let Some((Value::Object(inner), _)) = json::read(command)
    {
        entries.extend(inner);
        return call(entries);
    }
    if !command.is_empty() {
        entries.insert(0, ("command".into(), Value::text(rest.trim_end().trim_start_matches(['\r', '\n']))));
    }
    if entries.is_empty() || !known("bash", options) {
        return Read::Wrong(ProblemKind::NoCommand);
    }
    call(entries)
}

fn call<'a>(entries: Vec<(Cow<'a, str>, Value<'a>)>) -> Read<'a> {
    Read::Calls(vec![RawCall::new("bash", Body::Value(Value::Object(entries)))])
}

/// The declared tool that takes a list of things to do, and the keys it has for it.
fn todo_tool(options: &Options) -> Option<(&'static str, &'static str)> {
    [("TodoWrite", "todos"), ("todo_write", "todos"), ("update_plan", "plan")]
        .into_iter()
        .find(|(name, _)| options.tool(name).is_some())
}

fn todos<'a>(body: &'a str, options: &Options) -> Read<'a> {
    let Some((name, key)) = todo_tool(options) else { return Read::Prose };
    let body = body.trim();
    let list = body.strip_prefix("<todos>").and_then(|rest| rest.strip_suffix("</todos>")).unwrap_or(body);
    let Some((Value::Array(items), _)) = json::read(list) else { return Read::Wrong(ProblemKind::Malformed) };
    let mut todos = Vec::new();
    for item in items {
        let text = |key: &str| item.get(key).and_then(Value::as_str).map(str::to_owned);
        let Some(content) = text("content").or_else(|| text("description")).or_else(|| text("step")) else {
            return Read::Wrong(ProblemKind::Malformed);
        };
        let status = text("status").unwrap_or_else(|| "pending".to_owned());
        todos.push(Value::Object(if key == "plan" {
            vec![("step".into(), Value::text(content)), ("status".into(), Value::text(status))]
        } else {
            let active = text("activeForm").unwrap_or_else(|| content.clone());
            vec![
                ("content".into(), Value::text(content)),
                ("activeForm".into(), Value::text(active)),
                ("status".into(), Value::text(status)),
            ]
        }));
    }
    let arguments = Value::Object(vec![(key.into(), Value::Array(todos))]);
    Read::Calls(vec![RawCall::new(name, Body::Value(arguments))])
}
