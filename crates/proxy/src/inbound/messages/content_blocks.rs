//! The blocks of one message, written one after the other. The order is the sequencer's.

use latimer_protocol::turn::{OpaqueState, SealKey, StateOwner};

use super::block::{BlockKind, CallBlock, TextBlock, redacted_block};
use crate::inbound::writer::WriterSeed;
use crate::inbound::writer::sequencer::{ItemSink, PendingCall};
use crate::inbound::writer::stop_sequences::{StopRule, StopSequences};

/// Writes blocks.
#[derive(Debug)]
pub(super) struct ContentBlocks {
    /// Bytes that are ready for the client.
    pub(super) out: Vec<u8>,
    /// JSON of the finished blocks, joined by commas; for a client that wants one object.
    pub(super) finished: Vec<u8>,
    /// Bytes of text that went out, to estimate tokens.
    pub(super) text_bytes: u64,
    /// Calls that were given out.
    pub(super) calls: u32,
    /// The stop sequence that ended the answer.
    pub(super) stopped_by: Option<String>,
    open: OpenBlock,
    /// Blocks that were begun.
    count: u32,
    stops: StopSequences,
    stream: bool,
    seal: SealKey,
}

/// The block that is being written.
#[derive(Debug)]
enum OpenBlock {
    Nothing,
    Text(TextBlock),
    Call(CallBlock),
}

impl ContentBlocks {
    /// `stream` says that nobody asks for the finished blocks.
    pub(super) fn new(seed: &WriterSeed, stops: Vec<String>, stream: bool) -> Self {
        Self {
            out: Vec::new(),
            finished: Vec::new(),
            text_bytes: 0,
            calls: 0,
            stopped_by: None,
            open: OpenBlock::Nothing,
            count: 0,
            stops: StopSequences::new(StopRule::FirstComplete, stops),
            stream,
            seal: seed.seal.clone(),
        }
    }

    /// Closes text or thinking, with the text that was held back for a stop sequence. A call is closed by the sequencer.
    pub(super) fn close_text(&mut self) {
        let rest = self.stops.rest();
        if !rest.is_empty() {
            self.push(BlockKind::Text, &rest);
        }
        match std::mem::replace(&mut self.open, OpenBlock::Nothing) {
            OpenBlock::Text(block) => {
                // Thinking without state gets a carrier that names nobody: some clients throw away what is not signed, and some
                // providers want the text back.
                let unsigned =
                    || OpaqueState { owner: StateOwner::default(), data: String::new() }.encode(&self.seal);
                let signature = (block.kind == BlockKind::Thinking).then(unsigned);
                let block = block.close(signature.as_deref(), &mut self.out);
                self.keep(block);
            }
            open => self.open = open,
        }
    }

    /// Writes into a block of this kind.
    fn push(&mut self, kind: BlockKind, text: &str) {
        if !self.has_open(kind) {
            self.close_text();
            let index = self.next_index();
            self.open = OpenBlock::Text(TextBlock::open(kind, index, !self.stream, &mut self.out));
        }
        self.text_bytes += text.len() as u64;
        if let OpenBlock::Text(block) = &mut self.open {
            block.delta(text, &mut self.out);
        }
    }

    fn has_open(&self, kind: BlockKind) -> bool {
        matches!(&self.open, OpenBlock::Text(block) if block.kind == kind)
    }

    fn keep(&mut self, block: Option<Vec<u8>>) {
        if let Some(block) = block.filter(|_| !self.stream) {
            if !self.finished.is_empty() {
                self.finished.push(b',');
            }
            self.finished.extend_from_slice(&block);
        }
    }

    fn next_index(&mut self) -> u32 {
        let index = self.count;
        self.count += 1;
        index
    }
}

