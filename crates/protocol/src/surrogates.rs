//! Halves of UTF-16 pairs that stand alone in JSON: `"\ud83d"` is well-formed, and no parser of ours or of a provider takes it. They
//! come from texts that somebody cut in the middle of a sign, and a history keeps them for ever. Pure.
//!
//! A half becomes U+FFFD before anything is parsed, in place: document and mended document have the same length. Pairs stay byte for byte,
//! and so does `\\ud83d`, whose backslash is itself escaped. The one place where that is an escape is JSON inside a string:
//! the arguments of calls are read a second time, and so are their halves.
//!
//! Source: RFC 8259, section 8.2 (such strings are "unpredictable"), RFC 3629, section 3 (no UTF-8 for surrogates), and
//! `fixtures/field-reports/K02-*`.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use memchr::{memchr, memchr_iter, memchr2};

/// Fields that hold JSON as text: of Chat, Responses and Command Code, and of Messages.
const ARGUMENTS: [&[u8]; 2] = [b"arguments", b"partial_json"];
/// The event in which a piece of arguments is called `delta`, as any text is.
const ARGUMENTS_DELTA: &[u8] = b"function_call_arguments.delta";
/// What a half becomes: the digits of U+FFFD behind `\u`.
const REPLACEMENT: [u8; 4] = *b"fffd";
/// The same as UTF-8, as long as a half that was written as if it were a character.
const REPLACEMENT_UTF8: [u8; 3] = [0xEF, 0xBF, 0xBD];
/// How long `\ud83d` is.
const ESCAPE: usize = 6;
/// How long it is where its backslash is escaped: `\\ud83d`.
const INNER_ESCAPE: usize = 7;

/// The document with U+FFFD for every lone half; `None` when there is none, which costs one search.
///
/// Arguments of calls may come in pieces: a half at the edge of such a text may belong to one in the next piece, and is left to
/// [`ArgumentHalves`].
pub fn mend(json: &[u8]) -> Option<Vec<u8>> {
    if !is_suspect(json) {
        return None;
    }
    let mut out: Option<Vec<u8>> = None;
    scan(json, &mut |half| replace(out.get_or_insert_with(|| json.to_vec()), half.place));
    raw_halves(json, &mut |place| {
        let out = out.get_or_insert_with(|| json.to_vec());
        if let Some(bytes) = out.get_mut(place..place + REPLACEMENT_UTF8.len()) {
            bytes.copy_from_slice(&REPLACEMENT_UTF8);
        }
    });
    out
}

/// The same for JSON that is known to be text. What is no JSON comes back as it is, but for what looks like a half in a string.
pub fn mend_text(json: &str) -> Cow<'_, str> {
    match mend(json.as_bytes()).map(String::from_utf8) {
        Some(Ok(mended)) => Cow::Owned(mended),
        _ => Cow::Borrowed(json),
    }
}

/// Whether there may be a half: an escape of one, lone or not, or bytes that would be one in UTF-8.
fn is_suspect(json: &[u8]) -> bool {
    static ESCAPES: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\\u"));
    ESCAPES.find_iter(json).any(|at| half(json, at + 2).is_some())
        || memchr_iter(0xED, json).any(|at| json.get(at + 1).is_some_and(|next| *next >= 0xA0))
}

/// Which half of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Half {
    /// U+D800 to U+DBFF: a second one follows.
    First,
    /// U+DC00 to U+DFFF.
    Second,
}

/// The half whose four digits stand here.
fn half(json: &[u8], digits: usize) -> Option<Half> {
    let [b'd' | b'D', kind, a, b] = json.get(digits..digits + 4)? else { return None };
    if !a.is_ascii_hexdigit() || !b.is_ascii_hexdigit() {
        return None;
    }
    match kind {
        b'8' | b'9' | b'a' | b'b' | b'A' | b'B' => Some(Half::First),
        b'c'..=b'f' | b'C'..=b'F' => Some(Half::Second),
        _ => None,
    }
}

/// A half without its other one.
#[derive(Debug, Clone, Copy)]
struct LoneHalf {
    half: Half,
    /// Where its four digits stand.
    place: usize,
    /// Nothing stands in its string before a second half, or behind a first one.
    at_edge: bool,
    /// Where the name of its field begins and ends.
    name: (usize, usize),
}

fn replace(out: &mut [u8], digits: usize) {
    if let Some(bytes) = out.get_mut(digits..digits + REPLACEMENT.len()) {
        bytes.copy_from_slice(&REPLACEMENT);
    }
}

