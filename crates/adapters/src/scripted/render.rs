//! Steps to operations on a socket, once, when a scenario is loaded.
//!
//! Steps that follow each other without a pause become one write; repeated ones become a block that is written often.
//! Playing a stream of a million chunks costs as many copies as there are blocks.

use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::{Value, json};

use super::scenario::{Encoding, Framing, ReasoningField, ScriptedAnswer, Step};

/// Repeated bytes are joined up to about this size.
const BLOCK_SIZE: usize = 64 * 1024;

/// One operation on a socket.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Op {
    Write(Vec<u8>),
    Wait(Duration),
    Repeat(u64, Vec<Op>),
    Stall,
    Cut,
    Reset,
    /// The connection ends as the framing says.
    Close,
}

/// An answer ready to be played.
#[derive(Debug)]
pub(super) struct Rendered {
    pub(super) when: Option<String>,
    pub(super) ops: Vec<Op>,
}

/// Renders an answer with its head.
pub(super) fn render(answer: &ScriptedAnswer) -> Rendered {
    let lone_body = matches!(answer.steps.as_slice(), [Step::Body { .. }]);
    let chunked = match answer.framing {
        Framing::Auto => !lone_body,
        Framing::Chunked => true,
        Framing::Close | Framing::Length(_) | Framing::Headless => false,
    };
    let mut body = AnswerWriter { chunked, encoder: answer.encoding.map(Encoder::new), ops: Vec::new() };
    let ended = body.steps(&answer.steps);
    if !ended {
        body.end();
        if matches!(answer.framing, Framing::Close | Framing::Headless) {
            body.ops.push(Op::Close);
        }
    }
    let mut ops = Vec::new();
    if answer.delay_ms > 0 {
        ops.push(Op::Wait(Duration::from_millis(answer.delay_ms)));
    }
    if answer.framing != Framing::Headless {
        let length = match answer.framing {
            Framing::Length(length) => Some(length),
            Framing::Auto if lone_body => Some(written(&body.ops)),
            _ => None,
        };
        write_head(answer, chunked, length, &mut ops);
    }
    for op in body.ops {
        push(&mut ops, op);
    }
    Rendered { when: answer.when.clone(), ops }
}

/// The payloads of the `data:` lines an answer streams, for transcripts.
pub(super) fn payloads(answer: &ScriptedAnswer) -> Vec<String> {
    let mut body = AnswerWriter { chunked: false, encoder: None, ops: Vec::new() };
    body.steps(&answer.steps);
    let bytes: Vec<u8> = body
        .ops
        .into_iter()
        .flat_map(|op| match op {
            Op::Write(bytes) => bytes,
            _ => Vec::new(),
        })
        .collect();
    let text = String::from_utf8_lossy(&bytes);
    text.lines().filter_map(|line| line.strip_prefix("data: ")).map(str::to_owned).collect()
}

fn write_head(answer: &ScriptedAnswer, chunked: bool, length: Option<u64>, ops: &mut Vec<Op>) {
    let whole = matches!(answer.steps.first(), Some(Step::Body { .. }));
    let guess = if whole { "application/json" } else { "text/event-stream" };
    let mut head = format!("HTTP/1.1 {} Scripted\r\n", answer.status);
    let mut line = |name: &str, value: &str| {
        head.push_str(name);
        head.push_str(": ");
        head.push_str(value);
        head.push_str("\r\n");
    };
    let content_type = answer.content_type.as_deref().unwrap_or(guess);
    if !content_type.is_empty() {
        line("content-type", content_type);
    }
    match answer.encoding {
        Some(Encoding::Gzip) => line("content-encoding", "gzip"),
        Some(Encoding::Deflate) => line("content-encoding", "deflate"),
        None => {}
    }
    match length {
        Some(length) => line("content-length", &length.to_string()),
        None if chunked => line("transfer-encoding", "chunked"),
        None => line("connection", "close"),
    }
    for (name, value) in &answer.headers {
        line(name, value);
    }
    head.push_str("\r\n");
    if answer.head_gap_ms == 0 {
        ops.push(Op::Write(head.into()));
        return;
    }
    for byte in head.into_bytes() {
        ops.push(Op::Write(vec![byte]));
        ops.push(Op::Wait(Duration::from_millis(answer.head_gap_ms)));
    }
}

/// Bytes in the writes of a body without repetition.
fn written(ops: &[Op]) -> u64 {
    ops.iter().map(|op| if let Op::Write(bytes) = op { bytes.len() as u64 } else { 0 }).sum()
}

/// Joins writes that follow each other.
fn push(ops: &mut Vec<Op>, op: Op) {
    match (ops.last_mut(), op) {
        (Some(Op::Write(last)), Op::Write(next)) => last.extend_from_slice(&next),
        (_, op) => ops.push(op),
    }
}

enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    Deflate(ZlibEncoder<Vec<u8>>),
}

