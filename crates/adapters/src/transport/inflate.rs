//! Bodies that come compressed although we asked for `identity`.

use std::io::{self, Write};

use bytes::{Buf, Bytes};
use flate2::write::{DeflateDecoder, GzDecoder, ZlibDecoder};
use hyper::HeaderMap;
use hyper::header::CONTENT_ENCODING;
use latimer_protocol::failure::{Failure, FailureKind};
use latimer_protocol::secret::redact;

/// Bytes given to the decoder at a time: with a factor of about 1000 at most, this bounds what one step can produce.
const STEP_LEN: usize = 4 * 1024;
/// From here on the factor counts.
const UNCHECKED_BYTES: u64 = 1024 * 1024;
/// The largest factor past [`UNCHECKED_BYTES`]; text compresses about 5 : 1, a bomb 1000 : 1.
const MAX_FACTOR: u64 = 100;

enum Decoder {
    Gzip(GzDecoder<Vec<u8>>),
    /// "deflate" means zlib by the standard and the bare stream by habit; the first byte tells.
    Deflate,
    Zlib(ZlibDecoder<Vec<u8>>),
    Bare(DeflateDecoder<Vec<u8>>),
}

/// A decoder with a bound on its output.
pub(super) struct Inflate {
    decoder: Decoder,
    waiting: Bytes,
    taken: u64,
    given: u64,
}

impl Inflate {
    /// The decoder that an answer's headers ask for, if any.
    pub(super) fn wanted(headers: &HeaderMap) -> Result<Option<Self>, Failure> {
        let decoder = match headers.get(CONTENT_ENCODING).map(|value| value.as_bytes().trim_ascii()) {
            None | Some(b"") => return Ok(None),
            Some(name) if name.eq_ignore_ascii_case(b"identity") => return Ok(None),
            Some(name) if name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip") => {
                Decoder::Gzip(GzDecoder::new(Vec::new()))
            }
            Some(name) if name.eq_ignore_ascii_case(b"deflate") => Decoder::Deflate,
            Some(name) => {
                let name: String = redact(&String::from_utf8_lossy(name)).chars().take(40).collect();
                return Err(Failure::new(
                    FailureKind::UpstreamError,
                    format!("the provider compressed its answer as {name:?}, which was not asked for"),
                ));
            }
        };
        Ok(Some(Self { decoder, waiting: Bytes::new(), taken: 0, given: 0 }))
    }

    /// Takes a compressed chunk; [`Inflate::next`] gives the pieces.
    pub(super) fn feed(&mut self, chunk: Bytes) {
        self.waiting = chunk;
    }

    /// The next decompressed piece of what was fed, or `None` when more is needed.
    pub(super) fn next(&mut self) -> Option<Result<Bytes, Failure>> {
        while !self.waiting.is_empty() {
            let step = self.waiting.len().min(STEP_LEN);
            self.taken += step as u64;
            let result = self.decoder.write(self.waiting.get(..step).unwrap_or_default());
            self.waiting.advance(step);
            match result {
                Ok(out) if out.is_empty() => {}
                Ok(out) => return Some(self.give(out)),
                Err(error) => return Some(Err(broken(&error))),
            }
        }
        None
    }

    /// What the end of the compressed bytes still yields. A body without its trailer is a cut body.
    pub(super) fn finish(&mut self) -> Option<Result<Bytes, Failure>> {
        if self.taken == 0 {
            return None;
        }
        match self.decoder.finish() {
            Ok(out) if out.is_empty() => None,
            Ok(out) => Some(self.give(out)),
            Err(error) => Some(Err(broken(&error))),
        }
    }

    fn give(&mut self, out: Vec<u8>) -> Result<Bytes, Failure> {
        self.given += out.len() as u64;
        if self.given > UNCHECKED_BYTES && self.given > self.taken.saturating_mul(MAX_FACTOR) {
            return Err(Failure::new(
                FailureKind::TooLarge,
                format!(
                    "the provider's compressed answer grows more than {MAX_FACTOR} times when it is unpacked"
                ),
            ));
        }
        Ok(Bytes::from(out))
    }
}

