//! Bytes in pieces. A text that a protocol repeats is kept once, and each of its places shares it. Pure.

use std::collections::VecDeque;

use bytes::Bytes;

/// How long a piece becomes before the next one begins, in bytes.
const PIECE: usize = 64 << 10;

/// Bytes in pieces: what was appended is never moved, and what is shared is not copied.
///
/// Invariant: no piece is empty. Less than a piece's worth is one buffer, so a short text costs no more than a `Vec` does.
#[derive(Debug, Clone, Default)]
pub struct Rope {
    pieces: VecDeque<Bytes>,
    /// What comes behind the pieces.
    tail: Vec<u8>,
}

impl Rope {
    /// All bytes there are, in bytes.
    pub fn len(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum::<usize>() + self.tail.len()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.tail.is_empty()
    }

    /// Appends a copy of these bytes.
    pub fn push(&mut self, mut bytes: &[u8]) {
        while self.tail.len() + bytes.len() > PIECE {
            let room = PIECE.saturating_sub(self.tail.len()).min(bytes.len());
            let (head, rest) = bytes.split_at(room);
            self.make_room();
            self.tail.extend_from_slice(head);
            self.seal();
            bytes = rest;
        }
        if self.tail.len() + bytes.len() > self.tail.capacity() && !self.pieces.is_empty() {
            self.make_room();
        }
        self.tail.extend_from_slice(bytes);
    }

    /// Appends what another rope holds. Its pieces are shared; only its tail, less than a piece, is copied.
    pub fn share(&mut self, other: &Self) {
        if !other.pieces.is_empty() {
            self.seal();
            self.pieces.extend(other.pieces.iter().cloned());
        }
        self.push(&other.tail);
    }

    /// The buffer behind the pieces, for what is written a few bytes at a time.
    pub(in crate::inbound) fn tail(&self) -> &Vec<u8> {
        &self.tail
    }

    /// The buffer behind the pieces, to be written to.
    pub(in crate::inbound) fn tail_mut(&mut self) -> &mut Vec<u8> {
        &mut self.tail
    }

    /// How many pieces come before the tail.
    pub(in crate::inbound) fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// Takes the first piece off, which may be the tail; `None` once there is nothing.
    pub fn pop(&mut self) -> Option<Bytes> {
        let first = self.pieces.pop_front();
        first.or_else(|| (!self.tail.is_empty()).then(|| std::mem::take(&mut self.tail).into()))
    }

    /// The parts in order, none of them empty.
    pub fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let tail = (!self.tail.is_empty()).then_some(self.tail.as_slice());
        self.pieces.iter().map(AsRef::as_ref).chain(tail)
    }

    /// A copy in one buffer.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut whole = Vec::with_capacity(self.len());
        self.parts().for_each(|part| whole.extend_from_slice(part));
        whole
    }

    /// All of it in one buffer, copied only where there are pieces.
    pub fn into_vec(self) -> Vec<u8> {
        if self.pieces.is_empty() { self.tail } else { self.to_vec() }
    }

    /// Room for one whole piece, so that a text that became long neither doubles its buffer nor wastes half of it.
    fn make_room(&mut self) {
        self.tail.reserve_exact(PIECE.saturating_sub(self.tail.len()));
    }

    /// Makes a piece of the tail.
    fn seal(&mut self) {
        if !self.tail.is_empty() {
            self.pieces.push_back(std::mem::take(&mut self.tail).into());
        }
    }
}

impl From<Vec<u8>> for Rope {
    /// The same bytes, not copied.
    fn from(bytes: Vec<u8>) -> Self {
        Self { pieces: VecDeque::new(), tail: bytes }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_that_is_repeated_is_kept_once() {
        let mut text = Rope::default();
        for _ in 0..40 {
            text.push(&[b'x'; 10_000]);
        }
        assert_eq!((text.len(), text.pieces()), (400_000, 400_000 / PIECE));
        let mut event = Rope::default();
        for _ in 0..3 {
            event.tail_mut().push(b'<');
            event.share(&text);
        }
        assert_eq!(event.len(), 3 * 400_001);
        let place = |rope: &Rope, at: usize| rope.pieces[at].as_ptr();
        assert_eq!(place(&event, 1), place(&text, 0), "the same bytes");
        assert_eq!(event.to_vec(), [b"<".as_slice(), &text.to_vec()].concat().repeat(3));
    }

    #[test]
    fn a_short_text_is_one_buffer() {
        let mut text = Rope::default();
        text.push(b"short");
        let mut event = Rope::from(b"<".to_vec());
        event.share(&text);
        assert_eq!((event.pieces(), event.tail().as_slice()), (0, b"<short".as_slice()));
        assert_eq!(event.pop().as_deref(), Some(&b"<short"[..]));
        assert!(event.pop().is_none() && event.is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn whatever_is_appended_comes_out_in_order(steps in prop::collection::vec((0usize..3, 0usize..3 * PIECE), 0..8)) {
            let (mut rope, mut whole) = (Rope::default(), Vec::new());
            for (number, (kind, length)) in steps.into_iter().enumerate() {
                let bytes: Vec<u8> = (0..length).map(|at| (at + number).to_le_bytes()[0]).collect();
                match kind {
                    0 => rope.push(&bytes),
                    1 => rope.tail_mut().extend_from_slice(&bytes),
                    _ => {
                        let mut other = Rope::default();
                        other.push(&bytes);
                        rope.share(&other);
                    }
                }
                whole.extend_from_slice(&bytes);
            }
            prop_assert_eq!(rope.len(), whole.len());
            prop_assert!(rope.parts().all(|part| !part.is_empty()));
            prop_assert_eq!(&rope.to_vec(), &whole);
            let mut popped = Vec::new();
            while let Some(piece) = rope.pop() {
                popped.extend_from_slice(&piece);
            }
            prop_assert_eq!(popped, whole);
        }
    }
}
