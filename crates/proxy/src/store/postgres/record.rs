//! Rows and answers on their way to the shared database: one form for the queue, the journal and the database.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::super::rows::UsageRow;
use latimer_protocol::turn::Usage;

/// A row, as it travels. Its columns are those of the table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct RowRecord {
    /// Given once, where the turn ran: a row that arrives twice counts once.
    pub(super) id: String,
    node: String,
    at: i64,
    turn: String,
    client: String,
    endpoint: String,
    account: String,
    model: String,
    finish: String,
    failure: Option<String>,
    input: Option<i64>,
    cached: Option<i64>,
    cache_write: Option<i64>,
    output: Option<i64>,
    reasoning: Option<i64>,
    ms: i64,
    first_ms: Option<i64>,
    retries: i64,
    repairs: i64,
    cost_usd: Option<f64>,
    session: Option<String>,
    protocol: Option<String>,
    asked: Option<String>,
    message: Option<String>,
    project: Option<String>,
    key: Option<String>,
    /// What the row has no column for, as JSON; it has a table of its own.
    report: Option<String>,
}

/// The columns of a record, for `jsonb_to_recordset`.
pub(super) const RECORD: &str = "id text, node text, at bigint, turn text, client text, endpoint text, account text, model text, finish text, failure text, input bigint, cached bigint, cache_write bigint, output bigint, reasoning bigint, ms bigint, first_ms bigint, retries bigint, repairs bigint, cost_usd double precision, session text, protocol text, asked text, message text, project text, key text, report text";
/// Those of them that the table of the usage has, `id` and `node` first.
pub(super) const COLUMNS: &str = "id, node, at, turn, client, endpoint, account, model, finish, failure, input, cached, cache_write, output, reasoning, ms, first_ms, retries, repairs, cost_usd, session, protocol, asked, message, project, key";

impl RowRecord {
    /// A row of this node under an id. The node is called as the configuration says, else by the name of its machine.
    pub(super) fn new(id: String, node: &str, row: &UsageRow) -> Self {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let Usage { input, cached, cache_write, output, reasoning } = row.usage;
        let report = row.report.as_deref().and_then(|report| serde_json::to_string(report).ok());
        Self {
            id,
            node: clean(row.node.as_deref().unwrap_or(node)),
            at: number(row.at),
            turn: clean(&row.turn),
            client: clean(&row.client),
            endpoint: clean(&row.endpoint),
            account: clean(&row.account),
            model: clean(&row.model),
            finish: clean(&row.finish),
            failure: row.failure.as_deref().map(clean),
            input: input.map(number),
            cached: cached.map(number),
            cache_write: cache_write.map(number),
            output: output.map(number),
            reasoning: reasoning.map(number),
            ms: number(row.ms),
            first_ms: row.first_ms.map(number),
            retries: row.retries.into(),
            repairs: row.repairs.into(),
            cost_usd: row.cost_usd.filter(|cost| cost.is_finite()),
            session: row.session.as_deref().map(clean),
            protocol: Some(clean(&row.protocol)),
            asked: Some(clean(&row.asked)),
            message: row.message.as_deref().map(clean),
            project: row.project.as_deref().map(clean),
            key: row.key.as_deref().map(clean),
            report,
        }
    }

    /// The numbers alone.
    pub(super) fn without_report(self) -> Self {
        Self { report: None, ..self }
    }
}

/// Text as `PostgreSQL` can hold it: there is no NUL in it.
fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// Ids of rows that no other process gives.
#[derive(Debug)]
pub(super) struct RowIds {
    run: String,
    next: AtomicU64,
}

impl RowIds {
    /// Those of a process that begins now.
    pub(super) fn new() -> Self {
        Self { run: random_name(), next: AtomicU64::new(0) }
    }

    /// An id for one more row.
    pub(super) fn next(&self) -> String {
        format!("{}-{}", self.run, self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// What stands in front of them all: it names the process.
    pub(super) fn run(&self) -> &str {
        &self.run
    }
}

/// Twenty-four hexadecimal digits that nobody else has.
fn random_name() -> String {
    use std::fmt::Write as _;
    let mut bytes = [0u8; 12];
    if getrandom::fill(&mut bytes).is_err() {
        let nanos = crate::clock::unix_nanos().to_le_bytes();
        bytes.copy_from_slice(nanos.get(..12).unwrap_or(&[0; 12]));
    }
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_its_way_and_holds_no_nul() {
        let row = UsageRow { turn: "t1".to_owned(), client: "a\0b".to_owned(), at: 7, ..UsageRow::default() };
        let record = RowRecord::new("r-0".to_owned(), "node-1", &row);
        let text = serde_json::to_string(&record).expect("JSON");
        assert!(!text.contains("\\u0000"), "{text}");
        assert_eq!(serde_json::from_str::<RowRecord>(&text).expect("read"), record);
        assert_eq!(record.node, "node-1");
        let named = UsageRow { node: Some("west".to_owned()), ..row };
        assert_eq!(RowRecord::new(String::new(), "node-1", &named).node, "west", "as the configuration says");
        let ids = RowIds::new();
        assert_ne!(ids.next(), ids.next());
        assert_ne!(RowIds::new().next(), RowIds::new().next());
    }

    #[test]
    fn the_columns_are_those_of_a_record() {
        let value = serde_json::to_value(RowRecord::default()).expect("JSON");
        let names: Vec<&str> = value.as_object().expect("an object").keys().map(String::as_str).collect();
        let columns: Vec<&str> = RECORD.split(", ").filter_map(|column| column.split(' ').next()).collect();
        assert_eq!(names, columns);
        assert_eq!(COLUMNS.split(", ").collect::<Vec<_>>(), columns[..columns.len() - 1]);
    }
}
