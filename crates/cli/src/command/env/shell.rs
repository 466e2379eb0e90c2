//! Lines for shells. Everything that is not ours stands in single quotes, in which no shell obeys anything.

use serde_json::{Value, json};

use crate::environment::env;

/// The shells whose language is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Shell {
    Bash,
    Zsh,
    Fish,
    Powershell,
}

/// What happens to a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Assignment {
    /// It is this text.
    Text(String, String),
    /// It is the token.
    Token(String),
    /// It is taken out.
    Remove(String),
}

impl Assignment {
    /// For machines: the name, and the text; nothing for one that is taken out.
    pub(super) fn document(&self) -> (String, Value) {
        match self {
            Self::Text(name, text) => (name.clone(), json!({ "text": text })),
            Self::Token(name) => (name.clone(), json!({ "command": "latimer token" })),
            Self::Remove(name) => (name.clone(), Value::Null),
        }
    }
}

impl Shell {
    /// The person's shell by `SHELL`.
    pub(super) fn of_environment() -> Self {
        let shell = env("SHELL").unwrap_or_default();
        match shell.rsplit('/').next() {
            Some("zsh") => Self::Zsh,
            Some("fish") => Self::Fish,
            Some("pwsh") => Self::Powershell,
            _ => Self::Bash,
        }
    }

    /// The line that sets or takes out a variable. `token` is the command that prints the token.
    pub(super) fn assignment(self, assignment: &Assignment, token: &[String]) -> String {
        let token = || self.command(token);
        match (self, assignment) {
            (Self::Bash | Self::Zsh, Assignment::Text(name, text)) => {
                format!("export {name}={}", self.quoted(text))
            }
            (Self::Bash | Self::Zsh, Assignment::Token(name)) => format!("export {name}=\"$({})\"", token()),
            (Self::Bash | Self::Zsh, Assignment::Remove(name)) => format!("unset {name}"),
            (Self::Fish, Assignment::Text(name, text)) => format!("set -gx {name} {}", self.quoted(text)),
            (Self::Fish, Assignment::Token(name)) => format!("set -gx {name} ({})", token()),
            (Self::Fish, Assignment::Remove(name)) => format!("set -e {name}"),
            (Self::Powershell, Assignment::Text(name, text)) => {
                format!("$env:{name} = {}", self.quoted(text))
            }
            (Self::Powershell, Assignment::Token(name)) => format!("$env:{name} = ({})", token()),
            (Self::Powershell, Assignment::Remove(name)) => {
                format!("Remove-Item Env:{name} -ErrorAction SilentlyContinue")
            }
        }
    }

    /// A function that runs a program with these arguments before those that are typed.
    pub(super) fn function(self, program: &str, args: &[String]) -> String {
        let args: Vec<String> = args.iter().map(|arg| self.quoted(arg)).collect();
        let args = args.join(" ");
        match self {
            Self::Bash | Self::Zsh => format!("{program}() {{ command {program} {args} \"$@\"; }}"),
            Self::Fish => format!("function {program}; command {program} {args} $argv; end"),
            Self::Powershell => format!(
                "function {program} {{ & (Get-Command -CommandType Application -TotalCount 1 {program}) {args} @args }}"
            ),
        }
    }

    fn command(self, words: &[String]) -> String {
        let is_plain = |word: &&String| {
            word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/'))
                && !word.is_empty()
        };
        let quoted: Vec<String> =
            words.iter().map(|word| if is_plain(&word) { word.clone() } else { self.quoted(word) }).collect();
        let call = if self == Self::Powershell && words.first().is_some_and(|word| !is_plain(&word)) {
            "& "
        } else {
            ""
        };
        format!("{call}{}", quoted.join(" "))
    }

    /// A text as the shell takes it for one word, whatever it holds.
    fn quoted(self, text: &str) -> String {
        let inside = match self {
            Self::Bash | Self::Zsh => text.replace('\'', "'\\''"),
            Self::Fish => text.replace('\\', "\\\\").replace('\'', "\\'"),
            // It takes typographic quotes for plain ones.
            Self::Powershell => text.chars().fold(String::new(), |mut out, c| {
                if matches!(c, '\'' | '\u{2018}'..='\u{201b}') {
                    out.push(c);
                }
                out.push(c);
                out
            }),
        };
        format!("'{inside}'")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a'b\"c$(touch x)`id`\\d;e\u{2019}f";

    #[test]
    fn no_text_is_obeyed() {
        let line =
            |shell: Shell| shell.assignment(&Assignment::Text("X".to_owned(), HOSTILE.to_owned()), &[]);
        assert_eq!(line(Shell::Bash), "export X='a'\\''b\"c$(touch x)`id`\\d;e\u{2019}f'");
        assert_eq!(line(Shell::Fish), "set -gx X 'a\\'b\"c$(touch x)`id`\\\\d;e\u{2019}f'");
        assert_eq!(line(Shell::Powershell), "$env:X = 'a''b\"c$(touch x)`id`\\d;e\u{2019}\u{2019}f'");
    }

    #[test]
    fn a_shell_gives_back_what_was_quoted() {
        let script = format!(
            "{}\nprintf %s \"$X\"",
            Shell::Bash.assignment(&Assignment::Text("X".to_owned(), HOSTILE.to_owned()), &[])
        );
        let output = std::process::Command::new("sh").arg("-c").arg(script).output().expect("sh runs");
        assert_eq!(String::from_utf8_lossy(&output.stdout), HOSTILE);
        let script = format!(
            "{}\nx 'more'",
            Shell::Bash.function("x", &[HOSTILE.to_owned()]).replace("command x", "printf '%s|'")
        );
        let output = std::process::Command::new("sh").arg("-c").arg(script).output().expect("sh runs");
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{HOSTILE}|more|"));
    }

    #[test]
    fn the_token_is_asked_for_and_never_written() {
        let words = ["/opt/my latimer/latimer", "token", "--state-dir", "/s d"].map(str::to_owned);
        let token = Assignment::Token("T".to_owned());
        assert_eq!(
            Shell::Zsh.assignment(&token, &words),
            "export T=\"$('/opt/my latimer/latimer' token --state-dir '/s d')\""
        );
        assert_eq!(
            Shell::Fish.assignment(&token, &words),
            "set -gx T ('/opt/my latimer/latimer' token --state-dir '/s d')"
        );
        assert_eq!(
            Shell::Powershell.assignment(&token, &words),
            "$env:T = (& '/opt/my latimer/latimer' token --state-dir '/s d')"
        );
        assert_eq!(
            Shell::Powershell.assignment(&Assignment::Remove("T".to_owned()), &[]),
            "Remove-Item Env:T -ErrorAction SilentlyContinue"
        );
    }
}
