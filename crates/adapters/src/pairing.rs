//! Every call gets one output right behind it: strict providers refuse anything else, and histories are broken by
//! interrupted turns, crashes and other proxies.
//!
//! Invariant: in the order that comes out, each output follows the run of calls it belongs to, every call has exactly one
//! output, and no message stands between.

use std::collections::{HashMap, HashSet};

use latimer_protocol::turn::{Call, CallOutput, Content, Item, Note, Role};

/// What a call without an output is answered with.
pub const NO_OUTPUT: &str = "no output was recorded";

/// The words that an output without its call becomes, whole.
pub fn orphan_text(output: &CallOutput) -> String {
    let texts = output.content.iter().filter_map(|part| match part {
        Content::Text(text) | Content::Refusal(text) => Some(text.as_str()),
        Content::Image(_) | Content::File { .. } => None,
    });
    orphan_words(&texts.collect::<Vec<_>>().join("\n"))
}

/// The same for the output's text.
pub(crate) fn orphan_words(text: &str) -> String {
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

/// What matters of an entry of a conversation for its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry<'a> {
    /// A call, with its id.
    Call(&'a str),
    /// A call without a name: nobody can have answered it, and every provider refuses it.
    NamelessCall,
    /// An output, with the id of its call.
    Output(&'a str),
    /// Thoughts.
    Thoughts,
    /// Anything else.
    Other,
}

impl<'a> Entry<'a> {
    /// A call of this name.
    pub(crate) fn call(id: &'a str, name: &str) -> Self {
        if name.trim().is_empty() { Self::NamelessCall } else { Self::Call(id) }
    }

    fn of(item: &'a Item) -> Self {
        match item {
            Item::Call(call) => Self::call(call.id.as_str(), &call.name),
            Item::Output(output) => Self::Output(output.id.as_str()),
            Item::Reasoning(_) => Self::Thoughts,
            Item::Message(_) => Self::Other,
        }
    }
}

/// One step of a well-paired conversation, by the places of its entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PairingStep {
    /// What is no call and no output.
    Entry(usize),
    /// A call, and its id.
    Call(usize, String),
    /// The output of the call at the first place, under the call's id; `None` when none was recorded.
    Output(usize, Option<usize>, String),
    /// An output of a call that is not in the history.
    Orphan(usize),
}

/// Whether every call has a name and its one output, right behind it.
pub fn is_paired(items: &[Item]) -> bool {
    let mut notes = Vec::new();
    pair(items, &mut notes);
    notes.is_empty()
}

/// Whether the person says nothing in a conversation: templates of some models want a message of theirs.
pub(crate) fn lacks_user(items: &[Item]) -> bool {
    !items.iter().any(|item| matches!(item, Item::Message(message) if message.role == Role::User && !message.content.is_empty()))
}

/// Brings calls and outputs into order. A repeated id is renamed on both sides, the last output of a call wins, and a call without a
/// name goes away: what its tool said stays, as an output without a call.
pub fn pair<'a>(items: &'a [Item], notes: &mut Vec<Note>) -> Vec<PairedItem<'a>> {
    let entries: Vec<Entry<'a>> = items.iter().map(Entry::of).collect();
    let output = |place: usize| match items.get(place) {
        Some(Item::Output(output)) => Some(output),
        _ => None,
    };
    let step = |step| match step {
        PairingStep::Entry(place) => items.get(place).map(PairedItem::Item),
        PairingStep::Call(place, id) => match items.get(place) {
            Some(Item::Call(call)) => Some(PairedItem::Call(call, id)),
            _ => None,
        },
        PairingStep::Output(_, place, id) => Some(PairedItem::Output(place.and_then(output), id)),
        PairingStep::Orphan(place) => output(place).map(PairedItem::Orphan),
    };
    arrange(&entries, notes).into_iter().filter_map(step).collect()
}

