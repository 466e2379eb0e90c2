//! What the repair of a turn needs to know, the same for all answers to it.

use std::sync::Arc;

use latimer_protocol::turn::{ToolChoice, TurnRequest};
use toolcall_parser::{Dialect, Options, Parser, Scanner, Tool};

use super::history::{self, RepeatedCall};
use crate::schema;

/// How much is repaired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RepairLevel {
    /// Nothing: events pass as they are.
    Off,
    /// Calls in text become calls, every call is made valid, and a model that meant a call is asked again.
    #[default]
    Parse,
    /// Also, where the model plainly said what it would look at and made no call even when asked again, the read-only command it
    /// meant is made for it.
    Assist,
}

/// What the repair of one turn needs to know, the same for all its attempts.
#[derive(Debug)]
pub struct RepairPlan {
    parser: Parser,
    /// Whether a command that the answer plainly announces may be made.
    pub(super) may_synthesise: bool,
    /// The call that the conversation makes again and again.
    pub(super) repeated: Option<RepeatedCall>,
    /// How often an answer is continued.
    pub(super) max_continuations: u32,
}

impl RepairPlan {
    /// The plan for a turn whose answer may be continued `max_continuations` times after a length limit of the upstream's own.
    /// `None` when there is nothing to repair: the level says so, or no tool may be called.
    pub fn new(level: RepairLevel, max_continuations: u32, turn: &TurnRequest) -> Option<Arc<Self>> {
        if level == RepairLevel::Off || turn.tools.is_empty() {
            return None;
        }
        let tools = turn.tools.iter().map(|tool| {
            // What the provider is shown, for only that names every parameter.
            Tool::new(tool.name.clone(), schema::parameters(tool, &mut Vec::new()).get())
        });
        // Where a call is demanded, an answer that is nothing but JSON is one.
        let demanded = matches!(turn.tool_choice, ToolChoice::Required | ToolChoice::Function(_));
        let hint = Dialect::for_model(&turn.model).or(demanded.then_some(Dialect::RawJson));
        Some(Arc::new(Self {
            parser: Parser::new(Options::new(tools).hint(hint)),
            may_synthesise: level == RepairLevel::Assist && history::may_synthesise(turn),
            repeated: history::repeated_call(turn),
            // A limit that the client set is meant.
            max_continuations: if turn.max_output_tokens.is_some() { 0 } else { max_continuations },
        }))
    }

    pub(super) fn options(&self) -> &Options {
        self.parser.options()
    }

    /// For a text of the answer, or for its thoughts.
    pub(super) fn scanner(&self) -> Scanner {
        self.parser.scanner()
    }
}
