//! Answers that a later request may go on with by `previous_response_id`.

use std::collections::VecDeque;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Transaction};

/// How long an answer is kept, in seconds.
const LIFE: u64 = 600;
/// Answers kept on disk.
const MAX_RESPONSES: i64 = 1000;
/// Bytes kept on disk; the newest answer stays however long it is.
const BYTES_ON_DISK: i64 = 256 << 20;
/// Answers kept at hand.
const AT_HAND: usize = 50;
/// Bytes kept at hand where there is no file.
const BYTES: usize = 32 << 20;
/// Bytes kept at hand beside a file, which gives back what is not: a process that idles holds little.
const BYTES_BESIDE_FILE: usize = 1 << 20;
/// Answers kept at hand beside a database of many nodes, which may be slow or away.
const AT_HAND_SHARED: usize = 1000;

/// A conversation up to the end of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredConversation {
    /// All items, input and output, as a JSON array.
    pub items: Vec<u8>,
    /// The answer itself, a JSON object.
    pub response: Vec<u8>,
    /// When the answer ended, in Unix seconds.
    pub at: u64,
}

impl StoredConversation {
    /// How much it takes.
    pub(super) fn bytes(&self) -> usize {
        self.items.len() + self.response.len()
    }
}

/// Answers before this moment are gone.
pub(super) fn oldest(now_unix: u64) -> u64 {
    now_unix.saturating_sub(LIFE)
}

/// Where answers are kept beside those at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In a file.
    File,
    /// Nowhere: the newest stays at hand however long it is.
    Nowhere,
    /// In a database of many nodes, which may be slow or away.
    Shared,
}

/// The newest answers, found without the disk.
#[derive(Debug)]
pub(super) struct RecentConversations {
    answers: VecDeque<(String, Arc<StoredConversation>)>,
    place: Place,
}

impl RecentConversations {
    /// None yet; `place` has the others.
    pub(super) fn new(place: Place) -> Self {
        Self { answers: VecDeque::new(), place }
    }

    pub(super) fn keep(&mut self, id: &str, stored: &Arc<StoredConversation>, now_unix: u64) {
        self.answers.push_back((id.to_owned(), Arc::clone(stored)));
        self.expire(now_unix);
        let at_hand = if self.place == Place::Shared { AT_HAND_SHARED } else { AT_HAND };
        while self.answers.len() > at_hand || self.is_too_large() {
            self.answers.pop_front();
        }
    }

    /// Forgets what is too old.
    pub(super) fn expire(&mut self, now_unix: u64) {
        let oldest = oldest(now_unix);
        while self.answers.front().is_some_and(|(_, stored)| stored.at < oldest) {
            self.answers.pop_front();
        }
    }

    fn is_too_large(&self) -> bool {
        match self.place {
            Place::File => self.bytes() > BYTES_BESIDE_FILE,
            Place::Nowhere | Place::Shared => self.answers.len() > 1 && self.bytes() > BYTES,
        }
    }

    fn bytes(&self) -> usize {
        self.answers.iter().map(|(_, stored)| stored.bytes()).sum()
    }

    pub(super) fn find(&self, id: &str, now_unix: u64) -> Option<Arc<StoredConversation>> {
        let (_, stored) = self.answers.iter().rev().find(|(known, _)| known == id)?;
        (stored.at >= oldest(now_unix)).then(|| Arc::clone(stored))
    }

    pub(super) fn delete(&mut self, id: &str) {
        self.answers.retain(|(known, _)| known != id);
    }
}

const INSERT: &str = "INSERT OR REPLACE INTO responses (id, at, items, response) VALUES (?1, ?2, ?3, ?4)";

