//! The items of one response, written one after the other. The order is the sequencer's.

use latimer_protocol::turn::{OpaqueState, SealKey};

use super::call_item::{CallItem, id_prefix};
use super::frame::EventBuffer;
use super::text_items::{MessageItem, MessagePart, ReasoningItem};
use super::wait_item;
use crate::inbound::client_behaviour::ClientBehaviour;
use crate::inbound::wire::rope::Rope;
use crate::inbound::wire::tool_map::{ToolKind, ToolMap};
use crate::inbound::writer::WriterSeed;
use crate::inbound::writer::sequencer::{ItemSink, PendingCall};

/// Writes items.
#[derive(Debug)]
pub(super) struct OutputItems {
    /// The events of the whole response.
    pub(super) events: EventBuffer,
    /// JSON of the finished items, joined by commas.
    pub(super) finished: Rope,
    /// Bytes of text that went out, to estimate tokens.
    pub(super) text_bytes: u64,
    /// Items that were begun.
    count: u32,
    /// Of them, those that tell of a wait.
    waits: u32,
    open: OpenItem,
    hex: String,
    tools: ToolMap,
    client: &'static ClientBehaviour,
    seal: SealKey,
}

/// The item that is being written.
#[derive(Debug)]
enum OpenItem {
    Nothing,
    Message(MessageItem),
    Reasoning(ReasoningItem),
    Call(Box<CallItem>),
}

impl OutputItems {
    pub(super) fn new(seed: &WriterSeed, tools: ToolMap) -> Self {
        Self {
            events: EventBuffer::default(),
            finished: Rope::default(),
            text_bytes: 0,
            count: 0,
            waits: 0,
            open: OpenItem::Nothing,
            hex: seed.hex(),
            tools,
            client: seed.client,
            seal: seed.seal.clone(),
        }
    }

    /// The name the client knows a tool by.
    pub(super) fn client_name<'n>(&'n self, flat: &'n str) -> &'n str {
        self.tools.find(flat).map_or(flat, |entry| &entry.name)
    }

    /// Closes a message or reasoning; `status` is that of a message. A call is closed by the sequencer.
    pub(super) fn close_text(&mut self, status: &str) {
        match std::mem::replace(&mut self.open, OpenItem::Nothing) {
            OpenItem::Message(message) => {
                let item = message.close(status, &mut self.events);
                self.item_done(message.index, &item);
            }
            OpenItem::Reasoning(reasoning) => {
                let item = reasoning.close(None, &mut self.events);
                self.item_done(reasoning.index, &item);
            }
            open => self.open = open,
        }
    }

    /// Whether anything of the model's answer was begun.
    pub(super) fn has_answer(&self) -> bool {
        self.count > self.waits
    }

    /// A whole item that tells the person of a wait.
    pub(super) fn wait(&mut self, words: &str) {
        self.close_text("completed");
        let (id, index) = self.next_item("rs");
        self.waits += 1;
        let mut item = ReasoningItem::open(id, index, &mut self.events);
        item.delta(words, &mut self.events);
        let item = item.close(Some(wait_item::MARK), &mut self.events);
        self.item_done(index, &item);
    }

    /// One item that stands for the history; `state` is the sealed summary.
    pub(super) fn compaction(&mut self, state: &str) {
        let (id, index) = self.next_item("cmp");
        let item =
            serde_json::json!({ "type": "compaction", "id": id, "encrypted_content": state }).to_string();
        let item = Rope::from(item.into_bytes());
        self.events.item("response.output_item.added", index, &item);
        self.item_done(index, &item);
    }

    fn message(&mut self, part: MessagePart, text: &str) {
        if !matches!(&self.open, OpenItem::Message(message) if message.part == part) {
            self.close_text("completed");
            let (id, index) = self.next_item("msg");
            self.open = OpenItem::Message(MessageItem::open(id, index, part, &mut self.events));
        }
        self.text_bytes += text.len() as u64;
        if let OpenItem::Message(message) = &mut self.open {
            message.delta(text, &mut self.events);
        }
    }

    fn open_reasoning(&mut self) {
        if !matches!(self.open, OpenItem::Reasoning(_)) {
            self.close_text("completed");
            let (id, index) = self.next_item("rs");
            self.open = OpenItem::Reasoning(ReasoningItem::open(id, index, &mut self.events));
        }
    }

