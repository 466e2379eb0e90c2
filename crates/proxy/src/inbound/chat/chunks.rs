//! The chunks of one stream: what all of them have in common, and their bytes.

use super::object::push_envelope;
use crate::inbound::wire::json::push_string;

/// What stands around the fields of a delta, before and behind the finish reason.
const NO_REASON: &[u8] = b"},\"logprobs\":null,\"finish_reason\":null}]";

/// Writes chunks; writes nothing for a client that wants one object.
#[derive(Debug)]
pub(super) struct ChunkWriter {
    /// Bytes that are ready for the client.
    pub(super) out: Vec<u8>,
    /// Chunks are wanted.
    stream: bool,
    /// With usage asked for, every chunk says that it is not the one that has it.
    usage: bool,
    /// `id` to `model`, as all chunks and the usage begin.
    envelope: Vec<u8>,
}

impl ChunkWriter {
    pub(super) fn new(stream: bool, usage: bool) -> Self {
        Self { out: Vec::new(), stream, usage, envelope: Vec::new() }
    }

    /// Sets what every chunk begins with.
    pub(super) fn identify(&mut self, hex: &str, created_at: u64, model: &str) {
        self.envelope.clear();
        self.envelope.extend_from_slice(b"data: ");
        push_envelope(&mut self.envelope, hex, "chat.completion.chunk", created_at, model);
    }

    /// One chunk; `fill` writes the fields of its delta. The hot path: nothing is allocated but room for the bytes themselves.
    pub(super) fn chunk(&mut self, fill: impl FnOnce(&mut Vec<u8>)) {
        if self.stream {
            self.begin();
            fill(&mut self.out);
            self.out.extend_from_slice(NO_REASON);
            self.end();
        }
    }

    /// The chunk with the finish reason, the usage where it was asked for, and the last line. `usage` writes the tokens.
    pub(super) fn finish(&mut self, reason: &str, usage: impl FnOnce(&mut Vec<u8>)) {
        if !self.stream {
            return;
        }
        self.begin();
        self.out.extend_from_slice(b"},\"logprobs\":null,\"finish_reason\":");
        push_string(&mut self.out, reason);
        self.out.extend_from_slice(b"}]");
        self.end();
        if self.usage {
            self.out.extend_from_slice(&self.envelope);
            self.out.extend_from_slice(b",\"choices\":[],\"usage\":");
            usage(&mut self.out);
            self.out.extend_from_slice(b"}\n\n");
        }
        self.out.extend_from_slice(b"data: [DONE]\n\n");
    }

    /// An error, JSON text, and the last line.
    pub(super) fn fail(&mut self, error: &str) {
        if self.stream {
            self.out.extend_from_slice(b"data: ");
            self.out.extend_from_slice(error.as_bytes());
            self.out.extend_from_slice(b"\n\ndata: [DONE]\n\n");
        }
    }

    /// Bytes that belong to no chunk.
    pub(super) fn comment(&mut self, comment: &[u8]) {
        if self.stream {
            self.out.extend_from_slice(comment);
        }
    }

    fn begin(&mut self) {
        self.out.extend_from_slice(&self.envelope);
        self.out.extend_from_slice(b",\"choices\":[{\"index\":0,\"delta\":{");
    }

    fn end(&mut self) {
        self.out.extend_from_slice(if self.usage { b",\"usage\":null}\n\n" } else { b"}\n\n" });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chunk_says_where_the_usage_is() {
        for usage in [true, false] {
            let mut chunks = ChunkWriter::new(true, usage);
            chunks.identify("00", 7, "m");
            chunks.chunk(|out| out.extend_from_slice(b"\"content\":\"a\""));
            chunks.finish("stop", |out| out.extend_from_slice(b"{}"));
            let text = String::from_utf8(chunks.out).expect("text");
            assert_eq!(text.matches("\"usage\":null").count(), if usage { 2 } else { 0 }, "{text}");
            assert_eq!(text.contains("\"choices\":[],\"usage\":{}}"), usage, "{text}");
            assert!(text.ends_with("data: [DONE]\n\n"));
        }
    }

    #[test]
    fn a_client_that_wants_one_object_gets_no_chunks() {
        let mut chunks = ChunkWriter::new(false, true);
        chunks.chunk(|_| ());
        chunks.finish("stop", |_| ());
        chunks.fail("{}");
        chunks.comment(b":\n\n");
        assert!(chunks.out.is_empty());
    }
}
