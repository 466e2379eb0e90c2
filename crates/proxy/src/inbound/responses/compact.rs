//! Compaction: a long history becomes a summary that stands for it. What is asked of the model, and the item the client keeps.
//! Pure.

use latimer_protocol::turn::{Content, Item, Message, OpaqueState, Role, SealKey, StateOwner, TurnRequest};
use serde_json::{Value, json};

/// The most of one tool output that a summary is made of, in characters; its beginning and its end.
const OUTPUT: usize = 3000;
/// What the model is told to do.
const TASK: &str = "You write the hand-off notes of a working session between a person and a coding agent, so that the agent can go on with nothing but your notes. Write down: what the person wants, with every condition and preference they stated; what was decided, and why; what was done, with the paths of all files that were read or changed; commands that matter and what came of them; errors word for word where they are not solved; the state of things now; and what remains to be done, in order. Keep names, numbers, paths and identifiers exactly. Leave out greetings and repetitions. Answer with the notes alone.";

/// Whose carriers hold summaries.
fn owner() -> StateOwner {
    StateOwner { provider: "latimer".to_owned(), family: "compaction".to_owned(), account: None }
}

/// The carrier of a summary, for the item that stands for the history.
pub(super) fn carrier(summary: &str, seal: &SealKey) -> String {
    OpaqueState { owner: owner(), data: summary.to_owned() }.encode(seal)
}

/// The item a carrier stands for; `None` when latimer did not make it.
pub(super) fn unpack(carrier: &str, seal: &SealKey) -> Option<Item> {
    let opaque = OpaqueState::decode(carrier, seal).filter(|opaque| opaque.owner == owner())?;
    let text = format!("Notes on the conversation so far, which was left out:\n{}", opaque.data);
    Some(Item::Message(Message { role: Role::User, content: vec![Content::Text(text)] }))
}

/// The answer of `POST /v1/responses/compact`: the person's messages as the client wrote them, and the item that stands for the
/// rest. `object` is the response that the writer made.
pub fn response(object: &[u8], user_messages: Vec<Value>) -> Vec<u8> {
    let object: Value = serde_json::from_slice(object).unwrap_or_default();
    let summary = object.get("output").and_then(Value::as_array).into_iter().flatten().cloned();
    let output: Vec<Value> = user_messages.into_iter().chain(summary).collect();
    let response = json!({
        "id": object.get("id"),
        "object": "response.compaction",
        "created_at": object.get("created_at"),
        "output": output,
        "usage": object.get("usage"),
    });
    response.to_string().into_bytes()
}

/// The conversation as text, cut into pieces of at most about so many characters. Never empty.
pub fn transcript(items: &[Item], most: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for item in items {
        let Some(line) = line(item) else { continue };
        let mut line = line.as_str();
        while !line.is_empty() {
            let Some(piece) = pieces.last_mut() else { break };
            let room = most.saturating_sub(piece.len());
            if line.len() <= room {
                piece.push_str(line);
                break;
            }
            // A line that fits into a piece of its own is not torn.
            if !piece.is_empty() && line.len() <= most {
                pieces.push(line.to_owned());
                break;
            }
            let cut = (0..=room.min(line.len())).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
            let cut = if cut == 0 && piece.is_empty() {
                line.chars().next().map_or(0, char::len_utf8)
            } else {
                cut
            };
            let (head, tail) = line.split_at(cut);
            piece.push_str(head);
            line = tail;
            pieces.push(String::new());
        }
    }
    pieces.retain(|piece| !piece.is_empty());
    if pieces.is_empty() {
        pieces.push("(nothing was said)\n".to_owned());
    }
    pieces
}

fn line(item: &Item) -> Option<String> {
    Some(match item {
        Item::Message(message) => {
            let who = match message.role {
                // The base prompt stays with the client.
                Role::System => return None,
                Role::User => "Person",
                Role::Assistant => "Agent",
            };
            format!("{who}: {}\n\n", words(&message.content))
        }
        Item::Call(call) => format!("Agent called {}: {}\n\n", call.name, call.arguments),
        Item::Output(output) => format!("Tool answered: {}\n\n", shortened(&words(&output.content))),
        Item::Reasoning(_) => return None,
    })
}

fn words(content: &[Content]) -> String {
    let texts = content.iter().map(|part| match part {
        Content::Text(text) | Content::Refusal(text) => text.as_str(),
        Content::Image(_) => "(an image)",
        Content::File { .. } => "(a file)",
    });
    texts.collect::<Vec<_>>().join("\n")
}

