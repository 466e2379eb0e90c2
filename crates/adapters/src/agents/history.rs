//! Which conversation of an agent a request goes on with: the one that has said exactly what the request says was said. Pure.
//!
//! Clients repeat a history in their own shape: they join messages, trim them, leave thoughts out. What counts is who said which words in
//! which order, without blanks.

use sha2::{Digest as _, Sha256};

use super::query::{AgentItem, AgentRole, Part};

/// What was said in a conversation, as a number.
pub type HistoryKey = u128;

/// A conversation while it is read.
#[derive(Clone)]
pub struct HistoryHash {
    hash: Sha256,
    /// Who spoke last: what one says in two messages is said once.
    speaker: u8,
}

impl HistoryHash {
    /// The beginning of a conversation with these options: another set of them is another conversation.
    pub fn new(options: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(u64::try_from(options.len()).unwrap_or(u64::MAX).to_le_bytes());
        hash.update(options);
        Self { hash, speaker: 0 }
    }

    /// Some items more.
    #[must_use]
    pub fn items(mut self, items: &[AgentItem]) -> Self {
        for item in items {
            match item {
                AgentItem::Message { role, parts } => {
                    let speaker = match role {
                        AgentRole::Developer => b'd',
                        AgentRole::User => b'u',
                        AgentRole::Assistant => b'a',
                    };
                    self.parts(speaker, parts);
                }
                AgentItem::Call { id, name, arguments } => {
                    self.said(b'c', id);
                    self.said(b'n', name);
                    self.said(b'j', arguments);
                }
                AgentItem::Output { id, parts } => {
                    self.said(b'i', id);
                    self.parts(b'o', parts);
                }
            }
        }
        self
    }

    /// The agent's answer.
    #[must_use]
    pub fn answer(mut self, text: &str) -> Self {
        self.said(b'a', text);
        self
    }

    fn parts(&mut self, speaker: u8, parts: &[Part]) {
        for part in parts {
            match part {
                Part::Text { text } => self.said(speaker, text),
                Part::Image { url } => {
                    self.said(speaker, "");
                    self.hash.update([b'\n']);
                    self.hash.update(url);
                }
            }
        }
    }

    fn said(&mut self, speaker: u8, text: &str) {
        if self.speaker != speaker {
            self.hash.update([b'\n', speaker, b'\n']);
            self.speaker = speaker;
        }
        for word in text.split_whitespace() {
            self.hash.update(word);
        }
    }

    /// The number.
    pub fn key(&self) -> HistoryKey {
        let hash = self.hash.clone().finalize();
        hash.iter().take(16).fold(0, |key, byte| (key << 8) | u128::from(*byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(role: AgentRole, text: &str) -> AgentItem {
        AgentItem::Message { role, parts: vec![Part::Text { text: text.to_owned() }] }
    }

    fn key(items: &[AgentItem]) -> HistoryKey {
        HistoryHash::new(b"options").items(items).key()
    }

    #[test]
    fn the_shape_of_a_history_does_not_matter_and_its_words_do() {
        use AgentRole::{Assistant, User};
        let told = HistoryHash::new(b"options").items(&[said(User, "hello there")]).answer("a\n\nb ").key();
        for same in [
            vec![said(User, "hello there "), said(Assistant, "a"), said(Assistant, "b")],
            vec![said(User, "hello"), said(User, " there"), said(Assistant, "a b")],
        ] {
            assert_eq!(key(&same), told, "{same:?}");
        }
        for other in [
            vec![said(User, "hello there"), said(Assistant, "a c")],
            vec![said(User, "hello there a"), said(Assistant, "b")],
            vec![said(User, "hello there"), said(AgentRole::Developer, "a b")],
        ] {
            assert_ne!(key(&other), told, "{other:?}");
        }
        assert_ne!(HistoryHash::new(b"other").items(&[]).key(), HistoryHash::new(b"options").key());
    }
}
