//! Texts in a form in which only what they say differs: white space, escapes, entities and the prefixes of listings aside.

use std::fmt;

use super::Writer;

/// The most of the texts that is kept, in bytes; what is older than that goes first.
const MAX_INDEX: usize = 32 << 20;

/// What the model did not write, folded in both ways.
#[derive(Default)]
pub(super) struct Index {
    /// As it stands.
    plain: Folded,
    /// Without what a listing puts before each line: numbers, places, `+`, `>`.
    unprefixed: Folded,
}

#[derive(Default)]
struct Folded {
    text: String,
    /// Where the texts that are not the operator's begin.
    others: usize,
}

impl Index {
    pub(super) fn begin(&mut self, writer: Writer) {
        if writer == Writer::Other {
            self.plain.others = self.plain.text.len();
            self.unprefixed.others = self.unprefixed.text.len();
        }
    }

    pub(super) fn add(&mut self, text: &str) {
        if self.plain.text.len() < MAX_INDEX {
            fold(text, &mut self.plain.text);
            fold_lines(text, &mut self.unprefixed.text);
        }
    }

    /// Both forms of all texts, or of those that are not the operator's.
    pub(super) fn forms(&self, operator: bool) -> [&str; 2] {
        [&self.plain, &self.unprefixed]
            .map(|folded| if operator { folded.text.as_str() } else { &folded.text[folded.others..] })
    }
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.plain.text.len())
    }
}

/// Both forms of a piece of markup, as in [`Index::forms`].
pub(super) fn forms(text: &str) -> [String; 2] {
    let mut forms = [String::with_capacity(text.len()), String::with_capacity(text.len())];
    fold(text, &mut forms[0]);
    fold_lines(text, &mut forms[1]);
    forms
}

/// The plain form.
pub(super) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    fold(text, &mut out);
    out
}

/// White space and backslashes fall away, and with a backslash the letter of an escaped line break or tab; entities and escaped
/// characters are what they stand for; marks that models and typesetters swap are one.
fn fold(text: &str, out: &mut String) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => at += 1,
            b'\\' => at = escape(text, at, out),
            b'&' => at = entity(text, at, out),
            byte if byte.is_ascii() => {
                let plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'&');
                let run = bytes[at..].iter().take_while(|byte| plain(byte)).count().max(1);
                out.push_str(&text[at..at + run]);
                at += run;
            }
            _ => {
                let c = text[at..].chars().next().unwrap_or('\0');
                at += c.len_utf8();
                fold_char(c, out);
            }
        }
    }
}

fn fold_char(c: char, out: &mut String) {
    match c {
        '｜' => out.push('|'),
        '▁' => out.push('_'),
        '“' | '”' | '„' | '«' | '»' => out.push('"'),
        '‘' | '’' | '‚' => out.push('\''),
        '\u{200b}'..='\u{200f}' | '\u{feff}' | '\u{2060}' | '\u{ad}' => {}
        c if c.is_whitespace() => {}
        c => out.push(c),
    }
}

/// Behind a run of backslashes, and the place after it.
fn escape(text: &str, from: usize, out: &mut String) -> usize {
    let bytes = text.as_bytes();
    let at = from + bytes[from..].iter().take_while(|byte| **byte == b'\\').count();
    match bytes.get(at) {
        Some(b'n' | b't' | b'r') => at + 1,
        Some(b'u') => {
            let code = text.get(at + 1..at + 5).and_then(|digits| u32::from_str_radix(digits, 16).ok());
            let Some(c) = code.and_then(char::from_u32) else { return at };
            if c.is_ascii_graphic() {
                out.push(c);
            } else {
                fold_char(c, out);
            }
            at + 5
        }
        _ => at,
    }
}

fn entity(text: &str, at: usize, out: &mut String) -> usize {
    const ENTITIES: [(&str, char); 10] = [
        ("&lt;", '<'),
        ("&gt;", '>'),
        ("&amp;", '&'),
        ("&quot;", '"'),
        ("&apos;", '\''),
        ("&#39;", '\''),
        ("&#x27;", '\''),
        ("&#34;", '"'),
        ("&#60;", '<'),
        ("&#62;", '>'),
    ];
    let found = ENTITIES.into_iter().find(|(entity, _)| text[at..].starts_with(entity));
    out.push(found.map_or('&', |(_, c)| c));
    at + found.map_or(1, |(entity, _)| entity.len())
}

