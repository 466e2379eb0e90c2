//! Server-sent events, as the HTML standard defines their format: bytes to frames, whatever the chunking. No IO.
//!
//! A frame that lies whole inside the bytes given is handed out as a slice of them; only what is cut by the end of the bytes
//! is copied. Every byte is looked at once, so the work is linear on any input, and what is held is bounded by the line limit.

use std::borrow::Cow;
use std::mem;

use memchr::memchr2;

/// The longest line, in bytes, that is read unless a caller says otherwise: 16 MiB.
pub const DEFAULT_MAX_LINE: usize = 16 << 20;

/// How much is kept of lines that are no field, in bytes.
const MAX_STRAY: usize = 2048;

/// One event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SseFrame<'a> {
    /// The `event:` field, when there was one.
    pub event: Option<&'a [u8]>,
    /// The `data:` lines, joined by line feeds.
    pub data: &'a [u8],
}

/// A line or an event grew past the limit. The stream cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a line of the event stream is longer than {limit} bytes")]
pub struct LineTooLong {
    /// The limit in bytes.
    pub limit: usize,
}

/// Turns bytes into frames, whatever their chunking.
#[derive(Debug)]
pub struct SseDecoder {
    limit: usize,
    /// The beginning of a line whose end has not arrived.
    partial: Vec<u8>,
    /// The `data:` lines of an event that is not over, joined by line feeds.
    data: FieldBuffer,
    /// The `event:` line of it.
    event: FieldBuffer,
    /// The last byte was a carriage return: a line feed right after it belongs to the same line end.
    after_return: bool,
    /// Nothing was read yet: a byte order mark may come.
    at_start: bool,
    /// Lines that are no field of the format, as far as they are kept.
    stray: Vec<u8>,
}

/// A field of an event that is not over. The bytes are kept when it is cleared: the next event will need them again.
#[derive(Debug, Default)]
struct FieldBuffer {
    bytes: Vec<u8>,
    /// A field without a value is there, too.
    is_present: bool,
}

impl FieldBuffer {
    fn get(&self) -> Option<&[u8]> {
        self.is_present.then_some(&self.bytes)
    }

    fn append(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.is_present = true;
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.is_present = false;
    }
}

impl Default for SseDecoder {
    fn default() -> Self {
        Self::new(DEFAULT_MAX_LINE)
    }
}

