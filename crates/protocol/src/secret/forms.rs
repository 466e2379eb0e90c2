//! The forms in which a secret may come back. Pure.

use std::fmt::Write as _;

use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// The shortest secret that is looked for: anything shorter is part of too many words.
const MIN_SECRET: usize = 8;
/// The shortest secret of letters and dashes alone: `lm-studio` and `not-needed` stand in place of a key where none is wanted, and are
/// words of messages and names of endpoints, too.
const MIN_WORDS: usize = 12;

/// One way to write a secret.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) text: String,
    /// What stands around it in the same run of base64 holds bits of it, and is encoded together with it.
    pub(super) is_base64: bool,
}

/// Every form that is looked for; none of a text that is too short or only a word.
///
/// Letters are compared without their case, so `%2f` and `%2F` are one form.
pub(super) fn forms(secret: &str) -> Vec<Form> {
    let is_words = secret.bytes().all(|byte| byte.is_ascii_lowercase() || b"-_ ".contains(&byte));
    if secret.len() < if is_words { MIN_WORDS } else { MIN_SECRET } {
        return Vec::new();
    }
    let mut forms = vec![Form { text: secret.to_owned(), is_base64: false }];
    let json = json(secret);
    for text in [url(secret), json.replace('/', "\\/"), self::json(&json), json, html(secret)] {
        add(&mut forms, text, false);
    }
    for padding in 0..3 {
        add(&mut forms, base64(&STANDARD_NO_PAD, padding, secret), true);
        add(&mut forms, base64(&URL_SAFE_NO_PAD, padding, secret), true);
    }
    forms
}

fn add(forms: &mut Vec<Form>, text: String, is_base64: bool) {
    if forms.iter().all(|form| form.text != text) {
        forms.push(Form { text, is_base64 });
    }
}

/// Everything but the unreserved characters of RFC 3986 as `%XX`.
fn url(secret: &str) -> String {
    secret.bytes().fold(String::with_capacity(secret.len()), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

/// As it stands between the quotes of a JSON string.
fn json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted.get(1..quoted.len() - 1).unwrap_or_default().to_owned()
}

fn html(secret: &str) -> String {
    secret
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

/// The characters of base64 that say nothing but the secret, where so many bytes (modulo three) stand before it.
fn base64(engine: &impl base64::Engine, padding: usize, secret: &str) -> String {
    let bytes: Vec<u8> = std::iter::repeat_n(0, padding).chain(secret.bytes()).collect();
    let encoded = engine.encode(&bytes);
    let (first, end) = ((padding * 8).div_ceil(6), bytes.len() * 8 / 6);
    encoded.get(first..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_short_texts_are_no_secrets() {
        for text in ["", "ollama", "lm-studio", "not-needed", "sk-1234"] {
            assert_eq!(forms(text), [], "{text}");
        }
        for text in ["hunter22", "correct-horse-battery", "Lm-studio"] {
            assert!(!forms(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn a_plain_key_has_a_form_for_each_place_in_base64() {
        let texts: Vec<String> = forms("sk-abc123").into_iter().map(|form| form.text).collect();
        assert_eq!(texts, ["sk-abc123", "c2stYWJjMTIz", "NrLWFiYzEyM", "zay1hYmMxMj"]);
    }

    #[test]
    fn what_must_be_escaped_has_more() {
        let texts: Vec<String> = forms("a/b\"c&d~12").into_iter().map(|form| form.text).collect();
        for text in [
            "a%2Fb%22c%26d~12",
            r#"a/b\"c&d~12"#,
            r#"a\/b\"c&d~12"#,
            r#"a/b\\\"c&d~12"#,
            "a/b&quot;c&amp;d~12",
        ] {
            assert!(texts.iter().any(|form| form == text), "{text} in {texts:?}");
        }
    }
}
