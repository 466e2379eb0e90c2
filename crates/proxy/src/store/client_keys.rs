//! Client keys in the file of the store: a connection of its own, because the commands write here too, with and without a proxy.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row, params};

use super::database::{Database, connect, read_only};
use super::key_rows::{COLUMNS, KeyRow, named, number};
use super::key_tables::TABLES;
use crate::keys::period::{Amounts, LimitWindow, Period};
use crate::keys::secret::{KeyId, KeyProof};
use crate::keys::{KeyRecord, KeyStore, KeyStoreError, KeyUse};

/// How long one process waits for another.
const BUSY: Duration = Duration::from_secs(5);
/// How often, and how far apart, a file that another process is just making is tried.
const MAKE_TRIES: u32 = 20;
const MAKE_PAUSE: Duration = Duration::from_millis(100);
/// How long what was used in a window is kept after its end, in seconds: a year of months, days and hours.
const USE_LIFE: u64 = 366 * 86_400;
/// The same of minutes and seconds.
const SHORT_USE_LIFE: u64 = 3600;

/// The keys in a file.
pub struct FileKeys {
    connection: Connection,
    /// SQLite's number of the last change by somebody else that was taken up.
    version: Option<i64>,
}

impl FileKeys {
    /// The keys of a file that is there. What is no file of ours is left alone.
    ///
    /// # Errors
    /// There is no such file, it is another program's, or it cannot be opened.
    pub fn open(path: &Path) -> Result<Self, KeyStoreError> {
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.busy_timeout(BUSY)?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version == 0 {
            return Err(KeyStoreError::Unavailable(format!("`{}` is no file of latimer's", path.display())));
        }
        if !has_tables(&connection)? {
            connection.execute_batch(TABLES)?;
        }
        Ok(Self { connection, version: None })
    }

    /// The same only to be read: nothing in the file changes. `None` where it never had keys.
    ///
    /// # Errors
    /// It cannot be opened, or is no file of latimer's.
    pub fn look(path: &Path) -> Result<Option<Self>, KeyStoreError> {
        let connection = read_only(path)?;
        Ok(has_tables(&connection)?.then_some(Self { connection, version: None }))
    }

    /// The same as [`FileKeys::open`], and makes the file where there is none.
    ///
    /// # Errors
    /// It cannot be made or opened.
    pub fn make(path: &Path) -> Result<Self, KeyStoreError> {
        for _ in 0..MAKE_TRIES {
            if let Ok(keys) = Self::open(path) {
                return Ok(keys);
            }
            // A proxy that starts at this moment makes it too, and then its lock is in the way of the second one.
            if Database::open(path).is_err() {
                std::thread::sleep(MAKE_PAUSE);
            }
        }
        Database::open(path).map_err(|error| KeyStoreError::Unavailable(error.to_string()))?;
        Self::open(path)
    }

    fn records(&self) -> Result<Vec<KeyRecord>, KeyStoreError> {
        let mut query = self
            .connection
            .prepare_cached(&format!("SELECT {COLUMNS} FROM client_keys ORDER BY created_at, rowid"))?;
        let rows = query.query_map([], of_row)?;
        let mut records = Vec::new();
        for row in rows {
            // A row that cannot be read opens nothing, and stands in nobody's way.
            match row?.record() {
                Ok(record) => records.push(record),
                Err(error) => tracing::warn!(event = "keys.row_unreadable", error = %error),
            }
        }
        Ok(records)
    }

    /// The key of this name that is not revoked, else the newest one that is.
    fn named(&self, name: &str) -> Result<KeyRecord, KeyStoreError> {
        named(self.records()?, name).ok_or_else(|| KeyStoreError::Unknown(name.to_owned()))
    }

    fn active(&self, name: &str) -> Result<KeyRecord, KeyStoreError> {
        let record = self.named(name)?;
        if record.revoked_at.is_some() { Err(KeyStoreError::Revoked(name.to_owned())) } else { Ok(record) }
    }
}

fn has_tables(connection: &Connection) -> rusqlite::Result<bool> {
    const COUNT: &str = "SELECT count(*) FROM sqlite_master WHERE name IN ('client_keys', 'client_key_use')";
    connection.query_row(COUNT, [], |row| row.get::<_, i64>(0)).map(|count| count == 2)
}

impl KeyStore for FileKeys {
    fn changed(&mut self) -> Result<Option<Vec<KeyRecord>>, KeyStoreError> {
        let version = self.connection.pragma_query_value(None, "data_version", |row| row.get(0))?;
        if self.version == Some(version) {
            return Ok(None);
        }
        let records = self.records()?;
        self.version = Some(version);
        Ok(Some(records))
    }

    fn all(&mut self) -> Result<Vec<KeyRecord>, KeyStoreError> {
        self.records()
    }