impl Encoder {
    fn new(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Gzip => Self::Gzip(GzEncoder::new(Vec::new(), Compression::default())),
            Encoding::Deflate => Self::Deflate(ZlibEncoder::new(Vec::new(), Compression::default())),
        }
    }

    /// Writing to memory does not fail; nothing is what a failure would leave.
    fn write(&mut self, bytes: &[u8]) -> Vec<u8> {
        let (written, out) = match self {
            Self::Gzip(encoder) => {
                (encoder.write_all(bytes).and_then(|()| encoder.flush()), encoder.get_mut())
            }
            Self::Deflate(encoder) => {
                (encoder.write_all(bytes).and_then(|()| encoder.flush()), encoder.get_mut())
            }
        };
        written.map(|()| std::mem::take(out)).unwrap_or_default()
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Self::Gzip(encoder) => encoder.finish(),
            Self::Deflate(encoder) => encoder.finish(),
        }
        .unwrap_or_default()
    }
}

struct AnswerWriter {
    chunked: bool,
    encoder: Option<Encoder>,
    ops: Vec<Op>,
}

impl AnswerWriter {
    /// Renders steps in order; true when one of them ended the answer.
    fn steps(&mut self, steps: &[Step]) -> bool {
        steps.iter().any(|step| self.step(step))
    }

    fn step(&mut self, step: &Step) -> bool {
        match step {
            Step::Text { text, pieces, gap_us } => {
                self.pieces(text, *pieces, *gap_us, |piece| json!({"content": piece}));
            }
            Step::Reasoning { text, pieces, gap_us, field } => {
                self.pieces(text, *pieces, *gap_us, |piece| match field {
                    ReasoningField::ReasoningContent => json!({"reasoning_content": piece}),
                    ReasoningField::Reasoning => json!({"reasoning": piece}),
                });
            }
            Step::Call { id, name, arguments, pieces, gap_us, index } => {
                self.wait(Duration::from_micros(*gap_us));
                let function = json!({"name": name, "arguments": ""});
                let call = json!({"index": index, "id": id, "type": "function", "function": function});
                self.delta(&json!({"tool_calls": [call]}), None);
                self.pieces(
                    arguments,
                    *pieces,
                    *gap_us,
                    |piece| json!({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}),
                );
            }
            Step::Chunk { json } => self.frame(json),
            Step::Usage { input, output, cached, reasoning } => {
                self.usage(*input, *output, *cached, *reasoning);
            }
            Step::Finish { reason } => self.delta(&json!({}), Some(reason)),
            Step::Done => self.body(b"data: [DONE]\n\n"),
            Step::Comment { text } => self.body(format!(":{text}\n\n").as_bytes()),
            Step::Raw { text } => self.body(text.as_bytes()),
            Step::RawBytes { base64 } => self.body(&base64.0),
            Step::Wire { text } => self.write(text.clone().into()),
            Step::WireBytes { base64 } => self.write(base64.0.clone()),
            Step::Body { json } => self.body(json.to_string().as_bytes()),
            Step::Sleep { ms } => self.wait(Duration::from_millis(*ms)),
            Step::Repeat { times, steps } => return self.repeat(*times, steps),
            Step::Cut => return self.last(Op::Cut),
            Step::Reset => return self.last(Op::Reset),
            Step::Stall => return self.last(Op::Stall),
            Step::End => {
                self.end();
                return true;
            }
        }
        false
    }

    fn last(&mut self, op: Op) -> bool {
        self.ops.push(op);
        true
    }

    fn pieces(&mut self, text: &str, pieces: usize, gap_us: u64, delta: impl Fn(&str) -> Value) {
        for piece in cut(text, pieces) {
            self.wait(Duration::from_micros(gap_us));
            self.delta(&delta(piece), None);
        }
    }

    fn delta(&mut self, delta: &Value, finish_reason: Option<&str>) {
        self.chunk(&json!([{"index": 0, "delta": delta, "finish_reason": finish_reason}]), &Value::Null);
    }

    fn usage(&mut self, input: u64, output: u64, cached: u64, reasoning: u64) {
        let usage = json!({
            "prompt_tokens": input,
            "completion_tokens": output,
            "total_tokens": input.saturating_add(output),
            "prompt_tokens_details": {"cached_tokens": cached},
            "completion_tokens_details": {"reasoning_tokens": reasoning},
        });
        self.chunk(&json!([]), &usage);
    }

    fn chunk(&mut self, choices: &Value, usage: &Value) {
        let mut chunk = json!({
            "id": "chatcmpl-scripted",
            "object": "chat.completion.chunk",
            "created": 1_700_000_000,
            "model": "scripted",
            "choices": choices,
        });
        if let (Some(object), false) = (chunk.as_object_mut(), usage.is_null()) {
            object.insert("usage".to_owned(), usage.clone());
        }
        self.frame(&chunk);
    }

    fn frame(&mut self, json: &Value) {
        self.body(format!("data: {json}\n\n").as_bytes());
    }

    /// Bytes of the body: compressed and framed as the answer is.
    fn body(&mut self, bytes: &[u8]) {
        let encoded = self.encoder.as_mut().map(|encoder| encoder.write(bytes));
        self.framed(encoded.as_deref().unwrap_or(bytes));
    }

