//! The secrets that live in this process, and where they stand in a text.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use aho_corasick::{AhoCorasick, MatchKind};
use memchr::memmem;

use super::forms::{Form, forms};
use super::{SecretText, without};

/// So many characters of a form are searched for; where they stand, all that agrees with it is taken out.
const HEAD: usize = 12;
/// The shortest part of a form that counts at the beginning or the end of a text, where a secret may have been cut.
pub(super) const MIN_PART: usize = 6;

static KNOWN: Mutex<Known> = Mutex::new(Known { live: Vec::new(), index: None });
/// Another number whenever a secret came or went.
static GENERATION: AtomicU64 = AtomicU64::new(0);

struct Known {
    live: Vec<Weak<SecretText>>,
    /// Of some generation; made when it is first needed.
    index: Option<Arc<Index>>,
}

/// A secret came into being.
pub(super) fn register(text: &Arc<SecretText>) {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if known.live.len() == known.live.capacity() {
        known.live.retain(|live| live.strong_count() > 0);
    }
    known.live.push(Arc::downgrade(text));
    drop(known);
    GENERATION.fetch_add(1, Ordering::Release);
}

/// The last copy of a secret went. Takes no lock: it may happen while the list of all is read.
pub(super) fn forget() {
    GENERATION.fetch_add(1, Ordering::Release);
}

fn current_index() -> Arc<Index> {
    let generation = GENERATION.load(Ordering::Acquire);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(index) = known.index.as_ref().filter(|index| index.generation == generation) {
        return Arc::clone(index);
    }
    // Dropped after the lock: the last copy of a text may be among them.
    let live: Vec<Arc<SecretText>> = known.live.iter().filter_map(Weak::upgrade).collect();
    let mut texts: Vec<&str> = live.iter().map(|text| text.0.as_str()).collect();
    texts.sort_unstable();
    texts.dedup();
    let index = Arc::new(Index::new(generation, texts.into_iter().flat_map(forms).collect()));
    known.index = Some(Arc::clone(&index));
    drop(known);
    index
}

/// The text without the secrets of this process, by value. What was cut at its ends is not looked for, nor any shape: for
/// texts that were put together of clean ones, such as a line of the log.
pub fn redact_known(text: &str) -> Cow<'_, str> {
    let ranges = current_index().found(text.as_bytes());
    without(text, ranges).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// The same for bytes that should be UTF-8; what is not is replaced.
pub fn redact_known_bytes(bytes: &[u8]) -> Cow<'_, [u8]> {
    if current_index().found(bytes).is_empty() {
        return Cow::Borrowed(bytes);
    }
    Cow::Owned(redact_known(&String::from_utf8_lossy(bytes)).into_owned().into_bytes())
}

/// The same for a text that may have been cut out of a larger one: a part of a secret at either end is taken out, too.
pub(super) fn redact_with_edges(text: &str) -> Cow<'_, str> {
    let index = current_index();
    let mut ranges = index.found(text.as_bytes());
    ranges.extend(index.edges(text));
    without(text, ranges).map_or(Cow::Borrowed(text), Cow::Owned)
}

struct Index {
    generation: u64,
    forms: Vec<Form>,
    /// Finds the first characters of every form; `None` without any.
    heads: Option<AhoCorasick>,
}

impl Index {
    fn new(generation: u64, forms: Vec<Form>) -> Self {
        let heads = forms.iter().map(|form| form.text.as_bytes().get(..HEAD).unwrap_or(form.text.as_bytes()));
        // Building fails only for more patterns than fit a machine's memory.
        let heads = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .ascii_case_insensitive(true)
            .build(heads)
            .ok()
            .filter(|_| !forms.is_empty());
        Self { generation, forms, heads }
    }

    /// Where a form stands, or its beginning.
    fn found(&self, text: &[u8]) -> Vec<Range<usize>> {
        // Hardly any text has one, and a look for the first costs half of a look for all.
        let Some(heads) = self.heads.as_ref().filter(|heads| heads.is_match(text)) else { return Vec::new() };
        heads
            .find_overlapping_iter(text)
            .filter_map(|head| {
                let form = self.forms.get(head.pattern().as_usize())?;
                let length = common_length(text.get(head.start()..)?, form.text.as_bytes());
                Some(form.whole_run(text, head.start()..head.start() + length))
            })
            .collect()
    }

    /// A part of a form that ends with the text, and one that begins with it.
    fn edges(&self, text: &str) -> Vec<Range<usize>> {
        let bytes = text.as_bytes();
        let Some(first) = bytes.get(..MIN_PART) else { return Vec::new() };
        let first = memmem::Finder::new(first);
        let mut ranges = Vec::new();
        for form in &self.forms {
            let known = form.text.as_bytes();
            let last = (MIN_PART..HEAD.min(known.len())).rev().find(|length| {
                let end = bytes.len().checked_sub(*length).and_then(|start| bytes.get(start..));
                end.is_some_and(|end| known.get(..*length).is_some_and(|head| head.eq_ignore_ascii_case(end)))
            });
            ranges.extend(last.map(|length| form.whole_run(bytes, bytes.len() - length..bytes.len())));
            let mut from = 0;
            // Places may overlap.
            let places = std::iter::from_fn(|| {
                let at = from + first.find(known.get(from..)?)?;
                from = at + 1;
                Some(at)
            });
            let begun = places
                .filter_map(|at| {
                    let rest = known.get(at..)?;
                    let length = common_length(bytes, rest);
                    (length == rest.len() || length == bytes.len()).then_some(length)
                })
                .max();
            ranges.extend(begun.map(|length| form.whole_run(bytes, 0..length)));
        }
        ranges
    }
}

impl Form {
    /// The range, on boundaries of characters, and with the whole run of base64 that it is part of.
    fn whole_run(&self, text: &[u8], range: Range<usize>) -> Range<usize> {
        let Range { mut start, mut end } = range;
        while text.get(end).is_some_and(|byte| (0x80..0xc0).contains(byte)) {
            end += 1;
        }
        if self.is_base64 {
            let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_=".contains(byte);
            while start > 0 && text.get(start - 1).is_some_and(is_base64) {
                start -= 1;
            }
            while text.get(end).is_some_and(is_base64) {
                end += 1;
            }
        }
        start..end
    }
}

/// How far both agree, letters without their case.
fn common_length(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one.eq_ignore_ascii_case(other)).count()
}
