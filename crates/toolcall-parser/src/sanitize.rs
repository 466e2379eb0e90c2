//! Calls that a provider reported as calls, held to the same rules as those found in text.

use std::borrow::Cow;

use crate::contents;
use crate::dialect::Dialect;
use crate::json::{self, Leniencies, Value};
use crate::mend;
use crate::objects::{self, Object, Reading};
use crate::options::Options;
use crate::patch::{self, patch};
use crate::piece::{Call, Problem, ProblemKind, Repair};
use crate::python;
use crate::settle::{Body, RawCall, SettledCall, settle};
use crate::tool::{Input, Tool};

/// How often arguments may be a string that holds JSON again.
const MAX_WRAPS: usize = 3;

/// How much of a call may be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rules {
    /// What stands around an argument object is dropped, and several objects are several calls; an object is never changed.
    Objects,
    /// Also patches and empty optional arguments are put right.
    Contents,
    /// Everything that is done to calls found in text.
    All,
}

/// Settles a call that needs no finding: its name is mapped to a declared tool, its arguments are made one valid JSON object, wrapped
/// commands are unwrapped. One call comes back, or several where its arguments are several different objects. A call with nothing to
/// mend comes back with its arguments as they were, byte for byte.
///
/// ```
/// use toolcall_parser::{Options, Rules, Tool, sanitize};
///
/// let schema = r#"{"properties":{"command":{"type":"string"}},"required":["command"]}"#;
/// let options = Options::new([Tool::new("shell", schema)]);
/// let arguments = |name: &str, text: &str, rules| {
///     let calls = sanitize(name, text, &options, rules)?;
///     Ok::<Vec<String>, toolcall_parser::Problem>(calls.into_iter().map(|call| call.arguments).collect())
/// };
/// let all = Rules::All;
/// assert_eq!(arguments("bash", r#"{"cmd":"{\"cmd\":\"ls\"}"}"#, all), Ok(vec![r#"{"command":"ls"}"#.to_owned()]));
/// let (a, b) = (r#"{"command":"a"}"#, r#"{"command":"b"}"#);
/// assert_eq!(arguments("shell", &format!("{a}{a}"), all), Ok(vec![a.to_owned()]));
/// assert_eq!(arguments("shell", &format!("{a}{b}"), Rules::Objects), Ok(vec![a.to_owned(), b.to_owned()]));
/// assert!(arguments("shell", r#"{"command":"a"#, all).is_err());
/// assert!(arguments("shell", r#"{"command":" "}"#, all).is_err());
/// ```
///
/// # Errors
///
/// Why it cannot be a call: no such tool (with [`Rules::All`]), arguments that no rule mends in one certain way, a shell call without a
/// command.
pub fn sanitize(name: &str, arguments: &str, options: &Options, rules: Rules) -> Result<Vec<Call>, Problem> {
    let sanitizer = Sanitizer { name, options, tool: options.tool(name), rules };
    if arguments.trim().is_empty() {
        return sanitizer
            .settle(RawCall::new(name, Body::Value(Value::Object(Vec::new()))))
            .map(|call| vec![call]);
    }
    sanitizer.text(arguments, 0)
}

/// One call on its way.
#[derive(Clone, Copy)]
struct Sanitizer<'a> {
    name: &'a str,
    options: &'a Options,
    /// The tool of exactly this name.
    tool: Option<&'a Tool>,
    rules: Rules,
}

