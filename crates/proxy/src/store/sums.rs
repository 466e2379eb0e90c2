//! Rows of the usage, added up: all of them once, and after that only those that are new.

use std::collections::{BTreeMap, HashMap};

use latimer_protocol::status::{UsageLine, UsageReport};
use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::rows::{GroupBy, UsageRow};

/// Sums over the rows of a time, by group.
#[derive(Debug, Clone)]
pub(super) struct Sums {
    by: GroupBy,
    since: i64,
    until: i64,
    /// The last row that is in it.
    last: i64,
    places: HashMap<String, usize>,
    /// Groups of quarters of an hour.
    times: HashMap<i64, usize>,
    groups: Vec<Group>,
    total: Group,
    /// Whether each group is added up by model, too.
    breaks_down: bool,
}

/// A line that is being added up.
#[derive(Debug, Clone, Default)]
struct Group {
    line: UsageLine,
    ms: Vec<u32>,
    first: Vec<u32>,
    /// By model.
    parts: BTreeMap<String, Group>,
}

/// What a row adds to a line.
#[derive(Debug, Clone, Copy, Default)]
struct Numbers {
    is_failed: bool,
    input: u64,
    cached: u64,
    output: u64,
    reasoning: u64,
    ms: Option<u32>,
    first: Option<u32>,
    retries: u64,
    repairs: u64,
    cost_usd: Option<f64>,
}

impl Numbers {
    /// Of the columns behind the rowid and the key.
    fn of_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        let number = |column: usize| -> rusqlite::Result<Option<u64>> {
            Ok(match row.get_ref(column)? {
                ValueRef::Integer(number) => u64::try_from(number).ok(),
                _ => None,
            })
        };
        let small = |column| Ok::<_, rusqlite::Error>(number(column)?.map(narrow));
        Ok(Self {
            is_failed: number(2)? == Some(1),
            input: number(3)?.unwrap_or(0),
            cached: number(4)?.unwrap_or(0),
            output: number(5)?.unwrap_or(0),
            reasoning: number(6)?.unwrap_or(0),
            ms: small(7)?,
            first: small(8)?,
            retries: number(9)?.unwrap_or(0),
            repairs: number(10)?.unwrap_or(0),
            cost_usd: match row.get_ref(11)? {
                ValueRef::Real(cost) => Some(cost),
                ValueRef::Integer(0) => Some(0.0),
                _ => None,
            },
        })
    }

    /// Of a row that is not written yet.
    fn of_pending(row: &UsageRow) -> Self {
        Self {
            is_failed: row.failure.is_some(),
            input: row.usage.input.unwrap_or(0),
            cached: row.usage.cached.unwrap_or(0),
            output: row.usage.output.unwrap_or(0),
            reasoning: row.usage.reasoning.unwrap_or(0),
            ms: Some(narrow(row.ms)),
            first: row.first_ms.map(narrow),
            retries: row.retries.into(),
            repairs: row.repairs.into(),
            cost_usd: row.cost_usd,
        }
    }
}

impl Group {
    fn new(name: String) -> Self {
        Self { line: UsageLine { name, ..UsageLine::default() }, ..Self::default() }
    }

    fn add(&mut self, numbers: Numbers) {
        let line = &mut self.line;
        line.turns += 1;
        line.failed += u64::from(numbers.is_failed);
        line.input = line.input.saturating_add(numbers.input);
        line.cached = line.cached.saturating_add(numbers.cached);
        line.output = line.output.saturating_add(numbers.output);
        line.reasoning = line.reasoning.saturating_add(numbers.reasoning);
        line.retries += numbers.retries;
        line.repairs += numbers.repairs;
        if let Some(cost) = numbers.cost_usd {
            *line.cost_usd.get_or_insert(0.0) += cost;
        }
        let used = numbers.input > 0 || numbers.output > 0;
        line.unpriced += u64::from(used && numbers.cost_usd.is_none());
        self.ms.extend(numbers.ms);
        self.first.extend(numbers.first);
    }

