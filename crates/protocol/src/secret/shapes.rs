//! What has the shape of a credential. Pure.

use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use super::label;
use super::without;

/// What a provider's keys look like behind their prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// So many characters of any kind.
    Any(usize),
    /// A run of letters and digits that no word has: the prefix alone is a word, too.
    Opaque,
    /// Sixteen capital letters and digits.
    Capitals,
}

impl Rest {
    fn fits(self, key: &str) -> bool {
        match self {
            Self::Any(least) => key.len() >= least,
            Self::Opaque => has_mixed_run(key, MIN_RUN),
            Self::Capitals => {
                key.bytes().take_while(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()).count()
                    >= 16
            }
        }
    }
}

/// Prefixes of keys, as the providers document them.
const PREFIXES: [(&str, Rest); 35] = [
    ("sk-", Rest::Any(5)),
    ("sk_", Rest::Opaque),
    ("rk_", Rest::Opaque),
    ("ghp_", Rest::Any(4)),
    ("gho_", Rest::Any(4)),
    ("ghu_", Rest::Any(4)),
    ("ghs_", Rest::Any(4)),
    ("ghr_", Rest::Any(4)),
    ("github_pat_", Rest::Any(8)),
    ("glpat-", Rest::Any(8)),
    ("AIza", Rest::Any(4)),
    ("ya29.", Rest::Any(3)),
    ("GOCSPX-", Rest::Any(4)),
    ("eyJ", Rest::Any(5)),
    ("xai-", Rest::Opaque),
    ("gsk_", Rest::Any(8)),
    ("nvapi-", Rest::Any(8)),
    ("csk-", Rest::Any(8)),
    ("pplx-", Rest::Opaque),
    ("fw_", Rest::Opaque),
    ("hf_", Rest::Opaque),
    ("user_", Rest::Opaque),
    ("nahcrof_", Rest::Any(4)),
    ("r8_", Rest::Opaque),
    ("tgp_v1_", Rest::Any(8)),
    ("sess-", Rest::Opaque),
    ("key-", Rest::Opaque),
    ("xoxb-", Rest::Any(8)),
    ("xoxp-", Rest::Any(8)),
    ("bce-v3/", Rest::Any(8)),
    ("ABSK", Rest::Opaque),
    ("1//", Rest::Opaque),
    ("npm_", Rest::Opaque),
    ("AKIA", Rest::Capitals),
    ("ASIA", Rest::Capitals),
];
/// A run of letters and digits this long that mixes both is no word.
const MIN_RUN: usize = 12;
/// The same where only a word nearby says that it may be a credential.
const MIN_RUN_NEARBY: usize = 16;
/// How many words away a label is nearby.
const NEARBY: usize = 8;
/// How a private key in PEM begins.
const PRIVATE_KEY: &str = "-----BEGIN ";
/// Words in front of what only looks like a credential.
const HARMLESS: [&str; 7] = ["id", "request", "trace", "ref", "reference", "model", "org"];

/// What every credential has in it or nearby: a prefix, a label, an address, the head of a private key. Most texts have none of it.
static HINTS: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    let prefixes = PREFIXES.iter().map(|(prefix, _)| *prefix);
    let hints = prefixes.chain(label::NAMES).chain(["://", PRIVATE_KEY]);
    AhoCorasick::builder().ascii_case_insensitive(true).build(hints).ok()
});

/// The text without what has the shape of a credential; `None` where nothing has.
pub(super) fn redact(text: &str) -> Option<String> {
    if HINTS.as_ref().is_some_and(|hints| !hints.is_match(text)) {
        return None;
    }
    let words: Vec<Word<'_>> = words(text).collect();
    let mut ranges: Vec<Range<usize>> = private_key(text).into_iter().collect();
    ranges.extend(words.iter().flat_map(Word::credentials));
    ranges.extend(labelled(text, &words));
    ranges.extend(nearby(&words));
    without(text, ranges)
}

/// A run of characters between separators.
struct Word<'t> {
    at: usize,
    text: &'t str,
    lower: String,
}

