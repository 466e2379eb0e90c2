//! What a model said it would do, where it made no call: proposals, never calls of their own accord.
//!
//! A proposal is one command from a closed list of read-only templates, its one argument quoted. It is made only from a plain
//! first-person statement at the end of an answer, or from a block that asks for exploration; never from text that forbids, warns,
//! quotes, asks or reports. Whether it runs is the caller's policy.

use std::fmt;

use crate::options::Options;
use crate::piece::Call;
use crate::sanitize::sanitize;
use crate::shell::Shell;

/// The longest path or address that is taken.
const MAX_BYTES: usize = 512;
/// How a statement begins.
const OPENINGS: [&str; 8] = [
    "i will ",
    "i'll ",
    "let me ",
    "i am going to ",
    "i'm going to ",
    "now i will ",
    "now let me ",
    "first, i will ",
];
/// Words after an opening that belong to it.
const FILLERS: [&str; 5] = ["now ", "first ", "then ", "also ", "start by "];
/// Verbs of reading.
const READS: [&str; 10] =
    ["read", "look at", "open", "view", "inspect", "examine", "check", "see", "show", "reading"];
/// Verbs of fetching.
const FETCHES: [&str; 4] = ["fetch", "download", "visit", "retrieve"];
/// Verbs of looking around.
const EXPLORES: [&str; 4] = ["explore", "look around", "list", "browse"];
/// Words that make a sentence something other than a plan.
const DOUBTS: [&str; 14] = [
    "not ",
    "n't",
    "never",
    "avoid",
    "careful",
    "danger",
    "warning",
    "if you",
    "you can",
    "you could",
    "would",
    "could",
    "should",
    "delete",
];

/// What a conversation has shown so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// Addresses that the person named, oldest first. Only these may point to this machine or a private network.
    pub urls: Vec<String>,
}

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
    /// An exploration was asked for, and it names an address.
    Url,
    /// "I will read `src/a.rs`".
    FilePath,
    /// "I will run `ls src`", where the command is one of the templates.
    QuotedCommand,
    /// "Let me explore it", with one address that the person named.
    RememberedUrl,
    /// "Let me look around".
    LookAround,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Url => "an address in a request to explore",
            Self::FilePath => "a file it said it would read",
            Self::QuotedCommand => "a read-only command it said it would run",
            Self::RememberedUrl => "the one address of the conversation",
            Self::LookAround => "a look around it announced",
        })
    }
}

/// Proposes a call for an answer that has none. `requested` is the text of a block that asked for exploration.
pub fn propose(text: &str, requested: Option<&str>, memory: &Memory, options: &Options) -> Option<Proposal> {
    let shell = Shell::only(options)?;
    let (command, rule) = match requested {
        Some(requested) => (fetch(urls(requested).into_iter().next()?.as_str(), memory)?, Rule::Url),
        None => plan(text, memory)?,
    };
    let mut arguments = String::from("{");
    crate::json::write_string(shell.key, &mut arguments);
    arguments.push(':');
    crate::json::write_string(&command, &mut arguments);
    arguments.push('}');
    let call = sanitize(shell.tool.name(), &arguments, options).ok()?;
    Some(Proposal { call, rule })
}

/// Every http address in a text, also inside JSON inside JSON.
pub fn urls(text: &str) -> Vec<String> {
    let ends = |c: char| {
        c.is_whitespace()
            || c.is_control()
            || matches!(c, '"' | '\'' | '<' | '>' | '`' | '\\' | ')' | ']' | '}' | '|')
    };
    let mut found: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("http") {
        rest = &rest[at..];
        let length = rest.find(ends).unwrap_or(rest.len());
        let url = rest[..length].trim_end_matches(['.', ',', ';', ':', '!', '?']);
        let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        if host.is_some_and(|host| !host.is_empty()) && !found.iter().any(|known| known == url) {
            found.push(url.to_owned());
        }
        rest = &rest[length.max(1)..];
    }
    found
}

