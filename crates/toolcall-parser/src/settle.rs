//! From what a grammar found to a call that may be made: the declared tool, its typed arguments, or why not.

use std::borrow::Cow;

use crate::contents;
use crate::dialect::Dialect;
use crate::json::{self, Leniencies, Value};
use crate::options::Options;
use crate::piece::{Call, Problem, ProblemKind, Repair, Request, RequestKind};
use crate::shell::Shell;
use crate::tool::Tool;

/// How often arguments may be a string that holds JSON again.
const MAX_WRAPS: usize = 3;
/// Keys that models wrap around the arguments.
const WRAPPERS: [&str; 4] = ["arguments", "input", "parameters", "properties"];

/// What a grammar found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RawCall<'a> {
    pub(crate) name: Cow<'a, str>,
    pub(crate) id: Option<Cow<'a, str>>,
    pub(crate) body: Body<'a>,
    pub(crate) repairs: Vec<Repair>,
    /// The text of an argument object that needs nothing done to it.
    pub(crate) source: Option<&'a str>,
}

/// The arguments as a grammar found them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Body<'a> {
    Value(Value<'a>),
    Parameters(Vec<Parameter<'a>>),
    /// One text that is all there is.
    Bare(&'a str),
}

/// One parameter of a dialect that tags them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Parameter<'a> {
    pub(crate) key: Cow<'a, str>,
    pub(crate) value: Typing<'a>,
}

/// How a parameter's text becomes a value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Typing<'a> {
    /// As the schema says.
    Schema(&'a str),
    /// It is the string.
    Text(&'a str),
    /// JSON, or failing that as the schema says.
    Json(&'a str),
}

impl<'a> Typing<'a> {
    /// The value of the parameter of this name.
    pub(crate) fn value(self, key: &str, tool: &Tool) -> Value<'a> {
        match self {
            Typing::Text(text) => Value::text(text),
            Typing::Schema(text) => tool.typed(key, text),
            Typing::Json(text) => json::read(text).map_or_else(|| tool.typed(key, text), |(value, _)| value),
        }
    }
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SettledCall {
    Call(Call),
    Request(Request),
    Refused(Problem),
}

impl<'a> RawCall<'a> {
    pub(crate) fn new(name: impl Into<Cow<'a, str>>, body: Body<'a>) -> Self {
        Self { name: name.into(), id: None, body, repairs: Vec::new(), source: None }
    }

    pub(crate) fn repaired(mut self, repair: Repair) -> Self {
        self.repairs.push(repair);
        self
    }

    pub(crate) fn leniencies(mut self, leniencies: Leniencies) -> Self {
        let pairs = [
            (leniencies.comma, Repair::TrailingComma),
            (leniencies.control, Repair::ControlCharacter),
            (leniencies.python, Repair::PythonSyntax),
            (leniencies.separator, Repair::Separator),
            (leniencies.backslash, Repair::Backslash),
        ];
        self.repairs.extend(pairs.into_iter().filter_map(|(was, repair)| was.then_some(repair)));
        self
    }
}

/// The tool a name stands for, and the shell it is, if it is one.
fn tool<'o>(name: &str, options: &'o Options) -> Option<(&'o Tool, Option<Shell<'o>>, bool)> {
    if let Some(tool) = options.tool(name) {
        return Some((tool, Shell::of(tool), false));
    }
    if let Some(shell) = Shell::by_alias(name, options) {
        return Some((shell.tool, Some(shell), true));
    }
    let tool = bare_names(name).find_map(|name| options.tool(name))?;
    Some((tool, Shell::of(tool), true))
}

/// The declared tool that a name stands for.
pub(crate) fn declared_tool<'o>(name: &str, options: &'o Options) -> Option<&'o Tool> {
    tool(name, options).map(|(tool, ..)| tool)
}

