//! The file: opened with care, set aside when it is broken or from a newer latimer, never deleted.

use std::io;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction};

use super::database_files::{TAILS, make_private, with_tail};
use super::{rows, trim};
use crate::clock;

/// The layout of the tables.
const VERSION: i64 = 3;
/// How long one process waits for another.
const BUSY: Duration = Duration::from_secs(5);
/// How long somebody who asks for one answer waits for another process.
const FIND_BUSY: Duration = Duration::from_millis(200);
/// Rows older than this are deleted at the start.
const LIFE: u64 = 90 * 24 * 3600;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS usage (
    at INTEGER NOT NULL, turn TEXT NOT NULL, client TEXT NOT NULL, endpoint TEXT NOT NULL, account TEXT NOT NULL,
    model TEXT NOT NULL, finish TEXT NOT NULL, failure TEXT, input INTEGER, cached INTEGER, cache_write INTEGER,
    output INTEGER, reasoning INTEGER, ms INTEGER NOT NULL, first_ms INTEGER, retries INTEGER NOT NULL,
    repairs INTEGER NOT NULL, cost_usd REAL, session TEXT, protocol TEXT, asked TEXT, message TEXT, project TEXT, \"key\" TEXT, node TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS usage_at ON usage (at);
CREATE INDEX IF NOT EXISTS usage_turn ON usage (turn);
CREATE TABLE IF NOT EXISTS reports (turn TEXT PRIMARY KEY, at INTEGER NOT NULL, report TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS reports_at ON reports (at);
CREATE TABLE IF NOT EXISTS responses (id TEXT PRIMARY KEY, at INTEGER NOT NULL, items BLOB NOT NULL, response BLOB NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS responses_at ON responses (at);
";

/// Statements that make sense only to tables of ours.
const USAGE_COLUMNS: &str = "SELECT at, turn, client, endpoint, account, model, finish, failure, input, cached, cache_write, output, reasoning, ms, first_ms, retries, repairs, cost_usd FROM usage";
const RESPONSE_COLUMNS: &str = "SELECT id, at, items, response FROM responses";

/// The open file.
pub(super) struct Database {
    connection: Connection,
    /// Whether the log of the file may hold something that was deleted.
    owes_checkpoint: bool,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    /// A link, somebody else's, or not to be had.
    #[error("{0}")]
    File(#[from] io::Error),
    /// What SQLite says.
    #[error("{0}")]
    Database(#[from] rusqlite::Error),
    /// Another program's database, or one of a newer latimer.
    #[error("it is no database of this latimer's")]
    Foreign,
}

impl Database {
    /// Opens or makes the file. One that is broken or not ours is set aside, and a new one begins.
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        let error = match Self::try_open(path) {
            Ok(database) => return Ok(database),
            Err(error) => error,
        };
        if !is_broken(&error) {
            return Err(error);
        }
        let now = clock::unix_now();
        let aside = path.with_extension(format!("db.corrupt-{now}"));
        let kept = std::fs::rename(path, &aside).is_ok();
        // Under the names by which SQLite finds them: they may hold what the file does not hold yet.
        for tail in TAILS {
            let _ = std::fs::rename(with_tail(path, tail), with_tail(&aside, tail));
        }
        tracing::warn!(event = "store.set_aside", aside = %aside.display(), kept, error = %error);
        Self::try_open(path)
    }

    fn try_open(path: &Path) -> Result<Self, OpenError> {
        make_private(path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let connection = connect(path, flags)?;
        connection.busy_timeout(BUSY)?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))?;
        if version > VERSION || (version == 0 && tables > 0) {
            return Err(OpenError::Foreign);
        }
        // Before anything of it is changed.
        let is_foreign = (version >= 1 && connection.prepare(USAGE_COLUMNS).is_err())
            || (version >= 2 && connection.prepare(RESPONSE_COLUMNS).is_err());
        if is_foreign {
            return Err(OpenError::Foreign);
        }
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "secure_delete", "ON")?;
        if version < 2 {
            // They hold for ten minutes: making them again costs nobody anything.
            connection.execute_batch("DROP TABLE IF EXISTS responses")?;
        }
        // All tables at once: somebody else who reads sees none of them, or all.
        let transaction = connection.unchecked_transaction()?;
        rows::add_columns(&transaction)?;
        transaction.execute_batch(TABLES)?;
        transaction.execute_batch(super::key_tables::TABLES)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction.commit()?;
        let now = clock::unix_now();
        connection.execute("DELETE FROM usage WHERE at < ?1", [now.saturating_sub(LIFE).cast_signed()])?;
        let mut database = Self { connection, owes_checkpoint: true };
        database.trim_reports(now)?;
        database.expire(super::chain::oldest(now))?;
        Ok(database)
    }

    /// Trims what is kept beside the rows.
    pub(super) fn trim_reports(&mut self, now: u64) -> rusqlite::Result<()> {
        self.owes_checkpoint |= trim::reports(&self.connection, now.saturating_sub(LIFE))? > 0;
        Ok(())
    }

    pub(super) fn begin(&mut self) -> rusqlite::Result<Transaction<'_>> {
        self.connection.transaction()
    }

    /// Something was deleted: it stands in the log of the file until [`expire`](Self::expire) has emptied that.
    pub(super) fn owe_checkpoint(&mut self) {
        self.owes_checkpoint = true;
    }

    /// Deletes answers from before this moment, and takes everything that was deleted out of the log of the file too.
    pub(super) fn expire(&mut self, oldest: u64) -> rusqlite::Result<()> {
        let gone = self.connection.execute("DELETE FROM responses WHERE at < ?1", [oldest.cast_signed()])?;
        self.owes_checkpoint |= gone > 0;
        if self.owes_checkpoint {
            let busy: i64 =
                self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
            self.owes_checkpoint = busy != 0;
        }
        Ok(())
    }
}

/// A connection that only reads, for reports beside a running proxy.
pub(super) fn read_only(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = connect(path, flags)?;
    connection.busy_timeout(BUSY)?;
    rows::wait_for_tables(&connection)?;
    Ok(connection)
}

/// An answer that is not older than this, through a connection of its own: whoever asks waits for no writer. A file that is locked has
/// none.
pub(super) fn find(path: &Path, id: &str, oldest: u64) -> Option<super::chain::StoredConversation> {
    let connection = read_only(path).ok()?;
    connection.busy_timeout(FIND_BUSY).ok()?;
    super::chain::find(&connection, id, oldest).ok().flatten()
}

/// A connection through no link: what stands above the folder is the person's own affair, and is resolved before.
pub(crate) fn connect(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let folder = path.parent().and_then(|folder| std::fs::canonicalize(folder).ok());
    let path = match (folder, path.file_name()) {
        (Some(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    };
    Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NOFOLLOW)
}

fn is_broken(error: &OpenError) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase, Unknown};
    match error {
        // Statements of ours that make no sense to it (`Unknown`) mean that its tables are another program's.
        OpenError::Database(rusqlite::Error::SqliteFailure(failure, _)) => {
            matches!(failure.code, NotADatabase | DatabaseCorrupt | Unknown)
        }
        OpenError::Foreign => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;

    use super::*;
    use crate::store::chain::{self, StoredConversation};
    use crate::store::rows::UsageRow;

    const DAY: u64 = 24 * 3600;

    /// The path of a file that is not there yet, and the directory that holds it.
    fn place() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("latimer.db");
        (dir, path)
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).expect("there").permissions().mode() & 0o777
    }

    fn count(path: &Path, table: &str) -> i64 {
        let connection = read_only(path).expect("readable");
        connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).expect("a table")
    }

    fn version(path: &Path) -> i64 {
        let connection = read_only(path).expect("readable");
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).expect("a number")
    }

    /// What stands beside the file, by name.
    fn beside(path: &Path) -> Vec<String> {
        let folder = std::fs::read_dir(path.parent().expect("a folder")).expect("listed");
        let names = folder.map(|entry| entry.expect("an entry").file_name().into_string().expect("text"));
        let mut names: Vec<String> = names.filter(|name| !path.ends_with(name)).collect();
        names.sort();
        names
    }

    fn add(database: &mut Database, row: &UsageRow, id: &str, at: u64) {
        let transaction = database.begin().expect("a transaction");
        rows::insert(&transaction, row).expect("inserted");
        let stored = StoredConversation { items: b"[]".to_vec(), response: b"{}".to_vec(), at };
        chain::insert(&transaction, id, &stored).expect("inserted");
        transaction.commit().expect("written");
    }

    fn row(at: u64) -> UsageRow {
        UsageRow { at, turn: "t1".to_owned(), ..UsageRow::default() }
    }

    #[test]
    fn the_file_is_private_from_the_first_moment_and_made_so_again() {
        let (_dir, path) = place();
        let mut database = Database::open(&path).expect("made");
        add(&mut database, &row(clock::unix_now()), "r", clock::unix_now());
        let wal = path.with_extension("db-wal");
        assert_eq!((mode(&path), mode(&wal)), (0o600, 0o600));
        for name in [&path, &wal] {
            std::fs::set_permissions(name, std::fs::Permissions::from_mode(0o644)).expect("loosened");
        }
        let _again = Database::open(&path).expect("opened");
        assert_eq!((mode(&path), mode(&wal)), (0o600, 0o600));
    }

    #[test]
    fn rows_live_for_ninety_days_and_responses_for_minutes() {
        let (_dir, path) = place();
        let now = clock::unix_now();
        let mut database = Database::open(&path).expect("made");
        add(&mut database, &row(now - 91 * DAY), "old", now - DAY);
        add(&mut database, &row(now - 89 * DAY), "new", now + DAY);
        assert_eq!(count(&path, "usage"), 2, "only the start deletes rows");
        drop(database);
        let mut database = Database::open(&path).expect("opened");
        assert_eq!((count(&path, "usage"), count(&path, "responses")), (1, 1));
        let transaction = database.begin().expect("a transaction");
        assert!(chain::find(&transaction, "new", 0).expect("read").is_some());
        assert!(chain::find(&transaction, "old", 0).expect("read").is_none());
    }

    #[test]
    fn a_file_of_an_older_latimer_keeps_its_rows_and_loses_its_responses() {
        let (_dir, path) = place();
        let now = clock::unix_now();
        let mut database = Database::open(&path).expect("made");
        add(&mut database, &row(now), "r", now + DAY);
        let older =
            "DROP TABLE responses; CREATE TABLE responses (id TEXT, other TEXT); PRAGMA user_version = 1";
        database.connection.execute_batch(older).expect("as it was before");
        drop(database);
        let mut database = Database::open(&path).expect("opened");
        assert_eq!((version(&path), count(&path, "usage"), count(&path, "responses")), (VERSION, 1, 0));
        add(&mut database, &row(now), "again", now);
        assert_eq!(
            (count(&path, "responses"), beside(&path).len()),
            (1, 2),
            "nothing but SQLite's own files"
        );
    }

    #[test]
    fn a_broken_file_is_set_aside_whole_and_a_new_one_begins() {
        for bytes in [vec![7u8; 5000], b"SQLite format 3\0garbage".repeat(300)] {
            let (_dir, path) = place();
            std::fs::write(&path, &bytes).expect("written");
            let mut database = Database::open(&path).expect("a new one");
            add(&mut database, &row(clock::unix_now()), "r", clock::unix_now());
            drop(database);
            let aside = beside(&path);
            assert!(matches!(&aside[..], [one] if one.starts_with("latimer.db.corrupt-")), "{aside:?}");
            assert_eq!(count(&path, "usage"), 1);
            let aside = path.with_file_name(&aside[0]);
            assert_eq!(std::fs::read(&aside).expect("kept"), bytes);
            assert_eq!(mode(&aside), 0o600, "it may hold what was said");
        }
    }

    #[test]
    fn a_file_of_a_newer_latimer_is_set_aside_for_it() {
        let (_dir, path) = place();
        let newer = Connection::open(&path).expect("made");
        newer.execute_batch("CREATE TABLE novel (x); INSERT INTO novel VALUES (7)").expect("made");
        newer.pragma_update(None, "user_version", VERSION + 1).expect("set");
        drop(newer);
        let database = Database::open(&path).expect("a new one");
        assert_eq!((version(&path), count(&path, "usage")), (VERSION, 0));
        drop(database);
        let aside = beside(&path);
        assert_eq!(aside.len(), 1, "{aside:?}");
        let aside = path.with_file_name(&aside[0]);
        assert_eq!((version(&aside), count(&aside, "novel")), (VERSION + 1, 1), "as the newer one left it");
    }

    #[test]
    fn what_another_process_has_not_yet_moved_into_the_file_goes_with_it() {
        let (_dir, path) = place();
        let newer = Connection::open(&path).expect("made");
        newer.pragma_update(None, "journal_mode", "WAL").expect("set");
        newer.execute_batch("CREATE TABLE novel (x)").expect("made");
        newer.pragma_update(None, "user_version", VERSION + 1).expect("set");
        newer.pragma_update(None, "wal_checkpoint", "TRUNCATE").expect("moved");
        newer.execute_batch("INSERT INTO novel VALUES (7)").expect("made");
        let database = Database::open(&path).expect("a new one");
        drop((database, newer));
        let aside = beside(&path).into_iter().find(|name| name.contains("corrupt")).expect("set aside");
        assert!(!aside.ends_with("-wal") && !aside.ends_with("-shm"), "{aside}");
        assert_eq!(count(&path.with_file_name(&aside), "novel"), 1, "{:?}", beside(&path));
    }

    #[test]
    fn what_is_merely_not_to_be_had_is_not_set_aside() {
        let (dir, path) = place();
        assert!(Database::open(&dir.path().join("no-folder/latimer.db")).is_err());
        std::fs::create_dir(&path).expect("made");
        assert!(Database::open(&path).is_err(), "a folder");
        assert!(path.is_dir() && beside(&path).is_empty());
    }

    #[test]
    fn another_programs_database_is_set_aside_untouched() {
        let foreign = [
            "CREATE TABLE theirs (x); INSERT INTO theirs VALUES (7)",
            "CREATE TABLE usage (x); CREATE TABLE theirs (x); INSERT INTO theirs VALUES (7); PRAGMA user_version = 2",
            "CREATE TABLE usage (at INTEGER); CREATE TABLE theirs (x); INSERT INTO theirs VALUES (7); PRAGMA user_version = 2",
        ];
        for statements in foreign {
            let (_dir, path) = place();
            Connection::open(&path).expect("made").execute_batch(statements).expect("made");
            let mut database = Database::open(&path).expect("a new one");
            add(&mut database, &row(clock::unix_now()), "r", clock::unix_now());
            drop(database);
            assert_eq!(count(&path, "usage"), 1, "{statements}");
            let aside = beside(&path).into_iter().find(|name| name.contains("corrupt")).expect("set aside");
            let aside = path.with_file_name(aside);
            assert_eq!(count(&aside, "theirs"), 1, "{statements}");
        }
    }

    #[test]
    fn what_is_deleted_is_gone_from_every_file() {
        let (dir, path) = place();
        let now = clock::unix_now();
        let mut database = Database::open(&path).expect("made");
        for (id, at) in [("old", now), ("new", now + 100)] {
            let stored = StoredConversation {
                items: format!("canary-{id}").repeat(2000).into_bytes(),
                response: b"{}".to_vec(),
                at,
            };
            let transaction = database.begin().expect("a transaction");
            chain::insert(&transaction, id, &stored).expect("inserted");
            transaction.commit().expect("written");
        }
        let found = |canary: &str| {
            let files =
                std::fs::read_dir(dir.path()).expect("listed").map(|file| file.expect("a file").path());
            files
                .filter(|file| String::from_utf8_lossy(&std::fs::read(file).expect("read")).contains(canary))
                .count()
        };
        assert!(found("canary-old") > 0 && found("canary-new") > 0);
        database.expire(now + 1).expect("expired");
        assert_eq!(found("canary-old"), 0);
        assert!(found("canary-new") > 0);
        let transaction = database.begin().expect("a transaction");
        chain::delete(&transaction, "new").expect("deleted");
        transaction.commit().expect("written");
        database.owe_checkpoint();
        database.expire(0).expect("emptied");
        assert_eq!(found("canary-new"), 0);
    }

    #[test]
    fn links_are_not_followed() {
        let (dir, path) = place();
        let elsewhere = dir.path().join("elsewhere");
        std::os::unix::fs::symlink(&elsewhere, &path).expect("linked");
        assert!(Database::open(&path).is_err() && !elsewhere.exists(), "nothing is made through it");
        std::fs::write(&elsewhere, "").expect("written");
        std::fs::set_permissions(&elsewhere, std::fs::Permissions::from_mode(0o644)).expect("set");
        assert!(Database::open(&path).is_err() && read_only(&path).is_err());
        assert_eq!((mode(&elsewhere), std::fs::read(&elsewhere).expect("read").len()), (0o644, 0));
        std::fs::remove_file(&path).expect("removed");
        std::os::unix::fs::symlink(&elsewhere, with_tail(&path, "-wal")).expect("linked");
        assert!(Database::open(&path).is_err());
        assert_eq!(std::fs::read(&elsewhere).expect("read").len(), 0);
    }

    #[test]
    fn a_reader_changes_nothing() {
        let (_dir, path) = place();
        assert!(read_only(&path).is_err() && !path.exists(), "it makes no file");
        drop(Database::open(&path).expect("made"));
        let reader = read_only(&path).expect("readable");
        assert!(reader.execute_batch("DELETE FROM usage").is_err());
    }
}