impl<'t> Word<'t> {
    /// Without punctuation at its end.
    fn core(&self) -> &'t str {
        self.text.trim_end_matches([':', '=', '.', '!', '?', '*'])
    }

    fn end(&self) -> usize {
        self.at + self.text.len()
    }

    /// From where on it is a credential by itself, and the user-info of an address.
    fn credentials(&self) -> impl Iterator<Item = Range<usize>> {
        let start = self.prefixed().into_iter().chain(label::value_inside(&self.lower)).min();
        start.map(|at| self.at + at..self.end()).into_iter().chain(self.user_info())
    }

    /// Where a prefix begins a key: at the beginning of the word, or behind a sign.
    fn prefixed(&self) -> Option<usize> {
        let bytes = self.text.as_bytes();
        let begins = |at: &usize| {
            at.checked_sub(1).and_then(|at| bytes.get(at)).is_none_or(|byte| !byte.is_ascii_alphanumeric())
        };
        (0..bytes.len()).filter(begins).find(|at| {
            self.text.get(*at..).is_some_and(|text| {
                PREFIXES
                    .iter()
                    .any(|(prefix, rest)| text.strip_prefix(prefix).is_some_and(|key| rest.fits(key)))
            })
        })
    }

    /// `user:password` of an address.
    fn user_info(&self) -> Option<Range<usize>> {
        let start = self.text.find("://")? + 3;
        let authority = self.text.get(start..)?.split(['/', '?', '#']).next()?;
        let at = authority.rfind('@').filter(|at| *at > 0)?;
        Some(self.at + start..self.at + start + at)
    }
}

fn words(text: &str) -> impl Iterator<Item = Word<'_>> {
    let is_separator = |c: char| c.is_whitespace() || "\"'`,;<>(){}[]|\\".contains(c);
    let start = text.as_ptr() as usize;
    text.split(is_separator).filter(|word| !word.is_empty()).map(move |word| Word {
        at: word.as_ptr() as usize - start,
        text: word,
        lower: word.to_ascii_lowercase(),
    })
}

/// What stands behind a label: `Bearer x`, `api_key: x`, `"password":"x"`, the rest of the line behind `Cookie:`.
fn labelled(text: &str, words: &[Word<'_>]) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    // The name that was read, and whether its value comes next.
    let mut label: Option<(&'static str, bool)> = None;
    for word in words {
        let is_sign = word.text.bytes().all(|byte| b":=".contains(&byte));
        match label {
            Some((name, _)) if is_sign => {
                label = Some((name, true));
                continue;
            }
            Some((_, true)) if label::is_value(word.text) => ranges.push(word.at..word.end()),
            _ => {}
        }
        let core = word.core();
        let name = label::name_at_end(&core.to_ascii_lowercase()).filter(|name| label::is_strong(name));
        let has_sign = word.text.get(core.len()..).is_some_and(|end| end.starts_with([':', '=']));
        label = name.map(|name| (name, has_sign || label::is_scheme(name)));
        if label.is_some_and(|(name, is_next)| is_next && label::takes_line(name)) {
            let line = text.get(word.end()..).unwrap_or_default();
            let length = line.find(['\n', '\r']).unwrap_or(line.len());
            let blank = line.len() - line.trim_start_matches(' ').len();
            ranges.extend((blank < length).then(|| word.end() + blank..word.end() + length));
        }
    }
    ranges
}

/// Hexadecimal and mixed runs, and UUIDs, near a word that says that it may be a key.
fn nearby(words: &[Word<'_>]) -> Vec<Range<usize>> {
    let labels: Vec<usize> = words
        .iter()
        .enumerate()
        .filter(|(_, word)| label::name_at_end(&word.core().to_ascii_lowercase()).is_some())
        .map(|(number, _)| number)
        .collect();
    let is_named = |number: usize| {
        let before = number.checked_sub(1).and_then(|before| words.get(before));
        before.is_some_and(|word| {
            let lower = word.core().to_ascii_lowercase();
            HARMLESS.iter().any(|name| {
                lower.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with(['-', '_']))
            })
        })
    };
    words
        .iter()
        .enumerate()
        .filter(|(number, word)| {
            labels.iter().any(|label| label.abs_diff(*number) <= NEARBY)
                && is_opaque(word.core())
                && !is_named(*number)
        })
        .map(|(_, word)| word.at..word.end())
        .collect()
}

fn is_opaque(word: &str) -> bool {
    let parts: Vec<&str> = word.split('-').collect();
    let is_hex = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_uuid =
        parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12]) && parts.iter().all(|part| is_hex(part));
    is_uuid || has_mixed_run(word, MIN_RUN_NEARBY)
}

/// Whether a run of letters and digits of this length holds both.
fn has_mixed_run(text: &str, least: usize) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric()).any(|run| {
        run.len() >= least
            && run.bytes().any(|byte| byte.is_ascii_digit())
            && run.bytes().any(|byte| byte.is_ascii_alphabetic())
    })
}

/// A private key in PEM, up to its end or that of the text.
fn private_key(text: &str) -> Option<Range<usize>> {
    const END: &str = "PRIVATE KEY-----";
    let begin = text.find(PRIVATE_KEY)?;
    let head = text.get(begin..)?.find(END)? + begin + END.len();
    let end = text.get(head..)?.find(END).map_or(text.len(), |at| head + at + END.len());
    Some(begin..end)
}
