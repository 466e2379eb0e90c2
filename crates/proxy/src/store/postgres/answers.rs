//! Kept answers in the shared database.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::super::chain::StoredConversation;
use super::Common;
use super::errors::DatabaseProblem;
use super::rows::unix_seconds;
use crate::clock;
use crate::sync::lock;

/// How long a statement may take before the database counts as away.
const LIMIT: Duration = Duration::from_secs(6);
/// How long an answer is looked for: the client waits.
const FIND_LIMIT: Duration = Duration::from_millis(2500);
/// Answers of one statement, and their bytes.
const MAX_BATCH: usize = 64;
const MAX_BYTES: usize = 8 << 20;
/// How long an answer is kept, in seconds, on the clock of the database.
const LIFE: i64 = 600;
/// Answers of all nodes that are kept.
const MAX_ANSWERS: i64 = 500_000;

/// What the writer of answers is given.
pub(super) enum AnswerJob {
    /// Keep it, and say when it is there.
    Keep { id: String, stored: Arc<StoredConversation>, done: oneshot::Sender<()> },
    /// Delete it, and say when it is gone.
    Delete { id: String, done: oneshot::Sender<()> },
    /// Says when everything before it is in the database or in the journal.
    Flush(SyncSender<()>),
}

/// Writes answers until nobody is left who could keep one.
pub(super) async fn write(common: Arc<Common>, mut jobs: mpsc::Receiver<AnswerJob>) {
    let mut gathered = Vec::new();
    while jobs.recv_many(&mut gathered, MAX_BATCH).await > 0 {
        let mut kept: Vec<(String, Arc<StoredConversation>, oneshot::Sender<()>)> = Vec::new();
        for job in gathered.drain(..) {
            let bytes: usize = kept.iter().map(|(_, stored, _)| stored.bytes()).sum();
            match job {
                AnswerJob::Keep { id, stored, done } => {
                    if bytes + stored.bytes() > MAX_BYTES || kept.iter().any(|(known, _, _)| *known == id) {
                        keep_all(&common, std::mem::take(&mut kept)).await;
                    }
                    kept.push((id, stored, done));
                }
                AnswerJob::Delete { id, done } => {
                    keep_all(&common, std::mem::take(&mut kept)).await;
                    delete_one(&common, &id).await;
                    drop(done);
                }
                AnswerJob::Flush(done) => {
                    keep_all(&common, std::mem::take(&mut kept)).await;
                    let _ = done.try_send(());
                }
            }
        }
        keep_all(&common, kept).await;
    }
}

async fn keep_all(common: &Common, kept: Vec<(String, Arc<StoredConversation>, oneshot::Sender<()>)>) {
    if kept.is_empty() {
        return;
    }
    let all: Vec<(&str, &StoredConversation)> =
        kept.iter().map(|(id, stored, _)| (id.as_str(), &**stored)).collect();
    if common.link.is_up() {
        match insert(common, &all).await {
            Ok(()) => return common.answer_bytes_gone(&all),
            Err(problem) => common.link.lost(&problem),
        }
    }
    let mut journal = lock(&common.journal);
    for (id, stored) in &all {
        match journal.add_answer(id, stored.at, Some(stored)) {
            Ok(()) => common.waits.store(true, Ordering::Relaxed),
            Err(error) => common.lose(1, &error),
        }
    }
    common.answer_bytes_gone(&all);
}

async fn delete_one(common: &Common, id: &str) {
    if common.link.is_up() {
        match delete(common, id).await {
            Ok(()) => return,
            Err(problem) => common.link.lost(&problem),
        }
    }
    match lock(&common.journal).add_answer(id, clock::unix_now(), None) {
        Ok(()) => common.waits.store(true, Ordering::Relaxed),
        Err(error) => common.lose(1, &error),
    }
}

/// Keeps answers, each of them once.
///
/// # Errors
/// The database is away, or refuses.
pub(super) async fn insert(
    common: &Common,
    all: &[(&str, &StoredConversation)],
) -> Result<(), DatabaseProblem> {
    const INSERT: &str = "INSERT INTO responses (id, at, items, response)
        SELECT r.id, r.at + round(extract(epoch FROM clock_timestamp())::float8 - $5)::bigint, r.items, r.response
        FROM unnest($1::text[], $2::bigint[], $3::bytea[], $4::bytea[]) AS r(id, at, items, response)
        ON CONFLICT (id) DO UPDATE SET at = excluded.at, items = excluded.items, response = excluded.response";
    let ids: Vec<String> = all.iter().map(|(id, _)| id.replace('\0', "\u{fffd}")).collect();
    let ats: Vec<i64> = all.iter().map(|(_, stored)| stored.at.cast_signed()).collect();
    let items: Vec<&[u8]> = all.iter().map(|(_, stored)| stored.items.as_slice()).collect();
    let responses: Vec<&[u8]> = all.iter().map(|(_, stored)| stored.response.as_slice()).collect();
    common
        .connector
        .with(LIMIT, async |connection| {
            let statement = connection.prepare_cached(INSERT).await?;
            connection.execute(&statement, &[&ids, &ats, &items, &responses, &unix_seconds()]).await?;
            Ok(())
        })
        .await
}

/// Deletes an answer.
///
/// # Errors
/// The database is away, or refuses.
pub(super) async fn delete(common: &Common, id: &str) -> Result<(), DatabaseProblem> {
    let id = id.replace('\0', "\u{fffd}");
    common
        .connector
        .with(LIMIT, async |connection| {
            let statement = connection.prepare_cached("DELETE FROM responses WHERE id = $1").await?;
            connection.execute(&statement, &[&id]).await?;
            Ok(())
        })
        .await
}

/// Looks for an answer that is not too old, on the clock of the database.
///
/// # Errors
/// The database is away, or refuses.
pub(super) async fn find(common: &Common, id: &str) -> Result<Option<StoredConversation>, DatabaseProblem> {
    const FIND: &str =
        "SELECT items, response, extract(epoch FROM clock_timestamp())::bigint - at FROM responses
        WHERE id = $1 AND at >= extract(epoch FROM clock_timestamp())::bigint - $2";
    let id = id.replace('\0', "\u{fffd}");
    common
        .connector
        .with(FIND_LIMIT, async |connection| {
            let statement = connection.prepare_cached(FIND).await?;
            let row = connection.query_opt(&statement, &[&id, &LIFE]).await?;
            Ok(row.map(|row| {
                let age = u64::try_from(row.get::<_, i64>(2)).unwrap_or(0);
                StoredConversation {
                    items: row.get(0),
                    response: row.get(1),
                    at: clock::unix_now().saturating_sub(age),
                }
            }))
        })
        .await
}

/// Deletes answers that have had their time, and the oldest of too many.
///
/// # Errors
/// The database is away, or refuses.
pub(super) async fn expire(common: &Common) -> Result<(), DatabaseProblem> {
    const OLD: &str = "DELETE FROM responses WHERE at < extract(epoch FROM clock_timestamp())::bigint - $1";
    const MANY: &str =
        "DELETE FROM responses WHERE at < (SELECT at FROM responses ORDER BY at DESC OFFSET $1 LIMIT 1)";
    common
        .connector
        .with(LIMIT, async |connection| {
            connection.execute(OLD, &[&LIFE]).await?;
            connection.execute(MANY, &[&MAX_ANSWERS]).await?;
            Ok(())
        })
        .await
}
