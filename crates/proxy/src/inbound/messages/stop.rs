//! Words that end an answer, looked for in the text as it comes: upstreams know different numbers of them, and some none.
//!
//! Invariant: what was given out, joined, is the text before the first stop word; nothing of a stop word is ever given out.

use memchr::memmem;

/// Looks for the words across the pieces of a text.
#[derive(Debug, Default)]
pub(super) struct Stops {
    words: Vec<String>,
    /// The end of the text, as long as a word may begin there.
    held: String,
}

impl Stops {
    pub(super) fn new(words: Vec<String>) -> Self {
        Self { words, held: String::new() }
    }

    /// Nothing is looked for: the text needs no way through here.
    pub(super) fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Takes a piece and gives out what cannot be part of a stop word. The word that was found ends the answer.
    pub(super) fn push(&mut self, piece: &str, mut out: impl FnMut(&str)) -> Option<String> {
        self.held.push_str(piece);
        let ends = self.words.iter().filter_map(|word| {
            Some((memmem::find(self.held.as_bytes(), word.as_bytes())? + word.len(), word))
        });
        // The first to be whole, however the text was cut; of two that end together the longer one.
        let first = ends.min_by_key(|(end, word)| (*end, end - word.len()));
        if let Some((end, word)) = first {
            let (word, text) = (word.clone(), std::mem::take(&mut self.held));
            give(text.get(..end - word.len()).unwrap_or_default(), &mut out);
            return Some(word);
        }
        let free = self.held.len() - self.may_begin();
        give(self.held.get(..free).unwrap_or_default(), &mut out);
        self.held.drain(..free);
        None
    }

    /// The text is over: what was held is text after all.
    pub(super) fn rest(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// How many bytes at the end are the beginning of a word.
    fn may_begin(&self) -> usize {
        let begins = |word: &String| {
            let most = self.held.len().min(word.len() - 1);
            (1..=most).rev().find(|length| {
                // Only whole characters: `get` is `None` in the middle of one.
                word.get(..*length).is_some_and(|head| self.held.ends_with(head))
            })
        };
        self.words.iter().filter_map(begins).max().unwrap_or(0)
    }
}

fn give(text: &str, out: &mut impl FnMut(&str)) {
    if !text.is_empty() {
        out(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(words: &[&str], pieces: &[&str]) -> (String, Option<String>) {
        let mut stops = Stops::new(words.iter().map(|word| (*word).to_owned()).collect());
        let mut text = String::new();
        for piece in pieces {
            if let Some(word) = stops.push(piece, |piece| text.push_str(piece)) {
                return (text, Some(word));
            }
        }
        text.push_str(&stops.rest());
        (text, None)
    }

    #[test]
    fn words_are_found_across_pieces() {
        assert_eq!(run(&["END"], &["a E", "N", "D b"]), ("a ".into(), Some("END".into())));
        assert_eq!(run(&["END"], &["a EN", "T"]), ("a ENT".into(), None));
        assert_eq!(run(&["abc", "b"], &["abc"]), ("a".into(), Some("b".into())));
        assert_eq!(run(&["b", "ab"], &["a", "b"]), (String::new(), Some("ab".into())));
        assert_eq!(run(&["żó"], &["ż", "ó"]), (String::new(), Some("żó".into())));
    }

    proptest::proptest! {
        #[test]
        fn however_it_is_cut(pieces in proptest::collection::vec("[abż]{0,4}", 0..6), words in proptest::collection::vec("[abż]{1,3}", 1..3)) {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            let (text, found) = run(&words, &pieces);
            let whole: String = pieces.concat();
            let end = |word: &&str| Some(whole.find(*word)? + word.len());
            let (want, text_and_word) = (words.iter().filter_map(end).min(), text.len() + found.as_ref().map_or(0, String::len));
            proptest::prop_assert!(whole.starts_with(&text));
            proptest::prop_assert_eq!(text_and_word, want.unwrap_or(whole.len()));
            proptest::prop_assert_eq!((text, found), run(&words, &[&whole]));
        }
    }
}
