//! What a log says about a turn besides its answer.

use std::fmt;

use crate::secret::CleanText;

/// Something that was changed, left out, passed over or mended on the way of a turn. It is shown in the log and in `latimer explain`,
/// never to the client.
///
/// [`Note::code`] is for whoever counts, `Display` for people; neither is read back from the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// A part of the request was changed or left out, because the other side has no equal for it. The text says which, and why.
    Request(CleanText),
    /// Another attempt was made, or a smaller request sent. The text says where, and why.
    Route(CleanText),
    /// Something about the turn as a whole, in these words.
    Turn(CleanText),
    /// The upstream's answer held something that was passed over, or read as something else.
    Stream(StreamNote),
    /// What a model meant as a call was found, mended, or given up.
    Repair(RepairNote),
}

/// What was not taken as it stood in an upstream's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamNote {
    /// A line that is no JSON, or not of the expected shape.
    UnreadableLine,
    /// An event of an unknown type.
    UnknownEvent,
    /// A content block of an unknown type.
    UnknownBlock,
    /// An output item that the turn model has no equal for.
    UnknownItem,
    /// A part that the turn model has no equal for.
    UnknownPart,
    /// A call without a name, which nothing could be called by.
    UnnamedCall,
    /// A call that came twice, the second time with other arguments.
    ConflictingCall,
    /// Events that the upstream left out were made of what it did send.
    MissingEvents,
    /// A finish reason that is not in the table.
    UnknownFinishReason,
    /// The same, where the protocol speaks of a stop reason.
    UnknownStopReason,
}

impl StreamNote {
    /// Every note with its code and its text.
    const TABLE: [(Self, &'static str, &'static str); 10] = [
        (
            Self::UnreadableLine,
            "unreadable_line",
            "a line of the provider's stream was not readable and was passed over",
        ),
        (Self::UnknownEvent, "unknown_event", "an event of a kind latimer does not know was passed over"),
        (Self::UnknownBlock, "unknown_block", "a block of a kind latimer does not know was passed over"),
        (Self::UnknownItem, "unknown_item", "an item of a kind that has no equal here was passed over"),
        (Self::UnknownPart, "unknown_part", "a part that has no equal here was passed over"),
        (Self::UnnamedCall, "unnamed_call", "a call without a name was dropped"),
        (
            Self::MissingEvents,
            "missing_events",
            "the provider left events out; they were made of what it did send",
        ),
        (
            Self::ConflictingCall,
            "conflicting_call",
            "a call came twice with different arguments, and was not passed on",
        ),
        (
            Self::UnknownFinishReason,
            "unknown_finish_reason",
            "an unknown finish reason was read as a normal end",
        ),
        (Self::UnknownStopReason, "unknown_stop_reason", "an unknown stop reason was read as a normal end"),
    ];

    fn row(self) -> &'static (Self, &'static str, &'static str) {
        // The test holds that every note has its row; the first one is never returned in its place.
        Self::TABLE.iter().find(|row| row.0 == self).unwrap_or(&Self::TABLE[0])
    }
}

/// What the repair of an answer did, or saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RepairNote {
    /// A call was found in the text of an answer.
    CallInText {
        /// The name of the dialect it was written in.
        dialect: &'static str,
        /// The tool, which was declared.
        name: String,
        /// How long what was written is without the marks around it, in bytes. The words stand nowhere: they are the conversation.
        length: usize,
    },
    /// A call was found in the thoughts of an answer that says nothing else.
    CallInReasoning,
    /// Something on a call was mended.
    CallMended {
        /// The tool, where it was declared: any other name is a text of the model's.
        name: Option<String>,
        /// The rule that was used, in the parser's word for it.
        rule: String,
    },
    /// Something was meant as a call and is none.
    NotACall {
        /// Why it is none.
        defect: CallDefect,
        /// The parser's words: the reason and the dialect.
        text: String,
    },
    /// The model asked that somebody look around, and gave no command.
    ExploreWithoutCommand,
    /// The model asked that a command may do more, and gave no command.
    EscalationWithoutCommand,
    /// The last turns made this call, and now it is made again.
    RepeatedCall {
        /// The tool, where it was declared: any other name is a text of the model's.
        name: Option<String>,
        /// Whether it was handed on all the same: a call of the upstream's own is.
        is_made: bool,
    },
    /// A read-only command that the model announced was made for it.
    Synthesised {
        /// The heuristic that proposed it, in the parser's word for it.
        rule: String,
    },
    /// The answer to "go on" does not begin with the last words of the answer that was cut.
    ContinuationNotJoined,
    /// The hidden question failed; the answer before it stands.
    FollowUpFailed {
        /// What the failure says.
        message: CleanText,
    },
}

