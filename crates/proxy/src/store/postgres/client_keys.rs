//! Client keys in the shared database, and what was used of them on all nodes.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use tokio_postgres::Row;
use tokio_postgres::error::SqlState;

use super::super::key_rows::{COLUMNS, KeyRow, named, number};
use super::errors::DatabaseProblem;
use super::key_exchange;
use super::shared::KEYS_CHANGED;
use super::thread::Role;
use super::{Common, PostgresStore};
use crate::keys::nodes::{Heard, KeyNow};
use crate::keys::period::{Amounts, LimitWindow, Period};
use crate::keys::secret::{KeyId, KeyProof};
use crate::keys::{KeyRecord, KeyStore, KeyStoreError, KeyUse};
use crate::sync::lock;

/// How long a statement may take.
const LIMIT: Duration = Duration::from_secs(3);
/// How long a command waits for the database.
const COMMAND_LIMIT: Duration = Duration::from_secs(15);
/// The lock under which keys get their numbers, so that nobody who reads behind a number misses an earlier one.
const NUMBERS_LOCK: i64 = 0x6c61_7469_6d65_0004;

/// The keys of all nodes.
pub struct SharedKeys {
    store: Arc<PostgresStore>,
    role: Role,
    /// The number of the last change that was taken up.
    version: Option<i64>,
}

impl PostgresStore {
    /// The keys of all nodes, for one that serves turns: as long as the database is known to be away, it is not asked.
    pub fn keys(self: &Arc<Self>) -> SharedKeys {
        SharedKeys { store: Arc::clone(self), role: Role::Node, version: None }
    }

    /// The same for a command. Tables that are not there are made.
    ///
    /// # Errors
    /// The database is away, refuses, or has tables of a newer latimer or of somebody else.
    pub fn keys_for_command(self: &Arc<Self>) -> Result<SharedKeys, super::DatabaseError> {
        self.migrate()?;
        Ok(SharedKeys { store: Arc::clone(self), role: Role::Visitor, version: None })
    }

    /// From now on, this one hears when a key was made or changed. It is called by the thread of the store, and must not block it.
    pub fn listen_for_keys(&self, listener: impl Fn() + Send + Sync + 'static) {
        *lock(&self.common.key_listener) = Some(Arc::new(listener));
    }
}

impl SharedKeys {
    /// Has something done by the thread of the store, and blocks this one.
    fn ask<T: Send + 'static>(
        &self,
        work: impl AsyncFnOnce(&Common) -> Result<T, DatabaseProblem> + Send + 'static,
    ) -> Result<T, KeyStoreError> {
        self.try_ask(work).map_err(|problem| self.unavailable(&problem))
    }

    fn try_ask<T: Send + 'static>(
        &self,
        work: impl AsyncFnOnce(&Common) -> Result<T, DatabaseProblem> + Send + 'static,
    ) -> Result<T, DatabaseProblem> {
        let common = &self.store.common;
        let is_node = self.role == Role::Node;
        if is_node && !common.link.is_up() {
            return Err(DatabaseProblem::Timeout);
        }
        let (reply, answer) = sync_channel(1);
        let asked: super::Work = Box::new(move |common| {
            Box::pin(async move {
                let done = work(&common).await;
                if is_node && let Err(problem) = &done {
                    common.link.lost(problem);
                }
                let _ = reply.try_send(done);
            })
        });
        self.store.work.send(asked).map_err(|_| DatabaseProblem::Timeout)?;
        // A little longer than the statement: what it says is better than silence.
        let limit = if is_node { LIMIT + LIMIT / 2 } else { COMMAND_LIMIT };
        answer.recv_timeout(limit).map_err(|_| DatabaseProblem::Timeout)?
    }

    fn unavailable(&self, problem: &DatabaseProblem) -> KeyStoreError {
        KeyStoreError::Unavailable(problem.of(self.store.name()).to_string())
    }

    /// The key of this name that is not revoked.
    fn active(&mut self, name: &str) -> Result<KeyRecord, KeyStoreError> {
        let record = named(self.all()?, name).ok_or_else(|| KeyStoreError::Unknown(name.to_owned()))?;
        if record.revoked_at.is_some() { Err(KeyStoreError::Revoked(name.to_owned())) } else { Ok(record) }
    }
}