    fn item_done(&mut self, index: u32, item: &Rope) {
        self.events.item("response.output_item.done", index, item);
        if !self.finished.is_empty() {
            self.finished.push(b",");
        }
        self.finished.share(item);
    }

    fn next_item(&mut self, prefix: &str) -> (String, u32) {
        let index = self.count;
        self.count += 1;
        (format!("{prefix}_{}{index:02x}", self.hex), index)
    }
}

impl ItemSink for OutputItems {
    fn text(&mut self, text: &str) {
        self.message(MessagePart::Text, text);
    }

    fn refusal(&mut self, text: &str) {
        let part = if self.client.hides_refusals { MessagePart::Text } else { MessagePart::Refusal };
        self.message(part, text);
    }

    fn reasoning(&mut self, text: &str) {
        self.open_reasoning();
        self.text_bytes += text.len() as u64;
        if let OpenItem::Reasoning(reasoning) = &mut self.open {
            reasoning.delta(text, &mut self.events);
        }
    }

    fn reasoning_state(&mut self, opaque: OpaqueState) {
        self.open_reasoning();
        if let OpenItem::Reasoning(reasoning) = std::mem::replace(&mut self.open, OpenItem::Nothing) {
            let item = reasoning.close(Some(&opaque.encode(&self.seal)), &mut self.events);
            self.item_done(reasoning.index, &item);
        }
    }

    fn call_started(&mut self, call: &PendingCall) {
        self.close_text("completed");
        let kind = self.tools.find(&call.name).map_or(ToolKind::Function, |entry| entry.kind);
        let (id, index) = self.next_item(id_prefix(kind));
        let item = CallItem::open(call, self.tools.find(&call.name), id, index, &mut self.events);
        self.open = OpenItem::Call(Box::new(item));
    }

    fn call_arguments(&mut self, json: &str) {
        if let OpenItem::Call(item) = &mut self.open {
            item.arguments(json, &mut self.events);
        }
    }

    fn takes_free_text(&self) -> bool {
        matches!(&self.open, OpenItem::Call(item) if item.kind == ToolKind::Custom)
    }

    fn call_ended(&mut self, call: &PendingCall) -> bool {
        let OpenItem::Call(open) = &mut self.open else { return false };
        let index = open.index;
        let Some(item) = open.close(call, &mut self.events) else { return false };
        self.open = OpenItem::Nothing;
        self.item_done(index, &item);
        true
    }

    fn call_broken(&mut self, call: &PendingCall) {
        let OpenItem::Call(open) = std::mem::replace(&mut self.open, OpenItem::Nothing) else { return };
        if !self.client.runs_every_done_call {
            let item = open.incomplete(call);
            self.item_done(open.index, &item);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbound::client_behaviour::{ANY_CLIENT, CODEX};

    fn kinds(client: &'static ClientBehaviour, write: impl FnOnce(&mut OutputItems)) -> Vec<String> {
        let mut items = OutputItems::new(&WriterSeed { client, ..WriterSeed::default() }, ToolMap::default());
        write(&mut items);
        items.close_text("completed");
        let json = format!("[{}]", String::from_utf8(items.finished.into_vec()).expect("text"));
        let items: Vec<serde_json::Value> = serde_json::from_str(&json).expect("JSON");
        let status = |item: &serde_json::Value| item["status"].as_str().unwrap_or("-").to_owned();
        items
            .iter()
            .map(|item| format!("{} {}", item["type"].as_str().unwrap_or("-"), status(item)))
            .collect()
    }

    #[test]
    fn one_item_is_open_at_a_time() {
        let kinds = kinds(&ANY_CLIENT, |items| {
            items.text("a");
            items.text("b");
            items.reasoning("c");
            items.refusal("no");
        });
        assert_eq!(kinds, ["message completed", "reasoning -", "message completed"]);
    }

    #[test]
    fn a_broken_call_is_never_done_for_a_client_that_would_run_it() {
        let broken = |items: &mut OutputItems| {
            let call = PendingCall::new(0, "c".to_owned(), "f");
            items.call_started(&call);
            items.call_arguments("{");
            assert!(!items.call_ended(&call));
            items.call_broken(&call);
        };
        assert_eq!(kinds(&CODEX, broken), [] as [&str; 0]);
        assert_eq!(kinds(&ANY_CLIENT, broken), ["function_call incomplete"]);
    }
}
