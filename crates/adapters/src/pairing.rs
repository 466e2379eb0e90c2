//! Every call gets one output right behind it: strict providers refuse anything else, and histories are broken by
//! interrupted turns, crashes and other proxies.
//!
//! Invariant: in the order that comes out, each output follows the run of calls it belongs to, every call has exactly one
//! output, and no message stands between.

use std::collections::{HashMap, HashSet};

use latimer_protocol::turn::{Call, CallOutput, Content, Item, Note};

/// What a call without an output is answered with.
pub const NO_OUTPUT: &str = "no output was recorded";

/// The most of an orphaned output that is shown to the model.
const MAX_ORPHAN_LEN: usize = 4000;

/// The words that an output without its call becomes.
pub fn orphan_text(output: &CallOutput) -> String {
    let texts = output.content.iter().filter_map(|part| match part {
        Content::Text(text) | Content::Refusal(text) => Some(text.as_str()),
        Content::Image(_) | Content::File { .. } => None,
    });
    let text: String = texts.collect::<Vec<_>>().join("\n").chars().take(MAX_ORPHAN_LEN).collect();
    format!("Output of an earlier tool call that is no longer part of this conversation:\n{text}")
}

/// One step of a well-paired conversation.
#[derive(Debug, PartialEq)]
pub enum PairedItem<'a> {
    /// A message or thoughts.
    Item(&'a Item),
    /// A call; its output follows behind the run of calls it stands in.
    Call(&'a Call, String),
    /// The output of a call; `None` when none was recorded.
    Output(Option<&'a CallOutput>, String),
    /// An output of a call that is not in the history.
    Orphan(&'a CallOutput),
}

/// Whether every call has its one output, right behind it.
pub fn is_paired(items: &[Item]) -> bool {
    let mut notes = Vec::new();
    pair(items, &mut notes);
    notes.is_empty()
}

/// Brings calls and outputs into order. A repeated id is renamed on both sides, the last output of a call wins.
pub fn pair<'a>(items: &'a [Item], notes: &mut Vec<Note>) -> Vec<PairedItem<'a>> {
    let mut outputs = collect(items);
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let known: HashSet<&str> = items
        .iter()
        .filter_map(|item| if let Item::Call(call) = item { Some(call.id.as_str()) } else { None })
        .collect();
    let mut steps = Vec::with_capacity(items.len());
    let mut open: Vec<(String, Option<&CallOutput>)> = Vec::new();
    let mut open_ids: HashSet<&str> = HashSet::new();
    let mut waiting: Vec<&Item> = Vec::new();
    for (place, item) in items.iter().enumerate() {
        match item {
            Item::Call(call) => {
                // A call behind an output or a message begins a new run.
                if !waiting.is_empty() {
                    close(&mut open, &mut waiting, &mut steps, notes);
                    open_ids.clear();
                }
                let count = seen.entry(call.id.as_str()).or_default();
                *count += 1;
                let id = if *count == 1 {
                    call.id.to_string()
                } else {
                    notes.push(Note::request("a call id that stood there twice was renamed"));
                    format!("{}_{count}", call.id)
                };
                let output = outputs.get_mut(call.id.as_str()).and_then(Vec::pop);
                steps.push(PairedItem::Call(call, id.clone()));
                open.push((id, output));
                open_ids.insert(call.id.as_str());
            }
            Item::Output(output) if known.contains(output.id.as_str()) => {
                if open_ids.contains(output.id.as_str()) {
                    // The run is answered: what comes behind belongs to the next one.
                    open_ids.remove(output.id.as_str());
                    if open_ids.is_empty() {
                        close(&mut open, &mut waiting, &mut steps, notes);
                    }
                }
            }
            Item::Output(output) => {
                notes.push(Note::request("a tool output without its call was sent as a user message"));
                if open.is_empty() { steps.push(PairedItem::Orphan(output)) } else { waiting.push(item) }
            }
            // Thoughts between the calls of one answer stay where they are.
            Item::Reasoning(_)
                if waiting.is_empty()
                    && open_ids.len() == open.len()
                    && matches!(items.get(place + 1), Some(Item::Call(_))) =>
            {
                steps.push(PairedItem::Item(item));
            }
            Item::Message(_) | Item::Reasoning(_) if !open.is_empty() => waiting.push(item),
            Item::Message(_) | Item::Reasoning(_) => steps.push(PairedItem::Item(item)),
        }
    }
    close(&mut open, &mut waiting, &mut steps, notes);
    steps
}

/// The outputs of each id, in order.
fn collect(items: &[Item]) -> HashMap<&str, Vec<&CallOutput>> {
    let mut outputs: HashMap<&str, Vec<&CallOutput>> = HashMap::new();
    for item in items {
        if let Item::Output(output) = item {
            outputs.entry(output.id.as_str()).or_default().push(output);
        }
    }
    let mut calls: HashMap<&str, usize> = HashMap::new();
    for item in items {
        if let Item::Call(call) = item {
            *calls.entry(call.id.as_str()).or_default() += 1;
        }
    }
    for (id, queue) in &mut outputs {
        let calls = calls.get(id).copied().unwrap_or(0);
        // Of more outputs than calls the last ones count. Popping takes from the end.
        queue.drain(..queue.len().saturating_sub(calls));
        queue.reverse();
    }
    outputs
}

/// Writes the outputs of the open run, then what had to wait for them.
fn close<'a>(
    open: &mut Vec<(String, Option<&'a CallOutput>)>,
    waiting: &mut Vec<&'a Item>,
    steps: &mut Vec<PairedItem<'a>>,
    notes: &mut Vec<Note>,
) {
    for (id, output) in open.drain(..) {
        if output.is_none() {
            notes.push(Note::request("a call without an output was answered with a stand-in"));
        }
        steps.push(PairedItem::Output(output, id));
    }
    for item in waiting.drain(..) {
        steps.push(match item {
            Item::Output(output) => PairedItem::Orphan(output),
            item => PairedItem::Item(item),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use latimer_protocol::id::CallId;
    use latimer_protocol::turn::{Message, Role};

    fn items(script: &str) -> Vec<Item> {
        script
            .split_whitespace()
            .map(|word| {
                let (kind, id) = word.split_at(1);
                match kind {
                    "c" => {
                        Item::Call(Call { id: CallId::from(id), name: "t".into(), arguments: "{}".into() })
                    }
                    "o" => {
                        let (id, text) = id.split_once('=').unwrap_or((id, id));
                        Item::Output(CallOutput {
                            id: CallId::from(id),
                            content: vec![Content::Text(text.into())],
                        })
                    }
                    "r" => Item::Reasoning(latimer_protocol::turn::ReasoningItem::default()),
                    _ => Item::Message(Message { role: Role::User, content: vec![Content::Text(id.into())] }),
                }
            })
            .collect()
    }

    fn shown(script: &str) -> String {
        let items = items(script);
        let word = |content: &[Content]| match content {
            [Content::Text(text)] => text.clone(),
            _ => "?".into(),
        };
        pair(&items, &mut Vec::new())
            .iter()
            .map(|step| match step {
                PairedItem::Item(Item::Message(message)) => format!("m{}", word(&message.content)),
                PairedItem::Item(_) => "r".into(),
                PairedItem::Call(_, id) => format!("c{id}"),
                PairedItem::Output(Some(output), id) => format!("o{id}={}", word(&output.content)),
                PairedItem::Output(None, id) => format!("o{id}!"),
                PairedItem::Orphan(output) => format!("orphan={}", word(&output.content)),
            })
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn histories_of_every_kind() {
        let cases = [
            ("m1 c1 o1 m2", "m1 c1 o1=1 m2"),
            ("c1 c2 o1 o2", "c1 c2 o1=1 o2=2"),
            ("c1 c2 o2 o1", "c1 c2 o1=1 o2=2"),
            ("c1 mx o1 m2", "c1 o1=1 mx m2"),
            ("c1 m2", "c1 o1! m2"),
            ("c1 c2 o2 m3", "c1 c2 o1! o2=2 m3"),
            ("o9 m1", "orphan=9 m1"),
            ("o1=early c1 m2", "c1 o1=early m2"),
            ("c1 o1=a c1 o1=b", "c1 o1=a c1_2 o1_2=b"),
            ("c1 o1 c2 o2", "c1 o1=1 c2 o2=2"),
            ("c1 o1=a o1=b", "c1 o1=b"),
            ("c1 mx c2 o1 o2", "c1 o1=1 mx c2 o2=2"),
            ("r c1 r c2 o1 o2 r", "r c1 r c2 o1=1 o2=2 r"),
            ("c1 r o1 c2 o2", "c1 o1=1 r c2 o2=2"),
        ];
        for (script, want) in cases {
            assert_eq!(shown(script), want, "{script}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_call_is_answered_once(script in "([co][1-3] |mx ){0,12}") {
            let text = shown(&script);
            let words: Vec<&str> = text.split(' ').collect();
            let calls: Vec<&str> = words.iter().filter_map(|word| word.strip_prefix('c')).collect();
            let outputs: Vec<&str> = words
                .iter()
                .filter(|word| !word.starts_with("orphan"))
                .filter_map(|word| word.strip_prefix('o'))
                .map(|word| word.split(['=', '!']).next().unwrap_or(word))
                .collect();
            proptest::prop_assert_eq!(calls, outputs, "{}", text);
        }
    }
}