/// What the last sentence announces.
fn plan(text: &str, memory: &Memory) -> Option<(String, Rule)> {
    if text.contains("```") || text.lines().any(|line| line.trim_start().starts_with('>')) {
        return None;
    }
    let sentence = last_sentence(text)?;
    let lower = sentence.to_lowercase();
    if DOUBTS.iter().any(|word| lower.contains(word)) {
        return None;
    }
    let mut what = OPENINGS.iter().find_map(|opening| lower.strip_prefix(opening))?;
    for filler in FILLERS {
        what = what.strip_prefix(filler).unwrap_or(what);
    }
    let is = |verbs: &[&str]| {
        verbs.iter().any(|verb| {
            what.strip_prefix(verb).is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()))
        })
    };
    let quoted = backticked(sentence);
    if is(&["run", "execute", "use"]) {
        return Some((template(quoted?)?, Rule::QuotedCommand));
    }
    if let [url] = urls(sentence).as_slice()
        && (is(&READS) || is(&FETCHES) || is(&EXPLORES))
    {
        return Some((fetch(url, memory)?, Rule::Url));
    }
    if is(&READS)
        && let Some(path) = quoted.or_else(|| bare_path(sentence)).filter(|path| is_path(path))
    {
        return Some((format!("head -n 200 -- {}", quote(path)?), Rule::FilePath));
    }
    if is(&EXPLORES) {
        return match memory.urls.as_slice() {
            [url] if !what.contains("director") && !what.contains("file") => {
                Some((fetch(url, memory)?, Rule::RememberedUrl))
            }
            _ if quoted.is_none() => Some(("ls -la".to_owned(), Rule::LookAround)),
            _ => None,
        };
    }
    None
}

fn last_sentence(text: &str) -> Option<&str> {
    let text = text.trim().trim_end_matches([':', '…']).trim_end_matches("...");
    if text.ends_with('?') {
        return None;
    }
    let text = text.trim_end_matches(['.', '!']);
    let start =
        [". ", "! ", "? ", "\n"].iter().filter_map(|end| text.rfind(end).map(|at| at + end.len())).max();
    Some(text[start.unwrap_or(0)..].trim()).filter(|sentence| !sentence.is_empty())
}

/// The one text in backticks.
fn backticked(sentence: &str) -> Option<&str> {
    let mut parts = sentence.split('`');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(_), Some(inside), Some(_), None) => Some(inside),
        _ => None,
    }
}

/// A word that is plainly a path: it has a slash, or an extension.
fn bare_path(sentence: &str) -> Option<&str> {
    let mut words = sentence.split_whitespace().filter(|word| {
        let file = word.rsplit_once('.').is_some_and(|(stem, end)| {
            !stem.is_empty() && (1..=5).contains(&end.len()) && end.chars().all(|c| c.is_ascii_alphanumeric())
        });
        (word.contains('/') || file) && is_path(word)
    });
    let word = words.next()?;
    words.next().is_none().then_some(word)
}

fn is_path(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_BYTES
        && !text.starts_with('-')
        && !text.contains("://")
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+' | '@' | '~'))
}

/// A command that is one of ours, word for word; with a path where the template has one.
fn template(command: &str) -> Option<String> {
    let words: Vec<&str> = command.split_whitespace().collect();
    match words.as_slice() {
        ["pwd" | "ls"] | ["ls", "-l" | "-a" | "-la" | "-al"] => Some(words.join(" ")),
        ["ls", path] if is_path(path) => Some(format!("ls -- {}", quote(path)?)),
        ["ls", flags @ ("-l" | "-a" | "-la" | "-al"), path] if is_path(path) => {
            Some(format!("ls {flags} -- {}", quote(path)?))
        }
        ["cat" | "head" | "less" | "more", path] if is_path(path) => {
            Some(format!("head -n 200 -- {}", quote(path)?))
        }
        _ => None,
    }
}

/// Fetches one address to standard output, within limits, without following redirects.
fn fetch(url: &str, memory: &Memory) -> Option<String> {
    let named = memory.urls.iter().any(|known| known == url);
    if url.len() > MAX_BYTES || (!named && !is_public(url)) {
        return None;
    }
    Some(format!("curl -sS --proto =http,https --max-time 20 --max-filesize 1000000 -- {}", quote(url)?))
}

