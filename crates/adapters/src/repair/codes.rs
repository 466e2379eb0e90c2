//! What a note of the repair means to whoever counts faults: a code, so that nobody has to read English.
//!
//! The words are written in this folder and in `toolcall-parser`; the tests hold both ends together.

/// How a note begins, and its code.
const BEGINNINGS: [(&str, &str); 5] = [
    ("the model asks for explore without a command", "bare_explore"),
    ("the model asks for escalation without a command", "escalation"),
    ("the model makes the same call again and again", "loop"),
    ("there is no command to run (bash_block)", "bash_without_command"),
    ("there is no command to run", "empty_command"),
];
/// Notes about what was meant as a call and is none, whatever its dialect.
const NO_CALL: [&str; 2] = ["the call is malformed", "the text ends inside the call"];

/// The code of a note, if it is one that is counted.
pub fn code(note: &str) -> Option<&'static str> {
    let by_beginning = BEGINNINGS.iter().find(|(words, _)| note.starts_with(words)).map(|(_, code)| *code);
    let is_no_call = || NO_CALL.iter().any(|words| note.starts_with(words));
    by_beginning.or_else(|| is_no_call().then_some("unknown_format"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use toolcall_parser::{Dialect, Problem, ProblemKind, RequestKind};

    #[test]
    fn the_parsers_own_words_have_their_codes() {
        let problem = |kind, dialect| Problem { dialect, kind, name: Some("shell".to_owned()) }.to_string();
        let cases = [
            (problem(ProblemKind::NoCommand, Dialect::Bash), Some("bash_without_command")),
            (problem(ProblemKind::NoCommand, Dialect::ToolCallAttr), Some("empty_command")),
            (problem(ProblemKind::Malformed, Dialect::Bash), Some("unknown_format")),
            (problem(ProblemKind::Truncated, Dialect::Bash), Some("unknown_format")),
            (problem(ProblemKind::Undeclared, Dialect::Bash), None),
            (format!("the model asks for {} without a command", RequestKind::Explore), Some("bare_explore")),
            (format!("the model asks for {} without a command", RequestKind::Escalation), Some("escalation")),
            ("a bash call was found in the text: shell".to_owned(), None),
        ];
        for (note, want) in cases {
            assert_eq!(code(&note), want, "{note}");
        }
    }
}
