//! What is wrong with a configuration file, and where.

use std::fmt;
use std::path::Path;

use latimer_protocol::printable::escaped;

/// One problem. Never holds the value of a key: it may be a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblem {
    /// Counted from 1; 0 when it concerns no place in the file.
    pub line: usize,
    /// Counted from 1.
    pub column: usize,
    /// The path of the key, such as `endpoint[1].timeouts.idle`; empty for the file itself.
    pub key: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "{}:{}: ", self.line, self.column)?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// All problems of a file, one a line, each beginning with `file:line:column`.
pub fn report(problems: &[ConfigProblem], path: &Path) -> String {
    let lines: Vec<String> = problems
        .iter()
        .map(|problem| {
            let line = format!("{}:{}{problem}", path.display(), if problem.line > 0 { "" } else { " " });
            // A key of the file may hold a line break.
            escaped(&line).into_owned()
        })
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(line: usize, key: &str) -> ConfigProblem {
        ConfigProblem { line, column: 5, key: key.to_owned(), message: "is wrong; do this".to_owned() }
    }

    #[test]
    fn a_line_holds_what_is_known_of_the_place() {
        for (problem, text, line) in [
            (
                problem(3, "server.grace"),
                "3:5: server.grace: is wrong; do this",
                "/c.toml:3:5: server.grace: is wrong; do this",
            ),
            (problem(3, ""), "3:5: is wrong; do this", "/c.toml:3:5: is wrong; do this"),
            (problem(0, "server"), "server: is wrong; do this", "/c.toml: server: is wrong; do this"),
            (problem(0, ""), "is wrong; do this", "/c.toml: is wrong; do this"),
        ] {
            assert_eq!(problem.to_string(), text);
            assert_eq!(report(&[problem], Path::new("/c.toml")), line);
        }
        let two = report(&[problem(1, "a"), problem(2, "b")], Path::new("c"));
        assert_eq!(two, "c:1:5: a: is wrong; do this\nc:2:5: b: is wrong; do this");
        assert_eq!(report(&[], Path::new("c")), "");
    }
}
