//! One row for each turn, and what rows are grouped by.

use std::sync::Arc;
use std::time::Duration;

use latimer_protocol::status::TurnReport;
use latimer_protocol::turn::Usage;
use rusqlite::{Connection, Transaction};

/// One turn.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UsageRow {
    /// When it ended, in Unix seconds.
    pub at: u64,
    /// Its name in the log.
    pub turn: String,
    /// The client, as it calls itself.
    pub client: String,
    /// What names the conversation.
    pub session: Option<String>,
    /// The protocol the client speaks.
    pub protocol: String,
    /// The model that was asked for.
    pub asked: String,
    /// The endpoint that answered.
    pub endpoint: String,
    /// The key or account, as people call it.
    pub account: String,
    /// The model as the endpoint knows it.
    pub model: String,
    /// How it ended.
    pub finish: String,
    /// The code of its failure.
    pub failure: Option<String>,
    /// What was said with it.
    pub message: Option<String>,
    /// The project that the client works on, where its launcher says so.
    pub project: Option<String>,
    /// Tokens.
    pub usage: Usage,
    /// How long it took, in milliseconds.
    pub ms: u64,
    /// To the first event, in milliseconds.
    pub first_ms: Option<u64>,
    /// Attempts after the first.
    pub retries: u32,
    /// Calls that were found or mended.
    pub repairs: u32,
    /// In US dollars, where the price is known.
    pub cost_usd: Option<f64>,
    /// The client key that asked, by its name; `None` for the owner.
    pub key: Option<String>,
    /// The node that answered, where nodes have names.
    pub node: Option<String>,
    /// What the row has no column for: attempts, notes, the route. `None` where there is nothing of it.
    pub report: Option<Arc<TurnReport>>,
}

/// What a report is grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GroupBy {
    /// The endpoint.
    Endpoint,
    /// The key or account.
    Account,
    /// Endpoint and model.
    Model,
    /// The hour, in local time.
    Hour,
    /// The day, in local time.
    Day,
    /// The week, by the date of its Monday, in local time.
    Week,
    /// The month, in local time.
    Month,
    /// The project that the client works on.
    Project,
    /// The client.
    Client,
    /// The client key, by its name.
    Key,
    /// The node.
    Node,
    /// The conversation, as the client names it.
    Session,
    /// Each turn for itself.
    Turn,
    /// The failure.
    Failure,
}

impl GroupBy {
    /// How each is called.
    pub const NAMES: [(&str, Self); 14] = [
        ("endpoint", Self::Endpoint),
        ("account", Self::Account),
        ("model", Self::Model),
        ("hour", Self::Hour),
        ("day", Self::Day),
        ("week", Self::Week),
        ("month", Self::Month),
        ("project", Self::Project),
        ("client", Self::Client),
        ("key", Self::Key),
        ("node", Self::Node),
        ("session", Self::Session),
        ("turn", Self::Turn),
        ("failure", Self::Failure),
    ];

    /// By its name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, by)| *by)
    }

    /// Whether the lines stand in the order of time.
    pub(super) fn is_in_time(self) -> bool {
        matches!(self, Self::Hour | Self::Day | Self::Week | Self::Month | Self::Turn)
    }

    /// The group of a row, as text or as a number of which [`GroupBy::name_of`] makes one.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Endpoint => "endpoint",
            Self::Account => "endpoint || ' ' || account",
            Self::Model => "endpoint || '/' || model",
            // Time zones differ from each other by quarters of an hour.
            Self::Hour | Self::Day | Self::Week | Self::Month => "at / 900",
            Self::Project => "coalesce(project, 'none')",
            Self::Client => "client",
            // Quoted: `key` is a word of SQL's.
            Self::Key => "coalesce(\"key\", 'none')",
            Self::Node => "coalesce(node, 'none')",
            Self::Session => "coalesce(session, 'none')",
            Self::Turn => {
                "strftime('%Y-%m-%d %H:%M:%S', at, 'unixepoch') || ' ' || turn || ' ' || endpoint || '/' || model"
            }
            Self::Failure => "coalesce(failure, 'none')",
        }
    }

    /// What makes a name of a quarter of an hour.
    pub(super) fn name_of(self) -> &'static str {
        match self {
            Self::Hour => "SELECT strftime('%Y-%m-%d %H:00', ?1 * 900, 'unixepoch', 'localtime')",
            Self::Week => "SELECT date(?1 * 900, 'unixepoch', 'localtime', 'weekday 0', '-6 days')",
            Self::Month => "SELECT strftime('%Y-%m', ?1 * 900, 'unixepoch', 'localtime')",
            _ => "SELECT date(?1 * 900, 'unixepoch', 'localtime')",
        }
    }
}