impl KeyStore for SharedKeys {
    fn changed(&mut self) -> Result<Option<Vec<KeyRecord>>, KeyStoreError> {
        let known = self.version;
        let read = self.ask(async move |common| {
            let version = version(common).await?;
            if known == Some(version) { Ok(None) } else { Ok(Some((version, records(common).await?))) }
        })?;
        let Some((version, records)) = read else { return Ok(None) };
        self.version = Some(version);
        Ok(Some(records))
    }

    fn all(&mut self) -> Result<Vec<KeyRecord>, KeyStoreError> {
        self.ask(async |common| records(common).await)
    }

    fn exchange(&mut self, used: &[KeyUse]) -> Result<Vec<KeyUse>, KeyStoreError> {
        Ok(self.exchange_with_nodes(used, &[])?.uses)
    }

    fn exchange_with_nodes(&mut self, used: &[KeyUse], now: &[KeyNow]) -> Result<Heard, KeyStoreError> {
        let nodes = &self.store.common.nodes;
        let heard =
            |totals, now| Heard { uses: totals, now, unix_millis: nodes.unix_millis(), nodes: nodes.count() };
        if used.is_empty() && now.is_empty() {
            return Ok(heard(Vec::new(), Vec::new()));
        }
        let (used, now) = (used.to_vec(), now.to_vec());
        let (totals, now) =
            self.ask(async move |common| key_exchange::exchange(common, &used, &now).await)?;
        Ok(heard(totals, now))
    }

    fn used(&mut self, key: &KeyId) -> Result<Vec<KeyUse>, KeyStoreError> {
        const READ: &str = "SELECT period, start, ends, requests, tokens, micro_usd FROM client_key_use WHERE key = $1 ORDER BY start DESC";
        let id = key.clone();
        self.ask(async move |common| {
            let rows = common
                .connector
                .with(LIMIT, async |connection| Ok(connection.query(READ, &[&id.as_str()]).await?))
                .await?;
            Ok(rows.iter().filter_map(|row| use_of(&id, row)).collect())
        })
    }

    fn add(&mut self, record: &KeyRecord) -> Result<(), KeyStoreError> {
        let row = KeyRow::from(record);
        let added = self.try_ask(async move |common| insert(common, &row).await);
        added.map_err(|problem| match problem {
            DatabaseProblem::Database(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {
                KeyStoreError::NameTaken(record.name.clone())
            }
            other => self.unavailable(&other),
        })
    }

    fn rotate(&mut self, name: &str, proof: &KeyProof, now_unix: u64) -> Result<KeyRecord, KeyStoreError> {
        const ROTATE: &str = "WITH place AS MATERIALIZED (SELECT pg_advisory_xact_lock($5)), changed AS (
                UPDATE client_keys SET salt = $2, hash = $3, rotated_at = $4, seq = nextval('client_keys_seq_of') FROM place WHERE id = $1 RETURNING id
            ) SELECT pg_notify('latimer', $6) FROM changed";
        let record = self.active(name)?;
        let (id, proof) = (record.id.clone(), proof.clone());
        let kept = proof.clone();
        self.ask(async move |common| {
            let (salt, hash) = (&proof.salt[..], &proof.hash[..]);
            common
                .connector
                .with(LIMIT, async |connection| {
                    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 6] =
                        [&id.as_str(), &salt, &hash, &number(now_unix), &NUMBERS_LOCK, &KEYS_CHANGED];
                    Ok(connection.query(ROTATE, &values).await?)
                })
                .await
        })?;
        Ok(KeyRecord { proof: kept, rotated_at: Some(now_unix), ..record })
    }

    fn revoke(&mut self, name: &str, now_unix: u64) -> Result<KeyRecord, KeyStoreError> {
        const REVOKE: &str = "WITH place AS MATERIALIZED (SELECT pg_advisory_xact_lock($3)), changed AS (
                UPDATE client_keys SET revoked_at = $2, seq = nextval('client_keys_seq_of') FROM place WHERE id = $1 RETURNING id
            ) SELECT pg_notify('latimer', $4) FROM changed";
        let record = self.active(name)?;
        let id = record.id.clone();
        self.ask(async move |common| {
            common
                .connector
                .with(LIMIT, async |connection| {
                    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
                        [&id.as_str(), &number(now_unix), &NUMBERS_LOCK, &KEYS_CHANGED];
                    Ok(connection.query(REVOKE, &values).await?)
                })
                .await
        })?;
        Ok(KeyRecord { revoked_at: Some(now_unix), ..record })
    }
}