/// What the name may be without the namespace before it and the number of the call behind it. The number of an id is taken off behind
/// a sign that no name ends in, or where a namespace shows that it is an id.
fn bare_names(name: &str) -> impl Iterator<Item = &str> {
    const NAMESPACES: [&str; 4] = ["functions", "function", "tools", "default_api"];
    let signs = ['.', ':', '_', '/', '-'];
    let inside = NAMESPACES.iter().find_map(|space| name.strip_prefix(space)?.strip_prefix(signs));
    let digits = |name: &str| name.len() - name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let by_id = inside.filter(|name| digits(name) > 0);
    let by_id =
        by_id.and_then(|name| name[..name.len() - digits(name)].strip_suffix(['.', ':', '_', '/', '-', '#']));
    let by_sign = Some(name).filter(|name| digits(name) > 0);
    let by_sign = by_sign.and_then(|name| name[..name.len() - digits(name)].strip_suffix([':', '#']));
    [inside, by_id, by_sign].into_iter().flatten()
}

/// True when a call by this name may be made, or is a request we know.
pub(crate) fn known(name: &str, options: &Options) -> bool {
    tool(name, options).is_some() || request_kind(name).is_some()
}

fn request_kind(name: &str) -> Option<RequestKind> {
    match name {
        "explore" | "explore_agent" => Some(RequestKind::Explore),
        "require_escalation" | "request_escalation_permission" => Some(RequestKind::Escalation),
        _ => None,
    }
}

/// Settles a call.
pub(crate) fn settle(options: &Options, dialect: Dialect, raw: RawCall<'_>) -> SettledCall {
    let RawCall { name, id, body, mut repairs, source } = raw;
    let refuse =
        |kind| SettledCall::Refused(Problem { dialect, kind, name: Some(name.clone().into_owned()) });
    let Some((tool, shell, alias)) = tool(&name, options) else {
        return match request_kind(&name) {
            Some(kind) => SettledCall::Request(Request { kind, body: words(body) }),
            None => refuse(ProblemKind::Undeclared),
        };
    };
    if alias {
        repairs.push(Repair::Renamed);
    }
    let entries = match body {
        Body::Bare(text) => match only_text(tool, shell) {
            Some(key) => vec![(Cow::Borrowed(key), Value::text(text))],
            None => return refuse(ProblemKind::Malformed),
        },
        Body::Parameters(parameters) => typed(parameters, tool),
        // Text that is no JSON, for a tool that takes one text, is that text.
        Body::Value(Value::String(text)) if is_plain(&text) && dialect != Dialect::RawJson => {
            match only_text(tool, shell) {
                Some(key) => vec![(Cow::Borrowed(key), Value::String(text))],
                None => return refuse(ProblemKind::Malformed),
            }
        }
        Body::Value(value) => match object(value, &mut repairs) {
            Some(entries) => entries,
            None => return refuse(ProblemKind::Malformed),
        },
    };
    let entries = unwrap(entries, tool, &mut repairs);
    let arguments = match shell {
        Some(shell) => match shell.arguments(entries, alias, &mut repairs) {
            Ok(arguments) => arguments,
            Err(kind) => return refuse(kind),
        },
        None => Value::Object(entries),
    };
    let arguments = contents::put_right(arguments, tool, &mut repairs);
    let source = source.filter(|_| repairs.is_empty() && shell.is_none());
    repairs.sort_unstable();
    repairs.dedup();
    SettledCall::Call(Call {
        dialect,
        name: tool.name().to_owned(),
        id: id.map(Cow::into_owned).filter(|id| !id.is_empty()),
        arguments: source.map_or_else(|| arguments.to_json(), str::to_owned),
        repairs,
    })
}

/// True for text that was not meant to be JSON.
fn is_plain(text: &str) -> bool {
    !text.trim().is_empty() && !text.trim_start().starts_with(['{', '[', '"']) && json::read(text).is_none()
}

/// The one required string parameter of a tool: where a bare body goes.
fn only_text<'o>(tool: &'o Tool, shell: Option<Shell<'o>>) -> Option<&'o str> {
    if let Some(shell) = shell {
        return Some(shell.key);
    }
    let mut required = tool.required();
    let key = required.next()?;
    (required.next().is_none() && tool.takes_string(key)).then_some(key)
}

/// Every parameter once, as the schema or the tag says; the last one of a name counts.
fn typed<'a>(parameters: Vec<Parameter<'a>>, tool: &Tool) -> Vec<(Cow<'a, str>, Value<'a>)> {
    let mut entries: Vec<(Cow<'a, str>, Value<'a>)> = Vec::with_capacity(parameters.len());
    for Parameter { key, value } in parameters {
        let value = value.value(&key, tool);
        match entries.iter_mut().find(|(known, _)| *known == key) {
            Some(entry) => entry.1 = value,
            None => entries.push((key, value)),
        }
    }
    entries
}

