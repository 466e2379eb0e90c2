//! Text from outside, made fit to be shown again in an error, a note or a log line. Pure.

use std::borrow::Cow;

use latimer_protocol::printable::is_harmful;
use latimer_protocol::secret::redact;

/// The most characters of a field's value or a type's name that are echoed.
pub(crate) const MAX_WORD: usize = 40;
/// The most characters of a name that the client chose, such as a model, a path or an id, that are echoed.
pub(crate) const MAX_NAME: usize = 80;

/// The first `max` characters of a text that came from outside, without credentials and without control characters: what is echoed can
/// neither fill a log, move a terminal's cursor, nor tell a key.
pub(crate) fn shown(text: &str, max: usize) -> String {
    // What is far too long is cut before the costly part; its end does not matter.
    let most = max.saturating_mul(4);
    let is_plain = text.len() <= most && text.bytes().all(|byte| (b' '..0x7f).contains(&byte));
    let short = if is_plain {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.chars().filter(|c| !is_harmful(*c)).take(most).collect())
    };
    let clean = redact(&short);
    if clean.len() <= max { clean } else { clean.chars().take(max).collect() }
}

/// The beginning of a text that is at most so many bytes long, cut between two characters.
pub(crate) fn beginning(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    end.and_then(|end| text.get(..end)).unwrap_or_default()
}

/// A value of a URL as it was meant: `+` is a space, `%41` is an `A`.
pub(crate) fn decoded(value: &str) -> Cow<'_, str> {
    if !value.contains(['+', '%']) {
        return Cow::Borrowed(value);
    }
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match (first, hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
                continue;
            }
            (b'+', _) => bytes.push(b' '),
            (byte, _) => bytes.push(*byte),
        }
        rest = tail;
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_two_characters() {
        assert_eq!(
            (beginning("ab", 9), beginning("aä", 2), beginning("aä", 3), beginning("ä", 0)),
            ("ab", "a", "aä", "")
        );
    }

    #[test]
    fn an_echo_is_short_and_holds_no_control_characters() {
        assert_eq!(shown("a\u{1b}[2J\nb", 40), "a[2Jb");
        assert_eq!(shown(&"ä".repeat(100), MAX_WORD), "ä".repeat(40));
        assert_eq!(shown("\n\n\nabc", 2), "ab", "what is left out does not count");
        assert_eq!(shown("", 40), "");
        assert_eq!(shown("model\u{202e} sk-abcdef1234567890", 40), "model ***");
    }
}
