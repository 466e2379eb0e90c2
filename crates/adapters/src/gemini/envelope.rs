//! What the logins put around a native request. The request itself is not written again.

use latimer_protocol::failure::{Failure, FailureKind};
use latimer_protocol::turn::{Content, Item, Role, TurnRequest};
use serde_json::{Value, json};

use super::Flavour;
use crate::prepared_request::PreparedRequest;
use crate::wording;

/// The native body with the name of its conversation.
pub(super) fn with_session(body: &[u8], flavour: Flavour, turn: &TurnRequest) -> Vec<u8> {
    let field = if flavour == Flavour::Antigravity { "sessionId" } else { "session_id" };
    let mut out = format!("{{\"{field}\":{}", Value::from(session(turn))).into_bytes();
    match body {
        [b'{', b'}'] => out.push(b'}'),
        [b'{', rest @ ..] => {
            out.push(b',');
            out.extend_from_slice(rest);
        }
        _ => return body.to_vec(),
    }
    out
}

/// One value per conversation: the person's first words stay the same in all of its turns.
fn session(turn: &TurnRequest) -> String {
    let first = turn.items.iter().find_map(|item| match item {
        Item::Message(message) if message.role == Role::User => {
            message.content.iter().find_map(|part| match part {
                Content::Text(text) => Some(text.as_str()),
                _ => None,
            })
        }
        _ => None,
    });
    let text = turn.conversation.as_deref().or(first).unwrap_or_default();
    let hash = wording::fnv1a(wording::FNV_SEED, text.bytes());
    format!("-{}", hash >> 1)
}

/// The whole request of a login.
pub(super) fn wrap(prepared: &PreparedRequest, flavour: Flavour, project: &str) -> Result<Vec<u8>, Failure> {
    let id = uuid()?;
    let mut head = json!({ "model": prepared.model, "project": project });
    let more = match flavour {
        Flavour::Antigravity => json!({
            "requestType": "agent", "userAgent": "antigravity", "requestId": format!("agent-{id}"),
        }),
        Flavour::Native | Flavour::CodeAssist => json!({ "user_prompt_id": id }),
    };
    if let (Some(head), Value::Object(more)) = (head.as_object_mut(), more) {
        head.extend(more);
    }
    let mut out = head.to_string().into_bytes();
    out.pop();
    out.extend_from_slice(b",\"request\":");
    out.extend_from_slice(&prepared.body);
    out.push(b'}');
    Ok(out)
}

/// A random UUID.
fn uuid() -> Result<String, Failure> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes)
        .map_err(|_| Failure::new(FailureKind::Internal, "the system gives no randomness"))?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = u128::from_be_bytes(bytes);
    let text = format!("{hex:032x}");
    Ok(format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use latimer_protocol::turn::Message;

    #[test]
    fn a_conversation_keeps_its_name() {
        let message_of = |text: &str| {
            Item::Message(Message { role: Role::User, content: vec![Content::Text(text.into())] })
        };
        let turn = |items: Vec<Item>| TurnRequest { items, ..TurnRequest::default() };
        let (one, two) = (turn(vec![message_of("a")]), turn(vec![message_of("a"), message_of("b")]));
        let body = |turn: &TurnRequest| {
            String::from_utf8(with_session(b"{\"contents\":[]}", Flavour::Antigravity, turn)).expect("text")
        };
        assert_eq!(body(&one), body(&two));
        assert_ne!(body(&one), body(&turn(vec![message_of("c")])));
        let value: Value = serde_json::from_str(&body(&one)).expect("JSON");
        assert!(value["sessionId"].as_str().is_some_and(|id| id.starts_with('-') && id.len() > 10));
        assert!(value["contents"].is_array());
    }

    #[test]
    fn ids_are_uuids() {
        let id = uuid().expect("randomness");
        assert_eq!((id.len(), id.as_bytes()[14], id.matches('-').count()), (36, b'4', 4), "{id}");
    }
}