/// The number of the last change.
async fn version(common: &Common) -> Result<i64, DatabaseProblem> {
    const READ: &str = "SELECT coalesce(max(seq), 0) FROM client_keys";
    common
        .connector
        .with(LIMIT, async |connection| {
            let statement = connection.prepare_cached(READ).await?;
            Ok(connection.query_one(&statement, &[]).await?.get(0))
        })
        .await
}

async fn records(common: &Common) -> Result<Vec<KeyRecord>, DatabaseProblem> {
    let read = format!("SELECT {COLUMNS} FROM client_keys ORDER BY created_at, seq");
    let rows =
        common.connector.with(LIMIT, async |connection| Ok(connection.query(&read, &[]).await?)).await?;
    let records = rows.iter().filter_map(|row| {
        // A row that cannot be read opens nothing, and stands in nobody's way.
        let read = row_of(row).map(KeyRow::record);
        let said = match read {
            Ok(Ok(record)) => return Some(record),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::warn!(event = "keys.row_unreadable", error = %said);
        None
    });
    Ok(records.collect())
}

/// Adds a key.
///
/// # Errors
/// One of its name or its id is there, or the database is away.
pub(super) async fn insert(common: &Common, row: &KeyRow) -> Result<(), DatabaseProblem> {
    let insert = format!(
        "WITH place AS MATERIALIZED (SELECT pg_advisory_xact_lock($14)), added AS (
            INSERT INTO client_keys ({COLUMNS}, seq)
            SELECT $1::text, $2::text, $3::bytea, $4::bytea, $5::text, $6::text, $7::text, $8::text, $9::bigint, $10::bigint, $11::bigint, $12::bigint, $13::bigint, nextval('client_keys_seq_of')
            FROM place RETURNING id
        ) SELECT pg_notify('latimer', $15) FROM added"
    );
    common
        .connector
        .with(LIMIT, async |connection| {
            let values: [&(dyn tokio_postgres::types::ToSql + Sync); 15] = [
                &row.id,
                &row.name,
                &row.salt,
                &row.hash,
                &row.models,
                &row.requests,
                &row.tokens,
                &row.budget,
                &row.parallel,
                &row.created_at,
                &row.expires_at,
                &row.rotated_at,
                &row.revoked_at,
                &NUMBERS_LOCK,
                &KEYS_CHANGED,
            ];
            connection.query(&insert, &values).await?;
            Ok(())
        })
        .await
}

fn row_of(row: &Row) -> Result<KeyRow, tokio_postgres::Error> {
    Ok(KeyRow {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        salt: row.try_get("salt")?,
        hash: row.try_get("hash")?,
        models: row.try_get("models")?,
        requests: row.try_get("requests")?,
        tokens: row.try_get("tokens")?,
        budget: row.try_get("budget")?,
        parallel: row.try_get("parallel")?,
        created_at: row.try_get("created_at")?,
        expires_at: row.try_get("expires_at")?,
        rotated_at: row.try_get("rotated_at")?,
        revoked_at: row.try_get("revoked_at")?,
    })
}

/// What a row says was used; `None` for a period that this release does not know.
fn use_of(key: &KeyId, row: &Row) -> Option<KeyUse> {
    let count = |at: usize| u64::try_from(row.get::<_, i64>(at)).unwrap_or(0);
    let period = Period::from_name(row.get(0))?;
    Some(KeyUse {
        key: key.clone(),
        window: LimitWindow { period, start: count(1), end: count(2) },
        amounts: Amounts { requests: count(3), tokens: count(4), micro_usd: count(5) },
    })
}

#[cfg(test)]
mod tests;
