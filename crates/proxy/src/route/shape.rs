//! A history within the size an endpoint is given: old outputs are shortened, and where there are too many items the middle
//! becomes a summary of itself. Nothing happens silently. Pure.
//!
//! Invariant: a call and its output stay together; the base prompt and the person's last message stay as they are.

use latimer_protocol::turn::{Call, CallOutput, Content, Item, Message, Note, Role};

use crate::config::History;

/// Fewer items than this are never asked for.
pub const MIN_ITEMS: usize = 6;
/// Characters of each remembered request and answer in a summary.
const REMEMBERED: usize = 300;

/// The shaped history, and a note for each change; `None` when nothing had to change.
pub fn shape(items: &[Item], history: &History, max_items: Option<usize>) -> Option<(Vec<Item>, Vec<Note>)> {
    let mut notes = Vec::new();
    let limit = [history.max_items, max_items].into_iter().flatten().min();
    let fewer = limit.filter(|limit| items.len() > *limit).and_then(|limit| fewer(items, limit, &mut notes));
    let mut shaped = fewer.unwrap_or_default();
    let source: &[Item] = if shaped.is_empty() { items } else { &shaped };
    if let Some(shorter) = shorter(source, history, &mut notes) {
        shaped = shorter;
    }
    (!shaped.is_empty()).then_some((shaped, notes))
}

/// Shortens outputs: the newest ones less than the older ones.
fn shorter(items: &[Item], history: &History, notes: &mut Vec<Note>) -> Option<Vec<Item>> {
    let outputs = items.iter().filter(|item| matches!(item, Item::Output(_))).count();
    let old = outputs.saturating_sub(history.newest);
    let mut seen = 0;
    let mut cut = 0;
    let shaped: Vec<Item> = items
        .iter()
        .map(|item| {
            let Item::Output(output) = item else { return item.clone() };
            seen += 1;
            let limit = if seen <= old { history.old_outputs } else { history.new_outputs };
            let Some(limit) = limit else { return item.clone() };
            let mut output = output.clone();
            for part in &mut output.content {
                if let Content::Text(text) = part
                    && let Some(shorter) = middle_out(text, limit)
                {
                    *text = shorter;
                    cut += 1;
                }
            }
            Item::Output(output)
        })
        .collect();
    if cut == 0 {
        return None;
    }
    notes.push(Note::request(format!("{cut} tool outputs were shortened to fit this endpoint")));
    Some(shaped)
}

/// The beginning and the end of a text that is too long: errors tend to stand at the end.
fn middle_out(text: &str, limit: usize) -> Option<String> {
    if text.len() <= limit {
        return None;
    }
    let count = text.chars().count();
    let left_out = count.checked_sub(limit).filter(|more| *more > 0)?;
    let head = limit - limit / 4;
    let end = text.char_indices().nth(head).map_or(text.len(), |(at, _)| at);
    let start = text.char_indices().nth(head + left_out).map_or(text.len(), |(at, _)| at);
    Some(format!("{}\n(… {left_out} characters were left out here …)\n{}", &text[..end], &text[start..]))
}

/// Replaces the middle of a history by a summary of itself.
fn fewer(items: &[Item], limit: usize, notes: &mut Vec<Note>) -> Option<Vec<Item>> {
    let limit = limit.max(MIN_ITEMS);
    let head = items
        .iter()
        .position(|item| !matches!(item, Item::Message(message) if message.role == Role::System))
        .unwrap_or(items.len());
    let keep = limit.saturating_sub(head + 2).max(MIN_ITEMS - 2);
    let mut start = items.len().saturating_sub(keep).max(head);
    // A tail begins where nothing before it belongs to it.
    while start > head && !begins_anew(items, start) {
        start -= 1;
    }
    let middle = items.get(head..start).filter(|middle| middle.len() > 1)?;
    let last_question = items.iter().rposition(|item| is_by(item, Role::User));
    let mut shaped = items.get(..head)?.to_vec();
    shaped.push(Item::Message(Message { role: Role::User, content: vec![Content::Text(summary(middle))] }));
    if let Some(last_question) = last_question.filter(|last_question| (head..start).contains(last_question)) {
        shaped.extend(items.get(last_question).cloned());
    }
    shaped.extend_from_slice(items.get(start..)?);
    notes.push(Note::request(format!(
        "{} of {} items were replaced by a summary: this endpoint takes at most {limit}",
        middle.len(),
        items.len()
    )));
    Some(shaped)
}

/// Whether a tail may begin at this item: no output without its call, and no half of a run of calls.
fn begins_anew(items: &[Item], at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|before| items.get(before));
    match (items.get(at), before) {
        (Some(Item::Output(_)), _) => false,
        (Some(Item::Call(_)), Some(Item::Call(_) | Item::Reasoning(_))) => false,
        _ => !open_calls(items, at),
    }
}

/// Whether a call before this place is answered behind it.
fn open_calls(items: &[Item], at: usize) -> bool {
    let (before, behind) = items.split_at(at.min(items.len()));
    behind.iter().any(|item| {
        matches!(item, Item::Output(output)
            if before.iter().rev().take(64).any(|item| matches!(item, Item::Call(call) if call.id == output.id)))
    })
}

fn is_by(item: &Item, role: Role) -> bool {
    matches!(item, Item::Message(message) if message.role == role)
}

