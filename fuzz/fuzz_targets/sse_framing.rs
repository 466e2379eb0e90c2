//! Frames do not depend on how the bytes were cut. The first byte says into which pieces.
#![no_main]

use latimer_protocol::sse::{SseFrame, SseDecoder};
use libfuzzer_sys::fuzz_target;

fn read(bytes: &[u8], size: usize) -> Option<Vec<(Option<Vec<u8>>, Vec<u8>)>> {
    let mut frames = SseDecoder::new(1 << 20);
    let mut seen = Vec::new();
    let mut each = |frame: SseFrame<'_>| seen.push((frame.event.map(<[u8]>::to_vec), frame.data.to_vec()));
    for piece in bytes.chunks(size) {
        frames.push(piece, &mut each).ok()?;
    }
    frames.finish(&mut each);
    Some(seen)
}

fuzz_target!(|data: &[u8]| {
    let Some((size, bytes)) = data.split_first() else { return };
    let whole = read(bytes, bytes.len().max(1));
    assert_eq!(whole, read(bytes, usize::from(*size).max(1)));
});
