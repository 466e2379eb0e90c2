//! Text that must never be printed, and what takes it out of texts that are.
//!
//! Whatever becomes a [`Secret`] is known from then on, as long as any copy of it lives: [`redact`] takes it out by value, in all the
//! forms it may come back in, beside everything that has the shape of a credential. Nobody has to tell it about a new key, so no
//! key can be forgotten.

mod clean_text;
mod forms;
mod known;
mod label;
mod shapes;

use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use zeroize::Zeroize as _;

pub use clean_text::CleanText;
pub use known::{redact_known, redact_known_bytes};

/// What stands in the place of a credential.
const REMOVED: &str = "***";

/// A key or token. It has no `Display`, prints as `***` in `Debug`, and is never serialised;
/// [`Secret::expose`] is the one way to read it, so every use can be found by name.
///
/// Copies share one text, which [`redact`] knows until the last of them is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<SecretText>);

#[derive(PartialEq, Eq)]
struct SecretText(String);

impl Secret {
    /// Takes the text out of circulation.
    pub fn new(text: impl Into<String>) -> Self {
        let text = Arc::new(SecretText(text.into()));
        known::register(&text);
        Self(text)
    }

    /// The text itself, for the one place that puts it on the wire.
    pub fn expose(&self) -> &str {
        &self.0.0
    }

    /// Twelve hexadecimal digits that stand for the text: the same wherever it is, and of no use to a thief.
    pub fn fingerprint(&self) -> String {
        fingerprint(self.expose())
    }

    /// True for a key of no characters, which means "send no credentials".
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REMOVED)
    }
}

impl Drop for SecretText {
    /// The memory of a key is wiped before it is given back.
    fn drop(&mut self) {
        self.0.zeroize();
        known::forget();
    }
}

/// Twelve hexadecimal digits that stand for any text, such as an account's name.
pub fn fingerprint(text: &str) -> String {
    use fmt::Write as _;
    let hash = Sha256::new().chain_update(b"latimer key\n").chain_update(text).finalize();
    hash.iter().take(6).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Takes every credential out of text of a stranger, such as an upstream's error message.
///
/// First every secret that lives in this process, by value: as it is, URL-encoded, as JSON or HTML write it, in base64; also a part of
/// one at either end of the text, where it was cut. Then what has the shape of a credential: the prefixes of the known
/// providers, JSON web tokens, private keys, user-info of URLs, what follows `Bearer`, `key=`, `"api_key":`, `password:` and the
/// like, and long runs of hexadecimal or mixed characters in the neighbourhood of such a word. Other words are kept whole.
pub fn redact(text: &str) -> String {
    let known = known::redact_with_edges(text);
    shapes::redact(&known).unwrap_or_else(|| known.into_owned())
}

/// Whether a header or a field of this name holds a credential: `x-api-key`, `Cookie`, `access_token`.
pub fn names_a_credential(name: &str) -> bool {
    label::name_at_end(&name.to_ascii_lowercase()).is_some()
}

/// The text with `***` in place of these ranges, which may overlap and stand in any order; `None` for no range.
fn without(text: &str, mut ranges: Vec<std::ops::Range<usize>>) -> Option<String> {
    if ranges.is_empty() {
        return None;
    }
    ranges.sort_unstable_by_key(|range| range.start);
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    let mut removed_to = None;
    for range in ranges {
        if removed_to.is_some_and(|end| range.start <= end) {
            removed_to = removed_to.max(Some(range.end));
            at = at.max(range.end);
            continue;
        }
        out.push_str(text.get(at..range.start).unwrap_or_default());
        out.push_str(REMOVED);
        (at, removed_to) = (range.end, Some(range.end));
    }
    out.push_str(text.get(at..).unwrap_or_default());
    Some(out)
}

#[cfg(test)]
mod tests;