/// What a part of a conversation was about: its last requests, answers and actions.
fn summary(items: &[Item]) -> String {
    let last_words_of =
        |role: Role| items.iter().rev().filter(move |item| is_by(item, role)).take(3).map(words);
    let actions = items.iter().rev().filter_map(|item| match item {
        Item::Call(call) => Some(action(call)),
        _ => None,
    });
    let mut lines = vec![format!(
        "Summary of an earlier part of this conversation ({} items, left out here):",
        items.len()
    )];
    let mut list = |title: &str, newest_first: Vec<String>| {
        if !newest_first.is_empty() {
            lines.push(title.to_owned());
            lines.extend(newest_first.into_iter().rev().map(|text| format!("- {text}")));
        }
    };
    list("The person asked:", last_words_of(Role::User).collect());
    list("The assistant answered:", last_words_of(Role::Assistant).collect());
    list("The last actions were:", actions.take(5).collect());
    lines.join("\n")
}

fn words(item: &Item) -> String {
    let (Item::Message(Message { content, .. }) | Item::Output(CallOutput { content, .. })) = item else {
        return String::new();
    };
    let texts = content.iter().filter_map(|part| match part {
        Content::Text(text) | Content::Refusal(text) => Some(text.as_str()),
        Content::Image(_) | Content::File { .. } => None,
    });
    let text = texts.collect::<Vec<_>>().join(" ");
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(REMEMBERED).collect()
}

fn action(call: &Call) -> String {
    let arguments: String = call.arguments.chars().take(120).collect();
    format!("{} {arguments}", call.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use latimer_protocol::id::CallId;

    fn items(script: &str) -> Vec<Item> {
        script
            .split_whitespace()
            .map(|word| {
                let (kind, id) = word.split_at(1);
                let content = vec![Content::Text(id.to_owned())];
                match kind {
                    "c" => {
                        Item::Call(Call { id: CallId::from(id), name: "t".into(), arguments: "{}".into() })
                    }
                    "o" => Item::Output(CallOutput { id: CallId::from(id), content }),
                    "s" => Item::Message(Message { role: Role::System, content }),
                    "a" => Item::Message(Message { role: Role::Assistant, content }),
                    _ => Item::Message(Message { role: Role::User, content }),
                }
            })
            .collect()
    }

    fn shown(items: &[Item]) -> String {
        let word = |item: &Item| match item {
            Item::Call(call) => format!("c{}", call.id),
            Item::Output(output) => format!("o{}", output.id),
            Item::Reasoning(_) => "r".into(),
            Item::Message(message) if words(item).starts_with("Summary") => {
                assert_eq!(message.role, Role::User);
                "S".into()
            }
            item @ Item::Message(_) => words(item),
        };
        items.iter().map(word).collect::<Vec<_>>().join(" ")
    }

    fn output(text: String) -> Item {
        Item::Output(CallOutput { id: CallId::from("1"), content: vec![Content::Text(text)] })
    }

    #[test]
    fn old_outputs_are_shortened_more_than_new_ones() {
        let history = History { new_outputs: Some(20), old_outputs: Some(8), newest: 1, ..History::WHOLE };
        let long = "ą".repeat(30);
        let items = [output(long.clone()), output("short".into()), output(long)];
        let (shaped, notes) = shape(&items, &history, None).expect("changed");
        let lengths: Vec<usize> =
            shaped.iter().map(|item| words(item).chars().filter(|c| *c == 'ą').count()).collect();
        assert_eq!(lengths, [8, 0, 20]);
        assert_eq!(notes, [Note::request("2 tool outputs were shortened to fit this endpoint")]);
        assert_eq!(shape(&items[1..2], &history, None), None, "what fits is left alone");
        assert_eq!(shape(&items, &History::WHOLE, None), None);
    }

    #[test]
    fn the_middle_becomes_a_summary() {
        let history = History::WHOLE;
        let all = items("sA uB c1 o1 c2 o2 c3 o3 aC uD c4 o4 c5 o5");
        let (shaped, notes) = shape(&all, &history, Some(8)).expect("changed");
        assert_eq!(shown(&shaped), "A S D c4 o4 c5 o5");
        assert!(notes[0].to_string().contains("items were replaced by a summary"), "{notes:?}");
        let one_run = items("sA uB c1 c2 c3 c4 c5 c6 o1 o2 o3 o4 o5 o6");
        assert_eq!(shape(&one_run, &history, Some(6)), None, "a run of calls is not cut");
    }

    proptest::proptest! {
        #[test]
        fn calls_keep_their_outputs_and_the_person_the_last_word(
            turns in proptest::collection::vec("(u|a|co|cco)", 1..30),
            limit in 0usize..20,
        ) {
            let mut script = vec!["sX".to_owned(), "uFirst".to_owned()];
            for (turn, kind) in turns.iter().enumerate() {
                let calls = kind.matches('c').count();
                if calls == 0 {
                    script.push(format!("{kind}{turn}"));
                }
                for letter in ['c', 'o'] {
                    script.extend((0..calls).map(|call| format!("{letter}{turn}_{call}")));
                }
            }
            let all = items(&script.join(" "));
            let shaped = shape(&all, &History::WHOLE, Some(limit)).map_or(all.clone(), |(shaped, _)| shaped);
            let text = shown(&shaped);
            let ids = |kind: char| {
                let words = text.split(' ').filter_map(|word| word.strip_prefix(kind));
                let mut ids: Vec<&str> = words.filter(|id| id.contains('_')).collect();
                ids.sort_unstable();
                ids
            };
            proptest::prop_assert_eq!(ids('c'), ids('o'), "{}", text);
            let last = all.iter().rev().find(|item| is_by(item, Role::User)).map(words).expect("there is one");
            proptest::prop_assert!(text.split(' ').any(|word| word == last), "{} lacks {}", text, last);
            proptest::prop_assert!(text.starts_with('X'));
        }
    }
}
