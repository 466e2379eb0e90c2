//! What a closing event or deltas have and no closed item had: the events that a server left out, for a client that gets its own events.
//! Pure.
//!
//! Clients read deltas and closed items, and not the output of the closing event (`K19-only-the-closing-event.json`). Each thing is
//! handed on once; what the server sent stays byte for byte.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::missing_items::{SentItem, item_events, item_of};

/// Events of items that are not closed are kept up to this many bytes: for a server that never closes one.
const MAX_OPEN: usize = 4 << 20;

/// What of an answer was handed on.
#[derive(Debug, Default)]
pub(super) struct HandedOn {
    closed: Vec<ItemName>,
    /// Events of items that are not closed yet, one behind the other.
    open: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
    /// How many items began.
    begun: usize,
}

/// What an item is known by.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
struct ItemName {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    call_id: Option<String>,
}

impl ItemName {
    fn of(raw: &RawValue) -> Self {
        serde_json::from_str(raw.get()).unwrap_or_default()
    }

    fn is_same(&self, other: &Self) -> bool {
        let same = |a: &Option<String>, b: &Option<String>| {
            a.as_deref().is_some_and(|id| !id.is_empty() && b.as_deref() == Some(id))
        };
        self.kind == other.kind && (same(&self.id, &other.id) || same(&self.call_id, &other.call_id))
    }
}

#[derive(Deserialize)]
struct Done<'a> {
    #[serde(borrow)]
    item: &'a RawValue,
}

#[derive(Deserialize)]
struct Closing<'a> {
    #[serde(borrow)]
    response: Option<Output<'a>>,
}

#[derive(Deserialize)]
struct Output<'a> {
    #[serde(borrow, default)]
    output: Option<Vec<&'a RawValue>>,
}

impl HandedOn {
    /// Takes an event that shows something and is not the last.
    pub(super) fn note(&mut self, kind: &str, data: &str) {
        match kind {
            "response.output_item.done" => {
                let name = serde_json::from_str::<Done<'_>>(data).map(|done| ItemName::of(done.item));
                self.closed.push(name.unwrap_or_default());
                // Items may overlap: only when none is open, what came before belongs to closed ones.
                if self.begun <= self.closed.len() {
                    self.open.clear();
                    self.ends.clear();
                }
                return;
            }
            "response.output_item.added" => self.begun += 1,
            _ => {}
        }
        if self.open.len() + data.len() <= MAX_OPEN {
            self.open.extend_from_slice(data.as_bytes());
            self.ends.push(self.open.len());
        }
    }

    /// The events that are missing before this last one, with their kinds, and the last one with its new number. `None` where nothing is
    /// missing.
    pub(super) fn missing(&self, last: &str) -> Option<Vec<Value>> {
        let closing = serde_json::from_str::<Closing<'_>>(last).ok()?;
        let output = closing.response.and_then(|response| response.output).unwrap_or_default();
        let names: Vec<ItemName> = output.iter().map(|raw| ItemName::of(raw)).collect();
        let missing = self.not_closed(&names);
        if missing.is_empty() && self.ends.is_empty() {
            return None;
        }
        let mut end: Map<String, Value> = serde_json::from_str(last).ok()?;
        let may_call = end.get("type").and_then(Value::as_str) == Some("response.completed");
        let mut sent = self.sent();
        sent.retain(|sent| !self.closed.iter().any(|closed| closed.id.is_some() && closed.id == sent.id));
        let mut events = Vec::new();
        for place in missing {
            let Some(item) = output.get(place).and_then(|raw| serde_json::from_str(raw.get()).ok()) else {
                continue;
            };
            let index = place as u64;
            let known = sent.iter().position(|sent| sent.is_of(&item, index));
            let sent = known.map(|known| sent.swap_remove(known));
            events.extend(item_events(&item, index, sent.as_ref(), may_call));
        }
        // What only deltas had; with an output in the closing event, what is not in it was closed.
        for sent in sent.iter().filter(|_| output.is_empty()) {
            if let Some(item) = item_of(sent) {
                events.extend(item_events(&item, sent.index, Some(sent), may_call));
            }
        }
        if events.is_empty() {
            return None;
        }
        if self.closed.is_empty() && self.begun == 0 && self.ends.is_empty() {
            let begin = |kind: &str| json!({ "type": kind, "response": created(&end) });
            events.splice(0..0, [begin("response.created"), begin("response.in_progress")]);
        }
        let first = end.get("sequence_number").and_then(Value::as_u64).unwrap_or(0);
        end.insert("sequence_number".to_owned(), Value::Null);
        events.push(Value::Object(end));
        for (number, event) in (first..).zip(&mut events) {
            if let Some(fields) = event.as_object_mut() {
                fields.insert("sequence_number".to_owned(), json!(number));
            }
        }
        Some(events)
    }