fn shortened(text: &str) -> String {
    let count = text.chars().count();
    if count <= OUTPUT {
        return text.to_owned();
    }
    let head: String = text.chars().take(OUTPUT * 2 / 3).collect();
    let tail: String = text.chars().skip(count - OUTPUT / 3).collect();
    format!("{head}\n(…)\n{tail}")
}

/// The question for one piece of a transcript. `before` are the notes on the pieces before it; `last` says that none follows.
pub fn question(base: &TurnRequest, piece: &str, before: Option<&str>, last: bool) -> TurnRequest {
    let mut text = String::new();
    if let Some(before) = before {
        text.push_str("Your notes on the earlier part of the session:\n\n");
        text.push_str(before);
        text.push_str("\n\nThe session went on:\n\n");
    } else {
        text.push_str("The session:\n\n");
    }
    text.push_str(piece);
    text.push_str(match (before.is_some(), last) {
        (false, true) => "\nWrite the notes.",
        (true, true) => "\nWrite the notes on the whole session: the earlier ones, brought up to date.",
        (_, false) => "\nThe session goes on after this; write the notes so far, complete in themselves.",
    });
    let message =
        |role: Role, text: String| Item::Message(Message { role, content: vec![Content::Text(text)] });
    TurnRequest {
        model: base.model.clone(),
        items: vec![message(Role::System, TASK.to_owned()), message(Role::User, text)],
        reasoning: base.reasoning.clone(),
        ..TurnRequest::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use latimer_protocol::id::CallId;
    use latimer_protocol::turn::{Call, CallOutput};

    #[test]
    fn the_answer_holds_what_the_person_wrote_and_the_summary() {
        let object =
            json!({ "id": "resp_1", "created_at": 1, "output": [{ "type": "compaction" }], "usage": null });
        let response =
            response(object.to_string().as_bytes(), vec![json!({ "role": "user", "content": "a" })]);
        let response: Value = serde_json::from_slice(&response).expect("JSON");
        assert_eq!(response["output"], json!([{ "role": "user", "content": "a" }, { "type": "compaction" }]));
        assert_eq!((&response["id"], &response["object"]), (&json!("resp_1"), &json!("response.compaction")));
    }

    fn message(role: Role, text: &str) -> Item {
        Item::Message(Message { role, content: vec![Content::Text(text.into())] })
    }

    #[test]
    fn a_session_as_text() {
        let items = [
            message(Role::System, "rules"),
            message(Role::User, "make a file"),
            Item::Call(Call {
                id: CallId::from("c"),
                name: "exec".into(),
                arguments: "{\"cmd\":\"ls\"}".into(),
            }),
            Item::Output(CallOutput {
                id: CallId::from("c"),
                content: vec![Content::Text("x".repeat(5000))],
            }),
            message(Role::Assistant, "done"),
        ];
        let text = transcript(&items, 1 << 20).join("");
        assert!(
            text.starts_with(
                "Person: make a file\n\nAgent called exec: {\"cmd\":\"ls\"}\n\nTool answered: xxx"
            )
        );
        assert!(text.ends_with("\n\nAgent: done\n\n") && text.len() < 4000, "{}", text.len());
        assert!(!text.contains("rules"));
    }

    #[test]
    fn a_summary_comes_back_as_words_and_a_foreign_one_does_not() {
        let carrier = carrier("we made a file", &SealKey::default());
        let Some(Item::Message(message)) = unpack(&carrier, &SealKey::default()) else { panic!("ours") };
        assert!(words(&message.content).contains("we made a file"));
        assert_eq!(unpack("gAAAA", &SealKey::default()), None);
        let other = OpaqueState { owner: StateOwner::new("openai", "gpt"), data: "x".into() }
            .encode(&SealKey::default());
        assert_eq!(unpack(&other, &SealKey::default()), None);
    }

    proptest::proptest! {
        #[test]
        fn pieces_hold_everything_and_fit(texts in proptest::collection::vec("[aż\n]{0,40}", 0..12), most in 1usize..60) {
            let items: Vec<Item> = texts.iter().map(|text| message(Role::User, text)).collect();
            let pieces = transcript(&items, most);
            let whole = transcript(&items, usize::MAX);
            proptest::prop_assert_eq!(pieces.concat(), whole.concat());
            proptest::prop_assert!(pieces.iter().all(|piece| piece.len() <= most.max(2) || pieces.len() == 1));
        }
    }
}