impl ItemSink for ContentBlocks {
    fn text(&mut self, text: &str) {
        // As long as nothing is open, what the stop sequences hold back is the beginning of this text.
        if self.has_open(BlockKind::Thinking) {
            self.close_text();
        }
        if self.stops.is_empty() {
            return self.push(BlockKind::Text, text);
        }
        let mut stops = std::mem::take(&mut self.stops);
        self.stopped_by = stops.push(text, |text| self.push(BlockKind::Text, text));
        self.stops = stops;
        if self.stopped_by.is_some() {
            self.close_text();
        }
    }

    fn reasoning(&mut self, text: &str) {
        self.push(BlockKind::Thinking, text);
    }

    /// State goes with the thinking it belongs to, as its signature; alone it is a block that nobody may read.
    fn reasoning_state(&mut self, opaque: OpaqueState) {
        let carrier = opaque.encode(&self.seal);
        match std::mem::replace(&mut self.open, OpenBlock::Nothing) {
            OpenBlock::Text(block) if block.kind == BlockKind::Thinking => {
                let block = block.close(Some(&carrier), &mut self.out);
                self.keep(block);
            }
            open => {
                self.open = open;
                self.close_text();
                let index = self.next_index();
                let block = redacted_block(&carrier, index, &mut self.out);
                self.keep(Some(block));
            }
        }
    }

    fn call_started(&mut self, call: &PendingCall) {
        self.close_text();
        let index = self.next_index();
        self.open = OpenBlock::Call(CallBlock::open(call, index, &mut self.out));
    }

    fn call_arguments(&mut self, json: &str) {
        if let OpenBlock::Call(block) = &self.open {
            block.delta(json, &mut self.out);
        }
    }

    fn call_ended(&mut self, call: &PendingCall) -> bool {
        let OpenBlock::Call(block) = &self.open else { return false };
        if !call.is_complete() {
            return false;
        }
        let block = block.close(call, &mut self.out);
        self.keep(Some(block));
        self.open = OpenBlock::Nothing;
        self.calls += 1;
        true
    }

    /// Its block has no end, so that the client does not run it.
    fn call_broken(&mut self, _: &PendingCall) {
        self.open = OpenBlock::Nothing;
    }

    fn is_finished(&self) -> bool {
        self.stopped_by.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn blocks(write: impl FnOnce(&mut ContentBlocks)) -> (Vec<Value>, ContentBlocks) {
        let mut blocks = ContentBlocks::new(&WriterSeed::default(), vec!["END".to_owned()], false);
        write(&mut blocks);
        blocks.close_text();
        let json = format!("[{}]", String::from_utf8(blocks.finished.clone()).expect("text"));
        (serde_json::from_str(&json).expect("JSON"), blocks)
    }

    #[test]
    fn text_that_might_have_been_a_stop_sequence_stays_before_what_follows() {
        let (blocks, _) = blocks(|blocks| {
            blocks.text("a EN");
            blocks.reasoning("hm");
            blocks.text("b");
        });
        let types: Vec<&str> = blocks.iter().filter_map(|block| block["type"].as_str()).collect();
        assert_eq!(types, ["text", "thinking", "text"]);
        assert_eq!(blocks[0]["text"], "a EN");
        assert!(blocks[1]["signature"].as_str().is_some_and(|signature| !signature.is_empty()));
    }

    #[test]
    fn a_stop_sequence_ends_the_answer() {
        let (blocks, state) = blocks(|blocks| {
            blocks.text("a E");
            blocks.text("ND b");
        });
        assert_eq!(blocks[0]["text"], "a ");
        assert!(state.is_finished() && state.stopped_by.as_deref() == Some("END"));
    }

    #[test]
    fn the_block_of_a_broken_call_has_no_end() {
        let (_, state) = blocks(|blocks| {
            let call = PendingCall::new(0, "c".to_owned(), "Bash");
            blocks.call_started(&call);
            assert!(!blocks.call_ended(&call));
            blocks.call_broken(&call);
        });
        assert!(!String::from_utf8_lossy(&state.out).contains("content_block_stop") && state.calls == 0);
    }
}
