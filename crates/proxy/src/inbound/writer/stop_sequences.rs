//! Stop sequences: texts that end an answer, looked for as it comes. Upstreams know different numbers of them, some none, and some
//! models refuse them, so latimer looks itself.
//!
//! Invariant: what was given out, joined, is the text before the stop sequence that counts; nothing of it is ever given out.

use memchr::memmem;

/// Which of several stop sequences counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::inbound) enum StopRule {
    /// The one that is complete first, however the text was cut; of two that end together the longer one.
    #[default]
    FirstComplete,
    /// The one that begins first, even where another one inside of it is complete before.
    FirstBegun,
}

/// Looks for the end of an answer across the pieces of its text.
#[derive(Debug, Default)]
pub(in crate::inbound) struct StopSequences {
    rule: StopRule,
    sequences: Vec<String>,
    /// The end of the text, as long as a sequence may begin there.
    held: String,
}

impl StopSequences {
    /// Looks for any of these. An empty one would stop everything and is passed over.
    pub(in crate::inbound) fn new(rule: StopRule, mut sequences: Vec<String>) -> Self {
        sequences.retain(|sequence| !sequence.is_empty());
        Self { rule, sequences, held: String::new() }
    }

    /// There is nothing to look for: the text needs no way through here.
    pub(in crate::inbound) fn is_empty(&self) -> bool {
        self.sequences.is_empty()
    }

    /// Takes a piece and gives out what cannot be part of a stop sequence. The sequence that was found ends the answer.
    pub(in crate::inbound) fn push(&mut self, piece: &str, mut out: impl FnMut(&str)) -> Option<String> {
        self.held.push_str(piece);
        let free = self.held.len() - self.may_begin();
        // One that began earlier may still be completed, and would count instead.
        let counts = |start: usize| self.rule == StopRule::FirstComplete || start <= free;
        if let Some((start, sequence)) = self.find().filter(|(start, _)| counts(*start)) {
            let (sequence, text) = (sequence.to_owned(), std::mem::take(&mut self.held));
            give(text.get(..start).unwrap_or_default(), &mut out);
            return Some(sequence);
        }
        give(self.held.get(..free).unwrap_or_default(), &mut out);
        self.held.drain(..free);
        None
    }

    /// The text is over: what was held back is text after all, up to a sequence in it.
    pub(in crate::inbound) fn rest(&mut self) -> String {
        if let Some((start, _)) = self.find() {
            self.held.truncate(start);
        }
        std::mem::take(&mut self.held)
    }

    /// Where the sequence that counts begins.
    fn find(&self) -> Option<(usize, &str)> {
        let begin = |sequence: &str| memmem::find(self.held.as_bytes(), sequence.as_bytes());
        let found = self.sequences.iter().filter_map(|sequence| Some((begin(sequence)?, sequence.as_str())));
        match self.rule {
            StopRule::FirstComplete => found.min_by_key(|(start, sequence)| (start + sequence.len(), *start)),
            StopRule::FirstBegun => found.min_by_key(|(start, _)| *start),
        }
    }

    /// How many bytes at the end are the beginning of a sequence.
    fn may_begin(&self) -> usize {
        let begins = |sequence: &String| {
            let longest = self.held.len().min(sequence.len() - 1);
            (1..=longest).rev().find(|length| {
                // Only whole characters: `get` is `None` in the middle of one.
                sequence.get(..*length).is_some_and(|head| self.held.ends_with(head))
            })
        };
        self.sequences.iter().filter_map(begins).max().unwrap_or(0)
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
    use proptest::prelude::*;

    fn run(rule: StopRule, sequences: &[&str], pieces: &[&str]) -> (String, Option<String>) {
        let mut stops = StopSequences::new(rule, sequences.iter().map(|text| (*text).to_owned()).collect());
        let mut text = String::new();
        for piece in pieces {
            if let Some(found) = stops.push(piece, |piece| text.push_str(piece)) {
                return (text, Some(found));
            }
        }
        text.push_str(&stops.rest());
        (text, None)
    }

    #[test]
    fn sequences_are_found_across_pieces() {
        let run = |sequences: &[&str], pieces: &[&str]| run(StopRule::FirstComplete, sequences, pieces);
        assert_eq!(run(&["END"], &["a E", "N", "D b"]), ("a ".into(), Some("END".into())));
        assert_eq!(run(&["END"], &["a EN", "T"]), ("a ENT".into(), None));
        assert_eq!(run(&["abc", "b"], &["abc"]), ("a".into(), Some("b".into())));
        assert_eq!(run(&["b", "ab"], &["a", "b"]), (String::new(), Some("ab".into())));
        assert_eq!(run(&["żó"], &["ż", "ó"]), (String::new(), Some("żó".into())));
        assert_eq!(run(&[""], &["a"]), ("a".into(), None));
    }

    proptest! {
        #[test]
        fn the_first_to_be_complete_counts(pieces in proptest::collection::vec("[abż]{0,4}", 0..6), sequences in proptest::collection::vec("[abż]{1,3}", 1..3)) {
            let sequences: Vec<&str> = sequences.iter().map(String::as_str).collect();
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            let (text, found) = run(StopRule::FirstComplete, &sequences, &pieces);
            let whole: String = pieces.concat();
            let end = |sequence: &&str| Some(whole.find(*sequence)? + sequence.len());
            let want = sequences.iter().filter_map(end).min();
            let text_and_sequence = text.len() + found.as_ref().map_or(0, String::len);
            prop_assert!(whole.starts_with(&text));
            prop_assert_eq!(text_and_sequence, want.unwrap_or(whole.len()));
            prop_assert_eq!((text, found), run(StopRule::FirstComplete, &sequences, &[&whole]));
        }

        #[test]
        fn the_first_to_begin_counts(text in "[ab\né]{0,24}", sequences in proptest::collection::vec("[ab\né]{1,4}", 1..4), size in 1usize..5) {
            let cut = sequences.iter().filter_map(|sequence| text.find(sequence.as_str())).min();
            let want = cut.map_or(text.as_str(), |at| &text[..at]);
            let chars: Vec<char> = text.chars().collect();
            let pieces: Vec<String> = chars.chunks(size).map(|piece| piece.iter().collect()).collect();
            let (sequences, pieces): (Vec<&str>, Vec<&str>) =
                (sequences.iter().map(String::as_str).collect(), pieces.iter().map(String::as_str).collect());
            let (got, found) = run(StopRule::FirstBegun, &sequences, &pieces);
            prop_assert_eq!(got.as_str(), want);
            prop_assert!(cut.is_some() || found.is_none());
        }
    }
}
