//! Adds what keys used here to what they used everywhere, and hears what other nodes told. One statement, for all keys.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Common;
use super::errors::DatabaseProblem;
use crate::keys::KeyUse;
use crate::keys::nodes::{KeyHeard, KeyNow};
use crate::keys::period::{Amounts, LimitWindow, Period};
use crate::keys::secret::KeyId;
use crate::sync::lock;

/// How long a statement may take.
const LIMIT: Duration = Duration::from_secs(3);
/// How long the turns of a node that is silent are counted, in seconds: nodes tell of them every four.
const SILENT: i64 = 15;

/// What this process sent.
#[derive(Debug, Default)]
pub(super) struct Batches {
    last: i64,
    /// The batch of which nobody knows whether it arrived.
    unsure: Option<(i64, Vec<KeyUse>)>,
}

/// A row of what was used.
#[derive(Debug, Serialize, Deserialize)]
struct UseRow {
    key: String,
    period: String,
    start: u64,
    ends: u64,
    requests: u64,
    tokens: u64,
    micro_usd: u64,
}

/// What holds now, as it is told.
#[derive(Debug, Serialize)]
struct NowRow<'n> {
    key: &'n str,
    capacity: f64,
    per_second: f64,
    taken: f64,
    open: u32,
    wanting: u32,
}

/// The same as it is heard: turns by node, each with those that are open, those that want to begin, and when that was said.
#[derive(Debug, Deserialize)]
struct HeardRow {
    key: String,
    level: f64,
    turns: BTreeMap<String, (u32, u32, i64)>,
}

// A row that is there is locked and read again, so that what comes back is never older than what others were told. All nodes take the
// rows in the same order.
const EXCHANGE: &str = "WITH me AS (
    INSERT INTO nodes (run, node, seen, batch) VALUES ($3, $4, clock_timestamp(), $5)
    ON CONFLICT (run) DO UPDATE SET seen = excluded.seen, batch = excluded.batch
    RETURNING extract(epoch FROM clock_timestamp())::bigint AS at
), uses AS (
    INSERT INTO client_key_use AS u (key, period, start, ends, requests, tokens, micro_usd)
    SELECT r.* FROM me, jsonb_to_recordset($1::text::jsonb)
        AS r(key text, period text, start bigint, ends bigint, requests bigint, tokens bigint, micro_usd bigint)
    ORDER BY r.key, r.period, r.start
    ON CONFLICT (key, period, start) DO UPDATE SET requests = u.requests + excluded.requests,
        tokens = u.tokens + excluded.tokens, micro_usd = u.micro_usd + excluded.micro_usd
    RETURNING key, period, start, ends, requests, tokens, micro_usd
), now AS (
    INSERT INTO client_key_now AS n (key, capacity, per_second, level, filled, turns)
    SELECT r.key, r.capacity, r.per_second, r.capacity - r.taken, clock_timestamp(), CASE
        WHEN r.open + r.wanting > 0 THEN jsonb_build_object($3, jsonb_build_array(r.open, r.wanting, me.at))
        ELSE '{}' END
    FROM me, jsonb_to_recordset($2::text::jsonb)
        AS r(key text, capacity float8, per_second float8, taken float8, open bigint, wanting bigint)
    WHERE (SELECT count(*) FROM uses) >= 0 ORDER BY r.key
    ON CONFLICT (key) DO UPDATE SET
        level = least(excluded.capacity, n.level + greatest(extract(epoch FROM clock_timestamp() - n.filled), 0)::float8 * excluded.per_second)
            - (excluded.capacity - excluded.level),
        capacity = excluded.capacity, per_second = excluded.per_second, filled = greatest(n.filled, clock_timestamp()),
        turns = (SELECT coalesce(jsonb_object_agg(t.run, t.said), '{}') FROM jsonb_each(n.turns) AS t(run, said)
            WHERE t.run <> $3 AND (t.said->>2)::bigint > (SELECT at FROM me) - $6) || excluded.turns
    RETURNING key, level, turns
) SELECT (SELECT coalesce(json_agg(uses), '[]') FROM uses)::text, (SELECT coalesce(json_agg(now), '[]') FROM now)::text";

/// Adds what was used, once, and answers what all nodes used and what holds there.
///
/// # Errors
/// The database is away, or refuses; what was used is told again.
pub(super) async fn exchange(
    common: &Common,
    used: &[KeyUse],
    now: &[KeyNow],
) -> Result<(Vec<KeyUse>, Vec<KeyHeard>), DatabaseProblem> {
    let used = without_what_arrived(common, used).await?;
    let batch = {
        let mut batches = lock(&common.key_batches);
        batches.last += 1;
        batches.unsure = Some((batches.last, used.clone()));
        batches.last
    };
    let (rows, told) = (uses_text(&used), now_text(now));
    let (run, node) = (common.ids.run(), &common.node);
    let answered = common
        .connector
        .with(LIMIT, async |connection| {
            let statement = connection.prepare_cached(EXCHANGE).await?;
            let values: [&(dyn tokio_postgres::types::ToSql + Sync); 6] =
                [&rows, &told, &run, node, &batch, &SILENT];
            let row = connection.query_one(&statement, &values).await?;
            Ok((row.get::<_, String>(0), row.get::<_, String>(1)))
        })
        .await;
    match answered {
        Ok((totals, now)) => {
            lock(&common.key_batches).unsure = None;
            Ok((read_uses(&totals), read_now(&now, run)))
        }
        Err(problem) => {
            // What the database refused did not arrive.
            if matches!(&problem, DatabaseProblem::Database(error) if error.as_db_error().is_some()) {
                lock(&common.key_batches).unsure = None;
            }
            Err(problem)
        }
    }
}

