//! Brings what waits in the journal into the database, once it is back; looks after the way to it; deletes what has had its time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::engine::CleanUp;
use super::errors::DatabaseProblem;
use super::{Common, answers, nodes, rows, schema};
use crate::clock;
use crate::sync::lock;

/// How often a database that is away is tried.
const RETRY: Duration = Duration::from_secs(1);
/// How often it is looked whether something waits.
const DRAIN_INTERVAL: Duration = Duration::from_secs(1);
/// How long rows are kept, in seconds.
const ROW_LIFE: i64 = 90 * 24 * 3600;
/// How long a look at the database may take.
const LIMIT: Duration = Duration::from_secs(8);
/// Reports of turns that are kept, of all nodes.
const MAX_REPORTS: i64 = 500_000;

/// Finds the database again whenever it is lost.
pub(super) async fn keep_link(common: Arc<Common>) {
    loop {
        match look(&common).await {
            Ok(()) => {
                common.link.found();
                common.link.until_lost().await;
                // What is open may hang for long: it is not asked again.
                common.connector.forget_connections();
            }
            Err(problem) => common.link.lost(&problem),
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Whether the database can be written, and its tables are as they should be.
///
/// # Errors
/// They are not, or it is away.
pub(super) async fn look(common: &Common) -> Result<(), DatabaseProblem> {
    schema::migrate(&common.connector).await?;
    common
        .connector
        .with(LIMIT, async |connection| {
            // Refused where it may only be read.
            connection.execute("DELETE FROM leases WHERE ends < now() - interval '1 day'", &[]).await?;
            Ok(())
        })
        .await?;
    nodes::beat(common).await
}

/// Empties the journal whenever the database is there.
pub(super) async fn empty_journal(common: Arc<Common>) {
    loop {
        while common.link.is_up() && common.waits.load(Ordering::Relaxed) {
            match one_batch(&common).await {
                Ok(true) => {}
                Ok(false) => common.waits.store(false, Ordering::Relaxed),
                Err(()) => break,
            }
        }
        let _ = tokio::time::timeout(DRAIN_INTERVAL, common.link.until_back()).await;
    }
}

/// Brings the first rows, or the first answer, into the database; false where nothing waits.
async fn one_batch(common: &Common) -> Result<bool, ()> {
    let unreadable = |error: rusqlite::Error| {
        tracing::warn!(event = "store.journal_unreadable", error = %error);
    };
    let waiting = lock(&common.journal).rows(rows::MAX_BATCH).map_err(unreadable)?;
    if let Some((last, _)) = waiting.last() {
        let last = *last;
        let records: Vec<String> = waiting.into_iter().map(|(_, record)| record).collect();
        rows::add(common, &records).await.map_err(|_| ())?;
        return lock(&common.journal).rows_arrived(last).map(|()| true).map_err(unreadable);
    }
    let oldest = super::super::chain::oldest(clock::unix_now());
    let answer = {
        let mut journal = lock(&common.journal);
        journal.expire(oldest).and_then(|()| journal.answer()).map_err(unreadable)?
    };
    let Some(answer) = answer else { return Ok(false) };
    let done = match &answer.stored {
        Some(stored) => answers::insert(common, &[(&answer.id, stored)]).await,
        None => answers::delete(common, &answer.id).await,
    };
    done.map_err(|problem| common.link.lost(&problem))?;
    lock(&common.journal).answer_arrived(answer.place).map(|()| true).map_err(unreadable)
}

/// Deletes what has had its time. An error is a sentence.
pub(super) async fn clean_up(common: Arc<Common>, what: CleanUp) -> Result<(), String> {
    lock(&common.recent).expire(clock::unix_now());
    if !common.link.is_up() {
        return Err("the database is away".to_owned());
    }
    let cleaned = match what {
        CleanUp::Answers => answers::expire(&common).await,
        CleanUp::Reports => expire_rows(&common).await,
    };
    cleaned.map_err(|problem| {
        common.link.lost(&problem);
        problem.of(common.connector.name()).to_string()
    })
}

async fn expire_rows(common: &Common) -> Result<(), DatabaseProblem> {
    const STATEMENTS: [&str; 2] = [
        "DELETE FROM usage WHERE at < extract(epoch FROM now())::bigint - $1",
        "DELETE FROM reports WHERE at < extract(epoch FROM now())::bigint - $1",
    ];
    const MANY: &str =
        "DELETE FROM reports WHERE at < (SELECT at FROM reports ORDER BY at DESC OFFSET $1 LIMIT 1)";
    // A year of months, days and hours; an hour of minutes and seconds.
    const USE: &str =
        "DELETE FROM client_key_use WHERE ends < extract(epoch FROM now())::bigint - 366 * 86400
        OR (ends < extract(epoch FROM now())::bigint - 3600 AND period IN ('s', 'min'))";
    common
        .connector
        .with(LIMIT, async |connection| {
            for statement in STATEMENTS {
                connection.execute(statement, &[&ROW_LIFE]).await?;
            }
            connection.execute(MANY, &[&MAX_REPORTS]).await?;
            connection.execute("DELETE FROM shared WHERE ends < now()", &[]).await?;
            connection.execute("DELETE FROM nodes WHERE seen < now() - interval '1 day'", &[]).await?;
            connection.execute(USE, &[]).await?;
            Ok(())
        })
        .await
}
