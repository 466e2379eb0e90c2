//! What is read from the shared database: pages of turns, one turn, and how much was used.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use latimer_protocol::status::{
    FailureReport, TokenReport, TurnPage, TurnReport, TurnState, UsageLine, UsageReport,
};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::super::chain::StoredConversation;
use super::super::reader::Window;
use super::super::rows::{GroupBy, UsageRow};
use super::super::turn_rows::{self, MAX_PAGE, TurnQuery};
use super::errors::DatabaseProblem;
use super::record::{RECORD, RowRecord};
use super::rows::PendingRow;
use super::{Common, answers};
use crate::sync::lock;

/// How long a reader waits.
pub(super) const LIMIT: Duration = Duration::from_secs(15);
/// A report that took so long to be added up is not added up again at once.
const SLOW: Duration = Duration::from_millis(100);
/// It holds for so many times as long as it took.
const HOLDS: u32 = 10;
/// Reports that are remembered.
const MAX_REPORTS: usize = 16;
/// Quarters of an hour that hours and days are made of: a year of them.
const MAX_QUARTERS: i64 = 4 * 24 * 366;

/// Reports that took long, and until when they hold.
pub(super) type Cache = Mutex<HashMap<(GroupBy, String, bool), (UsageReport, Instant)>>;

/// An answer: from what is at hand, from what waits, else from the database.
pub(super) async fn response(common: &Common, id: &str, now_unix: u64) -> Option<Arc<StoredConversation>> {
    if common.waits.load(Ordering::Relaxed)
        && let Ok(Some(waiting)) = lock(&common.journal).find(id)
    {
        let oldest = super::super::chain::oldest(now_unix);
        return waiting.stored.filter(|stored| stored.at >= oldest).map(Arc::new);
    }
    if !common.link.is_up() {
        return None;
    }
    match answers::find(common, id).await {
        Ok(found) => found.filter(|stored| stored.at >= super::super::chain::oldest(now_unix)).map(Arc::new),
        Err(problem) => {
            tracing::warn!(event = "store.not_read", database = common.connector.name(), error = %problem.of(common.connector.name()));
            None
        }
    }
}

const COLUMNS: &str = "place, id, at, turn, client, endpoint, account, model, finish, failure, input, cached, cache_write, output, reasoning, ms, first_ms, retries, repairs, cost_usd, session, protocol, asked, message, project, key, node";
const SHOWN: &str = "turn || ' ' || client || ' ' || endpoint || '/' || model || ' ' || finish || ' ' || coalesce(failure, '') || ' ' || coalesce(message, '') || ' ' || coalesce(asked, '') || ' ' || coalesce(session, '') || ' ' || coalesce(key, '')";

/// A page of turns, the newest first.
///
/// # Errors
/// The database cannot be read.
pub(super) async fn page(common: &Common, wanted: &TurnQuery) -> Result<TurnPage, DatabaseProblem> {
    let pending: Vec<Arc<PendingRow>> = lock(&common.pending).iter().cloned().collect();
    let is_first = wanted.before.is_none() && wanted.after.is_none();
    let new = pending.iter().rev().filter(|_| is_first).map(|row| of_pending(common, &row.row));
    let mut data: Vec<TurnReport> = new.filter(|turn| wanted.fits(turn)).take(wanted.limit).collect();
    let ids: Vec<&str> = pending.iter().map(|row| row.id.as_str()).collect();
    let mut text = format!(
        "SELECT {COLUMNS} FROM usage WHERE place < $1 AND place > $2 AND ($3::text IS NULL OR client = $3) AND ($4::text IS NULL OR endpoint = $4) AND id <> ALL($6::text[])"
    );
    if wanted.errors {
        text.push_str(" AND failure IS NOT NULL");
    }
    let words: Vec<String> = wanted.words().map(|word| turn_rows::like(&word.replace('\0', ""))).collect();
    for place in 0..words.len() {
        let _ = write!(text, " AND ({SHOWN}) ILIKE ${} ESCAPE '\\'", place + 7);
    }
    text.push_str(" ORDER BY place DESC LIMIT $5");
    let left = wanted.limit - data.len();
    let limit = i64::try_from(left.min(MAX_PAGE)).unwrap_or(0);
    let (before, after) = (wanted.before.unwrap_or(i64::MAX), wanted.after.unwrap_or(i64::MIN));
    let mut values: Vec<&(dyn ToSql + Sync)> =
        vec![&before, &after, &wanted.client, &wanted.endpoint, &limit, &ids];
    values.extend(words.iter().map(|word| word as &(dyn ToSql + Sync)));
    let (rows, latest) = common
        .connector
        .with(LIMIT, async |connection| {
            let rows = connection.query(&text, &values).await?;
            let latest = connection.query_one("SELECT coalesce(max(place), 0) FROM usage", &[]).await?;
            Ok((rows, latest.get::<_, i64>(0)))
        })
        .await?;
    let is_full = rows.len() == left;
    let next = rows.last().map(|row| row.get::<_, i64>(0)).or_else(|| is_first.then_some(i64::MAX));
    data.extend(rows.iter().map(of_row));
    Ok(TurnPage { data, next: next.filter(|_| is_full), latest, ..TurnPage::default() })
}

