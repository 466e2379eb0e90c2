//! The calls of one Chat Completions answer. They may overlap: each piece names its call.

use super::chunks::ChunkWriter;
use super::tool_call::ToolCall;
use crate::inbound::wire::tool_map::ToolMap;
use crate::inbound::writer::WriterSeed;
use crate::inbound::writer::calls::{CallIdRule, CallIds};

/// 64 visible characters are what every client and provider takes.
const CALL_IDS: CallIdRule = CallIdRule { prefix: "call_", max_bytes: 64, visible_ascii: true };

/// Collects calls and writes what the client does not have of them yet.
#[derive(Debug)]
pub(super) struct ToolCalls {
    ids: CallIds,
    tools: ToolMap,
    /// Calls are written as `function_call`, the API's first form, which has room for one.
    legacy: bool,
    calls: Vec<ToolCall>,
    /// Calls that the client knows of.
    shown: u32,
    /// The name of a call that came out broken.
    broken: Option<String>,
}

impl ToolCalls {
    pub(super) fn new(seed: &mut WriterSeed, tools: ToolMap, legacy: bool) -> Self {
        let ids = CallIds::new(CALL_IDS, seed);
        Self { ids, tools, legacy, calls: Vec::new(), shown: 0, broken: None }
    }

    /// The name of a call that came out broken.
    pub(super) fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    /// How many calls the client knows of.
    pub(super) fn shown(&self) -> u32 {
        self.shown
    }

    /// A call began. In the API's first form the model will ask again for those behind the first.
    pub(super) fn begin(&mut self, slot: u32, id: Option<&str>, flat: &str) {
        if self.legacy && !self.calls.is_empty() {
            return;
        }
        let id = self.ids.choose(id);
        self.calls.push(ToolCall::new(slot, id, flat, self.tools.find(flat), self.legacy));
    }

    /// A piece of a call's arguments.
    pub(super) fn arguments(&mut self, slot: u32, json: &str, chunks: &mut ChunkWriter) {
        let Some(at) = self.find_open(slot) else { return };
        let Some(call) = self.calls.get_mut(at) else { return };
        call.push(json);
        if call.has_arguments() {
            self.write_unsent(at, chunks);
        }
    }

    /// A call is over.
    pub(super) fn end(&mut self, slot: u32, chunks: &mut ChunkWriter) {
        let Some(at) = self.find_open(slot) else { return };
        let Some(call) = self.calls.get_mut(at) else { return };
        call.end();
        if !call.is_complete() {
            self.broken.get_or_insert_with(|| call.name().to_owned());
        } else if call.is_shown() {
            self.write_unsent(at, chunks);
        }
    }

    /// The answer ends well, and with it every call.
    pub(super) fn end_all(&mut self, chunks: &mut ChunkWriter) {
        let open = self.calls.iter().filter(|call| call.is_open()).map(|call| call.slot);
        for slot in open.collect::<Vec<u32>>() {
            self.end(slot, chunks);
        }
    }

    /// Calls without arguments are shown late: when the answer goes on, or ends well, the model really meant none.
    pub(super) fn write_complete(&mut self, chunks: &mut ChunkWriter) {
        if self.calls.len() > self.shown as usize {
            for at in 0..self.calls.len() {
                if self.calls.get(at).is_some_and(|call| call.is_complete() && !call.is_shown()) {
                    self.write_unsent(at, chunks);
                }
            }
        }
    }

    /// The calls of one object, in order. A call that was cut is left out: what a client gets, it runs.
    pub(super) fn complete(&self) -> Vec<&ToolCall> {
        let is_whole = |call: &&ToolCall| call.is_shown() && call.is_complete();
        let mut calls: Vec<&ToolCall> = self.calls.iter().filter(is_whole).collect();
        calls.sort_by_key(|call| call.index());
        calls
    }

    fn find_open(&self, slot: u32) -> Option<usize> {
        self.calls.iter().rposition(|call| call.slot == slot && call.is_open())
    }

    /// Writes what the client does not have of a call yet.
    fn write_unsent(&mut self, at: usize, chunks: &mut ChunkWriter) {
        let Some(call) = self.calls.get_mut(at) else { return };
        if !call.is_shown() {
            call.set_index(self.shown);
            self.shown += 1;
            chunks.chunk(|out| call.start(out));
        }
        if call.has_unsent() {
            chunks.chunk(|out| call.delta(out));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(legacy: bool) -> (ToolCalls, ChunkWriter) {
        let calls = ToolCalls::new(&mut WriterSeed::default(), ToolMap::default(), legacy);
        (calls, ChunkWriter::new(true, false))
    }

    #[test]
    fn overlapping_calls_do_not_wait_for_each_other() {
        let (mut calls, mut chunks) = calls(false);
        calls.begin(0, Some("a"), "f");
        calls.begin(1, Some("b"), "g");
        calls.arguments(1, "{", &mut chunks);
        calls.arguments(0, "{}", &mut chunks);
        calls.arguments(1, "}", &mut chunks);
        calls.end_all(&mut chunks);
        assert_eq!((calls.shown(), calls.broken()), (2, None));
        let places: Vec<Option<u32>> = calls.complete().iter().map(|call| call.index()).collect();
        assert_eq!(places, [Some(0), Some(1)]);
        let text = String::from_utf8(chunks.out).expect("text");
        assert!(text.find("\"id\":\"b\"") < text.find("\"id\":\"a\""), "{text}");
    }

    #[test]
    fn a_call_without_arguments_waits_until_it_is_meant() {
        let (mut calls, mut chunks) = calls(false);
        calls.begin(0, None, "f");
        calls.end(0, &mut chunks);
        assert!(chunks.out.is_empty() && calls.complete().is_empty());
        calls.write_complete(&mut chunks);
        assert_eq!((calls.shown(), calls.complete().len()), (1, 1));
    }

    #[test]
    fn the_first_form_has_room_for_one_call() {
        let (mut calls, mut chunks) = calls(true);
        for slot in 0..2 {
            calls.begin(slot, None, "f");
            calls.arguments(slot, "[", &mut chunks);
        }
        calls.end_all(&mut chunks);
        assert_eq!((calls.shown(), calls.broken()), (1, Some("f")));
    }
}
