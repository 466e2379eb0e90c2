//! Halves of UTF-16 pairs that stand alone in JSON: `"\ud83d"` is well-formed, and no parser of ours or of a provider takes it. They
//! come from texts that somebody cut in the middle of a sign, and a history keeps them for ever. Pure.
//!
//! A half becomes U+FFFD before anything is parsed, in place: document and mended document have the same length. Pairs stay byte for byte,
//! and so does `\\ud83d`, whose backslash is itself escaped. The one place where that is an escape is JSON inside a string:
//! the arguments of calls are read a second time, and so are their halves.
//!
//! Source: RFC 8259, section 8.2 (such strings are "unpredictable"), RFC 3629, section 3 (no UTF-8 for surrogates), and
//! `fixtures/field-reports/K02-*`.

mod pieces;
mod stream;

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use memchr::{memchr, memchr_iter, memchr2};

pub use self::pieces::ArgumentHalves;
pub use self::stream::StreamHalves;

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
    scan(json, None, &mut |found| match found {
        Finding::Lone(place) => replace(out.get_or_insert_with(|| json.to_vec()), place),
        Finding::Open(tail) if !tail.is_inner => {
            replace(out.get_or_insert_with(|| json.to_vec()), tail.start + 2);
        }
        Finding::Open(_) => {}
    });
    raw_halves(json, &mut |place| replace_raw(out.get_or_insert_with(|| json.to_vec()), place));
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
    escapes(json).any(|at| half(json, at + 2).is_some()) || has_raw_halves(json)
}

/// The places of `\u`, whatever stands before and behind.
fn escapes(json: &[u8]) -> impl Iterator<Item = usize> {
    static ESCAPES: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\\u"));
    ESCAPES.find_iter(json)
}

/// The first byte of what would be a half in UTF-8.
const RAW_HALF: u8 = 0xED;

fn has_raw_halves(json: &[u8]) -> bool {
    memchr_iter(RAW_HALF, json).any(|at| json.get(at + 1).is_some_and(|next| *next >= 0xA0))
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

/// What a scan finds.
#[derive(Debug, Clone, Copy)]
enum Finding {
    /// A half without its other one: where its four digits stand.
    Lone(usize),
    /// The end of a text that may go on in another piece.
    Open(OpenTail),
}

/// The end of a text: a first half, or the beginning of an escape of one.
#[derive(Debug, Clone, Copy)]
struct OpenTail {
    /// Where it begins.
    start: usize,
    /// Where the text ends.
    end: usize,
    /// Where the name of its field begins and ends.
    name: (usize, usize),
    /// It stands in JSON inside of a string.
    is_inner: bool,
}

fn replace(out: &mut [u8], digits: usize) {
    if let Some(bytes) = out.get_mut(digits..digits + REPLACEMENT.len()) {
        bytes.copy_from_slice(&REPLACEMENT);
    }
}

fn replace_raw(out: &mut [u8], place: usize) {
    if let Some(bytes) = out.get_mut(place..place + REPLACEMENT_UTF8.len()) {
        bytes.copy_from_slice(&REPLACEMENT_UTF8);
    }
}

/// Finds every lone half in the strings of a document, in one pass. `whole` is where a string begins of which the pieces before are known.
fn scan(json: &[u8], whole: Option<usize>, each: &mut dyn FnMut(Finding)) {
    let is_delta = memchr::memmem::find(json, ARGUMENTS_DELTA).is_some();
    strings(json, &mut |text, name| {
        string(json, text, name, each);
        let field = json.get(name.0..name.1).unwrap_or_default();
        if ARGUMENTS.contains(&field) || (is_delta && field == b"delta") {
            arguments(json, text, name, whole == Some(text.0), each);
        }
    });
}

/// Hands out every string of a document, with the name of the field that it stands in; of a name itself with the one before it.
fn strings(json: &[u8], each: &mut dyn FnMut((usize, usize), (usize, usize))) {
    let (mut at, mut name) = (0, (0, 0));
    while let Some(quote) = memchr(b'"', json.get(at..).unwrap_or_default()) {
        let start = at + quote + 1;
        let end = string_end(json, start);
        let is_name = json.get(end + 1..).unwrap_or_default().trim_ascii_start().starts_with(b":");
        // A name is no text of the field before it.
        each((start, end), if is_name { (0, 0) } else { name });
        if is_name {
            name = (start, end);
        }
        at = end + 1;
    }
}

/// Where the closing quote of a string stands that begins here, or the end.
fn string_end(json: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(next) = memchr2(b'"', b'\\', json.get(at..).unwrap_or_default()) {
        at += next;
        if json.get(at) == Some(&b'"') {
            return at;
        }
        at += 2;
    }
    json.len()
}

/// Pairs the halves of one string, whose escapes have this length.
struct Pairing<'e> {
    escape: usize,
    /// A first half that waits for its second: where its escape begins.
    first: Option<usize>,
    each: &'e mut dyn FnMut(usize),
}

