//! Text that must never be printed.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// A key or token. It has no `Display`, prints as `***` in `Debug`, and is never serialised;
/// [`Secret::expose`] is the one way to read it, so every use can be found by name.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes the text out of circulation.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that puts it on the wire.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Twelve hexadecimal digits that stand for the text: the same wherever it is, and of no use to a thief.
    pub fn fingerprint(&self) -> String {
        use fmt::Write as _;
        let hash = Sha256::new().chain_update(b"latimer key\n").chain_update(&self.0).finalize();
        hash.iter().take(6).fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// True for a key of no characters, which means "send no credentials".
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Removes everything that looks like a credential from text of a stranger, such as an upstream's error message.
///
/// Known shapes: `sk-…`, `gh?_…`, `AIza…`, `ya29.…`, `GOCSPX-…`, JSON web tokens, and whatever follows `Bearer `,
/// `key=`, `api_key=` or `token=`. Words are kept whole otherwise.
pub fn redact(text: &str) -> String {
    const PREFIXES: [&str; 10] =
        ["sk-", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "AIza", "ya29.", "GOCSPX-", "eyJ"];
    const LABELS: [&str; 8] =
        ["bearer", "key=", "api_key=", "apikey=", "token=", "key:", "api_key:", "token:"];
    let mut out = String::with_capacity(text.len());
    let mut after_label = false;
    for word in text.split_inclusive(|c: char| {
        c.is_whitespace() || matches!(c, '"' | '\'' | ',' | '<' | '>' | '(' | ')' | '{' | '}')
    }) {
        let body = word.trim_end_matches(|c: char| {
            c.is_whitespace() || matches!(c, '"' | '\'' | ',' | '<' | '>' | '(' | ')' | '{' | '}')
        });
        let tail = &word[body.len()..];
        let lower = body.to_ascii_lowercase();
        let starts_word = |at: &usize| !body[..*at].ends_with(|c: char| c.is_ascii_alphanumeric());
        let secret_at = PREFIXES
            .iter()
            .filter_map(|prefix| body.find(prefix))
            .filter(|at| starts_word(at) && body.len() - at >= 8)
            .min();
        if after_label && body.len() >= 8 {
            out.push_str("***");
        } else if let Some(at) = secret_at {
            out.push_str(&body[..at]);
            out.push_str("***");
        } else if let Some(label) =
            LABELS.iter().find(|label| lower.contains(**label) && !lower.ends_with(**label))
        {
            let end = lower.find(label).map_or(0, |at| at + label.len());
            out.push_str(body.get(..end).unwrap_or(""));
            out.push_str("***");
        } else {
            out.push_str(body);
        }
        after_label =
            if body.is_empty() { after_label } else { LABELS.iter().any(|label| lower.ends_with(label)) };
        out.push_str(tail);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Secret::new("sk-live-123")), "***");
    }

    #[test]
    fn redact_removes_credentials_and_keeps_words() {
        let cases = [
            ("Incorrect API key provided: sk-abcdef1234567890abcd.", "Incorrect API key provided: ***"),
            ("Authorization: Bearer abcdefgh12345678", "Authorization: Bearer ***"),
            ("{\"api_key\":\"sk-abcdef1234567890\"}", "{\"api_key\":\"***\"}"),
            ("GET https://host/x?key=AIzaSyA1234567890123456 failed", "GET https://host/x?key=*** failed"),
            ("the monkey: a token is not a risk-taker", "the monkey: a token is not a risk-taker"),
            ("maximum context length is 8192 tokens", "maximum context length is 8192 tokens"),
        ];
        for (text, want) in cases {
            assert_eq!(redact(text), want, "for {text:?}");
        }
    }
}
