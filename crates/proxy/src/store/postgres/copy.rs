//! Reads the file of one person, to copy it into the shared database.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::super::chain::{self, StoredConversation};
use super::super::database;
use super::record::COLUMNS;
use super::rows::MAX_BATCH;
use crate::clock;

/// What was copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Copied {
    /// Rows of the file.
    pub found: u64,
    /// Those that the database did not have.
    pub rows: u64,
    /// Answers that can still be gone on with.
    pub answers: u64,
}

/// A file that is read from its beginning to its end. Nothing in it changes.
pub(super) struct Source {
    connection: Connection,
    /// The last row and the last answer that were read.
    row: i64,
    answer: i64,
    /// How often each content was seen: rows that are the same are different rows all the same.
    seen: HashMap<[u8; 16], u32>,
}

impl Source {
    /// # Errors
    /// The file cannot be read, or is no database of latimer's.
    pub(super) fn open(path: &Path) -> rusqlite::Result<Self> {
        let connection = database::read_only(path)?;
        Ok(Self { connection, row: i64::MIN, answer: i64::MIN, seen: HashMap::new() })
    }

    /// The next rows, in the form in which they are sent; `None` at the end.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn next_rows(&mut self) -> rusqlite::Result<Option<Vec<String>>> {
        let columns = COLUMNS.trim_start_matches("id, ");
        let names: Vec<&str> = columns.split(", ").chain(["report"]).collect();
        let text = format!(
            "SELECT rowid, {columns}, (SELECT report FROM reports WHERE reports.turn = usage.turn) FROM usage WHERE rowid > ?1 ORDER BY rowid LIMIT ?2"
        );
        let mut query = self.connection.prepare_cached(&text)?;
        let mut rows = query.query(rusqlite::params![self.row, i64::try_from(MAX_BATCH).unwrap_or(500)])?;
        let mut records = Vec::new();
        while let Some(row) = rows.next()? {
            self.row = row.get(0)?;
            let mut record = Map::new();
            for (place, name) in names.iter().enumerate() {
                record.insert((*name).to_owned(), value(row.get_ref(place + 1)?));
            }
            let content = Value::Object(record.clone()).to_string();
            let hash: [u8; 32] = Sha256::digest(content.as_bytes()).into();
            let mut short = [0; 16];
            short.copy_from_slice(&hash[..16]);
            let count = self.seen.entry(short).or_default();
            record.insert("id".to_owned(), format!("file-{}-{count}", hex(&short)).into());
            if record.get("node").is_none_or(Value::is_null) {
                record.insert("node".to_owned(), "".into());
            }
            *count += 1;
            records.push(Value::Object(record).to_string());
        }
        Ok((!records.is_empty()).then_some(records))
    }

    /// The next answer that is not too old; `None` at the end.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn next_answer(&mut self) -> rusqlite::Result<Option<(String, StoredConversation)>> {
        let oldest = chain::oldest(clock::unix_now()).cast_signed();
        let mut query = self.connection.prepare_cached(
            "SELECT rowid, id, at, items, response FROM responses WHERE rowid > ?1 AND at >= ?2 ORDER BY rowid LIMIT 1",
        )?;
        let mut rows = query.query([self.answer, oldest])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        self.answer = row.get(0)?;
        let at: i64 = row.get(2)?;
        let stored = StoredConversation {
            items: row.get(3)?,
            response: row.get(4)?,
            at: u64::try_from(at).unwrap_or(0),
        };
        Ok(Some((row.get(1)?, stored)))
    }
}

fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Integer(number) => number.into(),
        ValueRef::Real(number) => number.into(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).replace('\0', "\u{fffd}").into(),
        ValueRef::Null | ValueRef::Blob(_) => Value::Null,
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
