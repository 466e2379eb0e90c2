//! The one repair that looks at more than one way: quotes inside a string that nobody escaped.

use crate::json::{self, Value, escape};

/// More quotes than this are not tried.
const MAX_QUOTES: usize = 64;
/// Longer text is not tried.
const MAX_BYTES: usize = 64 << 10;

/// `{"cmd":"echo "hello""}`: the string that breaks the JSON is ended at each later quote in turn. If exactly one way gives a value
/// that `fits`, that is what was meant. A text that begins with a whole object is no question of quotes, whatever follows it: read so,
/// two calls would become one command that nobody wrote (fixture field-reports/K01-two-objects-one-call.json).
pub(crate) fn quotes<'a>(text: &str, fits: impl Fn(&Value<'_>) -> bool) -> Option<Value<'a>> {
    if text.len() > MAX_BYTES || json::read(text).is_some() || json::object_at_start(text).is_some() {
        return None;
    }
    let open = broken_string(text)?;
    let quotes: Vec<usize> =
        text.bytes().enumerate().filter(|(_, byte)| *byte == b'"').map(|(at, _)| at).collect();
    if quotes.len() > MAX_QUOTES {
        return None;
    }
    let mut found = None;
    for close in quotes.into_iter().filter(|close| *close > open) {
        let inner = &text[open + 1..close];
        // Without a quote in it, it is the string it was.
        if !inner.contains('"') {
            continue;
        }
        let mut whole = text[..=open].to_owned();
        whole.push_str(&requoted(inner));
        whole.push_str(&text[close..]);
        let Some((value, _)) = json::read(&whole) else { continue };
        if !fits(&value) {
            continue;
        }
        if found.as_ref().is_some_and(|known| *known != value) {
            return None;
        }
        found = Some(value.into_owned());
    }
    found
}

/// The quote that begins the string at whose end the reading stops: the last one behind a colon before that.
fn broken_string(text: &str) -> Option<usize> {
    let stop = json::stops_at(text);
    let begins = |at: usize| text[..at].trim_end().ends_with(':');
    text[..stop].rmatch_indices('"').map(|(at, _)| at).find(|at| begins(*at))
}

/// The same text with its bare quotes escaped, and everything that was escaped left as it is.
fn requoted(inner: &str) -> String {
    let mut out = String::with_capacity(inner.len() + 8);
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                out.push(c);
                out.extend(chars.next());
            }
            '"' => out.push_str("\\\""),
            c if c.is_control() => escape(c.encode_utf8(&mut [0; 4]), &mut out),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mended(text: &str) -> Option<String> {
        quotes(text, |value| {
            value
                .entries()
                .is_some_and(|entries| entries.iter().all(|(key, _)| matches!(key.as_ref(), "cmd" | "cwd")))
        })
        .map(|value| value.to_json())
    }

    #[test]
    fn one_way_is_taken_and_two_are_not() {
        assert_eq!(
            mended(r#"{"cmd":"echo "hello world""}"#).as_deref(),
            Some(r#"{"cmd":"echo \"hello world\""}"#)
        );
        assert_eq!(
            mended(r#"{"cwd":"/","cmd":"echo "a""}"#).as_deref(),
            Some(r#"{"cwd":"/","cmd":"echo \"a\""}"#)
        );
        assert_eq!(mended(r#"{"cmd":"echo "a"", "cwd":"/"}"#), None, "the rest may be the command's too");
        assert_eq!(
            mended(r#"{"cmd":"echo "a", "cwd":"b"}"#),
            None,
            "either the quote or the key may be text"
        );
        assert_eq!(mended(r#"{"cmd":"fine"}"#), None);
    }

    #[test]
    fn behind_a_whole_object_no_quote_is_looked_at() {
        for text in [
            r#"{"cmd":"ls"}{"cmd":"ls"}"#,
            r#"{"cmd":"ls a"} {"cmd":"ls b"}"#,
            r#"{"cmd":"ls"}"}"#,
            r#"{"cmd":"echo "}" done"}"#,
        ] {
            assert_eq!(mended(text), None, "{text}");
        }
    }
}
