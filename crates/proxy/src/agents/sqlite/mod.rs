//! The file `agents.db`: opened with the same care as the store's, and brought to the newest layout step by step.

mod messages;
mod profiles;
mod runs;
mod schedules;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::store::{AgentStore, AgentStoreError};
use crate::store::{connect, make_private};
use crate::sync::lock;

/// The file in the state directory.
pub(super) const FILE: &str = "agents.db";
/// How long one process waits for another.
const BUSY: Duration = Duration::from_secs(5);

/// What leads from one layout to the next. A file has as many of them behind it as its `user_version` says. A step that was released is never
/// changed: what is new is a new step at the end.
const STEPS: &[&str] = &[profiles::TABLES, runs::TABLES, messages::TABLES, schedules::TABLES];

/// The open file. One connection: a statement takes less than it would cost to keep several in order.
#[derive(Debug)]
pub(super) struct AgentDatabase {
    connection: Mutex<Connection>,
}

impl AgentDatabase {
    /// Opens or makes the file.
    ///
    /// # Errors
    /// It cannot be had, is no database of ours, or one of a newer latimer. It is left as it is then.
    pub(super) fn open(path: &Path) -> Result<Self, AgentStoreError> {
        make_private(path).map_err(|error| AgentStoreError::Unreadable(error.to_string()))?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let mut connection = connect(path, flags)?;
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "secure_delete", "ON")?;
        migrate(&mut connection)?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    /// The connection, as long as nobody else needs it. A statement is short.
    fn connection(&self) -> MutexGuard<'_, Connection> {
        lock(&self.connection)
    }
}

impl AgentStore for AgentDatabase {}

/// Takes the steps that the file has not behind it, all or none.
fn migrate(connection: &mut Connection) -> Result<(), AgentStoreError> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let done: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: i64 = transaction.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))?;
    let done = usize::try_from(done).unwrap_or(usize::MAX);
    if done > STEPS.len() {
        let words = "it is of a newer latimer; start that one, or put the file aside";
        return Err(AgentStoreError::Unreadable(words.to_owned()));
    }
    if done == 0 && tables > 0 {
        return Err(AgentStoreError::Unreadable("it is another program's database".to_owned()));
    }
    for step in STEPS.iter().skip(done) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", i64::try_from(STEPS.len()).unwrap_or(i64::MAX))?;
    transaction.commit()?;
    Ok(())
}

/// As SQLite keeps numbers.
fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// As it kept them.
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// The most rows of an answer.
fn rows(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