/// Finds every lone half in the strings of a document, in one pass.
fn scan(json: &[u8], each: &mut dyn FnMut(LoneHalf)) {
    let is_delta = memchr::memmem::find(json, ARGUMENTS_DELTA).is_some();
    let mut at = 0;
    let mut name = (0, 0);
    while let Some(quote) = memchr(b'"', json.get(at..).unwrap_or_default()) {
        let start = at + quote + 1;
        let end = string(json, start, name, each);
        let is_name = json.get(end + 1..).unwrap_or_default().trim_ascii_start().starts_with(b":");
        if is_name {
            name = (start, end);
        } else {
            let field = json.get(name.0..name.1).unwrap_or_default();
            if ARGUMENTS.contains(&field) || (is_delta && field == b"delta") {
                arguments(json, (start, end), name, each);
            }
        }
        at = end + 1;
    }
}

/// Pairs the halves of one string, whose escapes have this length.
struct Pairing<'e> {
    escape: usize,
    name: (usize, usize),
    /// A first half that waits for its second: where its escape begins.
    first: Option<usize>,
    each: &'e mut dyn FnMut(LoneHalf),
}

impl Pairing<'_> {
    /// Looks at the escape that stands here; gives the place behind it.
    fn escape(&mut self, json: &[u8], at: usize, start: usize) -> usize {
        match half(json, at + 2).filter(|_| json.get(at + 1) == Some(&b'u')) {
            Some(half) => {
                self.meet(half, at, at == start);
                at + ESCAPE
            }
            None => at + 2,
        }
    }

    fn meet(&mut self, half: Half, at: usize, at_edge: bool) {
        let pairs = self.first.is_some_and(|first| first + self.escape == at);
        match half {
            Half::Second if pairs => self.first = None,
            Half::Second => self.lone(Half::Second, at, at_edge),
            Half::First => {
                self.flush(false);
                self.first = Some(at);
            }
        }
    }

    /// A first half that still waits has no second one.
    fn flush(&mut self, at_edge: bool) {
        if let Some(first) = self.first.take() {
            self.lone(Half::First, first, at_edge);
        }
    }

    fn lone(&mut self, half: Half, at: usize, at_edge: bool) {
        (self.each)(LoneHalf { half, place: at + self.escape - 4, at_edge, name: self.name });
    }
}

/// Looks through a string that begins here; gives the place of its closing quote, or of the end.
fn string(json: &[u8], start: usize, name: (usize, usize), each: &mut dyn FnMut(LoneHalf)) -> usize {
    let mut pairing = Pairing { escape: ESCAPE, name, first: None, each };
    let mut at = start;
    let end = loop {
        let Some(next) = memchr2(b'"', b'\\', json.get(at..).unwrap_or_default()) else { break json.len() };
        at += next;
        if json.get(at) == Some(&b'"') {
            break at;
        }
        at = pairing.escape(json, at, start);
    };
    let at_edge = pairing.first.is_some_and(|first| first + ESCAPE == end);
    pairing.flush(at_edge);
    end
}

/// Looks through the JSON inside of a string: there the backslash of an escape is itself escaped. What stands at an edge and may go on
/// in another piece is passed over.
fn arguments(
    json: &[u8],
    (start, end): (usize, usize),
    name: (usize, usize),
    each: &mut dyn FnMut(LoneHalf),
) {
    // At the beginning, the backslash itself may belong to one in the piece before.
    let mut certain = |half: LoneHalf| {
        if !half.at_edge && half.place != start + INNER_ESCAPE - REPLACEMENT.len() {
            each(half);
        }
    };
    let mut pairing = Pairing { escape: INNER_ESCAPE, name, first: None, each: &mut certain };
    let text = json.get(..end).unwrap_or(json);
    let mut at = start;
    while let Some(next) = memchr(b'\\', text.get(at..).unwrap_or_default()) {
        at += next;
        let escaped = text.get(at + 2);
        at = match text.get(at + 1) {
            Some(b'\\') if escaped == Some(&b'u') => {
                if let Some(half) = half(text, at + 3) {
                    let before = text.get(start..at).unwrap_or_default();
                    pairing.meet(half, at, may_end_first(before));
                    at + INNER_ESCAPE
                } else {
                    at + 3
                }
            }
            // An escaped backslash, quote or other sign of the inner text.
            Some(b'\\') if escaped == Some(&b'\\') => at + 4,
            Some(b'\\') => at + 3,
            _ => at + 2,
        };
    }
    let rest = pairing.first.and_then(|first| text.get(first + INNER_ESCAPE..)).unwrap_or_default();
    pairing.flush(may_begin_second(rest));
}

