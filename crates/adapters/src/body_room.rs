//! How long a body will be, so that its buffer is made once.

use latimer_protocol::turn::{Content, Item, Tool, TurnRequest};

/// What stands around a text: its role, its keys, its name.
const AROUND: usize = 96;

/// The bytes that a turn may need on a wire: its texts, and a sixteenth more for their escapes. A guess; a buffer that is too short grows.
pub(crate) fn room(turn: &TurnRequest) -> usize {
    let texts = turn.items.iter().map(item).chain(turn.tools.iter().map(tool)).sum::<usize>();
    512 + texts + texts / 16
}

fn item(item: &Item) -> usize {
    AROUND
        + match item {
            Item::Message(message) => content(&message.content),
            Item::Reasoning(reasoning) => reasoning.text.len(),
            Item::Call(call) => call.name.len() + call.arguments.len(),
            Item::Output(output) => content(&output.content),
        }
}

fn content(parts: &[Content]) -> usize {
    parts
        .iter()
        .map(|part| match part {
            Content::Text(text) | Content::Refusal(text) => text.len(),
            Content::Image(image) => image.url.len(),
            Content::File { data_url, .. } => data_url.len(),
        })
        .sum()
}

fn tool(tool: &Tool) -> usize {
    AROUND
        + tool.description.as_ref().map_or(0, String::len)
        + tool.parameters.as_ref().map_or(0, |schema| schema.get().len())
}

#[cfg(test)]
mod tests {
    use latimer_protocol::turn::{Message, Role};

    use super::*;

    #[test]
    fn a_long_text_has_room() {
        let text = "word ".repeat(2000);
        let message = Message { role: Role::User, content: vec![Content::Text(text.clone())] };
        let turn = TurnRequest { items: vec![Item::Message(message)], ..TurnRequest::default() };
        assert!((text.len()..text.len() * 9 / 8 + 2048).contains(&room(&turn)));
    }
}