impl SseDecoder {
    /// A decoder that refuses lines and events longer than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            partial: Vec::new(),
            data: FieldBuffer::default(),
            event: FieldBuffer::default(),
            after_return: false,
            at_start: true,
            stray: Vec::new(),
        }
    }

    /// Reads on; hands out every frame that is complete now.
    ///
    /// # Errors
    ///
    /// [`LineTooLong`] when a line, or the data of an event, grew past the limit. Nothing may be read after it.
    pub fn push(&mut self, mut bytes: &[u8], each: &mut impl FnMut(SseFrame<'_>)) -> Result<(), LineTooLong> {
        if self.after_return && !bytes.is_empty() {
            self.after_return = false;
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        while let Some(end) = memchr2(b'\n', b'\r', bytes) {
            let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
            let is_return = bytes[end] == b'\r';
            self.after_return = is_return && rest.is_empty();
            bytes = if is_return { rest.strip_prefix(b"\n").unwrap_or(rest) } else { rest };
            if self.partial.is_empty() {
                bytes = self.line(line, bytes, each)?;
            } else {
                self.hold(line)?;
                let line = mem::take(&mut self.partial);
                self.line(&line, &[], each)?;
                // The buffer is kept: the next cut line will need it again.
                self.partial = line;
                self.partial.clear();
            }
        }
        self.hold(bytes)
    }

    /// The bytes are over; hands out an event that was not closed by an empty line.
    pub fn finish(&mut self, each: &mut impl FnMut(SseFrame<'_>)) {
        let line = mem::take(&mut self.partial);
        // A last line that makes the event too long is left out; what came before it stands.
        if !line.is_empty() && self.line(&line, &[], each).is_err() {
            self.clear();
        }
        self.dispatch(each);
    }

    fn hold(&mut self, bytes: &[u8]) -> Result<(), LineTooLong> {
        if self.partial.len() + bytes.len() > self.limit {
            return Err(LineTooLong { limit: self.limit });
        }
        self.partial.extend_from_slice(bytes);
        Ok(())
    }

    /// Takes one line. `rest` is what follows it: when it begins with the empty line that ends the event, the frame is
    /// handed out without copying, and what remains of `rest` is returned.
    fn line<'b>(
        &mut self,
        line: &[u8],
        rest: &'b [u8],
        each: &mut impl FnMut(SseFrame<'_>),
    ) -> Result<&'b [u8], LineTooLong> {
        let line = if mem::take(&mut self.at_start) {
            line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line)
        } else {
            line
        };
        if line.len() > self.limit {
            return Err(LineTooLong { limit: self.limit });
        }
        if line.is_empty() {
            self.dispatch(each);
            return Ok(rest);
        }
        let (name, value) = match memchr::memchr(b':', line) {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &b""[..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"data" if !self.data.is_present => {
                if let Some(rest) = rest.strip_prefix(b"\n") {
                    each(SseFrame { event: self.event.get(), data: value });
                    self.clear();
                    return Ok(rest);
                }
                self.data.append(value);
            }
            b"data" => {
                if self.data.bytes.len() + value.len() >= self.limit {
                    return Err(LineTooLong { limit: self.limit });
                }
                self.data.append(b"\n");
                self.data.append(value);
            }
            b"event" => {
                self.event.clear();
                self.event.append(value);
            }
            // Comments and these fields carry nothing for us.
            b"" | b"id" | b"retry" => {}
            _ => self.keep_stray(line),
        }
        Ok(rest)
    }

    /// Lines that are no field of the format, joined by line feeds, the first 2 kB of them: words of a server that does not speak it.
    pub fn stray(&self) -> &[u8] {
        &self.stray
    }

    #[cold]
    fn keep_stray(&mut self, line: &[u8]) {
        let room = MAX_STRAY.saturating_sub(self.stray.len());
        if room > 0 {
            if !self.stray.is_empty() {
                self.stray.push(b'\n');
            }
            self.stray.extend_from_slice(line.get(..room).unwrap_or(line));
        }
    }

    fn dispatch(&mut self, each: &mut impl FnMut(SseFrame<'_>)) {
        if let Some(data) = self.data.get() {
            each(SseFrame { event: self.event.get(), data });
        }
        self.clear();
    }

    fn clear(&mut self) {
        self.data.clear();
        self.event.clear();
    }
}

/// The bytes as text; invalid UTF-8 is replaced, valid text is not copied.
pub fn text(data: &[u8]) -> Cow<'_, str> {
    // The check alone is several times faster than the search for what to replace.
    std::str::from_utf8(data).map_or_else(|_| String::from_utf8_lossy(data), Cow::Borrowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Read = (Option<String>, String);

    fn read(chunks: &[&[u8]]) -> Vec<Read> {
        let mut frames = SseDecoder::new(1000);
        let mut seen = Vec::new();
        let mut each = |frame: SseFrame<'_>| {
            seen.push((frame.event.map(|event| text(event).into_owned()), text(frame.data).into_owned()));
        };
        for chunk in chunks {
            frames.push(chunk, &mut each).expect("short lines");
        }
        frames.finish(&mut each);
        seen
    }

    fn frame(event: Option<&str>, data: &str) -> Read {
        (event.map(str::to_owned), data.to_owned())
    }

    #[test]
    fn every_spelling_of_a_frame() {
        let cases: [(&str, Vec<Read>); 14] = [
            ("data: a\n\n", vec![frame(None, "a")]),
            ("data:a\n\n", vec![frame(None, "a")]),
            ("data:  a\n\n", vec![frame(None, " a")]),
            ("data: a\r\n\r\n", vec![frame(None, "a")]),
            ("data: a\r\rdata: b\r\r", vec![frame(None, "a"), frame(None, "b")]),
            ("\u{feff}data: a\n\n", vec![frame(None, "a")]),
            ("event: e\ndata: a\n\ndata: b\n\n", vec![frame(Some("e"), "a"), frame(None, "b")]),
            ("data: a\ndata: b\n\n", vec![frame(None, "a\nb")]),
            (": comment\n\ndata: a\n\n", vec![frame(None, "a")]),
            ("id: 1\nretry: 5\ndata: a\n\n", vec![frame(None, "a")]),
            ("data: a\n", vec![frame(None, "a")]),
            ("data: a", vec![frame(None, "a")]),
            ("event: lonely\n\ndata: a\n\n", vec![frame(None, "a")]),
            ("data\n\n\n\n", vec![frame(None, "")]),
        ];
        for (bytes, want) in cases {
            assert_eq!(read(&[bytes.as_bytes()]), want, "{bytes:?}");
            let single: Vec<&[u8]> = bytes.as_bytes().chunks(1).collect();
            assert_eq!(read(&single), want, "{bytes:?} byte by byte");
        }
    }

    #[test]
    fn lines_of_another_format_are_kept_in_part() {
        let mut frames = SseDecoder::new(10_000);
        let text = format!("no such model\nerror: 7\nid: 1\n: comment\ndata: a\n\n{}\n", "x".repeat(5000));
        frames.push(text.as_bytes(), &mut |_| {}).expect("short lines");
        frames.finish(&mut |_| {});
        assert!(frames.stray().starts_with(b"no such model\nerror: 7\nxxx"));
        assert!(frames.stray().len() <= MAX_STRAY + 1);
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut frames = SseDecoder::new(10);
        let mut none = |_: SseFrame<'_>| panic!("no frame");
        assert_eq!(frames.push(b"data: 123", &mut none), Ok(()));
        assert_eq!(frames.push(b"45", &mut none), Err(LineTooLong { limit: 10 }));
        let mut frames = SseDecoder::new(10);
        frames.push(b"data: 1234\n", &mut none).expect("fits");
        assert_eq!(
            frames.push(b"data: 56789\n", &mut none),
            Err(LineTooLong { limit: 10 }),
            "an event counts as well"
        );
    }

    proptest! {
        #[test]
        fn chunking_does_not_matter(
            pieces in proptest::collection::vec("(data: ?|event: |: |id|\r|\n|\r\n|[a-c]{0,3}|\u{feff})", 0..40),
            size in 1usize..9,
        ) {
            let bytes = pieces.concat().into_bytes();
            let cut: Vec<&[u8]> = bytes.chunks(size).collect();
            prop_assert_eq!(read(&[&bytes]), read(&cut));
        }
    }
}
