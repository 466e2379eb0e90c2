//! Text from outside on a terminal or in a log: what could move the cursor, forge a line or turn the reading direction is shown, not
//! obeyed. Pure.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a terminal or an editor would obey this character: the control characters of both sets, line and paragraph
/// separators, those that turn the direction of text, and those that cannot be seen.
pub fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The text on one line, with `\n`, `\u{1b}` and the like in place of such characters.
pub fn escaped(text: &str) -> Cow<'_, str> {
    replaced(text, is_harmful, |out, c| out.extend(c.escape_default()))
}

/// A JSON document in which such characters are written as `\uXXXX`, where they stand in its texts. Its own line breaks stay.
pub fn escaped_json(document: &str) -> Cow<'_, str> {
    // Below U+0020 there are only the document's own blanks: a writer of JSON escapes the others.
    let is_unescaped = |c: char| c >= '\u{7f}' && is_harmful(c);
    replaced(document, is_unescaped, |out, c| {
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(out, "\\u{unit:04x}");
        }
    })
}

fn replaced(
    text: &str,
    is_replaced: impl Fn(char) -> bool,
    write: impl Fn(&mut String, char),
) -> Cow<'_, str> {
    if text.bytes().all(|byte| (b' '..0x7f).contains(&byte)) || !text.contains(&is_replaced) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_replaced(c) {
            write(&mut out, c);
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        let cases = [
            ("plain, ä and 漢字 👩‍💻", "plain, ä and 漢字 👩‍💻"),
            ("a\u{1b}]0;x\u{7}b", "a\\u{1b}]0;x\\u{7}b"),
            ("one\r\ntwo\tthree", "one\\r\\ntwo\\tthree"),
            ("\u{9b}2J\u{7f}", "\\u{9b}2J\\u{7f}"),
            ("txt\u{202e}exe\u{2066}", "txt\\u{202e}exe\\u{2066}"),
        ];
        for (text, want) in cases {
            assert_eq!(escaped(text), want);
        }
    }

    #[test]
    fn json_stays_the_same_document() {
        let document = serde_json::json!({ "a": "\u{9b}2J \u{202e} \u{e0041} ä\n" });
        let text = serde_json::to_string_pretty(&document).expect("JSON");
        let shown = escaped_json(&text);
        assert!(!shown.chars().any(|c| c != '\n' && is_harmful(c)), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).expect("JSON"), document);
    }

    proptest! {
        #[test]
        fn nothing_harmful_is_left_of_any_text(text in any::<String>()) {
            let shown = escaped(&text);
            prop_assert!(!shown.contains(is_harmful));
            prop_assert_eq!(escaped(&shown), &*shown);
        }
    }
}