    /// The places of items in the closing event that were not closed: known by their ids, else by their types, in order.
    fn not_closed(&self, names: &[ItemName]) -> Vec<usize> {
        let mut closed: Vec<&ItemName> = self.closed.iter().collect();
        let mut left: Vec<usize> = Vec::new();
        for (place, name) in names.iter().enumerate() {
            match closed.iter().position(|closed| closed.is_same(name)) {
                Some(known) => drop(closed.remove(known)),
                None => left.push(place),
            }
        }
        left.retain(|place| {
            let kind = names.get(*place).map(|name| name.kind.as_str());
            match closed.iter().position(|closed| Some(closed.kind.as_str()) == kind) {
                Some(known) => {
                    closed.remove(known);
                    false
                }
                None => true,
            }
        });
        left
    }

    /// What was sent of items that are not closed, in the order in which they began.
    fn sent(&self) -> Vec<SentItem> {
        let mut sent: Vec<SentItem> = Vec::new();
        let mut start = 0;
        for end in &self.ends {
            let event = self.open.get(start..*end).and_then(|data| serde_json::from_slice(data).ok());
            start = *end;
            let Some(event): Option<Value> = event else { continue };
            let index = event.get("output_index").and_then(Value::as_u64).unwrap_or(0);
            let place = sent.iter().position(|sent| sent.index == index).unwrap_or_else(|| {
                sent.push(SentItem::new(index));
                sent.len() - 1
            });
            if let Some(sent) = sent.get_mut(place) {
                sent.take(&event);
            }
        }
        sent
    }
}

