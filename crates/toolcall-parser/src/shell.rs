//! Shell tools: the names they go by, and the shapes a command comes in.

use std::borrow::Cow;

use crate::json::{self, Value};
use crate::options::Options;
use crate::piece::{ProblemKind, Repair};
use crate::tool::Tool;

/// Names of declared tools that run a command.
const TOOLS: [&str; 8] = [
    "exec_command",
    "shell",
    "bash",
    "local_shell",
    "run_command",
    "execute_command",
    "run_shell_command",
    "terminal",
];
/// What models call such a tool when it goes by another name.
const ALIASES: [&str; 13] = [
    "exec",
    "bash",
    "sh",
    "shell",
    "terminal",
    "run",
    "run_command",
    "run_shell",
    "run_shell_command",
    "execute_command",
    "execute_request",
    "exec_command",
    "local_shell",
];
/// The parameter that holds the command.
const COMMAND_KEYS: [&str; 3] = ["cmd", "command", "script"];
/// What a client may be asked to permit, where its schema does not say.
const PERMISSIONS: [&str; 3] = ["use_default", "require_escalated", "with_user_approval"];
/// How often a command may be wrapped in an object of itself.
const MAX_WRAPS: usize = 3;

/// A declared tool that runs a command.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shell<'o> {
    pub(crate) tool: &'o Tool,
    /// The parameter that holds the command.
    pub(crate) key: &'o str,
}

impl<'o> Shell<'o> {
    /// This tool as a shell, if it is one.
    pub(crate) fn of(tool: &'o Tool) -> Option<Self> {
        if !TOOLS.contains(&tool.name()) {
            return None;
        }
        let required: Vec<&str> = tool.required().filter(|key| COMMAND_KEYS.contains(key)).collect();
        let declared = || tool.parameters().filter(|key| COMMAND_KEYS.contains(key)).collect();
        let keys: Vec<&str> = if required.is_empty() { declared() } else { required };
        if let [key] = keys.as_slice() { Some(Self { tool, key }) } else { None }
    }

    /// The one declared shell that an undeclared name stands for.
    pub(crate) fn by_alias(name: &str, options: &'o Options) -> Option<Self> {
        if ALIASES.contains(&name) { Self::only(options) } else { None }
    }

    /// The one declared shell.
    pub(crate) fn only(options: &'o Options) -> Option<Self> {
        let mut shells = options.tools.iter().filter_map(Self::of);
        let first = shells.next()?;
        shells.next().is_none().then_some(first)
    }