/// Why something is no call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallDefect {
    /// Its grammar or its arguments are broken, or the text ends inside of it.
    UnknownFormat,
    /// A shell call without a command.
    EmptyCommand,
    /// A fenced shell block without a command.
    EmptyBashBlock,
    /// Nobody declared the tool.
    Undeclared,
    /// It is larger than the parser reads.
    TooLarge,
}

impl Note {
    /// A part of the request was changed or left out.
    pub fn request(text: impl Into<CleanText>) -> Self {
        Self::Request(text.into())
    }

    /// Another attempt was made, or a smaller request sent.
    pub fn route(text: impl Into<CleanText>) -> Self {
        Self::Route(text.into())
    }

    /// Something about the turn as a whole.
    pub fn turn(text: impl Into<CleanText>) -> Self {
        Self::Turn(text.into())
    }

    /// A stable code, the same for every note of one kind.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Request(_) => "request_changed",
            Self::Route(_) => "route",
            Self::Turn(_) => "turn",
            Self::Stream(note) => note.row().1,
            Self::Repair(note) => note.code(),
        }
    }

    /// For a disk: what `Display` says, without the words that a model wrote.
    pub fn without_conversation(&self) -> String {
        match self {
            Self::Repair(RepairNote::NotACall { defect, .. }) => {
                format!("something was meant as a call and is none: {}", defect.code())
            }
            other => other.to_string(),
        }
    }

    /// The code, where the note tells of a fault of the model that is counted: the field `cause` of the log line `turn.note`, which
    /// the watchdog reads.
    pub fn cause(&self) -> Option<&'static str> {
        let Self::Repair(note) = self else { return None };
        let counted = match note {
            RepairNote::ExploreWithoutCommand
            | RepairNote::EscalationWithoutCommand
            | RepairNote::RepeatedCall { .. } => true,
            RepairNote::NotACall { defect, .. } => {
                !matches!(defect, CallDefect::Undeclared | CallDefect::TooLarge)
            }
            _ => false,
        };
        counted.then(|| note.code())
    }
}

impl RepairNote {
    fn code(&self) -> &'static str {
        match self {
            Self::CallInText { .. } => "call_in_text",
            Self::CallInReasoning => "call_in_reasoning",
            Self::CallMended { .. } => "call_mended",
            Self::NotACall { defect, .. } => defect.code(),
            Self::ExploreWithoutCommand => "bare_explore",
            Self::EscalationWithoutCommand => "escalation",
            Self::RepeatedCall { .. } => "loop",
            Self::Synthesised { .. } => "synthesised",
            Self::ContinuationNotJoined => "not_joined",
            Self::FollowUpFailed { .. } => "follow_up_failed",
        }
    }
}

impl CallDefect {
    fn code(self) -> &'static str {
        match self {
            Self::UnknownFormat => "unknown_format",
            Self::EmptyCommand => "empty_command",
            Self::EmptyBashBlock => "bash_without_command",
            Self::Undeclared => "undeclared_tool",
            Self::TooLarge => "call_too_large",
        }
    }
}

impl From<StreamNote> for Note {
    fn from(note: StreamNote) -> Self {
        Self::Stream(note)
    }
}

impl From<RepairNote> for Note {
    fn from(note: RepairNote) -> Self {
        Self::Repair(note)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(text) | Self::Route(text) | Self::Turn(text) => f.write_str(text),
            Self::Stream(note) => f.write_str(note.row().2),
            Self::Repair(note) => note.fmt(f),
        }
    }
}

/// A tool's name, as a note shows it.
fn shown(name: Option<&str>) -> &str {
    name.unwrap_or("(a tool that is not declared)")
}

