//! The events of one item that a server did not send, or not all of them. Pure.

use serde_json::{Map, Value, json};

/// What was sent of an item that is not closed.
#[derive(Debug, Default)]
pub(super) struct SentItem {
    /// Its place in the answer.
    pub(super) index: u64,
    pub(super) id: Option<String>,
    /// As it began.
    added: Option<Value>,
    /// Words, thoughts, arguments or free text, as far as they came; each under the event that brings them.
    pieces: Vec<(Channel, String)>,
    /// What was said to be over.
    is_part_over: bool,
}

/// What a piece is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Channel {
    Text,
    Refusal,
    Summary,
    Thoughts,
    Arguments,
    Input,
}

impl Channel {
    const ALL: [(Self, &'static str); 6] = [
        (Self::Text, "response.output_text"),
        (Self::Refusal, "response.refusal"),
        (Self::Summary, "response.reasoning_summary_text"),
        (Self::Thoughts, "response.reasoning_text"),
        (Self::Arguments, "response.function_call_arguments"),
        (Self::Input, "response.custom_tool_call_input"),
    ];

    fn of(kind: &str) -> Option<(Self, &str)> {
        Self::ALL
            .iter()
            .find_map(|(channel, name)| Some((*channel, kind.strip_prefix(name)?.strip_prefix('.')?)))
    }

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(channel, _)| *channel == self).map_or("", |(_, name)| name)
    }

    /// The field of the event that ends it.
    fn whole(self) -> &'static str {
        match self {
            Self::Text | Self::Summary | Self::Thoughts => "text",
            Self::Refusal => "refusal",
            Self::Arguments => "arguments",
            Self::Input => "input",
        }
    }
}

impl SentItem {
    /// Nothing, of the item at this place of the answer.
    pub(super) fn new(index: u64) -> Self {
        Self { index, ..Self::default() }
    }

    /// Takes an event of this item.
    pub(super) fn take(&mut self, event: &Value) {
        let word = |name: &str| event.get(name).and_then(Value::as_str);
        let item = event.get("item");
        let id = word("item_id").or_else(|| item.and_then(|item| item.get("id")).and_then(Value::as_str));
        if let Some(id) = id.filter(|id| !id.is_empty()) {
            self.id = Some(id.to_owned());
        }
        let kind = word("type").unwrap_or_default();
        if kind == "response.output_item.added" {
            self.added = item.cloned();
        }
        match Channel::of(kind) {
            Some((channel, "delta")) => self.piece(channel).push_str(word("delta").unwrap_or_default()),
            Some((channel, "done")) => {
                self.is_part_over = true;
                if let Some(whole) = word(channel.whole()) {
                    let piece = self.piece(channel);
                    // Several parts of a message follow each other.
                    if piece.is_empty() {
                        piece.push_str(whole);
                    }
                }
            }
            _ => {}
        }
    }

    fn piece(&mut self, channel: Channel) -> &mut String {
        let place = self.pieces.iter().position(|(known, _)| *known == channel).unwrap_or_else(|| {
            self.pieces.push((channel, String::new()));
            self.pieces.len() - 1
        });
        // The place was found or made right before.
        &mut self.pieces[place].1
    }

    fn text(&self, channel: Channel) -> &str {
        self.pieces.iter().find(|(known, _)| *known == channel).map_or("", |(_, text)| text)
    }

    /// Whether this is a beginning of the item at this place of the output.
    pub(super) fn is_of(&self, item: &Map<String, Value>, index: u64) -> bool {
        let id = item.get("id").and_then(Value::as_str).filter(|id| !id.is_empty());
        match (id, self.id.as_deref()) {
            (Some(id), Some(sent)) => id == sent,
            _ => self.index == index,
        }
    }
}

/// The item that deltas alone tell of; `None` where they say nothing, or not what is called.
pub(super) fn item_of(sent: &SentItem) -> Option<Map<String, Value>> {
    let mut item = sent.added.as_ref().and_then(Value::as_object).cloned().unwrap_or_default();
    let kind = item.get("type").and_then(Value::as_str).unwrap_or("message").to_owned();
    let mut put = |name: &str, value: Value| drop(item.insert(name.to_owned(), value));
    let text = |channel| Some(sent.text(channel)).filter(|text| !text.is_empty());
    match kind.as_str() {
        "function_call" => put("arguments", json!(text(Channel::Arguments)?)),
        "custom_tool_call" => put("input", json!(text(Channel::Input)?)),
        "reasoning" => {
            let (summary, thoughts) = (text(Channel::Summary), text(Channel::Thoughts));
            summary.or(thoughts)?;
            put(
                "summary",
                summary.map_or(json!([]), |text| json!([{ "type": "summary_text", "text": text }])),
            );
            if let Some(text) = thoughts {
                put("content", json!([{ "type": "reasoning_text", "text": text }]));
            }
        }
        "message" => {
            let (words, refusal) = (text(Channel::Text), text(Channel::Refusal));
            words.or(refusal)?;
            let words = words.map(|text| json!({ "type": "output_text", "text": text, "annotations": [] }));
            let refusal = refusal.map(|text| json!({ "type": "refusal", "refusal": text }));
            put("type", json!("message"));
            put("role", json!("assistant"));
            put("content", Value::Array(words.into_iter().chain(refusal).collect()));
        }
        _ => return None,
    }
    put("status", json!("completed"));
    if let Some(id) = &sent.id {
        item.entry("id").or_insert_with(|| json!(id));
    }
    Some(item)
}

