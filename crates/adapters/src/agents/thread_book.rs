//! The conversations of an endpoint, by what was said in them: so many, each for so long, and known again after a restart of the proxy.
//!
//! Each change is a line in a file (`journal`), which is read once at the start. Without a file they are known as long as the
//! process lives.

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::history::HistoryKey;
use super::journal::{Change, Journal};
use crate::clock;

/// What names the conversation behind one of its turns.
pub trait InThread: Clone + Serialize + DeserializeOwned {
    /// The conversation's name at its agent.
    fn thread(&self) -> &str;
}

impl InThread for String {
    fn thread(&self) -> &str {
        self
    }
}

/// The conversations that are known, by what was said in them.
#[derive(Debug)]
pub struct ThreadBook<T> {
    by_key: HashMap<HistoryKey, (T, Instant)>,
    order: VecDeque<HistoryKey>,
    keep: usize,
    life: Duration,
    journal: Option<Journal>,
}

impl<T: InThread> ThreadBook<T> {
    /// An empty one, for so many entries, each for so long.
    pub fn new(keep: usize, life: Duration) -> Self {
        Self { by_key: HashMap::new(), order: VecDeque::new(), keep, life, journal: None }
    }

    /// The one that stands in a file, and is kept there. One that cannot be read is begun anew.
    pub fn kept(keep: usize, life: Duration, path: &Path) -> Self {
        let mut book = Self::new(keep, life);
        let (now, unix) = (clock::now(), clock::unix_now());
        let (journal, changes) = Journal::open(path);
        for change in changes {
            match change {
                Change::Said { key, at, entry } => {
                    let age = Duration::from_secs(unix.saturating_sub(at));
                    if let (true, Some(at)) = (age <= life, now.checked_sub(age)) {
                        book.insert(key, entry, at);
                    }
                }
                Change::Gone { thread } => book.remove(&thread),
            }
        }
        book.journal = Some(journal);
        book.tidy(true);
        book
    }

    /// What was said leads to this.
    pub fn put(&mut self, key: HistoryKey, entry: T, now: Instant) {
        if let Some(journal) = &mut self.journal {
            journal.said(key, clock::unix_now(), &entry);
        }
        self.insert(key, entry, now);
        self.tidy(false);
    }

    fn insert(&mut self, key: HistoryKey, entry: T, at: Instant) {
        if self.by_key.insert(key, (entry, at)).is_some() {
            self.order.retain(|known| *known != key);
        }
        self.order.push_back(key);
        while self.order.len() > self.keep {
            if let Some(oldest) = self.order.pop_front() {
                self.by_key.remove(&oldest);
            }
        }
    }

    /// Where what was said leads to.
    pub fn get(&self, key: HistoryKey, now: Instant) -> Option<T> {
        let (entry, at) = self.by_key.get(&key)?;
        (now.saturating_duration_since(*at) <= self.life).then(|| entry.clone())
    }

    /// What was said in this conversation leads nowhere any more.
    pub fn forget(&mut self, thread: &str) {
        if let Some(journal) = &mut self.journal {
            journal.gone(thread);
        }
        self.remove(thread);
    }

    fn remove(&mut self, thread: &str) {
        self.by_key.retain(|_, (entry, _)| entry.thread() != thread);
        let known = &self.by_key;
        self.order.retain(|key| known.contains_key(key));
    }

    /// Writes the file anew where most of it is over.
    fn tidy(&mut self, at_start: bool) {
        let Some(journal) = &mut self.journal else { return };
        let spare = if at_start { 0 } else { self.by_key.len() + 64 };
        if journal.lines() <= self.by_key.len() + spare {
            return;
        }
        let (now, unix) = (clock::now(), clock::unix_now());
        let entries = self.order.iter().filter_map(|key| {
            let (entry, at) = self.by_key.get(key)?;
            Some((*key, unix.saturating_sub(now.saturating_duration_since(*at).as_secs()), entry))
        });
        journal.rewrite(entries);
    }

    /// Everything that is known, the oldest first.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.order.iter().filter_map(|key| self.by_key.get(key)).map(|(entry, _)| entry)
    }

    /// How many are known.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn old_and_too_many_conversations_are_forgotten() {
        let mut book = ThreadBook::new(2, Duration::from_secs(60));
        let now = clock::now();
        for (key, thread) in [(1, "a"), (2, "b"), (3, "c")] {
            book.put(key, thread.to_owned(), now);
        }
        assert_eq!((book.get(1, now), book.get(3, now), book.len()), (None, Some("c".to_owned()), 2));
        assert_eq!(book.get(3, now + Duration::from_secs(61)), None);
        book.forget("c");
        assert_eq!((book.get(3, now), book.len(), book.is_empty()), (None, 1, false));
    }

    #[tokio::test]
    async fn what_was_said_is_known_after_a_restart_and_what_is_gone_is_not() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("threads.jsonl");
        let life = Duration::from_secs(600);
        let now = clock::now();
        let mut book = ThreadBook::kept(2, life, &path);
        for (key, thread) in [(1, "a"), (u128::MAX, "b"), (3, "c")] {
            book.put(key, thread.to_owned(), now);
        }
        book.forget("c");
        drop(book);
        let mut again = ThreadBook::<String>::kept(2, life, &path);
        assert_eq!(again.get(u128::MAX, now + Duration::from_secs(1)).as_deref(), Some("b"));
        assert_eq!((again.get(1, now), again.get(3, now), again.len()), (None, None, 1));
        for round in 0..500 {
            again.put(4, format!("t-{round}"), now);
        }
        let lines = std::fs::read_to_string(&path).expect("a file").lines().count();
        assert!(lines < 200, "{lines} lines for two entries");
        std::fs::write(&path, "no JSON\n{\"said\":7}\n").expect("written");
        assert!(ThreadBook::<String>::kept(2, life, &path).is_empty(), "a broken file is begun anew");
    }

    #[tokio::test]
    async fn what_is_older_than_its_life_is_not_known_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("threads.jsonl");
        let (mut journal, _) = Journal::open::<String>(&path);
        journal.said(1, clock::unix_now().saturating_sub(100), &"old".to_owned());
        journal.said(2, clock::unix_now(), &"new".to_owned());
        drop(journal);
        let book = ThreadBook::<String>::kept(8, Duration::from_secs(60), &path);
        assert_eq!(book.values().collect::<Vec<_>>(), ["new"]);
    }
}
