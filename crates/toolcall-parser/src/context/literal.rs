//! Literals of other languages in the middle of prose: YAML's `|`, RST's `::`, heredocs, triple quotes.

/// Quotes that hold lines.
const TRIPLES: [&str; 2] = ["\"\"\"", "'''"];

/// A literal that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Literal {
    /// All lines that are indented more than this.
    Indented(usize),
    /// Until the line with this word.
    Heredoc(String),
    /// Until these quotes.
    Triple(&'static str),
}

/// Whether a line is in a literal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inside {
    Yes,
    /// It is the last line.
    Ends,
    No,
}

/// How wide the blanks at the start are.
pub(super) fn width(line: &str) -> usize {
    line.bytes().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r')).fold(0, |width, byte| match byte {
        b'\t' => width + 4 - width % 4,
        b' ' => width + 1,
        _ => width,
    })
}

impl Literal {
    /// Whether a literal that is not told by the end of a line may open in the text.
    pub(super) fn may_open(text: &str) -> bool {
        let has = |word: &str| memchr::memmem::find(text.as_bytes(), word.as_bytes()).is_some();
        has("<<") || TRIPLES.into_iter().any(has)
    }

    /// What a line leaves open. `marked` says that heredocs and triple quotes are looked for.
    pub(super) fn opens(line: &str, marked: bool) -> Option<Self> {
        if marked {
            if let Some(word) = heredoc(line) {
                return Some(Self::Heredoc(word.to_owned()));
            }
            let odd = |quotes: &&'static str| line.matches(*quotes).count() % 2 == 1;
            if let Some(quotes) = TRIPLES.into_iter().find(odd) {
                return Some(Self::Triple(quotes));
            }
        }
        let body = line.trim_end();
        if !matches!(body.as_bytes().last(), Some(b'|' | b'>' | b'-' | b'+' | b':')) {
            return None;
        }
        let scalar = || {
            let body = body.trim_end_matches(['-', '+']);
            let head = body.strip_suffix(['|', '>'])?.strip_suffix(' ')?;
            let key = head.ends_with([':', '-']) && !body.trim_start().starts_with('|');
            key.then_some(())
        };
        let literal = body.ends_with("::") || scalar().is_some();
        literal.then(|| Self::Indented(width(line)))
    }

    /// Whether a line is in it.
    pub(super) fn passes(&self, line: &str) -> Inside {
        match self {
            Self::Indented(_) if line.trim().is_empty() => Inside::Yes,
            Self::Indented(opener) if width(line) > *opener => Inside::Yes,
            Self::Indented(_) => Inside::No,
            Self::Heredoc(word) if line.trim() == word => Inside::Ends,
            Self::Triple(quotes) if line.matches(quotes).count() % 2 == 1 => Inside::Ends,
            Self::Heredoc(_) | Self::Triple(_) => Inside::Yes,
        }
    }
}

/// The word that ends the heredoc of a line: in quotes, or in capitals, behind `<<` and not in a word.
fn heredoc(line: &str) -> Option<&str> {
    let at = line.find("<<")?;
    let rest = &line[at + 2..];
    if !(at == 0 || line[..at].ends_with([' ', '\t'])) || rest.starts_with('<') {
        return None;
    }
    let rest = rest.strip_prefix(['-', '~']).unwrap_or(rest).trim_start_matches(' ');
    let unquoted = rest.trim_start_matches(['\'', '"', '\\']);
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let word = &unquoted[..unquoted.find(|c| !is_word(c)).unwrap_or(unquoted.len())];
    let capitals = word.len() > 1 && word.chars().all(|c| !c.is_ascii_lowercase());
    let begins = word.starts_with(|c: char| !c.is_ascii_digit());
    (begins && (capitals || unquoted.len() < rest.len())).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_of_other_languages_are_known() {
        for (line, literal) in [
            ("cat <<EOF > x", Literal::Heredoc("EOF".into())),
            ("python3 - <<'end'", Literal::Heredoc("end".into())),
            ("x = \"\"\"a", Literal::Triple("\"\"\"")),
            ("  script: |", Literal::Indented(2)),
            ("- >-", Literal::Indented(0)),
            ("So::", Literal::Indented(0)),
        ] {
            assert_eq!(Literal::opens(line, true), Some(literal), "{line}");
        }
        for line in [
            "x << 3",
            "a <<b",
            "1<<N",
            "cat <<<WORD",
            "| a | b |",
            "x = \"\"\"a\"\"\"",
            "I look:",
            "a -> b ->",
            "c - d -",
        ] {
            assert_eq!(Literal::opens(line, true), None, "{line}");
        }
    }
}
