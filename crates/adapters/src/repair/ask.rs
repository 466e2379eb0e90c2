//! When the model is asked again, and in which words.
//!
//! A hidden follow-up to the same upstream costs one more request, so it is sent only when an answer that declared tools ended by
//! itself, without a call, in something that was clearly meant to be one.

use toolcall_parser::{Dialect, Options, ProblemKind, RequestKind};

/// Longer answers are not sent back.
const MOST_SAID: usize = 64 << 10;
/// Tools that are named to the model.
const MOST_NAMES: usize = 20;

/// What an answer was meant to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meant {
    /// A call that is none, for this reason.
    Call(ProblemKind),
    /// A wish without a command.
    Wish(RequestKind),
}

/// A question to the model that the client does not see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// What the model had said.
    pub said: String,
    /// What it is asked.
    pub ask: String,
}

/// What the model said in all, as long as it can be sent back.
#[derive(Debug, Default)]
pub(super) struct Said {
    text: String,
    too_long: bool,
}

impl Said {
    pub(super) fn push(&mut self, text: &str) {
        if self.too_long || self.text.len() + text.len() > MOST_SAID {
            self.too_long = true;
            self.text = String::new();
        } else {
            self.text.push_str(text);
        }
    }

    /// All of it, if it can be sent back.
    pub(super) fn text(&self) -> Option<&str> {
        (!self.too_long).then_some(self.text.as_str())
    }

    pub(super) fn question(&mut self, meant: Meant, options: &Options) -> Option<Question> {
        if self.too_long {
            return None;
        }
        let mut said = std::mem::take(&mut self.text);
        if said.trim().is_empty() {
            // A message must say something; the call itself was none.
            "(a tool call that could not be made)".clone_into(&mut said);
        }
        Some(Question { said, ask: words(meant, options) })
    }
}

fn words(meant: Meant, options: &Options) -> String {
    let names: Vec<&str> = options.tools.iter().take(MOST_NAMES).map(toolcall_parser::Tool::name).collect();
    let names = names.join(", ");
    let what = match meant {
        Meant::Call(ProblemKind::Undeclared) => {
            "That call names a tool that does not exist, so nothing was run."
        }
        Meant::Call(ProblemKind::Truncated) => {
            "That call was cut off before it was whole, so nothing was run. Make it shorter, or in several steps."
        }
        Meant::Call(ProblemKind::NoCommand) => "That call has no command, so nothing was run.",
        Meant::Call(_) => "That call was written as text and could not be read, so nothing was run.",
        Meant::Wish(RequestKind::Explore) => {
            "There is no agent that explores for you. Look for yourself, with a tool call."
        }
        Meant::Wish(RequestKind::Escalation) => {
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
    use toolcall_parser::Tool;

    #[test]
    fn long_answers_are_not_sent_back() {
        let options = Options::new([Tool::new("read_file", "{}")]);
        let mut said = Said::default();
        said.push("<tool_call>");
        let question = said.question(Meant::Call(ProblemKind::Malformed), &options).expect("a question");
        assert_eq!(question.said, "<tool_call>");
        assert!(question.ask.contains("read_file") && question.ask.contains("could not be read"));
        said.push(&"x".repeat(MOST_SAID));
        said.push("y");
        assert_eq!(said.question(Meant::Wish(RequestKind::Explore), &options), None);
    }
}
