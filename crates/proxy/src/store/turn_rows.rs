//! Turns that are over, from their rows: pages of them, and everything that is kept of one.

use std::fmt::Write as _;

use latimer_protocol::status::{FailureReport, TokenReport, TurnReport, TurnState};
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::rows::UsageRow;

/// The most turns of a page.
pub const MAX_PAGE: usize = 500;
/// The most words of a filter that count.
const MAX_WORDS: usize = 4;

/// Which turns a page holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TurnQuery {
    /// Only rows before this one: the `next` of the page before.
    pub before: Option<i64>,
    /// Only rows behind this one: the `latest` of an earlier page.
    pub after: Option<i64>,
    /// At most so many.
    pub limit: usize,
    /// Words that all stand somewhere in what a row shows.
    pub filter: String,
    /// Only those that failed.
    pub errors: bool,
    /// Only those of this client.
    pub client: Option<String>,
    /// Only those of this endpoint.
    pub endpoint: Option<String>,
}

impl TurnQuery {
    pub(super) fn words(&self) -> impl Iterator<Item = &str> {
        self.filter.split_whitespace().take(MAX_WORDS)
    }

    /// Whether a turn that is not among the rows belongs to the page.
    pub fn fits(&self, turn: &TurnReport) -> bool {
        let is =
            |wanted: &Option<String>, value: &str| wanted.as_deref().is_none_or(|wanted| wanted == value);
        let has = |text: &str, word: &str| {
            text.as_bytes()
                .windows(word.len().max(1))
                .any(|window| window.eq_ignore_ascii_case(word.as_bytes()))
        };
        let failure = turn.failure.as_ref();
        let shown = [
            turn.id.as_str(),
            &turn.client,
            &turn.endpoint,
            &turn.model,
            &turn.asked,
            turn.finish.as_deref().unwrap_or(turn.state.words()),
            failure.map_or("", |failure| failure.code.as_str()),
            failure.map_or("", |failure| failure.message.as_str()),
            turn.session.as_deref().unwrap_or(""),
            turn.key.as_deref().unwrap_or(""),
        ];
        (!self.errors || failure.is_some())
            && is(&self.client, &turn.client)
            && is(&self.endpoint, &turn.endpoint)
            && self.words().all(|word| shown.iter().any(|text| has(text, word)))
    }
}

const COLUMNS: &str = "rowid, at, turn, client, endpoint, account, model, finish, failure, input, cached, cache_write, output, reasoning, ms, first_ms, retries, repairs, cost_usd, session, protocol, asked, message, project, \"key\", node";

/// What a filter looks at.
const SHOWN: &str = "turn || ' ' || client || ' ' || endpoint || '/' || model || ' ' || finish || ' ' || coalesce(failure, '') || ' ' || coalesce(message, '') || ' ' || coalesce(asked, '') || ' ' || coalesce(session, '') || ' ' || coalesce(\"key\", '')";

/// The rows of a page, the newest first, each with its place. Found by the place of the last one, so that the last page costs no more
/// than the first.
pub(super) fn page(connection: &Connection, wanted: &TurnQuery) -> rusqlite::Result<Vec<(i64, TurnReport)>> {
    let mut text = format!(
        "SELECT {COLUMNS} FROM usage WHERE rowid < ?1 AND rowid > ?2 AND (?3 IS NULL OR client = ?3) AND (?4 IS NULL OR endpoint = ?4)"
    );
    if wanted.errors {
        text.push_str(" AND failure IS NOT NULL");
    }
    let words: Vec<String> = wanted.words().map(like).collect();
    for place in 0..words.len() {
        let _ = write!(text, " AND ({SHOWN}) LIKE ?{} ESCAPE '\\'", place + 6);
    }
    text.push_str(" ORDER BY rowid DESC LIMIT ?5");
    let mut query = connection.prepare_cached(&text)?;
    let limit = i64::try_from(wanted.limit.min(MAX_PAGE)).unwrap_or(0);
    let (before, after) = (wanted.before.unwrap_or(i64::MAX), wanted.after.unwrap_or(i64::MIN));
    let mut values: Vec<&dyn rusqlite::ToSql> =
        vec![&before, &after, &wanted.client, &wanted.endpoint, &limit];
    values.extend(words.iter().map(|word| word as &dyn rusqlite::ToSql));
    let rows = query.query_map(&values[..], |row| Ok((row.get(0)?, of_row(row)?)))?;
    rows.collect()
}

/// The place of the newest row; 0 where there is none.
pub(super) fn latest(connection: &Connection) -> rusqlite::Result<i64> {
    let newest: Option<i64> = connection.query_row("SELECT max(rowid) FROM usage", [], |row| row.get(0))?;
    Ok(newest.unwrap_or(0))
}

