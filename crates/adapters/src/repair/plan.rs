//! What the repair of a turn needs to know, the same for all answers to it.

use std::sync::{Arc, OnceLock};

use latimer_protocol::turn::{ToolChoice, TurnRequest};
use toolcall_parser::{Dialect, Options, Parser, Rules, Scanner, Trust};

use super::call_rules::parser_tool;
use super::history::{self, RepeatedCall};
use super::untrusted;

/// How much is repaired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RepairLevel {
    /// Nothing: what a model says passes as it is. Only whole objects are handed on as the arguments of a call.
    Off,
    /// As [`RepairLevel::Parse`] where an answer is translated. Where both sides speak the same protocol the upstream's own events pass, and
    /// calls alone are put right.
    WhereTranslated,
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
    /// The same for a text behind a call of the upstream's own. Made when there is one.
    distrustful_parser: OnceLock<Parser>,
    /// Whether a command that the answer plainly announces may be made.
    pub(super) may_synthesise: bool,
    /// The call that the conversation makes again and again.
    pub(super) repeated: Option<RepeatedCall>,
    /// How often an answer is continued.
    pub(super) max_continuations: u32,
}

impl RepairLevel {
    /// An upstream's own events may go to a client of the same protocol.
    pub fn lets_frames_pass(self) -> bool {
        matches!(self, Self::Off | Self::WhereTranslated)
    }

    /// What is done to the calls of an answer that is not repaired.
    pub fn call_rules(self) -> Rules {
        if self == Self::Off { Rules::Objects } else { Rules::Contents }
    }
}