    fn exchange(&mut self, used: &[KeyUse]) -> Result<Vec<KeyUse>, KeyStoreError> {
        const ADD: &str = "INSERT INTO client_key_use (key, period, start, ends, requests, tokens, micro_usd) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
            ON CONFLICT (key, period, start) DO UPDATE SET requests = requests + excluded.requests, tokens = tokens + excluded.tokens, micro_usd = micro_usd + excluded.micro_usd";
        const READ: &str = "SELECT requests, tokens, micro_usd FROM client_key_use WHERE key = ?1 AND period = ?2 AND start = ?3";
        let is_written = used.iter().any(|one| !one.amounts.is_nothing());
        let transaction = self.connection.transaction()?;
        for KeyUse { key, window, amounts } in used.iter().filter(|one| !one.amounts.is_nothing()) {
            transaction.prepare_cached(ADD)?.execute(params![
                key.as_str(),
                window.period.name(),
                number(window.start),
                number(window.end),
                number(amounts.requests),
                number(amounts.tokens),
                number(amounts.micro_usd),
            ])?;
        }
        if let Some(newest) = used.iter().map(|one| one.window.start).max().filter(|_| is_written) {
            transaction
                .prepare_cached(
                    "DELETE FROM client_key_use WHERE ends < ?1 OR (ends < ?2 AND period IN ('s', 'min'))",
                )?
                .execute(params![
                    number(newest.saturating_sub(USE_LIFE)),
                    number(newest.saturating_sub(SHORT_USE_LIFE))
                ])?;
        }
        let mut totals = Vec::with_capacity(used.len());
        for one in used {
            let amounts = transaction
                .prepare_cached(READ)?
                .query_row(
                    params![one.key.as_str(), one.window.period.name(), number(one.window.start)],
                    |row| amounts(row, 0),
                )
                .optional()?;
            totals.push(KeyUse { amounts: amounts.unwrap_or_default(), ..one.clone() });
        }
        transaction.commit()?;
        Ok(totals)
    }

    fn used(&mut self, key: &KeyId) -> Result<Vec<KeyUse>, KeyStoreError> {
        let mut query = self.connection.prepare_cached(
            "SELECT requests, tokens, micro_usd, period, start, ends FROM client_key_use WHERE key = ?1 ORDER BY start DESC",
        )?;
        let rows = query.query_map([key.as_str()], |row| {
            let (period, start, end): (String, i64, i64) = (row.get(3)?, row.get(4)?, row.get(5)?);
            let window = Period::from_name(&period).map(|period| LimitWindow {
                period,
                start: start.cast_unsigned(),
                end: end.cast_unsigned(),
            });
            Ok((window, amounts(row, 0)?))
        })?;
        let mut used = Vec::new();
        for row in rows {
            if let (Some(window), amounts) = row? {
                used.push(KeyUse { key: key.clone(), window, amounts });
            }
        }
        Ok(used)
    }

    fn add(&mut self, record: &KeyRecord) -> Result<(), KeyStoreError> {
        let row = KeyRow::from(record);
        let added = self.connection.execute(
            &format!("INSERT INTO client_keys ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)"),
            params![
                row.id,
                row.name,
                row.salt,
                row.hash,
                row.models,
                row.requests,
                row.tokens,
                row.budget,
                row.parallel,
                row.created_at,
                row.expires_at,
                row.rotated_at,
                row.revoked_at,
            ],
        );
        match added {
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) => {
                Err(KeyStoreError::NameTaken(record.name.clone()))
            }
            other => Ok(other.map(drop)?),
        }
    }

    fn rotate(&mut self, name: &str, proof: &KeyProof, now_unix: u64) -> Result<KeyRecord, KeyStoreError> {
        let record = self.active(name)?;
        self.connection.execute(
            "UPDATE client_keys SET salt = ?2, hash = ?3, rotated_at = ?4 WHERE id = ?1",
            params![record.id.as_str(), &proof.salt[..], &proof.hash[..], number(now_unix)],
        )?;
        Ok(KeyRecord { proof: proof.clone(), rotated_at: Some(now_unix), ..record })
    }

    fn revoke(&mut self, name: &str, now_unix: u64) -> Result<KeyRecord, KeyStoreError> {
        let record = self.active(name)?;
        self.connection.execute(
            "UPDATE client_keys SET revoked_at = ?2 WHERE id = ?1",
            params![record.id.as_str(), number(now_unix)],
        )?;
        Ok(KeyRecord { revoked_at: Some(now_unix), ..record })
    }
}

impl From<rusqlite::Error> for KeyStoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

