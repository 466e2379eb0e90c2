//! Stop sequences, kept by latimer itself: not every provider knows them, and some models refuse them.

/// Looks for the end of an answer in its words. Words that may be the beginning of a stop sequence are held back.
#[derive(Debug, Default)]
pub(super) struct Stops {
    sequences: Vec<String>,
    held: String,
}

impl Stops {
    /// Looks for any of these; an empty one would stop everything and is passed over.
    pub(super) fn new(sequences: Vec<String>) -> Self {
        let sequences = sequences.into_iter().filter(|sequence| !sequence.is_empty()).collect();
        Self { sequences, held: String::new() }
    }

    /// There is nothing to look for.
    pub(super) fn is_idle(&self) -> bool {
        self.sequences.is_empty()
    }

    /// Takes a piece and gives what can be handed out. The second value says that a stop sequence stood behind it.
    pub(super) fn push(&mut self, text: &str) -> (String, bool) {
        self.held.push_str(text);
        let keep = self.sequences.iter().map(|sequence| overlap(&self.held, sequence)).max().unwrap_or(0);
        let begun = self.held.len() - keep;
        match self.hit() {
            // One that began earlier may still become whole, and would count instead.
            Some(at) if at <= begun => {
                self.held.truncate(at);
                (std::mem::take(&mut self.held), true)
            }
            _ => {
                let rest = self.held.split_off(begun);
                (std::mem::replace(&mut self.held, rest), false)
            }
        }
    }

    /// What was held back, because nothing more will follow it.
    pub(super) fn flush(&mut self) -> String {
        if let Some(at) = self.hit() {
            self.held.truncate(at);
        }
        std::mem::take(&mut self.held)
    }

    /// Where the first stop sequence begins.
    fn hit(&self) -> Option<usize> {
        self.sequences.iter().filter_map(|sequence| self.held.find(sequence.as_str())).min()
    }
}

/// How many bytes at the end of `text` are a beginning of `sequence`.
fn overlap(text: &str, sequence: &str) -> usize {
    let begins = |length: &usize| {
        sequence.is_char_boundary(*length) && text.as_bytes().ends_with(&sequence.as_bytes()[..*length])
    };
    (1..sequence.len().min(text.len() + 1)).rev().find(begins).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn cuts_do_not_matter(text in "[ab\né]{0,24}", stop in proptest::collection::vec("[ab\né]{1,4}", 1..4), size in 1usize..5) {
            let cut = stop.iter().filter_map(|stop| text.find(stop.as_str())).min();
            let want = cut.map_or(text.as_str(), |at| &text[..at]);
            let mut stops = Stops::new(stop);
            let chars: Vec<char> = text.chars().collect();
            let (mut got, mut hit) = (String::new(), false);
            for piece in chars.chunks(size) {
                let (ready, stopped) = stops.push(&piece.iter().collect::<String>());
                got.push_str(&ready);
                if stopped {
                    hit = true;
                    break;
                }
            }
            got.push_str(&stops.flush());
            prop_assert_eq!(got.as_str(), want);
            prop_assert!(cut.is_some() || !hit);
        }
    }
}