    fn line(&mut self) -> UsageLine {
        UsageLine {
            p50_ms: percentile(&mut self.ms, 50),
            p95_ms: percentile(&mut self.ms, 95),
            first_p50_ms: percentile(&mut self.first, 50),
            // Who used nothing paid nothing. What nobody knows is not nothing.
            cost_usd: self.line.cost_usd.or((self.line.unpriced == 0).then_some(0.0)),
            parts: self.parts.values_mut().map(Group::line).collect(),
            ..self.line.clone()
        }
    }
}

impl Sums {
    /// Nothing yet, of the rows since a moment in Unix seconds and before another one.
    pub(super) fn new(by: GroupBy, since: u64, until: Option<u64>) -> Self {
        let moment = |at: u64| i64::try_from(at).unwrap_or(i64::MAX);
        Self {
            by,
            since: moment(since),
            until: until.map_or(i64::MAX, moment),
            last: i64::MIN,
            places: HashMap::new(),
            times: HashMap::new(),
            groups: Vec::new(),
            total: Group::new("total".to_owned()),
            breaks_down: false,
        }
    }

    /// The same, with each group by model.
    #[must_use]
    pub(super) fn broken_down(mut self, breaks_down: bool) -> Self {
        self.breaks_down = breaks_down;
        self
    }

    /// Adds the rows that are new since the last time.
    pub(super) fn read(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let text = self.query();
        let mut query = connection.prepare_cached(&text)?;
        let mut name_of = connection.prepare_cached(self.by.name_of())?;
        let mut rows = query.query([self.last, self.since, self.until])?;
        let mut last = self.last;
        while let Some(row) = rows.next()? {
            last = last.max(row.get(0)?);
            let numbers = Numbers::of_row(row)?;
            let place = match row.get_ref(1)? {
                ValueRef::Integer(quarter) => {
                    if let Some(place) = self.times.get(&quarter) {
                        *place
                    } else {
                        let name: String = name_of.query_row([quarter], |row| row.get(0))?;
                        let place = self.place(&name);
                        self.times.insert(quarter, place);
                        place
                    }
                }
                other => self.place(other.as_str().unwrap_or("")),
            };
            let model = if self.breaks_down { row.get_ref(12)?.as_str().ok() } else { None };
            self.add(place, numbers, model);
        }
        self.last = last;
        Ok(())
    }

    fn add(&mut self, place: usize, numbers: Numbers, model: Option<&str>) {
        if let Some(group) = self.groups.get_mut(place) {
            group.add(numbers);
            if let Some(model) = model {
                if !group.parts.contains_key(model) {
                    group.parts.insert(model.to_owned(), Group::new(model.to_owned()));
                }
                if let Some(part) = group.parts.get_mut(model) {
                    part.add(numbers);
                }
            }
        }
        self.total.add(numbers);
    }

    /// What reads the rows that are new since the last time.
    fn query(&self) -> String {
        let columns =
            "failure IS NOT NULL, input, cached, output, reasoning, ms, first_ms, retries, repairs, cost_usd";
        let model = if self.breaks_down { ", endpoint || '/' || model" } else { "" };
        // Only the first time all rows count, and then the index of times is the way to them.
        let order = if self.last == i64::MIN {
            "+rowid > ?1 AND at >= ?2 AND at < ?3"
        } else {
            "rowid > ?1 AND +at >= ?2 AND +at < ?3"
        };
        let key = self.by.key();
        format!("SELECT rowid, {key}, {columns}{model} FROM usage WHERE {order}")
    }

