//! What the conversation so far says about repairing its next answer. Everything is read from the request: no memory is kept, so it
//! holds after a restart and on another node, and nothing of one conversation reaches another.

use latimer_protocol::id::CallId;
use latimer_protocol::turn::{Call, Item, ToolChoice, TurnRequest};

/// So many equal calls in a row mean that the model repeats itself.
const MIN_REPEATS: usize = 3;
/// How many calls in a row are made for the model.
const MAX_SYNTHESISED: usize = 3;
/// Marks the id of a call that was made for the model.
const SYNTHESISED_MARK: &str = "synthesised";

/// A call that the last turns of the conversation made again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RepeatedCall {
    name: String,
    arguments: serde_json::Value,
}

impl RepeatedCall {
    /// Whether this is the same call once more. Arguments are compared as JSON values.
    pub(super) fn matches(&self, call: &toolcall_parser::Call) -> bool {
        let arguments = || serde_json::from_str::<serde_json::Value>(&call.arguments);
        call.name == self.name && arguments().is_ok_and(|arguments| arguments == self.arguments)
    }
}

/// The id for a call that is made for the model.
pub(super) fn synthesised_id(slot: u32) -> String {
    format!("{SYNTHESISED_MARK}_{slot}")
}

/// The call that each of the last turns made, if they all made the same one.
pub(super) fn repeated_call(turn: &TurnRequest) -> Option<RepeatedCall> {
    let mut calls = latest_calls(turn);
    let last = calls.next()?;
    let equal = |call: &&Call| call.name == last.name && call.arguments == last.arguments;
    let repeats = 1 + calls.take_while(equal).count();
    let arguments = serde_json::from_str(&last.arguments).ok()?;
    (repeats >= MIN_REPEATS).then(|| RepeatedCall { name: last.name.clone(), arguments })
}

/// Whether a command may be made for the model at all: the turn lets it call, and the last calls were not all made so.
pub(super) fn may_synthesise(turn: &TurnRequest) -> bool {
    let synthesised =
        latest_calls(turn).take_while(|call| call.id.as_str().contains(SYNTHESISED_MARK)).count();
    turn.tool_choice != ToolChoice::None && synthesised < MAX_SYNTHESISED
}

/// Whether the model has another way to call than text: an earlier call has an id that its provider gave it. What latimer itself found
/// or made has one of latimer's, or one that models write into their text.
pub(super) fn calls_natively(turn: &TurnRequest) -> bool {
    let written = |id: &CallId| {
        let id = id.as_str();
        id.contains(SYNTHESISED_MARK)
            || id.starts_with("functions.")
            || id.bytes().all(|byte| byte.is_ascii_digit())
    };
    latest_calls(turn).any(|call| !call.id.is_made_here() && !written(&call.id))
}

/// The calls of the conversation, the last one first.
fn latest_calls(turn: &TurnRequest) -> impl Iterator<Item = &Call> {
    turn.items.iter().rev().filter_map(|item| if let Item::Call(call) = item { Some(call) } else { None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(id: &str, arguments: &str) -> Item {
        Item::Call(Call { id: id.into(), name: "shell".into(), arguments: arguments.into() })
    }

    fn turn(items: Vec<Item>) -> TurnRequest {
        TurnRequest { items, ..TurnRequest::default() }
    }

    #[test]
    fn a_loop_is_three_of_a_kind() {
        let same = || vec![call("1", "{}"), call("2", "{}")];
        assert_eq!(repeated_call(&turn(same())), None);
        let three = turn([same(), vec![call("3", "{}")]].concat());
        assert_eq!(
            repeated_call(&three),
            Some(RepeatedCall { name: "shell".into(), arguments: serde_json::json!({}) })
        );
        assert_eq!(repeated_call(&turn([same(), vec![call("3", "{\"a\":1}")]].concat())), None);
    }

    #[test]
    fn an_id_of_a_provider_shows_that_the_model_calls_natively() {
        let made_here = CallId::made_here("call_", &"0a".repeat(16), 1);
        for (id, natively) in [
            ("call_Xk29dq", true),
            ("toolu_01A", true),
            (made_here.as_str(), false),
            ("call_synthesised_0", false),
            ("functions.shell:0", false),
            ("0", false),
        ] {
            assert_eq!(calls_natively(&turn(vec![call(id, "{}")])), natively, "{id}");
        }
        assert!(!calls_natively(&turn(vec![])));
    }

    #[test]
    fn commands_are_made_three_times_in_a_row_at_most() {
        let synthesised = || call("call_synthesised_0", "{}");
        assert!(may_synthesise(&turn(vec![synthesised(), synthesised()])));
        assert!(!may_synthesise(&turn(vec![synthesised(), synthesised(), synthesised()])));
        assert!(may_synthesise(&turn(vec![synthesised(), synthesised(), synthesised(), call("own", "{}")])));
    }
}
