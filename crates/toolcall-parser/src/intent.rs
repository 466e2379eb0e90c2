//! What a model said it would do, where it made no call: proposals, never calls of their own accord.
//!
//! A proposal is one command from a closed list of read-only templates, its one argument a quoted path below the working directory.
//! It is made only from an answer that is nothing but one plain first-person statement, which the grammar here reads to its last
//! word. An answer that says anything more quotes, forbids, asks, reports or sets a condition as far as this module knows, and no
//! command is made from it. No address is ever fetched: which text of a conversation the person wrote cannot be told for certain,
//! since clients put documents and tool results into the user's messages. Whether a proposal runs is the caller's policy.

mod path;

use std::fmt;

use crate::options::Options;
use crate::piece::Call;
use crate::sanitize::{Rules, sanitize};
use crate::shell::Shell;

/// The longest statement, in bytes.
const MAX_STATEMENT: usize = 640;
/// How a statement begins.
const OPENINGS: [&str; 6] = ["let me ", "i will ", "i'll ", "i am going to ", "i'm going to ", "i need to "];
/// Words before an opening that belong to it.
const LEADS: [&str; 5] = ["now, ", "now ", "first, ", "next, ", "ok, "];
/// Words between an opening and its verb.
const FILLERS: [&str; 4] = ["now ", "first ", "start by ", "begin by "];
/// Verbs of reading.
const READS: [&str; 14] = [
    "read ",
    "look at ",
    "open ",
    "view ",
    "inspect ",
    "examine ",
    "check ",
    "see ",
    "show ",
    "reading ",
    "looking at ",
    "opening ",
    "viewing ",
    "inspecting ",
];
/// What may stand between a verb of reading and the path.
const FILE_WORDS: [&str; 5] = ["the contents of ", "the content of ", "the file ", "file ", "the "];
/// Verbs of running.
const RUNS: [&str; 3] = ["run ", "execute ", "running "];
/// Statements of looking around, whole.
const LOOKS: [&str; 7] = ["explore", "look around", "browse", "list", "inspect", "look at", "exploring"];
/// What there is to look around in.
const PLACES: [&str; 19] = [
    "",
    " the project",
    " this project",
    " the repository",
    " this repository",
    " the repo",
    " the codebase",
    " the code base",
    " the directory",
    " this directory",
    " the current directory",
    " the working directory",
    " the files",
    " the project structure",
    " the repository structure",
    " the directory structure",
    " the project directory",
    " the files in this directory",
    " the structure of the project",
];
/// What may stand behind the object of a statement.
const TAILS: [&str; 4] = ["", " now", " first", " next"];

/// A command that the model may have meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The call of the declared shell tool.
    pub call: Call,
    /// Why.
    pub rule: Rule,
}

/// Which heuristic proposed a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// "Let me read `src/a.rs`".
    FilePath,
    /// "Let me run `ls src`", where the command is one of the templates.
    QuotedCommand,
    /// "Let me look around".
    LookAround,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FilePath => "a file it said it would read",
            Self::QuotedCommand => "a read-only command it said it would run",
            Self::LookAround => "a look around it announced",
        })
    }
}

/// Proposes a call for an answer that has none and whose whole text this is.
pub fn propose(text: &str, options: &Options) -> Option<Proposal> {
    let shell = Shell::only(options)?;
    let (command, rule) = command(statement(text)?)?;
    let mut arguments = String::from("{");
    crate::json::write_string(shell.key, &mut arguments);
    arguments.push(':');
    crate::json::write_string(&command, &mut arguments);
    arguments.push('}');
    let call = sanitize(shell.tool.name(), &arguments, options, Rules::All).ok()?.pop()?;
    Some(Proposal { call, rule })
}

/// The one statement that an answer is, without the mark that ends it. A line that begins with a blank is code or a list's.
fn statement(text: &str) -> Option<&str> {
    let text = text.trim_start_matches(['\r', '\n']).trim_end();
    let one = text.len() <= MAX_STATEMENT && !text.contains(['\n', '\r', '\t']);
    let text = ["...", "…", ".", "!", ":"].iter().find_map(|end| text.strip_suffix(end)).unwrap_or(text);
    (one && !text.is_empty()).then_some(text)
}

/// The command that a statement announces, if all of it is understood.
fn command(statement: &str) -> Option<(String, Rule)> {
    let plain = statement.replace('’', "'");
    let lower = plain.to_ascii_lowercase();
    let announced = after(&lower, &LEADS).unwrap_or(&lower);
    let mut what = after(announced, &OPENINGS)?;
    what = after(what, &FILLERS).unwrap_or(what);
    // Paths are taken from the text as it was written.
    let said = |rest: &str| &plain[plain.len() - rest.len()..];
    if looks_around(what) {
        return Some(("ls -la".to_owned(), Rule::LookAround));
    }
    if let Some(rest) = after(what, &RUNS) {
        let rest = rest.strip_prefix("the command ").unwrap_or(rest);
        return Some((template(backticked(without_tail(said(rest)))?)?, Rule::QuotedCommand));
    }
    let rest = after(what, &READS)?;
    let rest = after(rest, &FILE_WORDS).unwrap_or(rest);
    let object = without_tail(said(rest));
    let path = backticked(object).unwrap_or(object);
    Some((show(path)?, Rule::FilePath))
}

/// What follows one of these beginnings.
fn after<'a>(text: &'a str, beginnings: &[&str]) -> Option<&'a str> {
    beginnings.iter().find_map(|beginning| text.strip_prefix(beginning))
}

fn looks_around(what: &str) -> bool {
    let place = |rest: &str| {
        TAILS.iter().any(|tail| rest.strip_suffix(tail).is_some_and(|rest| PLACES.contains(&rest)))
    };
    // A bare verb of looking at something says nothing of the directory.
    LOOKS.iter().any(|verb| {
        what.strip_prefix(verb).is_some_and(|rest| {
            place(rest) && (!rest.is_empty() || matches!(*verb, "explore" | "look around"))
        })
    })
}

fn without_tail(text: &str) -> &str {
    TAILS.iter().filter(|tail| !tail.is_empty()).find_map(|tail| text.strip_suffix(tail)).unwrap_or(text)
}

/// The inside of one pair of backticks that is all of the text.
fn backticked(text: &str) -> Option<&str> {
    text.strip_prefix('`')?.strip_suffix('`').filter(|inside| !inside.contains('`'))
}

fn show(path: &str) -> Option<String> {
    path::is_readable(path).then(|| format!("head -n 200 -- '{path}'"))
}

/// A command that is one of ours, word for word; with a path where the template has one.
fn template(command: &str) -> Option<String> {
    let words: Vec<&str> = command.split(' ').collect();
    match words.as_slice() {
        ["pwd" | "ls"] | ["ls", "-l" | "-a" | "-la" | "-al"] => Some(words.join(" ")),
        ["ls", path] if path::is_below(path) => Some(format!("ls -- '{path}'")),
        ["ls", flags @ ("-l" | "-a" | "-la" | "-al"), path] if path::is_below(path) => {
            Some(format!("ls {flags} -- '{path}'"))
        }
        ["cat" | "head" | "less" | "more", path] => show(path),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
