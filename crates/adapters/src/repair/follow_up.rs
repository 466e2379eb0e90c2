//! When the model is asked again, and in which words.
//!
//! A hidden follow-up to the same upstream costs one more request, so it is sent only when an answer that declared tools ended by
//! itself, without a call, in something that was clearly meant to be one.

use toolcall_parser::{Dialect, Options, ProblemKind, RequestKind, Tool};

/// The longest answer, in bytes, that is sent back.
const MAX_TRANSCRIPT: usize = 64 << 10;
/// How many tools are named to the model.
const MAX_TOOL_NAMES: usize = 20;

/// What an answer was meant to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Suspected {
    /// A call that is none, for this reason.
    Call(ProblemKind),
    /// A call of the upstream's own whose arguments nobody may run, for this reason.
    NativeCall(ProblemKind),
    /// A request for something, without a command.
    Request(RequestKind),
    /// There are thoughts and nothing else: a call or an answer was meant to follow.
    Answer,
}

impl Suspected {
    /// A limit cut it.
    pub(super) fn is_cut(self) -> bool {
        matches!(self, Self::Call(ProblemKind::Truncated) | Self::NativeCall(ProblemKind::Truncated))
    }
}

/// The exchange that is added to the conversation when the model is asked again. The client does not see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowUp {
    /// What the model had said: the message of the assistant.
    pub assistant: String,
    /// What it is asked: the message of the user.
    pub user: String,
}

/// What the model said in all, as long as it can be sent back.
#[derive(Debug)]
pub(super) enum Transcript {
    /// All of it.
    Whole(String),
    /// It was longer than what is sent back.
    TooLong,
}

impl Default for Transcript {
    fn default() -> Self {
        Self::Whole(String::new())
    }
}

impl Transcript {
    pub(super) fn push(&mut self, piece: &str) {
        match self {
            Self::Whole(text) if text.len() + piece.len() <= MAX_TRANSCRIPT => text.push_str(piece),
            Self::Whole(_) => *self = Self::TooLong,
            Self::TooLong => {}
        }
    }

    /// All of it, if it can be sent back.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Whole(text) => Some(text),
            Self::TooLong => None,
        }
    }

    /// Asks for the call that was suspected; `None` when the answer cannot be sent back. The transcript is empty afterwards.
    pub(super) fn ask_for_call(&mut self, suspected: Suspected, options: &Options) -> Option<FollowUp> {
        let Self::Whole(text) = self else { return None };
        let mut assistant = std::mem::take(text);
        if assistant.trim().is_empty() {
            // A message must say something; the call itself was none.
            let said = match suspected {
                Suspected::Answer => "(thoughts without an answer)",
                Suspected::Call(_) | Suspected::NativeCall(_) | Suspected::Request(_) => {
                    "(a tool call that could not be made)"
                }
            };
            said.clone_into(&mut assistant);
        }
        Some(FollowUp { assistant, user: words(suspected, options) })
    }
}

fn words(suspected: Suspected, options: &Options) -> String {
    if suspected == Suspected::Answer {
        return "Your answer ended inside your thoughts, so nothing was said and nothing was run. End your thoughts, and make the tool call or give the answer now."
            .to_owned();
    }
    let names: Vec<&str> = options.tools.iter().take(MAX_TOOL_NAMES).map(Tool::name).collect();
    let names = names.join(", ");
    let what = match suspected {
        Suspected::Call(ProblemKind::Undeclared) => {
            "That call names a tool that does not exist, so nothing was run."
        }
        Suspected::Call(ProblemKind::Truncated) | Suspected::NativeCall(ProblemKind::Truncated) => {
            "That call was cut off before it was whole, so nothing was run. Make it shorter, or in several steps."
        }
        Suspected::Call(ProblemKind::NoCommand) => "That call has no command, so nothing was run.",
        Suspected::NativeCall(_) => {
            "The arguments of your call were not one valid JSON object, so nothing was run."
        }
        Suspected::Call(_) => "That call was written as text and could not be read, so nothing was run.",
        Suspected::Answer => "",
        Suspected::Request(RequestKind::Explore) => {
            "There is no agent that explores for you. Look for yourself, with a tool call."
        }
        Suspected::Request(RequestKind::Escalation) => {
            "Permission is asked for as part of a tool call, where the tool has a parameter for it; else go on without."
        }
    };
    let how = match options.hint {
        Some(Dialect::Hermes | Dialect::QwenCoder) => {
            " Use the function-calling format of your chat template."
        }
        Some(Dialect::Harmony) => " Call it on the commentary channel.",
        _ => " Use the API's own function calling, not text or markup.",
    };
    format!(
        "{what} Make the tool call now, with complete and valid arguments.{how} The tools are: {names}. Say nothing else."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_answers_are_not_sent_back() {
        let options = Options::new([Tool::new("read_file", "{}")]);
        let mut transcript = Transcript::default();
        transcript.push("<tool_call>");
        let follow_up =
            transcript.ask_for_call(Suspected::Call(ProblemKind::Malformed), &options).expect("a question");
        assert_eq!(follow_up.assistant, "<tool_call>");
        assert!(follow_up.user.contains("read_file") && follow_up.user.contains("could not be read"));
        transcript.push(&"x".repeat(MAX_TRANSCRIPT));
        transcript.push("y");
        assert_eq!(transcript.ask_for_call(Suspected::Request(RequestKind::Explore), &options), None);
    }

    #[test]
    fn an_answer_of_white_space_is_sent_back_as_words() {
        let options = Options::new([Tool::new("read_file", "{}")]);
        let mut transcript = Transcript::default();
        transcript.push(" \n");
        let follow_up = transcript.ask_for_call(Suspected::Call(ProblemKind::NoCommand), &options);
        assert!(follow_up.is_some_and(|follow_up| follow_up.assistant.starts_with("(a tool call")));
    }
}
