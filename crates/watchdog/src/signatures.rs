//! Faults in logs that are not ours: a table of signatures, and a reader for text that is still arriving.

use latimer_protocol::status::Fault;
use memchr::{memchr, memmem};

/// The table: signature, what it stands for. The first row that is in a line wins; case counts.
pub const SIGNATURES: [(&str, Fault); 21] = [
    ("parsed_tool_calls=0", Fault::BareExplore),
    ("[STUCK-RECOVERY]", Fault::CallNotFound),
    ("suspicious cmd", Fault::WrappedCommand),
    ("empty cmd recovered", Fault::EmptyCommand),
    ("HTTP 429", Fault::RateLimited),
    ("HTTP 500", Fault::ServerError),
    ("HTTP 502", Fault::ServerError),
    ("HTTP 503", Fault::ServerError),
    ("HTTP 401", Fault::KeyRefused),
    ("HTTP 403", Fault::ClientVersionRefused),
    ("Connection refused", Fault::ProxyGone),
    ("Address already in use", Fault::PortTaken),
    ("Broken pipe", Fault::ClientLeft),
    ("Connection reset", Fault::StreamInterrupted),
    ("timed out", Fault::ProviderUnreachable),
    ("SELF-REVIVE CRASH", Fault::ProxyCrashed),
    ("stream error", Fault::StreamInterrupted),
    ("stream disconnected", Fault::ClientStreamLost),
    ("context_length_exceeded", Fault::ContextTooLong),
    // Only together with [`COMPANION`]: the word alone is common.
    ("malformed", Fault::ClientDatabaseMalformed),
    ("Reconnecting", Fault::ClientReconnecting),
];
/// Must stand in the same line as `malformed`.
const COMPANION: &str = "database";
/// The bytes of a line that are kept between two pushes: one less than the longest signature.
const OVERLAP: usize = 22;

/// Reads a log while it grows and names the fault of each line, at most one a line.
///
/// It keeps a few bytes of the current line and never the line: ten megabytes without a line end cost one pass.
/// Invariant: how the text is cut into pushes does not matter.
#[derive(Debug)]
pub struct Signatures {
    /// One searcher for each row, then the companion.
    finders: Vec<memmem::Finder<'static>>,
    /// The end of what was seen of the current line.
    overlap: Vec<u8>,
    line: Line,
}

/// What was found in the current line.
#[derive(Debug, Clone, Copy, Default)]
struct Line {
    /// The highest row that counts by itself.
    row: Option<usize>,
    malformed: bool,
    companion: bool,
}

impl Default for Signatures {
    fn default() -> Self {
        let texts = SIGNATURES.iter().map(|row| row.0).chain([COMPANION]);
        Self {
            finders: texts.map(|text| memmem::Finder::new(text.as_bytes())).collect(),
            overlap: Vec::with_capacity(2 * OVERLAP),
            line: Line::default(),
        }
    }
}

impl Signatures {
    /// More of the log. Gives the faults of the lines that ended in it.
    pub fn push(&mut self, mut bytes: &[u8]) -> impl Iterator<Item = Fault> + use<> {
        let mut faults = Vec::new();
        while let Some(end) = memchr(b'\n', bytes) {
            self.part(&bytes[..end]);
            faults.extend(self.end_line());
            bytes = &bytes[end + 1..];
        }
        self.part(bytes);
        faults.into_iter()
    }

    /// The log ends, or was replaced by another: a last line without an end counts too.
    pub fn finish(&mut self) -> Option<Fault> {
        self.end_line()
    }

    fn part(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if !self.overlap.is_empty() {
            // A signature that was cut lies within the last bytes before and the first bytes of this part.
            let mut seam = std::mem::take(&mut self.overlap);
            seam.extend_from_slice(&bytes[..bytes.len().min(OVERLAP)]);
            self.search(&seam);
            self.overlap = seam;
        }
        self.search(bytes);
        if bytes.len() >= OVERLAP {
            self.overlap.clear();
        }
        // The seam ends where a short part ends, so its own end is the end of the line so far.
        let tail = if self.overlap.is_empty() { bytes } else { &[] };
        self.overlap.extend_from_slice(&tail[tail.len().saturating_sub(OVERLAP)..]);
        let surplus = self.overlap.len().saturating_sub(OVERLAP);
        self.overlap.drain(..surplus);
    }

