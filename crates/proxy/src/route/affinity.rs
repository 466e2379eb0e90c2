//! Which target answered a conversation last: staying there keeps its prompt cache warm. Pure: `now` comes in.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::clock::Clocks;

/// Conversations that are remembered.
const MAX_CONVERSATIONS: usize = 4096;
/// How long one is; prompt caches live minutes, at most an hour.
const LIFETIME: Duration = Duration::from_secs(3600);

/// The memory of all conversations. Bounded: the one whose memory ends first leaves.
#[derive(Debug, Default)]
pub struct Affinity {
    /// Conversation to target and the end of its memory.
    targets: HashMap<String, (String, Instant)>,
}

impl Affinity {
    /// The target that answered this conversation last, as long as its caches may be warm.
    pub fn find(&self, conversation: &str, now: Instant) -> Option<&str> {
        let (target, until) = self.targets.get(conversation)?;
        (*until > now).then_some(target.as_str())
    }

    /// A target answered a conversation.
    pub fn record(&mut self, conversation: &str, target: &str, now: Instant) {
        if self.targets.len() >= MAX_CONVERSATIONS && !self.targets.contains_key(conversation) {
            self.targets.retain(|_, (_, until)| *until > now);
        }
        if self.targets.len() >= MAX_CONVERSATIONS {
            let oldest =
                self.targets.iter().min_by_key(|(_, (_, until))| *until).map(|(name, _)| name.clone());
            oldest.and_then(|oldest| self.targets.remove(&oldest));
        }
        let Some(until) = now.checked_add(LIFETIME) else { return };
        self.targets.insert(conversation.to_owned(), (target.to_owned(), until));
    }

    /// For a file: conversation, target, and the end of its memory in Unix seconds.
    pub fn save(&self, at: Clocks) -> Vec<(String, String, u64)> {
        let entries = self.targets.iter();
        entries
            .filter_map(|(name, (target, until))| {
                Some((name.clone(), target.clone(), at.to_unix(Some(*until))?))
            })
            .collect()
    }

    /// From a file.
    pub fn load(saved: Vec<(String, String, u64)>, at: Clocks) -> Self {
        let entries = saved.into_iter().take(MAX_CONVERSATIONS);
        let targets = entries
            .filter_map(|(name, target, until)| Some((name, (target, at.from_unix(Some(until))?))))
            .collect();
        Self { targets }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn a_conversation_stays_for_an_hour() {
        let now = clock::now();
        let mut affinity = Affinity::default();
        affinity.record("c", "a/m", now);
        assert_eq!(affinity.find("c", now + LIFETIME / 2), Some("a/m"));
        assert_eq!(affinity.find("c", now + LIFETIME), None);
        assert_eq!(affinity.find("d", now), None);
        let at = Clocks { now, unix: 50_000 };
        let back = Affinity::load(affinity.save(at), at);
        assert_eq!(back.find("c", now), Some("a/m"));
    }

    #[test]
    fn it_is_bounded() {
        let now = clock::now();
        let mut affinity = Affinity::default();
        for number in 0..MAX_CONVERSATIONS + 10 {
            affinity.record(&number.to_string(), "a/m", now + Duration::from_millis(number as u64));
        }
        assert_eq!(affinity.targets.len(), MAX_CONVERSATIONS);
        assert_eq!(affinity.find("0", now), None, "the oldest left");
    }
}
