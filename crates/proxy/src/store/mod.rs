//! What is kept: how much was used ([`usage`]), and answers that a later request may go on with ([`chain`]).
//!
//! One trait, [`Engine`], and two engines: a SQLite file of this machine, and a `PostgreSQL` database that many nodes share.
//! Neither ever stands in the way of a stream.

pub mod chain;
pub mod client_keys;
mod database;
pub mod database_error;
mod database_files;
pub mod engine;
#[cfg(test)]
mod engine_tests;
mod key_rows;
mod key_tables;
pub mod moment;
pub mod postgres;
mod queue;
pub mod reader;
mod rows;
pub mod scope;
mod sqlite;
mod sums;
#[cfg(test)]
mod tests;
mod trim;
pub mod turn_rows;
pub mod usage;
pub mod warn;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use self::chain::StoredConversation;
pub(crate) use self::database::connect;
pub(crate) use self::database_files::make_private;
use self::engine::{CleanUp, Engine, Receipt, WaitingRows};
use self::postgres::PostgresStore;
use self::rows::UsageRow;
use self::sqlite::FileStore;
use crate::clockwork::job::JobWork;

/// The file in the state directory.
pub const FILE: &str = "latimer.db";

/// A cheap handle on the store.
#[derive(Debug, Clone)]
pub struct Store {
    engine: Arc<dyn Engine>,
    nodes: Option<Arc<PostgresStore>>,
}

impl Store {
    /// The store of this state directory. The file is opened by a thread, so that no start waits for it; without a directory
    /// everything lives in memory.
    pub fn open(dir: Option<&Path>) -> Self {
        Self { engine: Arc::new(FileStore::open(dir)), nodes: None }
    }

    /// A store that this node shares with others.
    pub fn shared(nodes: Arc<PostgresStore>) -> Self {
        Self { engine: Arc::clone(&nodes) as Arc<dyn Engine>, nodes: Some(nodes) }
    }

    /// What only a store of many nodes has; `None` where there is but one.
    pub fn nodes(&self) -> Option<&Arc<PostgresStore>> {
        self.nodes.as_ref()
    }

    /// Adds a row. Never waits.
    pub fn record(&self, row: UsageRow) {
        self.engine.record(row);
    }

    /// Reads what is kept.
    pub fn reader(&self) -> &dyn Engine {
        &*self.engine
    }

    /// Keeps an answer with everything before it: it can be gone on with at once, and after a restart. Where nodes share the store, the
    /// answer is on all of them once the future is done, which takes two seconds at most.
    pub fn keep_response(&self, id: &str, items: Vec<u8>, response: Vec<u8>, now_unix: u64) -> Receipt {
        self.engine.keep(id, StoredConversation { items, response, at: now_unix })
    }

    /// An answer that was kept, unless it is too old.
    pub async fn response(&self, id: &str, now_unix: u64) -> Option<Arc<StoredConversation>> {
        self.engine.response(id, now_unix).await
    }

    /// Forgets an answer. Where nodes share the store, all of them have forgotten it within two seconds.
    pub fn delete_response(&self, id: &str) -> Receipt {
        self.engine.delete(id)
    }

    /// Rows that wait to be written.
    pub fn waiting_rows(&self) -> WaitingRows {
        self.engine.waiting_rows()
    }

    /// Rows and answers that were not written: too many waited, or nothing could be written.
    pub fn lost_rows(&self) -> u64 {
        self.engine.lost_rows()
    }

    /// Waits until everything before this is written, some seconds at most.
    pub fn flush(&self) {
        self.engine.flush();
    }

    /// How often [`Store::clean_up`] is to be called.
    pub fn clean_up_period(&self, what: CleanUp) -> Duration {
        self.engine.clean_up_period(what)
    }

    /// Deletes what has had its time. Nothing else does.
    pub fn clean_up(&self, what: CleanUp) -> JobWork {
        self.engine.clean_up(what)
    }
}
