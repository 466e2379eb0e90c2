//! The writer's events, taken out of their frames: over WebSocket each goes alone. Pure.

use bytes::Bytes;

/// What stands before a payload.
const DATA: &[u8] = b"data: ";
/// The end of a stream that has no other end; a message says itself that it is the last.
const DONE: &[u8] = b"[DONE]";

/// The JSON payloads of whole frames, each a slice of them.
///
/// The frames are our own: a writer hands out whole ones only, with one line of `data` each. Whatever the bytes, nothing
/// but parts of them comes out.
#[derive(Debug, Clone)]
pub struct Payloads(Bytes);

impl Payloads {
    /// The payloads of these frames.
    pub fn new(frames: Bytes) -> Self {
        Self(frames)
    }
}

impl Iterator for Payloads {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        while !self.0.is_empty() {
            let end = memchr::memchr(b'\n', &self.0).map_or(self.0.len(), |end| end + 1);
            let line = self.0.split_to(end);
            let Some(payload) = line.strip_prefix(DATA) else { continue };
            let payload = payload.strip_suffix(b"\n").unwrap_or(payload);
            if payload != DONE {
                return Some(line.slice_ref(payload));
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
        Payloads::new(Bytes::copy_from_slice(frames)).map(|payload| payload.to_vec()).collect()
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
        let payload = Payloads::new(frames.clone()).next().expect("one");
        assert!(frames.as_ptr_range().contains(&payload.as_ptr()));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn what_the_writer_writes_is_what_a_reader_of_streams_reads(texts in prop::collection::vec("\\PC{0,40}|[\n\r\"\\\\ :a-z]{0,40}", 0..12)) {
            let mut events = EventBuffer::default();
            for text in &texts {
                events.event("response.output_text.delta", |out| {
                    out.extend_from_slice(b",\"delta\":");
                    push_string(out, text);
                });
            }
            events.done();
            let payloads = split(&events.bytes);
            prop_assert_eq!(&payloads, &read(&events.bytes));
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