pub(super) fn insert(
    transaction: &Transaction<'_>,
    id: &str,
    stored: &StoredConversation,
) -> rusqlite::Result<()> {
    let at = i64::try_from(stored.at).unwrap_or(i64::MAX);
    transaction.prepare_cached(INSERT)?.execute(rusqlite::params![id, at, stored.items, stored.response])?;
    let oldest = i64::try_from(oldest(stored.at)).unwrap_or(0);
    transaction.prepare_cached("DELETE FROM responses WHERE at < ?1")?.execute([oldest])?;
    transaction
        .prepare_cached("DELETE FROM responses WHERE id IN (SELECT id FROM responses ORDER BY at DESC LIMIT -1 OFFSET ?1)")?
        .execute([MAX_RESPONSES])?;
    transaction
        .prepare_cached(
            "DELETE FROM responses WHERE id IN (SELECT id FROM (SELECT id, row_number() OVER newest AS place, \
             sum(length(items) + length(response)) OVER newest AS bytes FROM responses WINDOW newest AS (ORDER BY at DESC, rowid DESC)) \
             WHERE bytes > ?1 AND place > 1)",
        )?
        .execute([BYTES_ON_DISK])?;
    Ok(())
}

pub(super) fn find(
    connection: &Connection,
    id: &str,
    oldest: u64,
) -> rusqlite::Result<Option<StoredConversation>> {
    let oldest = i64::try_from(oldest).unwrap_or(i64::MAX);
    connection
        .prepare_cached("SELECT items, response, at FROM responses WHERE id = ?1 AND at >= ?2")?
        .query_row(rusqlite::params![id, oldest], |row| {
            let at: i64 = row.get(2)?;
            Ok(StoredConversation {
                items: row.get(0)?,
                response: row.get(1)?,
                at: u64::try_from(at).unwrap_or(0),
            })
        })
        .optional()
}

pub(super) fn delete(transaction: &Transaction<'_>, id: &str) -> rusqlite::Result<()> {
    transaction.prepare_cached("DELETE FROM responses WHERE id = ?1")?.execute([id])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(size: usize, at: u64) -> Arc<StoredConversation> {
        Arc::new(StoredConversation { items: vec![b' '; size], response: Vec::new(), at })
    }

    #[test]
    fn the_disk_is_bounded_in_bytes() {
        let mut connection = rusqlite::Connection::open_in_memory().expect("opened");
        let table = "CREATE TABLE responses (id TEXT PRIMARY KEY, at INTEGER NOT NULL, items BLOB NOT NULL, response BLOB NOT NULL) STRICT";
        connection.execute_batch(table).expect("made");
        let transaction = connection.transaction().expect("begun");
        let third = usize::try_from(BYTES_ON_DISK).expect("fits") / 3;
        for (id, size) in [("a", third), ("b", third), ("c", third), ("d", third)] {
            insert(&transaction, id, &stored(size, 1000)).expect("kept");
        }
        let kept = |id| find(&transaction, id, 0).expect("asked").is_some();
        assert_eq!(["a", "b", "c", "d"].map(kept), [false, true, true, true]);
        insert(&transaction, "large", &stored(third * 4, 1001)).expect("kept");
        assert_eq!(["b", "c", "d", "large"].map(kept), [false, false, false, true]);
    }

    #[test]
    fn the_newest_are_at_hand_for_ten_minutes() {
        let mut recent = RecentConversations::new(Place::Nowhere);
        recent.keep("a", &stored(1, 1000), 1000);
        assert!(recent.find("a", 1000 + LIFE).is_some() && recent.find("a", 1001 + LIFE).is_none());
        for number in 0..AT_HAND {
            recent.keep(&number.to_string(), &stored(1, 1000), 1000);
        }
        assert!(recent.find("a", 1000).is_none() && recent.find("0", 1000).is_some());
        recent.keep("large", &stored(BYTES, 1000), 1000);
        assert_eq!(recent.answers.len(), 1, "bounded in bytes, but the newest stays");
        recent.delete("large");
        assert!(recent.find("large", 1000).is_none());
    }

    #[test]
    fn what_is_large_is_left_to_the_file_where_there_is_one() {
        for (place, is_at_hand) in [(Place::File, false), (Place::Nowhere, true)] {
            let mut recent = RecentConversations::new(place);
            recent.keep("usual", &stored(BYTES_BESIDE_FILE, 1000), 1000);
            assert!(recent.find("usual", 1000).is_some());
            recent.keep("large", &stored(BYTES_BESIDE_FILE + 1, 1000), 1000);
            assert_eq!(recent.find("large", 1000).is_some(), is_at_hand);
        }
    }
}
