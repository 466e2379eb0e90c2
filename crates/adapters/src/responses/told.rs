//! How much of an answer's text was told, and what it was: enough to tell the rest of it, without keeping the text. Pure.

use crate::wording;

/// A text that was told, by its length and its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TextDigest {
    length: usize,
    hash: u64,
}

impl Default for TextDigest {
    fn default() -> Self {
        Self { length: 0, hash: wording::FNV_SEED }
    }
}

impl TextDigest {
    fn add(&mut self, text: &str) {
        self.length += text.len();
        self.hash = wording::fnv1a(self.hash, text.bytes());
    }

    /// What of the whole text was not told; `None` where something else was.
    fn rest_of<'t>(&self, whole: &'t str) -> Option<&'t str> {
        let (told, rest) = whole.split_at_checked(self.length)?;
        (wording::fnv1a(wording::FNV_SEED, told.bytes()) == self.hash).then_some(rest)
    }
}

/// The texts of an answer's items as they were told.
#[derive(Debug, Default)]
pub(super) struct ToldTexts {
    all: TextDigest,
    /// Each with the server's number of the item.
    items: Vec<(u64, TextDigest)>,
}

impl ToldTexts {
    /// A piece of an item's text is told.
    pub(super) fn add(&mut self, index: u64, text: &str) {
        self.all.add(text);
        if let Some((_, told)) = self.items.iter_mut().rev().find(|(known, _)| *known == index) {
            return told.add(text);
        }
        let mut told = TextDigest::default();
        told.add(text);
        self.items.push((index, told));
    }

    /// Whether anything was told of this item.
    pub(super) fn has(&self, index: u64) -> bool {
        self.items.iter().any(|(known, _)| *known == index)
    }

    /// What was not told of the texts of all items, in order. The server's numbers may be wrong or missing, so what counts is what was said.
    pub(super) fn untold(&self, texts: &[String]) -> String {
        if let Some(rest) = self.all.rest_of(&texts.concat()) {
            return rest.to_owned();
        }
        let mut left: Vec<TextDigest> = self.items.iter().map(|(_, told)| *told).collect();
        let mut known = vec![""; texts.len()];
        let mut is_known = vec![false; texts.len()];
        // Items that were told whole, then those of which a beginning was.
        for whole in [true, false] {
            for (place, text) in texts.iter().enumerate() {
                if is_known.get(place) != Some(&false) {
                    continue;
                }
                let rest = |told: &TextDigest| told.rest_of(text).filter(|rest| rest.is_empty() == whole);
                if let Some((found, rest)) =
                    left.iter().enumerate().find_map(|(found, told)| Some((found, rest(told)?)))
                {
                    left.remove(found);
                    if let (Some(known), Some(is_known)) = (known.get_mut(place), is_known.get_mut(place)) {
                        (*known, *is_known) = (rest, true);
                    }
                }
            }
        }
        // What was told and is in no text came in another form: then nothing is certain to be missing.
        if !left.is_empty() {
            return String::new();
        }
        let texts = texts.iter().zip(known).zip(is_known);
        texts.map(|((text, rest), is_known)| if is_known { rest } else { text.as_str() }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was told, the texts of all items, and what is left of them.
    type Case<'c> = (&'c [(u64, &'c str)], &'c [&'c str], &'c str);

    fn untold(told: &[(u64, &str)], texts: &[&str]) -> String {
        let mut all = ToldTexts::default();
        for (index, text) in told {
            all.add(*index, text);
        }
        all.untold(&texts.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn the_rest_is_told_whatever_the_numbers_are() {
        let cases: [Case<'_>; 9] = [
            (&[], &["a", "b"], "ab"),
            (&[(0, "a"), (1, "b")], &["a", "b"], ""),
            (&[(0, "a"), (0, "b")], &["a", "b"], ""),
            (&[(0, "a")], &["a", "b"], "b"),
            (&[(7, "b")], &["a", "b"], "a"),
            (&[(0, "ab")], &["abc"], "c"),
            (&[(0, "x"), (2, "yy")], &["x", "mid", "yyz"], "midz"),
            (&[(0, "another form")], &["text"], ""),
            (&[(0, "é")], &["éa"], "a"),
        ];
        for (told, texts, want) in cases {
            assert_eq!(untold(told, texts), want, "{told:?} of {texts:?}");
        }
    }
}
