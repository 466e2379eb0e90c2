//! One payload on each line: JSON lines, plain or in the syntax of an event stream. No IO.
//!
//! A line that lies whole inside the bytes given is handed out as a slice of them. What is held is bounded by the line limit.

use std::mem;

use memchr::memchr;

use crate::sse::LineTooLong;

/// Turns bytes into payloads, whatever their chunking.
#[derive(Debug)]
pub struct LineDecoder {
    limit: usize,
    partial: Vec<u8>,
}

impl LineDecoder {
    /// A decoder that refuses lines longer than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, partial: Vec::new() }
    }

    /// Reads on; hands out the payload of every line that is complete now.
    ///
    /// # Errors
    ///
    /// [`LineTooLong`] when a line grew past the limit. Nothing may be read after it.
    pub fn push(&mut self, mut bytes: &[u8], each: &mut impl FnMut(&[u8])) -> Result<(), LineTooLong> {
        while let Some(end) = memchr(b'\n', bytes) {
            let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
            bytes = rest;
            if self.partial.is_empty() {
                if line.len() > self.limit {
                    return Err(LineTooLong { limit: self.limit });
                }
                payload(line, each);
            } else {
                self.hold(line)?;
                let line = mem::take(&mut self.partial);
                payload(&line, each);
                self.partial = line;
                self.partial.clear();
            }
        }
        self.hold(bytes)
    }

    /// The bytes are over; hands out a last line that was not ended.
    pub fn finish(&mut self, each: &mut impl FnMut(&[u8])) {
        payload(&mem::take(&mut self.partial), each);
    }

    fn hold(&mut self, bytes: &[u8]) -> Result<(), LineTooLong> {
        if self.partial.len() + bytes.len() > self.limit {
            return Err(LineTooLong { limit: self.limit });
        }
        self.partial.extend_from_slice(bytes);
        Ok(())
    }
}

/// The payload of a line: without the syntax of an event stream, which says nothing here.
fn payload(line: &[u8], each: &mut impl FnMut(&[u8])) {
    const SSE_SYNTAX: [&[u8]; 4] = [b":", b"event:", b"id:", b"retry:"];
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).trim_ascii();
    if line.is_empty() || SSE_SYNTAX.iter().any(|syntax| line.starts_with(syntax)) {
        return;
    }
    each(line.strip_prefix(b"data:").unwrap_or(line).trim_ascii_start());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], size: usize) -> Vec<String> {
        let mut lines = LineDecoder::new(1 << 20);
        let mut out = Vec::new();
        let mut each = |line: &[u8]| out.push(String::from_utf8_lossy(line).into_owned());
        for piece in bytes.chunks(size.max(1)) {
            lines.push(piece, &mut each).expect("short lines");
        }
        lines.finish(&mut each);
        out
    }

    #[test]
    fn plain_lines_and_event_streams() {
        let bytes = b"{\"a\":1}\r\n\n: comment\nevent: x\ndata: {\"b\":2}\n\ndata:[DONE]\n{\"c\":3}";
        assert_eq!(read(bytes, 1000), ["{\"a\":1}", "{\"b\":2}", "[DONE]", "{\"c\":3}"]);
        assert_eq!(LineDecoder::new(3).push(b"four", &mut |_| {}), Err(LineTooLong { limit: 3 }));
    }

    proptest::proptest! {
        #[test]
        fn cuts_do_not_matter(text in "[a{}:\r\n ]{0,40}", size in 1usize..8) {
            proptest::prop_assert_eq!(read(text.as_bytes(), size), read(text.as_bytes(), 1000));
        }
    }
}
