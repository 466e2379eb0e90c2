//! Going on after a length limit: the model is asked to repeat its last words, and its answer is joined where they end.
//!
//! The place is verified: an answer that does not begin with those words is not joined, and the turn ends as the upstream ended it.

/// How long the last words are that the model is asked to repeat, in bytes.
const ANCHOR_LENGTH: std::ops::RangeInclusive<usize> = 8..=40;
/// The most that may stand before the repeated words, in bytes.
const MAX_PREAMBLE: usize = 1 << 10;

/// Where the next answer joins the one that was cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Continuation {
    /// The last words of the answer that was cut.
    anchor: String,
    /// White space behind the anchor, which was shown already.
    space: String,
    /// What the next answer holds so far.
    received: String,
}

impl Continuation {
    /// At the end of a text; `None` when it ends in nothing that could be found again.
    pub(super) fn after(text: &str) -> Option<Self> {
        let end = text.trim_end();
        let line = end.rsplit('\n').next().unwrap_or(end);
        let start = (line.len().saturating_sub(*ANCHOR_LENGTH.end())..line.len())
            .find(|at| line.is_char_boundary(*at))?;
        let tail = &line[start..];
        // Whole words are repeated more faithfully than parts of them.
        let words = tail.find(' ').filter(|_| start > 0).map_or(tail, |space| &tail[space..]);
        let anchor = words.trim_start().to_owned();
        let space = text[end.len()..].to_owned();
        // Words that stand twice could be joined at the wrong place.
        let once = text.matches(&anchor).count() == 1;
        (once && ANCHOR_LENGTH.contains(&anchor.len())).then(|| Self {
            anchor,
            space,
            received: String::new(),
        })
    }

    /// In which words the model is asked to go on.
    pub(super) fn question(&self) -> String {
        format!(
            "Your answer was cut off by a length limit. Begin your next message by repeating these last words of it exactly, and go on from there, in the same format, without any remark: {}",
            self.anchor
        )
    }

    /// Takes the next piece of the next answer. `Some` is what follows the last words, once they are found.
    pub(super) fn push(&mut self, text: &str) -> Option<String> {
        if self.received.len() > MAX_PREAMBLE + self.anchor.len() {
            return None;
        }
        self.received.push_str(text);
        let at = self.received.find(&self.anchor)?;
        let rest = &self.received[at + self.anchor.len()..];
        // The space may still be on its way.
        if !self.space.is_empty() && self.space.starts_with(rest) && rest.len() < self.space.len() {
            return None;
        }
        Some(rest.strip_prefix(self.space.as_str()).unwrap_or(rest).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(text: &str, pieces: &[&str]) -> Option<String> {
        let mut continuation = Continuation::after(text)?;
        let mut pieces = pieces.iter();
        let rest = pieces.by_ref().find_map(|piece| continuation.push(piece))?;
        Some(format!("{text}{rest}{}", pieces.copied().collect::<String>()))
    }

    #[test]
    fn an_answer_is_joined_where_its_last_words_end() {
        let text = "One two three four";
        assert_eq!(
            join(text, &["One two", " three four", " five"]).as_deref(),
            Some("One two three four five")
        );
        assert_eq!(
            join(text, &["Sure: One two three four five"]).as_deref(),
            Some("One two three four five")
        );
        assert_eq!(
            join("A line of text.\n", &["A line of text.", "\nMore"]).as_deref(),
            Some("A line of text.\nMore")
        );
        assert_eq!(join(text, &["Something else."]), None);
        assert_eq!(join(text, &[&"x".repeat(3000), text]), None);
        assert_eq!(Continuation::after("short"), None);
        assert_eq!(Continuation::after("the same words\nthe same words"), None);
    }
}