/// Whether this may be the end of `ud83d`.
fn may_end_first(text: &[u8]) -> bool {
    const SIGNS: [&[u8]; 5] = [b"u", b"dD", b"89abAB", b"0123456789abcdefABCDEF", b"0123456789abcdefABCDEF"];
    text.len() <= SIGNS.len()
        && text.iter().rev().zip(SIGNS.iter().rev()).all(|(sign, known)| known.contains(sign))
}

/// Whether this may be the beginning of `\\ude00`.
fn may_begin_second(text: &[u8]) -> bool {
    const SIGNS: [&[u8]; 6] = [b"\\", b"\\", b"u", b"dD", b"cdefCDEF", b"0123456789abcdefABCDEF"];
    text.len() <= SIGNS.len() && text.iter().zip(SIGNS).all(|(sign, known)| known.contains(sign))
}

/// Halves that were written as if UTF-8 had them: `ED A0 BD`.
fn raw_halves(json: &[u8], each: &mut dyn FnMut(usize)) {
    for at in memchr_iter(0xED, json) {
        if let Some([0xA0..=0xBF, 0x80..=0xBF]) = json.get(at + 1..at + 3) {
            each(at);
        }
    }
}

/// Mends the events of a stream, and joins halves that came in two of them.
///
/// An event whose text ends with a first half waits for the next one: only that can say whether the sign goes on. Every other event
/// passes at once, uncopied.
#[derive(Debug, Default)]
pub struct StreamHalves {
    held: Option<HeldEvent>,
}

#[derive(Debug)]
struct HeldEvent {
    /// Mended, but for the half at the end of a text.
    json: Vec<u8>,
    /// Where the digits of that half stand.
    place: usize,
    /// The name of its field.
    name: Vec<u8>,
}

impl StreamHalves {
    /// Takes an event, and hands out what is ready: mostly just that event.
    pub fn push(&mut self, json: &[u8], each: &mut dyn FnMut(&[u8])) {
        if self.held.is_none() && !is_suspect(json) {
            return each(json);
        }
        let Some(held) = self.held.take() else { return self.hold_or_pass(json, each) };
        let mut joined = None;
        scan(json, &mut |half| {
            let same = json.get(half.name.0..half.name.1) == Some(&held.name[..]);
            if half.half == Half::Second && half.at_edge && same && joined.is_none() {
                joined = Some(half.place - 2);
            }
        });
        let Some(second) = joined else {
            held.pass(each);
            return self.push(json, each);
        };
        let (first, before) = held.without_half();
        each(&before);
        let (head, tail) = json.split_at(second);
        self.push(&[head, &first, tail].concat(), each);
    }

    /// The stream is over: what waited waits for nothing.
    pub fn finish(&mut self, each: &mut dyn FnMut(&[u8])) {
        if let Some(held) = self.held.take() {
            held.pass(each);
        }
    }

    fn hold_or_pass(&mut self, json: &[u8], each: &mut dyn FnMut(&[u8])) {
        let mut open = None;
        scan(json, &mut |half| {
            if half.half == Half::First && half.at_edge {
                open = Some(half);
            }
        });
        let mended = mend(json);
        match open {
            None => each(mended.as_deref().unwrap_or(json)),
            Some(LoneHalf { place, name, .. }) => {
                let mut held = mended.unwrap_or_else(|| json.to_vec());
                if let (Some(to), Some(from)) = (held.get_mut(place..place + 4), json.get(place..place + 4)) {
                    to.copy_from_slice(from);
                }
                let name = json.get(name.0..name.1).unwrap_or_default().to_vec();
                self.held = Some(HeldEvent { json: held, place, name });
            }
        }
    }
}

impl HeldEvent {
    fn pass(mut self, each: &mut dyn FnMut(&[u8])) {
        replace(&mut self.json, self.place);
        each(&self.json);
    }

    /// The half, and the event without it.
    fn without_half(mut self) -> (Vec<u8>, Vec<u8>) {
        let half = self.json.drain(self.place - 2..self.place + 4).collect();
        (half, self.json)
    }
}

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
    let mut keep = |half: LoneHalf| lone.push(half.place);
    let mut pairing = Pairing { escape: ESCAPE, name: (0, 0), first: None, each: &mut keep };
    let mut at = 0;
    while let Some(next) = memchr(b'\\', text.get(at..).unwrap_or_default()) {
        at = pairing.escape(text, at + next, 0);
    }
    pairing.flush(false);
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

#[cfg(test)]
mod tests;
