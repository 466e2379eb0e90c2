//! Questions that a person answers with yes or no.

use std::io::BufRead;

use anyhow::Context as _;
use latimer_protocol::secret::Secret;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use crate::terminal::eprint_line;

/// The longest answer that is read, in bytes.
const MAX_ANSWER_BYTES: u64 = 256;
/// The longest key, in bytes.
const MAX_KEY_BYTES: u64 = 1 << 16;

/// Asks on stderr and reads a line from stdin. Only `y` and `yes` are a yes; the end of stdin is a no.
pub(crate) fn confirm(question: &str) -> bool {
    eprint_line(&format!("{question} [y/N]"));
    is_yes(&mut std::io::stdin().lock())
}

/// Asks for a key and reads a line from stdin; a terminal does not show what is typed.
///
/// # Errors
/// Stdin cannot be read.
pub(crate) fn key_line(question: &str) -> anyhow::Result<Secret> {
    eprint_line(question);
    let before = tcgetattr(std::io::stdin()).ok();
    if let Some(before) = &before {
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Flush, &silent);
    }
    let mut line = String::new();
    let read = std::io::Read::take(std::io::stdin().lock(), MAX_KEY_BYTES).read_line(&mut line);
    if let Some(before) = &before {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, before);
    }
    read.context("reading the key")?;
    Ok(Secret::new(line.trim()))
}

fn is_yes(input: &mut impl BufRead) -> bool {
    let mut line = String::new();
    let read = std::io::Read::take(input, MAX_ANSWER_BYTES).read_line(&mut line);
    read.is_ok() && matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_yes_is_one() {
        for (answer, want) in [
            ("y\n", true),
            ("Yes\n", true),
            ("yes", true),
            ("\n", false),
            ("", false),
            ("n\ny\n", false),
            ("yes please\n", false),
        ] {
            assert_eq!(is_yes(&mut answer.as_bytes()), want, "{answer:?}");
        }
        let two = &mut "y\nn\n".as_bytes();
        assert!(is_yes(two) && !is_yes(two), "a line each");
    }
}
