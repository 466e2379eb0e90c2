//! What the parser says, as a note for the log.

use latimer_protocol::turn::{CallDefect, Note, RepairNote};
use toolcall_parser::{Call, Dialect, Problem, ProblemKind, RequestKind};

/// How much of a call's source a note shows, in characters.
const MAX_SOURCE: usize = 200;

/// A call was found in the text of an answer; `source` is how it was written.
pub(super) fn call_in_text(call: &Call, source: &str) -> Note {
    let dialect = call.dialect.name();
    RepairNote::CallInText { dialect, name: call.name.clone(), source: shortened(source) }.into()
}

/// One note for each thing that was mended on a call.
pub(super) fn mended(call: &Call) -> impl Iterator<Item = Note> {
    call.repairs
        .iter()
        .map(|repair| RepairNote::CallMended { name: call.name.clone(), rule: repair.to_string() }.into())
}

/// Something was meant as a call and is none.
pub(super) fn not_a_call(problem: &Problem) -> Note {
    let defect = match problem.kind {
        ProblemKind::Malformed | ProblemKind::Truncated => CallDefect::UnknownFormat,
        ProblemKind::NoCommand if problem.dialect == Dialect::Bash => CallDefect::EmptyBashBlock,
        ProblemKind::NoCommand => CallDefect::EmptyCommand,
        ProblemKind::Undeclared => CallDefect::Undeclared,
        ProblemKind::TooLarge => CallDefect::TooLarge,
    };
    RepairNote::NotACall { defect, text: problem.to_string() }.into()
}

/// The model asked for something and gave no command.
pub(super) fn request_without_command(kind: RequestKind) -> Note {
    match kind {
        RequestKind::Explore => RepairNote::ExploreWithoutCommand,
        RequestKind::Escalation => RepairNote::EscalationWithoutCommand,
    }
    .into()
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= MAX_SOURCE {
        return text.to_owned();
    }
    text.chars().take(MAX_SOURCE).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_keeps_the_parsers_words_and_gets_a_code() {
        let cases = [
            (
                ProblemKind::NoCommand,
                Dialect::Bash,
                "bash_without_command",
                "there is no command to run (bash_block): shell",
            ),
            (
                ProblemKind::NoCommand,
                Dialect::ToolCallAttr,
                "empty_command",
                "there is no command to run (tool_call_attr): shell",
            ),
            (
                ProblemKind::Malformed,
                Dialect::Bash,
                "unknown_format",
                "the call is malformed (bash_block): shell",
            ),
            (
                ProblemKind::Truncated,
                Dialect::Bash,
                "unknown_format",
                "the text ends inside the call (bash_block): shell",
            ),
            (
                ProblemKind::Undeclared,
                Dialect::Bash,
                "undeclared_tool",
                "the tool is not declared (bash_block): shell",
            ),
        ];
        for (kind, dialect, code, text) in cases {
            let note = not_a_call(&Problem { dialect, kind, name: Some("shell".to_owned()) });
            assert_eq!((note.code(), note.to_string().as_str()), (code, text));
            assert_eq!(note.cause().is_some(), kind != ProblemKind::Undeclared, "{text}");
        }
    }

    #[test]
    fn the_parser_and_the_note_use_the_same_words_for_a_request() {
        for kind in [RequestKind::Explore, RequestKind::Escalation] {
            let text = request_without_command(kind).to_string();
            assert_eq!(text, format!("the model asks for {kind} without a command"));
        }
    }

    #[test]
    fn a_long_source_is_shortened() {
        assert_eq!(shortened("short"), "short");
        assert_eq!(shortened(&"é".repeat(MAX_SOURCE + 5)).chars().count(), MAX_SOURCE + 1);
    }
}
