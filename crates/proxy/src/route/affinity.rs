//! Which target answered a conversation last: staying there keeps its prompt cache warm. Pure: `now` comes in.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::clock::Clocks;

/// Conversations that are remembered.
const MOST: usize = 4096;
/// How long one is; prompt caches live minutes, at most an hour.
const LIFE: Duration = Duration::from_secs(3600);

/// The memory.
#[derive(Debug, Default)]
pub struct Affinity {
    /// Conversation to target and the end of its memory.
    stays: HashMap<String, (String, Instant)>,
}

impl Affinity {
    /// The target this conversation stays with.
    pub fn find(&self, conversation: &str, now: Instant) -> Option<&str> {
        let (target, until) = self.stays.get(conversation)?;
        (*until > now).then_some(target.as_str())
    }

    /// A target answered a conversation.
    pub fn stays(&mut self, conversation: &str, target: &str, now: Instant) {
        if self.stays.len() >= MOST && !self.stays.contains_key(conversation) {
            self.stays.retain(|_, (_, until)| *until > now);
        }
        if self.stays.len() >= MOST {
            let oldest = self.stays.iter().min_by_key(|(_, (_, until))| *until).map(|(name, _)| name.clone());
            oldest.and_then(|oldest| self.stays.remove(&oldest));
        }
        let Some(until) = now.checked_add(LIFE) else { return };
        self.stays.insert(conversation.to_owned(), (target.to_owned(), until));
    }

    /// For a file: conversation, target, and the end of its memory in Unix seconds.
    pub fn save(&self, at: Clocks) -> Vec<(String, String, u64)> {
        let entries = self.stays.iter();
        entries
            .filter_map(|(name, (target, until))| {
                Some((name.clone(), target.clone(), at.to_unix(Some(*until))?))
            })
            .collect()
    }

    /// From a file.
    pub fn load(saved: Vec<(String, String, u64)>, at: Clocks) -> Self {
        let entries = saved.into_iter().take(MOST);
        let stays = entries
            .filter_map(|(name, target, until)| Some((name, (target, at.from_unix(Some(until))?))))
            .collect();
        Self { stays }
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
        affinity.stays("c", "a/m", now);
        assert_eq!(affinity.find("c", now + LIFE / 2), Some("a/m"));
        assert_eq!(affinity.find("c", now + LIFE), None);
        assert_eq!(affinity.find("d", now), None);
        let at = Clocks { now, unix: 50_000 };
        let back = Affinity::load(affinity.save(at), at);
        assert_eq!(back.find("c", now), Some("a/m"));
    }

    #[test]
    fn it_is_bounded() {
        let now = clock::now();
        let mut affinity = Affinity::default();
        for number in 0..MOST + 10 {
            affinity.stays(&number.to_string(), "a/m", now + Duration::from_millis(number as u64));
        }
        assert_eq!(affinity.stays.len(), MOST);
        assert_eq!(affinity.find("0", now), None, "the oldest left");
    }
}