/// The events of an item from where `sent` ends. A call is told only where it is whole and may be made.
pub(super) fn item_events(
    item: &Map<String, Value>,
    index: u64,
    sent: Option<&SentItem>,
    may_call: bool,
) -> Vec<Value> {
    let word = |name: &str| item.get(name).and_then(Value::as_str);
    let kind = word("type").unwrap_or_default();
    let is_call = kind.ends_with("_call");
    let is_whole = match kind {
        "function_call" => {
            word("arguments").is_some_and(|text| serde_json::from_str::<Map<String, Value>>(text).is_ok())
        }
        "custom_tool_call" => word("input").is_some(),
        _ => true,
    };
    if is_call && !(may_call && is_whole && word("status") != Some("incomplete")) {
        return Vec::new();
    }
    let mut out = ItemEvents { index, id: word("id").unwrap_or_default(), sent, events: Vec::new() };
    out.added(item, kind);
    match kind {
        "function_call" => {
            out.field(
                Channel::Arguments,
                word("arguments").unwrap_or_default(),
                Some(word("name").unwrap_or_default()),
            );
        }
        "custom_tool_call" => out.field(Channel::Input, word("input").unwrap_or_default(), None),
        "message" => out.parts(item.get("content"), "content"),
        "reasoning" => {
            out.parts(item.get("summary"), "summary");
            out.parts(item.get("content"), "content");
        }
        _ => {}
    }
    out.push("response.output_item.done", json!({ "item": item }));
    out.events
}

struct ItemEvents<'i> {
    index: u64,
    id: &'i str,
    sent: Option<&'i SentItem>,
    events: Vec<Value>,
}

impl ItemEvents<'_> {
    fn push(&mut self, kind: &str, fields: Value) {
        let mut event = json!({ "type": kind, "output_index": self.index });
        if let (Some(event), Value::Object(fields)) = (event.as_object_mut(), fields) {
            event.extend(fields);
        }
        self.events.push(event);
    }

    fn added(&mut self, item: &Map<String, Value>, kind: &str) {
        if self.sent.is_some_and(|sent| sent.added.is_some()) {
            return;
        }
        let mut begun = item.clone();
        let empty = match kind {
            "function_call" => Some(("arguments", json!(""))),
            "custom_tool_call" => Some(("input", json!(""))),
            "message" => Some(("content", json!([]))),
            "reasoning" => Some(("summary", json!([]))),
            _ => None,
        };
        begun.extend(empty.map(|(name, value)| (name.to_owned(), value)));
        if kind == "message" || kind.ends_with("_call") {
            begun.insert("status".to_owned(), json!("in_progress"));
        }
        self.push("response.output_item.added", json!({ "item": begun }));
    }

    /// The rest of a text of which a beginning may have been sent; nothing where something else was.
    fn rest<'t>(&self, channel: Channel, text: &'t str) -> &'t str {
        let sent = self.sent.map_or("", |sent| sent.text(channel));
        text.strip_prefix(sent).unwrap_or_default()
    }

    fn is_part_over(&self) -> bool {
        self.sent.is_some_and(|sent| sent.is_part_over)
    }

    /// The pieces and the end of a call's only text; `name` is that of a function.
    fn field(&mut self, channel: Channel, text: &str, name: Option<&str>) {
        let rest = self.rest(channel, text);
        if !rest.is_empty() {
            self.push(&format!("{}.delta", channel.name()), json!({ "item_id": self.id, "delta": rest }));
        }
        if !self.is_part_over() {
            let mut whole = json!({ "item_id": self.id, (channel.whole()): text });
            if let Some(name) = name {
                whole["name"] = json!(name);
            }
            self.push(&format!("{}.done", channel.name()), whole);
        }
    }

    /// The parts of a message or of thoughts.
    fn parts(&mut self, parts: Option<&Value>, field: &str) {
        for (number, part) in parts.and_then(Value::as_array).into_iter().flatten().enumerate() {
            self.part(number, part, field);
        }
    }

    fn part(&mut self, number: usize, part: &Value, field: &str) {
        let (place, kind) = if field == "summary" {
            ("summary_index", "response.reasoning_summary_part")
        } else {
            ("content_index", "response.content_part")
        };
        let channel = match part.get("type").and_then(Value::as_str) {
            Some("refusal") => Channel::Refusal,
            Some("summary_text") => Channel::Summary,
            Some("reasoning_text") => Channel::Thoughts,
            _ => Channel::Text,
        };
        let text = part.get(channel.whole()).and_then(Value::as_str).unwrap_or_default();
        let at = |fields: Value| {
            let mut event = json!({ "item_id": self.id, (place): number });
            if let (Some(event), Value::Object(fields)) = (event.as_object_mut(), fields) {
                event.extend(fields);
                if channel == Channel::Text && !event.contains_key("part") {
                    event.insert("logprobs".to_owned(), json!([]));
                }
            }
            event
        };
        // Only the first part of an item that began can have been sent.
        let is_first = number == 0;
        let was_sent = is_first && self.sent.is_some_and(|sent| !sent.text(channel).is_empty());
        let rest = if is_first { self.rest(channel, text) } else { text };
        let mut empty = part.clone();
        if let Some(fields) = empty.as_object_mut() {
            fields.insert(channel.whole().to_owned(), json!(""));
        }
        let opening = at(json!({ "part": empty }));
        let delta = at(json!({ "delta": rest }));
        let (whole, closing) = (at(json!({ (channel.whole()): text })), at(json!({ "part": part })));
        if !was_sent {
            self.push(&format!("{kind}.added"), opening);
        }
        if !rest.is_empty() {
            self.push(&format!("{}.delta", channel.name()), delta);
        }
        if !is_first || !self.is_part_over() {
            self.push(&format!("{}.done", channel.name()), whole);
            self.push(&format!("{kind}.done"), closing);
        }
    }
}