/// Everything that is kept of a turn.
pub(super) fn find(connection: &Connection, turn: &str) -> rusqlite::Result<Option<TurnReport>> {
    let report: Option<String> = connection
        .prepare_cached("SELECT report FROM reports WHERE turn = ?1")?
        .query_row([turn], |row| row.get(0))
        .optional()?;
    if let Some(report) = report.and_then(|report| serde_json::from_str(&report).ok()) {
        return Ok(Some(report));
    }
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM usage WHERE turn = ?1 ORDER BY rowid DESC LIMIT 1"))?
        .query_row([turn], of_row)
        .optional()
}

/// A word as a pattern that stands anywhere.
pub(super) fn like(word: &str) -> String {
    let mut pattern = String::from("%");
    for character in word.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

fn of_row(row: &Row<'_>) -> rusqlite::Result<TurnReport> {
    let number = |column: &str| -> rusqlite::Result<Option<u64>> {
        Ok(row.get::<_, Option<i64>>(column)?.and_then(|number| u64::try_from(number).ok()))
    };
    let small =
        |column: &str| number(column).map(|number| u32::try_from(number.unwrap_or(0)).unwrap_or(u32::MAX));
    let text = |column: &str| row.get::<_, Option<String>>(column);
    let ms = number("ms")?.unwrap_or(0);
    let ended = number("at")?.unwrap_or(0).saturating_mul(1000);
    let (code, message) = (text("failure")?, text("message")?);
    Ok(TurnReport {
        id: row.get("turn")?,
        state: TurnState::Over,
        client: row.get("client")?,
        key: text("key")?,
        node: text("node")?,
        session: text("session")?,
        project: text("project")?,
        protocol: text("protocol")?.unwrap_or_default(),
        asked: text("asked")?.unwrap_or_default(),
        endpoint: row.get("endpoint")?,
        model: row.get("model")?,
        account: row.get("account")?,
        begun_ms: ended.saturating_sub(ms),
        ms,
        first_ms: number("first_ms")?,
        finish: Some(row.get("finish")?),
        failure: code.map(|code| FailureReport {
            code,
            message: message.unwrap_or_default(),
            ..FailureReport::default()
        }),
        retries: small("retries")?,
        repairs: small("repairs")?,
        tokens: TokenReport {
            input: number("input")?,
            cached: number("cached")?,
            cache_write: number("cache_write")?,
            output: number("output")?,
            reasoning: number("reasoning")?,
        },
        cost_usd: row.get("cost_usd")?,
        ..TurnReport::default()
    })
}

/// A row that is not written yet, for a list.
pub(super) fn of_pending(row: &UsageRow) -> TurnReport {
    TurnReport {
        id: row.turn.clone(),
        state: TurnState::Over,
        client: row.client.clone(),
        key: row.key.clone(),
        node: row.node.clone(),
        session: row.session.clone(),
        project: row.project.clone(),
        protocol: row.protocol.clone(),
        asked: row.asked.clone(),
        endpoint: row.endpoint.clone(),
        model: row.model.clone(),
        account: row.account.clone(),
        begun_ms: row.at.saturating_mul(1000).saturating_sub(row.ms),
        ms: row.ms,
        first_ms: row.first_ms,
        finish: Some(row.finish.clone()),
        failure: row.failure.clone().map(|code| FailureReport {
            code,
            message: row.message.clone().unwrap_or_default(),
            ..FailureReport::default()
        }),
        retries: row.retries,
        repairs: row.repairs,
        tokens: row.usage.into(),
        cost_usd: row.cost_usd,
        ..TurnReport::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_a_filter_is_no_pattern() {
        assert_eq!(like("50%_\\"), "%50\\%\\_\\\\%");
    }

    #[test]
    fn turns_that_run_are_filtered_as_the_rows_are() {
        let turn = TurnReport {
            id: "t7".to_owned(),
            client: "codex".to_owned(),
            model: "GLM-5".to_owned(),
            ..TurnReport::default()
        };
        let fits = |filter: &str| TurnQuery { filter: filter.to_owned(), ..TurnQuery::default() }.fits(&turn);
        assert!(fits("") && fits("glm") && fits("CODEX t7") && fits("reading"));
        assert!(!fits("glm qwen"));
        assert!(!TurnQuery { errors: true, ..TurnQuery::default() }.fits(&turn));
        let other = Some("other".to_owned());
        assert!(!TurnQuery { client: other, ..TurnQuery::default() }.fits(&turn));
    }
}