fn of_row(row: &Row<'_>) -> rusqlite::Result<KeyRow> {
    Ok(KeyRow {
        id: row.get("id")?,
        name: row.get("name")?,
        salt: row.get("salt")?,
        hash: row.get("hash")?,
        models: row.get("models")?,
        requests: row.get("requests")?,
        tokens: row.get("tokens")?,
        budget: row.get("budget")?,
        parallel: row.get("parallel")?,
        created_at: row.get("created_at")?,
        expires_at: row.get("expires_at")?,
        rotated_at: row.get("rotated_at")?,
        revoked_at: row.get("revoked_at")?,
    })
}

fn amounts(row: &Row<'_>, first: usize) -> rusqlite::Result<Amounts> {
    let number =
        |at: usize| Ok::<_, rusqlite::Error>(u64::try_from(row.get::<_, i64>(first + at)?).unwrap_or(0));
    Ok(Amounts { requests: number(0)?, tokens: number(1)?, micro_usd: number(2)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::limits::{Limits, Rate};
    use crate::keys::scope::ModelScope;
    use crate::keys::secret::NewSecret;

    fn record(name: &str, made: &NewSecret) -> KeyRecord {
        KeyRecord {
            id: made.id.clone(),
            name: name.to_owned(),
            proof: made.proof.clone(),
            models: ModelScope::new(vec!["glm".to_owned(), "lab/*".to_owned()]),
            limits: Limits {
                requests: Rate::of_count("60/min").ok(),
                tokens: Rate::of_count("1M/day").ok(),
                budget: Rate::of_money("5.00/day").ok(),
                parallel: std::num::NonZeroU32::new(4),
            },
            created_at: 7,
            expires_at: Some(9),
            rotated_at: None,
            revoked_at: None,
        }
    }

    #[test]
    fn a_key_comes_back_as_it_was_and_its_secret_stands_nowhere() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("latimer.db");
        assert!(FileKeys::open(&path).is_err() && !path.exists(), "a running proxy makes the file itself");
        let mut keys = FileKeys::make(&path).expect("made");
        let mut other = FileKeys::open(&path).expect("opened");
        assert_eq!(other.changed().expect("read"), Some(Vec::new()));
        assert_eq!(other.changed().expect("read"), None);
        let made = NewSecret::draw().expect("randomness");
        let anna = record("anna", &made);
        keys.add(&anna).expect("added");
        assert_eq!(other.changed().expect("read"), Some(vec![anna.clone()]));
        let again = record("anna", &NewSecret::draw().expect("randomness"));
        assert!(matches!(keys.add(&again), Err(KeyStoreError::NameTaken(name)) if name == "anna"));
        let secret = &made.key.expose()[made.key.expose().len() - 64..];
        for file in std::fs::read_dir(dir.path()).expect("listed").map(|file| file.expect("a file").path()) {
            let bytes = std::fs::read(&file).expect("read");
            assert!(!String::from_utf8_lossy(&bytes).contains(secret), "{}", file.display());
        }
        let next = NewSecret::draw_for(made.id.clone()).expect("randomness");
        let rotated = keys.rotate("anna", &next.proof, 8).expect("rotated");
        assert_eq!((rotated.proof == next.proof, rotated.rotated_at), (true, Some(8)));
        assert_eq!(keys.revoke("anna", 9).expect("revoked").revoked_at, Some(9));
        assert!(matches!(keys.revoke("anna", 9), Err(KeyStoreError::Revoked(_))));
        assert!(matches!(keys.rotate("bert", &next.proof, 9), Err(KeyStoreError::Unknown(_))));
        keys.add(&again).expect("the name is free again");
        assert_eq!(keys.all().expect("read").len(), 2);
    }

    #[test]
    fn what_was_used_is_added_up_and_old_windows_go() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("latimer.db");
        let mut keys = FileKeys::make(&path).expect("made");
        let id = KeyId::read("00112233aabb").expect("an id");
        let used = |period: Period, unix: u64, requests| KeyUse {
            key: id.clone(),
            window: period.window(unix),
            amounts: Amounts { requests, tokens: 10, micro_usd: 5 },
        };
        keys.exchange(&[used(Period::Minute, 0, 1), used(Period::Day, 0, 1)]).expect("added");
        let later = used(Period::Day, 100, 2);
        let nothing = KeyUse { amounts: Amounts::default(), ..used(Period::Minute, 0, 0) };
        let totals = keys.exchange(&[later.clone(), nothing]).expect("added");
        assert_eq!(totals[0].amounts, Amounts { requests: 3, tokens: 20, micro_usd: 10 });
        assert_eq!(totals[1].amounts.requests, 1, "asked for, and not added to");
        keys.exchange(&[used(Period::Day, 400 * 86_400, 1)]).expect("added");
        assert_eq!(keys.used(&id).expect("read").len(), 1, "older than a year");
    }
}
