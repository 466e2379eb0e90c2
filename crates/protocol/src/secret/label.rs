//! Words that announce a credential. Pure.

/// Names of what holds a credential, in lower case, the longest of two that end alike first.
pub(super) const NAMES: [&str; 19] = [
    "authorization",
    "credentials",
    "credential",
    "signature",
    "passphrase",
    "password",
    "passwd",
    "set-cookie",
    "cookie",
    "secret",
    "apikey",
    "bearer",
    "basic",
    "token",
    "tokens",
    "keys",
    "key",
    "pwd",
    "sig",
];
/// Those whose next word is the credential, without a colon.
const SCHEMES: [&str; 2] = ["bearer", "basic"];
/// Those that only make a credential likely: in the plural they are counted more often than quoted.
const WEAK: [&str; 4] = ["credentials", "tokens", "keys", "signature"];
/// The shortest value of a label.
const MIN_VALUE: usize = 8;
/// The same where the value holds a digit.
const MIN_VALUE_WITH_DIGIT: usize = 6;
/// A word of small letters alone that is shorter than this is a word or the name of a field.
const MIN_LOWER: usize = 24;

/// The name that this word ends with, at the beginning of a word or behind `-` or `_`: `x-api-key`, `access_token`.
pub(super) fn name_at_end(lower: &str) -> Option<&'static str> {
    NAMES.into_iter().find(|name| {
        lower.strip_suffix(name).is_some_and(|before| !before.ends_with(|c: char| c.is_ascii_alphanumeric()))
    })
}

/// Whether the word behind this name is the credential.
pub(super) fn is_scheme(name: &str) -> bool {
    SCHEMES.contains(&name)
}

/// Whether `name: value` is a credential.
pub(super) fn is_strong(name: &str) -> bool {
    !WEAK.contains(&name)
}

/// Whether the whole rest of a line belongs to this name.
pub(super) fn takes_line(name: &str) -> bool {
    name.ends_with("cookie")
}

/// Where the value begins in a word such as `x?key=value` or `api_key:value`.
pub(super) fn value_inside(lower: &str) -> Option<usize> {
    lower
        .char_indices()
        .filter(|(_, c)| matches!(c, '=' | ':'))
        .find(|(at, _)| {
            let value = lower.get(at + 1..).unwrap_or_default();
            let name = lower.get(..*at).and_then(name_at_end);
            // `token://` is an address.
            !value.is_empty() && !value.starts_with("//") && name.is_some_and(is_strong)
        })
        .map(|(at, _)| at + 1)
}

/// Whether a word behind a label can be a credential: no plain word, no name of a field, no address.
pub(super) fn is_value(word: &str) -> bool {
    let has_digit = word.bytes().any(|byte| byte.is_ascii_digit());
    let least = if has_digit { MIN_VALUE_WITH_DIGIT } else { MIN_VALUE };
    let is_plain = word.len() < MIN_LOWER
        && word.bytes().enumerate().all(|(at, byte)| {
            byte.is_ascii_lowercase() || b"_.:".contains(&byte) || (at == 0 && byte.is_ascii_uppercase())
        });
    word.len() >= least && !is_plain && !word.contains("://")
}
