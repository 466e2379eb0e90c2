//! Halves in the arguments of one call, which come in pieces. Pure.

use std::borrow::Cow;

use memchr::memchr;

use super::{ESCAPE, Half, Pairing, half, replace};

/// Mends the arguments of one call, which come in pieces: JSON text that is not inside of a string any more.
///
/// A piece that ends in the middle of an escape, or with a first half, keeps that end back until the next piece says what it is.
#[derive(Debug, Default)]
pub struct ArgumentHalves {
    held: String,
}

impl ArgumentHalves {
    /// Whether nothing is kept back.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Takes a piece; gives what of it, and of what was kept back, is certain by now. It may be empty.
    pub fn push<'p>(&mut self, piece: &'p str) -> Cow<'p, str> {
        if self.held.is_empty() {
            if memchr(b'\\', piece.as_bytes()).is_none() {
                return Cow::Borrowed(piece);
            }
            let (certain, rest) = piece.split_at(unfinished(piece.as_bytes()));
            rest.clone_into(&mut self.held);
            return mended_piece(Cow::Borrowed(certain));
        }
        let mut text = std::mem::take(&mut self.held);
        text.push_str(piece);
        self.held = text.split_off(unfinished(text.as_bytes()));
        mended_piece(Cow::Owned(text))
    }

    /// The call is over: gives what was kept back.
    pub fn finish(&mut self) -> String {
        mended_piece(Cow::Owned(std::mem::take(&mut self.held))).into_owned()
    }
}

/// Where an escape begins that the next piece may go on with; the length where there is none.
fn unfinished(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(next) = memchr(b'\\', text.get(at..).unwrap_or_default()) {
        at += next;
        let rest = text.get(at..).unwrap_or_default();
        at += match rest {
            [_] => return at,
            [_, b'u', digits @ ..] if digits.len() < 4 => return at,
            [_, b'u', _, _, _, _, behind @ ..] if half(text, at + 2) == Some(Half::First) => match behind {
                [] | [b'\\'] => return at,
                [b'\\', b'u', digits @ ..] if digits.len() < 4 => return at,
                [b'\\', b'u', ..] if half(behind, 2) == Some(Half::Second) => 2 * ESCAPE,
                _ => ESCAPE,
            },
            [_, b'u', ..] => ESCAPE,
            _ => 2,
        };
    }
    text.len()
}

/// A piece that begins and ends between escapes.
fn mended_piece(piece: Cow<'_, str>) -> Cow<'_, str> {
    let text = piece.as_bytes();
    let mut lone = Vec::new();
    let mut keep = |place| lone.push(place);
    let mut pairing = Pairing { escape: ESCAPE, first: None, each: &mut keep };
    let mut at = 0;
    while let Some(next) = memchr(b'\\', text.get(at..).unwrap_or_default()) {
        at = pairing.escape(text, at + next);
    }
    pairing.flush();
    if lone.is_empty() {
        return piece;
    }
    let mut bytes = piece.into_owned().into_bytes();
    for place in lone {
        replace(&mut bytes, place);
    }
    // Digits took the place of digits: it is still text.
    Cow::Owned(String::from_utf8(bytes).unwrap_or_default())
}
