//! The name of a conversation in the form the provider wants: a UUID that stays the same for all of its turns. Pure.

use latimer_protocol::turn::{Content, Item, Message, Role, TurnRequest};

use crate::wording;

/// The conversation's own name where it is a UUID, else one made of the name; without a name, of what was said before the first
/// answer, which is sent again with each turn.
pub(super) fn of(turn: &TurnRequest) -> String {
    match turn.conversation.as_deref() {
        Some(name) if is_uuid(name) => name.to_owned(),
        Some(name) => uuid(&[name].into_iter()),
        None => uuid(&beginning(&turn.items)),
    }
}

fn is_uuid(text: &str) -> bool {
    let fits = |(at, c): (usize, char)| {
        if matches!(at, 8 | 13 | 18 | 23) { c == '-' } else { c.is_ascii_hexdigit() }
    };
    text.len() == 36 && text.char_indices().all(fits)
}

fn beginning(items: &[Item]) -> impl Iterator<Item = &str> + Clone {
    let messages = items.iter().map_while(|item| match item {
        Item::Message(Message { role: Role::System | Role::User, content }) => Some(content),
        _ => None,
    });
    messages.flatten().filter_map(|part| match part {
        Content::Text(text) => Some(text.as_str()),
        _ => None,
    })
}

/// FNV-1a, twice: it names, and need not resist anybody.
fn uuid<'a>(texts: &(impl Iterator<Item = &'a str> + Clone)) -> String {
    let half = |seed: u64| {
        // No text holds the byte that stands between two of them.
        wording::fnv1a(seed, texts.clone().flat_map(|text| text.bytes().chain([0xff])))
    };
    let hex = format!("{:016x}{:016x}", half(wording::FNV_SEED), half(0x6c62_272e_07bb_0142));
    format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(name: Option<&str>, messages: &[(Role, &str)]) -> String {
        let message = |(role, text): &(Role, &str)| {
            Item::Message(Message { role: *role, content: vec![Content::Text((*text).into())] })
        };
        let items = messages.iter().map(message).collect();
        of(&TurnRequest { conversation: name.map(str::to_owned), items, ..TurnRequest::default() })
    }

    #[test]
    fn one_name_for_all_turns_of_a_conversation() {
        let own = "0198c0de-0000-7000-8000-00000000abcd";
        assert_eq!(turn(Some(own), &[]), own);
        let (first, more) = ([(Role::User, "a"), (Role::User, "b")], (Role::Assistant, "c"));
        assert!(is_uuid(&turn(None, &first)));
        assert_eq!(turn(None, &first), turn(None, &[first[0], first[1], more, (Role::User, "d")]));
        let others = [
            turn(None, &[]),
            turn(None, &first[..1]),
            turn(None, &[(Role::User, "ab")]),
            turn(Some("a"), &[]),
            turn(Some("thread-é"), &first),
        ];
        assert!(others.iter().all(|other| is_uuid(other) && *other != turn(None, &first)), "{others:?}");
        assert_eq!(turn(Some("a"), &first), turn(Some("a"), &[]), "its name is enough");
    }
}
