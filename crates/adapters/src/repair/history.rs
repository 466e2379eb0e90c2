//! What the conversation so far says about repairing its next answer. Everything is read from the request: no memory is kept, so it
//! holds after a restart and on another node, and nothing of one conversation reaches another.

use latimer_protocol::turn::{Content, Item, Role, ToolChoice, TurnRequest};
use toolcall_parser::intent::urls;

use super::Stuck;

/// The same call so often in a row means that the model is stuck.
const MOST_REPEATS: usize = 3;
/// Calls made for the model, so often in a row, are enough.
const MOST_SYNTHESISED: usize = 3;
/// Marks the id of a call that was made for the model.
const SYNTHESISED: &str = "synthesised";
/// Addresses that are remembered.
const MOST_URLS: usize = 8;

/// The id for a call that is made for the model.
pub(super) fn synthesised_id(slot: u32) -> String {
    format!("{SYNTHESISED}_{slot}")
}

/// The call that each of the last turns made, if they all made the same one.
pub(super) fn repeated_call(turn: &TurnRequest) -> Option<Stuck> {
    let mut last = turn
        .items
        .iter()
        .rev()
        .filter_map(|item| if let Item::Call(call) = item { Some(call) } else { None });
    let first = last.next()?;
    let repeats =
        1 + last.take_while(|call| call.name == first.name && call.arguments == first.arguments).count();
    let arguments = serde_json::from_str(&first.arguments).ok()?;
    (repeats >= MOST_REPEATS).then(|| Stuck { name: first.name.clone(), arguments })
}

/// Whether a command may be made for the model at all: the turn lets it call, and the last calls were not all made so.
pub(super) fn may_synthesise(turn: &TurnRequest) -> bool {
    let calls = turn
        .items
        .iter()
        .rev()
        .filter_map(|item| if let Item::Call(call) = item { Some(call) } else { None });
    let made = calls.take_while(|call| call.id.to_string().contains(SYNTHESISED)).count();
    turn.tool_choice != ToolChoice::None && made < MOST_SYNTHESISED
}

/// The addresses that the person named, the last ones of many.
pub(super) fn urls_of_the_person(turn: &TurnRequest) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for item in &turn.items {
        let Item::Message(message) = item else { continue };
        if message.role != Role::User {
            continue;
        }
        for content in &message.content {
            let Content::Text(text) = content else { continue };
            for url in urls(text) {
                if !found.contains(&url) {
                    found.push(url);
                }
            }
        }
    }
    found.split_off(found.len().saturating_sub(MOST_URLS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use latimer_protocol::turn::{Call, Message};

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
            Some(Stuck { name: "shell".into(), arguments: serde_json::json!({}) })
        );
        assert_eq!(repeated_call(&turn([same(), vec![call("3", "{\"a\":1}")]].concat())), None);
    }

    #[test]
    fn commands_are_made_three_times_in_a_row_at_most() {
        let made = || call("call_synthesised_0", "{}");
        assert!(may_synthesise(&turn(vec![made(), made()])));
        assert!(!may_synthesise(&turn(vec![made(), made(), made()])));
        assert!(may_synthesise(&turn(vec![made(), made(), made(), call("own", "{}")])));
    }

    #[test]
    fn only_what_the_person_wrote_is_remembered() {
        let say =
            |role, text: &str| Item::Message(Message { role, content: vec![Content::Text(text.into())] });
        let items =
            vec![say(Role::User, "see https://a.example/x"), say(Role::Assistant, "https://b.example")];
        assert_eq!(urls_of_the_person(&turn(items)), ["https://a.example/x"]);
    }
}
