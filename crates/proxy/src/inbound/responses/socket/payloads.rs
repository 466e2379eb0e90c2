//! The writer's events, taken out of their frames: over WebSocket each goes alone. Pure.

use bytes::Bytes;

/// What stands before a payload.
const DATA: &[u8] = b"data: ";
/// The end of a stream that has no other end; a message says itself that it is the last.
const DONE: &[u8] = b"[DONE]";

/// A JSON payload, or a part of one that is large: a slice of the bytes it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayloadPart {
    /// Its bytes. Those of a part may end inside of a character.
    pub bytes: Bytes,
    /// Nothing of the payload came before.
    pub begins: bool,
    /// Nothing of the payload follows.
    pub ends: bool,
}

/// Finds the payloads in a stream of frames.
///
/// The frames are our own, with one line of `data` each. A writer hands out whole ones, or the pieces of a large one, which is only
/// cut inside of its payload. Whatever the bytes, nothing but parts of them comes out.
#[derive(Debug, Default)]
pub struct PayloadSplitter {
    /// The payload goes on in the next bytes.
    inside: bool,
}

impl PayloadSplitter {
    /// The payloads in the next bytes of the stream.
    pub fn split(&mut self, mut bytes: Bytes) -> impl Iterator<Item = PayloadPart> {
        std::iter::from_fn(move || self.next(&mut bytes))
    }

    fn next(&mut self, bytes: &mut Bytes) -> Option<PayloadPart> {
        while !bytes.is_empty() {
            let end = memchr::memchr(b'\n', bytes);
            let line = bytes.split_to(end.map_or(bytes.len(), |end| end + 1));
            let begins = !self.inside;
            let payload = if begins { line.strip_prefix(DATA) } else { Some(&line[..]) };
            let Some(payload) = payload else { continue };
            self.inside = end.is_none();
            let payload = payload.strip_suffix(b"\n").unwrap_or(payload);
            if !begins || payload != DONE {
                let bytes = line.slice_ref(payload);
                return Some(PayloadPart { bytes, begins, ends: end.is_some() });
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use latimer_protocol::sse::SseDecoder;
    use proptest::prelude::*;

    use super::*;
    use crate::inbound::responses::frame::EventBuffer;
    use crate::inbound::wire::json::push_string;

    fn split(frames: &[u8]) -> Vec<Vec<u8>> {
        split_pieces(&[frames])
    }

    /// The payloads of a stream that comes in these pieces.
    fn split_pieces(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        let (mut splitter, mut payloads) = (PayloadSplitter::default(), Vec::new());
        for piece in pieces {
            for part in splitter.split(Bytes::copy_from_slice(piece)) {
                if part.begins {
                    payloads.push(Vec::new());
                }
                payloads.last_mut().expect("begun").extend_from_slice(&part.bytes);
            }
        }
        payloads
    }

    /// The same by the reader of foreign streams.
    fn read(frames: &[u8]) -> Vec<Vec<u8>> {
        let mut seen = Vec::new();
        let mut each = |frame: latimer_protocol::sse::SseFrame<'_>| {
            if frame.data != DONE {
                seen.push(frame.data.to_vec());
            }
        };
        let mut reader = SseDecoder::default();
        reader.push(frames, &mut each).expect("short");
        reader.finish(&mut each);
        seen
    }

    #[test]
    fn events_come_alone_and_what_is_no_event_does_not_come() {
        let frames = b": keep-alive\n\nevent: a\ndata: {\"type\":\"a\"}\n\nevent: b\ndata: {\"t\":\"data: x\"}\n\ndata: [DONE]\n\n";
        assert_eq!(split(frames), [br#"{"type":"a"}"#.to_vec(), br#"{"t":"data: x"}"#.to_vec()]);
        assert!(split(b"").is_empty() && split(b"data: [DONE]\n\n").is_empty());
    }

    #[test]
    fn a_payload_is_no_copy() {
        let frames = Bytes::from_static(b"event: a\ndata: {}\n\n");
        let mut splitter = PayloadSplitter::default();
        let payload = splitter.split(frames.clone()).next().expect("one");
        assert!(frames.as_ptr_range().contains(&payload.bytes.as_ptr()) && payload.begins && payload.ends);
    }

    #[test]
    fn a_payload_in_pieces_is_one_payload() {
        let parts = |pieces: &[&'static [u8]]| {
            let mut splitter = PayloadSplitter::default();
            let parts = |piece| splitter.split(Bytes::from_static(piece)).collect::<Vec<_>>();
            let parts: Vec<PayloadPart> = pieces.iter().copied().flat_map(parts).collect();
            parts.into_iter().map(|part| (part.bytes, part.begins, part.ends)).collect::<Vec<_>>()
        };
        let part = |text: &'static str, begins, ends| (Bytes::from_static(text.as_bytes()), begins, ends);
        assert_eq!(
            parts(&[b"event: a\ndata: {\"a\":\"", b"data: [DONE]", b"\"}\n\ndata: {}\n\ndata: [DONE]\n\n"]),
            [
                part("{\"a\":\"", true, false),
                part("data: [DONE]", false, false),
                part("\"}", false, true),
                part("{}", true, true)
            ]
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn what_the_writer_writes_is_what_a_reader_of_streams_reads(texts in prop::collection::vec("\\PC{0,40}|[\n\r\"\\\\ :a-z]{0,40}", 0..12)) {
            let mut events = EventBuffer::default();
            for text in &texts {
                events.event("response.output_text.delta", |out| {
                    out.push(b",\"delta\":");
                    push_string(out.tail_mut(), text);
                });
            }
            events.done();
            let frames = events.out.to_vec();
            let payloads = split(&frames);
            prop_assert_eq!(&payloads, &read(&frames));
            // Cut inside of the last payload, as a writer may.
            if !texts.is_empty() {
                let end = frames.len() - b"\n\ndata: [DONE]\n\n".len();
                prop_assert_eq!(&payloads, &split_pieces(&[&frames[..end - 3], &frames[end - 3..end - 1], &frames[end - 1..]]));
            }
            let deltas: Vec<String> = payloads
                .iter()
                .map(|payload| serde_json::from_slice::<serde_json::Value>(payload).expect("JSON"))
                .map(|event| event["delta"].as_str().expect("a text").to_owned())
                .collect();
            prop_assert_eq!(deltas, texts);
        }

        #[test]
        fn any_bytes_give_lines_of_them(bytes in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'd'), Just(b' '), any::<u8>()], 0..200), frames in 0usize..4) {
            let mut all = b"data: x\n".repeat(frames);
            all.extend_from_slice(&bytes);
            let payloads = split(&all);
            prop_assert!(payloads.len() >= frames);
            prop_assert!(payloads.iter().map(Vec::len).sum::<usize>() <= all.len());
            prop_assert!(payloads.iter().all(|payload| !payload.contains(&b'\n')));
        }
    }
}