/// Arguments as an object: absent ones are none, and text that holds an object is that object.
fn object<'a>(value: Value<'a>, repairs: &mut Vec<Repair>) -> Option<Vec<(Cow<'a, str>, Value<'a>)>> {
    let mut value = value;
    for _ in 0..=MAX_WRAPS {
        value = match value {
            Value::Object(entries) => return Some(entries),
            Value::Null => return Some(Vec::new()),
            Value::String(text) if text.trim().is_empty() => return Some(Vec::new()),
            Value::String(text) => {
                repairs.push(Repair::Unwrapped);
                json::read(&text)?.0.into_owned()
            }
            _ => return None,
        };
    }
    None
}

/// `{"arguments": {…}}` is `{…}`, where the tool has no such parameter.
fn unwrap<'a>(
    entries: Vec<(Cow<'a, str>, Value<'a>)>,
    tool: &Tool,
    repairs: &mut Vec<Repair>,
) -> Vec<(Cow<'a, str>, Value<'a>)> {
    let wrapped = matches!(entries.as_slice(), [(key, value)]
        if WRAPPERS.contains(&key.as_ref()) && !tool.declares(key) && holds_object(value));
    if !wrapped {
        return entries;
    }
    repairs.push(Repair::Unwrapped);
    entries.into_iter().next().and_then(|(_, value)| object(value, repairs)).unwrap_or_default()
}

fn holds_object(value: &Value<'_>) -> bool {
    match value {
        Value::Object(_) => true,
        Value::String(text) => matches!(json::read(text), Some((Value::Object(_), _))),
        _ => false,
    }
}

/// What a request says, as text.
fn words(body: Body<'_>) -> String {
    match body {
        Body::Bare(text) => text.trim().to_owned(),
        Body::Value(Value::String(text)) => text.into_owned(),
        Body::Value(value) => value.to_json(),
        Body::Parameters(parameters) => {
            let texts = parameters.into_iter().map(|parameter| match parameter.value {
                Typing::Text(text) | Typing::Schema(text) | Typing::Json(text) => text.trim().to_owned(),
            });
            texts.collect::<Vec<_>>().join("\n")
        }
    }
}

/// The call, or calls, that a JSON object spells out.
///
/// `any_key` also takes names and arguments under keys that ordinary data has.
pub(crate) fn spelled_out(value: Value<'_>, any_key: bool) -> Option<Vec<RawCall<'_>>> {
    let Value::Object(entries) = value else { return None };
    if let Some((_, Value::Array(_))) = entries.iter().find(|(key, _)| key == "tool_calls") {
        let calls = entries.into_iter().find(|(key, _)| key == "tool_calls")?.1;
        let Value::Array(items) = calls else { return None };
        let calls: Vec<_> =
            items.into_iter().filter_map(|item| spelled_out(item, any_key)).flatten().collect();
        return (!calls.is_empty()).then_some(calls);
    }
    let mut name = None;
    let mut id = None;
    let mut arguments = None;
    for (key, value) in entries {
        match (key.as_ref(), value) {
            ("function", value @ Value::Object(_)) => {
                let mut inner = spelled_out(value, any_key)?;
                if id.is_some() && inner.len() == 1 {
                    inner[0].id = id;
                }
                return Some(inner);
            }
            ("name" | "tool_name", Value::String(text)) => {
                name = name.or(Some(text));
            }
            ("tool" | "function" | "action" | "function_name", Value::String(text)) if any_key => {
                name = name.or(Some(text));
            }
            ("id" | "call_id" | "tool_call_id" | "toolCallId", Value::String(text)) => id = Some(text),
            ("arguments" | "parameters" | "input" | "args", value) => {
                arguments = arguments.or(Some(value));
            }
            ("action_input" | "tool_input" | "params", value) if any_key => {
                arguments = arguments.or(Some(value));
            }
            _ => {}
        }
    }
    let body = Body::Value(arguments.unwrap_or(Value::Null));
    Some(vec![RawCall { name: name?, id, body, repairs: Vec::new(), source: None }])
}
