//! Takes out of a text what must not leave the machine: keys, paths under a home, addresses of people.

use latimer_protocol::secret::redact;

/// In the place of what was taken out.
const HIDDEN: &str = "(hidden)";
/// The longest name that is let through by [`name`].
const MAX_NAME_BYTES: usize = 48;
/// A run of letters and digits of this length that mixes both is a key until the opposite is shown.
const MIN_KEY_LENGTH: usize = 20;

/// The text without keys, paths under a home directory, user-info or queries of URLs, and mail addresses.
pub fn scrub(text: &str) -> String {
    let words = text.split_inclusive(char::is_whitespace).map(|word| {
        let body = word.trim_end();
        let tail = &word[body.len()..];
        let clean = if is_private(body) { HIDDEN } else { body };
        format!("{clean}{tail}")
    });
    redact(&words.collect::<String>())
}

/// A name that may be said: a single short word of letters, digits and `._:+-/` that is no path and no key. Anything else is
/// `(hidden)`: a field that should hold a name may hold what a stranger put there.
pub fn name(text: &str) -> &str {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._:+-/".contains(c);
    let harmless = !text.is_empty()
        && text.len() <= MAX_NAME_BYTES
        && text.chars().all(plain)
        && !text.starts_with('/')
        && !is_private(text)
        && redact(text) == text;
    if harmless { text } else { HIDDEN }
}

fn is_private(word: &str) -> bool {
    let segments = || word.split(['/', '\\']);
    let in_a_home = word.contains('~')
        || word.to_ascii_lowercase().contains("file:")
        || (segments().count() > 2 && segments().any(|part| ["home", "Users", "root"].contains(&part)));
    let names_a_person = word.contains('@');
    let has_a_query = word.contains("://") && word.contains('?');
    in_a_home || names_a_person || has_a_query || holds_a_key(word)
}

fn holds_a_key(word: &str) -> bool {
    word.split(|c: char| !c.is_ascii_alphanumeric() && !"_-".contains(c)).any(|run| {
        let longest = run.split(['-', '_']).map(str::len).max().unwrap_or(0);
        let mixed = run.bytes().any(|b| b.is_ascii_digit()) && run.bytes().any(|b| b.is_ascii_alphabetic());
        mixed && longest >= MIN_KEY_LENGTH
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_private_is_taken_out() {
        let home = ["", "home", "ann", "notes.txt"].join("/");
        let mac = ["", "Users", "ann", "notes.txt"].join("/");
        let cases = [
            (home.as_str(), HIDDEN),
            (mac.as_str(), HIDDEN),
            ("~/notes.txt", HIDDEN),
            ("ann@example.org", HIDDEN),
            ("https://ann:pw@host/x", HIDDEN),
            ("https://host/x?key=abc", HIDDEN),
            ("deadbeef0123456789deadbeef0123456789", HIDDEN),
            ("Bearer abcdefgh12345678", "Bearer ***"),
            (
                "status 500 from endpoint-1, model deepseek/deepseek-v4",
                "status 500 from endpoint-1, model deepseek/deepseek-v4",
            ),
        ];
        for (text, want) in cases {
            assert_eq!(scrub(text), want, "{text}");
        }
    }

    #[test]
    fn a_name_is_one_harmless_word() {
        for good in ["kimi", "deepseek/deepseek-v4", "gpt-5.1-codex-max", "turn.done", "qwen3:32b"] {
            assert_eq!(name(good), good);
        }
        let long = "x".repeat(49);
        for bad in
            ["", "please fix my code", "sk-abcdef1234567890", "/etc/passwd", "a\nb", "ключ", long.as_str()]
        {
            assert_eq!(name(bad), HIDDEN, "{bad}");
        }
    }

    proptest! {
        /// A key of any known shape, anywhere in any text, is never in the result.
        #[test]
        fn no_key_survives(
            before in "[a-z ,.(\"]{0,40}",
            prefix in prop::sample::select(vec!["sk-", "ghp_", "AIza", "ya29.", "eyJ", ""]),
            key in "[A-Za-z]{10}[0-9]{6}[A-Za-z0-9]{10,30}",
            after in "[ ,.)\"][a-z ]{0,20}",
        ) {
            let text = format!("{before} {prefix}{key}{after}");
            prop_assert!(!scrub(&text).contains(&key), "{}", scrub(&text));
            let whole = format!("{prefix}{key}");
            prop_assert_eq!(name(&whole), HIDDEN);
        }

        #[test]
        fn any_text_is_scrubbed_without_a_panic(text in "\\PC{0,200}") {
            let once = scrub(&text);
            prop_assert!(once.len() <= text.len() + HIDDEN.len() * (text.len() + 1));
        }
    }
}
