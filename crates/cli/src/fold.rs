//! Long lines for a narrow screen: broken between words, the rest below it and indented. Pure.

/// Columns that the rest of a line stands further in than its beginning.
const INDENT: usize = 4;
/// The furthest that a rest is indented: a screen is narrow.
const MAX_INDENT: usize = 12;

/// A line in pieces of at most so many characters. A word that is longer than a piece, such as an address, is cut.
pub(crate) fn fold(line: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(MAX_INDENT * 2);
    let start = line.chars().take_while(|c| *c == ' ').count();
    let indent = " ".repeat((start + INDENT).min(MAX_INDENT));
    let mut pieces = Vec::new();
    let mut rest = line.to_owned();
    while rest.chars().count() > columns {
        let end = rest.char_indices().nth(columns).map_or(rest.len(), |(at, _)| at);
        // The spaces at its beginning are no place to break.
        let text = rest.len() - rest.trim_start().len();
        let space = rest.get(text..end).and_then(|piece| piece.rfind(' ')).map(|at| at + text);
        // A word that ends with the piece is whole.
        let is_whole = rest.get(end..).is_some_and(|after| after.starts_with(' '));
        let at = if is_whole { end } else { space.unwrap_or(end) };
        let (piece, after) = rest.split_at(at);
        pieces.push(piece.trim_end().to_owned());
        rest = format!("{indent}{}", after.trim_start());
    }
    if !rest.trim().is_empty() || pieces.is_empty() {
        pieces.push(rest);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_broken_between_words_and_goes_on_further_in() {
        let line = "  lab  chat  resting      https://lab.example/v1  3 lessons of it";
        assert_eq!(fold(line, 100), [line]);
        assert_eq!(
            fold(line, 40),
            ["  lab  chat  resting", "      https://lab.example/v1  3 lessons", "      of it"]
        );
        assert_eq!(fold("", 60), [""]);
        let long = "x".repeat(70);
        assert_eq!(fold(&long, 60), ["x".repeat(60), format!("    {}", "x".repeat(10))]);
    }

    #[test]
    fn nothing_is_lost_and_nothing_is_too_long() {
        let letters = |text: &str| text.replace(' ', "");
        for line in ["", "   ", "a b c é", "  é  two    words apart", &"word ".repeat(60), &"é".repeat(300)]
        {
            for columns in 24..90 {
                let pieces = fold(line, columns);
                assert!(pieces.iter().all(|piece| piece.chars().count() <= columns), "{columns}: {pieces:?}");
                assert_eq!(letters(&pieces.concat()), letters(line), "{columns}: {pieces:?}");
            }
        }
    }
}