/// Everything that is kept of a turn.
///
/// # Errors
/// The database cannot be read.
pub(super) async fn turn(common: &Common, id: &str) -> Result<Option<TurnReport>, DatabaseProblem> {
    let waiting = lock(&common.pending).iter().rev().find(|row| row.row.turn == id).cloned();
    if let Some(waiting) = waiting {
        let row = &waiting.row;
        return Ok(Some(row.report.as_deref().cloned().unwrap_or_else(|| of_pending(common, row))));
    }
    let id = id.replace('\0', "");
    common
        .connector
        .with(LIMIT, async |connection| {
            let report = connection.query_opt("SELECT report FROM reports WHERE turn = $1", &[&id]).await?;
            if let Some(report) = report.and_then(|row| serde_json::from_str(row.get(0)).ok()) {
                return Ok(Some(report));
            }
            let text = format!("SELECT {COLUMNS} FROM usage WHERE turn = $1 ORDER BY place DESC LIMIT 1");
            Ok(connection.query_opt(&text, &[&id]).await?.as_ref().map(of_row))
        })
        .await
}

/// How much was used. What took long to add up is not added up again for a while.
///
/// # Errors
/// The database cannot be read.
pub(super) async fn usage(
    common: &Common,
    by: GroupBy,
    window: &Window,
    now: Instant,
) -> Result<UsageReport, DatabaseProblem> {
    let key = (by, window.text.clone(), window.breaks_down);
    if let Some((report, until)) = lock(&common.cache).get(&key)
        && *until > now
    {
        return Ok(report.clone());
    }
    let begun = crate::clock::now();
    let report = added_up(common, by, window).await?;
    let took = begun.elapsed();
    if took > SLOW {
        let mut cache = lock(&common.cache);
        if cache.len() >= MAX_REPORTS {
            cache.clear();
        }
        cache.insert(key, (report.clone(), now + took * HOLDS));
    }
    Ok(report)
}

/// The group of a row.
fn key(by: GroupBy) -> &'static str {
    match by {
        GroupBy::Endpoint => "endpoint",
        GroupBy::Account => "endpoint || ' ' || account",
        GroupBy::Model => "endpoint || '/' || model",
        GroupBy::Hour | GroupBy::Day | GroupBy::Week | GroupBy::Month => "quarter_name",
        GroupBy::Project => "coalesce(project, 'none')",
        GroupBy::Client => "client",
        GroupBy::Key => "coalesce(key, 'none')",
        GroupBy::Node => "coalesce(nullif(node, ''), 'none')",
        GroupBy::Session => "coalesce(session, 'none')",
        GroupBy::Turn => {
            "to_char(to_timestamp(at) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' ' || turn || ' ' || endpoint || '/' || model"
        }
        GroupBy::Failure => "coalesce(failure, 'none')",
    }
}