impl fmt::Display for RepairNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const REPEATED: &str = "the model makes the same call again and again";
        match self {
            Self::CallInText { dialect, name, length } => {
                write!(f, "a {dialect} call was found in the text: {name} (written in {length} bytes)")
            }
            Self::CallInReasoning => {
                f.write_str("a call was found in the thoughts of an answer without text")
            }
            Self::CallMended { name, rule } => write!(f, "call {}: {rule}", shown(name.as_deref())),
            Self::NotACall { text, .. } => f.write_str(text),
            Self::ExploreWithoutCommand => f.write_str("the model asks for explore without a command"),
            Self::EscalationWithoutCommand => f.write_str("the model asks for escalation without a command"),
            Self::RepeatedCall { name, is_made: true } => {
                write!(f, "{REPEATED}: {}", shown(name.as_deref()))
            }
            Self::RepeatedCall { name, is_made: false } => {
                write!(f, "{REPEATED}, so it is shown and not made: {}", shown(name.as_deref()))
            }
            Self::Synthesised { rule } => write!(f, "synthesised: true; rule: {rule}"),
            Self::ContinuationNotJoined => {
                f.write_str("the continuation does not begin where the answer ended, and was not joined")
            }
            Self::FollowUpFailed { message } => write!(f, "the model could not be asked again: {message}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_note_of_a_stream_has_a_row_of_its_own() {
        for row in StreamNote::TABLE {
            assert_eq!(row.0.row(), &row);
            let same = |other: &&(StreamNote, &str, &str)| other.1 == row.1 || other.2 == row.2;
            assert_eq!(StreamNote::TABLE.iter().filter(same).count(), 1, "{}", row.1);
        }
    }

    #[test]
    fn what_is_counted_has_a_cause_and_the_rest_a_code_only() {
        let defect = |defect| RepairNote::NotACall { defect, text: "words".to_owned() };
        let repeated = |is_made| RepairNote::RepeatedCall { name: Some("shell".to_owned()), is_made };
        let cases: [(Note, &str, Option<&str>); 11] = [
            (defect(CallDefect::EmptyBashBlock).into(), "bash_without_command", Some("bash_without_command")),
            (defect(CallDefect::EmptyCommand).into(), "empty_command", Some("empty_command")),
            (defect(CallDefect::UnknownFormat).into(), "unknown_format", Some("unknown_format")),
            (defect(CallDefect::Undeclared).into(), "undeclared_tool", None),
            (RepairNote::ExploreWithoutCommand.into(), "bare_explore", Some("bare_explore")),
            (RepairNote::EscalationWithoutCommand.into(), "escalation", Some("escalation")),
            (repeated(true).into(), "loop", Some("loop")),
            (repeated(false).into(), "loop", Some("loop")),
            (RepairNote::CallInReasoning.into(), "call_in_reasoning", None),
            (StreamNote::UnnamedCall.into(), "unnamed_call", None),
            (Note::request("`seed` was left out"), "request_changed", None),
        ];
        for (note, code, cause) in cases {
            assert_eq!((note.code(), note.cause()), (code, cause), "{note}");
        }
    }

    #[test]
    fn a_note_makes_no_event_larger() {
        let failure = std::mem::size_of::<crate::failure::Failure>();
        assert!(std::mem::size_of::<Note>() <= failure, "events are handed on by value");
    }

    #[test]
    fn what_goes_to_a_disk_holds_nothing_that_a_model_wrote() {
        let text = "SECRET".to_owned();
        let note: Note = RepairNote::NotACall { defect: CallDefect::TooLarge, text }.into();
        let kept = note.without_conversation();
        assert!(note.to_string().contains("SECRET") && !kept.contains("SECRET"), "{kept}");
        assert_eq!(Note::route("another key").without_conversation(), "another key");
    }

    #[test]
    fn a_note_is_written_once_for_people() {
        let found = RepairNote::CallInText { dialect: "hermes", name: "shell".to_owned(), length: 39 };
        assert_eq!(found.to_string(), "a hermes call was found in the text: shell (written in 39 bytes)");
        let repeated = RepairNote::RepeatedCall { name: Some("shell".to_owned()), is_made: false };
        assert_eq!(
            Note::from(repeated).to_string(),
            "the model makes the same call again and again, so it is shown and not made: shell"
        );
        assert_eq!(Note::route("another key").to_string(), "another key");
    }
}
