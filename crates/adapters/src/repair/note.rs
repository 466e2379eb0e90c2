//! What the parser says, as a note for the log.

use latimer_protocol::turn::{CallDefect, Note, RepairNote};
use toolcall_parser::{Call, Dialect, Options, Problem, ProblemKind, RequestKind};

/// A call was found in the text of an answer; `source` is how it was written.
pub(super) fn call_in_text(call: &Call, source: &str) -> Note {
    let dialect = call.dialect.name();
    RepairNote::CallInText { dialect, name: call.name.clone(), length: source.len() }.into()
}

/// One note for each thing that was mended on a call. `is_declared` tells whether its tool is.
pub(super) fn mended(call: &Call, is_declared: bool) -> impl Iterator<Item = Note> {
    let name = is_declared.then_some(&call.name);
    call.repairs
        .iter()
        .map(move |repair| RepairNote::CallMended { name: name.cloned(), rule: repair.to_string() }.into())
}

/// The last turns made this call, and now it is made again. `is_declared` tells whether its tool is.
pub(super) fn repeated(call: &Call, is_declared: bool, is_made: bool) -> Note {
    RepairNote::RepeatedCall { name: is_declared.then(|| call.name.clone()), is_made }.into()
}

/// Whether the turn declares this tool.
pub(super) fn is_declared(name: &str, options: &Options) -> bool {
    options.tools.iter().any(|tool| tool.name() == name)
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
    // A name that the model wrote is of the conversation, whether or not a tool has it.
    let text = Problem { name: None, ..*problem }.to_string();
    RepairNote::NotACall { defect, text }.into()
}

/// The model asked for something and gave no command.
pub(super) fn request_without_command(kind: RequestKind) -> Note {
    match kind {
        RequestKind::Explore => RepairNote::ExploreWithoutCommand,
        RequestKind::Escalation => RepairNote::EscalationWithoutCommand,
    }
    .into()
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
                "there is no command to run (bash_block)",
            ),
            (
                ProblemKind::NoCommand,
                Dialect::ToolCallAttr,
                "empty_command",
                "there is no command to run (tool_call_attr)",
            ),
            (ProblemKind::Malformed, Dialect::Bash, "unknown_format", "the call is malformed (bash_block)"),
            (
                ProblemKind::Truncated,
                Dialect::Bash,
                "unknown_format",
                "the text ends inside the call (bash_block)",
            ),
            (
                ProblemKind::Undeclared,
                Dialect::Bash,
                "undeclared_tool",
                "the tool is not declared (bash_block)",
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
}