const SUMS: &str = "count(*), count(failure), coalesce(sum(input), 0)::bigint, coalesce(sum(cached), 0)::bigint, coalesce(sum(output), 0)::bigint, coalesce(sum(reasoning), 0)::bigint, coalesce(sum(retries), 0)::bigint, coalesce(sum(repairs), 0)::bigint, sum(cost_usd), count(*) FILTER (WHERE cost_usd IS NULL AND (coalesce(input, 0) > 0 OR coalesce(output, 0) > 0)), percentile_disc(0.5) WITHIN GROUP (ORDER BY ms), percentile_disc(0.95) WITHIN GROUP (ORDER BY ms), percentile_disc(0.5) WITHIN GROUP (ORDER BY first_ms)";
/// The place of the part of a line behind its name, its beginning and its sums, from one.
const PART: usize = 16;
const SUMMED: &str = "at, turn, client, endpoint, account, model, failure, input, cached, output, reasoning, retries, repairs, cost_usd, ms, first_ms, session, project, key, node";

async fn added_up(common: &Common, by: GroupBy, window: &Window) -> Result<UsageReport, DatabaseProblem> {
    let pending: Vec<Arc<PendingRow>> = lock(&common.pending).iter().cloned().collect();
    let ids: Vec<&str> = pending.iter().map(|row| row.id.as_str()).collect();
    let records: Vec<RowRecord> = pending
        .iter()
        .map(|row| RowRecord::new(row.id.clone(), &common.node, &row.row).without_report())
        .collect();
    let records = serde_json::to_string(&records).unwrap_or_default();
    let since = i64::try_from(window.since).unwrap_or(i64::MAX);
    let until = window.until.map_or(i64::MAX, |until| i64::try_from(until).unwrap_or(i64::MAX));
    let is_in_time = matches!(by, GroupBy::Hour | GroupBy::Day | GroupBy::Week | GroupBy::Month);
    let order = if by.is_in_time() { "2, 1" } else { "3 DESC, 1" };
    let (named, join) = if is_in_time {
        (
            ", q.name AS quarter_name",
            " LEFT JOIN unnest($5::bigint[], $6::text[]) AS q(quarter, name) ON q.quarter = at / 900",
        )
    } else {
        ("", "")
    };
    let key = key(by);
    let parts = if window.breaks_down {
        format!(
            " UNION ALL SELECT coalesce({key}, ''), min(at), {SUMS}, endpoint || '/' || model FROM named GROUP BY 1, {PART}"
        )
    } else {
        String::new()
    };
    let text = format!(
        "WITH chosen AS (
            SELECT {SUMMED} FROM usage WHERE at >= $1 AND at < $2 AND id <> ALL($3::text[])
            UNION ALL SELECT {SUMMED} FROM jsonb_to_recordset($4::text::jsonb) AS r({RECORD}) WHERE at >= $1 AND at < $2
        ), named AS (SELECT chosen.*{named} FROM chosen{join})
        SELECT * FROM (
            SELECT coalesce({key}, '') AS name, min(at) AS began, {SUMS}, NULL::text AS part FROM named GROUP BY 1
            UNION ALL SELECT NULL, NULL, {SUMS}, NULL FROM named{parts}
        ) AS report ORDER BY part NULLS FIRST, {order}"
    );
    let rows = common
        .connector
        .with(LIMIT, async |connection| {
            let mut values: Vec<&(dyn ToSql + Sync)> = vec![&since, &until, &ids, &records];
            let (mut quarters, mut of_quarters) = (Vec::new(), Vec::new());
            if is_in_time {
                let ends = connection
                    .query_one("SELECT coalesce(min(at), 0) / 900, coalesce(max(at), 0) / 900 FROM usage WHERE at >= $1", &[&since])
                    .await?;
                let now = i64::try_from(crate::clock::unix_now() / 900).unwrap_or(0) + 4;
                let last = ends.get::<_, i64>(1).max(now);
                let first = ends.get::<_, i64>(0).max(since / 900).max(last - MAX_QUARTERS);
                (quarters, of_quarters) = quarters_between(first, last, by);
            }
            if is_in_time {
                values.extend([&quarters as &(dyn ToSql + Sync), &of_quarters]);
            }
            Ok(connection.query(&text, &values).await?)
        })
        .await?;
    Ok(report_of(&rows, by))
}

