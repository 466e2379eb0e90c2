//! Halves in the events of a stream. Pure.

use super::{
    Finding, HEX, Half, INNER_ESCAPE, OpenTail, RAW_HALF, escapes, half, has_raw_halves, mend, replace, scan,
    strings,
};

/// Mends the events of a stream, and joins halves that came in two of them.
///
/// An event with a text that ends with a first half waits for the next one: only that can say whether the sign goes on, and then it gets
/// that end. Every other event passes at once, uncopied.
#[derive(Debug, Default)]
pub struct StreamHalves {
    held: Option<HeldEvent>,
}

/// An event as it came, and the end of a text in it that may go on.
#[derive(Debug)]
struct HeldEvent {
    json: Vec<u8>,
    tail: OpenTail,
    /// The text began with the end of the one before.
    whole: Option<usize>,
}

impl StreamHalves {
    /// Takes an event, and hands out what is ready: mostly just that event.
    pub fn push(&mut self, json: &[u8], each: &mut dyn FnMut(&[u8])) {
        let Some(held) = self.held.take() else {
            return if is_suspect_event(json) { self.hold_or_pass(json, None, each) } else { each(json) };
        };
        let Some(start) = held.continued_in(json) else {
            held.pass(each);
            return self.push(json, each);
        };
        let (tail, before) = held.without_tail();
        each(&before);
        let (front, back) = json.split_at(start);
        self.hold_or_pass(&[front, &tail, back].concat(), Some(start), each);
    }

    /// The stream is over: what waited waits for nothing.
    pub fn finish(&mut self, each: &mut dyn FnMut(&[u8])) {
        if let Some(held) = self.held.take() {
            held.pass(each);
        }
    }

    fn hold_or_pass(&mut self, json: &[u8], whole: Option<usize>, each: &mut dyn FnMut(&[u8])) {
        let mut open = None;
        scan(json, whole, &mut |found| {
            if let Finding::Open(tail) = found {
                open = Some(tail);
            }
        });
        match open {
            Some(tail) => self.held = Some(HeldEvent { json: json.to_vec(), tail, whole }),
            None => pass(json, whole, each),
        }
    }
}

/// Hands an event on, mended.
fn pass(json: &[u8], whole: Option<usize>, each: &mut dyn FnMut(&[u8])) {
    let mut mended = mend(json);
    if whole.is_some() {
        scan(json, whole, &mut |found| {
            if let Finding::Lone(place) = found {
                replace(mended.get_or_insert_with(|| json.to_vec()), place);
            }
        });
    }
    each(mended.as_deref().unwrap_or(json));
}

impl HeldEvent {
    /// Where the text begins in which the tail goes on: that of the same field, of the same call or item.
    fn continued_in(&self, json: &[u8]) -> Option<usize> {
        let name = self.json.get(self.tail.name.0..self.tail.name.1)?;
        let tail = self.json.get(self.tail.start..self.tail.end)?;
        let mut found = None;
        strings(json, &mut |text, field| {
            if found.is_none() && !name.is_empty() && json.get(field.0..field.1) == Some(name) {
                found = Some(text);
            }
        });
        let (start, end) = found?;
        let is_same = places(self.json.get(..self.tail.name.0)?) == places(json.get(..start)?);
        let joined = [tail, json.get(start..end)?].concat();
        (is_same && self.goes_on(&joined, tail.len())).then_some(start)
    }

    /// Whether a tail of this length and what follows it are an escape of a half, and a pair where the tail has the first one.
    fn goes_on(&self, joined: &[u8], tail: usize) -> bool {
        let digits = if self.tail.is_inner { 3 } else { 2 };
        let escape = digits + 4;
        let is_pair = || {
            half(joined, escape + digits) == Some(Half::Second)
                && joined.get(escape..escape + digits) == joined.get(..digits)
        };
        match half(joined, digits) {
            Some(Half::First) if tail >= escape => is_pair(),
            Some(_) => true,
            None => false,
        }
    }

    /// The event, whose text is over.
    fn pass(mut self, each: &mut dyn FnMut(&[u8])) {
        let digits = if self.tail.is_inner { INNER_ESCAPE - 4 } else { 2 } + self.tail.start;
        if digits + 4 <= self.tail.end {
            replace(&mut self.json, digits);
        }
        pass(&self.json, self.whole, each);
    }

    /// The tail, and the event without it.
    fn without_tail(self) -> (Vec<u8>, Vec<u8>) {
        let (mut json, OpenTail { start, end, .. }) = (self.json, self.tail);
        let tail = json.drain(start..end).collect();
        let mut before = Vec::with_capacity(json.len());
        pass(&json, self.whole, &mut |json| before.extend_from_slice(json));
        (tail, before)
    }
}

/// Whether there may be a half, or a text that ends in the middle of an escape of one.
fn is_suspect_event(json: &[u8]) -> bool {
    // Most events have neither an escape nor a byte with which a half begins.
    if memchr::memchr2(b'\\', RAW_HALF, json).is_none() {
        return false;
    }
    let ends_open = |at: usize| {
        let rest = json.get(at + 2..json.len().min(at + 6)).unwrap_or_default();
        let digits = rest.iter().take_while(|byte| HEX.contains(byte)).count();
        rest.get(digits) == Some(&b'"')
    };
    escapes(json).any(|at| half(json, at + 2).is_some() || ends_open(at)) || has_raw_halves(json)
}

/// The numbers of choices, calls, blocks and items that stand before a text: whose text it is.
fn places(before: &[u8]) -> Vec<&[u8]> {
    let named = memchr::memmem::find_iter(before, b"index\":");
    let number = |at: usize| {
        let rest = before.get(at + 7..).unwrap_or_default().trim_ascii_start();
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        rest.get(..digits).unwrap_or_default()
    };
    named.map(number).collect()
}