    fn framed(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if self.chunked {
            let size = format!("{:x}\r\n", bytes.len());
            self.write([size.as_bytes(), bytes, b"\r\n"].concat());
        } else {
            self.write(bytes.to_vec());
        }
    }

    fn end(&mut self) {
        if let Some(encoder) = self.encoder.take() {
            self.framed(&encoder.finish());
        }
        if self.chunked {
            self.write(b"0\r\n\r\n".to_vec());
        }
    }

    fn write(&mut self, bytes: Vec<u8>) {
        push(&mut self.ops, Op::Write(bytes));
    }

    fn wait(&mut self, pause: Duration) {
        if !pause.is_zero() {
            self.ops.push(Op::Wait(pause));
        }
    }

    fn repeat(&mut self, times: u64, steps: &[Step]) -> bool {
        if self.encoder.is_some() {
            // The state of the compressor runs through: no two repetitions have the same bytes.
            return (0..times).any(|_| self.steps(steps));
        }
        if times == 0 {
            return false;
        }
        let mut inner = Self { chunked: self.chunked, encoder: None, ops: Vec::new() };
        let ended = inner.steps(steps);
        if ended {
            inner.ops.into_iter().for_each(|op| push(&mut self.ops, op));
            return true;
        }
        if let [Op::Write(bytes)] = inner.ops.as_slice() {
            let per_block = (BLOCK_SIZE / bytes.len().max(1)).max(1);
            let per_block = u64::try_from(per_block).unwrap_or(1).min(times);
            let (blocks, left) = (times / per_block, times % per_block);
            let copies = |count: u64| bytes.repeat(usize::try_from(count).unwrap_or(1));
            self.ops.push(Op::Repeat(blocks, vec![Op::Write(copies(per_block))]));
            if left > 0 {
                self.ops.push(Op::Write(copies(left)));
            }
        } else {
            self.ops.push(Op::Repeat(times, inner.ops));
        }
        false
    }
}

/// Cuts text into pieces of about as many characters each; there are never more pieces than characters, and empty text is
/// one empty piece.
fn cut(text: &str, pieces: usize) -> Vec<&str> {
    let chars = text.chars().count();
    let pieces = pieces.clamp(1, chars.max(1));
    let mut rest = text;
    (0..pieces)
        .map(|nth| {
            let size = chars / pieces + usize::from(nth < chars % pieces);
            let at = rest.char_indices().nth(size).map_or(rest.len(), |(at, _)| at);
            let (piece, tail) = rest.split_at(at);
            rest = tail;
            piece
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_at_characters() {
        assert_eq!(cut("héllo", 5), ["h", "é", "l", "l", "o"]);
        assert_eq!(cut("abc", 1), ["abc"]);
        assert_eq!(cut("abcde", 3), ["ab", "cd", "e"]);
        assert_eq!(cut("abc", 0), ["abc"]);
        assert_eq!(cut("", 4), [""]);
        assert_eq!(cut("日本語", 9), ["日", "本", "語"]);
    }

    #[test]
    fn steps_without_a_pause_are_one_write() {
        let answer = ScriptedAnswer::turn([Step::Text { text: "abcdef".to_owned(), pieces: 6, gap_us: 0 }]);
        assert_eq!(render(&answer).ops.len(), 1);
        let answer = ScriptedAnswer::turn([Step::Text { text: "abcdef".to_owned(), pieces: 6, gap_us: 10 }]);
        assert_eq!(
            render(&answer).ops.len(),
            13,
            "head, then a wait and a write for each piece, the tail in the last"
        );
    }

    #[test]
    fn repeated_writes_become_blocks() {
        let ops = render(&ScriptedAnswer::steps([Step::repeat(1_000_000, [Step::comment("")])])).ops;
        let blocks: Vec<_> = ops.iter().filter(|op| matches!(op, Op::Repeat(..))).collect();
        let [Op::Repeat(times, inner)] = blocks.as_slice() else { panic!("one repetition: {ops:?}") };
        let [Op::Write(block)] = inner.as_slice() else { panic!("of one write") };
        let one = b"3\r\n:\n\n\r\n".len() as u64;
        let rest =
            ops.iter().rev().find_map(|op| if let Op::Write(bytes) = op { Some(bytes.len()) } else { None });
        let rest = rest.expect("a rest") as u64 - b"0\r\n\r\n".len() as u64;
        assert!(*times < 1_000_000 / 1000);
        assert_eq!(*times * block.len() as u64 + rest, 1_000_000 * one);
    }

    #[test]
    fn a_lone_body_has_its_length() {
        let ops = render(&ScriptedAnswer::error(429, json!({"a": 1}))).ops;
        let [Op::Write(bytes)] = ops.as_slice() else { panic!("one write") };
        let text = std::str::from_utf8(bytes).expect("text");
        assert!(text.starts_with("HTTP/1.1 429 "), "{text}");
        assert!(text.contains("content-length: 7\r\n") && text.ends_with("\r\n\r\n{\"a\":1}"), "{text}");
    }
}
