//! Which thread a conversation is in: by what was said in it. Pure.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::agents::history::HistoryKey;
use crate::agents::thread_book::{InThread, ThreadBook};

/// A thread behind one of its turns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadAt {
    /// Its name at the server.
    pub thread: String,
    /// The last turn in which exactly this was said.
    pub turn: String,
    /// The place of the pool whose process has it.
    #[serde(skip)]
    pub member: usize,
    /// That process: a later one in the same place has to be told of the thread. 0 is none.
    #[serde(skip)]
    pub process: u64,
}

impl InThread for ThreadAt {
    fn thread(&self) -> &str {
        &self.thread
    }
}

/// The threads of an endpoint.
#[derive(Debug)]
pub struct Threads {
    book: ThreadBook<ThreadAt>,
    /// The newest turn of each thread: an older one is branched off.
    newest: HashMap<String, String>,
}

impl Threads {
    /// None, with room for so many turns, each for so long.
    pub fn new(keep: usize, life: Duration) -> Self {
        Self { book: ThreadBook::new(keep, life), newest: HashMap::new() }
    }

    /// Those that stand in a file, and are kept there. No process has them yet.
    pub fn kept(keep: usize, life: Duration, path: &Path) -> Self {
        let book = ThreadBook::<ThreadAt>::kept(keep, life, path);
        // The last one of each stands last. What a turn that never ended has said is not in it: Codex's own history tells of it, and a
        // branch behind the last turn that is known leaves it out.
        let newest = HashMap::new();
        Self { book, newest }
    }

    /// Where this was said.
    pub fn find(&self, key: HistoryKey, now: Instant) -> Option<ThreadAt> {
        self.book.get(key, now)
    }

    /// Whether nothing was said in the thread since.
    pub fn is_newest(&self, at: &ThreadAt) -> bool {
        self.newest.get(&at.thread) == Some(&at.turn)
    }

    /// A turn begins in the thread: what was said so far is not its newest any more.
    pub fn begin(&mut self, thread: &str) {
        self.newest.remove(thread);
    }

    /// A turn came to its end.
    pub fn completed(&mut self, key: HistoryKey, at: ThreadAt, now: Instant) {
        self.newest.insert(at.thread.clone(), at.turn.clone());
        self.book.put(key, at, now);
        // Threads whose turns were all forgotten are not kept by name either.
        if self.newest.len() > 2 * self.book.len() + 64 {
            let known: std::collections::HashSet<String> =
                self.book.values().map(|at| at.thread.clone()).collect();
            self.newest.retain(|thread, _| known.contains(thread));
        }
    }

    /// The thread is not there any more.
    pub fn forget(&mut self, thread: &str) {
        self.book.forget(thread);
        self.newest.remove(thread);
    }

    /// How many turns are known.
    pub fn len(&self) -> usize {
        self.book.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.book.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_newest_turn_is_gone_on_with_and_an_older_one_is_not() {
        let mut threads = Threads::new(8, Duration::from_secs(60));
        let now = crate::clock::now();
        let at =
            |turn: &str| ThreadAt { thread: "t".to_owned(), turn: turn.to_owned(), member: 1, process: 7 };
        threads.begin("t");
        threads.completed(1, at("a"), now);
        assert!(threads.is_newest(&at("a")));
        threads.begin("t");
        assert!(!threads.is_newest(&at("a")), "a turn runs in it");
        threads.completed(2, at("b"), now);
        let older = threads.find(1, now).expect("known");
        assert!(!threads.is_newest(&older) && threads.is_newest(&at("b")));
        threads.forget("t");
        assert_eq!((threads.find(2, now), threads.len(), threads.is_empty()), (None, 0, true));
    }
}