/// The form without the prefixes of listings. Escaped line breaks count as line breaks.
fn fold_lines(text: &str, out: &mut String) {
    for line in text.split('\n') {
        let mut rest = line;
        loop {
            let (this, after) = match rest.find("\\n") {
                Some(end) => (&rest[..end], Some(&rest[end + 2..])),
                None => (rest, None),
            };
            fold(unprefixed(this), out);
            let Some(after) = after else { break };
            rest = after;
        }
    }
}

/// A line without the number, the place, the sign of a diff or the mark of a quotation or comment before it.
fn unprefixed(line: &str) -> &str {
    let mut rest = line.trim_start();
    // A listing may be a JSON string.
    let listed = rest.trim_start_matches(['"', '\\']).trim_start();
    if let Some(behind) = place(listed).or_else(|| number(listed)) {
        rest = behind.trim_start();
    }
    loop {
        let marks = rest.trim_start_matches(['+', '-', '>', '|', '│', '#', '*', ' ', '\t']);
        let words = ["//", "&gt;", "\\u003e"];
        let marks = words.into_iter().find_map(|word| marks.strip_prefix(word)).unwrap_or(marks);
        if marks.len() == rest.len() {
            return rest;
        }
        rest = marks;
    }
}

/// Behind `12`, with what separates it.
fn number(line: &str) -> Option<&str> {
    let rest = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let behind = rest.trim_start_matches([' ', '\t']);
    let tab = || behind.trim_start_matches('\\').strip_prefix('t').filter(|_| behind.starts_with('\\'));
    let separated = behind.strip_prefix(['→', ':', '|', '│', '.', ')', '-', '+']).or_else(tab);
    (rest.len() < line.len() && (separated.is_some() || behind.len() < rest.len()))
        .then(|| separated.unwrap_or(behind))
}

/// Behind `path:12:` or `path-12-`, as grep writes it.
fn place(line: &str) -> Option<&str> {
    let end = line.find([':', ' ', '\t', '<', '{'])?;
    let rest = line[end..].strip_prefix(':').filter(|_| end > 0)?;
    let behind = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    if behind.len() < rest.len() {
        return behind.strip_prefix([':', '-']);
    }
    // Without a number the path has to look like one.
    line[..end].contains(['.', '/']).then_some(rest).filter(|rest| !rest.starts_with("//"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_escapes_and_entities_do_not_count() {
        let call = "<tool_call>{\"a\": \"b c\"}</tool_call>";
        for other in [
            "<tool_call>\n  {\"a\":\"bc\"}\r\n</tool_call>",
            "<tool_call>\\n{\\\"a\\\": \\\"b c\\\"}\\n</tool_call>",
            "\\u003ctool_call\\u003e{\\\\\\\"a\\\\\\\":\\\"bc\\\"}\\u003c/tool_call\\u003e",
            "&lt;tool_call&gt;{&quot;a&quot;:&#34;b c&#34;}&lt;/tool_call&gt;",
            "<tool_call>{“a”: „b c“}</tool_call>",
        ] {
            assert_eq!(plain(other), plain(call), "{other}");
        }
        assert_eq!(plain("a & b \u{200b}｜"), "a&b|");
    }

    #[test]
    fn prefixes_of_listings_do_not_count() {
        let bare = forms("<bash>\nls -la\n</bash>");
        for listed in [
            "     1\t<bash>\n     2\tls -la\n     3\t</bash>",
            "    1→<bash>\n    2→ls -la\n    3→</bash>",
            "a/b.md:1:<bash>\na/b.md:2:ls -la\na/b.md:3:</bash>",
            "b.md:<bash>\nb.md:ls -la\nb.md:</bash>",
            "+<bash>\n+ls -la\n+</bash>",
            "> <bash>\n> ls -la\n> </bash>",
            "// <bash>\n// ls -la\n// </bash>",
            "1: <bash>\\n2: ls -la\\n3: </bash>",
            "  1\\t<bash>\\n  2\\tls -la\\n  3\\t</bash>",
        ] {
            assert_eq!(forms(listed)[1], bare[1], "{listed}");
        }
    }
}
