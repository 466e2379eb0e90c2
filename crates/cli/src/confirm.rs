//! Questions that a person answers with yes or no.

use std::io::BufRead;

use crate::terminal::eprint_line;

/// The longest answer that is read, in bytes.
const MAX_ANSWER_BYTES: u64 = 256;

/// Asks on stderr and reads a line from stdin. Only `y` and `yes` are a yes; the end of stdin is a no.
pub(crate) fn confirm(question: &str) -> bool {
    eprint_line(&format!("{question} [y/N]"));
    is_yes(&mut std::io::stdin().lock())
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
