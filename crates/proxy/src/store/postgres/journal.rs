//! What could not be written to the shared database yet: a bounded file in the state directory, emptied when the database is back.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};

use super::super::chain::StoredConversation;
use super::super::database;
use super::super::database_files::{TAILS, make_private, with_tail};
use crate::clock;

/// The file in the state directory.
pub(super) const FILE: &str = "journal.db";
/// Bytes that may wait.
const MAX_BYTES: i64 = 256 << 20;
/// How long another process that uses the file is waited for.
const BUSY: Duration = Duration::from_secs(2);

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS rows (place INTEGER PRIMARY KEY, record TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS answers (place INTEGER PRIMARY KEY, id TEXT NOT NULL, at INTEGER NOT NULL, items BLOB, response BLOB) STRICT;
CREATE INDEX IF NOT EXISTS answers_id ON answers (id);
";

/// An answer that waits to be kept; `stored` is `None` for one that waits to be deleted.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct WaitingAnswer {
    pub(super) place: i64,
    pub(super) id: String,
    pub(super) stored: Option<StoredConversation>,
}

/// The file, opened when something is to be written into it.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    connection: Option<Connection>,
    /// The most bytes that may wait.
    max_bytes: i64,
}

impl Journal {
    /// The journal of a state directory.
    pub(super) fn new(dir: &Path) -> Self {
        Self { path: dir.join(FILE), connection: None, max_bytes: MAX_BYTES }
    }

    /// Whether an earlier process left something behind.
    pub(super) fn is_there(&self) -> bool {
        self.path.exists()
    }

    /// Rows that wait.
    ///
    /// # Errors
    /// The file cannot be written, or is full.
    pub(super) fn add_rows<'r>(&mut self, records: impl Iterator<Item = &'r str>) -> rusqlite::Result<()> {
        let connection = self.room()?;
        let transaction = connection.unchecked_transaction()?;
        for record in records {
            transaction.prepare_cached("INSERT INTO rows (record) VALUES (?1)")?.execute([record])?;
        }
        transaction.commit()
    }

    /// An answer that waits to be kept or deleted.
    ///
    /// # Errors
    /// As [`Journal::add_rows`].
    pub(super) fn add_answer(
        &mut self,
        id: &str,
        at: u64,
        stored: Option<&StoredConversation>,
    ) -> rusqlite::Result<()> {
        let connection = self.room()?;
        // Of one answer only the last counts.
        connection.execute("DELETE FROM answers WHERE id = ?1", [id])?;
        let (items, response) = (stored.map(|stored| &stored.items), stored.map(|stored| &stored.response));
        connection.execute(
            "INSERT INTO answers (id, at, items, response) VALUES (?1, ?2, ?3, ?4)",
            params![id, at.cast_signed(), items, response],
        )?;
        Ok(())
    }

    /// The first rows that wait, with their places.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn rows(&mut self, limit: usize) -> rusqlite::Result<Vec<(i64, String)>> {
        let connection = self.open()?;
        let mut query =
            connection.prepare_cached("SELECT place, record FROM rows ORDER BY place LIMIT ?1")?;
        query
            .query_map([i64::try_from(limit).unwrap_or(i64::MAX)], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect()
    }

    /// The first answer that waits.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn answer(&mut self) -> rusqlite::Result<Option<WaitingAnswer>> {
        self.open()?
            .prepare_cached("SELECT place, id, at, items, response FROM answers ORDER BY place LIMIT 1")?
            .query_row([], read_answer)
            .optional()
    }

    /// An answer that waits, by its id.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn find(&mut self, id: &str) -> rusqlite::Result<Option<WaitingAnswer>> {
        if self.connection.is_none() && !self.is_there() {
            return Ok(None);
        }
        self.open()?
            .prepare_cached("SELECT place, id, at, items, response FROM answers WHERE id = ?1 ORDER BY place DESC LIMIT 1")?
            .query_row([id], read_answer)
            .optional()
    }

    /// Rows have arrived, up to this place.
    ///
    /// # Errors
    /// The file cannot be written: they will be sent again, and count once all the same.
    pub(super) fn rows_arrived(&mut self, place: i64) -> rusqlite::Result<()> {
        self.open()?.execute("DELETE FROM rows WHERE place <= ?1", [place])?;
        self.wipe_if_empty()
    }

    /// An answer has arrived.
    ///
    /// # Errors
    /// As [`Journal::rows_arrived`].
    pub(super) fn answer_arrived(&mut self, place: i64) -> rusqlite::Result<()> {
        self.open()?.execute("DELETE FROM answers WHERE place = ?1", [place])?;
        self.wipe_if_empty()
    }

    /// Answers from before this moment would be too old when they arrive.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn expire(&mut self, oldest: u64) -> rusqlite::Result<()> {
        let gone = self
            .open()?
            .execute("DELETE FROM answers WHERE items IS NOT NULL AND at < ?1", [oldest.cast_signed()])?;
        if gone > 0 { self.wipe_if_empty() } else { Ok(()) }
    }

    /// How many rows and answers wait.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn count(&mut self) -> rusqlite::Result<u64> {
        let count: i64 = self.open()?.query_row(
            "SELECT (SELECT count(*) FROM rows) + (SELECT count(*) FROM answers)",
            [],
            |row| row.get(0),
        )?;
        Ok(count.cast_unsigned())
    }

    /// How many rows wait, and when the turn of the first ended, in Unix seconds.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn waiting_rows(&mut self) -> rusqlite::Result<(usize, Option<u64>)> {
        let (count, oldest): (i64, Option<i64>) = self.open()?.query_row(
            "SELECT count(*), (SELECT json_extract(record, '$.at') FROM rows ORDER BY place LIMIT 1) FROM rows",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        Ok((usize::try_from(count).unwrap_or(0), oldest.map(i64::cast_unsigned)))
    }

    /// What was deleted is gone from the log of the file too.
    fn wipe_if_empty(&mut self) -> rusqlite::Result<()> {
        if self.count()? == 0 {
            self.open()?.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        }
        Ok(())
    }

    fn room(&mut self) -> rusqlite::Result<&Connection> {
        let max = self.max_bytes;
        let connection = self.open()?;
        let used: i64 = connection.query_row(
            "SELECT (p.page_count - f.freelist_count) * s.page_size FROM pragma_page_count p, pragma_freelist_count f, pragma_page_size s",
            [],
            |row| row.get(0),
        )?;
        if used > max {
            return Err(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL),
                Some("the journal is full".to_owned()),
            ));
        }
        Ok(connection)
    }

    fn open(&mut self) -> rusqlite::Result<&Connection> {
        if self.connection.is_none() {
            self.connection = Some(open(&self.path).or_else(|error| {
                if !is_broken(&error) {
                    return Err(error);
                }
                set_aside(&self.path, &error);
                open(&self.path)
            })?);
        }
        self.connection.as_ref().ok_or(rusqlite::Error::InvalidQuery)
    }
}