    /// Adds a row that is not written yet. To be done to a copy: the next read would count it again.
    pub(super) fn add_pending(&mut self, row: &UsageRow, connection: &Connection) -> rusqlite::Result<()> {
        let at = i64::try_from(row.at).unwrap_or(i64::MAX);
        if at < self.since || at >= self.until {
            return Ok(());
        }
        let name = match self.by {
            GroupBy::Endpoint => row.endpoint.clone(),
            GroupBy::Account => format!("{} {}", row.endpoint, row.account),
            GroupBy::Model => format!("{}/{}", row.endpoint, row.model),
            GroupBy::Client => row.client.clone(),
            GroupBy::Key => row.key.clone().unwrap_or_else(|| "none".to_owned()),
            GroupBy::Node => row.node.clone().unwrap_or_else(|| "none".to_owned()),
            GroupBy::Session => row.session.clone().unwrap_or_else(|| "none".to_owned()),
            GroupBy::Failure => row.failure.clone().unwrap_or_else(|| "none".to_owned()),
            GroupBy::Turn => row.turn.clone(),
            GroupBy::Project => row.project.clone().unwrap_or_else(|| "none".to_owned()),
            GroupBy::Hour | GroupBy::Day | GroupBy::Week | GroupBy::Month => {
                connection.prepare_cached(self.by.name_of())?.query_row([at / 900], |row| row.get(0))?
            }
        };
        let (place, numbers) = (self.place(&name), Numbers::of_pending(row));
        let model = self.breaks_down.then(|| format!("{}/{}", row.endpoint, row.model));
        self.add(place, numbers, model.as_deref());
        Ok(())
    }

    fn place(&mut self, name: &str) -> usize {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        self.groups.push(Group::new(name.to_owned()));
        self.places.insert(name.to_owned(), self.groups.len() - 1);
        self.groups.len() - 1
    }

    /// The lines, the largest first; times in their order.
    pub(super) fn report(&mut self) -> UsageReport {
        let mut lines: Vec<UsageLine> = self.groups.iter_mut().map(Group::line).collect();
        if self.by.is_in_time() {
            // Their names begin with their time. Sorted here: in the query it would make SQLite read rows that are not new.
            lines.sort_by(|a, b| a.name.cmp(&b.name));
        } else {
            lines.sort_by_key(|line| std::cmp::Reverse(line.turns));
        }
        UsageReport { lines, total: self.total.line() }
    }

    /// Everything together.
    pub(super) fn total(&mut self) -> UsageLine {
        self.total.line()
    }
}

fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The value below which so many of a hundred lie.
fn percentile(values: &mut [u32], percent: usize) -> u64 {
    values.sort_unstable();
    let place = (values.len() * percent).div_ceil(100).saturating_sub(1);
    values.get(place).copied().unwrap_or(0).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The plan of SQLite for a query of these sums.
    fn plan(sums: &Sums) -> String {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("latimer.db");
        drop(crate::store::database::Database::open(&path).expect("made"));
        let connection = crate::store::database::read_only(&path).expect("readable");
        let mut query = connection.prepare(&format!("EXPLAIN QUERY PLAN {}", sums.query())).expect("a plan");
        let rows = query.query_map([0, 0, 0], |row| row.get::<_, String>(3)).expect("rows");
        rows.map(|row| row.expect("text")).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn a_report_costs_what_its_time_holds_and_later_only_what_is_new() {
        for (_, by) in GroupBy::NAMES {
            let mut sums = Sums::new(by, 0, None).broken_down(true);
            let first = plan(&sums);
            assert!(first.contains("SEARCH usage USING INDEX usage_at (at>? AND at<?)"), "{by:?}: {first}");
            assert!(!first.contains("TEMP B-TREE"), "{by:?} sorts: {first}");
            sums.last = 7;
            let later = plan(&sums);
            assert!(later.contains("USING INTEGER PRIMARY KEY (rowid>?)"), "{by:?}: {later}");
        }
    }

    #[test]
    fn percentiles() {
        assert_eq!(percentile(&mut [5, 1, 3], 50), 3);
        assert_eq!(percentile(&mut (1..=100).collect::<Vec<_>>(), 95), 95);
        assert_eq!(percentile(&mut [], 50), 0);
    }
}