/// False for this machine, private networks, and names without a dot.
fn is_public(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or("");
    if authority.contains(['@', '[', '%']) {
        return false;
    }
    let host = authority.split(':').next().unwrap_or("").to_lowercase();
    let host = host.trim_end_matches('.');
    // Numbers in any notation may be a private address.
    if host.split('.').all(|part| part.starts_with(|c: char| c.is_ascii_digit())) {
        return host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| {
            let [first, second, ..] = address.octets();
            !(address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_unspecified()
                || address.is_broadcast()
                || first == 0
                || first >= 224
                || (first == 100 && (64..128).contains(&second)))
        });
    }
    host.contains('.')
        && ![".local", ".localhost", ".internal", ".lan", ".home", ".corp", ".test"]
            .iter()
            .any(|end| host.ends_with(end))
}

/// As one word of a shell. Control characters have no place in it.
fn quote(text: &str) -> Option<String> {
    if text.is_empty() || text.len() > MAX_BYTES || text.chars().any(char::is_control) {
        return None;
    }
    Some(format!("'{}'", text.replace('\'', "'\\''")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::Tool;

    fn command(text: &str, urls: &[&str]) -> Option<(String, Rule)> {
        let tool =
            Tool::new("shell", r#"{"properties":{"command":{"type":"string"}},"required":["command"]}"#);
        let memory = Memory { urls: urls.iter().map(|url| (*url).to_owned()).collect() };
        let proposal = propose(text, None, &memory, &Options::new([tool]))?;
        let arguments = crate::json::read(&proposal.call.arguments)?.0.into_owned();
        Some((arguments.get("command")?.as_str()?.to_owned(), proposal.rule))
    }

    #[test]
    fn plain_plans_become_read_only_commands() {
        for (text, want, rule) in [
            ("I will read `src/a.rs`.", "head -n 200 -- 'src/a.rs'", Rule::FilePath),
            ("All clear. Let me look at src/main.rs:", "head -n 200 -- 'src/main.rs'", Rule::FilePath),
            ("Let me run `ls`.", "ls", Rule::QuotedCommand),
            ("I'll run `ls -la src`", "ls -la -- 'src'", Rule::QuotedCommand),
            ("Now let me explore the project.", "ls -la", Rule::LookAround),
        ] {
            assert_eq!(command(text, &[]), Some((want.to_owned(), rule)), "{text}");
        }
        let fetched =
            "curl -sS --proto =http,https --max-time 20 --max-filesize 1000000 -- 'https://example.com/a'";
        assert_eq!(
            command("Let me fetch https://example.com/a.", &[]),
            Some((fetched.to_owned(), Rule::Url))
        );
        assert_eq!(
            command("Let me explore the repository.", &["https://example.com/a"]),
            Some((fetched.to_owned(), Rule::RememberedUrl))
        );
    }

    #[test]
    fn nothing_else_does() {
        for text in [
            "",
            "Done.",
            "Please do not run `rm /etc/passwd` on this machine, it is dangerous.",
            "The documentation is at https://example.com/docs and I have finished all work.",
            "I am done. I updated the file /etc/hosts.conf as asked. Check the file /etc/hosts.conf please.",
            "All tests pass now; let me know if you need anything else at all.",
            "I should explore the repository to understand its structure.",
            "Let me run it's checks; touch injected_file; it's fine.",
            "I will run `rm -rf build`.",
            "I will run `git status`.",
            "I will run `cat a; rm b`.",
            "I will run `cat $(rm b)`.",
            "I will not read `src/a.rs`.",
            "Shall I read `src/a.rs`?",
            "I would read `src/a.rs`.",
            "> I will read `src/a.rs`.",
            "I will read `-rf`.",
            "Let me fetch http://localhost:8080/admin.",
            "Let me fetch http://169.254.169.254/latest/meta-data.",
            "Let me fetch http://10.0.0.1/.",
            "Let me fetch http://0x7f.1/.",
            "Let me fetch http://intranet/.",
            "Let me fetch http://user@10.0.0.1/.",
            "I will delete `src/a.rs`.",
            "I will write `src/a.rs`.",
        ] {
            assert_eq!(command(text, &[]), None, "{text}");
        }
        assert!(
            command("Let me fetch http://localhost:8080/admin.", &["http://localhost:8080/admin"]).is_some()
        );
    }

    #[test]
    fn addresses_are_found_deep_inside() {
        assert_eq!(
            urls(r#"{"messages":"[{\"content\":\"see https://example.com/a.\"}]"}"#),
            ["https://example.com/a"]
        );
        assert_eq!(
            urls("http:// https://a.example, (https://b.example/x)"),
            ["https://a.example", "https://b.example/x"]
        );
    }
}