/// Opens or makes the file.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    make_private(path).map_err(|error| {
        let failure = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN);
        rusqlite::Error::SqliteFailure(failure, Some(error.to_string()))
    })?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let connection = database::connect(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "secure_delete", "ON")?;
    connection.execute_batch(TABLES)?;
    Ok(connection)
}

fn is_broken(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(error.sqlite_error_code(), Some(NotADatabase | DatabaseCorrupt))
}

/// A file that cannot be read is kept for a person to look at.
fn set_aside(path: &Path, error: &rusqlite::Error) {
    let aside = path.with_extension(format!("db.corrupt-{}", clock::unix_now()));
    let kept = std::fs::rename(path, &aside).is_ok();
    for tail in TAILS {
        let _ = std::fs::rename(with_tail(path, tail), with_tail(&aside, tail));
    }
    tracing::warn!(event = "store.set_aside", aside = %aside.display(), kept, error = %error);
}

fn read_answer(row: &rusqlite::Row<'_>) -> rusqlite::Result<WaitingAnswer> {
    let at: i64 = row.get(2)?;
    let (items, response): (Option<Vec<u8>>, Option<Vec<u8>>) = (row.get(3)?, row.get(4)?);
    let stored = items.zip(response).map(|(items, response)| StoredConversation {
        items,
        response,
        at: u64::try_from(at).unwrap_or(0),
    });
    Ok(WaitingAnswer { place: row.get(0)?, id: row.get(1)?, stored })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(text: &str, at: u64) -> StoredConversation {
        StoredConversation { items: text.as_bytes().to_vec(), response: b"{}".to_vec(), at }
    }

    #[test]
    fn what_waits_survives_a_restart_and_leaves_in_its_order() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut journal = Journal::new(dir.path());
        assert!(!journal.is_there() && journal.find("r").expect("none").is_none());
        journal.add_rows(["{\"id\":\"1\"}", "{\"id\":\"2\"}"].into_iter()).expect("added");
        journal.add_answer("r", 100, Some(&stored("canary", 100))).expect("added");
        drop(journal);
        let mut journal = Journal::new(dir.path());
        assert!(journal.is_there());
        let rows = journal.rows(9).expect("read");
        assert_eq!(
            (rows.len(), rows[0].1.as_str(), journal.count().expect("counted")),
            (2, "{\"id\":\"1\"}", 3)
        );
        let found = journal.find("r").expect("read").expect("there");
        assert_eq!(found.stored, Some(stored("canary", 100)));
        journal.rows_arrived(rows[1].0).expect("gone");
        journal.add_answer("r", 101, None).expect("deleted");
        assert_eq!(journal.answer().expect("read").expect("there").stored, None, "only the last counts");
        let place = journal.answer().expect("read").expect("there").place;
        journal.answer_arrived(place).expect("gone");
        assert_eq!(journal.count().expect("counted"), 0);
        for file in std::fs::read_dir(dir.path()).expect("listed") {
            let bytes = std::fs::read(file.expect("a file").path()).expect("read");
            assert!(!String::from_utf8_lossy(&bytes).contains("canary"), "it is gone from every file");
        }
    }

    #[test]
    fn it_is_bounded_and_old_answers_leave() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut journal = Journal::new(dir.path());
        journal.add_answer("r", 100, Some(&stored("x", 100))).expect("added");
        journal.add_answer("gone", 100, None).expect("added");
        journal.expire(101).expect("expired");
        assert_eq!(journal.count().expect("counted"), 1, "what is to be deleted is not too old");
        journal.max_bytes = 1;
        assert!(journal.add_rows(std::iter::once("{}")).is_err());
    }
}