/// The same for a conversation in any form.
pub(crate) fn arrange(entries: &[Entry<'_>], notes: &mut Vec<Note>) -> Vec<PairingStep> {
    let mut outputs = collect(entries);
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let known: HashSet<&str> = entries
        .iter()
        .filter_map(|entry| if let Entry::Call(id) = entry { Some(*id) } else { None })
        .collect();
    let mut run = Run { steps: Vec::with_capacity(entries.len()), ..Run::default() };
    let mut open_ids: HashSet<&str> = HashSet::new();
    for (place, entry) in entries.iter().enumerate() {
        match *entry {
            Entry::Call(call) => {
                // A call behind an output or a message begins a new run.
                if !run.waiting.is_empty() {
                    run.close(notes);
                    open_ids.clear();
                }
                let count = seen.entry(call).or_default();
                *count += 1;
                let id = if *count == 1 {
                    call.to_owned()
                } else {
                    notes.push(Note::request("a call id that stood there twice was renamed"));
                    format!("{call}_{count}")
                };
                let output = outputs.get_mut(call).and_then(Vec::pop);
                run.steps.push(PairingStep::Call(place, id.clone()));
                run.open.push((place, output, id));
                open_ids.insert(call);
            }
            Entry::NamelessCall => notes.push(Note::request("a call without a name was left out")),
            Entry::Output(id) if known.contains(id) => {
                // The run is answered: what comes behind belongs to the next one.
                if open_ids.remove(id) && open_ids.is_empty() {
                    run.close(notes);
                }
            }
            Entry::Output(_) => {
                notes.push(Note::request("a tool output without its call was sent as a user message"));
                run.follow(PairingStep::Orphan(place));
            }
            // Thoughts between the calls of one answer stay where they are.
            Entry::Thoughts
                if run.waiting.is_empty()
                    && open_ids.len() == run.open.len()
                    && matches!(entries.get(place + 1), Some(Entry::Call(_))) =>
            {
                run.steps.push(PairingStep::Entry(place));
            }
            Entry::Thoughts | Entry::Other => run.follow(PairingStep::Entry(place)),
        }
    }
    run.close(notes);
    run.steps
}

/// The outputs of each id, in order.
fn collect<'a>(entries: &[Entry<'a>]) -> HashMap<&'a str, Vec<usize>> {
    let mut outputs: HashMap<&str, Vec<usize>> = HashMap::new();
    let mut calls: HashMap<&str, usize> = HashMap::new();
    for (place, entry) in entries.iter().enumerate() {
        match *entry {
            Entry::Output(id) => outputs.entry(id).or_default().push(place),
            Entry::Call(id) => *calls.entry(id).or_default() += 1,
            Entry::NamelessCall | Entry::Thoughts | Entry::Other => {}
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

/// The calls that are not answered yet, and what is arranged so far.
#[derive(Default)]
struct Run {
    steps: Vec<PairingStep>,
    /// Each with the place of its output, and its id.
    open: Vec<(usize, Option<usize>, String)>,
    /// What has to wait for the outputs.
    waiting: Vec<PairingStep>,
}

impl Run {
    /// What may not stand between a call and its output.
    fn follow(&mut self, step: PairingStep) {
        if self.open.is_empty() { self.steps.push(step) } else { self.waiting.push(step) }
    }

    /// Writes the outputs of the open run, then what had to wait for them.
    fn close(&mut self, notes: &mut Vec<Note>) {
        for (call, output, id) in self.open.drain(..) {
            if output.is_none() {
                notes.push(Note::request("a call without an output was answered with a stand-in"));
            }
            self.steps.push(PairingStep::Output(call, output, id));
        }
        self.steps.append(&mut self.waiting);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use latimer_protocol::id::CallId;
    use latimer_protocol::turn::Message;

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
                    "n" => {
                        Item::Call(Call { id: CallId::from(id), name: " ".into(), arguments: "{}".into() })
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
            ("m1 n1 o1=said m2", "m1 orphan=said m2"),
            ("c1 n2 o1 o2=said", "c1 o1=1 orphan=said"),
            ("n1 c1 o1", "c1 o1=1"),
        ];
        for (script, want) in cases {
            assert_eq!(shown(script), want, "{script}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_call_is_answered_once(script in "([con][1-3] |mx |r ){0,12}") {
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