impl Decoder {
    fn write(&mut self, input: &[u8]) -> io::Result<Vec<u8>> {
        if matches!(self, Self::Deflate) {
            // The zlib header's first byte: method 8, window up to 32 kB. A bare stream does not begin so in practice.
            *self = match input.first() {
                Some(first) if first & 0x0f == 8 && first >> 4 <= 7 => {
                    Self::Zlib(ZlibDecoder::new(Vec::new()))
                }
                _ => Self::Bare(DeflateDecoder::new(Vec::new())),
            };
        }
        match self {
            Self::Gzip(decoder) => {
                push(decoder, input)?;
                Ok(std::mem::take(decoder.get_mut()))
            }
            Self::Zlib(decoder) => {
                push(decoder, input)?;
                Ok(std::mem::take(decoder.get_mut()))
            }
            Self::Bare(decoder) => {
                push(decoder, input)?;
                Ok(std::mem::take(decoder.get_mut()))
            }
            Self::Deflate => Ok(Vec::new()),
        }
    }

    fn finish(&mut self) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip(decoder) => {
                decoder.try_finish()?;
                Ok(std::mem::take(decoder.get_mut()))
            }
            Self::Zlib(decoder) => {
                decoder.try_finish()?;
                Ok(std::mem::take(decoder.get_mut()))
            }
            Self::Bare(decoder) => {
                decoder.try_finish()?;
                Ok(std::mem::take(decoder.get_mut()))
            }
            Self::Deflate => Ok(Vec::new()),
        }
    }
}

/// Writes everything and flushes, so that an event is not held back until the next one. What follows the end of the
/// compressed stream is dropped.
fn push(decoder: &mut impl Write, mut input: &[u8]) -> io::Result<()> {
    while !input.is_empty() {
        match decoder.write(input)? {
            0 => break,
            taken => input = input.get(taken..).unwrap_or_default(),
        }
    }
    decoder.flush()
}

fn broken(error: &io::Error) -> Failure {
    Failure::new(
        FailureKind::Interrupted,
        format!("the provider's compressed answer is cut or damaged: {error}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use hyper::header::HeaderValue;

    fn inflate(encoding: &'static str) -> Inflate {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        Inflate::wanted(&headers).expect("known").expect("compressed")
    }

    fn run(encoding: &'static str, packed: &[u8], chunk: usize) -> Result<Vec<u8>, Failure> {
        let mut inflate = inflate(encoding);
        let mut out = Vec::new();
        for part in packed.chunks(chunk) {
            inflate.feed(Bytes::copy_from_slice(part));
            while let Some(piece) = inflate.next() {
                out.extend_from_slice(&piece?);
            }
        }
        if let Some(piece) = inflate.finish() {
            out.extend_from_slice(&piece?);
        }
        Ok(out)
    }

    fn packed(encoding: &str, text: &[u8]) -> Vec<u8> {
        match encoding {
            "gzip" => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(text).expect("memory");
                encoder.finish().expect("memory")
            }
            "zlib" => {
                let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(text).expect("memory");
                encoder.finish().expect("memory")
            }
            _ => {
                let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(text).expect("memory");
                encoder.finish().expect("memory")
            }
        }
    }

    #[test]
    fn any_cut_gives_the_same_text() {
        let text = b"data: {\"a\":1}\n\ndata: [DONE]\n\n";
        for (encoding, shape) in
            [("gzip", "gzip"), ("GZIP", "gzip"), ("deflate", "zlib"), ("deflate", "bare")]
        {
            let packed = packed(shape, text);
            for chunk in [1, 3, packed.len()] {
                assert_eq!(run(encoding, &packed, chunk).expect("whole"), text, "{shape} by {chunk}");
            }
        }
    }

    #[test]
    fn a_cut_gzip_body_is_interrupted() {
        let packed = packed("gzip", b"data: hello\n\n");
        let failure = run("gzip", &packed[..packed.len() - 6], 64).expect_err("cut");
        assert_eq!(failure.kind, FailureKind::Interrupted);
    }

    #[test]
    fn a_bomb_is_stopped() {
        let packed = packed("gzip", &vec![0; 64 << 20]);
        let failure = run("gzip", &packed, 64 * 1024).expect_err("bomb");
        assert_eq!(failure.kind, FailureKind::TooLarge);
    }

    #[test]
    fn an_empty_body_needs_no_trailer() {
        assert_eq!(run("gzip", b"", 1).expect("empty"), b"");
    }

    #[test]
    fn an_unknown_encoding_is_named() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("br"));
        let failure = Inflate::wanted(&headers).err().expect("unknown");
        assert!(failure.message.contains("\"br\""), "{failure}");
    }
}