    fn search(&mut self, bytes: &[u8]) {
        for (row, finder) in self.finders.iter().enumerate() {
            let wanted = match SIGNATURES.get(row) {
                None => !self.line.companion,
                Some((_, Fault::ClientDatabaseMalformed)) => !self.line.malformed,
                Some(_) => self.line.row.is_none_or(|found| row < found),
            };
            if wanted && finder.find(bytes).is_some() {
                match SIGNATURES.get(row) {
                    None => self.line.companion = true,
                    Some((_, Fault::ClientDatabaseMalformed)) => self.line.malformed = true,
                    Some(_) => self.line.row = Some(row),
                }
            }
        }
    }

    fn end_line(&mut self) -> Option<Fault> {
        self.overlap.clear();
        let line = std::mem::take(&mut self.line);
        let database = SIGNATURES
            .iter()
            .position(|row| row.1 == Fault::ClientDatabaseMalformed)
            .filter(|_| line.malformed && line.companion);
        let row = line.row.into_iter().chain(database).min()?;
        SIGNATURES.get(row).map(|row| row.1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The plain meaning, without streaming.
    fn by_lines(text: &[u8]) -> Vec<Fault> {
        let has = |line: &[u8], text: &str| memmem::find(line, text.as_bytes()).is_some();
        let fault = |line: &[u8]| {
            let fits = |row: &&(&str, Fault)| {
                has(line, row.0) && (row.1 != Fault::ClientDatabaseMalformed || has(line, COMPANION))
            };
            SIGNATURES.iter().find(fits).map(|row| row.1)
        };
        text.split(|byte| *byte == b'\n').filter_map(fault).collect()
    }

    fn streamed(text: &[u8], size: usize) -> Vec<Fault> {
        let mut signatures = Signatures::default();
        let mut faults: Vec<_> = text.chunks(size.max(1)).flat_map(|part| signatures.push(part)).collect();
        faults.extend(signatures.finish());
        faults
    }

    #[test]
    fn the_overlap_is_one_less_than_the_longest_signature() {
        let longest = SIGNATURES.iter().map(|row| row.0.len()).max().expect("rows");
        assert_eq!(OVERLAP, longest - 1);
    }

    #[test]
    fn every_signature_is_found() {
        for (text, fault) in SIGNATURES {
            let line = match fault {
                Fault::ClientDatabaseMalformed => format!("12:00 the database disk image is {text}\n"),
                _ => format!("12:00 something {text} something\n"),
            };
            assert_eq!(streamed(line.as_bytes(), line.len()), [fault], "{text}");
            assert_eq!(streamed(line.as_bytes(), 1), [fault], "{text}, byte by byte");
            let wrong_case = line.to_uppercase().replace("SELF-REVIVE CRASH", "self-revive crash");
            if !wrong_case.contains(text) {
                assert_eq!(streamed(wrong_case.as_bytes(), 7), [], "{text}: case counts");
            }
        }
    }

    #[test]
    fn the_first_row_wins_and_a_line_is_one_fault() {
        let text = b"stream error: HTTP 429 timed out\nmalformed input\nno fault\nmalformed database Reconnecting\nHTTP 401";
        assert_eq!(
            streamed(text, text.len()),
            [Fault::RateLimited, Fault::ClientDatabaseMalformed, Fault::KeyRefused]
        );
        assert_eq!(streamed(text, 3), by_lines(text));
    }

    #[test]
    fn a_line_of_ten_megabytes_leaves_no_memory() {
        let mut signatures = Signatures::default();
        let noise: Vec<u8> =
            (0..1 << 20).map(|place: u32| (place.wrapping_mul(2_654_435_761) >> 24) as u8 | 0x80).collect();
        for _ in 0..10 {
            assert_eq!(signatures.push(&noise).count(), 0);
            assert!(signatures.overlap.capacity() <= 4 * OVERLAP, "{}", signatures.overlap.capacity());
        }
        assert_eq!(signatures.push(b"HTTP 500\n").collect::<Vec<_>>(), [Fault::ServerError]);
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(
            pieces in prop::collection::vec(
                prop_oneof![
                    prop::sample::select(SIGNATURES.map(|row| row.0).to_vec()).prop_map(str::to_owned),
                    prop::sample::select(vec!["\n", "database", "HTTP 5", "Connection re", "time", " "]).prop_map(str::to_owned),
                    "[a-zH ]{0,30}",
                ],
                0..20,
            ),
            size in 1usize..40,
        ) {
            let text = pieces.concat();
            prop_assert_eq!(streamed(text.as_bytes(), size), by_lines(text.as_bytes()));
        }

        #[test]
        fn bytes_of_any_kind_are_read(bytes in prop::collection::vec(any::<u8>(), 0..2000), size in 1usize..300) {
            prop_assert_eq!(streamed(&bytes, size), by_lines(&bytes));
        }
    }
}
