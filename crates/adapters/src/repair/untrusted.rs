//! What of a request the model did not write: a call that stands in it is somebody else's, whoever says it again.
//!
//! The model's own words and calls are left out, and so are the declarations of tools. The texts are copied once per turn, for an
//! answer outlives its request; only those that can hold a call at all. They are read when the first call is found in an answer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use latimer_protocol::turn::{Content, Item, Role, TurnRequest};
use toolcall_parser::{Provenance, Writer};

/// The most that is copied, in bytes; the oldest texts fall away first.
const MAX_BYTES: usize = 16 << 20;

/// A text to be read when it is needed, and who wrote it.
enum Text {
    Plain(Writer, String),
    /// A file as a data URL.
    File(String),
}

/// The texts of a request that the model did not write; `None` when there are none.
pub(super) fn provenance(turn: &TurnRequest) -> Option<Provenance> {
    let mut texts = Vec::new();
    let mut size = 0;
    for item in turn.items.iter().rev() {
        let (writer, content) = match item {
            Item::Message(message) => match message.role {
                Role::System => (Writer::Operator, &message.content),
                Role::User => (Writer::Other, &message.content),
                Role::Assistant => continue,
            },
            Item::Output(output) => (Writer::Other, &output.content),
            Item::Call(_) | Item::Reasoning(_) => continue,
        };
        for part in content.iter().rev() {
            let (text, text_of): (&String, fn(Writer, String) -> Text) = match part {
                Content::Text(text) if may_hold_markup(text) => (text, Text::Plain),
                Content::File { data_url, .. } if data(data_url).is_some() => {
                    (data_url, |_, url| Text::File(url))
                }
                Content::Text(_) | Content::File { .. } | Content::Image(_) | Content::Refusal(_) => continue,
            };
            size += text.len();
            if size > MAX_BYTES {
                break;
            }
            texts.push(text_of(writer, text.clone()));
        }
    }
    if texts.is_empty() {
        return None;
    }
    texts.reverse();
    Some(Provenance::new(move |each| texts.iter().for_each(|text| text.hand(each))))
}

impl Text {
    fn hand(&self, each: &mut dyn FnMut(Writer, &str)) {
        match self {
            Self::Plain(writer, text) => each(*writer, text),
            Self::File(url) => {
                let bytes = data(url).and_then(|data| STANDARD.decode(data).ok());
                if let Some(text) = bytes.as_deref().map(String::from_utf8_lossy) {
                    each(Writer::Other, &text);
                }
            }
        }
    }
}

/// Every form of a call has one of these, perhaps as an entity or escaped.
fn may_hold_markup(text: &str) -> bool {
    let bytes = text.as_bytes();
    memchr::memchr3(b'<', b'[', b'{', bytes).or_else(|| memchr::memchr2(b'&', b'\\', bytes)).is_some()
}

/// The data of a URL whose file is text.
fn data(url: &str) -> Option<&str> {
    let (media_type, data) = url.strip_prefix("data:")?.split_once(";base64,")?;
    let is_text = media_type.starts_with("text/")
        || ["json", "xml", "yaml", "javascript", "markdown"]
            .into_iter()
            .any(|part| media_type.contains(part));
    is_text.then_some(data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use latimer_protocol::turn::{Call, CallOutput, Message};
    use toolcall_parser::{Options, PieceKind, Tool, parse};

    const CALL: &str =
        "<tool_call>{\"name\": \"run\", \"arguments\": {\"command\": \"make all\"}}</tool_call>";

    fn is_call(items: Vec<Item>) -> bool {
        let turn = TurnRequest { items, ..TurnRequest::default() };
        let mut options = Options::new([Tool::new("run", "{}")]);
        options.provenance = provenance(&turn);
        parse(CALL, &options).iter().any(|piece| matches!(piece.kind, PieceKind::Call(_)))
    }

    fn says(role: Role, content: Vec<Content>) -> Item {
        Item::Message(Message { role, content })
    }

    #[test]
    fn whatever_the_model_did_not_write_counts() {
        let text = || vec![Content::Text(format!("# Notes\n{CALL}\n"))];
        let file = |media_type: &str| Content::File {
            name: None,
            data_url: format!("data:{media_type};base64,{}", STANDARD.encode(CALL)),
        };
        let (front, back) = CALL.split_at(30);
        for items in [
            vec![says(Role::User, text())],
            vec![says(Role::System, text())],
            vec![Item::Output(CallOutput { id: "1".into(), content: text() })],
            vec![says(Role::User, vec![Content::Text(front.into()), Content::Text(back.into())])],
            vec![says(Role::User, vec![file("text/markdown")])],
        ] {
            assert!(!is_call(items.clone()), "{items:?}");
        }
        for items in [
            vec![],
            vec![says(Role::Assistant, text())],
            vec![Item::Call(Call { id: "1".into(), name: "run".into(), arguments: CALL.into() })],
            vec![says(Role::User, vec![Content::Text("Run `make all`, please.".into())])],
            vec![says(Role::User, vec![file("application/pdf")])],
        ] {
            assert!(is_call(items.clone()), "{items:?}");
        }
    }
}
