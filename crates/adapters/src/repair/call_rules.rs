//! What the calls of an answer are held to: one object of arguments each, in the form that the tool takes.

use std::sync::{Arc, OnceLock};

use latimer_protocol::failure::{Failure, FailureKind};
use latimer_protocol::turn::{Tool, TurnRequest};
use latimer_protocol::whole_object::is_whole_object;
use memchr::memmem;
use toolcall_parser::{Call, Dialect, Options, Problem, ProblemKind, Rules, sanitize};

use super::held_calls::HeldArguments;
use crate::schema;

/// The rules for the calls of one turn, the same for all its attempts.
#[derive(Debug)]
pub struct CallRules {
    rules: Rules,
    /// Their descriptions are kept only where they may say that a tool takes patches.
    tools: Vec<Tool>,
    /// What the parser makes of the tools: read when a call is not plainly right, which is rare.
    options: OnceLock<Options>,
}

impl Default for CallRules {
    fn default() -> Self {
        Self { rules: Rules::Objects, tools: Vec::new(), options: OnceLock::new() }
    }
}

impl CallRules {
    /// Rules for the tools of this turn.
    pub fn new(rules: Rules, turn: &TurnRequest) -> Arc<Self> {
        let tools = turn.tools.iter().map(|tool| Tool {
            name: tool.name.clone(),
            description: patch_words(tool).map(str::to_owned),
            parameters: tool.parameters.clone(),
            strict: None,
        });
        Arc::new(Self { rules, tools: tools.collect(), options: OnceLock::new() })
    }

    fn options(&self) -> &Options {
        self.options.get_or_init(|| Options::new(self.tools.iter().map(parser_tool)))
    }

    /// The calls that these arguments are: one, or several in their order. Arguments that are right come back byte for byte.
    ///
    /// # Errors
    /// Why nobody may run it.
    pub(crate) fn calls(&self, name: &str, arguments: &str) -> Result<Vec<Call>, Problem> {
        if self.is_plainly_right(arguments) {
            let (name, arguments) = (name.to_owned(), arguments.to_owned());
            return Ok(vec![Call {
                dialect: Dialect::Native,
                name,
                id: None,
                arguments,
                repairs: Vec::new(),
            }]);
        }
        settled(name, arguments, self.options(), self.rules)
    }

    /// Whether the turn declares this tool.
    pub(super) fn declares(&self, name: &str) -> bool {
        self.tools.iter().any(|tool| tool.name == name)
    }

    /// Whether the input of this tool is looked at for patches.
    pub(crate) fn takes_patches(&self, name: &str) -> bool {
        let is_known =
            |tool: &Tool| tool.name == name && (tool.description.is_some() || name.ends_with("apply_patch"));
        self.rules != Rules::Objects && self.tools.iter().any(is_known)
    }

    /// The patch in the input of a freeform tool, where it has to be put right.
    pub(crate) fn patch(&self, name: &str, input: &str) -> Option<String> {
        if self.rules == Rules::Objects || !speaks_of_patches(input) {
            return None;
        }
        let arguments = serde_json::json!({ "input": input }).to_string();
        let mut calls = settled(name, &arguments, self.options(), self.rules).ok()?;
        let call = calls.pop().filter(|call| call.arguments != arguments)?;
        let value: serde_json::Value = serde_json::from_str(&call.arguments).ok()?;
        value.get("input").and_then(serde_json::Value::as_str).map(str::to_owned)
    }

    /// There is nothing in it that any rule looks at.
    fn is_plainly_right(&self, arguments: &str) -> bool {
        let has = |what: &[u8]| memmem::find(arguments.as_bytes(), what).is_some();
        (self.rules == Rules::Objects || !(has(b"\"\"") || speaks_of_patches(arguments)))
            && is_whole_object(arguments)
    }
}

/// Every spelling of the lines around a patch has these letters.
fn speaks_of_patches(text: &str) -> bool {
    memmem::find(text.as_bytes(), b"atch").is_some() || memmem::find(text.as_bytes(), b"ATCH").is_some()
}

/// A tool as the parser knows it: with the schema that the provider is shown, for only that names every parameter.
pub(super) fn parser_tool(tool: &Tool) -> toolcall_parser::Tool {
    let lowered = schema::parameters(tool, &mut Vec::new());
    let declared = tool.parameters.as_ref().map_or("{}", |schema| schema.get());
    toolcall_parser::Tool::new(tool.name.clone(), lowered.get())
        .described(patch_words(tool).unwrap_or_default())
        .declared_as(declared)
}

/// What a tool says of itself, where that may be that it takes patches.
fn patch_words(tool: &Tool) -> Option<&str> {
    let description = tool.description.as_deref()?;
    memmem::find(description.as_bytes(), b"Begin Patch").map(|_| description)
}

/// The calls that these arguments are by the parser's rules.
pub(super) fn settled(
    name: &str,
    arguments: &str,
    options: &Options,
    rules: Rules,
) -> Result<Vec<Call>, Problem> {
    let calls = match sanitize(name, arguments, options, rules) {
        // A tool that nobody declared is the client's to refuse, if its arguments can be read at all.
        Err(Problem { kind: ProblemKind::Undeclared, .. }) => {
            sanitize(name, arguments, options, Rules::Objects)
        }
        settled => settled,
    }?;
    // No half of a surrogate pair, no number that no reader takes.
    if calls.iter().all(|call| is_whole_object(&call.arguments)) {
        Ok(calls)
    } else {
        Err(problem(name, ProblemKind::Malformed))
    }
}

pub(super) fn problem(name: &str, kind: ProblemKind) -> Problem {
    Problem { dialect: Dialect::Native, kind, name: Some(name.to_owned()) }
}

impl HeldArguments {
    /// The text, if it was not too long to be held.
    pub(super) fn text(&self, name: &str) -> Result<&str, Problem> {
        match self {
            Self::Text(text) => Ok(text),
            Self::TooLarge => Err(problem(name, ProblemKind::TooLarge)),
        }
    }
}

/// The longest name of a tool that is shown in a failure, in bytes: the longest that providers take.
const MAX_SHOWN_NAME: usize = 64;

/// What a client is told of a call that could not be handed on. `name` is the tool; where it does not look like a name it is
/// a text of the model's, and not shown.
pub fn broken_call_message(name: &str) -> String {
    let is_name = name.len() <= MAX_SHOWN_NAME
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.:/".contains(&byte));
    let tool = if is_name { format!("`{name}`") } else { UNDECLARED.to_owned() };
    broken_call_of(&tool)
}

/// In place of a name that is no tool's: a failure stands in the log, and what the model wrote does not.
const UNDECLARED: &str = "a tool that is not declared";

fn broken_call_of(tool: &str) -> String {
    format!("the model called {tool} with arguments that are not JSON, so the call was not passed on")
}

/// How an answer ends whose call nobody may run. `name` is the tool; `is_declared` tells whether the turn has one of that name.
pub(crate) fn broken_call(kind: FailureKind, name: &str, is_declared: bool) -> Failure {
    Failure::new(kind, if is_declared { broken_call_message(name) } else { broken_call_of(UNDECLARED) })
}
