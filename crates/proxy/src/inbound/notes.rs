//! What was lowered or left out when a request was read, for the log. Pure.

use std::ops::Deref;

/// Sentences for the log, in the order in which they came up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notes(Vec<String>);

impl Notes {
    /// Adds a sentence.
    pub(crate) fn add(&mut self, note: impl Into<String>) {
        self.0.push(note.into());
    }

    /// Adds a sentence that stands only once, however long the history is.
    pub(in crate::inbound) fn add_once(&mut self, note: impl AsRef<str>) {
        let note = note.as_ref();
        if !self.0.iter().any(|known| known == note) {
            self.0.push(note.to_owned());
        }
    }
}

impl Deref for Notes {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.0
    }
}

impl IntoIterator for Notes {
    type Item = String;
    type IntoIter = std::vec::IntoIter<String>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_history_is_noted_once() {
        let mut notes = Notes::default();
        notes.add("a");
        notes.add_once("b");
        notes.add_once(String::from("b"));
        notes.add("a");
        assert_eq!(notes[..], ["a", "b", "a"]);
    }
}
