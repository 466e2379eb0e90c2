//! What is wrong with a configuration file, and where.

use std::fmt;
use std::path::Path;

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
        .map(|problem| format!("{}:{}{problem}", path.display(), if problem.line > 0 { "" } else { " " }))
        .collect();
    lines.join("\n")
}