impl RepairPlan {
    /// The plan for a turn whose answer may be continued `max_continuations` times after a length limit of the upstream's own.
    /// `None` when there is nothing to repair: the level says so, or no tool may be called.
    pub fn new(level: RepairLevel, max_continuations: u32, turn: &TurnRequest) -> Option<Arc<Self>> {
        if level == RepairLevel::Off || turn.tools.is_empty() {
            return None;
        }
        let tools = turn.tools.iter().map(parser_tool);
        // Where a call is demanded, an answer that is nothing but JSON is one.
        let demanded = matches!(turn.tool_choice, ToolChoice::Required | ToolChoice::Function(_));
        let hint = Dialect::for_model(&turn.model).or(demanded.then_some(Dialect::RawJson));
        let mut options = Options::new(tools).hint(hint);
        options.provenance = untrusted::provenance(turn);
        if history::calls_natively(turn) {
            options.trust = Trust::Alone;
        }
        Some(Arc::new(Self {
            parser: Parser::new(options),
            distrustful_parser: OnceLock::new(),
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

    /// For a text of an answer that is trusted so far.
    pub(super) fn text_scanner(&self, trust: Trust) -> Scanner {
        if trust == self.options().trust || trust == Trust::Bare {
            return self.scanner();
        }
        let make = || Parser::new(self.options().clone().trust(trust));
        self.distrustful_parser.get_or_init(make).scanner()
    }
}

#[cfg(test)]
mod tests {
    use latimer_protocol::turn::{Call, Item, Tool as TurnTool};
    use toolcall_parser::{Event, Tool};

    use super::*;

    fn tool(name: &str) -> TurnTool {
        TurnTool { name: name.to_owned(), description: None, parameters: None, strict: None }
    }

    fn turn() -> TurnRequest {
        TurnRequest { tools: vec![tool("exec")], ..TurnRequest::default() }
    }

    fn plan(level: RepairLevel, turn: &TurnRequest) -> Arc<RepairPlan> {
        RepairPlan::new(level, 2, turn).expect("something to repair")
    }

    fn call(id: &str) -> Item {
        Item::Call(Call { id: id.into(), name: "exec".to_owned(), arguments: "{}".to_owned() })
    }

    /// Whether a scanner of this plan finds a call in a text.
    fn finds_call(plan: &RepairPlan, text: &str) -> bool {
        let (mut scanner, mut found) = (plan.scanner(), false);
        let mut see = |event: Event<'_>| found |= matches!(event, Event::CallEnded { .. });
        scanner.push(text, &mut see);
        scanner.finish(&mut see);
        found
    }

    #[test]
    fn there_is_no_plan_where_nothing_may_be_repaired() {
        assert_eq!(RepairLevel::default(), RepairLevel::Parse);
        let without = TurnRequest { tools: Vec::new(), ..turn() };
        for level in [RepairLevel::Off, RepairLevel::Parse, RepairLevel::Assist] {
            assert_eq!(RepairPlan::new(level, 2, &turn()).is_some(), level != RepairLevel::Off, "{level:?}");
            assert!(RepairPlan::new(level, 2, &without).is_none(), "{level:?}: no tool may be called");
        }
    }

    #[test]
    fn a_limit_that_the_client_set_is_meant() {
        assert_eq!(plan(RepairLevel::Parse, &turn()).max_continuations, 2);
        let limited = TurnRequest { max_output_tokens: Some(100), ..turn() };
        assert_eq!(plan(RepairLevel::Parse, &limited).max_continuations, 0);
    }

    #[test]
    fn a_command_is_made_for_the_model_only_when_asked_to_and_not_without_end() {
        assert!(!plan(RepairLevel::Parse, &turn()).may_synthesise);
        assert!(plan(RepairLevel::Assist, &turn()).may_synthesise);
        let barred = TurnRequest { tool_choice: ToolChoice::None, ..turn() };
        assert!(!plan(RepairLevel::Assist, &barred).may_synthesise);
        let made = (0..3).map(|slot| call(&history::synthesised_id(slot))).collect();
        assert!(!plan(RepairLevel::Assist, &TurnRequest { items: made, ..turn() }).may_synthesise);
    }

    #[test]
    fn a_conversation_that_goes_in_circles_is_known() {
        let again = |times: usize| TurnRequest { items: vec![call("c"); times], ..turn() };
        assert!(plan(RepairLevel::Parse, &again(2)).repeated.is_none());
        assert!(plan(RepairLevel::Parse, &again(3)).repeated.is_some());
    }

    #[test]
    fn the_dialect_of_the_model_is_understood_and_fenced_json_where_a_call_is_demanded() {
        let of = |model: &str, tool_choice: ToolChoice| {
            plan(RepairLevel::Parse, &TurnRequest { model: model.to_owned(), tool_choice, ..turn() })
        };
        assert_eq!(of("qwen2.5", ToolChoice::Auto).options().hint, Some(Dialect::Hermes));
        assert_eq!(of("qwen2.5", ToolChoice::Required).options().hint, Some(Dialect::Hermes));
        assert_eq!(of("novel", ToolChoice::Auto).options().hint, None);
        let fenced = "```json\n{\"name\": \"exec\", \"arguments\": {}}\n```";
        for (tool_choice, is_call) in [
            (ToolChoice::Auto, false),
            (ToolChoice::Required, true),
            (ToolChoice::Function("exec".to_owned()), true),
        ] {
            assert_eq!(finds_call(&of("novel", tool_choice.clone()), fenced), is_call, "{tool_choice:?}");
        }
    }

    #[test]
    fn only_tools_of_the_turn_are_called_with_the_parameters_that_it_declares() {
        let mut own = tool("write");
        let schema = r#"{"type":"object","properties":{"path":{"type":"string"}},"required":["path"]}"#;
        own.parameters = Some(serde_json::value::RawValue::from_string(schema.to_owned()).expect("JSON"));
        let plan = plan(RepairLevel::Parse, &TurnRequest { tools: vec![tool("exec"), own], ..turn() });
        let tools: Vec<&str> = plan.options().tools.iter().map(Tool::name).collect();
        assert_eq!(tools, ["exec", "write"]);
        assert_eq!(plan.options().tools[1].required().collect::<Vec<_>>(), ["path"]);
        let call =
            |name: &str| format!("<tool_call>{{\"name\": \"{name}\", \"arguments\": {{}}}}</tool_call>");
        assert!(finds_call(&plan, &call("exec")) && !finds_call(&plan, &call("delete")));
    }
}