/// What is told now, less what was told by a batch that arrived although nobody heard so.
async fn without_what_arrived(common: &Common, used: &[KeyUse]) -> Result<Vec<KeyUse>, DatabaseProblem> {
    const READ: &str = "SELECT batch FROM nodes WHERE run = $1 FOR UPDATE";
    let unsure = lock(&common.key_batches).unsure.clone();
    let Some((batch, sent)) = unsure else { return Ok(used.to_vec()) };
    let arrived = common
        .connector
        .with(LIMIT, async |connection| {
            let row = connection.query_opt(READ, &[&common.ids.run()]).await?;
            Ok(row.is_some_and(|row| row.get::<_, i64>(0) >= batch))
        })
        .await?;
    lock(&common.key_batches).unsure = None;
    Ok(if arrived { less(used, &sent) } else { used.to_vec() })
}

fn less(used: &[KeyUse], sent: &[KeyUse]) -> Vec<KeyUse> {
    let of = |one: &KeyUse| sent.iter().find(|other| (&other.key, other.window) == (&one.key, one.window));
    used.iter()
        .map(|one| {
            let sent = of(one).map_or_else(Amounts::default, |sent| sent.amounts);
            KeyUse { amounts: one.amounts - sent, ..one.clone() }
        })
        .collect()
}

fn uses_text(used: &[KeyUse]) -> String {
    let rows: Vec<UseRow> = used
        .iter()
        .map(|KeyUse { key, window, amounts }| UseRow {
            key: key.as_str().to_owned(),
            period: window.period.name().to_owned(),
            start: window.start,
            ends: window.end,
            requests: amounts.requests,
            tokens: amounts.tokens,
            micro_usd: amounts.micro_usd,
        })
        .collect();
    serde_json::to_string(&rows).unwrap_or_default()
}

fn now_text(now: &[KeyNow]) -> String {
    let rows: Vec<NowRow<'_>> = now
        .iter()
        .map(|KeyNow { key, open, wanting, capacity, per_second, taken }| NowRow {
            key: key.as_str(),
            capacity: *capacity,
            per_second: *per_second,
            taken: *taken,
            open: *open,
            wanting: *wanting,
        })
        .collect();
    serde_json::to_string(&rows).unwrap_or_default()
}

fn read_uses(text: &str) -> Vec<KeyUse> {
    let rows: Vec<UseRow> = serde_json::from_str(text).unwrap_or_default();
    let of = |row: UseRow| {
        let window = LimitWindow { period: Period::from_name(&row.period)?, start: row.start, end: row.ends };
        let amounts = Amounts { requests: row.requests, tokens: row.tokens, micro_usd: row.micro_usd };
        Some(KeyUse { key: KeyId::read(&row.key)?, window, amounts })
    };
    rows.into_iter().filter_map(of).collect()
}

fn read_now(text: &str, run: &str) -> Vec<KeyHeard> {
    let rows: Vec<HeardRow> = serde_json::from_str(text).unwrap_or_default();
    let of = |row: HeardRow| {
        let mut heard = KeyHeard { key: KeyId::read(&row.key)?, level: row.level, open: 0, wanting: 0 };
        for (open, wanting, _) in row.turns.iter().filter(|(node, _)| *node != run).map(|(_, said)| *said) {
            heard.open = heard.open.saturating_add(open);
            heard.wanting = heard.wanting.saturating_add(wanting);
        }
        Some(heard)
    };
    rows.into_iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(unix: u64, requests: u64) -> KeyUse {
        KeyUse {
            key: KeyId::read("00112233aabb").expect("an id"),
            window: Period::Day.window(unix),
            amounts: Amounts { requests, tokens: requests * 10, micro_usd: 0 },
        }
    }

    #[test]
    fn what_arrived_unheard_is_not_told_again() {
        let (sent, told) = ([used(0, 3)], [used(0, 5), used(86_400, 2)]);
        assert_eq!(less(&told, &sent), [used(0, 2), used(86_400, 2)]);
        assert_eq!(less(&told, &[]), told);
    }

    #[test]
    fn turns_of_other_nodes_are_added_up() {
        let text = r#"[{"key":"00112233aabb","level":4.5,"turns":{"me":[9,9,1],"b":[2,0,1],"c":[1,3,1]}}]"#;
        let heard = read_now(text, "me");
        assert_eq!((heard[0].open, heard[0].wanting), (3, 3));
    }
}