/// The response as it was when it began.
fn created(end: &Map<String, Value>) -> Value {
    let mut response = end.get("response").cloned().unwrap_or_default();
    if let Some(fields) = response.as_object_mut() {
        let begin = [("status", json!("in_progress")), ("output", json!([])), ("usage", Value::Null)];
        fields.extend(begin.map(|(name, value)| (name.to_owned(), value)));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: &str, text: &str) -> Value {
        json!({ "type": "message", "id": id, "role": "assistant", "status": "completed", "content": [{ "type": "output_text", "text": text, "annotations": [] }] })
    }

    fn completed(output: &Value) -> Value {
        json!({ "type": "response.completed", "sequence_number": 7, "response": { "id": "r", "status": "completed", "output": output } })
    }

    /// The kinds of the missing events, with what their deltas say.
    fn missing(before: &[Value], last: &Value) -> Vec<String> {
        let mut handed = HandedOn::default();
        for event in before {
            handed.note(event["type"].as_str().expect("a type"), &event.to_string());
        }
        let events = handed.missing(&last.to_string()).unwrap_or_default();
        let numbers: Vec<u64> = events.iter().filter_map(|event| event["sequence_number"].as_u64()).collect();
        let want: Vec<u64> = (7..).take(events.len()).collect();
        assert_eq!(numbers, want);
        let shown = |event: &Value| {
            let kind = event["type"].as_str().expect("a type").trim_start_matches("response.");
            event["delta"].as_str().map_or(kind.to_owned(), |delta| format!("{kind}={delta}"))
        };
        events.iter().map(shown).collect()
    }

    #[test]
    fn only_the_closing_event() {
        assert_eq!(
            missing(&[], &completed(&json!([message("m", "kept")]))),
            [
                "created",
                "in_progress",
                "output_item.added",
                "content_part.added",
                "output_text.delta=kept",
                "output_text.done",
                "content_part.done",
                "output_item.done",
                "completed",
            ]
        );
        assert!(missing(&[], &completed(&json!([]))).is_empty());
    }

    #[test]
    fn what_was_closed_is_not_sent_again() {
        let done =
            |item: Value| json!({ "type": "response.output_item.done", "output_index": 0, "item": item });
        let both = completed(&json!([message("a", "x"), message("b", "y")]));
        assert!(missing(&[done(message("a", "x")), done(message("b", "y"))], &both).is_empty());
        let nameless =
            |text: &str| json!({ "type": "message", "content": [{ "type": "output_text", "text": text }] });
        assert!(missing(&[done(nameless("x"))], &completed(&json!([message("a", "x")]))).is_empty());
        let rest = missing(&[done(message("b", "y"))], &both);
        assert_eq!(
            rest.iter().filter(|kind| kind.contains('=')).collect::<Vec<_>>(),
            ["output_text.delta=x"]
        );
    }

    #[test]
    fn what_deltas_had_is_closed_and_only_the_rest_is_sent() {
        let added = json!({ "type": "response.output_item.added", "output_index": 0, "item": { "type": "message", "id": "m", "role": "assistant", "content": [] } });
        let delta = json!({ "type": "response.output_text.delta", "output_index": 0, "item_id": "m", "content_index": 0, "delta": "ke" });
        let rest = missing(&[added.clone(), delta.clone()], &completed(&json!([message("m", "kept")])));
        assert_eq!(
            rest,
            [
                "output_text.delta=pt",
                "output_text.done",
                "content_part.done",
                "output_item.done",
                "completed"
            ]
        );
        let closed = missing(&[added, delta], &completed(&json!([])));
        assert_eq!(closed, ["output_text.done", "content_part.done", "output_item.done", "completed"]);
    }

    #[test]
    fn a_call_is_given_out_only_where_it_is_whole() {
        let call = |arguments: &str| json!([{ "type": "function_call", "id": "f", "call_id": "c", "name": "shell", "arguments": arguments }]);
        let whole = missing(&[], &completed(&call("{\"a\":1}")));
        assert!(whole.contains(&"function_call_arguments.delta={\"a\":1}".to_owned()), "{whole:?}");
        assert!(missing(&[], &completed(&call("{\"a\":"))).is_empty());
        let mut cut = completed(&call("{}"));
        cut["type"] = json!("response.incomplete");
        assert!(missing(&[], &cut).is_empty());
    }

    proptest::proptest! {
        #[test]
        fn any_texts_are_handed_on_once(texts in proptest::collection::vec("[a-c]{1,4}", 0..4), cuts in proptest::collection::vec(0usize..4, 4), closes in proptest::collection::vec(proptest::bool::ANY, 4)) {
            let mut before = Vec::new();
            let mut said = String::new();
            for (index, text) in texts.iter().enumerate() {
                let id = format!("m{index}");
                let sent = &text[..text.len().min(cuts[index])];
                if closes[index] || !sent.is_empty() {
                    before.push(json!({ "type": "response.output_item.added", "output_index": index, "item": { "type": "message", "id": id, "content": [] } }));
                    let sent = if closes[index] { text } else { sent };
                    said.push_str(sent);
                    before.push(json!({ "type": "response.output_text.delta", "output_index": index, "item_id": id, "delta": sent }));
                }
                if closes[index] {
                    before.push(json!({ "type": "response.output_item.done", "output_index": index, "item": message(&id, text) }));
                }
            }
            let output: Vec<Value> = texts.iter().enumerate().map(|(index, text)| message(&format!("m{index}"), text)).collect();
            let events = missing(&before, &completed(&json!(output)));
            for event in events {
                said.extend(event.strip_prefix("output_text.delta=").map(str::to_owned));
            }
            let sorted = |text: &str| { let mut all: Vec<char> = text.chars().collect(); all.sort_unstable(); all };
            proptest::prop_assert_eq!(sorted(&said), sorted(&texts.concat()));
        }
    }
}
