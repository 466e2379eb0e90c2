//! Rows into the shared database: gathered, written in one statement, each of them once.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use tokio::sync::mpsc;

use super::super::database_error::ErrorKind;
use super::super::rows::UsageRow;
use super::Common;
use super::errors::DatabaseProblem;
use super::record::{COLUMNS, RECORD, RowRecord};
use crate::clock;
use crate::sync::lock;

/// Rows of one statement.
pub(super) const MAX_BATCH: usize = 500;
/// How long a statement may take before the database counts as away.
const LIMIT: Duration = Duration::from_secs(6);
/// The lock under which rows get their places, so that nobody who reads behind a place misses an earlier one that is written later.
const PLACES_LOCK: i64 = 0x6c61_7469_6d65_0002;

/// A row on its way.
#[derive(Debug)]
pub(super) struct PendingRow {
    pub(super) id: String,
    pub(super) row: UsageRow,
}

/// What the writer of rows is given.
pub(super) enum RowJob {
    /// A row.
    Row(Arc<PendingRow>),
    /// Says when everything before it is in the database or in the journal.
    Flush(SyncSender<()>),
}

/// Writes rows until nobody is left who could add one.
pub(super) async fn write(common: Arc<Common>, mut jobs: mpsc::Receiver<RowJob>) {
    let mut gathered = Vec::new();
    while jobs.recv_many(&mut gathered, MAX_BATCH).await > 0 {
        let (mut rows, mut flushes) = (Vec::new(), Vec::new());
        for job in gathered.drain(..) {
            match job {
                RowJob::Row(row) => rows.push(row),
                RowJob::Flush(done) => flushes.push(done),
            }
        }
        if !rows.is_empty() {
            take(&common, &rows).await;
            let mut pending = lock(&common.pending);
            let written = rows.len().min(pending.len());
            pending.drain(..written);
        }
        for done in flushes {
            let _ = done.try_send(());
        }
    }
}

/// Into the database, else into the journal, else counted as lost.
async fn take(common: &Common, rows: &[Arc<PendingRow>]) {
    let records: Vec<String> =
        rows.iter().map(|row| json(&RowRecord::new(row.id.clone(), &common.node, &row.row))).collect();
    if common.link.is_up() && add(common, &records).await.is_ok() {
        return;
    }
    let result = lock(&common.journal).add_rows(records.iter().map(String::as_str));
    match result {
        Ok(()) => common.waits.store(true, Ordering::Relaxed),
        Err(error) => common.lose(records.len(), &error),
    }
}

fn json(record: &RowRecord) -> String {
    serde_json::to_string(record).unwrap_or_default()
}

/// Writes records, and says how many of them were not there. Those that the database will never take are counted as lost.
///
/// # Errors
/// The database is away: nothing is lost yet.
pub(super) async fn add(common: &Common, records: &[String]) -> Result<u64, DatabaseProblem> {
    let problem = match insert(common, records).await {
        Ok(added) => return Ok(added),
        Err(problem) => problem,
    };
    if problem.of("").kind != ErrorKind::Data {
        common.link.lost(&problem);
        return Err(problem);
    }
    // One of them is to blame: the others shall not wait for it for ever.
    let mut added = 0;
    for record in records {
        match insert(common, std::slice::from_ref(record)).await {
            Ok(count) => added += count,
            Err(problem) if problem.of("").kind == ErrorKind::Data => {
                common.lose(1, &problem.of(common.connector.name()));
            }
            Err(problem) => {
                common.link.lost(&problem);
                return Err(problem);
            }
        }
    }
    Ok(added)
}

async fn insert(common: &Common, records: &[String]) -> Result<u64, DatabaseProblem> {
    // The clocks of nodes differ: a row ended so long ago, on the clock of the database.
    let statement = format!(
        "WITH place AS MATERIALIZED (SELECT pg_advisory_xact_lock($3)), given AS MATERIALIZED (
            SELECT r.*, r.at + round(extract(epoch FROM clock_timestamp())::float8 - $2)::bigint AS ended
            FROM jsonb_to_recordset($1::text::jsonb) AS r({RECORD})
        ), added AS (
            INSERT INTO usage ({COLUMNS})
            SELECT {} FROM place, given ON CONFLICT (id) DO NOTHING RETURNING id
        ), reported AS (
            INSERT INTO reports (turn, at, report) SELECT turn, ended, report FROM given WHERE report IS NOT NULL
            ON CONFLICT (turn) DO NOTHING
        ) SELECT count(*) FROM added",
        COLUMNS.replace(" at,", " ended,")
    );
    let all = format!("[{}]", records.join(","));
    common
        .connector
        .with(LIMIT, async |connection| {
            let statement = connection.prepare_cached(&statement).await?;
            let added = connection.query_one(&statement, &[&all, &unix_seconds(), &PLACES_LOCK]).await?;
            Ok(u64::try_from(added.get::<_, i64>(0)).unwrap_or(0))
        })
        .await
}

/// This node's calendar, in seconds.
#[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit for as long as anybody will ask")]
pub(super) fn unix_seconds() -> f64 {
    clock::unix_millis() as f64 / 1000.0
}