    /// Arguments as the tool's schema asks for them. `alias` says that they were written for a tool of another name.
    pub(crate) fn arguments<'a>(
        &self,
        entries: Vec<(Cow<'a, str>, Value<'a>)>,
        alias: bool,
        repairs: &mut Vec<Repair>,
    ) -> Result<Value<'a>, ProblemKind> {
        let mut command = None;
        let mut prefix = None;
        let mut others = Vec::new();
        let has_key = entries.iter().any(|(key, _)| key == self.key);
        for (key, value) in entries {
            if key == self.key || (!has_key && COMMAND_KEYS.contains(&key.as_ref())) {
                if key != self.key {
                    repairs.push(Repair::Renamed);
                }
                command = Some(value);
            } else if key == "sandbox_permissions" {
                if let Some(value) = self.permission(value, repairs)
                    && (!alias || self.tool.declares(&key))
                {
                    others.push((key, value));
                }
            } else if key == "prefix_rule" {
                let rule = self.tool.declares(&key);
                prefix = Some(value.clone());
                if rule {
                    others.push((key, value));
                }
            } else if !alias || self.tool.declares(&key) {
                others.push((key, value));
            }
        }
        if command.is_none() {
            // What was the command is no rule any more.
            others.retain(|(key, _)| key != "prefix_rule");
        }
        let command = command.or_else(|| prefix.and_then(command_of_rule)).ok_or(ProblemKind::NoCommand)?;
        let command = self.command(command, repairs)?;
        let mut entries = vec![(Cow::Owned(self.key.to_owned()), command)];
        entries.extend(others);
        Ok(Value::Object(entries))
    }

    /// A permission in a word that the client knows: one that the schema lists, where it lists any. Everything else is dropped, so an
    /// unknown word never becomes an escalation.
    fn permission<'a>(&self, value: Value<'a>, repairs: &mut Vec<Repair>) -> Option<Value<'a>> {
        let listed: Vec<&str> = self.tool.choices("sandbox_permissions").collect();
        let known =
            |word: &str| if listed.is_empty() { PERMISSIONS.contains(&word) } else { listed.contains(&word) };
        if value.as_str().is_some_and(known) {
            return Some(value);
        }
        repairs.push(Repair::Permission);
        match value {
            Value::Object(entries) => {
                let escalates =
                    matches!(entries.as_slice(), [(key, Value::Bool(true))] if key == "require_escalated");
                let word = if escalates { "require_escalated" } else { "use_default" };
                known(word).then(|| Value::text(word))
            }
            _ => None,
        }
    }

    fn command<'a>(&self, value: Value<'a>, repairs: &mut Vec<Repair>) -> Result<Value<'a>, ProblemKind> {
        let list = self.tool.takes_only_list(self.key);
        let text = match value {
            Value::String(text) => unwrap(text, repairs)?,
            Value::Object(entries) => match <[_; 1]>::try_from(entries) {
                Ok([(key, Value::String(text))]) if COMMAND_KEYS.contains(&key.as_ref()) => {
                    repairs.push(Repair::Unwrapped);
                    unwrap(text, repairs)?
                }
                _ => return Err(ProblemKind::NoCommand),
            },
            Value::Array(items) if list => {
                return if items.is_empty() { Err(ProblemKind::NoCommand) } else { Ok(Value::Array(items)) };
            }
            Value::Array(items) => {
                repairs.push(Repair::Renamed);
                script(items).ok_or(ProblemKind::NoCommand)?
            }
            _ => return Err(ProblemKind::NoCommand),
        };
        if text.trim().is_empty() {
            return Err(ProblemKind::NoCommand);
        }
        if !list {
            return Ok(Value::String(text));
        }
        repairs.push(Repair::Renamed);
        Ok(Value::Array(vec![Value::text("bash"), Value::text("-lc"), Value::String(text)]))
    }
}

/// A command that is an object of itself again, unwrapped. What is still JSON then is no command.
fn unwrap<'a>(text: Cow<'a, str>, repairs: &mut Vec<Repair>) -> Result<Cow<'a, str>, ProblemKind> {
    let mut text = text;
    for _ in 0..MAX_WRAPS {
        let inner = if text.trim_start().starts_with('{')
            && let Some((Value::Object(entries), _)) = json::read(&text)
        {
            match entries.as_slice() {
                [(key, Value::String(inner))] if COMMAND_KEYS.contains(&key.as_ref()) => {
                    inner.clone().into_owned()
                }
                _ => return Err(ProblemKind::NoCommand),
            }
        } else {
            break;
        };
        repairs.push(Repair::Unwrapped);
        text = Cow::Owned(inner);
    }
    let start: String = text.chars().filter(|c| !c.is_whitespace()).take(12).collect();
    let still = COMMAND_KEYS.iter().any(|key| start.starts_with(&format!("{{\"{key}\":")));
    if still { Err(ProblemKind::NoCommand) } else { Ok(text) }
}

/// `["bash", "-lc", SCRIPT]` as the script.
fn script(items: Vec<Value<'_>>) -> Option<Cow<'_, str>> {
    match <[_; 3]>::try_from(items) {
        Ok([Value::String(shell), Value::String(flag), Value::String(script)])
            if matches!(shell.rsplit('/').next(), Some("bash" | "sh" | "zsh"))
                && matches!(flag.as_ref(), "-c" | "-lc") =>
        {
            Some(script)
        }
        _ => None,
    }
}

/// The command of a `prefix_rule`: its last element, where that is a whole command line. The last word of a rule such as
/// `["git", "pull"]` is none.
fn command_of_rule(value: Value<'_>) -> Option<Value<'_>> {
    let mut items = match value {
        Value::Array(items) => items,
        Value::String(text) => match json::read(&text)?.0.into_owned() {
            Value::Array(items) => items,
            _ => return None,
        },
        _ => return None,
    };
    let alone = items.len() == 1;
    let by_shell = items.len() > 1
        && items[items.len() - 2]
            .as_str()
            .is_some_and(|flag| matches!(flag, "-c" | "-lc" | "-ic" | "-Command"));
    let line = |text: &str| alone || by_shell || text.trim().contains(char::is_whitespace);
    items.pop().filter(|last| last.as_str().is_some_and(line))
}