impl Pairing<'_> {
    /// Looks at the escape that stands here; gives the place behind it.
    fn escape(&mut self, json: &[u8], at: usize) -> usize {
        match half(json, at + 2).filter(|_| json.get(at + 1) == Some(&b'u')) {
            Some(half) => {
                self.meet(half, at);
                at + ESCAPE
            }
            None => at + 2,
        }
    }

    fn meet(&mut self, half: Half, at: usize) {
        let pairs = self.first.is_some_and(|first| first + self.escape == at);
        match half {
            Half::Second if pairs => self.first = None,
            Half::Second => self.lone(at),
            Half::First => {
                self.flush();
                self.first = Some(at);
            }
        }
    }

    /// A first half that still waits has no second one.
    fn flush(&mut self) {
        if let Some(first) = self.first.take() {
            self.lone(first);
        }
    }

    fn lone(&mut self, at: usize) {
        (self.each)(at + self.escape - REPLACEMENT.len());
    }
}

/// Looks through a string.
fn string(json: &[u8], (start, end): (usize, usize), name: (usize, usize), each: &mut dyn FnMut(Finding)) {
    let text = json.get(..end).unwrap_or(json);
    let mut lone = |place| each(Finding::Lone(place));
    let mut pairing = Pairing { escape: ESCAPE, first: None, each: &mut lone };
    let mut at = start;
    while let Some(next) = memchr(b'\\', text.get(at..).unwrap_or_default()) {
        at = pairing.escape(text, at + next);
    }
    match pairing.first {
        Some(first) if first + ESCAPE == end => {
            each(Finding::Open(OpenTail { start: first, end, name, is_inner: false }));
        }
        _ => pairing.flush(),
    }
}

/// Looks through the JSON inside of a string: there the backslash of an escape is itself escaped. What stands at an edge and may belong to
/// another piece is left, unless the pieces before are known.
fn arguments(
    json: &[u8],
    (start, end): (usize, usize),
    name: (usize, usize),
    is_whole: bool,
    each: &mut dyn FnMut(Finding),
) {
    let text = json.get(..end).unwrap_or(json);
    let is_certain = |place: usize| {
        let at = place + REPLACEMENT.len() - INNER_ESCAPE;
        let before = text.get(start..at).unwrap_or_default();
        let is_second = half(text, place) == Some(Half::Second);
        // At the beginning, the backslash itself may belong to one in the piece before.
        is_whole || !(before.is_empty() || (is_second && may_end_first(before)))
    };
    let mut certain = |place: usize| {
        if is_certain(place) {
            each(Finding::Lone(place));
        }
    };
    let mut pairing = Pairing { escape: INNER_ESCAPE, first: None, each: &mut certain };
    let (mut at, mut tail) = (start, None);
    while let Some(next) = memchr(b'\\', text.get(at..).unwrap_or_default()) {
        at += next;
        let escaped = text.get(at + 2);
        at = match text.get(at + 1) {
            Some(b'\\') if escaped == Some(&b'u') => {
                if let Some(half) = half(text, at + 3) {
                    pairing.meet(half, at);
                    at + INNER_ESCAPE
                } else {
                    if may_begin_half(text.get(at + 3..).unwrap_or_default()) {
                        tail = Some(at);
                    }
                    at + 3
                }
            }
            // An escaped backslash, quote or other sign of the inner text.
            Some(b'\\') if escaped == Some(&b'\\') => at + 4,
            Some(b'\\') => at + 3,
            _ => at + 2,
        };
    }
    let behind = |first: usize| text.get(first + INNER_ESCAPE..).unwrap_or_default();
    match pairing.first {
        Some(first) if may_begin_second(behind(first)) => tail = Some(first),
        _ => pairing.flush(),
    }
    if let Some(start) = tail {
        each(Finding::Open(OpenTail { start, end, name, is_inner: true }));
    }
}

const HEX: &[u8] = b"0123456789abcdefABCDEF";

/// Whether this may be the end of `ud83d`.
fn may_end_first(text: &[u8]) -> bool {
    const SIGNS: [&[u8]; 5] = [b"u", b"dD", b"89abAB", HEX, HEX];
    text.len() <= SIGNS.len()
        && text.iter().rev().zip(SIGNS.iter().rev()).all(|(sign, known)| known.contains(sign))
}

/// Whether this may be the beginning of the digits of a half, and no more.
fn may_begin_half(digits: &[u8]) -> bool {
    const SIGNS: [&[u8]; 3] = [b"dD", b"89abcdefABCDEF", HEX];
    digits.len() <= SIGNS.len() && digits.iter().zip(SIGNS).all(|(sign, known)| known.contains(sign))
}

/// Whether this may be the beginning of `\\ude00`, and no more.
fn may_begin_second(text: &[u8]) -> bool {
    const SIGNS: [&[u8]; 6] = [b"\\", b"\\", b"u", b"dD", b"cdefCDEF", HEX];
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

#[cfg(test)]
mod tests;