impl Sanitizer<'_> {
    fn problem(&self, kind: ProblemKind) -> Problem {
        Problem { dialect: Dialect::Native, kind, name: Some(self.name.to_owned()) }
    }

    /// Arguments as they came; `wraps` says out of how many strings.
    fn text(&self, text: &str, wraps: usize) -> Result<Vec<Call>, Problem> {
        match json::read(text) {
            Some((value @ Value::Object(_), leniencies)) => {
                let call = self.object(&Object { value, leniencies, source: text })?;
                return Ok(vec![call]);
            }
            Some((Value::String(inner), _)) if wraps < MAX_WRAPS && begins_with_bracket(&inner) => {
                return self.text(&inner, wraps + 1).map(|calls| repaired(calls, Repair::Unwrapped));
            }
            _ => {}
        }
        match objects::read(text) {
            Reading::Objects(objects) => self.objects(objects),
            Reading::Uncertain => Err(self.problem(ProblemKind::Malformed)),
            Reading::Other => self.other(text).map(|call| vec![call]),
        }
    }

    /// Whole objects that stood in something else.
    fn objects(&self, mut objects: Vec<Object<'_>>) -> Result<Vec<Call>, Problem> {
        let malformed = || self.problem(ProblemKind::Malformed);
        // Some providers begin every call with an empty object, and the real one follows.
        if objects.len() > 1 && self.tool.is_some_and(|tool| tool.required().next().is_some()) {
            objects.retain(|object| object.value.entries().is_some_and(|entries| !entries.is_empty()));
        }
        if let [object] = objects.as_slice() {
            return Ok(repaired(vec![self.object(object)?], Repair::Surroundings));
        }
        let mut calls = Vec::with_capacity(objects.len());
        for object in &objects {
            let call = self.object(object).map_err(|problem| match problem.kind {
                ProblemKind::Undeclared => problem,
                _ => malformed(),
            })?;
            let fits = json::read(&call.arguments)
                .zip(self.options.tool(&call.name))
                .is_some_and(|((arguments, _), tool)| tool.fits(&arguments));
            if !fits {
                return Err(malformed());
            }
            calls.push(call);
        }
        if calls.is_empty() { Err(malformed()) } else { Ok(repaired(calls, Repair::Separated)) }
    }

    /// One object, whole.
    fn object(&self, object: &Object<'_>) -> Result<Call, Problem> {
        let is_patch = || {
            let takes_patch = self.tool.is_some_and(|tool| tool.input() == Input::Patch);
            self.rules == Rules::Contents && takes_patch && patch::in_value(&object.value).is_some()
        };
        if self.rules != Rules::All && object.leniencies != Leniencies::default() && !is_patch() {
            return Err(self.problem(ProblemKind::Malformed));
        }
        let raw = RawCall::new(self.name, Body::Value(object.value.clone())).leniencies(object.leniencies);
        let mut call = self.settle(raw)?;
        if call.repairs.is_empty() {
            object.source.clone_into(&mut call.arguments);
        }
        Ok(call)
    }

    /// What does not begin with a whole object.
    fn other(&self, text: &str) -> Result<Call, Problem> {
        let free = self.tool.filter(|tool| tool.input() != Input::Arguments);
        if let Some((tool, key)) = free.and_then(|tool| Some((tool, tool.only_parameter()?)))
            && let Some((value, repair)) = self.free_text(text, tool.input())
        {
            let value = Value::Object(vec![(key.into(), Value::String(value))]);
            return self.settle(RawCall::new(self.name, Body::Value(value)).repaired(repair));
        }
        if self.rules != Rules::All {
            return Err(self.problem(ProblemKind::Malformed));
        }
        let (value, repair) = json::read(text)
            .map(|(value, _)| (value.into_owned(), None))
            .or_else(|| Some((python::literal(text)?, Some(Repair::PythonSyntax))))
            .or_else(|| Some((self.quoted(text)?, Some(Repair::UnescapedQuotes))))
            .ok_or_else(|| self.problem(ProblemKind::Malformed))?;
        let raw = RawCall::new(self.name, Body::Value(value));
        self.settle(match repair {
            Some(repair) => raw.repaired(repair),
            None => raw,
        })
    }

    /// The text that was meant for a tool that takes one: JSON that did not become an object is no text.
    fn free_text<'t>(&self, text: &'t str, input: Input) -> Option<(Cow<'t, str>, Repair)> {
        let is_json = text.trim_start().starts_with(['{', '[', '"']);
        if input == Input::Patch
            && self.rules != Rules::Objects
            && let Some(patch) = patch(text)
            // In JSON that is broken a backslash may be the patch's own or not.
            && !(is_json && patch.contains('\\'))
        {
            return Some((patch, Repair::Patch));
        }
        match json::read(text) {
            Some((Value::String(inner), _)) => Some((Cow::Owned(inner.into_owned()), Repair::Wrapped)),
            _ if is_json => None,
            _ => Some((Cow::Borrowed(text), Repair::Wrapped)),
        }
    }

    fn quoted(&self, text: &str) -> Option<Value<'static>> {
        mend::quotes(text, |value| {
            value.entries().is_some_and(|entries| {
                self.tool.is_some_and(|tool| entries.iter().all(|(key, _)| tool.declares(key)))
            })
        })
    }

    fn settle(&self, raw: RawCall<'_>) -> Result<Call, Problem> {
        if self.rules == Rules::All {
            return match settle(self.options, Dialect::Native, raw) {
                SettledCall::Call(call) => Ok(call),
                SettledCall::Refused(problem) => Err(problem),
                SettledCall::Request(_) => Err(self.problem(ProblemKind::Undeclared)),
            };
        }
        let RawCall { body: Body::Value(value), mut repairs, .. } = raw else {
            return Err(self.problem(ProblemKind::Malformed));
        };
        let value = match self.tool {
            Some(tool) if self.rules == Rules::Contents => contents::put_right(value, tool, &mut repairs),
            _ => value,
        };
        let (name, arguments) = (self.name.to_owned(), value.to_json());
        Ok(Call { dialect: Dialect::Native, name, id: None, arguments, repairs })
    }
}

fn begins_with_bracket(text: &str) -> bool {
    text.trim_start().starts_with(['{', '['])
}