/// The lines first, then the total and the parts of lines.
fn report_of(rows: &[Row], by: GroupBy) -> UsageReport {
    let mut report = UsageReport::default();
    let mut places = HashMap::new();
    for row in rows {
        let (name, part) = (row.get::<_, Option<String>>(0), row.get::<_, Option<String>>(PART - 1));
        match (name, part) {
            (Some(name), None) => {
                places.insert(name.clone(), report.lines.len());
                report.lines.push(UsageLine { name, ..line(row) });
            }
            (Some(whole), Some(name)) => {
                let whole = places.get(&whole).and_then(|place| report.lines.get_mut(*place));
                if let Some(whole) = whole {
                    whole.parts.push(UsageLine { name, ..line(row) });
                }
            }
            (None, _) => report.total = UsageLine { name: "total".to_owned(), ..line(row) },
        }
    }
    for line in &mut report.lines {
        line.parts.sort_by(|one, other| one.name.cmp(&other.name));
    }
    if by.is_in_time() {
        // Their names begin with their time.
        report.lines.sort_by(|one, other| one.name.cmp(&other.name));
    }
    report
}

/// Quarters of an hour, and the hour or the day that each is in, in this node's local time.
fn quarters_between(first: i64, last: i64, by: GroupBy) -> (Vec<i64>, Vec<String>) {
    let quarters: Vec<i64> = (first..=last).collect();
    let names = || -> rusqlite::Result<Vec<String>> {
        let connection = rusqlite::Connection::open_in_memory()?;
        let mut query = connection.prepare(by.name_of())?;
        quarters.iter().map(|quarter| query.query_row([quarter], |row| row.get(0))).collect()
    };
    let names = names().unwrap_or_default();
    (quarters, names)
}

fn line(row: &Row) -> UsageLine {
    let number = |column: usize| u64::try_from(row.get::<_, i64>(column)).unwrap_or(0);
    let some = |column: usize| {
        row.get::<_, Option<i64>>(column).and_then(|number| u64::try_from(number).ok()).unwrap_or(0)
    };
    let (cost_usd, unpriced) = (row.get::<_, Option<f64>>(10), number(11));
    UsageLine {
        turns: number(2),
        failed: number(3),
        input: number(4),
        cached: number(5),
        output: number(6),
        reasoning: number(7),
        retries: number(8),
        repairs: number(9),
        // Who used nothing paid nothing. What nobody knows is not nothing.
        cost_usd: cost_usd.or((unpriced == 0).then_some(0.0)),
        unpriced,
        p50_ms: some(12),
        p95_ms: some(13),
        first_p50_ms: some(14),
        ..UsageLine::default()
    }
}

/// A row that is not written yet, as it will be.
fn of_pending(common: &Common, row: &UsageRow) -> TurnReport {
    let report = turn_rows::of_pending(row);
    let node = report.node.or_else(|| Some(common.node.clone()).filter(|node| !node.is_empty()));
    TurnReport { node, ..report }
}

fn of_row(row: &Row) -> TurnReport {
    let number =
        |column: &str| row.get::<_, Option<i64>>(column).and_then(|number| u64::try_from(number).ok());
    let small = |column: &str| u32::try_from(number(column).unwrap_or(0)).unwrap_or(u32::MAX);
    let text = |column: &str| row.get::<_, Option<String>>(column);
    let ms = number("ms").unwrap_or(0);
    let ended = number("at").unwrap_or(0).saturating_mul(1000);
    let (code, message) = (text("failure"), text("message"));
    TurnReport {
        id: row.get("turn"),
        state: TurnState::Over,
        client: row.get("client"),
        key: text("key"),
        node: text("node").filter(|node| !node.is_empty()),
        project: text("project"),
        session: text("session"),
        protocol: text("protocol").unwrap_or_default(),
        asked: text("asked").unwrap_or_default(),
        endpoint: row.get("endpoint"),
        model: row.get("model"),
        account: row.get("account"),
        begun_ms: ended.saturating_sub(ms),
        ms,
        first_ms: number("first_ms"),
        finish: Some(row.get("finish")),
        failure: code.map(|code| FailureReport {
            code,
            message: message.unwrap_or_default(),
            ..FailureReport::default()
        }),
        retries: small("retries"),
        repairs: small("repairs"),
        tokens: TokenReport {
            input: number("input"),
            cached: number("cached"),
            cache_write: number("cache_write"),
            output: number("output"),
            reasoning: number("reasoning"),
        },
        cost_usd: row.get("cost_usd"),
        ..TurnReport::default()
    }
}
