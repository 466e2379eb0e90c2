//! The text of a configuration file without the secrets that stand in it, and back. Everything else of the file stays as it is:
//! comments, order, white space.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What stands in the place of the secret of this number, from 1; quotes included.
fn mask(number: usize) -> String {
    format!("\"(kept {number})\"")
}

/// A text whose secrets are masked, and the secrets as they were written, in their order.
#[derive(Debug, PartialEq, Eq)]
pub struct Masked {
    /// For a person to see.
    pub text: String,
    /// As written, quotes included.
    literals: Vec<String>,
}

impl Masked {
    /// Masks the keys, the values of extra headers and the addresses with a password.
    pub fn new(text: &str) -> Self {
        let (table, _) = DeTable::parse_recoverable(text);
        let mut spans = Vec::new();
        of_table(table.get_ref(), &mut spans);
        spans.extend(in_comments(text));
        spans.sort_by_key(|span| span.start);
        let (mut masked, mut literals, mut end) = (String::with_capacity(text.len()), Vec::new(), 0);
        for span in spans {
            let (Some(before), Some(literal)) = (text.get(end..span.start), text.get(span.clone())) else {
                continue;
            };
            masked.push_str(before);
            literals.push(literal.to_owned());
            masked.push_str(&mask(literals.len()));
            end = span.end;
        }
        masked.push_str(text.get(end..).unwrap_or_default());
        Self { text: masked, literals }
    }

    /// The text with stars in the place of every secret, line by line as it was.
    pub fn stars(&self) -> String {
        let mut text = self.text.clone();
        for (at, literal) in self.literals.iter().enumerate() {
            let stars = format!("\"***\"{}", "\n".repeat(literal.matches('\n').count()));
            text = text.replacen(&mask(at + 1), &stars, 1);
        }
        text
    }

    /// A changed text with the secrets back in their places, wherever these are now.
    ///
    /// # Errors
    /// A mask of a secret that there is not: its line, from 1.
    pub fn restore(&self, changed: &str) -> Result<String, usize> {
        const BEGIN: &str = "\"(kept ";
        let (mut text, mut rest) = (String::with_capacity(changed.len()), changed);
        while let Some((before, after)) = rest.split_once(BEGIN) {
            let line = changed.len() - rest.len() + before.len();
            let line = changed.get(..line).unwrap_or_default().matches('\n').count() + 1;
            let (number, after) = after.split_once(")\"").ok_or(line)?;
            let place: usize = number.parse().map_err(|_| line)?;
            let literal = place.checked_sub(1).and_then(|place| self.literals.get(place)).ok_or(line)?;
            text.push_str(before);
            text.push_str(literal);
            rest = after;
        }
        text.push_str(rest);
        Ok(text)
    }
}

fn of_table(table: &DeTable<'_>, spans: &mut Vec<Range<usize>>) {
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        match name {
            "api_key" | "headers" => strings(value, spans, &|_| true),
            "proxy" | "url" => strings(value, spans, &|text| text.contains('@')),
            _ => below(value, spans),
        }
    }
}

fn below(value: &Spanned<DeValue<'_>>, spans: &mut Vec<Range<usize>>) {
    match value.get_ref() {
        DeValue::Table(table) => of_table(table, spans),
        DeValue::Array(items) => items.iter().for_each(|item| below(item, spans)),
        _ => {}
    }
}

/// Every string in a value that is a secret.
fn strings(value: &Spanned<DeValue<'_>>, spans: &mut Vec<Range<usize>>, is_secret: &dyn Fn(&str) -> bool) {
    match value.get_ref() {
        DeValue::String(text) if is_secret(text) && !text.is_empty() => spans.push(value.span()),
        DeValue::Array(items) => items.iter().for_each(|item| strings(item, spans, is_secret)),
        DeValue::Table(table) => table.iter().for_each(|(_, item)| strings(item, spans, is_secret)),
        _ => {}
    }
}

/// Keys that somebody commented out.
fn in_comments(text: &str) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let is_comment = line.trim_start().starts_with('#');
        let key = line.find("api_key").filter(|_| is_comment);
        let quotes: Vec<usize> = key.map_or_else(Vec::new, |key| {
            line.char_indices()
                .filter(|(at, c)| *at > key && matches!(c, '"' | '\''))
                .map(|(at, _)| at)
                .collect()
        });
        if !line.contains("api_key_") {
            spans.extend(quotes.chunks_exact(2).map(|pair| start + pair[0]..start + pair[1] + 1));
        }
        start += line.len();
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# mine\n[[endpoint]]\nname = \"a\"\napi_key = [\"s1\", 's2'] # two\nproxy = \"http://me:s3@p:1\"\napi_key_env = \"A\"\n# api_key = \"s4\"\n[endpoint.headers]\nx-key = \"s5\"\n";

    #[test]
    fn no_secret_is_shown_and_all_come_back() {
        let masked = Masked::new(FILE);
        for secret in ["s1", "s2", "s3", "s4", "s5"] {
            assert!(!masked.text.contains(secret), "{secret}: {}", masked.text);
        }
        assert!(masked.text.contains("[\"(kept 1)\", \"(kept 2)\"] # two"), "{}", masked.text);
        assert!(masked.text.contains("api_key_env = \"A\""));
        assert_eq!(masked.restore(&masked.text).as_deref(), Ok(FILE));
        let moved = "api_key = \"(kept 2)\"\n";
        assert_eq!(masked.restore(moved).as_deref(), Ok("api_key = 's2'\n"));
    }

    #[test]
    fn a_mask_of_nothing_is_refused_by_its_line() {
        let masked = Masked::new(FILE);
        for text in
            ["\n\na = \"(kept 9)\"", "\n\na = \"(kept 0)\"", "\n\na = \"(kept x)\"", "\n\na = \"(kept 1"]
        {
            assert_eq!(masked.restore(text), Err(3), "{text}");
        }
    }

    #[test]
    fn stars_keep_the_lines_where_they_are() {
        let text = "api_key = \"\"\"\ns1\n\"\"\"\n# api_key = \"s2\"\nname = \"a\"\n";
        let stars = Masked::new(text).stars();
        assert_eq!(stars, "api_key = \"***\"\n\n\n# api_key = \"***\"\nname = \"a\"\n");
        assert_eq!(stars.lines().count(), text.lines().count());
    }

    #[test]
    fn a_broken_file_shows_no_secret_either() {
        let masked = Masked::new("[[endpoint]]\napi_key = \"s1\"\nname = \n");
        assert!(!masked.text.contains("s1"), "{}", masked.text);
    }
}
