//! The file: opened with care, set aside when it is broken or from a newer latimer, never deleted.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction};

use crate::clock;

/// The layout of the tables.
const VERSION: i64 = 2;
/// How long one process waits for another.
const BUSY: Duration = Duration::from_secs(5);
/// Rows older than this are deleted at the start.
const LIFE: u64 = 90 * 24 * 3600;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS usage (
    at INTEGER NOT NULL, turn TEXT NOT NULL, client TEXT NOT NULL, endpoint TEXT NOT NULL, account TEXT NOT NULL,
    model TEXT NOT NULL, finish TEXT NOT NULL, failure TEXT, input INTEGER, cached INTEGER, cache_write INTEGER,
    output INTEGER, reasoning INTEGER, ms INTEGER NOT NULL, first_ms INTEGER, retries INTEGER NOT NULL,
    repairs INTEGER NOT NULL, cost_usd REAL
) STRICT;
CREATE INDEX IF NOT EXISTS usage_at ON usage (at);
CREATE TABLE IF NOT EXISTS responses (id TEXT PRIMARY KEY, at INTEGER NOT NULL, items BLOB NOT NULL, response BLOB NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS responses_at ON responses (at);
";

/// The open file.
pub(super) struct Database {
    connection: Connection,
}

impl Database {
    /// Opens or makes the file; `None`, and a word in the log, when that cannot be done.
    pub(super) fn open(path: &Path) -> Option<Self> {
        let error = match Self::try_open(path) {
            Ok(database) => return Some(database),
            Err(error) => error,
        };
        if !is_broken(&error) {
            tracing::warn!(event = "store.unavailable", path = %path.display(), error = %error);
            return None;
        }
        let now = clock::unix_now();
        let aside = path.with_extension(format!("db.corrupt-{now}"));
        let kept = std::fs::rename(path, &aside).is_ok();
        for tail in ["db-wal", "db-shm"] {
            let _ = std::fs::rename(path.with_extension(tail), aside.with_extension(format!("{now}.{tail}")));
        }
        tracing::warn!(event = "store.set_aside", aside = %aside.display(), kept, error = %error);
        Self::try_open(path)
            .inspect_err(
                |error| tracing::warn!(event = "store.unavailable", path = %path.display(), error = %error),
            )
            .ok()
    }

    fn try_open(path: &Path) -> rusqlite::Result<Self> {
        make_private(path);
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "secure_delete", "ON")?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version > VERSION {
            // Taken for broken: it is set aside for the newer latimer that made it.
            return Err(rusqlite::Error::InvalidQuery);
        }
        if version < 2 {
            // They hold for ten minutes: making them again costs nobody anything.
            connection.execute_batch("DROP TABLE IF EXISTS responses")?;
        }
        connection.execute_batch(TABLES)?;
        connection.pragma_update(None, "user_version", VERSION)?;
        let now = clock::unix_now();
        connection.execute("DELETE FROM usage WHERE at < ?1", [now.saturating_sub(LIFE).cast_signed()])?;
        connection
            .execute("DELETE FROM responses WHERE at < ?1", [super::chain::oldest(now).cast_signed()])?;
        Ok(Self { connection })
    }

    pub(super) fn begin(&mut self) -> rusqlite::Result<Transaction<'_>> {
        self.connection.transaction()
    }
}

/// A connection that only reads, for reports beside a running proxy.
pub(super) fn read_only(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    Ok(connection)
}

/// Makes the file before SQLite does, so that it is nobody else's from the first moment; and takes back what an older one gave
/// away. SQLite gives its other files the mode of this one.
fn make_private(path: &Path) {
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
    let created = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    if created.is_err() {
        for name in [path.to_owned(), path.with_extension("db-wal"), path.with_extension("db-shm")] {
            // A file of somebody else cannot be changed, and a missing one need not be.
            let _ = std::fs::set_permissions(name, std::fs::Permissions::from_mode(0o600));
        }
    }
}

fn is_broken(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => matches!(failure.code, NotADatabase | DatabaseCorrupt),
        rusqlite::Error::InvalidQuery => true,
        _ => false,
    }
}