/// Columns of the usage that version 3 of the file added. An older release that writes the file leaves them empty.
const NEW_COLUMNS: [&str; 7] = ["session", "protocol", "asked", "message", "project", "key", "node"];

/// How long the first tables of a file are waited for, in steps.
const TABLE_STEPS: u32 = 100;
const TABLE_STEP: Duration = Duration::from_millis(10);

/// Waits for the tables of a file that was made a moment ago: a proxy that starts makes the file first, and then all of them at once.
pub(super) fn wait_for_tables(connection: &Connection) -> rusqlite::Result<()> {
    for _ in 0..TABLE_STEPS {
        let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))?;
        if tables > 0 {
            break;
        }
        std::thread::sleep(TABLE_STEP);
    }
    Ok(())
}

/// Gives the table of an older latimer, if there is one, the columns that it lacks.
pub(super) fn add_columns(connection: &Connection) -> rusqlite::Result<()> {
    let mut names = connection.prepare("SELECT name FROM pragma_table_info('usage')")?;
    let names: Vec<String> = names.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for column in
        NEW_COLUMNS.iter().filter(|column| !names.is_empty() && !names.iter().any(|name| name == *column))
    {
        connection.execute_batch(&format!("ALTER TABLE usage ADD COLUMN \"{column}\" TEXT"))?;
    }
    Ok(())
}

/// Adds a row.
pub(super) fn insert(transaction: &Transaction<'_>, row: &UsageRow) -> rusqlite::Result<()> {
    const INSERT: &str = "INSERT INTO usage (at, turn, client, endpoint, account, model, finish, failure, input, cached, cache_write, output, reasoning, ms, first_ms, retries, repairs, cost_usd, session, protocol, asked, message, project, \"key\", node) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,?21,?22,?23,?24,?25)";
    const INSERT_REPORT: &str = "INSERT OR REPLACE INTO reports (turn, at, report) VALUES (?1, ?2, ?3)";
    let number = |number: Option<u64>| number.map(|number| i64::try_from(number).unwrap_or(i64::MAX));
    let Usage { input, cached, cache_write, output, reasoning } = row.usage;
    transaction.prepare_cached(INSERT)?.execute(rusqlite::params![
        number(Some(row.at)),
        row.turn,
        row.client,
        row.endpoint,
        row.account,
        row.model,
        row.finish,
        row.failure,
        number(input),
        number(cached),
        number(cache_write),
        number(output),
        number(reasoning),
        number(Some(row.ms)),
        number(row.first_ms),
        row.retries,
        row.repairs,
        row.cost_usd,
        row.session,
        row.protocol,
        row.asked,
        row.message,
        row.project,
        row.key,
        row.node,
    ])?;
    if let Some(report) = row.report.as_deref().and_then(|report| serde_json::to_string(report).ok()) {
        transaction.prepare_cached(INSERT_REPORT)?.execute(rusqlite::params![
            row.turn,
            number(Some(row.at)),
            report
        ])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_has_a_name() {
        for (name, by) in GroupBy::NAMES {
            assert_eq!(GroupBy::from_name(name), Some(by));
        }
        assert_eq!(GroupBy::from_name("mood"), None);
    }
}
