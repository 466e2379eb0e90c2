//! SSE framing alone: how fast bytes of a stream become frames.

use divan::counter::BytesCount;
use latimer_protocol::sse::SseDecoder;

const FRAME: &str = "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"glm-5\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"sixteen bytes.. \"},\"finish_reason\":null}]}\n\n";

fn main() {
    divan::main();
}

/// A stream of 4,096 deltas, in pieces as a socket (16 KiB), a packet (1,448) and a trickle (16) would bring them.
#[divan::bench(args = [16384, 1448, 16])]
fn frames(bencher: divan::Bencher<'_, '_>, piece: usize) {
    let stream = FRAME.repeat(4096);
    bencher.counter(BytesCount::of_str(&stream)).bench(|| {
        let mut frames = SseDecoder::new(1 << 20);
        let mut seen = 0;
        for piece in stream.as_bytes().chunks(piece) {
            let _ = frames.push(piece, &mut |frame| seen += divan::black_box(frame.data).len());
        }
        seen
    });
}
