//! Calls that a provider reported as calls, held to the same rules as those found in text.

use crate::dialect::Dialect;
use crate::json;
use crate::mend;
use crate::options::Options;
use crate::piece::{Call, Problem, ProblemKind, Repair};
use crate::python;
use crate::settle::{Body, RawCall, SettledCall, settle};

/// Settles a call that needs no finding: its name is mapped to a declared tool, its arguments are made one valid JSON object, wrapped
/// commands are unwrapped. A call with nothing to mend comes back with its arguments as they were, byte for byte.
///
/// ```
/// use toolcall_parser::{Options, Tool, sanitize};
///
/// let options = Options::new([Tool::new("shell", r#"{"properties":{"command":{"type":"string"}},"required":["command"]}"#)]);
/// let call = sanitize("bash", r#"{"cmd":"{\"cmd\":\"ls\"}"}"#, &options).expect("a call");
/// assert_eq!((call.name.as_str(), call.arguments.as_str()), ("shell", r#"{"command":"ls"}"#));
/// assert!(sanitize("shell", r#"{"command":" "}"#, &options).is_err());
/// ```
///
/// # Errors
///
/// Why it cannot be a call: no such tool, arguments that no rule mends, a shell call without a command.
pub fn sanitize(name: &str, arguments: &str, options: &Options) -> Result<Call, Problem> {
    let dialect = Dialect::Native;
    let problem = |kind| Problem { dialect, kind, name: Some(name.to_owned()) };
    let text = if arguments.trim().is_empty() { "{}" } else { arguments };
    let raw = if let Some((value, leniencies)) = json::read(text) {
        RawCall::new(name, Body::Value(value)).leniencies(leniencies)
    } else {
        let (value, repair) = python::literal(text)
            .map(|value| (value, Repair::PythonSyntax))
            .or_else(|| {
                let fits = |value: &json::Value<'_>| {
                    let tool = options.tool(name);
                    value.entries().is_some_and(|entries| {
                        tool.is_some_and(|tool| entries.iter().all(|(key, _)| tool.declares(key)))
                    })
                };
                mend::quotes(text, fits).map(|value| (value, Repair::UnescapedQuotes))
            })
            .ok_or_else(|| problem(ProblemKind::Malformed))?;
        RawCall { repairs: vec![repair], ..RawCall::new(name, Body::Value(value)) }
    };
    match settle(options, dialect, raw) {
        SettledCall::Call(mut call) => {
            if call.repairs.is_empty() && !arguments.trim().is_empty() {
                arguments.clone_into(&mut call.arguments);
            }
            Ok(call)
        }
        SettledCall::Refused(problem) => Err(problem),
        SettledCall::Request(_) => Err(problem(ProblemKind::Undeclared)),
    }
}
