//! Whether the shared database answers, and who is told when that changes.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use super::super::database_error::ErrorKind;
use super::errors::DatabaseProblem;
use crate::clock;
use crate::sync::lock;

/// The way to the database.
#[derive(Debug)]
pub(super) struct Link {
    database: String,
    up: AtomicBool,
    /// It was up once.
    was_up: AtomicBool,
    /// Since when it is away, in Unix seconds, and what was said last.
    away: Mutex<Option<(u64, String)>>,
    changed: Notify,
    back: Notify,
}

impl Link {
    /// Nobody has tried yet.
    pub(super) fn new(database: &str) -> Self {
        Self {
            database: database.to_owned(),
            up: AtomicBool::new(false),
            was_up: AtomicBool::new(false),
            away: Mutex::default(),
            changed: Notify::new(),
            back: Notify::new(),
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    pub(super) fn was_up(&self) -> bool {
        self.was_up.load(Ordering::Relaxed)
    }

    /// It did not answer, or refused. Said once for each reason.
    pub(super) fn lost(&self, problem: &DatabaseProblem) {
        let error = problem.of(&self.database);
        if error.kind == ErrorKind::Data {
            return;
        }
        self.up.store(false, Ordering::Relaxed);
        let mut away = lock(&self.away);
        let since = away.as_ref().map_or_else(clock::unix_now, |(since, _)| *since);
        if away.as_ref().is_none_or(|(_, said)| *said != error.what) {
            tracing::warn!(event = "store.unavailable", database = %error.database, error = %error, note = "turns go on; rows and answers wait in journal.db of the state directory, and what other nodes learn is not known here until it is back");
        }
        *away = Some((since, error.what));
        drop(away);
        self.changed.notify_waiters();
        self.changed.notify_one();
    }

    /// It answers, and its tables are as they should be.
    pub(super) fn found(&self) {
        let away = lock(&self.away).take();
        self.was_up.store(true, Ordering::Relaxed);
        if self.up.swap(true, Ordering::Relaxed) {
            return;
        }
        if let Some((since, _)) = away {
            let seconds = clock::unix_now().saturating_sub(since);
            tracing::info!(event = "store.back", database = %self.database, after_s = seconds);
        } else {
            tracing::info!(event = "store.connected", database = %self.database);
        }
        self.back.notify_waiters();
    }

    /// Waits until it is lost.
    pub(super) async fn until_lost(&self) {
        while self.is_up() {
            self.changed.notified().await;
        }
    }

    /// Waits until it is back, or somebody has to look anyway.
    pub(super) async fn until_back(&self) {
        self.back.notified().await;
    }

    /// Since when it is away, in Unix seconds, and why.
    pub(super) fn away(&self) -> Option<(u64, String)> {
        lock(&self.away).clone()
    }
}