fn repaired(mut calls: Vec<Call>, repair: Repair) -> Vec<Call> {
    for call in &mut calls {
        call.repairs.push(repair);
        call.repairs.sort_unstable();
        call.repairs.dedup();
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHELL: &str =
        r#"{"type":"object","properties":{"command":{"type":"string"}},"required":["command"]}"#;
    const READ: &str = r#"{"type":"object","properties":{"path":{"type":"string"},"pages":{"type":"string"},"mode":{"enum":["","r"]},"n":{"type":"integer"}},"required":["path"]}"#;
    const FREE: &str = r#"{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}"#;
    const PATCH: &str = "*** Begin Patch\n*** Delete File: a\n*** End Patch";

    fn options() -> Options {
        Options::new([
            Tool::new("shell", SHELL),
            Tool::new("read", READ),
            Tool::new("exec", FREE),
            Tool::new("apply_patch", FREE),
            Tool::new("anything", "{}"),
        ])
    }

    fn arguments(name: &str, text: &str, rules: Rules) -> Option<Vec<String>> {
        let calls = sanitize(name, text, &options(), rules).ok()?;
        Some(calls.into_iter().map(|call| call.arguments).collect())
    }

    #[test]
    fn a_whole_object_is_the_call_at_every_level() {
        let (a, b) = (r#"{"path":"a"}"#, r#"{"path": "b"}"#);
        for rules in [Rules::Objects, Rules::Contents, Rules::All] {
            for (text, want) in [
                (a.to_owned(), vec![a]),
                (format!("{a}{a}"), vec![a]),
                (format!("{a}\n{{\"path\" : \"a\"}}"), vec![a]),
                (format!("{a}{b}"), vec![a, b]),
                (format!("[{a},{b}]"), vec![a, b]),
                (format!("{a}}}"), vec![a]),
                (format!("{a}\"}}"), vec![a]),
                (format!("{{}}{a}"), vec![a]),
                (serde_json::Value::from(format!("{a}{a}")).to_string(), vec![a]),
            ] {
                let want = want.into_iter().map(str::to_owned).collect();
                assert_eq!(arguments("read", &text, rules), Some(want), "{rules:?} {text}");
            }
            for text in [
                r#"{"path":"a"}{"path":1}"#,
                r#"{"path":"a"}{"other":"b"}"#,
                r#"{"path":"a"}{"path":"b""#,
                r#"{"path":"a"},"n":1}"#,
                r#"{"path":"a"#,
                "a.txt",
            ] {
                assert_eq!(arguments("read", text, rules), None, "{rules:?} {text}");
            }
            assert_eq!(arguments("anything", r#"{"a":1}{"b":2}"#, rules), None, "nothing says what fits");
        }
        assert_eq!(arguments("unknown", &format!("{a}{a}"), Rules::Objects), Some(vec![a.to_owned()]));
        assert_eq!(arguments("unknown", &format!("{a}{b}"), Rules::Objects), None);
        assert_eq!(arguments("shell", r#"{"cmd":"a"}{"cmd":"b"}"#, Rules::All).map(|all| all.len()), Some(2));
    }

    #[test]
    fn what_is_right_stays_byte_for_byte() {
        for (name, text) in [
            ("read", " {\"path\" : \"{\\\"path\\\":1}{\\\"path\\\":1}\", \"n\":1 }\n"),
            ("read", r#"{"path":"a","mode":"","other":""}"#),
            ("read", r#"{"path":""}"#),
            ("anything", r#"{"n":1.0e3,"n":-0,"x":"\u0041\/"}"#),
            ("exec", r#"{"input":"*** Begin Patch ***"}"#),
        ] {
            for rules in [Rules::Objects, Rules::Contents, Rules::All] {
                assert_eq!(arguments(name, text, rules), Some(vec![text.to_owned()]), "{rules:?}");
            }
        }
    }

    #[test]
    fn an_optional_empty_text_is_left_out_where_contents_are_put_right() {
        let text = r#"{"path":"/a","pages":"","n":""}"#;
        for (rules, want) in
            [(Rules::Objects, text), (Rules::Contents, r#"{"path":"/a"}"#), (Rules::All, r#"{"path":"/a"}"#)]
        {
            assert_eq!(arguments("read", text, rules), Some(vec![want.to_owned()]), "{rules:?}");
        }
    }

    #[test]
    fn free_text_and_patches_need_no_wrapper() {
        let wrapped = |text: &str| Some(vec![serde_json::json!({ "input": text }).to_string()]);
        for rules in [Rules::Objects, Rules::Contents, Rules::All] {
            assert_eq!(arguments("exec", "print(1)", rules), wrapped("print(1)"));
            assert_eq!(arguments("exec", "\"print(1)\"", rules), wrapped("print(1)"));
            assert_eq!(arguments("exec", "{ print(1) }", rules), None);
            assert_eq!(arguments("apply_patch", PATCH, rules), wrapped(PATCH));
        }
        let decorated = PATCH.replace(" Patch", " Patch ***");
        for text in [
            decorated.clone(),
            serde_json::json!({ "input": decorated }).to_string(),
            serde_json::json!({ "patch": decorated, "path": "a" }).to_string(),
            serde_json::json!({ "command": ["apply_patch", decorated] }).to_string(),
            serde_json::json!({ "arguments": serde_json::json!({ "input": decorated }).to_string() })
                .to_string(),
            format!("{{\"input\": \"{decorated}\"}}"),
            format!("{{\"input\": \"{decorated}"),
        ] {
            for rules in [Rules::Contents, Rules::All] {
                assert_eq!(arguments("apply_patch", &text, rules), wrapped(PATCH), "{rules:?} {text}");
            }
        }
    }
}
