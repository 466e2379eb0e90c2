//! Which nodes share the database, and what its calendar says.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use super::Common;
use super::errors::DatabaseProblem;
use crate::clock;

/// How often a node says that it lives.
const BEAT: Duration = Duration::from_secs(2);
/// How long a statement may take.
const LIMIT: Duration = Duration::from_secs(3);

/// What is known of the nodes.
#[derive(Debug, Default)]
pub(super) struct KnownNodes {
    others: AtomicU32,
    /// How far the calendar of the database is ahead of this machine's, in milliseconds.
    ahead: AtomicI64,
}

impl KnownNodes {
    /// Nodes that live, this one too.
    pub(super) fn count(&self) -> u32 {
        self.others.load(Ordering::Relaxed).saturating_add(1)
    }

    /// The calendar of the database, in milliseconds since 1970.
    pub(super) fn unix_millis(&self) -> u64 {
        clock::unix_millis().saturating_add_signed(self.ahead.load(Ordering::Relaxed))
    }
}

/// Says that this node lives, and counts the others.
///
/// # Errors
/// The database is away, or refuses.
pub(super) async fn beat(common: &Common) -> Result<(), DatabaseProblem> {
    // Ten seconds are five times of which four may be late.
    const SAY: &str = "WITH me AS (
            INSERT INTO nodes (run, node, seen) VALUES ($1, $2, clock_timestamp()) ON CONFLICT (run) DO UPDATE SET seen = excluded.seen
        ) SELECT count(*), (extract(epoch FROM clock_timestamp()) * 1000)::bigint FROM nodes
        WHERE run <> $1 AND seen > clock_timestamp() - interval '10 seconds'";
    let (others, millis): (i64, i64) = common
        .connector
        .with(LIMIT, async |connection| {
            let statement = connection.prepare_cached(SAY).await?;
            let row = connection.query_one(&statement, &[&common.ids.run(), &common.node]).await?;
            Ok((row.get(0), row.get(1)))
        })
        .await?;
    let known = &common.nodes;
    known.others.store(u32::try_from(others).unwrap_or(0), Ordering::Relaxed);
    known.ahead.store(millis.saturating_sub(clock::unix_millis().cast_signed()), Ordering::Relaxed);
    Ok(())
}

/// Says it again and again.
pub(super) async fn live(common: Arc<Common>) {
    loop {
        tokio::time::sleep(BEAT).await;
        if common.link.is_up()
            && let Err(problem) = beat(&common).await
        {
            common.link.lost(&problem);
        }
    }
}
